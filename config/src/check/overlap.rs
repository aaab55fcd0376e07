//! Things that share a port or a channel must differ in their tags.

use std::collections::BTreeMap;

use net::VlanId;

use super::{names::Names, span_of, values};
use crate::{
    model::{Mode, TagType},
    problem::{Code, Report, Span},
    raw::{self, At, Document, items},
};

/// Channels on one port: the tags in clear tell them apart.
pub(super) fn channels(document: &Document, names: &Names<'_>, report: &mut Report) {
    let mut seen: BTreeMap<(usize, Vec<VlanId>, bool), Span> = BTreeMap::new();
    for At { value: channel, .. } in items(&document.channel) {
        let port = channel.port.as_ref().and_then(|name| Some((names.ports.place(&name.value)?, name)));
        let Some((port, name)) = port.filter(|_| !channel.is_wrong("clear_tags")) else { continue };
        let tags: Vec<VlanId> = values(&channel.clear_tags);
        let service = !tags.is_empty() && channel.clear_tag_type() == TagType::Service;
        let span = span_of(channel.clear_tags.as_ref(), name.span);
        if let Some(first) = seen.insert((port, tags, service), span) {
            report
                .add(
                    Code::ChannelOverlap,
                    span,
                    format!("two channels on port `{}` have the same tags in clear", name.value),
                )
                .also(first, "the other one")
                .help("use different ports, or different `clear_tags`");
        }
    }
}

/// One user of a channel or port, by its tag.
struct Tagged {
    vlan: Option<VlanId>,
    /// Takes every frame, whatever its tag.
    takes_all: bool,
    span: Span,
}

/// Attachments on one channel or LAG, of whatever connection.
pub(super) fn attachments(document: &Document, names: &Names<'_>, report: &mut Report) {
    let mut on_link: BTreeMap<(bool, usize), Vec<Tagged>> = BTreeMap::new();
    for At { value: connection, .. } in items(&document.connection) {
        let mut own: BTreeMap<(bool, usize), Span> = BTreeMap::new();
        for At { value: attachment, .. } in items(&connection.attachment) {
            let Some(name) = attachment.link() else { continue };
            let lag = attachment.channel.is_none();
            let (index, what) = if lag { (&names.lags, "LAG") } else { (&names.channels, "channel") };
            let Some(place) = index.place(&name.value).map(|at| (lag, at)) else { continue };
            if let Some(first) = own.insert(place, name.span) {
                report
                    .add(
                        Code::AttachmentOverlap,
                        name.span,
                        format!("the connection is on {what} `{}` already", name.value),
                    )
                    .also(first, "here")
                    .help("a connection has one attachment per channel or LAG");
                continue;
            }
            if attachment.is_wrong("vlan") {
                continue;
            }
            let user = user(connection, attachment.vlan.as_ref(), name.span);
            let others = on_link.entry(place).or_default();
            clash(
                Code::AttachmentOverlap,
                "attachments",
                &format!("{what} `{}`", name.value),
                others,
                &user,
                report,
            );
            others.push(user);
        }
    }
}

/// LANs on one port, of whatever connection.
pub(super) fn lans(document: &Document, names: &Names<'_>, report: &mut Report) {
    let mut on_port: BTreeMap<usize, Vec<Tagged>> = BTreeMap::new();
    for At { value: connection, .. } in items(&document.connection) {
        for At { value: lan, .. } in items(&connection.lan) {
            let Some(name) = lan.port.as_ref().filter(|_| !lan.is_wrong("vlan")) else { continue };
            let Some(port) = names.ports.place(&name.value) else { continue };
            let user = user(connection, lan.vlan.as_ref(), name.span);
            let others = on_port.entry(port).or_default();
            clash(Code::LanOverlap, "LANs", &format!("port `{}`", name.value), others, &user, report);
            others.push(user);
        }
    }
}

/// An untagged wire passes tagged frames as well, so nothing else can be beside it.
fn user(connection: &raw::Connection, vlan: Option<&At<VlanId>>, place: Span) -> Tagged {
    let takes_all = connection.mode() == Mode::Transparent && vlan.is_none();
    Tagged { vlan: vlan.map(|at| at.value), takes_all, span: span_of(vlan, place) }
}

fn clash(code: Code, what: &str, on: &str, others: &[Tagged], user: &Tagged, report: &mut Report) {
    let same = |other: &&Tagged| other.vlan == user.vlan || other.takes_all || user.takes_all;
    let Some(other) = others.iter().find(same) else { return };
    let message = match user.vlan {
        Some(vlan) if other.vlan == user.vlan => format!("two {what} on {on} have VLAN {vlan}"),
        None if other.vlan == user.vlan => format!("two {what} on {on} are untagged"),
        Some(_) | None => format!("an untagged wire takes every frame of {on}; nothing else can be there"),
    };
    report
        .add(code, user.span, message)
        .also(other.span, "the other one")
        .help("give each a `vlan` of its own");
}
