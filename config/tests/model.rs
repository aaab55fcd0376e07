//! What comes out of a configuration that is right.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use core::time::Duration;
use std::{collections::BTreeSet, time::SystemTime};

use config::{
    Config, KeyKind,
    model::{
        Channel, Cipher, IcvIndicator, Interface, Marking, Mode, MssClamp, PortRole, TagType, TxSci, Via,
    },
};
use support::{BASE, EXAMPLES, base_with, load};

fn example(name: &str) -> Config {
    let (_, text) = EXAMPLES.into_iter().find(|(known, _)| *known == name).expect("it is an example");
    load(text).unwrap_or_else(|problems| panic!("{}", problems.render(100, false))).config
}

fn config(text: &str) -> Config {
    load(text).unwrap_or_else(|problems| panic!("{}", problems.render(100, false))).config
}

#[test]
fn the_two_sites_fit_together() {
    let (a, b) = (example("two-sites-a.toml"), example("two-sites-b.toml"));
    assert_eq!((a.channels.len(), b.channels.len()), (4, 4));
    for (ours, theirs) in a.channels.iter().zip(&b.channels) {
        let key = |channel: &Channel| channel.macsec.mka.as_ref().expect("it has MKA").keys[0].clone();
        assert_eq!((key(ours).ckn, key(ours).cak), (key(theirs).ckn, key(theirs).cak), "{}", ours.name);
        assert_eq!((ours.macsec.cipher, ours.mtu), (theirs.macsec.cipher, theirs.mtu));
    }
    let keys = a.channels.iter().map(|channel| &channel.macsec.mka.as_ref().expect("it has MKA").keys[0].ckn);
    assert_eq!(keys.collect::<BTreeSet<_>>().len(), 4, "every link has a key of its own");
    let (blue_a, blue_b) = (&a.connections[0], &b.connections[0]);
    for (ours, theirs) in blue_a.attachments.iter().zip(&blue_b.attachments) {
        let hosts = |list: &[net::IpNet]| list.iter().map(net::IpNet::addr).collect::<Vec<_>>();
        assert_eq!((&ours.peers, &theirs.peers), (&hosts(&theirs.addresses), &hosts(&ours.addresses)));
        assert_eq!(
            (ours.channel().index(), ours.vlan, ours.mtu),
            (theirs.channel().index(), theirs.vlan, theirs.mtu)
        );
    }
    assert_eq!(blue_a.routes[0].prefix, blue_b.lans[0].addresses[0].trunc());
}

#[test]
fn names_lead_to_places() {
    let config = config(BASE);
    let attachment = &config.connections[0].attachments[1];
    let channel = config.channel(attachment.channel()).expect("references are within the list");
    assert_eq!(
        (attachment.channel().name(), attachment.channel().index(), channel.name.as_str()),
        ("ch2", 1, "ch2")
    );
    assert_eq!(config.port(&channel.port).map(|port| port.device.as_str()), Some("eth2"));
    assert_eq!(config.interconnect(&channel.interconnect).map(|it| it.name.as_str()), Some("to-b"));
    assert_eq!(
        config.ports.iter().map(|port| port.role).collect::<Vec<_>>(),
        [PortRole::Lan, PortRole::Channel, PortRole::Channel]
    );
}

#[test]
fn offload_is_for_lans_only() {
    let offload: Vec<_> = config(BASE).ports.iter().map(|port| port.offload).collect();
    assert_eq!(offload, [true, false, false]);
}

#[test]
fn routes_know_their_next_hops() {
    let text = base_with(&[(
        "via = \"10.1.0.254\"",
        "via = \"10.1.0.254\"\n[[connection.route]]\nprefix = \"fd00:9::/64\"\nvia = \"attachments\"\n[[connection.route]]\nprefix = \"10.4.0.0/24\"\nvia = [\"ch2\"]\n[[connection.route]]\nprefix = \"10.5.0.0/24\"\nvia = \"169.254.11.2\"\n[[connection.route]]\nprefix = \"10.6.0.0/24\"\nvia = \"blackhole\"",
    )]);
    let via: Vec<_> = config(&text).connections[0].routes.iter().map(|route| route.via.clone()).collect();
    let neighbor =
        |address: &str, interface| Via::Neighbor { address: address.parse().expect("an address"), interface };
    let expected = [
        Via::Attachments(vec![0, 1]),
        neighbor("10.1.0.254", Interface::Lan(0)),
        // ch2 has no IPv6 peer.
        Via::Attachments(vec![0]),
        Via::Attachments(vec![1]),
        neighbor("169.254.11.2", Interface::Attachment(1)),
        Via::Blackhole,
    ];
    assert_eq!(via, expected);
}

#[test]
fn the_mtu_is_what_the_channel_leaves() {
    let first = |text: &str| config(text).connections[0].attachments[0].mtu;
    assert_eq!(first(BASE), Some(1500));
    assert_eq!(first(&base_with(&[("mtu = 1500\n", "")])), Some(1536 - 32 - 4));
    assert_eq!(first(&base_with(&[("mtu = 1500\n", ""), ("vlan = 100\n", "")])), Some(1536 - 32));
    assert_eq!(
        first(&base_with(&[("mtu = 1500\n", ""), ("include_sci = true", "end_station = true")])),
        Some(1536 - 24 - 4)
    );
    let off = base_with(&[("mtu = 1500\n", ""), ("policy = \"must-secure\"", "policy = \"off\"")]);
    assert_eq!(first(&off), Some(1536 - 4));
    // The device decides where the channel gives no number; the gateway uses the same sum.
    let base = config(BASE);
    assert_eq!(base.connections[0].attachments[1].mtu, None);
    assert_eq!((base.channels[1].overhead(false), base.channels[1].overhead(true)), (32, 36));
}

#[test]
fn the_short_forms_fix_the_sci() {
    let scb = config(&base_with(&[("cipher = \"gcm-aes-256\"", "cipher = \"gcm-aes-256\"\nscb = true")]));
    let macsec = &scb.channels[1].macsec;
    assert_eq!(
        (macsec.include_sci, macsec.scb, macsec.tx_sci),
        (false, true, TxSci::DeviceMac { port_id: 0 })
    );
    let es =
        config(&base_with(&[("cipher = \"gcm-aes-256\"", "cipher = \"gcm-aes-256\"\nend_station = true")]));
    let macsec = &es.channels[1].macsec;
    assert_eq!(
        (macsec.include_sci, macsec.end_station, macsec.tx_sci),
        (false, true, TxSci::DeviceMac { port_id: 1 })
    );
}

#[test]
fn profiles_set_defaults() {
    let gcp = config(&base_with(&[
        ("profile = \"quadspan\"", "profile = \"gcp-cci\""),
        ("replay_window = 0\n", ""),
        ("channel = \"ch2\"", "channel = \"ch2\"\nvlan = 7"),
    ]));
    assert_eq!(gcp.channels[0].macsec.replay_window, 64);
    assert_eq!(config(BASE).channels[1].macsec.replay_window, 0);
}

#[test]
fn receive_keys_are_grouped_by_their_sender() {
    let more = "key = { file = \"ch2-in\" }\n[[channel.macsec.static.rx]]\nsci = \"02000000bb03:0001\"\nan = 0\nkey = { file = \"x\" }\n[[channel.macsec.static.rx]]\nsci = \"02000000bb02:0001\"\nan = 1\nkey = { file = \"y\" }";
    let rx = config(&base_with(&[("key = { file = \"ch2-in\" }", more)])).channels[1].macsec.rx.clone();
    let seen: Vec<_> =
        rx.iter().map(|sc| (sc.sci.to_string(), sc.sas.iter().map(|sa| sa.an).collect::<Vec<_>>())).collect();
    assert_eq!(
        seen,
        [("02000000bb02:0001".to_owned(), vec![0, 1]), ("02000000bb03:0001".to_owned(), vec![0])]
    );
}

#[test]
fn a_channel_that_is_off_has_no_keys() {
    let off = config(&base_with(&[("policy = \"must-secure\"", "policy = \"off\"")]));
    let macsec = &off.channels[0].macsec;
    assert!(macsec.tx.is_empty() && macsec.rx.is_empty() && macsec.overhead() == 0);
}

/// The base with MKA in place of the static keys of `ch2`.
fn with_mka(section: &str) -> Config {
    let (head, rest) = BASE.split_once("cipher = \"gcm-aes-256\"\n").expect("ch2 has a cipher");
    let (_, tail) = rest.split_once("[[connection]]").expect("a connection follows");
    config(&format!("{head}{section}\n[[connection]]{tail}"))
}

#[test]
fn mka_needs_nothing_but_a_key() {
    let config = with_mka("[[channel.macsec.key]]\nckn = \"00fF\"\ncak = { file = \"a\" }");
    let macsec = &config.channels[1].macsec;
    let mka = macsec.mka.as_ref().expect("it has MKA");
    assert!(macsec.tx.is_empty() && macsec.rx.is_empty());
    // Table 9-2 and Table 9-3 of 802.1X-2020.
    assert_eq!((mka.priority, mka.version), (0x10, 3));
    assert_eq!((mka.hello, mka.life), (Duration::from_secs(2), Duration::from_secs(6)));
    assert_eq!((mka.destination, mka.ethertype), (net::MacAddr::PAE_GROUP, net::EtherType::EAPOL));
    assert_eq!((mka.rekey, mka.suspension_limit), (None, Duration::from_secs(120)));
    assert!(mka.announce && !mka.delay_protect && !mka.ckn_padding);
    assert_eq!((mka.icv_indicator, &mka.ciphers[..]), (IcvIndicator::Auto, &[Cipher::GcmAesXpn256][..]));
    assert_eq!((mka.keys.len(), mka.keys[0].ckn.octets()), (1, &[0, 255][..]));
    assert_eq!((mka.keys[0].start, mka.keys[0].end, mka.keys[0].fallback), (None, None, false));
}

#[test]
fn mka_is_set_in_every_part() {
    let config = with_mka(
        r#"[channel.macsec.mka]
priority = 0
version = 1
hello = "500ms"
life = "1500ms"
delay_protect = true
destination = "ff:ff:ff:ff:ff:ff"
ethertype = 0x876f
ckn_padding = true
icv_indicator = "always"
announce = false
rekey = "1h"
suspension_limit = "0s"
ciphers = ["gcm-aes-256", "gcm-aes-xpn-256"]
[[channel.macsec.key]]
ckn = { file = "n" }
cak = { file = "a" }
start = 2025-12-31T00:00:00-01:00
end = "2027-01-01T00:00:00.5Z"
[[channel.macsec.key]]
ckn = "01"
cak = { env = "B" }
fallback = true"#,
    );
    let macsec = &config.channels[1].macsec;
    let mka = macsec.mka.as_ref().expect("it has MKA");
    assert_eq!(macsec.cipher, Cipher::GcmAes256);
    assert_eq!((mka.priority, mka.version, mka.ethertype.get()), (0, 1, 0x876f));
    assert_eq!((mka.hello, mka.life), (Duration::from_millis(500), Duration::from_millis(1500)));
    assert_eq!((mka.rekey, mka.suspension_limit), (Some(Duration::from_secs(3600)), Duration::ZERO));
    assert_eq!((mka.icv_indicator, mka.destination), (IcvIndicator::Always, net::MacAddr::BROADCAST));
    assert!(!mka.announce && mka.delay_protect && mka.ckn_padding);
    assert_eq!(mka.ciphers, [Cipher::GcmAes256, Cipher::GcmAesXpn256]);
    let seconds = |moment: Option<SystemTime>| {
        moment.map(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970"))
    };
    let (first, second) = (&mka.keys[0], &mka.keys[1]);
    assert_eq!(seconds(first.start), Some(Duration::from_secs(1_767_142_800)));
    assert_eq!(seconds(first.end), Some(Duration::from_millis(1_798_761_600_500)));
    assert_eq!((first.ckn.octets().len(), first.fallback, second.fallback), (32, false, true));

    let json = serde_json::to_value(&config).expect("it serialises");
    let mka = &json["channel"][1]["macsec"]["mka"];
    assert_eq!(
        (&mka["rekey"], &mka["hello"], &mka["life"]),
        (&"1h".into(), &"500ms".into(), &"1s500ms".into())
    );
    assert_eq!(mka["key"][0]["start"], "2025-12-31T01:00:00Z");
    assert_eq!(mka["key"][1]["ckn"], "01");
    assert_eq!(mka["key"][1]["cak"], second.cak.fingerprint(KeyKind::Cak));
}

#[test]
fn google_expects_an_icv_indicator() {
    let text = BASE.replace("[[channel.macsec.static.tx]]\nan = 0\nkey = { file = \"ch2-out\" }\n[[channel.macsec.static.rx]]\nsci = \"02000000bb02:0001\"\nan = 0\nkey = { file = \"ch2-in\" }", "[[channel.macsec.key]]\nckn = \"01\"\ncak = { file = \"a\" }");
    let text = text
        .replace("profile = \"quadspan\"", "profile = \"gcp-cci\"")
        .replace("channel = \"ch2\"", "channel = \"ch2\"\nvlan = 7");
    let mka = config(&text).channels[1].macsec.mka.clone().expect("it has MKA");
    assert_eq!(mka.icv_indicator, IcvIndicator::Always);
}

#[test]
fn a_clock_is_needed_to_warn_of_keys_to_come() {
    let key = "[[channel.macsec.key]]\nckn = \"01\"\ncak = { file = \"a\" }\nstart = 2099-01-01T00:00:00Z\n";
    let (head, rest) = BASE.split_once("[[channel.macsec.static.tx]]").expect("ch1 has static keys");
    let (_, tail) = rest.split_once("[[channel]]").expect("ch2 follows");
    let text = format!("{head}{key}[[channel]]{tail}");
    let without = config::load("site.toml", &text, &support::Keys).expect("it loads");
    assert!(without.warnings.is_empty());
    assert_eq!(load(&text).expect("it loads").warnings.len(), 1);
}

#[test]
fn tags_in_clear_come_outer_first() {
    let tags = &example("vlan-in-clear.toml").channels[0].clear_tags;
    let seen: Vec<_> = tags.iter().map(|tag| (tag.tag_type, tag.vlan.get())).collect();
    assert_eq!(seen, [(TagType::Service, 2100), (TagType::Customer, 17)]);
}

#[test]
fn a_wire_has_one_lan_and_no_routes() {
    let wire = &example("transparent.toml").connections[0];
    assert_eq!(
        (wire.mode, wire.lans.len(), wire.routes.len(), wire.mss_clamp),
        (Mode::Transparent, 1, 0, MssClamp::Off)
    );
    assert_eq!(wire.attachments.iter().map(|attachment| attachment.mtu).collect::<Vec<_>>(), [Some(1568); 2]);
}

#[test]
fn it_serialises_in_the_words_of_the_file_with_fingerprints_for_keys() {
    let config = config(BASE);
    let json = serde_json::to_value(&config).expect("it serialises");
    let channel = &json["channel"][0];
    assert_eq!(channel["interconnect"], "to-b");
    assert_eq!(channel["macsec"]["cipher"], Cipher::GcmAesXpn256.as_str());
    let tx = &channel["macsec"]["tx"][0];
    assert_eq!(tx["key"], config.channels[0].macsec.tx[0].key.fingerprint(KeyKind::Sak));
    assert_eq!((&tx["ssci"], &tx["salt"]), (&1.into(), &"000102030405060708090a0b".into()));
    assert_eq!(tx["from"]["file"], "ch1-out");
    assert_eq!(json["connection"][0]["attachment"][0]["vlan"], 100);
    assert_eq!(json["connection"][0]["route"][1]["via"]["neighbor"]["address"], "10.1.0.254");
}

#[test]
fn neighbours_get_what_the_file_and_the_profile_leave_open() {
    use config::model::{Announce, BfdMode, GracefulRestart, RouteFilter};
    use core::time::Duration;
    let base = config(BASE);
    let connection = &base.connections[0];
    let bgp = connection.bgp.as_ref().expect("it has BGP");
    assert_eq!((bgp.asn, bgp.router_id.to_string(), bgp.multipath), (65001, "10.1.0.1".to_owned(), 16));
    assert_eq!(bgp.announce, [Announce::Lans, Announce::Prefix("10.2.0.0/24".parse().expect("a prefix"))]);
    let [first, second] = &connection.neighbors[..] else { panic!("two neighbours") };
    assert_eq!((first.name.as_str(), second.name.as_str()), ("169.254.10.2%ch1", "fd00:10::2%ch1"));
    assert_eq!((first.ipv4, first.ipv6, second.ipv4, second.ipv6), (true, false, false, true));
    assert_eq!((&first.import, &first.export), (&Some(RouteFilter::Accept), &Some(RouteFilter::Policy(0))));
    assert_eq!((first.hold, first.keepalive), (Duration::from_secs(90), Duration::from_secs(30)));
    assert_eq!((first.bfd, first.max_out.limits.ipv4), (BfdMode::Off, None));
    // The line feed that an editor leaves is not part of the password.
    let password = first.password.as_ref().expect("it has a password");
    assert_eq!(password.secret.expose(), b"CorrectHorse");

    let bfd = (
        "peer = [\"169.254.10.2\", \"fd00:10::2\"]\nmtu = 1500\n",
        "peer = [\"169.254.10.2\", \"fd00:10::2\"]\nmtu = 1500\n[connection.attachment.bfd]\nmode = \"strict\"\n",
    );
    let tag = ("channel = \"ch2\"", "channel = \"ch2\"\nvlan = 7");
    for (profile, hold, keepalive, interval, multiplier, limit, restart) in [
        ("aws-dx", 90, 30, 300, 3, Some(100), GracefulRestart::Off),
        ("gcp-cci", 60, 20, 1000, 5, Some(5000), GracefulRestart::Helper),
        ("quadspan", 90, 30, 300, 3, None, GracefulRestart::Helper),
    ] {
        let profile = format!("profile = \"{profile}\"");
        let built = config(&base_with(&[("profile = \"quadspan\"", &profile), bfd, tag]));
        let attachment = built.connections[0].attachments[0].bfd.expect("it has BFD");
        assert_eq!(
            (attachment.min_tx, attachment.min_rx),
            (Duration::from_millis(interval), Duration::from_millis(interval))
        );
        assert_eq!((attachment.multiplier, attachment.mode), (multiplier, BfdMode::Strict), "{profile}");
        let neighbor = &built.connections[0].neighbors[0];
        assert_eq!((neighbor.hold.as_secs(), neighbor.keepalive.as_secs()), (hold, keepalive), "{profile}");
        assert_eq!((neighbor.max_out.limits.ipv4, neighbor.graceful_restart), (limit, restart), "{profile}");
        assert_eq!(neighbor.bfd, BfdMode::Strict, "the mode of the attachment");
    }
}

#[test]
fn bfd_of_a_lan_is_for_its_neighbours_and_none_of_them_is_a_cloud() {
    use config::model::{BfdMode, GracefulRestart};
    use core::time::Duration;
    let lan = ("[[connection.lan]]\n", "[[connection.lan]]\nbfd = { multiplier = 5 }\n");
    let neighbor = (
        "[[connection.neighbor]]\non = \"ch1\"\naddress = \"fd00:10::2\"",
        "[[connection.neighbor]]\non = \"lan1\"\naddress = \"10.1.0.2\"\nasn = 65010\nimport = \"accept\"\nexport = \"accept\"\n\
         graceful_restart = \"unplanned\"\n[[connection.neighbor]]\non = \"ch1\"\naddress = \"fd00:10::2\"",
    );
    let built = config(&base_with(&[lan, neighbor]));
    let connection = &built.connections[0];
    let bfd = connection.lans[0].bfd.expect("it has BFD");
    assert_eq!((bfd.min_tx, bfd.multiplier, bfd.mode), (Duration::from_millis(300), 5, BfdMode::Follow));
    let customer = &connection.neighbors[1];
    assert_eq!((customer.bfd, customer.graceful_restart), (BfdMode::Follow, GracefulRestart::Unplanned));
}

#[test]
fn bgp_serialises_without_the_password() {
    let json = serde_json::to_value(config(BASE)).expect("it serialises");
    let neighbor = &json["connection"][0]["neighbor"][0];
    assert_eq!(neighbor["password"]["from"]["file"], "md5");
    assert_eq!(
        neighbor["password"].as_object().map(|shown| shown.len()),
        Some(1),
        "nothing to guess it from"
    );
    assert!(!json.to_string().contains("Horse"));
    assert_eq!(
        (&neighbor["hold"], &neighbor["import"], &neighbor["export"]["policy"]),
        (&"1m30s".into(), &"accept".into(), &0.into())
    );
    assert_eq!(json["connection"][0]["policy"][0]["rule"][0]["prefixes"][0], "10.0.0.0/8 le 24");
}

#[test]
fn metrics_have_an_address_of_their_own_or_none() {
    assert_eq!(config(BASE).runtime.metrics, None);
    for address in ["127.0.0.1:9477", "[::1]:9477", "192.0.2.7:80"] {
        let line = format!("workers = 2\nmetrics = \"{address}\"");
        let text = base_with(&[("workers = 2", line.as_str())]);
        assert_eq!(config(&text).runtime.metrics, Some(address.parse().expect("an address")));
    }
}

#[test]
fn classes_are_read_in_their_order_and_shown_with_their_words() {
    let text = base_with(&[
        (
            "name = \"blue\"\n",
            "name = \"blue\"\nduplicate = { history = 64, class = [{ name = \"voice\", dscp = [\"ef\", 47, \"CS6\"] }, { name = \"till\", destination = [\"10.2.0.0/24\", \"fd00:2::/64\"], source = [\"10.1.0.7/32\", \"::/0\"] }] }\n",
        ),
        ("mtu = 1536", "mtu = 1542"),
    ]);
    let config = config(&text);
    let connection = &config.connections[0];
    let duplicate = connection.duplicate.as_ref().expect("there are classes");
    let [voice, till] = &duplicate.classes[..] else { panic!("{duplicate:?}") };
    assert_eq!(voice.dscp.iter().map(|dscp| dscp.get()).collect::<Vec<_>>(), [46, 47, 48]);
    assert_eq!((till.sources.len(), till.destinations.len(), duplicate.history), (2, 2, 64));
    // Room for the tag on each attachment (802.1CB §7.8), and none where nothing is duplicated.
    assert_eq!((connection.overhead(), self::config(BASE).connections[0].overhead()), (6, 0));
    let shown = serde_json::to_value(connection).expect("it can be shown");
    assert_eq!(shown["duplicate"]["class"][0]["dscp"], serde_json::json!(["EF", 47, "CS6"]));
}

#[test]
fn a_tunnel_copies_the_dscp_unless_told_otherwise() {
    let tunnel = |more: &str| {
        let keys =
            "kind = \"vxlan\", local = \"192.0.2.1\", remote = \"192.0.2.2\", vni = 1, source_ports = 1";
        let port = format!("device = \"eth2\"\nunderlay = {{ {keys}{more} }}");
        let config = config(&base_with(&[("device = \"eth2\"\nio = \"af_packet\"", &port)]));
        config.ports[2].underlay.expect("it is a tunnel").dscp
    };
    assert_eq!(tunnel(""), Marking::Copy);
    assert_eq!(tunnel(", dscp = \"copy\""), Marking::Copy);
    for word in ["46", "\"EF\""] {
        assert_eq!(tunnel(&format!(", dscp = {word}")), Marking::Fixed("EF".parse().expect("it is a name")));
    }
}
