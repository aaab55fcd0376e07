//! What the API says of a gateway that is well, and of one that is not.

use ::macsec::An;
use config::model as words;
use dataplane::{
    ChannelId, DropReason, Fault, Hop as PlanHop, InterfaceId, Target, WorkerId,
    port::{PortCounters, PortKind},
};

use super::*;
use crate::{
    api::{
        model::{ChannelState, ConnectionState, Health, PortState, RouteAction, RouteOrigin, Severity},
        source::monitor_alert,
        testbed::{break_channel, facts},
    },
    bgp::report::{Cursor, LearnedRoutes, RoutesReport},
    events::Sums,
    link_monitor::{Health as MonitorHealth, Link},
};

#[test]
fn channels_say_how_they_are_protected() {
    let facts = facts();
    let all = channels(&facts);
    let [ch1, ch2] = &all[..] else { panic!("{all:?}") };
    assert_eq!((ch1.name.as_str(), ch1.interconnect.as_str(), ch1.port.as_str()), ("ch1", "to-b", "wan1"));
    assert_eq!(
        (ch1.state, ch1.reason.as_deref(), ch1.carrier, ch1.mtu),
        (ChannelState::Live, None, true, 1600)
    );
    assert_eq!(ch1.since, Some("2026-11-21T14:00:11Z".parse().unwrap()));
    assert_eq!(
        (ch1.rx_frames, ch1.rx_octets, ch1.tx_frames, ch1.tx_octets),
        (123_456, 98_765_432, 4711, 4_711_000)
    );
    assert_eq!((ch1.worker, ch2.worker), (0, 1));
    let macsec = &ch1.macsec;
    assert!(macsec.secured && !macsec.clear_text && !macsec.accepts_clear_text);
    assert_eq!((macsec.policy.as_str(), macsec.suite.as_str()), ("must_secure", "gcm-aes-xpn-256"));
    assert_eq!(macsec.sci.as_deref(), Some("02:00:5e:aa:00:02/0001"));
    assert_eq!((macsec.encoding_an, macsec.next_pn, macsec.pn_limit), (Some(0), Some(0x1000_0000), u64::MAX));
    assert_eq!((macsec.rx[0].sci.as_str(), macsec.rx[0].lowest_pn), ("02:00:5e:bb:00:01/0001", 9000));
    assert_eq!(macsec.counters.len(), 20, "every counter of the standard, by its name");
    let macsec = &ch2.macsec;
    assert!(macsec.secured && !macsec.clear_text && macsec.accepts_clear_text);
    assert_eq!(
        (macsec.policy.as_str(), macsec.pn_limit, &ch2.clear_tags[..]),
        ("should_secure", 0xffff_ffff, &[7][..])
    );
}

#[test]
fn what_does_the_keys_is_shown_as_it_is_and_not_as_it_was_meant() {
    let mut facts = facts();
    let meant = macsec(&facts)[0].backend.clone();
    assert_eq!(meant, ::macsec::Backend::Auto.works_here());
    facts.reports[0].snapshot.channels[0].secy.transmit.sas[0].backend = "aws-lc";
    // A processor that cannot do it has nothing to be refused.
    let both = if sys::gcm::is_supported() { "aws-lc and vaes" } else { "aws-lc" };
    let refused = sys::gcm::is_supported();
    let seen = &macsec(&facts)[0];
    assert_eq!((seen.backend.as_str(), seen.cipher_refused), (both, refused));
    assert_eq!(channels(&facts)[0].macsec.cipher_refused, refused);
    let page = crate::metrics::text(&facts, &Sums::default());
    let line = format!("quadspan_macsec_cipher_refused{{channel=\"ch1\"}} {}", u8::from(refused));
    assert!(page.contains(&line), "{line}");
    let screen = crate::show::macsec(&crate::show::Look::plain(facts.wall), &macsec(&facts));
    assert_eq!(screen.contains("(a key failed its trial with vaes)"), refused, "{screen}");
}

#[test]
fn secys_are_shown_by_the_standards_names_and_keys_by_fingerprints() {
    let facts = facts();
    let all = macsec(&facts);
    let sa = &all[0].transmit.sas[0];
    assert_eq!((sa.next_pn, sa.pns_left, sa.ssci, sa.in_use), (0x1000_0000, 0x0100_0001, Some(1), true));
    assert_eq!((all[1].transmit.encoding_an, all[1].transmit.sas[0].ssci), (Some(3), None));
    assert_eq!((all[1].validate_frames.as_str(), all[0].validate_frames.as_str()), ("check", "strict"));
    assert_eq!(sa.created, "2026-11-21T13:02:12Z".parse().unwrap());
    let secy = facts.channel(ChannelId(0)).unwrap();
    assert_eq!(sa.key, secy.secy.transmit.sas[0].fingerprint.to_string());
    // One form everywhere: `show config` has the same.
    assert_eq!(sa.key, facts.config.channels[0].macsec.tx[0].key.fingerprint(config::KeyKind::Sak));
    let everything = serde_json::to_string(&all).unwrap() + &serde_json::to_string(&*facts.config).unwrap();
    assert!(!everything.contains(&crate::api::testbed::KEY[8..32]));
}

#[test]
fn a_connection_is_as_well_as_its_attachments() {
    let mut facts = facts();
    let all = connections(&facts);
    assert_eq!((all[0].state, all[0].live, all[0].total), (ConnectionState::Up, 2, 2));
    assert_eq!((all[0].mode.as_str(), all[1].mode.as_str()), ("routed", "transparent"));
    // What both workers moved.
    assert_eq!((all[0].attachments[0].rx_frames, all[0].rx_octets), (20, 10_000));
    assert_eq!((all[0].attachments[0].vlan, all[0].attachments[0].mtu), (Some(100), 1600 - 32 - 4));
    assert_eq!((all[1].lans[0].port.as_str(), all[1].lans[0].vlan), ("lan2", Some(20)));

    break_channel(&mut facts, 0, Fault::NoCarrier);
    let all = connections(&facts);
    assert_eq!(
        (all[0].state, all[0].live, all[0].reason.as_deref()),
        (ConnectionState::Degraded, 1, Some("no_carrier"))
    );
    assert_eq!(all[1].state, ConnectionState::Down);
    assert_eq!(all[0].attachments[0].state, ChannelState::Down);
    assert_eq!(all[0].attachments[1].state, ChannelState::Live);
}

#[test]
fn what_one_worker_knows_of_a_neighbour_is_known() {
    let all = neighbors(&facts());
    let [one] = &all[..] else { panic!("{all:?}") };
    assert_eq!((one.interface.as_str(), one.ip.to_string().as_str()), ("blue/ch1", "169.254.1.2"));
    assert_eq!((one.mac.as_deref(), one.state.as_str()), (Some("02:00:5e:bb:00:01"), "reachable"));
}

#[test]
fn ports_sum_what_their_workers_count() {
    let mut facts = facts();
    let all = ports(&facts);
    let (lan, wan) = (&all[0], &all[2]);
    // A LAN port is opened by both workers, a channel's by its owner.
    assert_eq!(
        (lan.rx_frames, &lan.workers[..], wan.rx_frames, &wan.workers[..]),
        (2400, &[0, 1][..], 1200, &[0][..])
    );
    assert_eq!((lan.vnet, wan.vnet, lan.io.as_str(), lan.role.as_str()), (true, false, "af_packet", "lan"));
    // The configuration says `auto` to both; this is what was opened.
    assert_eq!(lan.ring.as_deref(), Some("v2"));
    facts.reports[0].ports[2] = Some((PortKind::PacketV3, PortCounters::default()));
    assert_eq!(ports(&facts)[2].ring.as_deref(), Some("v3"));
    assert_eq!((lan.state, lan.carrier, lan.mtu), (PortState::Up, true, Some(1500)));
    facts.devices[0].link = Link::NoCarrier { index: 2 };
    facts.devices[1].link = Link::Gone;
    let all = ports(&facts);
    assert_eq!((all[0].state, all[0].reason.as_deref()), (PortState::Down, Some("no_carrier")));
    assert_eq!((all[1].state, all[1].reason.as_deref()), (PortState::Down, Some("port_down")));
}

#[test]
fn a_port_that_is_not_what_was_asked_for_says_so() {
    let mut facts = facts();
    let wan = std::sync::Arc::make_mut(&mut facts.config).ports.get_mut(2).unwrap();
    wan.io = words::Io::AfXdp;
    for (kind, io, ring, wanted) in [
        (PortKind::XdpZeroCopy, "af_xdp", "zero-copy", None),
        (PortKind::XdpBulk, "af_xdp", "bulk", None),
        (PortKind::XdpCopy, "af_xdp", "copy", None),
        (PortKind::XdpGeneric, "af_xdp", "generic", Some("af_xdp")),
        (PortKind::PacketV2, "af_packet", "v2", Some("af_xdp")),
    ] {
        facts.reports[0].ports[2] = Some((kind, PortCounters::default()));
        let wan = ports(&facts).swap_remove(2);
        assert_eq!(
            (wan.io.as_str(), wan.ring.as_deref(), wan.wanted_io.as_deref()),
            (io, Some(ring), wanted)
        );
    }
    assert_eq!(ports(&facts)[0].wanted_io, None);
}

#[test]
fn drops_are_listed_once_the_most_frequent_first() {
    let mut facts = facts();
    facts.reports[0].snapshot.channels[0].drops.add(DropReason::MacsecLate, 5);
    for report in &mut facts.reports {
        report.snapshot.ports[0].drops.add(DropReason::NoRoute, 4);
    }
    let all = drops(&facts);
    let seen: Vec<_> = all
        .iter()
        .map(|one| (one.scope.as_str(), one.name.as_str(), one.reason.as_str(), one.count))
        .collect();
    assert_eq!(seen, [("port", "lan1", "no_route", 8), ("channel", "ch1", "macsec_late", 5)]);
    assert_eq!(ports(&facts)[0].drops.get("no_route"), Some(&8));
    assert_eq!(channels(&facts)[0].drops.get("macsec_late"), Some(&5));
}

#[test]
fn routes_say_where_they_come_from_and_what_is_live() {
    let mut facts = facts();
    break_channel(&mut facts, 1, Fault::NotSecured);
    let all = routes(&facts, Cursor::default(), &RoutesReport::default()).items;
    let find = |prefix: &str| all.iter().find(|route| route.prefix.to_string() == prefix).unwrap();
    let route = find("10.2.0.0/24");
    assert_eq!(
        (route.origin, route.action, route.connection.as_str()),
        (RouteOrigin::Static, RouteAction::Via, "blue")
    );
    let hops: Vec<_> = route.hops.iter().map(|hop| (hop.interface.as_str(), hop.live)).collect();
    assert_eq!(hops, [("blue/ch1", true), ("blue/ch2", false)]);
    assert_eq!(
        (find("10.3.0.0/24").origin, find("10.3.0.0/24").action),
        (RouteOrigin::Static, RouteAction::Blackhole)
    );
    assert_eq!(find("10.1.0.0/24").interface.as_deref(), Some("blue/lan1"));
    assert_eq!(find("10.1.0.1/32").origin, RouteOrigin::Local);
    assert_eq!(find("10.1.0.255/32").origin, RouteOrigin::Subnet);
    assert!(all.iter().all(|route| route.connection == "blue"), "a wire has no routes");
}

#[test]
fn a_gateway_that_is_well_only_warns_of_weakness() {
    let status = status(&facts());
    assert_eq!((status.state, status.uptime_seconds, status.site.as_str()), (Health::Ok, 3600, "site-a"));
    let [reason] = &status.reasons[..] else { panic!("{:?}", status.reasons) };
    assert_eq!((reason.severity, reason.subject.as_str()), (Severity::Warning, "channel/ch2"));
    assert!(reason.message.contains("SHOULD-SECURE"), "{reason:?}");
    assert_eq!(status.workers.len(), 2);
}

#[test]
fn every_way_of_not_being_well_has_a_reason() {
    let reasons = |facts: &Facts| {
        let status = status(facts);
        let bad = status.reasons.iter().filter(|reason| reason.severity == Severity::Degraded);
        let list: Vec<_> = bad.map(|reason| format!("{} {}", reason.subject, reason.reason)).collect();
        assert_eq!(status.state == Health::Degraded, !list.is_empty());
        list
    };
    let mut broken = facts();
    break_channel(&mut broken, 1, Fault::NoCarrier);
    assert_eq!(reasons(&broken), ["channel/ch2 no_carrier", "connection/blue no_carrier"]);

    let mut lan = facts();
    lan.devices[0].link = Link::Gone;
    lan.devices[2].link = Link::Gone;
    assert_eq!(reasons(&lan), ["port/lan1 port_down"], "a channel speaks for its port");

    let mut silent = facts();
    silent.reports.retain(|report| report.snapshot.worker == WorkerId(0));
    let all = channels(&silent);
    assert_eq!((all[0].state, all[1].state), (ChannelState::Live, ChannelState::Unknown));
    assert_eq!(reasons(&silent), ["worker/1 worker_silent", "connection/blue worker_silent"]);

    let (mut deaf, health) = (facts(), MonitorHealth::default());
    assert_eq!(monitor_alert(&health), None);
    health.failed();
    deaf.alerts.extend(monitor_alert(&health));
    assert_eq!(reasons(&deaf), ["links link_monitor_failed"]);

    let mut used_up = facts();
    let secy = &mut used_up.reports[1].snapshot.channels[0].secy;
    assert_eq!(secy.transmit.sas[0].an, An::new(3).unwrap());
    secy.transmit.sas[0].next_pn = 0xc000_0000;
    assert_eq!(reasons(&used_up), ["channel/ch2 pn_exhaustion"]);
    used_up.reports[1].snapshot.channels[0].secy.transmit.sas[0].next_pn = 0xbfff_fff0;
    assert!(reasons(&used_up).is_empty());
}

#[test]
fn what_bgp_learnt_stands_beside_what_the_file_says_and_below_it() {
    let facts = facts();
    let via = |gateway: &str| {
        Target::Via(vec![PlanHop {
            interface: InterfaceId(0),
            gateway: gateway.parse().unwrap(),
            weight: 1,
            carries: true,
        }])
    };
    let learned = LearnedRoutes {
        connection: 0,
        rest: 10,
        routes: vec![
            ("10.2.0.0/24".parse().unwrap(), via("169.254.1.9")),
            ("10.9.0.0/16".parse().unwrap(), via("169.254.1.2")),
        ],
    };
    let report = RoutesReport { generation: 4, connections: vec![learned] };
    let page = routes(&facts, Cursor::default(), &report);
    let (all, unlisted) = (page.items, page.unlisted);
    assert_eq!(page.next.as_deref(), Some("blue/10.9.0.0/16"));
    assert!(all.is_sorted_by_key(|route| route.prefix));
    let find = |prefix: &str| all.iter().find(|route| route.prefix.to_string() == prefix).unwrap();
    assert_eq!(unlisted, 10);
    assert_eq!(find("10.2.0.0/24").origin, RouteOrigin::Static, "the file goes before neighbours");
    let learned = find("10.9.0.0/16");
    assert_eq!((learned.origin, learned.action), (RouteOrigin::Bgp, RouteAction::Via));
    assert_eq!(learned.hops[0].interface, "blue/ch1");
}
