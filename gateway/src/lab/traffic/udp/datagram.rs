//! What a numbered datagram looks like: mark, kind, a zero, flow, number, time, filling.

use net::Instant;

use crate::lab::traffic::mark::{Kind, MARK, pattern};

/// What a datagram says about itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Label {
    /// Which flow of the run.
    pub(super) flow: u16,
    /// From 0, without gaps.
    pub(super) number: u64,
    /// When it was sent.
    pub(super) sent: Instant,
}

/// The payload of flow `flow`, to be labelled before each sending.
pub(super) fn blank(flow: u16, octets: usize) -> Vec<u8> {
    let octets = octets.max(HEADER);
    let mut payload = Vec::with_capacity(octets);
    payload.extend_from_slice(MARK);
    payload.extend_from_slice(&[Kind::Udp.octet(), 0]);
    payload.extend_from_slice(&flow.to_be_bytes());
    payload.resize(HEADER, 0);
    payload.extend_from_slice(&filling(flow, octets.saturating_sub(HEADER)));
    payload
}

/// Writes number and time into a payload of [`blank`].
pub(super) fn label(payload: &mut [u8], number: u64, sent: Instant) {
    let octets = number.to_be_bytes().into_iter().chain(sent.as_nanos().to_be_bytes());
    for (to, from) in payload.iter_mut().skip(NUMBER_AT).zip(octets) {
        *to = from;
    }
}

/// Reads a payload; `None` when it is not one of ours. Whether its filling is unharmed is the caller's to see.
pub(super) fn read(payload: &[u8]) -> Option<(Label, &[u8])> {
    let (mark, rest) = payload.split_first_chunk::<16>()?;
    let (&[kind, 0, f0, f1], rest) = rest.split_first_chunk()? else { return None };
    let (number, rest) = rest.split_first_chunk()?;
    let (sent, filling) = rest.split_first_chunk()?;
    let label = Label {
        flow: u16::from_be_bytes([f0, f1]),
        number: u64::from_be_bytes(*number),
        sent: Instant::from_nanos(u64::from_be_bytes(*sent)),
    };
    (mark == MARK && kind == Kind::Udp.octet()).then_some((label, filling))
}

/// What fills the datagrams of a flow behind the header.
pub(super) fn filling(flow: u16, octets: usize) -> Vec<u8> {
    pattern(Kind::Udp, u64::from(flow).wrapping_mul(0x9e37_79b9_7f4a_7c15), octets)
}

const NUMBER_AT: usize = 16 + 2 + 2;
/// Octets of the header.
pub(super) const HEADER: usize = NUMBER_AT + 8 + 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_comes_back_and_strangers_are_refused() {
        let mut payload = blank(513, 200);
        let sent = Instant::from_nanos(0x0102_0304_0506_0708);
        label(&mut payload, u64::MAX - 1, sent);
        assert_eq!(payload.len(), 200);
        let (found, rest) = read(&payload).unwrap();
        assert_eq!(found, Label { flow: 513, number: u64::MAX - 1, sent });
        assert_eq!(rest, filling(513, 200 - HEADER));
        assert_eq!(read(&payload[..HEADER - 1]), None);
        payload[3] ^= 1;
        assert_eq!(read(&payload), None);
    }
}
