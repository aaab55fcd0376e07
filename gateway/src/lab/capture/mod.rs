//! What really crosses a link: frames counted by direction and EtherType, searched for clear text, kept in a file.
//!
//! A capture runs on a thread of its own and looks at any number of interfaces of one node. It sees frames of both
//! directions, with one exception that matters: a sender that bypasses the queueing discipline (`PACKET_QDISC_BYPASS`)
//! is not seen where it sends. To see all that crosses a link, capture at both ends.
//!
//! Clear text is what contains a [`mark`](super::traffic::mark). A capture that could not keep up says how many frames
//! it missed; a claim that nothing was in clear is about the frames it looked at.

mod file;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use net::{EtherType, Instant};
use sys::fault::Fault;
use sys::netns::NetNs;
use sys::{PacketOptions, PacketSocket, Poller, RingVersion, RxFrame, RxRing, Waker};

use self::file::CaptureFile;
use super::traffic::mark::{Kind, Marks};
use crate::clock;

/// What to look at.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// Interfaces of the node.
    pub interfaces: Vec<String>,
    /// Keep the frames in this file (pcapng).
    pub file: Option<PathBuf>,
    /// Octets of a frame to look at, from its start.
    pub snap: usize,
    /// Octets of kernel memory for each interface.
    pub ring: usize,
}

impl CaptureOptions {
    /// Looks at the first 2048 octets of each frame, with 8 MiB of memory for each interface, and keeps nothing.
    pub fn new<S: Into<String>>(interfaces: impl IntoIterator<Item = S>) -> Self {
        let interfaces = interfaces.into_iter().map(Into::into).collect();
        Self { interfaces, file: None, snap: 2048, ring: 8 << 20 }
    }
}

/// A capture under way.
#[derive(Debug)]
pub struct Capture {
    waker: Waker,
    period: Arc<AtomicU32>,
    thread: JoinHandle<io::Result<Vec<Seen>>>,
}

/// What crossed one interface.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The interface.
    pub interface: String,
    /// Frames that came in.
    pub incoming: Frames,
    /// Frames that the node sent, but see the module's exception.
    pub outgoing: Frames,
    /// Incoming frames by the period in which they came (see [`Capture::begin_period`]) and their length in octets.
    pub lengths: BTreeMap<(u32, usize), u64>,
    /// Incoming frames in each [`SLICE`] since the capture began.
    pub over_time: Vec<u64>,
    /// Frames that found the capture's memory full.
    pub missed: u64,
}

/// Frames of one direction.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// How many.
    pub count: u64,
    /// Their octets, Ethernet headers included.
    pub octets: u64,
    /// How many of each EtherType, VLAN tags looked through.
    pub ether_types: BTreeMap<u16, u64>,
    /// When the first one of each EtherType was seen: late by what the kernel waits to fill a block, 20 ms at most.
    pub first: BTreeMap<u16, Instant>,
    /// How many contained clear text of ours, by its kind.
    pub marked: BTreeMap<Kind, u64>,
}

impl Frames {
    /// How many contained clear text.
    #[must_use]
    pub fn clear(&self) -> u64 {
        self.marked.values().sum()
    }

    /// How many had `ether_type`.
    #[must_use]
    pub fn of_type(&self, ether_type: EtherType) -> u64 {
        self.ether_types.get(&ether_type.get()).copied().unwrap_or(0)
    }
}

impl Capture {
    /// Starts to look, inside `node`. Frames are seen from now on.
    ///
    /// # Errors
    /// When there is no such interface, no privilege, or the file cannot be made.
    pub fn start(node: &NetNs, options: &CaptureOptions) -> io::Result<Self> {
        let poller = Poller::new()?;
        let mut taps = node.within(|| {
            options.interfaces.iter().map(|name| Tap::open(name, options)).collect::<io::Result<Vec<_>>>()
        })??;
        for (tap, token) in taps.iter().zip(0..) {
            poller.add(&tap.socket, token)?;
        }
        let waker = Waker::new(&poller, WAKE)?;
        let mut keep =
            options.file.as_deref().map(|file| CaptureFile::create(file, &options.interfaces)).transpose()?;
        let period = Arc::new(AtomicU32::new(0));
        let (now, woken) = (Arc::clone(&period), waker.clone());
        let thread = thread::Builder::new().name("capture".to_owned());
        let thread = thread.spawn(move || watch(poller, &woken, &mut taps, &now, keep.as_mut()))?;
        Ok(Self { waker, period, thread })
    }

    /// Frames that come from now on count to this period; the first is 0.
    pub fn begin_period(&self, period: u32) {
        self.period.store(period, Ordering::Relaxed);
    }

    /// Stops to look, and says what was seen, in the order of the interfaces asked for.
    ///
    /// # Errors
    /// When the file could not be written or the kernel failed.
    pub fn stop(self) -> io::Result<Vec<Seen>> {
        self.waker.wake();
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the capture panicked")))
    }
}

/// One interface that is looked at.
#[derive(Debug)]
struct Tap {
    socket: PacketSocket,
    ring: RxRing,
    seen: Seen,
}

impl Tap {
    fn open(name: &str, options: &CaptureOptions) -> io::Result<Self> {
        let (socket, ring) = PacketSocket::open(&PacketOptions {
            ring: RingVersion::V3 { retire: RETIRE },
            max_frame: options.snap,
            ring_octets: options.ring,
            vnet_header: false,
            qdisc_bypass: false,
            ignore_outgoing: false,
            send_buffer: None,
            ..PacketOptions::new(name)
        })?;
        Ok(Self { socket, ring, seen: Seen { interface: name.to_owned(), ..Seen::default() } })
    }
}

fn watch(
    mut poller: Poller,
    waker: &Waker,
    taps: &mut [Tap],
    period: &AtomicU32,
    mut keep: Option<&mut CaptureFile>,
) -> io::Result<Vec<Seen>> {
    let marks = Marks::default();
    let mut ready = Vec::new();
    let mut end = None;
    let started = clock::now();
    while end.is_none_or(|end| clock::now() < end) {
        poller.wait(&mut ready, end.map(|end: Instant| end.since(clock::now())))?;
        if ready.iter().any(|r| r.token == WAKE) {
            waker.reset();
            end = Some(clock::now().after(LAST_FRAMES));
        }
        let now = clock::now();
        let when = When {
            now,
            period: period.load(Ordering::Relaxed),
            slice: now.since(started).as_nanos() / SLICE.as_nanos(),
        };
        for (number, tap) in (0..).zip(&mut *taps) {
            drain(tap, number, when, &marks, keep.as_deref_mut())?;
        }
        for fault in ready.iter().filter(|r| r.failed) {
            let Some(tap) = usize::try_from(fault.token).ok().and_then(|n| taps.get(n)) else { continue };
            // Down is cleared by asking, and may pass; a deleted interface never comes back to this socket.
            if tap.socket.health().is_err_and(|e| Fault::of(&e) == Fault::Gone) {
                poller.remove(&tap.socket)?;
            }
        }
    }
    for tap in &mut *taps {
        tap.seen.missed = tap.socket.statistics()?.drops;
    }
    keep.map_or(Ok(()), CaptureFile::finish)?;
    Ok(taps.iter_mut().map(|tap| std::mem::take(&mut tap.seen)).collect())
}

/// To what the frames that come now are counted.
#[derive(Clone, Copy, Debug)]
struct When {
    now: Instant,
    period: u32,
    slice: u128,
}

fn drain(
    tap: &mut Tap,
    number: u32,
    when: When,
    marks: &Marks,
    mut keep: Option<&mut CaptureFile>,
) -> io::Result<()> {
    while let Some(frame) = tap.ring.next() {
        let frame = Frame::from(&frame);
        tap.seen.note(&frame, when, marks);
        if let Some(keep) = keep.as_deref_mut() {
            keep.write(number, &frame)?;
        }
    }
    Ok(())
}

/// A frame, as far as it matters here.
#[derive(Clone, Copy, Debug)]
struct Frame<'a> {
    /// From its Ethernet header on, perhaps cut, without the VLAN tag that the kernel took out.
    data: &'a [u8],
    /// How long it was before it was cut.
    length: usize,
    /// TPID and TCI of that tag.
    vlan: Option<(u16, u16)>,
    outgoing: bool,
}

impl<'a> From<&RxFrame<'a>> for Frame<'a> {
    fn from(frame: &RxFrame<'a>) -> Self {
        let outgoing = frame.packet_type == PACKET_OUTGOING;
        Self { data: frame.data, length: frame.length, vlan: frame.vlan, outgoing }
    }
}

impl Seen {
    fn note(&mut self, frame: &Frame<'_>, when: When, marks: &Marks) {
        let tag = if frame.vlan.is_some() { TAG_OCTETS } else { 0 };
        let octets = frame.length.saturating_add(tag);
        let direction = if frame.outgoing {
            &mut self.outgoing
        } else {
            let count = self.lengths.entry((when.period, octets)).or_default();
            *count = count.saturating_add(1);
            self.note_time(when);
            &mut self.incoming
        };
        direction.count = direction.count.saturating_add(1);
        direction.octets = direction.octets.saturating_add(u64::try_from(octets).unwrap_or_default());
        if let Some(ether_type) = ether_type(frame.data) {
            *direction.ether_types.entry(ether_type).or_default() += 1;
            direction.first.entry(ether_type).or_insert(when.now);
        }
        if let Some(kind) = marks.find(frame.data) {
            *direction.marked.entry(kind).or_default() += 1;
        }
    }
}

impl Seen {
    fn note_time(&mut self, when: When) {
        let slice = usize::try_from(when.slice).unwrap_or(usize::MAX).min(MOST_SLICES);
        if self.over_time.len() <= slice {
            self.over_time.resize(slice.saturating_add(1), 0);
        }
        if let Some(count) = self.over_time.get_mut(slice) {
            *count = count.saturating_add(1);
        }
    }
}

/// The EtherType behind the addresses and any VLAN tags; `None` when the frame ends before it.
fn ether_type(frame: &[u8]) -> Option<u16> {
    let mut rest = frame.get(12..)?;
    loop {
        let (ether_type, behind) = rest.split_first_chunk()?;
        let ether_type = EtherType::new(u16::from_be_bytes(*ether_type));
        if ether_type != EtherType::VLAN && ether_type != EtherType::SERVICE_VLAN {
            return Some(ether_type.get());
        }
        rest = behind.get(2..)?;
    }
}

/// The unit of [`Seen::over_time`].
pub const SLICE: Duration = Duration::from_millis(100);
/// Frames later than this count as this: an hour.
const MOST_SLICES: usize = 36_000;
/// How long a frame may wait in a block before we see it.
const RETIRE: Duration = Duration::from_millis(20);
/// What was on the wire when the stop was asked for is in a block that has retired after this time.
const LAST_FRAMES: Duration = RETIRE.saturating_mul(3);
/// `PACKET_OUTGOING` of linux/if_packet.h: a frame that this node sends.
const PACKET_OUTGOING: u8 = 4;
const TAG_OCTETS: usize = 4;
/// The poller's name for the request to stop.
const WAKE: u64 = u64::MAX - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::traffic::mark::{MARK, pattern};

    fn note(frames: &[(&[u8], bool)]) -> Seen {
        let mut seen = Seen::default();
        for &(data, outgoing) in frames {
            let frame = Frame { data, length: data.len(), vlan: None, outgoing };
            seen.note(&frame, When { now: Instant::ZERO, period: 7, slice: 2 }, &Marks::default());
        }
        seen
    }

    #[test]
    fn frames_are_counted_by_direction_type_and_clear_text() {
        let frame = |ether_type: [u8; 2], payload: &[u8]| [&[2; 12], &ether_type[..], payload].concat();
        let clear = frame([0x08, 0x00], &pattern(Kind::Udp, 1, 300));
        let secret = frame([0x88, 0xe5], &[0x5a; 300]);
        let tagged = frame([0x81, 0x00], &[&[0, 100, 0x88, 0xe5][..], &[0x5a; 296]].concat());
        let seen = note(&[(&clear, true), (&secret, false), (&tagged, false), (&[2; 13], false)]);
        assert_eq!((seen.incoming.count, seen.incoming.of_type(EtherType::MACSEC)), (3, 2));
        assert_eq!((seen.incoming.clear(), seen.outgoing.clear()), (0, 1));
        assert_eq!(seen.outgoing.marked, BTreeMap::from([(Kind::Udp, 1)]));
        assert_eq!(seen.outgoing.of_type(EtherType::IPV4), 1);
        assert_eq!(seen.lengths, BTreeMap::from([((7, 13), 1), ((7, 314), 2)]));
        assert_eq!(seen.over_time, [0, 0, 3]);
    }

    #[test]
    fn a_mark_inside_a_macsec_frame_is_clear_text_all_the_same() {
        let leak = [&[2; 12], &[0x88, 0xe5][..], &[0; 14], MARK, b"t"].concat();
        assert_eq!(note(&[(&leak, false)]).incoming.clear(), 1);
    }
}
