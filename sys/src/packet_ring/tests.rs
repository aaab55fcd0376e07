//! The ring against memory that a test wrote like the kernel, well and badly; against the kernel itself see
//! `packet_socket::tests`.

use std::os::fd::AsFd;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::uio::pwrite;

use super::*;

const RING: usize = 1 << 17;

/// A ring in a plain file, which the test writes as the kernel would.
struct Fake {
    file: std::os::fd::OwnedFd,
    ring: RxRing,
}

impl Fake {
    fn new(version: RingVersion) -> Self {
        let geometry = Geometry::new(version, 1514, RING);
        let file = memfd_create(c"ring", MFdFlags::MFD_CLOEXEC).unwrap();
        nix::unistd::ftruncate(&file, geometry.octets().try_into().unwrap()).unwrap();
        let mapping = Mapping::new(file.as_fd(), geometry.octets()).unwrap();
        Self { file, ring: RxRing::new(mapping, geometry, true, true) }
    }

    fn put(&self, offset: usize, octets: &[u8]) {
        assert_eq!(pwrite(&self.file, octets, offset.try_into().unwrap()).unwrap(), octets.len());
    }

    /// A V2 slot with a frame of `octets` octets of `fill` at `mac`.
    fn put_v2(&self, slot: usize, mac: u16, octets: u32, fill: u8, packet_type: u8) {
        let at = slot * self.ring.geometry.slot;
        if octets < 2000 {
            self.put(at + usize::from(mac), &vec![fill; octets.try_into().unwrap()]);
        }
        self.put(at + 4, &octets.to_ne_bytes());
        self.put(at + 8, &octets.to_ne_bytes());
        self.put(at + 12, &mac.to_ne_bytes());
        self.put(at + 32 + 10, &[packet_type]);
        self.put(at, &libc::TP_STATUS_USER.to_ne_bytes());
    }

    /// A V3 block with its frames.
    fn put_v3(&self, block: usize, count: u32, first: u32, frames: &[FakeFrame]) {
        let start = block * self.ring.geometry.block;
        for &(offset, next, mac, octets, fill) in frames {
            let at = start + offset;
            self.put(at, &next.to_ne_bytes());
            self.put(at + 12, &octets.to_ne_bytes());
            self.put(at + 16, &octets.to_ne_bytes());
            self.put(at + 24, &mac.to_ne_bytes());
            if octets < 2000 {
                self.put(at + usize::from(mac), &vec![fill; octets.try_into().unwrap()]);
            }
        }
        self.put(start + BLOCK_HEADER + 4, &count.to_ne_bytes());
        self.put(start + BLOCK_HEADER + 8, &first.to_ne_bytes());
        self.put(start + BLOCK_HEADER, &libc::TP_STATUS_USER.to_ne_bytes());
    }

    fn fill_of_next(&mut self) -> Option<(u8, usize)> {
        self.ring.next().map(|f| (f.data[0], f.data.len()))
    }
}

/// Offset in the block, offset from there to the next, `tp_mac`, length, fill.
type FakeFrame = (usize, u32, u16, u32, u8);

const V3: RingVersion = RingVersion::V3 { retire: Duration::from_millis(1) };

#[test]
fn geometry_is_what_the_kernel_takes_and_holds_the_largest_frame() {
    for version in [RingVersion::V2, V3] {
        for max_frame in [60, 1514, 1518, 2048, 9014, 16_000, 65_549, 200_000] {
            for ring in [0, 1 << 20, 16 << 20] {
                let g = Geometry::new(version, max_frame, ring);
                let what = format!("{version:?} {max_frame} {ring}: {g:?}");
                assert!(g.block.is_multiple_of(65_536), "{what}");
                assert!(g.slot.is_multiple_of(16), "{what}");
                assert!(g.slot >= max_frame + 128 && g.slots_per_block() >= 1, "{what}");
                assert!(g.blocks >= 2 && g.octets() >= ring, "{what}");
                assert!(g.octets() < ring + 2 * g.block || g.blocks == 2, "{what}");
                if max_frame < 60_000 && version == RingVersion::V2 {
                    assert!(
                        g.slots_per_block() * g.slot * 5 >= g.block * 4,
                        "a fifth or more is wasted: {what}"
                    );
                }
            }
        }
    }
    let lan = Geometry::new(V3, 65_549, 16 << 20);
    assert!(lan.block >= 256 << 10, "a block of super-frames holds several: {lan:?}");
}

#[test]
fn v2_slots_come_in_order_across_blocks_and_go_back() {
    let mut fake = Fake::new(RingVersion::V2);
    let cells = fake.ring.geometry.cells();
    assert!(cells > fake.ring.geometry.slots_per_block(), "the test needs two blocks");
    assert!(fake.ring.next().is_none());
    // The second block starts at a multiple of the block, not of the slot.
    let per_block = fake.ring.geometry.slots_per_block();
    let block = fake.ring.geometry.block;
    for round in 0..3u8 {
        for cell in 0..cells {
            let at = (cell / per_block) * block + (cell % per_block) * fake.ring.geometry.slot;
            fake.put(at + 100, &[round; 60]);
            fake.put(at + 4, &60u32.to_ne_bytes());
            fake.put(at + 8, &60u32.to_ne_bytes());
            fake.put(at + 12, &100u16.to_ne_bytes());
            fake.put(at, &libc::TP_STATUS_USER.to_ne_bytes());
            assert!(fake.ring.is_ready());
            assert_eq!(fake.fill_of_next(), Some((round, 60)), "cell {cell}");
            assert!(!fake.ring.is_ready());
            fake.ring.release();
            let status = fake.ring.mapping.word(at).unwrap().load(Ordering::Acquire);
            assert_eq!(status, libc::TP_STATUS_KERNEL);
        }
    }
    assert_eq!(fake.ring.malformed(), 0);
}

#[test]
fn a_slot_stays_ours_until_the_next_call() {
    let mut fake = Fake::new(RingVersion::V2);
    fake.put_v2(0, 100, 60, 1, 0);
    fake.put_v2(1, 100, 60, 2, 0);
    let status = |fake: &Fake| fake.ring.mapping.word(0).unwrap().load(Ordering::Acquire);
    assert_eq!(fake.fill_of_next(), Some((1, 60)));
    assert_eq!(status(&fake), libc::TP_STATUS_USER);
    assert_eq!(fake.fill_of_next(), Some((2, 60)));
    assert_eq!(status(&fake), libc::TP_STATUS_KERNEL);
}

#[test]
fn v2_headers_that_point_out_of_their_slot_are_counted_and_skipped() {
    let slot = u32::try_from(Geometry::new(RingVersion::V2, 1514, RING).slot).unwrap();
    // tp_mac, tp_snaplen
    let bad = [(100, slot), (100, u32::MAX), (u16::MAX, 60), (9, 60), (0, 60), (100, slot - 99)];
    let mut fake = Fake::new(RingVersion::V2);
    for (number, (mac, octets)) in bad.into_iter().enumerate() {
        fake.put_v2(number, mac, octets, 0xee, 0);
    }
    fake.put_v2(bad.len(), 100, slot - 100, 7, 0);
    assert_eq!(fake.fill_of_next(), Some((7, usize::try_from(slot - 100).unwrap())), "the first good one");
    assert_eq!(fake.ring.malformed(), u64::try_from(bad.len()).unwrap());
    assert!(fake.ring.next().is_none());
}

#[test]
fn a_frame_of_our_own_is_skipped_also_without_the_kernels_help() {
    let mut fake = Fake::new(RingVersion::V2);
    fake.put_v2(0, 100, 60, 1, libc::PACKET_OUTGOING);
    fake.put_v2(1, 100, 60, 2, libc::PACKET_OTHERHOST);
    assert_eq!(fake.ring.next().unwrap().packet_type, libc::PACKET_OTHERHOST);
    assert!(fake.ring.next().is_none());
    assert_eq!(fake.ring.malformed(), 0);
}

#[test]
fn v3_frames_come_packed_and_an_empty_block_is_passed() {
    let mut fake = Fake::new(V3);
    fake.put_v3(0, 2, 48, &[(48, 256, 100, 60, 1), (48 + 256, 0, 100, 70, 2)]);
    fake.put_v3(1, 0, 48, &[]);
    assert!(fake.ring.is_ready());
    assert_eq!(fake.fill_of_next(), Some((1, 60)));
    fake.ring.release();
    assert!(fake.ring.is_ready(), "a block goes back only when it is empty");
    assert_eq!(fake.fill_of_next(), Some((2, 70)));
    assert!(fake.ring.next().is_none());
    fake.put_v3(0, 1, 48, &[(48, 0, 100, 80, 3)]);
    assert_eq!(fake.fill_of_next(), Some((3, 80)), "twice around");
    assert_eq!(fake.ring.malformed(), 0);
}

#[test]
fn v3_headers_that_do_not_hold_together_cost_their_block_only() {
    let block = u32::try_from(Geometry::new(V3, 1514, RING).block).unwrap();
    let stories: [(u32, u32, &[FakeFrame]); 5] = [
        (1, u32::MAX, &[]),                                // the first frame is nowhere
        (1, block, &[]),                                   // or in the next block
        (9, 48, &[(48, u32::MAX, 100, 60, 0xee)]),         // the second frame is nowhere
        (1, 48, &[(48, 0, 100, block, 0xee)]),             // longer than the block
        (1, 48, &[(48, 0, u16::MAX, block - 1000, 0xee)]), // starts late and ends outside
    ];
    for (count, first, frames) in stories {
        let mut fake = Fake::new(V3);
        fake.put_v3(0, count, first, frames);
        fake.put_v3(1, 1, 48, &[(48, 0, 100, 60, 7)]);
        let good = std::iter::from_fn(|| fake.fill_of_next()).last();
        assert_eq!(good, Some((7, 60)), "{count} {first} {frames:?}");
        assert_eq!(fake.ring.malformed(), 1, "{count} {first} {frames:?}");
    }
}

#[test]
fn the_tag_is_reported_only_when_the_kernel_says_so() {
    let (valid, with_tpid) = (libc::TP_STATUS_VLAN_VALID, libc::TP_STATUS_VLAN_TPID_VALID);
    assert_eq!(vlan(0, 0x88a8, 5), None);
    assert_eq!(vlan(with_tpid, 0x88a8, 5), None);
    assert_eq!(vlan(valid | with_tpid, 0x88a8, 5), Some((0x88a8, 5)));
    assert_eq!(
        vlan(valid, 0, 0),
        Some((0x8100, 0)),
        "a priority tag, on a kernel that does not say the TPID"
    );
}
