//! `/v1/channels`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ChannelDrain, Counts};

/// One MACsec-protected link to one peer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// The interconnect it belongs to.
    pub interconnect: String,
    /// The port its frames use.
    pub port: String,
    /// VLAN identifiers in clear in front of the SecTAG, outer first.
    pub clear_tags: Vec<u16>,
    /// The worker that owns it.
    pub worker: u16,
    /// Whether it may carry traffic.
    pub state: ChannelState,
    /// Why not, in a word; null when it may.
    pub reason: Option<String>,
    /// Since when it is in this state.
    pub since: Option<Timestamp>,
    /// Whether its port has carrier.
    pub carrier: bool,
    /// Octets of payload that its port carries for it: SecTAG and ICV included.
    pub mtu: u64,
    /// How it is protected.
    pub macsec: ChannelMacsec,
    /// Planned work on it; null: none.
    #[serde(default)]
    pub drain: Option<ChannelDrain>,
    /// Frames protected and handed to the port.
    pub tx_frames: u64,
    /// Their octets, without SecTAG and ICV.
    pub tx_octets: u64,
    /// Frames accepted by the SecY.
    pub rx_frames: u64,
    /// Their octets, without SecTAG and ICV.
    pub rx_octets: u64,
    /// Frames dropped, by reason; reasons without frames are left out.
    pub drops: Counts,
}

/// Whether a channel or an attachment may carry traffic.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelState {
    /// Nothing speaks against it.
    Live,
    /// It is drained, too narrow for IPv6, or its quality is bad: it carries what no live one can.
    Reserve,
    /// Something does.
    Down,
    /// Its worker did not answer.
    Unknown,
}

/// How a channel is protected, in short; `/v1/macsec` has it in full.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ChannelMacsec {
    /// `must_secure`, `should_secure` or `off`.
    pub policy: String,
    /// Frames are sent protected, and there is a key to do it with.
    pub secured: bool,
    /// Frames are sent in clear.
    pub clear_text: bool,
    /// Frames in clear are accepted.
    pub accepts_clear_text: bool,
    /// The cipher suite.
    pub suite: String,
    /// A key failed its trial with our own AES-GCM, and AWS-LC does it: report that.
    #[serde(default)]
    pub cipher_refused: bool,
    /// Keys come from MKA; otherwise they are static, or there are none.
    #[serde(default)]
    pub mka: bool,
    /// What is wrong with the key agreement, in a sentence; null when nothing is. `/v1/mka` has all of it.
    #[serde(default)]
    pub diagnosis: Option<String>,
    /// Our SCI.
    pub sci: Option<String>,
    /// Association number of the SA that frames are sent with.
    pub encoding_an: Option<u8>,
    /// The next frame's packet number.
    pub next_pn: Option<u64>,
    /// The last packet number of the SAK.
    pub pn_limit: u64,
    /// The receive SAs.
    pub rx: Vec<ChannelRx>,
    /// The standard's counters (802.1AE §10.7), summed over all SCs.
    pub counters: Counts,
}

/// A receive SA, in short.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ChannelRx {
    /// The peer's SCI.
    pub sci: String,
    /// Its association number.
    pub an: u8,
    /// Below it frames are late.
    pub lowest_pn: u64,
    /// One above the highest accepted.
    pub next_pn: u64,
}
