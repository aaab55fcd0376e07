//! The MSS clamp: the one TCP option that a tunnel rewrites.
//!
//! A host that offers a segment size larger than the way allows depends on ICMP "too big" messages that
//! others filter. Lowering the option (RFC 9293 §3.7.1) in passing SYN segments avoids the question.

use net::{
    checksum,
    ipv4::protocol,
    tcp::{Tcp, flag},
    virtio::{Checksum, Offload},
};

use super::layout::{Layout, Transport};

/// Lowers the MSS option of a TCP SYN or SYN-ACK to `max_mss` and says whether it did. `l3_packet` starts at
/// its IP header; `offload` is the frame's. Never raises an option and never adds one. The checksum is
/// updated incrementally, so that a wrong one stays wrong; a begun one does not cover the option yet.
pub fn clamp_mss(l3_packet: &mut [u8], max_mss: u16, offload: &Offload) -> bool {
    may_be_syn(l3_packet) && clamp(l3_packet, max_mss, offload).is_some()
}

/// A cheap look at the protocol and the flag, for the packets that are something else: nearly all.
fn may_be_syn(packet: &[u8]) -> bool {
    let octet = |at: usize| packet.get(at).copied().unwrap_or(0);
    let (number, l4) = match octet(0) >> 4 {
        4 => (octet(9), usize::from(octet(0) & 0x0f) * 4),
        6 => (octet(6), 40),
        _ => return false,
    };
    number == protocol::TCP && octet(l4 + 13) & flag::SYN != 0
}

fn clamp(packet: &mut [u8], max_mss: u16, offload: &Offload) -> Option<()> {
    let layout = Layout::parse_l3(packet).filter(|layout| layout.transport == Transport::Tcp)?;
    let transport = packet.get_mut(layout.l4..layout.payload)?;
    let at = mss_option(transport)?;
    let field = transport.get_mut(at..)?.first_chunk_mut::<2>()?;
    let old = u16::from_be_bytes(*field);
    if old <= max_mss {
        return None;
    }
    *field = max_mss.to_be_bytes();
    if !matches!(offload.checksum, Checksum::Partial { .. }) {
        let header = Tcp::from_mut(transport)?;
        // An option may start anywhere: at an odd place its octets are the other halves of two words
        // (RFC 1071 §2(B)).
        let swap = |word: u16| if at % 2 == 0 { word } else { word.swap_bytes() };
        header.checksum.set(checksum::update(header.checksum.get(), swap(old), swap(max_mss)));
    }
    Some(())
}

/// Where the value of the MSS option is, from the start of the TCP header.
fn mss_option(transport: &[u8]) -> Option<usize> {
    let mut at = Tcp::LEN;
    loop {
        match *transport.get(at)? {
            END => return None,
            NO_OPERATION => at += 1,
            kind => {
                let len = usize::from(*transport.get(at + 1)?);
                if kind == MSS && len == 4 {
                    return Some(at + 2);
                }
                // A length below 2 would not move on: malformed.
                at += Some(len).filter(|&len| len >= 2)?;
            }
        }
    }
}

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
