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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::offload::testing::{Spec, any_spec, is_right};

    /// A SYN with these options.
    fn syn(options: &[u8], v6: bool) -> Spec {
        Spec { flags: flag::SYN, options: options.to_vec(), v6, ..Spec::tcp(0) }
    }

    fn clamped(spec: &Spec, max: u16) -> (bool, Vec<u8>) {
        let mut wire = spec.wire();
        let l3 = 14 + 4 * spec.vlans.len();
        let changed = clamp_mss(&mut wire[l3..], max, &Offload::default());
        (changed, wire)
    }

    #[test]
    fn rfc_9293_3_7_1_the_option_is_lowered_wherever_it_stands() {
        let (high, low) = ([2, 4, 0x05, 0xb4], [2, 4, 0x05, 0x14]);
        let layouts: [fn([u8; 4]) -> Vec<u8>; 4] = [
            |mss| mss.to_vec(),
            |mss| [&[1][..], &mss, &[3, 3, 7]].concat(),
            |mss| [&[4, 2][..], &mss, &[1, 0]].concat(),
            |mss| [&[3, 3, 7][..], &mss, &[0]].concat(),
        ];
        for (v6, options) in [false, true].into_iter().flat_map(|v6| layouts.map(|options| (v6, options))) {
            for flags in [flag::SYN, flag::SYN | flag::ACK, flag::SYN | flag::ECE | flag::CWR] {
                let before = Spec { flags, ..syn(&options(high), v6) };
                let after = Spec { flags, ..syn(&options(low), v6) };
                assert_eq!(clamped(&before, 1300), (true, after.wire()), "{before:?}");
                assert!(is_right(&after.wire()));
            }
        }
    }

    #[test]
    fn it_is_never_raised_nor_added_and_only_syn_has_it() {
        let mss = [2, 4, 0x05, 0xb4];
        let data = Spec { flags: flag::ACK, ..syn(&mss, false) };
        let udp = Spec { udp: true, ..syn(&[], false) };
        for (spec, max) in [(syn(&mss, false), 1460), (syn(&mss, true), 9000), (syn(&[1; 4], false), 500)] {
            assert_eq!(clamped(&spec, max), (false, spec.wire()));
        }
        for spec in [data, udp] {
            assert_eq!(clamped(&spec, 500), (false, spec.wire()));
        }
    }

    #[test]
    fn a_begun_checksum_does_not_cover_the_option_yet() {
        let spec = syn(&[1, 2, 4, 0x05, 0xb4, 0, 0, 0], false);
        let mut frame = spec.train(1);
        frame.offload.gso = None;
        let offload = frame.offload;
        assert!(clamp_mss(&mut frame.buf[14..], 1300, &offload));
        crate::offload::finish_checksum(&mut frame).unwrap();
        assert_eq!(&*frame.buf, syn(&[1, 2, 4, 0x05, 0x14, 0, 0, 0], false).wire());
    }

    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let mut wire = syn(&[2, 4, 0x05, 0xb4], false).wire();
        wire[50] ^= 1;
        assert!(clamp_mss(&mut wire[14..], 1300, &Offload::default()));
        assert!(!is_right(&wire));
    }

    #[test]
    fn malformed_options_are_left_alone() {
        for options in
            [[2, 3, 0x05, 0xb4], [5, 0, 2, 4], [5, 1, 2, 4], [1, 1, 2, 4], [1, 1, 1, 2], [0, 0, 2, 4]]
        {
            let spec = syn(&options, false);
            assert_eq!(clamped(&spec, 500), (false, spec.wire()), "{options:?}");
        }
    }

    proptest! {
        #[test]
        fn a_lowered_option_always_leaves_the_right_checksum(spec in any_spec(0..40), mss: u16, max: u16) {
            let option = [&[2, 4][..], &mss.to_be_bytes()].concat();
            let options = if spec.udp { Vec::new() } else { option };
            let spec = Spec { flags: flag::SYN, options, ip_options: vec![1; 4], ..spec };
            let (changed, wire) = clamped(&spec, max);
            prop_assert_eq!(changed, !spec.udp && mss > max);
            prop_assert!(is_right(&wire));
        }

        #[test]
        fn no_packet_panics(mut octets in proptest::collection::vec(any::<u8>(), 0..80), first in 0usize..3) {
            if let (Some(octet), Some(&first)) = (octets.first_mut(), [0x45, 0x60, 0x4f].get(first)) {
                *octet = first;
            }
            clamp_mss(&mut octets, 500, &Offload::default());
        }
    }
}
