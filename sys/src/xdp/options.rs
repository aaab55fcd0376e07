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
    /// For a device that may read and write the memory itself (`zero_copy`), or whose frames the kernel copies.
    ///
    /// A device counts what a chunk holds in units of its own, and some (Intel's `igb`, `igc` and 82599) in KiB: of the 1792 octets that are left of a
    /// small chunk they use 1024, of a large one's 3840 they use 3072. What is longer goes on in the next chunk, as if it were a frame of its own,
    /// and nobody says so. So chunks are large there, and what does not fit 3072 is asked for in pieces; a device that knows none is then left
    /// to the kernel, which copies.
    pub(super) fn of(options: &XdpOptions, zero_copy: bool) -> Self {
        // The kernel keeps 256 octets in front of each frame (`XDP_PACKET_HEADROOM`), and drivers something behind it.
        let (small, large) = if zero_copy { (0, LARGE_IN_KIB) } else { (SMALL - RESERVED, LARGE - RESERVED) };
        let chunk = if options.max_frame <= small { SMALL } else { LARGE };
        let fits = u32::try_from(options.octets / chunk).unwrap_or(u32::MAX).clamp(LEAST, MOST);
        let receive = 1 << fits.ilog2();
        Self { chunk, receive, send: (receive / 4).max(LEAST), pieces: options.max_frame > large }
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
/// What a device that counts in KiB uses of a large chunk, but for a time stamp of 16 octets (82580 and later) and the checksum at the end of a frame.
const LARGE_IN_KIB: usize = 3072 - 16 - 4;
/// Chunks to receive or send, at least and at most.
const LEAST: u32 = 256;
const MOST: u32 = 32_768;

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(max_frame: usize, zero_copy: bool) -> (usize, bool) {
        let layout = Layout::of(&XdpOptions { max_frame, octets: 4 << 20 }, zero_copy);
        assert!(layout.octets() >= 4 << 20 && layout.octets() <= 5 << 20, "{layout:?}");
        (layout.chunk, layout.pieces)
    }

    // An 82576 cut frames of more than 1024 octets off while chunks were of 2048: 1792 of them, in whole KiB.
    #[test]
    fn a_device_that_counts_in_kib_has_room_for_the_longest_frame_or_is_asked_for_pieces() {
        for max_frame in (60..12_000).step_by(4) {
            let (chunk, pieces) = layout(max_frame, true);
            let used = (chunk - 256) / 1024 * 1024;
            assert!(pieces || used >= 16 + max_frame + 4, "{max_frame} in {chunk}");
        }
    }

    //  longest    copied         by the device
    #[test]
    fn chunks_are_as_small_as_the_frames_allow() {
        for (max_frame, copied, itself) in [
            (1518, (2048, false), (4096, false)),
            (1728, (2048, false), (4096, false)),
            (1729, (4096, false), (4096, false)),
            (3052, (4096, false), (4096, false)),
            (3053, (4096, false), (4096, true)),
            (3776, (4096, false), (4096, true)),
            (3777, (4096, true), (4096, true)),
            (9022, (4096, true), (4096, true)),
        ] {
            assert_eq!((layout(max_frame, false), layout(max_frame, true)), (copied, itself), "{max_frame}");
        }
    }
}
