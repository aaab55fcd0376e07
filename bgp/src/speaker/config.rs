//! What a speaker and its peers are told to be.

use crate::{
    decision::DecisionRules,
    negotiate::SessionParams,
    peer::PeerTimers,
    policy::{Changes, Policy},
    types::{Asn, Family, PerFamily, RouterId},
    wire::{
        attributes::NextHop,
        capability::{GracefulRestart, Role},
    },
};
use core::{net::IpAddr, time::Duration};
use net::IpNet;

/// About the speaker as a whole: one routed domain.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeakerConfig {
    /// Our AS number.
    pub asn: Asn,
    /// Our identifier.
    pub router_id: RouterId,
    /// How to choose among routes.
    pub decision: DecisionRules,
    /// Set when this process starts again after one that had sessions, which its peers may keep routes of.
    pub restarting: Option<Restarting>,
}

/// A start after a life that ended without a word (RFC 4724 section 4.1): no route is chosen or announced
/// before all peers have sent theirs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Restarting {
    /// Or until this time has passed (Selection_Deferral_Timer).
    pub longest: Duration,
    /// The data plane forwards by the routes of the earlier life until then: said to peers by the Forwarding
    /// State bits. Without it they drop what they kept as soon as the session is back.
    pub forwarding: bool,
}

/// What happens when a peer sends more prefixes than it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InLimitAction {
    /// Take them, and say so.
    Warn,
    /// Keep what is there, take no more, say so; ask for the rest once there is room.
    Hold,
    /// End the session (Cease, maximum number of prefixes); start again after this time, if given.
    Shut(Option<Duration>),
}

/// The most prefixes to take from a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InLimit {
    /// How many.
    pub max: u32,
    /// Warn at this many per cent of it.
    pub warn_percent: u8,
    /// What happens beyond it.
    pub action: InLimitAction,
}

/// The most prefixes to announce to a peer: what it would end the session for is never sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OutLimit {
    /// How many.
    pub max: u32,
    /// Warn at this many per cent of it.
    pub warn_percent: u8,
}

/// One family on a session.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FamilyConfig {
    /// Our own address, which we announce as next hop; without one nothing of our own is announced.
    pub next_hop: Option<NextHop>,
    /// Limit for what comes in.
    pub in_limit: Option<InLimit>,
    /// Limit for what goes out.
    pub out_limit: Option<OutLimit>,
}

/// How much of graceful restart (RFC 4724) to do with a peer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RestartMode {
    /// None: routes go with the session.
    #[default]
    Off,
    /// Keep the peer's routes while it restarts.
    Helper,
    /// Also ask the peer to keep ours, for this many seconds (at most 4095).
    Full(u16),
}

/// About one peer.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerConfig {
    /// What people call it.
    pub name: String,
    /// Its address; two peers may have the same one on different interfaces.
    pub address: IpAddr,
    /// Its AS number.
    pub asn: Asn,
    /// Our AS number towards it, when it is not the speaker's.
    pub local_asn: Option<Asn>,
    /// The families to exchange.
    pub families: PerFamily<Option<FamilyConfig>>,
    /// The hold time we propose, whole seconds: zero or at least three.
    pub hold_time: Duration,
    /// The smallest hold time we accept, zero apart.
    pub min_hold_time: Duration,
    /// Whether the peer may propose a hold time of zero.
    pub accept_zero_hold: bool,
    /// Seconds between KEEPALIVEs, if shorter than a third of the hold time.
    pub keepalive: Option<Duration>,
    /// How long to wait before dialling again; shortened by up to a quarter at random.
    pub connect_retry: Duration,
    /// How long the OPEN exchange may take.
    pub open_wait: Duration,
    /// How long the peer may refuse to read; by RFC 9687 when not set.
    pub send_hold: Option<Duration>,
    /// Dialling, staying away, path liveness.
    pub timers: PeerTimers,
    /// Take IPv4 prefixes with IPv6 next hops (RFC 8950).
    pub ipv4_over_ipv6: bool,
    /// Offer messages up to 65535 octets (RFC 8654).
    pub extended_messages: bool,
    /// Our role (RFC 9234).
    pub role: Option<Role>,
    /// The peer must tell its role.
    pub strict_role: bool,
    /// Graceful restart.
    pub restart: RestartMode,
    /// Offer to keep routes over a NOTIFICATION too (RFC 8538).
    pub restart_over_notification: bool,
    /// Longest time to use stale routes of a peer whose session is back, and of a refresh that does not
    /// end.
    pub stale_time: Duration,
    /// The leftmost AS of its paths must be its own.
    pub enforce_first_as: bool,
    /// Take routes with an AS_SET, against RFC 9774.
    pub accept_as_sets: bool,
    /// Attribute types to drop on receipt.
    pub discard: Vec<u8>,
    /// How often our own AS may be in a path from it: sites of one AS behind the same cloud.
    pub allow_own_as: u8,
    /// Replace the peer's AS in paths to it by ours, so that it takes routes of its own other sites.
    pub replace_as: bool,
    /// Take private AS numbers out of paths to it.
    pub remove_private_as: bool,
    /// Announce ourselves as next hop to an internal peer.
    pub next_hop_self: bool,
    /// Addresses of ours on this network: a next hop among them is refused.
    pub own_addresses: Vec<IpAddr>,
    /// The networks that next hops of an external peer must be on; any, when empty.
    pub connected: Vec<IpNet>,
    /// What to take. An external peer without import policy gives us nothing (RFC 8212).
    pub import: Option<Policy>,
    /// What to announce. An external peer without export policy gets nothing (RFC 8212).
    pub export: Option<Policy>,
    /// What else is changed in announcements while traffic is moved away from the peer, beside GRACEFUL_SHUTDOWN (RFC 8326),
    /// which not everybody heeds.
    pub drain: Changes,
}

/// What a changed configuration does to the session.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Impact {
    /// Nothing differs.
    None,
    /// Routes are looked at again; the session stays.
    Soft,
    /// The session has to start anew.
    Reset,
}

impl PeerConfig {
    /// A peer with the usual settings: IPv4 and IPv6 without next hops of ours, hold time 90 s, no
    /// policy, no graceful restart.
    pub fn new(name: &str, address: IpAddr, asn: Asn) -> Self {
        Self {
            name: name.to_owned(),
            address,
            asn,
            local_asn: None,
            families: PerFamily::both(Some(FamilyConfig::default())),
            hold_time: Duration::from_secs(90),
            min_hold_time: Duration::from_secs(3),
            accept_zero_hold: true,
            keepalive: None,
            connect_retry: Duration::from_secs(5),
            open_wait: Duration::from_secs(60),
            send_hold: None,
            timers: PeerTimers::default(),
            ipv4_over_ipv6: false,
            extended_messages: false,
            role: None,
            strict_role: false,
            restart: RestartMode::Off,
            restart_over_notification: false,
            stale_time: Duration::from_secs(300),
            enforce_first_as: true,
            accept_as_sets: false,
            discard: Vec::new(),
            allow_own_as: 0,
            replace_as: false,
            remove_private_as: false,
            next_hop_self: false,
            own_addresses: Vec::new(),
            connected: Vec::new(),
            import: None,
            export: None,
            drain: Changes::default(),
        }
    }

    /// What changing to `new` would do.
    pub fn impact_of(&self, new: &Self, speaker: &SpeakerConfig) -> Impact {
        if self == new {
            return Impact::None;
        }
        let (old, other) = (self.session(speaker, false, false), new.session(speaker, false, false));
        let same_session = old.with_own_ways_of(&other) == other;
        if same_session && self.address == new.address { Impact::Soft } else { Impact::Reset }
    }

    /// What its sessions are made with. `restarting` and `forwarding` go into the graceful restart
    /// capability: this process restarts; the data plane kept forwarding.
    pub(super) fn session(
        &self,
        speaker: &SpeakerConfig,
        restarting: bool,
        forwarding: bool,
    ) -> SessionParams {
        SessionParams {
            local_asn: self.local_asn.unwrap_or(speaker.asn),
            router_id: speaker.router_id,
            peer_asn: self.asn,
            hold_time: self.hold_time,
            min_hold_time: self.min_hold_time,
            accept_zero_hold: self.accept_zero_hold,
            keepalive: self.keepalive,
            connect_retry: self.connect_retry,
            open_wait: self.open_wait,
            send_hold: self.send_hold,
            families: self.wanted(),
            ipv4_over_ipv6: self.ipv4_over_ipv6,
            extended_messages: self.extended_messages,
            role: self.role,
            strict_role: self.strict_role,
            graceful_restart: self.restart_capability(restarting, forwarding),
            enforce_first_as: self.enforce_first_as,
            accept_as_sets: self.accept_as_sets,
            discard: self.discard.clone(),
        }
    }

    fn wanted(&self) -> PerFamily<bool> {
        PerFamily { ipv4: self.families.ipv4.is_some(), ipv6: self.families.ipv6.is_some() }
    }

    /// RFC 4724 section 3: a helper announces the capability without any family.
    fn restart_capability(&self, restarting: bool, forwarding: bool) -> Option<GracefulRestart> {
        let notification = self.restart_over_notification;
        match self.restart {
            RestartMode::Off => None,
            RestartMode::Helper => Some(GracefulRestart { notification, ..GracefulRestart::default() }),
            RestartMode::Full(restart_time) => {
                let flag = |wanted: bool| wanted.then_some(forwarding);
                let wanted = self.wanted();
                let families = PerFamily { ipv4: flag(wanted.ipv4), ipv6: flag(wanted.ipv6) };
                Some(GracefulRestart { restarting, notification, restart_time, families })
            }
        }
    }

    pub(super) fn family(&self, family: Family) -> FamilyConfig {
        self.families.of(family).unwrap_or_default()
    }
}

/// `percent` of `max`, rounded down.
pub(super) fn share(max: u32, percent: u8) -> u32 {
    let part = u64::from(max).saturating_mul(u64::from(percent)) / 100;
    u32::try_from(part).unwrap_or(u32::MAX)
}

/// Below this what was reported at `mark` is over: a tenth less, and at least one, so that a prefix that comes and goes
/// is not reported each time.
pub(super) fn calm_below(mark: u32) -> u32 {
    mark.saturating_sub((mark / 10).max(1))
}
