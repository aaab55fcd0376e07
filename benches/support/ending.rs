//! A measurement that is broken off: what it made in the system's own name, namespaces and folders, and who runs in these namespaces, go
//! when SIGINT, SIGTERM or SIGHUP asks it to end.
//!
//! Whoever makes something, or starts a process, holds [`may_make`] meanwhile. Who cleans up waits for that, and never lets go of it
//! again, so nothing is made behind its back, and the measurement itself rests until all is gone and the process ends.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use anyhow::{Context, Result};
use gateway::{demo::on_signals, lab::Stop};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::process::output;

/// What has to be taken away.
#[derive(Debug)]
pub enum Made {
    /// A network namespace of this name.
    Namespace(String),
    /// A folder of ours.
    Folder(PathBuf),
    /// A file of ours that is in nobody's folder.
    File(PathBuf),
}

/// Exit code: broken off, as a shell has it for SIGINT.
const BROKEN_OFF: i32 = 130;
/// How often those who run in a namespace are looked for: one may be just starting another.
const LOOKS: usize = 100;

static OPEN: RwLock<()> = RwLock::new(());
static MADE: Mutex<Vec<Made>> = Mutex::new(Vec::new());

/// Nothing is taken away while somebody has this. Once that has begun, nobody gets it.
pub fn may_make() -> RwLockReadGuard<'static, ()> {
    OPEN.read().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers what is about to be made.
pub fn note(made: Made) {
    MADE.lock().unwrap_or_else(PoisonError::into_inner).push(made);
}

/// From now on a signal takes away what was made, and ends this process.
///
/// # Errors
/// When signals cannot be heard.
pub fn clean_up_on_signals() -> Result<()> {
    let clean_up = || {
        let _closed = OPEN.write().unwrap_or_else(PoisonError::into_inner);
        for made in MADE.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            made.take_away();
        }
        // Whoever would read it may be gone.
        let _told = writeln!(io::stderr(), "broken off");
        std::process::exit(BROKEN_OFF);
    };
    on_signals(Stop::new(), clean_up).context("cannot hear signals")
}

impl Made {
    /// What went before is no error.
    fn take_away(&self) {
        match self {
            Self::Namespace(name) => {
                for _ in 0..LOOKS {
                    if end_all_in(name) == 0 {
                        break;
                    }
                }
                let _deleted = output(Command::new("ip").args(["netns", "del", name]));
            }
            Self::Folder(folder) => {
                let _removed = fs::remove_dir_all(folder);
            }
            Self::File(file) => {
                let _removed = fs::remove_file(file);
            }
        }
    }
}

/// Kills those who run in a namespace; gives how many there were.
fn end_all_in(namespace: &str) -> usize {
    let all = output(Command::new("ip").args(["netns", "pids", namespace])).unwrap_or_default();
    let all = all.split_whitespace().filter_map(|pid| pid.parse().ok());
    all.filter(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok()).count()
}
