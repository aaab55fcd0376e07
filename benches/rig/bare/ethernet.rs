//! Loads in Ethernet frames, as long as the hosts' MTU allows: sent in bulk, received by AF_XDP.
//!
//! A frame's source address is not an address: it says which piece of a load it is. So a load that lost one is dropped.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result, ensure};
use net::PacketBuf;
use support::lab::channel_mac;
use sys::{Bulk, BulkSender, Claim, XdpDevice, XdpMode, XdpOptions, XdpSocket};

use super::{Link, Loads, address};

/// Local experimental EtherType 1 (802.3-2018 §3.2.6, IEEE 802 §9.2.4).
const TYPE: u16 = 0x88B5;
/// An Ethernet header: the far end's address, which piece it is, the type.
const HEADER: usize = 14;
const DEVICE: &str = "c1";
const MEMORY: usize = 4 << 20;

/// An AF_XDP socket on the first channel link.
#[derive(Debug)]
pub(super) struct Ethernet {
    device: XdpDevice,
    socket: XdpSocket,
    to: [u8; 6],
    /// Octets of a load in each frame.
    piece: usize,
    /// The piece that is to come next.
    next: u32,
}

impl Ethernet {
    pub(super) fn open(site: u8, mtu: usize) -> Result<Self> {
        ensure!(mtu + HEADER <= BulkSender::LONGEST, "frames of {mtu} octets do not leave in bulk");
        let claim = Claim::Types(vec![TYPE]);
        let device = XdpDevice::attach(DEVICE, &claim, XdpMode::Native, Some(&Bulk::new()?))
            .with_context(|| format!("cannot use {DEVICE}"))?;
        let socket = XdpSocket::open(&device, 0, &XdpOptions { max_frame: mtu + HEADER, octets: MEMORY })?;
        let to = address(&channel_mac(3 - site, 1))?.0;
        Ok(Self { device, socket, to, piece: mtu, next: 0 })
    }

    fn header(&self, piece: u32) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let all = self.to.into_iter().chain([2, 0]).chain(piece.to_be_bytes()).chain(TYPE.to_be_bytes());
        header.iter_mut().zip(all).for_each(|(place, octet)| *place = octet);
        header
    }
}

impl Link for Ethernet {
    /// Each piece's header is written over the end of the piece before, which has left by then.
    fn send(&mut self, load: &mut PacketBuf) -> Result<()> {
        let many = load.len().div_ceil(self.piece) >= BulkSender::WORTH;
        load.push_front(HEADER).context("no room for a header")?;
        if !many {
            // What goes by the socket must not overtake the rest.
            self.flush();
        }
        let pieces = (0..load.len() - HEADER).step_by(self.piece);
        for (piece, at) in (0_u32..).zip(pieces) {
            let end = load.len().min(at + HEADER + self.piece);
            let frame = load.get_mut(at..end).unwrap_or_default();
            frame.iter_mut().zip(self.header(piece)).for_each(|(place, octet)| *place = octet);
            let frame = core::iter::once(&*frame);
            // What is not taken is lost, as on any link.
            match self.device.bulk().filter(|_| many) {
                Some(bulk) => drop(bulk.put(frame)),
                None => drop(self.socket.send(frame)),
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.device.look_at_bulk();
        self.device.flush_bulk();
    }

    fn receive(&mut self, loads: &mut Loads<'_>) -> Result<()> {
        for _ in 0..64 {
            let Some(frame) = self.socket.next_frame() else { break };
            let whole = frame.pieces().next().flatten().unwrap_or_default();
            let number =
                whole.get(8..12).and_then(|octets| octets.try_into().ok()).map_or(0, u32::from_be_bytes);
            let octets = whole.get(HEADER..).unwrap_or_default();
            if number != 0 && number != self.next {
                continue;
            }
            self.next = number + 1;
            loads.take(|room| {
                room.get_mut(..octets.len())?.copy_from_slice(octets);
                Some(octets.len())
            });
        }
        self.socket.release();
        Ok(())
    }

    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let mut all = vec![self.socket.as_fd()];
        all.extend(self.device.bulk_changes());
        all
    }
}
