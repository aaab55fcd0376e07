//! MACsec: IEEE 802.1AE frame protection, without I/O and without a clock.
//!
//! [`SecY`] is the security entity of one channel: [`protect`](SecY::protect) turns a frame into an MPDU in
//! place, [`validate`](SecY::validate) turns it back or says why not. Keys reach it through the layer
//! management interface ([`secy`]), from key agreement or from a static configuration. Frames are
//! [`net::PacketBuf`]s from the destination address on, without FCS; VLAN tags in clear go on and come off
//! below it ([`clear_tags`]).
//!
//! Supported, of 802.1AE-2018: the four cipher suites of §14 ([`CipherSuite`]), every form of the SecTAG
//! ([`wire`]), integrity only and confidentiality with offsets 0, 30 and 50, extended packet numbers with
//! recovery, replay protection with windows, the four settings of validateFrames, several receive SCs, all
//! the counters by their names. `CONFORMANCE.md` lists clause, file and test.
//!
//! Absent on purpose: sockets, timers, randomness, several transmit SCs (traffic classes).
//!
//! Invariants: a packet number is used at most once per key, whoever asks ([`pn`]); a replay window moves
//! only with a proof of integrity ([`replay`]); secrets wipe themselves and cannot be printed ([`key`]); no
//! frame can make anything here panic.
#![forbid(unsafe_code)]

pub mod aead;
mod an;
pub mod clear_tags;
mod error;
pub mod key;
pub mod mka;
pub mod offline;
pub mod pn;
pub mod replay;
mod sci;
pub mod secy;
mod suite;
pub mod wire;

pub use aead::Backend;
pub use an::An;
pub use error::{LmiError, PolicyError};
pub use key::{Cak, Ckn, Fingerprint, KeyError, KeyId, Sak, Salt};
pub use sci::{ParseSciError, Sci, Ssci};
pub use secy::{
    Delivered, Protected, ReceiveSaParams, RxDrop, RxVerdict, SecY, SecyNumbers, SecyPolicy, SecyStatus,
    TransmitSaParams, TxRefusal, ValidateFrames,
};
pub use suite::{CipherSuite, ConfidentialityOffset, ParseSuiteError};
