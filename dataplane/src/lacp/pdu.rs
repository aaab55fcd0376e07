//! LACPDUs (§6.4.2.3) and Marker PDUs (§6.5.3.3): what follows the Ethernet header of a Slow Protocols frame.

use core::fmt;

use net::{
    MacAddr,
    cursor::{Malformed, Reader},
};

use super::state::{PortInfo, PortState};

/// Octets of a LACPDU of version 1, without header and FCS.
pub const LACPDU_LEN: usize = 110;
/// Octets of a Marker PDU, likewise.
pub const MARKER_LEN: usize = 110;

/// Subtypes of Slow Protocols (802.3 Table 57A-3).
mod subtype {
    pub(super) const LACP: u8 = 1;
    pub(super) const MARKER: u8 = 2;
    /// The last one that exists: organization specific.
    pub(super) const LAST: u8 = 10;
}

const VERSION: u8 = 1;
/// Types of TLVs.
const ACTOR: u8 = 1;
const PARTNER: u8 = 2;
const COLLECTOR: u8 = 3;
const MARKER_INFORMATION: u8 = 1;
const MARKER_RESPONSE: u8 = 2;
/// Lengths of TLVs, type and length included.
const INFORMATION_LEN: u8 = 20;
const COLLECTOR_LEN: u8 = 16;
const MARKER_INFORMATION_LEN: u8 = 22;

/// Why a frame of Slow Protocols was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// Its subtype is none that exists, or the PDU is cut short or contradicts itself (aAggPortStatsIllegalRx).
    Illegal,
    /// A Slow Protocol that we do not speak (aAggPortStatsUnknownRx).
    Unknown,
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Illegal
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Illegal => "the PDU is cut short, contradicts itself, or has no subtype that exists",
            Self::Unknown => "a slow protocol that is neither LACP nor the Marker protocol",
        })
    }
}

/// A PDU of the two protocols that a LAG speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pdu {
    /// LACP.
    Lacp(Lacpdu),
    /// The Marker protocol.
    Marker(Marker),
}

/// What a LACPDU says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lacpdu {
    /// Version_Number. What a later version adds stands behind what version 1 has, and is not read (§6.4.2.4).
    pub version: u8,
    /// The sender of itself.
    pub actor: PortInfo,
    /// The sender of the receiver.
    pub partner: PortInfo,
    /// CollectorMaxDelay, in tens of microseconds.
    pub collector_max_delay: u16,
}

/// What a Marker PDU says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Marker {
    /// A Marker Response; otherwise one is wanted.
    pub is_response: bool,
    /// Requester_Port.
    pub port: u16,
    /// Requester_System.
    pub system: MacAddr,
    /// Requester_Transaction_ID.
    pub transaction: u32,
}

impl Pdu {
    /// Reads what follows the Ethernet header.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn decode(payload: &[u8]) -> Result<Self, Refusal> {
        let mut reader = Reader::new(payload);
        match reader.u8()? {
            subtype::LACP => Lacpdu::decode(&mut reader).map(Self::Lacp),
            subtype::MARKER => Marker::decode(&mut reader).map(Self::Marker),
            3..=subtype::LAST => Err(Refusal::Unknown),
            _ => Err(Refusal::Illegal),
        }
    }
}

impl Lacpdu {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Refusal> {
        let version = reader.u8()?;
        let actor = information(reader, ACTOR)?;
        let partner = information(reader, PARTNER)?;
        let collector_max_delay = match (reader.u8(), reader.u8(), reader.u16()) {
            (Ok(COLLECTOR), Ok(COLLECTOR_LEN), Ok(delay)) => delay,
            // Behind the Partner nothing is needed, and another version may have put other things there.
            _ => 0,
        };
        Ok(Self { version, actor, partner, collector_max_delay })
    }

    /// The PDU, from the subtype on.
    pub fn encode(&self) -> [u8; LACPDU_LEN] {
        let mut out = Out { octets: [0; LACPDU_LEN], at: 0 };
        out.put(&[subtype::LACP, self.version]);
        for (kind, info) in [(ACTOR, &self.actor), (PARTNER, &self.partner)] {
            out.put(&[kind, INFORMATION_LEN]);
            out.put(&info.system_priority.to_be_bytes());
            out.put(&info.system.0);
            out.put(&info.key.to_be_bytes());
            out.put(&info.port_priority.to_be_bytes());
            out.put(&info.port.to_be_bytes());
            out.put(&[info.state.0, 0, 0, 0]);
        }
        out.put(&[COLLECTOR, COLLECTOR_LEN]);
        out.put(&self.collector_max_delay.to_be_bytes());
        // What follows is zero: the rest of the TLV, the Terminator, and 50 octets reserved.
        out.octets
    }

    /// A PDU of our own version.
    pub(super) const fn of(actor: PortInfo, partner: PortInfo) -> Self {
        // The collector never holds a frame back, so its delay is 0.
        Self { version: VERSION, actor, partner, collector_max_delay: 0 }
    }
}

impl Marker {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Refusal> {
        let _version = reader.u8()?;
        let is_response = match (reader.u8()?, reader.u8()?) {
            (MARKER_INFORMATION, MARKER_INFORMATION_LEN) => false,
            (MARKER_RESPONSE, MARKER_INFORMATION_LEN) => true,
            _ => return Err(Refusal::Illegal),
        };
        let port = reader.u16()?;
        let system = MacAddr(reader.array()?);
        Ok(Self { is_response, port, system, transaction: reader.u32()? })
    }

    /// The PDU, from the subtype on.
    pub fn encode(&self) -> [u8; MARKER_LEN] {
        let mut out = Out { octets: [0; MARKER_LEN], at: 0 };
        let kind = if self.is_response { MARKER_RESPONSE } else { MARKER_INFORMATION };
        out.put(&[subtype::MARKER, VERSION, kind, MARKER_INFORMATION_LEN]);
        out.put(&self.port.to_be_bytes());
        out.put(&self.system.0);
        out.put(&self.transaction.to_be_bytes());
        out.octets
    }

    /// The answer to this one: the same, said back (§6.5.4.2).
    pub(super) const fn response(self) -> Self {
        Self { is_response: true, ..self }
    }
}

/// An Actor or a Partner Information TLV.
fn information(reader: &mut Reader<'_>, kind: u8) -> Result<PortInfo, Refusal> {
    if (reader.u8()?, reader.u8()?) != (kind, INFORMATION_LEN) {
        return Err(Refusal::Illegal);
    }
    let info = PortInfo {
        system_priority: reader.u16()?,
        system: MacAddr(reader.array()?),
        key: reader.u16()?,
        port_priority: reader.u16()?,
        port: reader.u16()?,
        state: PortState(reader.u8()?),
    };
    let _reserved = reader.take(3)?;
    Ok(info)
}

/// Octets that are written from the front.
struct Out<const N: usize> {
    octets: [u8; N],
    at: usize,
}

impl<const N: usize> Out<N> {
    fn put(&mut self, octets: &[u8]) {
        let end = self.at + octets.len();
        if let Some(room) = self.octets.get_mut(self.at..end) {
            room.copy_from_slice(octets);
        }
        self.at = end;
    }
}
