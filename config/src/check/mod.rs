//! Whether the sections fit together, and the [`Config`] they make if they do.
//!
//! Every check works with what could be read and stays silent about what could not, because that is a
//! problem already. The functions return `None` only after a finding, so a document without an error
//! gives a `Config`.

mod address;
mod bgp;
mod channel;
mod classes;
mod cloud_keys;
mod connection;
mod key;
mod lag;
mod macsec;
mod mka;
mod mtu;
mod names;
mod overlap;
mod port;
mod profile;
mod protection;
mod quality;
mod route;
mod transparent;
mod tunnel;

use std::time::SystemTime;

use core::time::Duration;

use crate::{
    model::{Config, Site},
    problem::{Report, Span},
    raw::{At, Document, items, time::Period},
    secret::SecretSource,
};
use names::Names;

/// What is not in the file.
pub(crate) struct Outside<'o> {
    /// Where keys are read.
    pub(crate) secrets: &'o dyn SecretSource,
    /// The time of day, if it matters.
    pub(crate) now: Option<SystemTime>,
}

/// Checks `document`; the configuration when nothing was wrong.
pub(crate) fn check(document: &Document, outside: &Outside<'_>, report: &mut Report) -> Option<Config> {
    let names = Names::collect(document, report);
    let ports = port::check(document, &names, report);
    let interconnects = port::interconnects(document, &names, report);
    let channels = channel::check(document, &names, outside, report);
    let lags = lag::check(document, &names, report);
    let connections = connection::check(document, &names, outside.secrets, report);
    let runtime = port::runtime(document, report);
    let site = document.site.as_ref().and_then(|site| site.value.name.as_ref());
    document.schema.as_ref()?;
    Some(Config {
        site: Site { name: site?.value.clone() },
        runtime: runtime?,
        ports: ports?,
        interconnects: interconnects?,
        channels: channels?,
        lags: lags?,
        connections: connections?,
    })
}

/// The place of a value, or of its section when it is not there.
fn span_of<T>(field: Option<&At<T>>, section: Span) -> Span {
    field.map_or(section, |at| at.span)
}

/// A value that may be left out, without its place.
fn given<T: Clone>(field: Option<&At<T>>) -> Option<T> {
    field.map(|at| at.value.clone())
}

/// A duration that may be left out.
fn lasting(field: Option<&At<Period>>) -> Option<Duration> {
    field.map(|at| at.value.0)
}

/// The values of a list, without their places.
fn values<T: Clone>(field: &Option<At<Vec<At<T>>>>) -> Vec<T> {
    items(field).iter().map(|at| at.value.clone()).collect()
}
