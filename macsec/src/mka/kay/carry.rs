//! What a KaY leaves to its successor in another process: that it goes on as the same member.
//!
//! A restarted KaY could begin as a new member and let the SAs of before carry traffic until it has agreed on a new SAK. Between two of
//! ours that loses nothing; but what a foreign peer does to its receive SAs when the member behind an SCI becomes another one
//! is its own affair, and some throw them out at once. The successor has everything that made its predecessor this member:
//! identifier, message numbers, who was heard and when, the SAKs and where the controlled port machine stood. So it goes on
//! with the next message number, and peers notice nothing at all (802.1X-2020 §9.4.2: an identifier stands for one
//! *participant*; it is new when that has lost its memory).
//!
//! Not left: CAKs, which the successor reads for itself (a participant whose CAK is not the same any more is none of its); potential
//! peers, incidents and counters.

use std::collections::{BTreeSet, VecDeque};

use net::{
    Instant, carry,
    carry::{Carry, Opened, Parcel},
};

use super::Kay;
use crate::{
    SecY, SecyNumbers, TransmitSaParams,
    key::{Ckn, Fingerprint},
    mka::{
        cp::Cp,
        election::Candidate,
        held_key::HeldKey,
        identity::{Identity, Rng},
        params::{KayParams, KeyEntry},
        participant::Participant,
        peers::Peers,
        wire::MemberId,
    },
    sci::Sci,
};

/// A participant.
#[derive(Debug)]
struct Member {
    ckn: Ckn,
    cak: Fingerprint,
    identity: Identity,
    key_number: u32,
    peers: Peers,
    server: Option<Candidate>,
}
carry!(Member { ckn, cak, identity, key_number, peers, server });

/// What all participants have in common.
#[derive(Debug)]
struct Common {
    principal: Option<Ckn>,
    cp: Cp,
    scs: BTreeSet<Sci>,
    secured: bool,
    secured_since: Instant,
    started: Instant,
    wanted: bool,
    refused: bool,
    not_before: Instant,
    distributed_at: Option<Instant>,
    seen_keys: VecDeque<(MemberId, u32)>,
    suspended: Option<Instant>,
    suspends: bool,
    plain_by: Option<Sci>,
    last_heard: Option<Instant>,
    rekeys: u64,
}
carry!(Common {
    principal,
    cp,
    scs,
    secured,
    secured_since,
    started,
    wanted,
    refused,
    not_before,
    distributed_at,
    seen_keys,
    suspended,
    suspends,
    plain_by,
    last_heard,
    rekeys,
});

impl Kay {
    /// Leaves everything that the same member needs in order to go on elsewhere. Whoever goes on says what comes next: this one must
    /// not say another word, unless the other never does.
    pub fn pack(&self, out: &mut Parcel) {
        self.params.sci.pack(out);
        self.participants.len().pack(out);
        for one in &self.participants {
            one.ckn.pack(out);
            one.cak.pack(out);
            one.identity.pack(out);
            one.key_number.pack(out);
            one.peers.pack(out);
            one.server.pack(out);
        }
        // In the order of `Common`.
        self.principal.pack(out);
        self.cp.pack(out);
        self.installer.scs.pack(out);
        self.secured.pack(out);
        self.secured_since.pack(out);
        self.started.pack(out);
        self.wanted.pack(out);
        self.refused.pack(out);
        self.not_before.pack(out);
        self.distributed_at.pack(out);
        self.seen_keys.pack(out);
        self.suspended.pack(out);
        self.suspends.pack(out);
        self.plain_by.pack(out);
        self.last_heard.pack(out);
        self.rekeys.pack(out);
    }

    /// The member that `from` tells of, with these settings and keys: it has installed its SAs in `secy`, with the packet numbers
    /// that `numbers` says, and goes on. `None` when that is not possible (another SCI, octets that make no sense): then `secy`
    /// may have some of the SAs and is to be thrown away.
    pub fn resume(
        params: KayParams,
        rng: Rng,
        keys: Vec<KeyEntry>,
        (from, numbers): (&mut Opened<'_>, &SecyNumbers),
        secy: &mut SecY,
        now: Instant,
    ) -> Option<Self> {
        let sci = Sci::unpack(from)?;
        if sci != params.sci || sci != numbers.sci() || sci != secy.policy().sci {
            return None;
        }
        let (members, common): (Vec<Member>, Common) = (Carry::unpack(from)?, Carry::unpack(from)?);
        let mut this = Self::new(params, rng, now);
        (this.chain, this.chain_at, this.chain_due) = (keys, now, Some(now));
        this.follow_chain();
        for member in members {
            let same = |one: &&mut Participant| one.ckn == member.ckn && one.cak == member.cak;
            if let Some(participant) = this.participants.iter_mut().find(same) {
                (participant.identity, participant.key_number) = (member.identity, member.key_number);
                (participant.peers, participant.server) = (member.peers, member.server);
            }
        }
        this.take_common(common);
        // Also those that no key has a use for yet.
        for sci in &this.installer.scs {
            secy.create_receive_sc(*sci, now).ok()?;
        }
        for key in this.cp.keys().filter(|key| !this.cp.is_pending(key.key_id())) {
            install(key, secy, numbers, now)?;
        }
        secy.resume(numbers, now);
        this.advance();
        Some(this)
    }

    fn take_common(&mut self, common: Common) {
        self.principal = common.principal;
        self.cp = common.cp;
        self.installer.scs = common.scs;
        (self.secured, self.secured_since) = (common.secured, common.secured_since);
        self.started = common.started;
        (self.wanted, self.refused) = (common.wanted, common.refused);
        (self.not_before, self.distributed_at) = (common.not_before, common.distributed_at);
        self.seen_keys = common.seen_keys;
        (self.suspended, self.suspends) = (common.suspended, common.suspends);
        (self.plain_by, self.last_heard, self.rekeys) = (common.plain_by, common.last_heard, common.rekeys);
    }
}

/// Makes the SAs of a key, none of them in use yet: [`SecY::resume`] says which were.
fn install(key: &HeldKey, secy: &mut SecY, numbers: &SecyNumbers, now: Instant) -> Option<()> {
    for (sci, sa) in &key.receive {
        secy.create_receive_sa(*sci, key.data.an, &key.data.receive_params(1, sa.ssci), now).ok()?;
    }
    // Under packet numbers of before it may not be sent at all: no numbers, no SA.
    let (next_pn, last) = numbers.next_pn(key.data.an, key.data.sak.fingerprint())?;
    let params = key.data.transmit_params(key.own_ssci);
    let params = TransmitSaParams { next_pn, pn_limit: Some(last), ..params };
    secy.create_transmit_sa(key.data.an, &params, now).ok()
}
