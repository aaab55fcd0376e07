//! What the API needs to know of a running gateway.
//!
//! A [`Source`] gathers [`Facts`]; everything that the API says is computed from them (`view`), so it can be
//! tested without a gateway. Facts are copies: nothing in here holds a worker up.

use std::{path::PathBuf, sync::Arc, time::Duration};

use config::{Config, model::Port};
use dataplane::{Setup, underlay::Tunnel};
use jiff::Timestamp;
use net::{Instant, MacAddr};

use crate::{
    clock,
    control::Workers,
    link_monitor::{Link, Watched},
    worker::Report,
};

/// Where the API gets its facts.
pub trait Source: Send + Sync + 'static {
    /// The facts of this moment.
    fn facts(&self) -> impl Future<Output = Facts> + Send;
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
    /// A moment of the reports' clock on the wall clock.
    pub(super) fn wall_of(&self, then: Instant) -> Timestamp {
        self.wall_before(self.now.since(then))
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
}

/// This moment, on the wall clock.
pub fn wall() -> Timestamp {
    Timestamp::try_from(clock::wall()).unwrap_or(Timestamp::UNIX_EPOCH)
}
