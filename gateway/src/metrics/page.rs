//! One scrape: values by metric and labels, and their text.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet, text},
    metrics::exemplar::Exemplar,
    registry::Registry,
};

use crate::events::{BOUNDS, Histogram};

use super::{
    catalog,
    metric::{Metric, PREFIX},
};

/// The values of one moment.
#[derive(Debug, Default)]
pub(super) struct Page(BTreeMap<&'static str, BTreeMap<Vec<String>, Value>>);

/// A value.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Count(u64),
    Seconds(f64),
    Whole(u64),
    Real(f64),
    Classes(Histogram),
}

impl Page {
    /// Adds to a counter. Two things of the same labels are one series.
    pub(super) fn count(&mut self, metric: &Metric, labels: &[&str], value: u64) {
        let known = self.place(metric, labels).or_insert(Value::Count(0));
        if let Value::Count(sum) = known {
            *sum = sum.saturating_add(value);
        }
    }

    /// A counter of seconds, which came to so many nanoseconds.
    pub(super) fn spent(&mut self, metric: &Metric, labels: &[&str], nanos: u64) {
        let seconds = core::time::Duration::from_nanos(nanos).as_secs_f64();
        self.place(metric, labels).insert_entry(Value::Seconds(seconds));
    }

    /// A number that goes up and down.
    pub(super) fn whole(&mut self, metric: &Metric, labels: &[&str], value: u64) {
        self.place(metric, labels).insert_entry(Value::Whole(value));
    }

    /// The same of things that are held in memory.
    pub(super) fn size(&mut self, metric: &Metric, labels: &[&str], value: usize) {
        self.whole(metric, labels, u64::try_from(value).unwrap_or(u64::MAX));
    }

    /// 1 when it is so, 0 when it is not.
    pub(super) fn flag(&mut self, metric: &Metric, labels: &[&str], value: bool) {
        self.whole(metric, labels, u64::from(value));
    }

    /// Microseconds, as seconds.
    pub(super) fn micros(&mut self, metric: &Metric, labels: &[&str], micros: u64) {
        let seconds = core::time::Duration::from_micros(micros).as_secs_f64();
        self.place(metric, labels).insert_entry(Value::Real(seconds));
    }

    /// A moment.
    pub(super) fn moment(&mut self, metric: &Metric, labels: &[&str], at: Timestamp) {
        self.place(metric, labels).insert_entry(Value::Real(at.as_duration().as_secs_f64()));
    }

    /// Labels that tell something.
    pub(super) fn info(&mut self, metric: &Metric, labels: &[&str]) {
        self.place(metric, labels).insert_entry(Value::Whole(1));
    }

    /// How many were how large.
    pub(super) fn classes(&mut self, metric: &Metric, labels: &[&str], classes: &Histogram) {
        self.place(metric, labels).insert_entry(Value::Classes(classes.clone()));
    }

    /// The page as OpenMetrics text.
    pub(super) fn text(self) -> String {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut out = String::new();
        // Writing to a String does not fail.
        let _written = text::encode(&mut out, &registry);
        out
    }

    fn place(
        &mut self,
        metric: &Metric,
        labels: &[&str],
    ) -> std::collections::btree_map::Entry<'_, Vec<String>, Value> {
        assert_eq!(metric.labels.len(), labels.len(), "{} has other labels", metric.stem);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.0.entry(metric.stem).or_default().entry(labels)
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in catalog::ALL {
            let Some(series) = self.0.get(metric.stem) else { continue };
            let unit = metric.declared_unit();
            let name = metric.family();
            let mut family =
                encoder.encode_descriptor(&name, metric.help, unit.as_ref(), metric.kind.for_encoder())?;
            for (values, value) in series {
                let labels = Labels { names: metric.labels, values };
                if values.is_empty() {
                    value.encode(&mut family)?;
                } else {
                    value.encode(&mut family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        const NONE: Option<&Exemplar<NoLabelSet, f64>> = None;
        match self {
            Self::Count(value) => encoder.encode_counter(value, NONE),
            Self::Seconds(value) => encoder.encode_counter(value, NONE),
            Self::Whole(value) => encoder.encode_gauge(value),
            Self::Real(value) => encoder.encode_gauge(value),
            Self::Classes(all) => {
                let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
                let classes: Vec<_> = bounds.zip(all.counts).collect();
                encoder.encode_histogram::<NoLabelSet>(all.sum, all.count, &classes, None)
            }
        }
    }
}

/// Label names of the catalogue with the values of a series.
struct Labels<'a> {
    names: &'static [&'static str],
    values: &'a [String],
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let pairs: Vec<_> = self.names.iter().copied().zip(self.values.iter()).collect();
        pairs.encode(encoder)
    }
}
