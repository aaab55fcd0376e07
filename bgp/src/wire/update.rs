//! UPDATE (RFC 4271 sections 4.3 and 6.3, RFC 4760), read the way RFC 7606 wants it read.
//!
//! [`parse`] gives the routes of a message, or what to do instead: routes whose attributes are wrong come
//! out as [`Announced::TreatAsWithdraw`], attributes that may be dropped are dropped, and only what leaves
//! the message unreadable is an `Err`. Each fault is reported with its kind, so that a log can say what
//! the peer did, and a test can say what we did about it.

use super::{
    attributes::Attributes,
    fault::{Fault, FaultKind, Reset, Treatment},
    nlri,
    scan::{Found, Scan, code},
};
use crate::types::{Asn, Family, PerFamily};
use net::{IpNet, Reader};

/// What the parser must know of the session.
#[derive(Clone, Debug)]
pub struct UpdateContext {
    /// The neighbour is in our own AS.
    pub internal: bool,
    /// Both sides use four-octet AS numbers.
    pub four_octet_as: bool,
    /// Families both sides announced.
    pub families: PerFamily<bool>,
    /// IPv4 prefixes may have IPv6 next hops (RFC 8950).
    pub ipv4_over_ipv6: bool,
    /// When set, the leftmost AS of a path must be this one (external sessions).
    pub first_as: Option<Asn>,
    /// Take routes with an AS_SET, against RFC 9774.
    pub accept_as_sets: bool,
    /// Attribute types to drop whatever they hold.
    pub discard: Vec<u8>,
}

/// Prefixes that were announced together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// What they carry.
    pub attributes: Attributes,
    /// All of one family.
    pub prefixes: Vec<IpNet>,
}

/// What an UPDATE announces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Announced {
    /// Routes: at most one group for the NLRI field and one for MP_REACH_NLRI. Often none.
    Routes(Vec<Group>),
    /// These were announced with broken attributes and must go (RFC 7606 section 2).
    TreatAsWithdraw(Vec<IpNet>),
}

/// A readable UPDATE.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Update {
    /// Prefixes withdrawn in so many words.
    pub withdrawn: Vec<IpNet>,
    /// Prefixes announced.
    pub announced: Announced,
    /// The message says that the initial routes of this family are complete (RFC 4724 section 2).
    pub end_of_rib: Option<Family>,
    /// What was wrong with it, in the order found.
    pub faults: Vec<Fault>,
}

/// Reads the body of an UPDATE.
///
/// # Errors
/// [`Reset`] when no treatment milder than ending the session is left.
pub fn parse(body: &[u8], context: &UpdateContext) -> Result<Update, Reset> {
    let fields = split(body).ok_or_else(|| Reset::new(Fault::in_message(FaultKind::Framing)))?;
    let mut withdrawn = prefixes(fields.withdrawn)?;
    let found = Scan::new(context).run(fields.attributes)?;
    let nlri = prefixes(fields.nlri)?;
    let end_of_rib = end_of_rib(&fields, &found);
    let mut faults = found.faults.clone();
    let classic = !nlri.is_empty() || !withdrawn.is_empty();
    if classic && !context.families.ipv4 {
        faults.push(Fault::in_message(FaultKind::FamilyNotAgreed));
        withdrawn.clear();
    }
    let nlri = if context.families.ipv4 { nlri } else { Vec::new() };
    withdrawn.extend(found.unreach.iter().flatten().copied());
    let reachable = !fields.nlri.is_empty() || found.reach_seen;
    let announced = announce(found, nlri, &mut faults);
    if let Some(fault) = faults.iter().find(|fault| is_untraceable(fault))
        && !reachable
    {
        return Err(Reset::new(*fault));
    }
    Ok(Update { withdrawn, announced, end_of_rib, faults })
}

/// RFC 7606 section 5.2: a message with attributes (other than MP_UNREACH_NLRI, whose prefixes go anyway)
/// but with nothing reachable does not tell which routes the fault is about.
fn is_untraceable(fault: &Fault) -> bool {
    fault.kind.treatment() >= Treatment::TreatAsWithdraw && fault.attribute != Some(code::MP_UNREACH)
}

struct Fields<'a> {
    withdrawn: &'a [u8],
    attributes: &'a [u8],
    nlri: &'a [u8],
}

/// RFC 7606 section 3 a and b: the two length fields must agree with the message.
fn split(body: &[u8]) -> Option<Fields<'_>> {
    let mut reader = Reader::new(body);
    let len = usize::from(reader.u16().ok()?);
    let withdrawn = reader.take(len).ok()?;
    let len = usize::from(reader.u16().ok()?);
    let attributes = reader.take(len).ok()?;
    Some(Fields { withdrawn, attributes, nlri: reader.rest() })
}

fn prefixes(field: &[u8]) -> Result<Vec<IpNet>, Reset> {
    nlri::parse(field, Family::Ipv4).map_err(|_| Reset::new(Fault::in_message(FaultKind::Prefix)))
}

/// RFC 4724 section 2: no field at all, or a lone MP_UNREACH_NLRI without prefixes.
fn end_of_rib(fields: &Fields<'_>, found: &Found) -> Option<Family> {
    if !fields.withdrawn.is_empty() || !fields.nlri.is_empty() {
        return None;
    }
    if fields.attributes.is_empty() {
        return Some(Family::Ipv4);
    }
    found.lone_empty_unreach
}

fn announce(mut found: Found, nlri: Vec<IpNet>, faults: &mut Vec<Fault>) -> Announced {
    let mp = found.reach.take();
    let any = !nlri.is_empty() || mp.is_some();
    if any {
        found.note_missing(!nlri.is_empty(), faults);
    }
    let withdraw = faults.iter().any(|fault| fault.kind.treatment() >= Treatment::TreatAsWithdraw);
    if withdraw {
        let mp = mp.map(|reach| reach.prefixes).unwrap_or_default();
        return Announced::TreatAsWithdraw(nlri.into_iter().chain(mp).collect());
    }
    let mut groups = Vec::new();
    if let Some(next_hop) = found.next_hop.filter(|_| !nlri.is_empty()) {
        groups
            .extend(found.attributes(next_hop.into()).map(|attributes| Group { attributes, prefixes: nlri }));
    }
    if let Some(reach) = mp.filter(|reach| !reach.prefixes.is_empty()) {
        groups.extend(
            found.attributes(reach.next_hop).map(|attributes| Group { attributes, prefixes: reach.prefixes }),
        );
    }
    Announced::Routes(groups)
}
