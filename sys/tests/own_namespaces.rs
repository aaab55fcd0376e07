//! `enter_own_namespaces` changes the whole process and wants it to have one thread, so each claim runs in a process
//! of its own: this program starts itself again with the claim's name. No test harness, because a harness has threads.
#![expect(clippy::print_stdout, reason = "this is a test program without a harness")]
#![expect(clippy::expect_used, reason = "this is a test program")]

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use sys::netns::{self, Entered, NetNs};
use sys::{PacketOptions, PacketSocket, Tap, TapOptions, interface, process};

fn main() -> ExitCode {
    let claims: [(&str, fn()); 4] = [
        ("a_process_gets_namespaces_of_its_own", own_namespaces),
        (UNPRIVILEGED, own_root),
        ("with_threads_it_is_refused", with_threads),
        ("memory_can_be_hidden", memory_can_be_hidden),
    ];
    if let Ok(wanted) = std::env::var(CLAIM) {
        for (_, claim) in claims.iter().filter(|(name, _)| *name == wanted) {
            claim();
        }
        return ExitCode::SUCCESS;
    }
    // `cargo test NAME` and `--list` reach programs without a harness too.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut failed = false;
    for (name, _) in claims.iter().filter(|(name, _)| wanted.iter().all(|w| name.contains(w.as_str()))) {
        let mut myself = Command::new("/proc/self/exe");
        if *name == UNPRIVILEGED
            && process::has_capability(process::Capability::SysAdmin).expect("capabilities")
        {
            myself.uid(NOBODY).gid(NOBODY);
        }
        let passed = myself.env(CLAIM, name).status().expect("start myself").success();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed |= !passed;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

const CLAIM: &str = "SYS_TEST_CLAIM";
const UNPRIVILEGED: &str = "without_privilege_it_becomes_its_own_root";
const NOBODY: u32 = 65_534;

/// Enters, or says why not; in CI that is a failure.
fn enter() -> Option<Entered> {
    match netns::enter_own_namespaces() {
        Ok(entered) => Some(entered),
        Err(e) => {
            assert!(std::env::var("CI").map_or(true, |ci| ci != "true"), "must not be skipped in CI: {e}");
            eprintln!("SKIPPED: no namespaces: {e}");
            None
        }
    }
}

/// What the laboratory needs must work inside.
fn everything_works_inside() {
    assert_eq!(interface::all().expect("interfaces"), ["lo"]);
    interface::set_up("lo", true).expect("loopback");
    // A user namespace gives no right to a device file that its user may not open outside.
    if File::options().read(true).write(true).open("/dev/net/tun").is_ok() {
        let tap = Tap::open("t0", TapOptions::default()).expect("a TAP device");
        interface::set_mtu(tap.name(), 9000).expect("MTU");
    }
    PacketSocket::open(&PacketOptions::new("lo")).expect("a packet socket");
    sys::sysctl::write("net/ipv4/ip_forward", "1").expect("sysctl");
    let inner = NetNs::new().expect("one more namespace");
    assert_eq!(inner.within(interface::all).expect("enter").expect("interfaces"), ["lo"]);
    let holder = netns::Holder::start().expect("a holder");
    assert_eq!(holder.namespace().within(interface::all).expect("enter").expect("interfaces"), ["lo"]);
    let inside = inner.spawn(Command::new("true").env_remove(CLAIM)).expect("spawn").wait().expect("wait");
    assert!(inside.success());
    process::keep_capabilities(&[process::Capability::NetAdmin, process::Capability::NetRaw]).expect("keep");
    process::set_no_new_privs().expect("no new privileges");
    interface::set_mtu("lo", 1500).expect("kept");
    assert!(NetNs::new().is_err(), "given up");
}

fn own_namespaces() {
    if enter().is_some() {
        everything_works_inside();
    }
}

/// Runs as nobody when the tests run as root.
fn own_root() {
    if let Some(entered) = enter() {
        assert_eq!(entered, Entered::AsOwnRoot);
        assert!(process::has_capability(process::Capability::SysAdmin).expect("capabilities"));
        everything_works_inside();
    }
}

fn with_threads() {
    process::keep_capabilities(&[]).expect("give up");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || stopped.recv().is_err());
    let error = netns::enter_own_namespaces().expect_err("a second thread is running");
    assert_eq!(error.raw_os_error(), Some(22), "EINVAL: {error}");
    drop(stop);
    assert!(other.join().expect("the other thread"));
}

fn memory_can_be_hidden() {
    process::hide_memory().expect("hide");
    let status = std::fs::read_to_string("/proc/self/limits").expect("limits");
    let core = status.lines().find(|l| l.starts_with("Max core file size")).expect("core limit");
    assert!(core.split_whitespace().nth(4) == Some("0"), "{core}");
    if let Err(e) = process::lock_memory() {
        assert!(matches!(e.raw_os_error(), Some(1 | 12)), "EPERM or ENOMEM: {e}");
    }
}
