//! LAGs: what may be a member, and whether members are alike.

use std::collections::BTreeMap;

use super::{given, names::Names, span_of};
use crate::{
    model::{Lag, Profile, Ref, overhead},
    problem::{Code, Report, Span},
    raw::{self, At, Document, items},
};

pub(super) fn check(document: &Document, names: &Names<'_>, report: &mut Report) -> Option<Vec<Lag>> {
    unused(document, names, report);
    let mut keys = BTreeMap::new();
    let mut taken = in_use(document, names);
    let build = |(at, lag): (usize, &At<raw::Lag>)| {
        let lag = &lag.value;
        shares_name(lag, names, report);
        let key = key(lag, at, &mut keys, report);
        let members = members(document, names, lag, &mut taken, report);
        profile(document, names, lag, report);
        Some(Lag {
            name: given(lag.name.as_ref())?,
            members: members?,
            mode: lag.mode(),
            timers: lag.timers(),
            min_links: lag.min_links(),
            system_priority: lag.system_priority(),
            key: key?,
            mac: given(lag.mac.as_ref()),
        })
    };
    items(&document.lag).iter().enumerate().map(build).collect::<Vec<_>>().into_iter().collect()
}

/// Attachments and routes name channels and LAGs alike.
fn shares_name(lag: &raw::Lag, names: &Names<'_>, report: &mut Report) {
    if let Some(name) = lag.name.as_ref().filter(|name| names.channels.place(&name.value).is_some()) {
        report
            .add(Code::DuplicateName, name.span, format!("a channel is called `{}` too", name.value))
            .help("give each a name of its own: routes and neighbours name channels and LAGs alike");
    }
}

/// Two LAGs to one system with one key would be one LAG in the peer's eyes.
fn key(lag: &raw::Lag, at: usize, keys: &mut BTreeMap<u16, Span>, report: &mut Report) -> Option<u16> {
    let key = given(lag.key.as_ref()).or_else(|| u16::try_from(at + 1).ok())?;
    let span = span_of(lag.key.as_ref(), lag.here);
    if let Some(first) = keys.insert(key, span) {
        report
            .add(Code::LagKey, span, format!("two LAGs have the key {key}"))
            .also(first, "the other one")
            .help("give each a `key` of its own: ports of one key may be aggregated");
        return None;
    }
    Some(key)
}

/// Who uses each channel, apart from LAGs: by its place.
fn in_use(document: &Document, names: &Names<'_>) -> BTreeMap<usize, (Span, &'static str)> {
    let attachments = items(&document.connection).iter().flat_map(|one| items(&one.value.attachment));
    let channels = attachments.filter_map(|at| at.value.channel.as_ref());
    channels
        .filter_map(|name| Some((names.channels.place(&name.value)?, (name.span, "an attachment"))))
        .collect()
}

fn members(
    document: &Document,
    names: &Names<'_>,
    lag: &raw::Lag,
    taken: &mut BTreeMap<usize, (Span, &'static str)>,
    report: &mut Report,
) -> Option<Vec<Ref<crate::model::Channel>>> {
    let list = items(&lag.members);
    if list.is_empty() {
        if let Some(at) = &lag.members {
            report
                .add(Code::LagMember, at.span, "a LAG without members")
                .help("name its channels, such as members = [\"ch1\", \"ch2\"]");
        }
        return None;
    }
    if let Some(at) = list.get(MOST) {
        report
            .add(Code::LagMember, at.span, format!("more than {MOST} members"))
            .help("make two LAGs of it, and a connection with an attachment on each");
    }
    if let Some(min) = lag.min_links.as_ref().filter(|min| usize::from(min.value) > list.len()) {
        report
            .add(
                Code::LagMinLinks,
                min.span,
                format!("min_links is {}, and there are {} members", min.value, list.len()),
            )
            .help("the LAG would never be up: use as many as there are members, or fewer");
    }
    let mut found = Vec::new();
    let mut whole = true;
    for name in list {
        let Some(channel) = names.channel(name, report) else {
            whole = false;
            continue;
        };
        if let Some((other, what)) = taken.insert(channel.index(), (name.span, "a LAG")) {
            report
                .add(Code::LagMember, name.span, format!("channel `{}` is used by {what} already", name.value))
                .also(other, "here")
                .help("a member belongs to one LAG, and attachments are on that: write `lag` instead of `channel` there");
        }
        found.push((name, channel));
    }
    alike(document, &found, report);
    whole.then(|| found.into_iter().map(|(_, channel)| channel).collect())
}

/// Every frame may leave by every member, to one system.
fn alike(document: &Document, members: &[(&At<String>, Ref<crate::model::Channel>)], report: &mut Report) {
    let raw = |channel: &Ref<crate::model::Channel>| {
        items(&document.channel).get(channel.index()).map(|at| &at.value)
    };
    let Some((first_name, first)) = members.first().and_then(|(name, channel)| Some((name, raw(channel)?)))
    else {
        return;
    };
    for (at, (name, channel)) in members.iter().enumerate() {
        let Some(one) = raw(channel) else { continue };
        short_form(name, one, report);
        let text = |field: &Option<At<String>>| field.as_ref().map(|at| at.value.clone());
        let same_port = members.iter().take(at).find(|(_, other)| {
            raw(other).is_some_and(|other| other.port.is_some() && text(&other.port) == text(&one.port))
        });
        if let Some((other, _)) = same_port {
            report
                .add(
                    Code::LagMember,
                    name.span,
                    format!("`{}` is on the same port as another member", name.value),
                )
                .also(other.span, "that one")
                .help("members fail apart only when they are on ports of their own");
        }
        if first.interconnect.is_some()
            && one.interconnect.is_some()
            && text(&first.interconnect) != text(&one.interconnect)
        {
            report
                .add(
                    Code::LagMember,
                    name.span,
                    format!("`{}` belongs to another interconnect than the first member", name.value),
                )
                .also(first_name.span, "the first member")
                .help("all members of a LAG lead to one system");
        }
        if first.macsec.is_some() && one.macsec.is_some() && carries(first) != carries(one) {
            report
                .add(Code::LagMtu, name.span, format!("`{}` does not carry packets as long as the first member does", name.value))
                .also(first_name.span, "the first member")
                .help("give both the same `mtu`, and the same `include_sci` and `policy` in [channel.macsec]: a flow may change its member");
        }
    }
}

/// What a channel's MTU is, as far as the file says, and what MACsec takes of it.
fn carries(channel: &raw::Channel) -> (Option<u16>, Option<u16>) {
    let overhead =
        channel.macsec.as_ref().map(|at| overhead(at.value.policy(), super::macsec::include_sci(&at.value)));
    (given(channel.mtu.as_ref()), overhead)
}

/// The ES and SCB forms let receivers take the SCI from the source MAC address (802.1AE §9.5), and all members have one.
fn short_form(name: &At<String>, channel: &raw::Channel, report: &mut Report) {
    let macsec = channel.macsec.as_ref().map(|at| &at.value);
    let set = |form: &Option<At<bool>>| form.as_ref().filter(|at| at.value).map(|at| at.span);
    if let Some(form) = macsec.and_then(|macsec| set(&macsec.end_station).or_else(|| set(&macsec.scb))) {
        report
            .add(Code::SciForm, form, format!("channel `{}` leaves the SCI out, and the frames of a LAG have one source MAC address on all members", name.value))
            .also(name.span, "a member")
            .help("use include_sci = true on the channel instead of the short form");
    }
}

fn unused(document: &Document, names: &Names<'_>, report: &mut Report) {
    let attachments = items(&document.connection).iter().flat_map(|one| items(&one.value.attachment));
    let used: Vec<_> = attachments.filter_map(|at| names.lags.place(&at.value.lag.as_ref()?.value)).collect();
    for (at, lag) in items(&document.lag).iter().enumerate() {
        let Some(name) = lag.value.name.as_ref().filter(|_| !used.contains(&at)) else { continue };
        report
            .add(Code::UnusedLag, name.span, format!("no connection uses LAG `{}`", name.value))
            .help(format!("add a [[connection.attachment]] with lag = \"{}\", or remove it", name.value));
    }
}

/// How many links the peers' clouds put into one LAG.
fn profile(document: &Document, names: &Names<'_>, lag: &raw::Lag, report: &mut Report) {
    let list = items(&lag.members);
    let channel =
        list.first().and_then(|name| items(&document.channel).get(names.channels.place(&name.value)?));
    let interconnect = channel.and_then(|at| at.value.interconnect.as_ref());
    let profile = super::channel::profile_of(document, names, interconnect);
    let most = match profile {
        // Below 100 Gbit/s; from there on two.
        Profile::AwsDx => 4,
        Profile::GcpCci => 8,
        Profile::Quadspan | Profile::AwsInterconnect | Profile::AzureErDirect => return,
    };
    if let Some(at) = list.get(most) {
        let help = format!("use {most} at most in one LAG");
        super::profile::refuse(profile, at.span, &format!("more than {most} links in a LAG"), &help, report);
    }
}

/// Members of one LAG.
const MOST: usize = 16;
