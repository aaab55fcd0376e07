//! What the outside of a tunnel shows.

use core::fmt;

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

impl Marking {
    /// The word for [`Marking::Copy`].
    pub(crate) const COPY: &'static str = "copy";
}

impl Serialize for Marking {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // As people write it: a number is none in quotes.
            Self::Fixed(dscp) if dscp.name().is_none() => serializer.serialize_u8(dscp.get()),
            Self::Copy | Self::Fixed(_) => serializer.collect_str(self),
        }
    }
}

impl fmt::Display for Marking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copy => f.write_str(Self::COPY),
            Self::Fixed(dscp) => dscp.fmt(f),
        }
    }
}

pub(super) fn code_points<S: Serializer>(list: &[Dscp], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|dscp| Marking::Fixed(*dscp)))
}
