//! Gateways with many connections, and hosts with a VLAN for each.

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use support::{
    lab::{CHANNELS, Files, Lab, Node, channel_mac},
    process::Process,
};

/// The VLAN of the first connection, on LANs and attachments.
pub(crate) const FIRST_VLAN: u16 = 2;
/// How long a gateway may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// How large gateways are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: u16,
    pub(crate) routes: u32,
    pub(crate) bgp: bool,
    pub(crate) workers: u16,
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    process: Process,
    log: PathBuf,
}

impl Gateway {
    pub(crate) fn start(lab: &Lab, files: &Files, plan: Plan, site: u8, program: &Path) -> Result<Self> {
        let program =
            program.canonicalize().with_context(|| format!("{} is not there", program.display()))?;
        let node = if site == 1 { Node::GatewayA } else { Node::GatewayB };
        let config = files.path().join(format!("{site}.toml"));
        fs::write(&config, configuration(files.path(), lab, plan, site)).context("cannot write")?;
        let log = files.path().join(format!("{site}.log"));
        let file = File::create(&log).context("cannot write a log")?;
        let mut command = lab.command(node, &program.to_string_lossy());
        command.arg("run").arg("-c").arg(config);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok(Self { process: Process::start(&mut command)?, log })
    }

    pub(crate) const fn process(&self) -> &Process {
        &self.process
    }

    /// What it wrote last.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Waits until it says that it runs.
    pub(crate) fn wait_started(&mut self) -> Result<()> {
        let began = crate::now();
        while crate::now().duration_since(began) < PATIENCE {
            if fs::read_to_string(&self.log)?.contains("gateway.started") {
                return Ok(());
            }
            if self.process.child().try_wait()?.is_some() {
                bail!("a gateway ended: {}", self.log());
            }
            crate::rest(Duration::from_millis(20));
        }
        bail!("a gateway did not start in time: {}", self.log())
    }
}

pub(crate) fn vlans(connections: u16) -> impl Iterator<Item = u16> {
    FIRST_VLAN..FIRST_VLAN + connections
}

fn configuration(directory: &Path, lab: &Lab, plan: Plan, site: u8) -> String {
    let (path, workers) = (directory.display(), plan.workers);
    let mut text = format!(
        "schema = 1\n[site]\nname = \"site-{site}\"\n[runtime]\nworkers = {workers}\n\
         state_dir = \"{path}/state-{site}\"\nsocket = \"{path}/{site}.sock\"\n\
         [[interconnect]]\nname = \"x\"\n[[port]]\nname = \"lan\"\ndevice = \"lan\"\n"
    );
    for channel in 1..=CHANNELS {
        text += &channel_section(lab, site, channel);
    }
    for vlan in vlans(plan.connections) {
        text += &connection(plan, site, vlan);
    }
    text
}

fn channel_section(lab: &Lab, site: u8, channel: u8) -> String {
    let (far, mtu) = (3 - site, lab.channel_mtu);
    let sci = channel_mac(far, channel).replace(':', "");
    // One salt for both ways: the keys and the SSCIs differ.
    let salt = format!("{channel:024x}");
    format!(
        "[[port]]\nname = \"c{channel}\"\ndevice = \"c{channel}\"\n\
         [[channel]]\nname = \"ch{channel}\"\ninterconnect = \"x\"\nport = \"c{channel}\"\nmtu = {mtu}\n\
         [channel.macsec]\ncipher = \"gcm-aes-xpn-256\"\n\
         [[channel.macsec.static.tx]]\nan = 0\nkey = {{ file = \"tx{site}-{channel}\" }}\nsalt = \"{salt}\"\nssci = {site}\n\
         [[channel.macsec.static.rx]]\nsci = \"{sci}:0001\"\nan = 0\nkey = {{ file = \"tx{far}-{channel}\" }}\nsalt = \"{salt}\"\nssci = {far}\n",
    )
}

fn connection(plan: Plan, site: u8, vlan: u16) -> String {
    let far = 3 - site;
    let mut text = format!(
        "[[connection]]\nname = \"c{vlan}\"\ninterconnect = \"x\"\n\
         [[connection.lan]]\nport = \"lan\"\nvlan = {vlan}\naddress = [\"10.{site}.0.1/24\"]\n"
    );
    if plan.bgp {
        text += &bgp(site);
    }
    for channel in 1..=CHANNELS {
        let _written = write!(
            text,
            "[[connection.attachment]]\nchannel = \"ch{channel}\"\nvlan = {vlan}\nmtu = 1500\n\
             address = [\"169.254.{channel}.{site}/30\"]\npeer = [\"169.254.{channel}.{far}\"]\n"
        );
        if plan.bgp {
            text += &neighbor(site, channel);
        }
    }
    // Where the routes of a connection lead: at site 1 to the other side, at site 2 (with BGP) nowhere, so that it has them to tell.
    if !plan.bgp {
        text += &route(&format!("10.{far}.0.0/24"), "attachments");
    }
    let (own, via) = if plan.bgp { (site == 2, "blackhole") } else { (true, "attachments") };
    for n in (0..plan.routes.saturating_sub(1)).filter(|_| own) {
        text += &route(&format!("20.{}.{}.0/24", n / 256, n % 256), via);
    }
    text
}

fn route(prefix: &str, via: &str) -> String {
    format!("[[connection.route]]\nprefix = \"{prefix}\"\nvia = \"{via}\"\n")
}

/// Site 2 tells its LAN and what leads nowhere.
fn bgp(site: u8) -> String {
    let what = if site == 2 { "\"lans\", \"static\"" } else { "\"lans\"" };
    format!("[connection.bgp]\nasn = 6500{site}\nrouter_id = \"192.0.2.{site}\"\nannounce = [{what}]\n")
}

fn neighbor(site: u8, channel: u8) -> String {
    let far = 3 - site;
    format!(
        "[[connection.neighbor]]\non = \"ch{channel}\"\naddress = \"169.254.{channel}.{far}\"\nasn = 6500{far}\n\
         connect_retry = \"1s\"\nimport = \"accept\"\nexport = \"accept\"\n"
    )
}
