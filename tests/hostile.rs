//! Frames that nobody should send. Nothing panics, no buffer is lost, and what is not delivered is counted once.

use proptest::prelude::*;

use core::time::Duration;

use dataplane::{
    DropReason, InterfaceId, PortId, QualityParams,
    stamp::{self, ErrorEstimate, Mode, Ntp, Sender, SenderParams, Thresholds, WallClock},
};
use world::{
    Side::{Left, Right},
    World, udp,
};

#[test]
fn a_replayed_frame_is_late_and_a_forged_one_not_valid() {
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"once")]);
    let recorded = world.wire[0].last().cloned().unwrap();
    let before = world.buffers();
    assert!(world.inject(Right, PortId(0), vec![recorded.clone()]).is_empty());
    assert_eq!(world.drops(Right, DropReason::MacsecLate), 1);
    let mut forged = recorded;
    forged[17] ^= 0x80; // a packet number far ahead, so that it is not late
    assert!(world.inject(Right, PortId(0), vec![forged]).is_empty());
    assert_eq!((world.drops(Right, DropReason::MacsecNotValid), world.buffers()), (1, before));
}

/// Replies are control frames, which have buffers and places of their own, and the reflector remembers few sessions.
#[test]
fn probes_from_beyond_the_link_are_not_reflected() {
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    let (now, peer) = (world.now, "169.254.0.1".parse().unwrap());
    let mode = Mode::Unauthenticated;
    let (interval, timeout) = (Duration::from_secs(1), Duration::from_secs(1));
    let params = QualityParams {
        peer,
        mode,
        interval,
        timeout,
        ssid: 1,
        thresholds: Thresholds::default(),
        leave: false,
    };
    let mut sender =
        Sender::new(SenderParams { mode: Mode::Unauthenticated, interval, timeout, ssid: 2 }, now);
    let (start, mut probe) = (Ntp(1), [0; 112]);
    let error = ErrorEstimate { synchronized: false, ptp: false, scale: 0, multiplier: 1 };
    let len = sender.poll_transmit(&mut probe, &WallClock { start, error }, now).unwrap();
    world.at(Right).measure(InterfaceId(0), params, now);
    let mut frame = udp(Left, "169.254.0.2".parse().unwrap(), 5000, &probe[..len]);
    frame[36..38].copy_from_slice(&stamp::PORT.to_be_bytes());
    assert!(world.send(Left, vec![frame]).is_empty(), "no reply");
    assert_eq!(world.drops(Right, DropReason::ProbeRefused), 1);
}

#[test]
fn clear_frames_on_a_channel_are_refused() {
    let mut world = World::routed(1);
    let mut frame = udp(Left, Right.host(), 1, b"x");
    assert!(world.inject(Right, PortId(0), vec![frame.clone()]).is_empty());
    assert_eq!(world.drops(Right, DropReason::MacsecNoTag), 1);
    frame[12..14].copy_from_slice(&[0x88, 0x8e]);
    assert!(world.inject(Right, PortId(0), vec![frame]).is_empty());
    assert_eq!(world.drops(Right, DropReason::NotProtected), 1);
}

#[test]
fn frames_for_other_stations_and_unknown_kinds_are_counted() {
    let mut world = World::routed(1);
    let lan = world.lan();
    let mut other = udp(Left, Right.host(), 1, b"x");
    other[5] ^= 0xff;
    let mut kind = udp(Left, Right.host(), 1, b"x");
    kind[12] = 0x12;
    let mut vlan = udp(Left, Right.host(), 1, b"x");
    vlan.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    assert!(world.inject(Left, lan, vec![other, kind, vlan, vec![0; 13], vec![]]).is_empty());
    for (reason, count) in [
        (DropReason::NotOurMac, 1),
        (DropReason::UnknownEtherType, 1),
        (DropReason::UnknownVlan, 1),
        (DropReason::Runt, 2),
    ] {
        assert_eq!(world.drops(Left, reason), count, "{reason:?}");
    }
}

#[test]
fn an_arp_storm_neither_grows_nor_stops_anything() {
    let mut world = World::routed(1);
    world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]);
    let (lan, before) = (world.lan(), world.buffers());
    for sender in 0..20_000u32 {
        let [a, b, c, d] = sender.to_be_bytes();
        let frame = [
            &[0xff; 6][..],
            &[2, a, b, c, d, 1],
            &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, a, b, c, d, 1],
            &[10, 1, c, d],
            &[0; 6],
            &[10, 1, 0, 1],
        ]
        .concat();
        world.inject(Left, lan, vec![frame]);
    }
    let now = world.now;
    let neighbors: usize =
        world.at(Left).snapshot(now).interfaces.iter().map(|one| one.neighbors.len()).sum();
    assert!(neighbors <= 4096, "{neighbors}");
    assert_eq!(
        (world.send(Left, vec![udp(Left, Right.host(), 1, b"x")]).len(), world.buffers()),
        (1, before)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_frame_panics_or_is_lost(
        frames in proptest::collection::vec((0..2u16, proptest::collection::vec(any::<u8>(), 0..200)), 1..20),
        headers in proptest::collection::vec(0..6usize, 20),
    ) {
        let mut world = World::routed(1);
        let before = world.buffers();
        let starts: [&[u8]; 6] = [
            &[], &[2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 10, 8, 0, 0x45], &[2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 10, 0x86, 0xdd, 0x60],
            &[255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 1, 10, 8, 6, 0, 1, 8, 0, 6, 4], &[0; 12],
            &[2, 0, 0, 1, 1, 0, 2, 0, 0, 1, 2, 0, 0x88, 0xe5, 0x2c],
        ];
        let injected = frames.len();
        for ((port, mut octets), header) in frames.into_iter().zip(headers) {
            octets.splice(0..0, starts[header].iter().copied());
            world.inject(Left, PortId(port), vec![octets]);
        }
        // Nothing in these frames can be delivered but ARP; the rest is counted, and every buffer is back or held for a neighbour.
        prop_assert!(world.all_drops(Left) <= u64::try_from(injected).unwrap() + 2);
        let (small, big) = world.buffers();
        prop_assert!(small + 8 >= before.0 && big == before.1, "{small} of {}", before.0);
    }
}
