//! Restarting under traffic: a running gateway hands over to its successor, which may be another binary.
//!
//! ```text
//! predecessor                                 successor
//!    spawns it, a socket as its stdin ──────────> │
//!    │ <───────────────────────── Hello: its format
//!    │ Offer: clock, descriptors, locks ────────> │  reads the file, opens what is new, builds tables;
//!    │ forwards, all the time                     │  BGP learns what was learnt, and waits
//!    │ <───────────────────────────────────── Ready
//!    │ rests                                      │
//!    │ Estate: keys, numbers, sessions ─────────> │  goes on where that stands, but sends nothing
//!    │ <────────────── Taken: what could not go on
//!    │ Go ──────────────────────────────────────> │  forwards
//!    │ ends its BGP sessions, hangs up            │  speaks BGP, has the API
//! ```
//!
//! From `rests` to `Go` nobody forwards, some milliseconds; frames wait in the rings meanwhile, which both have. What
//! peers know goes on: each SA with its next packet number and its replay window, each KaY as the member that it was, each BFD session
//! with its discriminator. BGP's sessions begin anew and are what graceful restart (RFC 4724) is for.
//!
//! | file | what it does |
//! | --- | --- |
//! | `line` | what is said, and how |
//! | `predecessor` | the side that runs: finding a successor, and giving way to it |
//! | `successor` | the other side: taking over |
//! | `resume` | what was left, put to where it belongs now |
//! | `bound` | gateways that end with another process, as those of a lab |
//! | `notify` | systemd learns who is the main process |
//!
//! # Invariants
//! 1. Before `Go` the predecessor goes on as if nothing had been, whatever happens to the successor: a binary that does not
//!    run, a file with errors, a crash, silence. After `Go` it never sends again. There is no state in which both send, so no
//!    packet number is used twice.
//! 2. Whoever has not heard `Go` has sent nothing, and takes nothing along: no socket's file, no setting of a device, no lock.
//! 3. Keys cross a socket pair that only the two have, made for this one handover and without a name; their memory is wiped.
//! 4. Two programs that do not have the same [`FORMAT`] hand over nothing, and say so.

mod bound;
mod line;
mod notify;
mod predecessor;
mod resume;
mod successor;

use std::{
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::bgp::report::Reset;
pub use bound::bind;
pub(crate) use bound::{bound, watch};
pub use notify::notify;
pub(crate) use predecessor::{Facts, Giving, Prepared};
pub(crate) use resume::Heir;
pub use successor::{Inheritance, Teller};
pub(crate) use successor::{host_key, names, port_key};

/// What the two programs must agree on. Whoever changes what anything carries ([`net::carry`]), or what is said here, gives it another
/// number; `tests::the_format_is_what_its_number_says` notices.
pub const FORMAT: u32 = 2;

/// How a handover ended.
#[derive(Clone, Debug)]
pub struct Handed {
    /// The successor.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// How long nothing was forwarded, as the predecessor saw it.
    pub still: Duration,
    /// How long everything took.
    pub took: Duration,
    /// What could not go on where it stood.
    pub anew: Vec<Anew>,
    /// BGP sessions that were reset: their neighbours keep no routes.
    pub resets: Vec<Reset>,
}

/// A channel or a port that a successor began anew.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Anew {
    /// Such as `channel ch1`.
    pub subject: String,
    /// Why.
    pub message: String,
}
net::carry!(Anew { subject, message });

/// A wish to restart.
#[derive(Debug)]
pub struct Order {
    /// The program to run; the one that runs, or what lies in its place by now, when there is none.
    pub binary: Option<PathBuf>,
    /// Where the outcome goes: why nothing came of it, in the end.
    pub reply: oneshot::Sender<Result<Handed, String>>,
}

/// The way to the control loop.
#[derive(Clone, Debug)]
pub struct Restarter(mpsc::UnboundedSender<Order>);

impl Restarter {
    /// A way, and its end.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (sender, orders) = mpsc::unbounded_channel();
        (Self(sender), orders)
    }

    /// Hands over to `binary`.
    ///
    /// # Errors
    /// Why this gateway goes on as it was.
    pub async fn restart(&self, binary: Option<PathBuf>) -> Result<Handed, String> {
        let (reply, answer) = oneshot::channel();
        let ending = || "the gateway is ending".to_owned();
        self.0.send(Order { binary, reply }).map_err(|_| ending())?;
        answer.await.map_err(|_| ending())?
    }
}

/// Sockets that people reach the gateway by: a successor answers on them.
#[derive(Debug, Default)]
pub struct Doors {
    /// The API's, by what is said that its file is left to a successor, and where that is.
    pub api: Option<(OwnedFd, Arc<AtomicBool>, PathBuf)>,
    /// The one for metrics.
    pub metrics: Option<OwnedFd>,
}

/// The doors of a gateway, which opens them after it has started.
pub type SharedDoors = Arc<Mutex<Doors>>;

#[cfg(test)]
mod tests;
