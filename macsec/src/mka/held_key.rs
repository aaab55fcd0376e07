//! A SAK that we hold: who shares it, whose receive SAs are installed, and which packet numbers were used.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use core::time::Duration;
use net::Instant;

use super::{
    action::{DataKey, KeyAction},
    wire::{MemberId, SakUse},
};
use crate::{
    key::{Ckn, KeyId},
    sci::{Sci, Ssci},
};

/// A live peer, from all participants that know it. What it last said of its keys counts, under whatever CAK.
#[derive(Clone, Debug)]
pub(super) struct Alive {
    /// Its identifiers, one for each CAK.
    pub(super) members: Vec<(Ckn, MemberId)>,
    pub(super) sak_use: Option<SakUse>,
    /// Lowest packet numbers it reported, by key.
    pub(super) lowest: Vec<(KeyId, u64)>,
}

/// Everybody alive, by SCI.
pub(super) type Roster = BTreeMap<Sci, Alive>;

/// Steps for the SecY, and the receive SCs it has.
#[derive(Debug, Default)]
pub(super) struct Installer {
    pub(super) actions: VecDeque<KeyAction>,
    pub(super) scs: BTreeSet<Sci>,
}

/// A receive SA.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceiveUse {
    pub(super) ssci: Ssci,
    pub(super) in_use: bool,
}

/// A SAK that we hold.
#[derive(Debug)]
pub(super) struct HeldKey {
    pub(super) data: Arc<DataKey>,
    /// Under which CAK it came.
    pub(super) ckn: Ckn,
    /// We made it.
    pub(super) mine: bool,
    /// SCI of the key server that made it.
    pub(super) server: Sci,
    /// Who got it besides us, by member identifier, with SSCI: the live set when it was made (trap 28).
    pub(super) sharers: BTreeMap<MemberId, Ssci>,
    pub(super) own_ssci: Ssci,
    /// Receive SAs made.
    pub(super) receive: BTreeMap<Sci, ReceiveUse>,
    /// When it was made or came.
    pub(super) since: Instant,
    pub(super) numbers: Numbers,
}

impl HeldKey {
    pub(super) fn key_id(&self) -> KeyId {
        self.data.key_id
    }

    /// Whether it was made by the key server that there is now, and not by an earlier self of it.
    pub(super) fn is_of(&self, server: Option<(Sci, MemberId)>) -> bool {
        server.is_some_and(|(sci, member)| sci == self.server && member.0 == self.key_id().member())
    }

    /// SSCI of a peer that shares this key under the CAK it came by.
    fn ssci_of(&self, alive: &Alive) -> Option<Ssci> {
        let mut ours = alive.members.iter().filter(|(ckn, _)| *ckn == self.ckn);
        ours.find_map(|(_, member)| self.sharers.get(member)).copied()
    }

    /// The live peers that share it.
    pub(super) fn shared_by<'a>(&'a self, roster: &'a Roster) -> impl Iterator<Item = (Sci, &'a Alive)> {
        roster.iter().filter(|(_, alive)| self.ssci_of(alive).is_some()).map(|(sci, alive)| (*sci, alive))
    }

    /// Every live peer that shares it receives with it.
    pub(super) fn received_by_all(&self, roster: &Roster) -> bool {
        let key = self.key_id();
        self.shared_by(roster).all(|(_, alive)| alive.sak_use.is_some_and(|used| used.receives(key)))
    }

    /// Some live peer transmits with it.
    pub(super) fn transmitted_by_any(&self, roster: &Roster) -> bool {
        let key = self.key_id();
        roster.values().any(|alive| alive.sak_use.is_some_and(|used| used.transmits(key)))
    }

    /// Makes receive SAs for all that share it and are alive, and the transmit SA. Receive SAs are in use at once.
    pub(super) fn install(&mut self, roster: &Roster, to: &mut Installer) {
        self.follow(roster, to);
        to.actions
            .push_back(KeyAction::InstallTransmitSa { key: Arc::clone(&self.data), ssci: self.own_ssci });
    }

    /// Brings receive SAs in line with who is alive. One of a peer that is gone keeps its replay state, as the
    /// peer may come back while the key is still in use.
    pub(super) fn follow(&mut self, roster: &Roster, to: &mut Installer) {
        let an = self.data.an;
        for (sci, alive) in roster {
            let ssci = match (self.receive.get(sci), self.ssci_of(alive)) {
                (Some(ReceiveUse { in_use: true, .. }), _) | (None, None) => continue,
                (Some(known), _) => {
                    to.actions.push_back(KeyAction::EnableReceive { sci: *sci, an });
                    known.ssci
                }
                // A member identifier that turns up with another SCI does not get the SSCI twice.
                (None, Some(ssci)) if self.is_taken(ssci) => continue,
                (None, Some(ssci)) => {
                    self.install_receive(*sci, alive, ssci, to);
                    ssci
                }
            };
            self.receive.insert(*sci, ReceiveUse { ssci, in_use: true });
        }
        let gone = |(sci, sa): &(&Sci, &mut ReceiveUse)| sa.in_use && !roster.contains_key(*sci);
        for (&sci, sa) in self.receive.iter_mut().filter(gone) {
            sa.in_use = false;
            to.actions.push_back(KeyAction::DisableReceive { sci, an });
        }
    }

    fn is_taken(&self, ssci: Ssci) -> bool {
        self.data.suite.is_xpn() && (ssci == self.own_ssci || self.receive.values().any(|sa| sa.ssci == ssci))
    }

    fn install_receive(&self, sci: Sci, alive: &Alive, ssci: Ssci, to: &mut Installer) {
        if to.scs.insert(sci) {
            to.actions.push_back(KeyAction::CreateReceiveSc { sci });
        }
        let reported = alive.lowest.iter().find(|(key, _)| *key == self.key_id());
        let lowest_pn = reported.map_or(1, |(_, pn)| *pn).max(1);
        let key = Arc::clone(&self.data);
        to.actions.push_back(KeyAction::InstallReceiveSa { sci, key, lowest_pn, ssci });
        to.actions.push_back(KeyAction::EnableReceive { sci, an: self.data.an });
    }

    /// Deletes its SAs.
    pub(super) fn remove(self, to: &mut Installer) {
        let an = self.data.an;
        for sci in self.receive.into_keys() {
            to.actions.push_back(KeyAction::DeleteReceiveSa { sci, an });
        }
        to.actions.push_back(KeyAction::DeleteTransmitSa { an });
    }
}

/// Packet numbers we used under a key, as the SecY's owner reported them.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// nextPN as last reported; 0 before.
    latest: u64,
    /// (when, nextPN), oldest first.
    samples: VecDeque<(Instant, u64)>,
}

impl Numbers {
    pub(super) fn note(&mut self, next: u64, now: Instant, window: Duration) {
        self.latest = self.latest.max(next);
        let recent = self.samples.back().is_some_and(|(at, _)| now.since(*at) < window / 8);
        if !recent {
            self.samples.push_back((now, next));
        }
        // Keep one sample that is older than the window, and what is younger.
        while self.samples.get(1).is_some_and(|(at, _)| now.since(*at) >= window) {
            self.samples.pop_front();
        }
    }

    /// nextPN, as far as known.
    pub(super) fn next(&self) -> u64 {
        self.latest.max(1)
    }

    /// The lowest packet number that may have been used within the last `window` (§9.10): nextPN as it was then.
    pub(super) fn lowest(&self, now: Instant, window: Duration) -> u64 {
        let then = self.samples.iter().rev().find(|(at, _)| now.since(*at) >= window);
        then.map_or(1, |(_, next)| *next).max(1)
    }
}

net::carry!(ReceiveUse { ssci, in_use });
net::carry!(Numbers { latest, samples });
net::carry!(HeldKey { data, ckn, mine, server, sharers, own_ssci, receive, since, numbers });

#[cfg(test)]
mod tests {
    use super::*;

    // §9.10: what was sent within the last two seconds is never below the lowest packet number.
    #[test]
    fn the_lowest_packet_number_is_the_next_of_a_window_ago() {
        let (window, at) = (Duration::from_secs(2), |s| Instant::ZERO.after(Duration::from_secs(s)));
        let mut numbers = Numbers::default();
        assert_eq!((numbers.next(), numbers.lowest(at(0), window)), (1, 1));
        for second in 0..10 {
            numbers.note(1 + 100 * second, at(second), window);
            let expected = if second < 2 { 1 } else { 1 + 100 * (second - 2) };
            assert_eq!(numbers.lowest(at(second), window), expected, "{second}");
            assert!(numbers.samples.len() <= 9);
        }
        assert_eq!(numbers.next(), 901);
        // A report that is no sample of its own still counts for what is left.
        numbers.note(5000, at(9), window);
        assert_eq!((numbers.next(), numbers.lowest(at(9), window)), (5000, 701));
    }
}
