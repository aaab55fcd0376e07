//! What ARP packets say (RFC 826).

use core::net::IpAddr;

use net::{
    Instant,
    arp::{Arp, Operation},
};

use super::{ArpOutcome, ArpReply, BadNeighborMessage, Neighbors, build::is_station, entry::Claim};

impl Neighbors {
    /// Hears the ARP packet that follows an Ethernet header.
    ///
    /// A request for us makes an entry for its sender, or updates it, and is answered. A reply to us confirms an
    /// entry. Anything else that the sender says of itself, a gratuitous ARP for one, updates an entry that is
    /// there and makes none (the merge flag of RFC 826). A sender without address is probing (RFC 5227 §2.1.1): it is
    /// answered and not learned.
    pub fn handle_arp(&mut self, arp_packet: &[u8], now: Instant) -> Result<ArpOutcome, BadNeighborMessage> {
        let (operation, packet) = Arp::parse(arp_packet).ok_or(BadNeighborMessage::Malformed)?;
        let (mac, ip, target) = (packet.sender_mac, packet.sender_ip(), packet.target_ip());
        if !is_station(mac, ip.into()) {
            return Err(BadNeighborMessage::NotAStation);
        }
        if mac == self.params.own_mac {
            return Ok(ArpOutcome::Done); // our own, sent back by something on the way
        }
        let (asks, for_us) = (operation == Operation::Request, self.is_own(target.into()));
        let outcome = if asks && for_us {
            ArpOutcome::Reply(ArpReply { to: (mac, ip), own: target })
        } else {
            ArpOutcome::Done
        };
        if ip.is_unspecified() {
            return Ok(outcome);
        }
        if self.is_own(ip.into()) {
            return Ok(ArpOutcome::Conflict { mac, own: ip });
        }
        if !self.is_neighbor(ip.into()) {
            return Err(self.refuse_off_link(ip.into(), now));
        }
        let claim = Claim { mac: Some(mac), confirms: !asks && for_us, replaces: true };
        self.hear(IpAddr::V4(ip), claim, asks && for_us, now);
        Ok(outcome)
    }
}
