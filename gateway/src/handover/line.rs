//! What predecessor and successor say to each other: a kind, octets, descriptors.

use std::{
    io,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use net::carry::{Carry, Opened, Parcel};
use zeroize::Zeroizing;

/// One end of the socket pair.
#[derive(Debug)]
pub(super) struct Line(UnixStream);

/// What is said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Successor: I am there, and this is my format ([`Hello`]).
    Hello,
    /// Predecessor: this is what you can prepare with ([`Offer`]).
    Offer,
    /// Successor: I am prepared.
    Ready,
    /// Predecessor: I have stopped, and this is where ([`Estate`]).
    Estate,
    /// Successor: I could go on, all but this (a list of [`super::Anew`]; without any, an earlier version says nothing here).
    Taken,
    /// Predecessor: do; I never will.
    Go,
    /// Either: nothing comes of it, and why (a text).
    Failed,
}
net::carry!(Kind = Hello 1, Offer 2, Ready 3, Estate 4, Taken 5, Go 6, Failed 7);

/// A message.
pub(super) struct Heard {
    octets: Zeroizing<Vec<u8>>,
    pub(super) descriptors: Vec<OwnedFd>,
}

impl Heard {
    /// What follows the kind.
    pub(super) fn body(&self) -> Opened<'_> {
        Opened::new(self.octets.get(1..).unwrap_or_default())
    }
}

impl Line {
    pub(super) const fn new(stream: UnixStream) -> Self {
        Self(stream)
    }

    /// The same line once more.
    pub(super) fn again(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// How long the other end may take from now on.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(patience))?;
        self.0.set_write_timeout(Some(patience))
    }

    pub(super) fn say(&self, kind: Kind) -> Result<()> {
        self.say_with(kind, &Parcel::new(), &[])
    }

    pub(super) fn say_with(&self, kind: Kind, body: &Parcel, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let mut octets = Parcel::new();
        kind.pack(&mut octets);
        octets.octets(body.as_octets());
        sys::handoff::send(&self.0, octets.as_octets(), descriptors)
            .with_context(|| format!("cannot say {kind:?}"))
    }

    /// Says why nothing comes of it, if anybody still listens.
    pub(super) fn say_failed(&self, why: &str) {
        let mut body = Parcel::new();
        why.to_owned().pack(&mut body);
        let _said = self.say_with(Kind::Failed, &body, &[]);
    }

    /// Waits for this, and nothing else.
    pub(super) fn hear(&self, expected: Kind) -> Result<Heard> {
        let (octets, descriptors) = match sys::handoff::receive(&self.0) {
            Ok(received) => received,
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => bail!("it ended"),
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => bail!("it took too long"),
            Err(why) => return Err(why).context("it cannot be heard"),
        };
        let octets = Zeroizing::new(octets);
        let kind = Kind::unpack(&mut Opened::new(&octets)).context("it says what nobody understands")?;
        let heard = Heard { octets, descriptors };
        if kind == Kind::Failed {
            bail!("{}", String::unpack(&mut heard.body()).unwrap_or_default());
        }
        if kind != expected {
            bail!("it said {kind:?} instead of {expected:?}");
        }
        Ok(heard)
    }

    /// Waits until the other end has hung up, or for as long as patience lasts.
    pub(super) fn hear_end(&self) {
        let _ended = sys::handoff::receive(&self.0);
    }
}

/// The successor's first words. Their layout is for ever: they are what two formats have in common.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) magic: [u8; 8],
    pub(super) format: u32,
    pub(super) version: String,
}
net::carry!(Hello { magic, format, version });

/// What [`Hello`] begins with.
pub(super) const MAGIC: [u8; 8] = *b"quadspan";

/// What the successor prepares with. Descriptors come in this order: the lock, the API's socket, the one for metrics, those of the
/// ports.
#[derive(Debug)]
pub(super) struct Offer {
    /// The predecessor's time, and what the system's monotonic clock said then, in nanoseconds: time goes on.
    pub(super) now: net::Instant,
    pub(super) monotonic: u64,
    /// The state folder that the lock is on.
    pub(super) folder: String,
    /// Where the API's socket is.
    pub(super) api: Option<String>,
    pub(super) has_metrics: bool,
    /// Devices, and what was set on them before: to be put back in the end.
    pub(super) hands_off: Vec<(String, Vec<(String, String)>)>,
    pub(super) ports: Vec<PortOffer>,
}
net::carry!(Offer { now, monotonic, folder, api, has_metrics, hands_off, ports });

/// A worker's part of a port.
#[derive(Debug)]
pub(super) struct PortOffer {
    /// What it is called, see [`super::predecessor::Facts`].
    pub(super) key: String,
    pub(super) worker: u16,
    /// How many descriptors it has, and with which options it was opened.
    pub(super) count: usize,
    pub(super) facts: String,
    /// The name of its device, where the kernel chose that.
    pub(super) device: String,
}
net::carry!(PortOffer { key, worker, count, facts, device });

impl PortOffer {
    /// A device's lock travels as a part of a port does: a successor that knows no locks does not ask for it.
    pub(super) const fn of_lock(key: String) -> Self {
        Self { key, worker: 0, count: 1, facts: String::new(), device: String::new() }
    }
}

/// Everything that goes on, by name.
#[derive(Default)]
pub(super) struct Estate<'a> {
    pub(super) channels: Vec<(String, &'a [u8])>,
    pub(super) interfaces: Vec<(String, &'a [u8])>,
    pub(super) connections: Vec<(String, &'a [u8])>,
    /// By name and worker.
    pub(super) ports: Vec<((String, u16), &'a [u8])>,
}

impl<'a> Estate<'a> {
    pub(super) fn pack(&self, out: &mut Parcel) {
        pack_all(&self.channels, out);
        pack_all(&self.interfaces, out);
        pack_all(&self.connections, out);
        pack_all(&self.ports, out);
    }

    pub(super) fn unpack(from: &mut Opened<'a>) -> Option<Self> {
        Some(Self {
            channels: unpack_all(from)?,
            interfaces: unpack_all(from)?,
            connections: unpack_all(from)?,
            ports: unpack_all(from)?,
        })
    }

    /// What a channel left.
    pub(super) fn channel(&self, name: &str) -> Option<&'a [u8]> {
        self.channels.iter().find(|(own, _)| own == name).map(|(_, left)| *left)
    }
}

fn pack_all<N: Carry>(all: &[(N, &[u8])], out: &mut Parcel) {
    all.len().pack(out);
    for (name, left) in all {
        name.pack(out);
        out.counted(left);
    }
}

fn unpack_all<'a, N: Carry>(from: &mut Opened<'a>) -> Option<Vec<(N, &'a [u8])>> {
    let count = usize::unpack(from)?;
    (0..count).map(|_| Some((N::unpack(from)?, from.counted()?))).collect()
}
