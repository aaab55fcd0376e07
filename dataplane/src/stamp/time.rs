//! NTP timestamps (RFC 5905 §6, 64 bits) and error estimates (RFC 4656 §4.1.2).

use core::time::Duration;

use net::Instant;

/// Seconds since 1900 and a fraction, modulo 2^32 seconds: the next wrap is in 2036 and does no harm to differences.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ntp(pub u64);

/// 1970 in NTP's count of seconds.
const UNIX_EPOCH: u64 = 2_208_988_800;
const NANOS: u128 = 1_000_000_000;

impl Ntp {
    /// The time so long after 1970.
    pub fn from_unix(since: Duration) -> Self {
        let seconds = since.as_secs().wrapping_add(UNIX_EPOCH) << 32;
        Self(seconds.wrapping_add(fraction(since.subsec_nanos().into())))
    }

    /// This much later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        let seconds = delay.as_secs() << 32;
        Self(self.0.wrapping_add(seconds).wrapping_add(fraction(delay.subsec_nanos().into())))
    }

    /// Nanoseconds from `earlier` to this; negative when it is before. Right within 68 years either way.
    pub fn nanos_since(self, earlier: Self) -> i64 {
        let difference = i128::from(self.0.wrapping_sub(earlier.0).cast_signed());
        let nanos = (difference * i128::from(1_000_000_000_u32)) >> 32;
        i64::try_from(nanos).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    }
}

/// Nanoseconds below a second as parts of 2^32, rounded up so that the way back gives the same number.
fn fraction(nanos: u128) -> u64 {
    u64::try_from((nanos << 32).div_ceil(NANOS)).unwrap_or(0)
}

/// What wall time it was at [`Instant::ZERO`], and how well that is known. The shell makes one, again after each step of the clock.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// Wall time at [`Instant::ZERO`].
    pub start: Ntp,
    /// How far it may be off.
    pub error: ErrorEstimate,
}

impl WallClock {
    /// Wall time now.
    pub fn at(&self, now: Instant) -> Ntp {
        self.start.after(now.since(Instant::ZERO))
    }
}

/// How far a clock may be off: `multiplier * 2^(scale - 32)` seconds, RFC 4656 §4.1.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ErrorEstimate {
    /// S: the clock follows UTC by an outside source.
    pub synchronized: bool,
    /// Z: timestamps are in PTP's format instead of NTP's (RFC 8762 §4.1.1, RFC 8186). Ours never are.
    pub ptp: bool,
    /// 0..=63.
    pub scale: u8,
    /// 1..=255; 0 is invalid.
    pub multiplier: u8,
}

impl ErrorEstimate {
    /// The smallest estimate that is not less than `error`.
    pub fn of(error: Duration, synchronized: bool) -> Self {
        let mut parts = (error.as_nanos() << 32).div_ceil(NANOS).max(1);
        let mut scale = 0;
        while parts > 255 && scale < 63 {
            parts = parts.div_ceil(2);
            scale += 1;
        }
        Self { synchronized, ptp: false, scale, multiplier: u8::try_from(parts).unwrap_or(u8::MAX) }
    }

    /// From its two octets; `None` when the multiplier is 0.
    pub const fn parse([high, multiplier]: [u8; 2]) -> Option<Self> {
        if multiplier == 0 {
            return None;
        }
        Some(Self { synchronized: high & 0x80 != 0, ptp: high & 0x40 != 0, scale: high & 0x3f, multiplier })
    }

    /// Its two octets.
    pub fn octets(self) -> [u8; 2] {
        let flags = u8::from(self.synchronized) << 7 | u8::from(self.ptp) << 6;
        [flags | self.scale & 0x3f, self.multiplier]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_5905_6_timestamps_and_back() {
        assert_eq!(Ntp::from_unix(Duration::ZERO).0 >> 32, UNIX_EPOCH);
        let half = Ntp::from_unix(Duration::new(1, 500_000_000));
        assert_eq!(half.0, (UNIX_EPOCH + 1) << 32 | 0x8000_0000);
        for nanos in [0, 1, 2, 3, 999_999_999, 1_000_000_000, 123_456_789_012] {
            let later = half.after(Duration::from_nanos(nanos));
            assert!((later.nanos_since(half) - i64::try_from(nanos).unwrap()).abs() <= 1, "{nanos}");
            assert!((half.nanos_since(later) + i64::try_from(nanos).unwrap()).abs() <= 1, "{nanos}");
        }
        // Era 1 begins in 2036.
        let end = Ntp(u64::MAX);
        assert!((end.after(Duration::from_secs(3)).nanos_since(end) - 3_000_000_000).abs() <= 1);
    }

    #[test]
    fn rfc_4656_4_1_2_estimates_never_promise_too_much() {
        for nanos in [1, 100, 1_000, 1_000_000, 50_000_000, 10_000_000_000] {
            let estimate = ErrorEstimate::of(Duration::from_nanos(nanos), true);
            let seconds = f64::from(estimate.multiplier) * 2f64.powi(i32::from(estimate.scale) - 32);
            let right = Duration::from_nanos(nanos).as_secs_f64();
            assert!(seconds >= right && seconds <= right * 1.02 + 3e-10, "{nanos}: {seconds}");
            assert_eq!(ErrorEstimate::parse(estimate.octets()), Some(estimate));
        }
        assert_eq!(ErrorEstimate::parse([0x80, 0]), None);
    }
}
