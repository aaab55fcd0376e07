//! A device has one gateway. A second one on it would take every frame too, and send it on once more: hosts would get everything twice,
//! and two members would speak MKA from one address. The kernel lets any number of packet sockets onto a device, so gateways tell each other.
//!
//! The lock of a device is a unix socket that listens under a name of the abstract kind (unix(7)). Such names belong to the network
//! namespace, as devices do; nothing of them is on disk; and the kernel lets go of one when the last process that has the socket ends, however
//! it ends. Whoever finds a name taken connects to it, and so learns who that is (`SO_PEERCRED`); nobody ever answers.
//!
//! A device is called by its index, which all its names have in common, and a tunnel by its own end: its device is not the
//! gateway's alone. One that hands over passes its locks on, so there is no moment in which nobody has them ([`Locks::own`]). They are no
//! protection against a local user who wants to be in the way: the error says who is.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    fs, io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

use anyhow::{Result, anyhow};
use config::{Config, model::Port};
use net::Instant;
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, UnixAddr, connect, getsockopt, listen, socket, sockopt,
    },
};

use crate::{
    clock,
    handover::Inheritance,
    state::{LET_GO, LOOK},
};

/// The locks of a gateway, by the names of its ports.
#[derive(Debug, Default)]
pub struct Locks(BTreeMap<String, Lock>);

/// What is held as long as this is, or a copy of its socket in another process.
#[derive(Debug)]
struct Lock {
    name: String,
    socket: UnixListener,
}

impl Locks {
    /// Takes the locks of all ports whose devices are there and which are not held yet: from the predecessor that has them, or anew. One that
    /// was just killed is waited for.
    ///
    /// # Errors
    /// When another gateway has one: which, and what to do about it.
    pub fn take(&mut self, config: &Config, mut heir: Option<&mut Inheritance>) -> Result<()> {
        let due = clock::now().after(LET_GO);
        for port in &config.ports {
            let Some(name) = name_of(port).filter(|_| !self.0.contains_key(&port.name)) else { continue };
            let left = heir.as_mut().and_then(|heir| heir.port(&key(&name), 0));
            let left = left.and_then(|(mut left, _)| left.descriptors.pop()).map(UnixListener::from);
            let lock = match left {
                Some(socket) => Lock { name, socket },
                None => Lock::take(name, due).map_err(|why| refused(port, &why))?,
            };
            self.0.insert(port.name.clone(), lock);
        }
        Ok(())
    }

    /// The port's device is there again, as another one: its lock too. Does not wait.
    ///
    /// # Errors
    /// When another gateway was quicker.
    pub(super) fn take_again(&mut self, port: &Port) -> Result<()> {
        let Some(name) = name_of(port) else { return Ok(()) };
        if self.0.get(&port.name).is_none_or(|held| held.name != name) {
            let lock = Lock::take(name, clock::now()).map_err(|why| refused(port, &why))?;
            self.0.insert(port.name.clone(), lock);
        }
        Ok(())
    }

    /// The locks for a successor, by what they are called from process to process.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn again(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        self.0.values().map(|lock| Ok((key(&lock.name), lock.socket.try_clone()?.into()))).collect()
    }

    /// From now on it is this process that whoever asks is told of, and no more its predecessor.
    pub fn own(&self) {
        for lock in self.0.values() {
            // Whoever listens again puts their own credentials in the place of what was there. If not, the error names the one before.
            let _own = Backlog::new(WAITING).map(|waiting| listen(&lock.socket, waiting));
        }
    }

    /// Hangs up on whoever asked: only so many can wait, and whoever comes after would not learn who it is.
    pub fn hang_up(&self) {
        for lock in self.0.values() {
            while lock.socket.accept().is_ok() {}
        }
    }
}

/// Who has the lock of a port's device, and what to do about it; `None` when nobody has. Takes nothing.
pub fn holder(port: &Port) -> Option<String> {
    let lock = name_of(port)?;
    match Holder::ask(&lock) {
        Ok(who) => Some(Holder::told(lock, Some(who)).to_string()),
        // More have asked than can wait.
        Err(Errno::EAGAIN) => Some(Holder::told(lock, None).to_string()),
        Err(_) => None,
    }
}

impl Lock {
    fn take(name: String, due: Instant) -> Result<Self, Refusal> {
        let address = SocketAddr::from_abstract_name(&name)?;
        loop {
            match UnixListener::bind_addr(&address) {
                Ok(socket) => {
                    socket.set_nonblocking(true)?;
                    return Ok(Self { name, socket });
                }
                Err(why) if why.kind() != io::ErrorKind::AddrInUse => return Err(why.into()),
                Err(_) if clock::now() >= due => return Err(Refusal::Held(Holder::of(name))),
                Err(_) => std::thread::park_timeout(LOOK),
            }
        }
    }
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Held(Holder),
    #[error("the lock cannot be made: {0}")]
    Io(#[from] io::Error),
}

/// Who has a lock.
#[derive(Debug)]
struct Holder {
    lock: String,
    /// Process and user, where the kernel tells.
    who: Option<(i32, u32)>,
}

impl Holder {
    fn of(lock: String) -> Self {
        let who = Self::ask(&lock).ok();
        Self::told(lock, who)
    }

    fn told(lock: String, who: Option<(i32, u32)>) -> Self {
        // 0: it is in a namespace of processes that we do not see.
        Self { lock, who: who.filter(|(pid, _)| *pid > 0) }
    }

    fn ask(lock: &str) -> nix::Result<(i32, u32)> {
        let ours = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_NONBLOCK, None)?;
        connect(ours.as_raw_fd(), &UnixAddr::new_abstract(lock.as_bytes())?)?;
        let theirs = getsockopt(&ours, sockopt::PeerCredentials)?;
        Ok((theirs.pid(), theirs.uid()))
    }
}

impl Display for Holder {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some((pid, user)) = self.who else {
            return write!(
                f,
                "another Quadspan has it, in a process that cannot be seen from here. Find it with `ss -xlp | grep {}`, as root and \
                 outside of containers; stop it",
                self.lock
            );
        };
        let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let program = Some(program.trim()).filter(|program| !program.is_empty()).unwrap_or("unknown");
        write!(
            f,
            "another Quadspan has it, process {pid} (program {program}, user {user}). Stop that one (`kill {pid}`)"
        )
    }
}

fn refused(port: &Port, why: &Refusal) -> anyhow::Error {
    let what = port.underlay.as_ref().map_or_else(
        || format!("device {}", port.device),
        |underlay| format!("tunnel end {} port {} on {}", underlay.local, underlay.port, port.device),
    );
    let instead = match why {
        Refusal::Held(_) => {
            ", or give this one another: two gateways on the same would both forward every frame"
        }
        Refusal::Io(_) => "",
    };
    anyhow!("port \"{}\": cannot have the {what}: {why}{instead}", port.name)
}

/// What a port's lock is called; none while its device is not there.
fn name_of(port: &Port) -> Option<String> {
    Some(match &port.underlay {
        Some(underlay) => {
            format!("quadspan/tunnel/{}/{}/{}", port.device, underlay.local, underlay.port)
        }
        None => format!("quadspan/device/{}", sys::interface::index(&port.device).ok()?),
    })
}

/// What a lock is called from process to process.
fn key(name: &str) -> String {
    format!("lock {name}")
}

/// How many may have asked since somebody looked.
const WAITING: i32 = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lock(name: &str) -> Result<Lock, Refusal> {
        Lock::take(own(name), clock::now())
    }

    fn own(name: &str) -> String {
        format!("quadspan/test/{}/{name}", std::process::id())
    }

    /// Long enough for any machine.
    fn late() -> Instant {
        clock::now().after(Duration::from_secs(60))
    }

    #[test]
    fn a_second_one_is_refused_and_told_who_has_it() {
        let held = lock("second").unwrap();
        let why = lock("second").unwrap_err().to_string();
        let own = std::process::id();
        assert!(why.contains(&format!("process {own} (program ")) && why.contains("kill"), "{why}");
        drop(held);
        assert_eq!(Holder::ask(&self::own("second")), Err(Errno::ECONNREFUSED), "nobody has it");
        drop(lock("second").unwrap());
    }

    #[test]
    fn one_that_is_let_go_of_soon_is_waited_for() {
        let held = lock("soon").unwrap();
        let waits = std::thread::spawn(|| Lock::take(own("soon"), late()).map(drop));
        std::thread::park_timeout(5 * LOOK);
        drop(held);
        waits.join().unwrap().unwrap();
    }

    #[test]
    fn who_has_a_copy_has_the_lock() {
        let held = lock("copy").unwrap();
        let locks = Locks(BTreeMap::from([("p1".to_owned(), held)]));
        let (called, copy) = locks.again().unwrap().pop().unwrap();
        assert_eq!(called, format!("lock {}", own("copy")));
        drop(locks);
        lock("copy").unwrap_err();
        drop(copy);
        drop(lock("copy").unwrap());
    }

    // A supervisor may start one again and again that has no chance.
    #[test]
    fn those_who_asked_do_not_keep_others_from_asking() {
        let locks = Locks(BTreeMap::from([("p1".to_owned(), lock("often").unwrap())]));
        locks.own();
        let known = || Holder::of(own("often")).who.is_some();
        while known() {}
        assert!(Holder::of(own("often")).to_string().contains("ss -xlp"));
        locks.hang_up();
        assert!(known());
    }
}
