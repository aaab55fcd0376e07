//! Channels: what they stand on and how they are told apart.

use net::VlanId;

use super::{Outside, given, key::Ledger, macsec, names::Names, overlap, profile, values};
use crate::{
    model::{Channel, ClearTag, Macsec, Profile, TagType},
    problem::{Code, Report},
    raw::{self, At, Document, items},
};

pub(super) fn check(
    document: &Document,
    names: &Names<'_>,
    outside: &Outside<'_>,
    report: &mut Report,
) -> Option<Vec<Channel>> {
    unused(document, names, report);
    overlap::channels(document, names, report);
    let mut ledger = Ledger::default();
    let build = |channel: &At<raw::Channel>| {
        let profile = profile_of(document, names, channel.value.interconnect.as_ref());
        let mut keys = macsec::Keys { outside, ledger: &mut ledger, owner: owner(&channel.value) };
        let secured =
            channel.value.macsec.as_ref().and_then(|at| macsec::check(&at.value, profile, &mut keys, report));
        profile::channel(&channel.value, profile, report);
        overtaking(document, names, &channel.value, secured.as_ref(), report);
        let tags = clear_tags(&channel.value, report);
        let interconnect =
            channel.value.interconnect.as_ref().and_then(|name| names.interconnect(name, report));
        let port = channel.value.port.as_ref().and_then(|name| names.port(name, report));
        Some(Channel {
            name: given(channel.value.name.as_ref())?,
            interconnect: interconnect?,
            port: port?,
            clear_tags: tags?,
            mtu: given(channel.value.mtu.as_ref()),
            capacity: given(channel.value.capacity.as_ref()),
            peer_mac: given(channel.value.peer_mac.as_ref()),
            macsec: secured?,
        })
    };
    items(&document.channel).iter().map(build).collect::<Vec<_>>().into_iter().collect()
}

/// Flows that leave a tunnel by different source ports may take different ways, and come in another order than they left.
fn overtaking(
    document: &Document,
    names: &Names<'_>,
    channel: &raw::Channel,
    secured: Option<&Macsec>,
    report: &mut Report,
) {
    let port = channel.port.as_ref().and_then(|name| names.ports.place(&name.value));
    let port = port.and_then(|at| items(&document.port).get(at));
    let spread = port.and_then(|port| port.value.underlay.as_ref()).filter(|at| at.value.source_ports() > 1);
    let strict = secured.is_some_and(|macsec| macsec.replay_protect && macsec.replay_window == 0);
    if let (Some(tunnel), Some(macsec), true) = (spread, &channel.macsec, strict) {
        let window = macsec.value.replay_window.as_ref();
        report
            .add(
                Code::Overtaking,
                super::span_of(window, macsec.span),
                "a replay window of 0 drops what was overtaken on the way",
            )
            .also(tunnel.span, "flows leave by several source ports")
            .help("add replay_window = 1024, or source_ports = 1 for the tunnel");
    }
}

/// How the channel and its port are called where senders are compared; ports open different devices.
fn owner(channel: &raw::Channel) -> macsec::Owner {
    let text = |field: &Option<At<String>>| field.as_ref().map_or_else(String::new, |at| at.value.clone());
    macsec::Owner { channel: text(&channel.name), port: text(&channel.port) }
}

/// The profile of an interconnect by name.
pub(super) fn profile_of(document: &Document, names: &Names<'_>, name: Option<&At<String>>) -> Profile {
    let place = name.and_then(|name| names.interconnects.place(&name.value));
    let interconnect = place.and_then(|at| items(&document.interconnect).get(at));
    interconnect.map_or(Profile::Quadspan, |at| at.value.profile())
}

fn unused(document: &Document, names: &Names<'_>, report: &mut Report) {
    let attachments =
        items(&document.connection).iter().flat_map(|connection| items(&connection.value.attachment));
    let members = items(&document.lag).iter().map(|at| items(&at.value.members));
    let on_channels = attachments.filter(|at| at.value.lag.is_none()).map(|at| at.value.channel.as_ref());
    let uses = on_channels.chain(members.flatten().map(Some));
    // When a use leads nowhere, any channel may be the one that was meant.
    let used = uses.map(|name| names.channels.place(&name?.value)).collect::<Option<Vec<_>>>();
    let Some(used) = used.filter(|_| items(&document.lag).iter().all(|at| at.value.members.is_some())) else {
        return;
    };
    for (at, channel) in items(&document.channel).iter().enumerate() {
        let Some(name) = channel.value.name.as_ref().filter(|_| !used.contains(&at)) else { continue };
        report
            .add(Code::UnusedChannel, name.span, format!("no connection uses channel `{}`", name.value))
            .help(format!("add a [[connection.attachment]] with channel = \"{}\", or remove it", name.value));
    }
}

/// The tags in clear: the first one has the type that is given, a second one is a customer tag (802.1Q §9).
fn clear_tags(channel: &raw::Channel, report: &mut Report) -> Option<Vec<ClearTag>> {
    let vlans: Vec<VlanId> = values(&channel.clear_tags);
    if let Some(third) = items(&channel.clear_tags).get(2) {
        report
            .add(Code::OutOfRange, third.span, "more than two tags in clear")
            .help("a frame has an outer and an inner tag at most: clear_tags = [100, 200]");
        return None;
    }
    if let Some(tag_type) =
        channel.clear_tag_type.as_ref().filter(|_| vlans.is_empty() && !channel.is_wrong("clear_tags"))
    {
        report
            .add(Code::Malformed, tag_type.span, "`clear_tag_type` without `clear_tags`")
            .help("add clear_tags = [100], or remove the type");
        return None;
    }
    let types = [channel.clear_tag_type(), TagType::Customer];
    Some(vlans.into_iter().zip(types).map(|(vlan, tag_type)| ClearTag { tag_type, vlan }).collect())
}
