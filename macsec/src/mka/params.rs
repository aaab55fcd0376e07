//! What management decides about one KaY, and the CAKs it is given.

use core::time::Duration;

use net::{EtherType, Instant, MacAddr};

use super::wire::{Confidentiality, MacsecCapability};
use crate::{
    key::{Cak, Ckn},
    sci::Sci,
    suite::{CipherSuite, ConfidentialityOffset},
};

/// MKA Hello Time (802.1X-2020 Table 9-3).
pub const HELLO: Duration = Duration::from_secs(2);
/// MKA Bounded Hello Time, used with delay protection.
pub const BOUNDED_HELLO: Duration = Duration::from_millis(500);
/// MKA Life Time: silence after which a peer is gone.
pub const LIFE: Duration = Duration::from_secs(6);
/// MKA SAK Retire Time: how long an old key is kept for frames under way.
pub const SAK_RETIRE: Duration = Duration::from_secs(3);
/// The longest suspension a peer may ask for, unless configured.
pub const SUSPENSION_LIMIT: Duration = Duration::from_secs(120);
/// Key Server Priority of an infrastructure port (Table 9-2).
pub const DEFAULT_PRIORITY: u8 = 0x10;
/// Key Server Priority of a member that never becomes key server.
pub const NEVER_KEY_SERVER: u8 = 0xff;

/// Whether an ICV Indicator announces the ICV.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum IcvIndicator {
    /// Never, as the standard has it for an ICV of 16 octets.
    Never,
    /// Always, as some peers want it.
    Always,
    /// As the peers do.
    #[default]
    Auto,
}

/// The settings of one KaY. [`KayParams::new`] gives safe ones; change fields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KayParams {
    /// Our SCI, the SecY's.
    pub sci: Sci,
    /// Source address of MKPDUs.
    pub source: MacAddr,
    /// Destination address of MKPDUs: a group address, unless the path only passes others.
    pub destination: MacAddr,
    /// EtherType of MKPDUs.
    pub ethertype: EtherType,
    /// Highest MKA version spoken, 1..=3.
    pub version: u8,
    /// Key Server Priority: the lowest wins, then the lowest SCI; 255 never becomes key server.
    pub priority: u8,
    /// Time between MKPDUs when nothing happens. With delay protection at most [`BOUNDED_HELLO`].
    pub hello: Duration,
    /// Silence after which a peer is gone: three hellos of the slowest member.
    pub life: Duration,
    /// What the SecY can do.
    pub capability: MacsecCapability,
    /// Suites that may be used, best first. As key server we take the first that all live peers have; a peer
    /// that announces nothing is taken to have the first, or if it speaks MKA version 1 and it is among
    /// several, GCM-AES-128, which every implementation must have.
    pub suites: Vec<CipherSuite>,
    /// What we ask for as key server. Integrity only: whatever the key server says. Otherwise a key server
    /// that does not encrypt is refused.
    pub confidentiality: Confidentiality,
    /// Send lowest packet numbers often, and refuse frames below those of the peer.
    pub delay_protect: bool,
    /// Frames in clear are sent or accepted when there is no key, which peers are told.
    pub plain: bool,
    /// Fill up the CKN with zero octets to 32, on both sides of every comparison.
    pub ckn_padding: bool,
    /// ICV Indicator.
    pub icv_indicator: IcvIndicator,
    /// Announce our cipher suites.
    pub announce: bool,
    /// As key server, make a fresh SAK this long after the last; `None`: only when needed.
    pub rekey: Option<Duration>,
    /// As key server, make a fresh SAK when a peer is gone and others remain.
    pub rekey_on_peer_loss: bool,
    /// The longest suspension of MKA granted to a peer; zero grants none.
    pub suspension_limit: Duration,
}

impl KayParams {
    /// MKA version 3, standard addresses and times, GCM-AES-XPN-256 preferred, everything encrypted.
    pub fn new(sci: Sci) -> Self {
        Self {
            sci,
            source: sci.mac(),
            destination: MacAddr::PAE_GROUP,
            ethertype: EtherType::EAPOL,
            version: 3,
            priority: DEFAULT_PRIORITY,
            hello: HELLO,
            life: LIFE,
            capability: MacsecCapability::Offsets,
            suites: vec![
                CipherSuite::GcmAesXpn256,
                CipherSuite::GcmAesXpn128,
                CipherSuite::GcmAes256,
                CipherSuite::GcmAes128,
            ],
            confidentiality: Confidentiality::From(ConfidentialityOffset::Zero),
            delay_protect: false,
            plain: false,
            ckn_padding: false,
            icv_indicator: IcvIndicator::Auto,
            announce: true,
            rekey: None,
            rekey_on_peer_loss: true,
            suspension_limit: SUSPENSION_LIMIT,
        }
    }

    /// Time between MKPDUs when nothing happens.
    pub(crate) fn hello(&self) -> Duration {
        if self.delay_protect { self.hello.min(BOUNDED_HELLO) } else { self.hello }
    }

    /// The CKN as it is sent and compared.
    pub(crate) const fn wire_ckn(&self, ckn: Ckn) -> Ckn {
        if self.ckn_padding { ckn.padded() } else { ckn }
    }
}

/// When a key starts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyStart {
    /// It has no start time: it is older than every key that has one.
    #[default]
    Always,
    /// It started this long before it was given to the KaY.
    Started(Duration),
    /// It starts at this instant.
    At(Instant),
}

/// One CAK of a channel.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// Its name.
    pub ckn: Ckn,
    /// The key.
    pub cak: Cak,
    /// When it starts. Of the keys that have started, the newest is preferred, and among equals the first of
    /// the list.
    pub start: KeyStart,
    /// When it ends, if it does.
    pub end: Option<Instant>,
    /// Used only where no other key has a peer.
    pub fallback: bool,
}

impl KeyEntry {
    /// A key that starts at once and never ends.
    pub const fn new(ckn: Ckn, cak: Cak) -> Self {
        Self { ckn, cak, start: KeyStart::Always, end: None, fallback: false }
    }
}
