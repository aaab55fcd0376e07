//! What protecting and validating a frame costs, beside the raw AEAD call on the same octets in the same run.
//!
//! Unit: one frame; throughput in octets of the frame (from the destination address on, without FCS, before
//! protection). The suite is GCM-AES-XPN-256 with the SCI in the tag: 28 octets are authenticated in clear, all but
//! the 12 octets of the addresses are encrypted. 64 buffers take turns; putting them back in order is not
//! counted. `raw` calls the library itself, without our trait, with the same text, nonce and associated data lengths.
//! `open` validates with the replay check on, each frame once, in order, as on a healthy link.

use core::hint::black_box;

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce as AesNonce, Tag};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use dataplane::{BATCH, HEADROOM, TAILROOM};
use macsec::{
    An, Backend, CipherSuite, ConfidentialityOffset, Delivered, KeyId, Protected, ReceiveSaParams, RxDrop,
    RxVerdict, Sak, Salt, Sci, SecY, SecyPolicy, Ssci, TransmitSaParams, TxRefusal,
};
use net::{Instant, MacAddr, PacketBuf};
use support::timed;

const SIZES: [usize; 4] = [64, 512, 1460, 8960];
const KEY: [u8; 32] = [0x42; 32];
const CHUNK: u32 = 64;
const AAD: [u8; 28] = [0x11; 28];

fn secy(c: &mut Criterion) {
    for backend in Backend::ALL {
        let mut seal = c.benchmark_group(format!("secy/seal/{backend}"));
        for size in SIZES {
            seal_raw(&mut seal, backend, size);
            link(&mut seal, "single", (backend, size), Link::refill, Link::protect);
            link(&mut seal, "batch64", (backend, size), Link::refill, Link::protect_batch);
        }
        seal.finish();
        let mut open = c.benchmark_group(format!("secy/open/{backend}"));
        for size in SIZES {
            open_raw(&mut open, backend, size);
            link(&mut open, "single", (backend, size), Link::arrive, Link::validate);
            link(&mut open, "batch64", (backend, size), Link::arrive, Link::validate_batch);
        }
        open.finish();
    }
}

fn of(group: &mut BenchmarkGroup<'_, WallTime>, size: usize) {
    group.throughput(Throughput::Bytes(size.try_into().unwrap()));
}

fn seal_raw(group: &mut BenchmarkGroup<'_, WallTime>, backend: Backend, size: usize) {
    of(group, size);
    let mut raw = Raw::new(backend, size);
    group.bench_function(format!("raw/{size}"), |b| {
        b.iter_custom(|iters| timed(iters, CHUNK, &mut raw, |_| (), Raw::seal));
    });
}

fn open_raw(group: &mut BenchmarkGroup<'_, WallTime>, backend: Backend, size: usize) {
    of(group, size);
    let mut raw = Raw::new(backend, size);
    group.bench_function(format!("raw/{size}"), |b| {
        // Each text is opened with the number that it was sealed with.
        let prepare = |raw: &mut Raw| {
            raw.seal();
            raw.counter -= u64::from(CHUNK);
        };
        b.iter_custom(|iters| timed(iters, CHUNK, &mut raw, prepare, Raw::open));
    });
}

/// `work` on 64 frames at a time, made ready by `prepare`.
fn link(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    (backend, size): (Backend, usize),
    prepare: fn(&mut Link),
    work: fn(&mut Link),
) {
    of(group, size);
    let mut link = Link::new(backend, size);
    group.bench_function(format!("{name}/{size}"), |b| {
        b.iter_custom(|iters| timed(iters, CHUNK, &mut link, prepare, work));
    });
}

/// The library's own key, and 64 texts with their ICVs.
struct Raw {
    key: Library,
    counter: u64,
    texts: Vec<(Vec<u8>, [u8; 16])>,
}

enum Library {
    AwsLc(LessSafeKey),
    AesGcm(Box<Aes256Gcm>),
}

impl Raw {
    fn new(backend: Backend, size: usize) -> Self {
        let key = match backend {
            Backend::AwsLc => Library::AwsLc(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).unwrap())),
            Backend::AesGcm => Library::AesGcm(Box::new(Aes256Gcm::new_from_slice(&KEY).unwrap())),
        };
        Self { key, counter: 1, texts: vec![(vec![0; size - 12], [0; 16]); BATCH] }
    }

    fn nonce(counter: u64) -> [u8; 12] {
        let mut nonce = [7; 12];
        nonce[4..].copy_from_slice(&counter.to_be_bytes());
        nonce
    }

    fn seal(&mut self) {
        for (text, icv) in &mut self.texts {
            let nonce = Self::nonce(self.counter);
            self.counter += 1;
            match &self.key {
                Library::AwsLc(key) => {
                    let nonce = Nonce::assume_unique_for_key(nonce);
                    key.seal_in_place_scatter(nonce, Aad::from(&AAD), text, &[], icv).unwrap();
                }
                Library::AesGcm(key) => {
                    let text = text.as_mut_slice().into();
                    *icv = key.encrypt_inout_detached(&AesNonce::from(nonce), &AAD, text).unwrap().into();
                }
            }
        }
    }

    fn open(&mut self) {
        for (text, icv) in &mut self.texts {
            let nonce = Self::nonce(self.counter);
            self.counter += 1;
            match &self.key {
                Library::AwsLc(key) => {
                    let nonce = Nonce::assume_unique_for_key(nonce);
                    black_box(key.open_in_place_separate_tag(nonce, Aad::from(&AAD), icv, text).unwrap());
                }
                Library::AesGcm(key) => {
                    let (nonce, text) = (AesNonce::from(nonce), text.as_mut_slice().into());
                    key.decrypt_inout_detached(&nonce, &AAD, text, &Tag::from(*icv)).unwrap();
                }
            }
        }
    }
}

/// A sender, a receiver, and 64 frames that go between them.
struct Link {
    sender: SecY,
    receiver: SecY,
    frames: Vec<PacketBuf>,
    size: usize,
    sealed: Vec<Result<Protected, TxRefusal>>,
    opened: Vec<RxVerdict>,
}

impl Link {
    fn new(backend: Backend, size: usize) -> Self {
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
    fn refill(&mut self) {
        for frame in &mut self.frames {
            frame.reset(HEADROOM);
            let octets = frame.push_back(self.size).unwrap();
            octets[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
        }
    }

    fn protect(&mut self) {
        for frame in &mut self.frames {
            black_box(self.sender.protect(frame)).unwrap();
        }
    }

    fn protect_batch(&mut self) {
        self.sender.protect_batch(&mut self.frames, &mut self.sealed);
        assert!(self.sealed.iter().all(Result::is_ok));
    }

    /// Protected frames.
    fn arrive(&mut self) {
        self.refill();
        self.protect_batch();
    }

    fn validate(&mut self) {
        for frame in &mut self.frames {
            assert_eq!(self.receiver.validate(frame), RxVerdict::Deliver(Delivered::Ok));
        }
    }

    fn validate_batch(&mut self) {
        self.receiver.validate_batch(&mut self.frames, &mut self.opened);
        assert!(self.opened.iter().all(|verdict| *verdict == RxVerdict::Deliver(Delivered::Ok)));
    }
}

criterion_group!(benches, secy);
criterion_main!(benches);
