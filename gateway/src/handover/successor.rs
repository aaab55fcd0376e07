//! The other side: a process that takes over from a gateway that runs.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use config::Config;
use dataplane::port::Heirloom;
use net::carry::{Carry as _, Parcel};

use super::{
    Anew, FORMAT,
    line::{Heard, Hello, Kind, Line, MAGIC, Offer},
};
use crate::{clock, state::PnStore};

/// How long a predecessor may take to answer, and to decide that it gives way: the control loop of a busy gateway.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to end once it has given way; it may have last words for its BGP neighbours.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What a predecessor offers, and the way to it.
#[derive(Debug)]
pub struct Inheritance {
    line: Line,
    folder: String,
    lock: Option<File>,
    api: Option<(String, OwnedFd)>,
    metrics: Option<OwnedFd>,
    hands_off: Vec<(String, Vec<(String, String)>)>,
    /// What is there to go on with, by what it is called and worker, each with its device's name.
    ports: BTreeMap<(String, u16), (Heirloom, String)>,
    /// What was taken of that.
    adopted: Vec<(String, u16)>,
}

/// A predecessor that has given way and is about to end.
#[derive(Debug)]
pub(crate) struct Went(Line);

impl Went {
    /// Waits until it has ended, but not for ever. Blocks.
    pub(crate) fn wait(self) {
        let _patient = self.0.set_patience(END_WITHIN);
        self.0.hear_end();
    }
}

/// The way to tell a predecessor that its successor failed. Before that has the last word it goes on; afterwards nobody listens.
#[derive(Debug)]
pub struct Teller(Line);

impl Teller {
    /// Says why.
    pub fn fail(&self, why: &str) {
        self.0.say_failed(why);
    }
}

impl Inheritance {
    /// Greets the predecessor, whose socket is our standard input. To be called before anything asks what time it is.
    ///
    /// # Errors
    /// When it is no predecessor of ours.
    pub fn receive() -> Result<Self> {
        let socket =
            std::io::stdin().as_fd().try_clone_to_owned().context("standard input is no predecessor")?;
        let line = Line::new(UnixStream::from(socket));
        let nobody =
            "--take-over is what a running gateway starts its successor with: use `quadspan restart`";
        line.set_patience(PATIENCE).context(nobody)?;
        let mut hello = Parcel::new();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Hello { magic: MAGIC, format: FORMAT, version }.pack(&mut hello);
        line.say_with(Kind::Hello, &hello, &[]).context(nobody)?;
        let offered = line.hear(Kind::Offer).context("the predecessor offers nothing")?;
        Self::open(line, offered)
    }

    fn open(line: Line, mut offered: Heard) -> Result<Self> {
        let mut descriptors = VecDeque::from(std::mem::take(&mut offered.descriptors));
        let offer = Offer::unpack(&mut offered.body()).context("the predecessor's offer makes no sense")?;
        if !clock::go_on_from(offer.now, offer.monotonic) {
            bail!("the clock runs already: this is a bug");
        }
        let missing = "the predecessor passed too few descriptors";
        let lock = descriptors.pop_front().map(File::from);
        let mut door = |there: bool| match there {
            true => descriptors.pop_front().context(missing).map(Some),
            false => Ok(None),
        };
        let (api, metrics) = (door(offer.api.is_some())?, door(offer.has_metrics)?);
        let api = offer.api.zip(api);
        let mut ports = BTreeMap::new();
        for port in offer.ports {
            if port.count > descriptors.len() {
                bail!(missing);
            }
            let own = descriptors.drain(..port.count).collect();
            let heirloom = Heirloom { descriptors: own, facts: port.facts };
            ports.insert((port.key, port.worker), (heirloom, port.device));
        }
        let (folder, hands_off) = (offer.folder, offer.hands_off);
        Ok(Self { line, folder, lock, api, metrics, hands_off, ports, adopted: Vec::new() })
    }

    /// A way to tell the predecessor that nothing comes of it, whoever has what it left by then.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn teller(&self) -> std::io::Result<Teller> {
        self.line.again().map(Teller)
    }

    /// The API's socket, which has its place already, if that is `path`.
    pub fn take_api(&mut self, path: &Path) -> Option<OwnedFd> {
        self.api.take().filter(|(at, _)| path.to_string_lossy() == at.as_str()).map(|(_, socket)| socket)
    }

    /// The socket for metrics.
    pub fn take_metrics(&mut self) -> Option<OwnedFd> {
        self.metrics.take()
    }

    /// The state folder, locked as it is.
    ///
    /// # Errors
    /// When the configuration has another one now: packet numbers are there and nowhere else.
    pub(crate) fn store(&mut self, folder: &Path) -> Result<PnStore> {
        if folder.to_string_lossy() != self.folder {
            bail!(
                "runtime.state_dir is {} now and was {}: that takes a stop and a start",
                folder.display(),
                self.folder
            );
        }
        let lock = self.lock.take().context("the predecessor passed no lock")?;
        Ok(PnStore::adopt(folder, lock))
    }

    /// What the predecessor has of a port, once; with the name of its device.
    pub(crate) fn port(&mut self, key: &str, worker: u16) -> Option<(Heirloom, String)> {
        self.ports.remove(&(key.to_owned(), worker))
    }

    /// How the predecessor opened a port of this name, if any worker of it did.
    pub(crate) fn port_facts(&self, key: &str) -> Option<&str> {
        let of = self.ports.iter().find(|((own, _), _)| own == key);
        of.map(|(_, (heirloom, _))| heirloom.facts.as_str())
    }

    /// A port goes on with what it was given.
    pub(crate) fn adopted(&mut self, key: &str, worker: u16) {
        self.adopted.push((key.to_owned(), worker));
    }

    /// What was set on a device before the predecessor had it.
    pub(crate) fn was_set(&self, device: &str) -> Vec<(String, String)> {
        let of = self.hands_off.iter().find(|(own, _)| own == device);
        of.map(|(_, before)| before.clone()).unwrap_or_default()
    }

    /// Says that everything is prepared, and waits for what was left when the predecessor had stopped. Blocks.
    ///
    /// # Errors
    /// When it does not stop after all.
    pub(super) fn estate(&self) -> Result<Heard> {
        self.line.say(Kind::Ready)?;
        self.line.hear(Kind::Estate).context("the predecessor did not give way")
    }

    /// What has to be resumed.
    pub(super) fn to_resume(&self) -> &[(String, u16)] {
        &self.adopted
    }

    /// Says that everything could go on but what began `anew`, and waits for leave to do so. Blocks.
    ///
    /// # Errors
    /// When that is not given: then nothing may be sent.
    pub(super) fn go(self, anew: &[Anew]) -> Result<Went> {
        let mut body = Parcel::new();
        anew.to_vec().pack(&mut body);
        self.line.say_with(Kind::Taken, &body, &[])?;
        self.line.hear(Kind::Go).context("the predecessor went on by itself")?;
        Ok(Went(self.line))
    }
}

/// What a port of the configuration is called from process to process.
pub(crate) fn port_key(name: &str) -> String {
    format!("port {name}")
}

/// What the host's end of an interface is called: by all that was set on it, so that another one is made when that changes.
pub(crate) fn host_key(interface: &str, host: &crate::assemble::HostTap) -> String {
    format!("host {interface} {} {} {} {:?}", host.name, host.mac, host.mtu, host.addresses)
}

/// Names of everything that is left by name.
pub(crate) fn names(config: &Config) -> (Vec<String>, Vec<String>, Vec<String>) {
    let channels = config.channels.iter().map(|channel| channel.name.clone()).collect();
    let connections = config.connections.iter().map(|connection| connection.name.clone()).collect();
    (channels, crate::names::interfaces(config), connections)
}
