//! The Internet checksum (RFC 1071) at the speed of memory: summed while copying (`sys::copy_and_sum`), in the machine's own
//! byte order (RFC 1071 §2(B)), swapped once at the end.
//!
//! The checksums of a train's segments cover mostly the same words: [`Common`] sums those once.

use net::checksum::Sum;

use super::layout::{Layout, Transport};

/// Four 64-bit lanes: measured as the best width with and without AVX2.
const LANES: usize = 4;
const BLOCK: usize = LANES * 8;

/// Copies `from` to the start of `to` and returns the folded sum of what it copied, a last odd octet padded
/// with a zero. Both must be of the same length.
pub(super) fn copy_and_sum(to: &mut [u8], from: &[u8]) -> u16 {
    debug_assert_eq!(to.len(), from.len(), "a copy has the length of its original");
    let (total, copied) = sys::copy_and_sum(to, from);
    let (to, from) = (to.get_mut(copied..).unwrap_or_default(), from.get(copied..).unwrap_or_default());
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    sum_on(total, from)
}

/// The folded sum of `octets`, a last odd one padded with a zero.
pub(super) fn sum(octets: &[u8]) -> u16 {
    sum_on(0, octets)
}

/// The folded sum of `octets` and of those before them, whose words add up to `before`.
fn sum_on(before: u64, octets: &[u8]) -> u16 {
    let (blocks, tail) = octets.as_chunks::<BLOCK>();
    let mut lanes = [before, 0, 0, 0];
    for block in blocks {
        add_block(&mut lanes, block);
    }
    folded(lanes, tail)
}

/// The sum of all words under a transport checksum that are the same in each segment of a train: addresses,
/// protocol, ports, and for TCP acknowledgment, window, urgent pointer and options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common(Sum);

impl Common {
    /// Of the train or segment with these headers; `None` when `layout` is another frame's.
    pub(super) fn of(headers: &[u8], layout: &Layout) -> Option<Self> {
        let sum = addresses_and_protocol(headers, layout)?;
        let transport = headers.get(layout.l4..layout.payload)?;
        let (ports, rest) = transport.split_first_chunk::<4>()?;
        let sum = sum.with(ports);
        Some(Self(match layout.transport {
            Transport::Udp => sum,
            // Without sequence number, the word of header length and flags, and the checksum.
            Transport::Tcp => sum.with(rest.get(4..8)?).with(rest.get(10..12)?).with(rest.get(14..)?),
        }))
    }

    /// The folded sum over a TCP segment without its checksum. `flags` is the word of header length and flags,
    /// `len` the octets of header and data, `data` the sum of the data.
    pub(super) fn tcp(self, sequence: u32, flags: u16, len: u16, data: u16) -> u16 {
        let [a, b, c, d] = sequence.to_be_bytes();
        let sum = self.0.add_u16(u16::from_be_bytes([a, b])).add_u16(u16::from_be_bytes([c, d]));
        sum.add_u16(flags).add_u16(len).add_u16(data).folded()
    }

    /// The folded sum over a UDP datagram without its checksum. The length counts twice: in the
    /// pseudo-header and in the header.
    pub(super) fn udp(self, len: u16, data: u16) -> u16 {
        self.0.add_u16(len).add_u16(len).add_u16(data).folded()
    }
}

/// What the checksum field of a begun checksum holds: the folded sum of the pseudo-header (VIRTIO 1.2
/// §5.1.6.2) for `len` octets of transport header and data.
pub(super) fn pseudo_header(headers: &[u8], layout: &Layout, len: u16) -> Option<u16> {
    Some(addresses_and_protocol(headers, layout)?.add_u16(len).folded())
}

/// The pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1) without its length.
fn addresses_and_protocol(headers: &[u8], layout: &Layout) -> Option<Sum> {
    let addresses = headers.get(layout.l3..)?.get(layout.family.addresses())?;
    Some(Sum::new().with(addresses).add_u16(u16::from(layout.transport.protocol())))
}

/// Both halves of each word apart, so that no carry is lost: a lane overflows after 2^31 blocks.
#[inline]
fn add_block(lanes: &mut [u64; LANES], block: &[u8; BLOCK]) {
    for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
        let word = u64::from_ne_bytes(*word);
        *lane += (word >> 32) + (word & 0xffff_ffff);
    }
}

fn folded(lanes: [u64; LANES], tail: &[u8]) -> u16 {
    let mut total: u64 = lanes.iter().sum();
    let (words, rest) = tail.as_chunks::<4>();
    for word in words {
        total += u64::from(u32::from_ne_bytes(*word));
    }
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    total += u64::from(u32::from_ne_bytes(last));
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    u16::from_be_bytes(u16::try_from(total).unwrap_or(u16::MAX).to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rfc_1071_sums_agree_with_an_independent_implementation(
            octets in proptest::collection::vec(any::<u8>(), 1..3000),
        ) {
            let mut copy = vec![0xa5; octets.len()];
            let fast = copy_and_sum(&mut copy, &octets);
            prop_assert_eq!(&copy, &octets);
            prop_assert_eq!(!fast, pnet_packet::util::checksum(&octets, usize::MAX));
            prop_assert_eq!(sum(&octets), fast);
        }
    }

    #[test]
    fn no_carry_is_lost_in_the_longest_super_frame() {
        let octets = vec![0xff; 65_535];
        assert_eq!(sum(&octets), Sum::new().with(&octets).folded());
    }
}
