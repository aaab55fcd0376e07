//! What the API needs to know of a running gateway.
//!
//! A [`Source`] gathers [`Facts`]; everything that the API says is computed from them (`view`), so it can be
//! tested without a gateway. Facts are copies: nothing in here holds a worker up.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use config::{
    Config, SecretSource,
    model::{Channel, Io, Port, Ref},
};
use dataplane::{ChannelId, ConnectionId, InterfaceId, Setup, WorkerId, underlay::Tunnel};
use jiff::Timestamp;
use macsec::mka::{RekeyAnswer, SuspendAnswer};
use net::{Instant, MacAddr};
use tokio::sync::Semaphore;

use super::model::{Reason, Severity};
use crate::{
    bgp::{
        ANSWER_WITHIN, Handle,
        report::{Answer, NeighborReport, Question},
    },
    clock,
    control::Workers,
    drain::{Desk, Drain, NoDrain, Order},
    drill::{Drill, Drilled},
    events::{Conflict, Log, Record, Sums},
    handover::{Handed, Restarter},
    link_monitor::{self, Link, Watched},
    names,
    policer::Bandwidths,
    ports,
    reload::{Current, Outcome, Reloader, Shared},
    secrets::Secrets,
    worker::Report,
};

/// Whether facts are to say how BGP's neighbours are, and how long that may take when BGP has much to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AskBgp {
    /// Nobody looks at them: nobody waits for them.
    No,
    /// Who asks how the gateway is must not wait for long.
    Soon,
    /// Who asks how BGP is waits as long as for any answer of it.
    Patiently,
}

impl AskBgp {
    /// So long; `None` when it is not asked.
    const fn within(self) -> Option<Duration> {
        match self {
            Self::No => None,
            Self::Soon => Some(Duration::from_secs(2)),
            Self::Patiently => Some(ANSWER_WITHIN),
        }
    }
}

/// Where the API gets its facts, and whom it asks to do something.
pub trait Source: Send + Sync + 'static {
    /// The facts of this moment; BGP is asked once at most.
    fn facts(&self, bgp: AskBgp) -> impl Future<Output = Facts> + Send;
    /// Reads the configuration file again and runs what it says, or (`dry_run`) says what that would do. `None`: the gateway
    /// is ending.
    fn reload(&self, dry_run: bool) -> impl Future<Output = Option<Outcome>> + Send;
    /// Hands over to a successor: `binary`, or the program that runs. Why not, otherwise.
    fn restart(&self, binary: Option<PathBuf>) -> impl Future<Output = Result<Handed, String>> + Send;
    /// Asks for a fresh SAK on the channel of this name.
    fn rekey(&self, channel: &str) -> impl Future<Output = Result<RekeyAnswer, NoKay>> + Send;
    /// Asks for a suspension of MKA on the channel of this name.
    fn suspend(
        &self,
        channel: &str,
        time: Duration,
    ) -> impl Future<Output = Result<SuspendAnswer, NoKay>> + Send;
    /// Moves traffic off the channel of this name.
    fn drain(&self, channel: &str, order: Order) -> impl Future<Output = Result<Drain, NoDrain>> + Send;
    /// Lets traffic use it again.
    fn undrain(&self, channel: &str) -> impl Future<Output = Result<(), NoDrain>> + Send;
    /// Rehearses a failure on the channel of this name for so long.
    fn drill(
        &self,
        channel: &str,
        lasts: Duration,
        force: bool,
    ) -> impl Future<Output = Result<Drilled, NoDrain>> + Send;
    /// Sets the bandwidth of the connection of this name, in Mbit/s; `None`: no limit. False when there is no such one.
    fn set_rate(&self, connection: &str, mbps: Option<u32>) -> bool;
    /// The failover record above this number, and the last number.
    fn events(&self, after: u64) -> (Vec<Record>, u64);
    /// All changes of forwarding since the start, added up.
    fn changes(&self) -> Sums;
    /// Asks BGP.
    fn bgp(&self, question: Question) -> impl Future<Output = Result<Answer, NoBgp>> + Send;
    /// Switches the BFD sessions of an interface (`connection/channel`, `connection/port`), or of all attachments of a channel,
    /// off or on; gives the names of the interfaces.
    fn switch_bfd(&self, name: &str, down: bool) -> Result<Vec<String>, NoBfd>;
    /// Has something done about the BGP neighbour of this name (or address, or `connection/name`); gives its full name.
    fn wish(&self, neighbor: &str, wish: Wish) -> impl Future<Output = Result<String, NoWish>> + Send;
}

/// What may be wished of a BGP neighbour.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    /// End the session and start it again.
    Clear,
    /// Ask for its routes again.
    Refresh,
    /// Read its password again and sign with it, without ending the session.
    Rekey,
    /// End the session with these words and keep it down, until the gateway restarts at the latest.
    Shutdown(String),
    /// Let it run again after that.
    Enable,
}

/// Why a wish was not fulfilled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NoWish {
    /// There is no such neighbour.
    Unknown,
    /// There are several: these.
    Ambiguous(Vec<String>),
    /// It cannot be done: why.
    Refused(String),
    /// BGP does not answer.
    Silent,
}

/// Why BGP says nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoBgp {
    /// No connection speaks it.
    Unused,
    /// It does not answer in time.
    Silent,
}

/// Why no BFD session was switched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoBfd {
    /// Nothing has this name.
    Unknown,
    /// It is there, and no BFD session runs on it.
    None,
}

/// Why no KaY was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoKay {
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
    /// Bandwidths in Mbit/s, by connection of the configuration; `None`: no limit.
    pub rates: Vec<Option<u32>>,
    /// Planned work.
    pub drains: Vec<Drain>,
    /// BGP neighbours; none when no connection has any or nobody asked, `None` when BGP did not answer in time.
    pub neighbors: Option<Vec<NeighborReport>>,
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
    /// Its configuration, and what it is made of.
    pub current: Shared,
    /// The file it was read from.
    pub config_file: PathBuf,
    /// The way to have that file read again.
    pub reloader: Reloader,
    /// The way to restart it.
    pub restarter: Restarter,
    /// How its link monitor does.
    pub links: Arc<link_monitor::Health>,
    /// When it was started.
    pub started: Timestamp,
    /// The way to BGP, if any connection speaks it.
    pub bgp: Option<Handle>,
    /// Its planned work.
    pub drains: Arc<Desk>,
    /// Its failover record.
    pub events: Arc<Log>,
    /// The bandwidths of its connections.
    pub bandwidths: Bandwidths,
    /// One drill at a time.
    pub drills: Arc<Semaphore>,
}

impl Running {
    /// The channel of this name, if MKA gives it its keys, and the worker whose it is.
    fn with_mka(&self, name: &str) -> Result<(ChannelId, WorkerId), NoKay> {
        let id = with_mka(&self.config(), name)?;
        let owner = self.setup().channels.get(id.index()).ok_or(NoKay::UnknownChannel)?.owner;
        Ok((id, owner))
    }

    /// How all BGP neighbours are.
    async fn neighbors(&self, asked: AskBgp) -> Option<Vec<NeighborReport>> {
        let Some((bgp, within)) = self.bgp.as_ref().zip(asked.within()) else { return Some(Vec::new()) };
        match bgp.ask(Question::Neighbors, within).await {
            Some(Answer::Neighbors(all)) => Some(all),
            _ => None,
        }
    }

    fn config(&self) -> Arc<Config> {
        self.current.lock().config.clone()
    }

    fn setup(&self) -> Arc<Setup> {
        self.current.lock().setup.clone()
    }

    /// Reads a neighbour's password where it stands, and has it used from now on.
    fn sign_anew(&self, handle: &Handle, (connection, neighbor): (usize, usize)) -> Result<(), NoWish> {
        let config = self.config();
        let configured = config.connections.get(connection).and_then(|one| one.neighbors.get(neighbor));
        let password = configured.and_then(|one| one.password.as_ref());
        let refused = |why: String| NoWish::Refused(why);
        let from = &password.ok_or_else(|| refused("the neighbour has no `password`".to_owned()))?.from;
        let text = Secrets::beside(&self.config_file).read(from);
        let text = text.map_err(|why| refused(format!("{from} {why}")))?;
        let secret = config::secret::password(&text).map_err(|why| refused(format!("{from} {why}")))?;
        handle.set_password(connection, neighbor, Some(secret));
        Ok(())
    }
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

/// The file is not what runs.
fn reload_alert(current: &Current) -> Option<Reason> {
    let (since, why) = current.refused.as_ref()?;
    Some(Reason {
        severity: Severity::Warning,
        subject: "config".to_owned(),
        reason: "reload_failed".to_owned(),
        message: format!("not reloaded at {since:.0}: {why}; what ran before runs on"),
    })
}

/// An address that another station has, too.
pub(super) fn conflict_alert(conflict: &Conflict) -> Reason {
    let other = conflict.mac.as_deref().unwrap_or("another station");
    let message = format!(
        "{} of {other} is ours, too: give one of them another address; if that is the far gateway, both may run the same file",
        conflict.address
    );
    Reason {
        severity: Severity::Degraded,
        subject: format!("interface/{}", conflict.interface),
        reason: "address_conflict".to_owned(),
        message,
    }
}

/// Devices on which the kernel has addresses of its own. A TAP's kernel end, and the device of a tunnel, are meant to.
fn kernel_alerts(config: &Config) -> impl Iterator<Item = Reason> {
    config.ports.iter().filter(|port| port.io != Io::Tap && port.underlay.is_none()).filter_map(|port| {
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
    async fn facts(&self, bgp: AskBgp) -> Facts {
        let (reports, neighbors) = tokio::join!(self.workers.reports(), self.neighbors(bgp));
        let current = self.current.lock().clone();
        let alerts = monitor_alert(&self.links).into_iter().chain(kernel_alerts(&current.config));
        let conflicts = self.events.conflicts(clock::now());
        let alerts =
            alerts.chain(reload_alert(&current)).chain(conflicts.iter().map(conflict_alert)).collect();
        let devices = current.config.ports.iter().map(DeviceFacts::read).collect();
        let connections = 0..current.config.connections.len();
        let rates = connections.map(|at| self.bandwidths.rate(ConnectionId::at(at))).collect();
        Facts {
            config: current.config,
            config_file: self.config_file.clone(),
            setup: current.setup,
            reports,
            devices,
            rates,
            drains: self.drains.drains(),
            neighbors,
            alerts,
            started: self.started,
            wall: wall(),
            now: clock::now(),
        }
    }

    async fn reload(&self, dry_run: bool) -> Option<Outcome> {
        self.reloader.reload(dry_run).await
    }

    async fn restart(&self, binary: Option<PathBuf>) -> Result<Handed, String> {
        self.restarter.restart(binary).await
    }

    async fn rekey(&self, channel: &str) -> Result<RekeyAnswer, NoKay> {
        let (id, owner) = self.with_mka(channel)?;
        self.workers.rekey(owner, id).await.ok_or(NoKay::Silent)
    }

    async fn suspend(&self, channel: &str, time: Duration) -> Result<SuspendAnswer, NoKay> {
        let (id, owner) = self.with_mka(channel)?;
        self.workers.suspend(owner, id, time).await.ok_or(NoKay::Silent)
    }

    async fn drain(&self, channel: &str, order: Order) -> Result<Drain, NoDrain> {
        self.drains.drain(channel, order).await
    }

    async fn undrain(&self, channel: &str) -> Result<(), NoDrain> {
        self.drains.undrain(channel).await
    }

    async fn drill(&self, channel: &str, lasts: Duration, force: bool) -> Result<Drilled, NoDrain> {
        let id = drilled(&self.config(), channel)?;
        let turn = self.drills.clone().try_acquire_owned().map_err(|_| NoDrain::Drill)?;
        let (workers, config, setup) = (self.workers.clone(), self.config(), self.setup());
        let drill = Drill { workers, config, setup, events: self.events.clone() };
        let drains = self.drains.drains();
        // By itself, so that it ends whatever becomes of who asked.
        let drill = tokio::spawn(async move {
            let told = drill.run(id, (lasts, force), drains).await;
            drop(turn);
            told
        });
        drill.await.map_err(|_| NoDrain::Silent)?
    }

    fn set_rate(&self, connection: &str, mbps: Option<u32>) -> bool {
        let at = self.config().connections.iter().position(|one| one.name == connection);
        at.is_some_and(|at| {
            tracing::info!(event = "connection.rate", connection, mbps, "bandwidth of each direction");
            self.bandwidths.set(ConnectionId::at(at), mbps);
            true
        })
    }

    fn events(&self, after: u64) -> (Vec<Record>, u64) {
        self.events.since(after)
    }

    fn changes(&self) -> Sums {
        self.events.sums()
    }

    async fn bgp(&self, question: Question) -> Result<Answer, NoBgp> {
        self.bgp.as_ref().ok_or(NoBgp::Unused)?.ask(question, ANSWER_WITHIN).await.ok_or(NoBgp::Silent)
    }

    fn switch_bfd(&self, name: &str, down: bool) -> Result<Vec<String>, NoBfd> {
        let sessions = bfd_called(&self.config(), &self.setup(), name)?;
        for (interface, peer, _) in &sessions {
            self.workers.switch_bfd((*interface, *peer), down);
        }
        let mut names: Vec<_> = sessions.into_iter().map(|(_, _, name)| name).collect();
        names.dedup();
        Ok(names)
    }

    async fn wish(&self, neighbor: &str, wish: Wish) -> Result<String, NoWish> {
        let (place, name) = neighbor_called(&self.config(), neighbor)?;
        let handle = self.bgp.as_ref().ok_or(NoWish::Silent)?;
        let question = match wish {
            Wish::Clear => Question::Clear(place.0, place.1),
            Wish::Refresh => Question::Refresh(place.0, place.1),
            Wish::Rekey => return self.sign_anew(handle, place).map(|()| name),
            Wish::Shutdown(words) => Question::Shutdown(place.0, place.1, words),
            Wish::Enable => Question::Enable(place.0, place.1),
        };
        match handle.ask(question, ANSWER_WITHIN).await {
            Some(Answer::Done(Ok(()))) => Ok(name),
            Some(Answer::Done(Err(why))) => Err(NoWish::Refused(why.to_owned())),
            _ => Err(NoWish::Silent),
        }
    }
}

/// The places of connection and neighbour that a name means, and the full name.
pub(super) fn neighbor_called(config: &Config, name: &str) -> Result<((usize, usize), String), NoWish> {
    let mut found = Vec::new();
    for (at, connection) in config.connections.iter().enumerate() {
        for (place, neighbor) in connection.neighbors.iter().enumerate() {
            let full = format!("{}/{}", connection.name, neighbor.name);
            if [full.as_str(), neighbor.name.as_str(), neighbor.address.to_string().as_str()].contains(&name)
            {
                found.push(((at, place), full));
            }
        }
    }
    match found.len() {
        0 | 1 => found.pop().ok_or(NoWish::Unknown),
        _ => Err(NoWish::Ambiguous(found.into_iter().map(|(_, full)| full).collect())),
    }
}

/// The BFD sessions that a name means: interface, peer, and the name of the interface.
pub(super) fn bfd_called(
    config: &Config,
    setup: &Setup,
    name: &str,
) -> Result<Vec<(InterfaceId, IpAddr, String)>, NoBfd> {
    let all = names::interfaces(config).into_iter().enumerate();
    let is = |full: &str| full == name || full.split_once('/').is_some_and(|(_, on)| on == name);
    let meant: Vec<_> = all.filter(|(_, full)| is(full)).collect();
    if meant.is_empty() && !config.channels.iter().any(|channel| channel.name == name) {
        return Err(NoBfd::Unknown);
    }
    let sessions = |(at, full): &(usize, String)| {
        let bfd = setup.interfaces.get(*at).map_or(&[][..], |one| &one.bfd);
        bfd.iter().map(|one| (InterfaceId::at(*at), one.peer, full.clone())).collect::<Vec<_>>()
    };
    let found: Vec<_> = meant.iter().flat_map(sessions).collect();
    if found.is_empty() { Err(NoBfd::None) } else { Ok(found) }
}

/// The channel of this name, if MKA gives it its keys.
pub(super) fn with_mka(config: &Config, name: &str) -> Result<ChannelId, NoKay> {
    let at = config.channels.iter().position(|channel| channel.name == name).ok_or(NoKay::UnknownChannel)?;
    let mka = config.channels.get(at).is_some_and(|channel| channel.macsec.mka.is_some());
    if mka { Ok(ChannelId::at(at)) } else { Err(NoKay::NoMka) }
}

/// The channel that a drill is on.
fn drilled(config: &Config, name: &str) -> Result<ChannelId, NoDrain> {
    if let Some(at) = config.channels.iter().position(|channel| channel.name == name) {
        return Ok(ChannelId::at(at));
    }
    let lag = config.lags.iter().find(|lag| lag.name == name).ok_or(NoDrain::UnknownChannel)?;
    let member = |one: &Ref<Channel>| config.channels.get(one.index()).map(|channel| channel.name.clone());
    Err(NoDrain::IsLag(lag.members.iter().filter_map(member).collect()))
}

/// This moment, on the wall clock.
pub fn wall() -> Timestamp {
    Timestamp::try_from(clock::wall()).unwrap_or(Timestamp::UNIX_EPOCH)
}
