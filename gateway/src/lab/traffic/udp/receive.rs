//! The thread that receives: one socket for all flows, IPv4 and IPv6.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use net::Instant;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

use super::UdpFlow;
use super::datagram::{HEADER, filling, read};
use super::report::BUCKET;
use crate::clock;
use crate::lab::Stop;

/// The socket, and what is expected on it.
#[derive(Debug)]
pub(super) struct Receiver {
    socket: Socket,
    /// The filling of each flow's datagrams.
    expected: Vec<Vec<u8>>,
}

/// What arrived.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    pub(super) flows: Vec<Arrived>,
    /// Datagrams per [`BUCKET`] since the start.
    pub(super) buckets: Vec<u32>,
    /// The longest time without a datagram of any flow, and when it began.
    pub(super) longest_gap: Gap,
    /// Time from sending to arrival of each datagram.
    pub(super) delays: Vec<Duration>,
    last: Option<Instant>,
}

/// What arrived of one flow.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrived {
    /// When each number came first; the place is the number.
    pub(super) at: Vec<Option<Instant>>,
    pub(super) received: u64,
    pub(super) duplicated: u64,
    /// Datagrams that came after one with a higher number (RFC 4737 §3.3).
    pub(super) reordered: u64,
    pub(super) damaged: u64,
    pub(super) longest_gap: Gap,
    last: Option<Instant>,
    next: usize,
}

/// A time in which nothing came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gap {
    pub(super) from: Instant,
    pub(super) lasted: Duration,
}

impl Receiver {
    /// Opens the socket in the namespace of the calling thread.
    pub(super) fn open(local: SocketAddr, flows: &[UdpFlow]) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(false)?;
        // Beyond the system's maximum when the machine's own root asks; elsewhere as much as it allows.
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)
            .or_else(|_| socket.set_recv_buffer_size(BUFFER))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        socket.bind(&local.into())?;
        socket.set_read_timeout(Some(TICK))?;
        let filled = |flow: &UdpFlow| flow.payload().saturating_sub(HEADER);
        let expected = (0..).zip(flows).map(|(number, flow)| filling(number, filled(flow))).collect();
        Ok(Self { socket, expected })
    }

    /// Receives until `stop`, and then until nothing has come for [`SILENCE`], but not for longer than [`LONGEST_WAY`].
    pub(super) fn run(self, started: Instant, stop: &Stop) -> io::Result<Arrivals> {
        let mut arrivals =
            Arrivals { flows: vec![Arrived::default(); self.expected.len()], ..Arrivals::default() };
        let wall = WallOffset::measure();
        let mut buffer = vec![0; 65_536];
        let mut control = cmsg_space!(TimeSpec);
        let mut heard = started;
        let mut stopped = None;
        loop {
            let now = clock::now();
            if stop.is_requested() {
                let stopped = *stopped.get_or_insert(now);
                if now.since(heard.max(stopped)) >= SILENCE || now.since(stopped) >= LONGEST_WAY {
                    return Ok(arrivals);
                }
            }
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let taken =
                recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
            let (octets, stamp) = match taken {
                Ok(message) => (message.bytes, stamp(&message)),
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                Err(e) => return Err(e.into()),
            };
            heard = now;
            let at = stamp.and_then(|s| wall.instant(s)).unwrap_or_else(clock::now);
            self.take(buffer.get(..octets).unwrap_or_default(), started, at, &mut arrivals);
        }
    }

    fn take(&self, payload: &[u8], started: Instant, at: Instant, arrivals: &mut Arrivals) {
        let Some((label, rest)) = read(payload) else { return };
        let flow = usize::from(label.flow);
        let (Some(expected), Some(arrived)) = (self.expected.get(flow), arrivals.flows.get_mut(flow)) else {
            return;
        };
        if rest != expected.as_slice() {
            arrived.damaged = arrived.damaged.saturating_add(1);
            return;
        }
        let Some(number) = usize::try_from(label.number).ok().filter(|&n| n < MOST_NUMBERS) else { return };
        arrived.take(number, at);
        arrivals.note(started, label.sent, at);
    }
}

impl Arrivals {
    fn note(&mut self, started: Instant, sent: Instant, at: Instant) {
        self.longest_gap.extend(self.last.replace(at), at);
        self.delays.push(at.since(sent));
        let bucket = at.since(started).as_nanos() / BUCKET.as_nanos();
        let bucket = usize::try_from(bucket).unwrap_or(usize::MAX).min(MOST_BUCKETS);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket.saturating_add(1), 0);
        }
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
    }
}

impl Arrived {
    fn take(&mut self, number: usize, at: Instant) {
        if self.at.len() <= number {
            self.at.resize(number.saturating_add(1), None);
        }
        let Some(came) = self.at.get_mut(number) else { return };
        if came.is_some() {
            self.duplicated = self.duplicated.saturating_add(1);
            return;
        }
        *came = Some(at);
        self.received = self.received.saturating_add(1);
        if number < self.next {
            self.reordered = self.reordered.saturating_add(1);
        }
        self.next = self.next.max(number.saturating_add(1));
        self.longest_gap.extend(self.last.replace(at), at);
    }
}

impl Gap {
    /// Becomes the time from `last` to `now`, if that is longer.
    fn extend(&mut self, last: Option<Instant>, now: Instant) {
        if let Some(from) = last
            && now.since(from) > self.lasted
        {
            *self = Self { from, lasted: now.since(from) };
        }
    }
}

/// The kernel stamps arrivals with the wall clock; everything else here is on ours.
#[derive(Clone, Copy, Debug)]
struct WallOffset {
    ours: Instant,
    wall: Duration,
}

impl WallOffset {
    fn measure() -> Self {
        let wall = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { ours: clock::now(), wall }
    }

    /// `None` when the wall clock was set back meanwhile.
    fn instant(self, stamp: Duration) -> Option<Instant> {
        let since = stamp.as_nanos().checked_add(u128::from(self.ours.as_nanos()))?;
        let nanos = since.checked_sub(self.wall.as_nanos())?;
        u64::try_from(nanos).ok().map(Instant::from_nanos)
    }
}

fn stamp(message: &nix::sys::socket::RecvMsg<'_, '_, ()>) -> Option<Duration> {
    message.cmsgs().ok()?.find_map(|control| {
        let ControlMessageOwned::ScmTimestampns(stamp) = control else { return None };
        Some(Duration::from(stamp))
    })
}

/// How often it looks whether it should stop.
const TICK: Duration = Duration::from_millis(20);
/// After so long a silence, nothing is on its way any more.
const SILENCE: Duration = Duration::from_millis(200);
/// A datagram that is on its way for longer counts as lost.
const LONGEST_WAY: Duration = Duration::from_secs(2);
/// Octets that may wait in the kernel while this thread does not run.
const BUFFER: usize = 8 << 20;
/// A number above this is not one of ours, however well it looks: a run of hours.
const MOST_NUMBERS: usize = 1 << 24;
/// Arrivals later than this count as this: a run of half an hour.
const MOST_BUCKETS: usize = 180_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(numbers: &[usize]) -> Arrived {
        let mut flow = Arrived::default();
        for (&number, at) in numbers.iter().zip((0..).step_by(1_000_000)) {
            flow.take(number, Instant::from_nanos(at));
        }
        flow
    }

    #[test]
    fn loss_repetition_and_disorder_are_told_apart() {
        for (numbers, received, duplicated, reordered) in [
            (&[0, 1, 2, 3][..], 4, 0, 0),
            (&[0, 2, 3], 3, 0, 0),
            (&[0, 1, 1, 2], 3, 1, 0),
            (&[0, 3, 1, 2, 4], 5, 0, 2),
            (&[1, 0, 0], 2, 1, 1),
        ] {
            let flow = arrived(numbers);
            assert_eq!(
                (flow.received, flow.duplicated, flow.reordered),
                (received, duplicated, reordered),
                "{numbers:?}"
            );
        }
        let came: Vec<bool> = arrived(&[0, 2]).at.iter().map(Option::is_some).collect();
        assert_eq!(came, [true, false, true]);
    }

    #[test]
    fn the_longest_gap_is_remembered_with_its_start() {
        let mut gap = Gap::default();
        let mut last = None;
        for at in [0, 5, 6, 30, 31] {
            let now = Instant::from_nanos(at);
            gap.extend(last.replace(now), now);
        }
        assert_eq!((gap.from.as_nanos(), gap.lasted.as_nanos()), (6, 24));
    }

    #[test]
    fn kernel_stamps_move_to_our_clock() {
        let offset = WallOffset { ours: Instant::from_nanos(70), wall: Duration::from_nanos(1000) };
        assert_eq!(offset.instant(Duration::from_nanos(1005)), Some(Instant::from_nanos(75)));
        assert_eq!(offset.instant(Duration::from_nanos(900)), None);
    }
}
