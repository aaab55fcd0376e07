//! `/v1/macsec`: each channel's SecY as IEEE 802.1AE-2018 §10.7 names things.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Counts;

/// A channel's SecY.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MacsecChannel {
    /// The channel's name.
    pub channel: String,
    /// `must_secure`, `should_secure` or `off`.
    pub policy: String,
    /// Frames are sent protected, and there is a key to do it with.
    pub secured: bool,
    /// protectFrames.
    pub protect_frames: bool,
    /// validateFrames: `strict`, `check`, `disabled` or `null`.
    pub validate_frames: String,
    /// replayProtect.
    pub replay_protect: bool,
    /// replayWindow, in packet numbers.
    pub replay_window: u32,
    /// Duplicates inside the window are refused too.
    pub replay_strict: bool,
    /// alwaysIncludeSCI.
    pub include_sci: bool,
    /// useES.
    pub end_station: bool,
    /// useSCB.
    pub scb: bool,
    /// What does AES-GCM under its keys: vaes (our own), aws-lc or aes-gcm; several where keys differ.
    pub backend: String,
    /// A key failed its trial with our own AES-GCM, and AWS-LC does it: report that.
    #[serde(default)]
    pub cipher_refused: bool,
    /// Counters that belong to no SC.
    pub counters: Counts,
    /// Counters of receive SCs that are gone.
    pub former_receive: Counts,
    /// The transmit SC.
    pub transmit: TransmitSc,
    /// The receive SCs.
    pub receive: Vec<ReceiveSc>,
}

/// The transmit SC.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TransmitSc {
    /// Its SCI: ours.
    pub sci: String,
    /// encodingSA.
    pub encoding_an: Option<u8>,
    /// Totals over all its SAs, also those that are gone.
    pub counters: Counts,
    /// Its SAs.
    pub sas: Vec<TransmitSa>,
}

/// A transmit SA.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TransmitSa {
    /// Association number.
    pub an: u8,
    /// inUse: frames are sent with it.
    pub in_use: bool,
    /// The cipher suite.
    pub suite: String,
    /// Whether it encrypts, or only protects integrity.
    pub encrypt: bool,
    /// Octets of user data that stay in clear.
    pub confidentiality_offset: usize,
    /// Fingerprint of the SAK.
    pub key: String,
    /// Short SCI; null without XPN.
    pub ssci: Option<u32>,
    /// nextPN.
    pub next_pn: u64,
    /// The last packet number of the SAK.
    pub pn_limit: u64,
    /// Packet numbers that are reserved on disk and not used.
    pub pns_left: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When it came into use.
    pub started: Option<Timestamp>,
    /// Its counters.
    pub counters: Counts,
}

/// A receive SC.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReceiveSc {
    /// Its SCI: the peer's.
    pub sci: String,
    /// At least one of its SAs is in use.
    pub receiving: bool,
    /// Totals over all its SAs, also those that are gone.
    pub counters: Counts,
    /// Its SAs.
    pub sas: Vec<ReceiveSa>,
}

/// A receive SA.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReceiveSa {
    /// Association number.
    pub an: u8,
    /// inUse: frames are accepted with it.
    pub in_use: bool,
    /// The cipher suite.
    pub suite: String,
    /// Octets of user data in clear in encrypted frames.
    pub confidentiality_offset: usize,
    /// Fingerprint of the SAK.
    pub key: String,
    /// Short SCI; null without XPN.
    pub ssci: Option<u32>,
    /// One above the highest packet number accepted.
    pub next_pn: u64,
    /// Below it frames are late.
    pub lowest_pn: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When it came into use.
    pub started: Option<Timestamp>,
    /// Its counters.
    pub counters: Counts,
}
