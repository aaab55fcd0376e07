//! What Neighbor Solicitations and Advertisements say (RFC 4861 §7.1, §7.2).

use core::net::{IpAddr, Ipv6Addr};

use net::{
    Instant, MacAddr,
    icmp::{Icmp, NeighborMessage, v6},
    ipv6::solicited_node,
};

use super::{
    BadNeighborMessage, NdOutcome, NdReply, NeighborState, Neighbors,
    build::{ND_HOPS, all_nodes, is_station, is_sum_right},
    entry::Claim,
};

/// A valid solicitation or advertisement.
struct Heard {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    flags: u32,
    message: NeighborMessage,
}

impl Neighbors {
    /// Hears an ICMPv6 message (from its type on) of the kinds Neighbor Solicitation and Neighbor Advertisement,
    /// which came in a packet with these addresses and hop limit. Other kinds are left alone.
    ///
    /// A solicitation for us makes an entry for its sender, or updates it, and is answered. An advertisement
    /// updates an entry that is there by the rules of RFC 4861 §7.2.5 and makes none.
    pub fn handle_nd(
        &mut self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        hop_limit: u8,
        icmp6: &[u8],
        now: Instant,
    ) -> Result<NdOutcome, BadNeighborMessage> {
        let (header, body) = Icmp::split(icmp6).ok_or(BadNeighborMessage::Malformed)?;
        if !matches!(header.kind, v6::NEIGHBOR_SOLICITATION | v6::NEIGHBOR_ADVERTISEMENT) {
            return Ok(NdOutcome::Done);
        }
        if hop_limit != ND_HOPS {
            return Err(BadNeighborMessage::FromBeyond);
        }
        let message = NeighborMessage::parse(header.kind, body).ok_or(BadNeighborMessage::Malformed)?;
        if header.code != 0 || !is_sum_right(source, destination, icmp6) {
            return Err(BadNeighborMessage::Malformed);
        }
        if message.link_layer.is_some_and(|mac| !is_station(mac, source.into())) || source.is_multicast() {
            return Err(BadNeighborMessage::NotAStation);
        }
        let heard = Heard { source, destination, flags: header.rest.get(), message };
        match header.kind {
            v6::NEIGHBOR_SOLICITATION => self.solicited(&heard, now),
            _ => self.advertised(&heard, now),
        }
    }

    /// RFC 4861 §7.1.1, §7.2.3.
    fn solicited(&mut self, heard: &Heard, now: Instant) -> Result<NdOutcome, BadNeighborMessage> {
        let own = heard.message.target;
        if heard.source.is_unspecified() {
            return self.detected(heard);
        }
        if self.is_own(heard.source.into()) {
            return Ok(self.conflict(heard.message.link_layer, heard.source));
        }
        if !self.is_neighbor(heard.source.into()) {
            return Err(self.refuse_off_link(heard.source.into(), now));
        }
        if !self.is_own(own.into()) {
            return Ok(NdOutcome::Done);
        }
        if let Some(mac) = heard.message.link_layer {
            let claim = Claim { mac: Some(mac), confirms: false, replaces: true };
            self.hear(heard.source.into(), claim, true, now);
        }
        let Some(mac) = heard.message.link_layer.or_else(|| self.cached(heard.source)) else {
            // It does not say where it is (it may, in a unicast): ask, and answer when it asks again.
            if self.entry(heard.source.into()).is_none() {
                self.ask_for(heard.source.into(), now);
            }
            return Ok(NdOutcome::Done);
        };
        Ok(NdOutcome::Reply(NdReply { to: (mac, heard.source), own, solicited: true }))
    }

    /// A station without address asks whether its tentative one is free (RFC 4862 §5.4): it is not if it is ours.
    fn detected(&self, heard: &Heard) -> Result<NdOutcome, BadNeighborMessage> {
        let own = heard.message.target;
        if heard.message.link_layer.is_some() || heard.destination != solicited_node(own) {
            return Err(BadNeighborMessage::Malformed);
        }
        if !self.is_own(own.into()) {
            return Ok(NdOutcome::Done);
        }
        Ok(NdOutcome::Reply(NdReply { to: all_nodes(), own, solicited: false }))
    }

    /// RFC 4861 §7.1.2, §7.2.5.
    fn advertised(&mut self, heard: &Heard, now: Instant) -> Result<NdOutcome, BadNeighborMessage> {
        let (target, mac) = (heard.message.target, heard.message.link_layer);
        let solicited = heard.flags & NeighborMessage::SOLICITED != 0;
        if solicited && heard.destination.is_multicast() {
            return Err(BadNeighborMessage::Malformed);
        }
        if self.is_own(target.into()) {
            return Ok(self.conflict(mac, target));
        }
        if !self.is_neighbor(target.into()) {
            return Err(self.refuse_off_link(target.into(), now));
        }
        let confirms = solicited && self.is_own(heard.destination.into());
        let replaces = heard.flags & NeighborMessage::OVERRIDE != 0;
        self.hear(target.into(), Claim { mac, confirms, replaces }, false, now);
        Ok(NdOutcome::Done)
    }

    /// A message in the name of one of our addresses: a conflict, or our own sent back.
    fn conflict(&self, mac: Option<MacAddr>, own: Ipv6Addr) -> NdOutcome {
        if mac == Some(self.params.own_mac) { NdOutcome::Done } else { NdOutcome::Conflict { mac, own } }
    }

    fn cached(&self, ip: Ipv6Addr) -> Option<MacAddr> {
        let entry = self.entry(IpAddr::V6(ip))?;
        (entry.state != NeighborState::Incomplete).then_some(entry.mac)
    }
}
