//! Durations as people write them: a number and a unit, such as `300ms`, `90s`, `5m`, `8h`, `2d`.

use core::time::Duration;
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::{Spanned, de::DeValue};

use super::tree::{Kind, quoted, wrong_type};
use crate::problem::{Code, Report};

/// A duration from `MIN` to `MAX` milliseconds.
#[derive(Debug)]
pub(crate) enum Time<const MIN: u64, const MAX: u64> {}

impl<const MIN: u64, const MAX: u64> JsonSchema for Time<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Time_{MIN}_{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["90s"] })
    }
}

impl<const MIN: u64, const MAX: u64> Kind for Time<MIN, MAX> {
    type Value = Duration;
    const EXAMPLE: &'static str = "\"90s\"";

    fn read(value: &Spanned<DeValue<'_>>, report: &mut Report) -> Option<Duration> {
        let Some(text) = value.get_ref().as_str() else {
            wrong_type::<Self>(value, "a duration in quotes, a number with its unit,", report);
            return None;
        };
        let Some(millis) = millis(text) else {
            let message = format!("{} is not a duration: a number and one of ms, s, m, h, d", quoted(text));
            report
                .add(Code::Malformed, value.span().into(), message)
                .help("for example \"300ms\" or \"90s\"");
            return None;
        };
        if !(MIN..=MAX).contains(&millis) {
            report
                .add(Code::OutOfRange, value.span().into(), format!("{} is out of range", quoted(text)))
                .label(format!("{} to {}", text_of(MIN), text_of(MAX)))
                .help(format!("write a duration from {} to {}", text_of(MIN), text_of(MAX)));
            return None;
        }
        Some(Duration::from_millis(millis))
    }
}

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

fn millis(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = UNITS.iter().find(|(known, _)| *known == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that gives a whole number.
fn text_of(millis: u64) -> String {
    let unit = UNITS.iter().rev().find(|(_, factor)| millis.is_multiple_of(*factor) && millis > 0);
    unit.map_or_else(|| "0s".to_owned(), |(name, factor)| format!("{}{name}", millis / factor))
}

/// A duration in the words of the file.
pub(crate) fn written(duration: Duration) -> String {
    text_of(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_make_a_duration() {
        for (text, expected) in [
            ("300ms", Some(300)),
            ("90s", Some(90_000)),
            ("5m", Some(300_000)),
            ("8h", Some(28_800_000)),
            ("2d", Some(172_800_000)),
            ("0s", Some(0)),
            ("90", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("1 s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
        assert_eq!(
            [text_of(0), text_of(300), text_of(90_000), text_of(120_000)],
            ["0s", "300ms", "90s", "2m"]
        );
    }
}
