//! Numbers and times as people read them.

use core::fmt::Write as _;

/// A count with at most four digits: `0`, `9999`, `12.3k`, `4.56M`.
pub fn count(value: u64) -> String {
    if value < 10_000 { value.to_string() } else { scaled(value, "") }
}

/// Octets: `0 B`, `999 B`, `1.23 kB`, `4.56 GB`. Powers of ten.
pub fn octets(value: u64) -> String {
    if value < 1000 { format!("{value} B") } else { scaled(value, " ") + "B" }
}

fn scaled(value: u64, gap: &str) -> String {
    let units = ["k", "M", "G", "T", "P", "E"];
    let mut unit: u64 = 1000;
    let mut names = units.iter();
    let mut name = names.next().copied().unwrap_or_default();
    for next in names {
        // What would be rounded to 1000 takes the next unit.
        if u128::from(value) * 2 < u128::from(unit) * 1999 {
            break;
        }
        (unit, name) = (unit.saturating_mul(1000), next);
    }
    // Three digits, the last one cut, not rounded: 999.9 stays below 1000.
    let thousandths = u128::from(value) * 1000 / u128::from(unit);
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    match whole {
        0..=9 => format!("{whole}.{:02}{gap}{name}", rest / 10),
        10..=99 => format!("{whole}.{:01}{gap}{name}", rest / 100),
        _ => format!("{whole}{gap}{name}"),
    }
}

/// A time span in its two largest units: `0s`, `2m14s`, `4h05m`, `12d4h`.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let mut text = String::new();
    // Writing to a String does not fail.
    let _written = match seconds {
        0..60 => write!(text, "{seconds}s"),
        60..3600 => write!(text, "{minutes}m{:02}s", seconds % 60),
        3600..86400 => write!(text, "{hours}h{:02}m", minutes % 60),
        _ => write!(text, "{days}d{}h", hours % 24),
    };
    text
}

/// How long ago, or `-`. A time that is still to come is now.
pub fn ago(then: Option<jiff::Timestamp>, now: jiff::Timestamp) -> String {
    let Some(then) = then else { return "-".to_owned() };
    let seconds = u64::try_from(now.duration_since(then).as_secs()).unwrap_or(0);
    format!("{} ago", span(seconds))
}

/// How much of `limit` is used: `0.0 %`, `74.9 %`. Cut, not rounded.
pub fn percent(used: u64, limit: u64) -> String {
    let tenths = u128::from(used) * 1000 / u128::from(limit.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (value, as_count, as_octets) in [
            (0, "0", "0 B"),
            (999, "999", "999 B"),
            (1000, "1000", "1.00 kB"),
            (9_999, "9999", "9.99 kB"),
            (12_345, "12.3k", "12.3 kB"),
            (999_499, "999k", "999 kB"),
            (1_000_000, "1.00M", "1.00 MB"),
            (4_567_000_000, "4.56G", "4.56 GB"),
            (u64::MAX, "18.4E", "18.4 EB"),
        ] {
            assert_eq!((count(value).as_str(), octets(value).as_str()), (as_count, as_octets), "{value}");
        }
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (134, "2m14s"), (14_700, "4h05m"), (1_051_200, "12d4h")]
        {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn shares_are_cut() {
        assert_eq!(
            (percent(0, 0), percent(999, 1000), percent(u64::MAX, u64::MAX)),
            ("0.0 %".into(), "99.9 %".into(), "100.0 %".into())
        );
    }
}
