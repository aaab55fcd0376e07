//! Measurements that are broken off: Ctrl-C and `kill` leave no namespace, no process and no folder behind.
//!
//! Needs root, `ip`, `iperf3` and `ping`; skipped loudly without root, and failed there under `CI=true`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use gateway::lab::Stop;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

#[test]
fn what_is_broken_off_leaves_nothing_behind() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "needs root");
        eprintln!("SKIPPED: needs root");
        return;
    }
    for program in [env!("CARGO_BIN_EXE_rig"), env!("CARGO_BIN_EXE_scale")] {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            broken_off(program, signal);
        }
    }
}

fn broken_off(program: &str, signal: Signal) {
    let bed = Bed::new();
    let (said, says) = std::io::pipe().unwrap();
    let mut measuring = Command::new(program)
        .args(["--rounds", "1", "--gateway"])
        .arg(bed.gateway())
        .env("TMPDIR", &bed.0)
        .stdout(Stdio::null())
        .stderr(says)
        .spawn()
        .unwrap();
    let id = measuring.id();
    let what = format!("{program} ended by {signal}");
    assert!(soon(|| bed.started().is_some()), "{what}: a gateway was started");
    let gateway = bed.started().unwrap();
    assert!(runs(gateway) && namespaces(id) > 0);
    // Nobody reads what it says, as when a terminal is gone.
    drop(said);
    kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    let ended = soon(|| measuring.try_wait().unwrap().is_some());
    let left = (namespaces(id), runs(gateway), bed.folders());
    clean_up(&mut measuring, gateway);
    assert!(ended, "{what}: it goes on");
    assert_eq!(left, (0, false, 0), "{what}: namespaces, a gateway, folders");
}

fn soon(done: impl FnMut() -> bool) -> bool {
    Stop::new().poll(Duration::from_secs(20), Duration::from_millis(10), done)
}

/// Of the measurement with this process id.
fn namespaces(id: u32) -> usize {
    let prefix = format!("rig{id}-");
    let all = fs::read_dir("/run/netns").unwrap();
    all.flatten().filter(|one| one.file_name().to_string_lossy().starts_with(&prefix)).count()
}

fn runs(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim().starts_with('Z'))
}

/// What a failed test would leave.
fn clean_up(measuring: &mut Child, gateway: u32) {
    if runs(gateway) {
        let _killed = kill(Pid::from_raw(gateway.try_into().unwrap()), Signal::SIGKILL);
    }
    let _killed = measuring.kill();
    measuring.wait().unwrap();
    for node in ["ha", "ga", "gb", "hb"] {
        let name = format!("rig{}-{node}", measuring.id());
        let _deleted = Command::new("ip").args(["netns", "del", &name]).stderr(Stdio::null()).status();
    }
}

/// A folder, with a gateway that does nothing, and says which process it is.
struct Bed(PathBuf);

impl Bed {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("quadspan-ending-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let bed = Self(folder);
        let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", bed.note().display());
        fs::write(bed.gateway(), script).unwrap();
        fs::set_permissions(bed.gateway(), fs::Permissions::from_mode(0o755)).unwrap();
        bed
    }

    fn gateway(&self) -> PathBuf {
        self.0.join("gateway")
    }

    fn note(&self) -> PathBuf {
        self.0.join("started")
    }

    fn started(&self) -> Option<u32> {
        fs::read_to_string(self.note()).ok()?.trim().parse().ok()
    }

    /// What the measurement made here.
    fn folders(&self) -> usize {
        fs::read_dir(&self.0).unwrap().flatten().filter(|one| Path::is_dir(&one.path())).count()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}
