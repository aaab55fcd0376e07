//! Packet numbers of transmit SAs with static SAKs, reserved on disk while they are used ([`crate::state`]).
//!
//! A worker asks once for each reservation, with eight million frames left. A disk that was full at that moment may have room a second later, so what failed
//! is tried again until it works.

use std::collections::BTreeSet;

use dataplane::ChannelId;
use macsec::An;
use tracing::{error, info};

use super::Gateway;
use crate::{state::LOW, worker::Command};

/// Reservations that failed and are to be tried again.
#[derive(Debug, Default)]
pub(super) struct Overdue(BTreeSet<(ChannelId, An)>);

/// What is to be said about a reservation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Word {
    Failed,
    WorksAgain,
}

impl Overdue {
    /// Notes how a try ended. Of several in a row that fail, only the first is worth a word.
    fn note(&mut self, one: (ChannelId, An), reserved: bool) -> Option<Word> {
        if reserved {
            self.0.remove(&one).then_some(Word::WorksAgain)
        } else {
            self.0.insert(one).then_some(Word::Failed)
        }
    }
}

impl Gateway {
    /// Reserves more numbers for a transmit SA.
    pub(super) fn extend(&mut self, channel: ChannelId, an: An) {
        let Some((name, max)) = self.reserved.get(&(channel, an)) else { return };
        let extended = self.store.lock().extend_transmit(name, *max);
        let word = self.overdue.note((channel, an), extended.is_ok());
        let (name, an_number) = (self.channel_name(channel), an.get());
        match (word, &extended) {
            (Some(Word::Failed), Err(why)) => error!(
                event = "macsec.reservation_failed",
                channel = name,
                an = an_number,
                why = format!("{why:#}"),
                "it is tried again each second; the channel stops sending when its reserved packet numbers are used up: make room in the state folder"
            ),
            (Some(Word::WorksAgain), _) => {
                info!(event = "macsec.reserved_again", channel = name, an = an_number);
            }
            _ => {}
        }
        if let (Ok(limit), Some(worker)) = (extended, self.owner(channel)) {
            worker.mailbox.send(Command::PnLimit { channel, an, limit, low: LOW });
        }
    }

    /// Tries again what failed.
    pub(super) fn extend_overdue(&mut self) {
        // An SA that is gone needs no numbers any more.
        self.overdue.0.retain(|one| self.reserved.contains_key(one));
        for (channel, an) in self.overdue.0.clone() {
            self.extend(channel, an);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_that_fails_again_and_again_is_told_once_and_so_is_its_end() {
        let mut overdue = Overdue::default();
        let [one, other] = [0, 1].map(|at| (ChannelId::at(at), An::new(0).unwrap()));
        let told = [false, false, true, true, false, true].map(|reserved| overdue.note(one, reserved));
        let (failed, again) = (Some(Word::Failed), Some(Word::WorksAgain));
        assert_eq!(told, [failed, None, again, None, failed, again]);
        assert_eq!((overdue.note(one, false), overdue.note(other, false)), (failed, failed));
        assert_eq!(overdue.0.len(), 2);
    }
}
