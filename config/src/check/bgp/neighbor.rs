//! `[[connection.neighbor]]`: where it is, whether it can be reached, and what goes together.

use core::{net::IpAddr, time::Duration};
use std::collections::BTreeMap;

use net::{IpNet, VlanId};

use super::{
    super::{address::peer_fits, given, key, lasting, span_of, values},
    has_family, profile, reserved,
};
use crate::{
    model::{BfdMode, Family, Interface, Limits, MaxIn, MaxOut, Neighbor, Password, Profile, RouteFilter},
    problem::{Code, Report, Span},
    raw::{self, At, items, suggest, time::Period},
    secret::{SecretSource, password},
};

const RETRY: Duration = Duration::from_secs(5);
const BACK_OFF: Duration = Duration::from_secs(60);
const RESTART: Duration = Duration::from_secs(120);
const STALE: Duration = Duration::from_secs(300);

/// All neighbours of a connection; `None` after a finding.
pub(super) fn check(
    connection: &raw::Connection,
    profile: Profile,
    secrets: &dyn SecretSource,
    report: &mut Report,
) -> Option<Vec<Neighbor>> {
    let mut seen = Seen::default();
    let build = |at: &At<raw::Neighbor>| {
        let neighbor = &at.value;
        let place = place(connection, neighbor, report);
        let profile = if profile::on_attachment(connection, neighbor) { profile } else { Profile::Quadspan };
        Context { connection, neighbor, profile, secrets }.build(place, &mut seen, report)
    };
    items(&connection.neighbor).iter().map(build).collect::<Vec<_>>().into_iter().collect()
}

#[derive(Default)]
struct Seen {
    places: BTreeMap<(Interface, IpAddr), Span>,
    names: BTreeMap<String, Span>,
}

/// Where a neighbour is.
struct Place {
    on: Interface,
    addresses: Vec<IpNet>,
    peers: Vec<IpAddr>,
    /// The mode of BFD there, when there is a section.
    bfd: Option<BfdMode>,
    /// BFD there runs with each of `peers`, and with nobody else.
    only_peers: bool,
}

/// Attachments go before LANs: a channel and a port may have the same name.
fn place(connection: &raw::Connection, neighbor: &raw::Neighbor, report: &mut Report) -> Option<Place> {
    let on = neighbor.on.as_ref()?;
    let attachments = items(&connection.attachment).iter().enumerate();
    let is_there = |name: Option<&At<String>>| name.is_some_and(|at| at.value == on.value);
    if let Some((at, one)) = attachments.into_iter().find(|(_, at)| is_there(at.value.link())) {
        return Some(Place {
            on: Interface::Attachment(at),
            addresses: values(&one.value.address),
            peers: values(&one.value.peer),
            bfd: one.value.bfd.as_ref().map(|at| at.value.mode()),
            // Without any the section is refused; a mistake among them is told where it is.
            only_peers: !items(&one.value.peer).is_empty() && !one.value.is_wrong("peer"),
        });
    }
    let vlan: Option<VlanId> = given(neighbor.vlan.as_ref());
    let lans: Vec<_> = items(&connection.lan)
        .iter()
        .enumerate()
        .filter(|(_, at)| is_there(at.value.port.as_ref()))
        .filter(|(_, at)| vlan.is_none() || given(at.value.vlan.as_ref()) == vlan)
        .collect();
    match lans.as_slice() {
        [(at, one)] => Some(Place {
            on: Interface::Lan(*at),
            addresses: values(&one.value.address),
            peers: Vec::new(),
            bfd: one.value.bfd.as_ref().map(|at| at.value.mode()),
            only_peers: false,
        }),
        [] => {
            nowhere(connection, neighbor, on, report);
            None
        }
        [_, (_, second), ..] => {
            report
                .add(
                    Code::NeighborPlace,
                    on.span,
                    format!("the connection has several LANs on `{}`", on.value),
                )
                .also(second.span, "one of them")
                .help("say which with vlan = 20");
            None
        }
    }
}

fn nowhere(connection: &raw::Connection, neighbor: &raw::Neighbor, on: &At<String>, report: &mut Report) {
    if connection.is_wrong("attachment") || connection.is_wrong("lan") || neighbor.is_wrong("vlan") {
        return;
    }
    let channels = items(&connection.attachment).iter().filter_map(|at| at.value.link());
    let ports = items(&connection.lan).iter().filter_map(|at| at.value.port.as_ref());
    let known: Vec<_> = channels.chain(ports).map(|at| at.value.as_str()).collect();
    let message = format!("the connection has neither an attachment nor a LAN on `{}`", on.value);
    suggest(report.add(Code::UnknownReference, on.span, message), &on.value, &known, "it is on");
}

struct Context<'c> {
    connection: &'c raw::Connection,
    neighbor: &'c raw::Neighbor,
    profile: Profile,
    secrets: &'c dyn SecretSource,
}

impl Context<'_> {
    fn build(&self, place: Option<Place>, seen: &mut Seen, report: &mut Report) -> Option<Neighbor> {
        let neighbor = self.neighbor;
        for asn in [&neighbor.asn, &neighbor.local_asn].into_iter().flatten() {
            reserved(asn, report);
        }
        let (hold, keepalive) = self.timers(report);
        let password = self.password(report);
        let (import, export) = self.filters(report);
        let place = place?;
        let address = self.address(&place, report);
        let name = address.map(|address| self.name(address, place.on, seen, report));
        let (ipv4, ipv6) = self.families(address, &place, report);
        let bfd = self.bfd(address, &place, report);
        self.role(report);
        let graceful_restart = given(neighbor.graceful_restart.as_ref())
            .unwrap_or_else(|| profile::graceful_restart(self.profile, bfd != BfdMode::Off));
        let max_out = self.max_out();
        let facts = profile::Facts {
            hold,
            keepalive,
            password: password.as_ref(),
            bfd: bfd != BfdMode::Off,
            graceful_restart,
            max_out: max_out.limits,
        };
        profile::neighbor(neighbor, self.profile, &facts, report);
        Some(Neighbor {
            name: name?,
            on: place.on,
            address: address?,
            asn: given(neighbor.asn.as_ref())?,
            local_asn: given(neighbor.local_asn.as_ref()),
            description: given(neighbor.description.as_ref()),
            password,
            hold,
            keepalive,
            connect_retry: lasting(neighbor.connect_retry.as_ref()).unwrap_or(RETRY),
            back_off: lasting(neighbor.back_off.as_ref()).unwrap_or(BACK_OFF),
            passive: neighbor.passive(),
            ttl_security: neighbor.ttl_security(),
            ipv4,
            ipv6,
            import,
            export,
            max_in: self.max_in(),
            max_out,
            role: given(neighbor.role.as_ref()),
            strict_role: neighbor.strict_role(),
            graceful_restart,
            restart_time: lasting(neighbor.restart_time.as_ref()).unwrap_or(RESTART),
            restart_over_notification: neighbor.restart_over_notification(),
            stale_time: lasting(neighbor.stale_time.as_ref()).unwrap_or(STALE),
            allow_own_as: neighbor.allow_own_as(),
            replace_as: neighbor.replace_as(),
            remove_private_as: neighbor.remove_private_as(),
            enforce_first_as: neighbor.enforce_first_as(),
            accept_as_sets: neighbor.accept_as_sets(),
            next_hop_self: neighbor.next_hop_self(),
            ipv4_over_ipv6: neighbor.ipv4_over_ipv6(),
            extended_messages: neighbor.extended_messages(),
            bfd,
        })
    }

    /// The hold time is on the wire in whole seconds, and three KEEPALIVEs must fit into it (RFC 4271 §4.4).
    fn timers(&self, report: &mut Report) -> (Duration, Duration) {
        let (neighbor, defaults) = (self.neighbor, profile::defaults(self.profile));
        let whole = [neighbor.hold.as_ref(), neighbor.keepalive.as_ref()];
        for at in whole.into_iter().flatten().filter(|at| at.value.0.subsec_nanos() != 0) {
            report
                .add(Code::BgpTimers, at.span, format!("{} is not a whole number of seconds", at.value))
                .help("BGP counts in seconds; BFD finds dead paths faster");
        }
        let hold = lasting(neighbor.hold.as_ref()).unwrap_or(defaults.hold);
        let third = Duration::from_secs((hold / 3).as_secs().max(1));
        let keepalive = lasting(neighbor.keepalive.as_ref()).unwrap_or_else(|| defaults.keepalive.min(third));
        if keepalive > third {
            report
                .add(
                    Code::BgpTimers,
                    span_of(neighbor.keepalive.as_ref(), neighbor.here),
                    format!(
                        "a keepalive time of {} is too long for a hold time of {}",
                        Period(keepalive),
                        Period(hold)
                    ),
                )
                .help(format!("write keepalive = \"{}\" or less: a third of the hold time", Period(third)));
        }
        (hold, keepalive)
    }

    fn password(&self, report: &mut Report) -> Option<Password> {
        let at = self.neighbor.password.as_ref()?;
        let text = match self.secrets.read(&at.value) {
            Ok(text) => text,
            Err(error) => {
                key::refused((&at.value, key::SecretKind::Password), at.span, &error, report);
                return None;
            }
        };
        let why = match password(&text) {
            Ok(secret) => return Some(Password { from: at.value.clone(), secret }),
            Err(why) => why,
        };
        report
            .add(Code::Password, at.span, format!("the password in {} {why}", at.value))
            .help("write the password of the session, and nothing else, on one line");
        None
    }

    fn filters(&self, report: &mut Report) -> (Option<RouteFilter>, Option<RouteFilter>) {
        let neighbor = self.neighbor;
        let bgp = self.connection.bgp.as_ref().and_then(|at| at.value.asn.as_ref());
        let ours = neighbor.local_asn.as_ref().or(bgp);
        let external =
            ours.zip(neighbor.asn.as_ref()).is_some_and(|(ours, theirs)| ours.value != theirs.value);
        let directions = [
            ("import", &neighbor.import, "takes nothing from it"),
            ("export", &neighbor.export, "announces nothing to it"),
        ];
        for (key, field, what) in directions {
            if external && field.is_none() && !neighbor.is_wrong(key) {
                report
                    .add(
                        Code::NoRoutePolicy,
                        neighbor.here,
                        format!("an external neighbour without `{key}`: the gateway {what} (RFC 8212)"),
                    )
                    .help(format!(
                        "write {key} = \"accept\", or the name of a [[connection.policy]], or \"refuse\""
                    ));
            }
        }
        (self.filter(neighbor.import.as_ref(), report), self.filter(neighbor.export.as_ref(), report))
    }

    fn filter(&self, name: Option<&At<String>>, report: &mut Report) -> Option<RouteFilter> {
        let name = name?;
        let policies = items(&self.connection.policy);
        let called = |at: &At<raw::RoutePolicy>| at.value.name.as_ref().map(|at| at.value.clone());
        match name.value.as_str() {
            "accept" => return Some(RouteFilter::Accept),
            "refuse" => return Some(RouteFilter::Refuse),
            _ => {}
        }
        let place = policies.iter().position(|at| called(at).as_ref() == Some(&name.value));
        if place.is_none() && !self.connection.is_wrong("policy") {
            let known: Vec<_> = policies.iter().filter_map(called).collect();
            let known: Vec<_> =
                ["accept", "refuse"].into_iter().chain(known.iter().map(String::as_str)).collect();
            let message = format!("the connection has no policy `{}`", name.value);
            suggest(report.add(Code::UnknownReference, name.span, message), &name.value, &known, "there are");
        }
        place.map(RouteFilter::Policy)
    }

    fn address(&self, place: &Place, report: &mut Report) -> Option<IpAddr> {
        let neighbor = self.neighbor;
        if neighbor.is_wrong("address") {
            return None;
        }
        if let Some(at) = &neighbor.address {
            peer_fits(&place.addresses, at.value, at.span, report);
            return Some(at.value);
        }
        if place.peers.is_empty() {
            report
                .add(Code::MissingKey, neighbor.here, "`address` is missing in [[connection.neighbor]]")
                .help(
                    "add address = \"169.254.10.2\"; only on an attachment with a `peer` it may be left out",
                );
        }
        place.peers.first().copied()
    }

    fn name(&self, address: IpAddr, place: Interface, seen: &mut Seen, report: &mut Report) -> String {
        let neighbor = self.neighbor;
        let on = neighbor.on.as_ref().map_or("", |at| at.value.as_str());
        let vlan = neighbor.vlan.as_ref().map_or_else(String::new, |at| format!(".{}", at.value));
        let span = span_of(neighbor.address.as_ref(), neighbor.here);
        if let Some(first) = seen.places.insert((place, address), span) {
            report
                .add(Code::DuplicateNeighbor, span, format!("a second neighbour {address} on `{on}`"))
                .also(first, "the first one")
                .help("one session per address and interface: remove one");
        }
        let name = given(neighbor.name.as_ref()).unwrap_or_else(|| format!("{address}%{on}{vlan}"));
        let span = span_of(neighbor.name.as_ref(), neighbor.here);
        if let Some(first) = neighbor.name.as_ref().and_then(|_| seen.names.insert(name.clone(), span)) {
            report
                .add(Code::DuplicateName, span, format!("two neighbours are called `{name}`"))
                .also(first, "first here")
                .help("give each a name of its own");
        }
        name
    }

    /// A family needs an address of ours that can be announced as next hop.
    fn families(&self, address: Option<IpAddr>, place: &Place, report: &mut Report) -> (bool, bool) {
        let neighbor = self.neighbor;
        let Some(at) = &neighbor.families else {
            return address.map_or((false, false), |address| (address.is_ipv4(), address.is_ipv6()));
        };
        let has = |wanted: Family| at.value.iter().any(|one| one.value == wanted);
        if at.value.is_empty() {
            report
                .add(Code::Malformed, at.span, "the list of families is empty")
                .help("write families = [\"ipv4\", \"ipv6\"], or leave it out");
        }
        for one in &at.value {
            let v4 = one.value == Family::Ipv4;
            let reachable = has_family(&place.addresses, v4) || (v4 && neighbor.ipv4_over_ipv6());
            if !reachable {
                let name = if v4 { "IPv4" } else { "IPv6" };
                report
                    .add(
                        Code::NextHopMissing,
                        one.span,
                        format!("we have no {name} address there to announce as next hop"),
                    )
                    .help(format!("add an {name} address to the interface, or remove \"{}\"", one.value));
            }
        }
        (has(Family::Ipv4), has(Family::Ipv6))
    }

    fn bfd(&self, address: Option<IpAddr>, place: &Place, report: &mut Report) -> BfdMode {
        let there = place.bfd.unwrap_or(BfdMode::Off);
        let mode = self.neighbor.bfd.as_ref().map_or(there, |wish| wish.value);
        let Some(wish) = self.neighbor.bfd.as_ref().filter(|_| mode != BfdMode::Off && there == BfdMode::Off)
        else {
            self.watched(mode, address, place, report);
            return mode;
        };
        report
            .add(Code::BfdMissing, wish.span, "the interface of this neighbour has no BFD")
            .help("add [connection.attachment.bfd] to its attachment, or [connection.lan.bfd] to its LAN");
        mode
    }

    /// On an attachment BFD runs with its peers (RFC 5881 §2), so nothing watches another router there.
    fn watched(&self, mode: BfdMode, address: Option<IpAddr>, place: &Place, report: &mut Report) {
        let Some(address) = address.filter(|one| place.only_peers && !place.peers.contains(one)) else {
            return;
        };
        let (code, what) = match mode {
            BfdMode::Off => return,
            BfdMode::Strict => (Code::BfdNever, "its BGP session would wait for BFD for ever"),
            BfdMode::Follow => (Code::BfdUnwatched, "BFD does not watch it"),
        };
        let neighbor = self.neighbor;
        let span = neighbor
            .bfd
            .as_ref()
            .map_or_else(|| span_of(neighbor.address.as_ref(), neighbor.here), |at| at.span);
        let same_family = place.peers.iter().find(|peer| peer.is_ipv4() == address.is_ipv4());
        let remedy = match same_family {
            Some(peer) => {
                format!("write bfd = \"off\" in this neighbour, or make it the `peer` instead of {peer}")
            }
            None => format!(
                "add \"{address}\" to `peer` of the attachment, or write bfd = \"off\" in this neighbour"
            ),
        };
        let message = format!("{address} is not a `peer` of its attachment: {what}");
        report.add(code, span, message).help(remedy);
    }

    /// RFC 9234 §3: roles are for external sessions.
    fn role(&self, report: &mut Report) {
        let neighbor = self.neighbor;
        let bgp = self.connection.bgp.as_ref().and_then(|at| at.value.asn.as_ref());
        let ours = neighbor.local_asn.as_ref().or(bgp);
        let internal =
            ours.zip(neighbor.asn.as_ref()).is_some_and(|(ours, theirs)| ours.value == theirs.value);
        if let Some(role) = neighbor.role.as_ref().filter(|_| internal) {
            report
                .add(Code::Role, role.span, "a role towards a neighbour in our own AS (RFC 9234)")
                .help("remove it: roles are for neighbours in other ASes");
        }
        if let Some(strict) = neighbor.strict_role.as_ref().filter(|at| at.value && neighbor.role.is_none()) {
            report
                .add(Code::Role, strict.span, "strict_role without a role of ours")
                .help("add role = \"customer\", or what we are to the neighbour");
        }
    }

    fn max_in(&self) -> MaxIn {
        let none = raw::MaxIn::default();
        let given_in = self.neighbor.max_in.as_ref().map_or(&none, |at| &at.value);
        MaxIn {
            limits: Limits { ipv4: given(given_in.ipv4.as_ref()), ipv6: given(given_in.ipv6.as_ref()) },
            warn_percent: given_in.warn(),
            action: given_in.action(),
            restart: lasting(given_in.restart.as_ref()),
        }
    }

    fn max_out(&self) -> MaxOut {
        let (none, documented) = (raw::MaxOut::default(), profile::defaults(self.profile).max_out);
        let wish = self.neighbor.max_out.as_ref().map_or(&none, |at| &at.value);
        MaxOut {
            limits: Limits {
                ipv4: given(wish.ipv4.as_ref()).or(documented.ipv4),
                ipv6: given(wish.ipv6.as_ref()).or(documented.ipv6),
            },
            warn_percent: wish.warn(),
        }
    }
}
