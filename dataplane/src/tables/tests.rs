//! Tables and the set of routes they come of.

use super::*;

/// 500 routes with a next-hop group each; all have four hops of equal weight.
fn many_groups() -> ConnectionTables {
    ConnectionTables::build((0..500_u16).map(|at| {
        let [high, low] = at.to_be_bytes();
        let hop = |interface| Hop {
            interface: InterfaceId(interface),
            gateway: [10, high, low, u8::try_from(interface).unwrap()].into(),
            weight: 1,
            carries: true,
        };
        let prefix = format!("172.{}.{low}.0/24", 16 + high).parse().unwrap();
        (prefix, Target::Via((0..4).map(hop).collect()))
    }))
}

#[test]
fn groups_of_the_same_weights_share_what_is_long_to_compute() {
    let tables = many_groups();
    let first = &tables.groups()[0].preferences;
    assert_eq!(tables.groups().len(), 500);
    assert!(tables.groups().iter().all(|group| Arc::ptr_eq(&group.preferences, first)));
    assert_eq!(tables.groups()[7].choose(0b0100, 5), Some(tables.groups()[7].hops[2]));
    assert_eq!(tables.groups()[7].choose(0, 5), None);
}

#[test]
fn neighbours_are_listed_once_and_found_by_their_interface() {
    let mut routes: Vec<_> = vec![];
    for (prefix, gateways) in [("10.1.0.0/16", [1, 2]), ("10.2.0.0/16", [2, 3]), ("10.3.0.0/16", [2, 1])] {
        let hop = |at: u8| Hop {
            interface: InterfaceId(u16::from(at % 2)),
            gateway: [192, 0, 2, at].into(),
            weight: at,
            carries: true,
        };
        routes.push((prefix.parse().unwrap(), Target::Via(gateways.map(hop).to_vec())));
    }
    let tables = ConnectionTables::build(routes);
    let on =
        |at| tables.neighbors_on(InterfaceId(at)).iter().map(|(_, ip)| ip.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (on(0), on(1), on(2)),
        (vec!["192.0.2.2".to_owned()], vec!["192.0.2.1".into(), "192.0.2.3".into()], vec![])
    );
}

fn via(gateway: u8) -> Target {
    Target::Via(vec![Hop {
        interface: InterfaceId(0),
        gateway: [192, 0, 2, gateway].into(),
        weight: 1,
        carries: true,
    }])
}

fn hop_of(tables: &ConnectionTables, address: &str) -> Option<IpAddr> {
    match tables.lookup(address.parse().unwrap())? {
        NextHop::Group(at) => {
            tables.groups()[usize::try_from(at).unwrap()].choose(1, 0).map(|hop| hop.gateway)
        }
        NextHop::Local(_) | NextHop::OnLink(_) | NextHop::Blackhole | NextHop::Unreachable => None,
    }
}

#[test]
fn a_set_of_routes_hands_out_tables_that_stay_as_they_are() {
    let net = |text: &str| text.parse::<IpNet>().unwrap();
    let mut set = RouteSet::new([(net("10.1.0.0/24"), Target::OnLink(InterfaceId(1)))]);
    assert!(set.learn(net("10.9.0.7/16"), via(1)) && set.learn(net("10.1.0.0/24"), via(1)));
    let first = set.tables();
    assert!(!set.is_changed() && Arc::ptr_eq(&first, &set.tables()), "nothing changed: the same tables");
    assert!(!set.learn(net("10.9.0.0/16"), via(1)), "known already");
    assert!(set.learn(net("10.9.0.0/16"), via(2)));
    let second = set.tables();
    let gateways = [&first, &second].map(|tables| hop_of(tables, "10.9.1.1").unwrap().to_string());
    assert_eq!(gateways, ["192.0.2.1", "192.0.2.2"]);
    let fixed = second.lookup("10.1.0.9".parse().unwrap());
    assert_eq!(fixed, Some(NextHop::OnLink(InterfaceId(1))), "what is fixed goes before");
    assert_eq!((set.len(), set.learned(&net("10.1.0.0/24"))), (2, Some(&via(1))));
    assert!(set.is_fixed(&net("10.1.0.77/24")) && set.learned(&net("10.9.0.77/16")) == Some(&via(2)));
    assert!(
        set.forget(net("10.9.0.0/16")) && set.forget(net("10.1.0.0/24")) && !set.forget(net("10.9.0.0/16"))
    );
    let third = set.tables();
    assert_eq!(third.lookup("10.9.1.1".parse().unwrap()), None);
    assert_eq!(third.lookup("10.1.0.9".parse().unwrap()), fixed);
    assert!(set.is_empty() && third.groups().is_empty() && third.neighbors_on(InterfaceId(0)).is_empty());
}

#[test]
fn another_configuration_fixes_other_prefixes_and_leaves_what_was_learnt() {
    let net = |text: &str| text.parse::<IpNet>().unwrap();
    let fixed = |tables: &ConnectionTables, address: &str| tables.lookup(address.parse().unwrap());
    let on_link = |interface| Target::OnLink(InterfaceId(interface));
    let mut set = RouteSet::new([(net("10.1.0.0/24"), on_link(1)), (net("10.2.0.0/24"), on_link(2))]);
    set.learn(net("10.1.0.0/24"), via(1));
    let before = set.tables();
    set.rebase([(net("10.1.0.0/24"), on_link(1)), (net("10.2.0.0/24"), on_link(2))]);
    assert!(!set.is_changed(), "the same");
    set.rebase([(net("10.2.0.0/24"), on_link(3)), (net("fd00::/64"), on_link(3))]);
    let after = set.tables();
    assert_eq!(fixed(&before, "10.1.0.9"), Some(NextHop::OnLink(InterfaceId(1))));
    assert_eq!(hop_of(&after, "10.1.0.9"), Some([192, 0, 2, 1].into()), "what was learnt counts now");
    for address in ["10.2.0.9", "fd00::9"] {
        assert_eq!(fixed(&after, address), Some(NextHop::OnLink(InterfaceId(3))));
    }
}

#[test]
fn a_number_that_is_used_again_is_another_target_in_newer_tables_only() {
    let prefix: IpNet = "2001:db8::/32".parse().unwrap();
    let mut set = RouteSet::new([]);
    set.learn(prefix, via(1));
    let first = set.tables();
    set.forget(prefix);
    set.learn(prefix, via(2));
    let second = set.tables();
    let gateways = [&first, &second].map(|tables| hop_of(tables, "2001:db8::1").unwrap().to_string());
    assert_eq!(gateways, ["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn tables_share_their_targets_while_those_stay() {
    let mut set = RouteSet::new([]);
    let net = |at: u8| IpNet::V4(net::Ipv4Net::new_assert([10, at, 0, 0].into(), 16));
    (0..100).for_each(|at| assert!(set.learn(net(at), via(at % 4))));
    let first = set.tables();
    assert!(set.learn(net(7), via(0)));
    let second = set.tables();
    assert!(Arc::ptr_eq(&first.compiled.groups, &second.compiled.groups));
    assert!(set.learn(net(8), via(9)));
    assert!(!Arc::ptr_eq(&first.compiled.groups, &set.tables().compiled.groups));
}
