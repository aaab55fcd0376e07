use net::{
    PacketBuf,
    tcp::flag,
    virtio::{Checksum, Gso, Offload},
};
use proptest::prelude::*;

use super::*;
use crate::{
    Depot, HEADROOM, PoolSizes, TAILROOM,
    offload::{
        segment,
        testing::{Spec, any_spec, is_right, numbered, pool, received},
    },
};

pub(super) const ALL: PortCaps = PortCaps { offload: true, udp_segments: true, flows: false };
const SMALL: usize = 400;
pub(super) const BIG: usize = 12;

/// Runs one batch and returns copies of what came out. Every buffer is back in the pool at the end.
fn run(caps: PortCaps, big: usize, wires: &[Vec<u8>]) -> Vec<Frame> {
    run_with(caps, big, wires, |_, _, _| {})
}

/// As [`run`], with `then` called behind each frame, by its number.
pub(super) fn run_with(
    caps: PortCaps,
    big: usize,
    wires: &[Vec<u8>],
    mut then: impl FnMut(usize, &mut Coalescer, &mut Vec<Frame>),
) -> Vec<Frame> {
    let (depot, mut pool) = pool(SMALL, big);
    let (mut coalescer, mut out) = (Coalescer::new(caps), Vec::with_capacity(wires.len()));
    let capacity = out.capacity();
    for (at, wire) in wires.iter().enumerate() {
        let frame = received(wire, &mut pool);
        coalescer.push(frame, &mut pool, &mut out);
        then(at, &mut coalescer, &mut out);
    }
    coalescer.flush(&mut out);
    assert_eq!(out.capacity(), capacity, "the output grew");
    let copies = out
        .iter()
        .map(|f| Frame { offload: f.offload, ..Frame::new(PacketBuf::copy_of(&f.buf, 0, 0)) })
        .collect();
    out.drain(..).for_each(|frame| pool.recycle(frame));
    drop(pool);
    assert_eq!(depot.free(), (SMALL, big), "buffers were lost");
    copies
}

/// Cuts what is a super-frame, and leaves the rest.
fn restored(frames: &[Frame]) -> Vec<Vec<u8>> {
    let (_, mut pool) = pool(SMALL, 0);
    let mut wires = Vec::new();
    for frame in frames {
        let mut out = Vec::with_capacity(SMALL);
        if frame.offload.gso.is_some() {
            let end = Layout::parse(&frame.buf).unwrap().end;
            assert_eq!(end, frame.buf.len(), "octets behind the super-frame");
            segment(frame, &mut pool, &mut out).unwrap();
            wires.extend(out.drain(..).map(|segment| segment.buf.to_vec()));
        } else {
            assert_eq!(frame.offload, Offload::default());
            wires.push(frame.buf.to_vec());
        }
    }
    wires
}

/// How many segments each frame that came out stands for.
pub(super) fn shape(frames: &[Frame]) -> Vec<usize> {
    frames.iter().map(|frame| restored(core::slice::from_ref(frame)).len()).collect()
}

pub(super) fn wires(specs: &[Spec]) -> Vec<Vec<u8>> {
    specs.iter().map(Spec::wire).collect()
}

/// RFC 6864 §4.1: the identification of a packet with DF means nothing, so a train need not keep it.
fn without_meaningless_id(mut wire: Vec<u8>, spec: &Spec) -> Vec<u8> {
    let l3 = 14 + 4 * spec.vlans.len();
    if !spec.v6 && spec.df {
        wire[l3 + 4..l3 + 6].fill(0);
        wire[l3 + 10..l3 + 12].fill(0);
    }
    wire
}

#[test]
fn a_train_of_one_flow_becomes_one_super_frame() {
    for spec in [Spec::tcp(5000), Spec::tcp(5000).v6(), Spec::udp(5000), Spec::udp(5000).v6()] {
        for vlans in [vec![], vec![7], vec![7, 8]] {
            let spec = Spec { vlans, ..spec.clone() };
            let frames = run(ALL, BIG, &wires(&spec.segments(1448)));
            let train = spec.train(1448);
            assert_eq!(frames.len(), 1);
            assert_eq!((&*frames[0].buf, frames[0].offload), (&*train.buf, train.offload), "{spec:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn joining_what_was_cut_gives_the_same_super_frame(spec in any_spec(2000..60_000), size in 1000u16..1460) {
        let train = spec.train(size);
        let frames = run(ALL, BIG, &wires(&spec.segments(usize::from(size))));
        prop_assert_eq!(frames.len(), 1);
        prop_assert_eq!(&*frames[0].buf, &*train.buf);
        prop_assert_eq!(frames[0].offload, train.offload);
    }

    #[test]
    fn cutting_what_was_joined_gives_the_same_frames_in_order_of_their_flows(
        steps in proptest::collection::vec((any_port(), any_change()), 1..200),
        batch in 1..65_usize,
        keep in 0..4_usize,
    ) {
        let sent = streams(steps);
        let wires: Vec<_> = sent.iter().map(|(_, wire)| wire.clone()).collect();
        let frames = run_with(ALL, BIG, &wires, |at, coalescer, out| {
            if at % batch == 0 {
                assert!(coalescer.flush_short(keep, out) <= keep);
            }
            if at % 90 == 0 {
                coalescer.flush_idle(out);
            }
        });
        let came = restored(&frames);
        prop_assert_eq!(came.len(), sent.len());
        for port in 0..12 {
            let of_flow = |wire: &&Vec<u8>| port_of(wire) == Some(port);
            let came = came.iter().filter(of_flow).map(|wire| normal(wire));
            let sent = sent.iter().map(|(_, wire)| wire).filter(of_flow).map(|wire| normal(wire));
            prop_assert!(came.eq(sent), "flow {port}");
        }
        // A wrong checksum leaves as it came. What was cut from a train is always right, so it was in none.
        prop_assert_eq!(wrong(came.iter()), wrong(sent.iter().map(|(_, wire)| wire)));
    }

    #[test]
    fn mutated_frames_neither_panic_nor_get_lost_nor_altered(
        specs in proptest::collection::vec(any_spec(0..64), 1..6),
        hits in proptest::collection::vec((0usize..64, 0usize..110, any::<u8>()), 0..30),
        cuts in proptest::collection::vec((0usize..64, 0usize..110), 0..5),
        big in 0usize..3,
    ) {
        let mut sent: Vec<_> = specs
            .into_iter()
            .flat_map(|spec| wires(&Spec { df: false, ..spec }.segments(8)))
            .collect();
        for (at, keep) in cuts {
            let at = at % sent.len();
            sent[at].truncate(keep);
        }
        for (at, place, octet) in hits {
            let at = at % sent.len();
            if let Some(hit) = sent[at].get_mut(place) {
                *hit = octet;
            }
        }
        let mut came = restored(&run(ALL, big, &sent));
        came.sort();
        sent.sort();
        prop_assert_eq!(came, sent);
    }
}

/// What happens at one step of a stream.
#[derive(Clone, Copy, Debug)]
enum Change {
    Nothing,
    Push,
    Short,
    Fin,
    Congestion,
    Gap,
    Ack,
    Corrupt,
    Padding,
    BareAck,
    OtherId,
}

/// Mostly one of few flows, so that trains form; sometimes one of more than are held.
fn any_port() -> impl Strategy<Value = u16> {
    prop_oneof![9 => 0u16..4, 1 => 0u16..12]
}

fn any_change() -> impl Strategy<Value = Change> {
    use Change::*;
    let odd = [Push, Short, Fin, Congestion, Gap, Ack, Corrupt, Padding, BareAck, OtherId];
    prop_oneof![9 => Just(Nothing), 1 => proptest::sample::select(odd.to_vec())]
}

/// Twelve streams, TCP and UDP, both IP versions, with and without DF, interleaved; each step sends one frame.
fn streams(steps: Vec<(u16, Change)>) -> Vec<(Spec, Vec<u8>)> {
    let mut flows: Vec<_> = (0..12)
        .map(|port: u16| {
            let spec = if port % 4 == 3 { Spec::udp(0) } else { Spec::tcp(0) };
            Spec { source_port: port, v6: port.is_multiple_of(3), df: port.is_multiple_of(2), ..spec }
        })
        .collect();
    let step = |(port, change)| {
        let flow = &mut flows[usize::from(port)];
        let mut spec = flow.clone();
        let len = if matches!(change, Change::Short) { 300 } else { 500 };
        spec.data = numbered(usize::try_from(spec.sequence % 1000).unwrap(), len);
        match change {
            Change::Push => spec.flags |= if spec.udp { 0 } else { flag::PSH },
            Change::Fin => spec.flags |= if spec.udp { 0 } else { flag::FIN },
            Change::Congestion => spec.tos |= 3,
            Change::Gap => spec.sequence = spec.sequence.wrapping_add(500),
            Change::Ack => flow.ack += 1,
            Change::BareAck => spec.data.clear(),
            Change::OtherId => spec.id = spec.id.wrapping_mul(31),
            Change::Nothing | Change::Short | Change::Corrupt | Change::Padding => {}
        }
        let mut wire = spec.wire();
        if matches!(change, Change::Corrupt) {
            *wire.last_mut().unwrap() ^= 0x40;
        }
        if matches!(change, Change::Padding | Change::BareAck) {
            wire.extend([0; 6]);
        }
        let sent = u32::try_from(spec.data.len()).unwrap();
        (flow.sequence, flow.id) = (spec.sequence.wrapping_add(sent), spec.id.wrapping_add(1));
        (spec, wire)
    };
    steps.into_iter().map(step).collect()
}

fn wrong<'a>(wires: impl Iterator<Item = &'a Vec<u8>>) -> Vec<&'a Vec<u8>> {
    let mut wrong: Vec<_> = wires.filter(|wire| !is_right(wire)).collect();
    wrong.sort();
    wrong
}

pub(super) fn port_of(wire: &[u8]) -> Option<u16> {
    let l4 = if wire[12] == 0x86 { 54 } else { 34 };
    Some(u16::from_be_bytes([*wire.get(l4)?, *wire.get(l4 + 1)?]))
}

/// The frame without what a train need not keep: that identification, and octets behind the packet.
fn normal(wire: &[u8]) -> Vec<u8> {
    let v6 = wire[12] == 0x86;
    let df = !v6 && wire[20] & 0x40 != 0;
    let (field, headers) = if v6 { (18, 54) } else { (16, 14) };
    let end = headers + usize::from(u16::from_be_bytes([wire[field], wire[field + 1]]));
    without_meaningless_id(wire[..end].to_vec(), &Spec { v6, df, ..Spec::tcp(0) })
}

/// Four full segments, the third of them changed (the fourth is as if it were not), and how many segments each
/// frame that comes out stands for.
type Case = (&'static str, fn(&mut Spec), &'static [usize]);

/// The same change to several segments.
fn changed(base: &Spec, which: core::ops::Range<usize>, change: fn(&mut Spec)) -> Vec<usize> {
    let mut specs = base.segments(100);
    specs[which].iter_mut().for_each(change);
    shape(&run(ALL, BIG, &wires(&specs)))
}

fn check_cases(base: &Spec, cases: &[Case]) {
    for (name, change, expected) in cases {
        let mut specs = base.segments(100);
        assert_eq!(specs.len(), 4);
        change(&mut specs[2]);
        let sent = wires(&specs);
        let frames = run(ALL, BIG, &sent);
        assert_eq!(shape(&frames), *expected, "{name}");
        let normal = |wires: Vec<Vec<u8>>| -> Vec<_> {
            wires.into_iter().zip(&specs).map(|(wire, spec)| without_meaningless_id(wire, spec)).collect()
        };
        assert_eq!(normal(restored(&frames)), normal(sent), "{name}");
    }
}

#[test]
fn tcp_segments_join_by_the_rules_of_gro() {
    let cases: &[Case] = &[
        ("nothing", |_| {}, &[4]),
        ("any identification under DF", |s| s.id = 999, &[4]),
        ("PSH ends a train", |s| s.flags |= flag::PSH, &[3, 1]),
        ("FIN", |s| s.flags |= flag::FIN, &[2, 1, 1]),
        ("SYN", |s| s.flags |= flag::SYN, &[2, 1, 1]),
        ("RST", |s| s.flags |= flag::RST, &[2, 1, 1]),
        ("URG", |s| (s.flags, s.urgent) = (s.flags | flag::URG, 5), &[2, 1, 1]),
        ("RFC 3168 ECE", |s| s.flags |= flag::ECE, &[2, 1, 1]),
        ("RFC 3168 CWR", |s| s.flags |= flag::CWR, &[2, 1, 1]),
        ("RFC 9768 AE", |s| s.accurate_ecn = true, &[2, 1, 1]),
        ("no ACK", |s| s.flags = 0, &[2, 1, 1]),
        ("no data", |s| s.data.clear(), &[2, 1, 1]),
        ("RFC 3168 congestion experienced", |s| s.tos = 3, &[2, 1, 1]),
        ("DSCP", |s| s.tos = 0x28, &[2, 1, 1]),
        ("TTL", |s| s.ttl -= 1, &[2, 1, 1]),
        ("DF", |s| s.df = false, &[2, 1, 1]),
        ("IPv4 options", |s| s.ip_options = vec![1; 4], &[2, 1, 1]),
        ("acknowledgment", |s| s.ack += 1, &[2, 1, 1]),
        ("window", |s| s.window += 1, &[2, 1, 1]),
        ("urgent pointer", |s| s.urgent = 1, &[2, 1, 1]),
        ("timestamp", |s| s.options[7] += 1, &[2, 1, 1]),
        ("options gone", |s| s.options.clear(), &[2, 1, 1]),
        ("a gap", |s| s.sequence += 100, &[2, 1, 1]),
        ("a retransmission", |s| s.sequence -= 100, &[2, 1, 1]),
        ("more data", |s| s.data.push(0), &[2, 1, 1]),
        ("less data", |s| s.data.truncate(99), &[3, 1]),
        ("another next hop", |s| s.destination[5] += 1, &[2, 1, 1]),
        ("another VLAN", |s| s.vlans[0] += 1, &[2, 1, 1]),
        ("another port is another flow", |s| s.source_port += 1, &[2, 1, 1]),
    ];
    check_cases(&Spec { vlans: vec![10], ..Spec::tcp(400) }, cases);
}

#[test]
fn tcp_segments_over_ipv6_join_by_the_rules_of_gro() {
    let cases: &[Case] = &[
        ("nothing", |_| {}, &[4]),
        ("flow label", |s| s.label += 1, &[2, 1, 1]),
        ("traffic class", |s| s.tos = 3, &[2, 1, 1]),
        ("hop limit", |s| s.ttl -= 1, &[2, 1, 1]),
        ("a gap", |s| s.sequence += 100, &[2, 1, 1]),
    ];
    check_cases(&Spec::tcp(400).v6(), cases);
}

#[test]
fn segments_that_agree_join_although_earlier_ones_differ() {
    let v4: &[fn(&mut Spec)] = &[
        |s| s.tos = 0x28,
        |s| s.ttl -= 1,
        |s| s.df = false,
        |s| s.ack += 1,
        |s| s.window += 1,
        |s| s.urgent = 9,
        |s| s.options[7] += 1,
        |s| s.options.clear(),
        |s| s.vlans[0] += 1,
        |s| s.vlans.push(3),
        |s| s.destination[5] += 1,
    ];
    for (at, change) in v4.iter().enumerate() {
        assert_eq!(changed(&Spec { vlans: vec![10], ..Spec::tcp(400) }, 2..4, *change), [2, 2], "{at}");
    }
    let v6: &[fn(&mut Spec)] =
        &[|s| s.label += 1, |s| s.tos = 0x20, |s| s.tos = 2, |s| s.ttl -= 1, |s| s.ack += 1];
    for (at, change) in v6.iter().enumerate() {
        assert_eq!(changed(&Spec::tcp(400).v6(), 2..4, *change), [2, 2], "{at}");
    }
}

#[test]
fn segments_that_agree_in_what_never_joins_do_not_join() {
    let never: &[fn(&mut Spec)] = &[
        |s| s.flags |= flag::PSH,
        |s| s.flags |= flag::FIN,
        |s| s.flags |= flag::SYN,
        |s| s.flags |= flag::RST,
        |s| s.flags |= flag::URG,
        |s| s.flags |= flag::ECE,
        |s| s.flags |= flag::CWR,
        |s| s.accurate_ecn = true,
        |s| s.flags = 0,
        |s| s.ip_options = vec![1; 4],
        |s| s.data.clear(),
    ];
    for (at, change) in never.iter().enumerate() {
        assert_eq!(changed(&Spec::tcp(400), 0..4, *change), [1; 4], "{at}");
    }
}

#[test]
fn identifications_without_df_must_count_up() {
    let cases: &[Case] = &[
        ("nothing", |_| {}, &[4]),
        ("one left out", |s| s.id += 1, &[2, 1, 1]),
        ("the same again", |s| s.id -= 1, &[2, 1, 1]),
    ];
    check_cases(&Spec { df: false, ..Spec::tcp(400) }, cases);
    check_cases(&Spec { df: false, ..Spec::udp(400) }, cases);
    let wraps = Spec { df: false, id: u16::MAX, sequence: u32::MAX - 150, ..Spec::tcp(400) };
    check_cases(&wraps, &[("nothing", |_| {}, &[4])]);
}

#[test]
fn udp_datagrams_join_by_the_rules_of_gro() {
    let cases: &[Case] = &[
        ("nothing", |_| {}, &[4]),
        ("less data", |s| s.data.truncate(99), &[3, 1]),
        ("more data, which the next one falls short of", |s| s.data.push(0), &[2, 2]),
        ("no data", |s| s.data.clear(), &[2, 1, 1]),
        ("RFC 3168 congestion experienced", |s| s.tos = 3, &[2, 1, 1]),
        ("TTL", |s| s.ttl -= 1, &[2, 1, 1]),
    ];
    check_cases(&Spec::udp(400), cases);
    check_cases(&Spec::udp(400).v6(), cases);
}

/// The third frame of a train of four with `alter` done to its octets.
fn altered(spec: &Spec, alter: impl Fn(&mut Vec<u8>)) -> (Vec<Vec<u8>>, Vec<Frame>) {
    let mut sent = wires(&spec.segments(100));
    alter(&mut sent[2]);
    let frames = run(ALL, BIG, &sent);
    (sent, frames)
}

#[test]
fn a_datagram_without_checksum_leaves_alone() {
    let (sent, frames) = altered(&Spec::udp(400), |wire| wire[40..42].fill(0));
    assert_eq!((shape(&frames), restored(&frames)), (vec![2, 1, 1], sent));
    let (sent, frames) = altered(&Spec::udp(400), |wire| wire[39] -= 1);
    assert_eq!((shape(&frames), restored(&frames)), (vec![2, 1, 1], sent), "octets behind the datagram");
    // A datagram whose checksum would be 0, sent as 0 by a host that does not know RFC 768.
    let mut spec = Spec::udp(400);
    spec.data[200..202].fill(0);
    let third = spec.segments(100)[2].wire();
    spec.data[200..202].copy_from_slice(&third[40..42]);
    assert_eq!(spec.segments(100)[2].wire()[40..42], [0xff, 0xff]);
    let (sent, frames) = altered(&spec, |wire| wire[40..42].fill(0));
    assert_eq!((shape(&frames), restored(&frames)), (vec![2, 1, 1], sent));
}

#[test]
fn a_wrong_checksum_is_never_made_right() {
    for spec in [Spec::tcp(400), Spec::tcp(400).v6(), Spec::udp(400), Spec::udp(400).v6()] {
        for (bad, expected) in [(0, &[1, 3][..]), (1, &[1, 1, 2]), (2, &[2, 1, 1]), (3, &[3, 1])] {
            for place in [spec.headers() + 50, spec.l4() + if spec.udp { 6 } else { 16 }] {
                let mut sent = wires(&spec.segments(100));
                sent[bad][place] ^= 0x10;
                let frames = run(ALL, BIG, &sent);
                assert_eq!(
                    (restored(&frames), shape(&frames)),
                    (sent, expected.to_vec()),
                    "{bad} of {spec:?}"
                );
            }
        }
    }
}

#[test]
fn fragments_leave_behind_what_is_held_between_their_addresses() {
    let (sent, frames) = altered(&Spec::udp(400), |wire| {
        wire[20] = 0x20; // More fragments, DF gone.
        wire[24..26].fill(0);
        let checksum = pnet_packet::util::checksum(&wire[14..34], usize::MAX);
        wire[24..26].copy_from_slice(&checksum.to_be_bytes());
    });
    assert_eq!((shape(&frames), restored(&frames)), (vec![2, 1, 1], sent));
    let (sent, frames) = altered(&Spec::udp(400).v6(), |wire| wire[20] = 44); // A fragment header.
    assert_eq!((shape(&frames), restored(&frames)), (vec![2, 1, 1], sent));
    let (_, frames) = altered(&Spec::tcp(400), |wire| {
        wire.truncate(60);
        wire[12..14].copy_from_slice(&[0x08, 0x06]); // ARP does not disturb a flow.
    });
    assert_eq!(shape(&frames), [1, 2, 1]);
}

#[test]
fn padding_of_a_short_last_segment_is_not_data() {
    let spec = Spec { options: Vec::new(), ..Spec::tcp(201) };
    let mut sent = wires(&spec.segments(100));
    sent[2].extend([0xee; 5]);
    assert_eq!(sent[2].len(), 60);
    let frames = run(ALL, BIG, &sent);
    assert_eq!((frames.len(), &*frames[0].buf), (1, &*spec.train(100).buf));
    // One that leaves alone keeps its padding.
    let frames = run(ALL, BIG, &sent[2..]);
    assert_eq!(&*frames[0].buf, sent[2]);
}

#[test]
fn super_frames_and_begun_checksums_pass() {
    let (_, mut pool) = pool(SMALL, BIG);
    let (mut coalescer, mut out) = (Coalescer::new(ALL), Vec::new());
    let segments = Spec::tcp(400).segments(100);
    let partial = Checksum::Partial { start: 34, offset: 16 };
    let gso = Some(Gso { kind: net::virtio::GsoKind::TcpV4, size: 50, ecn: false });
    let offloads = [
        Offload { checksum: Checksum::Valid, gso },
        Offload { checksum: Checksum::Valid, gso: None },
        Offload { checksum: partial, gso: None },
        Offload { checksum: partial, gso },
    ];
    for (spec, offload) in segments.iter().zip(offloads) {
        let frame = Frame { offload, ..received(&spec.wire(), &mut pool) };
        coalescer.push(frame, &mut pool, &mut out);
    }
    coalescer.flush(&mut out);
    assert_eq!(out.iter().map(|frame| frame.offload).collect::<Vec<_>>(), offloads);
}

#[test]
fn nothing_joins_that_the_port_could_not_cut() {
    let (tcp, udp) = (wires(&Spec::tcp(400).segments(100)), wires(&Spec::udp(400).segments(100)));
    let mixed: Vec<_> = tcp.iter().zip(&udp).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    assert_eq!(shape(&run(ALL, BIG, &mixed)), [4, 4]);
    let only_tcp = PortCaps { offload: true, udp_segments: false, flows: false };
    assert_eq!(shape(&run(only_tcp, BIG, &mixed)), [1, 1, 1, 1, 4]);
    let frames = run(PortCaps::default(), BIG, &mixed);
    assert_eq!(restored(&frames), mixed);
}

#[test]
fn without_big_buffers_all_frames_pass_as_they_came() {
    let sent = wires(&Spec::tcp(2000).segments(100));
    let frames = run(ALL, 0, &sent);
    assert_eq!((frames.len(), restored(&frames)), (20, sent));
}

#[test]
fn a_super_frame_is_at_most_what_its_length_fields_hold() {
    let segments = Spec::tcp(1448 * 100).segments(1448);
    let frames = run(ALL, BIG, &wires(&segments));
    // 45 * 1448 + 52 = 65212; one more would be 66660.
    assert_eq!(shape(&frames), [45, 45, 10]);
    assert_eq!(frames[0].buf.len(), 14 + 65_212);
    let datagrams = Spec::udp(100 * 100).segments(100);
    assert_eq!(shape(&run(ALL, BIG, &wires(&datagrams))), [64, 36]);
}

#[test]
fn the_oldest_flow_makes_room_for_the_ninth() {
    let flow = |port| Spec { source_port: port, ..Spec::tcp(200) }.segments(100);
    let firsts = (1..=9).map(|port| flow(port)[0].clone());
    let seconds = (1..=9).rev().map(|port| flow(port)[1].clone());
    let sent: Vec<_> = firsts.chain(seconds).collect();
    let frames = run(ALL, BIG, &wires(&sent));
    let ports: Vec<_> = frames.iter().map(|frame| port_of(&frame.buf).unwrap()).collect();
    // Flow 1 left when flow 9 came; flow 2 when the second segment of flow 1 started over.
    assert_eq!(ports, [1, 2, 3, 4, 5, 6, 7, 8, 9, 1]);
    assert_eq!(shape(&frames), [1, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
}

/// Four segments of 100 octets of data through a pool with big buffers of this size, none with more than they hold.
fn shape_in(spec: &Spec, size: usize, big_frame: usize) -> Vec<usize> {
    let sizes = PoolSizes { small_frame: 2000, small_count: 100, big_frame, big_count: 3 };
    let mut pool = Pool::new(Depot::new(sizes));
    let (mut coalescer, mut out) = (Coalescer::new(ALL), Vec::new());
    for spec in spec.segments(size) {
        let frame = received(&spec.wire(), &mut pool);
        coalescer.push(frame, &mut pool, &mut out);
    }
    coalescer.flush(&mut out);
    for frame in &out {
        assert!(frame.buf.headroom() >= HEADROOM && frame.buf.tailroom() >= TAILROOM);
    }
    shape(&out)
}

#[test]
fn a_train_ends_where_its_buffer_or_its_length_fields_end() {
    // 14 + 20 + 32 octets of headers.
    assert_eq!(shape_in(&Spec::tcp(400), 100, 466), [4]);
    assert_eq!(shape_in(&Spec::tcp(400), 100, 465), [3, 1]);
    assert_eq!(shape_in(&Spec::tcp(400), 100, 165), [1, 1, 1, 1]);
    // 65,535 octets with Ethernet header and a tag: what Linux still takes as one (`MAX_L3`).
    let many = |len| Spec { data: numbered(0, len), ..Spec::tcp(0) };
    assert_eq!(shape_in(&many(46 * 1423 + 7), 1423, 80_000), [47]);
    assert_eq!(shape_in(&many(46 * 1423 + 8), 1423, 80_000), [46, 1]);
    assert_eq!(shape_in(&many(46 * 1424).v6(), 1424, 80_000), [45, 1]);
}
