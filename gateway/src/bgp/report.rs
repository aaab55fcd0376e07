//! What the API asks of the thread, and what it is told: copies, nothing that holds the thread up.

use std::{collections::BTreeMap, net::IpAddr};

use bgp::{Explanation, PeerId, PeerStatus};
use dataplane::Target;
use net::{Instant, IpNet};

/// A question, or a wish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Question {
    /// How all neighbours are.
    Neighbors,
    /// What was learnt: at most this many routes of each connection.
    Routes(usize),
    /// Everything about one prefix of one connection (its place in the configuration).
    Explain(usize, Wanted),
    /// End the session of a neighbour (places of connection and neighbour) and start it again.
    Clear(usize, usize),
    /// Ask a neighbour for its routes again, and tell it ours again.
    Refresh(usize, usize),
    /// End the session of a neighbour with these words (RFC 9003), and keep it down.
    Shutdown(usize, usize, String),
    /// Let a neighbour that was shut down run again.
    Enable(usize, usize),
}

/// Which prefix is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// Exactly this one.
    Prefix(IpNet),
    /// The longest one that holds this address.
    Address(IpAddr),
}

/// What is said to a [`Question`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`Question::Neighbors`].
    Neighbors(Vec<NeighborReport>),
    /// To [`Question::Routes`].
    Routes(RoutesReport),
    /// To [`Question::Explain`].
    Explained(Box<Explained>),
    /// To a wish: it is being done, or why not.
    Done(Result<(), &'static str>),
}

/// One neighbour.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighborReport {
    /// Place of its connection in the configuration.
    pub connection: usize,
    /// Its place there.
    pub neighbor: usize,
    /// What its speaker says.
    pub status: PeerStatus,
    /// Since when it is in this state.
    pub since: Instant,
    /// Why it is not up, in a word and in a sentence, as far as that is known.
    pub reason: Option<(&'static str, String)>,
    /// When its last session ended, and why.
    pub last_down: Option<(Instant, String)>,
}

/// Routes that were learnt and are used.
#[derive(Clone, Debug, Default)]
pub struct RoutesReport {
    /// The newest generation of tables that was given to the workers.
    pub generation: u64,
    /// By connection.
    pub connections: Vec<LearnedRoutes>,
}

/// Routes that one connection learnt.
#[derive(Clone, Debug, Default)]
pub struct LearnedRoutes {
    /// Place of the connection in the configuration.
    pub connection: usize,
    /// How many there are.
    pub total: usize,
    /// The first of them, in order.
    pub routes: Vec<(IpNet, Target)>,
}

/// Everything about one prefix.
#[derive(Clone, Debug)]
pub struct Explained {
    /// What the speaker says; nobody has told of it when it has no paths.
    pub explanation: Explanation,
    /// What the tables of this generation do with exactly this prefix, as BGP learnt it.
    pub target: Option<Target>,
    /// It counts: no route of the configuration has the same prefix.
    pub counts: bool,
    /// Tables with the newest changes are not built yet.
    pub pending: bool,
    /// The newest generation that was given to the workers.
    pub generation: u64,
    /// Names of the neighbours: `connection/name`.
    pub names: BTreeMap<PeerId, String>,
}
