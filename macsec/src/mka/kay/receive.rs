//! A received frame, check by check (802.1X-2020 §11.11.2, §9.4): nothing is believed before its ICV was right.

use std::{collections::BTreeMap, sync::Arc};

use core::time::Duration;

use net::Instant;
use zeroize::Zeroizing;

use super::{Kay, REMEMBERED_SERVERS};
use crate::{
    key::{KeyId, Sak, Salt},
    mka::{
        action::{DataKey, KeyAction},
        diagnosis::Diagnosis,
        event::MkaEvent,
        held_key::{HeldKey, Numbers},
        keywrap,
        params::KeyStart,
        peers::{Heard, Peer},
        wire::{Basic, DistributedKey, DistributedSak, Envelope, MemberId, Mkpdu, MkpduFault, XpnSet},
    },
    sci::{Sci, Ssci},
};

/// Whom a SAK is shared with: ourselves, and the others by member identifier.
type Sharers = (Ssci, BTreeMap<MemberId, Ssci>);

impl Kay {
    pub(super) fn receive(&mut self, frame: &[u8]) -> Result<(), MkpduFault> {
        let envelope = self.open(frame)?;
        let (ckn, agility) = envelope.ckn()?;
        let Some(at) = self.participants.iter().position(|p| p.answers_to(&ckn)) else {
            self.diagnose_ckn(ckn, &envelope);
            return Err(MkpduFault::UnknownCkn);
        };
        if agility != Basic::AGILITY {
            return Err(MkpduFault::Agility);
        }
        let Some(participant) = self.participants.get_mut(at) else { return Err(MkpduFault::UnknownCkn) };
        if !envelope.authentic(&participant.keys) {
            participant.counters.icv_failures += 1;
            // From a peer that is live under this CAK it is damage, or a forgery, not another CAK. While MKA is suspended (§9.18) peers stay
            // live that are not heard any more.
            let (now, life) = (self.now, self.params.life);
            let speaks = |peer: &Peer| peer.source == envelope.source && now.since(peer.heard) < life;
            if !participant.peers.live.iter().any(speaks) {
                self.diagnose(Diagnosis::CakDiffers { ckn, from: envelope.source });
            }
            return Err(MkpduFault::Icv);
        }
        let Ok(mkpdu) = envelope.mkpdu() else {
            self.diagnose(Diagnosis::Malformed { from: envelope.source });
            return Err(MkpduFault::Malformed);
        };
        if mkpdu.basic.sci == self.params.sci {
            self.diagnose(Diagnosis::Loop);
            return Err(MkpduFault::Loop);
        }
        self.last_heard = Some(self.now);
        self.hear(at, &mkpdu, &envelope)
    }

    fn diagnose_ckn(&mut self, ckn: crate::Ckn, envelope: &Envelope<'_>) {
        let from = envelope.source;
        let waits = |entry: &&crate::mka::KeyEntry| {
            matches!(entry.start, KeyStart::At(at) if at > self.now)
                && (entry.ckn == ckn || self.params.wire_ckn(entry.ckn) == ckn)
        };
        if self.chain.iter().find(waits).is_some() {
            self.diagnose(Diagnosis::KeyNotStarted { ckn, from });
        } else {
            let ours = self.participants.iter().map(|participant| participant.ckn).collect();
            self.diagnose(Diagnosis::UnknownCkn { ckn, from, ours });
        }
    }

    /// Peers first, then suites, the SAK, and its use (§11.11.3), in whatever order they came (trap 11).
    fn hear(&mut self, at: usize, mkpdu: &Mkpdu, envelope: &Envelope<'_>) -> Result<(), MkpduFault> {
        let times = (self.now, self.params.life);
        let Some(participant) = self.participants.get_mut(at) else { return Err(MkpduFault::UnknownCkn) };
        let heard = participant.hear(mkpdu, envelope.source, times, &mut self.rng)?;
        let (sci, ckn) = (mkpdu.basic.sci, participant.ckn);
        match heard {
            Heard::Promoted { restarted } => {
                self.events.push_back(MkaEvent::PeerUp { sci, ckn, restarted });
                self.elect();
            }
            Heard::Known => self.elect(),
            Heard::Stranger | Heard::Collision => {}
        }
        let live = self.participants.get(at).and_then(|p| p.peers.live_by_sci(sci));
        if live.is_none_or(|peer| peer.member != mkpdu.basic.member) {
            return Ok(());
        }
        if let Some(distributed) = &mkpdu.distributed_sak {
            self.take_distributed(at, mkpdu, distributed);
        }
        self.take_use(at, mkpdu);
        Ok(())
    }

    /// What a live peer says of its keys.
    fn take_use(&mut self, at: usize, mkpdu: &Mkpdu) {
        let sci = mkpdu.basic.sci;
        let peers = self.participants.get_mut(at).map(|participant| &mut participant.peers.live);
        let Some(peer) = peers.and_then(|live| live.iter_mut().find(|peer| peer.sci == sci)) else { return };
        peer.xpn = mkpdu.xpn.unwrap_or(XpnSet { suspension: 0, ..peer.xpn });
        if let Some(sak_use) = mkpdu.sak_use {
            peer.sak_use = Some(sak_use);
            peer.sak_use_at = self.now;
        }
        let suspension = Duration::from_secs(u64::from(peer.xpn.suspension));
        let granted = suspension.min(self.params.suspension_limit);
        // Members repeat what they heard, in whole seconds, rounded up: what is not more than a second longer than what we know
        // is the same suspension. Otherwise two members would keep it up between themselves.
        let known = self.suspended.map_or(Duration::ZERO, |until| until.since(self.now));
        let news = self.suspended.is_none() || granted > known.saturating_add(Duration::from_secs(1));
        if news && !granted.is_zero() {
            self.note_suspension(self.now.after(granted));
        }
        if let Some(sak_use) = mkpdu.sak_use {
            self.raise_lowest(sci, sak_use.delay_protect, at);
        }
    }

    /// Data delay protection (§9.10): what is below the peer's lowest packet number is refused. Under XPN the number also
    /// tells a receiver that missed 2^31 frames where the sender is; then only what no window can reach is refused.
    fn raise_lowest(&mut self, sci: Sci, sender_protects: bool, at: usize) {
        let Some(peer) = self.participants.get(at).and_then(|p| p.peers.live_by_sci(sci)) else { return };
        let protect = self.params.delay_protect && sender_protects;
        let mut raises = Vec::new();
        for key in self.cp.latest().into_iter().chain(self.cp.old()) {
            let xpn = key.data.suite.is_xpn();
            let Some(lowest) = peer.lowest_pn(key.key_id(), xpn) else { continue };
            let lowest = if protect { lowest } else { lowest.saturating_sub(1 << 30) };
            if lowest > 1 && (protect || xpn) && key.receive.contains_key(&sci) {
                raises.push(KeyAction::RaiseLowestPn { sci, an: key.data.an, pn: lowest });
            }
        }
        self.installer.actions.extend(raises);
    }

    /// A SAK, or the advice to do without one, counts only from the elected key server that counts us as live (§9.8).
    fn take_distributed(&mut self, at: usize, mkpdu: &Mkpdu, distributed: &DistributedSak) {
        let Some(participant) = self.participants.get(at) else { return };
        let (ckn, us) = (participant.ckn, participant.identity.member());
        let elected = participant.server.is_some_and(|server| server.sci == mkpdu.basic.sci);
        let listed = mkpdu.live.as_ref().is_some_and(|live| live.message_of(us).is_some());
        if !elected || !listed {
            return;
        }
        let server = mkpdu.basic.sci;
        let Some(key) = &distributed.key else {
            self.plain_by = Some(server);
            self.diagnose(Diagnosis::NoMacsec { server });
            return;
        };
        let key_id = KeyId::new(mkpdu.basic.member.0, key.number);
        match self.open_sak(at, mkpdu, distributed, key, key_id) {
            Ok(Some(held)) => {
                self.remember(mkpdu.basic.member, key.number);
                self.plain_by = None;
                self.principal_is(ckn);
                self.cp.offer(held);
                if let Some(participant) = self.participants.get_mut(at) {
                    participant.counters.saks_received += 1;
                }
            }
            Ok(None) => {}
            Err(diagnosis) => self.diagnose(diagnosis),
        }
    }

    /// The SAK, if it is new and good.
    fn open_sak(
        &mut self,
        at: usize,
        mkpdu: &Mkpdu,
        distributed: &DistributedSak,
        key: &DistributedKey,
        key_id: KeyId,
    ) -> Result<Option<HeldKey>, Diagnosis> {
        let server = mkpdu.basic.sci;
        let Some(participant) = self.participants.get(at) else { return Ok(None) };
        let data = self.unwrap_sak(at, distributed, key, (key_id, server))?;
        // Trap 13: the same again changes nothing; above all no packet number.
        if let Some(held) = self.cp.keys().find(|held| held.key_id() == key_id) {
            let same = held.data.sak.fingerprint() == data.sak.fingerprint()
                && held.data.suite == data.suite
                && held.data.an == data.an;
            return if same { Ok(None) } else { Err(Diagnosis::KeyReused { key_id }) };
        }
        // Trap 15. We had it and it is gone: only a fresh one will do, and a new identifier gets us one.
        if self.seen(mkpdu.basic.member).is_some_and(|last| key.number <= last) {
            self.renew(participant.ckn);
            return Err(Diagnosis::KeyReused { key_id });
        }
        let Some((own_ssci, sharers)) = self.sharers(at, mkpdu, data.suite.is_xpn()) else {
            return Err(Diagnosis::MembersUnknown { server });
        };
        Ok(Some(HeldKey {
            data: Arc::new(data),
            ckn: participant.ckn,
            mine: false,
            server,
            sharers,
            own_ssci,
            receive: BTreeMap::new(),
            since: self.now,
            numbers: Numbers::default(),
        }))
    }

    fn unwrap_sak(
        &self,
        at: usize,
        distributed: &DistributedSak,
        key: &DistributedKey,
        (key_id, server): (KeyId, Sci),
    ) -> Result<DataKey, Diagnosis> {
        let unreadable = Diagnosis::SakUnreadable { key_id, server };
        let suite = key.cipher_suite().filter(|suite| self.params.suites.contains(suite));
        let Some(suite) = suite else {
            let id = key.suite.unwrap_or_else(|| crate::CipherSuite::GcmAes128.id());
            return Err(Diagnosis::CipherNotAccepted { peer: server, suite: id, ours: self.own_suites() });
        };
        let confidentiality = distributed.confidentiality;
        if self.params.confidentiality.encrypts() && !confidentiality.encrypts() {
            return Err(Diagnosis::NotEncrypted { server });
        }
        // Trap 29.
        if confidentiality.offset().octets() != 0 && !suite.allows_offsets() {
            return Err(unreadable);
        }
        let Some(participant) = self.participants.get(at) else { return Err(unreadable) };
        let octets: Option<Zeroizing<Vec<u8>>> = keywrap::unwrap(participant.keys.kek(), &key.wrapped);
        let sak = octets.filter(|sak| sak.len() == suite.key_len()).and_then(|sak| Sak::new(&sak).ok());
        let Some(sak) = sak else { return Err(unreadable) };
        let salt = Salt::for_key(key_id);
        Ok(DataKey { key_id, an: distributed.an, sak, suite, confidentiality, salt })
    }

    /// Who shares a SAK: its key server and that one's live peers, us among them. SSCIs by the order of the SCIs; where
    /// we have not heard one of them, by the place in the list, which MKA version 3 keeps in that order and to which it adds
    /// the key server's SSCI.
    fn sharers(&self, at: usize, mkpdu: &Mkpdu, xpn: bool) -> Option<Sharers> {
        let participant = self.participants.get(at)?;
        let us = participant.identity.member();
        let live = mkpdu.live.as_ref()?;
        let members = || live.peers.iter().map(|peer| peer.member);
        let sci_of =
            |member| if member == us { Some(self.params.sci) } else { participant.peers.sci_of(member) };
        if !xpn {
            let sharers = members().filter(|member| *member != us).chain([mkpdu.basic.member]);
            return Some((Ssci::default(), sharers.map(|member| (member, Ssci::default())).collect()));
        }
        let mut sscis = BTreeMap::new();
        let known: Option<Vec<Sci>> = members().map(sci_of).chain([Some(mkpdu.basic.sci)]).collect();
        if let Some(scis) = known {
            for (member, sci) in
                members().map(|m| (m, sci_of(m))).chain([(mkpdu.basic.member, Some(mkpdu.basic.sci))])
            {
                sscis.insert(member, Ssci::assign(sci?, &scis)?);
            }
        } else {
            let server = u32::from(live.server_ssci);
            let places = (1..).filter(|ssci| *ssci != server);
            // Without the key server's SSCI the order is not known.
            (server != 0).then_some(())?;
            sscis.extend(members().zip(places.map(Ssci)));
            sscis.insert(mkpdu.basic.member, Ssci(server));
        }
        let own = sscis.remove(&us)?;
        Some((own, sscis))
    }

    fn seen(&self, server: MemberId) -> Option<u32> {
        self.seen_keys.iter().find(|(member, _)| *member == server).map(|(_, number)| *number)
    }

    fn remember(&mut self, server: MemberId, number: u32) {
        self.seen_keys.retain(|(member, _)| *member != server);
        self.seen_keys.push_back((server, number));
        if self.seen_keys.len() > REMEMBERED_SERVERS {
            self.seen_keys.pop_front();
        }
    }

    /// When nothing was heard for a life time, since when.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        let silence = now.since(self.last_heard.unwrap_or(self.started));
        (silence >= self.params.life).then_some(silence)
    }
}
