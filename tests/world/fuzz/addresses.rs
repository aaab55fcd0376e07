//! ARP and Neighbor Discovery from stations that lie.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use dataplane::{
    Frame,
    neighbor::{ArpOutcome, NdOutcome, NeighborLimits, NeighborParams, Neighbors, Resolve},
};
use net::{Instant, MacAddr, PacketBuf, checksum::Sum};

use super::Choices;

const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const LIMITS: NeighborLimits = NeighborLimits {
    entries: 16,
    unresolved: 8,
    waiting_per_entry: 2,
    waiting: 8,
    new_per_second: 32,
    new_burst: 32,
    learned: 8,
};

/// Every limit holds after every message, nothing is learned about ourselves or about strangers, and frames that were held come out
/// again once: released, failed, or pushed out.
pub fn neighbor(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let (v4, v6) = (vec!["10.0.0.1/24".parse().unwrap()], vec!["fd00::1/64".parse().unwrap()]);
    let mut cache = Neighbors::new(NeighborParams { own_mac: OWN, v4, v6, limits: LIMITS }, 1);
    let (mut now, mut held, mut back) = (Instant::ZERO, 0, 0);
    while !choices.is_empty() {
        match choices.below(6) {
            0 => now = now.after(Duration::from_millis(choices.word().into())),
            1 => arp(&mut cache, &mut choices, now),
            2 => nd(&mut cache, &mut choices, now),
            3 => {
                held += 1;
                let frame = Frame::new(PacketBuf::copy_of(b"frame", 0, 0));
                back += usize::from(cache.hold(address(&mut choices), frame, now).is_err());
            }
            4 => {
                let known = cache.resolve(address(&mut choices), now);
                assert!(!matches!(known, Resolve::Known(mac) if mac.is_group()), "{known:?}");
            }
            _ => cache.learn(address(&mut choices), MacAddr(choices.array()), now),
        }
        back += drain(&mut cache, now);
        check(&cache, now);
        assert_eq!(held - back, cache.frames_held(), "frames are not accounted for");
    }
    for _ in 0..10 {
        now = now.after(Duration::from_secs(5));
        back += drain(&mut cache, now);
    }
    assert_eq!((held, cache.frames_held()), (back, 0), "somebody waits for ever");
}

fn arp(cache: &mut Neighbors, choices: &mut Choices<'_>, now: Instant) {
    let whole = [&[0, 1, 8, 0, 6, 4, 0][..], choices.take(21)].concat();
    let packet = if choices.flag() { &whole } else { choices.piece() };
    if let Ok(ArpOutcome::Reply(reply)) = cache.handle_arp(packet, now) {
        assert!(cache.is_own(reply.own.into()));
        assert!(cache.build_arp_reply(reply, &mut PacketBuf::with_capacity(128, 0)));
    }
}

/// Half of them with a right checksum, which no fuzzer finds by itself.
fn nd(cache: &mut Neighbors, choices: &mut Choices<'_>, now: Instant) {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (v6(choices), v6(choices)) else { return };
    let (hops, right) = (if choices.flag() { 255 } else { choices.octet() }, choices.flag());
    let mut message = choices.piece().to_vec();
    if right && message.len() >= 4 {
        message[2..4].fill(0);
        let len = message.len().try_into().unwrap_or(0);
        let sum = Sum::new().add_pseudo_v6(source, destination, 58, len).with(&message).finish();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    if let Ok(NdOutcome::Reply(reply)) = cache.handle_nd(source, destination, hops, &message, now) {
        assert!(cache.is_own(reply.own.into()));
        assert!(cache.build_advertisement(reply, &mut PacketBuf::with_capacity(128, 0)));
    }
}

/// Few addresses, so that they meet: on the link, our own, a stranger's.
fn address(choices: &mut Choices<'_>) -> IpAddr {
    if choices.flag() {
        v6(choices)
    } else {
        Ipv4Addr::new(10, 0, choices.octet() / 250, choices.octet() % 32).into()
    }
}

fn v6(choices: &mut Choices<'_>) -> IpAddr {
    let last = u16::from(choices.octet());
    match choices.below(5) {
        0 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last),
        1 => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, last),
        2 => Ipv6Addr::from(choices.array::<16>()),
        _ => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last % 32),
    }
    .into()
}

/// Sends what it wants to send and takes what it lets go. How many frames came back.
fn drain(cache: &mut Neighbors, now: Instant) -> usize {
    cache.handle_timeout(now);
    let mut question = PacketBuf::with_capacity(128, 0);
    while cache.poll_transmit(&mut question) {
        assert!(question.len() >= 42, "{question:?}");
        question.reset(0);
    }
    while cache.poll_learned().is_some() {}
    let released =
        core::iter::from_fn(|| cache.poll_released()).inspect(|(mac, _)| assert!(!mac.is_group())).count();
    released + core::iter::from_fn(|| cache.poll_failed()).count()
}

fn check(cache: &Neighbors, now: Instant) {
    assert!(cache.entries(now).count() <= LIMITS.entries && cache.frames_held() <= LIMITS.waiting);
    for entry in cache.entries(now) {
        assert!(!cache.is_own(entry.ip) && cache.is_neighbor(entry.ip), "learned {}", entry.ip);
    }
}
