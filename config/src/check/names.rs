//! Names: each once, and every use of one leads to something.

use std::collections::BTreeMap;

use crate::{
    model::{Channel, Interconnect, Lag, Port, Ref},
    problem::{Code, Report, Span},
    raw::{At, Document, items, suggest},
};

/// The names of the things that others refer to.
pub(super) struct Names<'d> {
    pub(super) ports: Index<'d>,
    pub(super) interconnects: Index<'d>,
    pub(super) channels: Index<'d>,
    pub(super) lags: Index<'d>,
}

impl<'d> Names<'d> {
    /// Collects all names and reports those that stand twice, connections' included.
    pub(super) fn collect(document: &'d Document, report: &mut Report) -> Self {
        let connections = items(&document.connection).iter().map(|at| at.value.name.as_ref());
        let ports = items(&document.port).iter().map(|at| at.value.name.as_ref());
        let interconnects = items(&document.interconnect).iter().map(|at| at.value.name.as_ref());
        let channels = items(&document.channel).iter().map(|at| at.value.name.as_ref());
        let lags = items(&document.lag).iter().map(|at| at.value.name.as_ref());
        let whole = |what| !document.is_wrong(what);
        Index::collect("connection", whole("connection"), connections, report);
        Self {
            ports: Index::collect("port", whole("port"), ports, report),
            interconnects: Index::collect("interconnect", whole("interconnect"), interconnects, report),
            channels: Index::collect("channel", whole("channel"), channels, report),
            lags: Index::collect("LAG", whole("lag"), lags, report),
        }
    }

    pub(super) fn port(&self, name: &At<String>, report: &mut Report) -> Option<Ref<Port>> {
        self.ports.resolve(name, report)
    }

    pub(super) fn interconnect(&self, name: &At<String>, report: &mut Report) -> Option<Ref<Interconnect>> {
        self.interconnects.resolve(name, report)
    }

    pub(super) fn lag(&self, name: &At<String>, report: &mut Report) -> Option<Ref<Lag>> {
        self.lags.resolve(name, report)
    }

    pub(super) fn channel(&self, name: &At<String>, report: &mut Report) -> Option<Ref<Channel>> {
        self.channels.resolve(name, report)
    }
}

/// Where each name of one kind is in its list.
pub(super) struct Index<'d> {
    what: &'static str,
    places: BTreeMap<&'d str, (usize, Span)>,
    /// False when a name could not be read, so that a name that is not here may still be right.
    complete: bool,
}

impl<'d> Index<'d> {
    fn collect(
        what: &'static str,
        complete: bool,
        names: impl Iterator<Item = Option<&'d At<String>>>,
        report: &mut Report,
    ) -> Self {
        let mut index = Self { what, places: BTreeMap::new(), complete };
        for (at, name) in names.enumerate() {
            let Some(name) = name else {
                index.complete = false;
                continue;
            };
            if let Some((_, first)) = index.places.get(name.value.as_str()) {
                report
                    .add(Code::DuplicateName, name.span, format!("two {what}s are called `{}`", name.value))
                    .label("again here")
                    .also(*first, "first here")
                    .help("give each a name of its own");
            } else {
                index.places.insert(&name.value, (at, name.span));
            }
        }
        index
    }

    /// The place of a name without a word about it.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).map(|(at, _)| *at)
    }

    /// What `name` refers to, or `None` after a finding.
    fn resolve<T>(&self, name: &At<String>, report: &mut Report) -> Option<Ref<T>> {
        let place = self.place(&name.value);
        if place.is_none() && self.complete {
            let known: Vec<_> = self.places.keys().copied().collect();
            let message = format!("there is no {} called `{}`", self.what, name.value);
            let found = report.add(Code::UnknownReference, name.span, message);
            suggest(found, &name.value, &known, &format!("{}s are called", self.what));
            if known.is_empty() {
                let section = self.what.to_lowercase();
                found.help(format!("add a section [[{section}]] with name = \"{}\"", name.value));
            }
        }
        place.map(|at| Ref::new(at, &name.value))
    }
}
