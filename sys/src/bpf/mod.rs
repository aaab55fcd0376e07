//! bpf(2), as much of it as it takes to give frames of one device to sockets: a map of sockets, one program, and its link.
//!
//! The program decides by destination and EtherType alone ([`Claim`]); it is assembled here (`assemble`), so
//! neither a compiler nor a library is needed. It is attached by a *link*, whose descriptor this process owns: the kernel takes the
//! program off when the last descriptor is closed, also when the process is killed. A device has one program at most;
//! whoever else has one there keeps it, and we are refused with `EBUSY`.
//!
//! On devices that deliver what they are given at once, the program sends, too ([`BulkSender`]).
#![expect(unsafe_code, reason = "bpf(2) takes a union and pointers")]

mod assemble;
mod bulk;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, c_long};

pub use bulk::{Bulk, BulkSender, BulkSent};

/// Which frames of a device a program takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Claim {
    /// What is for one station. The rest stays the kernel's.
    Station {
        /// Its address: frames to it, to everybody, and to groups of IPv4 and IPv6 are its own.
        mac: [u8; 6],
        /// EtherTypes that are its own to whomever they are sent.
        types: Vec<u16>,
    },
    /// What has one of these EtherTypes, to whomever it is sent.
    Types(Vec<u16>),
    /// All of them.
    Everything,
}

/// Where in the kernel an XDP program runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum XdpMode {
    /// In the driver, before the frame becomes a socket buffer.
    Native,
    /// In the stack, for drivers that cannot: the kernel has already done most of the work by then.
    Generic,
}

/// A program on a device. It leaves the device when dropped.
#[derive(Debug)]
pub(crate) struct Attached {
    _link: OwnedFd,
    map: OwnedFd,
    program: OwnedFd,
}

impl Attached {
    /// Puts the program for `claim` on the device with this index; `queues` is how many sockets it can know. With `bulk` it can send.
    ///
    /// # Errors
    /// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`, `EBUSY` when another program is there, `EOPNOTSUPP` when the driver
    /// cannot, `ERANGE` when it cannot with the device's MTU, `EINVAL` on kernels before 5.9.
    pub(crate) fn new(
        device: u32,
        claim: &Claim,
        queues: u32,
        mode: XdpMode,
        bulk: Option<&BulkSender>,
    ) -> io::Result<Self> {
        let map = create_map(BPF_MAP_TYPE_XSKMAP, 4, queues, 0)?;
        let bulk = bulk.map(BulkSender::maps);
        let program = load(&assemble::redirect(claim, raw(map.as_fd()), bulk))?;
        let link = create_link(program.as_fd(), device, mode)?;
        Ok(Self { _link: link, map, program })
    }

    /// The program itself, to be run by [`BulkSender`].
    pub(crate) fn program(&self) -> io::Result<OwnedFd> {
        self.program.try_clone()
    }

    /// From now on, frames of receive queue `queue` go to this socket.
    ///
    /// # Errors
    /// `E2BIG` when there are not so many queues; what the kernel answers otherwise.
    pub(crate) fn set_socket(&self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        set_entry(self.map.as_fd(), queue, u32::from_ne_bytes(raw(socket).to_ne_bytes()))
    }
}

/// Sets one word of a map.
fn set_entry(map: BorrowedFd<'_>, entry: u32, value: u32) -> io::Result<()> {
    let mut request = Request::new();
    request.put(0, &raw(map).to_ne_bytes());
    request.put(8, &pointer_to(&entry));
    request.put(16, &pointer_to(&value));
    request.call(BPF_MAP_UPDATE_ELEM).map(drop)
}

/// Takes one entry out of a map.
fn remove_entry(map: BorrowedFd<'_>, entry: u32) -> io::Result<()> {
    let mut request = Request::new();
    request.put(0, &raw(map).to_ne_bytes());
    request.put(8, &pointer_to(&entry));
    request.call(BPF_MAP_DELETE_ELEM).map(drop)
}

/// A map from numbers to values of so many octets.
fn create_map(kind: u32, value: u32, entries: u32, flags: u32) -> io::Result<OwnedFd> {
    let mut request = Request::new();
    for (at, word) in [kind, 4, value, entries, flags].into_iter().enumerate() {
        request.put(4 * at, &word.to_ne_bytes());
    }
    request.descriptor(BPF_MAP_CREATE)
}

fn load(code: &[assemble::Instruction]) -> io::Result<OwnedFd> {
    let count = u32::try_from(code.len()).map_err(io::Error::other)?;
    let octets: Vec<u8> = code.iter().copied().flat_map(assemble::Instruction::octets).collect();
    // Whatever is not GPL may not use GPL-only helpers; we use none.
    let license = *b"Apache-2.0\0";
    let mut request = Request::new();
    request.put(0, &BPF_PROG_TYPE_XDP.to_ne_bytes());
    request.put(4, &count.to_ne_bytes());
    request.put(8, &pointer_to(octets.as_slice()));
    request.put(16, &pointer_to(&license));
    request.put(44, &BPF_F_XDP_HAS_FRAGS.to_ne_bytes());
    request.put(48, b"quadspan");
    request.put(68, &BPF_XDP.to_ne_bytes());
    request.descriptor(BPF_PROG_LOAD)
}

fn create_link(program: BorrowedFd<'_>, device: u32, mode: XdpMode) -> io::Result<OwnedFd> {
    let flags: u32 = match mode {
        XdpMode::Generic => 1 << 1,
        XdpMode::Native => 1 << 2,
    };
    let mut request = Request::new();
    request.put(0, &raw(program).to_ne_bytes());
    for (at, word) in [(4, device), (8, BPF_XDP), (12, flags)] {
        request.put(at, &word.to_ne_bytes());
    }
    request.descriptor(BPF_LINK_CREATE)
}

/// `union bpf_attr` of linux/bpf.h, as octets: each command has fields of its own at fixed places.
#[repr(C, align(8))]
struct Request([u8; ATTRIBUTE]);

impl Request {
    const fn new() -> Self {
        Self([0; ATTRIBUTE])
    }

    fn put(&mut self, at: usize, octets: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + octets.len()) {
            place.copy_from_slice(octets);
        }
    }

    fn call(&mut self, command: c_int) -> io::Result<c_int> {
        // SAFETY: the attribute is as long as said, and zero beyond what the command uses. Every pointer that was put into it
        // is to memory of a caller of this file that is alive, and only read.
        let code: c_long = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), ATTRIBUTE) };
        if code < 0 {
            Err(io::Error::last_os_error())
        } else {
            c_int::try_from(code).map_err(io::Error::other)
        }
    }

    /// For commands that answer with a descriptor, which closes on exec.
    fn descriptor(&mut self, command: c_int) -> io::Result<OwnedFd> {
        let fd = self.call(command)?;
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// An address as bpf(2) wants it: 64 bits on every machine.
#[expect(clippy::as_conversions, reason = "the address itself is what the kernel wants")]
fn pointer_to<T: ?Sized>(what: &T) -> [u8; 8] {
    (std::ptr::from_ref(what).cast::<u8>() as u64).to_ne_bytes()
}

fn raw(fd: BorrowedFd<'_>) -> i32 {
    fd.as_raw_fd()
}

/// Up to and with `batch_size` of a run; the kernel takes longer attributes than it knows as long as the rest is zero, and shorter ones.
const ATTRIBUTE: usize = 80;
// linux/bpf.h
const BPF_MAP_CREATE: c_int = 0;
const BPF_MAP_UPDATE_ELEM: c_int = 2;
const BPF_MAP_DELETE_ELEM: c_int = 3;
const BPF_PROG_LOAD: c_int = 5;
const BPF_PROG_TEST_RUN: c_int = 10;
const BPF_LINK_CREATE: c_int = 28;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_DEVMAP: u32 = 14;
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
/// The map may be mapped into memory.
const BPF_F_MMAPABLE: u32 = 1 << 10;
/// What the program answers is done, with frames that are real.
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
/// Frames may come in several pieces: our program looks at the first one only.
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;
