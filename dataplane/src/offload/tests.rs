use net::{
    Ethernet,
    virtio::{Gso, GsoKind},
};
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

/// What becomes of a frame whose sender says that its checksum was begun there: refused, or finished.
fn ended(octets: &[u8], start: usize, offset: usize) -> Result<Vec<u8>, BadOffload> {
    let mut frame = Frame::new(net::PacketBuf::copy_of(octets, 0, 0));
    let at = |place: usize| u16::try_from(place).unwrap();
    frame.offload.checksum = Checksum::Partial { start: at(start), offset: at(offset) };
    check_begun(&frame)?;
    finish_checksum(&mut frame)?;
    Ok(frame.buf.to_vec())
}

proptest! {
    #[test]
    fn nothing_in_front_of_the_transport_header_ever_changes(
        spec in any_spec(0..200),
        start in prop_oneof![0_usize..120, 0_usize..65_536],
        offset in prop_oneof![0_usize..40, 0_usize..65_536],
    ) {
        let wire = spec.wire();
        if let Ok(ended) = ended(&wire, start, offset) {
            prop_assert!(start >= spec.l4() && start + offset + 2 <= wire.len());
            prop_assert_eq!(&ended[..spec.l4()], &wire[..spec.l4()]);
            prop_assert_eq!(ended.len(), wire.len());
        }
    }

    #[test]
    fn a_checksum_that_a_host_began_is_never_refused(spec in any_spec(0..1500)) {
        prop_assert_eq!(check_begun(&begun(&spec)), Ok(()));
        prop_assert_eq!(check_begun(&spec.train(100)), Ok(()));
    }

    #[test]
    fn what_is_no_frame_at_all_is_refused_or_stays_in_front(
        octets in prop::collection::vec(any::<u8>(), 0..100),
        start in 0_usize..120,
        offset in 0_usize..40,
    ) {
        if let Ok(ended) = ended(&octets, start, offset) {
            prop_assert_eq!(&ended[..Ethernet::LEN], &octets[..Ethernet::LEN]);
        }
    }
}

#[test]
fn virtio_5_1_6_2_a_begun_checksum_is_where_its_protocol_has_one_or_behind_all_headers() {
    let (tcp, udp) = (Spec::tcp(64), Spec::udp(64));
    let tagged = Spec { vlans: vec![1, 2, 3], ..Spec::udp(64) };
    let options = Spec { ip_options: vec![1; 8], ..Spec::tcp(64) };
    // An IPv6 packet with hop-by-hop options in front of UDP.
    let hop_by_hop = {
        let mut octets = Spec::udp(64).v6().wire();
        octets[20] = 0;
        octets.splice(54..54, [17, 0, 1, 4, 0, 0, 0, 0]);
        octets
    };
    let other = |number: u8| {
        let mut octets = Spec::udp(64).v6().wire();
        octets[20] = number;
        octets
    };
    let no_ip = [&[2; 12][..], &[0x88, 0x47], &[0; 60]].concat();
    //  what, frame, start, offset, taken
    for (what, octets, start, offset, taken) in [
        ("TCP", tcp.wire(), 34, 16, true),
        ("TCP, as if it was UDP", tcp.wire(), 34, 6, false),
        ("TCP, its data", tcp.wire(), 70, 6, false),
        ("UDP", udp.wire(), 34, 6, true),
        ("UDP, its ports", udp.wire(), 34, 0, false),
        ("UDP, as if it was TCP", udp.wire(), 34, 16, false),
        ("VXLAN: the UDP header inside", udp.wire(), 34 + 8 + 8 + 34, 6, true),
        ("UDP, no more than a header", udp.wire(), 34 + 7, 6, false),
        ("behind the frame", udp.wire(), 34 + 8 + 60, 3, false),
        ("IPv6 addresses", udp.clone().v6().wire(), 20, 2, false),
        ("IPv4 addresses", udp.wire(), 26, 0, false),
        ("the VLAN identifier to be", udp.wire(), 0, 10, false),
        ("MAC addresses", udp.wire(), 0, 0, false),
        ("three tags", tagged.wire(), 46, 6, true),
        ("of three tags the last", tagged.wire(), 24, 0, false),
        ("IPv4 options", options.wire(), 42, 16, true),
        ("IPv4 options, written", options.wire(), 34, 2, false),
        ("an extension header", hop_by_hop.clone(), 62, 6, true),
        ("an extension header, written", hop_by_hop, 54, 2, false),
        ("ICMPv6", other(58), 54, 2, true),
        ("GRE", other(47), 54 + 4 + 20, 16, true),
        ("another protocol, its addresses", other(132), 52, 0, false),
        ("MPLS", no_ip.clone(), 38, 16, true),
        ("the EtherType", no_ip, 12, 0, false),
        ("a runt", vec![0; 10], 0, 0, false),
    ] {
        assert_eq!(ended(&octets, start, offset).is_ok(), taken, "{what}");
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
