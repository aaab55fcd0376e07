//! Transparent connections: whatever goes in comes out, tags and all.

use dataplane::{ConnectionKind, DropReason};
use world::{
    Side::{Left, Right},
    World, udp,
};

fn wire() -> World {
    World::new(2, ConnectionKind::Transparent, true)
}

#[test]
fn any_frame_crosses_unchanged() {
    let mut world = wire();
    let lan = world.lan();
    let arp = [&[0xff; 6][..], &[2, 9, 9, 9, 9, 9], &[0x08, 0x06], &[0; 46]].concat();
    let tagged = [&[1; 6][..], &[2; 6], &[0x81, 0x00, 0x00, 0x07, 0x08, 0x00], &[0x45; 50]].concat();
    let lldp = [&[0x01, 0x80, 0xc2, 0, 0, 0x0e][..], &[2; 6], &[0x88, 0xcc], &[5; 50]].concat();
    for frame in [udp(Left, Right.host(), 1, b"hello"), arp, tagged, lldp] {
        assert_eq!(world.inject(Left, lan, vec![frame.clone()]), vec![(Right, frame)]);
    }
}

#[test]
fn pause_frames_and_frames_too_long_for_the_attachment_end_here() {
    let mut world = wire();
    let lan = world.lan();
    let pause = [&[0x01, 0x80, 0xc2, 0, 0, 0x01][..], &[2; 6], &[0x88, 0x08], &[0; 46]].concat();
    let long = [&[1; 6][..], &[2; 6], &[0x08, 0x00], &[0; 1401]].concat();
    assert!(world.inject(Left, lan, vec![pause, long]).is_empty());
    assert_eq!(
        (world.drops(Left, DropReason::NotForwardable), world.drops(Left, DropReason::TooBig)),
        (1, 1)
    );
}

#[test]
fn the_wire_survives_all_but_its_last_attachment() {
    let mut world = wire();
    let lan = world.lan();
    let frame = udp(Left, Right.host(), 1, b"hello");
    world.carrier(0, false);
    assert_eq!(world.inject(Left, lan, vec![frame.clone()]).len(), 1);
    world.carrier(1, false);
    assert!(world.inject(Left, lan, vec![frame]).is_empty());
    assert_eq!(world.drops(Left, DropReason::NoLiveAttachment), 1);
}
