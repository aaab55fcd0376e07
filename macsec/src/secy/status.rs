//! A SecY's state and counters as plain values, by the standard's names (802.1AE-2018 §10.7).
//!
//! Counters of SAs that are gone stay in the totals of their SC, those of receive SCs that are gone in
//! [`SecyStatus::former_receive_scs`], so that sums never fall.

use std::collections::BTreeSet;

use net::Instant;

use crate::{
    an::An,
    key::{Fingerprint, KeyId},
    sci::{Sci, Ssci},
    suite::{CipherSuite, ConfidentialityOffset},
};

use super::policy::SecyPolicy;

/// What a SecY is and has done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecyStatus {
    /// Its controls.
    pub policy: SecyPolicy,
    /// MAC_Operational: frames can be sent (§10.5).
    pub mac_operational: bool,
    /// What belongs to no SC.
    pub counters: SecyCounters,
    /// The transmit SC.
    pub transmit: TransmitScStatus,
    /// The receive SCs, in the order they were made.
    pub receive: Vec<ReceiveScStatus>,
    /// Totals of receive SCs that were deleted.
    pub former_receive_scs: ReceiveCounters,
}

/// Counters of the SecY as a whole, in frames and in octets of user data.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SecyCounters {
    /// InPktsUntagged: delivered without SecTAG (not in Strict).
    pub in_pkts_untagged: u64,
    /// InPktsNoTag: dropped for having no SecTAG.
    pub in_pkts_no_tag: u64,
    /// InPktsBadTag: dropped for an invalid SecTAG, or a packet number of 0 without XPN.
    pub in_pkts_bad_tag: u64,
    /// InPktsNoSA: delivered without SA (not in Strict, user data in clear).
    pub in_pkts_no_sa: u64,
    /// InPktsNoSAError: dropped for having no SA.
    pub in_pkts_no_sa_error: u64,
    /// InPktsOverrun: always 0. Validation is done where the frame stands; there is no queue to overrun.
    pub in_pkts_overrun: u64,
    /// InOctetsValidated: user data of integrity-only frames whose ICV was checked, right or wrong.
    pub in_octets_validated: u64,
    /// InOctetsDecrypted: user data of encrypted frames whose ICV was checked, right or wrong.
    pub in_octets_decrypted: u64,
    /// OutPktsUntagged: sent in clear because protectFrames is false.
    pub out_pkts_untagged: u64,
    /// OutPktsTooLong: dropped for being too long once protected.
    pub out_pkts_too_long: u64,
    /// OutOctetsProtected: user data sent integrity-only.
    pub out_octets_protected: u64,
    /// OutOctetsEncrypted: user data sent encrypted.
    pub out_octets_encrypted: u64,
}

/// Frames of a transmit SC or SA.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TransmitCounters {
    /// OutPktsProtected: integrity only.
    pub out_pkts_protected: u64,
    /// OutPktsEncrypted.
    pub out_pkts_encrypted: u64,
}

impl TransmitCounters {
    pub(crate) fn add(&mut self, other: &Self) {
        self.out_pkts_protected += other.out_pkts_protected;
        self.out_pkts_encrypted += other.out_pkts_encrypted;
    }
}

/// Frames of a receive SC or SA: each counts in exactly one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReceiveCounters {
    /// InPktsOK: valid and in the window.
    pub in_pkts_ok: u64,
    /// InPktsUnchecked: delivered without validation (Disabled).
    pub in_pkts_unchecked: u64,
    /// InPktsInvalid: delivered though not valid (Check, user data in clear).
    pub in_pkts_invalid: u64,
    /// InPktsNotValid: dropped for not being valid.
    pub in_pkts_not_valid: u64,
    /// InPktsDelayed: delivered though below lowestPN (no replay protection).
    pub in_pkts_delayed: u64,
    /// InPktsLate: dropped for being below lowestPN, or with strict replay a duplicate.
    pub in_pkts_late: u64,
}

impl ReceiveCounters {
    pub(crate) fn add(&mut self, other: &Self) {
        self.in_pkts_ok += other.in_pkts_ok;
        self.in_pkts_unchecked += other.in_pkts_unchecked;
        self.in_pkts_invalid += other.in_pkts_invalid;
        self.in_pkts_not_valid += other.in_pkts_not_valid;
        self.in_pkts_delayed += other.in_pkts_delayed;
        self.in_pkts_late += other.in_pkts_late;
    }
}

/// When something was made, came into use, and went out of use (§10.7).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Times {
    /// createdTime.
    pub created: Instant,
    /// startedTime: first or latest start of use.
    pub started: Option<Instant>,
    /// stoppedTime: latest end of use.
    pub stopped: Option<Instant>,
}

impl Times {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { created: now, started: None, stopped: None }
    }
}

/// The transmit SC.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransmitScStatus {
    /// Its SCI: ours.
    pub sci: Sci,
    /// encodingSA: what frames are protected with now.
    pub encoding_sa: Option<An>,
    /// Totals over all its SAs, those deleted included.
    pub counters: TransmitCounters,
    /// When it was made with its SecY, and its SAs' first start and latest stop.
    pub times: Times,
    /// Its SAs by association number.
    pub sas: Vec<TransmitSaStatus>,
}

/// One transmit SA.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransmitSaStatus {
    /// Its association number.
    pub an: An,
    /// inUse: it is the encodingSA.
    pub in_use: bool,
    /// nextPN; `u64::MAX` also when that one is used up.
    pub next_pn: u64,
    /// How many packet numbers it may still use before its limit.
    pub pns_left: u64,
    /// The suite of its SAK.
    pub suite: CipherSuite,
    /// What does AES-GCM under it: `vaes`, `aws-lc` or `aes-gcm`.
    pub backend: &'static str,
    /// Whether it encrypts, or only protects integrity.
    pub encrypt: bool,
    /// Octets of user data it leaves in clear when it encrypts.
    pub offset: ConfidentialityOffset,
    /// Identifier of its SAK.
    pub key_id: KeyId,
    /// What may be shown of its SAK.
    pub fingerprint: Fingerprint,
    /// Its SSCI; means something only under XPN.
    pub ssci: Ssci,
    /// Frames it protected.
    pub counters: TransmitCounters,
    /// Its times.
    pub times: Times,
}

/// One receive SC.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReceiveScStatus {
    /// Its SCI: the peer's.
    pub sci: Sci,
    /// receiving: at least one of its SAs is in use.
    pub receiving: bool,
    /// Totals over all its SAs, those deleted included.
    pub counters: ReceiveCounters,
    /// Its times.
    pub times: Times,
    /// Its SAs by association number.
    pub sas: Vec<ReceiveSaStatus>,
}

/// One receive SA.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReceiveSaStatus {
    /// Its association number.
    pub an: An,
    /// inUse: frames are accepted with it.
    pub in_use: bool,
    /// nextPN: one above the highest accepted.
    pub next_pn: u64,
    /// lowestPN: below it frames are late.
    pub lowest_pn: u64,
    /// The suite of its SAK.
    pub suite: CipherSuite,
    /// What does AES-GCM under it.
    pub backend: &'static str,
    /// Octets of user data in clear in encrypted frames.
    pub offset: ConfidentialityOffset,
    /// Identifier of its SAK.
    pub key_id: KeyId,
    /// What may be shown of its SAK.
    pub fingerprint: Fingerprint,
    /// The peer's SSCI; means something only under XPN.
    pub ssci: Ssci,
    /// Frames it received.
    pub counters: ReceiveCounters,
    /// Its times.
    pub times: Times,
}

impl SecyStatus {
    /// What does AES-GCM under its keys; without any, what would do it.
    pub fn backends(&self) -> BTreeSet<&'static str> {
        let received = self.receive.iter().flat_map(|sc| sc.sas.iter().map(|sa| sa.backend));
        let mut all: BTreeSet<_> = self.transmit.sas.iter().map(|sa| sa.backend).chain(received).collect();
        if all.is_empty() {
            all.insert(self.policy.backend.works_here());
        }
        all
    }

    /// A key failed its trial with our own AES-GCM, and another one does it.
    pub fn fell_back(&self) -> bool {
        self.backends().into_iter().any(|used| self.policy.backend.fell_back(used))
    }

    /// Totals over all receive SCs, those deleted included.
    pub fn receive_totals(&self) -> ReceiveCounters {
        let mut totals = self.former_receive_scs;
        for sc in &self.receive {
            totals.add(&sc.counters);
        }
        totals
    }

    /// ifInDiscards of the Controlled Port (§10.7.6): no tag, late, overrun.
    pub fn if_in_discards(&self) -> u64 {
        self.counters.in_pkts_no_tag + self.receive_totals().in_pkts_late + self.counters.in_pkts_overrun
    }

    /// ifInErrors of the Controlled Port (§10.7.6): bad tag, no SA, not valid.
    pub fn if_in_errors(&self) -> u64 {
        let counters = &self.counters;
        counters.in_pkts_bad_tag + counters.in_pkts_no_sa_error + self.receive_totals().in_pkts_not_valid
    }

    /// ifOutErrors of the Controlled Port (§10.7.6): too long. (ifOutDiscards is 0.)
    pub const fn if_out_errors(&self) -> u64 {
        self.counters.out_pkts_too_long
    }
}
