//! Who is measured: the gateway, BIRD, FRR, each as a service would run it, with all its files in a folder of this run.

use std::{
    env,
    fmt::Write as _,
    fs::{self, DirBuilder, File},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    feed,
    lab::{Lab, Node},
};
use support::process::{Process, output};

/// Whose program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Contender {
    /// The gateway: its program.
    Quadspan(PathBuf),
    Bird,
    Frr,
}

impl Contender {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Quadspan(program) => program.file_name().unwrap_or_default().display().to_string(),
            Self::Bird => "BIRD".to_owned(),
            Self::Frr => "FRR".to_owned(),
        }
    }

    pub(crate) fn is_kernel(&self) -> bool {
        !matches!(self, Self::Quadspan(_))
    }
}

/// A contender that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    processes: Vec<Process>,
    folder: PathBuf,
}

impl Running {
    /// Starts it with `feeds` neighbours on the one link and the sink on the other.
    pub(crate) fn start(lab: &Lab, contender: &Contender, feeds: u8) -> Result<Self> {
        let folder = env::temp_dir().join(format!("convergence-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&folder).context("cannot make a folder")?;
        let mut this = Self { processes: Vec::new(), folder };
        match contender {
            Contender::Quadspan(program) => {
                fs::write(this.at("gw.toml"), quadspan(&this.folder, feeds))?;
                let config = this.at("gw.toml");
                this.run(lab, &program.canonicalize()?, &["run", "-c", &config])?;
                this.await_file("gw.sock")?;
            }
            Contender::Bird => {
                fs::write(this.at("bird.conf"), bird(feeds))?;
                let (conf, control, pid) = (this.at("bird.conf"), this.at("bird.ctl"), this.at("bird.pid"));
                this.run(lab, Path::new("/usr/sbin/bird"), &["-f", "-c", &conf, "-s", &control, "-P", &pid])?;
                this.await_file("bird.ctl")?;
            }
            Contender::Frr => this.start_frr(lab, feeds)?,
        }
        Ok(this)
    }

    fn start_frr(&mut self, lab: &Lab, feeds: u8) -> Result<()> {
        // It gives up its privileges and must still reach its sockets.
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o755))?;
        fs::write(self.at("frr.conf"), frr(feeds))?;
        fs::write(self.at("vtysh.conf"), "")?;
        fs::write(self.at("empty.conf"), "")?;
        let folder = self.folder.display().to_string();
        output(lab.command(Node::Middle, "chown").args(["-R", "frr:frr", &folder]))?;
        for daemon in ["zebra", "bgpd"] {
            let (api, conf, pid) =
                (self.at("zserv.api"), self.at("empty.conf"), self.at(&format!("{daemon}.pid")));
            let mut words =
                vec!["--vty_socket", &folder, "-z", &api, "-f", &conf, "-A", "127.0.0.1", "-P", "0"];
            words.extend([
                "-u",
                "frr",
                "-g",
                "frr",
                "-i",
                &pid,
                "--log",
                "stdout",
                "--log-level",
                "warnings",
            ]);
            self.run(lab, Path::new(&format!("/usr/lib/frr/{daemon}")), &words)?;
            self.await_file(&format!("{daemon}.vty"))?;
            self.await_file("zserv.api")?;
        }
        let words = ["--vty_socket", &folder, "--config_dir", &folder, "-b"];
        output(lab.command(Node::Middle, "vtysh").args(words)).map(drop)
    }

    fn run(&mut self, lab: &Lab, program: &Path, words: &[&str]) -> Result<()> {
        let name = program.file_name().unwrap_or_default().display();
        let log = File::create(self.at(&format!("{name}.log"))).context("cannot write a log")?;
        let mut command = lab.command(Node::Middle, &program.display().to_string());
        command.args(words).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.processes.push(Process::start(&mut command)?);
        Ok(())
    }

    fn await_file(&self, name: &str) -> Result<()> {
        let began = Instant::now();
        while !self.folder.join(name).exists() {
            ensure!(began.elapsed() < Duration::from_secs(20), "{name} does not appear");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn at(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Resident memory of all its processes.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        self.processes.iter().map(Process::resident_mib).sum()
    }

    /// Seconds of CPU of all its processes.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        self.processes.iter().map(Process::cpu_seconds).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.processes.clear();
        // What stays is readable by root alone.
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

/// One worker; MACsec is off: what is measured is routes.
fn quadspan(folder: &Path, feeds: u8) -> String {
    let folder = folder.display();
    let mut text = format!(
        "schema = 1\n[site]\nname = \"gw\"\n[runtime]\nworkers = 1\nstate_dir = \"{folder}/state\"\nsocket = \"{folder}/gw.sock\"\n\
         [[interconnect]]\nname = \"x\"\n[[port]]\nname = \"lan\"\ndevice = \"lan\"\n"
    );
    for link in ["feed", "sink"] {
        let _ = write!(
            text,
            "[[port]]\nname = \"{link}\"\ndevice = \"{link}\"\n[[channel]]\nname = \"{link}\"\ninterconnect = \"x\"\n\
             port = \"{link}\"\n[channel.macsec]\npolicy = \"off\"\n"
        );
    }
    text += "[[connection]]\nname = \"blue\"\ninterconnect = \"x\"\n";
    for (at, link) in ["feed", "sink"].iter().enumerate() {
        let _ = write!(
            text,
            "[[connection.attachment]]\nchannel = \"{link}\"\naddress = [\"10.255.{at}.1/24\"]\npeer = [\"10.255.{at}.2\"]\n"
        );
    }
    text += "[[connection.lan]]\nport = \"lan\"\naddress = [\"10.1.0.1/24\"]\n\
             [connection.bgp]\nasn = 65001\nrouter_id = \"192.0.2.1\"\nannounce = []\n";
    let neighbor = |on, name, address, asn, import, export| {
        format!(
            "[[connection.neighbor]]\non = \"{on}\"\nname = \"{name}\"\naddress = \"{address}\"\nasn = {asn}\nhold = \"180s\"\n\
             import = \"{import}\"\nexport = \"{export}\"\n"
        )
    };
    for n in 0..feeds {
        text += &neighbor(
            "feed",
            format!("f{n}"),
            feed::address(n).to_string(),
            feed::asn(n),
            "accept",
            "refuse",
        );
    }
    text + &neighbor("sink", "sink".to_owned(), "10.255.1.2".to_owned(), 65_100, "refuse", "accept")
}

fn bird(feeds: u8) -> String {
    let mut text = "router id 192.0.2.1;\nprotocol device { scan time 60; }\nprotocol direct { ipv4; }\n\
        protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; scan time 3600; }\n"
        .to_owned();
    let mut neighbor = |name: String, address: String, asn: u32, import, export| {
        let _ = write!(
            text,
            "protocol bgp {name} {{ local as 65001; neighbor {address} as {asn}; hold time 180; passive yes; direct;\n\
             ipv4 {{ import {import}; export {export}; }}; }}\n"
        );
    };
    for n in 0..feeds {
        neighbor(format!("f{n}"), feed::address(n).to_string(), feed::asn(n), "all", "none");
    }
    neighbor("sink".to_owned(), "10.255.1.2".to_owned(), 65_100, "none", "where source = RTS_BGP");
    text
}

fn frr(feeds: u8) -> String {
    // Route maps that come later, or late, refuse what came before.
    let mut text = "route-map ALL permit 10\nroute-map NONE deny 10\nbgp route-map delay-timer 0\n\
        router bgp 65001\n bgp router-id 192.0.2.1\n no bgp default ipv4-unicast\n"
        .to_owned();
    let (mut peers, mut family) = (String::new(), String::new());
    let mut neighbor = |address: String, asn: u32, import, export| {
        let _ = write!(
            peers,
            " neighbor {address} remote-as {asn}\n neighbor {address} timers 60 180\n neighbor {address} passive\n"
        );
        let _ = write!(
            family,
            "  neighbor {address} activate\n  neighbor {address} route-map {import} in\n  neighbor {address} route-map {export} out\n"
        );
    };
    for n in 0..feeds {
        neighbor(feed::address(n).to_string(), feed::asn(n), "ALL", "NONE");
    }
    neighbor("10.255.1.2".to_owned(), 65_100, "NONE", "ALL");
    text += &peers;
    text + &format!(" address-family ipv4 unicast\n{family} exit-address-family\n")
}
