//! The SecY: protects what is sent, validates what is received (802.1AE-2018 §10).
//!
//! One SecY serves one channel: one transmit SC, several receive SCs, up to four SAs in each, so that the
//! SAs of the last key and of the next can live side by side and rekeying loses nothing. It owns its packet
//! numbers and replay windows as plain integers: it has one owner thread, and the order of its packet
//! numbers is the order on the wire.
//!
//! Two speeds. [`protect`](SecY::protect), [`validate`](SecY::validate) and their batches work in place on
//! a [`PacketBuf`] and neither allocate, lock nor log. Everything else, the layer management interface of
//! §10.7 that the KaY and the gateway speak to, is in `lmi.rs`.
//!
//! Invariants:
//! - a packet number is used at most once per SCI and SAK, and never after the last one (§10.5.2);
//! - a replay window moves only with a proof that the ICV was right;
//! - each frame has one verdict and counts once;
//! - whatever a frame holds, nothing panics.

mod batch;
mod carry;
mod lmi;
mod policy;
mod rx;
mod sa;
mod status;
mod tx;

use net::{Instant, PacketBuf};

use crate::{error::PolicyError, suite::CipherSuite};

pub use batch::MAX_RUN;
pub use carry::SecyNumbers;
pub use lmi::{MAX_RECEIVE_SCS, ReceiveSaParams, TransmitSaParams};
pub use policy::{SecyPolicy, ValidateFrames};
pub use rx::{Delivered, RxDrop, RxVerdict};
pub(crate) use sa::nonce;
pub use status::{
    ReceiveCounters, ReceiveSaStatus, ReceiveScStatus, SecyCounters, SecyStatus, Times, TransmitCounters,
    TransmitSaStatus, TransmitScStatus,
};
pub use tx::{Protected, TxRefusal};

use lmi::UsedKeys;
use rx::Receive;
use sa::PerAn;
use tx::Transmit;

/// A MAC security entity.
pub struct SecY {
    policy: SecyPolicy,
    transmit: Transmit,
    receive: Receive,
    counters: SecyCounters,
    used_keys: UsedKeys,
}

impl SecY {
    /// A SecY without SAs: it sends nothing, unless its policy protects nothing.
    ///
    /// # Errors
    /// What [`SecyPolicy::check`] finds.
    pub fn new(policy: SecyPolicy, now: Instant) -> Result<Self, PolicyError> {
        policy.check()?;
        let transmit = Transmit {
            sas: PerAn::EMPTY,
            encoding: None,
            form: policy.channel_form(0),
            former: TransmitCounters::default(),
            times: Times::new(now),
        };
        let receive =
            Receive { scs: Vec::new(), former: ReceiveCounters::default(), suite: CipherSuite::default() };
        let (counters, used_keys) = (SecyCounters::default(), UsedKeys::default());
        Ok(Self { policy, transmit, receive, counters, used_keys })
    }

    /// Protects a frame, given from its destination address on without FCS, in place: puts a SecTAG of 8 or
    /// 16 octets before the user data and an ICV of 16 octets after it.
    ///
    /// # Errors
    /// Why it must not be sent. It is then unchanged, except after [`TxRefusal::Cipher`].
    #[inline]
    pub fn protect(&mut self, frame: &mut PacketBuf) -> Result<Protected, TxRefusal> {
        let Some((sa, out)) = self.transmit.outgoing(&self.policy) else { return self.unprotected() };
        let ready = sa.prepare(frame, &out, &mut self.counters)?;
        let sealed = sa.seal(frame, &ready);
        sa.conclude(&ready, sealed, &mut self.counters)
    }

    #[cold]
    fn unprotected(&mut self) -> Result<Protected, TxRefusal> {
        if self.policy.protects() {
            return Err(TxRefusal::NoTransmitSa);
        }
        self.counters.out_pkts_untagged += 1;
        Ok(Protected::Untagged)
    }

    /// Validates a received frame, given from its destination address on without FCS and without VLAN tags
    /// in clear, in place: what is delivered is as it was before it was protected.
    #[inline]
    pub fn validate(&mut self, frame: &mut PacketBuf) -> RxVerdict {
        let Self { policy, receive, counters, .. } = self;
        let (place, tag) = match receive.classify(frame, policy.validate, counters) {
            Ok(found) => found,
            Err(verdict) => return verdict,
        };
        let Some(sa) = receive.sa_mut(place) else { return RxVerdict::Drop(RxDrop::NoSaError) };
        let pn = sa.pn(tag.pn);
        match sa.admit(&tag, pn, policy) {
            Ok(candidate) => {
                let validate = policy.validate != ValidateFrames::Disabled;
                let proof = if validate { sa.open(frame, &candidate) } else { None };
                sa.conclude(frame, &candidate, proof, policy, counters)
            }
            Err(verdict) => verdict,
        }
    }

    /// Everything there is to see, copied. Not for every frame: it allocates.
    pub fn status(&self) -> SecyStatus {
        SecyStatus {
            policy: self.policy,
            mac_operational: self.mac_operational(),
            counters: self.counters,
            transmit: self.transmit.status(self.policy.sci),
            receive: self.receive.scs.iter().map(rx::ReceiveSc::status).collect(),
            former_receive_scs: self.receive.former,
        }
    }
}

impl core::fmt::Debug for SecY {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SecY").field("status", &self.status()).finish()
    }
}
