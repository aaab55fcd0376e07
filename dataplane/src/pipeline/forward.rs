//! IP forwarding as RFC 1812 §5 and RFC 8200 want it from a router.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net::{Ethernet, Instant, MacAddr, earliest, ipv4::Ipv4, ipv6::Ipv6};

use super::{Blame, Dataplane, Facts, blame_of, redundancy::Exit};
use crate::{
    ConnectionId, Crossing, DropReason, Frame, InterfaceId, Place,
    flow::flow_hash,
    icmp::IcmpError,
    neighbor::Resolve,
    offload::{clamp_mss, largest_l3},
    tables::NextHop,
};

/// Where a packet goes next, once a group has made its choice.
enum Way {
    Local(InterfaceId),
    Out(Exit),
    Refused(DropReason, Option<IcmpError>),
}

impl Dataplane {
    pub(super) fn input_v4(&mut self, facts: &Facts, blame: Blame, mut frame: Frame, now: Instant) {
        let parsed = frame.buf.get(Ethernet::LEN..).and_then(Ipv4::parse).map(|(header, _)| *header);
        let Some(header) = parsed else { return self.drop(blame, DropReason::BadIpHeader, frame) };
        // What follows the packet is Ethernet padding: it must not travel on.
        frame.buf.truncate(Ethernet::LEN + usize::from(header.total_len()));
        if let Some(reason) = refuse_v4(header.source(), header.destination()) {
            return self.drop(blame, reason, frame);
        }
        self.route(facts, blame, frame, (header.source().into(), header.destination().into()), now);
    }

    pub(super) fn input_v6(&mut self, facts: &Facts, blame: Blame, mut frame: Frame, now: Instant) {
        let parsed = frame.buf.get(Ethernet::LEN..).and_then(Ipv6::parse).map(|(header, _)| *header);
        let Some(header) = parsed else { return self.drop(blame, DropReason::BadIpHeader, frame) };
        frame.buf.truncate(Ethernet::LEN + Ipv6::LEN + usize::from(header.payload_len()));
        let (source, destination) = (header.source(), header.destination());
        if source.is_multicast() || source.is_loopback() {
            return self.drop(blame, DropReason::MartianSource, frame);
        }
        if destination.is_multicast() || destination.is_unicast_link_local() {
            return self.input_link_scope(facts, blame, frame, (&header, destination), now);
        }
        if destination.is_loopback() || destination.is_unspecified() || source.is_unspecified() {
            return self.drop(blame, DropReason::NotForwardable, frame);
        }
        // A question or an answer to somebody else is a packet as any other.
        if self.is_own_address(facts, destination.into())
            && self.take_neighbor_message(facts, blame, &frame, &header, now)
        {
            return self.show_host(facts, frame);
        }
        // RFC 4291 §2.5.6: packets with a link-local source stay on their link.
        let local = source.is_unicast_link_local().then(|| self.lookup(facts.connection, destination.into()));
        if local.is_some_and(|way| !matches!(way, Some(NextHop::Local(_)))) {
            return self.drop(blame, DropReason::NotForwardable, frame);
        }
        self.route(facts, blame, frame, (source.into(), destination.into()), now);
    }

    fn route(
        &mut self,
        facts: &Facts,
        blame: Blame,
        frame: Frame,
        (source, destination): (IpAddr, IpAddr),
        now: Instant,
    ) {
        // RFC 1812 §5.3.4: what came as a link-layer group is for an IP group or for nobody, and never travels on.
        if Ethernet::split(&frame.buf).is_some_and(|(header, _)| header.destination.is_group()) {
            return self.drop(blame, DropReason::NotForwardable, frame);
        }
        if let Some(reason) = self.refuse_source(facts, source) {
            return self.drop(blame, reason, frame);
        }
        let [_, recent] = &self.recent;
        let next =
            recent.next_hop(facts.connection, destination, || self.lookup(facts.connection, destination));
        let l3 = frame.buf.get(Ethernet::LEN..).unwrap_or_default();
        match self.way(next, facts.connection, destination, l3) {
            Way::Local(interface) => self.deliver(facts, interface, blame, frame, now),
            Way::Out(_) if self.pressed => self.drop(blame, DropReason::Overload, frame),
            Way::Out(exit) => self.forward(facts, blame, frame, exit, now),
            Way::Refused(reason, error) => {
                if let Some(error) = error {
                    self.send_error(facts, error, &frame, now);
                }
                self.drop(blame, reason, frame);
            }
        }
    }

    pub(super) fn lookup(&self, connection: ConnectionId, destination: IpAddr) -> Option<NextHop> {
        self.tables.connections.get(connection.index())?.lookup(destination)
    }

    /// What the route to `destination`, which leads to `next`, means for a packet now.
    fn way(&self, next: Option<NextHop>, connection: ConnectionId, destination: IpAddr, l3: &[u8]) -> Way {
        match next {
            None => Way::Refused(DropReason::NoRoute, Some(IcmpError::NoRoute)),
            Some(NextHop::Blackhole) => Way::Refused(DropReason::Blackhole, None),
            Some(NextHop::Unreachable) => Way::Refused(DropReason::Blackhole, Some(IcmpError::NoRoute)),
            Some(NextHop::Local(interface)) => Way::Local(interface),
            Some(NextHop::OnLink(interface)) => Way::Out(Exit::One(interface, destination)),
            Some(NextHop::Group(group)) => match self.choose(connection, group, l3) {
                Some(exit) => Way::Out(exit),
                None => Way::Refused(DropReason::NoLiveAttachment, Some(IcmpError::NoRoute)),
            },
        }
    }

    /// The way to `destination` for a packet of our own; groups choose by its flow.
    pub(super) fn exit(
        &self,
        connection: ConnectionId,
        destination: IpAddr,
        l3: &[u8],
    ) -> Option<(InterfaceId, IpAddr)> {
        match self.way(self.lookup(connection, destination), connection, destination, l3) {
            Way::Out(exit) => Some(exit.first()),
            Way::Local(_) | Way::Refused(..) => None,
        }
    }

    fn choose(&self, connection: ConnectionId, group: u32, l3: &[u8]) -> Option<Exit> {
        let at = usize::try_from(group).ok()?;
        let state = self.connections.get(connection.index())?;
        let group = self.tables.connections.get(connection.index())?.groups().get(at)?;
        let once = || {
            let hop = group.choose(*state.live.get(at)?, flow_hash(l3))?;
            Some(Exit::One(hop.interface, hop.gateway))
        };
        self.pair(state, (at, &group.hops), l3).or_else(once)
    }

    /// Reverse-path sanity (RFC 3704 §2.2 with several uplinks): the source must not be our own, and the route back to it
    /// must leave by the LAN interface that the packet came in by, or, for a packet from an attachment, by an attachment.
    pub(super) fn refuse_source(&self, facts: &Facts, source: IpAddr) -> Option<DropReason> {
        if matches!(source, IpAddr::V6(source) if source.is_unicast_link_local()) {
            return None;
        }
        let attachment = matches!(facts.place, Place::Attachment { .. });
        let [recent, _] = &self.recent;
        let sane = match recent.next_hop(facts.connection, source, || self.lookup(facts.connection, source)) {
            Some(NextHop::Local(_)) => return Some(DropReason::MartianSource),
            Some(NextHop::OnLink(back)) => back == facts.id,
            Some(NextHop::Group(group)) => self.group_leaves_by(facts, group, attachment),
            Some(NextHop::Blackhole | NextHop::Unreachable) | None => false,
        };
        (!sane).then_some(DropReason::ReversePath)
    }

    fn group_leaves_by(&self, facts: &Facts, group: u32, attachment: bool) -> bool {
        let tables = self.tables.connections.get(facts.connection.index());
        let group = usize::try_from(group).ok().and_then(|group| tables?.groups().get(group));
        group.is_some_and(|group| {
            group.hops.iter().any(|hop| {
                let other = self.facts(hop.interface).map(|other| other.place);
                hop.interface == facts.id || attachment && matches!(other, Some(Place::Attachment { .. }))
            })
        })
    }

    fn forward(&mut self, facts: &Facts, blame: Blame, mut frame: Frame, exit: Exit, now: Instant) {
        self.count_through(facts.id, true);
        if !self.is_within_rate(facts, &frame, now) {
            return self.drop(blame, DropReason::Policed, frame);
        }
        let Some(out) = self.narrower(&exit) else { return self.drop(blame, DropReason::NoRoute, frame) };
        if !hop(&mut frame) {
            self.send_error(facts, IcmpError::TimeExceeded, &frame, now);
            return self.drop(blame, DropReason::HopLimit, frame);
        }
        if largest_l3(&frame) > usize::from(out.mtu) {
            return self.too_big(facts, &out, blame, frame, exit, now);
        }
        let [v4, v6] = out.mss;
        if let Some(limit) = if exit.first().1.is_ipv4() { v4 } else { v6 } {
            let offload = frame.offload;
            clamp_mss(frame.buf.get_mut(Ethernet::LEN..).unwrap_or_default(), limit, &offload);
        }
        self.send_by(exit, frame, now);
    }

    /// Whether a frame on its way through, which came in by this interface, is within the bandwidth of its connection.
    pub(super) fn is_within_rate(&self, facts: &Facts, frame: &Frame, now: Instant) -> bool {
        let Some(one) = self.connections.get(facts.connection.index()) else { return true };
        let meter = match facts.place {
            Place::Lan { .. } => &one.meters.out,
            Place::Attachment { .. } => &one.meters.back,
        };
        meter.allow(frame.buf.len(), now)
    }

    /// A router must fragment what may be fragmented (RFC 1812 §4.2.2.7), and say the MTU to who forbids it.
    fn too_big(&mut self, facts: &Facts, out: &Facts, blame: Blame, frame: Frame, exit: Exit, now: Instant) {
        let l3 = frame.buf.get(Ethernet::LEN..).unwrap_or_default();
        let may_cut =
            Ipv4::parse(l3).is_some_and(|(header, _)| exit.first().1.is_ipv4() && !header.dont_fragment());
        if !may_cut {
            self.send_error(facts, IcmpError::TooBig { mtu: u32::from(out.mtu) }, &frame, now);
            return self.drop(blame, DropReason::TooBig, frame);
        }
        let mut pieces = core::mem::take(&mut self.pieces);
        self.cut(blame, frame, out.mtu, &mut pieces);
        for piece in pieces.drain(..) {
            self.send_by(exit, piece, now);
        }
        self.pieces = pieces;
    }

    /// Cuts a frame into what an MTU carries: a super-frame to its segments first, whose checksums are then whole, and
    /// each of those to fragments.
    fn cut(&mut self, blame: Blame, frame: Frame, mtu: u16, pieces: &mut Vec<Frame>) {
        self.finish_offload(blame, frame);
        let mut whole = core::mem::take(&mut self.segments);
        for segment in whole.drain(..) {
            if largest_l3(&segment) <= usize::from(mtu) && pieces.len() < pieces.capacity() {
                pieces.push(segment);
                continue;
            }
            match crate::fragment::fragment(&segment, mtu, &mut self.pool, pieces) {
                Ok(()) => self.pool.recycle(segment),
                Err(reason) => self.drop(blame, reason, segment),
            }
        }
        self.segments = whole;
    }

    /// Sends a packet (behind room for an Ethernet header) to a neighbour, or waits until that is found.
    pub(super) fn send_to(
        &mut self,
        interface: InterfaceId,
        gateway: IpAddr,
        mut frame: Frame,
        now: Instant,
    ) {
        let Some(facts) = self.facts(interface) else { return self.pool.recycle(frame) };
        if let Some(owner) = self.foreign_owner(facts.place) {
            return self.crossings.push((owner, Crossing::Route { interface, gateway, frame }));
        }
        let Some(one) = self.interfaces.get_mut(interface.index()) else { return self.pool.recycle(frame) };
        match one.neighbors.resolve(gateway, now) {
            Resolve::Known(mac) => {
                // The use of a stale entry starts its Delay timer (RFC 4861 §7.3.3).
                self.neighbor_deadline = earliest(self.neighbor_deadline, one.neighbors.poll_timeout());
                address(&mut frame, mac, facts.mac);
                self.emit(interface, frame);
            }
            // Super-frames do not wait: their buffers are few, and a scan of silent addresses would take them from all.
            Resolve::Unknown if frame.offload.gso.is_some() => {
                one.neighbors.seek(gateway, now);
                self.stirred.push(interface);
                self.drop(blame_of(facts.place), DropReason::NeighborUnresolved, frame);
            }
            Resolve::Unknown => {
                self.stirred.push(interface);
                match one.neighbors.hold(gateway, frame, now) {
                    Ok(()) => self.hold_no_more_than_share(interface),
                    Err(frame) => {
                        self.drop(blame_of(facts.place), DropReason::NeighborUnresolved, frame);
                    }
                }
            }
        }
    }
}

/// Writes the addresses of the next link. The EtherType stays.
pub(super) fn address(frame: &mut Frame, destination: MacAddr, source: MacAddr) {
    if let Some((header, _)) = Ethernet::split_mut(&mut frame.buf) {
        header.destination = destination;
        header.source = source;
    }
}

fn hop(frame: &mut Frame) -> bool {
    let Some(l3) = frame.buf.get_mut(Ethernet::LEN..) else { return false };
    match l3.first().map(|first| first >> 4) {
        Some(4) => Ipv4::from_mut(l3).is_some_and(Ipv4::hop),
        Some(6) => Ipv6::from_mut(l3).is_some_and(Ipv6::hop),
        _ => false,
    }
}

/// RFC 1812 §5.3.7 (source) and §5.2.3, §5.3.4 (destination).
fn refuse_v4(source: Ipv4Addr, destination: Ipv4Addr) -> Option<DropReason> {
    if source.is_multicast()
        || source.is_broadcast()
        || source.is_loopback()
        || source.octets().first() == Some(&0)
    {
        return Some(DropReason::MartianSource);
    }
    let unforwardable = destination.is_multicast()
        || destination.is_broadcast()
        || destination.is_loopback()
        || destination.octets().first() == Some(&0);
    unforwardable.then_some(DropReason::NotForwardable)
}

/// An IPv6 destination that never leaves its link.
pub(super) const fn is_link_scope(destination: Ipv6Addr) -> bool {
    destination.is_multicast() || destination.is_unicast_link_local()
}
