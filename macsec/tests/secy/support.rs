//! Two SecYs with one key, and frames for them.

use macsec::{
    An, CipherSuite, ConfidentialityOffset, KeyId, ReceiveSaParams, Sak, Salt, Sci, SecY, SecyPolicy, Ssci,
    TransmitSaParams, ValidateFrames,
    aead::ICV_LEN,
    secy::{ReceiveCounters, SecyStatus},
};
use net::{Instant, MacAddr, PacketBuf};

pub(crate) const NOW: Instant = Instant::ZERO;
pub(crate) const ALICE: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xa]);
pub(crate) const BOB: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xb]);

pub(crate) fn alice() -> Sci {
    Sci::new(ALICE, 1)
}

pub(crate) fn an(n: u8) -> An {
    An::new(n).unwrap()
}

pub(crate) fn sak(suite: CipherSuite, seed: u8) -> Sak {
    Sak::new(&(0..32).map(|n| n ^ seed).collect::<Vec<u8>>()[..suite.key_len()]).unwrap()
}

/// How frames go from Alice to Bob. Change fields, then make the two ends.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) suite: CipherSuite,
    pub(crate) encrypt: bool,
    pub(crate) offset: ConfidentialityOffset,
    pub(crate) first_pn: u64,
    pub(crate) seed: u8,
    pub(crate) policy: SecyPolicy,
}

impl Wire {
    pub(crate) fn new(suite: CipherSuite) -> Self {
        Self {
            suite,
            encrypt: true,
            offset: ConfidentialityOffset::Zero,
            first_pn: 1,
            seed: 0x5a,
            policy: SecyPolicy::new(alice()),
        }
    }

    pub(crate) fn validate(mut self, validate: ValidateFrames) -> Self {
        self.policy.validate = validate;
        self
    }

    pub(crate) fn receive_params<'a>(&self, sak: &'a Sak) -> ReceiveSaParams<'a> {
        ReceiveSaParams {
            sak,
            suite: self.suite,
            offset: self.offset,
            key_id: KeyId::new([7; 12], 1),
            lowest_pn: self.first_pn,
            ssci: Ssci(2),
            salt: Salt([0x3c; 12]),
        }
    }

    pub(crate) fn transmit_params<'a>(&self, sak: &'a Sak) -> TransmitSaParams<'a> {
        TransmitSaParams {
            sak,
            suite: self.suite,
            encrypt: self.encrypt,
            offset: self.offset,
            key_id: KeyId::new([7; 12], 1),
            next_pn: self.first_pn,
            pn_limit: None,
            ssci: Ssci(2),
            salt: Salt([0x3c; 12]),
        }
    }

    /// Alice, transmitting on AN 0.
    pub(crate) fn sender(&self) -> SecY {
        let mut secy =
            SecY::new(SecyPolicy { validate: ValidateFrames::Strict, ..self.policy }, NOW).unwrap();
        let sak = sak(self.suite, self.seed);
        secy.create_transmit_sa(an(0), &self.transmit_params(&sak), NOW).unwrap();
        secy.enable_transmit_sa(an(0), NOW).unwrap();
        secy
    }

    /// Bob, receiving from Alice on AN 0.
    pub(crate) fn receiver(&self) -> SecY {
        let policy = SecyPolicy { sci: Sci::new(BOB, 1), include_sci: true, ..self.policy };
        let mut secy = SecY::new(policy, NOW).unwrap();
        secy.create_receive_sc(self.policy.sci, NOW).unwrap();
        let sak = sak(self.suite, self.seed);
        secy.create_receive_sa(self.policy.sci, an(0), &self.receive_params(&sak), NOW).unwrap();
        secy.enable_receive_sa(self.policy.sci, an(0), NOW).unwrap();
        secy
    }

    pub(crate) fn ends(&self) -> (SecY, SecY) {
        (self.sender(), self.receiver())
    }
}

/// A frame from Alice to Bob with `user_len` octets of user data, in a buffer that was used before.
pub(crate) fn frame(user_len: usize) -> PacketBuf {
    let octets: Vec<u8> =
        BOB.0.into_iter().chain(ALICE.0).chain((0..user_len).map(|n| (n * 7 + 3) as u8)).collect();
    dirty(&octets)
}

/// A copy of `octets` with room for SecTAG and ICV, all of which holds 0xa5.
pub(crate) fn dirty(octets: &[u8]) -> PacketBuf {
    let mut buf = PacketBuf::with_capacity(octets.len() + 24 + ICV_LEN, 0);
    let all = buf.capacity();
    buf.push_back(all).unwrap().fill(0xa5);
    buf.reset(24);
    assert!(buf.extend_from_slice(octets));
    buf
}

/// What Alice sends for a frame with that much user data.
pub(crate) fn protected(sender: &mut SecY, user_len: usize) -> PacketBuf {
    let mut frame = frame(user_len);
    sender.protect(&mut frame).unwrap();
    frame
}

/// All packet counters of the receive side together: how many frames were counted.
pub(crate) fn frames_counted(status: &SecyStatus) -> u64 {
    let ReceiveCounters {
        in_pkts_ok,
        in_pkts_unchecked,
        in_pkts_invalid,
        in_pkts_not_valid,
        in_pkts_delayed,
        in_pkts_late,
    } = status.receive_totals();
    let secy = &status.counters;
    in_pkts_ok
        + in_pkts_unchecked
        + in_pkts_invalid
        + in_pkts_not_valid
        + in_pkts_delayed
        + in_pkts_late
        + secy.in_pkts_untagged
        + secy.in_pkts_no_tag
        + secy.in_pkts_bad_tag
        + secy.in_pkts_no_sa
        + secy.in_pkts_no_sa_error
        + secy.in_pkts_overrun
}
