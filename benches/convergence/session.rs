//! A BGP session of the measurement's own, as small as can be: it opens, sends what it is given, and shows what arrives.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bgp::{
    AfiSafi, Asn, RouterId,
    wire::{
        capability::Capability,
        header::{self, MAX_LEN, MessageType},
        open::Open,
    },
};
use socket2::{Domain, Socket, Type};

/// How long a contender may take to let us in.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between KEEPALIVEs: contenders hold for 90 s and more.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A session that is up. What arrives goes to the function that it was opened with.
#[derive(Clone, Debug)]
pub(crate) struct Session(Arc<Mutex<TcpStream>>);

impl Session {
    /// Calls `remote` from `local` until it answers.
    pub(crate) fn open(
        local: Ipv4Addr,
        remote: Ipv4Addr,
        asn: u32,
        heard: impl FnMut(&[u8]) + Send + 'static,
    ) -> Result<Self> {
        let began = Instant::now();
        loop {
            match Self::try_open(local, remote, asn) {
                Ok((stream, rest)) => {
                    let session = Self(Arc::new(Mutex::new(stream.try_clone()?)));
                    session.tend();
                    thread::spawn(move || listen(stream, rest, heard));
                    return Ok(session);
                }
                Err(why) if began.elapsed() > PATIENCE => {
                    return Err(why.context(format!("{remote} does not let {local} in")));
                }
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn try_open(local: Ipv4Addr, remote: Ipv4Addr, asn: u32) -> Result<(TcpStream, Vec<u8>)> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((local, 0)).into())?;
        socket.set_tcp_nodelay(true)?;
        socket.connect_timeout(&SocketAddr::from((remote, 179)).into(), Duration::from_secs(2))?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let router_id = RouterId::new(local).context("an address")?;
        let capabilities =
            vec![Capability::FourOctetAs(Asn(asn)), Capability::Multiprotocol(AfiSafi { afi: 1, safi: 1 })];
        let open = Open { asn: Asn(asn), hold_time: 180, router_id, capabilities };
        stream.write_all(&header::emit(MessageType::Open, &open.emit()))?;
        let mut octets = Vec::new();
        // OPEN, then KEEPALIVE: then it is established.
        for wanted in [MessageType::Open, MessageType::Keepalive] {
            let got = next(&mut stream, &mut octets)?;
            if got != wanted {
                bail!("{got:?} came instead of {wanted:?}");
            }
            if wanted == MessageType::Open {
                stream.write_all(&header::emit(MessageType::Keepalive, &[]))?;
            }
        }
        stream.set_read_timeout(None)?;
        Ok((stream, octets))
    }

    /// Sends whole messages.
    pub(crate) fn send(&self, octets: &[u8]) -> Result<()> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(octets).context("the session is gone")
    }

    fn tend(&self) {
        let session = self.clone();
        thread::spawn(move || {
            while session.send(&header::emit(MessageType::Keepalive, &[])).is_ok() {
                thread::sleep(KEEPALIVE);
            }
        });
    }

    /// Ends it without a word.
    pub(crate) fn close(&self) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _closed = stream.shutdown(std::net::Shutdown::Both);
    }
}

/// The kind of the next message, which is taken out of `octets`.
fn next(stream: &mut TcpStream, octets: &mut Vec<u8>) -> Result<MessageType> {
    let mut piece = [0; 4096];
    loop {
        let frame = header::split(octets, MAX_LEN).map_err(|why| anyhow::anyhow!("{why:?}"))?;
        if let Some(frame) = frame {
            let (kind, len) = (frame.kind, frame.len());
            octets.drain(..len);
            return Ok(kind);
        }
        match stream.read(&mut piece)? {
            0 => bail!("it hung up"),
            len => octets.extend_from_slice(&piece[..len]),
        }
    }
}

/// Gives the body of every UPDATE to `heard`, until the session ends.
fn listen(mut stream: TcpStream, mut octets: Vec<u8>, mut heard: impl FnMut(&[u8])) {
    let mut piece = vec![0; 1 << 18];
    loop {
        let mut done = 0;
        while let Ok(Some(frame)) = header::split(&octets[done..], MAX_LEN) {
            match frame.kind {
                MessageType::Update => heard(frame.body),
                MessageType::Notification => eprintln!("convergence: a NOTIFICATION came: {:?}", frame.body),
                _ => {}
            }
            done += frame.len();
        }
        octets.drain(..done);
        match stream.read(&mut piece) {
            Ok(len) if len > 0 => octets.extend_from_slice(&piece[..len]),
            _ => return,
        }
    }
}
