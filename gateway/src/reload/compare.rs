//! Two configurations, and the steps from one to the other.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use bgp::Impact;
use config::{
    Config,
    model::{Announce, Channel, Connection, Runtime},
};
use dataplane::{ChannelId, ConnectionId, InterfaceId, bfd::BfdParams};
use serde::{Deserialize, Serialize};

use super::paths::{differing, parts};
use crate::{
    assemble::{self, Device, Domain, PeerPlan, Plan},
    names,
};

/// One thing that a reload changes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Step {
    /// What it is about, such as `neighbor blue/r1`.
    pub subject: String,
    /// What happens to it.
    pub message: String,
    /// A BGP session starts anew: its routes are gone for a moment.
    pub resets: bool,
}

/// What lies between two configurations.
#[derive(Debug)]
pub struct Comparison {
    /// What would change.
    pub steps: Vec<Step>,
    /// What only a restart can change; nothing is done when there is any.
    pub restart: Vec<String>,
    /// The new configuration, assembled.
    pub(super) plan: Plan,
    /// BFD sessions that run otherwise.
    pub(super) bfd: Vec<(InterfaceId, BfdParams)>,
    /// Channels with other keys.
    pub(super) keys: BTreeSet<ChannelId>,
    /// Connections with another bandwidth, in Mbit/s.
    pub(super) rates: Vec<(ConnectionId, Option<u32>)>,
}

/// Holds `new` against `old`, on a machine whose devices were `devices` when `old` was started.
///
/// # Errors
/// When `new` does not fit the devices.
pub fn compare(old: &Config, new: &Config, devices: &BTreeMap<String, Device>) -> Result<Comparison> {
    let before = assemble::plan(old, devices)?;
    let mut restart = outside(old, new);
    // Below, things are compared place by place.
    if !restart.is_empty() {
        let (steps, bfd, keys, rates) = (vec![], vec![], BTreeSet::new(), vec![]);
        return Ok(Comparison { steps, restart, plan: before, bfd, keys, rates });
    }
    let plan = assemble::plan(new, devices)?;
    let mut steps = Vec::new();
    if old.site != new.site {
        steps.push(step("site", format!("is called {} from now on", new.site.name)));
    }
    let keys = keys(old, new, &mut steps);
    let mut rates = Vec::new();
    for (at, (old, new)) in old.connections.iter().zip(&new.connections).enumerate() {
        rates.extend(rate(old, new, &mut steps).map(|rate| (ConnectionId::at(at), rate)));
        routes(old, new, &mut steps);
        announced(old, new, &mut steps);
        let domain = |plan: &Plan| plan.domains.iter().position(|one| one.connection == at);
        if let (Some(was), Some(is)) = (domain(&before), domain(&plan))
            && let (Some(was), Some(is)) = (before.domains.get(was), plan.domains.get(is))
        {
            neighbors((old, was), (new, is), &mut steps);
        }
    }
    let bfd = bfd(old, &before, &plan, &mut steps, &mut restart);
    hosts(new, &before, &plan, &mut restart);
    Ok(Comparison { steps, restart, plan, bfd, keys, rates })
}

fn step(subject: impl Into<String>, message: impl Into<String>) -> Step {
    Step { subject: subject.into(), message: message.into(), resets: false }
}

/// What no running gateway can change.
fn outside(old: &Config, new: &Config) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(runtime(&old.runtime, &new.runtime));
    differences("port", (&old.ports, &new.ports), |one| &one.name, differing, &mut all);
    let interconnects = (&*old.interconnects, &*new.interconnects);
    differences("interconnect", interconnects, |one| &one.name, differing, &mut all);
    let channel = |a: &Channel, b: &Channel| differing(&keyless(a), &keyless(b));
    differences("channel", (&old.channels, &new.channels), |one| &one.name, channel, &mut all);
    differences("LAG", (&old.lags, &new.lags), |one| &one.name, differing, &mut all);
    let named = |one: &Connection| one.name.clone();
    let (before, after): (Vec<_>, Vec<_>) =
        (old.connections.iter().map(named).collect(), new.connections.iter().map(named).collect());
    if before == after {
        old.connections.iter().zip(&new.connections).for_each(|(a, b)| connection(a, b, &mut all));
    } else {
        differences(
            "connection",
            (&old.connections, &new.connections),
            |one| &one.name,
            |_, _| None,
            &mut all,
        );
    }
    all
}

/// What is different in `[runtime]`, by its keys in the file.
fn runtime(old: &Runtime, new: &Runtime) -> Option<String> {
    let Runtime { workers, pin, poll, state_dir, socket, metrics, log, log_format, aead } = old;
    let keys = [
        ("workers", *workers != new.workers),
        ("pin", *pin != new.pin),
        ("poll", *poll != new.poll),
        ("state_dir", *state_dir != new.state_dir),
        ("socket", *socket != new.socket),
        ("metrics", *metrics != new.metrics),
        ("log", *log != new.log),
        ("log_format", *log_format != new.log_format),
        ("aead", *aead != new.aead),
    ];
    let changed: Vec<_> = keys.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect();
    (!changed.is_empty()).then(|| format!("[runtime] {}", changed.join(", ")))
}

/// Things that were added, removed, changed, or stand in another order.
fn differences<T>(
    kind: &str,
    (old, new): (&[T], &[T]),
    name: impl Fn(&T) -> &str,
    differing: impl Fn(&T, &T) -> Option<String>,
    all: &mut Vec<String>,
) {
    let before = all.len();
    for one in new {
        match old.iter().find(|other| name(other) == name(one)) {
            None => all.push(format!("{kind} {}: new", name(one))),
            Some(other) => {
                all.extend(differing(other, one).map(|what| format!("{kind} {}: {what}", name(one))));
            }
        }
    }
    let gone = old.iter().filter(|one| !new.iter().any(|other| name(other) == name(one)));
    all.extend(gone.map(|one| format!("{kind} {}: gone", name(one))));
    if all.len() == before && !old.iter().map(&name).eq(new.iter().map(&name)) {
        all.push(format!("the order of the {kind}s"));
    }
}

/// A channel without its CAKs: these can be changed.
fn keyless(channel: &Channel) -> Channel {
    let mut channel = channel.clone();
    channel.macsec.mka.iter_mut().for_each(|mka| mka.keys.clear());
    channel
}

/// A connection, but for what can be changed.
fn connection(old: &Connection, new: &Connection, all: &mut Vec<String>) {
    let (mut old, mut new) = (bare_connection(old), bare_connection(new));
    let mut found = Vec::new();
    let attachments = (&*parts(&old.attachments), &*parts(&new.attachments));
    differences("attachment", attachments, |one| &one.name, differing, &mut found);
    differences("LAN", (&parts(&old.lans), &parts(&new.lans)), |one| &one.name, differing, &mut found);
    if old.bgp != new.bgp {
        found.push("[connection.bgp], but for `announce`".to_owned());
    }
    if old.duplicate != new.duplicate {
        found.push("[connection.duplicate] and its classes".to_owned());
    }
    for one in [&mut old, &mut new] {
        one.attachments.clear();
        one.lans.clear();
        (one.bgp, one.duplicate) = (None, None);
    }
    found.extend(differing(&old, &new));
    all.extend(found.into_iter().map(|what| format!("connection {}: {what}", new.name)));
}

/// Without what can be changed.
fn bare_connection(connection: &Connection) -> Connection {
    let mut bare = connection.clone();
    bare.rate = None;
    bare.routes.clear();
    bare.neighbors.clear();
    bare.policies.clear();
    bare.bgp.iter_mut().for_each(|bgp| bgp.announce.clear());
    bare.attachments.iter_mut().for_each(|attachment| attachment.bfd = None);
    bare.lans.iter_mut().for_each(|lan| lan.bfd = None);
    bare
}

fn keys(old: &Config, new: &Config, steps: &mut Vec<Step>) -> BTreeSet<ChannelId> {
    let mut changed = BTreeSet::new();
    for (at, (old, new)) in old.channels.iter().zip(&new.channels).enumerate() {
        let (Some(old), Some(mka)) = (&old.macsec.mka, &new.macsec.mka) else { continue };
        if old.keys != mka.keys {
            changed.insert(ChannelId::at(at));
            let message =
                format!("its key chain changes: {} instead of {} CAKs", mka.keys.len(), old.keys.len());
            steps.push(step(format!("channel {}", new.name), message));
        }
    }
    changed
}

/// The new bandwidth, where it is another one. What `quadspan rate` set stays unless the file says something new.
fn rate(old: &Connection, new: &Connection, steps: &mut Vec<Step>) -> Option<Option<u32>> {
    let words =
        |rate: Option<u32>| rate.map_or_else(|| "no limit".to_owned(), |rate| format!("{rate} Mbit/s"));
    (old.rate != new.rate).then(|| {
        let message =
            format!("its bandwidth is {} from now on (the file said {})", words(new.rate), words(old.rate));
        steps.push(step(format!("connection {}", new.name), message));
        new.rate
    })
}

fn routes(old: &Connection, new: &Connection, steps: &mut Vec<Step>) {
    let subject = |prefix| format!("route {}/{prefix}", new.name);
    for route in &new.routes {
        match old.routes.iter().find(|one| one.prefix == route.prefix) {
            None => steps.push(step(subject(route.prefix), "is added")),
            Some(other) if other != route => steps.push(step(subject(route.prefix), "leads elsewhere")),
            Some(_) => {}
        }
    }
    let gone = old.routes.iter().filter(|one| !new.routes.iter().any(|other| other.prefix == one.prefix));
    steps.extend(gone.map(|route| step(subject(route.prefix), "is removed")));
}

fn announced(old: &Connection, new: &Connection, steps: &mut Vec<Step>) {
    let words = |one: &Connection| -> Vec<String> {
        let announce = one.bgp.iter().flat_map(|bgp| &bgp.announce);
        announce
            .map(|one| match one {
                Announce::Lans => "lans".to_owned(),
                Announce::Attachments => "attachments".to_owned(),
                Announce::Static => "static".to_owned(),
                Announce::Prefix(prefix) => prefix.to_string(),
            })
            .collect()
    };
    let (before, after) = (words(old), words(new));
    if before != after {
        let message = format!("announces {} instead of {}", list(&after), list(&before));
        steps.push(step(format!("connection {}", new.name), message));
    }
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn neighbors((old, was): (&Connection, &Domain), (new, is): (&Connection, &Domain), steps: &mut Vec<Step>) {
    let place = |peer: &PeerPlan| (peer.interface, peer.config.address);
    for (peer, neighbor) in is.peers.iter().zip(&new.neighbors) {
        let subject = format!("neighbor {}/{}", new.name, neighbor.name);
        let Some(at) = was.peers.iter().position(|one| place(one) == place(peer)) else {
            steps.push(step(subject, "is added"));
            continue;
        };
        let (Some(before), Some(words)) = (was.peers.get(at), old.neighbors.get(at)) else { continue };
        let reset = before.config.impact_of(&peer.config, &is.speaker) == Impact::Reset
            || before.is_reached_otherwise(peer);
        let message = match () {
            () if reset => "changes, and its session starts anew",
            () if before.config != peer.config => {
                "changes; its session stays, its routes are looked at again"
            }
            () if before.password != peer.password => "is signed with another password; its session stays",
            () if words != neighbor => "changes in name or remark",
            () => continue,
        };
        steps.push(Step { subject, message: message.to_owned(), resets: reset });
    }
    for (peer, neighbor) in was.peers.iter().zip(&old.neighbors) {
        if !is.peers.iter().any(|one| place(one) == place(peer)) {
            let message = "is removed, and its session ends".to_owned();
            let subject = format!("neighbor {}/{}", old.name, neighbor.name);
            steps.push(Step { subject, message, resets: true });
        }
    }
}

/// Sessions that run otherwise. Which there are is settled when workers start.
fn bfd(
    config: &Config,
    before: &Plan,
    plan: &Plan,
    steps: &mut Vec<Step>,
    restart: &mut Vec<String>,
) -> Vec<(InterfaceId, BfdParams)> {
    let mut changed = Vec::new();
    for (at, (old, new)) in before.setup.interfaces.iter().zip(&plan.setup.interfaces).enumerate() {
        let (id, who) = (InterfaceId::at(at), |one: &BfdParams| (one.peer, one.hops));
        let name = names::interface(config, id);
        if !old.bfd.iter().map(who).eq(new.bfd.iter().map(who)) {
            restart.push(format!("the BFD sessions on {name}"));
            continue;
        }
        for (_, new) in old.bfd.iter().zip(&new.bfd).filter(|(old, new)| old != new) {
            steps.push(step(format!("BFD {name} {}", new.peer), "runs with other timers or another mode"));
            changed.push((id, *new));
        }
    }
    changed
}

/// A neighbour on an interface that had none needs a TAP device there; and whatever else differs was overlooked above.
fn hosts(config: &Config, before: &Plan, plan: &Plan, restart: &mut Vec<String>) {
    let all = before.setup.interfaces.iter().zip(&plan.setup.interfaces).enumerate();
    for (at, _) in all.filter(|(_, (old, new))| old.host.is_some() != new.host.is_some()) {
        let name = names::interface(config, InterfaceId::at(at));
        restart.push(format!(
            "{name}: its first BGP neighbour, or its last one gone: a device of the host comes or goes"
        ));
    }
    let bare = |plan: &Plan| {
        let mut setup = plan.setup.clone();
        setup.interfaces.iter_mut().for_each(|one| one.bfd.clear());
        setup
    };
    if restart.is_empty() && bare(before) != bare(plan) {
        restart.push("what workers are made of".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testbed;

    /// What changes, what hurts, and what needs a restart, when this is done to a configuration.
    fn change(how: impl Fn(&mut Config)) -> (Vec<String>, Vec<String>) {
        let old = (*testbed::facts().config).clone();
        let mut new = old.clone();
        how(&mut new);
        let found = compare(&old, &new, &testbed::devices(&old)).unwrap();
        let text =
            |step: &Step| format!("{}{} {}", if step.resets { "! " } else { "" }, step.subject, step.message);
        (found.steps.iter().map(text).collect(), found.restart)
    }

    #[test]
    fn the_same_again_is_nothing() {
        assert_eq!(change(|_| {}), (vec![], vec![]));
    }

    #[test]
    fn routes_come_go_and_change() {
        let (steps, restart) = change(|config| {
            let routes = &mut config.connections[0].routes;
            let mut fresh = routes[1].clone();
            fresh.prefix = "10.9.0.0/16".parse().unwrap();
            routes[0].via = config::model::Via::Unreachable;
            routes.remove(1);
            routes.push(fresh);
        });
        let expected = [
            "route blue/10.2.0.0/24 leads elsewhere",
            "route blue/10.9.0.0/16 is added",
            "route blue/10.3.0.0/24 is removed",
        ];
        assert_eq!((&steps[..], restart), (&expected.map(str::to_owned)[..], vec![]));
    }

    #[test]
    fn a_bandwidth_is_changed_while_frames_pass() {
        let old = (*testbed::facts().config).clone();
        let mut new = old.clone();
        new.connections[0].rate = Some(250);
        let found = compare(&old, &new, &testbed::devices(&old)).unwrap();
        assert_eq!((found.rates, found.restart), (vec![(ConnectionId::at(0), Some(250))], vec![]));
        let said = "its bandwidth is 250 Mbit/s from now on (the file said no limit)";
        assert_eq!(found.steps, [step("connection blue", said)]);
    }

    #[test]
    fn what_cannot_be_changed_is_named_and_nothing_else_is_looked_at() {
        type How = fn(&mut Config);
        let cases: [(&str, How); 11] = [
            ("[runtime] workers", |config| config.runtime.workers = 3),
            ("[runtime] state_dir, log", |config| {
                config.runtime.log = "debug".to_owned();
                config.runtime.state_dir = "/srv".into();
            }),
            ("port lan1: device", |config| config.ports[0].device = "eth9".to_owned()),
            ("port wan2: gone", |config| drop(config.ports.pop())),
            ("the order of the ports", |config| config.ports.swap(0, 1)),
            ("channel ch1: mtu", |config| config.channels[0].mtu = Some(1500)),
            ("connection blue: attachment ch1 vlan 100: preference", |config| {
                config.connections[0].attachments[0].preference = 7
            }),
            ("connection blue: LAN lan1: mtu", |config| config.connections[0].lans[0].mtu = Some(1400)),
            ("connection blue: [connection.duplicate] and its classes", |config| {
                let classes = vec![config::model::DuplicateClass {
                    name: "voice".to_owned(),
                    dscp: vec![net::Dscp::CS6],
                    sources: vec![],
                    destinations: vec![],
                }];
                let (history, reset) = (64, std::time::Duration::from_secs(1));
                config.connections[0].duplicate = Some(config::model::Duplicate {
                    history,
                    reset,
                    latent_error_difference: 100,
                    latent_error_period: reset,
                    classes,
                });
            }),
            ("connection wire: gone", |config| drop(config.connections.pop())),
            ("connection blue: mss_clamp", |config| {
                config.connections[0].mss_clamp = config::model::MssClamp::Limit(1300);
            }),
        ];
        for (what, how) in cases {
            assert_eq!(change(how), (vec![], vec![what.to_owned()]), "{what}");
        }
    }
}
