//! What is wrong, named so that somebody can act on it.
//!
//! Each [`Diagnosis`] is a sentence by its `Display`. Incidents (an unknown CKN, a wrong ICV) are remembered for
//! some time after they were last seen; conditions (nobody heard, not listed) are computed when asked for.

use std::collections::BTreeMap;

use core::time::Duration;
use net::{Instant, MacAddr};

use super::wire::{Confidentiality, MacsecCapability};
use crate::{
    key::{Ckn, KeyId},
    sci::Sci,
    suite::CipherSuite,
};

/// One thing that is wrong or worth knowing.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, thiserror::Error)]
pub enum Diagnosis {
    /// No key can be used now.
    #[error("the clock says that no key has started; the next starts in {}", seconds(.next))]
    NoKeyStarted {
        /// How long until one starts, if one does.
        next: Option<Duration>,
    },
    /// Nobody speaks MKA with us.
    #[error("no MKPDU seen for {}", seconds(&Some(*.silence)))]
    NothingHeard {
        /// For how long.
        silence: Duration,
    },
    /// A peer uses a CKN that we have not.
    #[error("unknown CKN {ckn} from {from}; ours: {}", list(.ours))]
    UnknownCkn {
        /// What it offered.
        ckn: Ckn,
        /// Its address.
        from: MacAddr,
        /// What we have.
        ours: Vec<Ckn>,
    },
    /// A peer uses one of our CKNs before our clock says that it starts.
    #[error("{from} uses CKN {ckn}, which by our clock has not started: is a clock wrong?")]
    KeyNotStarted {
        /// The name.
        ckn: Ckn,
        /// The peer's address.
        from: MacAddr,
    },
    /// The ICV is wrong though the CKN is known.
    #[error("ICV failure for CKN {ckn} from {from}: CAK differs")]
    CakDiffers {
        /// The name.
        ckn: Ckn,
        /// The peer's address.
        from: MacAddr,
    },
    /// A peer does not list us: it does not hear us.
    #[error("{peer} does not list us: our MKPDUs do not reach it")]
    NotListed {
        /// The peer.
        peer: Sci,
    },
    /// A peer lists us, but only as potential.
    #[error("{peer} lists us only as potential: it does not accept what we send as recent")]
    OnlyPotential {
        /// The peer.
        peer: Sci,
    },
    /// The key server chose a suite that we do not accept.
    #[error("cipher suite {} of {peer} is not among ours ({})", suite_name(.suite), suites(.ours))]
    CipherNotAccepted {
        /// The peer.
        peer: Sci,
        /// The suite's identifier.
        suite: u64,
        /// What we accept, best first.
        ours: Vec<u64>,
    },
    /// A peer announces suites, and there is none that all members have. Both ends see it.
    #[error("cipher not supported by peer {peer}: it offers {}; ours: {}", suites(.offered), suites(.ours))]
    CipherNotSupported {
        /// The peer.
        peer: Sci,
        /// What it offers, best first.
        offered: Vec<u64>,
        /// What we offer, best first.
        ours: Vec<u64>,
    },
    /// A peer's SecY can do less than we require (MACsec Capability, Table 11-6).
    #[error("{peer} can {}, and this channel requires {}", ability(.capability), ability(.required))]
    CapabilityTooLow {
        /// The peer.
        peer: Sci,
        /// What it says it can.
        capability: MacsecCapability,
        /// What we require.
        required: MacsecCapability,
    },
    /// A peer says that it wants no MACsec (MACsec Desired).
    #[error("{peer} does not want MACsec")]
    NotDesired {
        /// The peer.
        peer: Sci,
    },
    /// The key server has had us as live for a life time, and distributes no SAK.
    #[error(
        "key server {server} distributes no SAK: it finds no cipher suite or capability that all members have, or it is ill"
    )]
    NoSak {
        /// The key server.
        server: Sci,
    },
    /// A peer has had a SAK offered for a life time and does not use it.
    #[error("{peer} does not install the SAK that it is offered ({suite}, {}): what it is configured for differs", kind(.confidentiality))]
    SakNotTaken {
        /// The peer.
        peer: Sci,
        /// The SAK's suite.
        suite: CipherSuite,
        /// How much it encrypts.
        confidentiality: Confidentiality,
    },
    /// The key server asks for integrity only.
    #[error("key server {server} does not encrypt, which this channel requires")]
    NotEncrypted {
        /// The key server.
        server: Sci,
    },
    /// The key server says to do without MACsec.
    #[error("key server {server} says to do without MACsec")]
    NoMacsec {
        /// The key server.
        server: Sci,
    },
    /// Two members have the same priority and both claim to be key server; the SCI decides.
    #[error("two key servers with priority {priority}; the lower SCI, {winner}, won")]
    TwoKeyServers {
        /// The priority.
        priority: u8,
        /// Who won.
        winner: Sci,
    },
    /// Everybody has priority 255.
    #[error("nobody may become key server: every member has priority 255")]
    NoKeyServer,
    /// Three quarters of the packet numbers under the key are used.
    #[error("{peer} nears the end of its packet numbers and the key server sends no fresh SAK")]
    PacketNumbersLow {
        /// Whose.
        peer: Sci,
    },
    /// A key server named a second SAK as it had named a first.
    #[error("key {key_id} was distributed before: refused, as packet numbers would repeat")]
    KeyReused {
        /// The identifier.
        key_id: KeyId,
    },
    /// A SAK could not be unwrapped or has not its suite's length.
    #[error("the SAK {key_id} from {server} cannot be unwrapped")]
    SakUnreadable {
        /// The identifier.
        key_id: KeyId,
        /// The key server.
        server: Sci,
    },
    /// The SecY would not take a key.
    #[error("the SecY refused key {key_id}")]
    SakRefused {
        /// The identifier.
        key_id: KeyId,
    },
    /// Our own MKPDUs come back.
    #[error("our own MKPDUs come back: a loop, or another system with our SCI")]
    Loop,
    /// A peer sent MKPDUs that are malformed though their ICV is right.
    #[error("{from} sends malformed MKPDUs")]
    Malformed {
        /// Its address.
        from: MacAddr,
    },
    /// A member needs SSCIs of members that we have not heard.
    #[error("a SAK of {server} waits until all its members are heard")]
    MembersUnknown {
        /// The key server.
        server: Sci,
    },
}

/// The codes, each once: of one that is missing here no `code()` could be given.
macro_rules! codes {
    ($($name:ident = $code:literal,)+) => {
        impl Diagnosis {
            /// The codes of all, in the order above.
            pub const CODES: &[&str] = &[$($code),+];

            /// A short name that does not change: for metrics and JSON.
            pub const fn code(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $code,)+
                }
            }
        }
    };
}

codes! {
    NoKeyStarted = "no_key_started",
    NothingHeard = "nothing_heard",
    UnknownCkn = "unknown_ckn",
    KeyNotStarted = "key_not_started",
    CakDiffers = "cak_differs",
    NotListed = "not_listed",
    OnlyPotential = "only_potential",
    CipherNotAccepted = "cipher_not_accepted",
    CipherNotSupported = "cipher_not_supported",
    CapabilityTooLow = "capability_too_low",
    NotDesired = "macsec_not_desired",
    NoSak = "no_sak",
    SakNotTaken = "sak_not_taken",
    NotEncrypted = "not_encrypted",
    NoMacsec = "no_macsec",
    TwoKeyServers = "two_key_servers",
    NoKeyServer = "no_key_server",
    PacketNumbersLow = "packet_numbers_low",
    KeyReused = "key_reused",
    SakUnreadable = "sak_unreadable",
    SakRefused = "sak_refused",
    Loop = "loop",
    Malformed = "malformed",
    MembersUnknown = "members_unknown",
}

fn seconds(time: &Option<Duration>) -> String {
    time.map_or_else(|| "an unknown time".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
}

fn list(names: &[Ckn]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn suite_name(id: &u64) -> String {
    CipherSuite::from_id(*id).map_or_else(|| format!("{id:016x}"), |suite| suite.to_string())
}

/// The first few; a peer may announce dozens.
fn suites(ids: &[u64]) -> String {
    match ids {
        [] => "none".to_owned(),
        ids => ids.iter().take(MAX_NAMED).map(suite_name).collect::<Vec<_>>().join(", "),
    }
}

const fn ability(capability: &MacsecCapability) -> &'static str {
    match capability {
        MacsecCapability::NotImplemented => "not protect frames at all",
        MacsecCapability::Integrity => "protect frames without encrypting them",
        MacsecCapability::Confidentiality => "encrypt all of a frame",
        MacsecCapability::Offsets => "encrypt frames from an offset on",
    }
}

fn kind(confidentiality: &Confidentiality) -> String {
    match confidentiality {
        Confidentiality::IntegrityOnly => "integrity only".to_owned(),
        Confidentiality::From(offset) => format!("confidentiality offset {}", offset.octets()),
    }
}

/// Suites that are named in a sentence.
const MAX_NAMED: usize = 6;

/// How many different incidents are remembered; the oldest goes first.
const MAX_INCIDENTS: usize = 32;

/// How long the newest incident at least stays before another takes the place of the oldest: at the rate at which forgeries come,
/// remembering them would be most of their cost.
const TURNOVER: Duration = Duration::from_millis(50);

/// Incidents that were seen lately.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    seen: BTreeMap<Diagnosis, Instant>,
    /// When one last took the place of another.
    turned: Option<Instant>,
}

impl Incidents {
    /// Notes one. True when it is news, and there is not so much news that somebody must be making it up: a CKN costs
    /// nothing to invent.
    pub(super) fn note(&mut self, diagnosis: Diagnosis, now: Instant) -> bool {
        if let Some(seen) = self.seen.get_mut(&diagnosis) {
            *seen = now;
            return false;
        }
        let flood = self.seen.len() >= MAX_INCIDENTS;
        if flood {
            if self.turned.is_some_and(|turned| now.since(turned) < TURNOVER) {
                return false;
            }
            self.turned = Some(now);
            let oldest = self.seen.iter().min_by_key(|(_, seen)| **seen).map(|(oldest, _)| oldest.clone());
            oldest.and_then(|oldest| self.seen.remove(&oldest));
        }
        self.seen.insert(diagnosis, now);
        !flood
    }

    /// Forgets those not seen for `memory`.
    pub(super) fn forget(&mut self, now: Instant, memory: Duration) {
        self.seen.retain(|_, seen| now.since(*seen) <= memory);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Diagnosis> {
        self.seen.keys()
    }
}
