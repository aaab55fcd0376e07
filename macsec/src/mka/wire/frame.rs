//! From an Ethernet frame to an MKPDU and back (802.1X-2020 §11.1, §11.4, §11.11.2).
//!
//! ```text
//! DA | SA | 88-8E | version 3 | type 5 | length | parameter sets ... | ICV
//! <------------------------ covered by the ICV --------------------->
//! ```
//!
//! Octets after the length are Ethernet padding and not looked at (trap 9). The destination and the EtherType
//! are the channel's settings, because carriers eat the standard ones.

use net::{EtherType, MacAddr, PacketBuf, Reader, Writer};

use super::{Basic, ICV_LEN, Mkpdu};
use crate::{key::Ckn, mka::kdf::CakKeys};

macro_rules! mkpdu_faults {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// Why a received frame did not become an MKPDU of a participant. Each is counted.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, thiserror::Error)]
        pub enum MkpduFault {
            $($(#[$doc])* #[error($label)] $name,)*
        }

        impl MkpduFault {
            /// All of them.
            pub const ALL: [Self; 0 $(+ { let _ = Self::$name; 1 })*] = [$(Self::$name),*];
        }
    };
}

mkpdu_faults! {
    /// Too short for an EAPOL header, or shorter than that says.
    Short = "short",
    /// Another EtherType, an EAPOL version before 3, or another EAPOL packet type.
    NotMka = "not_mka",
    /// Sent to an individual address that is not the channel's destination.
    IndividualDestination = "individual_destination",
    /// Under 32 octets, or not a multiple of four.
    Length = "length",
    /// The basic parameter set does not fit, or the CKN has not 1 to 32 octets.
    Basic = "basic",
    /// No participant has this CKN.
    UnknownCkn = "unknown_ckn",
    /// A key hierarchy that nobody has defined yet.
    Agility = "agility",
    /// The ICV is wrong: another CAK, or a forgery.
    Icv = "icv",
    /// A parameter set is malformed.
    Malformed = "malformed",
    /// Our own MKPDU, come back.
    Loop = "loop",
    /// The message number did not rise.
    Replayed = "replayed",
    /// A member identifier that belongs to another SCI.
    OtherSci = "other_sci",
    /// There are as many peers as there may be.
    TooManyPeers = "too_many_peers",
}

/// EAPOL version we send, and the least we take.
const EAPOL_VERSION: u8 = 3;

/// EAPOL packet type of an MKPDU.
const EAPOL_MKA: u8 = 5;

/// Octets before the MKPDU.
const PREFIX_LEN: usize = 14 + 4;

/// The least an MKPDU can have.
const MIN_LEN: usize = 32;

/// The longest MKPDU frame we make: a standard Ethernet frame without FCS.
pub const MAX_FRAME: usize = 1514;

/// A frame that carries an MKPDU. Nothing in it is checked beyond what brought it here.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Destination address.
    pub destination: MacAddr,
    /// Source address.
    pub source: MacAddr,
    /// What the ICV covers: from the destination address to the last parameter set.
    pub covered: &'a [u8],
    /// The parameter sets.
    pub sets: &'a [u8],
    /// The ICV.
    pub icv: [u8; ICV_LEN],
}

impl<'a> Envelope<'a> {
    /// Opens a frame, given from its destination address on, without FCS or VLAN tags.
    ///
    /// # Errors
    /// [`MkpduFault`], up to and including [`Length`](MkpduFault::Length).
    pub fn open(frame: &'a [u8], ethertype: EtherType) -> Result<Self, MkpduFault> {
        let mut rest = Reader::new(frame);
        let (Ok(destination), Ok(source), Ok(kind)) = (rest.array(), rest.array(), rest.u16()) else {
            return Err(MkpduFault::Short);
        };
        if kind != ethertype.get() {
            return Err(MkpduFault::NotMka);
        }
        let (Ok([version, packet]), Ok(len)) = (rest.array(), rest.u16()) else {
            return Err(MkpduFault::Short);
        };
        if version < EAPOL_VERSION || packet != EAPOL_MKA {
            return Err(MkpduFault::NotMka);
        }
        let len = usize::from(len);
        let Ok(mkpdu) = rest.take(len) else { return Err(MkpduFault::Short) };
        let parts = mkpdu.split_last_chunk::<ICV_LEN>().zip(frame.get(..PREFIX_LEN + len - ICV_LEN.min(len)));
        match parts {
            Some(((sets, icv), covered)) if len >= MIN_LEN && len.is_multiple_of(4) => {
                let (destination, source) = (MacAddr(destination), MacAddr(source));
                Ok(Self { destination, source, covered, sets, icv: *icv })
            }
            _ => Err(MkpduFault::Length),
        }
    }

    /// Whether the ICV is the one that these keys give, in constant time.
    pub fn authentic(&self, keys: &CakKeys) -> bool {
        keys.check_icv(self.covered, &self.icv)
    }

    /// The CKN and the algorithm agility, which have to be known to check the ICV.
    ///
    /// # Errors
    /// [`MkpduFault::Basic`].
    pub fn ckn(&self) -> Result<(Ckn, u32), MkpduFault> {
        self.basic().map(|basic| (basic.ckn, basic.agility))
    }

    /// The basic parameter set, which says who speaks, if the ICV is right.
    ///
    /// # Errors
    /// [`MkpduFault::Basic`].
    pub fn basic(&self) -> Result<Basic, MkpduFault> {
        Basic::peek(self.sets).map_err(|_| MkpduFault::Basic)
    }

    /// The parameter sets, parsed.
    ///
    /// # Errors
    /// [`MkpduFault::Malformed`].
    pub fn mkpdu(&self) -> Result<Mkpdu, MkpduFault> {
        Mkpdu::parse(self.sets).map_err(|_| MkpduFault::Malformed)
    }
}

/// Appends a whole frame to `out`. False, and `out` as it was, when there is no room.
#[must_use]
pub fn seal(
    mkpdu: &Mkpdu,
    keys: &CakKeys,
    (destination, source, ethertype): (MacAddr, MacAddr, EtherType),
    out: &mut PacketBuf,
) -> bool {
    let mut sets = Writer::new();
    mkpdu.emit(&mut sets);
    let Ok(len) = u16::try_from(sets.len() + ICV_LEN) else { return false };
    let mut frame = Writer::new();
    frame.put(&destination.0);
    frame.put(&source.0);
    frame.u16(ethertype.get());
    frame.put(&[EAPOL_VERSION, EAPOL_MKA]);
    frame.u16(len);
    frame.put(sets.as_slice());
    let icv = keys.icv(frame.as_slice());
    frame.put(&icv);
    out.extend_from_slice(frame.as_slice())
}
