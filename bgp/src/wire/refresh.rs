//! ROUTE-REFRESH (RFC 2918) with the begin and end marks of RFC 7313.

use super::{
    header::{HEADER_LEN, bad_length},
    notification::{Cause, Notification},
};
use crate::types::AfiSafi;

/// What a ROUTE-REFRESH says (the octet that RFC 2918 reserved, RFC 7313 section 3.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefreshKind {
    /// 0: send me everything again.
    Request,
    /// 1: everything follows.
    Begin,
    /// 2: that was everything.
    End,
    /// Something later; to be ignored (RFC 7313 section 5).
    Other(u8),
}

impl RefreshKind {
    const fn code(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Begin => 1,
            Self::End => 2,
            Self::Other(other) => other,
        }
    }

    const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Request,
            1 => Self::Begin,
            2 => Self::End,
            other => Self::Other(other),
        }
    }
}

/// A ROUTE-REFRESH message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RouteRefresh {
    /// For which family; a family that was not agreed on is ignored by the receiver (RFC 2918 section 4).
    pub family: AfiSafi,
    /// Request, begin or end.
    pub kind: RefreshKind,
}

impl RouteRefresh {
    /// Reads the body. With the enhanced capability (`enhanced`), a wrong length is RFC 7313's own error,
    /// and only begin and end are held to their length; without it, it is a header error, and longer
    /// requests (they carry outbound route filters, RFC 5291, which we never offer) are read for what they
    /// are.
    ///
    /// # Errors
    /// The NOTIFICATION to send.
    pub fn parse(body: &[u8], enhanced: bool) -> Result<Self, Notification> {
        let kind = match body {
            [_, _, kind, _, rest @ ..] => {
                let kind = RefreshKind::from_code(*kind);
                let marks = matches!(kind, RefreshKind::Begin | RefreshKind::End);
                (rest.is_empty() || !(enhanced && marks)).then_some(kind)
            }
            _ => None,
        };
        match (body, kind) {
            ([a, b, _, safi, ..], Some(kind)) => {
                Ok(Self { family: AfiSafi { afi: u16::from_be_bytes([*a, *b]), safi: *safi }, kind })
            }
            (body, _) => Err(wrong_length(body, enhanced)),
        }
    }

    /// The body as sent.
    pub fn emit(&self) -> Vec<u8> {
        let [a, b] = self.family.afi.to_be_bytes();
        vec![a, b, self.kind.code(), self.family.safi]
    }
}

fn wrong_length(body: &[u8], enhanced: bool) -> Notification {
    let length = u16::try_from(body.len().saturating_add(HEADER_LEN)).unwrap_or(u16::MAX);
    if !enhanced {
        return bad_length(length);
    }
    // RFC 7313 section 5: the data is the whole message.
    let message = super::header::emit(super::header::MessageType::RouteRefresh, body);
    Notification::with_data(Cause::RouteRefresh(1), &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_emitted_parses_to_itself() {
        for kind in [RefreshKind::Request, RefreshKind::Begin, RefreshKind::End, RefreshKind::Other(9)] {
            let refresh = RouteRefresh { family: AfiSafi { afi: 2, safi: 1 }, kind };
            assert_eq!(RouteRefresh::parse(&refresh.emit(), true), Ok(refresh));
        }
    }

    // RFC 7313 section 5.
    #[test]
    fn a_short_message_is_an_error_of_its_own_kind() {
        assert_eq!(RouteRefresh::parse(&[0, 1, 0], false).unwrap_err().cause.codes(), (1, 2));
        let note = RouteRefresh::parse(&[0, 1, 0], true).unwrap_err();
        assert_eq!((note.cause.codes(), note.data.len()), ((7, 1), 22));
        assert!(RouteRefresh::parse(&[0, 1, 1, 1, 9], true).is_err());
        assert!(RouteRefresh::parse(&[0, 1, 0, 1, 9], true).is_ok());
    }
}
