//! Links, addresses and routes by rtnetlink(7), in the namespace of the calling thread.
//!
//! Each call of [`run`] opens a netlink socket of its own: the kernel ties the socket to the namespace in which it was
//! opened. The lab makes few enough calls for that not to matter.

use std::fmt::Display;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use net::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoVeth, LinkAttribute,
};
use netlink_packet_route::route::{RouteMessage, RouteNextHop};
use rtnetlink::{Handle, LinkUnspec, LinkVeth, RouteMessageBuilder, RouteNextHopBuilder};

use super::error::{Doing, LabError};
use super::topology::{End, Node, Route};

/// Runs `work` with a netlink socket of the calling thread's namespace.
///
/// # Errors
/// What `work` gives, and what opening the socket gives.
pub(super) fn run<T>(work: impl AsyncFnOnce(&Handle) -> Result<T, LabError>) -> Result<T, LabError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .doing(|| "starting the netlink loop".to_owned())?;
    runtime.block_on(async {
        let (connection, handle, _) =
            rtnetlink::new_connection().doing(|| "opening a netlink socket".to_owned())?;
        let pump = tokio::spawn(connection);
        let result = work(&handle).await;
        pump.abort();
        result
    })
}

/// Makes a veth pair: `here` in this namespace, `there` in the one that `there_ns` refers to. Both are down.
pub(super) async fn add_veth(
    netlink: &Handle,
    here: &End,
    there: &End,
    there_ns: BorrowedFd<'_>,
) -> Result<(), LabError> {
    let mut peer = LinkUnspec::new_with_name(&there.device).mtu(there.mtu).setns_by_fd(there_ns.as_raw_fd());
    if let Some(mac) = there.mac {
        peer = peer.address(mac.0.to_vec());
    }
    let mut pair = LinkVeth::new(&here.device, &there.device)
        .mtu(here.mtu)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())));
    if let Some(mac) = here.mac {
        pair = pair.address(mac.0.to_vec());
    }
    netlink
        .link()
        .add(pair.build())
        .execute()
        .await
        .doing(|| format!("making the link {}/{} - {}/{}", here.node, here.device, there.node, there.device))
}

/// Prepares this end of a link and takes it up: silence, addresses. What is there already stays.
pub(super) async fn bring_up(netlink: &Handle, end: &End) -> Result<(), LabError> {
    let index = index(&end.device)?;
    if end.quiet {
        silence(netlink, end, index).await?;
    }
    for address in &end.addresses {
        add_address(netlink, end, index, *address).await?;
    }
    set_up(netlink, &end.device, true).await
}

/// Takes a link of this namespace up or down.
pub(super) async fn set_up(netlink: &Handle, device: &str, up: bool) -> Result<(), LabError> {
    let link = LinkUnspec::new_with_index(index(device)?);
    let link = if up { link.up() } else { link.down() };
    let request = netlink.link().set(link.build());
    request.execute().await.doing(|| format!("taking {device} {}", if up { "up" } else { "down" }))
}

/// Deletes a link of this namespace; its other end goes with it.
pub(super) async fn delete(netlink: &Handle, device: &str) -> Result<(), LabError> {
    netlink.link().del(index(device)?).execute().await.doing(|| format!("deleting {device}"))
}

/// Adds the routes of a node whose links are up. What is there already stays.
pub(super) async fn add_routes(netlink: &Handle, node: &Node) -> Result<(), LabError> {
    for route in &node.routes {
        let doing = || format!("adding the route to {} at {}", route.prefix, node.name);
        netlink.route().add(route_message(route)?).replace().execute().await.doing(doing)?;
    }
    Ok(())
}

/// RFC 4862 §5.3 makes a link-local address of every interface's own accord; with it come router solicitations and
/// multicast reports. Without an address there is nothing to say them from.
async fn silence(netlink: &Handle, end: &End, index: u32) -> Result<(), LabError> {
    let none = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    let attribute = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![none])]);
    let link = LinkUnspec::new_with_index(index).append_extra_attribute(attribute).build();
    netlink.link().set(link).execute().await.doing(|| format!("silencing {}/{}", end.node, end.device))?;
    // Where /proc/sys can be written, IPv6 is wholly off; where it cannot (some containers), the above has to do.
    let _ = sys::sysctl::write(&format!("net/ipv6/conf/{}/disable_ipv6", end.device), "1");
    Ok(())
}

/// Adds an address that can be used at once: without duplicate address detection (RFC 4862 §5.4), which takes a second.
async fn add_address(netlink: &Handle, end: &End, index: u32, address: IpNet) -> Result<(), LabError> {
    let mut request = netlink.address().add(index, address.addr(), address.prefix_len());
    if address.addr().is_ipv6() {
        let message = request.message_mut();
        message.header.flags |= AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    request
        .replace()
        .execute()
        .await
        .doing(|| format!("giving {}/{} the address {address}", end.node, end.device))
}

fn route_message(route: &Route) -> Result<RouteMessage, LabError> {
    let invalid = |e: &dyn Display| LabError::Topology(format!("the route to {}: {e}", route.prefix));
    let builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.prefix.network(), route.prefix.prefix_len())
        .map_err(|e| invalid(&e))?;
    if let [single] = route.via.as_slice() {
        return Ok(builder.gateway(*single).map_err(|e| invalid(&e))?.build());
    }
    let family = if route.prefix.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let hop = |via: &IpAddr| RouteNextHopBuilder::new(family).via(*via).map(RouteNextHopBuilder::build);
    let hops: Result<Vec<RouteNextHop>, _> = route.via.iter().map(hop).collect();
    Ok(builder.multipath(hops.map_err(|e| invalid(&e))?).build())
}

fn index(device: &str) -> Result<u32, LabError> {
    sys::interface::index(device).doing(|| format!("looking for the interface {device}"))
}
