//! TCP sockets for a routing protocol: bound to a device, with a TTL, signed with MD5 (tcp(7), ip(7), RFC 2385, RFC 5082).
//!
//! A socket bound to a device takes and makes connections over that device alone, so the same link-local addresses may
//! stand on several devices, each with a listener of its own; their scope is always the device. Everything is
//! non-blocking.
//!
//! A key of TCP-MD5 belongs to a socket and the peer's address. On a listener it decides which connections come
//! about; a connection that was taken inherits it. Setting another key on a live connection re-keys it: when both ends do
//! so within the peer's patience, retransmission heals what was refused meanwhile. An empty key removes it.
//! The kernel says nothing of a segment that it refuses; it only counts ([`refusals`]).

use std::fs;
use std::io;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use libc::c_int;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::interface;
use crate::socket_option::{self, Md5Signature};

/// The longest key in octets (`TCP_MD5SIG_MAXKEYLEN`).
pub const MD5_KEY_MAX: usize = 80;

/// How packets of a connection travel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hops {
    /// TTL or hop limit to send with: 1 to 255.
    pub ttl: u8,
    /// The smallest to take: 255 for GTSM, 0 for any.
    pub min_ttl: u8,
}

impl Hops {
    /// To a neighbour on the same link, nothing asked of what comes back.
    pub const ONE: Self = Self { ttl: 1, min_ttl: 0 };
    /// The generalized TTL security mechanism (RFC 5082): nothing that a router forwarded is taken.
    pub const GTSM: Self = Self { ttl: 255, min_ttl: 255 };
}

/// A socket that waits for connections to `address` over `device`.
///
/// The address need not be there yet. Packets are marked CS6 (RFC 4594 §3.1).
///
/// # Errors
/// `EADDRINUSE` when somebody listens there, `EPERM` or `EACCES` for a port below 1024 without privilege, `ENODEV`
/// without the device.
pub fn listen(device: &str, address: SocketAddr, hops: Hops) -> io::Result<TcpListener> {
    let socket = open(device, address.is_ipv6())?;
    socket.set_reuse_address(true)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    set_hops(&socket, address.is_ipv6(), hops)?;
    socket.bind(&on_device(address, device)?.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Begins a connection from `local` (any port; any address when `None`) to `peer` over `device`. It becomes writable
/// when it is there or has failed; [`TcpStream::take_error`] tells which. `key` signs it from its first segment on.
///
/// # Errors
/// What can be told at once: `ENETUNREACH`, `EADDRNOTAVAIL`, `ENODEV`, `EINVAL` for a key that is too long.
pub fn connect(
    device: &str,
    local: Option<IpAddr>,
    peer: SocketAddr,
    hops: Hops,
    key: Option<&[u8]>,
) -> io::Result<TcpStream> {
    let socket = open(device, peer.is_ipv6())?;
    set_hops(&socket, peer.is_ipv6(), hops)?;
    if let Some(key) = key {
        set_md5_key(&socket, peer, key)?;
    }
    if let Some(local) = local {
        socket.bind(&on_device(SocketAddr::new(local, 0), device)?.into())?;
    }
    match socket.connect(&on_device(peer, device)?.into()) {
        Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => Err(e),
        Ok(()) | Err(_) => Ok(socket.into()),
    }
}

/// Link-local addresses mean nothing without the link (RFC 4007 §6).
fn on_device(address: SocketAddr, device: &str) -> io::Result<SocketAddr> {
    match address {
        SocketAddr::V6(mut v6) if v6.ip().is_unicast_link_local() => {
            v6.set_scope_id(interface::index(device)?);
            Ok(v6.into())
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => Ok(address),
    }
}

fn open(device: &str, v6: bool) -> io::Result<Socket> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    socket.bind_device(Some(device.as_bytes()))?;
    socket.set_tcp_nodelay(true)?;
    if v6 {
        socket.set_tclass_v6(CS6)?;
    } else {
        socket.set_tos_v4(CS6)?;
    }
    Ok(socket)
}

/// Sets how packets of a connection or of a listener's connections travel.
///
/// # Errors
/// Whatever the kernel answers.
pub fn set_hops(socket: &impl AsFd, v6: bool, hops: Hops) -> io::Result<()> {
    let reference = SockRef::from(socket);
    let min = c_int::from(hops.min_ttl);
    if v6 {
        reference.set_unicast_hops_v6(u32::from(hops.ttl))?;
        socket_option::set(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, &min)
    } else {
        reference.set_ttl_v4(u32::from(hops.ttl))?;
        socket_option::set(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MINTTL, &min)
    }
}

/// Signs what a socket exchanges with `peer`, whose port does not matter; an empty key ends that.
///
/// # Errors
/// `EINVAL` for a key of more than [`MD5_KEY_MAX`] octets or the wrong address family, `ENOENT` when a key to remove
/// is not there, `ENOPROTOOPT` on a kernel without TCP-MD5.
pub fn set_md5_key(socket: &impl AsFd, peer: SocketAddr, key: &[u8]) -> io::Result<()> {
    let option = |mut signature: Md5Signature| {
        let set = socket_option::set(socket.as_fd(), libc::IPPROTO_TCP, TCP_MD5SIG, &signature);
        signature.wipe();
        set
    };
    option(Md5Signature::new(peer, None, key).ok_or_else(too_long)?)
}

/// As [`set_md5_key`] for every peer whose address has the same first `length` bits (`TCP_MD5SIG_EXT`, Linux 4.14).
///
/// # Errors
/// As [`set_md5_key`]; `EINVAL` for a length that the address does not have.
pub fn set_md5_key_for_prefix(
    socket: &impl AsFd,
    network: SocketAddr,
    length: u8,
    key: &[u8],
) -> io::Result<()> {
    let mut signature = Md5Signature::new(network, Some(length), key).ok_or_else(too_long)?;
    let set = socket_option::set(socket.as_fd(), libc::IPPROTO_TCP, TCP_MD5SIG_EXT, &signature);
    signature.wipe();
    set
}

fn too_long() -> io::Error {
    io::Error::from_raw_os_error(libc::EINVAL)
}

/// Gives a connection up when what was sent is not acknowledged for so long (RFC 5482); zero: the system's way.
///
/// # Errors
/// Whatever the kernel answers.
pub fn set_user_timeout(socket: &impl AsFd, timeout: Duration) -> io::Result<()> {
    SockRef::from(socket).set_tcp_user_timeout(Some(timeout))
}

/// Segments that were refused without a word in this network namespace since it began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Refusals {
    /// A signature was expected and not there: the peer has no key.
    pub not_found: u64,
    /// A signature was there and not expected: we have no key.
    pub unexpected: u64,
    /// The signature was wrong: the keys differ.
    pub failure: u64,
    /// The TTL or hop limit was less than a socket takes ([`Hops::min_ttl`]).
    pub min_ttl: u64,
}

impl Refusals {
    /// What was counted since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            not_found: self.not_found.saturating_sub(before.not_found),
            unexpected: self.unexpected.saturating_sub(before.unexpected),
            failure: self.failure.saturating_sub(before.failure),
            min_ttl: self.min_ttl.saturating_sub(before.min_ttl),
        }
    }
}

/// How many segments that came to this socket were thrown away so far, for whatever reason: those that [`refusals`] counts for all
/// sockets together are among them. It wraps.
///
/// # Errors
/// Whatever the kernel answers; `ENOPROTOOPT` before Linux 4.12.
pub fn dropped(socket: &impl AsFd) -> io::Result<u32> {
    socket_option::dropped(socket.as_fd())
}

/// The counters of the calling thread's network namespace; all zero on a kernel that does not count.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn refusals() -> io::Result<Refusals> {
    Ok(counters_in(&fs::read_to_string("/proc/thread-self/net/netstat")?))
}

/// Lines come in pairs: names, then numbers in the same order.
fn counters_in(text: &str) -> Refusals {
    let mut lines = text.lines();
    let mut found = Refusals::default();
    while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
        for (name, number) in names.split_whitespace().zip(numbers.split_whitespace()) {
            let number = || number.parse().unwrap_or(0);
            match name {
                "TCPMD5NotFound" => found.not_found = number(),
                "TCPMD5Unexpected" => found.unexpected = number(),
                "TCPMD5Failure" => found.failure = number(),
                "TCPMinTTLDrop" => found.min_ttl = number(),
                _ => {}
            }
        }
    }
    found
}

/// Class selector 6 in the upper six bits: network control (RFC 4594 §3.1).
const CS6: u32 = 0xc0;
/// Connections that may wait to be taken: hundreds of neighbours may call at once, after a link of all of them came back, and who
/// finds no room calls again a second later at the earliest. It costs nothing before they call. The kernel caps it at
/// `net.core.somaxconn`, which is this by default since Linux 5.4.
const BACKLOG: c_int = 4096;
// linux/tcp.h
const TCP_MD5SIG: c_int = 14;
const TCP_MD5SIG_EXT: c_int = 32;

const _: () = assert!(size_of::<Md5Signature>() == 128 + 1 + 1 + 2 + 4 + MD5_KEY_MAX);

#[cfg(test)]
mod tests;
