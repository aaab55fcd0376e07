//! What a speaker says: to the operator, to the sockets, to the forwarding table.

use crate::{
    error::SessionEnd,
    fsm::State,
    negotiate::Negotiated,
    rib::PeerId,
    types::Family,
    wire::{attributes::NextHop, fault::Fault},
};
use core::fmt;
use net::IpNet;

/// A TCP connection, named by the speaker. A number is never used for two connections of the same peer.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectionId {
    /// Whose.
    pub peer: PeerId,
    /// Which of its connections.
    pub serial: u32,
}

/// What the owner of the sockets has to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Io {
    /// Open a TCP connection to this peer and report `handle_connected` or `handle_closed` by this name.
    Connect(ConnectionId),
    /// Write these octets if that can be done at once, then close. The name is dead from now on.
    Close(ConnectionId, Vec<u8>),
}

/// What an operator would tell a colleague.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The peer's state changed.
    State {
        /// Whose.
        peer: PeerId,
        /// Before.
        from: State,
        /// Now.
        to: State,
    },
    /// A session is up.
    Up {
        /// With whom.
        peer: PeerId,
        /// On what terms.
        agreed: Box<Negotiated>,
    },
    /// A session, or an attempt at one, is over.
    Down {
        /// With whom.
        peer: PeerId,
        /// Why.
        end: SessionEnd,
        /// It had been up.
        was_up: bool,
        /// Its routes stay for a while (graceful restart).
        routes_kept: bool,
    },
    /// The first fault of its kind in an UPDATE of this session; all are counted.
    Fault {
        /// Whose.
        peer: PeerId,
        /// What was wrong, and what was done.
        fault: Fault,
    },
    /// A peer sends, or would get, nearly as many prefixes as the limit, or more.
    Limit {
        /// Which peer.
        peer: PeerId,
        /// Of which family.
        family: Family,
        /// In which direction.
        direction: LimitDirection,
        /// How far it is.
        level: LimitLevel,
        /// Prefixes now.
        used: u32,
        /// The limit.
        max: u32,
    },
    /// The peer has sent all its routes of a family.
    EndOfRib {
        /// Which peer.
        peer: PeerId,
        /// Which family.
        family: Family,
    },
    /// Stale routes of a peer were dropped: it did not bring them back.
    StaleDropped {
        /// Which peer.
        peer: PeerId,
        /// Which family.
        family: Family,
        /// How many.
        routes: usize,
    },
    /// The attributes of routes do not fit into a message to this peer; they were not announced. Told once a minute
    /// at most.
    TooLarge {
        /// Which peer.
        peer: PeerId,
        /// One of the prefixes.
        prefix: IpNet,
        /// How often that happened since it was told before.
        routes: u64,
    },
    /// After a restart of ours, routes are complete: what is in the forwarding table and was not told
    /// since may go.
    SelectionDone,
}

/// Which way a limit works.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LimitDirection {
    /// For prefixes from the peer.
    In,
    /// For prefixes to the peer.
    Out,
}

/// How near a limit is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LimitLevel {
    /// The warning level is reached.
    Near,
    /// There are more than allowed: some are not taken, or not sent, or the session ends.
    Exceeded,
}

/// Where packets of a route go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteNextHop {
    /// The peer it came from, and with it the attachment to use.
    pub peer: PeerId,
    /// The address there.
    pub address: NextHop,
    /// Octets per second it says it can carry (link bandwidth community), for unequal sharing.
    pub bandwidth: Option<u64>,
}

/// What changed for the forwarding table. May repeat what was said before; the last word counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RouteChange {
    /// Forward to these, all at once; never empty, best first.
    Use {
        /// Packets to here.
        prefix: IpNet,
        /// Go there.
        next_hops: Vec<RouteNextHop>,
    },
    /// BGP has no route any more, or our own route is used.
    Gone {
        /// Packets to here.
        prefix: IpNet,
    },
}

impl RouteChange {
    /// The prefix it is about.
    pub const fn prefix(&self) -> IpNet {
        match self {
            Self::Use { prefix, .. } | Self::Gone { prefix } => *prefix,
        }
    }
}

impl fmt::Display for RouteChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { prefix } => write!(f, "{prefix} gone"),
            Self::Use { prefix, next_hops } => {
                write!(f, "{prefix} via")?;
                next_hops.iter().try_for_each(|hop| write!(f, " {}@{}", hop.address, hop.peer))
            }
        }
    }
}
