//! How much memory an AF_XDP socket has, how it is divided, and what the kernel counts.

use std::io;
use std::os::fd::BorrowedFd;

use super::read;

/// How to open an [`super::XdpSocket`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct XdpOptions {
    /// The longest frame in octets, from the destination address on, tags included. One that does not fit a chunk of memory comes and goes
    /// in several; kernels before 6.6 refuse a socket for that.
    pub max_frame: usize,
    /// About how many octets may wait to be read. A fourth of it, on top, waits to be sent.
    pub octets: usize,
}

/// Chunks of one size; those to receive first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Layout {
    pub(super) chunk: usize,
    /// Chunks to receive, and entries of their rings: a power of two.
    pub(super) receive: u32,
    /// Chunks to send.
    pub(super) send: u32,
    /// A frame may come in several.
    pub(super) pieces: bool,
}

impl Layout {
    pub(super) fn of(options: &XdpOptions) -> Self {
        // The kernel keeps 256 octets in front of each frame (`XDP_PACKET_HEADROOM`), and drivers something behind it.
        let chunk = if options.max_frame <= SMALL - RESERVED { SMALL } else { LARGE };
        let fits = u32::try_from(options.octets / chunk).unwrap_or(u32::MAX).clamp(LEAST, MOST);
        let receive = 1 << fits.ilog2();
        Self { chunk, receive, send: (receive / 4).max(LEAST), pieces: options.max_frame > LARGE - RESERVED }
    }

    pub(super) fn octets(&self) -> usize {
        let chunks = usize::try_from(self.receive + self.send).unwrap_or(usize::MAX);
        chunks.saturating_mul(self.chunk)
    }

    pub(super) fn receiving(self) -> impl Iterator<Item = u64> {
        (0..self.receive).map(move |at| self.place(at))
    }

    pub(super) fn sending(self) -> impl Iterator<Item = u64> {
        (self.receive..self.receive + self.send).map(move |at| self.place(at))
    }

    fn place(self, at: u32) -> u64 {
        u64::from(at) * u64::try_from(self.chunk).unwrap_or(0)
    }
}

/// What the kernel counted for one socket since it was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct XdpStatistics {
    /// Frames that found no chunk or no entry in the ring.
    pub full: u64,
    /// Frames that were longer than a socket takes.
    pub too_long: u64,
    /// Entries of ours that the kernel refused; none is expected.
    pub wrong: u64,
}

impl XdpStatistics {
    pub(super) fn ask(socket: BorrowedFd<'_>, too_long: u64) -> io::Result<Self> {
        let empty = libc::xdp_statistics {
            rx_dropped: 0,
            rx_invalid_descs: 0,
            tx_invalid_descs: 0,
            rx_ring_full: 0,
            rx_fill_ring_empty_descs: 0,
            tx_ring_empty_descs: 0,
        };
        let now = read(socket, libc::XDP_STATISTICS, empty)?;
        // A frame without a chunk is counted as dropped, like one that is too long; only the former counts a look at an
        // empty fill ring, too.
        let starved = now.rx_dropped.min(now.rx_fill_ring_empty_descs);
        Ok(Self {
            full: now.rx_ring_full + starved,
            too_long: too_long + now.rx_dropped - starved,
            wrong: now.rx_invalid_descs + now.tx_invalid_descs,
        })
    }
}

const SMALL: usize = 2048;
/// The kernel takes no more than a page.
const LARGE: usize = 4096;
/// In front of a frame, and behind it what a driver may want.
const RESERVED: usize = 256 + 64;
/// Chunks to receive or send, at least and at most.
const LEAST: u32 = 256;
const MOST: u32 = 32_768;
