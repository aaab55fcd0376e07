//! A gateway that ends with another process, however that ends, as the gateways of a lab do with the lab; and so do its successors.
//!
//! The first one is killed by the kernel when its parent ends (`PR_SET_PDEATHSIG`). A successor's parent is the gateway that it takes over
//! from, which ends as it should; so a successor is told which process it is that counts, and watches that.

use std::{io, sync::OnceLock};

use nix::sys::signal::{Signal, raise};
use sys::{Poller, process};

static BOUND: OnceLock<u32> = OnceLock::new();

/// Ends with this process from now on; without one, finds out whether we end with our parent. To be called by the first thread, which is the
/// one that the kernel tells.
///
/// # Errors
/// When that process has ended.
pub fn bind(to: Option<u32>) -> io::Result<()> {
    let Some(other) = to else {
        // 0: it is outside of our namespace of processes, and cannot be told of.
        let parent = std::os::unix::process::parent_id();
        if parent != 0 && process::dies_with_its_parent().unwrap_or_default() {
            BOUND.get_or_init(|| parent);
        }
        return Ok(());
    };
    let end = process::end_of(other)?;
    let mut poller = Poller::new()?;
    poller.add(&end, 0)?;
    BOUND.get_or_init(|| other);
    let watch = move || {
        let mut ready = Vec::new();
        while ready.is_empty() {
            // A signal may wake it.
            let _woken = poller.wait(&mut ready, None);
        }
        drop(end);
        let _killed = raise(Signal::SIGKILL);
    };
    std::thread::Builder::new().name("ends-with".to_owned()).spawn(watch).map(drop)
}

/// The process that this one ends with, if there is one.
pub(crate) fn bound() -> Option<u32> {
    BOUND.get().copied()
}
