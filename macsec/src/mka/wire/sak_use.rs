//! MACsec SAK Use (802.1X-2020 Figure 11-10): which keys the sender receives and transmits with.
//!
//! Most of the time the key in use stands under *old*: the CP machine moves it there as soon as the one before
//! it is retired, and *latest* is empty until the next rekeying (trap 23).

use net::{Malformed, Reader, Writer};

use super::{RawSet, kind, put_set};
use crate::{an::An, key::KeyId};

/// The SAK Use parameter set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SakUse {
    /// Plain TX: the sender's frames are not protected.
    pub plain_tx: bool,
    /// Plain RX: the sender also accepts frames in clear.
    pub plain_rx: bool,
    /// Delay Protect: lowest packet numbers come often enough to bound delay by them.
    pub delay_protect: bool,
    /// Its keys; `None` when MACsec is not used.
    pub keys: Option<KeysInUse>,
}

/// The two keys that a member may hold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KeysInUse {
    /// The key being installed.
    pub latest: KeyUse,
    /// The key before it.
    pub old: KeyUse,
}

/// How one key is used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KeyUse {
    /// Its association number.
    pub an: An,
    /// The sender transmits with it.
    pub tx: bool,
    /// The sender receives with it.
    pub rx: bool,
    /// Its identifier; all zero when there is none.
    pub key_id: KeyId,
    /// Lowest packet number the sender used in about the last hello time, low 32 bits.
    pub lowest_pn: u32,
}

/// Octets of the body with keys.
const LEN: usize = 40;

impl KeyUse {
    /// Whether it names a key at all.
    pub fn is_set(&self) -> bool {
        self.key_id != KeyId::default()
    }

    fn bits(&self) -> u8 {
        self.an.get() << 2 | u8::from(self.tx) << 1 | u8::from(self.rx)
    }

    fn read(bits: u8, body: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            an: An::from_low_bits(bits >> 2),
            tx: bits & 0x02 != 0,
            rx: bits & 0x01 != 0,
            key_id: KeyId(body.array()?),
            lowest_pn: body.u32()?,
        })
    }

    fn emit(&self, body: &mut Writer) {
        body.put(&self.key_id.0);
        body.u32(self.lowest_pn);
    }
}

impl SakUse {
    /// Whether the sender receives with this key.
    pub fn receives(&self, key: KeyId) -> bool {
        self.keys.is_some_and(|keys| [keys.latest, keys.old].iter().any(|used| used.rx && used.key_id == key))
    }

    /// Whether this key protects what the sender transmits: the latest if that is used, else the old.
    ///
    /// Some set OTX for as long as they hold an old key, so LTX decides.
    pub fn transmits(&self, key: KeyId) -> bool {
        self.keys.is_some_and(|keys| {
            let used = if keys.latest.tx { keys.latest } else { keys.old };
            used.tx && used.key_id == key
        })
    }

    /// Lowest packet number of this key, low 32 bits.
    pub fn lowest_pn(&self, key: KeyId) -> Option<u32> {
        let keys = self.keys?;
        [keys.latest, keys.old].iter().find(|used| used.key_id == key).map(|used| used.lowest_pn)
    }

    pub(super) fn parse(set: &RawSet<'_>) -> Result<Self, Malformed> {
        let mut body = Reader::new(set.body);
        let keys = if set.body.is_empty() {
            None
        } else {
            // A longer body than ours is a later version's: what follows is skipped.
            let latest = KeyUse::read(set.second >> 4, &mut body)?;
            Some(KeysInUse { latest, old: KeyUse::read(set.second & 0x0f, &mut body)? })
        };
        let flag = |mask| set.third & mask != 0;
        Ok(Self { plain_tx: flag(0x80), plain_rx: flag(0x40), delay_protect: flag(0x10), keys })
    }

    pub(super) fn emit(&self, out: &mut Writer) {
        let mut body = Writer::new();
        let mut bits = 0;
        if let Some(keys) = &self.keys {
            bits = keys.latest.bits() << 4 | keys.old.bits();
            keys.latest.emit(&mut body);
            keys.old.emit(&mut body);
            debug_assert_eq!(body.len(), LEN);
        }
        let third =
            u8::from(self.plain_tx) << 7 | u8::from(self.plain_rx) << 6 | u8::from(self.delay_protect) << 4;
        put_set(out, kind::SAK_USE, bits, third, body.as_slice());
    }
}

net::carry!(SakUse { plain_tx, plain_rx, delay_protect, keys });
net::carry!(KeysInUse { latest, old });
net::carry!(KeyUse { an, tx, rx, key_id, lowest_pn });
