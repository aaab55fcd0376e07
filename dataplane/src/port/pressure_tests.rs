//! Ports that have more to carry than they can: what stays, what goes, and what is counted.

use net::{EtherType, PacketBuf, virtio::Offload};

use super::{
    CONTROL_KEPT, Port, PortCaps,
    af_packet::{AfPacketPort, Ring},
    memory,
    tests::{in_new_namespace, octets, options, plain, pool, send, wait_for},
};
use crate::{Batch, Frame, HEADROOM, Pool, Pressure, TAILROOM, Wanted};

/// A frame of this EtherType, `octets` long.
fn of(ethertype: u16, octets: usize, number: u8) -> Vec<u8> {
    let mut frame = plain(octets, number);
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
    frame
}

fn relieve(port: &mut dyn Port, pool: &mut Pool, pressure: Pressure) -> (usize, Vec<Vec<u8>>) {
    let wanted = Wanted { always: vec![EtherType::EAPOL], protected: true };
    let (mut looked, mut kept) = (0, vec![]);
    loop {
        let mut batch = Batch::new();
        match port.relieve(&mut batch, pool, &wanted, pressure).unwrap() {
            0 => return (looked, kept),
            more => looked += more,
        }
        let frames: Vec<_> = batch.into_iter().collect();
        kept.extend(octets(&frames));
        frames.into_iter().for_each(|frame| pool.recycle(frame));
    }
}

#[test]
fn a_packet_ring_tells_how_full_it_is_and_gives_up_what_is_not_wanted() {
    in_new_namespace(|| {
        let mut pool = pool();
        let small = af_packet_options();
        let (mut a, mut b) =
            (AfPacketPort::open(&small("a")).unwrap(), AfPacketPort::open(&small("b")).unwrap());
        assert_eq!(b.pressure(), Pressure::None);
        // Nine of ten are long and protected; the tenth is MKA's, or short.
        let frame = |at: usize| match (at % 10, at % 20) {
            (0, 0) => of(0x888e, 100, 1),
            (0, _) => of(0x88e5, 106, 2),
            _ => of(0x88e5, 1000, 3),
        };
        let half = b.depth() / 2 + 1;
        send(&mut a, &mut pool, &(0..half).map(frame).collect::<Vec<_>>(), Offload::default()).unwrap();
        wait_for(|| b.pressure() == Pressure::High);
        send(&mut a, &mut pool, &(half..b.depth()).map(frame).collect::<Vec<_>>(), Offload::default())
            .unwrap();
        wait_for(|| b.pressure() == Pressure::Severe);
        let (looked, kept) = relieve(&mut b, &mut pool, Pressure::Severe);
        let wanted: Vec<_> = (0..b.depth()).step_by(10).map(frame).collect();
        assert_eq!((looked, kept), (b.depth(), wanted), "in their order");
        let counted = b.counters();
        assert_eq!(counted.rx_shed + counted.rx_frames, u64::try_from(looked).unwrap());
        assert_eq!((counted.rx_ring_full, b.pressure()), (0, Pressure::None));
    });
}

fn af_packet_options() -> impl Fn(&str) -> super::af_packet::Options {
    |device| super::af_packet::Options { ring_octets: 1 << 18, ..options(device, Ring::V2, false) }
}

#[test]
fn a_full_port_keeps_control_in_its_order_and_counts_what_goes() {
    let mut pool = pool();
    let (mut a, mut b) = memory::pair(2, PortCaps::default());
    let frame = |(number, control)| Frame {
        control,
        ..Frame::new(PacketBuf::copy_of(&plain(60, number), HEADROOM, TAILROOM))
    };
    let mut frames: Vec<_> =
        [(1, false), (2, true), (3, false), (4, true), (5, false), (6, true)].map(frame).into();
    a.send(&mut frames, &mut pool).unwrap();
    assert_eq!(octets(&frames), [plain(60, 4), plain(60, 6)]);
    assert_eq!((a.counters().tx_frames, a.counters().tx_refused), (2, 2));
    // It leaves before newer frames once there is room.
    let mut batch = Batch::new();
    b.receive(&mut batch, &mut pool).unwrap();
    frames.push(frame((7, false)));
    a.send(&mut frames, &mut pool).unwrap();
    assert_eq!((frames.len(), a.counters().tx_refused), (0, 3));
    b.receive(&mut batch, &mut pool).unwrap();
    assert_eq!(octets(&batch), [1, 2, 4, 6].map(|number| plain(60, number)));
}

#[test]
fn what_a_port_keeps_is_bounded() {
    let mut pool = pool();
    let (mut a, _b) = memory::pair(1, PortCaps::default());
    let control = || Frame::of_control(PacketBuf::copy_of(&plain(60, 1), HEADROOM, TAILROOM));
    let mut frames: Vec<_> = (0..CONTROL_KEPT + 10).map(|_| control()).collect();
    a.send(&mut frames, &mut pool).unwrap();
    assert_eq!((frames.len(), a.counters().tx_frames, a.counters().tx_refused), (CONTROL_KEPT, 1, 9));
}
