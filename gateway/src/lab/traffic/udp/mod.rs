//! Flows of numbered datagrams, and what became of each.
//!
//! A run has many flows, each with its own source port (so that ECMP spreads them) and, when asked, its own packet
//! length (so that a capture can tell them apart even when they are encrypted). All flows of a run share one rate, in
//! turn. A datagram carries its flow, its number and the time it was sent; the receiver notes the kernel's time of
//! arrival, so its own scheduling does not look like a gap.
//!
//! `datagram` is what is sent, `send` and `receive` are the two threads, `report` adds up.

mod datagram;
mod receive;
mod report;
mod send;

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::thread::{self, JoinHandle};

use net::Instant;
use sys::netns::NetNs;

pub use report::{BUCKET, Flow, Totals, UdpReport};

use self::receive::{Arrivals, Receiver};
use self::send::{Departures, Sender};
use crate::clock;
use crate::lab::Stop;

/// What to send.
#[derive(Clone, Debug)]
pub struct UdpOptions {
    /// The flows, in the order of their numbers.
    pub flows: Vec<UdpFlow>,
    /// Datagrams per second, all flows together.
    pub rate: u32,
    /// The receiver's port.
    pub port: u16,
}

/// One flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UdpFlow {
    /// The receiver's address.
    pub to: IpAddr,
    /// The sender's port.
    pub source_port: u16,
    /// Octets of the IP packet, headers included. At least [`UdpFlow::MIN_PACKET`].
    pub packet: u16,
}

impl UdpFlow {
    /// The smallest IP packet that holds a datagram of ours over IPv6.
    pub const MIN_PACKET: u16 = 40 + 8 + 40;

    /// Octets of UDP payload.
    fn payload(&self) -> usize {
        let headers = if self.to.is_ipv4() { 20 + 8 } else { 40 + 8 };
        usize::from(self.packet.max(Self::MIN_PACKET)).saturating_sub(headers)
    }
}

/// Flows under way.
#[derive(Debug)]
pub struct UdpRun {
    started: Instant,
    stop_sending: Stop,
    stop_receiving: Stop,
    sender: JoinHandle<Departures>,
    receiver: JoinHandle<io::Result<Arrivals>>,
}

impl UdpRun {
    /// Starts to send from inside `from` and to receive inside `to`.
    ///
    /// # Errors
    /// When a socket cannot be opened: a port that is taken, no route.
    pub fn start(from: &NetNs, to: &NetNs, options: &UdpOptions) -> io::Result<Self> {
        let any = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), options.port);
        let receiver = to.within(|| Receiver::open(any, &options.flows))??;
        let sender = from.within(|| Sender::open(options))??;
        let (stop_sending, stop_receiving) = (Stop::new(), Stop::new());
        let (send_stop, receive_stop) = (stop_sending.clone(), stop_receiving.clone());
        let started = clock::now();
        let receiving = thread::Builder::new().name("udp-receive".to_owned());
        let receiver = receiving.spawn(move || receiver.run(started, &receive_stop))?;
        let sending = thread::Builder::new().name("udp-send".to_owned());
        let sender = sending.spawn(move || sender.run(started, &send_stop))?;
        Ok(Self { started, stop_sending, stop_receiving, sender, receiver })
    }

    /// Stops sending, waits until nothing more can be on its way, and reports.
    ///
    /// # Errors
    /// When the receiver's socket failed.
    pub fn stop(self) -> io::Result<UdpReport> {
        self.stop_sending.request();
        let panicked = || io::Error::other("a traffic thread panicked");
        let departures = self.sender.join().map_err(|_| panicked())?;
        self.stop_receiving.request();
        let arrivals = self.receiver.join().map_err(|_| panicked())??;
        Ok(UdpReport::new(self.started, departures, arrivals))
    }
}
