//! BGP and BFD of a connection: who we are, whether neighbours can be reached, what their cloud refuses.
//!
//! A neighbour is named by where it is and its address, so the same link-local address may stand on several
//! interfaces. Sessions are single hop: a neighbour is on a subnet of its interface.

mod bfd;
mod neighbor;
mod policy;
mod profile;

use core::net::{IpAddr, Ipv4Addr};

use net::IpNet;

pub(super) use bfd::{bfd, lan_bfd};

use super::{given, route::stray_bits};
use crate::{
    model::{Announce, Bgp, Mode, Neighbor, Profile, RoutePolicy},
    problem::{Code, Report},
    raw::{self, Announced, At, items},
    secret::SecretSource,
};

/// What a connection says about BGP.
pub(super) struct Checked {
    pub(super) bgp: Option<Bgp>,
    pub(super) neighbors: Vec<Neighbor>,
    pub(super) policies: Vec<RoutePolicy>,
}

/// Checks all that a connection says about BGP; `None` after a finding.
pub(super) fn check(
    connection: &raw::Connection,
    profile: Profile,
    secrets: &dyn SecretSource,
    report: &mut Report,
) -> Option<Checked> {
    if connection.mode() == Mode::Transparent {
        return Some(Checked { bgp: None, neighbors: Vec::new(), policies: Vec::new() });
    }
    let policies = policy::check(connection, report);
    let bgp = connection.bgp.as_ref().map(|section| speaker(connection, &section.value, report));
    needs_bgp(connection, report);
    let neighbors = neighbor::check(connection, profile, secrets, report);
    if let Some(bgp) = &connection.bgp {
        profile::speaker(&bgp.value, connection, profile, report);
    }
    Some(Checked {
        bgp: bgp.map_or(Some(None), |bgp| bgp.map(Some))?,
        neighbors: neighbors?,
        policies: policies?,
    })
}

fn needs_bgp(connection: &raw::Connection, report: &mut Report) {
    let first = items(&connection.neighbor).first();
    if let Some(neighbor) = first.filter(|_| connection.bgp.is_none() && !connection.is_wrong("bgp")) {
        report
            .add(Code::BgpMissing, neighbor.span, "a neighbour, and no [connection.bgp]")
            .help("add [connection.bgp] with asn = 65001, your AS number");
    }
}

fn speaker(connection: &raw::Connection, bgp: &raw::Bgp, report: &mut Report) -> Option<Bgp> {
    if let Some(asn) = &bgp.asn {
        reserved(asn, report);
    }
    let router_id = given(bgp.router_id.as_ref()).or_else(|| first_ipv4(connection));
    if router_id.is_none() && !bgp.is_wrong("router_id") {
        report
            .add(Code::RouterId, bgp.here, "there is no IPv4 address that could be the BGP identifier")
            .help("add router_id = \"192.0.2.1\": any number of that form that no other router here has");
    }
    let announce = items(&bgp.announce).iter().map(|at| announced(at, report)).collect();
    Some(Bgp {
        asn: given(bgp.asn.as_ref())?,
        router_id: router_id?,
        announce,
        multipath: bgp.multipath(),
        multipath_across_as: bgp.multipath_across_as(),
        always_compare_med: bgp.always_compare_med(),
    })
}

fn announced(at: &At<Announced>, report: &mut Report) -> Announce {
    match at.value {
        Announced::Lans => Announce::Lans,
        Announced::Attachments => Announce::Attachments,
        Announced::Static => Announce::Static,
        Announced::Prefix(prefix) => {
            stray_bits(&At { value: prefix, span: at.span }, report);
            Announce::Prefix(prefix.trunc())
        }
    }
}

/// AS numbers that nobody has: RFC 7607 (0), RFC 6793 (23456), RFC 7300 (the last ones).
fn reserved(asn: &At<u32>, report: &mut Report) {
    if matches!(asn.value, 0 | 23_456 | 65_535 | 4_294_967_295) {
        report.add(Code::ReservedAsn, asn.span, format!("AS {} is reserved and nobody's", asn.value)).help(
            "use the AS number you were given, or a private one: 64512 to 65534, 4200000000 to 4294967294",
        );
    }
}

/// RFC 6286 asks for a number unique in the AS; the first address of the connection is.
fn first_ipv4(connection: &raw::Connection) -> Option<Ipv4Addr> {
    let lans = items(&connection.lan).iter().flat_map(|at| items(&at.value.address));
    let attachments = items(&connection.attachment).iter().flat_map(|at| items(&at.value.address));
    lans.chain(attachments).find_map(|at| match at.value.addr() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    })
}

/// True when one of our addresses there is of that family, link-local ones apart.
fn has_family(addresses: &[IpNet], v4: bool) -> bool {
    addresses.iter().any(|net| net.addr().is_ipv4() == v4 && !super::address::is_link_local(net.addr()))
}
