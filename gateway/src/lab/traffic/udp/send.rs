//! The thread that sends.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use net::Instant;

use super::UdpOptions;
use super::datagram::{blank, label};
use crate::clock;
use crate::lab::Stop;

/// Sockets and payloads of all flows.
#[derive(Debug)]
pub(super) struct Sender {
    flows: Vec<(UdpSocket, Vec<u8>)>,
    rate: u32,
}

/// What was sent, flow by flow.
#[derive(Debug)]
pub(super) struct Departures(pub(super) Vec<Departed>);

/// What was sent in one flow.
#[derive(Clone, Debug, Default)]
pub(super) struct Departed {
    /// When each datagram was sent; its place is its number.
    pub(super) at: Vec<Instant>,
    /// Datagrams that the kernel did not take.
    pub(super) refused: u64,
}

impl Sender {
    /// Opens the flows' sockets in the namespace of the calling thread.
    pub(super) fn open(options: &UdpOptions) -> io::Result<Self> {
        let mut flows = Vec::with_capacity(options.flows.len());
        for (number, flow) in (0..).zip(&options.flows) {
            let any = match flow.to {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            let socket = UdpSocket::bind(SocketAddr::new(any, flow.source_port))?;
            socket.connect(SocketAddr::new(flow.to, options.port))?;
            socket.set_nonblocking(true)?;
            flows.push((socket, blank(number, flow.payload())));
        }
        Ok(Self { flows, rate: options.rate })
    }

    /// Sends at the rate, one flow after the other, until `stop`.
    pub(super) fn run(mut self, started: Instant, stop: &Stop) -> Departures {
        let mut departed = vec![Departed::default(); self.flows.len()];
        let mut tried: u64 = 0;
        let mut turn = 0;
        while !stop.wait(PACE) {
            let due = datagrams_due(self.rate, clock::now().since(started));
            while tried < due {
                tried = tried.saturating_add(1);
                if let (Some(flow), Some(departed)) = (self.flows.get_mut(turn), departed.get_mut(turn)) {
                    send_one(flow, departed);
                }
                turn = turn.saturating_add(1) % self.flows.len().max(1);
            }
        }
        Departures(departed)
    }
}

fn send_one((socket, payload): &mut (UdpSocket, Vec<u8>), departed: &mut Departed) {
    let now = clock::now();
    label(payload, u64::try_from(departed.at.len()).unwrap_or_default(), now);
    match socket.send(payload) {
        Ok(_) => departed.at.push(now),
        // The socket reports an ICMP error of an earlier datagram, or a full queue; nothing left the host.
        Err(_) => departed.refused = departed.refused.saturating_add(1),
    }
}

fn datagrams_due(rate: u32, elapsed: Duration) -> u64 {
    let due = u128::from(rate).saturating_mul(elapsed.as_nanos()) / 1_000_000_000;
    u64::try_from(due).unwrap_or(u64::MAX)
}

/// How often it sends.
const PACE: Duration = Duration::from_millis(1);
