//! What is configured of a session.

use core::{net::IpAddr, num::NonZeroU8, time::Duration};

use super::Control;

/// How often packets go, and how many may be missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BfdTimers {
    pub(super) min_tx: Duration,
    pub(super) min_rx: Duration,
    pub(super) multiplier: NonZeroU8,
}

/// Why timers are refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BfdTimersError {
    /// An interval is out of range.
    #[error("a BFD interval is between 10 ms and 30 s")]
    Interval,
    /// The multiplier is 0.
    #[error("the BFD multiplier is at least 1")]
    Multiplier,
}

net::carry!(BfdTimers { min_tx, min_rx, multiplier });

impl BfdTimers {
    /// The shortest interval.
    pub const LEAST: Duration = Duration::from_millis(10);
    /// The longest interval.
    pub const MOST: Duration = Duration::from_secs(30);

    /// Packets are sent every `min_tx` and received every `min_rx`, or as much slower as the peer wants; the peer is
    /// to miss `multiplier` of ours before it gives up. Parts of a microsecond are cut off: the wire has none.
    ///
    /// # Errors
    /// When an interval is not within 10 ms to 30 s, or the multiplier is 0.
    pub fn new(min_tx: Duration, min_rx: Duration, multiplier: u8) -> Result<Self, BfdTimersError> {
        let whole = |time: Duration| {
            let micros = u64::try_from(time.as_micros()).map_err(|_| BfdTimersError::Interval)?;
            let fits = (Self::LEAST..=Self::MOST).contains(&time);
            if fits { Ok(Duration::from_micros(micros)) } else { Err(BfdTimersError::Interval) }
        };
        let multiplier = NonZeroU8::new(multiplier).ok_or(BfdTimersError::Multiplier)?;
        Ok(Self { min_tx: whole(min_tx)?, min_rx: whole(min_rx)?, multiplier })
    }

    /// Desired Min TX Interval while Up.
    pub const fn min_tx(self) -> Duration {
        self.min_tx
    }

    /// Required Min RX Interval.
    pub const fn min_rx(self) -> Duration {
        self.min_rx
    }

    /// Detect Mult.
    pub const fn multiplier(self) -> u8 {
        self.multiplier.get()
    }
}

/// What a session's state means for its path (RFC 5882 §4).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BfdMode {
    /// A session that was never Up says nothing: the peer may not speak BFD. From then on Down is a fault.
    #[default]
    Follow,
    /// The path is not used before the session is Up.
    Strict,
}

/// How far away the peer is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Hops {
    /// On the link (RFC 5881): UDP port 3784, and packets that a router forwarded are refused.
    #[default]
    One,
    /// Behind routers (RFC 5883): UDP port 4784, packets with fewer hops left than this are refused.
    Several {
        /// The least TTL or hop limit to accept, 1..=255.
        least: u8,
    },
}

impl Hops {
    /// The UDP port.
    pub const fn port(self) -> u16 {
        match self {
            Self::One => super::SINGLE_HOP_PORT,
            Self::Several { .. } => super::MULTIHOP_PORT,
        }
    }

    /// The least TTL or hop limit to accept.
    pub const fn least(self) -> u8 {
        match self {
            Self::One => 255,
            Self::Several { least } => least,
        }
    }
}

/// One session of an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BfdParams {
    /// The peer's address.
    pub peer: IpAddr,
    /// How often, how many.
    pub timers: BfdTimers,
    /// What it means for the path.
    pub mode: BfdMode,
    /// How far away the peer is.
    pub hops: Hops,
    /// What we say in the C bit: that a silence of ours is the death of forwarding, and nothing to wait for. False where
    /// the peer is to keep routes while this gateway, its BFD included, restarts (RFC 5882 §4.3).
    pub independent: bool,
}

// What we send always fits the 32 bits of microseconds that a packet has.
const _: () = assert!(BfdTimers::MOST.as_micros() < 1 << 32 && Control::LEN == 24);
