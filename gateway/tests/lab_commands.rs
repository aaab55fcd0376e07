//! `quadspan lab`, as root and as an ordinary user: up, broken in every way, killed, down, and nothing left behind.
//!
//! Skipped loudly where namespaces are forbidden, and failed there under `CI=true`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use gateway::lab::Stop;
use serde_json::Value;
use support::gateway::hand_over;

#[test]
fn a_lab_stands_breaks_heals_and_goes_as_whoever_runs_the_tests_and_as_nobody() {
    for user in [None, Some(NOBODY)] {
        if user.is_some() && !nix::unistd::getuid().is_root() {
            continue;
        }
        let bed = Bed::new(user);
        let up = bed.lab(&["up", "--channels", "2"]);
        if forbidden(&up) {
            eprintln!("SKIPPED as user {user:?}: {}", text(&up.stderr));
            continue;
        }
        assert!(up.status.success(), "as user {user:?}: {}", text(&up.stderr));
        assert!(text(&up.stdout).contains("nsenter -t "), "it says how to look around");
        story(&bed);
        assert_eq!(bed.names(), ["quadspan", "quadspan-lab"], "nothing is left behind");
    }
}

fn story(bed: &Bed) {
    let status = bed.status(&["status"]);
    let enter = status["nodes"][0]["enter"].as_str().unwrap().to_owned();
    let pings = || {
        let shell = format!("{enter} ping -c 4 -i 0.2 -W 1 -q 10.2.0.2");
        bed.run(Command::new("/bin/sh").args(["-c", &shell])).status.success()
    };
    assert!(pings(), "a healthy lab");
    for channel in ["ch1", "ch2"] {
        bed.status(&["blackhole", channel]);
    }
    assert!(!pings(), "two of two channels are black holes");
    let healed = bed.status(&["heal"]);
    assert!(healed["channels"].as_array().unwrap().iter().all(|channel| channel["a_to_b"]["loss"] == 0));
    assert!(Stop::new().poll(Duration::from_secs(10), Duration::ZERO, pings), "healed");
    let cut = bed.status(&["cut", "ch1"]);
    assert_eq!((&cut["channels"][0]["cut"], &cut["channels"][1]["cut"]), (&true.into(), &false.into()));
    let slow = bed.status(&["delay", "ch2", "30ms", "--jitter", "5ms", "--way", "b-to-a"]);
    assert_eq!(slow["channels"][1]["b_to_a"]["delay"]["nanos"], 30_000_000);
    assert!(pings(), "over the other channel");
    let killed = bed.status(&["kill", "gw-a"]);
    assert!(killed["gateways"][0]["pid"].is_null(), "{killed}");
    assert!(!pings(), "without a gateway");
    assert!(bed.status(&["start", "a"])["gateways"][0]["pid"].is_u64());
    assert!(Stop::new().poll(Duration::from_secs(10), Duration::ZERO, pings), "with it again");
    refusals(bed);
    let again = bed.lab(&["up"]);
    assert!(again.status.success() && text(&again.stderr).contains("is up already"));
    let down = bed.lab(&["down"]);
    assert!(down.status.success() && text(&down.stdout).contains("is down"), "{}", text(&down.stderr));
    assert!(text(&bed.lab(&["down"]).stdout).contains("was not up"));
    assert_eq!(bed.lab(&["status"]).status.code(), Some(4), "nobody answers");
    after_a_kill(bed);
}

fn refusals(bed: &Bed) {
    for (args, code, part) in [
        (&["cut", "ch3"][..], 1, "there are ch1, ch2"),
        (&["lossy", "ch1", "101%"], 2, "write 5%"),
        (&["kill", "c"], 1, "there are a and b"),
        (&["kill", "gw-ab"], 2, "there are a and b"),
        (&["start", ""], 2, "there are a and b"),
        (&["status", "--name", "../x"], 1, "remedy"),
        (&["cut", "ch1", "--name", "other"], 4, "lab --name other up"),
    ] {
        let output = bed.lab(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(text(&output.stderr).contains(part), "{args:?}: {}", text(&output.stderr));
    }
}

/// However the lab's process ends, all ends with it, and the next `up` finds a clean place.
fn after_a_kill(bed: &Bed) {
    let status = bed.status(&["up", "--channels", "1", "--config-only"]);
    assert_eq!(status["gateways"][0]["state"], "not started");
    assert!(Path::new(status["gateways"][0]["config"].as_str().unwrap()).exists());
    let holder = status["nodes"][0]["enter"].as_str().unwrap().split(' ').nth(2).unwrap().to_owned();
    let process = |pid: &str| Path::new("/proc").join(pid).exists();
    assert!(process(&holder));
    bed.run(Command::new("/bin/kill").args(["-9", &status["pid"].to_string()]));
    let gone = || !process(&holder);
    assert!(Stop::new().poll(Duration::from_secs(5), Duration::from_millis(10), gone), "namespaces go, too");
    after_restarts_and_a_kill(bed);
    assert!(bed.lab(&["up", "--channels", "1"]).status.success());
    assert!(bed.lab(&["down"]).status.success());
}

/// A gateway that took over is nobody's child that the lab knows; it ends with the lab all the same, also the second one in a row.
fn after_restarts_and_a_kill(bed: &Bed) {
    let status = bed.status(&["up", "--channels", "1"]);
    let socket = status["gateways"][0]["socket"].as_str().unwrap();
    let restart = || -> u64 {
        let told = hand_over(|| {
            let mut command = Command::new(bed.folder.join("quadspan"));
            let done = bed.run(command.args(["-s", socket, "restart", "--json"]));
            let text = text(&[done.stdout, done.stderr].concat());
            support::shell::Output { status: done.status.code(), text }
        });
        told["pid"].as_u64().unwrap()
    };
    let runs = |pid: u64| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim().starts_with('Z'))
    };
    // Two between two looks, and one more.
    restart();
    let second = restart();
    let seen = |status: Value| (status["gateways"][0]["state"].clone(), status["gateways"][0]["pid"].clone());
    // Who handed over has last words.
    let runs_now = || seen(bed.status(&["status"])) == ("runs".into(), second.into());
    assert!(
        Stop::new().poll(Duration::from_secs(20), Duration::from_millis(10), runs_now),
        "process {second}"
    );
    let third = restart();
    let killed = bed.status(&["kill", "gw-a"]);
    assert_eq!(seen(killed), ("ended: killed by SIGKILL".into(), Value::Null));
    assert!(!runs(third), "it is no more");
    let started = bed.status(&["start", "gw-a"]);
    let answers = || std::os::unix::net::UnixStream::connect(socket).is_ok();
    assert!(
        Stop::new().poll(Duration::from_secs(20), Duration::from_millis(10), answers),
        "it answers again"
    );
    let last = restart();
    assert!(runs(last) && started["gateways"][0]["pid"] != last, "{started}");
    bed.run(Command::new("/bin/kill").args(["-9", &status["pid"].to_string()]));
    let ended = Stop::new().poll(Duration::from_secs(5), Duration::from_millis(10), || !runs(last));
    if !ended {
        bed.run(Command::new("/bin/kill").args(["-9", &last.to_string()]));
    }
    assert!(ended, "a successor ends with the lab");
}

/// A folder for one user, with a copy of the program that this user may run.
struct Bed {
    folder: PathBuf,
    user: Option<u32>,
}

impl Bed {
    fn new(user: Option<u32>) -> Self {
        let name = format!("qs-lab-{}-{}", std::process::id(), user.unwrap_or(0));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_quadspan"), folder.join("quadspan")).unwrap();
        if user.is_some() {
            std::os::unix::fs::chown(&folder, user, user).unwrap();
        }
        Self { folder, user }
    }

    fn run(&self, command: &mut Command) -> Output {
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.env("TMPDIR", &self.folder).current_dir(&self.folder).output().unwrap()
    }

    fn lab(&self, args: &[&str]) -> Output {
        self.run(Command::new(self.folder.join("quadspan")).arg("lab").args(args))
    }

    /// Runs a command that must succeed, and gives its document.
    #[track_caller]
    fn status(&self, args: &[&str]) -> Value {
        let output = self.lab(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What is in the folder; the user's own folder of labs must be empty.
    fn names(&self) -> Vec<String> {
        let names = |path: &Path| -> Vec<String> {
            let entries = std::fs::read_dir(path).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let mut all = names(&self.folder);
        for name in &mut all {
            if name.starts_with("quadspan-lab-") {
                assert_eq!(names(&self.folder.join(&*name)), Vec::<String>::new());
                *name = "quadspan-lab".to_owned();
            }
        }
        all.sort();
        all
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // After a failed test the lab may be up; a folder that stays is a nuisance, not a failure.
        let _ = self.lab(&["down"]);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn forbidden(output: &Output) -> bool {
    let refused = text(&output.stderr).contains("the system refuses them");
    assert!(!refused || std::env::var("CI").as_deref() != Ok("true"), "under CI nothing is skipped");
    refused
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// The user and group `nobody` of most systems.
const NOBODY: u32 = 65_534;
