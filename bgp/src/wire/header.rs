//! The message header and the framing of the TCP stream (RFC 4271 sections 4.1 and 6.1).
//!
//! A header is judged as soon as it is there: a bad marker, length or type is reported without waiting
//! for a body that may never come.

use super::notification::{Cause, HeaderError, Notification};
use net::Reader;

/// Octets of a header.
pub const HEADER_LEN: usize = 19;
/// The longest message without RFC 8654.
pub const MAX_LEN: usize = 4096;
/// The longest message when both sides announced the Extended Message capability (RFC 8654).
pub const MAX_LEN_EXTENDED: usize = 65535;

/// The kinds of message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MessageType {
    /// 1
    Open,
    /// 2
    Update,
    /// 3
    Notification,
    /// 4
    Keepalive,
    /// 5 (RFC 2918)
    RouteRefresh,
}

impl MessageType {
    /// The number on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Update => 2,
            Self::Notification => 3,
            Self::Keepalive => 4,
            Self::RouteRefresh => 5,
        }
    }

    /// The type with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Open),
            2 => Some(Self::Update),
            3 => Some(Self::Notification),
            4 => Some(Self::Keepalive),
            5 => Some(Self::RouteRefresh),
            _ => None,
        }
    }

    /// The lengths a message of this type may have, header included, when the session allows `max`.
    /// ROUTE-REFRESH and NOTIFICATION judge their own minimum, because the answer to a short one differs.
    fn lengths(self, max: usize) -> core::ops::RangeInclusive<usize> {
        match self {
            // RFC 8654 section 4: OPEN and KEEPALIVE stay within 4096 octets.
            Self::Open => 29..=MAX_LEN,
            Self::Update => 23..=max,
            Self::Notification | Self::RouteRefresh => HEADER_LEN..=max,
            Self::Keepalive => HEADER_LEN..=HEADER_LEN,
        }
    }
}

/// A message cut out of the stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: MessageType,
    /// Everything after the header.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// Octets it took in the stream.
    pub const fn len(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// Never: there is always a header.
    pub const fn is_empty(&self) -> bool {
        false
    }
}

/// Cuts the first message off `stream`. `None` when it is not all there yet.
///
/// # Errors
/// The NOTIFICATION to send when the header is wrong (RFC 4271 section 6.1); the stream is useless then.
pub fn split(stream: &[u8], max: usize) -> Result<Option<Frame<'_>>, Notification> {
    let marker = stream.get(..16.min(stream.len())).unwrap_or_default();
    if marker.iter().any(|octet| *octet != 0xff) {
        return Err(Notification::new(Cause::Header(HeaderError::NotSynchronized)));
    }
    let Some((header, rest)) = stream.split_first_chunk::<HEADER_LEN>() else { return Ok(None) };
    let mut fields = Reader::new(header.get(16..).unwrap_or_default());
    let (Ok(length), Ok(code)) = (fields.u16(), fields.u8()) else { return Ok(None) };
    // The length bounds of every message come first, then the type, then the bounds of that type.
    if !(HEADER_LEN..=max).contains(&usize::from(length)) {
        return Err(bad_length(length));
    }
    let Some(kind) = MessageType::from_code(code) else {
        return Err(Notification::with_data(Cause::Header(HeaderError::BadType), &[code]));
    };
    if !kind.lengths(max).contains(&usize::from(length)) {
        return Err(bad_length(length));
    }
    let body = rest.get(..usize::from(length).saturating_sub(HEADER_LEN));
    Ok(body.map(|body| Frame { kind, body }))
}

/// 1/2 with the length field as data.
pub(crate) fn bad_length(length: u16) -> Notification {
    Notification::with_data(Cause::Header(HeaderError::BadLength), &length.to_be_bytes())
}

/// `body` with a header in front. `body` fits in 65516 octets, or the message is cut to nothing.
pub fn emit(kind: MessageType, body: &[u8]) -> Vec<u8> {
    let Ok(length) = u16::try_from(body.len().saturating_add(HEADER_LEN)) else { return Vec::new() };
    let mut out = Vec::with_capacity(usize::from(length));
    out.extend_from_slice(&[0xff; 16]);
    out.extend_from_slice(&length.to_be_bytes());
    out.push(kind.code());
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(length: u16, code: u8) -> Vec<u8> {
        let mut octets = vec![0xff; 16];
        octets.extend_from_slice(&length.to_be_bytes());
        octets.push(code);
        octets
    }

    // RFC 4271 section 6.1.
    #[test]
    fn bad_headers_are_reported_from_the_header_alone() {
        let cases = [
            (header(18, 4), (1, 2), vec![0, 18]),
            (header(4097, 2), (1, 2), vec![0x10, 0x01]),
            (header(19, 0), (1, 3), vec![0]),
            (header(19, 9), (1, 3), vec![9]),
            (header(20, 4), (1, 2), vec![0, 20]),
            (header(22, 2), (1, 2), vec![0, 22]),
            (header(28, 1), (1, 2), vec![0, 28]),
            (vec![0xff, 0xfe], (1, 1), vec![]),
        ];
        for (octets, codes, data) in cases {
            let note = split(&octets, MAX_LEN).unwrap_err();
            assert_eq!((note.cause.codes(), note.data), (codes, data), "{octets:x?}");
        }
    }

    // RFC 8654 section 4.
    #[test]
    fn extended_messages_are_for_updates_only_and_once_agreed() {
        assert_eq!(split(&header(5000, 2), MAX_LEN_EXTENDED), Ok(None));
        assert!(split(&header(5000, 2), MAX_LEN).is_err());
        assert!(split(&header(5000, 1), MAX_LEN_EXTENDED).is_err());
        assert_eq!(split(&header(65535, 5), MAX_LEN_EXTENDED), Ok(None));
    }

    #[test]
    fn a_message_is_cut_at_its_length_and_not_before() {
        let mut stream = emit(MessageType::Notification, &[6, 2]);
        for cut in 0..stream.len() {
            assert_eq!(split(&stream[..cut], MAX_LEN), Ok(None), "{cut}");
        }
        stream.extend_from_slice(&emit(MessageType::Keepalive, &[]));
        let frame = split(&stream, MAX_LEN).unwrap().unwrap();
        assert_eq!((frame.kind, frame.body, frame.len()), (MessageType::Notification, &[6, 2][..], 21));
        assert_eq!(split(&stream[21..], MAX_LEN).unwrap().unwrap().kind, MessageType::Keepalive);
    }
}
