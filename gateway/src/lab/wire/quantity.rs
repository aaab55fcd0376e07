//! Shares, rates, times and sizes as people type them: `5%`, `100M`, `20ms`, `256k`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is no quantity of the kind that was asked for.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("`{text}` is not {wanted}")]
pub struct NotAQuantity {
    text: String,
    wanted: &'static str,
}

/// A share of all frames, in millionths: 0 to 1 000 000. As text in per cent, with up to four digits after the point.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Share(u32);

impl Share {
    /// No frame.
    pub const NONE: Self = Self(0);
    /// Every frame.
    pub const ALL: Self = Self(MILLION);

    /// So many of a million; more than a million is all.
    #[must_use]
    pub const fn millionths(number: u32) -> Self {
        if number > MILLION { Self::ALL } else { Self(number) }
    }

    /// So many of a hundred; more than a hundred is all.
    #[must_use]
    pub const fn percent(number: u32) -> Self {
        Self::millionths(number.saturating_mul(MILLION / 100))
    }

    /// Whether `draw`, evenly spread over all numbers, falls into this share.
    #[must_use]
    pub(super) const fn takes(self, draw: u64) -> bool {
        // The upper 32 bits, scaled to a million without a division: exact to 2^-32.
        self.0 > 0 && ((draw >> 32) * 1_000_000) >> 32 < u32_to_u64(self.0)
    }
}

/// `u64::from` in a constant.
const fn u32_to_u64(number: u32) -> u64 {
    let [a, b, c, d] = number.to_be_bytes();
    u64::from_be_bytes([0, 0, 0, 0, a, b, c, d])
}

impl TryFrom<u32> for Share {
    type Error = NotAQuantity;

    fn try_from(number: u32) -> Result<Self, NotAQuantity> {
        if number <= MILLION { Ok(Self(number)) } else { Err(no(&number.to_string(), SHARE)) }
    }
}

impl From<Share> for u32 {
    fn from(share: Share) -> Self {
        share.0
    }
}

impl FromStr for Share {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        let share = decimal(digits, 4).and_then(|number| u32::try_from(number).ok());
        share.filter(|&number| number <= MILLION).map(Self).ok_or_else(|| no(text, SHARE))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        let digits = format!("{whole}.{rest:04}");
        write!(f, "{} %", digits.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Bits per second, at least 1000. As text with `k`, `M` or `G`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Rate(u64);

impl Rate {
    /// The slowest: a frame of 1500 octets takes twelve seconds.
    pub const SLOWEST: Self = Self(1000);

    /// Bits per second; less than [`Rate::SLOWEST`] is that.
    #[must_use]
    pub const fn bits_per_second(number: u64) -> Self {
        if number < Self::SLOWEST.0 { Self::SLOWEST } else { Self(number) }
    }

    /// How long `octets` take.
    #[must_use]
    pub(super) fn time_for(self, octets: u64) -> Duration {
        let nanos = u128::from(octets).saturating_mul(8_000_000_000) / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl TryFrom<u64> for Rate {
    type Error = NotAQuantity;

    fn try_from(number: u64) -> Result<Self, NotAQuantity> {
        if number >= Self::SLOWEST.0 { Ok(Self(number)) } else { Err(no(&number.to_string(), RATE)) }
    }
}

impl From<Rate> for u64 {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

impl FromStr for Rate {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        scaled(text, 1000).and_then(|number| Self::try_from(number).ok()).ok_or_else(|| no(text, RATE))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("G", 1_000_000_000), ("M", 1_000_000), ("k", 1000)] {
            if self.0.is_multiple_of(size) {
                return write!(f, "{} {unit}bit/s", self.0 / size);
            }
        }
        write!(f, "{} bit/s", self.0)
    }
}

/// Reads octets: `64k`, `1M`, by 1024.
///
/// # Errors
/// [`NotAQuantity`] when it is none.
pub fn octets(text: &str) -> Result<u32, NotAQuantity> {
    scaled(text, 1024).and_then(|number| u32::try_from(number).ok()).ok_or_else(|| no(text, OCTETS))
}

/// Reads a time of up to a minute: `20ms`, `500us`, `1s`, `0.5s`.
///
/// # Errors
/// [`NotAQuantity`] when it is none.
pub fn time(text: &str) -> Result<Duration, NotAQuantity> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(unit).unwrap_or((text, ""));
    let places = match unit {
        "s" => 9,
        "ms" => 6,
        "us" => 3,
        _ => return Err(no(text, TIME)),
    };
    let time = decimal(digits, places).map(Duration::from_nanos);
    time.filter(|&time| time <= LONGEST).ok_or_else(|| no(text, TIME))
}

/// A decimal number times ten to the power of `places`; `None` when digits are left.
fn decimal(text: &str, places: u32) -> Option<u64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(rest) || (rest.is_empty() && text.contains('.'))
    {
        return None;
    }
    let missing = places.checked_sub(u32::try_from(rest.len()).ok()?)?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(10_u64.checked_pow(places)?)?;
    let rest = if rest.is_empty() { 0 } else { rest.parse::<u64>().ok()? };
    whole.checked_add(rest.checked_mul(10_u64.checked_pow(missing)?)?)
}

fn scaled(text: &str, step: u64) -> Option<u64> {
    let (digits, factor) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (text.get(..at)?, step),
        (at, 'M') => (text.get(..at)?, step.checked_pow(2)?),
        (at, 'G') => (text.get(..at)?, step.checked_pow(3)?),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn no(text: &str, wanted: &'static str) -> NotAQuantity {
    NotAQuantity { text: text.to_owned(), wanted }
}

const MILLION: u32 = 1_000_000;
const LONGEST: Duration = Duration::from_secs(60);
const SHARE: &str = "a share: write 5% or 0.1%, at most 100%";
const RATE: &str = "a rate of at least 1k: write bits per second as 500k, 100M or 1G";
const OCTETS: &str = "a number of octets: write 64k or 1M";
const TIME: &str = "a time of at most 60s: write 500us, 20ms or 1.5s";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_written_in_per_cent() {
        for (text, millionths, shown) in
            [("5%", 50_000, "5 %"), ("0.1", 1000, "0.1 %"), ("100%", MILLION, "100 %"), ("0", 0, "0 %")]
        {
            let share: Share = text.parse().unwrap();
            assert_eq!((u32::from(share), share.to_string().as_str()), (millionths, shown));
        }
        for bad in ["", "%", "101", "-1", "5.", ".5", "0.00001", "five", "1e1"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_share_takes_its_part_of_all_numbers() {
        assert!(!Share::NONE.takes(0) && Share::ALL.takes(u64::MAX));
        assert!(Share::percent(50).takes((1 << 63) - 1) && !Share::percent(50).takes(1 << 63));
    }

    #[test]
    fn rates_sizes_and_times_have_units() {
        let rate = |text: &str| text.parse::<Rate>();
        assert_eq!(rate("100M").unwrap().to_string(), "100 Mbit/s");
        assert_eq!(rate("1500k").unwrap(), Rate::bits_per_second(1_500_000));
        assert_eq!(Rate::bits_per_second(8_000_000).time_for(1000), Duration::from_millis(1));
        assert!(rate("999").is_err() && rate("1T").is_err() && rate("99999999999G").is_err());
        assert_eq!((octets("64k").unwrap(), octets("10").unwrap()), (65_536, 10));
        for (text, nanos) in [("20ms", 20_000_000), ("500us", 500_000), ("1.5s", 1_500_000_000)] {
            assert_eq!(time(text).unwrap(), Duration::from_nanos(nanos));
        }
        for bad in ["20", "61s", "ms", "1.s", "0.0001us", "1h"] {
            assert!(time(bad).is_err(), "{bad}");
        }
        assert!(time("20").unwrap_err().to_string().contains("20ms"), "the remedy is in the message");
    }
}
