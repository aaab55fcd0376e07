//! Network namespaces: whole network stacks of their own, for laboratories and for gateways that keep theirs apart
//! (network_namespaces(7), user_namespaces(7)).
//!
//! A namespace lives as long as something refers to it: a process or thread inside, an open descriptor ([`NetNs`]),
//! an interface pair that reaches out of it does not count. Linux changes the namespace of a *thread*. Everything
//! opened in it stays in it for life: a packet socket, a TAP queue, a netlink or TCP socket can be opened inside
//! ([`NetNs::within`]) and used from any thread.
#![expect(unsafe_code, reason = "fork, and what runs between fork and exec")]

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::wait::waitpid;
use nix::unistd::{
    ForkResult, Pid, dup2_stdin, dup2_stdout, fork, getgid, getuid, pipe2, read, setsid, write,
};

use crate::process;

/// What [`enter_own_namespaces`] had to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entered {
    /// The process was privileged: new network and mount namespaces.
    Privileged,
    /// It was not: also a new user namespace, in which it is root.
    AsOwnRoot,
}

/// Moves this process into network and mount namespaces of its own, and when it lacks the privilege for that, into a
/// user namespace of its own first, where it is root.
///
/// Must be called before the process has a second thread. The new network namespace holds a loopback interface,
/// down, and nothing else; mounts made afterwards are seen by nobody else; `/sys` shows the new namespace where the
/// kernel allows to mount it again.
///
/// # Errors
/// `EINVAL` when the process has threads; `EPERM`, `ENOSPC` or `EACCES` when the system forbids user namespaces.
pub fn enter_own_namespaces() -> io::Result<Entered> {
    let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    let entered = match unshare(own) {
        Ok(()) => Entered::Privileged,
        Err(Errno::EPERM) => {
            let (user, group) = (getuid(), getgid());
            unshare(CloneFlags::CLONE_NEWUSER | own)?;
            // user_namespaces(7): without privilege outside, groups must be given up before they can be mapped.
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
            fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
            Entered::AsOwnRoot
        }
        Err(e) => return Err(e.into()),
    };
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // Only a convenience for tools that look into /sys/class/net; containers may forbid it.
    let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), flags, none);
    Ok(entered)
}

/// A network namespace, kept alive by this value.
#[derive(Debug)]
pub struct NetNs(OwnedFd);

impl NetNs {
    /// A new network namespace: a loopback interface, down, and nothing else.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN`, `ENOSPC` when the system has too many.
    pub fn new() -> io::Result<Self> {
        on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Self::current()
        })?
    }

    /// The network namespace of the calling thread.
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub fn current() -> io::Result<Self> {
        Self::open("/proc/thread-self/ns/net")
    }

    /// The network namespace of process `pid`.
    ///
    /// # Errors
    /// `ENOENT` when there is no such process, `EACCES` when it belongs to somebody else.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        Self::open(format!("/proc/{pid}/ns/net"))
    }

    /// The network namespace that `path` refers to: `/proc/PID/ns/net`, `/run/netns/NAME`.
    ///
    /// # Errors
    /// What opening the file gives. Whether it is a namespace shows when it is entered.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self(File::open(path)?.into()))
    }

    /// Runs `work` on a fresh thread inside the namespace and gives what it returns. A panic in it goes on here.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN` in the user namespaces of both sides, `EINVAL` when this is not a network
    /// namespace.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_own_thread(|| {
            self.enter()?;
            Ok(work())
        })?
    }

    /// Moves the calling thread into the namespace, for good.
    ///
    /// # Errors
    /// As [`NetNs::within`].
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }

    /// Starts `command` inside the namespace. It is killed when the thread that calls this ends, so call it from one
    /// that lives as long as the child should.
    ///
    /// The command remembers the namespace: start it once only.
    ///
    /// # Errors
    /// What [`Command::spawn`] gives, and what entering the namespace gives.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let namespace = self.0.try_clone()?;
        let parent = std::process::id();
        let enter = move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            process::die_with_parent(parent)
        };
        // SAFETY: between fork and exec `enter` makes four system calls and nothing else; no memory is allocated and
        // no lock taken, errors are plain numbers.
        unsafe { command.pre_exec(enter) };
        command.spawn()
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A process that does nothing but hold a new network namespace, so that the namespace has a process id: tools take
/// one (`nsenter -n -t PID`, `ip link set DEV netns PID`).
///
/// It ends when this value is dropped and when this process dies, however it dies. Signals from the terminal do not
/// reach it.
#[derive(Debug)]
pub struct Holder {
    pid: Pid,
    namespace: NetNs,
    /// The holder waits for the end of what is written here.
    life: Option<OwnedFd>,
}

impl Holder {
    /// Starts a process that holds a new network namespace.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN`; `EAGAIN` when no process can be made.
    pub fn start() -> io::Result<Self> {
        let (wait, life) = pipe2(OFlag::O_CLOEXEC)?;
        let (report, ready) = pipe2(OFlag::O_CLOEXEC)?;
        // SAFETY: the child calls `hold`, which only makes system calls until it exits.
        let child = match unsafe { fork() }? {
            ForkResult::Child => hold(&wait, &ready),
            ForkResult::Parent { child } => child,
        };
        drop((wait, ready));
        let mut answer = [0; 4];
        let outcome = File::from(report).read_exact(&mut answer);
        let error = outcome.err().or_else(|| match i32::from_ne_bytes(answer) {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno)),
        });
        let namespace = match error {
            Some(e) => Err(e),
            None => Self::namespace_of(child),
        };
        match namespace {
            Ok(namespace) => Ok(Self { pid: child, namespace, life: Some(life) }),
            Err(e) => {
                drop(life);
                let _ = waitpid(child, None);
                Err(e)
            }
        }
    }

    /// The process id of the holder.
    #[must_use]
    pub fn pid(&self) -> u32 {
        u32::try_from(self.pid.as_raw()).unwrap_or_default()
    }

    /// The namespace that it holds.
    #[must_use]
    pub fn namespace(&self) -> &NetNs {
        &self.namespace
    }

    fn namespace_of(child: Pid) -> io::Result<NetNs> {
        NetNs::of_process(u32::try_from(child.as_raw()).map_err(io::Error::other)?)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.life = None;
        let _ = waitpid(self.pid, None);
    }
}

/// The holder's whole life. Runs in a forked child, so it makes system calls only: no allocation, no destructor.
fn hold(wait: &OwnedFd, ready: &OwnedFd) -> ! {
    let moved = dup2_stdin(wait).and_then(|()| dup2_stdout(ready));
    close_all_from(2);
    // A session of its own: Ctrl-C at the terminal is for our parent.
    let _ = setsid();
    let _ = prctl::set_name(c"qs-netns");
    let outcome = moved.and_then(|()| unshare(CloneFlags::CLONE_NEWNET));
    let errno: i32 = outcome.err().map_or(0, errno_number);
    // SAFETY: `dup2_stdin` opened it, and this child never closes it.
    let life = unsafe { BorrowedFd::borrow_raw(0) };
    // SAFETY: as above, `dup2_stdout`.
    let report = unsafe { BorrowedFd::borrow_raw(1) };
    let _ = write(report, &errno.to_ne_bytes());
    // Nothing is ever written to `life`: reading ends when its writing end is closed.
    while errno == 0 && read(life, &mut [0]) == Err(Errno::EINTR) {}
    // SAFETY: ends the child without running the parent's exit handlers.
    unsafe { libc::_exit(i32::from(errno != 0)) };
}

/// Closes the copies of everything our parent has open, above all the writing ends that other holders wait for.
fn close_all_from(first: libc::c_uint) {
    // SAFETY: called only by `hold`, whose process uses nothing but descriptors 0 and 1 afterwards.
    if unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) } == 0 {
        return;
    }
    for descriptor in first..OLD_KERNEL_DESCRIPTORS {
        // SAFETY: as above.
        let _ = unsafe { libc::syscall(libc::SYS_close, descriptor) };
    }
}

#[expect(clippy::as_conversions, reason = "an Errno is its number")]
fn errno_number(errno: Errno) -> i32 {
    errno as i32
}

/// Runs `work` on a thread of its own and waits for it.
fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let running = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, work)?;
        running.join().map_err(|panic| std::panic::resume_unwind(panic))
    })
}

/// Kernels before 5.9 have no `close_range`; closing this many one by one is enough for a laboratory.
const OLD_KERNEL_DESCRIPTORS: libc::c_uint = 4096;

#[cfg(test)]
mod tests;
