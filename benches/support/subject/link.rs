//! One channel in memory.

use core::hint::black_box;

use dataplane::{BATCH, HEADROOM, TAILROOM};
use macsec::{
    An, Backend, CipherSuite, ConfidentialityOffset, Delivered, KeyId, Protected, ReceiveSaParams, RxDrop,
    RxVerdict, Sak, Salt, Sci, SecY, SecyPolicy, Ssci, TransmitSaParams, TxRefusal,
};
use net::{Instant, MacAddr, PacketBuf};

const KEY: [u8; 32] = [0x42; 32];

/// A sender, a receiver, and 64 frames that go between them.
pub struct Link {
    sender: SecY,
    receiver: SecY,
    frames: Vec<PacketBuf>,
    size: usize,
    sealed: Vec<Result<Protected, TxRefusal>>,
    opened: Vec<RxVerdict>,
}

impl Link {
    /// The frames have `size` octets.
    pub fn new(backend: Backend, size: usize) -> Self {
        let sci = |last| Sci::new(MacAddr([2, 0, 0, 0, 0, last]), 1);
        let (an, sak, suite) = (An::new(0).unwrap(), Sak::new(&KEY).unwrap(), CipherSuite::GcmAesXpn256);
        let (ssci, salt, key_id) = (Ssci(1), Salt([7; 12]), KeyId::default());
        let offset = ConfidentialityOffset::default();
        let new =
            |last| SecY::new(SecyPolicy { backend, ..SecyPolicy::new(sci(last)) }, Instant::ZERO).unwrap();
        let (mut sender, mut receiver) = (new(1), new(2));
        let transmit = TransmitSaParams {
            sak: &sak,
            suite,
            encrypt: true,
            offset,
            key_id,
            next_pn: 1,
            pn_limit: None,
            ssci,
            salt,
        };
        sender.create_transmit_sa(an, &transmit, Instant::ZERO).unwrap();
        sender.enable_transmit_sa(an, Instant::ZERO).unwrap();
        receiver.create_receive_sc(sci(1), Instant::ZERO).unwrap();
        let receive = ReceiveSaParams { sak: &sak, suite, offset, key_id, lowest_pn: 1, ssci, salt };
        receiver.create_receive_sa(sci(1), an, &receive, Instant::ZERO).unwrap();
        receiver.enable_receive_sa(sci(1), an, Instant::ZERO).unwrap();
        let frame = || PacketBuf::with_capacity(HEADROOM + size + TAILROOM, HEADROOM);
        Self {
            sender,
            receiver,
            frames: core::iter::repeat_with(frame).take(BATCH).collect(),
            size,
            sealed: vec![Err(TxRefusal::Cipher); BATCH],
            opened: vec![RxVerdict::Drop(RxDrop::Late); BATCH],
        }
    }

    /// Frames of the right length in clear; their octets are whatever was there. The source is the sender's.
    pub fn refill(&mut self) {
        for frame in &mut self.frames {
            frame.reset(HEADROOM);
            let octets = frame.push_back(self.size).unwrap();
            octets[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
        }
    }

    /// One by one.
    pub fn protect(&mut self) {
        for frame in &mut self.frames {
            black_box(self.sender.protect(frame)).unwrap();
        }
    }

    /// In one call.
    pub fn protect_batch(&mut self) {
        self.sender.protect_batch(&mut self.frames, &mut self.sealed);
        assert!(self.sealed.iter().all(Result::is_ok));
    }

    /// Protected frames.
    pub fn arrive(&mut self) {
        self.refill();
        self.protect_batch();
    }

    /// One by one.
    pub fn validate(&mut self) {
        for frame in &mut self.frames {
            assert_eq!(self.receiver.validate(frame), RxVerdict::Deliver(Delivered::Ok));
        }
    }

    /// In one call.
    pub fn validate_batch(&mut self) {
        self.receiver.validate_batch(&mut self.frames, &mut self.opened);
        assert!(self.opened.iter().all(|verdict| *verdict == RxVerdict::Deliver(Delivered::Ok)));
    }
}
