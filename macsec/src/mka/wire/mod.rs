//! The MKPDU (802.1X-2020 §11.11): a basic parameter set, then others in any order, then the ICV.
//!
//! ```text
//! | type | . | . len | len | body, padded to four octets |   each set; the basic one has a version for a type
//! ```
//!
//! [`Mkpdu::parse`] takes sets in any order and keeps those it does not know, so that a newer peer is
//! understood as far as possible; a set that comes twice counts once. [`Mkpdu::emit`] writes them by
//! ascending type, because deployed receivers want it so. Whatever `emit` wrote, `parse` gives back.
//!
//! Nothing here checks an ICV: [`frame`] does, before anything is parsed.

mod announcement;
mod basic;
mod distributed_sak;
pub mod frame;
mod peer_list;
mod sak_use;
mod xpn;

use net::{Malformed, Reader, Writer};

pub use announcement::{Announcement, SuiteOffer, Tlv};
pub use basic::{Basic, MacsecCapability, MemberId};
pub use distributed_sak::{Confidentiality, DistributedKey, DistributedSak};
pub use frame::{Envelope, MkpduFault};
pub use peer_list::{PeerId, PeerList};
pub use sak_use::{KeyUse, KeysInUse, SakUse};
pub use xpn::XpnSet;

/// Octets of the ICV that ends every MKPDU.
pub const ICV_LEN: usize = 16;

/// Octets before the body of a parameter set.
const HEADER_LEN: usize = 4;

/// The most a body can have: its length has twelve bits.
const MAX_BODY: usize = 0xfff;

/// An MKPDU without its ICV.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mkpdu {
    /// Basic parameter set: who sends, and what for.
    pub basic: Basic,
    /// Live Peer List.
    pub live: Option<PeerList>,
    /// Potential Peer List.
    pub potential: Option<PeerList>,
    /// MACsec SAK Use.
    pub sak_use: Option<SakUse>,
    /// Distributed SAK.
    pub distributed_sak: Option<DistributedSak>,
    /// Announcement.
    pub announcement: Option<Announcement>,
    /// XPN.
    pub xpn: Option<XpnSet>,
    /// Whether an ICV Indicator announces the ICV.
    pub icv_indicator: bool,
    /// Sets of other types, by ascending type.
    pub others: Vec<OtherSet>,
}

/// A parameter set that is kept but not looked into: Distributed CAK (5), KMD (6), and whatever comes later.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OtherSet {
    /// Parameter set type.
    pub kind: u8,
    /// Its second octet and the upper half of its third, which belong to the type.
    pub flags: (u8, u8),
    /// Its body, at most 4095 octets.
    pub body: Vec<u8>,
}

/// Parameter set types (Table 11-7).
mod kind {
    pub(super) const LIVE: u8 = 1;
    pub(super) const POTENTIAL: u8 = 2;
    pub(super) const SAK_USE: u8 = 3;
    pub(super) const DISTRIBUTED_SAK: u8 = 4;
    pub(super) const ANNOUNCEMENT: u8 = 7;
    pub(super) const XPN: u8 = 8;
    pub(super) const ICV_INDICATOR: u8 = 255;
}

/// A parameter set as it stands on the wire.
struct RawSet<'a> {
    kind: u8,
    second: u8,
    /// Upper half of the third octet, in place.
    third: u8,
    body: &'a [u8],
}

impl<'a> RawSet<'a> {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let [kind, second, third, low] = from.array()?;
        let len = usize::from(u16::from_be_bytes([third & 0x0f, low]));
        let body = from.take(len)?;
        from.take(len.next_multiple_of(4) - len)?;
        Ok(Self { kind, second, third: third & 0xf0, body })
    }
}

/// Writes a set. A body too long for its length is cut, which [`Mkpdu::emit`] rules out before.
fn put_set(out: &mut Writer, kind: u8, second: u8, third: u8, body: &[u8]) {
    let body = body.get(..body.len().min(MAX_BODY)).unwrap_or_default();
    let [high, low] = u16::try_from(body.len()).unwrap_or_default().to_be_bytes();
    out.put(&[kind, second, third & 0xf0 | high & 0x0f, low]);
    out.put(body);
    for _ in body.len()..body.len().next_multiple_of(4) {
        out.u8(0);
    }
}

impl Mkpdu {
    /// One with nothing but a basic parameter set.
    pub const fn new(basic: Basic) -> Self {
        Self {
            basic,
            live: None,
            potential: None,
            sak_use: None,
            distributed_sak: None,
            announcement: None,
            xpn: None,
            icv_indicator: false,
            others: Vec::new(),
        }
    }

    /// Reads the parameter sets: an MKPDU without its last 16 octets.
    ///
    /// # Errors
    /// [`Malformed`] when a set does not fit, or one that we know has an impossible body.
    pub fn parse(sets: &[u8]) -> Result<Self, Malformed> {
        let mut rest = Reader::new(sets);
        let mut parsed = Self::new(Basic::parse(&RawSet::read(&mut rest)?)?);
        while !rest.is_empty() {
            // The ICV Indicator is the header of the ICV itself, which is not among `sets`.
            if let &[kind::ICV_INDICATOR, _, high, low] = rest.rest() {
                if u16::from_be_bytes([high & 0x0f, low]) != 16 {
                    return Err(Malformed);
                }
                parsed.icv_indicator = true;
                break;
            }
            parsed.take(&RawSet::read(&mut rest)?)?;
        }
        parsed.others.sort_by_key(|set| set.kind);
        Ok(parsed)
    }

    /// Takes one set; of several of a type the first counts (§11.11.2).
    fn take(&mut self, set: &RawSet<'_>) -> Result<(), Malformed> {
        match set.kind {
            kind::LIVE => first(&mut self.live, PeerList::parse(set)?),
            kind::POTENTIAL => first(&mut self.potential, PeerList::parse(set)?),
            kind::SAK_USE => first(&mut self.sak_use, SakUse::parse(set)?),
            kind::DISTRIBUTED_SAK => first(&mut self.distributed_sak, DistributedSak::parse(set)?),
            kind::ANNOUNCEMENT => first(&mut self.announcement, Announcement::parse(set)?),
            kind::XPN => first(&mut self.xpn, XpnSet::parse(set)?),
            kind::ICV_INDICATOR => return Err(Malformed),
            other if self.others.iter().any(|known| known.kind == other) => {}
            other => self.others.push(OtherSet {
                kind: other,
                flags: (set.second, set.third),
                body: set.body.to_vec(),
            }),
        }
        Ok(())
    }

    /// Writes the parameter sets by ascending type, and the ICV Indicator where asked for; the ICV follows.
    pub fn emit(&self, out: &mut Writer) {
        self.basic.emit(out);
        if let Some(live) = &self.live {
            live.emit(kind::LIVE, out);
        }
        if let Some(potential) = &self.potential {
            potential.emit(kind::POTENTIAL, out);
        }
        if let Some(sak_use) = &self.sak_use {
            sak_use.emit(out);
        }
        if let Some(distributed) = &self.distributed_sak {
            distributed.emit(out);
        }
        self.emit_others(0..kind::ANNOUNCEMENT, out);
        if let Some(announcement) = &self.announcement {
            announcement.emit(out);
        }
        if let Some(xpn) = &self.xpn {
            xpn.emit(out);
        }
        self.emit_others(kind::XPN..kind::ICV_INDICATOR, out);
        if self.icv_indicator {
            out.put(&[kind::ICV_INDICATOR, 0, 0, 16]);
        }
    }

    fn emit_others(&self, kinds: core::ops::Range<u8>, out: &mut Writer) {
        for set in self.others.iter().filter(|set| kinds.contains(&set.kind)) {
            put_set(out, set.kind, set.flags.0, set.flags.1, &set.body);
        }
    }

    /// Every member named in the peer lists, live ones first.
    pub fn listed(&self) -> impl Iterator<Item = &PeerId> {
        self.live.iter().chain(&self.potential).flat_map(|list| &list.peers)
    }
}

/// How many sets are looked through for a peer list: more than there are types. Anybody can send thousands of empty ones.
const LOOKED_THROUGH: usize = 16;

/// The message number with which a peer list names `member`, where that must cost next to nothing: of the other sets, and of what
/// is wrong with this one, [`Mkpdu::parse`] tells.
pub(super) fn message_listed(sets: &[u8], member: MemberId) -> Option<u32> {
    let mut rest = Reader::new(sets);
    // The basic set has a version for a type.
    RawSet::read(&mut rest).ok()?;
    let sets = core::iter::from_fn(|| RawSet::read(&mut rest).ok()).take(LOOKED_THROUGH);
    let mut lists = sets.filter(|set| matches!(set.kind, kind::LIVE | kind::POTENTIAL));
    lists.find_map(|set| PeerList::message_in(set.body, member))
}

fn first<T>(place: &mut Option<T>, value: T) {
    if place.is_none() {
        *place = Some(value);
    }
}

#[cfg(test)]
mod tests;
