//! Test packets, RFC 8762 §4.2 and §4.3, with the session identifier and TLVs of RFC 8972.
//!
//! | | sender | reflector |
//! | --- | --- | --- |
//! | unauthenticated, 44 octets | number 4, time 8, error 2, SSID 2, zeros 28 | number 4, time 8, error 2, SSID 2, receive time 8, sender's number 4, time 8, error 2, zeros 2, TTL 1, zeros 3 |
//! | authenticated, 112 octets | number 4, zeros 12, time 8, error 2, SSID 2, zeros 68, HMAC 16 | number 4, zeros 12, time 8, error 2, SSID 2, zeros 4, receive time 8, zeros 8, sender's number 4, zeros 12, time 8, error 2, zeros 6, TTL 1, zeros 15, HMAC 16 |
//!
//! The HMAC is HMAC-SHA-256 cut to 128 bits, over the 96 octets before it (§4.4).

use core::fmt;

use aws_lc_rs::{constant_time, hmac};
use net::{Malformed, Reader};

use super::{ErrorEstimate, Ntp};

/// Octets of an unauthenticated packet without TLVs.
pub const BASE_LEN: usize = 44;
/// Octets of an authenticated packet without TLVs.
pub const AUTHENTICATED_LEN: usize = 112;
/// What the HMAC covers.
const COVERED: usize = AUTHENTICATED_LEN - HMAC_LEN;
const HMAC_LEN: usize = 16;

/// The key of authenticated mode. Never printed.
#[derive(Clone)]
pub struct HmacKey(Box<hmac::Key>);

impl HmacKey {
    /// Any number of octets; 32 random ones are best (RFC 2104 §3).
    pub fn new(key: &[u8]) -> Self {
        Self(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    fn code(&self, covered: &[u8]) -> [u8; HMAC_LEN] {
        let tag = hmac::sign(&self.0, covered);
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey(..)")
    }
}

/// Which of the two forms a session uses; both ends must agree (RFC 8762 §4.1).
#[derive(Clone, Debug)]
pub enum Mode {
    /// §4.2.1.
    Unauthenticated,
    /// §4.2.2.
    Authenticated(HmacKey),
}

impl Mode {
    /// Octets of a packet without TLVs.
    pub const fn octets(&self) -> usize {
        match self {
            Self::Unauthenticated => BASE_LEN,
            Self::Authenticated(_) => AUTHENTICATED_LEN,
        }
    }

    const fn gap(&self, authenticated: usize) -> usize {
        match self {
            Self::Unauthenticated => 0,
            Self::Authenticated(_) => authenticated,
        }
    }

    fn verify(&self, packet: &[u8]) -> Result<(), Refusal> {
        let Self::Authenticated(key) = self else { return Ok(()) };
        let (covered, rest) = packet.split_at_checked(COVERED).ok_or(Refusal::Short)?;
        let code = rest.get(..HMAC_LEN).ok_or(Refusal::Short)?;
        constant_time::verify_slices_are_equal(&key.code(covered), code).map_err(|_| Refusal::NotAuthentic)
    }

    fn seal(&self, packet: &mut [u8]) {
        let Self::Authenticated(key) = self else { return };
        if let Some((covered, rest)) = packet.split_at_mut_checked(COVERED)
            && let Some(code) = rest.get_mut(..HMAC_LEN)
        {
            code.copy_from_slice(&key.code(covered));
        }
    }
}

/// Why a packet is not used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// Shorter than the mode wants: perhaps the other end uses the other mode.
    Short,
    /// The HMAC is wrong: another key, or altered.
    NotAuthentic,
    /// An error estimate with multiplier 0 (RFC 4656 §4.1.2).
    BadErrorEstimate,
    /// It belongs to another session.
    OtherSession,
    /// It answers nothing that is waited for: too late, a duplicate, or never asked.
    Unexpected,
    /// There is no room to write the reply.
    NoRoom,
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Short
    }
}

/// What a sender says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request {
    /// Its number.
    pub sequence: u32,
    /// When it was sent.
    pub sent: Ntp,
    /// How far that may be off.
    pub error: ErrorEstimate,
    /// Session identifier, RFC 8972 §3; 0: none.
    pub ssid: u16,
}

/// What a reflector says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The reflector's number: its own count (stateful), or the sender's (stateless).
    pub sequence: u32,
    /// When the reply was sent.
    pub sent: Ntp,
    /// How far the reflector's clock may be off.
    pub error: ErrorEstimate,
    /// When the request was received.
    pub received: Ntp,
    /// The request that this answers.
    pub request: Request,
    /// The TTL or hop limit with which that arrived.
    pub ttl: u8,
}

impl Request {
    /// Reads a sender's packet. Octets behind the base packet are not looked at.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn parse(packet: &[u8], mode: &Mode) -> Result<Self, Refusal> {
        Ok(Self::begin(packet, mode)?.0)
    }

    /// What both packets begin with, and a reader that stands behind it.
    fn begin<'a>(packet: &'a [u8], mode: &Mode) -> Result<(Self, Reader<'a>), Refusal> {
        if packet.len() < mode.octets() {
            return Err(Refusal::Short);
        }
        mode.verify(packet)?;
        let mut reader = Reader::new(packet);
        let (sequence, sent, error) = stamp(&mut reader, mode)?;
        let ssid = reader.u16()?;
        Ok((Self { sequence, sent, error, ssid }, reader))
    }

    /// Writes the packet; what is left of it in `packet` behind becomes zeros. The number of octets.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`].
    pub fn write(&self, packet: &mut [u8], mode: &Mode) -> Result<usize, Refusal> {
        let packet = packet.get_mut(..mode.octets()).ok_or(Refusal::NoRoom)?;
        let mut put = Put::new(packet);
        put.octets(&self.sequence.to_be_bytes()).zeros(mode.gap(12)).octets(&self.sent.0.to_be_bytes());
        put.octets(&self.error.octets()).octets(&self.ssid.to_be_bytes()).rest();
        mode.seal(packet);
        Ok(mode.octets())
    }
}

impl Reply {
    /// Reads a reflector's packet. Octets behind the base packet are not looked at.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn parse(packet: &[u8], mode: &Mode) -> Result<Self, Refusal> {
        let (Request { sequence, sent, error, ssid }, mut reader) = Request::begin(packet, mode)?;
        reader.take(mode.gap(4))?;
        let received = Ntp(reader.u64()?);
        reader.take(mode.gap(8))?;
        let request = stamp(&mut reader, mode)?;
        let request = Request { sequence: request.0, sent: request.1, error: request.2, ssid };
        reader.take(mode.gap(4) + 2)?;
        Ok(Self { sequence, sent, error, received, request, ttl: reader.u8()? })
    }

    /// Writes the base packet, and leaves what is behind it alone. Its number of octets.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`].
    pub fn write(&self, packet: &mut [u8], mode: &Mode) -> Result<usize, Refusal> {
        let packet = packet.get_mut(..mode.octets()).ok_or(Refusal::NoRoom)?;
        let mut put = Put::new(packet);
        put.octets(&self.sequence.to_be_bytes()).zeros(mode.gap(12)).octets(&self.sent.0.to_be_bytes());
        put.octets(&self.error.octets()).octets(&self.request.ssid.to_be_bytes()).zeros(mode.gap(4));
        put.octets(&self.received.0.to_be_bytes()).zeros(mode.gap(8));
        put.octets(&self.request.sequence.to_be_bytes()).zeros(mode.gap(12));
        put.octets(&self.request.sent.0.to_be_bytes()).octets(&self.request.error.octets());
        put.zeros(mode.gap(4) + 2).octets(&[self.ttl]).rest();
        mode.seal(packet);
        Ok(mode.octets())
    }
}

/// A number, the time, and how far that may be off.
fn stamp(reader: &mut Reader<'_>, mode: &Mode) -> Result<(u32, Ntp, ErrorEstimate), Refusal> {
    let sequence = reader.u32()?;
    reader.take(mode.gap(12))?;
    let sent = Ntp(reader.u64()?);
    let error = ErrorEstimate::parse(reader.array()?).ok_or(Refusal::BadErrorEstimate)?;
    Ok((sequence, sent, error))
}

/// RFC 8972 §4: a reflector that does not know a TLV sends it back with its U flag set; one that is longer than
/// what is left gets the M flag, and what follows cannot be read.
pub(super) fn refuse_tlvs(mut tlvs: &mut [u8]) {
    const UNRECOGNIZED: u8 = 0x80;
    const MALFORMED: u8 = 0x40;
    while let Some((head, rest)) = tlvs.split_first_chunk_mut::<4>() {
        let [flags, _, high, low] = head;
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        *flags |= UNRECOGNIZED;
        let Some((_, next)) = rest.split_at_mut_checked(len) else {
            *flags |= MALFORMED;
            return;
        };
        tlvs = next;
    }
}

/// Writes into a slice from its start.
struct Put<'a>(&'a mut [u8]);

impl<'a> Put<'a> {
    const fn new(slice: &'a mut [u8]) -> Self {
        Self(slice)
    }

    fn next(&mut self, count: usize) -> &'a mut [u8] {
        let all = core::mem::take(&mut self.0);
        let count = count.min(all.len());
        let (now, later) = all.split_at_mut(count);
        self.0 = later;
        now
    }

    fn octets(&mut self, octets: &[u8]) -> &mut Self {
        for (to, from) in self.next(octets.len()).iter_mut().zip(octets) {
            *to = *from;
        }
        self
    }

    fn zeros(&mut self, count: usize) -> &mut Self {
        self.next(count).fill(0);
        self
    }

    fn rest(&mut self) {
        self.zeros(self.0.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4231_4_2_cut_to_128_bits() {
        let right =
            [0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf, 0xce, 0xaf, 0x0b, 0xf1, 0x2b];
        assert_eq!(HmacKey::new(&[0x0b; 20]).code(b"Hi There"), right);
        assert_eq!(format!("{:?}", HmacKey::new(b"secret")), "HmacKey(..)");
    }
}
