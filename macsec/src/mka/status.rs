//! A KaY's state as plain values: for `show mka`, for JSON, for metrics.

use core::{fmt, time::Duration};
use std::collections::BTreeMap;

use net::{Instant, MacAddr};

use super::{
    cp::CpState,
    diagnosis::Diagnosis,
    election::Candidate,
    participant::ParticipantCounters,
    peers::Listing,
    wire::{Confidentiality, MacsecCapability, MemberId, MkpduFault},
};
use crate::{
    an::An,
    key::{Ckn, Fingerprint, KeyId},
    sci::{Sci, Ssci},
    suite::CipherSuite,
};

/// What a KaY is and knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MkaStatus {
    /// Our SCI.
    pub sci: Sci,
    /// Traffic may flow under MACsec.
    pub secured: bool,
    /// Since when it may, or may not.
    pub since: Instant,
    /// The controlled port machine.
    pub cp: CpState,
    /// The CAK whose SAK is used.
    pub principal: Option<Ckn>,
    /// The key server, and why it is.
    pub key_server: Option<KeyServerStatus>,
    /// The SAK that frames are sent with.
    pub key: Option<SakStatus>,
    /// The SAK that is to replace it.
    pub next_key: Option<SakStatus>,
    /// One for every CAK that can be used now, best first.
    pub participants: Vec<ParticipantStatus>,
    /// CAKs that have not started, with their start.
    pub waiting: Vec<(Ckn, Instant)>,
    /// MKA is suspended for this long.
    pub suspended: Option<Duration>,
    /// What is wrong; nothing, when all is well.
    pub diagnoses: Vec<Diagnosis>,
    /// Counters.
    pub counters: MkaCounters,
}

/// Counters of a KaY.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MkaCounters {
    /// Received frames that became no MKPDU, by reason.
    pub faults: BTreeMap<MkpduFault, u64>,
    /// SAKs that came into use.
    pub rekeys: u64,
    /// MKPDUs that could not be sent for want of room.
    pub unsent: u64,
}

/// The key server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyServerStatus {
    /// Its SCI.
    pub sci: Sci,
    /// Its priority.
    pub priority: u8,
    /// It is us.
    pub ours: bool,
    /// Why it won.
    pub why: KeyServerWhy,
}

/// Why a member is key server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyServerWhy {
    /// No other member may.
    OnlyCandidate,
    /// Its priority is lower than the next best.
    Priority {
        /// Its own.
        own: u8,
        /// The next best.
        other: u8,
    },
    /// Priorities are equal, its SCI is lower.
    Sci {
        /// The next best.
        other: Sci,
    },
}

impl KeyServerWhy {
    pub(super) fn new(winner: Candidate, others: impl Iterator<Item = Candidate>) -> Self {
        let may = |other: &Candidate| *other != winner && other.priority != super::params::NEVER_KEY_SERVER;
        match others.filter(may).min() {
            None => Self::OnlyCandidate,
            Some(other) if other.priority != winner.priority => {
                Self::Priority { own: winner.priority, other: other.priority }
            }
            Some(other) => Self::Sci { other: other.sci },
        }
    }
}

impl fmt::Display for KeyServerWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyCandidate => f.write_str("the only one that may"),
            Self::Priority { own, other } => write!(f, "priority {own} < {other}"),
            Self::Sci { other } => write!(f, "equal priority, SCI below {other}"),
        }
    }
}

/// A SAK, without itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SakStatus {
    /// Its identifier.
    pub key_id: KeyId,
    /// What may be shown of it.
    pub fingerprint: Fingerprint,
    /// Its association number.
    pub an: An,
    /// Its suite.
    pub suite: CipherSuite,
    /// How much it encrypts.
    pub confidentiality: Confidentiality,
    /// Under which CAK it came.
    pub ckn: Ckn,
    /// When it was made or received.
    pub since: Instant,
    /// When it is replaced by the clock, if we are its key server and have a rekeying interval.
    pub replaced_at: Option<Instant>,
    /// Our SSCI; means something only under XPN.
    pub ssci: Ssci,
    /// nextPN, as last reported by the SecY's owner.
    pub next_pn: u64,
}

/// One CAK's conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParticipantStatus {
    /// Name of the CAK.
    pub ckn: Ckn,
    /// What may be shown of the CAK.
    pub cak: Fingerprint,
    /// It is a fallback.
    pub fallback: bool,
    /// Its SAK is the one in use.
    pub principal: bool,
    /// Our member identifier.
    pub member: MemberId,
    /// The last message number we sent.
    pub message: u32,
    /// Its key server.
    pub key_server: Option<Sci>,
    /// Members that proved to be alive.
    pub live: Vec<PeerStatus>,
    /// Members that were heard.
    pub potential: Vec<PeerStatus>,
    /// Counters.
    pub counters: ParticipantCounters,
}

/// A peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerStatus {
    /// Its SCI.
    pub sci: Sci,
    /// Its address.
    pub source: MacAddr,
    /// Its member identifier.
    pub member: MemberId,
    /// The last message number heard.
    pub message: u32,
    /// The MKA version it speaks.
    pub version: u8,
    /// Its Key Server Priority.
    pub priority: u8,
    /// What its SecY can do.
    pub capability: MacsecCapability,
    /// The suites it announced that we know; `None` when it announced none.
    pub suites: Option<Vec<CipherSuite>>,
    /// How it lists us.
    pub listing: Listing,
    /// Since when it is in the list that it is in.
    pub since: Instant,
    /// When it was last heard.
    pub heard: Instant,
    /// When it is given up, unless it is heard before.
    pub expires: Instant,
    /// It receives with the key in use.
    pub receives: bool,
    /// It transmits with the key in use.
    pub transmits: bool,
}
