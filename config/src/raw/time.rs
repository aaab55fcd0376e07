//! Kinds of values that have to do with time: how long something lasts, and when something happens.

use core::{fmt, time::Duration};
use std::{borrow::Cow, time::SystemTime};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use toml::{Spanned, de::DeValue};

use super::tree::{Kind, quoted, wrong_type};
use crate::problem::{Code, Report};

/// How long something lasts, written as people do: `500ms`, `2s`, `1h30m`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Period(pub(crate) Duration);

/// What may stand behind a number, longest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Period {
    pub(crate) const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// `None` unless the text is one or more of a whole number and a unit, the units falling.
    fn parse(text: &str) -> Option<Self> {
        let (mut rest, mut millis, mut units) = (text, 0_u64, UNITS.as_slice());
        while !rest.is_empty() {
            let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
            let (unit, next) =
                behind.split_at(behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len()));
            let at = units.iter().position(|(name, _)| *name == unit)?;
            let (_, size) = units.get(at)?;
            millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(*size)?)?;
            (rest, units) = (next, units.get(at + 1..)?);
        }
        (!text.is_empty()).then_some(Self::millis(millis))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in UNITS {
            if left >= size {
                write!(f, "{}{unit}", left / size)?;
                left %= size;
            }
        }
        Ok(())
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// For `#[serde(serialize_with)]`: a duration in the words of the file.
pub(crate) fn serialize_period<S: Serializer>(lasting: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    Period(*lasting).serialize(serializer)
}

/// A duration from `MIN` to `MAX` milliseconds.
#[derive(Debug)]
pub(crate) enum Lasting<const MIN: u64, const MAX: u64> {}

impl<const MIN: u64, const MAX: u64> JsonSchema for Lasting<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Lasting_{MIN}_{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+(d|h|m|s|ms))+$", "examples": ["500ms", "2s", "8h"] })
    }
}

impl<const MIN: u64, const MAX: u64> Kind for Lasting<MIN, MAX> {
    type Value = Period;
    const EXAMPLE: &'static str = "\"2s\"";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Period> {
        let span = value.span().into();
        let Some(text) = value.get_ref().as_str() else {
            wrong_type::<Self>(value, "a duration in quotes", report);
            return None;
        };
        let Some(period) = Period::parse(text) else {
            report.add(Code::Malformed, span, format!("{} is not a duration", quoted(text))).help(
                "a whole number and its unit, such as \"500ms\", \"2s\", \"30m\", \"8h\", \"1h30m\", \"7d\"",
            );
            return None;
        };
        let (least, most) = (Period::millis(MIN), Period::millis(MAX));
        if period < least || period > most {
            report
                .add(Code::OutOfRange, span, format!("{period} is out of range"))
                .label(format!("{least} to {most}"))
                .help(format!("write a duration from {least} to {most}"));
            return None;
        }
        Some(period)
    }
}

/// A moment, as RFC 3339 writes it, with its offset from UTC; with or without quotes.
#[derive(Debug)]
pub(crate) enum Moment {}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "examples": ["2027-01-01T02:00:00Z"] })
    }
}

impl Kind for Moment {
    type Value = SystemTime;
    const EXAMPLE: &'static str = "2027-01-01T02:00:00Z";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<SystemTime> {
        let date = value.get_ref().as_datetime().map(ToString::to_string);
        let Some(text) = date.as_deref().or_else(|| value.get_ref().as_str()) else {
            wrong_type::<Self>(value, "a date and time", report);
            return None;
        };
        let moment = text.parse::<jiff::Timestamp>().ok().map(SystemTime::from);
        if moment.is_none() {
            let why = if text.parse::<jiff::civil::DateTime>().is_ok() {
                "does not say in which time zone"
            } else {
                "is not a date and time as RFC 3339 writes it"
            };
            report
                .add(Code::Malformed, value.span().into(), format!("{} {why}", quoted(text)))
                .help(format!("for example {}, or with an offset in place of Z: +01:00", Self::EXAMPLE));
        }
        moment
    }
}

/// For `#[serde(serialize_with)]`: a moment as RFC 3339 writes it, in UTC.
pub(crate) fn serialize_moment<S: Serializer>(
    moment: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    moment.map(moment_text).serialize(serializer)
}

/// A moment as RFC 3339 writes it, in UTC.
pub(crate) fn moment_text(moment: SystemTime) -> String {
    jiff::Timestamp::try_from(moment).map_or_else(|_| "never".to_owned(), |moment| moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_units_and_written_in_the_same() {
        for (text, millis, written) in [
            ("500ms", 500, "500ms"),
            ("2s", 2000, "2s"),
            ("90s", 90_000, "1m30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("28800s", 28_800_000, "8h"),
            ("1d12h", 129_600_000, "1d12h"),
            ("0s", 0, "0s"),
        ] {
            let period = Period::parse(text);
            assert_eq!(period, Some(Period::millis(millis)), "{text}");
            assert_eq!(period.unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let no = [
            "",
            "s",
            "2",
            "2 s",
            "-2s",
            "2.5s",
            "2sec",
            "30m1h",
            "1s1s",
            "99999999999999999999s",
            "9999999999999999d",
            "2é",
        ];
        for text in no {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }
}
