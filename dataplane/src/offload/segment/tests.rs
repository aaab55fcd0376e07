use core::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::{
    HEADROOM, TAILROOM,
    offload::testing::{Spec, any_spec, is_right, pool},
};

const SEGMENTS: usize = 256;

fn cut(frame: &Frame) -> Result<Vec<Frame>, SegmentError> {
    let (_, mut pool) = pool(SEGMENTS, 4);
    let mut out = Vec::with_capacity(SEGMENTS);
    let count = segment(frame, &mut pool, &mut out)?;
    assert_eq!(count, out.len());
    Ok(out)
}

/// The cut of a super-frame against the segments made one by one by another library.
fn check(spec: &Spec, size: u16, ecn: bool) {
    let mut frame = spec.train(size);
    if let Some(gso) = &mut frame.offload.gso {
        gso.ecn = ecn;
    }
    let mut expected = spec.segments(usize::from(size));
    if ecn {
        expected.iter_mut().skip(1).for_each(|segment| segment.flags &= !flag::CWR);
    }
    let segments = cut(&frame).unwrap();
    assert_eq!(segments.len(), expected.len());
    for (segment, expected) in segments.iter().zip(&expected) {
        assert_eq!(&*segment.buf, expected.wire(), "{expected:?}");
        assert!(is_right(&segment.buf));
        assert_eq!(segment.offload, Offload { checksum: Checksum::Valid, gso: None });
        assert!(segment.buf.headroom() == HEADROOM && segment.buf.tailroom() >= TAILROOM);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_cut_equals_segments_made_one_by_one(spec in any_spec(0..20_000), size in 100u16..1460) {
        check(&spec, size, false);
    }

    #[test]
    fn mutated_super_frames_neither_panic_nor_lose_buffers(
        spec in any_spec(0..3000),
        size: u16,
        hits in proptest::collection::vec((0usize..120, any::<u8>()), 0..4),
        keep in 0usize..4000,
        checksum in any_checksum(),
        kind in 0usize..4,
    ) {
        let mut frame = spec.train(size);
        frame.buf.truncate(keep);
        for (at, octet) in hits {
            if let Some(hit) = frame.buf.get_mut(at) {
                *hit = octet;
            }
        }
        let kinds = [GsoKind::TcpV4, GsoKind::TcpV6, GsoKind::Udp];
        frame.offload.gso = kinds.get(kind).map(|&kind| Gso { kind, size, ecn: true });
        if let Some(checksum) = checksum {
            frame.offload.checksum = checksum;
        }
        let (depot, mut pool) = pool(SEGMENTS, 4);
        let mut out = Vec::with_capacity(SEGMENTS);
        let count = segment(&frame, &mut pool, &mut out);
        prop_assert_eq!(count.unwrap_or(0), out.len());
        out.drain(..).for_each(|frame| pool.recycle(frame));
        drop(pool);
        prop_assert_eq!(depot.free(), (SEGMENTS, 4));
    }
}

fn any_checksum() -> impl Strategy<Value = Option<Checksum>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(Some(Checksum::Valid)),
        1 => Just(Some(Checksum::Unchecked)),
        1 => any::<(u16, u16)>().prop_map(|(start, offset)| Some(Checksum::Partial { start, offset })),
    ]
}

#[test]
fn the_largest_super_frame_is_cut_whole() {
    for spec in [Spec::tcp(0), Spec::tcp(0).v6(), Spec::udp(0), Spec::udp(0).v6()] {
        let room = 65_535 - (spec.headers() - 14);
        let data = super::super::testing::numbered(3, room);
        check(&Spec { data, vlans: vec![100, 200], ..spec }, 1448, false);
    }
}

#[test]
fn sequence_number_and_identification_wrap() {
    check(&Spec { sequence: u32::MAX - 1500, id: u16::MAX, ..Spec::tcp(5000) }, 1000, false);
}

#[test]
fn ipv4_options_are_in_every_segment() {
    // Router alert, RFC 2113.
    check(&Spec { ip_options: vec![148, 4, 0, 0], df: false, ..Spec::tcp(5000) }, 1000, false);
}

#[test]
fn fin_and_psh_are_on_the_last_segment_only() {
    check(&Spec { flags: flag::ACK | flag::PSH | flag::FIN, ..Spec::tcp(3000) }, 1000, false);
}

#[test]
fn rfc_3168_6_1_2_cwr_is_on_the_first_segment_only_when_the_host_says_ecn() {
    let spec = Spec { flags: flag::ACK | flag::CWR | flag::ECE, ..Spec::tcp(3000) };
    check(&spec, 1000, true);
    check(&spec, 1000, false);
}

#[test]
fn what_fits_one_segment_stays_one_whatever_its_flags() {
    for flags in [flag::SYN, flag::RST | flag::ACK, flag::URG | flag::ACK] {
        check(&Spec { flags, ..Spec::tcp(1000) }, 1000, false);
        check(&Spec { flags, ..Spec::tcp(0) }, 1000, false);
        let two = Spec { flags, ..Spec::tcp(1001) };
        assert_eq!(cut(&two.train(1000)).unwrap_err(), SegmentError::BadOffload(BadOffload), "{flags:#x}");
    }
}

#[test]
fn rfc_768_a_checksum_of_zero_is_sent_as_all_ones() {
    for spec in [Spec::udp(2000), Spec::udp(2000).v6()] {
        let mut spec = spec;
        // With the checksum so far in place of a zero word, the sum is all ones and its complement 0.
        spec.data[0..2].fill(0);
        let first = spec.segments(1000).remove(0).wire();
        let checksum = [first[spec.l4() + 6], first[spec.l4() + 7]];
        spec.data[0..2].copy_from_slice(&checksum);
        let segments = cut(&spec.train(1000)).unwrap();
        assert_eq!(segments[0].buf[spec.l4() + 6..][..2], [0xff, 0xff]);
        assert_ne!(segments[1].buf[spec.l4() + 6..][..2], [0xff, 0xff]);
        check(&spec, 1000, false);
    }
}

#[test]
fn what_lies_behind_the_packet_is_not_sent() {
    let spec = Spec::tcp(3000);
    let mut frame = spec.train(1000);
    let mut octets = frame.buf.to_vec();
    octets.extend([0xee; 7]);
    frame.buf = PacketBuf::copy_of(&octets, 0, 0);
    let segments = cut(&frame).unwrap();
    assert_eq!(&*segments[2].buf, spec.segments(1000)[2].wire());
}

#[test]
fn headers_that_do_not_fit_the_work_are_refused() {
    let good = || Spec::tcp(3000).train(1000);
    let set = |change: fn(&mut Frame)| {
        let mut frame = good();
        change(&mut frame);
        frame
    };
    let gso = |kind, size| Some(Gso { kind, size, ecn: false });
    let patched = |range: Range<usize>, octet: u8| {
        let mut frame = good();
        frame.buf[range].fill(octet);
        frame
    };
    let cases = [
        ("no segmentation", set(|frame| frame.offload.gso = None)),
        ("nobody checked it", set(|frame| frame.offload.checksum = Checksum::Unchecked)),
        ("other start", set(|f| f.offload.checksum = Checksum::Partial { start: 38, offset: 16 })),
        ("other field", set(|f| f.offload.checksum = Checksum::Partial { start: 34, offset: 6 })),
        ("too short", set(|frame| frame.buf.truncate(1000))),
        ("a fragment", patched(20..21, 0x20)),
        ("no IP", patched(12..14, 0)),
        ("wrong header checksum", patched(24..26, 1)),
        ("TCP header too short", patched(46..47, 0x40)),
    ];
    for (name, frame) in cases {
        assert_eq!(cut(&frame).unwrap_err(), SegmentError::BadOffload(BadOffload), "{name}");
    }
    for offered in [gso(GsoKind::TcpV6, 1000), gso(GsoKind::Udp, 1000), gso(GsoKind::TcpV4, 0)] {
        let mut frame = good();
        frame.offload.gso = offered;
        assert_eq!(cut(&frame).unwrap_err(), SegmentError::BadOffload(BadOffload), "{offered:?}");
    }
    let mut verified = good();
    verified.offload.checksum = Checksum::Valid;
    assert_eq!(cut(&verified).unwrap().len(), 3);
}

#[test]
fn without_room_or_buffers_nothing_happens() {
    let frame = Spec::tcp(10_000).train(1000);
    let (depot, mut few) = pool(9, 0);
    let mut out = Vec::with_capacity(12);
    assert_eq!(segment(&frame, &mut few, &mut out), Err(SegmentError::NoBuffer));
    assert_eq!((out.len(), few.held()), (0, (9, 0)));
    drop(few);
    assert_eq!(depot.free(), (9, 0));

    let (_, mut enough) = pool(30, 0);
    assert_eq!(segment(&frame, &mut enough, &mut out), Ok(10));
    let capacity = out.capacity();
    out.truncate(capacity - 9);
    assert_eq!(segment(&frame, &mut enough, &mut out), Err(SegmentError::NoRoom));
    assert_eq!((out.len(), out.capacity()), (capacity - 9, capacity));
}
