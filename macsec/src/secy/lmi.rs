//! The layer management interface (802.1AE-2018 §10.7): what the KaY, or the gateway with static keys, does
//! to a SecY. Cold: it may allocate, makes key schedules, and refuses what would be unsafe.
//!
//! An SA is created, enabled, disabled, deleted. Receive SAs are enabled first, on all peers; enabling a
//! transmit SA makes it the encodingSA, between two frames. Creating an SA where there is one deletes the
//! old one. Packet numbers are only ever raised.
//!
//! Two checks go beyond the standard, because a mistake would give the key away: a SAK that was used to
//! transmit cannot be installed again below the packet number it had reached, on any association number;
//! and under XPN no two SCIs may have one SSCI with the same SAK.

use std::collections::VecDeque;

use net::Instant;

use crate::{
    an::An,
    error::{LmiError, PolicyError},
    key::{Fingerprint, KeyId, Sak, Salt},
    pn::PacketNumbers,
    replay::ReplayWindow,
    sci::{Sci, Ssci},
    suite::{CipherSuite, ConfidentialityOffset},
};

use super::{
    SecY,
    policy::SecyPolicy,
    rx::{ReceiveSa, ReceiveSc},
    sa::{KeyUse, Keyed, PerAn},
    status::{ReceiveCounters, Times, TransmitCounters},
    tx::TransmitSa,
};

/// Receive SCs in one SecY, that is peers on one channel.
pub const MAX_RECEIVE_SCS: usize = 64;

/// How many deleted transmit keys a SecY remembers, in order to refuse them.
const REMEMBERED_KEYS: usize = 64;

/// A receive SA to be made.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveSaParams<'a> {
    /// Its key.
    pub sak: &'a Sak,
    /// What the key is for.
    pub suite: CipherSuite,
    /// Octets of user data in clear in encrypted frames.
    pub offset: ConfidentialityOffset,
    /// Names the key in status.
    pub key_id: KeyId,
    /// nextPN and lowestPN to begin with: 1 for a fresh key.
    pub lowest_pn: u64,
    /// The peer's SSCI. Without XPN not used.
    pub ssci: Ssci,
    /// The key's salt. Without XPN not used.
    pub salt: Salt,
}

/// A transmit SA to be made.
#[derive(Clone, Copy, Debug)]
pub struct TransmitSaParams<'a> {
    /// Its key.
    pub sak: &'a Sak,
    /// What the key is for.
    pub suite: CipherSuite,
    /// False protects integrity only.
    pub encrypt: bool,
    /// Octets of user data left in clear when encrypting.
    pub offset: ConfidentialityOffset,
    /// Names the key in status.
    pub key_id: KeyId,
    /// nextPN to begin with: 1 for a fresh key, and above everything ever used otherwise.
    pub next_pn: u64,
    /// The last packet number that may be used until [`SecY::set_pn_limit`] says otherwise; `None` for the
    /// suite's last.
    pub pn_limit: Option<u64>,
    /// Our SSCI. Without XPN not used.
    pub ssci: Ssci,
    /// The key's salt. Without XPN not used.
    pub salt: Salt,
}

/// The policy.
impl SecY {
    /// What it follows now.
    pub const fn policy(&self) -> &SecyPolicy {
        &self.policy
    }

    /// Follows another policy from the next frame on. SAs stay, packet numbers too; only the backend applies
    /// to later SAs. Where duplicates are to be refused from now on, everything up to the highest packet
    /// number is too late.
    ///
    /// # Errors
    /// [`PolicyError`]: what [`SecyPolicy::check`] finds, or another SCI.
    pub fn set_policy(&mut self, policy: SecyPolicy) -> Result<(), PolicyError> {
        policy.check()?;
        if policy.sci != self.policy.sci {
            return Err(PolicyError::SciFixed);
        }
        self.policy = policy;
        for sa in self.receive.scs.iter_mut().flat_map(|sc| sc.sas.iter_mut()) {
            sa.window.reshape(policy.window_for(sa.keyed.suite), policy.strict_replay);
        }
        self.choose_form();
        Ok(())
    }

    fn choose_form(&mut self) {
        self.transmit.form = self.policy.channel_form(self.receive.scs.len());
    }
}

/// Reception.
impl SecY {
    /// Makes a receive SC for the peer `sci`.
    ///
    /// # Errors
    /// [`LmiError`]: our own or the reserved SCI, one that is there, or one too many.
    pub fn create_receive_sc(&mut self, sci: Sci, now: Instant) -> Result<(), LmiError> {
        if sci == self.policy.sci || sci == Sci::RESERVED {
            return Err(LmiError::NotAPeer(sci));
        }
        if self.receive.sc_mut(sci).is_some() {
            return Err(LmiError::DuplicateSc(sci));
        }
        if self.receive.scs.len() >= MAX_RECEIVE_SCS {
            return Err(LmiError::TooManyReceiveScs);
        }
        let (former, times) = (ReceiveCounters::default(), Times::new(now));
        self.receive.scs.push(ReceiveSc { sci, sas: PerAn::EMPTY, former, times, receiving: false });
        self.choose_form();
        Ok(())
    }

    /// Deletes the receive SC of `sci` and its SAs.
    ///
    /// # Errors
    /// [`LmiError::UnknownSc`].
    pub fn delete_receive_sc(&mut self, sci: Sci) -> Result<(), LmiError> {
        let at = self.receive.scs.iter().position(|sc| sc.sci == sci).ok_or(LmiError::UnknownSc(sci))?;
        let gone = self.receive.scs.remove(at);
        self.receive.former.add(&gone.counters());
        self.choose_form();
        Ok(())
    }

    /// Makes a receive SA, not yet in use, in the place of any there is with this association number.
    ///
    /// # Errors
    /// [`LmiError`]; an SA that is there stays.
    pub fn create_receive_sa(
        &mut self,
        sci: Sci,
        an: An,
        params: &ReceiveSaParams<'_>,
        now: Instant,
    ) -> Result<(), LmiError> {
        let &ReceiveSaParams { sak, suite, offset, key_id, lowest_pn, ssci, salt } = params;
        // One past the suite's last number says that all were received.
        if lowest_pn == 0 || lowest_pn > suite.last_pn().saturating_add(1) {
            return Err(LmiError::PacketNumber(lowest_pn));
        }
        let keyed = Keyed::new(self.policy.backend, sci, &KeyUse { sak, suite, offset, key_id, ssci, salt })?;
        self.check_ssci(sci, &keyed)?;
        let window = ReplayWindow::new(lowest_pn, self.policy.window_for(suite), self.policy.strict_replay);
        let (counters, times) = (ReceiveCounters::default(), Times::new(now));
        let sa = ReceiveSa { keyed, window, in_use: false, counters, times };
        let sc = self.receive.sc_mut(sci).ok_or(LmiError::UnknownSc(sci))?;
        if let Some(old) = sc.sas.put(an, sa) {
            sc.former.add(&old.counters);
        }
        sc.note_use(now);
        self.receive.suite = suite;
        Ok(())
    }

    /// Puts a receive SA in use.
    ///
    /// # Errors
    /// [`LmiError::UnknownSc`], [`LmiError::UnknownSa`].
    pub fn enable_receive_sa(&mut self, sci: Sci, an: An, now: Instant) -> Result<(), LmiError> {
        let sc = self.receive.sc_mut(sci).ok_or(LmiError::UnknownSc(sci))?;
        let sa = sc.sas.get_mut(an).ok_or(LmiError::UnknownSa(an))?;
        if !sa.in_use {
            sa.in_use = true;
            sa.times.started = Some(now);
        }
        sc.note_use(now);
        Ok(())
    }

    /// Takes a receive SA out of use.
    ///
    /// # Errors
    /// [`LmiError::UnknownSc`], [`LmiError::UnknownSa`].
    pub fn disable_receive_sa(&mut self, sci: Sci, an: An, now: Instant) -> Result<(), LmiError> {
        let sc = self.receive.sc_mut(sci).ok_or(LmiError::UnknownSc(sci))?;
        let sa = sc.sas.get_mut(an).ok_or(LmiError::UnknownSa(an))?;
        if sa.in_use {
            sa.in_use = false;
            sa.times.stopped = Some(now);
        }
        sc.note_use(now);
        Ok(())
    }

    /// Deletes a receive SA. Its counters stay in its SC's totals.
    ///
    /// # Errors
    /// [`LmiError::UnknownSc`], [`LmiError::UnknownSa`].
    pub fn delete_receive_sa(&mut self, sci: Sci, an: An, now: Instant) -> Result<(), LmiError> {
        let sc = self.receive.sc_mut(sci).ok_or(LmiError::UnknownSc(sci))?;
        let gone = sc.sas.take(an).ok_or(LmiError::UnknownSa(an))?;
        sc.former.add(&gone.counters);
        sc.note_use(now);
        Ok(())
    }

    /// Raises lowestPN of a receive SA to `pn`; a lower `pn` changes nothing (updLowestPN, §10.7).
    ///
    /// # Errors
    /// [`LmiError::UnknownSc`], [`LmiError::UnknownSa`].
    pub fn raise_lowest_pn(&mut self, sci: Sci, an: An, pn: u64) -> Result<(), LmiError> {
        let sc = self.receive.sc_mut(sci).ok_or(LmiError::UnknownSc(sci))?;
        sc.sas.get_mut(an).ok_or(LmiError::UnknownSa(an))?.window.raise_lowest(pn);
        Ok(())
    }

    /// lowestPN of a receive SA, if there is one.
    pub fn lowest_pn(&self, sci: Sci, an: An) -> Option<u64> {
        let sc = self.receive.scs.iter().find(|sc| sc.sci == sci)?;
        Some(sc.sas.get(an)?.window.lowest_pn())
    }
}

/// Transmission.
impl SecY {
    /// Makes a transmit SA, not yet in use, in the place of any there is with this association number. If
    /// that was the encodingSA there is none until one is enabled.
    ///
    /// # Errors
    /// [`LmiError`]; an SA that is there stays.
    pub fn create_transmit_sa(
        &mut self,
        an: An,
        params: &TransmitSaParams<'_>,
        now: Instant,
    ) -> Result<(), LmiError> {
        let &TransmitSaParams { sak, suite, encrypt, offset, key_id, next_pn, pn_limit, ssci, salt } = params;
        let pns = PacketNumbers::new(suite, next_pn, pn_limit).ok_or(LmiError::PacketNumber(next_pn))?;
        let key = KeyUse { sak, suite, offset, key_id, ssci, salt };
        let keyed = Keyed::new(self.policy.backend, self.policy.sci, &key)?;
        self.check_ssci(self.policy.sci, &keyed)?;
        self.check_reuse(keyed.fingerprint, next_pn)?;
        let counters = TransmitCounters::default();
        let sa = TransmitSa { keyed, pns, encrypt, counters, times: Times::new(now) };
        if self.transmit.sas.get(an).is_some() {
            self.delete_transmit_sa(an, now)?;
        }
        self.transmit.sas.put(an, sa);
        self.receive.suite = suite;
        Ok(())
    }

    /// Makes a transmit SA the encodingSA: the next frame is protected with it.
    ///
    /// # Errors
    /// [`LmiError::UnknownSa`].
    pub fn enable_transmit_sa(&mut self, an: An, now: Instant) -> Result<(), LmiError> {
        let sa = self.transmit.sas.get_mut(an).ok_or(LmiError::UnknownSa(an))?;
        if self.transmit.encoding == Some(an) {
            return Ok(());
        }
        sa.times.started = Some(now);
        if let Some(old) = self.transmit.encoding.and_then(|old| self.transmit.sas.get_mut(old)) {
            old.times.stopped = Some(now);
        }
        self.transmit.encoding = Some(an);
        self.transmit.times.started = Some(now);
        Ok(())
    }

    /// Deletes a transmit SA. Its counters stay in the SC's totals. If it was the encodingSA there is none
    /// until one is enabled, and nothing is sent.
    ///
    /// # Errors
    /// [`LmiError::UnknownSa`].
    pub fn delete_transmit_sa(&mut self, an: An, now: Instant) -> Result<(), LmiError> {
        let gone = self.transmit.sas.take(an).ok_or(LmiError::UnknownSa(an))?;
        self.transmit.former.add(&gone.counters);
        self.used_keys.remember(gone.keyed.fingerprint, gone.pns.used());
        if self.transmit.encoding == Some(an) {
            self.transmit.encoding = None;
            self.transmit.times.stopped = Some(now);
        }
        Ok(())
    }

    /// Raises nextPN of a transmit SA to `pn`; a lower `pn` changes nothing (updNextPN, §10.7).
    ///
    /// # Errors
    /// [`LmiError::UnknownSa`].
    pub fn raise_next_pn(&mut self, an: An, pn: u64) -> Result<(), LmiError> {
        self.transmit.sas.get_mut(an).ok_or(LmiError::UnknownSa(an))?.pns.raise_next(pn);
        Ok(())
    }

    /// Lets a transmit SA use packet numbers up to and including `limit`. The gateway writes the limit to
    /// disk first, so that after a restart a static SAK goes on above it and no number is used twice. Beyond
    /// the limit frames are refused, as beyond the suite's last number, which no limit lifts.
    ///
    /// # Errors
    /// [`LmiError::UnknownSa`].
    pub fn set_pn_limit(&mut self, an: An, limit: u64) -> Result<(), LmiError> {
        self.transmit.sas.get_mut(an).ok_or(LmiError::UnknownSa(an))?.pns.set_limit(limit);
        Ok(())
    }

    /// encodingSA and its nextPN.
    pub fn next_pn(&self) -> Option<(An, u64)> {
        let an = self.transmit.encoding?;
        Some((an, self.transmit.sas.get(an)?.pns.next_pn()))
    }

    /// How many packet numbers the encodingSA may use before its limit; 0 without encodingSA.
    pub fn pns_left(&self) -> u64 {
        let sa = self.transmit.encoding.and_then(|an| self.transmit.sas.get(an));
        sa.map_or(0, |sa| sa.pns.remaining())
    }

    /// The encodingSA when three quarters of its SAK's packet numbers are used up: time for a fresh SAK.
    pub fn pending_pn_exhaustion(&self) -> Option<An> {
        let an = self.transmit.encoding?;
        let sa = self.transmit.sas.get(an)?;
        (sa.pns.next_pn() >= sa.keyed.suite.pending_exhaustion_pn()).then_some(an)
    }

    /// MAC_Operational of the Controlled Port (§10.5): a frame could be sent now.
    pub fn mac_operational(&self) -> bool {
        !self.policy.protects() || self.pns_left() > 0
    }
}

/// What goes beyond the standard.
impl SecY {
    /// A nonce is SCI and packet number, or SSCI, salt and packet number: the association number is not in it.
    fn check_reuse(&self, key: Fingerprint, next: u64) -> Result<(), LmiError> {
        let live = self.transmit.sas.iter().filter(|(_, sa)| sa.keyed.fingerprint == key);
        let used = live.map(|(_, sa)| sa.pns.used()).chain(self.used_keys.used(key)).max();
        match used {
            Some(used) if next <= used => Err(LmiError::NonceReuse { used, next }),
            _ => Ok(()),
        }
    }

    fn check_ssci(&self, sci: Sci, keyed: &Keyed) -> Result<(), LmiError> {
        let ours = self.transmit.sas.iter().map(|(_, sa)| (self.policy.sci, &sa.keyed));
        let peers = self.receive.scs.iter().flat_map(|sc| sc.sas.iter().map(|(_, sa)| (sc.sci, &sa.keyed)));
        let clash = |(other, its): &(Sci, &Keyed)| {
            *other != sci && its.xpn && its.fingerprint == keyed.fingerprint && its.ssci == keyed.ssci
        };
        match ours.chain(peers).find(clash) {
            Some((other, _)) if keyed.xpn => Err(LmiError::DuplicateSsci(other)),
            _ => Ok(()),
        }
    }
}

impl ReceiveSc {
    /// Keeps startedTime and stoppedTime of the SC after a change to its SAs: it receives while one is in use.
    fn note_use(&mut self, now: Instant) {
        let receiving = self.sas.iter().any(|(_, sa)| sa.in_use);
        if receiving && !self.receiving {
            self.times.started = Some(now);
        } else if !receiving && self.receiving {
            self.times.stopped = Some(now);
        }
        self.receiving = receiving;
    }
}

/// Fingerprints of deleted transmit keys and the highest packet number used under each, oldest first.
#[derive(Debug, Default)]
pub(super) struct UsedKeys(pub(super) VecDeque<(Fingerprint, u64)>);

impl UsedKeys {
    fn remember(&mut self, key: Fingerprint, used: u64) {
        if self.0.len() >= REMEMBERED_KEYS {
            self.0.pop_front();
        }
        self.0.push_back((key, used));
    }

    fn used(&self, key: Fingerprint) -> Option<u64> {
        self.0.iter().filter(|(other, _)| *other == key).map(|(_, used)| *used).max()
    }
}
