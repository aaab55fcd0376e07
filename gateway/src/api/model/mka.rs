//! `/v1/mka`: each channel's key agreement (IEEE 802.1X-2020 §9, §12), and what `rekey` answers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Counts;

/// A channel's KaY.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MkaChannel {
    /// The channel's name.
    pub channel: String,
    /// `must_secure` or `should_secure`.
    pub policy: String,
    /// Frames flow protected under a key that MKA agreed on.
    pub secured: bool,
    /// Frames are sent in clear now.
    pub clear_text: bool,
    /// Since when it is secured, or not.
    pub since: Timestamp,
    /// The controlled port machine: `down`, `receiving`, `ready`, `transmitting` or `retired`.
    pub state: String,
    /// Our SCI.
    pub sci: String,
    /// CKN of the CAK whose SAK is used.
    pub principal: Option<String>,
    /// The key server.
    pub key_server: Option<MkaKeyServer>,
    /// The SAK that frames are sent with.
    pub key: Option<MkaSak>,
    /// The SAK that is to replace it.
    pub next_key: Option<MkaSak>,
    /// One for every CAK that can be used now, best first.
    pub participants: Vec<MkaParticipant>,
    /// CAKs that have not started.
    pub waiting: Vec<MkaWaiting>,
    /// Milliseconds for which MKA is suspended; null when it is not.
    pub suspended_ms: Option<u64>,
    /// What is wrong, the most telling first; empty when all is well.
    pub diagnoses: Vec<MkaDiagnosis>,
    /// Received frames that became no MKPDU, by reason; reasons without frames are left out.
    pub faults: Counts,
    /// SAKs that came into use.
    pub rekeys: u64,
    /// MKPDUs that could not be sent for want of a buffer.
    pub unsent: u64,
}

/// The key server.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MkaKeyServer {
    /// Its SCI.
    pub sci: String,
    /// Its Key Server Priority.
    pub priority: u8,
    /// It is this gateway.
    pub ours: bool,
    /// Why it won.
    pub why: String,
}

/// A SAK, without itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MkaSak {
    /// Its identifier: the key server's member identifier and the key number.
    pub key_id: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its association number.
    pub an: u8,
    /// Its cipher suite.
    pub suite: String,
    /// Whether it encrypts, or only protects integrity.
    pub encrypt: bool,
    /// Octets of user data that stay in clear.
    pub confidentiality_offset: usize,
    /// CKN of the CAK that it came under.
    pub ckn: String,
    /// When it was made or received.
    pub since: Timestamp,
    /// When we, as its key server, replace it by the clock.
    pub replaced_at: Option<Timestamp>,
    /// The next frame's packet number, as the KaY last heard of it.
    pub next_pn: u64,
}

/// The conversation under one CAK.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MkaParticipant {
    /// Its CKN.
    pub ckn: String,
    /// Fingerprint of the CAK.
    pub cak: String,
    /// Used only where no other key has a peer.
    pub fallback: bool,
    /// Its SAK is the one in use.
    pub principal: bool,
    /// Our member identifier.
    pub member: String,
    /// The last message number we sent.
    pub message: u32,
    /// SCI of its key server.
    pub key_server: Option<String>,
    /// Members that proved to be alive.
    pub live: Vec<MkaPeer>,
    /// Members that were only heard.
    pub potential: Vec<MkaPeer>,
    /// MKPDUs received and taken.
    pub in_mkpdu: u64,
    /// MKPDUs sent.
    pub out_mkpdu: u64,
    /// MKPDUs with this CKN whose ICV was wrong.
    pub icv_failures: u64,
    /// SAKs received and taken.
    pub saks_received: u64,
    /// SAKs made.
    pub saks_made: u64,
}

/// Another member.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MkaPeer {
    /// Its SCI.
    pub sci: String,
    /// Its MAC address.
    pub source: String,
    /// Its member identifier.
    pub member: String,
    /// The last message number heard.
    pub message: u32,
    /// The MKA version it speaks.
    pub version: u8,
    /// Its Key Server Priority.
    pub priority: u8,
    /// How it lists us: `live`, `potential` or `no`.
    pub lists_us: String,
    /// The suites it announced that we know; null when it announced none.
    pub suites: Option<Vec<String>>,
    /// When it was last heard.
    pub heard: Timestamp,
    /// When it is given up, unless it is heard before.
    pub expires: Timestamp,
    /// It receives with the key in use.
    pub receives: bool,
    /// It transmits with the key in use.
    pub transmits: bool,
}

/// A CAK that has not started.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MkaWaiting {
    /// Its CKN.
    pub ckn: String,
    /// When it starts.
    pub starts: Timestamp,
}

/// Something that is wrong.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MkaDiagnosis {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// What `POST /v1/channels/NAME/rekey` brought about.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rekey {
    /// The channel's name.
    pub channel: String,
    /// What it is.
    pub answer: RekeyAnswer,
    /// SCI of the key server, where that is another member.
    pub key_server: Option<String>,
    /// A sentence for people.
    pub message: String,
}

/// What `POST /v1/channels/NAME/suspend` brought about.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Suspension {
    /// The channel's name.
    pub channel: String,
    /// What it is.
    pub answer: SuspendAnswer,
    /// For how long, in seconds.
    pub seconds: u64,
    /// SCI of the member that it depends on: the key server, or who does not know suspension.
    pub member: Option<String>,
    /// A sentence for people.
    pub message: String,
}

/// What became of a wish to suspend MKA.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SuspendAnswer {
    /// MKA is suspended.
    Started,
    /// The key server was asked and decides for the others; this gateway waits for its peers.
    Asked,
    /// There is nobody to suspend it with.
    NoPeer,
    /// A SAK is being agreed on.
    Unsettled,
    /// A member does not know suspension.
    Unsupported,
}

/// What became of a wish for a fresh SAK.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RekeyAnswer {
    /// A fresh SAK is being distributed.
    Started,
    /// One follows as soon as the last rollover is over.
    Queued,
    /// Only the key server makes SAKs, and that is another member.
    NotKeyServer,
    /// There is nobody to share a SAK with.
    NoPeer,
}
