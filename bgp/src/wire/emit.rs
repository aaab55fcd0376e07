//! UPDATE, the other way: attributes and prefixes into as few messages as they need.
//!
//! Multiprotocol attributes come first, the others by ascending type (RFC 7606 section 5.1, RFC 4271
//! section 5). IPv4 prefixes with an IPv4 next hop use the classic fields, everything else MP_REACH_NLRI
//! and MP_UNREACH_NLRI.

use super::{
    attributes::{Attributes, NextHop, Rare},
    header::{self, HEADER_LEN, MessageType},
    multiprotocol, nlri,
    scan::{EXTENDED_LENGTH, OPTIONAL, PARTIAL, TRANSITIVE, code, flags_of},
};
use crate::types::{Asn, Family};
use net::{IpNet, Writer};

/// How the receiver wants its messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EmitContext {
    /// It uses four-octet AS numbers.
    pub four_octet_as: bool,
    /// Longest message it takes, in octets.
    pub max_len: usize,
}

/// A route whose attributes leave no room for a prefix in a message of the agreed length.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the attributes do not fit into one message")]
pub struct TooLarge;

/// The messages that announce `prefixes`, all of `family`, with `attributes`.
///
/// # Errors
/// [`TooLarge`] when the attributes leave no room for any prefix.
pub fn announce(
    family: Family,
    attributes: &Attributes,
    prefixes: &[IpNet],
    context: EmitContext,
) -> Result<Vec<Vec<u8>>, TooLarge> {
    let classic = family == Family::Ipv4 && matches!(attributes.next_hop, NextHop::V4(_));
    let mut common = Writer::new();
    emit_attributes(attributes, classic, context.four_octet_as, &mut common);
    let common = common.into_vec();
    let mut head = Writer::new();
    multiprotocol::emit_reach_head(family, attributes.next_hop, &mut head);
    let head = head.into_vec();
    // Two length fields, and with multiprotocol the attribute's own header in its long form.
    let overhead = 4_usize.saturating_add(if classic { 0 } else { head.len().saturating_add(4) });
    let fixed = HEADER_LEN.saturating_add(overhead).saturating_add(common.len());
    let room = context.max_len.checked_sub(fixed).ok_or(TooLarge)?;
    if prefixes.iter().any(|prefix| nlri::len(prefix) > room) {
        return Err(TooLarge);
    }
    Ok(chunks(prefixes, room)
        .map(|chunk| {
            let packed = pack(chunk);
            if classic {
                return message(&[], &common, &packed);
            }
            let mut list = Writer::new();
            put_long(OPTIONAL, code::MP_REACH, &[&head, &packed], &mut list);
            list.put(&common);
            message(&[], list.as_slice(), &[])
        })
        .collect())
}

/// The messages that withdraw `prefixes`, all of `family`.
pub fn withdraw(family: Family, prefixes: &[IpNet], context: EmitContext) -> Vec<Vec<u8>> {
    let room = context.max_len.saturating_sub(HEADER_LEN + 4 + 4 + 3);
    chunks(prefixes, room)
        .map(|chunk| {
            let packed = pack(chunk);
            match family {
                Family::Ipv4 => message(&packed, &[], &[]),
                Family::Ipv6 => message(&[], &unreach(family, &packed), &[]),
            }
        })
        .collect()
}

/// The message that says the initial routes of `family` are complete (RFC 4724 section 2).
pub fn end_of_rib(family: Family) -> Vec<u8> {
    match family {
        Family::Ipv4 => message(&[], &[], &[]),
        Family::Ipv6 => message(&[], &unreach(family, &[]), &[]),
    }
}

fn unreach(family: Family, packed: &[u8]) -> Vec<u8> {
    let mut head = Writer::new();
    multiprotocol::emit_unreach_head(family, &mut head);
    let mut list = Writer::new();
    put_long(OPTIONAL, code::MP_UNREACH, &[head.as_slice(), packed], &mut list);
    list.into_vec()
}

/// Cuts `prefixes` into runs that take at most `room` octets each.
fn chunks(mut prefixes: &[IpNet], room: usize) -> impl Iterator<Item = &[IpNet]> {
    core::iter::from_fn(move || {
        let mut used = 0_usize;
        let fits = prefixes.iter().take_while(|prefix| {
            used = used.saturating_add(nlri::len(prefix));
            used <= room
        });
        // At least one, so that this ends whatever the caller asks for.
        let count = fits.count().max(1);
        let (chunk, rest) = prefixes.split_at_checked(count)?;
        prefixes = rest;
        Some(chunk)
    })
}

fn pack(prefixes: &[IpNet]) -> Vec<u8> {
    let mut out = Writer::new();
    prefixes.iter().for_each(|prefix| nlri::emit(prefix, &mut out));
    out.into_vec()
}

fn message(withdrawn: &[u8], attributes: &[u8], packed: &[u8]) -> Vec<u8> {
    let mut body = Writer::new();
    body.u16(u16::try_from(withdrawn.len()).unwrap_or(u16::MAX));
    body.put(withdrawn);
    body.u16(u16::try_from(attributes.len()).unwrap_or(u16::MAX));
    body.put(attributes);
    body.put(packed);
    header::emit(MessageType::Update, body.as_slice())
}

fn emit_attributes(attributes: &Attributes, classic: bool, wide: bool, out: &mut Writer) {
    let rare = attributes.rare();
    put(code::ORIGIN, &[attributes.origin.code()], out);
    let path = &attributes.as_path;
    if wide {
        put(code::AS_PATH, path.as_wide(), out);
    } else {
        put(code::AS_PATH, &path.emit_narrow(), out);
    }
    if let (true, NextHop::V4(address)) = (classic, attributes.next_hop) {
        put(code::NEXT_HOP, &address.octets(), out);
    }
    put_number(code::MED, attributes.med, out);
    put_number(code::LOCAL_PREF, attributes.local_pref, out);
    if attributes.atomic_aggregate {
        put(code::ATOMIC_AGGREGATE, &[], out);
    }
    if let Some(aggregator) = rare.aggregator {
        let value = aggregator_value(aggregator.asn, aggregator.address.octets(), wide);
        put_passed(rare, code::AGGREGATOR, &value, out);
    }
    let communities = attributes.communities.iter().map(|community| community.0.to_be_bytes());
    put_list(rare, code::COMMUNITIES, communities, out);
    put_number(code::ORIGINATOR_ID, rare.originator.map(u32::from), out);
    put_list(rare, code::CLUSTER_LIST, rare.clusters.iter().map(|cluster| cluster.to_be_bytes()), out);
    put_list(rare, code::EXTENDED, rare.extended.iter().map(|community| community.0), out);
    if !wide {
        emit_as4(attributes, out);
    }
    let mut unknown = rare.unknown.iter().peekable();
    while let Some(one) = unknown.next_if(|one| one.code < code::LARGE) {
        put_flagged(OPTIONAL | TRANSITIVE | PARTIAL, one.code, &one.value, out);
    }
    put_list(rare, code::LARGE, rare.large.iter().map(large), out);
    put_list(rare, code::OTC, rare.otc.iter().map(|asn| asn.0.to_be_bytes()), out);
    for one in unknown {
        put_flagged(OPTIONAL | TRANSITIVE | PARTIAL, one.code, &one.value, out);
    }
}

/// RFC 6793 section 4.2.2: what does not fit into two octets travels beside the path.
fn emit_as4(attributes: &Attributes, out: &mut Writer) {
    if attributes.as_path.needs_as4() {
        put(code::AS4_PATH, attributes.as_path.without_confeds().as_wide(), out);
    }
    if let Some(aggregator) = attributes.rare().aggregator
        && u16::try_from(aggregator.asn.0).is_err()
    {
        let value = aggregator_value(aggregator.asn, aggregator.address.octets(), true);
        put(code::AS4_AGGREGATOR, &value, out);
    }
}

fn large(community: &super::community::LargeCommunity) -> [u8; 12] {
    let ([a, b, c, d], [e, f, g, h]) = (community.global.to_be_bytes(), community.local1.to_be_bytes());
    let [i, j, k, l] = community.local2.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

fn aggregator_value(asn: Asn, address: [u8; 4], wide: bool) -> Vec<u8> {
    let mut value = Writer::new();
    if wide {
        value.u32(asn.0);
    } else {
        value.u16(asn.two_octets());
    }
    value.put(&address);
    value.into_vec()
}

fn put_number(kind: u8, value: Option<u32>, out: &mut Writer) {
    if let Some(value) = value {
        put(kind, &value.to_be_bytes(), out);
    }
}

/// Nothing for an empty list: an empty attribute would be malformed.
fn put_list<const N: usize>(rare: &Rare, kind: u8, entries: impl Iterator<Item = [u8; N]>, out: &mut Writer) {
    let value: Vec<u8> = entries.flatten().collect();
    if !value.is_empty() {
        put_passed(rare, kind, &value, out);
    }
}

/// What may have come to us with the Partial bit goes on with it.
fn put_passed(rare: &Rare, kind: u8, value: &[u8], out: &mut Writer) {
    let partial = if rare.partial.contains(&kind) { PARTIAL } else { 0 };
    put_flagged(flags_of(kind).unwrap_or(OPTIONAL) | partial, kind, value, out);
}

fn put(kind: u8, value: &[u8], out: &mut Writer) {
    put_flagged(flags_of(kind).unwrap_or(OPTIONAL), kind, value, out);
}

fn put_flagged(flags: u8, kind: u8, value: &[u8], out: &mut Writer) {
    match u8::try_from(value.len()) {
        Ok(len) => {
            out.put(&[flags, kind, len]);
            out.put(value);
        }
        Err(_) => put_long(flags, kind, &[value], out),
    }
}

/// An attribute with a two-octet length.
fn put_long(flags: u8, kind: u8, parts: &[&[u8]], out: &mut Writer) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    out.put(&[flags | EXTENDED_LENGTH, kind]);
    out.u16(u16::try_from(len).unwrap_or(u16::MAX));
    parts.iter().for_each(|part| out.put(part));
}
