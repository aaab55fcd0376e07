//! BGP speakers of other people, as an engineer would run them: FRR, BIRD, GoBGP, OpenBGPD, ExaBGP, in the foreground in
//! a node of a lab, with all their files in a folder of the test's own.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gateway::lab::{Lab, Process};
use nix::sys::signal::Signal;

use super::shell::{must, sh, until};

const PATIENCE: Duration = Duration::from_secs(20);

/// Whose speaker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Daemon {
    Frr,
    Bird,
    Gobgp,
    Openbgpd,
    Exabgp,
}

/// The programs that all of them take.
pub(crate) const PROGRAMS: [&str; 7] = ["bird", "birdc", "vtysh", "gobgpd", "gobgp", "bgpctl", "exabgp"];

/// How the peer is set up: 10.255.0.2 and 2001:db8:ffff::2 towards AS 65001 (10.255.1.2 and 2001:db8:fffe::2 on the
/// second link).
#[derive(Clone, Debug)]
pub(crate) struct Peering {
    pub(crate) asn: u32,
    /// On which link, from 0.
    pub(crate) link: u8,
    /// The whole configuration, where nothing below fits.
    pub(crate) whole: Option<String>,
    /// More lines at the top level, in the daemon's words.
    pub(crate) top: &'static str,
    pub(crate) password: Option<&'static str>,
    pub(crate) gtsm: bool,
    /// A second session over IPv6 carries IPv6 (OpenBGPD cannot do it over IPv4).
    pub(crate) two_sessions: bool,
    /// Prefixes that it announces.
    pub(crate) prefixes: Vec<String>,
    /// More lines for the neighbour, in the daemon's words.
    pub(crate) more: &'static str,
    /// Seconds.
    pub(crate) hold: u16,
    /// It keeps the FIB over its own restart, and asks us to keep its routes.
    pub(crate) restarts: bool,
}

impl Default for Peering {
    fn default() -> Self {
        Self {
            asn: 65_002,
            link: 0,
            whole: None,
            top: "",
            password: None,
            gtsm: false,
            two_sessions: false,
            prefixes: ["203.0.113.0/24", "2001:db8:b::/48"].map(str::to_owned).into(),
            more: "",
            hold: 9,
            restarts: false,
        }
    }
}

/// A running speaker.
#[derive(Debug)]
pub(crate) struct Peer {
    daemon: Daemon,
    node: String,
    folder: PathBuf,
    processes: Vec<(&'static str, Process)>,
}

impl Peer {
    /// Starts a speaker in `node`, and waits until it answers.
    pub(crate) fn start(lab: &Lab, parent: &Path, node: &str, daemon: Daemon, peering: &Peering) -> Self {
        let folder = parent.join(format!("peer-{node}"));
        fs::create_dir_all(&folder).unwrap();
        // FRR gives up its privileges and must still reach its sockets.
        fs::set_permissions(parent, fs::Permissions::from_mode(0o711)).unwrap();
        let mut this = Self { daemon, node: node.to_owned(), folder, processes: Vec::new() };
        this.configure(peering);
        this.run(lab, false);
        this
    }

    fn configure(&self, peering: &Peering) {
        let (name, text) = match self.daemon {
            Daemon::Frr => ("frr.conf", frr(peering)),
            Daemon::Bird => ("bird.conf", bird(peering)),
            Daemon::Gobgp => ("gobgp.toml", gobgp(peering)),
            Daemon::Openbgpd => ("bgpd.conf", openbgpd(peering, &self.folder)),
            Daemon::Exabgp => ("exabgp.conf", exabgp(peering)),
        };
        let text = peering.whole.clone().unwrap_or(text);
        // The daemons' functions write what holds for the first link.
        let text = text
            .replace("10.255.0.", &format!("10.255.{}.", peering.link))
            .replace("2001:db8:ffff:", &format!("2001:db8:fff{}:", super::edge::six(peering.link)))
            .replace("65002", &peering.asn.to_string());
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(self.folder.join(name));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Starts its programs; `recovering`: they find what an earlier run left in the kernel.
    fn run(&mut self, lab: &Lab, recovering: bool) {
        let at = |name: &str| self.folder.join(name).display().to_string();
        match self.daemon {
            Daemon::Frr => self.run_frr(lab),
            Daemon::Bird => {
                let (conf, control, pid) = (at("bird.conf"), at("bird.ctl"), at("bird.pid"));
                let mut words = vec!["-f", "-c", &conf, "-s", &control, "-P", &pid];
                words.extend(recovering.then_some("-R"));
                self.spawn(lab, "bird", "/usr/sbin/bird", &words);
                self.await_answer(lab, "show status");
            }
            Daemon::Gobgp => {
                let conf = at("gobgp.toml");
                let words = ["-t", "toml", "-f", &conf, "--api-hosts", "127.0.0.1:50051", "--log-plain"];
                self.spawn(lab, "gobgpd", "/usr/bin/gobgpd", &words);
                self.await_answer(lab, "global");
            }
            Daemon::Openbgpd => {
                let conf = at("bgpd.conf");
                // Where its unprivileged part is locked up; its service file makes it.
                must(lab, &self.node, "mkdir -p /run/openbgpd");
                self.spawn(lab, "bgpd", "/usr/sbin/bgpd", &["-d", "-v", "-f", &conf]);
                self.await_answer(lab, "show");
            }
            Daemon::Exabgp => {
                let conf = at("exabgp.conf");
                let mut words: Vec<String> = [
                    "exabgp.daemon.user=root",
                    "exabgp.daemon.daemonize=false",
                    "exabgp.daemon.drop=false",
                    "exabgp.tcp.bind=",
                    "exabgp.api.cli=false",
                    "exabgp.log.level=DEBUG",
                    "exabgp.log.destination=stdout",
                    "exabgp.log.all=false",
                    "exabgp.log.routes=true",
                ]
                .map(str::to_owned)
                .into();
                words.extend(["/usr/sbin/exabgp".to_owned(), conf]);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.spawn(lab, "exabgp", "/usr/bin/env", &words);
            }
        }
        if self.daemon == Daemon::Gobgp {
            self.originate_gobgp(lab);
        }
    }

    fn run_frr(&mut self, lab: &Lab) {
        fs::write(self.folder.join("vtysh.conf"), "").unwrap();
        fs::write(self.folder.join("empty.conf"), "").unwrap();
        must(lab, &self.node, &format!("chown -R frr:frr {0}; chmod 755 {0}", self.folder.display()));
        self.run_frr_daemon(lab, "zebra");
        for daemon in ["staticd", "bgpd", "bfdd"] {
            self.run_frr_daemon(lab, daemon);
        }
        self.load_frr(lab);
    }

    /// One of FRR's daemons, until its terminal listens.
    pub(crate) fn run_frr_daemon(&mut self, lab: &Lab, daemon: &'static str) {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let (folder, api, conf, pid) =
            (at(""), at("zserv.api"), at("empty.conf"), at(&format!("{daemon}.pid")));
        let folder = folder.trim_end_matches('/');
        let bfd = at("bfdd.sock");
        let mut words = vec!["--vty_socket", folder, "-z", &api, "-f", &conf, "-A", "127.0.0.1", "-P", "0"];
        words.extend(["-u", "frr", "-g", "frr", "-i", &pid, "--log", "stdout", "--log-level", "info"]);
        if daemon == "bfdd" {
            words.extend(["--bfdctl", &bfd]);
        }
        let socket = self.folder.join(format!("{daemon}.vty"));
        let _old = fs::remove_file(&socket);
        self.spawn(lab, daemon, &format!("/usr/lib/frr/{daemon}"), &words);
        until(&format!("{daemon} listens"), PATIENCE, || socket.exists().then_some(()));
        if daemon == "zebra" {
            let api = self.folder.join("zserv.api");
            until("zebra serves", PATIENCE, || api.exists().then_some(()));
        }
    }

    /// Splits the configuration among FRR's daemons.
    pub(crate) fn load_frr(&self, lab: &Lab) {
        let folder = self.folder.display();
        must(lab, &self.node, &format!("vtysh --vty_socket {folder} --config_dir {folder} -b"));
    }

    fn spawn(&mut self, lab: &Lab, name: &'static str, program: &str, words: &[&str]) {
        let log =
            File::options().create(true).append(true).open(self.folder.join(format!("{name}.log"))).unwrap();
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.processes.push((name, lab.spawn(&self.node, command).unwrap()));
    }

    fn await_answer(&self, lab: &Lab, question: &str) {
        until(&format!("{:?} answers", self.daemon), PATIENCE, || self.try_ask(lab, question));
    }

    fn try_ask(&self, lab: &Lab, question: &str) -> Option<String> {
        let folder = self.folder.display();
        let script = match self.daemon {
            Daemon::Frr => format!("vtysh --vty_socket {folder} --config_dir {folder} -c '{question}'"),
            Daemon::Bird => format!("birdc -s {folder}/bird.ctl '{question}'"),
            Daemon::Gobgp => format!("gobgp -u 127.0.0.1 -p 50051 {question}"),
            Daemon::Openbgpd => format!("bgpctl -s {folder}/bgpd.sock {question}"),
            Daemon::Exabgp => format!("cat {folder}/exabgp.log"),
        };
        let output = sh(lab, &self.node, &script);
        (output.status == Some(0)).then_some(output.text)
    }

    /// What its command line says.
    pub(crate) fn ask(&self, lab: &Lab, question: &str) -> String {
        self.try_ask(lab, question).unwrap_or_default()
    }

    /// Whether it learnt `prefix` from us and uses it.
    pub(crate) fn learned(&self, lab: &Lab, prefix: &str) -> bool {
        let v6 = prefix.contains(':');
        match self.daemon {
            Daemon::Frr => {
                let family = if v6 { "ipv6" } else { "ipv4" };
                self.ask(lab, &format!("show bgp {family} unicast {prefix}")).contains("best")
            }
            Daemon::Bird => self.ask(lab, &format!("show route {prefix}")).contains("[peer"),
            Daemon::Gobgp => {
                let family = if v6 { "ipv6" } else { "ipv4" };
                self.ask(lab, &format!("global rib {prefix} -a {family}")).contains("*>")
            }
            Daemon::Openbgpd => {
                let rib = self.ask(lab, &format!("show rib {prefix}"));
                rib.lines().any(|line| line.contains(prefix) && line.contains('*'))
            }
            Daemon::Exabgp => self.ask(lab, "").contains(prefix),
        }
    }

    fn originate_gobgp(&self, lab: &Lab) {
        let routes =
            [("203.0.113.0/24", "10.255.0.2", "ipv4"), ("2001:db8:b::/48", "2001:db8:ffff::2", "ipv6")];
        for (prefix, next_hop, family) in routes {
            let add = format!("global rib add {prefix} nexthop {next_hop} -a {family}");
            until("GoBGP takes a route", PATIENCE, || self.try_ask(lab, &add));
        }
    }

    /// Sends a signal to one of its programs.
    pub(crate) fn signal(&self, program: &str, signal: Signal) {
        let (_, process) = self.processes.iter().find(|(name, _)| *name == program).unwrap();
        process.signal(signal).unwrap();
    }

    /// Kills one of its programs as a crash would; the kernel keeps what it was given.
    pub(crate) fn crash(&mut self, program: &str) {
        let at = self.processes.iter().position(|(name, _)| *name == program).unwrap();
        let (_, mut process) = self.processes.remove(at);
        process.signal(Signal::SIGKILL).unwrap();
        process.wait(PATIENCE).unwrap();
    }

    /// Starts it again after a crash.
    pub(crate) fn recover(&mut self, lab: &Lab) {
        match self.daemon {
            Daemon::Frr => {
                self.run_frr_daemon(lab, "bgpd");
                self.load_frr(lab);
            }
            Daemon::Bird | Daemon::Gobgp | Daemon::Openbgpd | Daemon::Exabgp => self.run(lab, true),
        }
    }

    /// Its log, for messages.
    pub(crate) fn log(&self) -> String {
        let logs = self.processes.iter().map(|(name, _)| self.folder.join(format!("{name}.log")));
        logs.filter_map(|path| fs::read_to_string(path).ok()).collect()
    }
}

fn of_family(peering: &Peering, v6: bool) -> impl Iterator<Item = &String> {
    peering.prefixes.iter().filter(move |prefix| prefix.contains(':') == v6)
}

fn frr(peering: &Peering) -> String {
    let statics: String = of_family(peering, false)
        .map(|prefix| format!("ip route {prefix} Null0\n"))
        .chain(of_family(peering, true).map(|prefix| format!("ipv6 route {prefix} Null0\n")))
        .collect();
    let networks =
        |v6| of_family(peering, v6).map(|prefix| format!("  network {prefix}\n")).collect::<String>();
    let neighbor = |address: &str| {
        let mut text = format!(
            " neighbor {address} remote-as 65001\n neighbor {address} timers {} {}\n neighbor {address} timers connect 1\n",
            peering.hold / 3,
            peering.hold
        );
        if let Some(password) = peering.password {
            text += &format!(" neighbor {address} password {password}\n");
        }
        if peering.gtsm {
            text += &format!(" neighbor {address} ttl-security hops 1\n");
        }
        text + &peering.more.replace("@PEER@", address)
    };
    let mut neighbors = neighbor("10.255.0.1");
    if peering.two_sessions {
        neighbors += &neighbor("2001:db8:ffff::1");
    }
    let six = if peering.two_sessions { "2001:db8:ffff::1" } else { "10.255.0.1" };
    let restart = if peering.restarts {
        " bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n bgp graceful-restart restart-time 60\n"
    } else {
        ""
    };
    let top = peering.top;
    format!(
        "{top}{statics}router bgp 65002\n bgp router-id 192.0.2.2\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n{restart}{neighbors} \
         address-family ipv4 unicast\n{}  neighbor 10.255.0.1 activate\n exit-address-family\n \
         address-family ipv6 unicast\n{}  neighbor {six} activate\n  neighbor {six} route-map NH6 out\n exit-address-family\n!\n\
         route-map NH6 permit 10\n set ipv6 next-hop global 2001:db8:ffff::2\n!\n",
        networks(false),
        networks(true)
    )
}

fn bird(peering: &Peering) -> String {
    let statics =
        |v6| of_family(peering, v6).map(|prefix| format!(" route {prefix} blackhole;")).collect::<String>();
    let password = peering.password.map_or_else(String::new, |password| format!(" password \"{password}\";"));
    let gtsm = if peering.gtsm { " ttl security on;" } else { "" };
    let restart = if peering.restarts { " graceful restart on;" } else { "" };
    let (hold, keepalive) = (peering.hold, peering.hold / 3);
    let session = |name: &str, local: &str, neighbor: &str, four: bool, six: bool| {
        let family = |wanted: bool, name: &str, more: &str| {
            let one = format!(" {name} {{ import all; export where source = RTS_STATIC;{more} }};\n");
            if wanted { one } else { String::new() }
        };
        format!(
            "protocol bgp {name} {{\n local {local} as 65002; neighbor {neighbor} as 65001;{password}{gtsm}{restart}\n \
             hold time {hold}; keepalive time {keepalive}; connect delay time 1; connect retry time 2; error wait time 1,2;\n{}{}{}}}\n",
            peering.more,
            family(four, "ipv4", ""),
            family(six, "ipv6", " next hop address 2001:db8:ffff::2;")
        )
    };
    let mut sessions = session("peer", "10.255.0.2", "10.255.0.1", true, !peering.two_sessions);
    if peering.two_sessions {
        sessions += &session("peer6", "2001:db8:ffff::2", "2001:db8:ffff::1", false, true);
    }
    format!(
        "log stderr all;\nrouter id 192.0.2.2;\nprotocol device {{ scan time 1; }}\n{}\
         protocol kernel k4 {{ persist; ipv4 {{ import none; export where source = RTS_BGP; }}; }}\n\
         protocol kernel k6 {{ persist; ipv6 {{ import none; export where source = RTS_BGP; }}; }}\n\
         protocol static s4 {{ ipv4;{} }}\nprotocol static s6 {{ ipv6;{} }}\n{sessions}",
        peering.top,
        statics(false),
        statics(true)
    )
}

fn gobgp(peering: &Peering) -> String {
    let password =
        peering.password.map_or_else(String::new, |password| format!("auth-password = \"{password}\"\n"));
    let gtsm =
        if peering.gtsm { "[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255\n" } else { "" };
    format!(
        "[global.config]\nas = 65002\nrouter-id = \"192.0.2.2\"\nport = 179\nlocal-address-list = [\"10.255.0.2\"]\n\
         [[neighbors]]\n[neighbors.config]\nneighbor-address = \"10.255.0.1\"\npeer-as = 65001\n{password}\
         [neighbors.timers.config]\nhold-time = {}\nkeepalive-interval = {}\nconnect-retry = 1\nidle-hold-time-after-reset = 1\n\
         [neighbors.transport.config]\nlocal-address = \"10.255.0.2\"\n{gtsm}\
         [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n\
         [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv6-unicast\"\n",
        peering.hold,
        peering.hold / 3
    )
}

fn openbgpd(peering: &Peering, folder: &Path) -> String {
    let networks: String = of_family(peering, false)
        .map(|prefix| format!("network {prefix}\n"))
        .chain(
            of_family(peering, true).map(|prefix| format!("network {prefix} set nexthop 2001:db8:ffff::2\n")),
        )
        .collect();
    let password = peering
        .password
        .map_or_else(String::new, |password| format!("\ttcp md5sig password \"{password}\"\n"));
    let gtsm = if peering.gtsm { "\tttl-security yes\n" } else { "" };
    let neighbor = |remote: &str, local: &str, family: &str| {
        format!(
            "neighbor {remote} {{\n\tremote-as 65001\n\tlocal-address {local}\n\tannounce {family} unicast\n{password}{gtsm}}}\n"
        )
    };
    format!(
        "AS 65002\nrouter-id 192.0.2.2\nlisten on 10.255.0.2\nlisten on 2001:db8:ffff::2\nsocket \"{}/bgpd.sock\"\n\
         holdtime {}\nholdtime min 3\nconnect-retry 2\nfib-update no\n{networks}{}{}allow from any\nallow to any\n",
        folder.display(),
        peering.hold,
        neighbor("10.255.0.1", "10.255.0.2", "IPv4"),
        neighbor("2001:db8:ffff::1", "2001:db8:ffff::2", "IPv6"),
    )
}

fn exabgp(peering: &Peering) -> String {
    let routes: String = of_family(peering, false)
        .map(|prefix| format!("  route {prefix} next-hop 10.255.0.2;\n"))
        .chain(
            of_family(peering, true).map(|prefix| format!("  route {prefix} next-hop 2001:db8:ffff::2;\n")),
        )
        .collect();
    let password =
        peering.password.map_or_else(String::new, |password| format!(" md5-password '{password}';\n"));
    let gtsm = if peering.gtsm { " outgoing-ttl 255;\n incoming-ttl 255;\n" } else { "" };
    format!(
        "neighbor 10.255.0.1 {{\n router-id 192.0.2.2;\n local-address 10.255.0.2;\n local-as 65002;\n peer-as 65001;\n \
         hold-time {};\n{password}{gtsm} family {{ ipv4 unicast; ipv6 unicast; }}\n static {{\n{routes} }}\n}}\n",
        peering.hold
    )
}
