//! A channel's KaY and what it means for the channel's SecY (IEEE 802.1X-2020 §6.3, §9, §12).
//!
//! The worker that owns the channel owns its KaY: key agreement and packet protection see one order of things. What
//! the KaY decides is done to the SecY between two frames.
//!
//! Policies: *must-secure* leaves the SecY as configured, so that without a key nothing is sent or accepted.
//! *should-secure* ([`KayParams::plain`](macsec::mka::KayParams::plain)) takes the SecY's protection off while there is no
//! key. Once there is one everything is sent protected at once, and what is in clear is refused as soon as all peers say
//! that they send protected, after [`UPGRADE`] at the latest, so that no frame is lost when a channel becomes secured.
//!
//! Whoever can send to the port can make us check ICVs. The work is bounded, and what bounds it must not keep us from hearing
//! peers: [`KeyAgreement::admits`] asks the KaY what a frame is worth ([`Standing`]). Members have a way of their own, which nobody
//! can use up who does not see their MKPDUs. All others share one, wide enough that a flood has to be a large one to fill it: of F
//! strangers' MKPDUs in a second, [`STRANGERS`] are heard, each as likely as any other. A new peer needs to be heard so but once, by
//! either side; then both name each other, and are members. It says five hellos within 1.5 s and then one each hello time, so that with
//! p = STRANGERS / F one side, if the other hears it, knows it after n hello times but for a chance of (1 - p)^(5 + n); and p is 1
//! up to that rate. Where the peer hears us, no luck is needed at any rate: it names us.

use macsec::{
    SecY, SecyPolicy, ValidateFrames,
    mka::{Kay, KeyAction, KeyEntry, Standing},
};
use net::{Instant, earliest};

use core::time::Duration;

use crate::icmp::RateLimiter;

/// MKPDUs taken from members, per second and at once: 32 peers with two CAKs at bounded hellos, and then some. Beyond that they
/// are strangers.
const MEMBERS: (u32, u32) = (1000, 256);
/// MKPDUs with our CKN taken from everybody else: as many as less than a tenth of a processor can check (figures in `SECURITY.md`).
const STRANGERS: (u32, u32) = (100_000, 2048);
/// MKPDUs that change nothing, looked at to say what is wrong.
const IDLE: (u32, u32) = (200, 64);
/// Octets that one MKPDU has checked for one event of [`STRANGERS`].
const SHARE: usize = 256;
/// Each asks all neighbours on the channel anew: no peer may have us ask as often as it speaks.
const TURNS: (u32, u32) = (2, 8);
/// How long frames in clear are still accepted after a should-secure channel got its key, at most.
const UPGRADE: Duration = Duration::from_secs(3);

/// A KaY and what surrounds it.
#[derive(Debug)]
pub(crate) struct KeyAgreement {
    pub(crate) kay: Kay,
    /// The SecY's policy under a key.
    policy: SecyPolicy,
    members: RateLimiter,
    strangers: RateLimiter,
    idle: RateLimiter,
    /// Turns of peers that are told.
    turns: RateLimiter,
    /// Until when frames in clear are accepted beside a key.
    upgrade: Option<Instant>,
    /// Somebody does not send with the key in use yet.
    awaits: bool,
    /// What [`due`](Self::due) answers: workers ask it every round, and a KaY would have to look at all its peers.
    next: Option<Instant>,
}

/// Who sends with another key since the last look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Turn {
    /// We do.
    pub(crate) ours: bool,
    /// The last of the peers does.
    pub(crate) theirs: bool,
}

impl KeyAgreement {
    pub(crate) fn new(mut kay: Kay, policy: SecyPolicy, keys: Vec<KeyEntry>, now: Instant) -> Self {
        kay.set_keys(keys, now);
        Self::resume(kay, policy)
    }

    /// Around a KaY that goes on where its predecessor's process ended.
    pub(crate) fn resume(kay: Kay, policy: SecyPolicy) -> Self {
        let limiter = |(per_second, burst)| RateLimiter::new(per_second, burst);
        let awaits = kay.awaits_transmission();
        let mut this = Self {
            kay,
            policy,
            members: limiter(MEMBERS),
            strangers: limiter(STRANGERS),
            idle: limiter(IDLE),
            turns: limiter(TURNS),
            upgrade: None,
            awaits,
            next: None,
        };
        this.settle();
        this
    }

    /// Traffic may flow: under MACsec, or in clear while that is allowed.
    pub(crate) const fn is_open(&self) -> bool {
        self.kay.is_secured() || self.kay.params().plain
    }

    /// Whether one more MKPDU is worth its ICV check.
    pub(crate) fn admits(&mut self, frame: &[u8], now: Instant) -> bool {
        let shares = u32::try_from(frame.len().div_ceil(SHARE)).unwrap_or(u32::MAX);
        match self.kay.standing(frame, now) {
            Standing::Member => self.members.allow(now) || self.strangers.allow_one_of(shares, now),
            Standing::Stranger => self.strangers.allow_one_of(shares, now),
            Standing::Idle => self.idle.allow(now),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.next
    }

    /// The end of whatever was asked of the KaY, once all of its answers were taken.
    pub(crate) fn settle(&mut self) {
        self.next = earliest(self.kay.poll_timeout(), self.upgrade);
    }

    /// Packet numbers run out.
    pub(crate) const fn hurry(&mut self) {
        self.next = Some(Instant::ZERO);
    }

    /// Does what is due, after a look at the SecY's packet numbers.
    pub(crate) fn handle_timeout(&mut self, secy: &SecY, now: Instant) {
        self.kay.note_pns(secy.next_pn(), now);
        self.kay.handle_timeout(now);
    }

    /// Does to the SecY what the KaY decided, in its order.
    pub(crate) fn apply(&mut self, secy: &mut SecY, now: Instant) -> Turn {
        let mut ours = false;
        while let Some(action) = self.kay.poll_action() {
            ours |= matches!(action, KeyAction::EnableTransmit { .. });
            if action.apply(secy, now).is_err() {
                self.kay.handle_refusal(&action, now);
            }
        }
        self.follow_policy(secy, now);
        let awaited = core::mem::replace(&mut self.awaits, self.kay.awaits_transmission());
        let theirs = awaited && !self.awaits && self.kay.is_secured() && self.turns.allow(now);
        Turn { ours, theirs }
    }

    /// Opens a should-secure channel that has no key, and closes it when it has one.
    fn follow_policy(&mut self, secy: &mut SecY, now: Instant) {
        if !self.kay.params().plain {
            return;
        }
        let secured = self.kay.is_secured();
        let before = secy.policy();
        let was_clear = !before.protect_frames;
        let waits = self.kay.awaits_transmission();
        self.upgrade = match self.upgrade {
            _ if !secured => None,
            None if was_clear && waits => Some(now.after(UPGRADE)),
            known => known.filter(|until| waits && *until > now),
        };
        let validate =
            if secured && self.upgrade.is_none() { self.policy.validate } else { accept_clear(&self.policy) };
        let wanted =
            SecyPolicy { protect_frames: secured && self.policy.protect_frames, validate, ..self.policy };
        if wanted != *before {
            // It differs from one that was checked in settings that contradict nothing.
            let _followed = secy.set_policy(wanted);
        }
    }
}

/// Frames in clear are accepted too; protected ones are still validated.
const fn accept_clear(policy: &SecyPolicy) -> ValidateFrames {
    match policy.validate {
        ValidateFrames::Strict => ValidateFrames::Check,
        other @ (ValidateFrames::Check | ValidateFrames::Disabled | ValidateFrames::Null) => other,
    }
}
