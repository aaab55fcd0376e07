//! AF_PACKET sockets: every frame of one interface, in through a ring, out in batches (packet(7)).
//!
//! The order of the set-up is the point of this file:
//!
//! 1. The socket is opened for protocol 0, so nothing is received yet; frames of other interfaces can never enter.
//! 2. Version, virtio-net header and ring are set, in this order: the kernel fixes the first two with the ring.
//! 3. Options that decide *what* comes in (`PACKET_IGNORE_OUTGOING`, a filter that takes nothing while a fanout group
//!    is joined) are set before anything can.
//! 4. Only then the socket is bound to its interface and all protocols.
//!
//! A socket survives its interface going down and up: the kernel unhooks it, leaves `ENETDOWN` for the next call of
//! [`PacketSocket::health`], and hooks it again when the interface comes up. It does not survive the interface being
//! deleted; `health` then says `ENODEV`, and the caller opens a new one when the interface is back.
#![expect(unsafe_code, reason = "a link-layer address is a C struct inside socket2's storage")]

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use libc::{c_int, c_uint};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, SockFilter, Socket, Type};

use crate::mmap::Mapping;
use crate::packet_ring::{Geometry, Overflow, RingVersion, RxRing};
use crate::{interface, socket_option};

/// How to open a [`PacketSocket`].
#[derive(Clone, Debug)]
pub struct PacketOptions {
    /// The interface's name in the namespace of the calling thread.
    pub interface: String,
    /// The ring's layout.
    pub ring: RingVersion,
    /// The longest frame that a cell of the ring must hold, in octets from the Ethernet header on, without tags.
    /// V3 cells hold 64 KiB in any case.
    pub max_frame: usize,
    /// V2: receive longer frames whole as well ([`crate::RxFrame::take_whole`]), and let that many octets of them
    /// wait. The kernel doubles the number (`SO_RCVBUF`, socket(7)) and counts frames with its own overhead, so it is
    /// about the octets of payload that may wait. Much more than the reader needs to catch up only costs cache.
    pub overflow: Option<usize>,
    /// About how many octets of kernel memory the ring may take.
    pub ring_octets: usize,
    /// Exchange a virtio-net header with each frame: checksums and segmentation are then left to whoever is last.
    pub vnet_header: bool,
    /// Share the interface's frames with other sockets of the same group.
    pub fanout: Option<Fanout>,
    /// Send without the interface's queueing discipline. Then the kernel does not segment either: a super-frame that
    /// the device cannot take whole is lost with `ENOBUFS`. And captures on this interface do not see what is sent.
    /// On veth it brings nothing (`examples/packet_rates.rs`); on a NIC with a discipline it saves its lock.
    pub qdisc_bypass: bool,
    /// Do not receive what this machine sends.
    pub ignore_outgoing: bool,
    /// Receive frames for any unicast address.
    pub promiscuous: bool,
    /// Receive frames for any group address.
    pub all_multicast: bool,
    /// Octets that may wait in the kernel to be sent; `None` leaves the system's default.
    pub send_buffer: Option<usize>,
}

impl PacketOptions {
    /// Everything of `interface` whole: V2 with cells for an MTU of 1500 and super-frames beside it, virtio-net headers,
    /// own frames ignored, promiscuous, through the queueing discipline.
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            ring: RingVersion::V2,
            max_frame: 1514,
            overflow: Some(4 << 20),
            ring_octets: 4 << 20,
            vnet_header: true,
            fanout: None,
            qdisc_bypass: false,
            ignore_outgoing: true,
            promiscuous: true,
            all_multicast: true,
            send_buffer: Some(4 << 20),
        }
    }
}

/// A group of sockets that share one interface's frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fanout {
    /// The group's number, of the caller's choosing; unique in the network namespace.
    pub group: u16,
    /// How a frame finds its socket.
    pub mode: FanoutMode,
}

/// How frames are shared within a [`Fanout`] group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FanoutMode {
    /// By flow: addresses and ports, as the kernel's flow hash sees them.
    Hash,
    /// By the processor that received it.
    Cpu,
    /// In turn.
    LoadBalance,
}

/// What the kernel counted for one socket since it was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// Frames put into the ring.
    pub packets: u64,
    /// Frames that found the ring full.
    pub drops: u64,
    /// V3: times that the ring stood still because the next block was not free.
    pub freezes: u64,
}

/// A packet socket bound to one interface. It closes when it and its ring are dropped.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Arc<Socket>,
    index: u32,
    total: Cell<Statistics>,
    gone: Cell<bool>,
}

impl PacketSocket {
    /// Opens a socket on `options.interface` of the calling thread's network namespace, with its receive ring.
    ///
    /// The interface may be down; then the first [`PacketSocket::health`] says so, and frames come once it is up.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`, `ENODEV` without that interface, `ENOMEM` when the ring is too large,
    /// `EINVAL` when another member of the fanout group has another mode.
    pub fn open(options: &PacketOptions) -> io::Result<(Self, RxRing)> {
        let index = interface::index(&options.interface)?;
        let socket = Socket::new_raw(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        let this = Self { socket: Arc::new(socket), index, total: Cell::default(), gone: Cell::new(false) };
        let version = match options.ring {
            RingVersion::V2 => TPACKET_V2,
            RingVersion::V3 { .. } => TPACKET_V3,
        };
        this.set(libc::PACKET_VERSION, &version)?;
        this.set(libc::PACKET_VNET_HDR, &c_int::from(options.vnet_header))?;
        let geometry = Geometry::new(options.ring, options.max_frame, options.ring_octets);
        let mapping = this.map_ring(geometry)?;
        if let Some(octets) = options.overflow {
            this.set(libc::PACKET_COPY_THRESH, &1)?;
            this.set_receive_buffer(octets)?;
        }
        this.set(libc::PACKET_QDISC_BYPASS, &c_int::from(options.qdisc_bypass))?;
        this.set_ignore_outgoing(options.ignore_outgoing)?;
        if let Some(octets) = options.send_buffer {
            this.set_send_buffer(octets)?;
        }
        this.join(options)?;
        let ring = this.ring(mapping, geometry, options);
        Ok((this, ring))
    }

    /// Goes on with the socket of a predecessor in another process, which [`PacketSocket::open`] opened with these options, and
    /// its ring, whose memory both share. Nothing of it may be read before [`RxRing::resume`].
    ///
    /// # Errors
    /// `ENODEV` when it is bound to another interface than the one that has the name now; `EINVAL` when the ring has another
    /// size than these options make.
    pub fn adopt(socket: OwnedFd, options: &PacketOptions) -> io::Result<(Self, RxRing)> {
        let index = interface::index(&options.interface)?;
        let socket = Arc::new(Socket::from(socket));
        let this = Self { socket, index, total: Cell::default(), gone: Cell::new(false) };
        if !this.is_bound()? {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        let geometry = Geometry::new(options.ring, options.max_frame, options.ring_octets);
        let mapping = Mapping::new(this.as_fd(), geometry.octets())?;
        let ring = this.ring(mapping, geometry, options);
        Ok((this, ring))
    }

    fn ring(&self, mapping: Mapping, geometry: Geometry, options: &PacketOptions) -> RxRing {
        let ring = RxRing::new(mapping, geometry, options.vnet_header, options.ignore_outgoing);
        let overflow = options.overflow.filter(|_| options.ring == RingVersion::V2);
        match overflow {
            Some(_) => ring.with_overflow(Overflow::new(Arc::clone(&self.socket), options.vnet_header)),
            None => ring,
        }
    }

    /// Opens a socket that only sends on `interface`: no ring, nothing is received.
    ///
    /// # Errors
    /// As [`PacketSocket::open`].
    pub fn open_for_sending(options: &PacketOptions) -> io::Result<Self> {
        let index = interface::index(&options.interface)?;
        let socket = Socket::new_raw(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        let this = Self { socket: Arc::new(socket), index, total: Cell::default(), gone: Cell::new(false) };
        this.set(libc::PACKET_VNET_HDR, &c_int::from(options.vnet_header))?;
        this.set(libc::PACKET_QDISC_BYPASS, &c_int::from(options.qdisc_bypass))?;
        if let Some(octets) = options.send_buffer {
            this.set_send_buffer(octets)?;
        }
        this.bind(0)?;
        Ok(this)
    }

    /// Opens a socket that receives and sends nothing: it keeps the device's address filter open to every frame, and it hears
    /// ([`PacketSocket::health`]) when the device goes down or away, which sockets of other families do not.
    ///
    /// # Errors
    /// As [`PacketSocket::open`].
    pub(crate) fn watch(index: u32) -> io::Result<Self> {
        let socket = Socket::new_raw(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&[SockFilter::new(BPF_RETURN, 0, 0, 0)])?;
        let this = Self { socket: Arc::new(socket), index, total: Cell::default(), gone: Cell::new(false) };
        this.add_membership(libc::PACKET_MR_PROMISC)?;
        this.add_membership(libc::PACKET_MR_ALLMULTI)?;
        this.bind(NOBODYS)?;
        Ok(this)
    }

    /// The index of the interface that the socket was bound to.
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.index
    }

    /// Takes the error that the kernel left for this socket, if any. After an error from `epoll` this call is what
    /// clears it.
    ///
    /// # Errors
    /// `ENETDOWN` once after the interface went down; `ENODEV` always after it was deleted. Deleting takes an interface
    /// down first: who asks between the two hears `ENETDOWN` only, and learns the rest from sending or from netlink.
    pub fn health(&self) -> io::Result<()> {
        if let Some(error) = self.socket.take_error()? {
            // The kernel says ENETDOWN for both; a deleted interface has also left the socket's address.
            if self.is_bound()? {
                return Err(error);
            }
            self.gone.set(true);
        }
        if self.gone.get() { Err(io::Error::from_raw_os_error(libc::ENODEV)) } else { Ok(()) }
    }

    /// What the kernel counted for this socket since it was opened. Asking also clears [`crate::RxFrame::losing`].
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn statistics(&self) -> io::Result<Statistics> {
        let empty = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
        let now = socket_option::read(self.as_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, empty)?;
        // The kernel counts dropped frames as packets too, and starts from zero after each question.
        let before = self.total.get();
        let total = Statistics {
            packets: before.packets + u64::from(now.tp_packets.saturating_sub(now.tp_drops)),
            drops: before.drops + u64::from(now.tp_drops),
            freezes: before.freezes + u64::from(now.tp_freeze_q_cnt),
        };
        self.total.set(total);
        Ok(total)
    }

    fn map_ring(&self, geometry: Geometry) -> io::Result<Mapping> {
        let count = |n: usize| c_uint::try_from(n).map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM));
        let block = count(geometry.block)?;
        let blocks = count(geometry.blocks)?;
        let slot = count(geometry.slot)?;
        let slots = count(geometry.slots_per_block().saturating_mul(geometry.blocks))?;
        match geometry.version {
            RingVersion::V2 => {
                let request = libc::tpacket_req {
                    tp_block_size: block,
                    tp_block_nr: blocks,
                    tp_frame_size: slot,
                    tp_frame_nr: slots,
                };
                self.set(libc::PACKET_RX_RING, &request)?;
            }
            RingVersion::V3 { retire } => {
                let request = libc::tpacket_req3 {
                    tp_block_size: block,
                    tp_block_nr: blocks,
                    tp_frame_size: slot,
                    tp_frame_nr: slots,
                    tp_retire_blk_tov: c_uint::try_from(retire.as_millis()).unwrap_or(c_uint::MAX).max(1),
                    tp_sizeof_priv: 0,
                    tp_feature_req_word: 0,
                };
                self.set(libc::PACKET_RX_RING, &request)?;
            }
        }
        Mapping::new(self.as_fd(), geometry.octets())
    }

    /// Kernels before 4.20 do not know the option; the ring then skips such frames by their packet type.
    fn set_ignore_outgoing(&self, ignore: bool) -> io::Result<()> {
        match self.set(libc::PACKET_IGNORE_OUTGOING, &c_int::from(ignore)) {
            Err(e) if e.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
            result => result,
        }
    }

    /// As [`Self::set_send_buffer`].
    fn set_receive_buffer(&self, octets: usize) -> io::Result<()> {
        setsockopt(&*self.socket, sockopt::RcvBufForce, &octets)
            .or_else(|_| self.socket.set_recv_buffer_size(octets))
    }

    /// Beyond the system's maximum when privileged, as much as it allows otherwise.
    fn set_send_buffer(&self, octets: usize) -> io::Result<()> {
        setsockopt(&*self.socket, sockopt::SndBufForce, &octets)
            .or_else(|_| self.socket.set_send_buffer_size(octets))
    }

    /// Binds to the interface, and joins what decides which frames come in.
    fn join(&self, options: &PacketOptions) -> io::Result<()> {
        if options.promiscuous {
            self.add_membership(libc::PACKET_MR_PROMISC)?;
        }
        if options.all_multicast {
            self.add_membership(libc::PACKET_MR_ALLMULTI)?;
        }
        let Some(fanout) = options.fanout else { return self.bind(libc::ETH_P_ALL) };
        // Between bind and join this socket would receive what the group's other members receive as well.
        self.socket.attach_filter(&[SockFilter::new(BPF_RETURN, 0, 0, 0)])?;
        self.bind(libc::ETH_P_ALL)?;
        self.join_fanout(fanout, options.ignore_outgoing)?;
        self.socket.detach_filter()
    }

    fn join_fanout(&self, fanout: Fanout, ignore_outgoing: bool) -> io::Result<()> {
        let mode = match fanout.mode {
            FanoutMode::Hash => libc::PACKET_FANOUT_HASH,
            FanoutMode::Cpu => libc::PACKET_FANOUT_CPU,
            FanoutMode::LoadBalance => libc::PACKET_FANOUT_LB,
        };
        // The group has a hook of its own, so it must be told again what it ignores; before 5.8 it cannot be.
        let ignore = if ignore_outgoing { libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING } else { 0 };
        let request = |flags: c_uint| {
            let word = c_uint::from(fanout.group) | (mode | flags) << 16;
            self.set(libc::PACKET_FANOUT, &c_int::from_ne_bytes(word.to_ne_bytes()))
        };
        match request(ignore) {
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) && ignore != 0 => request(0),
            result => result,
        }
    }

    fn add_membership(&self, kind: c_int) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: c_int::try_from(self.index).map_err(io::Error::other)?,
            mr_type: libc::c_ushort::try_from(kind).map_err(io::Error::other)?,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Binds to the interface for `protocol` (an `ETH_P_` constant); 0 receives nothing.
    fn bind(&self, protocol: c_int) -> io::Result<()> {
        let protocol = u16::try_from(protocol).map_err(io::Error::other)?;
        let ifindex = c_int::try_from(self.index).map_err(io::Error::other)?;
        let address = libc::sockaddr_ll {
            sll_family: AF_PACKET,
            sll_protocol: protocol.to_be(),
            sll_ifindex: ifindex,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let mut storage = SockAddrStorage::zeroed();
        // SAFETY: a sockaddr_ll is an address type of this platform and fits the storage.
        *unsafe { storage.view_as::<libc::sockaddr_ll>() } = address;
        // SAFETY: the storage holds a sockaddr_ll with its family, of this length.
        let address = unsafe { SockAddr::new(storage, LINK_ADDRESS_OCTETS) };
        self.socket.bind(&address)
    }

    /// Whether the interface that we bound to still exists: the kernel takes the index out of the address when not.
    fn is_bound(&self) -> io::Result<bool> {
        let address = self.socket.local_addr()?;
        if address.family() != AF_PACKET || address.len() < LINK_ADDRESS_OCTETS.saturating_sub(8) {
            return Ok(false);
        }
        // SAFETY: the storage is larger than a sockaddr_ll, aligned for it, and wholly initialised; the family says
        // that it holds one.
        let address = unsafe { &*address.as_ptr().cast::<libc::sockaddr_ll>() };
        Ok(u32::try_from(address.sll_ifindex).is_ok_and(|index| index == self.index))
    }

    fn set<T: socket_option::Plain>(&self, name: c_int, value: &T) -> io::Result<()> {
        socket_option::set(self.as_fd(), libc::SOL_PACKET, name, value)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `enum tpacket_versions` of linux/if_packet.h.
const TPACKET_V2: c_int = 1;
const TPACKET_V3: c_int = 2;

/// An EtherType for local experiments (IEEE 802 §9.2.4): only frames of a type that nearly nobody sends are even looked at.
const NOBODYS: c_int = 0x88b6;

/// Classic BPF `ret #k`.
const BPF_RETURN: u16 = 0x06;

#[expect(clippy::as_conversions, reason = "constants: 17 and 20")]
const AF_PACKET: libc::sa_family_t = libc::AF_PACKET as libc::sa_family_t;
#[expect(clippy::as_conversions, reason = "constants: 17 and 20")]
const LINK_ADDRESS_OCTETS: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;

#[cfg(test)]
mod tests;
