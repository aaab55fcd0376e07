//! The control packet (RFC 5880 §4.1) and the rules of §6.8.6 by which one is refused.

use core::{
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, byteorder::big_endian::U32};

use super::{BfdState, Diagnostic};
use crate::closed_list::closed_list;

/// How a system names a session of its own (bfd.LocalDiscr): unique on that system, never 0.
pub type Discriminator = NonZeroU32;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const INDEPENDENT: u8 = 0x08;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;
const VERSION: u8 = 1;
/// The shortest packet whose A bit is set: the mandatory section, type and length of the other.
const LEN_AUTHENTICATED: usize = Control::LEN + 2;

/// The mandatory section as the figure of §4.1 shows it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Mandatory {
    version_diagnostic: u8,
    state_flags: u8,
    multiplier: u8,
    len: u8,
    my_discriminator: U32,
    your_discriminator: U32,
    desired_min_tx: U32,
    required_min_rx: U32,
    required_min_echo_rx: U32,
}
const _: () = assert!(size_of::<Mandatory>() == Control::LEN);

/// A control packet without authentication section. All times are whole microseconds, at most 2^32 - 1 of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Control {
    /// Why the sender's session changed its state the last time.
    pub diagnostic: Diagnostic,
    /// The state of the sender's session.
    pub state: BfdState,
    /// P: answer at once with `is_final`.
    pub poll: bool,
    /// F: this answers a poll.
    pub is_final: bool,
    /// C: the sender's BFD does not share the fate of its control plane (RFC 5882 §3.3).
    pub control_plane_independent: bool,
    /// D: the sender wants no periodic packets while both sides are Up.
    pub demand: bool,
    /// Detect Mult.
    pub multiplier: NonZeroU8,
    /// My Discriminator: the sender's name for the session.
    pub my_discriminator: Discriminator,
    /// Your Discriminator: ours, or `None` (0 on the wire) as long as the sender does not know it.
    pub your_discriminator: Option<Discriminator>,
    /// The sender does not want to send more often.
    pub desired_min_tx: Duration,
    /// The sender cannot receive more often; zero: it wants no periodic packets at all.
    pub required_min_rx: Duration,
    /// The sender reflects echo packets not closer than this; zero: none.
    pub required_min_echo_rx: Duration,
}

/// What was on the wire: a packet, and whether an authentication section followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    /// The mandatory section.
    pub control: Control,
    /// The A bit.
    pub authenticated: bool,
}

impl Control {
    /// Octets on the wire.
    pub const LEN: usize = 24;

    /// Reads `payload`, all that UDP delivered, and applies the rules of §6.8.6 that need no session, in their order.
    /// The rule for packets that name no session and claim to be in one is here too.
    ///
    /// # Errors
    /// The first rule that the packet breaks.
    pub fn decode(payload: &[u8]) -> Result<Received, Refusal> {
        // What is shorter than the mandatory section cannot even say so: the rule about its length is broken.
        let Ok((wire, _)) = Mandatory::ref_from_prefix(payload) else { return Err(Refusal::Length) };
        if wire.version_diagnostic >> 5 != VERSION {
            return Err(Refusal::Version);
        }
        let flag = |bit| wire.state_flags & bit != 0;
        let authenticated = flag(AUTHENTICATED);
        let least = if authenticated { LEN_AUTHENTICATED } else { Self::LEN };
        if usize::from(wire.len) < least {
            return Err(Refusal::Length);
        }
        if usize::from(wire.len) > payload.len() {
            return Err(Refusal::Truncated);
        }
        let multiplier = NonZeroU8::new(wire.multiplier).ok_or(Refusal::Multiplier)?;
        if flag(MULTIPOINT) {
            return Err(Refusal::Multipoint);
        }
        let my_discriminator =
            NonZeroU32::new(wire.my_discriminator.get()).ok_or(Refusal::MyDiscriminator)?;
        let state = BfdState::from_code(wire.state_flags >> 6);
        let your_discriminator = NonZeroU32::new(wire.your_discriminator.get());
        if your_discriminator.is_none() && matches!(state, BfdState::Init | BfdState::Up) {
            return Err(Refusal::YourDiscriminator);
        }
        let time = |field: U32| Duration::from_micros(u64::from(field.get()));
        let control = Self {
            diagnostic: Diagnostic::from_code(wire.version_diagnostic),
            state,
            poll: flag(POLL),
            is_final: flag(FINAL),
            control_plane_independent: flag(INDEPENDENT),
            demand: flag(DEMAND),
            multiplier,
            my_discriminator,
            your_discriminator,
            desired_min_tx: time(wire.desired_min_tx),
            required_min_rx: time(wire.required_min_rx),
            required_min_echo_rx: time(wire.required_min_echo_rx),
        };
        Ok(Received { control, authenticated })
    }

    /// The packet as it goes on the wire; times beyond what 32 bits of microseconds hold become that.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let bit = |set, bit| if set { bit } else { 0 };
        let time = |time: Duration| U32::new(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
        let flags = bit(self.poll, POLL)
            | bit(self.is_final, FINAL)
            | bit(self.control_plane_independent, INDEPENDENT)
            | bit(self.demand, DEMAND);
        let wire = Mandatory {
            version_diagnostic: VERSION << 5 | self.diagnostic.code(),
            state_flags: self.state.code() << 6 | flags,
            multiplier: self.multiplier.get(),
            // LEN is 24; a const cannot use TryFrom.
            len: 24,
            my_discriminator: U32::new(self.my_discriminator.get()),
            your_discriminator: U32::new(self.your_discriminator.map_or(0, NonZeroU32::get)),
            desired_min_tx: time(self.desired_min_tx),
            required_min_rx: time(self.required_min_rx),
            required_min_echo_rx: time(self.required_min_echo_rx),
        };
        let mut octets = [0; Self::LEN];
        octets.copy_from_slice(wire.as_bytes());
        octets
    }
}

closed_list! {
    /// Why a packet was refused, in the order in which packets are examined. Each refused packet counts under exactly
    /// one of these.
    pub enum Refusal {
        /// The IP or UDP header around it is malformed, or its checksum wrong.
        Datagram = "datagram",
        /// RFC 5881 §5: the TTL or hop limit is not 255, so it may come from beyond the link; or (RFC 5883) below the least.
        Hops = "hops",
        /// The version is not 1.
        Version = "version",
        /// The Length field is below 24 (26 with the A bit).
        Length = "length",
        /// The Length field promises more than UDP delivered.
        Truncated = "truncated",
        /// Detect Mult is 0.
        Multiplier = "multiplier",
        /// The M bit, which is reserved, is set.
        Multipoint = "multipoint",
        /// My Discriminator is 0.
        MyDiscriminator = "my_discriminator",
        /// Your Discriminator names no session here: the peer remembers one of before a restart, for a moment.
        UnknownSession = "unknown_session",
        /// Your Discriminator names a session with another peer or on another interface.
        WrongPath = "wrong_path",
        /// Your Discriminator is 0 although the state is Init or Up.
        YourDiscriminator = "your_discriminator",
        /// Your Discriminator is 0, and no session is configured with this peer on this interface.
        UnknownPeer = "unknown_peer",
        /// It carries authentication, which is not configured here: MACsec protects the path already.
        Authentication = "authentication",
        /// Our side of the session is switched off.
        AdminDown = "admin_down",
    }

    /// Refused packets, one count per [`Refusal`].
    pub struct RefusalCounters;
}
