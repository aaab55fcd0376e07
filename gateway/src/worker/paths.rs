//! What the paths of tunnels carry.
//!
//! A router on the way that carries less says so when it is sent too much, and the kernel believes that for some minutes. That it carries
//! more again nobody says: somebody has to ask. A tunnel does so by itself, but only with a thousand calls to send, and one that lies
//! below reserves alone has only MKPDUs to send. So a worker asks those that are narrower than their attachments by its clock as well.

use std::time::Duration;

use dataplane::PortId;
use net::{Instant, earliest};

use super::{News, Worker};

/// Between two looks: some system calls, for minutes that a router is believed.
const LOOK: Duration = Duration::from_secs(10);

impl Worker {
    /// The path below a port carries so much.
    pub(super) fn hear_of_path(&mut self, id: PortId, octets: u16, now: Instant) {
        self.narrowed.retain(|(port, _)| *port != id);
        if self.dataplane.set_path(id, octets) {
            self.narrowed.push((id, now.after(LOOK)));
        }
        (self.news)(News::Path(id, octets));
    }

    /// When a path is to be looked at. While a successor gets ready that is its affair.
    pub(super) fn next_look(&self) -> Option<Instant> {
        if self.resting {
            return None;
        }
        self.narrowed.iter().fold(None, |next, (_, due)| earliest(next, Some(*due)))
    }

    /// Looks at a path that is due. Only at one: there may be hundreds, and frames wait.
    pub(super) fn look_at_narrowed(&mut self, now: Instant) {
        if self.next_look().is_none_or(|due| due > now) {
            return;
        }
        let Some((id, due)) = self.narrowed.iter_mut().find(|(_, due)| *due <= now) else { return };
        let id = *id;
        *due = now.after(LOOK);
        let Some(Some(port)) = self.ports.get_mut(id.index()) else { return };
        port.look_again();
        if let Some(octets) = port.path_news() {
            self.hear_of_path(id, octets, now);
        }
    }
}
