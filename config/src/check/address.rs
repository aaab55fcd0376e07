//! Addresses and subnets of a connection's interfaces.

use core::net::IpAddr;

use net::IpNet;

use crate::{
    problem::{Code, Report, Span},
    raw::{At, items},
};

/// Our addresses of one connection with the interface each is on.
#[derive(Default)]
pub(super) struct Subnets(Vec<(IpNet, Span)>);

impl Subnets {
    /// Checks the addresses of an interface and remembers their subnets, which must not overlap with
    /// those of the others. Link-local subnets are the same everywhere and do not count.
    pub(super) fn add(&mut self, addresses: &Option<At<Vec<At<IpNet>>>>, report: &mut Report) {
        for At { value: net, span } in items(addresses) {
            host(*net, net.addr(), *span, report);
            if is_link_local(net.addr()) {
                continue;
            }
            if let Some((other, first)) = self.0.iter().find(|(other, _)| overlap(*other, *net)) {
                let message = format!("{} overlaps with {}", net.trunc(), other.trunc());
                report
                    .add(Code::AddressOverlap, *span, message)
                    .also(*first, "the other subnet")
                    .help("the interfaces of one connection need subnets of their own");
            }
            self.0.push((*net, *span));
        }
    }

    /// True when the address is one of ours.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(net, _)| net.addr() == address)
    }
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// fe80::/10 and nothing else: 169.254.0.0/16 is what clouds number their links from.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Why `address` cannot be that of a host in `net`.
pub(super) fn not_a_host(net: IpNet, address: IpAddr) -> Option<&'static str> {
    let class = match address {
        IpAddr::V4(v4) if v4.is_broadcast() || v4.octets().first().is_some_and(|first| *first >= 240) => {
            Some("is reserved")
        }
        IpAddr::V4(v4) if v4.octets().first() == Some(&0) => Some("means \"this network\""),
        _ if address.is_unspecified() => Some("is the unspecified address"),
        _ if address.is_multicast() => Some("is a multicast address"),
        _ if address.is_loopback() => Some("is a loopback address"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    };
    class.or_else(|| match net {
        // RFC 3021: a /31 has two hosts and neither a network nor a broadcast address.
        IpNet::V4(v4) if v4.prefix_len() <= 30 && address == IpAddr::V4(v4.network()) => {
            Some("is the address of the network itself")
        }
        IpNet::V4(v4) if v4.prefix_len() <= 30 && address == IpAddr::V4(v4.broadcast()) => {
            Some("is the broadcast address of its network")
        }
        // RFC 4291 §2.6.1; RFC 6164 lifts it for a /127.
        IpNet::V6(v6) if v6.prefix_len() <= 126 && address == IpAddr::V6(v6.network()) => {
            Some("is the subnet-router anycast address")
        }
        IpNet::V4(_) | IpNet::V6(_) => None,
    })
}

fn host(net: IpNet, address: IpAddr, span: Span, report: &mut Report) {
    if let Some(why) = not_a_host(net, address) {
        report
            .add(Code::NotAHost, span, format!("{address} {why}"))
            .help(format!("use the address of a host in {}", net.trunc()));
    }
}

/// The peers of an attachment: in one of its subnets, not ourselves, one per family.
pub(super) fn peers(
    addresses: &Option<At<Vec<At<IpNet>>>>,
    peers: &Option<At<Vec<At<IpAddr>>>>,
    report: &mut Report,
) {
    let nets: Vec<_> = items(addresses).iter().map(|at| at.value).collect();
    for (at, At { value: peer, span }) in items(peers).iter().enumerate() {
        let before = items(peers).iter().take(at).find(|before| before.value.is_ipv4() == peer.is_ipv4());
        if let Some(before) = before {
            report
                .add(Code::PeerAmbiguous, *span, format!("a second {} peer", family(*peer)))
                .also(before.span, "the first one")
                .help("an attachment leads to one router; other neighbours can be next hops of routes");
        }
        peer_fits(&nets, *peer, *span, report);
    }
}

/// Whether `peer` can be reached from an interface with these addresses.
pub(super) fn peer_fits(nets: &[IpNet], peer: IpAddr, span: Span, report: &mut Report) {
    if nets.iter().any(|net| net.addr() == peer) {
        report
            .add(Code::PeerIsSelf, span, format!("{peer} is our own address here"))
            .help("`peer` is the far end, `address` is ours");
        return;
    }
    if is_link_local(peer) {
        return;
    }
    match nets.iter().find(|net| net.contains(&peer)) {
        Some(net) => host(*net, peer, span, report),
        None => {
            let known: Vec<_> = nets.iter().map(|net| net.trunc().to_string()).collect();
            let help = if known.is_empty() {
                format!("add our address in the subnet of {peer}")
            } else {
                format!("the interface's subnets are {}", known.join(", "))
            };
            report
                .add(Code::PeerOffLink, span, format!("{peer} is in no subnet of this interface"))
                .help(help);
        }
    }
}

/// For messages.
pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}
