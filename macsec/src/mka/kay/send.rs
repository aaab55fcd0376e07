//! Composing an MKPDU (802.1X-2020 §11.11.3).

use net::PacketBuf;

use super::Kay;
use crate::mka::{
    held_key::HeldKey,
    keywrap,
    params::{IcvIndicator, NEVER_KEY_SERVER},
    participant::Participant,
    peers::list_of,
    wire::{
        Announcement, Basic, DistributedKey, DistributedSak, KeyUse, KeysInUse, Mkpdu, SakUse, XpnSet, frame,
    },
};

impl Kay {
    /// Sends an MKPDU of the participant at `at`.
    pub(super) fn send(&mut self, at: usize, out: &mut PacketBuf) {
        let now = self.now;
        let Some(participant) = self.participants.get_mut(at) else { return };
        // Message numbers do not wrap.
        if participant.identity.exhausted() {
            participant.renew(&mut self.rng, now);
        }
        participant.identity.take_message(now);
        participant.pace.sent(now);
        participant.counters.out_mkpdu += 1;
        let Some(participant) = self.participants.get(at) else { return };
        let mkpdu = self.compose(participant);
        let addresses = (self.params.destination, self.params.source, self.params.ethertype);
        if !frame::seal(&mkpdu, &participant.keys, addresses, out) {
            self.unsent += 1;
        }
    }

    fn compose(&self, participant: &Participant) -> Mkpdu {
        let mut mkpdu = Mkpdu::new(self.basic(participant));
        let principal = self.is_principal(participant.ckn);
        let distributed = self.cp.newest().filter(|key| principal && self.distributes(key, participant));
        // Version 3: the key server's SSCI, beside a SAK of an XPN suite (trap 28).
        let server_ssci = distributed
            .filter(|key| key.data.suite.is_xpn() && self.params.version >= 3)
            .and_then(|key| key.own_ssci.0.to_be_bytes().last().copied());
        mkpdu.live = list_of(&participant.peers.live, server_ssci.unwrap_or(0));
        mkpdu.potential = list_of(&participant.peers.potential, 0);
        mkpdu.sak_use = if principal { self.sak_use() } else { None };
        mkpdu.distributed_sak = distributed.and_then(|key| wrap(key, participant));
        mkpdu.announcement =
            self.params.announce.then(|| Announcement::offering(&self.params.suites, self.params.capability));
        mkpdu.xpn = if principal { self.xpn() } else { None };
        mkpdu.icv_indicator = match self.params.icv_indicator {
            IcvIndicator::Never => false,
            IcvIndicator::Always => true,
            IcvIndicator::Auto => {
                let peers = &participant.peers;
                peers.live.iter().chain(&peers.potential).any(|peer| peer.icv_indicator)
            }
        };
        mkpdu
    }

    fn basic(&self, participant: &Participant) -> Basic {
        Basic {
            version: self.params.version,
            priority: self.params.priority,
            // Set unless somebody else is, or will be, key server.
            key_server: match participant.server {
                Some(server) => server.sci == self.params.sci,
                None => self.params.priority != NEVER_KEY_SERVER,
            },
            macsec_desired: true,
            capability: self.params.capability,
            sci: self.params.sci,
            member: participant.identity.member(),
            message: participant.identity.message(),
            agility: Basic::AGILITY,
            ckn: participant.wire_ckn,
        }
    }

    /// A key of ours is distributed until all receive with it, and only while the live peers are those it was made for:
    /// anybody else would count its SSCIs differently.
    fn distributes(&self, key: &HeldKey, participant: &Participant) -> bool {
        let for_all = participant.live_members().all(|member| key.sharers.contains_key(&member));
        // A Distributed SAK takes its key identifier from its sender's member identifier.
        key.mine
            && key.key_id().member() == participant.identity.member().0
            && key.ckn == participant.ckn
            && participant.serves(self.params.sci)
            && for_all
            && participant.peers.live.len() == key.sharers.len()
            && !key.received_by_all(&self.roster)
    }

    fn sak_use(&self) -> Option<SakUse> {
        let (latest, old) = (self.cp.latest(), self.cp.old());
        latest.or(old)?;
        let window = self.params.hello();
        let key_use = |key: Option<&HeldKey>, tx| match key {
            Some(key) => KeyUse {
                an: key.data.an,
                tx,
                rx: true,
                key_id: key.key_id(),
                // The low half; the XPN set has the other.
                lowest_pn: low(key.numbers.lowest(self.now, window)),
            },
            // Some refuse a lowest packet number of 0 beside delay protection even where there is no key.
            None => KeyUse { lowest_pn: 1, ..KeyUse::default() },
        };
        let latest_tx = self.cp.latest_transmits();
        Some(SakUse {
            plain_tx: false,
            plain_rx: self.params.plain,
            delay_protect: self.params.delay_protect,
            keys: Some(KeysInUse { latest: key_use(latest, latest_tx), old: key_use(old, !latest_tx) }),
        })
    }

    /// With an XPN suite the set is needed whatever version we speak; who does not know it skips it.
    fn xpn(&self) -> Option<XpnSet> {
        let (window, now) = (self.params.hello(), self.now);
        let high_of = |key: Option<&HeldKey>| {
            let key = key.filter(|key| key.data.suite.is_xpn());
            key.map_or(0, |key| high(key.numbers.lowest(now, window)))
        };
        // The key server repeats what another member asked for, so that all hear of it.
        let asks = self.suspended.filter(|_| self.suspends || self.serves());
        let left = asks.map_or(0, |until| until.since(now).as_millis().div_ceil(1000));
        let set = XpnSet {
            suspension: u8::try_from(left).unwrap_or(u8::MAX),
            latest_high: high_of(self.cp.latest()),
            old_high: high_of(self.cp.old()),
        };
        let xpn = self.cp.latest().into_iter().chain(self.cp.old()).any(|key| key.data.suite.is_xpn());
        (xpn || set.suspension > 0).then_some(set)
    }
}

fn wrap(key: &HeldKey, participant: &Participant) -> Option<DistributedSak> {
    let wrapped = keywrap::wrap(participant.keys.kek(), key.data.sak.octets())?;
    Some(DistributedSak {
        an: key.data.an,
        confidentiality: key.data.confidentiality,
        key: Some(DistributedKey {
            number: key.key_id().number(),
            suite: DistributedKey::suite_field(key.data.suite),
            wrapped,
        }),
    })
}

const fn low(pn: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = pn.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

const fn high(pn: u64) -> u32 {
    let [a, b, c, d, _, _, _, _] = pn.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
