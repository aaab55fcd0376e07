//! NOTIFICATION (RFC 4271 section 4.5): the last words of a session, as names instead of two numbers.
//!
//! Codes we do not know survive as numbers, so that a log can print what a peer really said. The data
//! field is kept as it came; [`Notification::shutdown_text`] reads the operator's message of RFC 9003 in
//! it, [`Notification::inner`] the notification that a Hard Reset wraps (RFC 8538).

use core::fmt;
use net::Reader;

/// The longest shutdown communication, in octets (RFC 9003 section 2).
pub const SHUTDOWN_TEXT_MAX: usize = 255;

macro_rules! subcodes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $value:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A subcode we have no name for.
            Other(u8),
        }
        impl $name {
            /// The number on the wire.
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $value,)* Self::Other(other) => other }
            }
            /// The name of a number from the wire.
            pub const fn from_code(code: u8) -> Self {
                match code { $($value => Self::$variant,)* other => Self::Other(other) }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::Other(other) => write!(f, "subcode {other}"),
                }
            }
        }
    };
}

subcodes! {
    /// Message Header Error, code 1 (RFC 4271 section 6.1).
    HeaderError {
        /// The marker is not all ones.
        NotSynchronized = 1, "connection not synchronized";
        /// The length is impossible for this message.
        BadLength = 2, "bad message length";
        /// No such message type.
        BadType = 3, "bad message type";
    }
}

subcodes! {
    /// OPEN Message Error, code 2 (RFC 4271 section 6.2, 5492, 9234).
    OpenError {
        /// Malformed in a way that has no number of its own.
        Unspecific = 0, "malformed OPEN";
        /// Not BGP-4.
        Version = 1, "unsupported version";
        /// Not the AS number that is configured for this peer, or zero (RFC 7607).
        PeerAs = 2, "bad peer AS";
        /// The BGP Identifier is zero, or ours on an internal session (RFC 6286).
        Identifier = 3, "bad BGP identifier";
        /// An optional parameter that is not Capabilities.
        OptionalParameter = 4, "unsupported optional parameter";
        /// A hold time of one or two seconds, or below our minimum.
        HoldTime = 6, "unacceptable hold time";
        /// A capability we insist on is missing.
        Capability = 7, "unsupported capability";
        /// The roles do not fit together (RFC 9234 section 4.2).
        Role = 11, "role mismatch";
    }
}

subcodes! {
    /// UPDATE Message Error, code 3 (RFC 4271 section 6.3, as revised by RFC 7606).
    UpdateError {
        /// The attribute list and the message disagree about their lengths.
        AttributeList = 1, "malformed attribute list";
        /// A well-known attribute nobody knows.
        UnknownWellKnown = 2, "unrecognized well-known attribute";
        /// A mandatory attribute is missing.
        MissingWellKnown = 3, "missing well-known attribute";
        /// Flags that conflict with the attribute's type.
        Flags = 4, "attribute flags error";
        /// A length that conflicts with the attribute's type.
        Length = 5, "attribute length error";
        /// ORIGIN is not 0, 1 or 2.
        Origin = 6, "invalid ORIGIN";
        /// NEXT_HOP is not an address that could forward.
        NextHop = 8, "invalid NEXT_HOP";
        /// An optional attribute is wrong, MP_REACH_NLRI and MP_UNREACH_NLRI among them.
        OptionalAttribute = 9, "optional attribute error";
        /// A prefix that cannot be read.
        NetworkField = 10, "invalid network field";
        /// AS_PATH cannot be read.
        AsPath = 11, "malformed AS_PATH";
    }
}

subcodes! {
    /// Finite State Machine Error, code 5, by the state it happened in (RFC 6608).
    FsmError {
        /// In a state without a number.
        Unspecified = 0, "unexpected message";
        /// While waiting for an OPEN.
        OpenSent = 1, "unexpected message in OpenSent";
        /// While waiting for a KEEPALIVE.
        OpenConfirm = 2, "unexpected message in OpenConfirm";
        /// In an established session.
        Established = 3, "unexpected message in Established";
    }
}

subcodes! {
    /// Cease, code 6 (RFC 4486, 8538, 9384).
    Cease {
        /// More prefixes than allowed.
        MaxPrefixes = 1, "maximum number of prefixes reached";
        /// An operator shut the session down; may carry text (RFC 9003).
        AdminShutdown = 2, "administrative shutdown";
        /// The peer was removed from the configuration.
        PeerDeconfigured = 3, "peer de-configured";
        /// An operator reset the session; may carry text (RFC 9003).
        AdminReset = 4, "administrative reset";
        /// Not now.
        ConnectionRejected = 5, "connection rejected";
        /// Something in the configuration changed that needs a new session.
        ConfigurationChange = 6, "other configuration change";
        /// The other connection of the pair is kept (RFC 4271 section 6.8).
        Collision = 7, "connection collision resolution";
        /// Out of memory or the like.
        OutOfResources = 8, "out of resources";
        /// End the session although graceful restart was agreed on (RFC 8538).
        HardReset = 9, "hard reset";
        /// BFD found the path dead (RFC 9384).
        BfdDown = 10, "BFD down";
    }
}

/// Code and subcode of a NOTIFICATION.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Cause {
    /// Code 1.
    Header(HeaderError),
    /// Code 2.
    Open(OpenError),
    /// Code 3.
    Update(UpdateError),
    /// Code 4: nothing heard for the hold time.
    HoldTimer,
    /// Code 5.
    Fsm(FsmError),
    /// Code 6.
    Cease(Cease),
    /// Code 7, ROUTE-REFRESH Message Error; subcode 1 is "invalid message length" (RFC 7313 section 5).
    RouteRefresh(u8),
    /// Code 8: nothing could be sent for the send hold time (RFC 9687).
    SendHoldTimer,
    /// Anything else.
    Other(u8, u8),
}

impl Cause {
    /// Code and subcode as sent.
    pub const fn codes(self) -> (u8, u8) {
        match self {
            Self::Header(sub) => (1, sub.code()),
            Self::Open(sub) => (2, sub.code()),
            Self::Update(sub) => (3, sub.code()),
            Self::HoldTimer => (4, 0),
            Self::Fsm(sub) => (5, sub.code()),
            Self::Cease(sub) => (6, sub.code()),
            Self::RouteRefresh(sub) => (7, sub),
            Self::SendHoldTimer => (8, 0),
            Self::Other(code, sub) => (code, sub),
        }
    }

    /// The cause that these numbers name.
    pub const fn from_codes(code: u8, subcode: u8) -> Self {
        match (code, subcode) {
            (1, sub) => Self::Header(HeaderError::from_code(sub)),
            (2, sub) => Self::Open(OpenError::from_code(sub)),
            (3, sub) => Self::Update(UpdateError::from_code(sub)),
            (4, 0) => Self::HoldTimer,
            (5, sub) => Self::Fsm(FsmError::from_code(sub)),
            (6, sub) => Self::Cease(Cease::from_code(sub)),
            (7, sub) => Self::RouteRefresh(sub),
            (8, 0) => Self::SendHoldTimer,
            (code, sub) => Self::Other(code, sub),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, subcode) = self.codes();
        write!(f, "{code}/{subcode} ")?;
        match self {
            Self::Header(sub) => write!(f, "message header error, {sub}"),
            Self::Open(sub) => write!(f, "OPEN error, {sub}"),
            Self::Update(sub) => write!(f, "UPDATE error, {sub}"),
            Self::HoldTimer => f.write_str("hold timer expired"),
            Self::Fsm(sub) => write!(f, "state machine error, {sub}"),
            Self::Cease(sub) => write!(f, "cease, {sub}"),
            Self::RouteRefresh(1) => f.write_str("ROUTE-REFRESH error, invalid message length"),
            Self::RouteRefresh(_) => f.write_str("ROUTE-REFRESH error"),
            Self::SendHoldTimer => f.write_str("send hold timer expired"),
            Self::Other(..) => f.write_str("unknown"),
        }
    }
}

/// A NOTIFICATION message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notification {
    /// What happened.
    pub cause: Cause,
    /// What helps to understand it; its meaning depends on the cause.
    pub data: Vec<u8>,
}

impl Notification {
    /// A notification without data.
    pub const fn new(cause: Cause) -> Self {
        Self { cause, data: Vec::new() }
    }

    /// A notification that carries `data`.
    pub fn with_data(cause: Cause, data: &[u8]) -> Self {
        Self { cause, data: data.to_vec() }
    }

    /// A Cease.
    pub const fn cease(why: Cease) -> Self {
        Self::new(Cause::Cease(why))
    }

    /// A Cease with the operator's text, cut at a character border to at most
    /// [`SHUTDOWN_TEXT_MAX`] octets (RFC 9003 section 2). Text goes with shutdown and reset only.
    pub fn cease_with_text(why: Cease, text: &str) -> Self {
        if text.is_empty() || !matches!(why, Cease::AdminShutdown | Cease::AdminReset) {
            return Self::cease(why);
        }
        let end = text.floor_char_boundary(SHUTDOWN_TEXT_MAX);
        let text = text.get(..end).unwrap_or_default().as_bytes();
        let mut data = vec![u8::try_from(text.len()).unwrap_or(0)];
        data.extend_from_slice(text);
        Self { cause: Cause::Cease(why), data }
    }

    /// Wraps this notification into a Hard Reset (RFC 8538 section 3): the peer must not keep our routes.
    #[must_use]
    pub fn hard_reset(&self) -> Self {
        let (code, subcode) = self.cause.codes();
        let mut data = vec![code, subcode];
        data.extend_from_slice(&self.data);
        Self { cause: Cause::Cease(Cease::HardReset), data }
    }

    /// Reads the body (everything after the header); `None` when it is too short to say anything.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let (code, subcode) = (reader.u8().ok()?, reader.u8().ok()?);
        Some(Self::with_data(Cause::from_codes(code, subcode), reader.rest()))
    }

    /// The body as sent.
    pub fn emit(&self) -> Vec<u8> {
        let (code, subcode) = self.cause.codes();
        let mut body = vec![code, subcode];
        body.extend_from_slice(&self.data);
        body
    }

    /// What the operator at the other end wrote (RFC 9003); `None` without text or with a broken one.
    pub fn shutdown_text(&self) -> Option<&str> {
        let Cause::Cease(Cease::AdminShutdown | Cease::AdminReset) = self.cause else { return None };
        let (len, text) = self.data.split_first()?;
        let text = text.get(..usize::from(*len))?;
        core::str::from_utf8(text).ok().filter(|text| !text.is_empty())
    }

    /// The notification inside a Hard Reset.
    pub fn inner(&self) -> Option<Self> {
        (self.cause == Cause::Cease(Cease::HardReset)).then(|| Self::parse(&self.data)).flatten()
    }
}

impl Notification {
    /// The AS that was not the right one, where it is told: by us in four octets, by others in two as well.
    pub fn refused_as(&self) -> Option<u32> {
        match (self.cause, self.data.as_slice()) {
            (Cause::Open(OpenError::PeerAs), [a, b]) => Some(u32::from(u16::from_be_bytes([*a, *b]))),
            (Cause::Open(OpenError::PeerAs), [a, b, c, d]) => Some(u32::from_be_bytes([*a, *b, *c, *d])),
            _ => None,
        }
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)?;
        if let Some(inner) = self.inner() {
            write!(f, " ({inner})")?;
        }
        if let Some(asn) = self.refused_as() {
            write!(f, " (AS {asn})")?;
        }
        // Text from a stranger goes to logs and terminals: escape what is not printable.
        match self.shutdown_text() {
            Some(text) => write!(f, ": \"{}\"", text.escape_debug()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_as_that_was_refused_is_named() {
        let told = |data: &[u8]| {
            let cause = Cause::Open(OpenError::PeerAs);
            Notification { cause, data: data.to_vec() }.to_string()
        };
        assert_eq!(told(&[0, 1, 0, 2]), "2/2 OPEN error, bad peer AS (AS 65538)");
        assert_eq!(told(&[0xfd, 0xe9]), "2/2 OPEN error, bad peer AS (AS 65001)");
        assert_eq!(told(&[]), "2/2 OPEN error, bad peer AS");
    }

    #[test]
    fn every_pair_of_codes_survives_the_round_trip() {
        for code in 0..=255 {
            for subcode in 0..=255 {
                assert_eq!(Cause::from_codes(code, subcode).codes(), (code, subcode));
            }
        }
    }

    // RFC 9003 section 2.
    #[test]
    fn shutdown_text_is_carried_and_cut_at_a_character() {
        let said = Notification::cease_with_text(Cease::AdminShutdown, "maintenance until 04:00 UTC");
        let heard = Notification::parse(&said.emit()).unwrap();
        assert_eq!(heard.shutdown_text(), Some("maintenance until 04:00 UTC"));
        let long = "é".repeat(200);
        let cut = Notification::cease_with_text(Cease::AdminReset, &long);
        assert_eq!(cut.data.len(), 255);
        assert_eq!(cut.shutdown_text(), Some("é".repeat(127).as_str()));
        assert_eq!(Notification::cease_with_text(Cease::Collision, "no text here").data, []);
    }

    #[test]
    fn broken_shutdown_text_is_no_text() {
        for data in [&[][..], &[0], &[5, b'a'], &[1, 0xff]] {
            let note = Notification::with_data(Cause::Cease(Cease::AdminShutdown), data);
            assert_eq!(note.shutdown_text(), None, "{data:?}");
        }
        let bell = Notification::with_data(Cause::Cease(Cease::AdminShutdown), &[2, b'a', 7]);
        assert!(bell.to_string().ends_with(r#": "a\u{7}""#), "{bell}");
    }

    // RFC 8538 section 3.
    #[test]
    fn a_hard_reset_wraps_the_reason() {
        let inner = Notification::cease_with_text(Cease::AdminShutdown, "bye");
        let outer = Notification::parse(&inner.hard_reset().emit()).unwrap();
        assert_eq!(outer.inner(), Some(inner));
        assert_eq!(outer.to_string(), "6/9 cease, hard reset (6/2 cease, administrative shutdown: \"bye\")");
    }

    #[test]
    fn one_octet_is_no_notification() {
        assert_eq!(Notification::parse(&[6]), None);
    }
}
