//! Linux made safe: packet sockets and their rings, AF_XDP sockets with the program that feeds them, TAP devices, UDP sockets for tunnels, waiting, namespaces, privileges; and
//! what needs a processor's vectors: AES-GCM, copies that are summed.
//!
//! This is the only crate of the workspace that contains unsafe code, and it knows no protocol: it moves octets
//! and says how many. What a frame means is decided above it, in `dataplane::port`, and who may open what is
//! decided in `gateway`.
//!
//! Three rules hold everywhere in it.
//!
//! 1. **Every type owns what it wraps and gives it back.** A [`PacketSocket`] owns its descriptor, an [`RxRing`] its
//!    mapping, a [`Tap`] its queue. Dropping the value closes it; nothing is closed by hand, nothing is closed twice.
//! 2. **The kernel is outside too.** Offsets and lengths that come from a shared ring are checked against the mapping
//!    before they become a slice. What does not fit is counted and skipped, it never panics.
//! 3. **Unsafe is expected file by file**, with a reason at the top and a `SAFETY` argument at each block. Where
//!    `nix` or `socket2` has a safe call, it is used.
//!
//! Nothing here logs, one thing reads a clock ([`BulkSender`], to find out that it is not worth its while), and nothing sleeps that does not say so. The calls on the frame path ([`RxRing::next`], [`TxBatch::send`],
//! [`Tap::receive`], [`Tap::send`], [`BulkSender::send`], [`udp::UdpTrains::send`], [`udp::UdpIntake::receive`]) do not allocate.
//!
//! Errors are [`std::io::Error`] with the kernel's error number; [`fault`] sorts the numbers into the few kinds that
//! a caller treats differently.

mod bpf;
mod copy_sum;
mod counting_allocator;
pub mod fault;
pub mod gcm;
pub mod handoff;
pub mod interface;
mod mmap;
mod netdev;
pub mod netns;
mod packet_ring;
mod packet_send;
mod packet_socket;
mod poll;
pub mod process;
pub mod random;
mod socket_option;
pub mod sysctl;
mod tap;
pub mod tcp;
#[cfg(test)]
mod testbed;
pub mod udp;
mod xdp;

pub use bpf::{Bulk, BulkSender, BulkSent, Claim, XdpMode};
pub use copy_sum::{COPY_SUM_STEP, copy_and_sum};
pub use counting_allocator::CountingAllocator;
pub use packet_ring::{RingPlace, RingVersion, RxFrame, RxRing};
pub use packet_send::{Outgoing, Sent, TX_BATCH, TxBatch};
pub use packet_socket::{Fanout, FanoutMode, PacketOptions, PacketSocket, Statistics};
pub use poll::{Poller, Ready, Waker, rest};
pub use tap::{Tap, TapOptions};
pub use xdp::{XdpDevice, XdpFrame, XdpOptions, XdpSent, XdpSocket, XdpStatistics};

/// Octets of a virtio-net header without mergeable buffers (virtio 1.2, 5.1.6), in the byte order of this machine,
/// as AF_PACKET and TAP exchange it with us.
pub const VNET_HEADER_OCTETS: usize = 10;

/// A virtio-net header as it stands in memory: flags, gso type, header length, gso size, checksum start and offset.
pub type VnetHeader = [u8; VNET_HEADER_OCTETS];
