//! Captures of every dialect, and what is left of them when they are cut.

use std::{borrow::Cow, time::Duration};

use pcap_file::{
    DataLink, Endianness, TsResolution,
    pcap::{PcapHeader, PcapPacket, PcapWriter},
};
use proptest::prelude::*;

use super::*;

/// Time stamp, link type, octets, FCS, cut.
type Seen = (u64, u16, Vec<u8>, Option<u8>, bool);

fn read(file: &[u8]) -> (Vec<Seen>, Option<CaptureError>) {
    let mut seen = Vec::new();
    let mut capture = match Capture::open(file) {
        Ok(capture) => capture,
        Err(error) => return (seen, Some(error)),
    };
    loop {
        match capture.next_packet() {
            Ok(Some(p)) => seen.push((p.nanoseconds, p.link_type, p.octets.to_vec(), p.fcs, p.cut)),
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        }
    }
}

/// Two packets, the second one cut, written by another implementation.
fn classic(endianness: Endianness, ts_resolution: TsResolution) -> Vec<u8> {
    let header =
        PcapHeader { endianness, ts_resolution, datalink: DataLink::ETHERNET, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for (seconds, octets, whole) in [(3, vec![1; 20], 20), (4, vec![2; 7], 90)] {
        let stamp = Duration::new(seconds, 5000);
        writer
            .write_packet(&PcapPacket { timestamp: stamp, orig_len: whole, data: Cow::Owned(octets) })
            .unwrap();
    }
    writer.into_writer()
}

fn expected() -> Vec<Seen> {
    vec![(3_000_005_000, 1, vec![1; 20], None, false), (4_000_005_000, 1, vec![2; 7], None, true)]
}

/// A block in big-endian order.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let total = u32::try_from(body.len() + 12).unwrap().to_be_bytes();
    [&kind.to_be_bytes(), &total[..], &body, &total].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn section() -> Vec<u8> {
    block(SECTION_TYPE, &words(&[0x1a2b_3c4d, 0x0001_0000, 0xffff_ffff, 0xffff_ffff]))
}

const SECTION_TYPE: u32 = 0x0a0d_0d0a;

/// An interface of Ethernet with options.
fn interface(snap: u32, options: &[u8]) -> Vec<u8> {
    block(1, &[words(&[0x0001_0000, snap]), options.to_vec()].concat())
}

fn enhanced(interface: u32, stamp: u64, octets: &[u8], whole: u32, options: &[u8]) -> Vec<u8> {
    let [high, low] = [stamp >> 32, stamp & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
    let kept = u32::try_from(octets.len()).unwrap();
    let mut body = words(&[interface, high, low, kept, whole]);
    body.extend(octets);
    body.resize(body.len().next_multiple_of(4), 0);
    block(6, &[body, options.to_vec()].concat())
}

fn ng() -> Vec<u8> {
    let fcs = [0, 13, 0, 1, 4, 0, 0, 0];
    let flags = [0, 2, 0, 4, 0, 0, 0, 0x40];
    [
        section(),
        block(0x0bad, &[1, 2, 3]),
        interface(64, &[]),
        interface(
            0,
            &[&[0, 9, 0, 1, 9, 0, 0, 0][..], &fcs, &[0, 14, 0, 8, 0, 0, 0, 0, 0, 0, 0, 10]].concat(),
        ),
        enhanced(0, 3_000_005, &[1; 21], 21, &[]),
        enhanced(1, 7, &[2; 5], 9, &[]),
        enhanced(0, 1, &[3; 4], 4, &flags),
        block(3, &[words(&[100]), vec![4; 64]].concat()),
        block(2, &[words(&[0x0001_0000, 0, 5, 3, 3]), vec![5; 3]].concat()),
    ]
    .concat()
}

#[test]
fn classic_captures_of_every_order_and_resolution_are_read() {
    for endianness in [Endianness::Big, Endianness::Little] {
        for resolution in [TsResolution::MicroSecond, TsResolution::NanoSecond] {
            let (seen, error) = read(&classic(endianness, resolution));
            assert!(error.is_none(), "{error:?}");
            assert_eq!(seen, expected());
        }
    }
}

#[test]
fn the_longer_records_of_old_linux_are_read() {
    let mut file = words(&[0xa1b2_cd34, 0x0002_0004, 0, 0, 65535, 1]);
    file.extend(words(&[1, 2, 3, 3, 0xdead, 0xbeef]));
    file.extend([9; 3]);
    assert_eq!(read(&file).0, [(1_000_002_000, 1, vec![9; 3], None, false)]);
}

#[test]
fn a_link_type_may_announce_the_fcs() {
    let mut file = words(&[0xa1b2_c3d4, 0x0002_0004, 0, 0, 65535, 0x2400_0001]);
    file.extend(words(&[0, 0, 1, 1]));
    file.push(7);
    assert_eq!(read(&file).0, [(0, 1, vec![7], Some(4), false)]);
}

// draft-ietf-opsawg-pcapng §4.2 (if_tsresol, if_fcslen, if_tsoffset), §4.3.1 (epb_flags), §4.4 (no length).
#[test]
fn every_kind_of_packet_block_is_read() {
    let (seen, error) = read(&ng());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(
        seen,
        [
            (3_000_005_000, 1, vec![1; 21], None, false),
            (10_000_000_007, 1, vec![2; 5], Some(4), true),
            (1000, 1, vec![3; 4], Some(2), false),
            (0, 1, vec![4; 64], None, true),
            (10_000_000_005, 1, vec![5; 3], Some(4), false),
        ]
    );
}

#[test]
fn each_section_has_its_own_byte_order_and_interfaces() {
    let little: Vec<u8> = [
        &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..],
        &[0xff; 8],
        &[28, 0, 0, 0],
        &[1, 0, 0, 0, 20, 0, 0, 0, 113, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0],
        &[3, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 8, 8, 0, 0, 20, 0, 0, 0],
    ]
    .concat();
    let (seen, error) = read(&[ng(), little.clone()].concat());
    assert!(error.is_none(), "{error:?}");
    assert_eq!((seen.len(), seen.last().unwrap()), (6, &(0, 113, vec![8, 8], None, false)));
    assert_eq!(read(&little).0.len(), 1);
}

#[test]
fn damage_is_named_with_its_place() {
    let start = section().len() + interface(0, &[]).len();
    for (bad, what) in [
        (enhanced(9, 0, &[], 0, &[]), "not described"),
        (block(6, &words(&[0, 0, 0, 500, 500])), "longer than its block"),
        (block(6, &words(&[0])), "too short"),
        (words(&[6, 13, 0, 13]), "impossible length"),
        (words(&[6, 16, 0, 20]), "differ"),
        (words(&[6, 4, 0, 4]), "impossible length"),
        (words(&[6, u32::MAX - 3, 0]), "impossible length"),
        (words(&[SECTION_TYPE, 28, 7, 0]), "byte order"),
    ] {
        let file = [section(), interface(0, &[]), bad].concat();
        let error = read(&file).1.unwrap().to_string();
        assert!(error.contains(what) && error.contains(&format!("octet {start}")), "{what}: {error}");
    }
    let mut file = words(&[0xa1b2_c3d4, 0x0002_0004, 0, 0, 65535, 1]);
    file.extend(words(&[0, 0, u32::MAX, 1]));
    assert!(read(&file).1.unwrap().to_string().contains("octet 24"));
}

#[test]
fn other_files_are_refused_with_a_hint() {
    for (file, hint) in [
        (&b""[..], "empty"),
        (b"\x1f\x8b\x08\x00....", "gzip"),
        (b"\x28\xb5\x2f\xfd....", "zstd"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"snoop\0\0\0", "snoop"),
        (b"schema = 1\n", "neither pcap nor pcapng"),
    ] {
        let error = read(file).1.unwrap();
        assert!(error.to_string().contains(hint), "{error}");
    }
}

// A capture cut anywhere gives what was there, and says that it is cut unless it ends between two records.
#[test]
fn a_cut_at_any_octet_loses_only_what_is_behind_it() {
    for file in [classic(Endianness::Little, TsResolution::MicroSecond), ng()] {
        let (whole, _) = read(&file);
        for len in 0..file.len() {
            let (seen, error) = read(&file[..len]);
            assert_eq!(seen, whole[..seen.len()], "cut to {len}");
            if seen.len() < whole.len() && error.is_none() {
                // Only where a record ends: then the next octet begins one.
                assert!(read(&file[..len + 1]).1.is_some(), "cut to {len}");
            }
            assert!(!matches!(error, Some(CaptureError::Damaged { .. })), "cut to {len}: {error:?}");
        }
    }
}

proptest! {
    #[test]
    fn random_octets_never_panic(mut file in prop::collection::vec(any::<u8>(), 0..400), start in 0_usize..4) {
        let starts = [vec![], words(&[0xa1b2_c3d4, 0, 0, 0, 0, 1]), section(), [section(), interface(0, &[])].concat()];
        file.splice(0..0, starts[start].iter().copied());
        read(&file);
    }

    #[test]
    fn altered_captures_never_panic(at in 0_usize..300, to in any::<u8>()) {
        let mut file = ng();
        let at = at % file.len();
        file[at] = to;
        read(&file);
    }
}
