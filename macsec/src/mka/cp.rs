//! The controlled port machine (802.1X-2020 §12.4): in which order a SAK comes into use and the one before it
//! goes out of it.
//!
//! ```text
//! Down ──SAK──> Receiving ──all receive──> Transmitting ──3 s──> Retired ──SAK──> Receiving ...
//!                  └─not key server─> Ready ──key server transmits──┘
//! ```
//!
//! The standard's states that a software SecY passes through at once (RECEIVE, TRANSMIT, ABANDON, CHANGE) are
//! steps here, so nothing can get stuck in them. Its names for the two keys are kept: after retirement the key in
//! use is the *old* one (trap 23).
//!
//! Three things go beyond the standard, each to lose no frame:
//! - the old key is kept past the SAK Retire Time while a peer still says that it transmits with it, at most a
//!   life time;
//! - the key server waits for all to receive also with the first key, so that what comes up is up on both sides;
//! - another key server or another cipher suite is a rollover like any other, not a new beginning.
//!
//! Waiting always has an end: a key server that does not hear that all receive transmits after a life time, which begins when
//! a suspension ends, if there is one.

use core::time::Duration;

use net::Instant;

use super::{
    action::KeyAction,
    held_key::{HeldKey, Installer, Roster},
    params::SAK_RETIRE,
    wire::MemberId,
};
use crate::{an::An, key::KeyId, sci::Sci};

/// Where the controlled port stands.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum CpState {
    /// No key.
    #[default]
    Down,
    /// As key server: receiving with the latest key, waiting for all others to do so.
    Receiving,
    /// As another member: receiving with the latest key, waiting for the key server to transmit.
    Ready,
    /// Transmitting with the latest key, still receiving with the old one.
    Transmitting,
    /// One key, in use; it stands as the old one.
    Retired,
}

/// What a step brought about, for events and for telling peers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Progress {
    /// Receiving with a new key.
    Receives,
    /// Transmitting with it; `first` when there was none before.
    Transmits { key: KeyId, first: bool },
    /// The key before is gone.
    Retires,
    /// The key in use had to go first, as the new one has its association number.
    Overwritten,
}

/// The controlled port machine and the keys in it.
#[derive(Debug, Default)]
pub(super) struct Cp {
    state: CpState,
    latest: Option<HeldKey>,
    old: Option<HeldKey>,
    /// A SAK that waits for its turn.
    pending: Option<HeldKey>,
    /// When to go on though a peer has not said that it receives, or still transmits with the old key.
    patience: Instant,
    retire_at: Instant,
}

impl Cp {
    pub(super) const fn state(&self) -> CpState {
        self.state
    }

    pub(super) const fn latest(&self) -> Option<&HeldKey> {
        self.latest.as_ref()
    }

    pub(super) const fn old(&self) -> Option<&HeldKey> {
        self.old.as_ref()
    }

    /// All keys, newest first.
    pub(super) fn keys(&self) -> impl Iterator<Item = &HeldKey> {
        self.pending.iter().chain(&self.latest).chain(&self.old)
    }

    /// This key waits for its turn: it has no SAs yet.
    pub(super) fn is_pending(&self, key: KeyId) -> bool {
        self.pending.as_ref().is_some_and(|held| held.key_id() == key)
    }

    /// The newest key, in use or on its way there.
    pub(super) fn newest(&self) -> Option<&HeldKey> {
        self.keys().next()
    }

    /// The key that frames are sent with.
    pub(super) fn in_use(&self) -> Option<&HeldKey> {
        match self.state {
            CpState::Down => None,
            CpState::Transmitting => self.latest(),
            CpState::Receiving | CpState::Ready | CpState::Retired => self.old(),
        }
    }

    /// Whether LTX is set.
    pub(super) fn latest_transmits(&self) -> bool {
        self.state == CpState::Transmitting
    }

    /// The key of this association number.
    pub(super) fn by_an(&mut self, an: An) -> Option<&mut HeldKey> {
        self.latest.iter_mut().chain(&mut self.old).find(|key| key.data.an == an)
    }

    /// A new SAK (newSAK). It is installed by [`step`](Self::step), as soon as the state allows.
    pub(super) fn offer(&mut self, key: HeldKey) {
        self.pending = Some(key);
    }

    /// Whether a new SAK would be installed at once. One that is `urgent` may take the place of a half-installed
    /// one; nothing cuts short what a peer still transmits with.
    pub(super) fn accepts(&self, urgent: bool, roster: &Roster) -> bool {
        self.pending.is_none()
            && match self.state {
                CpState::Down | CpState::Retired => true,
                CpState::Receiving | CpState::Ready => urgent,
                CpState::Transmitting => urgent && !self.old_needed(roster),
            }
    }

    /// One step, if there is one to make now.
    pub(super) fn step(
        &mut self,
        roster: &Roster,
        (now, patience): (Instant, Duration),
        server: Option<(Sci, MemberId)>,
        to: &mut Installer,
    ) -> Option<Progress> {
        self.pending.take_if(|key| !key.is_of(server));
        match self.state {
            CpState::Down | CpState::Retired => {
                let key = self.pending.take()?;
                Some(self.receive(key, roster, (now, patience), to))
            }
            CpState::Receiving | CpState::Ready
                if self.pending.is_some() || self.orphaned(roster, server) =>
            {
                self.abandon(to);
                Some(Progress::Retires)
            }
            CpState::Receiving | CpState::Ready => {
                if self.may_transmit(roster, now) {
                    self.transmit((now, patience), to)
                } else {
                    None
                }
            }
            CpState::Transmitting => self.may_retire(roster, now).then(|| self.retire(to)),
        }
    }

    /// When [`step`](Self::step) has something to do, if nothing happens before.
    pub(super) fn deadline(&self, roster: &Roster) -> Option<Instant> {
        match self.state {
            CpState::Down | CpState::Retired | CpState::Ready => None,
            CpState::Receiving => Some(self.patience),
            CpState::Transmitting if self.old_needed(roster) => Some(self.patience),
            CpState::Transmitting => Some(self.retire_at),
        }
    }

    /// RECEIVE, RECEIVING.
    fn receive(
        &mut self,
        mut key: HeldKey,
        roster: &Roster,
        (now, patience): (Instant, Duration),
        to: &mut Installer,
    ) -> Progress {
        // A key server that restarted does not know which association numbers are taken.
        let clash = self.old.take_if(|old| old.data.an == key.data.an);
        let overwritten = clash.is_some();
        if let Some(clash) = clash {
            clash.remove(to);
        }
        key.install(roster, to);
        self.state = if key.mine { CpState::Receiving } else { CpState::Ready };
        self.latest = Some(key);
        self.patience = now.after(patience);
        if overwritten { Progress::Overwritten } else { Progress::Receives }
    }

    /// The latest key is of somebody who is not key server any more, or was another self of it, and nobody has begun to
    /// transmit with it: nobody will.
    fn orphaned(&self, roster: &Roster, server: Option<(Sci, MemberId)>) -> bool {
        let of = |latest: &HeldKey| !latest.is_of(server) && !latest.transmitted_by_any(roster);
        self.latest.as_ref().is_some_and(of)
    }

    fn may_transmit(&self, roster: &Roster, now: Instant) -> bool {
        let Some(latest) = &self.latest else { return false };
        if self.state == CpState::Receiving {
            return latest.received_by_all(roster) || now >= self.patience;
        }
        // With no key in use nothing is lost by going first: the key server receives before it distributes.
        let server = roster.get(&latest.server).and_then(|server| server.sak_use);
        self.old.is_none() || server.is_some_and(|used| used.transmits(latest.key_id()))
    }

    /// TRANSMIT, TRANSMITTING.
    fn transmit(&mut self, (now, patience): (Instant, Duration), to: &mut Installer) -> Option<Progress> {
        let latest = self.latest.as_ref()?;
        let key = latest.key_id();
        to.actions.push_back(KeyAction::EnableTransmit { an: latest.data.an });
        self.state = CpState::Transmitting;
        self.patience = now.after(patience);
        self.retire_at = if self.old.is_some() { now.after(SAK_RETIRE) } else { now };
        Some(Progress::Transmits { key, first: self.old.is_none() })
    }

    fn old_needed(&self, roster: &Roster) -> bool {
        self.old.as_ref().is_some_and(|old| old.transmitted_by_any(roster))
    }

    fn may_retire(&self, roster: &Roster, now: Instant) -> bool {
        let due = now >= self.retire_at || self.pending.is_some();
        (due && !self.old_needed(roster)) || now >= self.patience
    }

    /// RETIRE.
    fn retire(&mut self, to: &mut Installer) -> Progress {
        if let Some(old) = self.old.take() {
            old.remove(to);
        }
        self.old = self.latest.take();
        self.state = CpState::Retired;
        Progress::Retires
    }

    /// ABANDON: the latest key goes, and the old one is transmitted with if it was not any more.
    fn abandon(&mut self, to: &mut Installer) {
        if let Some(latest) = self.latest.take() {
            latest.remove(to);
        }
        if let (CpState::Transmitting, Some(old)) = (self.state, &self.old) {
            to.actions.push_back(KeyAction::EnableTransmit { an: old.data.an });
        }
        self.state = if self.old.is_some() { CpState::Retired } else { CpState::Down };
    }

    /// Brings the receive SAs of all keys in line with who is alive.
    pub(super) fn follow(&mut self, roster: &Roster, to: &mut Installer) {
        for key in self.latest.iter_mut().chain(&mut self.old) {
            key.follow(roster, to);
        }
    }

    /// The SecY did not take this key. True when it was held.
    pub(super) fn drop_key(&mut self, key: KeyId, to: &mut Installer) -> bool {
        let dropped = self.pending.take_if(|held| held.key_id() == key).is_some();
        if self.latest.as_ref().is_some_and(|held| held.key_id() == key) {
            self.abandon(to);
            return true;
        }
        if let Some(old) = self.old.take_if(|held| held.key_id() == key) {
            old.remove(to);
            if self.state == CpState::Retired {
                self.state = CpState::Down;
            }
            return true;
        }
        dropped
    }

    /// Deletes everything (CHANGE, with nothing to connect to).
    pub(super) fn close(&mut self, to: &mut Installer) {
        self.pending = None;
        for key in [self.latest.take(), self.old.take()].into_iter().flatten() {
            key.remove(to);
        }
        self.state = CpState::Down;
    }
}

net::carry!(CpState = Down 0, Receiving 1, Ready 2, Transmitting 3, Retired 4);
net::carry!(Cp { state, latest, old, pending, patience, retire_at });
