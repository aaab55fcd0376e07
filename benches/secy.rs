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
use dataplane::BATCH;
use macsec::Backend;
use support::{subject::Link, timed};
use sys::gcm::GcmKey;

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
    Own(GcmKey),
    AwsLc(LessSafeKey),
    AesGcm(Box<Aes256Gcm>),
}

fn aws_lc() -> Library {
    Library::AwsLc(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).unwrap()))
}

impl Raw {
    fn new(backend: Backend, size: usize) -> Self {
        let key = match backend {
            Backend::Auto => GcmKey::new(&KEY).map_or_else(aws_lc, Library::Own),
            Backend::AwsLc => aws_lc(),
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
                Library::Own(key) => *icv = key.seal(&nonce, &AAD, text),
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
                Library::Own(key) => assert!(key.open(&nonce, &AAD, text, icv)),
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

criterion_group!(benches, secy);
criterion_main!(benches);
