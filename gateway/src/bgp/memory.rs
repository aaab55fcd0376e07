//! What one life of this gateway leaves to the next, so that a restart costs neighbours that help (RFC 4724) nothing but
//! the moment in which no process is there.
//!
//! One file, `bgp-routes.json` in the state folder, says which sessions were up with neighbours that keep our routes, and
//! how their connections forwarded. The next life forwards by it at once, says so to these neighbours (Restart State, and
//! Forwarding State where it is true), and replaces it when all of them have told their routes, or have had long enough.
//!
//! The file is replaced as a whole, by a thread of its own, a moment after something changed; that thread also touches
//! it every few seconds, and a file that nobody has touched for as long as neighbours keep our routes is of no use. It
//! only has to outlive the process: nothing waits for the disk, and a file that cannot be read counts as none. One that cannot
//! be replaced is removed, for it says what is no longer so, and writing is tried again every few seconds.
//!
//! A connection with more than [`MOST_ROUTES`] learnt routes leaves none behind, and so claims no Forwarding State.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use bgp::{PeerId, RouteChange, RouteNextHop, wire::attributes::NextHop};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use dataplane::{Hop, InterfaceId, Target};
use net::IpNet;
use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

/// Learnt routes of a connection that are written down.
const MOST_ROUTES: usize = 20_000;
/// How often the file is touched.
const TOUCH: Duration = Duration::from_secs(5);
/// No route waits longer than this to be chosen anew (Selection_Deferral_Timer): neighbours wait for our End-of-RIB.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

const FILE: &str = "bgp-routes.json";
const NEXT: &str = "bgp-routes.json.new";

/// All connections with neighbours that keep our routes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lives {
    pub(super) connections: Vec<Life>,
}

/// One connection.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Life {
    /// The neighbours whose sessions were up, as `connection/neighbour`.
    pub(super) sessions: BTreeSet<String>,
    /// `routes` are all that were learnt.
    pub(super) complete: bool,
    pub(super) routes: Vec<(IpNet, Vec<Way>)>,
}

/// A next hop, in words that the next life understands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Way {
    /// The interface, as people call it.
    on: String,
    gateway: IpAddr,
    weight: u8,
}

/// What an earlier life left to a connection.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// By neighbour: its routes are waited for.
    pub(super) awaited: Vec<bool>,
    pub(super) routes: Vec<(IpNet, Vec<Hop>)>,
}

impl Life {
    /// What to leave of a connection with these sessions up and these learnt routes, `total` in number.
    pub(super) fn of<'r>(
        sessions: BTreeSet<String>,
        total: usize,
        routes: impl Iterator<Item = (IpNet, &'r Target)>,
        names: &[String],
    ) -> Self {
        let complete = total <= MOST_ROUTES;
        let way = |hop: &Hop| {
            let on = names.get(hop.interface.index())?.clone();
            Some(Way { on, gateway: hop.gateway, weight: hop.weight })
        };
        let ways = |(prefix, target): (IpNet, &Target)| match target {
            // A seat that is only kept carries nothing.
            Target::Via(hops) => {
                Some((prefix, hops.iter().filter(|hop| hop.carries).filter_map(way).collect()))
            }
            Target::Local(_) | Target::OnLink(_) | Target::Blackhole | Target::Unreachable => None,
        };
        let routes =
            if complete && !sessions.is_empty() { routes.filter_map(ways).collect() } else { vec![] };
        Self { sessions, complete, routes }
    }

    /// Its routes over interfaces of which `usable` is true, by the names that interfaces have now.
    pub(super) fn routes_over(
        &self,
        names: &[String],
        usable: impl Fn(InterfaceId) -> bool,
    ) -> Vec<(IpNet, Vec<Hop>)> {
        let places: BTreeMap<_, _> =
            names.iter().enumerate().map(|(at, name)| (name.as_str(), InterfaceId::at(at))).collect();
        let hop = |way: &Way| {
            let interface = places.get(way.on.as_str()).copied().filter(|id| usable(*id))?;
            Some(Hop { interface, gateway: way.gateway, weight: way.weight, carries: true })
        };
        let route = |(prefix, ways): &(IpNet, Vec<Way>)| {
            let hops: Vec<_> = ways.iter().filter_map(hop).collect();
            (!hops.is_empty()).then_some((*prefix, hops))
        };
        self.routes.iter().filter_map(route).collect()
    }
}

/// A remembered route as a speaker would tell it, with the neighbours that `peer_on` finds on its interfaces.
pub(super) fn as_learnt(
    prefix: IpNet,
    hops: &[Hop],
    peer_on: impl Fn(InterfaceId) -> Option<PeerId>,
) -> RouteChange {
    let alike = hops.windows(2).all(|pair| matches!(pair, [a, b] if a.weight == b.weight));
    let next_hop = |hop: &Hop| {
        let bandwidth = (!alike).then_some(u64::from(hop.weight));
        Some(RouteNextHop { peer: peer_on(hop.interface)?, address: NextHop::from(hop.gateway), bandwidth })
    };
    let next_hops: Vec<_> = hops.iter().filter_map(next_hop).collect();
    if next_hops.is_empty() { RouteChange::Gone { prefix } } else { RouteChange::Use { prefix, next_hops } }
}

/// What the earlier life left in `folder`, and how long ago it lived.
pub(super) fn read(folder: &Path, now: SystemTime) -> Option<(Lives, Duration)> {
    let file = folder.join(FILE);
    let octets = match fs::read(&file) {
        Ok(octets) => octets,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return None,
        Err(why) => {
            warn!(event = "bgp.memory", why = %why, "what was learnt before the restart cannot be read");
            return None;
        }
    };
    let touched = fs::metadata(&file).and_then(|facts| facts.modified()).ok()?;
    let age = now.duration_since(touched).unwrap_or_default();
    match serde_json::from_slice(&octets) {
        Ok(lives) => Some((lives, age)),
        Err(why) => {
            warn!(event = "bgp.memory", why = %why, "what was learnt before the restart cannot be read");
            None
        }
    }
}

/// True when a neighbour that keeps our routes for `restart_time` still has them after `age`.
pub(super) fn is_fresh(age: Duration, restart_time: Duration) -> bool {
    age <= restart_time.saturating_add(TOUCH)
}

/// The thread that writes.
#[derive(Debug)]
pub struct Keeper {
    notes: Sender<Option<Lives>>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts it.
    ///
    /// # Errors
    /// When the kernel gives no more threads.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let (notes, work) = bounded(1);
        let folder = folder.to_owned();
        let thread =
            std::thread::Builder::new().name("bgp-memory".to_owned()).spawn(move || keep(&folder, &work))?;
        Ok(Self { notes, thread })
    }

    /// Writes this down, soon. False when an earlier note still waits.
    pub(super) fn note(&self, lives: Lives) -> bool {
        self.notes.try_send(Some(lives)).is_ok()
    }

    /// Writes the last note (nothing when nobody keeps our routes) and ends.
    pub(super) fn end(self, lives: Option<Lives>) {
        // A thread that is gone writes nothing.
        let _sent = self.notes.send(lives);
        drop(self.notes);
        let _ended = self.thread.join();
    }
}

/// Removes what an earlier life left: nobody asks for it any more.
pub(super) fn forget(folder: &Path) {
    // Most often it was never there.
    let _gone = fs::remove_file(folder.join(FILE));
}

fn keep(folder: &Path, notes: &Receiver<Option<Lives>>) {
    let mut file = Memory { folder, there: false, unwritten: None, told: false };
    loop {
        match notes.recv_timeout(TOUCH) {
            Ok(Some(lives)) => file.write(lives),
            Ok(None) => file.forget(),
            Err(RecvTimeoutError::Timeout) => file.keep_fresh(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The file, and what became of the last attempt to write it.
struct Memory<'f> {
    folder: &'f Path,
    /// The file says how things are, or were when they last changed.
    there: bool,
    /// What could not be written.
    unwritten: Option<Lives>,
    /// It was told that it cannot be written.
    told: bool,
}

impl Memory<'_> {
    fn write(&mut self, lives: Lives) {
        let done = write(self.folder, &lives);
        self.there = done.is_ok();
        if done.is_err() {
            // What is there is wrong by now, and no file is better than that. A full disk lets one remove.
            forget(self.folder);
            let _gone = fs::remove_file(self.folder.join(NEXT));
            self.unwritten = Some(lives);
        } else {
            self.unwritten = None;
        }
        self.tell(done);
    }

    fn forget(&mut self) {
        (self.there, self.unwritten) = (false, None);
        forget(self.folder);
    }

    /// Says by its time of change that this life goes on; or tries again.
    fn keep_fresh(&mut self) {
        if let Some(lives) = self.unwritten.take() {
            self.write(lives);
        } else if self.there
            && let Err(why) = touch(&self.folder.join(FILE))
        {
            // It grows old, which is as if it were not there.
            debug!(event = "bgp.memory", why = %why, "not touched");
        }
    }

    /// Once until it can be written again.
    fn tell(&mut self, done: io::Result<()>) {
        match done {
            Err(why) if !self.told => {
                warn!(event = "bgp.memory", folder = %self.folder.display(), why = %why, "what was learnt cannot be written down: if the gateway is killed now, its next life does not go on with it (make room, or see that the folder can be written)");
                self.told = true;
            }
            Ok(()) if self.told => {
                info!(event = "bgp.memory", folder = %self.folder.display(), "what was learnt is written down again");
                self.told = false;
            }
            Ok(()) | Err(_) => {}
        }
    }
}

fn write(folder: &Path, lives: &Lives) -> io::Result<()> {
    let next: PathBuf = folder.join(NEXT);
    fs::write(&next, serde_json::to_vec(lives)?)?;
    fs::rename(next, folder.join(FILE))
}

fn touch(file: &Path) -> io::Result<()> {
    fs::File::options().append(true).open(file)?.set_modified(crate::clock::wall())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(interface: u16, gateway: &str, weight: u8) -> Hop {
        Hop { interface: InterfaceId(interface), gateway: gateway.parse().unwrap(), weight, carries: true }
    }

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    fn life() -> Life {
        let targets = [
            ("10.9.0.0/16", Target::Via(vec![hop(0, "169.254.1.2", 255), hop(1, "169.254.2.2", 127)])),
            ("2001:db8::/32", Target::Via(vec![hop(0, "fe80::1", 0), hop(1, "fe80::2", 1)])),
        ];
        let routes = targets.iter().map(|(prefix, target)| (prefix.parse().unwrap(), target));
        Life::of(
            BTreeSet::from(["blue/r1".to_owned()]),
            2,
            routes,
            &names(&["blue/ch1", "blue/ch2", "blue/lan"]),
        )
    }

    #[test]
    fn what_is_left_is_found_again_by_names() {
        let folder = std::env::temp_dir().join(format!("quadspan-memory-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(read(&folder, crate::clock::wall()).is_none());
        let keeper = Keeper::start(&folder).unwrap();
        keeper.end(Some(Lives { connections: vec![life()] }));
        let (lives, age) = read(&folder, crate::clock::wall()).unwrap();
        assert_eq!(lives.connections, [life()]);
        assert!(
            is_fresh(age, Duration::from_secs(1))
                && !is_fresh(Duration::from_secs(127), Duration::from_secs(120))
        );
        // The interfaces have other numbers now, and one is gone.
        let routes = lives.connections[0].routes_over(&names(&["blue/lan", "blue/ch2"]), |_| true);
        let expected = [("10.9.0.0/16", hop(1, "169.254.2.2", 127)), ("2001:db8::/32", hop(1, "fe80::2", 1))];
        assert_eq!(routes, expected.map(|(prefix, hop)| (prefix.parse().unwrap(), vec![hop])));
        Keeper::start(&folder).unwrap().end(None);
        assert!(read(&folder, crate::clock::wall()).is_none(), "a gateway that said goodbye leaves nothing");
        fs::write(folder.join(FILE), "{").unwrap();
        assert!(read(&folder, crate::clock::wall()).is_none());
        fs::remove_dir_all(folder).unwrap();
    }

    /// A disk without room, as far as writing goes: in place of the file to be written is a folder.
    #[test]
    fn what_cannot_be_replaced_is_removed_and_written_when_it_can_be() {
        let folder = std::env::temp_dir().join(format!("quadspan-memory-full-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Keeper::start(&folder).unwrap().end(Some(Lives { connections: vec![life()] }));
        assert!(read(&folder, crate::clock::wall()).is_some());
        fs::create_dir(folder.join(NEXT)).unwrap();
        let now = Lives { connections: vec![Life { routes: vec![], ..life() }] };
        let mut memory = Memory { folder: &folder, there: true, unwritten: None, told: false };
        memory.write(now.clone());
        assert!(read(&folder, crate::clock::wall()).is_none(), "routes that were withdrawn are remembered");
        memory.keep_fresh();
        assert!(read(&folder, crate::clock::wall()).is_none() && memory.told);
        fs::remove_dir(folder.join(NEXT)).unwrap();
        memory.keep_fresh();
        assert_eq!(read(&folder, crate::clock::wall()).map(|(lives, _)| lives), Some(now));
        assert!(memory.there && !memory.told && memory.unwritten.is_none());
        // The same by way of its thread.
        fs::create_dir(folder.join(NEXT)).unwrap();
        Keeper::start(&folder).unwrap().end(Some(Lives { connections: vec![life()] }));
        assert!(read(&folder, crate::clock::wall()).is_none());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn too_many_routes_are_none_and_the_next_life_knows() {
        let none =
            Life::of(BTreeSet::from(["blue/r1".to_owned()]), MOST_ROUTES + 1, core::iter::empty(), &[]);
        assert!(!none.complete && none.routes.is_empty());
    }

    #[test]
    fn weights_survive_as_shares() {
        let peer_on = |id: InterfaceId| Some(PeerId(id.0 + 1));
        let bandwidths = |hops: &[Hop]| match as_learnt("10.9.0.0/16".parse().unwrap(), hops, peer_on) {
            RouteChange::Use { next_hops, .. } => next_hops.iter().map(|hop| hop.bandwidth).collect(),
            RouteChange::Gone { .. } => vec![],
        };
        assert_eq!(bandwidths(&[hop(0, "10.0.0.1", 255), hop(1, "10.0.0.2", 127)]), [Some(255), Some(127)]);
        assert_eq!(bandwidths(&[hop(0, "10.0.0.1", 1), hop(1, "10.0.0.2", 1)]), [None, None]);
    }
}
