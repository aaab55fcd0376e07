//! TAP devices: a network interface whose far end is this process (tuntap.rst).
//!
//! A [`Tap`] is one queue of a device. Opening the same name again gives another queue when the device was made with
//! `multi_queue`. A device that nobody made persistent goes away with its last queue.
//!
//! With `vnet_header` the kernel hands over TCP and UDP segment trains whole and leaves checksums open, as far as
//! `offloads` says that we can take them, and it accepts the same from us. The header has 10 octets (`TUNSETVNETHDRSZ`)
//! and is kept apart from the frame in both directions.
#![expect(unsafe_code, reason = "TUNSET ioctls take pointers and integers")]

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use libc::{c_int, c_uint, c_ulong};

use crate::{VNET_HEADER_OCTETS, VnetHeader, interface};

/// How to open a [`Tap`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TapOptions {
    /// Let the device have several queues. All its queues must say the same.
    pub multi_queue: bool,
    /// Exchange a virtio-net header with each frame.
    pub vnet_header: bool,
    /// Take segment trains and open checksums from the kernel. Needs `vnet_header`.
    pub offloads: bool,
}

impl Default for TapOptions {
    /// One queue, with the header and all offloads.
    fn default() -> Self {
        Self { multi_queue: false, vnet_header: true, offloads: true }
    }
}

/// One queue of a TAP device; closes when dropped.
#[derive(Debug)]
pub struct Tap {
    file: File,
    name: String,
    vnet_header: bool,
    offloads: c_uint,
}

impl Tap {
    /// Opens a queue of the TAP device `name` of the calling thread's network namespace, making the device when there
    /// is none. An empty name lets the kernel choose one; a `%d` in it lets it choose the number.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_ADMIN` (unless the device is persistent and ours), `EBUSY` when all its queues are
    /// taken, `EINVAL` when the device exists with other options or is not a TAP, `ENOENT` without `/dev/net/tun`.
    pub fn open(name: &str, options: TapOptions) -> io::Result<Self> {
        let file =
            File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        let mut request = if name.is_empty() { interface::unnamed() } else { interface::named(name)? };
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI;
        if options.vnet_header {
            flags |= libc::IFF_VNET_HDR;
        }
        if options.multi_queue {
            flags |= libc::IFF_MULTI_QUEUE;
        }
        request.ifr_ifru.ifru_flags = interface::short_flag(flags);
        // SAFETY: TUNSETIFF takes an `ifreq` and writes the device's name into it.
        let code = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        if code < 0 {
            return Err(io::Error::last_os_error());
        }
        let name = interface::name_of(&request)?;
        let mut this = Self { file, name, vnet_header: options.vnet_header, offloads: 0 };
        if options.vnet_header {
            this.set_header_size()?;
            this.set_offloads(options.offloads)?;
        }
        Ok(this)
    }

    /// Goes on with the queue of a predecessor in another process, which [`Tap::open`] opened.
    ///
    /// # Errors
    /// `EBADFD` when it belongs to no device any more, `EINVAL` when it is no TAP.
    pub fn adopt(queue: OwnedFd) -> io::Result<Self> {
        let file = File::from(queue);
        let mut request = interface::unnamed();
        // SAFETY: TUNGETIFF writes an `ifreq`: name and flags of the device.
        let code = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNGETIFF, &raw mut request) };
        if code < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel wrote the flags into this member.
        let flags = c_int::from(unsafe { request.ifr_ifru.ifru_flags });
        if flags & libc::IFF_TAP == 0 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let vnet_header = flags & libc::IFF_VNET_HDR != 0;
        let mut this = Self { file, name: interface::name_of(&request)?, vnet_header, offloads: 0 };
        if vnet_header {
            this.set_header_size()?;
            // The same again: only to know what they are.
            this.set_offloads(true)?;
        }
        Ok(this)
    }

    /// The name of the device, as the kernel completed it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether each frame comes with a virtio-net header.
    #[must_use]
    pub fn vnet_header(&self) -> bool {
        self.vnet_header
    }

    /// Whether the kernel may hand over UDP segment trains (Linux 6.2 and later).
    #[must_use]
    pub fn takes_udp_trains(&self) -> bool {
        self.offloads & (libc::TUN_F_USO4 | libc::TUN_F_USO6) != 0
    }

    /// Takes the next frame that the host sends on this queue, and gives its length in octets. `vnet` becomes its
    /// header, all zero on a device without.
    ///
    /// A frame longer than `buffer` is cut to it (the kernel does not say so); 65,535 + 18 octets hold every frame.
    ///
    /// # Errors
    /// `EAGAIN` when there is none, `EBADFD` when the device was deleted.
    pub fn receive(&self, vnet: &mut VnetHeader, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.vnet_header {
            *vnet = [0; VNET_HEADER_OCTETS];
            return (&self.file).read(buffer);
        }
        let octets = (&self.file).read_vectored(&mut [IoSliceMut::new(vnet), IoSliceMut::new(buffer)])?;
        octets.checked_sub(VNET_HEADER_OCTETS).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
    }

    /// Gives the host the frame `data` with the header `vnet`, which is ignored on a device without headers.
    ///
    /// # Errors
    /// `EIO` when the device is down, `EBADFD` when it was deleted, `EINVAL` when frame and header do not agree or
    /// the frame is shorter than an Ethernet header, `EAGAIN` when the kernel has no memory for it now.
    pub fn send(&self, vnet: &VnetHeader, data: &[u8]) -> io::Result<()> {
        if !self.vnet_header {
            return (&self.file).write(data).map(drop);
        }
        (&self.file).write_vectored(&[IoSlice::new(vnet), IoSlice::new(data)]).map(drop)
    }

    /// Keeps the device (`true`) when its last queue closes, or lets it go.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn set_persistent(&self, persistent: bool) -> io::Result<()> {
        self.set_integer(libc::TUNSETPERSIST, c_ulong::from(persistent))
    }

    /// Says whether the device's link works, as its host side sees it (`IFF_RUNNING`). Linux 5.0 and later.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn set_carrier(&self, works: bool) -> io::Result<()> {
        let value = c_int::from(works);
        // SAFETY: TUNSETCARRIER reads one integer.
        let code = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TUNSETCARRIER, &raw const value) };
        if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn set_header_size(&self) -> io::Result<()> {
        let octets = c_int::try_from(VNET_HEADER_OCTETS).map_err(io::Error::other)?;
        // SAFETY: TUNSETVNETHDRSZ reads one integer.
        let code = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const octets) };
        if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The most that this kernel knows: with UDP trains, or without them before Linux 6.2.
    fn set_offloads(&mut self, wanted: bool) -> io::Result<()> {
        let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
        let all = tcp | libc::TUN_F_USO4 | libc::TUN_F_USO6;
        if !wanted {
            return self.set_integer(libc::TUNSETOFFLOAD, 0);
        }
        self.offloads = match self.set_integer(libc::TUNSETOFFLOAD, c_ulong::from(all)) {
            Ok(()) => all,
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                self.set_integer(libc::TUNSETOFFLOAD, c_ulong::from(tcp))?;
                tcp
            }
            Err(e) => return Err(e),
        };
        Ok(())
    }

    fn set_integer(&self, request: libc::Ioctl, value: c_ulong) -> io::Result<()> {
        // SAFETY: TUNSETOFFLOAD and TUNSETPERSIST take the integer itself, no pointer.
        let code = unsafe { libc::ioctl(self.file.as_raw_fd(), request, value) };
        if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests;
