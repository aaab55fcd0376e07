//! What a process or thread says about itself: its processors, its name, its privileges, when it wants to die.
//!
//! Linux keeps capabilities, the bounding set and `no_new_privs` per thread. A thread inherits them from the thread
//! that starts it, so [`keep_capabilities`] and [`set_no_new_privs`] belong at the start of a program, before it has
//! threads, or at the start of each thread.
#![expect(
    unsafe_code,
    reason = "adjtimex, capset, capget, pidfd_open and sched_setscheduler have no wrapper"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use libc::{c_int, c_ulong};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// A right of its own out of what root may do (capabilities(7)); those that a gateway can have a use for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Capability {
    /// Read any file, write none (`CAP_DAC_READ_SEARCH`).
    DacReadSearch = 2,
    /// Listen on ports below 1024 (`CAP_NET_BIND_SERVICE`): BGP.
    NetBindService = 10,
    /// Configure interfaces, TAP devices, TCP-MD5 (`CAP_NET_ADMIN`).
    NetAdmin = 12,
    /// Open packet sockets (`CAP_NET_RAW`).
    NetRaw = 13,
    /// Lock memory, also for AF_XDP (`CAP_IPC_LOCK`).
    IpcLock = 14,
    /// Make and enter namespaces (`CAP_SYS_ADMIN`).
    SysAdmin = 21,
    /// Raise priorities (`CAP_SYS_NICE`).
    SysNice = 23,
    /// Load programs into the kernel (`CAP_BPF`): AF_XDP.
    Bpf = 39,
}

impl Capability {
    fn bit(self) -> u64 {
        1 << self.number()
    }

    #[expect(clippy::as_conversions, reason = "the discriminant is the number")]
    fn number(self) -> u8 {
        self as u8
    }
}

/// The processors that the calling thread may run on, lowest first.
///
/// # Errors
/// Whatever the kernel answers; none is expected on machines of up to 1024 processors.
pub fn processors() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(THIS_THREAD)?;
    Ok((0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect())
}

/// Lets the calling thread run on processor `cpu` only.
///
/// # Errors
/// `EINVAL` when there is no such processor or the thread may not use it.
pub fn pin_thread(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(THIS_THREAD, &set)?)
}

/// The kernel's number of the calling thread.
pub fn thread_id() -> i32 {
    nix::unistd::gettid().as_raw()
}

/// Lets a thread of this process run before all ordinary ones (`SCHED_FIFO` with this priority, 1 to 99), or as an ordinary
/// one again. 0 is the calling thread. Threads that it starts are ordinary ones.
///
/// # Errors
/// `EPERM` without `CAP_SYS_NICE` and `RLIMIT_RTPRIO`; `ESRCH` when there is no such thread; `EINVAL` for other priorities.
pub fn set_realtime(thread: i32, priority: Option<u8>) -> io::Result<()> {
    let policy = if priority.is_some() { libc::SCHED_FIFO } else { libc::SCHED_OTHER };
    let param = libc::sched_param { sched_priority: c_int::from(priority.unwrap_or(0)) };
    // SAFETY: `param` is a whole sched_param that outlives the call, which reads it only.
    let code =
        unsafe { libc::sched_setscheduler(thread, policy | libc::SCHED_RESET_ON_FORK, &raw const param) };
    Errno::result(code).map(drop).map_err(io::Error::from)
}

/// Names the calling thread for `ps` and debuggers; the kernel keeps the first 15 octets.
///
/// # Errors
/// `InvalidInput` when `name` contains a zero octet.
pub fn name_thread(name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    Ok(prctl::set_name(&name)?)
}

/// Lets timers of the calling thread be late by at most `slack` (at least a nanosecond), to be bundled with others.
///
/// # Errors
/// None is expected.
pub fn set_timer_slack(slack: Duration) -> io::Result<()> {
    let nanoseconds = c_ulong::try_from(slack.as_nanos()).unwrap_or(c_ulong::MAX);
    // Zero would mean the thread's default.
    Ok(prctl::set_timerslack(nanoseconds.max(1))?)
}

/// The version of the running kernel, its first two numbers.
///
/// # Errors
/// `InvalidData` when the kernel does not say it as numbers; what reading `/proc` gives.
pub fn kernel_version() -> io::Result<(u32, u32)> {
    let text = crate::sysctl::read("kernel/osrelease")?;
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, text)),
    }
}

/// Whether something, such as an NTP client, keeps the time of day right.
///
/// # Errors
/// Whatever the kernel answers; none is expected.
pub fn is_clock_synchronized() -> io::Result<bool> {
    // SAFETY: a structure of integers only, for which zeros are values.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: with `modes` 0 the kernel writes into the structure, as long as the call lasts, and changes nothing else.
    let code = unsafe { libc::adjtimex(&raw mut clock) };
    match code {
        -1 => Err(io::Error::last_os_error()),
        code => Ok(code != libc::TIME_ERROR && clock.status & libc::STA_UNSYNC == 0),
    }
}

/// Has the kernel send this process `SIGKILL` when the *thread* that started it ends.
///
/// # Errors
/// `ESRCH` when the parent is gone already: it is then not `parent` any more.
pub fn die_with_parent(parent: u32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let now = u32::try_from(Pid::parent().as_raw()).unwrap_or_default();
    if now == parent { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
}

/// Whether the calling thread asked for that: of a program that was started with it, the first one. Who asked for another signal than SIGKILL is to
/// end as that signal has it.
///
/// # Errors
/// None is expected.
pub fn dies_with_its_parent() -> io::Result<bool> {
    Ok(prctl::get_pdeathsig()? == Some(Signal::SIGKILL))
}

/// What becomes readable when the process `pid` ends, whoever its parent is (pidfd_open(2), Linux 5.3).
///
/// # Errors
/// `ESRCH` when there is none, `ENOSYS` on an older kernel.
pub fn end_of(pid: u32) -> io::Result<OwnedFd> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: the system call takes two numbers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = c_int::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives up, for the calling thread and everything it starts, to ever gain a privilege by `exec`.
///
/// # Errors
/// None is expected.
pub fn set_no_new_privs() -> io::Result<()> {
    Ok(prctl::set_no_new_privs()?)
}

/// Lets nobody read this process's memory who may not read everything: no core dumps, no ptrace by the same user.
///
/// `/proc/self` belongs to root afterwards, so do this after writing to it.
///
/// # Errors
/// None is expected.
pub fn hide_memory() -> io::Result<()> {
    prctl::set_dumpable(false)?;
    let (_, most) = getrlimit(Resource::RLIMIT_CORE)?;
    Ok(setrlimit(Resource::RLIMIT_CORE, 0, most)?)
}

/// Keeps all memory of this process, now and later, in RAM: keys never reach a swap device.
///
/// # Errors
/// `ENOMEM` or `EPERM` when the limit for locked memory is too low; the process works on without.
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: takes flags only and changes nothing that Rust could see.
    let code = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the calling thread can use `capability` now.
///
/// # Errors
/// Whatever the kernel answers; none is expected.
pub fn has_capability(capability: Capability) -> io::Result<bool> {
    Ok(capabilities()?.effective & capability.bit() != 0)
}

/// Gives up all capabilities but those of `keep` that the calling thread has, for good: they are also taken out of
/// what a later `exec` could give back.
///
/// # Errors
/// Whatever the kernel answers; none is expected. Capabilities of `keep` that the thread does not have are not an
/// error: ask [`has_capability`].
pub fn keep_capabilities(keep: &[Capability]) -> io::Result<()> {
    let keep = keep.iter().fold(0, |all, c| all | c.bit());
    let now = capabilities()?;
    clear_ambient()?;
    if now.effective & CAP_SETPCAP != 0 {
        bound_capabilities(keep)?;
    }
    let kept = now.permitted & keep;
    set_capabilities(Sets { effective: kept, permitted: kept, inheritable: 0 })
}

/// The three sets of a thread, one bit for each capability.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Sets {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

fn capabilities() -> io::Result<Sets> {
    let header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut halves = [CapHalf::default(); 2];
    // SAFETY: version 3 reads the header and writes two halves; both outlive the call.
    let code = unsafe { libc::syscall(libc::SYS_capget, &raw const header, halves.as_mut_ptr()) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    let [low, high] = halves;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(Sets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

fn set_capabilities(sets: Sets) -> io::Result<()> {
    let header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let half = |shift: u32| {
        let part = |set: u64| u32::try_from(set >> shift & u64::from(u32::MAX)).unwrap_or_default();
        CapHalf {
            effective: part(sets.effective),
            permitted: part(sets.permitted),
            inheritable: part(sets.inheritable),
        }
    };
    let halves = [half(0), half(32)];
    // SAFETY: version 3 reads the header and two halves; both outlive the call.
    let code = unsafe { libc::syscall(libc::SYS_capset, &raw const header, halves.as_ptr()) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes everything but `keep` out of the bounding set. The first number that the kernel does not know ends it.
fn bound_capabilities(keep: u64) -> io::Result<()> {
    for number in 0..u64::BITS {
        if keep & (1 << number) != 0 {
            continue;
        }
        match control(libc::PR_CAPBSET_DROP, c_ulong::from(number)) {
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => break,
            result => result?,
        }
    }
    Ok(())
}

fn clear_ambient() -> io::Result<()> {
    control(libc::PR_CAP_AMBIENT, c_ulong::try_from(libc::PR_CAP_AMBIENT_CLEAR_ALL).unwrap_or_default())
}

/// `prctl` with one integer.
fn control(option: c_int, argument: c_ulong) -> io::Result<()> {
    let zero: c_ulong = 0;
    // SAFETY: the options used here take integers only.
    let code = unsafe { libc::prctl(option, argument, zero, zero, zero) };
    Errno::result(code).map(drop).map_err(io::Error::from)
}

/// `struct __user_cap_header_struct` of linux/capability.h.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: c_int,
}

/// `struct __user_cap_data_struct` of linux/capability.h.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct CapHalf {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
/// The bit of `CAP_SETPCAP`, which changing the bounding set needs.
const CAP_SETPCAP: u64 = 1 << 8;
/// The calling thread, for scheduler calls.
const THIS_THREAD: Pid = Pid::from_raw(0);

#[cfg(test)]
mod tests {
    use super::*;

    /// Capabilities belong to threads: what a claim changes dies with its thread.
    fn on_a_thread(claim: impl FnOnce() + Send) {
        std::thread::scope(|s| s.spawn(claim).join().unwrap());
    }

    #[test]
    fn the_kernel_says_whether_the_clock_is_kept() {
        is_clock_synchronized().unwrap();
    }

    #[test]
    fn a_pinned_thread_stays_on_its_processor() {
        on_a_thread(|| {
            let allowed = processors().unwrap();
            let last = *allowed.last().unwrap();
            pin_thread(last).unwrap();
            assert_eq!(processors().unwrap(), [last]);
            assert_eq!(nix::sched::sched_getcpu().unwrap(), last);
            pin_thread(1023).expect_err("no such processor");
        });
    }

    #[test]
    fn priority_is_lent_and_given_back() {
        /// 0: ordinary, 1: SCHED_FIFO (proc(5)).
        fn policy() -> String {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.rsplit(' ').nth(11).unwrap().to_owned()
        }
        on_a_thread(|| {
            match set_realtime(0, Some(1)) {
                Err(why) => assert_eq!(why.raw_os_error(), Some(libc::EPERM)),
                Ok(()) => assert_eq!(policy(), "1"),
            }
            set_realtime(thread_id(), None).unwrap();
            assert_eq!(policy(), "0");
            set_realtime(0, Some(100)).unwrap_err();
        });
    }

    #[test]
    fn a_thread_has_the_first_fifteen_octets_of_its_name() {
        on_a_thread(|| {
            name_thread("qs-worker-0-and-more").unwrap();
            assert_eq!(prctl::get_name().unwrap().to_str().unwrap(), "qs-worker-0-and");
            name_thread("nul\0").unwrap_err();
        });
    }

    #[test]
    fn capabilities_that_are_not_kept_are_gone_for_good() {
        on_a_thread(|| {
            let before = capabilities().unwrap();
            keep_capabilities(&[Capability::NetRaw, Capability::NetAdmin]).unwrap();
            let kept = before.permitted & (1 << 13 | 1 << 12);
            assert_eq!(capabilities().unwrap(), Sets { effective: kept, permitted: kept, inheritable: 0 });
            assert!(!has_capability(Capability::SysAdmin).unwrap());
            if kept != 0 {
                assert!(has_capability(Capability::NetRaw).unwrap());
                let bounding = std::fs::read_to_string("/proc/thread-self/status").unwrap();
                assert!(bounding.contains("CapBnd:\t0000000000003000"), "{bounding}");
            }
            keep_capabilities(&[Capability::SysAdmin]).unwrap();
            assert_eq!(capabilities().unwrap(), Sets { effective: 0, permitted: 0, inheritable: 0 });
            assert_eq!(
                crate::interface::set_up("lo", true).unwrap_err().raw_os_error(),
                Some(libc::EPERM),
                "the kernel agrees"
            );
        });
    }

    #[test]
    fn the_kernel_says_its_version() {
        assert!(kernel_version().unwrap() > (3, 0), "{:?}", kernel_version());
    }

    #[test]
    fn no_new_privileges_holds_for_the_thread() {
        on_a_thread(|| {
            set_no_new_privs().unwrap();
            assert!(prctl::get_no_new_privs().unwrap());
        });
    }

    #[test]
    fn a_parent_that_is_not_ours_is_noticed() {
        on_a_thread(|| {
            let error = die_with_parent(u32::MAX).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
            assert!(dies_with_its_parent().unwrap());
            prctl::set_pdeathsig(Signal::SIGTERM).unwrap();
            assert!(!dies_with_its_parent().unwrap());
            prctl::set_pdeathsig(None).unwrap();
            assert!(!dies_with_its_parent().unwrap());
        });
    }

    #[test]
    fn the_end_of_a_process_is_noticed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let end = end_of(child.id()).unwrap();
        let mut poller = crate::Poller::new().unwrap();
        poller.add(&end, 1).unwrap();
        let mut ready = Vec::new();
        poller.wait(&mut ready, Some(Duration::from_millis(1))).unwrap();
        assert!(ready.is_empty(), "it lives");
        child.kill().unwrap();
        poller.wait(&mut ready, Some(Duration::from_secs(20))).unwrap();
        assert_eq!(ready.len(), 1);
        let id = child.id();
        child.wait().unwrap();
        assert_eq!(end_of(id).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
