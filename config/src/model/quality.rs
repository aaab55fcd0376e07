//! What a path may be like.

use core::time::Duration;

use serde::{Serialize, Serializer};

use super::{Password, QualityAction};
use crate::raw::time::serialize_period;

/// How the quality of a connection's paths is measured and judged.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Quality {
    /// Between probes: 10 ms to 1 s.
    #[serde(serialize_with = "serialize_period")]
    pub interval: Duration,
    /// A later reply is a lost one: 10 ms to 1 s.
    #[serde(serialize_with = "serialize_period")]
    pub timeout: Duration,
    /// Lost probes that are good enough, both ways together, in parts per million.
    #[serde(serialize_with = "percent")]
    pub loss: u32,
    /// Mean round trip that is.
    #[serde(serialize_with = "optional_period", skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
    /// Mean delay variation that is, in the worse direction.
    #[serde(serialize_with = "optional_period", skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Duration>,
    /// Seconds that make a path bad, 1 to 64.
    pub leave_after: u8,
    /// Seconds that make it good again, 1 to 64.
    pub return_after: u8,
    /// How much of each threshold it must stay within for that, 0 to 100.
    pub return_within: u8,
    /// What a bad path means.
    pub action: QualityAction,
    /// The key of authenticated mode (RFC 8762 §4.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Password>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn percent<S: Serializer>(ppm: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    let (whole, parts) = (ppm / 10_000, ppm % 10_000);
    let text = format!("{whole}.{parts:04}");
    serializer.collect_str(&format_args!("{}%", text.trim_end_matches('0').trim_end_matches('.')))
}

fn optional_period<S: Serializer>(period: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match period {
        Some(period) => serialize_period(period, serializer),
        None => serializer.serialize_none(),
    }
}
