//! Which packet is for which session.

use std::collections::BTreeSet;

use macsec::{Sci, SecyPolicy};
use net::{IpNet, MacAddr, PacketBuf};

use super::*;
use crate::{
    ChannelId, ChannelSetup, ConnectionId, InterfaceId, InterfaceSetup, MssClamp, Place, PortId, Setup,
    WorkerId,
};

const CONNECTION: ConnectionId = ConnectionId(0);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

pub(super) fn params(peer: &str) -> BfdParams {
    let peer = peer.parse().unwrap();
    BfdParams { peer, timers: timers(50, 50, 3), mode: BfdMode::Follow, hops: Hops::One, independent: true }
}

/// One attachment for each list of sessions, on a channel of its own; channel `n` is worker `n % workers`'s.
/// Attachment `n` is 169.254.n.1/24 and fd00:n::1/64.
pub(super) fn setup(workers: u16, sessions: Vec<Vec<BfdParams>>) -> Setup {
    let channel = |at: usize| ChannelSetup {
        port: PortId::at(at),
        owner: WorkerId::at(at % usize::from(workers)),
        clear_tags: vec![],
        secy: SecyPolicy::new(Sci::new(MAC, 1)),
        mka: None,
    };
    let net = |text: String| text.parse::<IpNet>().unwrap();
    let channels = (0..sessions.len()).map(channel).collect();
    let interfaces = sessions.into_iter().enumerate().map(|(at, bfd)| InterfaceSetup {
        connection: CONNECTION,
        place: Place::Attachment { channel: ChannelId::at(at), vlan: None },
        mac: MAC,
        mtu: 1500,
        addresses: vec![net(format!("169.254.{at}.1/24")), net(format!("fd00:{at}::1/64"))],
        mss_clamp: MssClamp::Off,
        host: None,
        bfd,
    });
    Setup { workers, channels, interfaces: interfaces.collect(), ..Setup::default() }
}

fn sessions(list: Vec<Vec<BfdParams>>) -> Sessions {
    Sessions::new(&setup(1, list), WorkerId(0), 1)
}

pub(super) fn drain(sessions: &mut Sessions) -> Vec<Outgoing> {
    let sent = core::iter::from_fn(|| sessions.poll_transmit()).collect();
    while sessions.poll_event().is_some() {}
    while sessions.poll_verdict().is_some() {}
    sent
}

/// A packet from `peer` to our address on interface `at`, over `port`, with `hops` left.
fn packet(peer: &str, own: &str, (port, hops): (u16, u8), control: Control) -> Vec<u8> {
    let mut buf = PacketBuf::with_capacity(128, 0);
    let (peer, own): (IpAddr, IpAddr) = (peer.parse().unwrap(), own.parse().unwrap());
    write_datagram(&mut buf, (peer, 50_000), (own, port), &control).unwrap();
    let mut octets = buf.to_vec();
    if peer.is_ipv4() {
        octets[8] = hops;
        octets[10..12].fill(0);
        let sum = net::checksum::checksum(&octets[..20]).to_be_bytes();
        octets[10..12].copy_from_slice(&sum);
    } else {
        octets[7] = hops;
    }
    octets
}

fn hear(sessions: &mut Sessions, interface: u16, l3: &[u8]) -> Result<(), Refusal> {
    sessions.handle_datagram(InterfaceId(interface), CONNECTION, l3, Instant::ZERO)
}

fn unnamed() -> Control {
    Control { your_discriminator: None, ..says(BfdState::Down) }
}

fn state(sessions: &Sessions, interface: u16) -> Vec<BfdState> {
    sessions.statuses(InterfaceId(interface)).iter().map(|status| status.state).collect()
}

/// RFC 5881 §4: source ports of their own in 49152 to 65535, kept; RFC 5880 §6.8.1: discriminators unique on the system.
#[test]
fn every_session_of_the_gateway_has_its_own_name_and_port() {
    let list: Vec<_> = (0..100u32)
        .map(|at| vec![params(&format!("169.254.{at}.2")), params(&format!("fd00:{at}::2"))])
        .collect();
    let setup = setup(4, list);
    let (mut names, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for worker in 0..4 {
        let mut sessions = Sessions::new(&setup, WorkerId(worker), 9);
        for second in [0, 2] {
            sessions.handle_timeout(Instant::ZERO.after(Duration::from_secs(second)));
            for packet in drain(&mut sessions) {
                assert_eq!(packet.interface.0 % 4, worker, "the channel's owner speaks");
                names.insert(packet.control.my_discriminator);
                ports.insert(packet.source.1);
                assert!(packet.source.1 >= 49_152 && packet.destination.1 == 3784);
            }
        }
    }
    assert_eq!((names.len(), ports.len()), (200, 200));
}

/// RFC 5880 §6.3, RFC 5881 §3: by interface and address at first, then by Your Discriminator alone.
#[test]
fn packets_find_their_session() {
    // The same link-local peer on both interfaces, beside others.
    let mut list =
        sessions(vec![vec![params("fe80::2"), params("169.254.0.2")], vec![params("fe80::2")], vec![]]);
    let own = MAC.link_local().to_string();
    hear(&mut list, 1, &packet("fe80::2", &own, (3784, 255), unnamed())).unwrap();
    assert_eq!((state(&list, 0), state(&list, 1)), (vec![BfdState::Down; 2], vec![BfdState::Init]));
    let [answer] = drain(&mut list)[..] else { panic!("one answer") };
    assert_eq!((answer.interface, answer.control.your_discriminator), (InterfaceId(1), Some(name(THEIRS))));
    let mine = Some(answer.control.my_discriminator);
    let named = Control { your_discriminator: mine, ..says(BfdState::Init) };
    hear(&mut list, 1, &packet("fe80::2", &own, (3784, 255), named)).unwrap();
    assert_eq!((state(&list, 0), state(&list, 1)), (vec![BfdState::Down; 2], vec![BfdState::Up]));
    // The name of one session, said by the peer of another.
    for (interface, peer, to) in
        [(0, "fe80::2", &*own), (0, "169.254.0.2", "169.254.0.1"), (1, "fe80::3", &own)]
    {
        let refused = hear(&mut list, interface, &packet(peer, to, (3784, 255), named));
        assert_eq!(refused, Err(Refusal::WrongPath), "{interface} {peer}");
    }
    let strange = Control { your_discriminator: Some(name(5)), ..named };
    let refused = hear(&mut list, 1, &packet("fe80::2", &own, (3784, 255), strange));
    assert_eq!(refused, Err(Refusal::UnknownSession));
    let refused = hear(&mut list, 2, &packet("fe80::2", &own, (3784, 255), unnamed()));
    assert_eq!(refused, Err(Refusal::UnknownPeer));
    let refused = hear(&mut list, 0, &packet("169.254.0.3", "169.254.0.1", (3784, 255), unnamed()));
    assert_eq!(refused, Err(Refusal::UnknownPeer));
    // Each counted once: with the session whose peer it was, if it can be said.
    let counted: u64 = [0, 1]
        .iter()
        .flat_map(|at| list.statuses(InterfaceId(*at)))
        .map(|status| status.counters.refused.total())
        .sum();
    assert_eq!((counted, list.refused().total()), (3, 3));
}

/// RFC 5881 §5: TTL or hop limit other than 255 is refused.
#[test]
fn what_a_router_forwarded_is_refused() {
    for (peer, own) in [("169.254.0.2", "169.254.0.1"), ("fd00:0::2", "fd00:0::1")] {
        for hops in [254, 64, 1, 0] {
            let mut list = sessions(vec![vec![params(peer)]]);
            let refused = hear(&mut list, 0, &packet(peer, own, (3784, hops), unnamed()));
            assert_eq!((refused, state(&list, 0)), (Err(Refusal::Hops), vec![BfdState::Down]));
            let status = list.statuses(InterfaceId(0)).remove(0);
            assert_eq!(status.counters.refused.of(Refusal::Hops), 1);
        }
    }
}

/// RFC 5883 §4, §5: UDP port 4784, from wherever it comes, with as many hops left as wanted.
#[test]
fn over_several_hops_the_addresses_say_which() {
    let far = |peer: &str, least| BfdParams { hops: Hops::Several { least }, ..params(peer) };
    let mut list = sessions(vec![vec![far("198.51.100.9", 250), params("169.254.0.2")], vec![]]);
    let own = "169.254.0.1";
    for (interface, port, hops, result) in [
        (0, 3784, 255, Err(Refusal::UnknownPeer)),
        (0, 4784, 249, Err(Refusal::Hops)),
        (1, 4784, 250, Ok(())),
    ] {
        let heard = hear(&mut list, interface, &packet("198.51.100.9", own, (port, hops), unnamed()));
        assert_eq!(heard, result, "{interface} {port} {hops}");
    }
    assert_eq!(state(&list, 0), [BfdState::Init, BfdState::Down]);
    let sent = drain(&mut list);
    assert!(sent.iter().any(|out| out.destination == ("198.51.100.9".parse().unwrap(), 4784)));
    // One hop and several are two sessions even with the same peer.
    let refused = hear(&mut list, 0, &packet("169.254.0.2", own, (4784, 255), unnamed()));
    assert_eq!(refused, Err(Refusal::UnknownPeer));
}

#[test]
fn an_interface_is_at_fault_when_any_of_its_sessions_is() {
    let mut list = sessions(vec![vec![params("169.254.0.2"), params("fd00:0::2")]]);
    let bring_up = |list: &mut Sessions, peer: &str, own: &str| {
        hear(list, 0, &packet(peer, own, (3784, 255), unnamed())).unwrap();
        let name =
            drain(list).iter().find(|out| out.destination.0 == peer.parse::<IpAddr>().unwrap()).copied();
        let yours = name.map(|out| out.control.my_discriminator);
        let init = Control { your_discriminator: yours, ..says(BfdState::Init) };
        hear(list, 0, &packet(peer, own, (3784, 255), init)).unwrap();
    };
    bring_up(&mut list, "169.254.0.2", "169.254.0.1");
    assert!(!list.is_fault(InterfaceId(0)), "the other peer may not speak BFD");
    bring_up(&mut list, "fd00:0::2", "fd00:0::1");
    assert!(!list.is_fault(InterfaceId(0)));
    let due = Instant::ZERO.after(ms(150));
    assert!(list.is_judgement_due(due) && !list.is_judgement_due(Instant::ZERO.after(ms(149))));
    list.handle_timeout(due);
    assert!(list.is_fault(InterfaceId(0)));
    assert!(list.set_admin_down((InterfaceId(0), "fd00:0::2".parse().unwrap()), true, due));
    assert!(list.is_fault(InterfaceId(0)), "the other one still speaks against it");
    assert!(list.set_admin_down((InterfaceId(0), "169.254.0.2".parse().unwrap()), true, due));
    assert!(!list.is_fault(InterfaceId(0)));
    assert!(!list.set_admin_down((InterfaceId(1), "169.254.0.2".parse().unwrap()), true, due));
}

#[test]
fn every_refusal_has_a_name_and_explains_itself() {
    let labels: BTreeSet<_> = Refusal::ALL.iter().map(|why| why.label()).collect();
    assert_eq!(labels.len(), Refusal::ALL.len());
    let mut counters = RefusalCounters::default();
    for why in Refusal::ALL {
        assert!(why.help().len() > 15, "{why:?}");
        counters.count(*why);
    }
    assert!(counters.iter().all(|(_, count)| count == 1) && counters.total() == 14);
}

/// RFC 5880 §6.8.1, §6.8.4: a process that takes over has the discriminators, the states and the times; its peers see the same session.
#[test]
fn a_successor_goes_on_with_the_sessions_that_it_still_has() {
    let two = || vec![vec![params("169.254.0.2"), params("fd00:0::2")]];
    let mut before = sessions(two());
    let mine = before.statuses(InterfaceId(0))[0].discriminator;
    let named = |control: Control| Control { your_discriminator: NonZeroU32::new(mine), ..control };
    let (ours, theirs) = ("169.254.0.1", "169.254.0.2");
    for control in [unnamed(), named(says(BfdState::Init)), named(says(BfdState::Up))] {
        hear(&mut before, 0, &packet(theirs, ours, (3784, 255), control)).unwrap();
    }
    let sent = drain(&mut before);
    assert_eq!(state(&before, 0), [BfdState::Up, BfdState::Down]);
    let mut parcel = net::carry::Parcel::new();
    before.leave(InterfaceId(0), &mut parcel);
    let left = parcel.as_octets();

    // One of them is not configured any more; another is new.
    let list = vec![vec![params("169.254.0.9"), params("169.254.0.2")]];
    let mut after = Sessions::new(&setup(1, list), WorkerId(0), 77);
    assert!(after.resume(InterfaceId(0), &mut net::carry::Opened::new(left), Instant::ZERO.after(ms(60))));
    let now = after.statuses(InterfaceId(0));
    let then = before.statuses(InterfaceId(0)).remove(0);
    assert_eq!((now[0].state, now[1].state), (BfdState::Down, BfdState::Up));
    assert_eq!((now[1].discriminator, now[1].remote_discriminator), (mine, then.remote_discriminator));
    assert_eq!(
        (now[1].detection, now[1].tx_interval, now[1].heard),
        (then.detection, then.tx_interval, then.heard)
    );
    assert_eq!(
        after.poll_event().map(|(_, peer, event)| (peer.to_string(), event)),
        Some((theirs.to_owned(), BfdEvent::Up))
    );
    // It speaks when its predecessor would have, from the same port; and is lost when that would have lost it.
    after.handle_timeout(Instant::ZERO.after(ms(60)));
    let next = drain(&mut after).into_iter().find(|one| one.destination.0.to_string() == theirs).unwrap();
    assert_eq!((next.source, next.control.state), (sent[0].source, BfdState::Up));
    assert!(after.is_judgement_due(Instant::ZERO.after(ms(160))));

    for cut in 0..left.len() {
        let mut other = sessions(two());
        assert!(
            !other.resume(InterfaceId(0), &mut net::carry::Opened::new(&left[..cut]), Instant::ZERO),
            "{cut}"
        );
    }
}
