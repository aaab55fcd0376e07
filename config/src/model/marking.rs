//! What the outside of a tunnel shows.

use net::Dscp;
use serde::{Serialize, Serializer};

/// The DSCP of a tunnel's outer headers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Marking {
    /// That of the packet inside.
    Copy,
    /// This one.
    Fixed(Dscp),
}

impl Serialize for Marking {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Copy => serializer.serialize_str("copy"),
            // As people write it: by name, or by number where it has none.
            Self::Fixed(dscp) => match dscp.name() {
                Some(name) => serializer.serialize_str(name),
                None => serializer.serialize_u8(dscp.get()),
            },
        }
    }
}

pub(super) fn code_points<S: Serializer>(list: &[Dscp], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|dscp| Marking::Fixed(*dscp)))
}
