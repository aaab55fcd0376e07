//! What the findings mean for a configuration.

use std::time::{Duration, SystemTime};

use config::{
    Config, KeyKind,
    model::{Channel, Io, MkaKey, Port, PortRole},
};
use jiff::Timestamp;
use sys::process::Capability;

use super::{Finding, Layer, Machine, Seat};
use crate::{link_monitor::Link, ports};

/// Segment trains over UDP (UDP_SEGMENT, UDP_GRO) came with it.
const KERNEL: (u32, u32) = (5, 0);
/// Whoever has to bring a key to another company needs about this long.
const KEY_NOTICE: Duration = Duration::from_hours(30 * 24);
/// Octets of a VLAN tag.
const TAG: u32 = 4;

/// Judges everything, the most fundamental first.
pub fn examine(config: &Config, machine: &Machine) -> Vec<Finding> {
    let mut all = vec![kernel(machine), aes(machine), rights(machine)];
    all.extend([processors(config, machine), state(config, machine), seat(config, machine)]);
    all.extend(metrics(config, machine));
    for (at, one) in config.ports.iter().enumerate() {
        all.extend(port(config, machine, at, one));
    }
    all.push(time(config, machine));
    all.extend(config.channels.iter().filter_map(|channel| keys(channel, machine.now)));
    all.extend(config.channels.iter().filter_map(|channel| first_use(channel, machine)));
    all
}

fn kernel(machine: &Machine) -> Finding {
    match machine.kernel {
        Some(version) if version >= KERNEL => {
            Finding::ok("kernel", "", format!("Linux {}.{}", version.0, version.1))
        }
        Some((major, minor)) => {
            let message = format!("Linux {major}.{minor} does not know segment trains over UDP");
            Finding::warn(
                "kernel",
                "",
                message,
                "channels across routed networks need Linux 5.0; use that or later",
            )
        }
        None => Finding::warn("kernel", "", "its version is not known".to_owned(), "is /proc mounted?"),
    }
}

fn aes(machine: &Machine) -> Finding {
    if machine.aes {
        return Finding::ok("processor", "aes", "has instructions for AES-GCM".to_owned());
    }
    let message = "no instructions for AES-GCM: encrypting is many times slower".to_owned();
    Finding::warn("processor", "aes", message, "on a virtual machine, pass the host's processor through")
}

fn rights(machine: &Machine) -> Finding {
    let lacks = |right| !machine.rights.contains(&right);
    let needed = [(Capability::NetAdmin, "CAP_NET_ADMIN"), (Capability::NetRaw, "CAP_NET_RAW")];
    let missing: Vec<_> =
        needed.into_iter().filter(|(right, _)| lacks(*right)).map(|(_, name)| name).collect();
    if !missing.is_empty() {
        let message = format!("this user has no {}: devices cannot be opened", missing.join(" and no "));
        let remedy = "run it as root, or give it both (AmbientCapabilities= in a systemd unit)";
        return Finding::fail("rights", "", message, remedy);
    }
    if lacks(Capability::SysNice) {
        let message = "this user has no CAP_SYS_NICE: BFD packets may be late when all processors are busy";
        return Finding::warn("rights", "", message.to_owned(), "add CAP_SYS_NICE to its capabilities");
    }
    Finding::ok("rights", "", "CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_NICE".to_owned())
}

fn processors(config: &Config, machine: &Machine) -> Finding {
    let (count, workers) = (machine.processors.len(), usize::from(config.runtime.workers));
    let strange = config.runtime.pin.iter().find(|cpu| !machine.processors.contains(&usize::from(**cpu)));
    if let Some(cpu) = strange {
        let message = format!("a worker is to be pinned to CPU {cpu}, which is not there or may not be used");
        return Finding::warn("processor", "pin", message, "mend runtime.pin, or leave it out");
    }
    if workers > count {
        let message = format!("{workers} workers share {count} processors and wait for each other");
        return Finding::warn("processor", "workers", message, "lower runtime.workers");
    }
    Finding::ok("processor", "workers", format!("{workers} of {count} processors for workers"))
}

fn state(config: &Config, machine: &Machine) -> Finding {
    let folder = config.runtime.state_dir.display();
    match &machine.state {
        None => Finding::ok("state", "", format!("{folder} can be written")),
        Some((why, remedy)) => {
            let message = format!("{folder} cannot be written ({why}): packet numbers could not be kept");
            Finding::fail("state", "", message, remedy)
        }
    }
}

fn seat(config: &Config, machine: &Machine) -> Finding {
    let socket = config.runtime.socket.display();
    match &machine.seat {
        Seat::Free => Finding::ok("gateway", "", format!("none runs at {socket}; one could start")),
        Seat::Taken => Finding::ok("gateway", "", format!("one runs at {socket}")),
        Seat::Trouble(why) => {
            Finding::fail("gateway", "", why.clone(), "look at the folder of runtime.socket and its rights")
        }
    }
}

fn metrics(config: &Config, machine: &Machine) -> Option<Finding> {
    let address = config.runtime.metrics?;
    Some(match &machine.metrics {
        None => Finding::ok("metrics", "", format!("can be served at {address}")),
        Some(why) => {
            let remedy = "runtime.metrics must be an address of this machine and a TCP port that nobody uses";
            Finding::fail("metrics", "", format!("cannot be served at {address}: {why}"), remedy)
        }
    })
}

fn port(config: &Config, machine: &Machine, at: usize, port: &Port) -> Vec<Finding> {
    let (name, device) = (port.name.as_str(), port.device.as_str());
    if let Some(who) = machine.holders.get(at).and_then(Option::as_ref) {
        let (who, remedy) = who.split_once(". ").unwrap_or((who, "stop that one"));
        return vec![Finding::fail("port", name, format!("{device}: {who}"), remedy)];
    }
    if port.io == Io::Tap {
        let missing = "there is no /dev/net/tun: TAP devices cannot be made".to_owned();
        return vec![match machine.tun {
            true => Finding::ok("port", name, format!("TAP {device}: made when missing")),
            false => {
                Finding::fail("port", name, missing, "modprobe tun, or let the container have /dev/net/tun")
            }
        }];
    }
    let Some(facts) = machine.devices.get(at) else { return Vec::new() };
    let link = match facts.link {
        Link::Up { .. } => Finding::ok("port", name, format!("{device} is up")),
        Link::NoCarrier { .. } => {
            let message = format!("{device} is down, or has no carrier");
            Finding::warn(
                "port",
                name,
                message,
                &format!("ip link set dev {device} up; then the cable and the far end"),
            )
        }
        Link::NoRoute { .. } => {
            let message = format!("there is no route by {device} to the tunnel's peer");
            Finding::warn(
                "port",
                name,
                message,
                &format!("give {device} its address and a route to `remote`"),
            )
        }
        Link::Gone => {
            let message = format!("there is no device {device}");
            return vec![Finding::fail("port", name, message, "`ip link` lists those that are there")];
        }
    };
    let mut all = vec![link];
    let layers = machine.layers.get(at).map(Vec::as_slice).unwrap_or_default();
    all.extend(mtu(config, at, port, (facts.mtu, layers)));
    let addresses = machine.addresses.get(at).map(Vec::as_slice).unwrap_or_default();
    if let Some(why) = ports::why_not_addresses(device, addresses) {
        let (message, remedy) = why.split_once(". ").unwrap_or((&why, ""));
        all.push(Finding::warn("port", name, message.to_owned(), remedy));
    }
    all
}

/// Whether the device carries what the channels on it, with their SecTAGs and tags, make of the largest packets.
fn mtu(config: &Config, at: usize, port: &Port, (mtu, layers): (Option<u32>, &[Layer])) -> Option<Finding> {
    if port.role != PortRole::Channel || port.underlay.is_some() {
        return None;
    }
    let uses = |channel: &Channel| channel.port.index() == at;
    let channels = || config.channels.iter().filter(|channel| uses(channel));
    let needed = channels().map(|channel| needs(config, channel)).max()?;
    let (has, device) = (mtu?, &port.device);
    (has < needed).then(|| {
        let message =
            format!("{device} has an MTU of {has}; its channels need {needed} for SecTAG, ICV and tags");
        let by = needed.saturating_sub(has);
        let wide: Vec<_> = channels().filter_map(|channel| too_wide(config, channel, has)).collect();
        let lower = lower(&wide, by);
        Finding::fail("port", &port.name, message, &raise(device, needed, layers, &lower))
    })
}

/// How a device gets that MTU: what it stands on comes first.
fn raise(device: &str, needed: u32, layers: &[Layer], lower: &str) -> String {
    let narrow =
        layers.iter().filter_map(|layer| Some((&layer.device, layer.most.filter(|most| *most < needed)?)));
    if let Some((bound, most)) = narrow.min_by_key(|(_, most)| *most) {
        return format!("{lower}: the driver of {bound} takes an MTU of {most} at most");
    }
    let set = |device: &str| format!("ip link set dev {device} mtu {needed}");
    let small: Vec<_> = layers.iter().filter(|layer| layer.mtu < needed).collect();
    let steps: Vec<_> = small.iter().map(|layer| set(&layer.device)).collect();
    let steps = if steps.is_empty() { set(device) } else { steps.join(" && ") };
    let why = match small.as_slice() {
        [.., below, _] => format!(" ({} first: {device} stands on it)", below.device),
        [one] if one.device != device => format!(" ({device} is a member of it)"),
        _ => String::new(),
    };
    format!("{steps}{why}, at both ends and in between; or {lower}")
}

fn needs(config: &Config, channel: &Channel) -> u32 {
    let (packets, own, tags) = wants(config, channel);
    packets.max(own) + tags
}

/// What the largest packets of attachments become on a channel, what the channel itself is to carry (0: not said), and its tags.
fn wants(config: &Config, channel: &Channel) -> (u32, u32, u32) {
    let attachments = config.connections.iter().flat_map(|connection| &connection.attachments);
    let on_it =
        |one: &&config::model::Attachment| config.channels_of(one).iter().any(|on| on.name == channel.name);
    let here = attachments.filter(on_it);
    let packet = |one: &config::model::Attachment| {
        one.mtu.map_or(0, |mtu| u32::from(mtu) + u32::from(channel.overhead(one.vlan.is_some())))
    };
    let tags = u32::try_from(channel.clear_tags.len()).unwrap_or(0) * TAG;
    (here.map(packet).max().unwrap_or(0), channel.mtu.map_or(0, u32::from), tags)
}

/// A channel whose `mtu` is too large for the device: `Some` with its name when it is its own, `None` when it is the attachments'.
fn too_wide<'c>(config: &Config, channel: &'c Channel, has: u32) -> Option<Option<&'c str>> {
    let (packets, own, tags) = wants(config, channel);
    let own = (own + tags > has).then_some(channel.name.as_str());
    (own.is_some() || packets + tags > has).then_some(own)
}

/// Which `mtu` in the configuration to lower. That of attachments which have none follows their channel's.
fn lower(wide: &[Option<&str>], by: u32) -> String {
    let channels: Vec<_> = wide.iter().flatten().map(|name| format!("channel \"{name}\"")).collect();
    let attachments = wide.contains(&None).then(|| "the attachments".to_owned());
    let follow = if channels.is_empty() { "" } else { " (and of its attachments, where they have one)" };
    let whose: Vec<_> = channels.into_iter().chain(attachments).collect();
    format!("lower `mtu` of {} by {by}{follow}", whose.join(" and "))
}

fn time(config: &Config, machine: &Machine) -> Finding {
    let dated = config.channels.iter().filter_map(|channel| channel.macsec.mka.as_ref());
    let dated = dated.flat_map(|mka| &mka.keys).any(|key| key.start.is_some() || key.end.is_some());
    match (machine.synchronized, dated) {
        (Some(true), _) => Finding::ok("clock", "", "the time of day is kept by a server".to_owned()),
        (_, false) => Finding::ok("clock", "", "no key starts or ends by the time of day".to_owned()),
        (Some(false) | None, true) => {
            let message = "nothing keeps the time of day right, and keys start and end by it".to_owned();
            Finding::warn(
                "clock",
                "",
                message,
                "run chrony or systemd-timesyncd; both ends must agree to seconds",
            )
        }
    }
}

/// Whether packet numbers of its static SAKs are kept; all begin without.
fn first_use(channel: &Channel, machine: &Machine) -> Option<Finding> {
    let known = machine.known_saks.as_ref()?;
    let saks = channel.macsec.tx.iter().map(|sa| sa.key.fingerprint(KeyKind::Sak));
    let new: Vec<_> = saks.filter(|sak| !known.contains(sak)).collect();
    (!new.is_empty()).then(|| {
        let message = format!(
            "the state folder has no record of SAK {}: its frames will start at packet number 1",
            new.join(", ")
        );
        let remedy = "well, if it is new; if it was ever used, frames could be decrypted and forged: make new keys at both ends";
        Finding::warn("keys", &channel.name, message, remedy)
    })
}

/// Whether a channel has a key now, and for how long.
fn keys(channel: &Channel, now: SystemTime) -> Option<Finding> {
    let (name, keys) = (channel.name.as_str(), &channel.macsec.mka.as_ref()?.keys);
    let make = "quadspan keygen --start TIME makes the next one; bring it to the far end before";
    Some(match covered(keys, now) {
        Covered::Forever => Finding::ok("keys", name, format!("{} for MKA, one without an end", keys.len())),
        Covered::Not(None) => Finding::fail(
            "keys",
            name,
            "the last key has ended: MKA has nothing to agree by".to_owned(),
            make,
        ),
        Covered::Not(Some(next)) => {
            let message = format!("no key has started; the next one starts at {}", stamp(next));
            Finding::fail("keys", name, message, "is the clock right? otherwise make a key without `start`")
        }
        Covered::Until(end) => {
            let (left, end) = (end.duration_since(now).unwrap_or_default(), stamp(end));
            let days = left.as_secs() / 86_400;
            if left < KEY_NOTICE {
                Finding::warn("keys", name, format!("no key from {end} on, in {days} days"), make)
            } else {
                Finding::ok("keys", name, format!("until {end}, {days} days"))
            }
        }
    })
}

enum Covered {
    Forever,
    Until(SystemTime),
    /// No key now; when the next one starts.
    Not(Option<SystemTime>),
}

/// A fallback is for the worst case and covers nothing, unless there is nothing else.
fn covered(keys: &[MkaKey], now: SystemTime) -> Covered {
    let only_fallback = keys.iter().all(|key| key.fallback);
    let counted: Vec<_> = keys.iter().filter(|key| only_fallback || !key.fallback).collect();
    let mut until = now;
    loop {
        let in_force = counted.iter().filter(|key| key.start.is_none_or(|start| start <= until));
        let longer = in_force.filter(|key| key.end.is_none_or(|end| end > until));
        let ends: Vec<_> = longer.map(|key| key.end).collect();
        if ends.contains(&None) {
            return Covered::Forever;
        }
        match ends.into_iter().flatten().max() {
            Some(end) => until = end,
            None if until > now => return Covered::Until(until),
            None => {
                let starts = counted.iter().filter_map(|key| key.start).filter(|start| *start > now);
                return Covered::Not(starts.min());
            }
        }
    }
}

fn stamp(time: SystemTime) -> String {
    Timestamp::try_from(time)
        .map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
