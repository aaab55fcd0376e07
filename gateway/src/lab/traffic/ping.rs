//! Echo requests and replies (RFC 792, RFC 4443 §4) over raw sockets.
//!
//! Raw, because unprivileged echo sockets are off by default in a new namespace.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use net::Instant;
use net::checksum::checksum;
use socket2::{Domain, Protocol, Socket, Type};
use sys::netns::NetNs;

use super::mark::{Kind, pattern};
use crate::clock;
use crate::lab::Stop;

/// What to ask, and how often.
#[derive(Clone, Debug)]
pub struct PingOptions {
    /// Whom to ask.
    pub target: IpAddr,
    /// How many requests.
    pub count: u16,
    /// Time from one request to the next.
    pub interval: Duration,
    /// How long to wait for the reply of the last request.
    pub patience: Duration,
    /// Octets of payload after the ICMP header.
    pub payload: usize,
}

impl PingOptions {
    /// Ten requests of 56 octets, 10 ms apart, a second of patience.
    #[must_use]
    pub const fn new(target: IpAddr) -> Self {
        Self {
            target,
            count: 10,
            interval: Duration::from_millis(10),
            patience: Duration::from_secs(1),
            payload: 56,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct PingReport {
    /// Requests sent.
    pub sent: u16,
    /// Round-trip times of the replies, in the order of the requests.
    pub round_trips: Vec<Duration>,
    /// Replies whose payload was not what we sent.
    pub damaged: u16,
    /// Requests that the kernel refused to send, such as without a route.
    pub refused: u16,
}

impl PingReport {
    /// The median round-trip time, when there was a reply.
    #[must_use]
    pub fn median(&self) -> Option<Duration> {
        let mut sorted = self.round_trips.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// Whether every request was answered, unharmed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.sent > 0 && self.damaged == 0 && self.round_trips.len() == usize::from(self.sent)
    }
}

/// Sends the requests from inside `from` and waits for the replies.
///
/// # Errors
/// When the socket cannot be opened or fails; no reply is not an error.
pub fn ping(from: &NetNs, options: &PingOptions) -> io::Result<PingReport> {
    let socket = from.within(|| open(options.target))??;
    let mut exchange = Exchange::new(&socket, options);
    let pause = Stop::new();
    for sequence in 1..=options.count {
        exchange.request(sequence);
        let next = clock::now().after(options.interval);
        exchange.listen(next)?;
        // An answer may have come early; requests stay evenly apart.
        pause.wait_until(next);
    }
    exchange.listen(clock::now().after(options.patience))?;
    Ok(exchange.report())
}

fn open(target: IpAddr) -> io::Result<Socket> {
    let (domain, protocol) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.connect(&SocketAddr::new(target, 0).into())?;
    Ok(socket)
}

/// Requests under way, and their replies.
struct Exchange<'a> {
    socket: &'a Socket,
    v6: bool,
    identifier: u16,
    payload: Vec<u8>,
    sent_at: Vec<Option<Instant>>,
    round_trips: Vec<Option<Duration>>,
    report: PingReport,
}

impl<'a> Exchange<'a> {
    fn new(socket: &'a Socket, options: &PingOptions) -> Self {
        let [.., a, b] = clock::now().as_nanos().to_be_bytes();
        let count = usize::from(options.count).saturating_add(1);
        Self {
            socket,
            v6: options.target.is_ipv6(),
            identifier: u16::from_be_bytes([a, b]),
            payload: pattern(Kind::Ping, 1, options.payload),
            sent_at: vec![None; count],
            round_trips: vec![None; count],
            report: PingReport::default(),
        }
    }

    fn request(&mut self, sequence: u16) {
        let [id0, id1] = self.identifier.to_be_bytes();
        let [seq0, seq1] = sequence.to_be_bytes();
        let kind = if self.v6 { ECHO_REQUEST_V6 } else { ECHO_REQUEST_V4 };
        let mut message = vec![kind, 0, 0, 0, id0, id1, seq0, seq1];
        message.extend_from_slice(&self.payload);
        if !self.v6 {
            // The kernel fills in the checksum of ICMPv6 only (RFC 3542 §3.1).
            let sum = checksum(&message).to_be_bytes();
            if let Some(field) = message.get_mut(2..4) {
                field.copy_from_slice(&sum);
            }
        }
        if let Some(slot) = self.sent_at.get_mut(usize::from(sequence)) {
            *slot = Some(clock::now());
        }
        match self.socket.send(&message) {
            Ok(_) => self.report.sent += 1,
            Err(_) => self.report.refused += 1,
        }
    }

    /// Takes replies until `deadline`, or until none is owed.
    fn listen(&mut self, deadline: Instant) -> io::Result<()> {
        let mut buffer = [0; 65_536];
        loop {
            let left = deadline.since(clock::now());
            if left.is_zero() || self.answered() == usize::from(self.report.sent) {
                return Ok(());
            }
            self.socket.set_read_timeout(Some(left.max(Duration::from_micros(1))))?;
            match (&mut &*self.socket).read(&mut buffer) {
                Ok(octets) => self.reply(buffer.get(..octets).unwrap_or_default()),
                Err(e) if waits(&e) => {}
                // An ICMP error for one of ours: a lost request, not a broken socket.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused || is_unreachable(&e) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn answered(&self) -> usize {
        self.round_trips.iter().flatten().count().saturating_add(usize::from(self.report.damaged))
    }

    /// A packet that the raw socket saw. Requests that others send, replies to others and errors are not ours.
    fn reply(&mut self, packet: &[u8]) {
        let now = clock::now();
        // ip(7): an IPv4 raw socket gives the header as well, an IPv6 one does not.
        let header = match packet.first() {
            Some(first) if !self.v6 => usize::from(first & 0x0f).saturating_mul(4),
            _ => 0,
        };
        let Some((&[kind, _, _, _, id0, id1, seq0, seq1], payload)) =
            packet.get(header..).and_then(|message| message.split_first_chunk())
        else {
            return;
        };
        let expected = if self.v6 { ECHO_REPLY_V6 } else { ECHO_REPLY_V4 };
        if kind != expected || u16::from_be_bytes([id0, id1]) != self.identifier {
            return;
        }
        let sequence = usize::from(u16::from_be_bytes([seq0, seq1]));
        let sent = self.sent_at.get(sequence).copied().flatten();
        let (Some(sent), Some(slot)) = (sent, self.round_trips.get_mut(sequence)) else { return };
        if payload != self.payload.as_slice() {
            self.report.damaged = self.report.damaged.saturating_add(1);
        } else if slot.is_none() {
            *slot = Some(now.since(sent));
        }
    }

    fn report(mut self) -> PingReport {
        self.report.round_trips = self.round_trips.into_iter().flatten().collect();
        self.report
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn is_unreachable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable)
}

const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
