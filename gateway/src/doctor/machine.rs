//! What is found on this machine.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::SystemTime,
};

use config::{Config, model::Io};
use nix::unistd::{AccessFlags, eaccess};
use sys::process::{self, Capability};

use super::{Layer, beneath};
use crate::{
    api::{DeviceFacts, ListenError, Listener},
    clock, ports, state,
};

/// What is found, as plain values.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Version of the kernel, if it says so.
    pub kernel: Option<(u32, u32)>,
    /// The rights of this process, of those that a gateway has a use for.
    pub rights: Vec<Capability>,
    /// Processors that this process may use.
    pub processors: Vec<usize>,
    /// The processor has instructions for AES-GCM.
    pub aes: bool,
    /// There is a `/dev/net/tun`.
    pub tun: bool,
    /// Whether something keeps the time of day; `None` when the kernel does not say.
    pub synchronized: Option<bool>,
    /// The time of day.
    pub now: SystemTime,
    /// By port of the configuration.
    pub devices: Vec<DeviceFacts>,
    /// Which other gateway has them, by port, and what to do about it; not looked at where the one of this configuration runs.
    pub holders: Vec<Option<String>>,
    /// What they stand on, by port, the lowest first: whose MTU theirs depends on, and they themselves.
    pub layers: Vec<Vec<Layer>>,
    /// IPv4 addresses that the kernel has on them, by port.
    pub addresses: Vec<Vec<Ipv4Addr>>,
    /// Whether a gateway could take its place.
    pub seat: Seat,
    /// Why the state folder cannot be used, and what to do about it.
    pub state: Option<(String, String)>,
    /// Fingerprints of the SAKs whose packet numbers are kept there; `None` when that cannot be read.
    pub known_saks: Option<BTreeSet<String>>,
    /// Why metrics cannot be served at their address.
    pub metrics: Option<String>,
}

/// The place of the API's socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seat {
    /// Nobody has it.
    Free,
    /// A gateway runs.
    Taken,
    /// It cannot be used: why.
    Trouble(String),
}

/// What a gateway has a use for.
const RIGHTS: [Capability; 3] = [Capability::NetAdmin, Capability::NetRaw, Capability::SysNice];

impl Machine {
    /// Looks at everything that `config` needs.
    pub fn look(config: &Config) -> Self {
        let seat = match Listener::ensure_free(&config.runtime.socket) {
            Ok(()) => Seat::Free,
            Err(ListenError::Running(_)) => Seat::Taken,
            Err(why) => Seat::Trouble(why.to_string()),
        };
        // A gateway that runs has the address itself.
        let metrics = config.runtime.metrics.filter(|_| seat == Seat::Free);
        // Without netlink, what a device stands on is not known.
        let told = beneath::look().unwrap_or_default();
        let held = |right: &Capability| process::has_capability(*right).unwrap_or(false);
        let kernel_addresses = |port: &config::model::Port| {
            let ours = port.io != Io::Tap && port.underlay.is_none();
            if ours { ports::kernel_addresses(&port.device) } else { Vec::new() }
        };
        Self {
            kernel: process::kernel_version().ok(),
            rights: RIGHTS.into_iter().filter(held).collect(),
            processors: process::processors().unwrap_or_default(),
            aes: has_aes(),
            tun: Path::new("/dev/net/tun").exists(),
            synchronized: process::is_clock_synchronized().ok(),
            now: clock::wall(),
            devices: config.ports.iter().map(DeviceFacts::read).collect(),
            holders: config
                .ports
                .iter()
                .map(|port| ports::holder(port).filter(|_| seat == Seat::Free))
                .collect(),
            layers: config.ports.iter().map(|port| beneath::layers(&told, &port.device)).collect(),
            addresses: config.ports.iter().map(kernel_addresses).collect(),
            seat,
            state: why_not_writable(&config.runtime.state_dir),
            known_saks: state::known_saks(&config.runtime.state_dir).ok(),
            metrics: metrics.and_then(|address| TcpListener::bind(address).err()).map(|why| why.to_string()),
        }
    }
}

/// What is missing of the folder is made at the start: in the nearest one that is there. Rights say nothing of a disk that is full: it is
/// tried.
fn why_not_writable(folder: &Path) -> Option<(String, String)> {
    let there = folder.ancestors().find(|one| one.exists())?;
    let may = eaccess(there, AccessFlags::W_OK | AccessFlags::X_OK).map_err(io::Error::from);
    let why = may.and_then(|()| state::try_out(there)).err()?;
    Some((format!("{}: {why}", there.display()), state::remedy(&why, there)))
}

#[cfg(target_arch = "x86_64")]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const fn has_aes() -> bool {
    false
}
