//! A gateway for tests: real configuration, plan, SecYs and snapshots; no device, no thread, a fixed clock.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use config::{Config, SecretError, SecretRef, SecretSource};
use dataplane::{
    Board, ChannelId, ConnectionId, Dataplane, Depot, Fault, InterfaceId, Pool, WorkerId,
    neighbor::{NeighborEntry, NeighborState},
    port::{PortCounters, PortKind},
};
use jiff::Timestamp;
use macsec::{
    Cak, Ckn, KeyId, ReceiveSaParams, Sci, TransmitSaParams,
    mka::{Kay, KayParams, KeyEntry, KeyStart, MkaStatus, RekeyAnswer, SuspendAnswer},
};
use net::{Instant, MacAddr, PacketBuf};
use zeroize::Zeroizing;

use super::source::{
    AskBgp, DeviceFacts, Facts, NoBfd, NoBgp, NoKay, NoWish, Source, Wish, bfd_called, neighbor_called,
};
use super::{
    testbed_bfd::bfd_facts,
    testbed_runtime::{SCHEDULE, account},
};
use crate::{
    assemble::{self, Device, Plan},
    bgp::report::{Answer, Question},
    drain::{Drain, NoDrain, Order, allow},
    drill::Drilled,
    events::{Change, Log, Record, Step, Sums},
    link_monitor::Link,
    reload::{self, Outcome},
    worker::Report,
};

/// The key of every SA.
pub(crate) const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Two channels, one of them on a worker of its own, a routed connection over both, a second one that is transparent.
const CONFIG: &str = r#"
schema = 1
[site]
name = "site-a"
[runtime]
workers = 2
[[port]]
name = "lan1"
device = "eth0"
[[port]]
name = "lan2"
device = "eth1"
[[port]]
name = "wan1"
device = "eth2"
[[port]]
name = "wan2"
device = "eth3"
[[interconnect]]
name = "to-b"
[[channel]]
name = "ch1"
interconnect = "to-b"
port = "wan1"
mtu = 1600
[channel.macsec]
[[channel.macsec.static.tx]]
an = 0
key = { file = "a" }
salt = "717561647370610100000001"
ssci = 1
[[channel.macsec.static.rx]]
sci = "02005ebb0001:0001"
an = 0
key = { file = "b" }
salt = "717561647370610100000001"
ssci = 2
[[channel]]
name = "ch2"
interconnect = "to-b"
port = "wan2"
clear_tags = [7]
mtu = 1600
[channel.macsec]
policy = "should-secure"
cipher = "gcm-aes-256"
validate = "check"
[[channel.macsec.static.tx]]
an = 3
key = { file = "c" }
[[channel.macsec.static.rx]]
sci = "02005ebb0002:0001"
an = 3
key = { file = "d" }
[[connection]]
name = "blue"
interconnect = "to-b"
[[connection.attachment]]
channel = "ch1"
vlan = 100
address = ["169.254.1.1/30", "fd00:100:1::1/126"]
peer = ["169.254.1.2", "fd00:100:1::2"]
[[connection.attachment]]
channel = "ch2"
vlan = 100
address = ["169.254.2.1/30"]
peer = ["169.254.2.2"]
[[connection.lan]]
port = "lan1"
address = ["10.1.0.1/24"]
[[connection.route]]
prefix = "10.2.0.0/24"
via = "attachments"
[[connection.route]]
prefix = "10.3.0.0/24"
via = "blackhole"
[[connection]]
name = "wire"
interconnect = "to-b"
mode = "transparent"
[[connection.attachment]]
channel = "ch1"
vlan = 200
[[connection.lan]]
port = "lan2"
vlan = 20
"#;

struct Keys;

impl SecretSource for Keys {
    fn read(&self, reference: &SecretRef) -> Result<Zeroizing<String>, SecretError> {
        // A key of its own for each, as `check` demands.
        let SecretRef::File(name) = reference else { return Err(SecretError::NotFound) };
        let first = name.to_string_lossy().as_bytes().first().copied().unwrap_or(0);
        Ok(Zeroizing::new(format!("{first:02x}{}", &KEY[2..])))
    }
}

fn config() -> Config {
    load(CONFIG)
}

/// The configuration of [`facts`], with a BGP neighbour on the first attachment.
pub(crate) fn config_with_bgp() -> Config {
    const BGP: &str = "[connection.bgp]\nasn = 65001\n[[connection.neighbor]]\nname = \"dx\"\naddress = \"169.254.1.2\"\nasn = 64512\non = \"ch1\"\nimport = \"accept\"\nexport = \"accept\"\n";
    const WIRE: &str = "[[connection]]\nname = \"wire\"";
    load(&CONFIG.replace(WIRE, &format!("{BGP}{WIRE}")))
}

/// The configuration of [`facts`], with one key for MKA instead of static ones on the first channel.
pub(crate) fn config_with_keys() -> Config {
    let at = |words: &str| CONFIG.find(words).unwrap();
    let (from, to) = (at("[[channel.macsec.static.tx]]"), at("[[channel]]\nname = \"ch2\""));
    let key = "[[channel.macsec.key]]\nckn = \"c1\"\ncak = { file = \"a\" }\n";
    load(&format!("{}{key}{}", &CONFIG[..from], &CONFIG[to..]))
}

fn load(text: &str) -> Config {
    match config::load("test.toml", text, &Keys) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{}", problems.render(100, false)),
    }
}

/// Facts of a gateway that has run for an hour, at 2026-11-21T14:02:11Z.
pub(crate) fn facts() -> Facts {
    let (config, now) = (config(), Instant::ZERO.after(Duration::from_hours(1)));
    let wall: Timestamp = "2026-11-21T14:02:11Z".parse().unwrap();
    let plan = assemble::plan(&config, &devices(&config)).unwrap();
    let reports = (0..2).map(|at| report(&plan, WorkerId(at))).collect();
    let link = |at: usize, port: &config::model::Port| DeviceFacts {
        link: Link::Up { index: 2 },
        mac: devices(std::slice::from_ref(port)).get(&port.device).map(|device| device.mac),
        mtu: Some(if at < 2 { 1500 } else { 1600 }),
    };
    Facts {
        devices: config.ports.iter().enumerate().map(|(at, port)| link(at, port)).collect(),
        config: Arc::new(config),
        config_file: PathBuf::from("/etc/quadspan/quadspan.toml"),
        setup: Arc::new(plan.setup),
        reports,
        rates: vec![None, Some(500)],
        drains: Vec::new(),
        neighbors: Some(Vec::new()),
        alerts: vec![],
        started: wall - Duration::from_hours(1),
        wall,
        now,
    }
}

pub(crate) trait Ports {
    fn ports(&self) -> &[config::model::Port];
}

impl Ports for Config {
    fn ports(&self) -> &[config::model::Port] {
        &self.ports
    }
}

impl Ports for [config::model::Port] {
    fn ports(&self) -> &[config::model::Port] {
        self
    }
}

pub(crate) fn devices(of: &(impl Ports + ?Sized)) -> BTreeMap<String, Device> {
    let device = |port: &config::model::Port| {
        let last = port.device.as_bytes().last().copied().unwrap_or(b'0') - b'0';
        let mtu = if port.role == config::model::PortRole::Channel { 1600 } else { 1500 };
        let mac = MacAddr([2, 0, 0x5e, 0xaa, 0, last]);
        (port.device.clone(), Device { mac, mtu, shared: true, udp_segments: true })
    };
    of.ports().iter().map(device).collect()
}

fn report(plan: &Plan, id: WorkerId) -> Report {
    let setup = Arc::new(plan.setup.clone());
    let board = Board::new(setup.interfaces.len());
    let pool = Pool::new(Depot::new(plan.pool));
    let mut dataplane = Dataplane::new(id, setup.clone(), board, pool, 1).unwrap();
    for at in 0..setup.channels.len() {
        install(&mut dataplane, plan, ChannelId::at(at));
    }
    let opened = |port: &dataplane::PortSetup| port.owner.is_none_or(|owner| owner == id);
    let counters = PortCounters {
        rx_frames: 1200,
        rx_octets: 1_800_000,
        tx_frames: 1000,
        tx_octets: 1_500_000,
        ..PortCounters::default()
    };
    let ports =
        setup.ports.iter().map(|port| opened(port).then_some((PortKind::PacketV2, counters))).collect();
    let mut snapshot = dataplane.snapshot(Instant::ZERO.after(Duration::from_hours(1)));
    for channel in &mut snapshot.channels {
        channel.since = Instant::ZERO.after(Duration::from_mins(58));
        (channel.counters.rx_frames, channel.counters.rx_octets) = (123_456, 98_765_432);
        (channel.counters.tx_frames, channel.counters.tx_octets) = (4711, 4_711_000);
    }
    if let Some(interface) = snapshot.interfaces.first_mut() {
        (interface.counters.rx_frames, interface.counters.rx_octets) = (10, 5000);
        let ip = "169.254.1.2".parse().unwrap();
        let mac = (id == WorkerId(0)).then_some(MacAddr([2, 0, 0x5e, 0xbb, 0, 1]));
        let state = if mac.is_some() { NeighborState::Reachable } else { NeighborState::Incomplete };
        interface.neighbors.push(NeighborEntry { ip, mac, state, age: Duration::from_secs(5) });
    }
    Report { snapshot, ports, account: account(id), schedule: (id == WorkerId(0)).then_some(SCHEDULE) }
}

fn install(dataplane: &mut Dataplane, plan: &Plan, channel: ChannelId) {
    let sas = &plan.keys[channel.index()];
    let now = Instant::ZERO.after(Duration::from_secs(1));
    let Some(secy) = dataplane.secy(channel) else { return };
    for (sci, list) in &sas.receive {
        secy.create_receive_sc(*sci, now).unwrap();
        for sa in list {
            let (ssci, salt) = sa.xpn.unwrap_or_default();
            let (offset, key_id) = (sa.offset.unwrap_or_default(), KeyId::default());
            let params = ReceiveSaParams {
                sak: &sa.sak,
                suite: sa.suite,
                offset,
                key_id,
                lowest_pn: 9000,
                ssci,
                salt,
            };
            secy.create_receive_sa(*sci, sa.an, &params, now).unwrap();
            secy.enable_receive_sa(*sci, sa.an, now).unwrap();
        }
    }
    for sa in &sas.transmit {
        let (ssci, salt) = sa.xpn.unwrap_or_default();
        let params = TransmitSaParams {
            sak: &sa.sak,
            suite: sa.suite,
            encrypt: true,
            offset: sa.offset.unwrap_or_default(),
            key_id: KeyId::default(),
            next_pn: 0x1000_0000,
            pn_limit: Some(0x1100_0000),
            ssci,
            salt,
        };
        secy.create_transmit_sa(sa.an, &params, now).unwrap();
        secy.enable_transmit_sa(sa.an, now).unwrap();
    }
    dataplane.secy_changed(channel, now);
    // Until the kernel says so, no port has carrier.
    dataplane.set_port_fault(plan.setup.channels[channel.index()].port, None::<Fault>, now);
}

/// Puts a fault on a channel and the attachments that use it.
pub(crate) fn break_channel(facts: &mut Facts, at: usize, fault: Fault) {
    let uses = |interface: InterfaceId| {
        let place = facts.setup.interfaces[interface.index()].place;
        facts.setup.is_on(place, ChannelId::at(at))
    };
    for report in &mut facts.reports {
        for channel in
            report.snapshot.channels.iter_mut().filter(|channel| channel.channel == ChannelId::at(at))
        {
            channel.faults.set(fault, true);
            for interface in report.snapshot.interfaces.iter_mut().filter(|one| uses(one.interface)) {
                interface.faults.set(fault, true);
            }
        }
    }
}

/// The facts of [`facts`], with MKA on both channels: on the first all is well, the second one's CAK differs from its peer's,
/// it may do without, and a further key waits.
pub(crate) fn mka_facts() -> Facts {
    let mut facts = facts();
    let (now, params) = (facts.now, |own: bool| {
        let mac = MacAddr([2, 0, 0x5e, if own { 0xaa } else { 0xbb }, 0, 2]);
        KayParams { rekey: own.then_some(Duration::from_hours(1)), ..KayParams::new(Sci::new(mac, 1)) }
    });
    let key = |cak: u8| KeyEntry::new(Ckn::new(&[0xc1; 4]).unwrap(), Cak::new(&[cak; 32]).unwrap());
    let fallback = KeyEntry { ckn: Ckn::new(&[0xfb; 16]).unwrap(), fallback: true, ..key(2) };
    let later = KeyEntry {
        ckn: Ckn::new(&[0xc2; 4]).unwrap(),
        start: KeyStart::At(now.after(Duration::from_hours(36))),
        ..key(3)
    };
    let well = agreement(
        [params(true), params(false)],
        [vec![key(1), fallback.clone()], vec![key(1), fallback]],
        now,
    );
    let plain = KayParams { plain: true, ..params(true) };
    let ill = agreement([plain, params(false)], [vec![key(1), later], vec![key(9)]], now);
    for (at, status) in [well, ill].into_iter().enumerate() {
        let channels = facts.reports.iter_mut().flat_map(|report| &mut report.snapshot.channels);
        for channel in channels.filter(|channel| channel.channel == ChannelId::at(at)) {
            channel.secy.policy.protect_frames = status.secured;
            channel.mka = Some(status.clone());
        }
    }
    facts
}

/// How the first of two KaYs sees things after a quarter of an hour.
fn agreement(params: [KayParams; 2], keys: [Vec<KeyEntry>; 2], end: Instant) -> MkaStatus {
    let start = Instant::from_nanos(end.as_nanos() - 900_000_000_000);
    let mut octet = 0u8;
    let mut kays = params.map(|params| {
        octet += 0x40;
        let mut next = octet;
        let random = move |room: &mut [u8]| {
            for octet in room {
                next = next.wrapping_mul(5).wrapping_add(71);
                *octet = next;
            }
        };
        Kay::new(params, Box::new(random), start)
    });
    for (kay, keys) in kays.iter_mut().zip(keys) {
        kay.set_keys(keys, start);
    }
    let mut now = start;
    while now < end {
        now = now.after(Duration::from_millis(50));
        let mut sent = [const { Vec::new() }; 2];
        for (kay, sent) in kays.iter_mut().zip(&mut sent) {
            kay.handle_timeout(now);
            let mut frame = PacketBuf::with_capacity(1600, 0);
            while kay.poll_transmit(&mut frame) {
                sent.push(frame.to_vec());
                frame.reset(0);
            }
        }
        let [first, second] = &mut kays;
        for (kay, frames) in [(first, &sent[1]), (second, &sent[0])] {
            for frame in frames {
                kay.handle_mkpdu(frame, now);
            }
        }
        while kays.iter_mut().any(|kay| kay.poll_action().is_some() || kay.poll_event().is_some()) {}
    }
    kays[0].status(end)
}

/// A source that makes its facts anew each time, with this BGP.
pub(crate) struct Fixed(pub(crate) fn(Question) -> Result<Answer, NoBgp>);

impl Source for Fixed {
    async fn facts(&self, bgp: AskBgp) -> Facts {
        let told = (bgp != AskBgp::No).then(|| self.0(Question::Neighbors));
        let neighbors = match told {
            Some(Ok(Answer::Neighbors(reports))) => Some(reports),
            None | Some(Err(NoBgp::Unused)) => Some(Vec::new()),
            Some(Ok(_) | Err(NoBgp::Silent)) => None,
        };
        Facts { neighbors, ..facts() }
    }

    async fn restart(&self, binary: Option<PathBuf>) -> Result<crate::handover::Handed, String> {
        match binary {
            Some(binary) => Err(format!("cannot run {}", binary.display())),
            None => Ok(crate::handover::Handed {
                pid: 4242,
                version: "9.9.9".to_owned(),
                still: Duration::from_micros(2_500),
                took: Duration::from_millis(300),
                anew: vec![],
                resets: vec![],
            }),
        }
    }

    async fn reload(&self, dry_run: bool) -> Option<Outcome> {
        let step = reload::Step {
            subject: "neighbor blue/r1".to_owned(),
            message: "is added".to_owned(),
            resets: false,
        };
        Some(if dry_run {
            Outcome::Done(vec![step])
        } else {
            Outcome::Invalid(vec!["q.toml:3:1: QS0001 no".to_owned()])
        })
    }

    async fn rekey(&self, channel: &str) -> Result<RekeyAnswer, NoKay> {
        match channel {
            "ch9" => Err(NoKay::UnknownChannel),
            "a/b c" => Ok(RekeyAnswer::NotKeyServer("02005ebb00010001".parse().unwrap())),
            "static" => Err(NoKay::NoMka),
            _ => Ok(RekeyAnswer::Started),
        }
    }

    async fn suspend(&self, channel: &str, _: Duration) -> Result<SuspendAnswer, NoKay> {
        match channel {
            "ch9" => Err(NoKay::UnknownChannel),
            "old" => Ok(SuspendAnswer::Unsupported("02005ebb00010001".parse().unwrap())),
            "member" => Ok(SuspendAnswer::Asked("02005ebb00010001".parse().unwrap())),
            _ => Ok(SuspendAnswer::Started),
        }
    }

    async fn drain(&self, channel: &str, order: Order) -> Result<Drain, NoDrain> {
        let facts = facts();
        let at = facts.config.channels.iter().position(|one| one.name == channel);
        let channel = ChannelId::at(at.ok_or(NoDrain::UnknownChannel)?);
        // The first is drained already.
        let first = Drain::new(ChannelId(0), facts.wall, (None, false), facts.now);
        allow(&facts.config, &facts.setup, &facts.reports, &[first], (channel, None))?;
        Ok(Drain::new(channel, facts.wall, (None, order.force), facts.now))
    }

    async fn undrain(&self, channel: &str) -> Result<(), NoDrain> {
        if channel == "ch1" { Ok(()) } else { Err(NoDrain::NotDrained) }
    }

    async fn drill(&self, channel: &str, _: Duration, _: bool) -> Result<Drilled, NoDrain> {
        if channel == "ch1" { Err(NoDrain::NotLive) } else { Ok(Drilled::default()) }
    }

    fn set_rate(&self, connection: &str, _: Option<u32>) -> bool {
        connection == "blue"
    }

    fn events(&self, after: u64) -> (Vec<Record>, u64) {
        records().since(after)
    }

    fn changes(&self) -> Sums {
        records().sums()
    }

    async fn bgp(&self, question: Question) -> Result<Answer, NoBgp> {
        self.0(question)
    }

    fn switch_bfd(&self, name: &str, _: bool) -> Result<Vec<String>, NoBfd> {
        let facts = bfd_facts();
        let found = bfd_called(&facts.config, &facts.setup, name)?;
        Ok(found.into_iter().map(|(_, _, name)| name).collect())
    }

    async fn wish(&self, neighbor: &str, _: Wish) -> Result<String, NoWish> {
        neighbor_called(&config_with_bgp(), neighbor).map(|(_, name)| name)
    }
}

/// A failover, an operator's work, a way back, and two other changes.
pub(crate) fn records() -> Log {
    let log = Log::default();
    let wall = facts().wall;
    let step = |before, what: &str| Step { before: Duration::from_micros(before), what: what.to_owned() };
    let changes = [
        (Change::Left(Fault::BfdDown), Some(0)),
        (Change::Returned, Some(0)),
        (Change::Left(Fault::Drained), Some(1)),
        (Change::ActiveMoved, Some(0)),
        (Change::RedundancyLost, None),
    ];
    for (change, attachment) in changes {
        let failed = change == Change::Left(Fault::BfdDown);
        let left = matches!(change, Change::Left(_));
        log.add(Record {
            id: 0,
            at: wall - Duration::from_secs(75),
            change,
            connection: ConnectionId(0),
            attachment: attachment.map(InterfaceId),
            to: (change == Change::ActiveMoved).then_some(InterfaceId(1)),
            chain: vec![
                step(120, "BFD with 169.254.1.2: nothing heard for 151 ms, 150 ms are allowed"),
                step(0, "attachment blue/ch1: bfd down"),
            ],
            detected: failed.then_some(Duration::from_micros(151_200)),
            switched: left.then_some(Duration::from_micros(90)),
            rate: 12_500,
            lost: left.then_some(if failed { 1892 } else { 0 }),
            live: (1, 2),
        });
    }
    log
}
