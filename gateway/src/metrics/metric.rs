//! What a metric is, before it has a value.

use std::borrow::Cow;

use prometheus_client::{metrics::MetricType, registry};

/// What every name begins with.
pub(super) const PREFIX: &str = "quadspan";

/// A metric: one line of the catalogue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metric {
    /// The name without prefix, unit and suffix.
    pub(super) stem: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// In what it is measured.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// It only grows, until the process starts anew.
    Counter,
    /// It is what it is now.
    Gauge,
    /// How many were how large: classes, their sum and number.
    Histogram,
    /// Always 1: its labels are what it tells. A gauge for whoever reads it, as readers of Prometheus' older text format know no other.
    Info,
}

/// In what a metric is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// In nothing that has a name of its own: frames, packets, prefixes; 0 or 1.
    One,
    /// Octets.
    Bytes,
    /// Seconds; a timestamp counts them from 1970-01-01T00:00:00Z.
    Seconds,
}

impl Metric {
    /// The name of the family: for the encoder, which puts prefix, unit and `_total` to it.
    pub(super) fn family(&self) -> Cow<'static, str> {
        match self.kind {
            Kind::Counter | Kind::Gauge => self.stem.into(),
            Kind::Histogram => format!("{}_{}", self.stem, self.unit.suffix().unwrap_or_default()).into(),
            Kind::Info => format!("{}_info", self.stem).into(),
        }
    }

    /// The unit, for the encoder. Its line may be left out, and some readers know none for histograms.
    pub(super) fn declared_unit(&self) -> Option<registry::Unit> {
        self.unit.for_encoder().filter(|_| self.kind != Kind::Histogram)
    }

    /// The names that stand in front of values: a histogram has three.
    pub fn samples(&self) -> Vec<String> {
        let name = self.name();
        match self.kind {
            Kind::Histogram => ["bucket", "sum", "count"].map(|part| format!("{name}_{part}")).to_vec(),
            Kind::Counter | Kind::Gauge | Kind::Info => vec![name],
        }
    }

    /// The name as it stands in front of a value (of a histogram: without `_bucket`, `_sum`, `_count`).
    pub fn name(&self) -> String {
        let unit = self.unit.suffix().map(|unit| format!("_{unit}")).unwrap_or_default();
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Histogram => "",
            Kind::Info => "_info",
        };
        format!("{PREFIX}_{}{unit}{suffix}", self.stem)
    }
}

impl Kind {
    /// What it is in words.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "gauge, always 1",
        }
    }

    pub(super) const fn for_encoder(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Histogram => MetricType::Histogram,
            Self::Gauge | Self::Info => MetricType::Gauge,
        }
    }
}

impl Unit {
    const fn suffix(self) -> Option<&'static str> {
        match self {
            Self::One => None,
            Self::Bytes => Some("bytes"),
            Self::Seconds => Some("seconds"),
        }
    }

    const fn for_encoder(self) -> Option<registry::Unit> {
        match self {
            Self::One => None,
            Self::Bytes => Some(registry::Unit::Bytes),
            Self::Seconds => Some(registry::Unit::Seconds),
        }
    }
}
