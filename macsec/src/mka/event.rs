//! What the KaY tells its owner: for the log, for metrics, for whoever waits for a channel to come up.

use core::{fmt, time::Duration};

use super::diagnosis::Diagnosis;
use crate::{
    an::An,
    key::{Ckn, KeyId},
    sci::Sci,
    suite::CipherSuite,
};

/// Something that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MkaEvent {
    /// A peer proved that it is alive.
    PeerUp {
        /// Its SCI.
        sci: Sci,
        /// Under this CAK.
        ckn: Ckn,
        /// It took the place of the same peer before a restart.
        restarted: bool,
    },
    /// A peer was silent for a life time.
    PeerDown {
        /// Its SCI.
        sci: Sci,
        /// Under this CAK.
        ckn: Ckn,
    },
    /// Another key server, or none.
    KeyServer {
        /// Who.
        sci: Option<Sci>,
        /// It is us.
        ours: bool,
    },
    /// Another CAK carries the key agreement.
    Principal {
        /// Its name.
        ckn: Ckn,
        /// It is a fallback key.
        fallback: bool,
    },
    /// The channel came up: both directions have a key.
    Secured {
        /// The SAK's identifier.
        key_id: KeyId,
        /// Its association number.
        an: An,
        /// Its suite.
        suite: CipherSuite,
    },
    /// Frames are sent with a fresh SAK from now on.
    Rekeyed {
        /// The SAK's identifier.
        key_id: KeyId,
        /// Its association number.
        an: An,
        /// Its suite.
        suite: CipherSuite,
    },
    /// As key server, we made a SAK.
    SakMade {
        /// Its identifier.
        key_id: KeyId,
        /// Why.
        why: RekeyWhy,
    },
    /// The channel went down.
    Lost(LostWhy),
    /// MKA is suspended: peers may be silent without being given up.
    Suspended {
        /// For how long.
        time: Duration,
        /// We asked for it.
        ours: bool,
    },
    /// MKA is not suspended any more.
    Resumed,
    /// Something is wrong, and was not before.
    Diagnosis(Diagnosis),
}

/// Why a key server makes a SAK.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RekeyWhy {
    /// There is none yet.
    First,
    /// A peer has joined or restarted, and has no key.
    PeerJoined,
    /// A peer has left, and still has the key.
    PeerLeft,
    /// We have become key server.
    ServerChanged,
    /// Another CAK has become principal.
    CakChanged,
    /// The members agree on another cipher suite or offset.
    CipherChanged,
    /// Packet numbers run out.
    PacketNumbers,
    /// It is time.
    Timer,
    /// Somebody asked for it.
    Requested,
    /// The SecY refused the last one.
    Refused,
}

impl fmt::Display for RekeyWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::First => "first key",
            Self::PeerJoined => "a peer has joined",
            Self::PeerLeft => "a peer has left",
            Self::ServerChanged => "the key server has changed",
            Self::CakChanged => "another CAK is principal",
            Self::CipherChanged => "the cipher suite has changed",
            Self::PacketNumbers => "packet numbers run out",
            Self::Timer => "time",
            Self::Requested => "asked for",
            Self::Refused => "the SecY refused the last one",
        })
    }
}

/// Why a channel went down.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LostWhy {
    /// No peer is alive under any CAK.
    NoPeer,
    /// No CAK can be used any more.
    NoKey,
    /// The key server says to do without MACsec.
    NoMacsec,
    /// The SecY refused the key, or the key server gave one with an association number in use.
    KeyLost,
}

impl fmt::Display for LostWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoPeer => "no peer is alive",
            Self::NoKey => "no key can be used",
            Self::NoMacsec => "the key server says to do without MACsec",
            Self::KeyLost => "the key in use was lost",
        })
    }
}
