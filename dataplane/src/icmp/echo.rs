//! Replies to echo requests, made in the buffer of the request (RFC 792, RFC 4443 §4.2).

use core::net::IpAddr;

use net::{
    checksum::{self, Sum},
    icmp::{Icmp, v4, v6},
    ipv4::{Ipv4, protocol},
    ipv6::Ipv6,
};

/// Hops that a reply may take (the default of RFC 1700).
pub(super) const HOPS: u8 = 64;

/// Turns the echo request `l3` (from its IP header on) into its reply: addresses swapped, 64 hops, checksums right.
/// False, and nothing changed, when it is not a well-formed echo request to a single host: IP header or ICMP checksum wrong, IP
/// options or extension headers, a fragment, a group address. The caller has checked that it is for this gateway, and has
/// finished a checksum that a host left partial.
pub fn echo_reply_in_place(l3: &mut [u8]) -> bool {
    match l3.first().map(|first| first >> 4) {
        Some(4) => reply_v4(l3).is_some(),
        Some(6) => reply_v6(l3).is_some(),
        _ => false,
    }
}

fn reply_v4(l3: &mut [u8]) -> Option<()> {
    let (header, message) = Ipv4::parse(l3)?;
    let plain =
        header.header_len() == Ipv4::LEN && header.protocol == protocol::ICMP && !header.is_fragment();
    let hosts = is_host(header.source().into()) && is_host(header.destination().into());
    let (echo, _) = Icmp::split(message)?;
    let asked = echo.kind == v4::ECHO && echo.code == 0 && checksum::checksum(message) == 0;
    if !(plain && hosts && asked) {
        return None;
    }
    let (header, message) = l3.split_first_chunk_mut::<{ Ipv4::LEN }>()?;
    swap_halves(header.get_mut(12..)?);
    *header.get_mut(8)? = HOPS;
    header.get_mut(10..12)?.fill(0);
    let sum = checksum::checksum(header).to_be_bytes();
    header.get_mut(10..12)?.copy_from_slice(&sum);
    turn(message, v4::ECHO, v4::ECHO_REPLY)
}

fn reply_v6(l3: &mut [u8]) -> Option<()> {
    let (header, message) = Ipv6::parse(l3)?;
    let hosts = is_host(header.source().into()) && is_host(header.destination().into());
    let (echo, _) = Icmp::split(message)?;
    let len = u32::from(header.payload_len());
    let sum =
        Sum::new().add_pseudo_v6(header.source(), header.destination(), protocol::ICMPV6, len).with(message);
    let asked = header.next_header == protocol::ICMPV6
        && echo.kind == v6::ECHO
        && echo.code == 0
        && sum.finish() == 0;
    if !(hosts && asked) {
        return None;
    }
    let (header, message) = l3.split_first_chunk_mut::<{ Ipv6::LEN }>()?;
    swap_halves(header.get_mut(8..)?);
    *header.get_mut(7)? = HOPS;
    turn(message, v6::ECHO, v6::ECHO_REPLY)
}

/// An address that a reply may come from and go to.
fn is_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || broadcast)
}

fn swap_halves(addresses: &mut [u8]) {
    let (source, destination) = addresses.split_at_mut(addresses.len() / 2);
    source.swap_with_slice(destination);
}

/// Changes the type of a message and corrects its checksum; swapped addresses leave the pseudo-header's sum alone.
fn turn(message: &mut [u8], from: u8, to: u8) -> Option<()> {
    let head = message.first_chunk_mut::<4>()?;
    let [_, code, high, low] = *head;
    let sum = u16::from_be_bytes([high, low]);
    let [high, low] =
        checksum::update(sum, u16::from_be_bytes([from, code]), u16::from_be_bytes([to, code])).to_be_bytes();
    *head = [to, code, high, low];
    Some(())
}
