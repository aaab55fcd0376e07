//! What protecting and validating a frame costs, beside the AEAD alone.

use std::{hint::black_box, time::Duration};

use anyhow::{Context, Result, ensure};
use dataplane::{BATCH, HEADROOM, TAILROOM};
use macsec::{
    An, Backend, CipherSuite, ConfidentialityOffset, KeyId, ReceiveSaParams, RxDrop, RxVerdict, Sak, Salt,
    Sci, SecY, SecyPolicy, Ssci, TransmitSaParams, TxRefusal,
    aead::{Aead, ICV_LEN, SealJob},
};
use net::{Instant, MacAddr, PacketBuf};
use serde::Serialize;

use super::stopwatch::per_item;

/// Nanoseconds per frame of one size, with one suite by one library.
#[derive(Clone, Debug, Serialize)]
pub struct CryptoFigures {
    /// The library.
    pub backend: String,
    /// The cipher suite.
    pub suite: String,
    /// Octets of the frame, from the destination address on, without FCS, before protection.
    pub octets: usize,
    /// The AEAD alone, on the same octets.
    pub aead_ns: f64,
    /// All that protecting takes, in batches of 64.
    pub protect_ns: f64,
    /// All that validating takes, in batches of 64.
    pub validate_ns: f64,
}

/// Of each figure.
const BUDGET: Duration = Duration::from_millis(40);
/// Octets of the SecTAG with SCI and of the addresses before it: what is authenticated and not encrypted.
const CLEAR: usize = 28;
const SUITES: [CipherSuite; 4] =
    [CipherSuite::GcmAes128, CipherSuite::GcmAes256, CipherSuite::GcmAesXpn128, CipherSuite::GcmAesXpn256];

/// All suites by what gateways use unless told otherwise; the strongest by the others.
pub(super) fn measure(sizes: &[usize]) -> Result<Vec<CryptoFigures>> {
    let used = Backend::Auto.works_here();
    let others = [Backend::AwsLc, Backend::AesGcm].into_iter().filter(|other| other.works_here() != used);
    let fast = SUITES.into_iter().map(|suite| (Backend::Auto, suite));
    let all = fast.chain(others.map(|other| (other, CipherSuite::GcmAesXpn256)));
    all.flat_map(|pair| sizes.iter().map(move |size| (pair, *size)))
        .map(|((backend, suite), size)| one(backend, suite, size))
        .collect()
}

fn one(backend: Backend, suite: CipherSuite, octets: usize) -> Result<CryptoFigures> {
    let mut link = Link::new(backend, suite, octets)?;
    let protect_ns = per_item(BUDGET, BATCH, &mut link, Link::refill, Link::protect);
    let validate_ns = per_item(BUDGET, BATCH, &mut link, Link::arrive, Link::validate);
    ensure!(link.failed == 0, "{} frames were refused: these figures mean nothing", link.failed);
    let key = backend.schedule(suite, &sak(suite)?).context("a key of another length")?;
    Ok(CryptoFigures {
        backend: key.name().to_owned(),
        suite: suite.to_string(),
        octets,
        aead_ns: alone(&*key, octets),
        protect_ns,
        validate_ns,
    })
}

fn alone(key: &dyn Aead, octets: usize) -> f64 {
    let mut texts = vec![vec![0x5a; octets.saturating_sub(12)]; BATCH];
    let mut number: u32 = 0;
    per_item(
        BUDGET,
        BATCH,
        &mut texts,
        |_| (),
        |texts| {
            for text in texts {
                number = number.wrapping_add(1);
                let mut nonce = [7; 12];
                nonce.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(to, octet)| *to = octet);
                let mut icv = [0; ICV_LEN];
                let aad = &[0x11; CLEAR];
                let mut job = SealJob { nonce, aad, text, icv: &mut icv, sealed: false };
                key.seal(&mut job);
                black_box(job.sealed);
            }
        },
    )
}

/// Octets of a key that protects nothing but this.
fn sak(suite: CipherSuite) -> Result<Sak> {
    Sak::new(&vec![0x42; suite.key_len()]).context("a key of another length")
}

/// A sender, a receiver, and a batch of frames that go between them.
struct Link {
    sender: SecY,
    receiver: SecY,
    frames: Vec<PacketBuf>,
    octets: usize,
    failed: usize,
}

impl Link {
    fn new(backend: Backend, suite: CipherSuite, octets: usize) -> Result<Self> {
        let (sak, now) = (sak(suite)?, Instant::ZERO);
        let sci = |last| Sci::new(MacAddr([2, 0, 0, 0, 0, last]), 1);
        let secy = |last| SecY::new(SecyPolicy { backend, ..SecyPolicy::new(sci(last)) }, now);
        let (mut sender, mut receiver) = (secy(1)?, secy(2)?);
        let an = An::new(0).context("0 is an AN")?;
        let (ssci, salt, key_id) = (Ssci(1), Salt([7; 12]), KeyId::default());
        let offset = ConfidentialityOffset::default();
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
        sender.create_transmit_sa(an, &transmit, now)?;
        sender.enable_transmit_sa(an, now)?;
        receiver.create_receive_sc(sci(1), now)?;
        let receive = ReceiveSaParams { sak: &sak, suite, offset, key_id, lowest_pn: 1, ssci, salt };
        receiver.create_receive_sa(sci(1), an, &receive, now)?;
        receiver.enable_receive_sa(sci(1), an, now)?;
        let frame = || PacketBuf::with_capacity(HEADROOM + octets + TAILROOM, HEADROOM);
        let frames = core::iter::repeat_with(frame).take(BATCH).collect();
        Ok(Self { sender, receiver, frames, octets, failed: 0 })
    }

    /// Frames in clear; their octets are whatever was there.
    fn refill(&mut self) {
        for frame in &mut self.frames {
            frame.reset(HEADROOM);
            let addresses = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
            let octets = frame.push_back(self.octets).and_then(|octets| octets.get_mut(..addresses.len()));
            match octets {
                Some(octets) => octets.copy_from_slice(&addresses),
                None => self.failed += 1,
            }
        }
    }

    fn protect(&mut self) {
        let mut verdicts = [Err(TxRefusal::Cipher); BATCH];
        self.sender.protect_batch(&mut self.frames, &mut verdicts);
        self.failed += verdicts.iter().filter(|verdict| verdict.is_err()).count();
    }

    /// Protected frames.
    fn arrive(&mut self) {
        self.refill();
        self.protect();
    }

    fn validate(&mut self) {
        let mut verdicts = [RxVerdict::Drop(RxDrop::NotValid); BATCH];
        self.receiver.validate_batch(&mut self.frames, &mut verdicts);
        let good = |verdict: &&RxVerdict| matches!(verdict, RxVerdict::Deliver(_));
        self.failed += BATCH - verdicts.iter().filter(good).count();
    }
}
