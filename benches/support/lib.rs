//! What the benches share: a stopwatch that leaves preparation out, dice that fall the same way in every run,
//! frames, and processes.
//!
//! Criterion's own `iter_batched` makes its inputs one by one and lets them pile up; a gateway works on a few dozen
//! buffers that stay in the cache. [`timed`] works on the same buffers again and again and stops the watch while they
//! are put back into their first state.
//!
//! The watch counts the CPU time of the thread, not the time of day: on a machine that does other things as well the
//! time of day says how much of it others took. Reading it is a system call of some 100 ns, twice for each chunk.
#![forbid(unsafe_code)]

pub mod ending;
pub mod generator;
pub mod lab;
pub mod process;
pub mod subject;

use core::net::Ipv4Addr;
use std::time::Duration;

use dataplane::{Frame, HEADROOM, TAILROOM};
use net::{
    EtherType, Ethernet, MacAddr, PacketBuf,
    ipv4::Ipv4,
    tcp::{Tcp, flag},
    virtio::{Checksum, Gso, GsoKind, Offload},
};
use nix::time::ClockId;

/// Where an Ethernet frame's IP header starts.
const L3: usize = Ethernet::LEN;
/// Where its TCP header starts.
const L4: usize = L3 + Ipv4::LEN;
/// Where its data starts.
const DATA: usize = L4 + Tcp::LEN;

/// The time that `work` takes for `iters` items, when one call of it does `chunk` of them. `prepare` runs before each
/// call and is not counted.
pub fn timed<S>(
    iters: u64,
    chunk: u32,
    state: &mut S,
    mut prepare: impl FnMut(&mut S),
    mut work: impl FnMut(&mut S),
) -> Duration {
    let calls = u32::try_from(iters.div_ceil(u64::from(chunk))).unwrap_or(u32::MAX);
    let mut total = Duration::ZERO;
    for _ in 0..calls {
        prepare(state);
        total += clock(|| work(state));
    }
    // The last call may do more items than were asked for.
    let done = f64::from(calls) * f64::from(chunk);
    let asked = f64::from(u32::try_from(iters).unwrap_or(u32::MAX));
    total.mul_f64(asked / done)
}

fn clock(work: impl FnOnce()) -> Duration {
    let began = cpu_time();
    work();
    cpu_time().saturating_sub(began)
}

/// The CPU time of this thread. Zero where the kernel does not count it, which every bench would show.
fn cpu_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().map_or(Duration::ZERO, Duration::from)
}

/// `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// The next throw: 64 random bits.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A TCP flow over IPv4 between two stations.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Ethernet source.
    pub from: MacAddr,
    /// Ethernet destination.
    pub to: MacAddr,
    /// IP source.
    pub source: Ipv4Addr,
    /// IP destination.
    pub destination: Ipv4Addr,
    /// TCP source port; the destination port is 5201.
    pub port: u16,
}

impl Flow {
    /// A segment train of `data` octets as a host with offloads hands it over: to be cut every `size` octets, its
    /// checksum begun.
    pub fn train(&self, data: usize, size: u16) -> Frame {
        let mut octets = self.headers(0, data);
        octets.resize(DATA + data, 0x5a);
        let sum = self.pseudo(octets.len() - L4);
        put(&mut octets, L4 + 16, &fold(sum).to_be_bytes());
        let start = u16::try_from(L4).unwrap_or_default();
        let checksum = Checksum::Partial { start, offset: 16 };
        let gso = Some(Gso { kind: GsoKind::TcpV4, size, ecn: false });
        Frame {
            offload: Offload { checksum, gso },
            ..Frame::new(PacketBuf::copy_of(&octets, HEADROOM, TAILROOM))
        }
    }

    /// A complete segment with `data` octets from sequence number `sequence` on.
    pub fn segment(&self, sequence: u32, data: usize) -> Vec<u8> {
        let mut octets = self.headers(sequence, data);
        octets.resize(DATA + data, 0x5a);
        let words = octets.get(L4..).unwrap_or_default().chunks(2);
        let sum: u64 = words.map(|word| u64::from(word_of(word))).sum();
        let checksum = !fold(sum + self.pseudo(octets.len() - L4));
        put(&mut octets, L4 + 16, &checksum.to_be_bytes());
        octets
    }

    fn headers(&self, sequence: u32, data: usize) -> Vec<u8> {
        let ethertype = EtherType::IPV4.get().to_be_bytes();
        // A train of 64 KiB has a total length of its own that the cutter does not read.
        let payload = (Tcp::LEN + data).min(usize::from(u16::MAX) - Ipv4::LEN);
        let ip = Ipv4::new(self.source, self.destination, 6, 64, payload);
        let tcp = [
            &self.port.to_be_bytes()[..],
            &5201u16.to_be_bytes(),
            &sequence.to_be_bytes(),
            &1u32.to_be_bytes(),
            &[0x50, flag::ACK],
            &512u16.to_be_bytes(),
            &[0; 4],
        ];
        let ip = zerocopy::IntoBytes::as_bytes(&ip);
        [&self.to.0, &self.from.0, &ethertype[..], ip, &tcp.concat()].concat()
    }

    /// The sum over the pseudo-header of a segment of `len` octets, header included.
    fn pseudo(&self, len: usize) -> u64 {
        let addresses = [self.source.octets(), self.destination.octets()].concat();
        let words: u64 = addresses.chunks(2).map(|word| u64::from(word_of(word))).sum();
        words + 6 + u64::try_from(len).unwrap_or_default()
    }
}

fn word_of(octets: &[u8]) -> u16 {
    match octets {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        [high] => u16::from_be_bytes([*high, 0]),
        [] => 0,
    }
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or_default()
}

fn put(octets: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = octets.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}
