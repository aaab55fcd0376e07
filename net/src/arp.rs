//! ARP for IPv4 over Ethernet (RFC 826; address conflicts as in RFC 5227).

use core::net::Ipv4Addr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, byteorder::big_endian::U16};

use crate::MacAddr;

/// An ARP packet for IPv4 over Ethernet, as it follows the Ethernet header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Arp {
    hardware_type: U16,
    protocol_type: U16,
    hardware_len: u8,
    protocol_len: u8,
    operation: U16,
    /// Hardware address of the sender.
    pub sender_mac: MacAddr,
    sender_ip: [u8; 4],
    /// Hardware address of the target; zero in a request.
    pub target_mac: MacAddr,
    target_ip: [u8; 4],
}
const _: () = assert!(size_of::<Arp>() == Arp::LEN);

/// The two operations of RFC 826 that matter to a router.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has it.
    Reply,
}

impl Arp {
    /// Octets on the wire.
    pub const LEN: usize = 28;

    /// A packet from `(mac, ip)` to `(target_mac, target_ip)`.
    pub fn new(operation: Operation, sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Self {
        let code = match operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        Self {
            hardware_type: U16::new(1),
            protocol_type: U16::new(0x0800),
            hardware_len: 6,
            protocol_len: 4,
            operation: U16::new(code),
            sender_mac: sender.0,
            sender_ip: sender.1.octets(),
            target_mac: target.0,
            target_ip: target.1.octets(),
        }
    }

    /// The packet at the front of `octets` with its operation; `None` for anything that is not a
    /// request or reply for IPv4 over Ethernet.
    pub fn parse(octets: &[u8]) -> Option<(Operation, Self)> {
        let packet = Self::read_from_prefix(octets).ok()?.0;
        let right_kind = packet.hardware_type.get() == 1
            && packet.protocol_type.get() == 0x0800
            && packet.hardware_len == 6
            && packet.protocol_len == 4;
        let operation = match packet.operation.get() {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return None,
        };
        right_kind.then_some((operation, packet))
    }

    /// IPv4 address of the sender.
    pub const fn sender_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(self.sender_ip)
    }

    /// IPv4 address that is asked for, or that the reply goes to.
    pub const fn target_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(self.target_ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_round_trips_and_other_hardware_is_refused() {
        let sender = (MacAddr([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(10, 0, 0, 1));
        let request = Arp::new(Operation::Request, sender, (MacAddr::ZERO, Ipv4Addr::new(10, 0, 0, 2)));
        let mut octets = request.as_bytes().to_vec();
        assert_eq!(Arp::parse(&octets), Some((Operation::Request, request)));
        octets[1] = 6; // IEEE 802 networks, RFC 1042
        assert_eq!(Arp::parse(&octets), None);
        assert_eq!(Arp::parse(&request.as_bytes()[..27]), None);
    }
}
