//! One pass over the attribute list of an UPDATE: every attribute to its rule, every fault to its kind.

use super::{
    as_path::AsPath,
    attributes::{Aggregator, Attributes, NextHop, Origin, UnknownAttribute},
    community::{Community, ExtendedCommunity, LargeCommunity},
    fault::{Fault, FaultKind, Reset},
    multiprotocol::{self, Reach},
    update::UpdateContext,
};
use crate::types::{Asn, Family};
use core::net::Ipv4Addr;
use net::{IpNet, Malformed, Reader};
use std::collections::BTreeSet;

/// Attribute type codes.
pub(super) mod code {
    pub(crate) const ORIGIN: u8 = 1;
    pub(crate) const AS_PATH: u8 = 2;
    pub(crate) const NEXT_HOP: u8 = 3;
    pub(crate) const MED: u8 = 4;
    pub(crate) const LOCAL_PREF: u8 = 5;
    pub(crate) const ATOMIC_AGGREGATE: u8 = 6;
    pub(crate) const AGGREGATOR: u8 = 7;
    pub(crate) const COMMUNITIES: u8 = 8;
    pub(crate) const ORIGINATOR_ID: u8 = 9;
    pub(crate) const CLUSTER_LIST: u8 = 10;
    pub(crate) const MP_REACH: u8 = 14;
    pub(crate) const MP_UNREACH: u8 = 15;
    pub(crate) const EXTENDED: u8 = 16;
    pub(crate) const AS4_PATH: u8 = 17;
    pub(crate) const AS4_AGGREGATOR: u8 = 18;
    pub(crate) const AIGP: u8 = 26;
    pub(crate) const LARGE: u8 = 32;
    pub(crate) const OTC: u8 = 35;
}

/// Bits of the flags octet (RFC 4271 section 4.3).
pub(super) const OPTIONAL: u8 = 0x80;
pub(super) const TRANSITIVE: u8 = 0x40;
pub(super) const PARTIAL: u8 = 0x20;
pub(super) const EXTENDED_LENGTH: u8 = 0x10;

/// The Optional and Transitive bits a type must have; `None` for types we do not know.
pub(super) const fn flags_of(kind: u8) -> Option<u8> {
    match kind {
        code::ORIGIN | code::AS_PATH | code::NEXT_HOP | code::LOCAL_PREF | code::ATOMIC_AGGREGATE => {
            Some(TRANSITIVE)
        }
        code::MED | code::ORIGINATOR_ID | code::CLUSTER_LIST | code::MP_REACH | code::MP_UNREACH => {
            Some(OPTIONAL)
        }
        code::AGGREGATOR
        | code::COMMUNITIES
        | code::EXTENDED
        | code::AS4_PATH
        | code::AS4_AGGREGATOR
        | code::LARGE
        | code::OTC => Some(OPTIONAL | TRANSITIVE),
        _ => None,
    }
}

/// What the attribute list held.
#[derive(Default)]
pub(super) struct Found {
    pub(super) faults: Vec<Fault>,
    pub(super) reach: Option<Reach>,
    /// MP_REACH_NLRI was there, for whatever family.
    pub(super) reach_seen: bool,
    pub(super) unreach: Option<Vec<IpNet>>,
    /// The list is one MP_UNREACH_NLRI without prefixes, of this family.
    pub(super) lone_empty_unreach: Option<Family>,
    pub(super) next_hop: Option<Ipv4Addr>,
    seen: [u128; 2],
    origin: Option<Origin>,
    as_path: Option<AsPath>,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<Aggregator>,
    aggregator: Option<Aggregator>,
    med: Option<u32>,
    local_pref: Option<u32>,
    atomic_aggregate: bool,
    communities: Box<[Community]>,
    extended: Box<[ExtendedCommunity]>,
    large: Box<[LargeCommunity]>,
    originator: Option<Ipv4Addr>,
    clusters: Box<[u32]>,
    otc: Option<Asn>,
    unknown: Vec<UnknownAttribute>,
    partial: Vec<u8>,
}

impl Found {
    /// RFC 7606 section 3 d: what is mandatory must have been there, if only in a malformed way (which
    /// has its own fault). NEXT_HOP belongs to the NLRI field only.
    pub(super) fn note_missing(&self, classic: bool, faults: &mut Vec<Fault>) {
        let needed = [(code::ORIGIN, true), (code::AS_PATH, true), (code::NEXT_HOP, classic)];
        let missing = needed.into_iter().filter(|(kind, needed)| *needed && !self.has_seen(*kind));
        faults.extend(missing.map(|(kind, _)| Fault::new(FaultKind::Missing, kind)));
    }

    /// The attributes of a route with this next hop; `None` when a mandatory one is missing.
    pub(super) fn attributes(&self, next_hop: NextHop) -> Option<Attributes> {
        let mut attributes = Attributes::local(next_hop);
        attributes.origin = self.origin?;
        attributes.as_path = self.as_path.clone()?;
        attributes.med = self.med;
        attributes.local_pref = self.local_pref;
        attributes.atomic_aggregate = self.atomic_aggregate;
        attributes.communities.clone_from(&self.communities);
        attributes.change_rare(|rare| {
            rare.aggregator = self.aggregator;
            rare.originator = self.originator;
            rare.clusters.clone_from(&self.clusters);
            rare.extended.clone_from(&self.extended);
            rare.large.clone_from(&self.large);
            rare.otc = self.otc;
            rare.unknown = self.unknown.clone().into_boxed_slice();
            rare.partial = self.partial.clone().into_boxed_slice();
        });
        Some(attributes)
    }

    fn has_seen(&self, kind: u8) -> bool {
        self.seen.get(usize::from(kind >> 7)).is_some_and(|half| half & (1 << (kind & 127)) != 0)
    }

    /// Marks `kind` as seen; false when it was seen before.
    fn mark(&mut self, kind: u8) -> bool {
        let Some(half) = self.seen.get_mut(usize::from(kind >> 7)) else { return false };
        let bit = 1 << (kind & 127);
        let first = *half & bit == 0;
        *half |= bit;
        first
    }

    fn count_seen(&self) -> u32 {
        self.seen.iter().map(|half| half.count_ones()).sum()
    }
}

struct Attribute<'a> {
    flags: u8,
    kind: u8,
    value: &'a [u8],
    /// Type, length and value as they came, for the data of a NOTIFICATION.
    whole: &'a [u8],
}

/// The pass itself.
pub(super) struct Scan<'a> {
    context: &'a UpdateContext,
    found: Found,
}

impl<'a> Scan<'a> {
    pub(super) fn new(context: &'a UpdateContext) -> Self {
        Self { context, found: Found::default() }
    }

    pub(super) fn run(mut self, list: &[u8]) -> Result<Found, Reset> {
        let mut reader = Reader::new(list);
        while !reader.is_empty() {
            let rest = { reader }.rest();
            let Ok(attribute) = next(&mut reader) else {
                let cut = rest.get(1).copied();
                if let Some(kind @ (code::MP_REACH | code::MP_UNREACH)) = cut {
                    // RFC 7606 section 5.3: its prefixes are lost, so they cannot be treated as withdrawn.
                    return Err(Reset::with_attribute(Fault::new(FaultKind::Multiprotocol, kind), rest));
                }
                // RFC 7606 section 4: the rest of the list is lost, the NLRI field is not.
                self.found.faults.push(Fault::in_message(FaultKind::Overrun));
                break;
            };
            self.take(&attribute)?;
        }
        self.finish();
        Ok(self.found)
    }

    fn take(&mut self, attribute: &Attribute<'_>) -> Result<(), Reset> {
        let first = self.found.mark(attribute.kind);
        let fault = match self.rule(attribute, first) {
            Ok(()) => return Ok(()),
            Err(kind) => Fault::new(kind, attribute.kind),
        };
        if fault.kind.treatment() == super::fault::Treatment::ResetSession {
            return Err(Reset::with_attribute(fault, attribute.whole));
        }
        self.found.faults.push(fault);
        Ok(())
    }

    fn rule(&mut self, attribute: &Attribute<'_>, first: bool) -> Result<(), FaultKind> {
        let multiprotocol = matches!(attribute.kind, code::MP_REACH | code::MP_UNREACH);
        if !first {
            return Err(if multiprotocol { FaultKind::DuplicateMultiprotocol } else { FaultKind::Duplicate });
        }
        // What every route must have cannot be dropped, whatever the configuration says.
        let needed = multiprotocol || matches!(attribute.kind, code::ORIGIN | code::AS_PATH | code::NEXT_HOP);
        if !needed && self.context.discard.contains(&attribute.kind) {
            return Err(FaultKind::Unwanted);
        }
        if !self.context.internal
            && matches!(attribute.kind, code::LOCAL_PREF | code::ORIGINATOR_ID | code::CLUSTER_LIST)
        {
            return Err(FaultKind::InternalOnly);
        }
        let Some(expected) = flags_of(attribute.kind) else { return self.unknown(attribute) };
        let flags = attribute.flags & (OPTIONAL | TRANSITIVE);
        if multiprotocol {
            // Even with wrong flags the prefixes inside must be found, to be withdrawn.
            self.multiprotocol(attribute)?;
        }
        if flags != expected {
            return Err(FaultKind::Flags);
        }
        if multiprotocol {
            return Ok(());
        }
        self.known(attribute)?;
        let merged = matches!(attribute.kind, code::AS4_PATH | code::AS4_AGGREGATOR);
        if attribute.flags & PARTIAL != 0 && expected == OPTIONAL | TRANSITIVE && !merged {
            self.found.partial.push(attribute.kind);
        }
        Ok(())
    }

    fn unknown(&mut self, attribute: &Attribute<'_>) -> Result<(), FaultKind> {
        if attribute.flags & OPTIONAL == 0 {
            return Err(FaultKind::UnknownWellKnown);
        }
        // RFC 7311 section 3.2: AIGP crosses no session that is not meant for it; ours never are.
        if attribute.flags & TRANSITIVE != 0 && attribute.kind != code::AIGP {
            let value = attribute.value.into();
            self.found.unknown.push(UnknownAttribute { code: attribute.kind, value });
        }
        Ok(())
    }

    fn multiprotocol(&mut self, attribute: &Attribute<'_>) -> Result<(), FaultKind> {
        let malformed = |_: Malformed| FaultKind::Multiprotocol;
        if attribute.kind == code::MP_UNREACH {
            let unreach = multiprotocol::parse_unreach(attribute.value, self.context).map_err(malformed)?;
            let (family, prefixes) = unreach.ok_or(FaultKind::FamilyNotAgreed)?;
            self.found.lone_empty_unreach = prefixes.is_empty().then_some(family);
            self.found.unreach = Some(prefixes);
            return Ok(());
        }
        self.found.reach_seen = true;
        let reach = multiprotocol::parse_reach(attribute.value, self.context).map_err(malformed)?;
        let reach = reach.ok_or(FaultKind::FamilyNotAgreed)?;
        let plausible = reach.next_hop.is_plausible();
        self.found.reach = Some(reach);
        if plausible { Ok(()) } else { Err(FaultKind::NextHop) }
    }

    fn known(&mut self, attribute: &Attribute<'_>) -> Result<(), FaultKind> {
        let value = attribute.value;
        let found = &mut self.found;
        match attribute.kind {
            code::ORIGIN => {
                let [origin] = value else { return Err(FaultKind::Length) };
                found.origin = Some(Origin::from_code(*origin).ok_or(FaultKind::Origin)?);
            }
            code::AS_PATH => found.as_path = Some(as_path(value, self.context)?),
            code::NEXT_HOP => found.next_hop = Some(next_hop(value)?),
            code::MED => found.med = Some(number(value)?),
            code::LOCAL_PREF => found.local_pref = Some(number(value)?),
            code::ATOMIC_AGGREGATE => {
                found.atomic_aggregate = value.is_empty();
                return if value.is_empty() { Ok(()) } else { Err(FaultKind::MinorLength) };
            }
            code::AGGREGATOR => found.aggregator = Some(aggregator(value, self.context.four_octet_as)?),
            code::COMMUNITIES => {
                found.communities = list(value, |octets| Community(u32::from_be_bytes(octets)))?
            }
            code::ORIGINATOR_ID => found.originator = Some(number(value)?.into()),
            code::CLUSTER_LIST => found.clusters = list(value, u32::from_be_bytes)?,
            code::EXTENDED => found.extended = list(value, ExtendedCommunity)?,
            code::LARGE => found.large = large(value)?,
            code::OTC => found.otc = Some(Asn(number(value)?)),
            code::AS4_PATH | code::AS4_AGGREGATOR if self.context.four_octet_as => {
                return Err(FaultKind::NotForThisSession);
            }
            code::AS4_PATH => found.as4_path = Some(as4_path(value, self.context)?),
            code::AS4_AGGREGATOR => found.as4_aggregator = Some(aggregator(value, true)?),
            _ => {}
        }
        Ok(())
    }

    /// What can only be judged when the list is complete.
    fn finish(&mut self) {
        let found = &mut self.found;
        if found.count_seen() != 1 {
            found.lone_empty_unreach = None;
        }
        found.unknown.sort_by_key(|attribute| attribute.code);
        found.partial.sort_unstable();
        merge_wide_numbers(found);
        if let Some(first) = self.context.first_as
            && found.as_path.as_ref().is_some_and(|path| path.neighbor() != Some(first))
        {
            found.faults.push(Fault::new(FaultKind::FirstAs, code::AS_PATH));
        }
    }
}

/// RFC 6793 section 4.2.3: what a two-octet speaker passed on in AS4_PATH and AS4_AGGREGATOR.
fn merge_wide_numbers(found: &mut Found) {
    if let Some(aggregator) = found.aggregator {
        if aggregator.asn != Asn::TRANS {
            // An old speaker aggregated again after the new ones: both AS4 attributes are out of date.
            found.as4_path = None;
            found.as4_aggregator = None;
        }
        found.aggregator = found.as4_aggregator.or(Some(aggregator));
    }
    if let (Some(path), Some(as4)) = (&found.as_path, &found.as4_path) {
        found.as_path = Some(path.merge(as4));
    }
}

fn next<'a>(reader: &mut Reader<'a>) -> Result<Attribute<'a>, Malformed> {
    let whole = reader.rest();
    let (flags, kind) = (reader.u8()?, reader.u8()?);
    let len =
        if flags & EXTENDED_LENGTH != 0 { usize::from(reader.u16()?) } else { usize::from(reader.u8()?) };
    let value = reader.take(len)?;
    let used = whole.len().saturating_sub(reader.remaining());
    Ok(Attribute { flags, kind, value, whole: whole.get(..used).unwrap_or_default() })
}

fn as_path(value: &[u8], context: &UpdateContext) -> Result<AsPath, FaultKind> {
    let path = AsPath::parse(value, context.four_octet_as).map_err(|_| FaultKind::AsPath)?;
    if path.has_zero() {
        return Err(FaultKind::AsZero);
    }
    if path.has_confed() {
        // We are in no confederation, so everyone is outside of it (RFC 5065 section 5).
        return Err(FaultKind::Confederation);
    }
    if path.has_set() && !context.accept_as_sets {
        return Err(FaultKind::AsSet);
    }
    Ok(path)
}

/// RFC 6793 section 6: a malformed AS4_PATH is discarded; confederation segments in it are skipped.
fn as4_path(value: &[u8], context: &UpdateContext) -> Result<AsPath, FaultKind> {
    let path = AsPath::parse(value, true).map_err(|_| FaultKind::MinorLength)?;
    if path.has_zero() {
        // RFC 7607 section 2: AS 0 makes it malformed.
        return Err(FaultKind::MinorLength);
    }
    if path.has_set() && !context.accept_as_sets {
        // RFC 9774 section 3: sets are unwanted here as in AS_PATH.
        return Err(FaultKind::AsSet);
    }
    Ok(path.without_confeds())
}

fn next_hop(value: &[u8]) -> Result<Ipv4Addr, FaultKind> {
    let address = Ipv4Addr::from(number(value)?);
    if NextHop::V4(address).is_plausible() { Ok(address) } else { Err(FaultKind::NextHop) }
}

fn number(value: &[u8]) -> Result<u32, FaultKind> {
    value.try_into().map(u32::from_be_bytes).map_err(|_| FaultKind::Length)
}

fn aggregator(value: &[u8], wide: bool) -> Result<Aggregator, FaultKind> {
    let (asn, address) = match value {
        [a, b, c, d, address @ ..] if wide => (u32::from_be_bytes([*a, *b, *c, *d]), address),
        [a, b, address @ ..] if !wide => (u32::from(u16::from_be_bytes([*a, *b])), address),
        _ => return Err(FaultKind::MinorLength),
    };
    let address: [u8; 4] = address.try_into().map_err(|_| FaultKind::MinorLength)?;
    if asn == 0 {
        return Err(FaultKind::AggregatorZero);
    }
    Ok(Aggregator { asn: Asn(asn), address: address.into() })
}

/// A non-zero number of entries of `N` octets (RFC 7606 sections 7.8, 7.10, 7.14).
fn list<T, const N: usize>(value: &[u8], read: impl Fn([u8; N]) -> T) -> Result<Box<[T]>, FaultKind> {
    let (entries, rest) = value.as_chunks::<N>();
    if entries.is_empty() || !rest.is_empty() {
        return Err(FaultKind::Length);
    }
    Ok(entries.iter().map(|entry| read(*entry)).collect())
}

/// RFC 8092 section 6; duplicates carry no meaning and are dropped (section 3).
fn large(value: &[u8]) -> Result<Box<[LargeCommunity]>, FaultKind> {
    let all = list(value, |[a, b, c, d, e, f, g, h, i, j, k, l]: [u8; 12]| LargeCommunity {
        global: u32::from_be_bytes([a, b, c, d]),
        local1: u32::from_be_bytes([e, f, g, h]),
        local2: u32::from_be_bytes([i, j, k, l]),
    })?;
    // A long message has thousands of them: each is not held against all before it.
    let mut seen = BTreeSet::new();
    Ok(all.into_iter().filter(|community| seen.insert(*community)).collect())
}
