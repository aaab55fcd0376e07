//! What a device can do with XDP, asked of the kernel (kernel documentation, netlink/specs/netdev.yaml; since 6.3), and told
//! by it when that changes.
//!
//! It changes while we run: whether a veth takes frames in bulk depends on what its other end is doing.
//!
//! A message is a header (`struct nlmsghdr`), a second one (`struct genlmsghdr`) and attributes of length, type and value,
//! each on a multiple of four. Whatever the kernel says that is not so is passed over.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

use crate::{interface, socket_option};

/// What one device can do with XDP.
///
/// A veth takes frames in bulk while its other end has a program, or GRO; wanted is a program only. With GRO alone, frames would lie in the
/// sockets of the other end, and those that a socket sent would take another way there. A program at the other end has the kernel turn TSO
/// off on this one, which tells the two apart.
#[derive(Debug)]
pub(crate) struct XdpFeatures {
    name: String,
    socket: OwnedFd,
    family: u16,
    device: u32,
    sends_in_bulk: bool,
    zero_copy: bool,
}

impl XdpFeatures {
    /// Asks about the device of this name and index in the calling thread's network namespace, and listens from now on.
    ///
    /// # Errors
    /// `ENOENT` on kernels before 6.3, `ENODEV` without that device; what the kernel answers otherwise.
    pub(crate) fn watch(name: &str, device: u32) -> io::Result<Self> {
        // What the kernel answers waits here when the call that asked returns, so nothing here waits for anything.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket =
            socket(AddressFamily::Netlink, SockType::Raw, flags, Some(SockProtocol::NetlinkGeneric))?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        let (family, group) = family(socket.as_fd())?;
        socket_option::set(socket.as_fd(), libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &group)?;
        let mut this =
            Self { name: name.to_owned(), socket, family, device, sends_in_bulk: false, zero_copy: false };
        this.ask()?;
        Ok(this)
    }

    /// Whether it sends frames in bulk now, as far as was heard.
    pub(crate) const fn sends_in_bulk(&self) -> bool {
        self.sends_in_bulk
    }

    /// Whether its driver knows how to read and write a socket's memory itself. Whether it does is seen once a socket is bound.
    pub(crate) const fn has_zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Takes what the kernel has told since. [`Self::as_fd`] is readable when there is something.
    pub(crate) fn refresh(&mut self) {
        // It had more to tell than there was room for, and answers nothing before the rest is taken.
        if self.take_all().is_err() {
            self.sends_in_bulk = false;
            let _rest = self.take_all();
            let _unknown_is_no = self.ask();
        }
    }

    fn ask(&mut self) -> io::Result<()> {
        let attribute = attribute(NETDEV_A_DEV_IFINDEX, &self.device.to_ne_bytes());
        send_to_kernel(self.socket.as_fd(), self.family, NETDEV_CMD_DEV_GET, &attribute)?;
        self.take_all()
    }

    /// Hears everything that waits.
    ///
    /// # Errors
    /// `ENOBUFS` when something was lost; an answer that says no.
    fn take_all(&mut self) -> io::Result<()> {
        let mut octets = [0; MESSAGE];
        loop {
            match recv(self.socket.as_raw_fd(), &mut octets, MsgFlags::empty()) {
                Ok(count) => {
                    let message = octets.get(..count).unwrap_or_default();
                    refusal(message).map_or(Ok(()), Err)?;
                    self.hear(message);
                }
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(why) => return Err(why.into()),
            }
        }
    }

    fn hear(&mut self, message: &[u8]) {
        let about_us = value(message, NETDEV_A_DEV_IFINDEX) == Some(&self.device.to_ne_bytes());
        if half(message, 4) != Some(self.family) || !about_us {
            return;
        }
        let features = value(message, NETDEV_A_DEV_XDP_FEATURES).and_then(|value| value.first_chunk());
        let features = features.map_or(0, |bits| u64::from_ne_bytes(*bits));
        let gone = message.get(HEADER) == Some(&NETDEV_CMD_DEV_DEL_NTF);
        self.zero_copy = features & NETDEV_XDP_ACT_XSK_ZEROCOPY != 0;
        // The kernel tells of the one and then turns off the other, and answers nobody in between.
        self.sends_in_bulk = !gone
            && features & NETDEV_XDP_ACT_NDO_XMIT != 0
            && interface::leaves_tcp_whole(&self.name).is_ok_and(|on| !on);
    }
}

impl AsFd for XdpFeatures {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The number of the family `netdev`, and of its group that hears of changes.
fn family(socket: BorrowedFd<'_>) -> io::Result<(u16, libc::c_int)> {
    send_to_kernel(socket, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &attribute(CTRL_ATTR_FAMILY_NAME, b"netdev\0"))?;
    let mut octets = [0; MESSAGE];
    let count = recv(socket.as_raw_fd(), &mut octets, MsgFlags::empty())?;
    let message = octets.get(..count).unwrap_or_default();
    if let Some(error) = refusal(message) {
        return Err(error);
    }
    let number = value(message, CTRL_ATTR_FAMILY_ID).and_then(|value| half(value, 0));
    let groups = value(message, CTRL_ATTR_MCAST_GROUPS).unwrap_or_default();
    let group = attributes(groups).find_map(|(_, group)| {
        let part = |kind| attributes(group).find(|(each, _)| *each == kind).map(|(_, value)| value);
        part(CTRL_ATTR_MCAST_GRP_NAME).filter(|name| *name == b"mgmt\0")?;
        libc::c_int::try_from(word(part(CTRL_ATTR_MCAST_GRP_ID)?, 0)?).ok()
    });
    number.zip(group).ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
}

fn send_to_kernel(socket: BorrowedFd<'_>, kind: u16, command: u8, attribute: &[u8]) -> io::Result<()> {
    let length = u32::try_from(HEADER + 4 + attribute.len()).map_err(io::Error::other)?;
    let mut message = Vec::with_capacity(64);
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend(OURS.to_ne_bytes());
    message.extend([0; 4]);
    message.extend([command, 1, 0, 0]);
    message.extend(attribute);
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    Ok(())
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut octets = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    octets.extend(value);
    octets.resize(octets.len().next_multiple_of(4), 0);
    octets
}

/// The error that the kernel answers with, if it does.
fn refusal(message: &[u8]) -> Option<io::Error> {
    let code = word(message, HEADER).filter(|_| half(message, 4) == Some(NLMSG_ERROR))?;
    Some(io::Error::from_raw_os_error(i32::from_ne_bytes(code.to_ne_bytes()).wrapping_neg()))
}

/// The value of an attribute of a message.
fn value(message: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(message.get(HEADER + 4..)?).find(|(each, _)| *each == kind).map(|(_, value)| value)
}

fn attributes(mut octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let length = usize::from(half(octets, 0)?);
        let (kind, value) = (half(octets, 2)? & TYPE, octets.get(4..length)?);
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn half(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn word(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// Octets of `struct nlmsghdr`.
const HEADER: usize = 16;
/// More than any message here has.
const MESSAGE: usize = 8192;
/// The sequence number of what we ask; what the kernel tells unasked has 0.
const OURS: u32 = 1;
// linux/netlink.h
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const TYPE: u16 = 0x3fff;
// linux/genetlink.h
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;
// linux/netdev.h
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_CMD_DEV_DEL_NTF: u8 = 3;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_XDP_ACT_NDO_XMIT: u64 = 4;
const NETDEV_XDP_ACT_XSK_ZEROCOPY: u64 = 8;

#[cfg(test)]
mod tests {
    use nix::sys::socket::{setsockopt, sockopt};

    use super::*;
    use crate::bpf::{Attached, Claim, XdpMode};
    use crate::testbed::in_new_namespace;

    // More news than the socket has room for: nothing waits for ever, and the truth is known afterwards.
    #[test]
    fn after_too_much_news_it_asks_again() {
        in_new_namespace(|bed| {
            bed.veth("a", "b");
            let [a, b] = ["a", "b"].map(|name| interface::index(name).unwrap());
            let mut features = XdpFeatures::watch("a", a).unwrap();
            setsockopt(&features.socket, sockopt::RcvBuf, &1).unwrap();
            for number in 0..40 {
                bed.ip(&format!("link add name v{number} type veth peer name w{number}"));
            }
            // There is no room any more to tell of this.
            let program = Attached::new(b, &Claim::Everything, 1, XdpMode::Native, None).unwrap();
            features.refresh();
            assert!(features.sends_in_bulk());
            drop(program);
            features.refresh();
            assert!(!features.sends_in_bulk(), "it hears as before");
        });
    }

    // With GRO at the far end, frames would be taken, but lie in its sockets.
    #[test]
    fn a_far_end_without_a_program_is_not_sent_to_in_bulk() {
        in_new_namespace(|bed| {
            bed.veth("a", "b");
            let index = interface::index("a").unwrap();
            assert!(!XdpFeatures::watch("a", index).unwrap().sends_in_bulk());
            assert!(interface::leaves_tcp_whole("a").unwrap());
            assert!(XdpFeatures::watch("a", 4_000_000).is_err(), "no such device");
        });
    }
}
