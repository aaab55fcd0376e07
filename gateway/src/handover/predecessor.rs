//! The side that runs: it finds a successor while it goes on, and then gives way to it.

use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{fs::MetadataExt as _, net::UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command as Program},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use crossbeam::channel::{Sender, bounded};
use dataplane::{PortId, port::Heirloom};
use net::{
    Instant,
    carry::{Carry as _, Parcel},
};
use parking_lot::Mutex;

use super::{
    Anew, FORMAT, Handed, SharedDoors,
    line::{Estate, Hello, Kind, Line, MAGIC, Offer, PortOffer},
};
use crate::{
    clock,
    pacemaker::Haste,
    state::PnStore,
    worker::{Command, Decision, Left, Mailbox, Step},
};

/// How long a successor may take until it is prepared.
const PREPARE_WITHIN: Duration = Duration::from_secs(30);
/// How long a worker may take to rest, and to leave: it works, or it is stuck.
const REST_WITHIN: Duration = Duration::from_millis(500);
/// How long a successor may take to go on, while nobody forwards. Then the predecessor does.
const TAKE_WITHIN: Duration = Duration::from_secs(1);

/// What of a running gateway a handover needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The configuration's file.
    pub(crate) file: PathBuf,
    /// The program that runs.
    pub(crate) program: PathBuf,
    pub(crate) folder: PathBuf,
    /// The process that this gateway, and so its successor, ends with.
    pub(crate) bound: Option<u32>,
    /// The names of channels, interfaces and connections, by their ids.
    pub(crate) channels: Vec<String>,
    pub(crate) interfaces: Vec<String>,
    pub(crate) connections: Vec<String>,
    /// By port: what it is called from process to process, and its device's name.
    pub(crate) ports: BTreeMap<PortId, (String, String)>,
}

/// Everything that a handover takes.
#[derive(Clone)]
pub(crate) struct Giving {
    pub(crate) facts: Arc<Facts>,
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) store: Arc<Mutex<PnStore>>,
    pub(crate) doors: SharedDoors,
    /// The locks of devices, by what they are called from process to process.
    pub(crate) locks: Arc<Vec<(String, OwnedFd)>>,
    pub(crate) hands_off: Vec<(String, Vec<(String, String)>)>,
}

/// A successor that could take over at once.
#[derive(Debug)]
pub(crate) struct Prepared {
    line: Line,
    /// Until it is on its own.
    child: Option<Child>,
    version: String,
    began: Instant,
}

#[cfg(test)]
impl Prepared {
    pub(super) const fn new(line: Line, child: Child, began: Instant) -> Self {
        Self { line, child: Some(child), version: String::new(), began }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // It hears that nobody hands over to it, and ends; if it is stuck, it does not.
        if let Some(mut child) = self.child.take() {
            let _killed = child.kill();
            let _ended = child.wait();
        }
    }
}

impl Giving {
    /// Runs a successor and waits until it is prepared. May take long: not for the control loop.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn prepare(&self, binary: Option<&Path>) -> Result<Prepared> {
        let began = clock::now();
        if std::process::id() == 1 {
            bail!("the gateway is process 1 here: the container would end with it; restart the container");
        }
        let trusted = binary.map(trust).transpose()?;
        let binary = trusted.as_deref().unwrap_or(&self.facts.program);
        let (ours, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
        let mut program = Program::new(binary);
        program.arg("run").arg("--config").arg(&self.facts.file).arg("--take-over");
        if let Some(other) = self.facts.bound {
            program.arg("--end-with").arg(other.to_string());
        }
        let child = program.stdin(OwnedFd::from(theirs)).spawn();
        let child = child.with_context(|| format!("cannot run {}", binary.display()))?;
        // What runs keeps its end of the pair open.
        drop(program);
        let line = Line::new(ours);
        let mut prepared = Prepared { line, child: Some(child), version: String::new(), began };
        let line = &prepared.line;
        line.set_patience(PREPARE_WITHIN)?;
        let hello = line.hear(Kind::Hello).context("this program knows no handover")?;
        let hello = Hello::unpack(&mut hello.body()).filter(|hello| hello.magic == MAGIC);
        let Some(hello) = hello else { bail!("this program knows no handover: it said something else") };
        if hello.format != FORMAT {
            let Hello { version, format, .. } = hello;
            let why = format!(
                "version {version} hands over in format {format}, and this one in {FORMAT}: stop this gateway and start that one"
            );
            line.say_failed(&why);
            bail!(why);
        }
        self.offer(line)?;
        line.hear(Kind::Ready).context("the successor is not ready")?;
        prepared.version = hello.version;
        Ok(prepared)
    }

    fn offer(&self, line: &Line) -> Result<()> {
        let doors = self.doors.lock();
        let lock = self.store.lock().lock_again().context("cannot pass the lock of the state folder on")?;
        let mut descriptors: Vec<BorrowedFd<'_>> = vec![lock.as_fd()];
        descriptors.extend(doors.api.as_ref().map(|(api, _, _)| api.as_fd()));
        descriptors.extend(doors.metrics.as_ref().map(OwnedFd::as_fd));
        let heirlooms = self.heirlooms()?;
        let mut ports = Vec::new();
        for (worker, id, heirloom) in &heirlooms {
            let Some((key, device)) = self.facts.ports.get(id) else { continue };
            let Heirloom { descriptors: own, facts } = heirloom;
            let (key, device, facts) = (key.clone(), device.clone(), facts.clone());
            ports.push(PortOffer { key, worker: *worker, count: own.len(), facts, device });
            descriptors.extend(own.iter().map(OwnedFd::as_fd));
        }
        for (key, lock) in &*self.locks {
            ports.push(PortOffer::of_lock(key.clone()));
            descriptors.push(lock.as_fd());
        }
        let offer = Offer {
            now: clock::now(),
            monotonic: clock::monotonic(),
            folder: self.facts.folder.to_string_lossy().into_owned(),
            api: doors.api.as_ref().map(|(_, _, path)| path.to_string_lossy().into_owned()),
            has_metrics: doors.metrics.is_some(),
            hands_off: self.hands_off.clone(),
            ports,
        };
        let mut body = Parcel::new();
        offer.pack(&mut body);
        line.say_with(Kind::Offer, &body, &descriptors)
    }

    fn heirlooms(&self) -> Result<Vec<(u16, PortId, Heirloom)>> {
        let mut all = Vec::new();
        for (worker, mailbox) in (0..).zip(&self.mailboxes) {
            let answer = ask(mailbox, Step::Heirlooms);
            let own = answer.recv_timeout(REST_WITHIN).context("a worker does not answer")?;
            all.extend(own.into_iter().map(|(id, heirloom)| (worker, id, heirloom)));
        }
        Ok(all)
    }

    /// Gives way to a successor that is prepared. Afterwards no worker runs any more, and nothing may be written to the state
    /// folder. The successor waits until what is returned with the outcome is dropped before it uses the ports of TCP that this
    /// gateway still has.
    ///
    /// # Errors
    /// Why this gateway goes on.
    pub(crate) fn give_way(&self, mut prepared: Prepared) -> Result<(Handed, Prepared)> {
        let _haste = Haste::begin();
        // Nobody reserves numbers meanwhile: the successor reads them.
        let store = self.store.lock();
        let still = clock::now();
        let mut decisions = Vec::new();
        let anew = match self.try_to_give_way(&prepared.line, &mut decisions) {
            Ok(anew) => anew,
            Err(why) => {
                for mailbox in &self.mailboxes {
                    mailbox.send(Command::Handover(Step::GoOn));
                }
                for decision in decisions {
                    let _told = decision.send(Decision::GoOn);
                }
                return Err(why);
            }
        };
        let now = clock::now();
        for decision in decisions {
            let _told = decision.send(Decision::End);
        }
        std::mem::forget(store);
        let pid = prepared.child.take().map_or(0, |child| child.id());
        let version = std::mem::take(&mut prepared.version);
        let (still, took) = (now.since(still), now.since(prepared.began));
        let handed = Handed { pid, version, still, took, anew, resets: vec![] };
        super::notify(&format!("MAINPID={pid}\n"));
        Ok((handed, prepared))
    }

    /// Gives what the successor began anew.
    fn try_to_give_way(&self, line: &Line, decisions: &mut Vec<Sender<Decision>>) -> Result<Vec<Anew>> {
        line.set_patience(TAKE_WITHIN)?;
        // Twice: what one hands over may make work for another.
        for _ in 0..2 {
            let answers: Vec<_> = self.mailboxes.iter().map(|mailbox| ask(mailbox, Step::Rest)).collect();
            for answer in answers {
                answer.recv_timeout(REST_WITHIN).context("a worker does not rest")?;
            }
        }
        let mut answers = Vec::new();
        for mailbox in &self.mailboxes {
            let (decide, decision) = bounded(1);
            answers.push(ask(mailbox, |reply| Step::Leave(reply, decision)));
            decisions.push(decide);
        }
        let mut left = Vec::new();
        for answer in answers {
            left.push(answer.recv_timeout(REST_WITHIN).context("a worker does not leave")?);
        }
        let mut body = Parcel::new();
        self.estate(&left).pack(&mut body);
        line.say_with(Kind::Estate, &body, &[])?;
        let taken = line.hear(Kind::Taken).context("the successor cannot go on")?;
        line.say(Kind::Go)?;
        Ok(Vec::unpack(&mut taken.body()).unwrap_or_default())
    }

    fn estate<'a>(&self, left: &'a [Left]) -> Estate<'a> {
        let mut estate = Estate::default();
        let name = |names: &[String], at: usize| names.get(at).cloned().unwrap_or_default();
        for (worker, left) in (0..).zip(left) {
            let channels = left.channels.iter();
            let channels =
                channels.map(|(id, one)| (name(&self.facts.channels, id.index()), one.as_octets()));
            estate.channels.extend(channels);
            let interfaces = left.interfaces.iter();
            let interfaces =
                interfaces.map(|(id, one)| (name(&self.facts.interfaces, id.index()), one.as_octets()));
            estate.interfaces.extend(interfaces);
            let connections = left.connections.iter();
            let connections =
                connections.map(|(id, one)| (name(&self.facts.connections, id.index()), one.as_octets()));
            estate.connections.extend(connections);
            for (id, one) in &left.ports {
                let Some((key, _)) = self.facts.ports.get(id) else { continue };
                estate.ports.push(((key.clone(), worker), one.as_octets()));
            }
        }
        estate
    }
}

fn ask<T>(mailbox: &Mailbox, step: impl FnOnce(Sender<T>) -> Step) -> crossbeam::channel::Receiver<T> {
    let (reply, answer) = bounded(1);
    mailbox.send(Command::Handover(step(reply)));
    answer
}

/// Whoever may use the API must not thereby run what they please as this user: the file, and all folders on the way to it, are
/// root's or this user's, and nobody else can put another in its place. Gives the way without links.
fn trust(binary: &Path) -> Result<PathBuf> {
    let whole = binary.canonicalize().with_context(|| format!("cannot find {}", binary.display()))?;
    let own = nix::unistd::geteuid().as_raw();
    for (at, place) in whole.ancestors().enumerate() {
        let facts = fs::metadata(place).with_context(|| format!("cannot look at {}", place.display()))?;
        // In a folder with the sticky bit, such as /tmp, each removes only what is theirs.
        let closed = facts.mode() & 0o022 == 0 || at > 0 && facts.mode() & 0o1000 != 0;
        let right = if at == 0 { facts.is_file() } else { facts.is_dir() };
        if !right || !closed || ![0, own].contains(&facts.uid()) {
            bail!(
                "{} must be a file, and it and its folders must belong to root or to this gateway's user, so that nobody else can write them: {} does not",
                binary.display(),
                place.display()
            );
        }
    }
    Ok(whole)
}
