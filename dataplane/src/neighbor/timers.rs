//! Deadlines, and the questions that they send.

use core::net::IpAddr;

use net::{Instant, MacAddr, PacketBuf};

use super::{
    NeighborState, Neighbors,
    build::{arp_request, solicitation},
    entry::Due,
};

impl Neighbors {
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; perhaps a little early, never late.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Asks again what was not answered, probes what is used and not confirmed, gives up what never answers.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        let (mut at, mut next) = (0, None);
        while let Some(entry) = self.entries.get_mut(at) {
            let ip = entry.ip;
            match entry.expire(now) {
                Due::GiveUp => {
                    self.remove(at);
                    continue;
                }
                Due::Ask => {
                    next = net::earliest(next, entry.timer());
                    self.ask(ip);
                }
                Due::Nothing => next = net::earliest(next, entry.timer()),
            }
            at += 1;
        }
        self.next = next;
    }

    /// The link went down (advice from the link layer, RFC 1122 §2.3.2.1, RFC 4861 §7.3.1): nobody is taken to be there without being
    /// asked. Who is in use is asked at once; after three questions without an answer whoever sends to it is told. A link that is back
    /// before that has lost nobody.
    pub fn doubt_all(&mut self, now: Instant) {
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get_mut(at) else { break };
            if entry.doubt(now) {
                let ip = entry.ip;
                self.next = net::earliest(self.next, entry.timer());
                self.ask(ip);
            }
        }
    }

    /// Writes the next question, a whole Ethernet frame without VLAN tag, into the empty `buf`: an ARP request or a Neighbor
    /// Solicitation. False, and `buf` empty, when there is none, or `buf` has no room for 86 octets.
    pub fn poll_transmit(&mut self, buf: &mut PacketBuf) -> bool {
        while let Some(&ip) = self.asking.front() {
            let question = self.entry(ip).filter(|entry| entry.asking).map(|entry| {
                // A probe goes to the address that is known (RFC 1122 §2.3.2.1, RFC 4861 §7.3.3).
                (entry.state == NeighborState::Probe).then_some(entry.mac)
            });
            let written = question.map(|to| self.write_question(ip, to, buf));
            if written == Some(Some(false)) {
                buf.truncate(0);
                return false;
            }
            self.asking.pop_front();
            if let Some(entry) = self.entry_mut(ip) {
                entry.asking = false;
            }
            if written == Some(Some(true)) {
                return true;
            }
        }
        false
    }

    /// `None` when no own address can ask for `ip`.
    fn write_question(&self, ip: IpAddr, to: Option<MacAddr>, buf: &mut PacketBuf) -> Option<bool> {
        let own_mac = self.params.own_mac;
        match ip {
            IpAddr::V4(ip) => {
                let own = self.params.v4.iter().find(|own| own.contains(&ip))?.addr();
                Some(arp_request((own_mac, own), ip, to, buf))
            }
            IpAddr::V6(ip) => Some(solicitation((own_mac, self.own_v6_for(ip)?), ip, to, buf)),
        }
    }
}
