//! The routing tables.
//!
//! One tree holds the Adj-RIBs-In and the Loc-RIB of RFC 4271 clause 3.2 together: a destination has the
//! paths of all peers, as received and as accepted, the ones in use first. Attributes are interned
//! ([`AttributeTable`]), a path is 24 octets, and a prefix with a single path needs no allocation of its
//! own. The Adj-RIBs-Out live with their peers ([`crate::Speaker`]).
//!
//! Nothing here knows policy, sessions or time: the speaker decides what is accepted and passes it in.

mod attrs;
mod destination;
mod holdings;
mod prefix_map;
mod table;

pub use attrs::AttributeTable;
pub use destination::{Destination, Path, Ranking};
pub use prefix_map::PrefixMap;
pub use table::{Effect, Rib};

use core::fmt;

/// The number of a peer. Stays the same as long as the peer is configured; never reused by a speaker.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeerId(pub u16);

impl PeerId {
    /// Where our own routes come from.
    pub const LOCAL: Self = Self(0);

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::LOCAL { f.write_str("local") } else { write!(f, "peer {}", self.0) }
    }
}
