//! What a device can do with XDP, asked of the kernel (kernel documentation, netlink/specs/netdev.yaml; since 6.3), and told
//! by it when that changes.
//!
//! It changes while we run: whether a veth takes frames in bulk depends on what its other end is doing.
//!
//! A message is a header (`struct nlmsghdr`), a second one (`struct genlmsghdr`) and attributes of length, type and value,
//! each on a multiple of four. Whatever the kernel says that is not so is passed over.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

use crate::socket_option;

/// What one device can do with XDP.
#[derive(Debug)]
pub(crate) struct XdpFeatures {
    socket: OwnedFd,
    family: u16,
    device: u32,
    sends_in_bulk: bool,
}

impl XdpFeatures {
    /// Asks about the device with this index in the calling thread's network namespace, and listens from now on.
    ///
    /// # Errors
    /// `ENOENT` on kernels before 6.3, `ENODEV` without that device; what the kernel answers otherwise.
    pub(crate) fn watch(device: u32) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket =
            socket(AddressFamily::Netlink, SockType::Raw, flags, Some(SockProtocol::NetlinkGeneric))?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        let (family, group) = family(socket.as_fd())?;
        socket_option::set(socket.as_fd(), libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &group)?;
        let mut this = Self { socket, family, device, sends_in_bulk: false };
        this.ask()?;
        Ok(this)
    }

    /// Whether it sends frames in bulk now, as far as was heard.
    pub(crate) const fn sends_in_bulk(&self) -> bool {
        self.sends_in_bulk
    }

    /// Takes what the kernel has told since. [`Self::as_fd`] is readable when there is something.
    pub(crate) fn refresh(&mut self) {
        let mut octets = [0; MESSAGE];
        loop {
            match recv(self.socket.as_raw_fd(), &mut octets, MsgFlags::MSG_DONTWAIT) {
                Ok(count) => self.hear(octets.get(..count).unwrap_or_default()),
                // It had more to tell than there was room for.
                Err(nix::errno::Errno::ENOBUFS) => {
                    self.sends_in_bulk = false;
                    let _unknown_is_no = self.ask();
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn ask(&mut self) -> io::Result<()> {
        let attribute = attribute(NETDEV_A_DEV_IFINDEX, &self.device.to_ne_bytes());
        send_to_kernel(self.socket.as_fd(), self.family, NETDEV_CMD_DEV_GET, &attribute)?;
        let mut octets = [0; MESSAGE];
        loop {
            // The answer stands behind whatever else was told before.
            let count = recv(self.socket.as_raw_fd(), &mut octets, MsgFlags::empty())?;
            let message = octets.get(..count).unwrap_or_default();
            if let Some(error) = refusal(message) {
                return Err(error);
            }
            self.hear(message);
            if word(message, 8) == Some(OURS) {
                return Ok(());
            }
        }
    }

    fn hear(&mut self, message: &[u8]) {
        let about_us = value(message, NETDEV_A_DEV_IFINDEX) == Some(&self.device.to_ne_bytes());
        if half(message, 4) != Some(self.family) || !about_us {
            return;
        }
        let features = value(message, NETDEV_A_DEV_XDP_FEATURES).and_then(|value| value.first_chunk());
        let gone = message.get(HEADER) == Some(&NETDEV_CMD_DEV_DEL_NTF);
        self.sends_in_bulk =
            !gone && features.is_some_and(|bits| u64::from_ne_bytes(*bits) & NETDEV_XDP_ACT_NDO_XMIT != 0);
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
