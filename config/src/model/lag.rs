//! LAGs: channels that carry frames as one.

use net::MacAddr;
use serde::Serialize;

use super::{Channel, LagMode, LagTimers, Ref, optional_text};

/// Channels to one system that carry frames as one (IEEE 802.1AX).
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Lag {
    /// Unique among LAGs and channels.
    pub name: String,
    /// One to 16 channels of one interconnect, each on another port and with the same MTU; nothing else uses them.
    pub members: Vec<Ref<Channel>>,
    /// Whether we speak before the peer does.
    pub mode: LagMode,
    /// How soon a silent peer is given up.
    pub timers: LagTimers,
    /// At least 1, at most the number of members.
    pub min_links: u8,
    /// LACP's system priority.
    pub system_priority: u16,
    /// LACP's key; no other LAG has it.
    pub key: u16,
    /// Our MAC address, if it is not that of the first member's device.
    #[serde(serialize_with = "optional_text")]
    pub mac: Option<MacAddr>,
}

/// What an attachment is on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// One channel.
    Channel(Ref<Channel>),
    /// A LAG.
    Lag(LagLink),
}

/// A LAG with its first member, which stands for all of them where a channel is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LagLink {
    /// The LAG.
    pub lag: Ref<Lag>,
    /// Its first member.
    pub first: Ref<Channel>,
}

impl Serialize for LagLink {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.lag.serialize(serializer)
    }
}

impl Link {
    /// The channel, or the first member of the LAG.
    pub const fn channel(&self) -> &Ref<Channel> {
        match self {
            Self::Channel(channel) => channel,
            Self::Lag(link) => &link.first,
        }
    }

    /// The LAG.
    pub const fn lag(&self) -> Option<&Ref<Lag>> {
        match self {
            Self::Channel(_) => None,
            Self::Lag(link) => Some(&link.lag),
        }
    }

    /// The name of the channel or LAG.
    pub fn name(&self) -> &str {
        match self {
            Self::Channel(channel) => channel.name(),
            Self::Lag(link) => link.lag.name(),
        }
    }
}
