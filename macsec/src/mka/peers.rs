//! The members a participant knows: potential ones, whom it has heard, and live ones, who have also heard it.
//!
//! A peer becomes live by naming our member identifier with a recent message number, and stays live while it goes
//! on doing so (802.1X-2020 §9.4.3). A live peer that restarted has the SCI it had and another identifier. Its new
//! self replaces the old one as soon as it has proved to be alive: waiting for the old one to expire would cost a
//! life time, and throwing it out before would let a replayed MKPDU do so (trap 18).

use core::time::Duration;

use net::{Instant, MacAddr};

use super::{
    election::Candidate,
    identity::{Identity, Recency},
    wire::{MacsecCapability, MemberId, Mkpdu, MkpduFault, PeerId, PeerList, SakUse, SuiteOffer, XpnSet},
};
use crate::{key::KeyId, sci::Sci};

/// Live peers of a participant, and potential ones as many again. All fit one MKPDU.
pub const MAX_PEERS: usize = 32;

/// Whether and how a peer lists us.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Listing {
    /// It does not: it does not hear us, or names a message that is not recent.
    #[default]
    No,
    /// In its potential peer list.
    Potential,
    /// In its live peer list.
    Live,
}

/// A member that was heard.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) member: MemberId,
    pub(super) message: u32,
    pub(super) sci: Sci,
    pub(super) source: MacAddr,
    pub(super) version: u8,
    pub(super) priority: u8,
    pub(super) claims_server: bool,
    pub(super) desired: bool,
    pub(super) capability: MacsecCapability,
    /// The suites it announced, the last time it did.
    pub(super) offers: Option<Vec<SuiteOffer>>,
    pub(super) sak_use: Option<SakUse>,
    pub(super) sak_use_at: Instant,
    pub(super) xpn: XpnSet,
    pub(super) icv_indicator: bool,
    pub(super) listing: Listing,
    pub(super) since: Instant,
    pub(super) heard: Instant,
    pub(super) expires: Instant,
}

impl Peer {
    fn new(mkpdu: &Mkpdu, source: MacAddr, now: Instant, life: Duration) -> Self {
        let mut peer = Self {
            member: mkpdu.basic.member,
            message: 0,
            sci: mkpdu.basic.sci,
            source,
            version: 0,
            priority: 0,
            claims_server: false,
            desired: false,
            capability: MacsecCapability::NotImplemented,
            offers: None,
            sak_use: None,
            sak_use_at: now,
            xpn: XpnSet::default(),
            icv_indicator: false,
            listing: Listing::No,
            since: now,
            heard: now,
            expires: now.after(life),
        };
        peer.update(mkpdu, now);
        peer
    }

    fn update(&mut self, mkpdu: &Mkpdu, now: Instant) {
        let basic = &mkpdu.basic;
        self.message = basic.message;
        self.version = basic.version;
        self.priority = basic.priority;
        self.claims_server = basic.key_server;
        self.desired = basic.macsec_desired;
        self.capability = basic.capability;
        self.icv_indicator = mkpdu.icv_indicator;
        self.heard = now;
        if let Some(offers) = mkpdu.announcement.as_ref().and_then(|announced| announced.offers()) {
            self.offers = Some(offers.to_vec());
        }
    }

    /// Whom it proposes as key server: itself.
    pub(super) const fn candidate(&self) -> Candidate {
        Candidate { priority: self.priority, sci: self.sci }
    }

    /// The lowest packet number that it says it used lately under this key, all 64 bits of it.
    pub(super) fn lowest_pn(&self, key: KeyId, xpn: bool) -> Option<u64> {
        let use_of = self.sak_use?;
        let low = u64::from(use_of.lowest_pn(key)?);
        let is_latest = use_of.keys.is_some_and(|keys| keys.latest.key_id == key);
        let high = if is_latest { self.xpn.latest_high } else { self.xpn.old_high };
        Some(if xpn { u64::from(high) << 32 | low } else { low })
    }
}

/// What an MKPDU changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    /// A member that was not known.
    Stranger,
    /// A member became live, perhaps in the place of itself before a restart.
    Promoted { restarted: bool },
    /// A member that is known.
    Known,
    /// Somebody else uses our member identifier.
    Collision,
}

/// The two lists.
#[derive(Debug, Default)]
pub(super) struct Peers {
    pub(super) live: Vec<Peer>,
    pub(super) potential: Vec<Peer>,
    /// Peers whose time was up a short while ago, or whose place a later self took. They are not listed any more; should they speak
    /// again, it is known since when they do, and which message was their last: what came before stays refused (§9.4.2).
    lapsed: Vec<Peer>,
    /// Who was replaced by a later self, and when.
    former: Vec<(MemberId, Instant)>,
}

impl Peers {
    /// Takes in who sent `mkpdu` and what it says of itself and of us.
    pub(super) fn hear(
        &mut self,
        mkpdu: &Mkpdu,
        source: MacAddr,
        us: &Identity,
        (now, life): (Instant, Duration),
    ) -> Result<Heard, MkpduFault> {
        if mkpdu.basic.member == us.member() {
            return Ok(Heard::Collision);
        }
        if self.is_former(mkpdu, now, life) {
            return Err(MkpduFault::Replayed);
        }
        let (listing, recency) = listing(mkpdu, us, now, life);
        if recency == Some(Recency::Future) {
            return Ok(Heard::Collision);
        }
        let member = mkpdu.basic.member;
        let known = self.live.iter_mut().chain(&mut self.potential).find(|peer| peer.member == member);
        if let Some(peer) = known {
            // Trap 16: no window.
            if mkpdu.basic.message <= peer.message {
                return Err(MkpduFault::Replayed);
            }
            if mkpdu.basic.sci != peer.sci {
                return Err(MkpduFault::OtherSci);
            }
            peer.update(mkpdu, now);
            peer.listing = listing;
        } else if self.lapsed_message(member).is_some_and(|last| mkpdu.basic.message <= last) {
            return Err(MkpduFault::Replayed);
        }
        if let Some(peer) = self.live.iter_mut().find(|peer| peer.member == member) {
            if listing != Listing::No {
                peer.expires = peer.expires.max(now.after(life));
            }
            return Ok(Heard::Known);
        }
        if listing != Listing::No {
            return self.promote(mkpdu, source, listing, (now, life));
        }
        self.note_potential(mkpdu, source, (now, life))
    }

    /// What an earlier self said arrives late. It counts again only when the later one has not been heard for a while, as
    /// then it was the late one.
    fn is_former(&self, mkpdu: &Mkpdu, now: Instant, life: Duration) -> bool {
        let replaced = self.former.iter().any(|(member, _)| *member == mkpdu.basic.member);
        replaced && self.live_by_sci(mkpdu.basic.sci).is_some_and(|peer| now.since(peer.heard) < life / 2)
    }

    fn promote(
        &mut self,
        mkpdu: &Mkpdu,
        source: MacAddr,
        listing: Listing,
        (now, life): (Instant, Duration),
    ) -> Result<Heard, MkpduFault> {
        let sci = mkpdu.basic.sci;
        let restarted = self.live.iter().any(|peer| peer.sci == sci);
        if !restarted && self.live.len() >= MAX_PEERS {
            return Err(MkpduFault::TooManyPeers);
        }
        self.former.retain(|(member, at)| *member != mkpdu.basic.member && now.since(*at) < life);
        let replaced = self.live.iter().filter(|peer| peer.sci == sci).map(|peer| (peer.member, now));
        self.former.extend(replaced);
        self.former.truncate(MAX_PEERS);
        let is_other = |peer: &mut Peer| peer.sci == sci;
        let replaced: Vec<_> =
            self.live.extract_if(.., is_other).chain(self.potential.extract_if(.., is_other)).collect();
        self.remember(replaced, now);
        self.live.push(Peer { listing, ..Peer::new(mkpdu, source, now, life) });
        // Key server first: highest SCI first is the order of the SSCIs (802.1AE §10.7.13).
        self.live.sort_by_key(|peer| core::cmp::Reverse(peer.sci));
        Ok(Heard::Promoted { restarted })
    }

    /// A potential peer does not live longer for being heard again (§9.4.3): it has to prove itself.
    fn note_potential(
        &mut self,
        mkpdu: &Mkpdu,
        source: MacAddr,
        (now, life): (Instant, Duration),
    ) -> Result<Heard, MkpduFault> {
        if self.potential.iter().any(|peer| peer.member == mkpdu.basic.member) {
            return Ok(Heard::Known);
        }
        // Of one that restarts again and again, only the latest self can become live.
        let replaced: Vec<_> = self.potential.extract_if(.., |peer| peer.sci == mkpdu.basic.sci).collect();
        self.remember(replaced, now);
        if self.potential.len() >= MAX_PEERS {
            return Err(MkpduFault::TooManyPeers);
        }
        let lapsed = self.lapsed.iter().find(|peer| peer.member == mkpdu.basic.member);
        let since = lapsed.map_or(now, |peer| peer.since);
        self.potential.push(Peer { since, ..Peer::new(mkpdu, source, now, life) });
        Ok(Heard::Stranger)
    }

    /// Removes who has been silent too long; the live ones among them.
    pub(super) fn expire(&mut self, now: Instant, life: Duration) -> Vec<Peer> {
        let is_over = |peer: &mut Peer| peer.expires <= now;
        let potential: Vec<_> = self.potential.extract_if(.., is_over).collect();
        let gone: Vec<_> = self.live.extract_if(.., is_over).collect();
        self.lapsed.retain(|peer| now.since(peer.expires) < life);
        self.remember(potential, now);
        // From here on it is one that does not hear us.
        self.remember(gone.iter().cloned().map(|peer| Peer { since: now, ..peer }), now);
        gone
    }

    /// Keeps what peers said last, who are let go now. Of too many the oldest are forgotten.
    fn remember(&mut self, peers: impl IntoIterator<Item = Peer>, now: Instant) {
        for peer in peers {
            self.lapsed.retain(|older| older.member != peer.member);
            self.lapsed.push(Peer { expires: peer.expires.min(now), ..peer });
        }
        let too_many = self.lapsed.len().saturating_sub(MAX_PEERS);
        self.lapsed.drain(..too_many);
    }

    /// When the next one is silent too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.live.iter().chain(&self.potential).map(|peer| peer.expires).min()
    }

    /// Nobody live expires before `until`: MKA is suspended.
    pub(super) fn extend(&mut self, until: Instant) {
        for peer in &mut self.live {
            peer.expires = peer.expires.max(until);
        }
    }

    pub(super) fn live_by_sci(&self, sci: Sci) -> Option<&Peer> {
        self.live.iter().find(|peer| peer.sci == sci)
    }

    /// The last message number of a member, live or not.
    pub(super) fn last_message(&self, member: MemberId) -> Option<u32> {
        let mut known = self.live.iter().chain(&self.potential);
        known.find(|peer| peer.member == member).map(|peer| peer.message)
    }

    /// The last message number of one that was known until a short while ago.
    pub(super) fn lapsed_message(&self, member: MemberId) -> Option<u32> {
        self.lapsed.iter().find(|peer| peer.member == member).map(|peer| peer.message)
    }

    /// SCI of a member, live or not.
    pub(super) fn sci_of(&self, member: MemberId) -> Option<Sci> {
        self.live.iter().chain(&self.potential).find(|peer| peer.member == member).map(|peer| peer.sci)
    }
}

/// How `mkpdu` lists us. A listing that proves nothing is none.
fn listing(mkpdu: &Mkpdu, us: &Identity, now: Instant, life: Duration) -> (Listing, Option<Recency>) {
    for (list, kind) in [(&mkpdu.live, Listing::Live), (&mkpdu.potential, Listing::Potential)] {
        if let Some(message) = list.as_ref().and_then(|list| list.message_of(us.member())) {
            let recency = us.recency(message, now, life);
            let listing = if recency == Recency::Recent { kind } else { Listing::No };
            return (listing, Some(recency));
        }
    }
    (Listing::No, None)
}

/// A peer list to send; `None` for an empty one.
pub(super) fn list_of(peers: &[Peer], server_ssci: u8) -> Option<PeerList> {
    let peers: Vec<_> = peers.iter().map(|p| PeerId { member: p.member, message: p.message }).collect();
    (!peers.is_empty()).then_some(PeerList { server_ssci, peers })
}

net::carry!(Listing = No 0, Potential 1, Live 2);
net::carry!(Peer {
    member,
    message,
    sci,
    source,
    version,
    priority,
    claims_server,
    desired,
    capability,
    offers,
    sak_use,
    sak_use_at,
    xpn,
    icv_indicator,
    listing,
    since,
    heard,
    expires,
});
net::carry!(Peers { live, potential, lapsed, former });
