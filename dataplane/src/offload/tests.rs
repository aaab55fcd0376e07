use net::virtio::{Gso, GsoKind};
use proptest::prelude::*;

use super::{testing::*, *};

/// A frame with its checksum begun and nothing to cut.
fn begun(spec: &Spec) -> Frame {
    let mut frame = spec.train(1);
    frame.offload.gso = None;
    frame
}

proptest! {
    #[test]
    fn an_ended_checksum_is_the_one_of_an_independent_implementation(spec in any_spec(0..1500)) {
        let mut frame = begun(&spec);
        prop_assert_eq!(finish_checksum(&mut frame), Ok(()));
        prop_assert_eq!(&*frame.buf, spec.wire());
        prop_assert!(is_right(&frame.buf));
        prop_assert_eq!(frame.offload, Offload { checksum: Checksum::Valid, gso: None });
    }

    #[test]
    fn no_field_outside_the_frame_is_written(start: u16, offset: u16, len in 0usize..200) {
        let mut frame = Frame::new(net::PacketBuf::copy_of(&vec![0xa5; len], 0, 0));
        frame.offload.checksum = Checksum::Partial { start, offset };
        let fits = usize::from(start) + usize::from(offset) + 2 <= len;
        prop_assert_eq!(finish_checksum(&mut frame).is_ok(), fits);
        let touched = frame.buf.iter().filter(|octet| **octet != 0xa5).count();
        let allowed = if fits { 2 } else { 0 };
        prop_assert!(touched <= allowed);
    }
}

#[test]
fn rfc_768_a_udp_checksum_of_zero_is_sent_as_all_ones_and_a_tcp_one_as_it_is() {
    for (spec, field, expected) in [(Spec::udp(64), 6, [0xff, 0xff]), (Spec::tcp(64), 16, [0, 0])] {
        let mut spec = spec;
        spec.data[0..2].fill(0);
        let (wire, at) = (spec.wire(), spec.l4() + field);
        spec.data[0..2].copy_from_slice(&wire[at..at + 2]);
        let mut frame = begun(&spec);
        finish_checksum(&mut frame).unwrap();
        assert_eq!(frame.buf[spec.l4() + field..][..2], expected);
    }
}

#[test]
fn a_finished_frame_stays_and_a_super_frame_is_refused() {
    let wire = Spec::tcp(64).wire();
    let mut frame = Frame::new(net::PacketBuf::copy_of(&wire, 0, 0));
    assert_eq!(finish_checksum(&mut frame), Ok(()));
    assert_eq!((&*frame.buf, frame.offload), (&*wire, Offload::default()));
    let mut train = Spec::tcp(64).train(10);
    let before = train.buf.to_vec();
    assert_eq!(finish_checksum(&mut train), Err(BadOffload));
    assert_eq!(&*train.buf, before);
}

#[test]
fn the_mtu_is_compared_with_the_largest_segment() {
    let frame = |octets: &[u8]| Frame::new(net::PacketBuf::copy_of(octets, 0, 0));
    let tagged = |spec: Spec| Spec { vlans: vec![5, 6], ..spec };
    // IPv4 and TCP with timestamps: 20 + 32; IPv6: 40 + 32; UDP: 20 + 8.
    assert_eq!(largest_l3(&tagged(Spec::tcp(5000)).train(1400)), 1452);
    assert_eq!(largest_l3(&Spec::tcp(5000).v6().train(1400)), 1472);
    assert_eq!(largest_l3(&tagged(Spec::udp(5000)).train(1400)), 1428);
    assert_eq!(largest_l3(&Spec::tcp(100).train(1400)), 152, "one short segment");
    assert_eq!(largest_l3(&Spec::tcp(5000).train(u16::MAX)), 5052);
    assert_eq!(largest_l3(&frame(&tagged(Spec::tcp(1000)).wire())), 1052);
    assert_eq!(largest_l3(&frame(&tagged(Spec::udp(1000)).v6().wire())), 1048);
    let padded = [Spec::udp(1).wire(), vec![0; 17]].concat();
    assert_eq!((padded.len(), largest_l3(&frame(&padded))), (60, 29));
    assert_eq!(largest_l3(&frame(&[0; 60])), 46, "not IP");
    assert_eq!(largest_l3(&frame(&[0; 13])), 0);
    let cut_off = &Spec::tcp(1000).wire()[..500];
    assert_eq!(largest_l3(&frame(cut_off)), 486, "no more than there is");
}

#[test]
fn a_begun_checksum_moves_with_the_headers_before_it() {
    let offload = |start| Offload {
        checksum: Checksum::Partial { start, offset: 16 },
        gso: Some(Gso { kind: GsoKind::TcpV4, size: 1448, ecn: true }),
    };
    assert_eq!(moved(offload(34), 4), offload(38));
    assert_eq!(moved(offload(34), -14), offload(20));
    let valid = Offload { checksum: Checksum::Valid, gso: None };
    assert_eq!(moved(valid, 4), valid);
}

#[test]
fn a_layout_names_every_header() {
    let spec = Spec { vlans: vec![1, 2], ip_options: vec![1; 8], ..Spec::tcp(10) };
    let expected =
        Layout { l3: 22, l4: 50, payload: 82, end: 92, family: Family::V4, transport: Transport::Tcp };
    let padded = [spec.wire(), vec![0; 5]].concat();
    assert_eq!(Layout::parse(&padded), Some(expected));
    let packet = &Spec::udp(10).v6().wire()[14..];
    let layout = Layout::parse_l3(packet).unwrap();
    assert_eq!((layout.l3, layout.l4, layout.payload, layout.end, layout.data_len()), (0, 40, 48, 58, 10));
}

#[test]
fn what_has_no_transport_header_in_its_place_has_no_layout() {
    let wire = Spec { vlans: vec![1, 2], ..Spec::tcp(10) }.wire();
    for len in 0..wire.len() {
        assert_eq!(Layout::parse(&wire[..len]), None, "cut at {len}");
    }
    let three_tags = Spec { vlans: vec![1, 2, 3], ..Spec::tcp(10) }.wire();
    assert_eq!(Layout::parse(&three_tags), None);
    let mut fragment = Spec::tcp(64).wire();
    for field in [[0x20, 0], [0, 1], [0x20, 1]] {
        fragment[20..22].copy_from_slice(&field);
        fragment[24..26].fill(0);
        let checksum = pnet_packet::util::checksum(&fragment[14..34], usize::MAX);
        fragment[24..26].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(Layout::parse(&fragment), None, "a fragment");
    }
    let mut hop_by_hop = Spec::tcp(10).v6().wire();
    hop_by_hop[20] = 0;
    assert_eq!(Layout::parse(&hop_by_hop), None, "an extension header");
}
