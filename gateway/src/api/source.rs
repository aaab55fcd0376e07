//! What the API needs to know of a running gateway.
//!
//! A [`Source`] gathers [`Facts`]; everything that the API says is computed from them (`view`), so it can be
//! tested without a gateway. Facts are copies: nothing in here holds a worker up.

use std::{path::PathBuf, sync::Arc, time::Duration};

use config::{Config, model::Port};
use dataplane::{ChannelId, Setup, underlay::Tunnel};
use jiff::Timestamp;
use macsec::mka::RekeyAnswer;
use net::{Instant, MacAddr};

use crate::{
    clock,
    control::Workers,
    link_monitor::{Link, Watched},
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
    /// Its MAC address, when it is there; of a tunnel, that of our end.
    pub mac: Option<MacAddr>,
    /// Its MTU, when it is there.
    pub mtu: Option<u32>,
}

impl DeviceFacts {
    /// Asks the kernel.
    pub fn read(port: &Port) -> Self {
        let device = &port.device;
        let tunnel =
            port.underlay.map(|one| one.mac.unwrap_or_else(|| Tunnel::mac_of(one.local, one.port, one.vni)));
        Self {
            link: Watched::of(port).link(),
            mac: tunnel.or_else(|| sys::interface::mac(device).ok().map(MacAddr)),
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
    /// When it was started.
    pub started: Timestamp,
}

impl Source for Running {
    async fn facts(&self) -> Facts {
        let reports = self.workers.reports().await;
        Facts {
            config: self.config.clone(),
            config_file: self.config_file.clone(),
            setup: self.setup.clone(),
            reports,
            devices: self.config.ports.iter().map(DeviceFacts::read).collect(),
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
