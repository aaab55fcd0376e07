//! What the fuzz targets run: one function for each, from octets to a panic or none.
//!
//! The octets are read as choices ([`Choices`]): every string of octets means something, so a fuzzer wastes nothing, and
//! a corpus file can be replayed on any toolchain (`tests/fuzz_corpus.rs`). Each function states in its assertions
//! what must hold whatever comes: no buffer is lost, no limit passed, no forged frame delivered.

mod addresses;
mod bfd;
mod bgp_update;
mod lacp;
mod mka;
mod offload;
mod pipeline;
mod secy_pair;

use std::fmt::Write as _;

use config::{SecretError, SecretRef, SecretSource, secret::Zeroizing};
use macsec::wire::SecTag;
use net::VlanTag;

pub use addresses::neighbor;
pub use bfd::bfd;
pub use bgp_update::bgp_update;
pub use lacp::lacp;
pub use mka::{kay, mkpdu};
pub use offload::offload;
pub use pipeline::pipeline;
pub use secy_pair::secy_pair;

/// Octets, read as decisions. When they are used up every further one is 0.
#[derive(Clone, Debug)]
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn octet(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    /// One of `limit` (at least 1) possibilities.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.octet()) % limit
    }

    pub fn flag(&mut self) -> bool {
        self.octet() & 1 == 1
    }

    /// Up to `len` octets.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many octets as the next word says, at most 2047.
    pub fn piece(&mut self) -> &'a [u8] {
        let len = self.word() & 0x7ff;
        self.take(usize::from(len))
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.octet())
    }
}

/// A SecTAG is refused, or it is what `encode` makes of its meaning, and what it describes lies inside the frame
/// (802.1AE-2018 §9.12).
pub fn sectag(frame: &[u8]) {
    let _outer = VlanTag::outermost(frame);
    let Some(Ok(tag)) = SecTag::decode(frame) else { return };
    let len = tag.channel.tag_len();
    assert!(SecTag::OFFSET + len + tag.secure_len + 16 <= frame.len(), "{tag:?} reaches beyond the frame");
    let mut encoded = frame.to_vec();
    encoded[SecTag::OFFSET..][..len].fill(0xa5);
    assert!(tag.encode(&mut encoded[SecTag::OFFSET..]));
    assert_eq!(encoded, frame, "{tag:?} does not say all that the octets said");
}

/// A configuration loads, or each of its problems can be shown; none shows a key.
pub fn config(text: &[u8]) {
    let Ok(text) = core::str::from_utf8(text) else { return };
    match ::config::load("fuzz.toml", text, &Keys) {
        Ok(loaded) => assert!(!loaded.warnings.render(80, false).contains(SECRET)),
        Err(problems) => {
            let shown = problems.render(80, true);
            assert!(!shown.is_empty() && !shown.contains(SECRET), "{shown}");
        }
    }
}

/// In no name that a fuzzer would write.
const SECRET: &str = "5ec2e7";

/// A key for every reference: different ones for different names.
struct Keys;

impl SecretSource for Keys {
    fn read(&self, reference: &SecretRef) -> Result<Zeroizing<String>, SecretError> {
        let mut text = SECRET.to_owned();
        let name = reference.to_string();
        name.bytes()
            .cycle()
            .take(29)
            .for_each(|octet| write!(text, "{octet:02x}").expect("a String takes all"));
        Ok(Zeroizing::new(text))
    }
}
