//! IPv4 fragmentation in a router (RFC 791 §3.2, RFC 1812 §4.2.2.7). IPv6 routers never fragment.
//!
//! Options (RFC 791 §3.1) go with the first piece as they are; the others get those whose copied flag is set.

use arrayvec::ArrayVec;
use net::{Ethernet, ipv4::Ipv4};

use crate::{DropReason, Frame, Pool};

/// Octets of the longest packet.
const LONGEST: usize = 65_535;
/// The longest options that a header has room for (RFC 791 §3.1).
const MAX_OPTIONS: usize = 40;

/// Options of one piece's header, whole words.
type Options = ArrayVec<u8, MAX_OPTIONS>;

/// Cuts an untagged frame with an IPv4 packet into fragments of at most `mtu` octets each and appends them to `out`.
/// The packet may itself be a fragment.
///
/// # Errors
/// [`DropReason::TooBig`] for packets that must not or cannot be cut, [`DropReason::BadIpHeader`] when its options
/// do not end where they should, or it is a fragment that reaches beyond the longest packet, [`DropReason::NoBuffer`] when the pool or `out` is full. Then `out` is as it was.
pub(crate) fn fragment(
    frame: &Frame,
    mtu: u16,
    pool: &mut Pool,
    out: &mut Vec<Frame>,
) -> Result<(), DropReason> {
    let (link, packet) = frame.buf.split_at_checked(Ethernet::LEN).ok_or(DropReason::Runt)?;
    let (header, rest) = Ipv4::parse(packet).ok_or(DropReason::BadIpHeader)?;
    let (options, data) =
        rest.split_at_checked(header.header_len() - Ipv4::LEN).ok_or(DropReason::BadIpHeader)?;
    let copied = copied(options).ok_or(DropReason::BadIpHeader)?;
    // It reaches beyond the longest packet that there can be, and offsets there have no room.
    if header.fragment_offset() + data.len() > LONGEST - Ipv4::LEN {
        return Err(DropReason::BadIpHeader);
    }
    let (first, more) = (step(mtu, options), step(mtu, &copied));
    if header.dont_fragment() || first == 0 || more == 0 {
        return Err(DropReason::TooBig);
    }
    let before = out.len();
    let (mut at, mut options) = (0, options);
    while let Some(rest) = data.get(at..).filter(|rest| at == 0 || !rest.is_empty()) {
        let len = rest.len().min(if at == 0 { first } else { more });
        let piece = rest.get(..len).unwrap_or_default();
        let place = (at, len == rest.len());
        let room = out.len() < out.capacity();
        let made = room.then(|| build((link, header, options), piece, place, pool)).flatten();
        let Some(made) = made else {
            out.drain(before..).for_each(|frame| pool.recycle(frame));
            return Err(DropReason::NoBuffer);
        };
        out.push(made);
        (at, options) = (at + len.max(1), &copied);
    }
    Ok(())
}

/// Octets of data in a piece with these options: a multiple of 8 (RFC 791 §3.2).
fn step(mtu: u16, options: &[u8]) -> usize {
    usize::from(mtu).saturating_sub(Ipv4::LEN + options.len()) / 8 * 8
}

/// The options whose copied flag, the first bit of their type, says that every fragment has them (RFC 791 §3.1); padded
/// to whole words. `None` when an option is longer than what is there.
fn copied(options: &[u8]) -> Option<Options> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const COPIED: u8 = 0x80;
    let (mut kept, mut rest) = (Options::new(), options);
    while let [kind, behind @ ..] = rest {
        let len = match (*kind, behind) {
            (END, _) => break,
            (NO_OPERATION, _) => 1,
            (_, [len, ..]) => usize::from(*len).max(2),
            (_, []) => return None,
        };
        let (option, behind) = rest.split_at_checked(len)?;
        if kind & COPIED != 0 {
            kept.try_extend_from_slice(option).ok()?;
        }
        rest = behind;
    }
    while !kept.len().is_multiple_of(4) {
        kept.try_push(END).ok()?;
    }
    Some(kept)
}

fn build(
    (link, header, options): (&[u8], &Ipv4, &[u8]),
    piece: &[u8],
    (offset, last): (usize, bool),
    pool: &mut Pool,
) -> Option<Frame> {
    let mut buf = pool.for_len(link.len() + Ipv4::LEN + options.len() + piece.len())?;
    let header = header.as_fragment(options, offset, last, piece.len());
    if [link, header.as_octets(), options, piece].iter().all(|part| buf.extend_from_slice(part)) {
        return Some(Frame::new(buf));
    }
    pool.give(buf);
    None
}

#[cfg(test)]
mod tests {
    use net::{PacketBuf, ipv4::protocol};

    use super::*;
    use crate::{Depot, PoolSizes};

    /// An Ethernet frame with an IPv4 packet of `len` data octets behind `options`, DF not set.
    fn packet(options: &[u8], len: u16) -> Frame {
        let len = usize::from(len);
        let header = Ipv4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), protocol::UDP, 64, len);
        let header = header.as_fragment(options, 0, true, len);
        let data: Vec<u8> = (0..len).map(|at| at.to_le_bytes()[0]).collect();
        let octets = [&[0x02; 12][..], &[0x08, 0x00], header.as_octets(), options, &data].concat();
        Frame::new(PacketBuf::copy_of(&octets, 0, 0))
    }

    fn pool() -> Pool {
        Pool::new(Depot::new(PoolSizes::default()))
    }

    /// The pieces' options and the data that they make, after all that a receiver would check.
    fn reassemble(pieces: &[Frame], mtu: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut options, mut whole) = (vec![], vec![]);
        for (at, piece) in pieces.iter().enumerate() {
            let (header, rest) = Ipv4::parse(&piece.buf[14..]).expect("a valid header");
            assert!(piece.buf.len() - 14 <= mtu && usize::from(header.total_len()) == piece.buf.len() - 14);
            let place = (header.fragment_offset(), header.more_fragments());
            assert_eq!(place, (whole.len(), at + 1 < pieces.len()));
            let (with, data) = rest.split_at(header.header_len() - 20);
            options.push(with.to_vec());
            whole.extend_from_slice(data);
        }
        (options, whole)
    }

    #[test]
    fn fragments_fit_and_reassemble_to_the_packet() {
        let (frame, mut out) = (packet(&[], 2972), Vec::with_capacity(8));
        assert_eq!(fragment(&frame, 1400, &mut pool(), &mut out), Ok(()));
        let (options, whole) = reassemble(&out, 1400);
        assert_eq!((whole, options), (frame.buf[34..].to_vec(), vec![vec![]; 3]));
    }

    #[test]
    fn rfc_791_3_1_options_with_the_copied_flag_are_in_every_fragment_and_others_in_the_first() {
        // Record route (7, not copied), no operation, router alert (148, copied, RFC 2113), end.
        let (route, alert) = ([7, 7, 4, 0, 0, 0, 0], [148, 4, 0, 0]);
        let all = [&route[..], &[1], &alert].concat();
        let frame = packet(&all, 3000);
        let mut out = Vec::with_capacity(8);
        assert_eq!(fragment(&frame, 1400, &mut pool(), &mut out), Ok(()));
        let (options, whole) = reassemble(&out, 1400);
        assert_eq!(whole, frame.buf[46..]);
        assert_eq!(options, [all, alert.to_vec(), alert.to_vec()]);
        // A stream identifier (136) has four octets, security (130) eleven: padded to whole words.
        let odd = [&[136, 4, 0, 7][..], &[130, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[0]].concat();
        let mut out = Vec::with_capacity(8);
        fragment(&packet(&odd, 1400), 1400, &mut pool(), &mut out).unwrap();
        assert_eq!(reassemble(&out, 1400).0, [odd.clone(), odd]);
    }

    #[test]
    fn the_longest_options_fit_the_smallest_mtu() {
        let full = [&[7, 39][..], &[4; 37], &[0]].concat();
        let (frame, mut out) = (packet(&full, 100), Vec::with_capacity(20));
        assert_eq!(fragment(&frame, 68, &mut pool(), &mut out), Ok(()));
        assert_eq!(reassemble(&out, 68).1, frame.buf[74..]);
    }

    #[test]
    fn options_that_lead_outside_the_header_are_a_bad_header() {
        for bad in [[7, 5, 4, 0], [1, 1, 1, 148], [7, 40, 4, 0]] {
            let mut out = Vec::with_capacity(8);
            let cut = fragment(&packet(&bad, 3000), 1400, &mut pool(), &mut out);
            assert_eq!((cut, out.len()), (Err(DropReason::BadIpHeader), 0), "{bad:?}");
        }
    }

    #[test]
    fn a_fragment_can_be_cut_again() {
        // RFC 791 §3.2: offsets add up, and More Fragments of the original stays on its last piece.
        let (mut pool, mut first) = (pool(), Vec::with_capacity(8));
        fragment(&packet(&[], 2952), 1500, &mut pool, &mut first).unwrap();
        let (mut out, middle) = (Vec::with_capacity(8), &first[0]);
        fragment(middle, 1000, &mut pool, &mut out).unwrap();
        let last = Ipv4::parse(&out.last().unwrap().buf[14..]).unwrap().0;
        assert_eq!((last.fragment_offset(), last.more_fragments()), (976, true));
    }

    // Offsets have 13 bits (RFC 791 §3.1): what went on behind them would begin at the front again, over octets that a filter on the way has
    // seen (RFC 1858, RFC 5722).
    #[test]
    fn a_fragment_that_reaches_beyond_the_longest_packet_is_not_cut() {
        for (offset, cut) in [(64_000, true), (64_032, true), (64_040, false), (65_528, false)] {
            let (mut frame, mut out) = (packet(&[], 1480), Vec::with_capacity(8));
            let header = Ipv4::parse(&frame.buf[14..]).unwrap().0.as_fragment(&[], offset, true, 1480);
            frame.buf[14..34].copy_from_slice(header.as_octets());
            let expected = if cut { Ok(()) } else { Err(DropReason::BadIpHeader) };
            assert_eq!(fragment(&frame, 1000, &mut pool(), &mut out), expected, "{offset}");
            assert_eq!(out.len(), if cut { 2 } else { 0 });
            let offsets = out.iter().map(|piece| Ipv4::parse(&piece.buf[14..]).unwrap().0.fragment_offset());
            assert!(offsets.min().is_none_or(|least| least == offset));
        }
    }

    #[test]
    fn what_must_not_be_cut_is_refused_and_a_full_list_loses_nothing() {
        let (mut pool, mut out) = (pool(), Vec::with_capacity(1));
        assert_eq!(fragment(&packet(&[], 3000), 1400, &mut pool, &mut out), Err(DropReason::NoBuffer));
        let mut forbidden = packet(&[], 3000);
        let header = Ipv4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), protocol::UDP, 64, 3000);
        forbidden.buf[14..34].copy_from_slice(header.as_octets());
        assert_eq!(fragment(&forbidden, 1400, &mut pool, &mut out), Err(DropReason::TooBig));
        assert!(out.is_empty());
    }
}
