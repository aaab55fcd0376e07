//! AF_XDP sockets: frames of one receive queue of a device, past the kernel's stack (kernel documentation,
//! networking/af_xdp).
//!
//! Memory of ours, in chunks of one size (*UMEM*), is what the kernel puts frames into and takes frames from. Four rings carry chunks to
//! and fro: we *fill*, the kernel gives back with a frame in it (*rx*); we put a frame into a chunk (*tx*), the kernel gives
//! it back empty (*completion*). Half of the chunks, by and large, go round on each side and never change it.
//!
//! What a device can do differs, and is asked for from the best down by the caller ([`XdpMode`]): in the driver or in the stack;
//! within the driver, without copying (*zero-copy*) or with. The kernel chooses the last by itself, and says which
//! ([`XdpSocket::is_zero_copy`]). [`XdpDevice`] is the program that gives a device's frames to sockets, for all its queues.
//!
//! A frame that does not fit a chunk comes in several (kernel 6.6), and may leave so. VLAN tags that a NIC took out and
//! checksums that a sender left open do not come with a frame: AF_XDP has no room for them. Both are for the caller to know.
//!
//! On veth, frames leave better by the program than by a socket, while the other end takes them so ([`XdpDevice::bulk`]).
//!
//! A socket survives its device going down and up. It does not survive the device being deleted; [`XdpDevice::health`] says so.

#![expect(unsafe_code, reason = "socket calls take pointers; chunks of shared memory become slices")]

mod options;
mod ring;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

pub use options::{XdpOptions, XdpStatistics};

use crate::PacketSocket;
use crate::bpf::{Attached, Bulk, BulkSender, Claim, XdpMode};
use crate::mmap::Mapping;
use crate::netdev::XdpFeatures;
use crate::{interface, socket_option};
use options::Layout;
use ring::Ring;

/// Pieces that one frame may come in: a super-frame of 64 KiB does not, a jumbo frame does.
const PIECES: usize = 17;

/// A device whose frames go to sockets. It gets its frames back when this is dropped, or the process ends, however it ends.
#[derive(Debug)]
pub struct XdpDevice {
    /// Goes before the program, which may be the one that is run for others.
    bulk: Option<(BulkSender, XdpFeatures)>,
    program: Attached,
    index: u32,
    queues: u32,
    mode: XdpMode,
    /// Its driver may read and write a socket's memory itself.
    zero_copy: bool,
    watch: PacketSocket,
}

impl XdpDevice {
    /// Puts our program on device `name` of the calling thread's network namespace. Until sockets are open
    /// ([`XdpSocket::open`]), all frames are the kernel's as before. With `bulk`, it sends with the others that share it where the device can.
    ///
    /// # Errors
    /// `EPERM` without `CAP_BPF`, `CAP_NET_ADMIN` and `CAP_NET_RAW`; `EBUSY` when it has another program; `EOPNOTSUPP` when its driver cannot;
    /// `ERANGE` when it cannot with this MTU; `EINVAL` on kernels before 5.9; `ENODEV` without that device.
    pub fn attach(name: &str, claim: &Claim, mode: XdpMode, bulk: Option<&Bulk>) -> io::Result<Self> {
        let index = interface::index(name)?;
        let queues = interface::receive_queues(name)?.clamp(1, QUEUES);
        let watch = PacketSocket::watch(index)?;
        let wanted = mode == XdpMode::Native && queues == 1;
        let bulk = bulk.filter(|_| wanted).and_then(|bulk| prepare_bulk(name, index, bulk));
        let attach = |sender| settled(|| Attached::new(index, claim, queues, mode, sender));
        let (program, bulk) = match bulk.as_ref().map(|(sender, _)| attach(Some(sender))) {
            Some(Ok(program)) => (program, bulk),
            Some(Err(why)) if why.kind() == io::ErrorKind::ResourceBusy => return Err(why),
            // Whatever else stands in the way of sending so must not be in the way of the rest.
            Some(Err(_)) | None => (attach(None)?, None),
        };
        if let (Some((sender, _)), Ok(program)) = (&bulk, program.program()) {
            sender.runs(program);
        }
        let asked = bulk.as_ref().map(|(_, features)| features.has_zero_copy());
        let zero_copy = mode == XdpMode::Native && asked.unwrap_or_else(|| has_zero_copy(name, index));
        Ok(Self { program, index, queues, mode, zero_copy, watch, bulk })
    }

    /// What sends frames in bulk, where the driver can at the moment: on veth, while the other end takes them so.
    pub fn bulk(&mut self) -> Option<&mut BulkSender> {
        let able = self.sends_in_bulk();
        self.bulk.as_mut().filter(|_| able).map(|(sender, _)| sender)
    }

    /// Whether [`Self::bulk`] has something.
    #[must_use]
    pub fn sends_in_bulk(&self) -> bool {
        self.bulk.as_ref().is_some_and(|(sender, features)| features.sends_in_bulk() && !sender.has_ended())
    }

    /// Sends all that waits to leave in bulk, also by devices that share calls with this one, and also when this one cannot any more.
    pub fn flush_bulk(&mut self) {
        // Why not, if so, shows in what was lost, and in that nothing is sent so any more.
        self.bulk.as_mut().and_then(|(sender, _)| sender.flush());
    }

    /// Frames that were taken to be sent in bulk and were not.
    #[must_use]
    pub fn lost_in_bulk(&self) -> u64 {
        self.bulk.as_ref().map_or(0, |(sender, _)| sender.lost())
    }

    /// What tells that [`Self::bulk`] may have changed, by being readable; [`Self::look_at_bulk`] then finds out.
    #[must_use]
    pub fn bulk_changes(&self) -> Option<BorrowedFd<'_>> {
        self.bulk.as_ref().map(|(_, features)| features.as_fd())
    }

    /// Finds out whether the driver can send in bulk now.
    pub fn look_at_bulk(&mut self) {
        if let Some((_, features)) = &mut self.bulk {
            features.refresh();
        }
    }

    /// How many receive queues it has: each wants a socket.
    #[must_use]
    pub const fn queues(&self) -> u32 {
        self.queues
    }

    /// Takes the error that the kernel left, if any: the device went down or away. Its descriptor is readable then; those of the
    /// sockets are not.
    ///
    /// # Errors
    /// As [`PacketSocket::health`].
    pub fn health(&self) -> io::Result<()> {
        self.watch.health()
    }
}

impl AsFd for XdpDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// An AF_XDP socket of one queue of a device, with its memory.
#[derive(Debug)]
pub struct XdpSocket {
    socket: OwnedFd,
    memory: Mapping,
    chunk: usize,
    rx: Ring<libc::xdp_desc>,
    fill: Ring<u64>,
    tx: Ring<libc::xdp_desc>,
    completion: Ring<u64>,
    /// Chunks to send with.
    free: Vec<u64>,
    /// The frame that was last received: its pieces. Their chunks go back to the kernel with the next call.
    pieces: [libc::xdp_desc; PIECES],
    held: usize,
    too_long: u64,
    zero_copy: bool,
}

/// What became of frames that were to be sent.
#[derive(Debug)]
#[must_use = "frames after `taken` were not sent"]
pub struct XdpSent {
    /// How many frames from the front were put into the ring.
    pub taken: usize,
    /// How many of them the device had no room for; the kernel does not say which.
    pub refused: u64,
    /// Why the kernel stopped; what is in the ring leaves with a later call.
    pub stopped: Option<io::Error>,
}

impl XdpSocket {
    /// Opens a socket on receive and transmit queue `queue` of `device`, which gives it that queue's frames from now on.
    ///
    /// # Errors
    /// `EINVAL` when there is no such queue, `EBUSY` when somebody else has it, `ENOBUFS` when so much memory may not be
    /// locked (`CAP_IPC_LOCK`, `RLIMIT_MEMLOCK`), `EPERM` without `CAP_NET_RAW`, `EAFNOSUPPORT` without AF_XDP in the kernel.
    pub fn open(device: &XdpDevice, queue: u32, options: &XdpOptions) -> io::Result<Self> {
        let layout = Layout::of(options, device.zero_copy);
        let memory = Mapping::own(layout.octets())?;
        let socket = new_socket()?;
        let fd = socket.as_fd();
        let area = libc::xdp_umem_reg {
            addr: memory.address(),
            len: u64::try_from(memory.octets()).map_err(io::Error::other)?,
            chunk_size: u32::try_from(layout.chunk).map_err(io::Error::other)?,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        set(fd, libc::XDP_UMEM_REG, &area)?;
        for (name, entries) in [
            (libc::XDP_UMEM_FILL_RING, layout.receive),
            (libc::XDP_UMEM_COMPLETION_RING, layout.send),
            (libc::XDP_RX_RING, layout.receive),
            (libc::XDP_TX_RING, layout.send),
        ] {
            set(fd, name, &i32::try_from(entries).map_err(io::Error::other)?)?;
        }
        // Frames that one call may send; before 6.17 it is 32, and more calls are made.
        let _known = set(fd, XDP_MAX_TX_SKB_BUDGET, &SEND_AT_ONCE);
        let at = offsets(fd)?;
        let page = |page: u64| libc::off_t::try_from(page).map_err(io::Error::other);
        let mut this = Self {
            rx: Ring::map(fd, libc::XDP_PGOFF_RX_RING, at.rx, layout.receive)?,
            fill: Ring::map(fd, page(libc::XDP_UMEM_PGOFF_FILL_RING)?, at.fr, layout.receive)?,
            tx: Ring::map(fd, libc::XDP_PGOFF_TX_RING, at.tx, layout.send)?,
            completion: Ring::map(fd, page(libc::XDP_UMEM_PGOFF_COMPLETION_RING)?, at.cr, layout.send)?,
            free: layout.sending().collect(),
            memory,
            chunk: layout.chunk,
            pieces: [libc::xdp_desc { addr: 0, len: 0, options: 0 }; PIECES],
            held: 0,
            too_long: 0,
            zero_copy: false,
            socket,
        };
        layout.receiving().for_each(|chunk| this.fill.write(chunk));
        this.fill.publish();
        this.bind(device, queue, layout.pieces)?;
        device.program.set_socket(queue, this.socket.as_fd())?;
        Ok(this)
    }

    fn bind(&mut self, device: &XdpDevice, queue: u32, pieces: bool) -> io::Result<()> {
        let copy = match device.mode {
            XdpMode::Generic => libc::XDP_COPY,
            XdpMode::Native => 0,
        };
        let several = if pieces { libc::XDP_USE_SG } else { 0 };
        let address = libc::sockaddr_xdp {
            sxdp_family: u16::try_from(libc::AF_XDP).map_err(io::Error::other)?,
            sxdp_flags: libc::XDP_USE_NEED_WAKEUP | copy | several,
            sxdp_ifindex: device.index,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        };
        settled(|| bind(self.socket.as_fd(), &address))?;
        let options: libc::xdp_options =
            read(self.socket.as_fd(), libc::XDP_OPTIONS, libc::xdp_options { flags: 0 })?;
        self.zero_copy = options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0;
        Ok(())
    }

    /// Whether the device reads and writes our memory itself.
    #[must_use]
    pub const fn is_zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// The next frame that arrived, until the next call.
    pub fn next_frame(&mut self) -> Option<XdpFrame<'_>> {
        self.refill();
        loop {
            let count = self.gather()?;
            self.give_up_beyond(count);
            self.rx.advance(u32::try_from(count).unwrap_or(u32::MAX));
            self.held = count.min(PIECES);
            if count <= PIECES {
                break;
            }
            self.too_long += 1;
            self.refill();
        }
        let pieces = self.pieces.get(..self.held)?;
        Some(XdpFrame { memory: &self.memory, pieces })
    }

    /// Whether something that was given to [`Self::send`] has still to leave.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.tx.is_behind()
    }

    /// Whether at least `part` of `whole` of the receive ring waits for us.
    #[must_use]
    pub fn is_filled(&self, part: u32, whole: u32) -> bool {
        let (waiting, size) = self.rx.filling();
        u64::from(waiting) * u64::from(whole) >= u64::from(size) * u64::from(part)
    }

    /// Entries of the receive ring: frames, or pieces of long ones.
    #[must_use]
    pub fn depth(&self) -> usize {
        usize::try_from(self.rx.filling().1).unwrap_or(usize::MAX)
    }

    /// Looks for a whole frame, and how many pieces it has, of which `pieces` takes the first. Takes nothing: one whose end is not there
    /// yet is looked at again.
    fn gather(&mut self) -> Option<usize> {
        let mut waiting = self.rx.waiting();
        let mut count = 0;
        loop {
            let ahead = u32::try_from(count).ok()?;
            if ahead == waiting {
                waiting = if count > 0 { self.rx.look() } else { 0 };
                if ahead >= waiting {
                    return None;
                }
            }
            let piece = self.rx.peek(ahead)?;
            if let Some(place) = self.pieces.get_mut(count) {
                *place = piece;
            }
            count += 1;
            if piece.options & libc::XDP_PKT_CONTD == 0 {
                return Some(count);
            }
        }
    }

    /// Of the `count` pieces of a whole frame, the chunks of those that do not fit `pieces` go back to the kernel.
    fn give_up_beyond(&mut self, count: usize) {
        for ahead in PIECES..count {
            let piece = u32::try_from(ahead).ok().and_then(|ahead| self.rx.peek(ahead));
            if let Some(piece) = piece {
                self.fill.write(self.chunk_of(piece.addr));
            }
        }
    }

    /// Chunks of the frame that was last received go back to the kernel. There is room for all of them: no more were ever given out.
    fn refill(&mut self) {
        for at in 0..core::mem::take(&mut self.held) {
            if let Some(piece) = self.pieces.get(at) {
                let chunk = self.chunk_of(piece.addr);
                self.fill.write(chunk);
            }
        }
    }

    /// The beginning of the chunk that this address is in.
    fn chunk_of(&self, address: u64) -> u64 {
        address & !(u64::try_from(self.chunk).unwrap_or(1) - 1)
    }

    /// Gives what was received back to the kernel. To be called when [`Self::next_frame`] had no more, or enough was taken.
    pub fn release(&mut self) {
        self.refill();
        self.rx.give_back();
        self.fill.publish();
        if self.fill.wants_waking() {
            // SAFETY: no buffer, no address; it only tells the driver to look at the fill ring.
            unsafe {
                libc::recvfrom(
                    self.socket.as_raw_fd(),
                    std::ptr::null_mut(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                )
            };
        }
    }

    /// Copies frames into the ring as long as there is room, and has the kernel send them.
    pub fn send<'a>(&mut self, frames: impl IntoIterator<Item = &'a [u8]>) -> XdpSent {
        self.reclaim();
        let mut taken = 0;
        let mut room = usize::try_from(self.tx.room()).unwrap_or(0);
        for frame in frames {
            let pieces = frame.len().div_ceil(self.chunk).max(1);
            if pieces > room.min(self.free.len()) || pieces > PIECES {
                break;
            }
            self.put(frame);
            room -= pieces;
            taken += 1;
        }
        self.tx.publish();
        let (refused, stopped) = self.kick();
        XdpSent { taken, refused, stopped }
    }

    /// One frame into as many chunks as it takes; there are enough.
    fn put(&mut self, frame: &[u8]) {
        let mut pieces = frame.chunks(self.chunk).peekable();
        while let Some(piece) = pieces.next() {
            let Some(chunk) = self.free.pop() else { return };
            let at = usize::try_from(chunk).unwrap_or(usize::MAX);
            // SAFETY: this chunk is in `free`, so the kernel has given it back or never had it.
            if let Some(place) = unsafe { self.memory.bytes_mut(at, piece.len()) } {
                place.copy_from_slice(piece);
            }
            let options = if pieces.peek().is_some() { libc::XDP_PKT_CONTD } else { 0 };
            let len = u32::try_from(piece.len()).unwrap_or(0);
            self.tx.write(libc::xdp_desc { addr: chunk, len, options });
        }
    }

    /// Has the kernel send what is in the ring. It stops at a frame that the device had no room for, which is then lost.
    fn kick(&mut self) -> (u64, Option<io::Error>) {
        let (mut refused, mut idle) = (0, 0);
        while self.tx.is_behind() && self.tx.wants_waking() {
            let Err(error) = self.wake_sender() else { break };
            match error.raw_os_error() {
                Some(libc::EBUSY) => refused += 1,
                Some(libc::EAGAIN | libc::EINTR) if idle < PATIENCE => idle += 1,
                _ => return (refused, Some(error)),
            }
        }
        (refused, None)
    }

    fn wake_sender(&self) -> io::Result<()> {
        let fd = self.socket.as_raw_fd();
        // SAFETY: no buffer, no address; it only tells the kernel to look at the transmit ring.
        let code = unsafe { libc::sendto(fd, std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
        if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Takes back the chunks whose frames have left.
    fn reclaim(&mut self) {
        let count = self.completion.look();
        for ahead in 0..count {
            let done = self.completion.peek(ahead).map(|address| self.chunk_of(address));
            // Never more than there were: the kernel is outside too.
            self.free.extend(done.filter(|_| self.free.len() < self.free.capacity()));
        }
        self.completion.advance(count);
        self.completion.give_back();
    }

    /// What the kernel counted since the socket was opened.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn statistics(&self) -> io::Result<XdpStatistics> {
        XdpStatistics::ask(self.socket.as_fd(), self.too_long)
    }
}

impl AsFd for XdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A received frame, in the kernel's chunks.
#[derive(Clone, Copy, Debug)]
pub struct XdpFrame<'a> {
    memory: &'a Mapping,
    pieces: &'a [libc::xdp_desc],
}

impl XdpFrame<'_> {
    /// Octets of it, from the destination address on.
    #[must_use]
    pub fn length(&self) -> usize {
        self.pieces.iter().map(|piece| usize::try_from(piece.len).unwrap_or(0)).sum()
    }

    /// Its octets in order, as one slice for each chunk; `None` for what does not lie in our memory.
    pub fn pieces(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.pieces.iter().map(|piece| {
            let (at, octets) = (usize::try_from(piece.addr).ok()?, usize::try_from(piece.len).ok()?);
            // SAFETY: the kernel gave us this chunk with the frame, and gets it back with `refill`, which needs the socket
            // exclusively, while this borrows it.
            unsafe { self.memory.bytes(at, octets) }
        })
    }
}

/// What it takes to send in bulk, on devices that have delivered when they return; nothing where the kernel or the driver has no such way. With
/// several queues the processor we run on would choose one, and frames could overtake each other; it is the far end's that count, which nobody
/// can see from here, and the two ends of a veth are made alike.
fn prepare_bulk(name: &str, index: u32, bulk: &Bulk) -> Option<(BulkSender, XdpFeatures)> {
    let driver = interface::driver(name).ok().filter(|driver| driver == "veth");
    driver.and_then(|_| Some((BulkSender::new(bulk, index).ok()?, XdpFeatures::watch(name, index).ok()?)))
}

/// Where the kernel cannot be asked (before 6.3), a driver is taken for one that has it: what is then too much is memory.
fn has_zero_copy(name: &str, index: u32) -> bool {
    XdpFeatures::watch(name, index).map_or_else(
        |_| interface::driver(name).is_ok_and(|driver| driver != "veth"),
        |features| features.has_zero_copy(),
    )
}

/// Tries again for a little while what another socket or program stands in the way of: the kernel lets both go a little later than
/// their owner did.
fn settled<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..SETTLE {
        match attempt() {
            Err(e) if [Some(libc::EBUSY), Some(libc::EEXIST)].contains(&e.raw_os_error()) => {
                crate::rest(PAUSE)
            }
            result => return result,
        }
    }
    attempt()
}

fn new_socket() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let fd =
        unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bind(socket: BorrowedFd<'_>, address: &libc::sockaddr_xdp) -> io::Result<()> {
    let octets = libc::socklen_t::try_from(size_of_val(address)).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length describe `address`, which outlives the call; the kernel only reads it.
    let code = unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(address).cast(), octets) };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn offsets(socket: BorrowedFd<'_>) -> io::Result<libc::xdp_mmap_offsets> {
    let none = libc::xdp_ring_offset { producer: 0, consumer: 0, desc: 0, flags: 0 };
    read(socket, libc::XDP_MMAP_OFFSETS, libc::xdp_mmap_offsets { rx: none, tx: none, fr: none, cr: none })
}

fn set<T: socket_option::Plain>(socket: BorrowedFd<'_>, name: libc::c_int, value: &T) -> io::Result<()> {
    socket_option::set(socket, libc::SOL_XDP, name, value)
}

fn read<T: socket_option::Plain>(socket: BorrowedFd<'_>, name: libc::c_int, value: T) -> io::Result<T> {
    socket_option::read(socket, libc::SOL_XDP, name, value)
}

/// Queues of a device that we open sockets for at most; with more, a NIC is to be told to use fewer (`ethtool -L`).
const QUEUES: u32 = 64;
/// `XDP_MAX_TX_SKB_BUDGET` of linux/if_xdp.h.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
const SEND_AT_ONCE: libc::c_int = 256;
/// How long the last owner's remains may stand in the way.
const SETTLE: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);
/// Times that the kernel may say that there is more to do.
const PATIENCE: u32 = 64;

#[cfg(test)]
mod bulk_tests;
#[cfg(test)]
mod pieces_tests;
#[cfg(test)]
mod tests;
