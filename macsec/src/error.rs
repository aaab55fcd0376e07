//! What the SecY refuses, by whose fault it is: a policy that cannot work ([`PolicyError`]), a call of the
//! key agreement or of management that cannot be honoured ([`LmiError`]). Frames are not errors: they end
//! in verdicts ([`RxDrop`](crate::RxDrop), [`TxRefusal`](crate::TxRefusal)).

use crate::{an::An, sci::Sci};

/// A policy that no SecY can follow.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// The SCI is all ones.
    #[error("the SCI ff:ff:ff:ff:ff:ff/ffff is reserved")]
    ReservedSci,
    /// ES is to stand for an SCI that it does not stand for.
    #[error("without an explicit SCI an end station has port number 0001, not {0:04x}")]
    EndStationPort(u16),
    /// SCB is to stand for an SCI that it does not stand for.
    #[error("without an explicit SCI a single-copy broadcast channel has port number 0000, not {0:04x}")]
    ScbPort(u16),
    /// The window is wider than the suite allows.
    #[error("with extended packet numbers the replay window is at most {limit}, not {0}", limit = (1u32 << 30) - 1)]
    WindowBeyondXpn(u32),
    /// The window is wider than one for which duplicates can be refused.
    #[error("a strict replay window is at most {limit}, not {0}", limit = crate::replay::MAX_STRICT_WINDOW)]
    WindowBeyondStrict(u32),
    /// Duplicates are to be refused without replay protection.
    #[error("strict replay needs replay protection")]
    StrictWithoutProtection,
    /// No protected frame fits.
    #[error("no protected frame fits {0} octets")]
    MaxFrameTooSmall(usize),
    /// XPN with a confidentiality offset.
    #[error("suites with extended packet numbers have no confidentiality offset")]
    OffsetWithXpn,
    /// A running SecY is to take another SCI.
    #[error("the SCI of a running SecY does not change")]
    SciFixed,
}

/// A call of the layer management interface (802.1AE-2018 §10.7) that cannot be honoured. Nothing changed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum LmiError {
    /// There is no receive SC with this SCI.
    #[error("no receive channel {0}")]
    UnknownSc(Sci),
    /// There is no SA with this association number.
    #[error("no association {0}")]
    UnknownSa(An),
    /// There is a receive SC with this SCI already.
    #[error("receive channel {0} exists already")]
    DuplicateSc(Sci),
    /// The SCI is our own or the reserved one.
    #[error("{0} cannot be a peer's SCI")]
    NotAPeer(Sci),
    /// There are as many receive SCs as there may be; remove one first.
    #[error("at most {limit} receive channels", limit = crate::secy::MAX_RECEIVE_SCS)]
    TooManyReceiveScs,
    /// The SAK has not the suite's length.
    #[error("the suite takes a SAK of {expected} octets, not {got}")]
    KeyLength {
        /// What the suite takes.
        expected: usize,
        /// What was given.
        got: usize,
    },
    /// XPN with a confidentiality offset (trap 29).
    #[error("suites with extended packet numbers have no confidentiality offset")]
    OffsetWithXpn,
    /// A first packet number of 0, or beyond the suite's last.
    #[error("packet number {0} is not one of the suite's")]
    PacketNumber(u64),
    /// This SAK was used for transmission before, beyond the packet number it is to start from: the same
    /// nonce would be used twice.
    #[error("the SAK was used up to packet number {used}; starting from {next} would use nonces twice")]
    NonceReuse {
        /// The last packet number used under this SAK.
        used: u64,
        /// The packet number asked for.
        next: u64,
    },
    /// Two SCIs would share an SSCI under one SAK: they would use the same nonces.
    #[error("{0} has this SSCI under the same SAK")]
    DuplicateSsci(Sci),
}
