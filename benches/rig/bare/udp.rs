//! Loads as UDP segment trains: a call for up to 64 KiB, both ways (`UDP_SEGMENT`, `UDP_GRO`; udp(7)).

use std::{
    io::ErrorKind,
    net::UdpSocket,
    os::fd::{AsFd, BorrowedFd},
};

use anyhow::{Context, Result};
use net::PacketBuf;
use nix::sys::socket::{setsockopt, sockopt};

use super::{Link, Loads};

/// Segments of a train: 64 is the kernel's limit, and 65,507 octets UDP's.
const SEGMENTS: usize = 64;
const OCTETS: usize = 65_507;
const BUFFER: usize = 8 << 20;
const PORT: u16 = 4789;

/// A socket of the first channel link.
#[derive(Debug)]
pub(super) struct Udp {
    socket: UdpSocket,
    /// Octets of a train at most, a whole number of segments.
    train: usize,
}

impl Udp {
    pub(super) fn open(site: u8, segment: usize) -> Result<Self> {
        let of = |site| format!("198.18.1.{site}:{PORT}");
        let socket = UdpSocket::bind(of(site)).context("cannot bind")?;
        socket.connect(of(3 - site)).context("cannot connect")?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::UdpGsoSegment, &i32::try_from(segment)?).context("UDP_SEGMENT")?;
        setsockopt(&socket, sockopt::UdpGroSegment, &true).context("UDP_GRO")?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).context("SO_RCVBUFFORCE")?;
        setsockopt(&socket, sockopt::SndBufForce, &BUFFER).context("SO_SNDBUFFORCE")?;
        Ok(Self { socket, train: (OCTETS / segment).min(SEGMENTS) * segment })
    }
}

impl Link for Udp {
    fn send(&mut self, load: &mut PacketBuf) -> Result<()> {
        for train in load.chunks(self.train) {
            match self.socket.send(train) {
                // The rest would be of no use.
                Err(error)
                    if [ErrorKind::WouldBlock, ErrorKind::ConnectionRefused].contains(&error.kind()) =>
                {
                    return Ok(());
                }
                result => drop(result.context("cannot send")?),
            }
        }
        Ok(())
    }

    fn receive(&mut self, loads: &mut Loads<'_>) -> Result<()> {
        for _ in 0..4 {
            let mut failed = None;
            let came = loads.take(|room| match self.socket.recv(room) {
                Ok(octets) => Some(octets),
                Err(error) => {
                    failed = Some(error);
                    None
                }
            });
            match failed {
                None if came => {}
                Some(error)
                    if error.kind() != ErrorKind::WouldBlock
                        && error.kind() != ErrorKind::ConnectionRefused =>
                {
                    return Err(error).context("cannot receive");
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.socket.as_fd()]
    }
}
