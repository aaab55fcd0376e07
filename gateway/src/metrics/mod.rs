//! Metrics: what the API tells, as numbers with names, in the text format of OpenMetrics 1.0.
//!
//! `GET /metrics` on the API's socket, and on an address of its own where `runtime.metrics` names one. Every name stands in
//! [`catalog`], once: the page, `docs/METRICS.md` and `quadspan explain metric:NAME` are made of it.
//!
//! A page is filled from the documents of the API ([`fill`]), which are computed from one set of [`Facts`], and from the failover record, so metrics and
//! `show` cannot disagree. Nothing is counted for metrics: the path of a frame does not know of them, and whoever does not
//! scrape pays nothing.
//!
//! Rules: the prefix `quadspan_`; base units (seconds, octets as `bytes`); moments as timestamps, never as ages, so that a
//! page does not change while nothing happens; a label takes its values from the configuration or from a closed list of
//! ours, never from what a peer sends, so a peer cannot make series; what is not known (a worker does not answer) is left
//! out, never zero: a counter that falls looks like a restart.

mod catalog;
mod fill;
mod metric;
mod page;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use metric::{Kind, Metric, Unit};

use crate::{api::Facts, events::Sums};

/// What [`text`] is, for HTTP.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every metric, in the order of the page.
pub const ALL: &[Metric] = catalog::ALL;

/// All metrics of a gateway, as OpenMetrics text.
pub(crate) fn text(facts: &Facts, changes: &Sums) -> String {
    fill::page(facts, changes).text()
}
