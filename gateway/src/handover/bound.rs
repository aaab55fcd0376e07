//! A gateway that ends with another process, however that ends, as the gateways of a lab do with the lab; and so do its successors.
//!
//! The first one is killed by the kernel when its parent ends (`PR_SET_PDEATHSIG`). A successor's parent is the gateway that it takes over
//! from, which ends as it should; so a successor is told which process it is that counts, and watches that.

use std::sync::OnceLock;

use nix::{
    errno::Errno,
    sys::signal::{Signal, raise},
};
use sys::{Poller, process};
use tracing::warn;

static BOUND: OnceLock<u32> = OnceLock::new();

/// Notes the process that this one ends with; without one, finds out whether that is our parent. To be called by the first thread, which is
/// the one that the kernel tells.
pub fn bind(to: Option<u32>) {
    // 0: it is outside of our namespace of processes, and cannot be told of.
    let parent = || Some(std::os::unix::process::parent_id()).filter(|parent| *parent != 0);
    let parent = || parent().filter(|_| process::dies_with_its_parent().unwrap_or_default());
    if let Some(other) = to.or_else(parent) {
        BOUND.get_or_init(|| other);
    }
}

/// Ends with that process from now on. To be called by a successor once it runs: before, it ends with its predecessor.
pub(crate) fn watch() {
    let Some(other) = bound() else { return };
    let watching = process::end_of(other).and_then(|end| {
        let mut poller = Poller::new()?;
        poller.add(&end, 0)?;
        std::thread::Builder::new().name("ends-with".to_owned()).spawn(move || {
            let mut ready = Vec::new();
            while ready.is_empty() {
                // A signal may wake it.
                let _woken = poller.wait(&mut ready, None);
            }
            drop(end);
            let _killed = raise(Signal::SIGKILL);
        })
    });
    match watching {
        Ok(_) => {}
        Err(why) if why.raw_os_error().map(Errno::from_raw) == Some(Errno::ESRCH) => {
            let _killed = raise(Signal::SIGKILL);
        }
        Err(why) => {
            warn!(event = "gateway.not_bound", pid = other, why = %why, "this process outlives the lab that it is of: end it by hand");
        }
    }
}

/// The process that this one ends with, if there is one.
pub(crate) fn bound() -> Option<u32> {
    BOUND.get().copied()
}
