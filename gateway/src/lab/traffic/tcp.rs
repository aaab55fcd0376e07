//! TCP streams whose every octet is checked at the far end.
//!
//! The stream repeats one pattern; see [`super::mark`]. The receiver compares what comes with what must come, and notes
//! when it had to wait. A stream without a rate is as fast as the two ends and the network; one with a rate leaves
//! room for other things to be measured beside it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use net::Instant;
use sys::netns::NetNs;

use super::mark::stream_pattern;
use crate::clock;
use crate::lab::Stop;

/// A stream under way.
#[derive(Debug)]
pub struct TcpStreamRun {
    stop: Stop,
    sender: JoinHandle<io::Result<u64>>,
    receiver: JoinHandle<io::Result<Received>>,
}

/// What came of a stream.
#[derive(Clone, Debug, Default)]
pub struct TcpReport {
    /// Octets that the sender gave to its kernel.
    pub sent: u64,
    /// Octets that the receiver got and found right.
    pub verified: u64,
    /// Where the first octet was that was not what was sent.
    pub wrong_at: Option<u64>,
    /// From the first octet to the last, at the receiver.
    pub elapsed: Duration,
    /// The longest time that the receiver waited for more.
    pub longest_wait: Duration,
}

impl TcpReport {
    /// Whether all octets arrived as they were sent.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.wrong_at.is_none() && self.sent > 0 && self.verified == self.sent
    }

    /// Payload bits per second, from the first octet to the last.
    #[must_use]
    pub fn bits_per_second(&self) -> u64 {
        let bits = u128::from(self.verified).saturating_mul(8_000_000_000);
        u64::try_from(bits / self.elapsed.as_nanos().max(1)).unwrap_or(u64::MAX)
    }
}

impl TcpStreamRun {
    /// Connects from inside `from` to `address` inside `to`, and starts to stream: as fast as it goes, or at `rate`
    /// bits per second.
    ///
    /// # Errors
    /// When listening, or connecting within `patience`, fails.
    pub fn start(
        from: &NetNs,
        to: &NetNs,
        address: IpAddr,
        rate: Option<u64>,
        patience: Duration,
    ) -> io::Result<Self> {
        let listener = to.within(|| TcpListener::bind(SocketAddr::new(address, 0)))??;
        let target = listener.local_addr()?;
        let out = from.within(|| TcpStream::connect_timeout(&target, patience))??;
        // The handshake is over, so this does not wait.
        let (into, _) = listener.accept()?;
        out.set_write_timeout(Some(TICK))?;
        into.set_read_timeout(Some(TICK))?;
        let stop = Stop::new();
        let (send_stop, receive_stop) = (stop.clone(), stop.clone());
        let sender = thread::Builder::new().name("tcp-send".to_owned());
        let sender = sender.spawn(move || send(&out, rate, &send_stop))?;
        let receiver = thread::Builder::new().name("tcp-receive".to_owned());
        let receiver = receiver.spawn(move || receive(into, &receive_stop))?;
        Ok(Self { stop, sender, receiver })
    }

    /// Ends the stream, waits until all of it has arrived (at most [`DRAIN`]), and reports.
    ///
    /// # Errors
    /// When the connection broke: reset, timed out.
    pub fn stop(self) -> io::Result<TcpReport> {
        self.stop.request();
        let sent = join(self.sender)?;
        let received = join(self.receiver)?;
        let Received { verified, wrong_at, first, last, longest_wait } = received;
        let elapsed = last.since(first);
        Ok(TcpReport { sent, verified, wrong_at, elapsed, longest_wait })
    }
}

fn join<T>(thread: JoinHandle<io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a traffic thread panicked")))
}

fn send(mut stream: &TcpStream, rate: Option<u64>, stop: &Stop) -> io::Result<u64> {
    let mut place = Place::default();
    let mut sent: u64 = 0;
    let start = clock::now();
    while !stop.is_requested() {
        let mut piece = place.rest();
        if let Some(rate) = rate {
            let due = octets_due(rate, clock::now().since(start));
            let now = usize::try_from(due.saturating_sub(sent)).unwrap_or(usize::MAX);
            if now < PIECE {
                stop.wait(PACE);
                continue;
            }
            // Always the same length, so that the last segment of each write is of one length too.
            piece = piece.get(..PIECE).unwrap_or(piece);
        }
        match stream.write(piece.get(..CHUNK).unwrap_or(piece)) {
            Ok(octets) => {
                place.advance(octets);
                sent = sent.saturating_add(u64::try_from(octets).unwrap_or_default());
            }
            Err(e) if waits(&e) => {}
            Err(e) => return Err(e),
        }
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(sent)
}

fn octets_due(bits_per_second: u64, elapsed: Duration) -> u64 {
    let octets = u128::from(bits_per_second).saturating_mul(elapsed.as_nanos()) / 8_000_000_000;
    u64::try_from(octets).unwrap_or(u64::MAX)
}

/// What the receiver saw.
#[derive(Debug)]
struct Received {
    verified: u64,
    wrong_at: Option<u64>,
    first: Instant,
    last: Instant,
    longest_wait: Duration,
}

fn receive(mut stream: TcpStream, stop: &Stop) -> io::Result<Received> {
    let mut buffer = vec![0; CHUNK];
    let mut place = Place::default();
    let start = clock::now();
    let mut seen =
        Received { verified: 0, wrong_at: None, first: start, last: start, longest_wait: Duration::ZERO };
    let mut give_up = None;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(seen),
            Ok(octets) => seen.take(buffer.get(..octets).unwrap_or_default(), &mut place),
            Err(e) if waits(&e) => {}
            Err(e) => return Err(e),
        }
        if stop.is_requested() {
            let now = clock::now();
            if now >= *give_up.get_or_insert_with(|| now.after(DRAIN)) {
                return Ok(seen);
            }
        }
    }
}

impl Received {
    fn take(&mut self, mut octets: &[u8], place: &mut Place) {
        let now = clock::now();
        if self.verified == 0 {
            self.first = now;
        } else {
            self.longest_wait = self.longest_wait.max(now.since(self.last));
        }
        self.last = now;
        while !octets.is_empty() && self.wrong_at.is_none() {
            let expected = place.rest();
            let length = octets.len().min(expected.len());
            let (Some((piece, more)), Some(wanted)) =
                (octets.split_at_checked(length), expected.get(..length))
            else {
                return;
            };
            if piece != wanted {
                let right = piece.iter().zip(wanted).take_while(|(a, b)| a == b).count();
                self.wrong_at = Some(self.verified.saturating_add(u64::try_from(right).unwrap_or_default()));
                return;
            }
            self.verified = self.verified.saturating_add(u64::try_from(length).unwrap_or_default());
            place.advance(length);
            octets = more;
        }
    }
}

/// How far into the repeated pattern a stream is.
#[derive(Clone, Copy, Debug, Default)]
struct Place(usize);

impl Place {
    /// The pattern from here to its end.
    fn rest(self) -> &'static [u8] {
        stream_pattern().get(self.0..).unwrap_or_default()
    }

    fn advance(&mut self, octets: usize) {
        self.0 = self.0.saturating_add(octets) % stream_pattern().len();
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// How long [`TcpStreamRun::stop`] waits for the rest of a stream.
pub const DRAIN: Duration = Duration::from_secs(5);
/// How often a thread that waits for the network looks whether it should stop.
const TICK: Duration = Duration::from_millis(20);
/// How often a stream with a rate sends.
const PACE: Duration = Duration::from_millis(1);
/// Octets per call of a stream with a rate.
const PIECE: usize = 16 * 1024;
/// Octets per call.
const CHUNK: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_stream_is_verified_across_the_end_of_the_pattern() {
        let mut twice = stream_pattern().to_vec();
        twice.extend_from_slice(stream_pattern());
        let mut seen = taken(&twice, 10_007);
        assert_eq!((seen.verified, seen.wrong_at), (u64::try_from(twice.len()).unwrap(), None));
        twice[1_500_000] ^= 1;
        seen = taken(&twice, 10_007);
        assert_eq!(seen.wrong_at, Some(1_500_000));
        assert!(seen.verified <= 1_500_000);
    }

    #[test]
    fn a_lost_segment_and_a_repeated_buffer_are_noticed() {
        let stream = stream_pattern();
        let lost = [&stream[..1448], &stream[2896..]].concat();
        assert_eq!(taken(&lost, 4096).wrong_at.map(|at| at / 16), Some(1448 / 16));
        let repeated = [&stream[..65_536], stream].concat();
        assert!(taken(&repeated, 65_536).wrong_at.is_some_and(|at| at >= 65_536));
    }

    #[test]
    fn a_rate_is_in_bits_of_payload() {
        assert_eq!(octets_due(8_000_000, Duration::from_millis(250)), 250_000);
        let report =
            TcpReport { verified: 1_000_000, elapsed: Duration::from_millis(8), ..TcpReport::default() };
        assert_eq!(report.bits_per_second(), 1_000_000_000);
    }

    fn taken(stream: &[u8], piece: usize) -> Received {
        let zero = Instant::ZERO;
        let mut seen =
            Received { verified: 0, wrong_at: None, first: zero, last: zero, longest_wait: Duration::ZERO };
        let mut place = Place::default();
        for octets in stream.chunks(piece) {
            seen.take(octets, &mut place);
        }
        seen
    }
}
