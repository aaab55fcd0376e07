//! Frames through a gateway: on its LAN, forged on a channel, and properly protected by a peer that misbehaves.

use core::time::Duration;

use dataplane::{Batch, ChannelId, Frame, PoolSizes, PortCaps, PortId};
use macsec::{Protected, mka::KayParams};
use net::{PacketBuf, virtio::Offload};

use super::Choices;
use crate::{
    Plan,
    Side::{self, Left, Right},
    World,
};

/// Longer than any neighbour is asked for.
const SILENCE: Duration = Duration::from_secs(10);
const SILENCES: usize = 20;

/// How frames begin, so that a fuzzer gets past the first checks: nothing; IPv4, IPv6 and ARP from the host to the
/// gateway; then the same inside a channel, behind the attachment's VLAN tag; a SecTAG; an MKPDU.
const STARTS: [&[u8]; 8] = [
    &[],
    &[2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 10, 8, 0, 0x45],
    &[2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 10, 0x86, 0xdd, 0x60],
    &[255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 1, 10, 8, 6, 0, 1, 8, 0, 6, 4],
    &[2, 0, 0, 1, 1, 0, 2, 0, 0, 1, 2, 0, 0x81, 0, 0, 100, 8, 0, 0x45],
    &[2, 0, 0, 1, 1, 0, 2, 0, 0, 1, 2, 0, 0x81, 0, 0, 100, 0x86, 0xdd, 0x60],
    &[2, 0, 0, 1, 1, 0, 2, 0, 0, 1, 2, 0, 0x88, 0xe5, 0x2c],
    &[1, 0x80, 0xc2, 0, 0, 3, 2, 0, 0, 1, 2, 0, 0x88, 0x8e, 3, 5],
];

/// Nothing panics; once nobody waits for a neighbour, every buffer is back.
pub fn pipeline(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let lan = PortCaps { offload: choices.flag(), udp_segments: choices.flag(), flows: false };
    let buffers = PoolSizes { small_count: 192, big_count: 6, ..PoolSizes::default() };
    // Half of the time keys come from MKA, as far as what is fed lets it.
    let mka: Option<fn(Side, &mut KayParams)> = if choices.flag() { Some(|_, _| {}) } else { None };
    let mut world = World::of(Plan { lan, buffers, mka, ..Plan::default() });
    // The first MKPDUs leave.
    world.pass(Duration::ZERO);
    let before = world.buffers();
    while !choices.is_empty() {
        match choices.below(8) {
            0 => {
                world.pass(Duration::from_millis(choices.word().into()));
            }
            1 => world.carrier(0, choices.flag()),
            2 => protected(&mut world, &mut choices),
            3 => {
                let work = Offload::decode(choices.array()).unwrap_or_default();
                let frame = frame(&mut choices);
                enter(&mut world, PortId(1), &frame, work);
            }
            port => {
                let frame = frame(&mut choices);
                world.inject(Left, PortId(u16::from(port > 4)), vec![frame]);
            }
        }
    }
    // A frame that nobody takes may cause an error message that nobody takes either; each is asked for three times.
    for _ in 0..SILENCES {
        world.pass(SILENCE);
    }
    assert_eq!(world.buffers(), before, "a buffer went astray");
}

fn frame(choices: &mut Choices<'_>) -> Vec<u8> {
    let start = STARTS[choices.below(STARTS.len())];
    [start, choices.piece()].concat()
}

/// A frame that Right's SecY protected: it is authentic, whatever is in it.
fn protected(world: &mut World, choices: &mut Choices<'_>) {
    let mut buf = PacketBuf::copy_of(&frame(choices), 32, 32);
    let secy = world.at(Right).secy(ChannelId(0)).expect("the channel is Right's");
    if secy.protect(&mut buf).is_ok_and(|done| done != Protected::Untagged) {
        world.inject(Left, PortId(0), vec![buf.to_vec()]);
    }
}

/// A frame with work left on it, which hosts on a LAN with offloads send.
fn enter(world: &mut World, port: PortId, octets: &[u8], offload: Offload) {
    let now = world.now;
    let left = world.at(Left);
    let Some(mut buf) = left.pool().for_len(octets.len()) else { panic!("the pool is dry") };
    assert!(buf.extend_from_slice(octets));
    let mut batch = Batch::new();
    batch.push(Frame { offload, ..Frame::new(buf) });
    left.handle_batch(port, &mut batch, now);
    // What came of it goes where it belongs with the next frame; this one is empty and is dropped as a runt.
    world.inject(Left, port, vec![vec![]]);
}
