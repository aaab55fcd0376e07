//! One machine on which all is well, and what is said when one thing is not.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    time::{Duration, SystemTime},
};

use config::{Config, KeyKind, model::MkaKey};
use sys::process::Capability;

use super::{Finding, Layer, Machine, Seat, Verdict, examine};
use crate::{
    api::testbed::{config_with_keys, facts},
    link_monitor::Link,
};

fn machine() -> Machine {
    let mut devices = facts().devices;
    // The second channel has a tag in clear.
    devices[3].mtu = Some(1604);
    Machine {
        kernel: Some((6, 1)),
        rights: vec![Capability::NetAdmin, Capability::NetRaw, Capability::SysNice],
        processors: vec![0, 1],
        aes: true,
        tun: true,
        synchronized: Some(true),
        now: SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 20_000),
        devices,
        holders: vec![None; 4],
        layers: vec![Vec::new(); 4],
        addresses: vec![Vec::new(); 4],
        seat: Seat::Free,
        state: None,
        known_saks: None,
        metrics: None,
    }
}

fn config() -> Config {
    Config::clone(&facts().config)
}

/// What is not well.
fn wrong(config: &Config, machine: &Machine) -> Vec<Finding> {
    let all = examine(config, machine);
    all.into_iter().filter(|finding| finding.result > Verdict::Ok).collect()
}

#[test]
fn where_all_is_well_nothing_is_said() {
    assert_eq!(wrong(&config(), &machine()), []);
    let checks: Vec<_> = examine(&config(), &machine()).iter().map(|finding| finding.check).collect();
    for check in ["kernel", "rights", "processor", "state", "gateway", "port", "clock"] {
        assert!(checks.contains(&check), "{check}");
    }
}

#[test]
fn each_ill_is_found_and_has_a_remedy() {
    type Ill = (&'static str, Verdict, &'static str, fn(&mut Config, &mut Machine));
    let ills: [Ill; 14] = [
        ("kernel", Verdict::Warn, "4.19", |_, machine| machine.kernel = Some((4, 19))),
        ("processor", Verdict::Warn, "AES-GCM", |_, machine| machine.aes = false),
        ("processor", Verdict::Warn, "2 workers share 1", |_, machine| machine.processors = vec![0]),
        ("processor", Verdict::Warn, "CPU 7", |config, _| config.runtime.pin = vec![0, 7]),
        ("rights", Verdict::Fail, "no CAP_NET_ADMIN and no CAP_NET_RAW", |_, machine| machine.rights.clear()),
        ("rights", Verdict::Warn, "BFD", |_, machine| machine.rights.truncate(2)),
        ("state", Verdict::Fail, "/var/lib", |_, machine| {
            machine.state = Some(("/var/lib: EACCES".to_owned(), "give it to its owner".to_owned()))
        }),
        ("gateway", Verdict::Fail, "not a socket", |_, machine| {
            machine.seat = Seat::Trouble("it is not a socket".to_owned());
        }),
        ("metrics", Verdict::Fail, "127.0.0.1:9477: in use", |config, machine| {
            config.runtime.metrics = "127.0.0.1:9477".parse().ok();
            machine.metrics = Some("in use".to_owned());
        }),
        ("port", Verdict::Fail, "eth1: another Quadspan has it, process 7", |_, machine| {
            machine.holders[1] =
                Some("another Quadspan has it, process 7 (x). Stop that one (`kill 7`)".to_owned());
        }),
        ("port", Verdict::Fail, "no device eth2", |_, machine| machine.devices[2].link = Link::Gone),
        ("port", Verdict::Warn, "no carrier", |_, machine| {
            machine.devices[3].link = Link::NoCarrier { index: 4 }
        }),
        ("port", Verdict::Fail, "eth2 has an MTU of 1500; its channels need 1600", |_, machine| {
            machine.devices[2].mtu = Some(1500);
        }),
        ("port", Verdict::Warn, "10.0.0.1 on eth3", |_, machine| {
            machine.addresses[3] = vec![Ipv4Addr::new(10, 0, 0, 1)];
        }),
    ];
    for (check, result, words, break_it) in ills {
        let (mut config, mut machine) = (config(), machine());
        break_it(&mut config, &mut machine);
        let found = wrong(&config, &machine);
        let [finding] = &found[..] else { panic!("{check} {words}: {found:?}") };
        assert_eq!((finding.check, finding.result), (check, result), "{finding:?}");
        assert!(finding.message.contains(words), "{finding:?}");
        assert!(finding.remedy.as_ref().is_some_and(|remedy| remedy.len() > 10), "{finding:?}");
    }
}

#[test]
fn a_static_sak_without_a_record_of_its_numbers_is_told() {
    let mut machine = machine();
    let config = config();
    let saks: Vec<_> = config.channels.iter().flat_map(|one| &one.macsec.tx).collect();
    let saks: BTreeSet<_> = saks.iter().map(|sa| sa.key.fingerprint(KeyKind::Sak)).collect();
    assert!(!saks.is_empty());
    machine.known_saks = Some(saks.clone());
    assert_eq!(wrong(&config, &machine), []);
    machine.known_saks = Some(BTreeSet::new());
    let found = wrong(&config, &machine);
    assert!(found.iter().all(|one| (one.check, one.result) == ("keys", Verdict::Warn)), "{found:?}");
    let told: String = found.iter().map(|one| one.message.as_str()).collect();
    assert!(saks.iter().all(|sak| told.contains(sak)) && told.contains("packet number 1"), "{told}");
}

#[test]
fn the_mtu_that_is_too_large_is_called_by_its_place() {
    let (mut config, mut machine) = (config(), machine());
    let remedy = |config: &Config, machine: &Machine| wrong(config, machine)[0].remedy.clone().unwrap();
    machine.devices[2].mtu = Some(1500);
    let both = remedy(&config, &machine);
    for one in config.connections.iter_mut().flat_map(|one| &mut one.attachments) {
        one.mtu = None;
    }
    config.channels[0].mtu = Some(1600);
    let own = remedy(&config, &machine);
    assert!(own.contains("lower `mtu` of channel \"ch1\" by 100"), "{own}\n{both}");
    config.channels[0].mtu = None;
    config.connections[0].attachments[0].mtu = Some(1500);
    let attachments = remedy(&config, &machine);
    assert!(attachments.contains("lower `mtu` of the attachments by "), "{attachments}");
}

#[test]
fn tags_in_clear_count_for_the_mtu() {
    let mut machine = machine();
    machine.devices[3].mtu = Some(1603);
    assert!(wrong(&config(), &machine)[0].message.contains("need 1604"));
    machine.devices[3].mtu = Some(1604);
    assert_eq!(wrong(&config(), &machine), []);
}

#[test]
fn an_mtu_is_raised_from_the_bottom_and_not_beyond_what_a_driver_takes() {
    let layer = |device: &str, mtu, most| Layer { device: device.to_owned(), mtu, most };
    let remedy = |layers: Vec<Layer>| {
        let mut machine = machine();
        machine.devices[2].mtu = Some(1500);
        machine.layers[2] = layers;
        wrong(&config(), &machine)[0].remedy.clone().unwrap()
    };
    let rest = ", at both ends and in between; or lower `mtu` of channel \"ch1\" by 100 (and of its attachments, where they have one)";
    for (layers, expected) in [
        (vec![], "ip link set dev eth2 mtu 1600"),
        (vec![layer("eth2", 1500, Some(9000))], "ip link set dev eth2 mtu 1600"),
        (
            vec![layer("bond0", 1500, None), layer("eth2", 1500, None)],
            "ip link set dev bond0 mtu 1600 && ip link set dev eth2 mtu 1600 (bond0 first: eth2 stands on it)",
        ),
        (vec![layer("bond0", 9000, None), layer("eth2", 1500, None)], "ip link set dev eth2 mtu 1600"),
        (vec![layer("bond0", 1500, None)], "ip link set dev bond0 mtu 1600 (eth2 is a member of it)"),
    ] {
        assert_eq!(remedy(layers), format!("{expected}{rest}"));
    }
    assert_eq!(
        remedy(vec![layer("nic0", 1500, Some(1504)), layer("eth2", 1500, None)]),
        "lower `mtu` of channel \"ch1\" by 100 (and of its attachments, where they have one): the driver of nic0 takes an MTU of 1504 at most"
    );
}

fn with_keys(change: impl FnOnce(&mut Vec<MkaKey>)) -> Config {
    let mut config = config_with_keys();
    let mka = config.channels[0].macsec.mka.as_mut().unwrap();
    change(&mut mka.keys);
    config
}

#[test]
fn keys_are_followed_from_one_to_the_next_until_there_is_none() {
    let now = machine().now;
    let days = |days: u64| Some(now + Duration::from_hours(24 * days));
    let past = Some(now - Duration::from_hours(1));
    // Start and end of each key, and what is said of them.
    for (times, result, words) in [
        (&[(None, None)][..], Verdict::Ok, "without an end"),
        (&[(None, days(10)), (days(9), None)], Verdict::Ok, "without an end"),
        (&[(None, days(10)), (days(10), days(100))], Verdict::Ok, "100 days"),
        (&[(None, days(10)), (days(11), days(100))], Verdict::Warn, "in 10 days"),
        (&[(None, days(29))], Verdict::Warn, "in 29 days"),
        (&[(None, past)], Verdict::Fail, "has ended"),
        (&[(days(2), None)], Verdict::Fail, "no key has started"),
    ] {
        let config = with_keys(|keys| {
            let first = keys[0].clone();
            *keys = times
                .iter()
                .map(|(start, end)| MkaKey { start: *start, end: *end, ..first.clone() })
                .collect();
        });
        let all = examine(&config, &machine());
        let finding = all.iter().find(|finding| finding.check == "keys").unwrap();
        assert!(finding.result == result && finding.message.contains(words), "{times:?}: {finding:?}");
        // Only keys that start or end need the clock.
        let dated = times.iter().any(|(start, end)| start.is_some() || end.is_some());
        let adrift = wrong(&config, &Machine { synchronized: Some(false), ..machine() });
        assert_eq!(adrift.iter().any(|finding| finding.check == "clock"), dated, "{times:?}");
    }
}

#[test]
fn this_machine_can_be_looked_at() {
    let machine = Machine::look(&config());
    assert!(machine.kernel.is_some() && !machine.processors.is_empty());
    assert_eq!((machine.devices.len(), machine.layers.len(), machine.holders.len()), (4, 4, 4));
    assert!(examine(&config(), &machine).len() > 8);
}
