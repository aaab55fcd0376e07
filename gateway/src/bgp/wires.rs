//! Listeners and TCP connections, by the tokens of the poller.
//!
//! Every neighbour's interface has a TAP device; listeners and connections are bound to it. Writing never waits: what
//! the kernel does not take stays here, and the speaker is asked for more only when that is gone, so that a slow neighbour
//! costs one message's memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use bgp::{ConnectionId, PeerId};
use config::Secret;
use dataplane::InterfaceId;
use net::Instant;
use sys::{
    Poller, Ready,
    tcp::{self, Hops},
};

/// BGP's port.
pub(super) const PORT: u16 = 179;
/// Octets taken from a connection before others get their turn.
const PART: usize = 256 * 1024;
/// A call without an answer is begun anew after these times. The kernel repeats a SYN, and the other end's its answer, after a
/// whole second (RFC 6298 §2); where both gateways have just begun, one of them calls a moment before frames can cross.
const IMPATIENCE: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(400)];
/// How long a connection that is over may take to hear our last words.
const LINGER: Duration = Duration::from_secs(1);

/// A speaker's connection: which speaker, and what that calls it.
pub(super) type WireId = (usize, ConnectionId);

/// Who may be at the other end of a connection, and how to talk to it.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    pub(super) device: String,
    pub(super) local: Option<IpAddr>,
    pub(super) peer: IpAddr,
    pub(super) hops: Hops,
    pub(super) password: Option<Secret>,
    /// Give up when nothing is acknowledged for so long.
    pub(super) patience: Duration,
}

/// Something that a socket is ready for.
#[derive(Debug)]
pub(super) enum Found {
    /// Somebody connected over the device of this interface.
    Caller(InterfaceId, IpAddr, TcpStream),
    /// A connection that we asked for is there.
    Connected(WireId),
    /// Octets came.
    Octets(WireId, Vec<u8>),
    /// There is room to write again.
    Room,
    /// It failed, or the other side closed it: why.
    Closed(WireId, Lost),
}

/// Why there is no connection, or no longer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Lost {
    pub(super) words: String,
    /// Nobody has the address, or no way leads to it: what its TCP would think of us is not known.
    pub(super) unreachable: bool,
}

impl Lost {
    pub(super) fn to(words: &str) -> Self {
        Self { words: words.to_owned(), unreachable: false }
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        // What Linux says when ARP or ND has asked three times.
        let nobody = error.kind() == io::ErrorKind::HostUnreachable;
        let words = if nobody {
            "nobody answers at its address (no route to host): is the address right at both ends?".to_owned()
        } else {
            error.to_string()
        };
        Self { words, unreachable: nobody || error.kind() == io::ErrorKind::NetworkUnreachable }
    }
}

/// Where the kernel threw segments away since the last look.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    /// Listeners: of an interface, for IPv6 or not.
    pub(super) listeners: BTreeSet<(InterfaceId, bool)>,
    /// Live connections: which speaker's, with whom.
    pub(super) peers: BTreeSet<(usize, PeerId)>,
}

#[derive(Debug)]
enum Socket {
    Listener {
        listener: TcpListener,
        interface: InterfaceId,
    },
    Wire(Wire),
    /// Over; what still comes in is thrown away, so that closing does not become a reset that kills our last words.
    Lingering {
        stream: TcpStream,
        until: Instant,
    },
}

#[derive(Debug)]
struct Wire {
    id: WireId,
    stream: TcpStream,
    connecting: bool,
    /// When to begin the call anew, and how, while nobody has answered.
    again: Option<Again>,
    /// What the kernel has not taken yet.
    waiting: Vec<u8>,
    wants_room: bool,
}

/// A call that may be begun anew.
#[derive(Debug)]
struct Again {
    at: Instant,
    /// How often it was begun anew already.
    times: usize,
    dial: Dial,
    port: u16,
}

/// All sockets.
#[derive(Debug, Default)]
pub(super) struct Wires {
    sockets: BTreeMap<u64, Socket>,
    by_id: BTreeMap<WireId, u64>,
    next: u64,
    /// What [`dropped`](Self::dropped) saw last, by token.
    drops: BTreeMap<u64, u32>,
}

impl Wires {
    /// Waits on the device of an interface for connections of one family, if nobody does so yet.
    pub(super) fn listen(
        &mut self,
        poller: &Poller,
        (interface, device): (InterfaceId, &str),
        v6: bool,
        hops: Hops,
    ) -> io::Result<()> {
        let there = |socket: &Socket| match socket {
            Socket::Listener { listener, interface: at } if *at == interface => {
                listener.local_addr().is_ok_and(|address| address.is_ipv6() == v6).then_some(())?;
                Some(tcp::set_hops(listener, v6, hops))
            }
            Socket::Listener { .. } | Socket::Wire(_) | Socket::Lingering { .. } => None,
        };
        if let Some(known) = self.sockets.values().find_map(there) {
            return known;
        }
        let any: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let listener = tcp::listen(device, SocketAddr::new(any, PORT), hops)?;
        let token = self.token();
        poller.add(&listener, token)?;
        self.sockets.insert(token, Socket::Listener { listener, interface });
        Ok(())
    }

    /// Sets, or takes off, the password for a neighbour on all listeners of its interface and its live connections.
    pub(super) fn set_password(
        &self,
        interface: InterfaceId,
        peer: IpAddr,
        key: &[u8],
        live: impl Fn(WireId) -> bool,
    ) -> io::Result<()> {
        let name = SocketAddr::new(peer, 0);
        let set = |socket: &Socket| match socket {
            Socket::Listener { listener, interface: at } if *at == interface => {
                let v6 = listener.local_addr().is_ok_and(|address| address.is_ipv6());
                if v6 == peer.is_ipv6() { tcp::set_md5_key(listener, name, key) } else { Ok(()) }
            }
            Socket::Wire(wire) if live(wire.id) => tcp::set_md5_key(&wire.stream, name, key),
            Socket::Listener { .. } | Socket::Wire(_) | Socket::Lingering { .. } => Ok(()),
        };
        // A key to remove that is not there is as good as removed.
        let gone = |result: &io::Result<()>| {
            key.is_empty() && result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        self.sockets.values().map(set).filter(|result| !gone(result)).collect()
    }

    /// Begins a connection.
    pub(super) fn dial(&mut self, poller: &Poller, id: WireId, dial: &Dial, now: Instant) -> io::Result<()> {
        self.dial_port(poller, id, dial, PORT, now)
    }

    fn dial_port(
        &mut self,
        poller: &Poller,
        id: WireId,
        dial: &Dial,
        port: u16,
        now: Instant,
    ) -> io::Result<()> {
        let token = self.insert(poller, id, call(dial, port)?, true)?;
        if let Some(Socket::Wire(wire)) = self.sockets.get_mut(&token) {
            poller.set_writable(&wire.stream, token, true)?;
            wire.again = Again::after(0, dial.clone(), port, now);
        }
        Ok(())
    }

    /// Keeps a connection that was taken.
    pub(super) fn adopt(
        &mut self,
        poller: &Poller,
        id: WireId,
        stream: TcpStream,
        dial: &Dial,
    ) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        tcp::set_hops(&stream, dial.peer.is_ipv6(), dial.hops)?;
        tcp::set_user_timeout(&stream, dial.patience)?;
        self.insert(poller, id, stream, false).map(drop)
    }

    fn insert(
        &mut self,
        poller: &Poller,
        id: WireId,
        stream: TcpStream,
        connecting: bool,
    ) -> io::Result<u64> {
        let token = self.token();
        poller.add(&stream, token)?;
        let wire = Wire { id, stream, connecting, again: None, waiting: Vec::new(), wants_room: false };
        self.sockets.insert(token, Socket::Wire(wire));
        self.by_id.insert(id, token);
        Ok(token)
    }

    fn token(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// What a socket is ready for. True when it may have more.
    pub(super) fn look(&mut self, poller: &Poller, ready: Ready, found: &mut Vec<Found>) -> bool {
        match self.sockets.get_mut(&ready.token) {
            Some(Socket::Listener { listener, interface }) => accept(listener, *interface, found),
            Some(Socket::Wire(wire)) => {
                let (id, more) = (wire.id, wire.look(poller, ready, found));
                if matches!(found.last(), Some(Found::Closed(closed, _)) if *closed == id) {
                    self.forget(id);
                }
                more
            }
            Some(Socket::Lingering { stream, .. }) => {
                if is_over(stream) {
                    self.sockets.remove(&ready.token);
                }
                false
            }
            None => false,
        }
    }

    /// Where segments were thrown away since the last time; `None` when the kernel does not tell.
    pub(super) fn dropped(&mut self) -> Option<Dropped> {
        let (mut news, mut drops) = (Dropped::default(), BTreeMap::new());
        for (&token, socket) in &self.sockets {
            let count = match socket {
                Socket::Listener { listener, .. } => tcp::dropped(listener).ok()?,
                Socket::Wire(wire) if !wire.connecting => tcp::dropped(&wire.stream).ok()?,
                // Where a call is refused, that counts as well.
                Socket::Wire(_) | Socket::Lingering { .. } => continue,
            };
            drops.insert(token, count);
            if self.drops.get(&token).copied().unwrap_or(0) == count {
                continue;
            }
            match socket {
                Socket::Listener { listener, interface } => {
                    let v6 = listener.local_addr().is_ok_and(|address| address.is_ipv6());
                    news.listeners.insert((*interface, v6));
                }
                Socket::Wire(Wire { id: (speaker, id), .. }) => {
                    news.peers.insert((*speaker, id.peer));
                }
                Socket::Lingering { .. } => {}
            }
        }
        self.drops = drops;
        Some(news)
    }

    /// Whether nothing waits to be written on this connection, so that the speaker may be asked for more.
    pub(super) fn is_free(&self, id: WireId) -> bool {
        let socket = self.by_id.get(&id).and_then(|token| self.sockets.get(token));
        matches!(socket, Some(Socket::Wire(wire)) if !wire.connecting && wire.waiting.is_empty())
    }

    /// Writes; what the kernel does not take waits. An error means that the connection is over.
    pub(super) fn write(&mut self, poller: &Poller, id: WireId, octets: &[u8]) -> Result<(), Lost> {
        let Some(&token) = self.by_id.get(&id) else { return Ok(()) };
        let Some(Socket::Wire(wire)) = self.sockets.get_mut(&token) else { return Ok(()) };
        wire.waiting.extend_from_slice(octets);
        let wrote = wire.flush(poller, token);
        if wrote.is_err() {
            self.forget(id);
        }
        wrote.map_err(Lost::from)
    }

    /// Ends a connection after these last words, if they can be written at once. True when nobody had answered.
    pub(super) fn hang_up(&mut self, id: WireId, last_words: &[u8], now: Instant) -> bool {
        let Some(token) = self.by_id.remove(&id) else { return false };
        let Some(Socket::Wire(mut wire)) = self.sockets.remove(&token) else { return false };
        if wire.connecting || last_words.is_empty() {
            return wire.connecting;
        }
        // Half a message before them would make nonsense of them.
        wire.waiting.extend_from_slice(last_words);
        let all = wire.stream.write(&wire.waiting).is_ok_and(|count| count == wire.waiting.len());
        if all && wire.stream.shutdown(Shutdown::Write).is_ok() {
            let lingering = Socket::Lingering { stream: wire.stream, until: now.after(LINGER) };
            self.sockets.insert(token, lingering);
        }
        false
    }

    /// Begins calls anew that nobody has answered, and ends what has lingered for long enough.
    pub(super) fn sweep(&mut self, poller: &Poller, now: Instant) {
        for (&token, socket) in &mut self.sockets {
            if let Socket::Wire(wire) = socket {
                wire.call_again(poller, token, now);
            }
        }
        self.sockets.retain(|_, socket| !matches!(socket, Socket::Lingering { until, .. } if *until <= now));
    }

    /// When [`sweep`](Self::sweep) has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        let until = |socket: &Socket| match socket {
            Socket::Lingering { until, .. } => Some(*until),
            Socket::Wire(wire) => wire.again.as_ref().map(|again| again.at),
            Socket::Listener { .. } => None,
        };
        self.sockets.values().filter_map(until).min()
    }

    fn forget(&mut self, id: WireId) {
        if let Some(token) = self.by_id.remove(&id) {
            self.sockets.remove(&token);
        }
    }
}

impl Again {
    /// After `times` calls that were begun anew: the next one, unless it is the kernel's turn to be patient.
    fn after(times: usize, dial: Dial, port: u16, now: Instant) -> Option<Self> {
        IMPATIENCE.get(times).map(|wait| Self { at: now.after(*wait), times, dial, port })
    }
}

impl Wire {
    /// Begins a call anew that nobody has answered in time. Where that fails the old one goes on.
    fn call_again(&mut self, poller: &Poller, token: u64, now: Instant) {
        let Some(Again { times, dial, port, .. }) = self.again.take_if(|again| again.at <= now) else {
            return;
        };
        let answered = self.stream.peer_addr().is_ok();
        let Some(stream) = (!answered).then(|| call(&dial, port).ok()).flatten() else { return };
        let watched = poller.add(&stream, token).and_then(|()| poller.set_writable(&stream, token, true));
        if watched.is_ok() {
            self.stream = stream;
            self.again = Again::after(times + 1, dial, port, now);
        }
    }

    fn look(&mut self, poller: &Poller, ready: Ready, found: &mut Vec<Found>) -> bool {
        if self.connecting {
            self.finish_connecting(poller, ready, found);
            return false;
        }
        let more = self.read(found);
        if ready.writable && !matches!(found.last(), Some(Found::Closed(..))) {
            match self.flush(poller, ready.token) {
                Ok(()) if self.waiting.is_empty() => found.push(Found::Room),
                Ok(()) => {}
                Err(error) => found.push(Found::Closed(self.id, error.into())),
            }
        }
        more
    }

    fn finish_connecting(&mut self, poller: &Poller, ready: Ready, found: &mut Vec<Found>) {
        if !ready.writable && !ready.failed {
            return;
        }
        self.again = None;
        let failed = self.stream.take_error().ok().flatten();
        let failed = failed.or_else(|| self.stream.peer_addr().err());
        match failed.or_else(|| poller.set_writable(&self.stream, ready.token, false).err()) {
            Some(error) => found.push(Found::Closed(self.id, error.into())),
            None => {
                self.connecting = false;
                found.push(Found::Connected(self.id));
            }
        }
    }

    fn read(&mut self, found: &mut Vec<Found>) -> bool {
        let mut octets = vec![0; PART];
        match self.stream.read(&mut octets) {
            Ok(0) => {
                found.push(Found::Closed(self.id, Lost::to("the neighbour closed the connection")));
                false
            }
            Ok(count) => {
                octets.truncate(count);
                found.push(Found::Octets(self.id, octets));
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                false
            }
            Err(error) => {
                found.push(Found::Closed(self.id, error.into()));
                false
            }
        }
    }

    fn flush(&mut self, poller: &Poller, token: u64) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = self.waiting.get(done..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.waiting.drain(..done);
        let wants = !self.waiting.is_empty();
        if core::mem::replace(&mut self.wants_room, wants) != wants {
            poller.set_writable(&self.stream, token, wants)?;
        }
        Ok(())
    }
}

/// Asks for a connection.
fn call(dial: &Dial, port: u16) -> io::Result<TcpStream> {
    let key = dial.password.as_ref().map(Secret::expose);
    let stream = tcp::connect(&dial.device, dial.local, SocketAddr::new(dial.peer, port), dial.hops, key)?;
    tcp::set_user_timeout(&stream, dial.patience)?;
    Ok(stream)
}

fn accept(listener: &TcpListener, interface: InterfaceId, found: &mut Vec<Found>) -> bool {
    match listener.accept() {
        Ok((stream, from)) => {
            found.push(Found::Caller(interface, from.ip(), stream));
            true
        }
        // Nobody (any more), or no descriptors left: the next round looks again.
        Err(_) => false,
    }
}

/// Throws away what comes in. True when the other side is done too.
fn is_over(stream: &mut TcpStream) -> bool {
    let mut octets = [0; 4096];
    loop {
        match stream.read(&mut octets) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
mod tests {
    use bgp::PeerId;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// A listener that drops SYNs, and the connections that it has no room for more with.
    fn full_listener() -> (TcpListener, Vec<TcpStream>) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let port = listener.local_addr().unwrap().port();
        let mut there = Vec::new();
        let patience = Duration::from_millis(300);
        while let Ok(one) = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), patience) {
            there.push(one);
        }
        (listener, there)
    }

    fn caller(wires: &Wires, id: WireId) -> u16 {
        let Some(Socket::Wire(wire)) = wires.sockets.get(&wires.by_id[&id]) else { panic!("no such call") };
        wire.stream.local_addr().unwrap().port()
    }

    // RFC 6298 section 2: a SYN is repeated after a second; we do not wait for that
    #[test]
    fn a_call_that_nobody_answers_is_begun_anew_before_the_kernel_repeats_it() {
        let (listener, there) = full_listener();
        let (port, id) =
            (listener.local_addr().unwrap().port(), (0, ConnectionId { peer: PeerId(0), serial: 1 }));
        let mut poller = Poller::new().unwrap();
        let mut wires = Wires::default();
        let dial = Dial {
            device: "lo".to_owned(),
            local: None,
            peer: Ipv4Addr::LOCALHOST.into(),
            hops: Hops::ONE,
            password: None,
            patience: Duration::from_secs(30),
        };
        wires.dial_port(&poller, id, &dial, port, at(0)).unwrap();
        let first = caller(&wires, id);
        assert_eq!(wires.due(), Some(at(200)));
        wires.sweep(&poller, at(199));
        assert_eq!(caller(&wires, id), first);
        for _ in &there {
            listener.accept().unwrap();
        }
        wires.sweep(&poller, at(200));
        assert_ne!(caller(&wires, id), first, "the same call goes on");
        assert_eq!(wires.due(), Some(at(600)));
        let mut found = Vec::new();
        let mut ready = Vec::new();
        for _ in 0..500 {
            poller.wait(&mut ready, Some(Duration::from_millis(10))).unwrap();
            for one in ready.drain(..) {
                wires.look(&poller, one, &mut found);
            }
            if !found.is_empty() {
                break;
            }
        }
        assert!(matches!(&found[..], [Found::Connected(connected)] if *connected == id), "{found:?}");
        assert_eq!(wires.due(), None, "an answered call is not begun anew");
    }
}
