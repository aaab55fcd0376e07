//! What the API needs to know of a running gateway.
//!
//! A [`Source`] gathers [`Facts`]; everything that the API says is computed from them (`view`), so it can be
//! tested without a gateway. Facts are copies: nothing in here holds a worker up.

use std::{path::PathBuf, sync::Arc, time::Duration};

use config::{Config, model::Io};
use dataplane::{ChannelId, Setup};
use jiff::Timestamp;
use macsec::mka::RekeyAnswer;
use net::{Instant, MacAddr};

use super::model::{Reason, Severity};
use crate::{
    clock,
    control::Workers,
    link_monitor::{self, Link},
    ports,
    worker::Report,
};

/// Where the API gets its facts, and whom it asks to do something.
pub trait Source: Send + Sync + 'static {
    /// The facts of this moment.
    fn facts(&self) -> impl Future<Output = Facts> + Send;
    /// Asks for a fresh SAK on the channel of this name.
    fn rekey(&self, channel: &str) -> impl Future<Output = Result<RekeyAnswer, NoRekey>> + Send;
}

/// Why nobody was asked for a fresh SAK.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoRekey {
    /// There is no such channel.
    UnknownChannel,
    /// Its keys are static, or it has none.
    NoMka,
    /// Its worker does not answer.
    Silent,
}

/// What is known of a running gateway at one moment.
#[derive(Debug)]
pub struct Facts {
    /// The configuration that runs.
    pub config: Arc<Config>,
    /// The file it was read from.
    pub config_file: PathBuf,
    /// What it is made of; lists parallel those of the configuration.
    pub setup: Arc<Setup>,
    /// From the workers that answered in time.
    pub reports: Vec<Report>,
    /// By port of the configuration.
    pub devices: Vec<DeviceFacts>,
    /// What else should be known of the gateway as a whole.
    pub alerts: Vec<Reason>,
    /// When the gateway was started.
    pub started: Timestamp,
    /// This moment, on the wall clock.
    pub wall: Timestamp,
    /// This moment, on the monotonic clock of the reports.
    pub now: Instant,
}

/// What the kernel says of a port's device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeviceFacts {
    /// Whether it is there and has carrier.
    pub link: Link,
    /// Its MAC address, when it is there.
    pub mac: Option<MacAddr>,
    /// Its MTU, when it is there.
    pub mtu: Option<u32>,
}

impl DeviceFacts {
    /// Asks the kernel.
    pub fn read(device: &str) -> Self {
        Self {
            link: Link::read(device),
            mac: sys::interface::mac(device).ok().map(MacAddr),
            mtu: sys::interface::mtu(device).ok(),
        }
    }
}

impl Facts {
    /// A moment of the reports' clock, past or to come, on the wall clock.
    pub(super) fn wall_of(&self, then: Instant) -> Timestamp {
        let ahead =
            jiff::SignedDuration::try_from(then.since(self.now)).unwrap_or(jiff::SignedDuration::ZERO);
        self.wall_before(self.now.since(then)).checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// So long ago, on the wall clock.
    pub(super) fn wall_before(&self, age: Duration) -> Timestamp {
        let age = jiff::SignedDuration::try_from(age).unwrap_or(jiff::SignedDuration::ZERO);
        self.wall.checked_sub(age).unwrap_or(self.wall)
    }
}

/// A gateway that runs in this process.
pub struct Running {
    /// The way to its workers.
    pub workers: Workers,
    /// Its configuration.
    pub config: Arc<Config>,
    /// The file it was read from.
    pub config_file: PathBuf,
    /// What it is made of.
    pub setup: Arc<Setup>,
    /// How its link monitor does.
    pub links: Arc<link_monitor::Health>,
    /// When it was started.
    pub started: Timestamp,
}

/// What is wrong with a gateway's link monitor.
pub(super) fn monitor_alert(links: &link_monitor::Health) -> Option<Reason> {
    (!links.works()).then(|| Reason {
        severity: Severity::Degraded,
        subject: "links".to_owned(),
        reason: "link_monitor_failed".to_owned(),
        message: format!(
            "the kernel does not tell of links (failed {} times so far): they are looked at once a second only",
            links.failures()
        ),
    })
}

/// Devices on which the kernel has addresses of its own. A TAP's kernel end is meant to have them.
fn kernel_alerts(config: &Config) -> impl Iterator<Item = Reason> {
    config.ports.iter().filter(|port| port.io != Io::Tap).filter_map(|port| {
        let message = ports::why_not_addresses(&port.device, &ports::kernel_addresses(&port.device))?;
        Some(Reason {
            severity: Severity::Warning,
            subject: format!("port/{}", port.name),
            reason: "kernel_address".to_owned(),
            message,
        })
    })
}

impl Source for Running {
    async fn facts(&self) -> Facts {
        let reports = self.workers.reports().await;
        Facts {
            config: self.config.clone(),
            config_file: self.config_file.clone(),
            setup: self.setup.clone(),
            reports,
            devices: self.config.ports.iter().map(|port| DeviceFacts::read(&port.device)).collect(),
            alerts: monitor_alert(&self.links).into_iter().chain(kernel_alerts(&self.config)).collect(),
            started: self.started,
            wall: wall(),
            now: clock::now(),
        }
    }

    async fn rekey(&self, channel: &str) -> Result<RekeyAnswer, NoRekey> {
        let id = with_mka(&self.config, channel)?;
        let owner = self.setup.channels.get(id.index()).ok_or(NoRekey::UnknownChannel)?.owner;
        self.workers.rekey(owner, id).await.ok_or(NoRekey::Silent)
    }
}

/// The channel of this name, if MKA gives it its keys.
pub(super) fn with_mka(config: &Config, name: &str) -> Result<ChannelId, NoRekey> {
    let at =
        config.channels.iter().position(|channel| channel.name == name).ok_or(NoRekey::UnknownChannel)?;
    let mka = config.channels.get(at).is_some_and(|channel| channel.macsec.mka.is_some());
    if mka { Ok(ChannelId::at(at)) } else { Err(NoRekey::NoMka) }
}

/// This moment, on the wall clock.
pub fn wall() -> Timestamp {
    Timestamp::try_from(clock::wall()).unwrap_or(Timestamp::UNIX_EPOCH)
}
