//! What can be wrong with an UPDATE, and what is done about it (RFC 7606): the return type of the parser.
//!
//! Each kind of fault has exactly one treatment, written in one table below. The order of
//! [`Treatment`] is the order of severity of RFC 7606 section 2: when a message has several faults, the
//! strongest treatment wins (section 3 h).

use super::notification::{Cause, Notification, UpdateError};
use core::fmt;

/// What RFC 7606 section 2 does about a fault, mildest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Treatment {
    /// Nothing is lost: what was ignored was not meant for this session.
    Ignore,
    /// The attribute is dropped, the route stays ("attribute discard").
    DiscardAttribute,
    /// The routes are handled as if they had been withdrawn ("treat-as-withdraw").
    TreatAsWithdraw,
    /// The session ends ("session reset"). "AFI/SAFI disable" is not used: where RFC 7606 leaves the
    /// choice, a fresh session is what brings the routes back.
    ResetSession,
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignore => "ignored",
            Self::DiscardAttribute => "attribute discarded",
            Self::TreatAsWithdraw => "treated as withdraw",
            Self::ResetSession => "session reset",
        })
    }
}

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $treatment:ident, $code:ident, $text:literal;)*) => {
        /// A kind of fault in an UPDATE.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum FaultKind {
            $($(#[$doc])* $variant,)*
        }
        impl FaultKind {
            /// All kinds, for tables and metrics.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// What is done about it.
            pub const fn treatment(self) -> Treatment {
                match self { $(Self::$variant => Treatment::$treatment,)* }
            }

            /// The subcode of UPDATE Message Error that names it, should the session have to end.
            pub const fn subcode(self) -> UpdateError {
                match self { $(Self::$variant => UpdateError::$code,)* }
            }
        }
        impl fmt::Display for FaultKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }
    };
}

faults! {
    /// The family was not agreed on in the OPENs (RFC 4760 section 7).
    FamilyNotAgreed = Ignore, OptionalAttribute, "address family that was not agreed on";
    /// AS4_PATH or AS4_AGGREGATOR from a speaker with four-octet numbers (RFC 6793 section 4.1).
    NotForThisSession = DiscardAttribute, OptionalAttribute, "attribute that does not belong on this session";
    /// LOCAL_PREF, ORIGINATOR_ID or CLUSTER_LIST from an external neighbour (RFC 7606 sections 7.5, 7.9, 7.10).
    InternalOnly = DiscardAttribute, OptionalAttribute, "internal attribute from an external neighbour";
    /// The operator has listed this attribute to be dropped.
    Unwanted = DiscardAttribute, OptionalAttribute, "attribute dropped by configuration";
    /// An attribute appeared twice; the first counts (RFC 7606 section 3 g).
    Duplicate = DiscardAttribute, AttributeList, "attribute appears more than once";
    /// ATOMIC_AGGREGATE or AGGREGATOR with a wrong length (RFC 7606 sections 7.6, 7.7), or a malformed
    /// AS4_PATH or AS4_AGGREGATOR (RFC 6793 section 6).
    MinorLength = DiscardAttribute, Length, "wrong length of an attribute that is not needed";
    /// AS 0 in AGGREGATOR or AS4_AGGREGATOR (RFC 7607 section 2).
    AggregatorZero = DiscardAttribute, OptionalAttribute, "aggregator with AS 0";
    /// Optional and Transitive conflict with the attribute's type (RFC 7606 section 3 c).
    Flags = TreatAsWithdraw, Flags, "attribute flags conflict with its type";
    /// A wrong length (RFC 7606 section 7).
    Length = TreatAsWithdraw, Length, "wrong attribute length";
    /// ORIGIN is not 0, 1 or 2 (RFC 7606 section 7.1).
    Origin = TreatAsWithdraw, Origin, "undefined ORIGIN";
    /// AS_PATH does not parse (RFC 7606 section 7.2).
    AsPath = TreatAsWithdraw, AsPath, "malformed AS_PATH";
    /// AS 0 in AS_PATH (RFC 7607 section 2).
    AsZero = TreatAsWithdraw, AsPath, "AS 0 in AS_PATH";
    /// Confederation segments from outside (RFC 5065 section 5).
    Confederation = TreatAsWithdraw, AsPath, "confederation segment from an external neighbour";
    /// AS_SET or AS_CONFED_SET (RFC 9774 section 3).
    AsSet = TreatAsWithdraw, AsPath, "AS_SET in the path";
    /// The leftmost AS is not the neighbour (RFC 4271 section 6.3).
    FirstAs = TreatAsWithdraw, AsPath, "leftmost AS is not the neighbour";
    /// A next hop that can never forward (RFC 4271 section 6.3).
    NextHop = TreatAsWithdraw, NextHop, "unusable next hop";
    /// A mandatory attribute is missing (RFC 7606 section 3 d).
    Missing = TreatAsWithdraw, MissingWellKnown, "mandatory attribute missing";
    /// An attribute leaves the attribute list, or octets are left over (RFC 7606 section 4).
    Overrun = TreatAsWithdraw, AttributeList, "attribute list cut short";
    /// Withdrawn Routes or Total Attribute Length leave the message (RFC 7606 section 3 a, b).
    Framing = ResetSession, AttributeList, "lengths exceed the message";
    /// A prefix that cannot be read (RFC 7606 section 5.3).
    Prefix = ResetSession, NetworkField, "malformed prefix";
    /// MP_REACH_NLRI or MP_UNREACH_NLRI that cannot be read (RFC 7606 sections 5.3, 7.11, 7.12).
    Multiprotocol = ResetSession, OptionalAttribute, "malformed multiprotocol attribute";
    /// MP_REACH_NLRI or MP_UNREACH_NLRI twice (RFC 7606 section 3 g).
    DuplicateMultiprotocol = ResetSession, AttributeList, "multiprotocol attribute appears twice";
    /// A well-known attribute nobody knows (RFC 4271 section 6.3; RFC 7606 left it as it was).
    UnknownWellKnown = ResetSession, UnknownWellKnown, "unrecognized well-known attribute";
}

/// One thing that was wrong with an UPDATE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// The type code of the attribute it was found in, if it was in one.
    pub attribute: Option<u8>,
}

impl Fault {
    pub(super) const fn new(kind: FaultKind, attribute: u8) -> Self {
        Self { kind, attribute: Some(attribute) }
    }

    pub(super) const fn in_message(kind: FaultKind) -> Self {
        Self { kind, attribute: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(code) = self.attribute {
            write!(f, " (attribute {code}")?;
            if let Some(name) = attribute_name(code) {
                write!(f, ", {name}")?;
            }
            f.write_str(")")?;
        }
        write!(f, ": {}", self.kind.treatment())
    }
}

/// The registered name of an attribute type, for people.
pub const fn attribute_name(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "ORIGIN",
        2 => "AS_PATH",
        3 => "NEXT_HOP",
        4 => "MULTI_EXIT_DISC",
        5 => "LOCAL_PREF",
        6 => "ATOMIC_AGGREGATE",
        7 => "AGGREGATOR",
        8 => "COMMUNITIES",
        9 => "ORIGINATOR_ID",
        10 => "CLUSTER_LIST",
        14 => "MP_REACH_NLRI",
        15 => "MP_UNREACH_NLRI",
        16 => "EXTENDED_COMMUNITIES",
        17 => "AS4_PATH",
        18 => "AS4_AGGREGATOR",
        22 => "PMSI_TUNNEL",
        23 => "TUNNEL_ENCAPSULATION",
        26 => "AIGP",
        32 => "LARGE_COMMUNITY",
        33 => "BGPSEC_PATH",
        35 => "OTC",
        40 => "PREFIX_SID",
        128 => "ATTR_SET",
        _ => return None,
    })
}

/// The end of a session for a fault that RFC 7606 leaves no milder treatment for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reset {
    /// Why.
    pub fault: Fault,
    /// What to send.
    pub notification: Notification,
}

impl Reset {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, notification: Notification::new(Cause::Update(fault.kind.subcode())) }
    }

    /// With the erroneous attribute (type, length and value) as data.
    pub(super) fn with_attribute(fault: Fault, attribute: &[u8]) -> Self {
        let cause = Cause::Update(fault.kind.subcode());
        Self { fault, notification: Notification::with_data(cause, attribute) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7606 section 3 h: the strongest of several treatments is used; ours are ordered.
    #[test]
    fn treatments_are_ordered_by_strength() {
        assert!(Treatment::Ignore < Treatment::DiscardAttribute);
        assert!(Treatment::DiscardAttribute < Treatment::TreatAsWithdraw);
        assert!(Treatment::TreatAsWithdraw < Treatment::ResetSession);
    }

    // RFC 7606 section 3 e: these attributes never reset a session.
    #[test]
    fn only_framing_prefixes_multiprotocol_and_unknown_well_known_reset() {
        let resetting: Vec<_> =
            FaultKind::ALL.iter().filter(|kind| kind.treatment() == Treatment::ResetSession).collect();
        assert_eq!(
            resetting,
            [
                &FaultKind::Framing,
                &FaultKind::Prefix,
                &FaultKind::Multiprotocol,
                &FaultKind::DuplicateMultiprotocol,
                &FaultKind::UnknownWellKnown
            ]
        );
    }

    #[test]
    fn a_fault_reads_as_a_sentence() {
        let fault = Fault::new(FaultKind::Length, 4);
        assert_eq!(
            fault.to_string(),
            "wrong attribute length (attribute 4, MULTI_EXIT_DISC): treated as withdraw"
        );
    }
}
