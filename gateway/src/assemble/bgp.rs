//! From `[connection.bgp]` and its neighbours to the speakers and peers of the `bgp` crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

use bgp::{
    Asn, FamilyConfig, InLimit, InLimitAction, OutLimit, PeerConfig, PerFamily, RestartMode, RouterId,
    SpeakerConfig,
    decision::DecisionRules,
    peer::{PathWatch, PeerTimers},
    policy::{Changes, Conditions, MedChange, PathCondition, Policy, PrefixRule, Source, Statement},
    wire::{
        attributes::{NextHop, Origin},
        capability::Role,
        community::{Community, LargeCommunity},
    },
};
use config::{
    Config, Secret,
    model::{
        self as words, BfdMode, GracefulRestart, LimitAction, Profile, RouteFilter, RouteOrigin, RouteSource,
        Verdict,
    },
};
use dataplane::{ConnectionId, InterfaceId, InterfaceSetup, Target};
use net::IpNet;

use super::interface_id;

/// The BGP side of one connection.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Place in the configuration's connections.
    pub connection: usize,
    /// What its speaker is told.
    pub speaker: SpeakerConfig,
    /// Our own routes.
    pub announce: Vec<OwnPrefix>,
    /// Its neighbours, in the order of the configuration.
    pub peers: Vec<PeerPlan>,
    /// Routes that do not come from neighbours; the later of two for one prefix counts, and all before those that do.
    pub base: Vec<(IpNet, Target)>,
    /// Its subnets: next hops are on one of them.
    pub subnets: Vec<(IpNet, InterfaceId)>,
    /// What the channels below its attachments carry, in Mbit/s, where the configuration says so.
    pub capacities: BTreeMap<InterfaceId, u64>,
}

/// A prefix that we announce.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnPrefix {
    /// Which one.
    pub prefix: IpNet,
    /// The LANs that it leads to. It is announced while one of them has a link; always, when there are none: it leads to
    /// attachments too, or nowhere.
    pub lans: Vec<InterfaceId>,
}

/// One neighbour.
#[derive(Clone, Debug)]
pub struct PeerPlan {
    /// Where it is.
    pub interface: InterfaceId,
    /// It is on an attachment, whose liveness the dataplane tells; otherwise on a LAN.
    pub on_attachment: bool,
    /// What the speaker is told of it.
    pub config: PeerConfig,
    /// The address to connect from.
    pub local: Option<IpAddr>,
    /// Password for TCP-MD5.
    pub password: Option<Secret>,
    /// Generalized TTL security (RFC 5082).
    pub ttl_security: bool,
    /// It keeps our routes over a planned stop too, and so hears nothing of it.
    pub silent_stop: bool,
}

impl PeerPlan {
    /// Whether a connection to it has to begin in another way than to `other`.
    pub fn is_reached_otherwise(&self, other: &Self) -> bool {
        (self.local, self.ttl_security) != (other.local, other.ttl_security)
    }
}

/// All connections that speak BGP.
pub(super) fn domains(config: &Config, interfaces: &[InterfaceSetup]) -> Vec<Domain> {
    let each = config.connections.iter().enumerate();
    each.filter_map(|(at, one)| domain(config, (at, one), interfaces)).collect()
}

/// Whether a BGP neighbour is on this interface: then the host's stack needs it.
pub(super) fn has_neighbor(connection: &words::Connection, place: words::Interface) -> bool {
    connection.neighbors.iter().any(|neighbor| neighbor.on == place)
}

fn domain(
    config: &Config,
    (at, connection): (usize, &words::Connection),
    interfaces: &[InterfaceSetup],
) -> Option<Domain> {
    let bgp = connection.bgp.as_ref()?;
    let speaker = SpeakerConfig {
        asn: Asn(bgp.asn),
        router_id: RouterId::new(bgp.router_id)?,
        decision: DecisionRules {
            always_compare_med: bgp.always_compare_med,
            max_paths: bgp.multipath,
            multipath_across_as: bgp.multipath_across_as,
            ..DecisionRules::default()
        },
        restarting: None,
    };
    let peer = |neighbor: &words::Neighbor| {
        let interface = interface_id(config, at, neighbor.on);
        let profile = config.interconnects.get(connection.interconnect.index()).map(|one| one.profile);
        peer(connection, neighbor, interface, (profile, interfaces.get(interface.index())?))
    };
    let own = interfaces.iter().enumerate().filter(|(_, one)| one.connection == ConnectionId::at(at));
    let mut peers: Vec<_> = connection.neighbors.iter().filter_map(peer).collect();
    for peer in &mut peers {
        // What an internal neighbour names as next hop may stand on any of our interfaces; link-local addresses on its own only.
        let all = own.clone().flat_map(|(_, one)| one.addresses.iter().map(IpNet::addr));
        let known = &mut peer.config.own_addresses;
        known.extend(all.filter(|address| !is_link_local(*address)));
        known.sort_unstable();
        known.dedup();
    }
    let subnets =
        own.flat_map(|(id, one)| one.addresses.iter().map(move |net| (net.trunc(), InterfaceId::at(id))));
    let subnets = subnets.filter(|(net, _)| !is_link_local(net.addr())).collect();
    let base = super::routes(config, (at, connection), interfaces);
    let capacity = |(place, one): (usize, &words::Attachment)| {
        let carries = config.capacity_of(one)?;
        Some((interface_id(config, at, words::Interface::Attachment(place)), carries))
    };
    let capacities = connection.attachments.iter().enumerate().filter_map(capacity).collect();
    let own = |prefix| OwnPrefix { prefix, lans: lans_of(prefix, &base, interfaces) };
    let announce = announced(connection, bgp).into_iter().map(own).collect();
    Some(Domain { connection: at, speaker, announce, peers, base, subnets, capacities })
}

/// Our own prefixes, each once, in order.
fn announced(connection: &words::Connection, bgp: &words::Bgp) -> Vec<IpNet> {
    let mut all = BTreeSet::new();
    for one in &bgp.announce {
        match one {
            words::Announce::Lans => {
                all.extend(connection.lans.iter().flat_map(|lan| &lan.addresses).map(IpNet::trunc))
            }
            words::Announce::Attachments => {
                all.extend(connection.attachments.iter().flat_map(|one| &one.addresses).map(IpNet::trunc));
            }
            words::Announce::Static => all.extend(connection.routes.iter().map(|route| route.prefix)),
            words::Announce::Prefix(prefix) => drop(all.insert(*prefix)),
        }
    }
    all.retain(|net| !is_link_local(net.addr()));
    all.into_iter().collect()
}

/// The LANs that packets to `prefix` leave by, when they leave by nothing else.
fn lans_of(prefix: IpNet, base: &[(IpNet, Target)], interfaces: &[InterfaceSetup]) -> Vec<InterfaceId> {
    let holds =
        |(net, _): &&(IpNet, Target)| net.prefix_len() <= prefix.prefix_len() && net.contains(&prefix.addr());
    // Of two for one prefix the later counts, as in the tables.
    let found = base.iter().filter(holds).max_by_key(|(net, _)| net.prefix_len());
    let ways = match found.map(|(_, target)| target) {
        Some(Target::OnLink(interface)) => vec![*interface],
        Some(Target::Via(hops)) => hops.iter().map(|hop| hop.interface).collect(),
        Some(Target::Local(_) | Target::Blackhole | Target::Unreachable) | None => Vec::new(),
    };
    let is_lan = |id: &InterfaceId| interfaces.get(id.index()).is_some_and(|one| !one.is_attachment());
    if ways.iter().all(is_lan) { ways } else { Vec::new() }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn peer(
    connection: &words::Connection,
    neighbor: &words::Neighbor,
    interface: InterfaceId,
    (profile, setup): (Option<Profile>, &InterfaceSetup),
) -> Option<PeerPlan> {
    let mut config = PeerConfig::new(&neighbor.name, neighbor.address, Asn(neighbor.asn));
    config.local_asn = neighbor.local_asn.map(Asn);
    config.families = families(neighbor, setup);
    config.hold_time = neighbor.hold;
    config.keepalive = Some(neighbor.keepalive);
    config.connect_retry = neighbor.connect_retry;
    config.timers = PeerTimers {
        passive: neighbor.passive,
        back_off_max: neighbor.back_off,
        path_watch: watch(neighbor.bfd),
        ..PeerTimers::default()
    };
    config.ipv4_over_ipv6 = neighbor.ipv4_over_ipv6;
    config.extended_messages = neighbor.extended_messages;
    config.role = neighbor.role.map(role);
    config.strict_role = neighbor.strict_role;
    config.restart = restart(neighbor);
    config.restart_over_notification = neighbor.restart_over_notification;
    config.stale_time = neighbor.stale_time;
    config.enforce_first_as = neighbor.enforce_first_as;
    config.accept_as_sets = neighbor.accept_as_sets;
    config.allow_own_as = neighbor.allow_own_as;
    config.replace_as = neighbor.replace_as;
    config.remove_private_as = neighbor.remove_private_as;
    config.next_hop_self = neighbor.next_hop_self;
    config.own_addresses =
        setup.addresses.iter().map(IpNet::addr).chain([setup.mac.link_local().into()]).collect();
    config.connected = setup.addresses.iter().map(IpNet::trunc).collect();
    config.drain = profile.filter(|_| setup.is_attachment()).map(last_choice).unwrap_or_default();
    config.import = neighbor.import.as_ref().and_then(|filter| policy(connection, filter));
    config.export = neighbor.export.as_ref().and_then(|filter| policy(connection, filter));
    Some(PeerPlan {
        interface,
        on_attachment: setup.is_attachment(),
        config,
        local: local(setup, neighbor.address),
        password: neighbor.password.as_ref().map(|password| password.secret.clone()),
        ttl_security: neighbor.ttl_security,
        silent_stop: neighbor.graceful_restart == GracefulRestart::Full,
    })
}

/// What makes our routes a cloud's last choice: none of them says that it heeds GRACEFUL_SHUTDOWN.
fn last_choice(profile: Profile) -> Changes {
    let aws = |low: u16| Community((7224 << 16) | u32::from(low));
    match profile {
        Profile::Quadspan => Changes::default(),
        // Direct Connect: 7224:7100 is low, 7200 medium, 7300 high preference, before the AS path is looked at.
        Profile::AwsDx => Changes {
            remove_communities: [7200, 7300].map(aws).into(),
            add_communities: vec![aws(7100)],
            prepend: PREPEND,
            ..Changes::default()
        },
        // The means is not laid down there; a longer path is understood everywhere.
        Profile::AwsInterconnect | Profile::AzureErDirect => {
            Changes { prepend: PREPEND, ..Changes::default() }
        }
        // Cloud Router goes by MED; its own base priorities end at 65535.
        Profile::GcpCci => Changes { med: Some(MedChange::Set(1_000_000)), ..Changes::default() },
    }
}

/// How often our AS stands in front more than otherwise: more than anybody does for ordinary reasons.
const PREPEND: u8 = 4;

/// The address of ours that shares a subnet with the neighbour.
fn local(setup: &InterfaceSetup, neighbor: IpAddr) -> Option<IpAddr> {
    if is_link_local(neighbor) {
        return Some(setup.mac.link_local().into());
    }
    setup.addresses.iter().find(|net| net.contains(&neighbor)).map(IpNet::addr)
}

fn families(neighbor: &words::Neighbor, setup: &InterfaceSetup) -> PerFamily<Option<FamilyConfig>> {
    let family = |wanted: bool, v4: bool| {
        let pick = |limits: words::Limits| if v4 { limits.ipv4 } else { limits.ipv6 };
        let (max_in, max_out) = (&neighbor.max_in, &neighbor.max_out);
        wanted.then(|| FamilyConfig {
            next_hop: next_hop(neighbor, setup, v4),
            in_limit: pick(max_in.limits).map(|max| InLimit {
                max,
                warn_percent: max_in.warn_percent,
                action: in_action(max_in),
            }),
            out_limit: pick(max_out.limits).map(|max| OutLimit { max, warn_percent: max_out.warn_percent }),
        })
    };
    PerFamily { ipv4: family(neighbor.ipv4, true), ipv6: family(neighbor.ipv6, false) }
}

const fn in_action(max_in: &words::MaxIn) -> InLimitAction {
    match max_in.action {
        LimitAction::Warn => InLimitAction::Warn,
        LimitAction::Hold => InLimitAction::Hold,
        LimitAction::Shut => InLimitAction::Shut(max_in.restart),
    }
}

/// What we announce as next hop: our address there, of the family, the neighbour's own subnet first (RFC 4271 §5.1.3,
/// RFC 2545 §2); IPv4 routes over IPv6 alone by RFC 8950.
fn next_hop(neighbor: &words::Neighbor, setup: &InterfaceSetup, v4: bool) -> Option<NextHop> {
    let near = setup.addresses.iter().filter(|net| net.contains(&neighbor.address));
    let mut ours = near.chain(&setup.addresses).map(IpNet::addr).filter(|address| !is_link_local(*address));
    let v6 = |global: Option<Ipv6Addr>| {
        let own = setup.mac.link_local();
        let both = |global| NextHop::V6 { global, link_local: Some(own) };
        global.map_or(NextHop::V6 { global: own, link_local: None }, both)
    };
    let global = |address: IpAddr| match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    };
    if !v4 {
        let global = ours.find_map(global);
        return (global.is_some() || is_link_local(neighbor.address)).then(|| v6(global));
    }
    let mut all = ours.clone();
    let plain = ours.find_map(|address| match address {
        IpAddr::V4(address) => Some(NextHop::V4(address)),
        IpAddr::V6(_) => None,
    });
    plain.or_else(|| neighbor.ipv4_over_ipv6.then(|| v6(all.find_map(global))))
}

const fn watch(mode: BfdMode) -> PathWatch {
    match mode {
        BfdMode::Off => PathWatch::Off,
        BfdMode::Follow => PathWatch::Follow,
        BfdMode::Strict => PathWatch::Strict,
    }
}

const fn role(role: words::Role) -> Role {
    match role {
        words::Role::Provider => Role::Provider,
        words::Role::Customer => Role::Customer,
        words::Role::Peer => Role::Peer,
        words::Role::RouteServer => Role::RouteServer,
        words::Role::RouteServerClient => Role::RouteServerClient,
    }
}

fn restart(neighbor: &words::Neighbor) -> RestartMode {
    match neighbor.graceful_restart {
        GracefulRestart::Off => RestartMode::Off,
        GracefulRestart::Helper => RestartMode::Helper,
        GracefulRestart::Unplanned | GracefulRestart::Full => {
            RestartMode::Full(u16::try_from(neighbor.restart_time.as_secs()).unwrap_or(4095))
        }
    }
}

fn policy(connection: &words::Connection, filter: &RouteFilter) -> Option<Policy> {
    Some(match filter {
        RouteFilter::Accept => Policy::accept_all(),
        RouteFilter::Refuse => Policy::default(),
        RouteFilter::Policy(at) => {
            let policy = connection.policies.get(*at)?;
            Policy {
                statements: policy.rules.iter().map(statement).collect(),
                accept_otherwise: policy.otherwise == Verdict::Accept,
            }
        }
    })
}

fn statement(rule: &words::Rule) -> Statement {
    let as_path = [
        rule.from_as.map(|asn| PathCondition::From(Asn(asn))),
        rule.origin_as.map(|asn| PathCondition::OriginatedBy(Asn(asn))),
        rule.contains_as.map(|asn| PathCondition::Contains(Asn(asn))),
    ];
    let range = |one: &words::PrefixRange| PrefixRule { net: one.net, ge: one.ge, le: one.le };
    Statement {
        name: rule.name.clone(),
        when: Conditions {
            prefixes: rule.prefixes.as_ref().map(|list| list.iter().map(range).collect()),
            communities: communities(&rule.communities),
            large_communities: large(&rule.large_communities),
            as_path: as_path.into_iter().flatten().collect(),
            source: rule.source.map(source),
            origin: rule.origin.map(origin),
        },
        set: Changes {
            local_pref: rule.local_pref,
            med: rule.med.map(MedChange::Set),
            prepend: rule.prepend,
            origin: rule.set_origin.map(origin),
            clear_communities: rule.clear_communities,
            remove_communities: communities(&rule.remove_communities),
            add_communities: communities(&rule.add_communities),
            remove_large: large(&rule.remove_large),
            add_large: large(&rule.add_large),
        },
        accept: rule.action == Verdict::Accept,
    }
}

fn communities(list: &[words::Community]) -> Vec<Community> {
    list.iter().map(|one| Community(one.0)).collect()
}

fn large(list: &[words::LargeCommunity]) -> Vec<LargeCommunity> {
    let one = |words::LargeCommunity([global, local1, local2]): &words::LargeCommunity| LargeCommunity {
        global: *global,
        local1: *local1,
        local2: *local2,
    };
    list.iter().map(one).collect()
}

const fn source(source: RouteSource) -> Source {
    match source {
        RouteSource::Own => Source::Local,
        RouteSource::Internal => Source::Internal,
        RouteSource::External => Source::External,
    }
}

const fn origin(origin: RouteOrigin) -> Origin {
    match origin {
        RouteOrigin::Igp => Origin::Igp,
        RouteOrigin::Egp => Origin::Egp,
        RouteOrigin::Incomplete => Origin::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        api::testbed::{config_with_bgp, devices},
        assemble,
    };

    // RFC 4271 §6.3: a next hop must not be an address of the one who is told. The packets would be for ourselves.
    #[test]
    fn a_next_hop_is_ours_on_whichever_interface_of_the_connection_it_stands() {
        let config = config_with_bgp();
        let plan = assemble::plan(&config, &devices(&config)).unwrap();
        let own = &plan.domains[0].peers[0].config.own_addresses;
        let connection = &config.connections[0];
        let lans = connection.lans.iter().flat_map(|lan| &lan.addresses);
        let all = lans.chain(connection.attachments.iter().flat_map(|one| &one.addresses));
        let all: Vec<_> = all.map(super::IpNet::addr).collect();
        assert!(all.len() > 2 && all.iter().all(|address| own.contains(address)), "{all:?}: {own:?}");
    }
}
