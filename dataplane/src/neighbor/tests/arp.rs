//! ARP: RFC 826, RFC 1122 §2.3.2, and the machine of RFC 4861 §7.3 that both protocols share.

use pnet_packet::{
    Packet,
    arp::{ArpOperations, ArpPacket},
    ethernet::{EtherTypes, EthernetPacket},
};

use super::*;

/// A question as an independent implementation reads it: destination MAC, sender, target.
fn question(frame: &[u8]) -> (MacAddr, (MacAddr, Ipv4Addr), Ipv4Addr) {
    let ethernet = EthernetPacket::new(frame).unwrap();
    assert_eq!(ethernet.get_ethertype(), EtherTypes::Arp);
    assert_eq!(ethernet.get_source().octets(), OWN_MAC.0);
    let arp = ArpPacket::new(ethernet.payload()).unwrap();
    assert_eq!(arp.get_operation(), ArpOperations::Request);
    assert_eq!(arp.get_target_hw_addr().octets(), [0; 6]);
    let sender = (MacAddr(arp.get_sender_hw_addr().octets()), arp.get_sender_proto_addr());
    (MacAddr(ethernet.get_destination().octets()), sender, arp.get_target_proto_addr())
}

#[test]
fn a_frame_waits_for_the_answer_and_then_goes() {
    let mut rig = Rig::new();
    assert_eq!(rig.resolve(HOST), Resolve::Unknown);
    assert_eq!(rig.hold(HOST, 1), Ok(()));
    assert_eq!(rig.hold(HOST, 2), Ok(()));
    let sent = rig.sent();
    assert_eq!(sent.len(), 1, "one question for both frames");
    assert_eq!(question(&sent[0]), (MacAddr::BROADCAST, (OWN_MAC, OWN), HOST));
    assert_eq!((rig.state(HOST), rig.resolve(HOST)), (Some(NeighborState::Incomplete), Resolve::Unknown));
    assert_eq!(rig.reply((HOST_MAC, HOST)), Ok(ArpOutcome::Done));
    assert_eq!(rig.released(), [(HOST_MAC, 1), (HOST_MAC, 2)]);
    assert_eq!(
        (rig.state(HOST), rig.resolve(HOST)),
        (Some(NeighborState::Reachable), Resolve::Known(HOST_MAC))
    );
    assert_eq!(rig.learned(), [(HOST.into(), HOST_MAC)]);
    // A frame that was on its way to wait goes at once.
    assert_eq!(rig.hold(HOST, 3), Ok(()));
    assert_eq!(rig.released(), [(HOST_MAC, 3)]);
}

#[test]
fn three_questions_without_answer_are_enough() {
    let mut rig = Rig::new();
    rig.hold(HOST, 1).unwrap();
    for second in 0..3 {
        assert_eq!(rig.sent().len(), 1, "second {second}");
        assert_eq!(rig.failed(), []);
        rig.next();
    }
    assert_eq!((rig.failed(), rig.sent().len(), rig.state(HOST)), (vec![1], 0, None));
    assert_eq!(rig.now.since(Instant::from_nanos(1_000_000_000)), Duration::from_secs(3));
    assert_eq!(rig.cache.poll_timeout(), None);
    // The next frame asks again.
    rig.hold(HOST, 2).unwrap();
    assert_eq!(rig.sent().len(), 1);
}

#[test]
fn who_asks_for_us_is_answered_and_known() {
    // RFC 826: the sender of a request for us is learned, for we are about to talk.
    let mut rig = Rig::new();
    let outcome = rig.request((HOST_MAC, HOST));
    let reply = ArpReply { to: (HOST_MAC, HOST), own: OWN };
    assert_eq!(outcome, Ok(ArpOutcome::Reply(reply)));
    assert_eq!(rig.state(HOST), Some(NeighborState::Stale));
    assert_eq!(rig.resolve(HOST), Resolve::Known(HOST_MAC));
    let mut buf = PacketBuf::with_capacity(200, 100);
    assert!(rig.cache.build_arp_reply(reply, &mut buf));
    let (header, body) = Ethernet::split(&buf).unwrap();
    assert_eq!((header.destination, header.source, header.ethertype), (HOST_MAC, OWN_MAC, EtherType::ARP));
    let arp = ArpPacket::new(body).unwrap();
    assert_eq!(arp.get_operation(), ArpOperations::Reply);
    assert_eq!((arp.get_sender_proto_addr(), arp.get_target_proto_addr()), (OWN, HOST));
    assert_eq!(
        (arp.get_sender_hw_addr().octets(), arp.get_target_hw_addr().octets()),
        (OWN_MAC.0, HOST_MAC.0)
    );
    let mut small = PacketBuf::with_capacity(41, 0);
    assert!(!rig.cache.build_arp_reply(reply, &mut small) && small.is_empty());
}

#[test]
fn a_request_from_whom_we_ask_resolves_it() {
    let mut rig = Rig::new();
    rig.hold(HOST, 9).unwrap();
    rig.request((HOST_MAC, HOST)).unwrap();
    assert_eq!(rig.released(), [(HOST_MAC, 9)]);
    // It heard us ask or not; either way nothing confirms the way there, so it will be probed.
    assert_eq!(rig.state(HOST), Some(NeighborState::Delay));
}

#[test]
fn a_neighbour_in_use_is_probed_and_one_that_is_gone_is_noticed() {
    // RFC 4861 §7.3.2: Reachable, Stale, Delay for 5 s, Probe.
    let mut rig = Rig::new();
    rig.request((HOST_MAC, HOST)).unwrap();
    rig.wait(100);
    assert_eq!((rig.state(HOST), rig.sent().len()), (Some(NeighborState::Stale), 0), "nobody uses it");
    assert_eq!(rig.resolve(HOST), Resolve::Known(HOST_MAC));
    assert_eq!(rig.state(HOST), Some(NeighborState::Delay));
    rig.wait(5);
    let sent = rig.sent();
    assert_eq!(question(&sent[0]), (HOST_MAC, (OWN_MAC, OWN), HOST), "a unicast poll, RFC 1122 §2.3.2.1");
    assert_eq!((sent.len(), rig.state(HOST)), (1, Some(NeighborState::Probe)));
    rig.reply((HOST_MAC, HOST)).unwrap();
    assert_eq!(rig.state(HOST), Some(NeighborState::Reachable));
    // It goes away.
    rig.wait(46);
    assert_eq!(rig.resolve(HOST), Resolve::Known(HOST_MAC));
    rig.wait(5);
    for _ in 0..3 {
        assert_eq!((rig.sent().len(), rig.resolve(HOST)), (1, Resolve::Known(HOST_MAC)));
        rig.wait(1);
    }
    assert_eq!((rig.resolve(HOST), rig.state(HOST)), (Resolve::Unknown, None));
}

#[test]
fn after_the_link_went_down_whoever_is_in_use_is_asked_at_once() {
    // RFC 1122 §2.3.2.1, RFC 4861 §7.3.1: what the layer below says counts.
    let mut rig = Rig::new();
    let (gone, idle) = ((OTHER_MAC, Ipv4Addr::new(10, 0, 0, 8)), (HOST_MAC, Ipv4Addr::new(10, 0, 0, 9)));
    for one in [(HOST_MAC, HOST), gone, idle] {
        rig.request(one).unwrap();
    }
    for used in [HOST, gone.1] {
        assert!(matches!(rig.resolve(used), Resolve::Known(_)));
    }
    rig.cache.doubt_all(rig.now);
    assert_eq!(rig.sent().len(), 2, "nobody waits for the idle one");
    assert_eq!(
        (rig.state(HOST), rig.state(idle.1)),
        (Some(NeighborState::Probe), Some(NeighborState::Stale))
    );
    rig.reply((HOST_MAC, HOST)).unwrap();
    assert_eq!(rig.state(HOST), Some(NeighborState::Reachable), "the link was back before");
    for _ in 0..3 {
        rig.wait(1);
    }
    assert_eq!(rig.state(gone.1), None);
    // What is sent there from now on waits for an answer, and who sent it is told.
    rig.hold(gone.1, 1).unwrap();
    for _ in 0..3 {
        rig.wait(1);
    }
    assert_eq!(rig.failed(), [1]);
}

#[test]
fn a_gratuitous_arp_moves_who_is_known_and_introduces_nobody() {
    let mut rig = Rig::new();
    for operation in [Operation::Request, Operation::Reply] {
        assert_eq!(rig.arp(operation, (HOST_MAC, HOST), HOST), Ok(ArpOutcome::Done));
        assert_eq!(rig.state(HOST), None);
        assert_eq!(rig.learned(), []);
    }
    rig.hold(HOST, 1).unwrap();
    rig.reply((HOST_MAC, HOST)).unwrap();
    rig.arp(Operation::Request, (OTHER_MAC, HOST), HOST).unwrap();
    assert_eq!(rig.state(HOST), Some(NeighborState::Stale));
    assert_eq!(rig.resolve(HOST), Resolve::Known(OTHER_MAC));
    assert_eq!(rig.learned(), [(HOST.into(), HOST_MAC), (HOST.into(), OTHER_MAC)]);
    // The same once more is no news.
    rig.arp(Operation::Request, (OTHER_MAC, HOST), HOST).unwrap();
    assert_eq!(rig.learned(), []);
}

#[test]
fn an_answer_to_another_workers_question_is_passed_on() {
    let mut rig = Rig::new();
    assert_eq!(rig.reply((HOST_MAC, HOST)), Ok(ArpOutcome::Done));
    assert_eq!((rig.state(HOST), rig.learned()), (None, vec![(HOST.into(), HOST_MAC)]));
    let mut other = Rig::new();
    other.hold(HOST, 5).unwrap();
    other.cache.learn(HOST.into(), HOST_MAC, other.now);
    assert_eq!(other.released(), [(HOST_MAC, 5)]);
    assert_eq!(
        (other.state(HOST), other.learned()),
        (Some(NeighborState::Reachable), vec![]),
        "no echo of the news"
    );
    // Also before anybody there asked; but nothing that cannot be.
    let far = Ipv4Addr::new(192, 0, 2, 1);
    for (ip, mac) in [(far, HOST_MAC), (OWN, HOST_MAC), (Ipv4Addr::new(10, 0, 0, 9), MacAddr::BROADCAST)] {
        rig.cache.learn(ip.into(), mac, rig.now);
    }
    assert_eq!(rig.cache.entries(rig.now).count(), 0);
    rig.cache.learn(HOST.into(), HOST_MAC, rig.now);
    assert_eq!(rig.resolve(HOST), Resolve::Known(HOST_MAC));
}

#[test]
fn a_probe_for_our_address_is_defended_and_not_learned() {
    // RFC 5227 §2.1.1: a host that wants our address asks with sender 0.0.0.0.
    let mut rig = Rig::new();
    let reply = ArpReply { to: (HOST_MAC, Ipv4Addr::UNSPECIFIED), own: OWN };
    assert_eq!(rig.request((HOST_MAC, Ipv4Addr::UNSPECIFIED)), Ok(ArpOutcome::Reply(reply)));
    assert_eq!(rig.cache.entries(rig.now).count(), 0);
}

#[test]
fn another_station_with_our_address_is_a_conflict() {
    let mut rig = Rig::new();
    assert_eq!(rig.reply((HOST_MAC, OWN)), Ok(ArpOutcome::Conflict { mac: HOST_MAC, own: OWN }));
    assert_eq!(rig.reply((OWN_MAC, OWN)), Ok(ArpOutcome::Done), "our own, sent back to us");
}

#[test]
fn senders_that_cannot_be_are_refused() {
    let mut rig = Rig::new();
    for (sender, why) in [
        ((MacAddr::BROADCAST, HOST), BadNeighborMessage::NotAStation),
        ((MacAddr::ZERO, HOST), BadNeighborMessage::NotAStation),
        ((HOST_MAC, Ipv4Addr::new(224, 0, 0, 1)), BadNeighborMessage::NotAStation),
        ((HOST_MAC, Ipv4Addr::LOCALHOST), BadNeighborMessage::NotAStation),
        ((HOST_MAC, Ipv4Addr::new(10, 0, 1, 7)), BadNeighborMessage::OffLink),
        ((HOST_MAC, Ipv4Addr::new(10, 0, 0, 0)), BadNeighborMessage::OffLink),
        ((HOST_MAC, Ipv4Addr::new(10, 0, 0, 255)), BadNeighborMessage::OffLink),
        ((HOST_MAC, Ipv4Addr::BROADCAST), BadNeighborMessage::OffLink),
    ] {
        rig.cache.off_link = None;
        assert_eq!(rig.request(sender), Err(why), "{sender:?}");
        // Whoever sits at a far end with another address is told of.
        let beyond = (why == BadNeighborMessage::OffLink).then_some((sender.1.into(), rig.now));
        assert_eq!(rig.cache.off_link(), beyond);
    }
    let packet = Arp::new(Operation::Request, (HOST_MAC, HOST), (MacAddr::ZERO, OWN));
    assert_eq!(rig.cache.handle_arp(&packet.as_bytes()[..27], rig.now), Err(BadNeighborMessage::Malformed));
    assert_eq!(rig.cache.entries(rig.now).count(), 0);
}

#[test]
fn both_ends_of_a_point_to_point_subnet_are_hosts() {
    // RFC 3021: a /31 has no network and no broadcast address.
    let mut rig = Rig::with(NeighborParams { v4: vec!["10.0.0.1/31".parse().unwrap()], ..params() });
    assert_eq!(rig.hold(Ipv4Addr::new(10, 0, 0, 0), 1), Ok(()));
    assert_eq!(rig.hold(Ipv4Addr::new(10, 0, 0, 2), 1), Err(1));
}

#[test]
fn the_question_comes_from_the_address_in_the_same_subnet() {
    let v4 = vec!["10.0.0.1/24".parse().unwrap(), "172.16.0.1/16".parse().unwrap()];
    let mut rig = Rig::with(NeighborParams { v4, ..params() });
    rig.hold(Ipv4Addr::new(172, 16, 9, 9), 1).unwrap();
    assert_eq!(question(&rig.sent()[0]).1.1, Ipv4Addr::new(172, 16, 0, 1));
}

// What a predecessor knew is used at once, also when its successor has begun to ask already: as it does when its channel opens.
#[test]
fn what_a_predecessor_knew_is_known_although_it_is_asked_for() {
    let mut rig = Rig::new();
    rig.cache.greet(HOST.into(), rig.now);
    rig.cache.resume(HOST.into(), HOST_MAC, rig.now);
    assert_eq!(rig.resolve(HOST), Resolve::Known(HOST_MAC));
    assert_eq!(rig.sent().len(), 1, "and it is asked all the same");
}

// A host's own stack asks by the same link and may wait for the answer: a neighbour that asks us meanwhile gives it none.
#[test]
fn who_asks_us_before_we_have_asked_is_asked_all_the_same() {
    let mut rig = Rig::new();
    rig.cache.greet(HOST.into(), rig.now);
    assert!(matches!(rig.request((HOST_MAC, HOST)), Ok(ArpOutcome::Reply(_))));
    assert_eq!(rig.resolve(HOST), Resolve::Known(HOST_MAC));
    assert_eq!(rig.sent().len(), 1);
    assert_eq!(rig.reply((HOST_MAC, HOST)), Ok(ArpOutcome::Done));
    assert_eq!((rig.state(HOST), rig.sent().len()), (Some(NeighborState::Reachable), 0));
}
