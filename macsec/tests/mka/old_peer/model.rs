//! The old peer itself: its key agreement and its controlled port, with a SecY.

use macsec::{
    An, CipherSuite, ConfidentialityOffset, KeyId, ReceiveSaParams, Sak, Salt, Sci, SecY, SecyPolicy, Ssci,
    TransmitSaParams,
    mka::{
        Confidentiality, MacsecCapability, MemberId,
        kdf::CakKeys,
        keywrap,
        wire::{
            Basic, DistributedKey, DistributedSak, Envelope, KeyUse, KeysInUse, Mkpdu, PeerId, PeerList,
            SakUse, frame,
        },
    },
};
use net::{EtherType, Instant, MacAddr, PacketBuf};

use crate::world::{Dice, cak, ckn, ms, sci};

const LIFE_S: u64 = 6;

#[derive(Clone)]
pub(super) struct Member {
    id: MemberId,
    mn: u32,
    sci: Sci,
    priority: u8,
    is_server: bool,
    expires_s: u64,
    sak_used: bool,
    missing: u32,
}

#[derive(Clone)]
struct DataSak {
    id: KeyId,
    an: An,
    sak: Sak,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Change,
    Secured,
    Receive,
    Receiving,
    Ready,
    Transmit,
    Transmitting,
    Abandon,
    Retire,
}

pub(super) struct OldPeer {
    now: Instant,
    dice: Dice,
    keys: CakKeys,
    sci: Sci,
    priority: u8,
    mi: MemberId,
    mn: u32,
    pub(super) live: Vec<Member>,
    potential: Vec<Member>,
    server: Option<Sci>,
    is_server: bool,
    elected: bool,
    principal: bool,
    pub(super) new_sak: bool,
    distributing: bool,
    dist_kn: u32,
    dist_an: An,
    dist_s: Option<u64>,
    saks: Vec<DataSak>,
    uses_sak: bool,
    tick: Instant,
    // The controlled port machine.
    pub(super) state: State,
    secure: bool,
    changed_server: bool,
    cp_new_sak: bool,
    all_receiving: bool,
    server_transmitting: bool,
    latest: Option<(KeyId, bool, bool)>,
    old: Option<KeyId>,
    transmit_at: Option<Instant>,
    retire_at: Option<Instant>,
    pub(super) port: bool,
    pub(super) secy: SecY,
    pub(super) out: Vec<Vec<u8>>,
    /// How often it took another identifier because SAK Use came too early, and MKPDUs that it dropped otherwise.
    pub(super) resets: u32,
    pub(super) drops: Vec<&'static str>,
}

impl OldPeer {
    pub(super) fn new(priority: u8, now: Instant, seed: u64) -> Self {
        let mut peer = Self {
            now,
            dice: Dice::new(seed),
            keys: CakKeys::derive(&cak(1), &ckn(1)).unwrap(),
            sci: sci(1),
            priority,
            mi: MemberId::default(),
            mn: 0,
            live: Vec::new(),
            potential: Vec::new(),
            server: None,
            is_server: false,
            elected: false,
            principal: false,
            new_sak: false,
            distributing: false,
            dist_kn: 1,
            dist_an: An::default(),
            dist_s: None,
            saks: Vec::new(),
            uses_sak: false,
            tick: now.after(ms(700)),
            state: State::Change,
            secure: false,
            changed_server: false,
            cp_new_sak: false,
            all_receiving: false,
            server_transmitting: false,
            latest: None,
            old: None,
            transmit_at: None,
            retire_at: None,
            port: false,
            secy: SecY::new(SecyPolicy::new(sci(1)), now).unwrap(),
            out: Vec::new(),
            resets: 0,
            drops: Vec::new(),
        };
        peer.reset_member();
        peer
    }

    fn second(&self) -> u64 {
        self.now.as_nanos() / 1_000_000_000
    }

    fn reset_member(&mut self) {
        for octet in &mut self.mi.0 {
            *octet = self.dice.roll() as u8;
        }
        self.mn = 0;
    }

    pub(super) fn handle(&mut self, octets: &[u8]) {
        let envelope = Envelope::open(octets, EtherType::EAPOL).unwrap();
        assert!(envelope.destination.is_group() && envelope.authentic(&self.keys));
        let mkpdu = envelope.mkpdu().unwrap();
        let basic = &mkpdu.basic;
        if basic.member == self.mi {
            self.reset_member();
        }
        if !self.note_peer(basic) {
            return;
        }
        let listed = mkpdu.listed().any(|peer| {
            peer.member == self.mi && (peer.message == self.mn || self.mn > 1 && peer.message == self.mn - 1)
        });
        let was_live = self.live.iter().any(|peer| peer.id == basic.member);
        if listed && !was_live {
            let at = self.potential.iter().position(|peer| peer.id == basic.member).unwrap();
            let mut peer = self.potential.remove(at);
            peer.expires_s = self.second() + LIFE_S;
            self.live.push(peer);
            self.secy.create_receive_sc(basic.sci, self.now).unwrap();
            self.elect();
            self.decide();
        }
        if let Some(live) = &mkpdu.live
            && live.message_of(self.mi).is_some_and(|mn| mn > self.mn)
        {
            self.reset_member();
        }
        self.handle_keys(&mkpdu);
    }

    fn note_peer(&mut self, basic: &Basic) -> bool {
        let second = self.second();
        let known = self.live.iter_mut().chain(&mut self.potential).find(|peer| peer.id == basic.member);
        if let Some(peer) = known {
            if basic.message <= peer.mn {
                self.drops.push("message number did not rise");
                return false;
            }
            (peer.mn, peer.priority, peer.is_server) = (basic.message, basic.priority, basic.key_server);
            return true;
        }
        if let Some(twin) = self.live.iter_mut().find(|peer| peer.sci == basic.sci) {
            twin.expires_s = twin.expires_s.min(second + 3);
            self.drops.push("another member with this SCI");
            return false;
        }
        self.potential.push(Member {
            id: basic.member,
            mn: basic.message,
            sci: basic.sci,
            priority: basic.priority,
            is_server: basic.key_server,
            expires_s: second + LIFE_S,
            sak_used: false,
            missing: 0,
        });
        true
    }

    fn handle_keys(&mut self, mkpdu: &Mkpdu) {
        let from = mkpdu.basic.member;
        let bad_use = mkpdu.sak_use.is_some_and(|sak_use| !self.handle_use(from, &sak_use));
        if let Some(distributed) = &mkpdu.distributed_sak
            && !self.handle_sak(mkpdu, distributed)
        {
            self.drops.push("distributed SAK refused");
            return;
        }
        if bad_use && mkpdu.distributed_sak.is_none() {
            self.resets += 1;
            self.reset_member();
            return;
        }
        let second = self.second();
        let Some(peer) = self.live.iter_mut().find(|peer| peer.id == from) else { return };
        if mkpdu.sak_use.is_some() {
            (peer.missing, peer.expires_s) = (0, second + LIFE_S);
            return;
        }
        peer.missing += 1;
        if peer.sak_used || peer.missing > 10 {
            self.drops.push("SAK Use stays away");
        }
    }

    fn handle_use(&mut self, from: MemberId, sak_use: &SakUse) -> bool {
        if !self.principal || self.live.iter().all(|peer| peer.id != from) {
            return false;
        }
        let Some(keys) = sak_use.keys else { return true };
        if sak_use.delay_protect && (keys.latest.lowest_pn == 0 || keys.old.lowest_pn == 0) {
            return false;
        }
        let said = if keys.latest.rx { keys.latest } else { keys.old };
        if self.saks.last().is_none_or(|sak| sak.id != said.key_id) {
            return true;
        }
        let peer = self.live.iter_mut().find(|peer| peer.id == from).unwrap();
        if self.is_server {
            peer.sak_used = true;
            if self.live.iter().all(|peer| peer.sak_used) {
                self.distributing = false;
                self.all_receiving = true;
                self.step();
            }
        } else if peer.is_server && keys.latest.tx {
            self.server_transmitting = true;
            self.step();
        }
        true
    }

    fn handle_sak(&mut self, mkpdu: &Mkpdu, distributed: &DistributedSak) -> bool {
        let live = self.live.iter_mut().find(|peer| peer.id == mkpdu.basic.member);
        let (Some(peer), true, false) = (live, self.principal, self.is_server) else { return false };
        let Some(key) = &distributed.key else { return false };
        if self.server != Some(peer.sci) || key.suite.is_some() {
            return false;
        }
        self.secure = true;
        let id = KeyId::new(mkpdu.basic.member.0, key.number);
        if self.saks.iter().any(|sak| sak.id == id) {
            return true;
        }
        peer.expires_s = self.now.as_nanos() / 1_000_000_000 + LIFE_S;
        let sak = Sak::new(&keywrap::unwrap(self.keys.kek(), &key.wrapped).unwrap()).unwrap();
        self.saks.push(DataSak { id, an: distributed.an, sak });
        self.cp_new_sak = true;
        self.step();
        self.uses_sak = true;
        true
    }

    fn elect(&mut self) {
        let rank = |peer: &&Member| (peer.priority, peer.sci.mac());
        let best = self.live.iter().filter(|peer| peer.is_server).min_by_key(rank);
        let winner = match best {
            Some(best) if (best.priority, best.sci.mac()) < (self.priority, self.sci.mac()) => best.sci,
            _ => self.sci,
        };
        self.is_server = winner == self.sci;
        (self.principal, self.elected) = (true, true);
        if self.server != Some(winner) {
            self.server = Some(winner);
            self.changed_server = true;
            self.step();
        }
        if self.is_server {
            self.new_sak = true;
            self.distributing = false;
        }
    }

    fn decide(&mut self) {
        if self.is_server {
            self.secure = true;
            self.step();
        }
    }

    fn handle_tick(&mut self) {
        let second = self.second();
        let (gone, live): (Vec<_>, Vec<_>) = self.live.drain(..).partition(|peer| second > peer.expires_s);
        self.live = live;
        self.potential.retain(|peer| second <= peer.expires_s);
        for peer in &gone {
            self.secy.delete_receive_sc(peer.sci).unwrap();
        }
        if gone.iter().any(|peer| peer.is_server) {
            self.reset_member();
        }
        if !gone.is_empty() && self.live.is_empty() {
            (self.uses_sak, self.is_server, self.elected, self.secure) = (false, false, false, false);
            self.step();
        } else if !gone.is_empty() {
            self.elect();
            self.decide();
        }
        if core::mem::take(&mut self.new_sak) && self.is_server {
            self.generate();
        }
        self.send();
        self.tick = self.now.after(ms(2000));
    }

    fn generate(&mut self) {
        // Within six seconds the request is dropped, and forgotten.
        if self.live.is_empty() || self.dist_s.is_some_and(|then| self.second() - then < LIFE_S) {
            return;
        }
        let mut octets = [0; 16];
        octets.iter_mut().for_each(|octet| *octet = self.dice.roll() as u8);
        let id = KeyId::new(self.mi.0, self.dist_kn);
        self.saks.push(DataSak { id, an: self.dist_an, sak: Sak::new(&octets).unwrap() });
        self.dist_kn += 1;
        self.dist_an = self.dist_an.next();
        self.dist_s = Some(self.second());
        self.live.iter_mut().for_each(|peer| peer.sak_used = false);
        self.cp_new_sak = true;
        self.step();
        self.distributing = true;
        self.uses_sak = true;
    }

    fn changed(&self) -> bool {
        !self.secure || self.changed_server
    }

    fn step(&mut self) {
        while let Some(next) = self.next_state() {
            self.enter(next);
        }
    }

    fn next_state(&self) -> Option<State> {
        let waits_no_more =
            self.all_receiving || !self.port || self.transmit_at.is_some_and(|at| at <= self.now);
        match self.state {
            State::Change => self.secure.then_some(State::Secured),
            State::Secured | State::Retire if self.changed() => Some(State::Change),
            State::Secured | State::Retire => self.cp_new_sak.then_some(State::Receive),
            State::Receive => Some(State::Receiving),
            State::Receiving | State::Ready if self.cp_new_sak || self.changed() => Some(State::Abandon),
            State::Receiving if !self.is_server => Some(State::Ready),
            State::Receiving => waits_no_more.then_some(State::Transmit),
            State::Ready => (self.server_transmitting || !self.port).then_some(State::Transmit),
            State::Transmit => Some(State::Transmitting),
            State::Transmitting => {
                let over = self.retire_at.is_none_or(|at| at <= self.now) || self.changed();
                over.then_some(State::Retire)
            }
            State::Abandon if self.changed() => Some(State::Retire),
            State::Abandon => self.cp_new_sak.then_some(State::Receive),
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        match state {
            State::Change => {
                self.port = false;
                self.delete(self.latest.map(|(id, ..)| id));
                self.delete(self.old);
                (self.latest, self.old) = (None, None);
            }
            State::Secured => self.changed_server = false,
            State::Receive => {
                (self.cp_new_sak, self.all_receiving) = (false, false);
                self.create();
            }
            State::Receiving => {
                self.latest = self.latest.map(|(id, tx, _)| (id, tx, true));
                self.transmit_at = Some(self.now.after(ms(6000)));
                self.server_transmitting = false;
            }
            State::Ready => self.send(),
            State::Transmit => {
                self.port = true;
                self.latest = self.latest.map(|(id, _, rx)| (id, true, rx));
                (self.all_receiving, self.server_transmitting) = (false, false);
                let an = self.sak(self.latest.unwrap().0).an;
                self.secy.enable_transmit_sa(an, self.now).unwrap();
            }
            State::Transmitting => {
                self.retire_at = self.old.map(|_| self.now.after(ms(3000)));
                self.send();
            }
            State::Abandon => {
                self.delete(self.latest.map(|(id, ..)| id));
                self.latest = None;
            }
            State::Retire => {
                self.delete(self.old);
                self.old = self.latest.take().map(|(id, ..)| id);
            }
        }
    }

    fn sak(&self, id: KeyId) -> DataSak {
        self.saks.iter().find(|sak| sak.id == id).unwrap().clone()
    }

    fn create(&mut self) {
        let DataSak { id, an, sak } = self.saks.last().unwrap().clone();
        self.latest = Some((id, false, false));
        self.uses_sak = true;
        let (suite, offset) = (CipherSuite::GcmAes128, ConfidentialityOffset::Zero);
        let (ssci, salt, now) = (Ssci(0), Salt::default(), self.now);
        for peer in &self.live {
            let receive = ReceiveSaParams { sak: &sak, suite, offset, key_id: id, lowest_pn: 1, ssci, salt };
            self.secy.create_receive_sa(peer.sci, an, &receive, now).unwrap();
            self.secy.enable_receive_sa(peer.sci, an, now).unwrap();
        }
        let transmit = TransmitSaParams {
            sak: &sak,
            suite,
            encrypt: true,
            offset,
            key_id: id,
            next_pn: 1,
            pn_limit: None,
            ssci,
            salt,
        };
        self.secy.create_transmit_sa(an, &transmit, now).unwrap();
    }

    fn delete(&mut self, id: Option<KeyId>) {
        let Some(id) = id else { return };
        let an = self.sak(id).an;
        for peer in &self.live {
            let _ = self.secy.delete_receive_sa(peer.sci, an, self.now);
        }
        let _ = self.secy.delete_transmit_sa(an, self.now);
        self.saks.retain(|sak| sak.id != id);
    }

    fn send(&mut self) {
        self.mn += 1;
        let mut mkpdu = Mkpdu::new(Basic {
            version: 1,
            priority: self.priority,
            key_server: if self.elected { self.is_server } else { true },
            macsec_desired: true,
            capability: MacsecCapability::Offsets,
            sci: self.sci,
            member: self.mi,
            message: self.mn,
            agility: Basic::AGILITY,
            ckn: ckn(1),
        });
        let list = |peers: &[Member]| {
            let peers: Vec<_> =
                peers.iter().map(|peer| PeerId { member: peer.id, message: peer.mn }).collect();
            (!peers.is_empty()).then_some(PeerList { server_ssci: 0, peers })
        };
        (mkpdu.live, mkpdu.potential) = (list(&self.live), list(&self.potential));
        mkpdu.sak_use = self.uses_sak.then(|| self.sak_use());
        if self.is_server && self.distributing {
            mkpdu.distributed_sak = self.saks.last().map(|sak| DistributedSak {
                an: sak.an,
                confidentiality: Confidentiality::From(ConfidentialityOffset::Zero),
                key: Some(DistributedKey {
                    number: sak.id.number(),
                    suite: None,
                    wrapped: keywrap::wrap(self.keys.kek(), sak.sak.octets()).unwrap(),
                }),
            });
        }
        let mut out = PacketBuf::with_capacity(1600, 0);
        let addresses = (MacAddr::PAE_GROUP, self.sci.mac(), EtherType::EAPOL);
        assert!(frame::seal(&mkpdu, &self.keys, addresses, &mut out));
        self.out.push(out.to_vec());
    }

    fn sak_use(&self) -> SakUse {
        let an = |id: KeyId| self.saks.iter().find(|sak| sak.id == id).map_or_else(An::default, |sak| sak.an);
        let none = KeyUse { lowest_pn: 1, ..KeyUse::default() };
        let latest =
            self.latest.map_or(none, |(id, tx, rx)| KeyUse { an: an(id), tx, rx, key_id: id, lowest_pn: 1 });
        let other = self.old.filter(|id| id.number() != latest.key_id.number());
        let old =
            other.map_or(none, |id| KeyUse { an: an(id), tx: true, rx: true, key_id: id, lowest_pn: 1 });
        SakUse { keys: Some(KeysInUse { latest, old }), ..SakUse::default() }
    }

    pub(super) fn pass_to(&mut self, now: Instant) {
        self.now = now;
        if self.tick <= now {
            self.handle_tick();
        }
        self.step();
    }
}
