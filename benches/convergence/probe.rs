//! Datagrams from the host to destinations behind routes: a route is in the forwarding table when they arrive.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
        mpsc::{Receiver, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;
use net::Ipv4Net;

use crate::lab::{Lab, Node};

const PORT: u16 = 9;
/// Between two rounds of datagrams.
const PACE: Duration = Duration::from_micros(50);

/// So many rounds, and then this long for the last of them, show that nothing gets through.
const ENOUGH: u32 = 50;
const LATEST: Duration = Duration::from_millis(40);

/// Both ends of the probe.
#[derive(Debug)]
pub(crate) struct Probe {
    sender: UdpSocket,
    receiver: UdpSocket,
}

impl Probe {
    pub(crate) fn new(lab: &Lab) -> Result<Self> {
        let sender = lab.inside(Node::Host, || Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?))?;
        let receiver = lab.inside(Node::Feed, || Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?))?;
        receiver.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(Self { sender, receiver })
    }

    /// Begins to send to these prefixes, and tells when the first datagram arrived at each, by place.
    pub(crate) fn watch(&self, prefixes: Vec<Ipv4Net>) -> Result<Watch> {
        self.drain()?;
        let (stop, (told, arrivals)) = (Arc::new(AtomicBool::new(false)), channel());
        let rounds = Arc::new(AtomicU32::new(0));
        let seen: Arc<[AtomicBool]> = prefixes.iter().map(|_| AtomicBool::new(false)).collect();
        let (socket, ended, there) = (self.sender.try_clone()?, stop.clone(), seen.clone());
        let counted = rounds.clone();
        let send = move || {
            while !ended.load(Relaxed) {
                let open = prefixes.iter().enumerate().filter(|(at, _)| !there[*at].load(Relaxed));
                for (at, prefix) in open {
                    let host = Ipv4Addr::from_bits(prefix.network().to_bits() + 1);
                    // No route yet is what is measured.
                    let _sent = socket.send_to(&u32::try_from(at).unwrap().to_be_bytes(), (host, PORT));
                }
                counted.fetch_add(1, Relaxed);
                thread::sleep(PACE);
            }
        };
        let (socket, ended) = (self.receiver.try_clone()?, stop.clone());
        let receive = move || {
            let mut octets = [0; 4];
            while !ended.load(Relaxed) {
                let Ok(4) = socket.recv(&mut octets) else { continue };
                let (at, now) = (u32::from_be_bytes(octets), Instant::now());
                let place = usize::try_from(at).unwrap();
                if seen.get(place).is_some_and(|seen| !seen.swap(true, Relaxed)) {
                    let _told = told.send((place, now));
                }
            }
        };
        Ok(Watch { arrivals, rounds, stop, threads: vec![thread::spawn(send), thread::spawn(receive)] })
    }

    /// Forgets what is on its way.
    fn drain(&self) -> Result<()> {
        self.receiver.set_read_timeout(Some(Duration::from_millis(20)))?;
        while self.receiver.recv(&mut [0; 4]).is_ok() {}
        Ok(())
    }
}

/// Datagrams on their way. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) arrivals: Receiver<(usize, Instant)>,
    rounds: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// True when many datagrams were sent and none arrived: there is no route. False when one did.
    pub(crate) fn finds_nothing(&self) -> bool {
        while self.rounds.load(Relaxed) < ENOUGH {
            if self.arrivals.recv_timeout(PACE).is_ok() {
                return false;
            }
        }
        self.arrivals.recv_timeout(LATEST).is_err()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}
