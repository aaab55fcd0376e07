//! The KaY of one channel (802.1X-2020 §9, §12): all its participants, and what their agreement means for the SecY.
//!
//! One of the participants is *principal*: its SAK is the one in use. Where several have live peers the key server
//! decides by preferring its best key under which nobody is missing, and the others follow the SAK it distributes;
//! so two systems whose key chains differ for a while still agree. A SAK of another CAK is a rollover like any
//! other, which is why changing CAKs loses no frame.
//!
//! Rules for the owner: after each `handle_*`, `set_keys`, `rekey` drain [`poll_action`](Kay::poll_action) in order
//! and apply it to the SecY, then [`poll_transmit`](Kay::poll_transmit), then [`poll_event`](Kay::poll_event); call
//! [`handle_timeout`](Kay::handle_timeout) when [`poll_timeout`](Kay::poll_timeout) says so, after
//! [`note_pns`](Kay::note_pns).
//!
//! What has to be done is derived from the state each time ([`advance`](Kay::advance)), not remembered as a flag when
//! something happens: a rekeying that cannot be done now is not forgotten (trap 14).

mod advance;
mod carry;
mod chain;
mod mismatch;
mod receive;
mod report;
mod send;
mod server;
mod sift;

use std::collections::{BTreeMap, VecDeque};

use core::time::Duration;
use net::{Instant, PacketBuf, earliest};

pub use sift::Standing;

use super::{
    action::KeyAction,
    cp::{Cp, CpState},
    diagnosis::{Diagnosis, Incidents},
    event::{LostWhy, MkaEvent},
    held_key::{Installer, Roster},
    identity::Rng,
    params::{KayParams, KeyEntry},
    participant::Participant,
    wire::{MemberId, MkpduFault},
};
use crate::{
    an::An,
    key::{Ckn, KeyId},
};

/// What [`Kay::rekey`] could do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RekeyAnswer {
    /// A fresh SAK is being distributed.
    Started,
    /// One follows as soon as the last rollover is over, or potential peers have become live or gone.
    Queued,
    /// Only the key server makes SAKs, and that is this member.
    NotKeyServer(crate::sci::Sci),
    /// There is no live peer to rekey with.
    NoPeer,
}

/// What [`Kay::suspend`] could do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SuspendAnswer {
    /// MKA is suspended: as key server we tell all members.
    Started,
    /// The key server is asked, and decides for the others; we wait for our peers as long as we asked for.
    Asked(crate::sci::Sci),
    /// There is no live peer to ask.
    NoPeer,
    /// There is no SAK yet, or a rollover is not over: a member that misses the rest of it would lose frames.
    Unsettled,
    /// This member speaks MKA version 1, which does not know suspension; our own SCI when our settings say so.
    Unsupported(crate::sci::Sci),
}

/// Highest key number seen of each key server, newest last: none is used twice (trap 15).
const REMEMBERED_SERVERS: usize = 64;

/// The key agreement entity of one channel.
pub struct Kay {
    params: KayParams,
    rng: Rng,
    /// All keys, started or not.
    chain: Vec<KeyEntry>,
    /// When the chain was given: [`KeyStart::Started`](super::KeyStart::Started) counts from there.
    chain_at: Instant,
    /// When a key of it starts or ends next.
    chain_due: Option<Instant>,
    /// One for every key that can be used now, best first.
    participants: Vec<Participant>,
    principal: Option<Ckn>,
    cp: Cp,
    installer: Installer,
    /// Live peers of all participants.
    roster: Roster,
    events: VecDeque<MkaEvent>,
    now: Instant,
    started: Instant,
    secured: bool,
    secured_since: Instant,
    /// Somebody asked for a fresh SAK.
    wanted: bool,
    /// The SecY refused the newest key.
    refused: bool,
    /// No SAK before this.
    not_before: Instant,
    /// When the last SAK of ours was first distributed.
    distributed_at: Option<Instant>,
    seen_keys: VecDeque<(MemberId, u32)>,
    /// MKA is suspended until then.
    suspended: Option<Instant>,
    /// We asked for it.
    suspends: bool,
    /// The key server says to do without MACsec.
    plain_by: Option<crate::sci::Sci>,
    incidents: Incidents,
    faults: BTreeMap<MkpduFault, u64>,
    last_heard: Option<Instant>,
    /// SAKs that came into use.
    rekeys: u64,
    /// MKPDUs that found no room.
    unsent: u64,
}

/// The five verbs.
impl Kay {
    /// A KaY without keys: it is silent until [`set_keys`](Self::set_keys). `rng` fills buffers with random octets
    /// that nobody can guess: member identifiers and SAKs are made of them.
    pub fn new(params: KayParams, rng: Rng, now: Instant) -> Self {
        Self {
            params,
            rng,
            chain: Vec::new(),
            chain_at: now,
            chain_due: None,
            participants: Vec::new(),
            principal: None,
            cp: Cp::default(),
            installer: Installer::default(),
            roster: Roster::new(),
            events: VecDeque::new(),
            now,
            started: now,
            secured: false,
            secured_since: now,
            wanted: false,
            refused: false,
            not_before: now,
            distributed_at: None,
            seen_keys: VecDeque::new(),
            suspended: None,
            suspends: false,
            plain_by: None,
            incidents: Incidents::default(),
            faults: BTreeMap::new(),
            last_heard: None,
            rekeys: 0,
            unsent: 0,
        }
    }

    /// Takes in a received frame, given from its destination address on, without FCS and without VLAN tags in clear.
    /// Frames that are no MKPDUs, or not for us, are counted and dropped. False when there is nothing to drain: forgeries shall
    /// cost no more than their check.
    pub fn handle_mkpdu(&mut self, frame: &[u8], now: Instant) -> bool {
        self.now = self.now.max(now);
        match self.receive(frame) {
            Ok(()) => self.advance(),
            Err(fault) => {
                *self.faults.entry(fault).or_default() += 1;
                return !self.events.is_empty();
            }
        }
        true
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.advance();
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let participants = self.participants.iter();
        let spoken = participants.map(|p| earliest(Some(p.pace.due()), p.peers.deadline()));
        let spoken = spoken.fold(None, earliest);
        let keys = earliest(self.cp.deadline(&self.roster), self.next_sak_deadline());
        earliest(earliest(spoken, keys), earliest(self.chain_due, self.suspended))
    }

    /// Appends the next MKPDU that is due to `out`: a whole frame without FCS and without VLAN tags. False when there is
    /// none. One that finds no room is lost; [`MAX_FRAME`](super::wire::frame::MAX_FRAME) octets are always enough.
    pub fn poll_transmit(&mut self, out: &mut PacketBuf) -> bool {
        let due = self.participants.iter().position(|p| p.pace.due() <= self.now);
        due.is_some_and(|at| {
            self.send(at, out);
            true
        })
    }

    /// The next step for the SecY.
    pub fn poll_action(&mut self) -> Option<KeyAction> {
        self.installer.actions.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<MkaEvent> {
        self.events.pop_front()
    }
}

/// Orders and reports from the owner.
impl Kay {
    /// nextPN of the SecY's encodingSA ([`SecY::next_pn`](crate::SecY::next_pn)), before each
    /// [`handle_timeout`](Self::handle_timeout): peers are told the lowest packet number in use, and a key server rekeys
    /// before they run out.
    pub fn note_pns(&mut self, encoding: Option<(An, u64)>, now: Instant) {
        self.now = self.now.max(now);
        let window = self.params.hello();
        if let Some((an, next)) = encoding
            && let Some(key) = self.cp.by_an(an)
        {
            key.numbers.note(next, self.now, window);
        }
    }

    /// Makes a fresh SAK, if we are key server.
    pub fn rekey(&mut self, now: Instant) -> RekeyAnswer {
        self.now = self.now.max(now);
        let Some(principal) = self.principal() else { return RekeyAnswer::NoPeer };
        match principal.server {
            Some(server) if server.sci != self.params.sci => return RekeyAnswer::NotKeyServer(server.sci),
            Some(_) => {}
            None => return RekeyAnswer::NoPeer,
        }
        self.wanted = true;
        self.advance();
        if self.wanted { RekeyAnswer::Queued } else { RekeyAnswer::Started }
    }

    /// The link came up, or the path may be another: speaks at once instead of at the next hello.
    pub fn handle_link_up(&mut self, now: Instant) {
        self.now = self.now.max(now);
        for participant in &mut self.participants {
            participant.pace.urge(now);
        }
        self.advance();
    }

    /// In-service suspension (802.1X-2020 §9.18): asks that the channel be kept as it is for `time` (255 s at most), though
    /// no MKPDU comes through. The key server begins a suspension; another member asks it to.
    pub fn suspend(&mut self, time: Duration, now: Instant) -> SuspendAnswer {
        self.now = self.now.max(now);
        let us = self.params.sci;
        let Some(principal) = self.principal() else { return SuspendAnswer::NoPeer };
        let Some(server) = principal.server.filter(|_| !principal.peers.live.is_empty()) else {
            return SuspendAnswer::NoPeer;
        };
        let versions = principal.peers.live.iter().map(|peer| (peer.version, peer.sci));
        let old = versions.chain([(self.params.version, us)]).find(|(version, _)| *version < 2);
        if let Some((_, old)) = old {
            return SuspendAnswer::Unsupported(old);
        }
        if self.cp.state() != CpState::Retired {
            return SuspendAnswer::Unsettled;
        }
        let until = now.after(time.min(Duration::from_secs(u64::from(u8::MAX))));
        self.suspends = true;
        self.note_suspension(until);
        for participant in &mut self.participants {
            participant.pace.urge(now);
        }
        if server.sci == us { SuspendAnswer::Started } else { SuspendAnswer::Asked(server.sci) }
    }

    /// The SecY refused an action. Its key is given up; a key server makes another, another member asks for one by taking
    /// a new member identifier.
    pub fn handle_refusal(&mut self, action: &KeyAction, now: Instant) {
        self.now = self.now.max(now);
        let key = match action {
            KeyAction::InstallReceiveSa { key, .. } | KeyAction::InstallTransmitSa { key, .. } => key.key_id,
            // The SC is there already, or what was to be deleted is gone: nothing is lost.
            KeyAction::CreateReceiveSc { .. }
            | KeyAction::EnableReceive { .. }
            | KeyAction::EnableTransmit { .. }
            | KeyAction::RaiseLowestPn { .. }
            | KeyAction::DisableReceive { .. }
            | KeyAction::DeleteReceiveSa { .. }
            | KeyAction::DeleteTransmitSa { .. }
            | KeyAction::DeleteReceiveSc { .. }
            | KeyAction::Secured(_) => return,
        };
        self.give_up(key);
        self.advance();
    }

    /// Its settings.
    pub const fn params(&self) -> &KayParams {
        &self.params
    }

    /// Follows other settings from now on, except another SCI. What they change about the key is a rollover.
    pub fn set_params(&mut self, params: KayParams, now: Instant) {
        self.now = self.now.max(now);
        self.params = KayParams { sci: self.params.sci, ..params };
        for participant in &mut self.participants {
            participant.wire_ckn = self.params.wire_ckn(participant.ckn);
            participant.pace.set_hello(self.params.hello(), self.now);
            participant.pace.urge(self.now);
        }
        self.advance();
    }
}

/// Shorthands.
impl Kay {
    fn principal(&self) -> Option<&Participant> {
        let ckn = self.principal?;
        self.participants.iter().find(|participant| participant.ckn == ckn)
    }

    fn urge_principal(&mut self) {
        let (ckn, now) = (self.principal, self.now);
        for participant in self.participants.iter_mut().filter(|p| Some(p.ckn) == ckn) {
            participant.pace.urge(now);
        }
    }

    /// Whether we are the key server of the principal participant.
    fn serves(&self) -> bool {
        self.principal().is_some_and(|principal| principal.serves(self.params.sci))
    }

    fn diagnose(&mut self, diagnosis: Diagnosis) {
        if self.incidents.note(diagnosis.clone(), self.now) {
            self.events.push_back(MkaEvent::Diagnosis(diagnosis));
        }
    }

    fn note_suspension(&mut self, until: Instant) {
        if self.suspended.is_none() {
            let (time, ours) = (until.since(self.now), self.suspends);
            self.events.push_back(MkaEvent::Suspended { time, ours });
        }
        self.suspended = Some(self.suspended.map_or(until, |known| known.max(until)));
        let expiry = until.after(self.params.life);
        for participant in &mut self.participants {
            participant.peers.extend(expiry);
        }
    }

    /// Drops a key that the SecY did not take.
    fn give_up(&mut self, key: KeyId) {
        if !self.cp.drop_key(key, &mut self.installer) {
            return;
        }
        self.diagnose(Diagnosis::SakRefused { key_id: key });
        if self.serves() {
            self.refused = true;
            self.not_before = self.now.after(Duration::from_secs(1));
        } else if let Some(ckn) = self.principal {
            self.renew(ckn);
        }
    }

    /// Takes a new member identifier under this CAK.
    fn renew(&mut self, ckn: Ckn) {
        for participant in self.participants.iter_mut().filter(|p| p.ckn == ckn) {
            participant.renew(&mut self.rng, self.now);
        }
    }

    /// Deletes all SAs: the channel is down.
    fn close(&mut self, why: LostWhy) {
        self.cp.close(&mut self.installer);
        for sci in core::mem::take(&mut self.installer.scs) {
            self.installer.actions.push_back(KeyAction::DeleteReceiveSc { sci });
        }
        self.set_secured(false, why);
    }

    fn set_secured(&mut self, secured: bool, why: LostWhy) {
        if self.secured == secured {
            return;
        }
        self.secured = secured;
        self.secured_since = self.now;
        self.installer.actions.push_back(KeyAction::Secured(secured));
        if !secured {
            self.events.push_back(MkaEvent::Lost(why));
        }
    }
}

impl core::fmt::Debug for Kay {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kay").field("status", &self.status(self.now)).finish()
    }
}
