//! MKA: MACsec key agreement with pre-shared CAKs (IEEE 802.1X-2020 §9, §11.11, §12), without I/O and without a clock.
//!
//! A [`Kay`] agrees with the KaYs of the other members of a channel on who is alive, who of them is key server, and on
//! the SAK that this one makes; what that means for the SecY it returns as [`KeyAction`]s. It speaks by MKPDUs
//! ([`wire`]), each of which proves that its sender has the CAK and names everybody it hears.
//!
//! | where | what |
//! | --- | --- |
//! | [`kay`](Kay) | all CAKs of a channel, the principal one, the key server's work, sending and receiving |
//! | `participant`, `peers`, `identity`, `pace` | one CAK's conversation: who is live, message numbers, when to speak |
//! | `election` | who is key server, a pure function |
//! | `cp`, `held_key` | in which order SAKs come into use and go, and whose SAs they have |
//! | [`wire`], [`kdf`], [`keywrap`] | MKPDUs, key derivation, wrapped SAKs |
//! | [`decode`] | reading along in a capture |
//!
//! Invariants:
//! - nothing is believed before its ICV was right, and no SAK but from the elected key server that lists us as live;
//! - receive SAs are in use before anybody transmits with their key; old ones stay until nobody does;
//! - a (member identifier, key number) names one SAK for ever, and no SAK is installed twice, so no packet number is used
//!   twice; after a start the member identifier is new, so no SAK of before comes back;
//! - what is due is derived from the state, so that nothing that could not be done at once is forgotten;
//! - every wait has an end, and [`Kay::poll_timeout`] says when.
//!
//! Absent on purpose: EAP, distributed CAKs (read past), several transmit SCs.

mod action;
mod cp;
pub mod decode;
mod diagnosis;
mod election;
mod event;
mod held_key;
mod identity;
mod kay;
pub mod kdf;
pub mod keywrap;
mod pace;
mod params;
mod participant;
mod peers;
mod status;
pub mod wire;

pub use action::{DataKey, KeyAction};
pub use cp::CpState;
pub use diagnosis::Diagnosis;
pub use election::{Candidate, elect};
pub use event::{LostWhy, MkaEvent, RekeyWhy};
pub use identity::Rng;
pub use kay::{Kay, RekeyAnswer, Standing, SuspendAnswer};
pub use params::{
    BOUNDED_HELLO, DEFAULT_PRIORITY, HELLO, IcvIndicator, KayParams, KeyEntry, KeyStart, LIFE,
    NEVER_KEY_SERVER, SAK_RETIRE, SUSPENSION_LIMIT,
};
pub use participant::ParticipantCounters;
pub use peers::{Listing, MAX_PEERS};
pub use status::{
    KeyServerStatus, KeyServerWhy, MkaCounters, MkaStatus, ParticipantStatus, PeerStatus, SakStatus,
};
pub use wire::{Confidentiality, MacsecCapability, MemberId, MkpduFault};
