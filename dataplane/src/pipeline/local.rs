//! What the gateway answers itself, and what it leaves to the host's own stack.
//!
//! ARP, Neighbor Discovery, echo and ICMP errors are answered here, in the worker. Everything else for the
//! gateway's own addresses goes to the host through the interface's TAP, when it has one; there the kernel keeps
//! TCP, and its ARP and ND answers are copied to it so that its own tables stay right.

use core::net::{IpAddr, Ipv6Addr};

use net::{EtherType, Ethernet, Instant, IpNet, PacketBuf, ipv4::Ipv4, ipv4::protocol, ipv6::Ipv6};

use super::{
    Blame, Dataplane, Event, Facts, Interface, blame_of,
    forward::{address, is_link_scope},
};
use crate::{
    Crossing, DropReason, Frame, InterfaceId, Place,
    icmp::{self, IcmpError},
    neighbor::{ArpOutcome, NdOutcome, Neighbors},
    tables::NextHop,
};

impl Dataplane {
    pub(super) fn input_arp(&mut self, facts: &Facts, blame: Blame, frame: Frame, now: Instant) {
        let Some(one) = self.interfaces.get_mut(facts.id.index()) else {
            return self.drop(blame, DropReason::UnknownVlan, frame);
        };
        let packet = frame.buf.get(Ethernet::LEN..).unwrap_or_default();
        let outcome = one.neighbors.handle_arp(packet, now);
        self.stirred.push(facts.id);
        match outcome {
            Err(_) => return self.drop(blame, DropReason::BadNeighborMessage, frame),
            Ok(ArpOutcome::Reply(reply)) => {
                self.answer(facts, |neighbors, buf| neighbors.build_arp_reply(reply, buf))
            }
            Ok(ArpOutcome::Conflict { mac, own }) => {
                self.tell_conflict(Event::AddressConflict(facts.id, own.into(), Some(mac)), now)
            }
            Ok(ArpOutcome::Done) => {}
        }
        self.show_host(facts, frame);
    }

    fn tell_conflict(&mut self, conflict: Event, now: Instant) {
        if self.conflict_limit.allow(now) {
            self.tell(conflict);
        }
    }

    /// Neighbor Solicitations and Advertisements. True when the packet was one (and is dealt with).
    pub(super) fn take_neighbor_message(
        &mut self,
        facts: &Facts,
        blame: Blame,
        frame: &Frame,
        header: &Ipv6,
        now: Instant,
    ) -> bool {
        let message = frame.buf.get(Ethernet::LEN + Ipv6::LEN..).unwrap_or_default();
        let kind = message.first().copied().unwrap_or(0);
        let is_one = header.next_header == protocol::ICMPV6
            && matches!(kind, net::icmp::v6::NEIGHBOR_SOLICITATION | net::icmp::v6::NEIGHBOR_ADVERTISEMENT);
        if !is_one {
            return false;
        }
        let Some(one) = self.interfaces.get_mut(facts.id.index()) else { return false };
        let outcome =
            one.neighbors.handle_nd(header.source(), header.destination(), header.hop_limit, message, now);
        self.stirred.push(facts.id);
        match outcome {
            Err(_) => self.count(blame, DropReason::BadNeighborMessage),
            Ok(NdOutcome::Reply(reply)) => {
                self.answer(facts, |neighbors, buf| neighbors.build_advertisement(reply, buf))
            }
            Ok(NdOutcome::Conflict { mac, own }) => {
                self.tell_conflict(Event::AddressConflict(facts.id, own.into(), mac), now)
            }
            Ok(NdOutcome::Done) => {}
        }
        true
    }

    /// Whether this address is the gateway's on this very interface.
    pub(super) fn is_own_address(&self, facts: &Facts, address: IpAddr) -> bool {
        let setup = self.setup.interfaces.get(facts.id.index());
        setup.is_some_and(|setup| setup.addresses.iter().any(|net| net.addr() == address))
    }

    /// A destination that never leaves its link: neighbour messages, and what is for our own link-local address.
    pub(super) fn input_link_scope(
        &mut self,
        facts: &Facts,
        blame: Blame,
        frame: Frame,
        (header, destination): (&Ipv6, Ipv6Addr),
        now: Instant,
    ) {
        // The host's own stack may have link-local addresses that only it knows (RFC 7217): what it asked is answered to them.
        let ours = destination == facts.mac.link_local();
        if (ours || destination.is_multicast() || facts.host.is_some())
            && self.take_neighbor_message(facts, blame, &frame, header, now)
        {
            return self.show_host(facts, frame);
        }
        if ours {
            if let Some(reason) = self.refuse_source(facts, header.source().into()) {
                return self.drop(blame, reason, frame);
            }
            return self.deliver(facts, facts.id, blame, frame, now);
        }
        self.drop(blame, DropReason::NotForwardable, frame);
    }

    /// A packet for an address of the gateway, which `owner` has.
    pub(super) fn deliver(
        &mut self,
        facts: &Facts,
        owner: InterfaceId,
        blame: Blame,
        mut frame: Frame,
        now: Instant,
    ) {
        if !frame.offload.is_pending()
            && frame.buf.get_mut(Ethernet::LEN..).is_some_and(icmp::echo_reply_in_place)
        {
            return self.reply(facts, frame, now);
        }
        let Some(frame) = self.take_bfd(facts, blame, frame, now) else { return };
        let Some(frame) = self.take_probe(facts, blame, frame, now) else { return };
        if self.facts(owner).is_some_and(|owner| owner.host.is_some()) {
            return self.hand_to_host(owner, frame);
        }
        self.send_error(facts, IcmpError::PortUnreachable, &frame, now);
        self.drop(blame, DropReason::NotForUs, frame);
    }

    /// Sends a packet of our own to its destination: by the link that the question came from when one of its addresses
    /// is of link scope (RFC 4291 §2.5.6), by the routes otherwise.
    fn reply(&mut self, facts: &Facts, frame: Frame, now: Instant) {
        let Some((source, destination)) = addresses(&frame) else { return self.pool.recycle(frame) };
        if [source, destination].iter().any(|one| matches!(one, IpAddr::V6(one) if is_link_scope(*one))) {
            return self.send_to(facts.id, destination, frame, now);
        }
        self.send_own(facts, destination, frame, now);
    }

    pub(super) fn send_own(&mut self, facts: &Facts, destination: IpAddr, frame: Frame, now: Instant) {
        let l3 = frame.buf.get(Ethernet::LEN..).unwrap_or_default();
        match self.exit(facts.connection, destination, l3) {
            Some((interface, gateway)) => self.send_to(interface, gateway, frame, now),
            None => self.drop(blame_of(facts.place), DropReason::NoRoute, frame),
        }
    }

    /// Tells the sender of `about` what became of it, when that is allowed and within the rate limit.
    pub(super) fn send_error(&mut self, facts: &Facts, error: IcmpError, about: &Frame, now: Instant) {
        let original = about.buf.get(Ethernet::LEN..).unwrap_or_default();
        // RFC 1122 §3.2.2: never about what came as a link-layer group.
        let to_group = Ethernet::split(&about.buf).is_some_and(|(header, _)| header.destination.is_group());
        if to_group || !icmp::may_answer(error, original) {
            return;
        }
        let within = |one: &mut Interface| one.icmp_limit.allow(now);
        if !self.interfaces.get_mut(facts.id.index()).is_some_and(within) {
            return;
        }
        let Some((to, destination)) = addresses(about).filter(|(to, _)| !self.is_ours(facts, *to)) else {
            return;
        };
        if self.is_for_a_subnet(facts, destination) {
            return;
        }
        let setup = self.setup.interfaces.get(facts.id.index());
        let Some(from) = setup.and_then(|setup| setup.address_towards(to)) else { return };
        let Some(mut buf) = self.pool.small() else { return };
        let ethertype = if to.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 };
        let written = icmp::build_error(error, original, from, &mut buf) && push_header(&mut buf, ethertype);
        let frame = Frame::new(buf);
        if written {
            self.reply(facts, frame, now);
        } else {
            self.pool.recycle(frame);
        }
    }

    /// Nobody but ourselves would learn of what became of a packet of our own.
    fn is_ours(&self, facts: &Facts, source: IpAddr) -> bool {
        source == IpAddr::V6(facts.mac.link_local())
            || matches!(self.lookup(facts.connection, source), Some(NextHop::Local(_)))
    }

    /// A broadcast address of a subnet that an interface of the connection is on (RFC 1812 §4.3.2.7), of the old form (§4.2.3.1) too.
    fn is_for_a_subnet(&self, facts: &Facts, destination: IpAddr) -> bool {
        let IpAddr::V4(destination) = destination else { return false };
        let ends = |net: &IpNet| match net {
            IpNet::V4(net) => {
                net.prefix_len() < 31 && [net.network(), net.broadcast()].contains(&destination)
            }
            IpNet::V6(_) => false,
        };
        let connected = self.setup.interfaces.iter().filter(|one| one.connection == facts.connection);
        connected.flat_map(|one| &one.addresses).any(ends)
    }

    fn answer(&mut self, facts: &Facts, write: impl FnOnce(&Neighbors, &mut PacketBuf) -> bool) {
        let Some(mut buf) = self.pool.for_control() else { return };
        let written =
            self.interfaces.get(facts.id.index()).is_some_and(|one| write(&one.neighbors, &mut buf));
        let frame = Frame::of_control(buf);
        if written {
            self.emit(facts.id, frame);
        } else {
            self.pool.recycle(frame);
        }
    }

    /// Hands a frame to the host's own stack, by the TAP of the interface that has the address.
    pub(super) fn hand_to_host(&mut self, interface: InterfaceId, mut frame: Frame) {
        let Some((facts, host)) = self.facts(interface).and_then(|facts| Some((facts, facts.host?))) else {
            return self.pool.recycle(frame);
        };
        let owner = self.setup.ports.get(host.index()).and_then(|port| port.owner);
        if let Some(owner) = owner.filter(|&owner| owner != self.me) {
            return self.crossings.push((owner, Crossing::Host { interface, frame }));
        }
        // The host may have got it by another interface of the connection: the TAP listens to its own address.
        let source = Ethernet::split(&frame.buf).map_or(facts.mac, |(header, _)| header.source);
        address(&mut frame, facts.mac, source);
        self.queue(host, frame);
    }

    /// Answers to the host's own ARP and ND questions are for its tables too. Questions are not: we answer those, and
    /// two answers to one question are one too many.
    pub(super) fn show_host(&mut self, facts: &Facts, frame: Frame) {
        let for_us = Ethernet::split(&frame.buf).is_some_and(|(header, _)| header.destination == facts.mac);
        if facts.host.is_some() && for_us && is_neighbor_answer(&frame) {
            self.hand_to_host(facts.id, frame);
        } else {
            self.pool.recycle(frame);
        }
    }

    /// Lets the neighbour tables that changed say what they have to say.
    pub(super) fn serve_neighbors(&mut self, now: Instant) {
        if self.stirred.is_empty() {
            return;
        }
        let mut stirred = core::mem::take(&mut self.stirred);
        stirred.sort_unstable();
        stirred.dedup();
        for &interface in &stirred {
            self.serve(interface, now);
        }
        // What was served may have stirred others (an ICMP error to a neighbour that is not known yet).
        stirred.clear();
        core::mem::swap(&mut stirred, &mut self.stirred);
        for &interface in &stirred {
            self.serve(interface, now);
        }
        stirred.clear();
        self.stirred = stirred;
        self.refresh_deadline();
    }

    fn serve(&mut self, interface: InterfaceId, now: Instant) {
        let Some(facts) = self.facts(interface) else { return };
        while let Some(one) = self.interfaces.get_mut(interface.index())
            && let Some((mac, mut frame)) = one.neighbors.poll_released()
        {
            address(&mut frame, mac, facts.mac);
            self.emit(interface, frame);
        }
        self.send_solicitations(interface);
        while let Some(one) = self.interfaces.get_mut(interface.index())
            && let Some(frame) = one.neighbors.poll_failed()
        {
            self.send_error(&facts, IcmpError::HostUnreachable, &frame, now);
            self.drop(blame_of(facts.place), DropReason::NeighborUnresolved, frame);
        }
        self.note_held(interface);
        self.spread_neighbors(&facts);
    }

    fn send_solicitations(&mut self, interface: InterfaceId) {
        loop {
            let Some(mut buf) = self.pool.for_control() else { return };
            let wrote = self
                .interfaces
                .get_mut(interface.index())
                .is_some_and(|one| one.neighbors.poll_transmit(&mut buf));
            if !wrote {
                return self.pool.give(buf);
            }
            self.emit(interface, Frame::of_control(buf));
        }
    }

    /// A neighbour's answer on a LAN reaches one worker; the others need it too.
    fn spread_neighbors(&mut self, facts: &Facts) {
        let everywhere = matches!(facts.place, Place::Lan { port, .. } if self.is_shared(port));
        while let Some(one) = self.interfaces.get_mut(facts.id.index())
            && let Some((ip, mac)) = one.neighbors.poll_learned()
        {
            if everywhere {
                for worker in (0..self.setup.workers).map(crate::WorkerId).filter(|&worker| worker != self.me)
                {
                    self.crossings.push((worker, Crossing::Neighbor { interface: facts.id, ip, mac }));
                }
            }
        }
    }
}

/// An ARP reply (RFC 826), or a Neighbor Advertisement (RFC 4861 §4.4).
fn is_neighbor_answer(frame: &Frame) -> bool {
    const ARP_REPLY: [u8; 2] = [0, 2];
    let Some((header, packet)) = Ethernet::split(&frame.buf) else { return false };
    match header.ethertype {
        EtherType::ARP => packet.get(6..8) == Some(&ARP_REPLY),
        EtherType::IPV6 => packet.get(Ipv6::LEN) == Some(&net::icmp::v6::NEIGHBOR_ADVERTISEMENT),
        _ => false,
    }
}

pub(super) fn push_header(buf: &mut PacketBuf, ethertype: EtherType) -> bool {
    let Some(room) = buf.push_front(Ethernet::LEN) else { return false };
    room.fill(0);
    if let Some((header, _)) = Ethernet::split_mut(room) {
        header.ethertype = ethertype;
    }
    true
}

/// An address that means something on one link only.
pub(super) const fn is_of_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => is_link_scope(address),
    }
}

fn addresses(frame: &Frame) -> Option<(IpAddr, IpAddr)> {
    let l3 = frame.buf.get(Ethernet::LEN..)?;
    match l3.first()? >> 4 {
        4 => Ipv4::parse(l3).map(|(header, _)| (header.source().into(), header.destination().into())),
        6 => Ipv6::parse(l3).map(|(header, _)| (header.source().into(), header.destination().into())),
        _ => None,
    }
}
