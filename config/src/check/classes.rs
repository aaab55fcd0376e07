//! `[[connection.duplicate.class]]`: classes that some packet is of, and that do not get into each other's way.
//!
//! The first class that a packet fits is its class. So a class of which an earlier one leaves nothing is a mistake, and so is a
//! prefix inside of another one of the same list: whoever wrote it expected something of it.

use net::{Dscp, IpNet};

use super::{given, route::stray_bits, values};
use crate::{
    model::{DuplicateClass, Mode, Protection},
    problem::{Code, Report, Span},
    raw::{self, At, Connection, items},
};

/// The classes that a connection names; not those of one that has no use for them.
fn named(connection: &Connection) -> &[At<raw::DuplicateClass>] {
    connection.duplicate.as_ref().map_or(&[], |at| items(&at.value.class))
}

/// Whether frames of a connection may carry a redundancy tag.
pub(super) fn tags(connection: &Connection) -> bool {
    connection.protection() == Protection::Duplicate || !named(connection).is_empty()
}

/// The classes, as far as they can be read.
pub(super) fn model(connection: &Connection) -> Vec<DuplicateClass> {
    named(connection).iter().filter_map(|at| of(&at.value)).collect()
}

fn of(class: &raw::DuplicateClass) -> Option<DuplicateClass> {
    Some(DuplicateClass {
        name: given(class.name.as_ref())?,
        dscp: values(&class.dscp),
        sources: values(&class.source),
        destinations: values(&class.destination),
    })
}

/// Refuses classes that are not what their writer believes.
pub(super) fn check(connection: &Connection, report: &mut Report) {
    let classes = named(connection);
    let Some(first) = classes.first() else { return };
    if connection.mode() == Mode::Transparent {
        report
            .add(
                Code::Transparent,
                first.span,
                "classes are of IP packets, and a transparent connection passes frames as they are",
            )
            .help("remove the classes, or set mode = \"routed\"");
    }
    if connection.protection() == Protection::Duplicate {
        report
            .add(Code::Class, first.span, "every packet of the connection is duplicated, whatever its class")
            .help("remove the classes, or set protection = \"ecmp\" or \"active-standby\" for all others");
    }
    if let Some(beyond) = classes.get(MAX_CLASSES) {
        let message = format!("a connection has at most {MAX_CLASSES} classes");
        report
            .add(Code::OutOfRange, beyond.span, message)
            .help("put several DSCPs and prefixes in one class");
    }
    for (at, class) in classes.iter().enumerate() {
        let before = classes.get(..at).unwrap_or_default();
        same_name(class, before, report);
        one(class, report);
        if let Some(earlier) = before.iter().find(|earlier| covers(&earlier.value, &class.value)) {
            report
                .add(Code::Class, class.span, "no packet is of this class: an earlier one takes them all")
                .also(earlier.span, "the one that takes them")
                .help("put the narrower class first, or remove it");
        }
    }
}

fn same_name(class: &At<raw::DuplicateClass>, before: &[At<raw::DuplicateClass>], report: &mut Report) {
    let Some(name) = &class.value.name else { return };
    let mut others = before.iter().filter_map(|one| one.value.name.as_ref());
    if let Some(first) = others.find(|other| other.value == name.value) {
        report
            .add(Code::DuplicateName, name.span, format!("two classes are called `{}`", name.value))
            .label("again here")
            .also(first.span, "first here")
            .help("give each a name of its own: it stands in metrics");
    }
}

fn one(class: &At<raw::DuplicateClass>, report: &mut Report) {
    let At { value: class, span } = class;
    let lists = [&class.source, &class.destination];
    if items(&class.dscp).is_empty() && lists.iter().all(|list| items(list).is_empty()) && is_whole(class) {
        report
            .add(Code::Class, *span, "a class says what its packets are by `dscp`, `source` or `destination`")
            .help("add dscp = [\"EF\"], or set protection = \"duplicate\" for all packets");
    }
    twice(items(&class.dscp), report);
    for list in lists {
        prefixes(items(list), report);
    }
    families(class, report);
}

fn twice(list: &[At<Dscp>], report: &mut Report) {
    for (at, point) in list.iter().enumerate() {
        if let Some(first) = list.iter().take(at).find(|other| other.value == point.value) {
            let number = point.value.get();
            let message = format!("DSCP {} ({number}) stands twice in this class", point.value);
            report
                .add(Code::Class, point.span, message)
                .also(first.span, "first here")
                .help("remove one of the two");
        }
    }
}

fn prefixes(list: &[At<IpNet>], report: &mut Report) {
    if let Some(beyond) = list.get(MAX_PREFIXES) {
        let message = format!("a class has at most {MAX_PREFIXES} prefixes of a kind");
        report
            .add(Code::OutOfRange, beyond.span, message)
            .help("join neighbouring prefixes, or mark by DSCP");
    }
    for (at, prefix) in list.iter().enumerate() {
        stray_bits(prefix, report);
        let others = list.iter().enumerate().filter(|(other, _)| *other != at);
        let around = others.map(|(other, one)| (other < at, one)).find(|(before, one)| {
            let (inner, outer) = (prefix.value.trunc(), one.value.trunc());
            // Of two equal ones the later is the second.
            outer.contains(&inner) && (outer != inner || *before)
        });
        if let Some((_, around)) = around {
            let message = format!("{} is part of {}, which is in the list too", prefix.value, around.value);
            report
                .add(Code::Class, prefix.span, message)
                .also(around.span, "the one around it")
                .help("remove the smaller one");
        }
    }
}

/// A packet has a source and a destination of one family.
fn families(class: &raw::DuplicateClass, report: &mut Report) {
    let (source, destination) = (items(&class.source), items(&class.destination));
    if source.is_empty() || destination.is_empty() {
        return;
    }
    for (list, other, missing) in [(source, destination, "destination"), (destination, source, "source")] {
        let is_alone =
            |prefix: &&At<IpNet>| other.iter().all(|one| is_v4(&one.value) != is_v4(&prefix.value));
        if let Some(alone) = list.iter().find(is_alone) {
            let family = if is_v4(&alone.value) { "IPv4" } else { "IPv6" };
            let message = format!("no packet fits {}: no `{missing}` of this class is {family}", alone.value);
            report
                .add(Code::Class, alone.span, message)
                .help(format!("add an {family} prefix to `{missing}`, or remove this one"));
        }
    }
}

/// Whether all that it asks of packets could be read.
fn is_whole(class: &raw::DuplicateClass) -> bool {
    ["dscp", "source", "destination"].iter().all(|key| !class.is_wrong(key))
}

const fn is_v4(net: &IpNet) -> bool {
    matches!(net, IpNet::V4(_))
}

/// Whether every packet of `late` is of `early`.
fn covers(early: &raw::DuplicateClass, late: &raw::DuplicateClass) -> bool {
    let points = |early: &[At<Dscp>], late: &[At<Dscp>]| {
        let has = |point: &At<Dscp>| early.iter().any(|one| one.value == point.value);
        early.is_empty() || !late.is_empty() && late.iter().all(has)
    };
    let nets = |early: &[At<IpNet>], late: &[At<IpNet>]| {
        let has = |net: &At<IpNet>| early.iter().any(|one| one.value.trunc().contains(&net.value.trunc()));
        early.is_empty() || !late.is_empty() && late.iter().all(has)
    };
    is_whole(early)
        && is_whole(late)
        && points(items(&early.dscp), items(&late.dscp))
        && nets(items(&early.source), items(&late.source))
        && nets(items(&early.destination), items(&late.destination))
}

/// Where the classes stand, for those who refuse them altogether.
pub(super) fn place(connection: &Connection) -> Option<Span> {
    named(connection).first().map(|at| at.span)
}

/// Classes of one connection; each is asked in turn about a packet that has a DSCP of some class.
const MAX_CLASSES: usize = 16;
/// Prefixes in one list.
const MAX_PREFIXES: usize = 256;
