//! UDP sockets for tunnels: bound to one interface, datagrams never fragmented, several at once in both directions.
//!
//! A tunnel sends and receives many datagrams of one length. Linux takes such a *train* with one call and walks its
//! stack once for all of it (`UDP_SEGMENT`, 4.18), and hands trains over whole (`UDP_GRO`, 5.0; both in udp(7)).
//! [`UdpTrains`] is the sending half, [`UdpIntake`] the receiving one.
//!
//! Every socket sets DF and believes what routers say of the path's MTU (`IP_PMTUDISC_DO`, ip(7), ipv6(7)): a datagram
//! that is too long is refused with `EMSGSIZE`, and [`UdpSocket::path_mtu`] says what would fit. An error that came by
//! ICMP for a connected socket is told by the next call on it, which then has not sent anything: the caller asks again.
//!
//! A socket survives its interface going down and up and addresses coming and going: it is bound whether or not the
//! address is there (`IP_FREEBIND`), and a connected one looks for its route again when that changed.

mod intake;
mod trains;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libc::c_int;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::socket_option;

pub use intake::{UdpIntake, UdpReceived};
pub use trains::{Marked, TrainsSent, UdpTrains};

/// A UDP socket on one interface. It closes when dropped.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
    v6: bool,
}

impl UdpSocket {
    /// A socket that sends and receives by `device` only and whose own address is `local`.
    ///
    /// # Errors
    /// `ENODEV` when there is no such interface, `EADDRINUSE` when another socket has the address and port, `EPERM`
    /// without `CAP_NET_RAW` on kernels before 5.7.
    pub fn bind(device: &str, local: SocketAddr) -> io::Result<Self> {
        let this = Self::new(Some(device), local.ip())?;
        if this.v6 {
            this.socket.set_freebind_v6(true)?;
        } else {
            this.socket.set_freebind_v4(true)?;
        }
        this.socket.bind(&local.into())?;
        Ok(this)
    }

    /// Goes on with the socket of a predecessor in another process, with all that was set on it.
    ///
    /// # Errors
    /// `EINVAL` when it is not bound to an address of IP.
    pub fn adopt(socket: OwnedFd) -> io::Result<Self> {
        let socket = Socket::from(socket);
        let local = socket.local_addr()?.as_socket();
        let v6 = local.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?.is_ipv6();
        Ok(Self { socket, v6 })
    }

    fn new(device: Option<&str>, local: IpAddr) -> io::Result<Self> {
        let v6 = local.is_ipv6();
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if let Some(device) = device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        let this = Self { socket, v6 };
        if v6 {
            this.socket.set_only_v6(true)?;
            this.set(libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &libc::IPV6_PMTUDISC_DO)?;
        } else {
            this.set(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_DO)?;
        }
        Ok(this)
    }

    /// From now on datagrams go to `remote` and come from nowhere else.
    ///
    /// # Errors
    /// `ENETUNREACH`, `EHOSTUNREACH` and the like when there is no route now.
    pub fn connect(&self, remote: SocketAddr) -> io::Result<()> {
        self.socket.connect(&remote.into())
    }

    /// Receives nothing: what comes is dropped before it is queued.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn refuse_all(&self) -> io::Result<()> {
        self.socket.attach_filter(&[SockFilter::new(BPF_RETURN, 0, 0, 0)])
    }

    /// Receives trains whole, and datagrams over IPv6 that carry no checksum, as tunnels may (RFC 6935 §5). False when
    /// the kernel knows no trains: then each datagram comes by itself.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn receive_trains(&self) -> io::Result<bool> {
        if self.v6 {
            self.set(libc::SOL_UDP, UDP_NO_CHECK6_RX, &1)?;
        }
        match self.set(libc::SOL_UDP, UDP_GRO, &1) {
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Sets how many octets may wait in the kernel to be received and to be sent: beyond the system's maximum when
    /// privileged, as much as it allows otherwise.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn set_buffers(&self, receive: usize, send: usize) -> io::Result<()> {
        setsockopt(&self.socket, sockopt::RcvBufForce, &receive)
            .or_else(|_| self.socket.set_recv_buffer_size(receive))?;
        setsockopt(&self.socket, sockopt::SndBufForce, &send)
            .or_else(|_| self.socket.set_send_buffer_size(send))
    }

    /// The largest IP packet that the path to the connected address carries, in octets, as far as it is known.
    ///
    /// # Errors
    /// `ENOTCONN` without a connected address or a route to it.
    pub fn path_mtu(&self) -> io::Result<u32> {
        let mtu: c_int = if self.v6 {
            socket_option::read(self.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_MTU, 0)?
        } else {
            socket_option::read(self.as_fd(), libc::IPPROTO_IP, libc::IP_MTU, 0)?
        };
        u32::try_from(mtu).map_err(io::Error::other)
    }

    /// Datagrams that the kernel dropped because too many waited already, since the socket was opened.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn dropped(&self) -> io::Result<u32> {
        socket_option::dropped(self.as_fd())
    }

    fn set(&self, level: c_int, name: c_int, value: &c_int) -> io::Result<()> {
        socket_option::set(self.as_fd(), level, name, value)
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What an error of sending means for the datagrams that it met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UdpFault {
    /// Too much waits in the kernel already (`EAGAIN`).
    Full,
    /// Longer than the path carries (`EMSGSIZE`).
    TooLong,
    /// No way to the remote address (`ENETUNREACH`, `EHOSTUNREACH`, `ENETDOWN`, `EADDRNOTAVAIL`).
    NoRoute,
    /// Perhaps only refused as a train (`EIO`: the device makes no checksums; `EINVAL`: an old kernel).
    Train,
    /// The interface that the socket is bound to is gone (`ENODEV`, `ENXIO`).
    Gone,
    /// Anything else, such as what an ICMP message said of an earlier datagram.
    Other,
}

impl UdpFault {
    /// Sorts `error`.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Self::Full,
            Some(libc::EMSGSIZE) => Self::TooLong,
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL) => {
                Self::NoRoute
            }
            Some(libc::EIO | libc::EINVAL) => Self::Train,
            Some(libc::ENODEV | libc::ENXIO) => Self::Gone,
            Some(_) => Self::Other,
            None if error.kind() == io::ErrorKind::WouldBlock => Self::Full,
            None => Self::Other,
        }
    }
}

/// Whether a datagram from `local` to `remote` would find a way out by `device` now.
///
/// Over IPv4 the kernel takes every destination for a neighbour when a socket is bound to a device and there is no route,
/// so there must be a route by any device as well. Nothing is sent.
///
/// # Errors
/// What stands in the way: `EADDRNOTAVAIL` (the address is not ours), `ENETUNREACH` or `EHOSTUNREACH` (no route),
/// `ENODEV`.
pub fn route(device: &str, local: IpAddr, remote: IpAddr) -> io::Result<()> {
    for device in [Some(device), None] {
        let socket = UdpSocket::new(device, local)?;
        socket.socket.bind(&SocketAddr::new(local, 0).into())?;
        // Any port does.
        socket.connect(SocketAddr::new(remote, 9))?;
    }
    Ok(())
}

/// linux/udp.h.
const UDP_NO_CHECK6_RX: c_int = 102;
const UDP_SEGMENT: c_int = 103;
const UDP_GRO: c_int = 104;
/// Classic BPF `ret #k`.
const BPF_RETURN: u16 = 0x06;

/// The most datagrams of one train, on any kernel that knows trains (`UDP_MAX_SEGMENTS`).
const MAX_SEGMENTS: usize = 64;
/// The most octets of one train: what an IP packet's length leaves for UDP data, options aside.
const MAX_TRAIN: usize = 65_535 - 60 - 8;

#[cfg(test)]
mod tests;
