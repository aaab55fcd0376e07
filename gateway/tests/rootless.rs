//! A lab without root: built by an ordinary user, and by root of a user namespace that is not the machine's.
//!
//! A program without a harness, because entering a user namespace takes a process with one thread. It starts itself
//! again: as root it becomes user 65534 (nobody) first; inside its own user namespace, where it is root, it builds a lab
//! and starts itself once more to build another from there.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use gateway::lab::traffic::ping::{PingOptions, ping};
use gateway::lab::{End, Lab, LabError, Node, Stop, Topology, enter};

/// How deep we are: absent at the start, then `user`, then `nested`.
const DEPTH: &str = "QUADSPAN_ROOTLESS_DEPTH";
/// The user and group `nobody` of most systems.
const NOBODY: u32 = 65_534;

fn main() {
    match std::env::var(DEPTH).ok().as_deref() {
        None => {
            // A copy that every user may start, wherever the build directory is.
            let directory = std::env::temp_dir().join(format!("quadspan-rootless-{}", std::process::id()));
            let program = directory.join("rootless");
            std::fs::create_dir(&directory).expect("a directory");
            std::fs::copy(std::env::current_exe().expect("this program"), &program).expect("a copy");
            let mut command = Command::new(&program);
            if nix::unistd::getuid().is_root() {
                command.uid(NOBODY).gid(NOBODY).current_dir("/");
            }
            let status = command.env(DEPTH, "user").status();
            std::fs::remove_dir_all(&directory).expect("the directory again");
            finish("without root", status.expect("started"));
        }
        Some("user") => {
            if let Err(error) = enter() {
                skip(&error);
                return;
            }
            build_and_ping();
            let again = Command::new("/proc/self/exe").env(DEPTH, "nested").status();
            finish("inside a user namespace", again.expect("started"));
        }
        Some(_) => {
            enter().expect("root of a user namespace has what it takes");
            build_and_ping();
        }
    }
}

fn build_and_ping() {
    let address = |text: &str| text.parse().expect("an address");
    let one = End::new("one", "eth0").address(address("10.0.0.1/24")).address(address("fd00::1/64"));
    let two = End::new("two", "eth0").address(address("10.0.0.2/24")).address(address("fd00::2/64"));
    let topology = Topology::new().node(Node::new("one").forwarding()).node(Node::new("two")).link(one, two);
    let lab = Lab::build(&topology).expect("a lab");
    for target in ["10.0.0.2", "fd00::2"] {
        let once = PingOptions { count: 1, ..PingOptions::new(target.parse().expect("an address")) };
        let from = lab.namespace("one").expect("a node");
        let answers = || ping(from, &once).expect("sent").is_complete();
        let patience = Duration::from_secs(5);
        assert!(Stop::new().poll(patience, Duration::from_millis(10), answers), "no answer from {target}");
    }
    eprintln!(
        "ok: a lab built by user {} of {}",
        nix::unistd::getuid(),
        std::fs::read_link("/proc/self/ns/user").expect("proc").display()
    );
}

fn skip(error: &LabError) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI nothing is skipped: {error}");
    eprintln!("SKIPPED: {error}");
}

fn finish(what: &str, status: std::process::ExitStatus) {
    if !status.success() {
        panic!("a lab {what}: {status}");
    }
}
