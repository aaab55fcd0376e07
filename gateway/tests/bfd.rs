//! BFD with real peers: FRR's bfdd, BIRD, and another gateway. Each channel goes through a bridge of its own, so that it can be
//! cut in silence: every link stays up, and frames vanish.
//!
//! `h-a` – `gw-a` = `sw` = `gw-b` – `h-b`. `gw-a` is the gateway under test. Needs root and the tools; skipped loudly
//! without, and failed under `CI=true`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop; a JSON value that is not there is null"
)]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use gateway::lab::traffic::udp::{Flow, UdpFlow, UdpOptions, UdpReport, UdpRun};
use gateway::lab::{End, Lab, Node, Process, Stop, Topology};
use parking_lot::MutexGuard;
use serde_json::Value;
use support::gateway::{Folder, Gateway};
use support::shell::{background, must, sh, until};
use support::{TURN, able};

const PATIENCE: Duration = Duration::from_secs(30);

/// Who is at the other end of both channels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Peer {
    Frr,
    Bird,
    /// Another gateway, and MACsec between them.
    Quadspan,
    /// The same, and the routes between the sites are learnt by BGP.
    QuadspanBgp,
    /// A router that does not speak BFD.
    Router,
}

/// What `[connection.attachment.bfd]` says; the peer's timers are the same.
#[derive(Clone, Copy, Debug)]
struct Bfd {
    interval: u64,
    multiplier: u8,
    mode: &'static str,
}

impl Peer {
    const fn is_quadspan(self) -> bool {
        matches!(self, Self::Quadspan | Self::QuadspanBgp)
    }
}

impl Bfd {
    const fn detection(self) -> Duration {
        #[expect(clippy::as_conversions, reason = "From is not const")]
        Duration::from_millis(self.interval * self.multiplier as u64)
    }
}

const FAST: Bfd = Bfd { interval: 50, multiplier: 3, mode: "follow" };
const CLOUD: Bfd = Bfd { interval: 300, multiplier: 3, mode: "follow" };

/// Dropped in this order: programs, gateways, lab, files.
struct Rig {
    _programs: Vec<Process>,
    a: Gateway,
    b: Option<Gateway>,
    lab: Lab,
    folder: Folder,
    _turn: MutexGuard<'static, ()>,
}

impl Rig {
    /// Everything runs; hosts reach each other. `None`, said loudly, when this machine cannot.
    fn start(test: &str, peer: Peer, bfd: Bfd) -> Option<Self> {
        let mut tools = vec!["ip", "ping", "timeout"];
        match peer {
            Peer::Frr => tools.push("vtysh"),
            Peer::Bird => tools.extend(["bird", "birdc"]),
            Peer::Quadspan | Peer::QuadspanBgp | Peer::Router => {}
        }
        if !able(test, &tools) {
            return None;
        }
        let turn = TURN.lock();
        let (folder, lab) = (Folder::new(), Lab::build(&topology(peer)).unwrap());
        for channel in [1, 2] {
            must(
                &lab,
                "sw",
                &format!(
                    "ip link add br{channel} type bridge mcast_snooping 0; ip link set br{channel} up
                 ip link set a{channel} master br{channel}; ip link set b{channel} master br{channel}"
                ),
            );
            for site in [1, 2] {
                folder.key(&format!("{site}-{channel}.sak"), &format!("{site}{channel}").repeat(32));
            }
        }
        let gateway = |site: &str, own| {
            Gateway::new(&folder, &format!("gw-{site}"), site, 1, &configuration(peer, bfd, own))
        };
        let (mut a, mut b) = (gateway("a", 1), peer.is_quadspan().then(|| gateway("b", 2)));
        let programs = match peer {
            Peer::Frr => start_frr(&lab, &folder, bfd),
            Peer::Bird => start_bird(&lab, &folder, bfd),
            Peer::Quadspan | Peer::QuadspanBgp | Peer::Router => vec![],
        };
        a.start(&lab);
        if let Some(b) = &mut b {
            b.start(&lab);
        }
        Some(Self { _programs: programs, a, b, lab, folder, _turn: turn })
    }

    /// Waits until all four sessions are up, and hosts reach each other.
    fn wait_up(&self) {
        let states = || self.sessions().iter().map(|one| one["state"].clone()).collect::<Vec<_>>();
        until("all sessions are up", PATIENCE, || (states() == ["up"; 4]).then_some(()));
        for to in ["10.2.0.2", "fd00:2::2"] {
            until("h-a reaches h-b", PATIENCE, || {
                (sh(&self.lab, "h-a", &format!("ping -n -c 1 -W 1 {to}")).status == Some(0)).then_some(())
            });
        }
    }

    /// `/v1/bfd`: channel by channel, IPv4 first.
    fn sessions(&self) -> Vec<Value> {
        self.a.api("bfd")["items"].as_array().unwrap().clone()
    }

    fn live(&self, channel: &str) -> bool {
        let connections = self.a.api("connections");
        let attachments = connections["items"][0]["attachments"].as_array().unwrap();
        attachments.iter().any(|one| one["channel"] == channel && one["state"] == "live")
    }

    /// Both directions of a channel lose every frame, and no link goes down.
    fn cut(&self, channel: u8) {
        must(&self.lab, "sw", &format!("ip link set b{channel} nomaster"));
    }

    fn heal(&self, channel: u8) {
        must(&self.lab, "sw", &format!("ip link set b{channel} master br{channel}"));
    }

    /// Sixteen flows between the hosts, both families.
    fn traffic(&self, from: &str, to: &str, four: &str, six: &str) -> UdpRun {
        let flow = |at: u16| UdpFlow {
            to: if at.is_multiple_of(2) { four } else { six }.parse().unwrap(),
            source_port: 40_000 + at,
            packet: 200,
        };
        let options = UdpOptions { flows: (0..16).map(flow).collect(), rate: 2000, port: 7000 };
        let (from, to) = (self.lab.namespace(from).unwrap(), self.lab.namespace(to).unwrap());
        UdpRun::start(from, to, &options).unwrap()
    }

    fn logged(&self, event: &str) -> Vec<Value> {
        let log = self.a.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == event).collect()
    }

    fn end(mut self) {
        self.a.end();
        if let Some(b) = &mut self.b {
            b.end();
        }
    }
}

fn topology(peer: Peer) -> Topology {
    let mut topology = Topology::two_sites(0, 1600).node(Node::new("sw"));
    let daemon = !peer.is_quadspan();
    if daemon {
        let gateway = topology.nodes.iter_mut().find(|node| node.name == "gw-b").unwrap();
        let mut router = Node::new("gw-b").forwarding();
        if peer != Peer::Bird {
            let via = |texts: [&str; 2]| texts.map(|text| text.parse().unwrap()).to_vec();
            router = router
                .route("10.1.0.0/24".parse().unwrap(), via(["169.254.1.1", "169.254.2.1"]))
                .route("fd00:1::/64".parse().unwrap(), via(["fd00:ff:1::1", "fd00:ff:2::1"]));
        }
        *gateway = router;
        for end in topology.links.iter_mut().flat_map(|link| &mut link.ends) {
            if end.node == "gw-b" {
                let plain = End::new("gw-b", "lan1");
                *end = plain.address("10.2.0.1/24".parse().unwrap()).address("fd00:2::1/64".parse().unwrap());
            }
        }
    }
    for channel in [1, 2] {
        let end = |node: &str, number| {
            let end =
                End::new(node, format!("ch{channel}")).mac(Topology::gateway_mac(number, channel)).mtu(1600);
            if daemon && number == 2 {
                let addresses = [format!("169.254.{channel}.2/30"), format!("fd00:ff:{channel}::2/126")];
                addresses.iter().fold(end, |end, net| end.address(net.parse().unwrap()))
            } else {
                end.quiet()
            }
        };
        let port = |side: &str| End::new("sw", format!("{side}{channel}")).mtu(1600).quiet();
        topology = topology.link(end("gw-a", 1), port("a")).link(port("b"), end("gw-b", 2));
    }
    topology
}

fn configuration(peer: Peer, bfd: Bfd, own: u8) -> String {
    let far = 3 - own;
    let mut text =
        String::from("[[interconnect]]\nname = \"x\"\n[[port]]\nname = \"lan\"\ndevice = \"lan1\"\n");
    for channel in [1, 2] {
        let _ = write!(
            text,
            "[[port]]\nname = \"p{channel}\"\ndevice = \"ch{channel}\"\n\
             [[channel]]\nname = \"ch{channel}\"\ninterconnect = \"x\"\nport = \"p{channel}\"\n[channel.macsec]\n"
        );
        if peer.is_quadspan() {
            let mac = Topology::gateway_mac(far, channel).to_string().replace(':', "");
            let _ = write!(
                text,
                "cipher = \"gcm-aes-256\"\n\
                 [[channel.macsec.static.tx]]\nan = 0\nkey = {{ file = \"{own}-{channel}.sak\" }}\n\
                 [[channel.macsec.static.rx]]\nsci = \"{mac}:0001\"\nan = 0\nkey = {{ file = \"{far}-{channel}.sak\" }}\n"
            );
        } else {
            text += "policy = \"off\"\n";
        }
    }
    text += "[[connection]]\nname = \"blue\"\ninterconnect = \"x\"\n";
    for channel in [1, 2] {
        let Bfd { interval, multiplier, mode } = bfd;
        let _ = write!(
            text,
            "[[connection.attachment]]\nchannel = \"ch{channel}\"\nmtu = 1400\n\
             address = [\"169.254.{channel}.{own}/30\", \"fd00:ff:{channel}::{own}/126\"]\n\
             peer = [\"169.254.{channel}.{far}\", \"fd00:ff:{channel}::{far}\"]\n\
             [connection.attachment.bfd]\nmin_tx = \"{interval}ms\"\nmin_rx = \"{interval}ms\"\n\
             multiplier = {multiplier}\nmode = \"{mode}\"\n"
        );
    }
    let _ = write!(
        text,
        "[[connection.lan]]\nport = \"lan\"\naddress = [\"10.{own}.0.1/24\", \"fd00:{own}::1/64\"]\n"
    );
    if peer == Peer::QuadspanBgp {
        let _ = write!(text, "[connection.bgp]\nasn = 6500{own}\nannounce = [\"lans\"]\n");
        for (channel, address) in [1, 2].into_iter().flat_map(|channel| {
            [(channel, format!("169.254.{channel}.{far}")), (channel, format!("fd00:ff:{channel}::{far}"))]
        }) {
            let _ = write!(
                text,
                "[[connection.neighbor]]\non = \"ch{channel}\"\naddress = \"{address}\"\nasn = 6500{far}\n\
                 import = \"accept\"\nexport = \"accept\"\n"
            );
        }
        return text;
    }
    let _ = write!(
        text,
        "[[connection.route]]\nprefix = \"10.{far}.0.0/24\"\nvia = \"attachments\"\n\
         [[connection.route]]\nprefix = \"fd00:{far}::/64\"\nvia = \"attachments\"\n"
    );
    text
}

/// zebra and bfdd, without systemd, in a folder of their own.
fn start_frr(lab: &Lab, folder: &Folder, bfd: Bfd) -> Vec<Process> {
    let at = folder.path().join("frr");
    fs::create_dir(&at).unwrap();
    let dir = at.display();
    let Bfd { interval, multiplier, .. } = bfd;
    let mut conf = String::from("bfd\n");
    for channel in [1, 2] {
        for (peer, own) in [
            (format!("169.254.{channel}.1"), format!("169.254.{channel}.2")),
            (format!("fd00:ff:{channel}::1"), format!("fd00:ff:{channel}::2")),
        ] {
            let _ = write!(
                conf,
                " peer {peer} local-address {own} interface ch{channel}\n  detect-multiplier {multiplier}\n  \
                 receive-interval {interval}\n  transmit-interval {interval}\n exit\n"
            );
        }
    }
    fs::write(at.join("frr.conf"), conf).unwrap();
    fs::write(at.join("vtysh.conf"), "").unwrap();
    fs::write(at.join("empty.conf"), "").unwrap();
    // The daemons become the user frr, who must pass the folder above.
    must(
        lab,
        "gw-b",
        &format!("chmod 711 {}; chown -R frr:frr {dir}; chmod 755 {dir}", folder.path().display()),
    );
    let common =
        format!("--vty_socket {dir} -z {dir}/zserv.api -f {dir}/empty.conf -A 127.0.0.1 -P 0 -u frr -g frr");
    let daemon = |name: &str, more: &str| {
        let line = format!("{common} -i {dir}/{name}.pid {more}");
        let arguments: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
        background(lab, "gw-b", &format!("/usr/lib/frr/{name}"), &arguments)
    };
    let zebra = daemon("zebra", "");
    until("zebra listens", PATIENCE, || at.join("zserv.api").exists().then_some(()));
    let bfdd = daemon("bfdd", &format!("--bfdctl {dir}/bfdd.sock"));
    until("bfdd listens", PATIENCE, || {
        (at.join("bfdd.vty").exists() && at.join("zebra.vty").exists()).then_some(())
    });
    must(lab, "gw-b", &format!("vtysh --vty_socket {dir} --config_dir {dir} -b"));
    vec![zebra, bfdd]
}

fn vtysh(rig: &Rig, command: &str) -> String {
    let dir = rig.folder.path().join("frr");
    let dir = dir.display();
    must(&rig.lab, "gw-b", &format!("vtysh --vty_socket {dir} --config_dir {dir} {command}"))
}

/// BIRD, whose routes to site A go by both channels as long as BFD says that they are there.
fn start_bird(lab: &Lab, folder: &Folder, bfd: Bfd) -> Vec<Process> {
    let Bfd { interval, multiplier, .. } = bfd;
    let conf = format!(
        "router id 192.0.2.2;
         protocol device {{ }}
         protocol kernel {{ merge paths on; ipv4 {{ export all; }}; }}
         protocol kernel {{ merge paths on; ipv6 {{ export all; }}; }}
         protocol bfd {{ interface \"ch*\" {{ min rx interval {interval} ms; min tx interval {interval} ms;
             idle tx interval 1 s; multiplier {multiplier}; }}; }}
         protocol static {{ ipv4; route 10.1.0.0/24 via 169.254.1.1 bfd via 169.254.2.1 bfd; }}
         protocol static {{ ipv6; route fd00:1::/64 via fd00:ff:1::1 bfd via fd00:ff:2::1 bfd; }}\n"
    );
    let (path, socket) = (folder.path().join("bird.conf"), folder.path().join("bird.ctl"));
    fs::write(&path, conf).unwrap();
    let pid = folder.path().join("bird.pid");
    let words =
        ["-f", "-c", path.to_str().unwrap(), "-s", socket.to_str().unwrap(), "-P", pid.to_str().unwrap()];
    let bird = background(lab, "gw-b", "/usr/sbin/bird", &words);
    until("bird listens", PATIENCE, || socket.exists().then_some(()));
    vec![bird]
}

/// The longest silence of any flow, and which began when frames were lost.
fn gap(report: &UdpReport) -> Duration {
    let totals = report.totals();
    assert_eq!((totals.damaged, totals.duplicated), (0, 0), "{totals:?}");
    report.flows.iter().map(|flow| flow.longest_gap).max().unwrap()
}

/// For how long datagrams were sent into the cut: the longest time, by when they were sent, that a flow lost all of them.
fn outage(report: &UdpReport) -> Duration {
    let lost = |flow: &Flow| {
        let sent = flow.sent_at.iter().zip(&flow.arrived_at).collect::<Vec<_>>();
        let runs = sent.chunk_by(|(_, one), (_, next)| one.is_none() == next.is_none());
        let lost = runs.filter_map(|run| match (run.first()?, run.last()?) {
            ((first, None), (last, None)) => Some(last.since(**first)),
            _ => None,
        });
        lost.max().unwrap_or_default()
    };
    report.flows.iter().map(lost).max().unwrap()
}

/// How much later than the detection time traffic may move, on a machine where everything else runs, too.
const SLACK: Duration = Duration::from_millis(150);

/// Cuts and heals the first channel, and holds the traffic to the detection time. `both`: the peer's choice, too. Gives the outages.
fn cut_is_found(rig: &Rig, bfd: Bfd, both: bool) -> Vec<Duration> {
    let there = rig.traffic("h-a", "h-b", "10.2.0.2", "fd00:2::2");
    let back = both.then(|| rig.traffic("h-b", "h-a", "10.1.0.2", "fd00:1::2"));
    Stop::new().wait(Duration::from_millis(500));
    rig.cut(1);
    Stop::new().wait(bfd.detection() + Duration::from_secs(1));
    assert!(!rig.live("ch1") && rig.live("ch2"), "{}", rig.a.log());
    let reports: Vec<_> = [Some(there), back].into_iter().flatten().map(|run| run.stop().unwrap()).collect();
    let gaps: Vec<_> = reports.iter().map(gap).collect();
    // A sender that was starved is silent, too: what counts against us is what was sent and lost.
    let outages: Vec<_> = reports.iter().map(outage).collect();
    // It was really cut, and the way we found out is silence.
    assert!(gaps[0] > bfd.detection() / 3, "{gaps:?}");
    assert!(outages[0] <= bfd.detection() + SLACK, "{outages:?} for {bfd:?}, silent for {gaps:?}");
    let lost = rig.logged("bfd.down");
    assert!(lost.iter().any(|line| line["why"] == "silence" && line["attachment"] == "blue/ch1"), "{lost:?}");
    let screen = rig.a.cli(&["show", "bfd"]).text;
    assert!(screen.contains("down !") && screen.contains("are allowed"), "{screen}");
    rig.heal(1);
    rig.wait_up();
    until("traffic is back", PATIENCE, || rig.live("ch1").then_some(()));
    outages
}

#[test]
fn frrs_bfdd_and_we_find_a_silent_cut() {
    for bfd in [CLOUD, FAST] {
        let Some(rig) = Rig::start("bfd::frr", Peer::Frr, bfd) else { return };
        rig.wait_up();
        for session in rig.sessions() {
            assert_eq!(session["detection_us"], 3000 * bfd.interval, "{session}");
            assert_eq!(session["refused"].as_object().map(serde_json::Map::len), Some(0), "{session}");
        }
        let outages = cut_is_found(&rig, bfd, false);
        eprintln!("FRR {}x{}: our traffic was lost for {outages:?}", bfd.interval, bfd.multiplier);
        let peers: Value = serde_json::from_str(&vtysh(&rig, "-c 'show bfd peers json'")).unwrap();
        let peers = peers.as_array().unwrap();
        let up = |one: &&Value| one["status"] == "up" && one["remote-transmit-interval"] == bfd.interval;
        assert_eq!(peers.iter().filter(up).count(), 4, "{peers:?}");
        // RFC 5882 §4.2: switched off by its operator, the peer is no worse a way than before.
        let peer =
            "-c 'configure terminal' -c 'bfd' -c 'peer 169.254.1.1 local-address 169.254.1.2 interface ch1'";
        vtysh(&rig, &format!("{peer} -c shutdown"));
        until("we are told", PATIENCE, || (rig.sessions()[0]["remote_state"] == "admin_down").then_some(()));
        assert!(rig.live("ch1"), "{}", rig.a.log());
        vtysh(&rig, &format!("{peer} -c 'no shutdown'"));
        rig.wait_up();
        rig.end();
    }
}

#[test]
fn bird_and_we_find_a_silent_cut() {
    for bfd in [CLOUD, FAST] {
        let Some(rig) = Rig::start("bfd::bird", Peer::Bird, bfd) else { return };
        rig.wait_up();
        let outages = cut_is_found(&rig, bfd, true);
        eprintln!("BIRD {}x{}: ours and its traffic was lost for {outages:?}", bfd.interval, bfd.multiplier);
        rig.end();
    }
}

#[test]
fn two_gateways_find_a_silent_cut_under_macsec() {
    for bfd in [CLOUD, FAST] {
        let Some(rig) = Rig::start("bfd::quadspan", Peer::Quadspan, bfd) else { return };
        rig.wait_up();
        let outages = cut_is_found(&rig, bfd, true);
        assert!(outages[1] <= bfd.detection() + SLACK, "{outages:?}");
        eprintln!("two gateways {}x{}: traffic was lost for {outages:?}", bfd.interval, bfd.multiplier);
        rig.end();
    }
}

/// RFC 5882 §4.3, RFC 9384: the session over a dead path ends long before its hold time, and says why.
#[test]
fn bgp_hears_of_a_silent_cut() {
    let Some(rig) = Rig::start("bfd::bgp", Peer::QuadspanBgp, FAST) else { return };
    rig.wait_up();
    let up = |count| {
        until(&format!("{count} BGP sessions are up: {}", rig.a.log()), PATIENCE, || {
            let sessions = rig.a.api("bgp");
            let items = sessions["items"].as_array().unwrap();
            (items.iter().filter(|one| one["state"] == "established").count() == count).then_some(())
        });
    };
    up(4);
    cut_is_found(&rig, FAST, true);
    let down = rig.a.bgp_ends();
    assert_eq!(down.len(), 2, "both families over the first channel: {down:?}");
    up(4);
    rig.end();
}

/// Processors that are busy with other things do not take a session down.
#[test]
fn busy_processors_make_no_flaps() {
    let Some(rig) = Rig::start("bfd::busy", Peer::Quadspan, FAST) else { return };
    rig.wait_up();
    let traffic = rig.traffic("h-a", "h-b", "10.2.0.2", "fd00:2::2");
    let processors = std::thread::available_parallelism().unwrap().get();
    let changes = || {
        rig.sessions().iter().map(|one| [&one["ups"], &one["downs"]].map(Clone::clone)).collect::<Vec<_>>()
    };
    // Others may want the processors too, and inside the kernel nobody lends us priority: of three looks one has to be calm.
    let calm = (0..3).any(|_| {
        let before = changes();
        let _hogs: Vec<_> = (0..2 * processors)
            .map(|_| background(&rig.lab, "h-a", "sh", &["-c", "while :; do :; done"]))
            .collect();
        Stop::new().wait(Duration::from_secs(10));
        changes() == before
    });
    let report = traffic.stop().unwrap();
    let sessions = rig.sessions();
    let longest = sessions.iter().map(|one| one["longest_gap_us"].as_u64().unwrap()).max();
    eprintln!("busy: longest time between two packets {longest:?} us; traffic {:?}", report.totals());
    assert!(calm, "{sessions:#?}");
    rig.end();
}

/// RFC 5882 §4.2: without an answer `follow` uses the attachment, `strict` does not.
#[test]
fn a_router_without_bfd_is_used_unless_bfd_is_required() {
    for mode in ["follow", "strict"] {
        let Some(rig) = Rig::start("bfd::router", Peer::Router, Bfd { mode, ..FAST }) else { return };
        until("packets were sent", PATIENCE, || {
            rig.sessions().iter().all(|one| one["tx_packets"].as_u64() >= Some(2)).then_some(())
        });
        assert_eq!((rig.live("ch1"), rig.live("ch2")), (mode == "follow", mode == "follow"), "{mode}");
        let screen = rig.a.cli(&["show", "bfd", "blue/ch1"]).text;
        assert!(screen.contains("the peer was never heard") && !screen.contains("blue/ch2"), "{screen}");
        rig.end();
    }
}
