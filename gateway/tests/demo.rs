//! The demo, as root and as an ordinary user: two real gateways, real traffic, a cut, a silent one, and every check held.
//!
//! Skipped loudly where namespaces are forbidden, and failed there under `CI=true`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Exit code: the system does not allow what the demo needs.
const NOT_PERMITTED: i32 = 5;
/// The user and group `nobody` of most systems.
const NOBODY: u32 = 65_534;

#[test]
fn every_check_holds_as_whoever_runs_the_tests_and_as_nobody() {
    // One after the other: each takes a small machine for itself.
    for user in [None, Some(NOBODY)] {
        if user.is_some() && !nix::unistd::getuid().is_root() {
            continue;
        }
        let (mut folder, mut output) = play(user);
        // Its budgets are for a machine that has little else to do: who is disturbed in one of three is not in all.
        for _ in 0..2 {
            if output.status.code() == Some(CHECKS_FAILED) {
                eprintln!("once more, as user {user:?}: {}", String::from_utf8_lossy(&output.stderr));
                drop(folder);
                (folder, output) = play(user);
            }
        }
        let capture = folder.0.join(CAPTURE);
        let talk = String::from_utf8(output.stderr).unwrap();
        if output.status.code() == Some(NOT_PERMITTED) {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI nothing is skipped: {talk}");
            eprintln!("SKIPPED as user {user:?}: {talk}");
            continue;
        }
        assert!(output.status.success(), "as user {user:?}: {}\n{talk}", output.status);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["ok"], true, "{talk}");
        assert!(document["checks"].as_array().unwrap().iter().all(|check| check["ok"] == true));
        assert_eq!(document["channels"].as_array().unwrap().len(), 8);
        let rolls = document["rolls"].as_array().unwrap();
        assert!(rolls.len() == 8 && rolls.iter().all(|roll| roll["took"].is_f64()), "{rolls:?}");
        assert!(document["first_encrypted"].is_f64(), "{talk}");
        let found = document["found"].as_array().unwrap();
        assert!(found.len() == 2 && found.iter().all(|one| one["why"] == "bfd_down"), "{found:?}");
        assert!(
            talk.contains("show bgp") && talk.contains("BFD hears nothing from it"),
            "the story is told: {talk}"
        );
        assert!(std::fs::metadata(&capture).unwrap().len() > 1_000_000, "the capture holds the traffic");
        assert_eq!(names(&folder.0), [CAPTURE, "quadspan"], "nothing is left behind");
    }
}

/// Plays the demo as this user, in a folder and by a copy that every user may use, wherever the build directory is.
fn play(user: Option<u32>) -> (Folder, Output) {
    let folder = Folder::new();
    let program = folder.0.join("quadspan");
    std::fs::copy(env!("CARGO_BIN_EXE_quadspan"), &program).unwrap();
    let mut command = Command::new(&program);
    if let Some(user) = user {
        std::os::unix::fs::chown(&folder.0, Some(user), Some(user)).unwrap();
        command.uid(user).gid(user);
    }
    command.args(["demo", "--json", "--duration", "6", "--capture"]).arg(folder.0.join(CAPTURE));
    let output = command.env("TMPDIR", &folder.0).current_dir(&folder.0).output().unwrap();
    (folder, output)
}

const CAPTURE: &str = "into-b.pcapng";
/// Exit code: a check did not hold.
const CHECKS_FAILED: i32 = 1;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("quadspan-demo-test-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays is a nuisance, not a failure.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
