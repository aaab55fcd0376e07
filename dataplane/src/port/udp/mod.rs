//! The driver for VXLAN tunnels (RFC 7348): Ethernet frames in UDP datagrams, by sockets of this machine's own stack.
//!
//! One socket receives: bound to our address and the VXLAN port, it hands over whole trains (`UDP_GRO`), which the
//! `inbox` reads right into frames. The others send: one for each source port, connected, so
//! that the kernel keeps their route, tells what the path carries, and walks its stack once for a train of frames
//! (`UDP_SEGMENT`). Frames of one flow always take the same socket ([`Tunnel::path_of`]), and frames leave in the order
//! in which they are given, whatever their flow: packet numbers stay in order as far as we can help it.
//!
//! The outer header says the DSCP of the frame inside ([`Marking`]), so a train also ends where that changes.
//!
//! What the pieces of one cut super-frame have in common, their length, is just what a train needs. So the kernel's work
//! per packet, nearly all of the cost of an Ethernet channel, is paid once for some forty frames.
//!
//! A frame that does not fit the path is dropped and counted (`tx_too_long`); [`Port::path_news`] then says what fits.
//! Without a route the port is [`PortError::NoRoute`] and tries again with every frame that it is given.

mod alone;
mod inbox;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
};

use net::PacketBuf;
use sys::udp::{TrainsSent, UdpFault, UdpSocket, UdpTrains};
use zerocopy::IntoBytes;

pub use self::inbox::KEPT;
use self::{alone::Alone, inbox::Inbox};
use super::{Heirloom, Port, PortCaps, PortCounters, PortError, PortKind, kernel};
use crate::{
    Batch, Frame, Pool,
    underlay::{MAX_SOURCE_PORTS, Marking, Tunnel, Vxlan, carries, source_port},
};

/// How to open a [`UdpPort`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// The interface that datagrams leave and come by.
    pub device: String,
    /// Our address: an address of this machine.
    pub local: IpAddr,
    /// The UDP port at both ends.
    pub port: u16,
    /// The other end.
    pub tunnel: Tunnel,
    /// The DSCP of datagrams.
    pub marking: Marking,
}

/// One end of a VXLAN tunnel.
#[derive(Debug)]
pub struct UdpPort {
    socket: UdpSocket,
    /// Where datagrams go.
    remote: SocketAddr,
    tunnel: Tunnel,
    marking: Marking,
    paths: Vec<Path>,
    trains: UdpTrains,
    /// The kernel (or the device) may take no trains: then each frame is a datagram of its own for a while.
    alone: Alone,
    inbox: Inbox,
    counters: PortCounters,
    facts: String,
    /// What the path carries, as it was last told.
    known: Option<u16>,
    news: Option<u16>,
    /// Calls until the path is looked at again: an MTU that a router told is forgotten after some minutes.
    look: u32,
}

/// What to do about frames that were not sent.
enum Remedy {
    /// Send them again.
    Again,
    /// Send them again, each by itself.
    Alone,
    /// They are lost.
    Lose,
    /// They and all behind them are lost, perhaps because the port is unusable.
    GiveUp(Option<PortError>),
}

/// A source port.
#[derive(Debug)]
struct Path {
    socket: UdpSocket,
    connected: bool,
    /// Something was sent by it since the last look.
    used: bool,
}

impl UdpPort {
    /// Opens the tunnel. There need not be a route yet, nor the local address.
    ///
    /// # Errors
    /// The kernel's: `EADDRINUSE` when another program has the address and port (the kernel's own VXLAN device does),
    /// `ENODEV` when there is no such interface.
    pub fn open(options: &Options) -> io::Result<Self> {
        let tunnel = options.tunnel;
        let socket = UdpSocket::bind(&options.device, SocketAddr::new(options.local, options.port))?;
        socket.set_buffers(RECEIVE_BUFFER, SMALL_BUFFER)?;
        let _known = socket.receive_trains()?;
        let remote = SocketAddr::new(tunnel.remote, options.port);
        let count = tunnel.source_ports.clamp(1, MAX_SOURCE_PORTS);
        let paths =
            (0..u16::from(count)).map(|at| Path::open(options, at, remote)).collect::<io::Result<_>>()?;
        Ok(Self::with(options, socket, paths))
    }

    /// Goes on with what a predecessor in another process left, if it was opened with the same options.
    ///
    /// # Errors
    /// `EINVAL` when it was opened with others.
    pub fn adopt(options: &Options, left: Heirloom) -> io::Result<Self> {
        let other = || io::Error::from(io::ErrorKind::InvalidInput);
        let count = usize::from(options.tunnel.source_ports.clamp(1, MAX_SOURCE_PORTS));
        if left.facts != facts(options) || left.descriptors.len() != count + 1 {
            return Err(other());
        }
        let mut sockets = left.descriptors.into_iter().map(UdpSocket::adopt);
        let socket = sockets.next().ok_or_else(other)??;
        let remote = SocketAddr::new(options.tunnel.remote, options.port);
        let path = |socket: io::Result<UdpSocket>| {
            let mut path = Path { socket: socket?, connected: false, used: false };
            let _connected = path.ready(remote);
            Ok(path)
        };
        let paths = sockets.map(path).collect::<io::Result<_>>()?;
        Ok(Self::with(options, socket, paths))
    }

    fn with(options: &Options, socket: UdpSocket, paths: Vec<Path>) -> Self {
        let mut this = Self {
            socket,
            remote: SocketAddr::new(options.tunnel.remote, options.port),
            tunnel: options.tunnel,
            marking: options.marking,
            paths,
            trains: UdpTrains::new(),
            alone: Alone::default(),
            inbox: Inbox::new(),
            counters: PortCounters::default(),
            facts: facts(options),
            known: None,
            news: None,
            look: LOOK,
        };
        this.look_at_path();
        this
    }

    /// Asks the kernel what the path carries, and remembers when that is news.
    fn look_at_path(&mut self) {
        self.look = LOOK;
        let (known, remote, v6) = (self.known, self.remote, self.tunnel.remote.is_ipv6());
        let each = self.paths.iter_mut().filter_map(|path| path.carries(known, remote, v6));
        let Some(least) = each.min() else { return };
        let now = Some(least);
        if now != self.known {
            (self.known, self.news) = (now, now);
        }
    }

    /// Sends the frames of one path, which begin with their VXLAN header; how many, from the front, are done with. The others found no
    /// room.
    fn send_by(&mut self, path: usize, mut frames: &[Frame]) -> Result<usize, PortError> {
        let all = frames.len();
        // Attempts at the first of `frames`, and how many of them must not be a train.
        let (mut attempts, mut alone) = (0, 0_usize);
        while !frames.is_empty() {
            let trains = self.alone.is_over() && alone == 0;
            let now = if alone > 0 { frames.get(..alone).unwrap_or(frames) } else { frames };
            let TrainsSent { sent, stopped } = self.hand_over(path, now, trains);
            if sent > 0 {
                (attempts, alone) = (0, alone.saturating_sub(sent));
            }
            frames = self.count_sent(frames, sent);
            let Some((error, count)) = stopped else { continue };
            attempts += 1;
            match self.judge(&error, trains && count > 1, attempts) {
                Remedy::Again => {}
                Remedy::Alone => (attempts, alone) = (0, count),
                Remedy::Lose => {
                    (attempts, alone) = (0, alone.saturating_sub(count));
                    frames = frames.get(count..).unwrap_or_default();
                }
                Remedy::GiveUp(None) => return Ok(all - frames.len()),
                Remedy::GiveUp(Some(failed)) => {
                    self.counters.tx_refused += many(frames.len());
                    return Err(failed);
                }
            }
        }
        Ok(all)
    }

    /// Control frames that found no room wait for the next call, as they were given.
    fn put_back(&mut self, frames: &mut Vec<Frame>, pool: &mut Pool) {
        self.counters.tx_refused += super::keep_control(frames, pool);
        for frame in frames {
            // The header that was put in front of it.
            let _pulled = frame.buf.pull_front(Vxlan::LEN);
        }
    }

    fn hand_over(&mut self, path: usize, frames: &[Frame], trains: bool) -> TrainsSent {
        let Some(way) = self.paths.get_mut(path) else {
            return TrainsSent { sent: frames.len(), stopped: None };
        };
        match way.ready(self.remote) {
            Ok(()) => {
                way.used = true;
                let marked = frames.iter().map(|frame| (&*frame.buf, self.marking.of(frame).octet()));
                self.trains.send(&way.socket, marked, trains)
            }
            Err(error) => TrainsSent { sent: 0, stopped: Some((error, 1)) },
        }
    }

    /// What to do about an error that met one frame, or a whole `train`, at this attempt. Losses are counted here.
    fn judge(&mut self, error: &io::Error, train: bool, attempts: u32) -> Remedy {
        match UdpFault::of(error) {
            UdpFault::Train if train => {
                // A route over another device may take them again, and so may a path that carries less by now: kernels before 6.14
                // refuse a train whose segments are too long as if it were none.
                self.alone.begin();
                self.look_at_path();
                Remedy::Again
            }
            UdpFault::TooLong => {
                // The first time it may be an ICMP message about an earlier frame, and nothing is said of this one.
                self.look_at_path();
                match (attempts, train) {
                    (..2, _) => Remedy::Again,
                    (_, true) => Remedy::Alone,
                    (_, false) => {
                        self.counters.tx_too_long += 1;
                        Remedy::Lose
                    }
                }
            }
            // Our own limit of what may wait in the kernel, which no later frame of this call will pass.
            UdpFault::Full => Remedy::GiveUp(None),
            // What an ICMP message said of an earlier frame is told once, instead of sending.
            UdpFault::NoRoute | UdpFault::Gone | UdpFault::Other | UdpFault::Train if attempts < 2 => {
                Remedy::Again
            }
            UdpFault::NoRoute => Remedy::GiveUp(Some(PortError::NoRoute)),
            UdpFault::Gone => Remedy::GiveUp(Some(PortError::Gone)),
            UdpFault::Other | UdpFault::Train if train => Remedy::Alone,
            UdpFault::Other | UdpFault::Train => {
                self.counters.tx_refused += 1;
                Remedy::Lose
            }
        }
    }

    fn count_sent<'a>(&mut self, frames: &'a [Frame], sent: usize) -> &'a [Frame] {
        let (done, rest) = frames.split_at_checked(sent).unwrap_or((frames, &[]));
        for frame in done {
            self.counters.tx_frames += 1;
            self.counters.tx_octets += kernel::octets(frame).saturating_sub(HEADER);
        }
        rest
    }
}

impl Port for UdpPort {
    fn receive(&mut self, batch: &mut Batch, pool: &mut Pool) -> Result<usize, PortError> {
        let before = batch.len();
        // A limit, so that datagrams that are dropped here cannot keep us here.
        for _ in 0..READS {
            if !self.inbox.holds_frames() {
                self.inbox.read(&self.socket, &self.tunnel, pool, &mut self.counters)?;
            }
            while !batch.is_full() && self.inbox.holds_frames() {
                batch.extend(self.inbox.take(&self.tunnel, pool, &mut self.counters));
            }
            if batch.is_full() || self.inbox.is_drained() {
                break;
            }
        }
        Ok(batch.len() - before)
    }

    fn send(&mut self, frames: &mut Vec<Frame>, pool: &mut Pool) -> Result<(), PortError> {
        let header = Vxlan::new(self.tunnel.vni);
        for frame in
            frames.extract_if(.., |frame| frame.offload.is_pending() || !push(&mut frame.buf, header))
        {
            self.counters.tx_refused += 1;
            pool.recycle(frame);
        }
        let (mut failed, mut done) = (Ok(()), 0);
        while let Some((first, rest)) = frames.get(done..).and_then(|rest| Some((rest.first()?, rest))) {
            let path = self.tunnel.path_of(first.flow);
            let run = rest.iter().take_while(|frame| self.tunnel.path_of(frame.flow) == path).count();
            match self.send_by(path, rest.get(..run).unwrap_or_default()) {
                Ok(sent) if sent < run => {
                    done += sent;
                    break;
                }
                Ok(_) => {}
                Err(error) => failed = failed.and(Err(error)),
            }
            done += run;
        }
        frames.drain(..done).for_each(|frame| pool.recycle(frame));
        self.put_back(frames, pool);
        self.alone.sent();
        self.look = self.look.saturating_sub(1);
        if self.look == 0 {
            self.look_again();
        }
        failed
    }

    fn give_back(&mut self, pool: &mut Pool) {
        self.inbox.give_back(pool);
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    /// A train may hold segments of several super-frames: one of 64 KiB makes one train and a bit, and the bit costs as much as a train.
    fn gathers(&self) -> bool {
        self.alone.is_over()
    }

    fn caps(&self) -> PortCaps {
        PortCaps { flows: true, ..PortCaps::default() }
    }

    fn kind(&self) -> PortKind {
        PortKind::Vxlan
    }

    fn counters(&self) -> PortCounters {
        PortCounters { rx_ring_full: self.socket.dropped().map_or(0, u64::from), ..self.counters }
    }

    fn may_hold_frames(&self) -> bool {
        true
    }

    fn holds_frames(&self) -> bool {
        self.inbox.holds_frames()
    }

    fn path_news(&mut self) -> Option<u16> {
        self.news.take()
    }

    fn look_again(&mut self) {
        self.paths.iter_mut().for_each(|path| path.wake(self.remote));
        self.look_at_path();
    }

    fn heirloom(&self) -> io::Result<Option<Heirloom>> {
        let sockets = core::iter::once(&self.socket).chain(self.paths.iter().map(|path| &path.socket));
        let descriptors =
            sockets.map(|socket| socket.as_fd().try_clone_to_owned()).collect::<io::Result<_>>()?;
        Ok(Some(Heirloom { descriptors, facts: self.facts.clone() }))
    }
}

/// What must be the same for the sockets to be gone on with. The marking is said with each message.
fn facts(options: &Options) -> String {
    let Options { device, local, port, tunnel, marking: _ } = options;
    format!("Options {{ device: {device:?}, local: {local:?}, port: {port:?}, tunnel: {tunnel:?} }}")
}

impl Path {
    /// A socket with a source port of the dynamic range (RFC 6335 §6) that nobody has.
    fn open(options: &Options, number: u16, remote: SocketAddr) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for attempt in 0..ATTEMPTS {
            let port = source_port(options.local, options.tunnel.vni, number, attempt);
            match UdpSocket::bind(&options.device, SocketAddr::new(options.local, port)) {
                Ok(socket) => {
                    socket.refuse_all()?;
                    socket.set_buffers(SMALL_BUFFER, SEND_BUFFER)?;
                    let mut this = Self { socket, connected: false, used: false };
                    // Without a route now, it is tried again with the first frame.
                    let _connected = this.ready(remote);
                    return Ok(this);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// A socket looks its route up when it sends, and otherwise believes for ever what a router said once. One that did not send lately
    /// looks it up now, or the path of all would stay as narrow as it was when that one sent last.
    fn wake(&mut self, remote: SocketAddr) {
        if !core::mem::take(&mut self.used) && self.connected {
            self.connected = false;
            let _connected = self.ready(remote);
        }
    }

    /// What it carries, once it is connected. A route that the kernel took away since it was looked up says what no path says (68 octets
    /// over IPv4, 1280 over IPv6: those of no device), so less than was `known` is asked for again with the route of now.
    fn carries(&mut self, known: Option<u16>, remote: SocketAddr, v6: bool) -> Option<u16> {
        let ask = |this: &Self| this.socket.path_mtu().ok().map(|mtu| carries(mtu, v6));
        let first = self.connected.then(|| ask(self))??;
        if known.is_none_or(|known| first >= known) {
            return Some(first);
        }
        self.connected = false;
        self.ready(remote).ok()?;
        ask(self)
    }

    fn ready(&mut self, remote: SocketAddr) -> io::Result<()> {
        if !self.connected {
            self.socket.connect(remote)?;
            self.connected = true;
        }
        Ok(())
    }
}

fn many(frames: usize) -> u64 {
    u64::try_from(frames).unwrap_or(u64::MAX)
}

fn push(buf: &mut PacketBuf, header: Vxlan) -> bool {
    buf.push_front(Vxlan::LEN).is_some_and(|room| header.write_to(room).is_ok())
}

/// Octets of a VXLAN header, for counters.
const HEADER: u64 = 8;
/// Octets that may wait to be received: what 7 Gbit/s bring in about 10 ms, doubled for the kernel's own overhead.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Octets that may wait in the kernel to be sent by one path.
const SEND_BUFFER: usize = 4 << 20;
/// For the direction that a socket is not for.
const SMALL_BUFFER: usize = 4096;
/// Reads of one call at most.
const READS: usize = 64;
/// Source ports tried for one path.
const ATTEMPTS: u16 = 256;
/// Calls of `send` between two looks at what the path carries; whoever has a clock looks by time as well ([`Port::look_again`]).
const LOOK: u32 = 1024;

#[cfg(test)]
mod tests;
