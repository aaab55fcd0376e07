//! What two OPENs agree on (RFC 4271 section 4.2, RFC 5492): ours, theirs, and the session between.

use crate::{
    types::{Asn, Family, PerFamily, RouterId},
    wire::{
        capability::{self, Capability, GracefulRestart, Role},
        emit::EmitContext,
        header::{MAX_LEN, MAX_LEN_EXTENDED},
        notification::{Cause, Notification, OpenError},
        open::Open,
        update::UpdateContext,
    },
};
use core::time::Duration;
use net::Writer;

/// Everything a session needs to know before it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionParams {
    /// Our AS number on this session.
    pub local_asn: Asn,
    /// Our identifier.
    pub router_id: RouterId,
    /// The AS number the peer must have.
    pub peer_asn: Asn,
    /// The hold time we propose; whole seconds, zero or at least three.
    pub hold_time: Duration,
    /// The smallest hold time we accept from the peer, zero apart.
    pub min_hold_time: Duration,
    /// Whether the peer may switch the hold timer off by proposing zero.
    pub accept_zero_hold: bool,
    /// Seconds between KEEPALIVEs; a third of the agreed hold time when not set, and never more.
    pub keepalive: Option<Duration>,
    /// How long to wait before the next dial.
    pub connect_retry: Duration,
    /// How long the OPEN exchange may take.
    pub open_wait: Duration,
    /// How long nothing may be sendable (RFC 9687); twice the hold time but at least eight minutes when
    /// not set.
    pub send_hold: Option<Duration>,
    /// Families we exchange.
    pub families: PerFamily<bool>,
    /// We take IPv4 prefixes with IPv6 next hops (RFC 8950).
    pub ipv4_over_ipv6: bool,
    /// We take messages up to 65535 octets (RFC 8654).
    pub extended_messages: bool,
    /// Our role (RFC 9234).
    pub role: Option<Role>,
    /// Refuse a peer that does not tell its role.
    pub strict_role: bool,
    /// The graceful restart capability we announce; `None` not to.
    pub graceful_restart: Option<GracefulRestart>,
    /// The leftmost AS of every path must be the peer's (external sessions).
    pub enforce_first_as: bool,
    /// Take routes with an AS_SET, against RFC 9774.
    pub accept_as_sets: bool,
    /// Attribute types to drop on receipt.
    pub discard: Vec<u8>,
}

/// What both sides agreed on.
#[derive(Clone, Debug, PartialEq)]
pub struct Negotiated {
    /// The peer's AS number.
    pub peer_asn: Asn,
    /// The peer's identifier.
    pub peer_id: RouterId,
    /// The smaller of both hold times; zero switches it off.
    pub hold_time: Duration,
    /// How often we send KEEPALIVE; zero for never.
    pub keepalive: Duration,
    /// Four-octet AS numbers in paths.
    pub four_octet_as: bool,
    /// Families exchanged.
    pub families: PerFamily<bool>,
    /// IPv4 prefixes may have IPv6 next hops.
    pub ipv4_over_ipv6: bool,
    /// The peer answers ROUTE-REFRESH.
    pub refresh: bool,
    /// Both mark begin and end of a refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Longest message that the peer takes, in octets.
    pub max_len: usize,
    /// Longest message that it may send.
    pub max_read: usize,
    /// What the peer said about graceful restart, when we announced it too.
    pub graceful_restart: Option<GracefulRestart>,
    /// Both sides keep routes over a NOTIFICATION (RFC 8538).
    pub restart_over_notification: bool,
    /// The peer's role, told or implied by ours.
    pub peer_role: Option<Role>,
}

impl SessionParams {
    /// True when the peer is in our AS.
    pub fn is_internal(&self) -> bool {
        self.local_asn == self.peer_asn
    }

    /// These, but as `new` says in all that the peer is never told: our timers, and what is made of what comes in.
    #[must_use]
    pub fn with_own_ways_of(&self, new: &Self) -> Self {
        Self {
            keepalive: new.keepalive,
            connect_retry: new.connect_retry,
            open_wait: new.open_wait,
            send_hold: new.send_hold,
            enforce_first_as: new.enforce_first_as,
            accept_as_sets: new.accept_as_sets,
            discard: new.discard.clone(),
            ..self.clone()
        }
    }

    /// Whether UPDATEs are read the same way.
    pub fn reads_like(&self, other: &Self) -> bool {
        let way = |one: &Self| (one.enforce_first_as, one.accept_as_sets);
        way(self) == way(other) && self.discard == other.discard
    }

    /// How often to send KEEPALIVE with this hold time.
    pub fn keepalive_for(&self, hold_time: Duration) -> Duration {
        self.keepalive.map_or(hold_time / 3, |ours| ours.min(hold_time / 3))
    }

    /// Our OPEN.
    pub fn open(&self) -> Open {
        Open {
            asn: self.local_asn,
            hold_time: u16::try_from(self.hold_time.as_secs()).unwrap_or(u16::MAX),
            router_id: self.router_id,
            capabilities: self.capabilities(),
        }
    }

    fn capabilities(&self) -> Vec<Capability> {
        let mut all = self.multiprotocol();
        all.extend([Capability::RouteRefresh, Capability::EnhancedRouteRefresh]);
        if self.ipv4_over_ipv6 {
            all.push(Capability::ExtendedNextHop(vec![(Family::Ipv4.code(), 2)]));
        }
        if self.extended_messages {
            all.push(Capability::ExtendedMessage);
        }
        all.extend(self.role.map(|role| Capability::Role(role.code())));
        all.extend(self.graceful_restart.map(Capability::GracefulRestart));
        all.push(Capability::FourOctetAs(self.local_asn));
        all
    }

    fn multiprotocol(&self) -> Vec<Capability> {
        let wanted = self.families.iter().filter(|(_, wanted)| **wanted);
        wanted.map(|(family, _)| Capability::Multiprotocol(family.code())).collect()
    }

    /// What the session becomes with the peer's OPEN.
    ///
    /// # Errors
    /// The NOTIFICATION to send when there can be no session.
    pub fn negotiate(&self, open: &Open) -> Result<Negotiated, Notification> {
        if open.asn != self.peer_asn {
            // RFC 4271 section 6.2 lays no data down; both operators want to know which AS was heard.
            let data = open.asn.0.to_be_bytes().to_vec();
            return Err(Notification { data, ..Notification::new(Cause::Open(OpenError::PeerAs)) });
        }
        // RFC 6286 section 2.1: identifiers are unique within an AS only.
        if self.is_internal() && open.router_id == self.router_id {
            return Err(Notification::new(Cause::Open(OpenError::Identifier)));
        }
        let hold_time = self.hold_time(open.hold_time)?;
        let families = self.agreed_families(&open.capabilities)?;
        let peer_role = self.agreed_role(&open.capabilities)?;
        let theirs = Theirs::of(&open.capabilities);
        let graceful_restart = theirs.restart.filter(|_| self.graceful_restart.is_some());
        let our_n = self.graceful_restart.is_some_and(|ours| ours.notification);
        let longest = |extended| if extended { MAX_LEN_EXTENDED } else { MAX_LEN };
        Ok(Negotiated {
            peer_asn: open.asn,
            peer_id: open.router_id,
            hold_time,
            keepalive: self.keepalive_for(hold_time),
            four_octet_as: open.four_octet_as(),
            families,
            ipv4_over_ipv6: self.ipv4_over_ipv6 && capability::ipv4_over_ipv6(&open.capabilities),
            refresh: theirs.refresh,
            enhanced_refresh: theirs.enhanced_refresh,
            // RFC 8654 section 4: who told that it takes long messages gets them, whatever the other side told.
            max_len: longest(self.extended_messages && theirs.extended_message),
            max_read: longest(self.extended_messages),
            graceful_restart,
            restart_over_notification: our_n && graceful_restart.is_some_and(|theirs| theirs.notification),
            peer_role,
        })
    }

    fn hold_time(&self, theirs: u16) -> Result<Duration, Notification> {
        let theirs = Duration::from_secs(u64::from(theirs));
        let too_small = theirs < self.min_hold_time && !theirs.is_zero();
        if too_small || (theirs.is_zero() && !self.accept_zero_hold) {
            return Err(Notification::new(Cause::Open(OpenError::HoldTime)));
        }
        Ok(theirs.min(self.hold_time))
    }

    /// RFC 5492 section 3: without a common family there is nothing to talk about; the data names ours.
    fn agreed_families(&self, theirs: &[Capability]) -> Result<PerFamily<bool>, Notification> {
        let theirs = capability::families(theirs);
        let agreed =
            PerFamily { ipv4: self.families.ipv4 && theirs.ipv4, ipv6: self.families.ipv6 && theirs.ipv6 };
        if agreed.ipv4 || agreed.ipv6 {
            return Ok(agreed);
        }
        let mut wanted = Writer::new();
        self.multiprotocol().iter().for_each(|capability| capability.emit(&mut wanted));
        Err(Notification::with_data(Cause::Open(OpenError::Capability), wanted.as_slice()))
    }

    /// RFC 9234 section 4.2.
    fn agreed_role(&self, theirs: &[Capability]) -> Result<Option<Role>, Notification> {
        let Some(ours) = self.role.filter(|_| !self.is_internal()) else { return Ok(None) };
        let mismatch = || Notification::new(Cause::Open(OpenError::Role));
        let mut told = theirs.iter().filter_map(role_of);
        match told.next() {
            None if self.strict_role => Err(mismatch()),
            None => Ok(Some(ours.counterpart())),
            // Several, unless all say the same, are a mismatch as well.
            Some(first) if told.any(|other| other != first) => Err(mismatch()),
            Some(first) if Role::from_code(first) == Some(ours.counterpart()) => Ok(Some(ours.counterpart())),
            Some(_) => Err(mismatch()),
        }
    }
}

impl Negotiated {
    /// How to read the peer's UPDATEs.
    pub fn update_context(&self, params: &SessionParams) -> UpdateContext {
        let internal = params.is_internal();
        UpdateContext {
            internal,
            four_octet_as: self.four_octet_as,
            families: self.families,
            ipv4_over_ipv6: self.ipv4_over_ipv6,
            first_as: (params.enforce_first_as && !internal).then_some(self.peer_asn),
            accept_as_sets: params.accept_as_sets,
            discard: params.discard.clone(),
        }
    }

    /// How to write ours.
    pub const fn emit_context(&self) -> EmitContext {
        EmitContext { four_octet_as: self.four_octet_as, max_len: self.max_len }
    }
}

#[derive(Default)]
struct Theirs {
    refresh: bool,
    enhanced_refresh: bool,
    extended_message: bool,
    restart: Option<GracefulRestart>,
}

impl Theirs {
    fn of(capabilities: &[Capability]) -> Self {
        let mut all = Self::default();
        for capability in capabilities {
            match capability {
                Capability::RouteRefresh => all.refresh = true,
                Capability::EnhancedRouteRefresh => all.enhanced_refresh = true,
                Capability::ExtendedMessage => all.extended_message = true,
                // RFC 4724 section 3: of several, the last counts.
                Capability::GracefulRestart(restart) => all.restart = Some(*restart),
                Capability::Multiprotocol(_)
                | Capability::ExtendedNextHop(_)
                | Capability::Role(_)
                | Capability::FourOctetAs(_)
                | Capability::Unknown { .. } => {}
            }
        }
        all
    }
}

fn role_of(capability: &Capability) -> Option<u8> {
    match capability {
        Capability::Role(role) => Some(*role),
        Capability::Multiprotocol(_)
        | Capability::RouteRefresh
        | Capability::ExtendedNextHop(_)
        | Capability::ExtendedMessage
        | Capability::GracefulRestart(_)
        | Capability::FourOctetAs(_)
        | Capability::EnhancedRouteRefresh
        | Capability::Unknown { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn params() -> SessionParams {
        SessionParams {
            local_asn: Asn(65002),
            router_id: RouterId::new(Ipv4Addr::new(192, 0, 2, 2)).unwrap(),
            peer_asn: Asn(65001),
            hold_time: Duration::from_secs(90),
            min_hold_time: Duration::from_secs(3),
            accept_zero_hold: true,
            keepalive: None,
            connect_retry: Duration::from_secs(5),
            open_wait: Duration::from_secs(60),
            send_hold: None,
            families: PerFamily::both(true),
            ipv4_over_ipv6: false,
            extended_messages: false,
            role: None,
            strict_role: false,
            graceful_restart: None,
            enforce_first_as: true,
            accept_as_sets: false,
            discard: Vec::new(),
        }
    }

    fn theirs(capabilities: Vec<Capability>) -> Open {
        let router_id = RouterId::new(Ipv4Addr::new(192, 0, 2, 1)).unwrap();
        Open { asn: Asn(65001), hold_time: 30, router_id, capabilities }
    }

    #[test]
    fn the_smaller_hold_time_wins_and_keepalives_come_three_times_as_often() {
        let agreed = params().negotiate(&theirs(vec![])).unwrap();
        assert_eq!((agreed.hold_time, agreed.keepalive), (Duration::from_secs(30), Duration::from_secs(10)));
        let off = params().negotiate(&Open { hold_time: 0, ..theirs(vec![]) }).unwrap();
        assert_eq!((off.hold_time, off.keepalive), (Duration::ZERO, Duration::ZERO));
        let eager = SessionParams { keepalive: Some(Duration::from_secs(1)), ..params() };
        assert_eq!(eager.negotiate(&theirs(vec![])).unwrap().keepalive, Duration::from_secs(1));
    }

    #[test]
    fn each_refusal_has_its_subcode() {
        let internal = SessionParams { peer_asn: Asn(65002), ..params() };
        let v6_only = SessionParams { families: PerFamily { ipv4: false, ipv6: true }, ..params() };
        let strict = SessionParams { role: Some(Role::Customer), strict_role: true, ..params() };
        let customer = SessionParams { role: Some(Role::Customer), ..params() };
        let no_zero = SessionParams { accept_zero_hold: false, ..params() };
        let slow = SessionParams { min_hold_time: Duration::from_secs(60), ..params() };
        let two_roles = theirs(vec![Capability::Role(0), Capability::Role(4)]);
        let cases = [
            (params(), Open { asn: Asn(64999), ..theirs(vec![]) }, 2),
            (internal.clone(), Open { asn: Asn(65002), router_id: internal.router_id, ..theirs(vec![]) }, 3),
            (no_zero, Open { hold_time: 0, ..theirs(vec![]) }, 6),
            (slow, theirs(vec![]), 6),
            (v6_only, theirs(vec![]), 7),
            (strict, theirs(vec![]), 11),
            (customer.clone(), theirs(vec![Capability::Role(3)]), 11),
            (customer.clone(), theirs(vec![Capability::Role(9)]), 11),
            (customer.clone(), two_roles, 11),
        ];
        for (ours, open, subcode) in cases {
            assert_eq!(ours.negotiate(&open).unwrap_err().cause.codes(), (2, subcode), "{open:?}");
        }
        let agreed = customer.negotiate(&theirs(vec![Capability::Role(0), Capability::Role(0)])).unwrap();
        assert_eq!(agreed.peer_role, Some(Role::Provider));
    }

    // RFC 6286 section 2.1: an external peer may have our identifier.
    #[test]
    fn external_peers_may_share_our_identifier() {
        let ours = params();
        assert!(ours.negotiate(&Open { router_id: ours.router_id, ..theirs(vec![]) }).is_ok());
    }

    // RFC 8538 section 2: both must announce it. RFC 8654 section 4: it is announced for what one takes.
    #[test]
    fn what_only_one_side_can_do_is_not_done() {
        let restart = GracefulRestart { notification: true, restart_time: 120, ..GracefulRestart::default() };
        let they_can = theirs(vec![Capability::GracefulRestart(restart), Capability::ExtendedMessage]);
        let agreed = params().negotiate(&they_can).unwrap();
        assert_eq!((agreed.graceful_restart, agreed.max_len, agreed.max_read), (None, MAX_LEN, MAX_LEN));
        let we_can = SessionParams { extended_messages: true, ..params() };
        let agreed = we_can.negotiate(&theirs(vec![])).unwrap();
        assert_eq!((agreed.max_len, agreed.max_read), (MAX_LEN, MAX_LEN_EXTENDED));
        let both = SessionParams { graceful_restart: Some(restart), extended_messages: true, ..params() };
        let agreed = both.negotiate(&they_can).unwrap();
        assert_eq!((agreed.graceful_restart, agreed.max_len), (Some(restart), MAX_LEN_EXTENDED));
        assert!(agreed.restart_over_notification);
    }
}
