//! IPv4 fragmentation in a router (RFC 791 §3.2, RFC 1812 §4.2.2.7). IPv6 routers never fragment.

use net::{Ethernet, ipv4::Ipv4};

use crate::{DropReason, Frame, Pool};

/// Cuts an untagged frame with an IPv4 packet into fragments of at most `mtu` octets each and appends them to `out`.
/// The packet may itself be a fragment. Options are copied only into the first piece when they say so (RFC 791 §3.1):
/// packets with options are refused.
///
/// # Errors
/// [`DropReason::TooBig`] for packets that must not or cannot be cut, [`DropReason::NoBuffer`] when the pool or `out`
/// is full. Then `out` is as it was.
pub(crate) fn fragment(
    frame: &Frame,
    mtu: u16,
    pool: &mut Pool,
    out: &mut Vec<Frame>,
) -> Result<(), DropReason> {
    let (link, packet) = frame.buf.split_at_checked(Ethernet::LEN).ok_or(DropReason::Runt)?;
    let (header, data) = Ipv4::parse(packet).ok_or(DropReason::BadIpHeader)?;
    let step = usize::from(mtu).saturating_sub(Ipv4::LEN) / 8 * 8;
    if header.header_len() != Ipv4::LEN || header.dont_fragment() || step == 0 {
        return Err(DropReason::TooBig);
    }
    let (first, pieces) = (out.len(), data.len().div_ceil(step));
    if out.capacity() - first < pieces {
        return Err(DropReason::NoBuffer);
    }
    for (at, piece) in data.chunks(step).enumerate() {
        let Some(made) = build(link, header, piece, (at * step, at + 1 == pieces), pool) else {
            out.drain(first..).for_each(|frame| pool.recycle(frame));
            return Err(DropReason::NoBuffer);
        };
        out.push(made);
    }
    Ok(())
}

fn build(
    link: &[u8],
    header: &Ipv4,
    piece: &[u8],
    (offset, last): (usize, bool),
    pool: &mut Pool,
) -> Option<Frame> {
    let mut buf = pool.for_len(link.len() + Ipv4::LEN + piece.len())?;
    let header = header.as_fragment(offset, last, piece.len());
    let whole = buf.extend_from_slice(link)
        && buf.extend_from_slice(header.as_octets())
        && buf.extend_from_slice(piece);
    if whole {
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

    /// An Ethernet frame with an IPv4 packet of `len` data octets, DF not set.
    fn packet(len: u16) -> Frame {
        let mut header =
            Ipv4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), protocol::UDP, 64, usize::from(len));
        header = header.as_fragment(0, true, usize::from(len));
        let data: Vec<u8> = (0..len).map(|at| at.to_le_bytes()[0]).collect();
        let octets = [&[0x02; 12][..], &[0x08, 0x00], header.as_octets(), &data].concat();
        Frame::new(PacketBuf::copy_of(&octets, 0, 0))
    }

    #[test]
    fn fragments_fit_and_reassemble_to_the_packet() {
        let mut pool = Pool::new(Depot::new(PoolSizes::default()));
        let (frame, mut out) = (packet(2972), Vec::with_capacity(8));
        assert_eq!(fragment(&frame, 1400, &mut pool, &mut out), Ok(()));
        let mut whole = vec![];
        for (at, piece) in out.iter().enumerate() {
            let (header, data) = Ipv4::parse(&piece.buf[14..]).expect("a valid header");
            assert!(piece.buf.len() - 14 <= 1400);
            assert_eq!(
                (header.fragment_offset(), header.more_fragments()),
                (whole.len(), at + 1 < out.len())
            );
            whole.extend_from_slice(data);
        }
        assert_eq!(whole, &frame.buf[34..]);
    }

    #[test]
    fn a_fragment_can_be_cut_again() {
        // RFC 791 §3.2: offsets add up, and More Fragments of the original stays on its last piece.
        let mut pool = Pool::new(Depot::new(PoolSizes::default()));
        let (frame, mut first) = (packet(2952), Vec::with_capacity(8));
        fragment(&frame, 1500, &mut pool, &mut first).unwrap();
        let (mut out, middle) = (Vec::with_capacity(8), &first[0]);
        fragment(middle, 1000, &mut pool, &mut out).unwrap();
        let last = Ipv4::parse(&out.last().unwrap().buf[14..]).unwrap().0;
        assert_eq!((last.fragment_offset(), last.more_fragments()), (976, true));
    }

    #[test]
    fn what_must_not_be_cut_is_refused_and_a_full_list_loses_nothing() {
        let mut pool = Pool::new(Depot::new(PoolSizes::default()));
        let mut out = Vec::with_capacity(1);
        assert_eq!(fragment(&packet(3000), 1400, &mut pool, &mut out), Err(DropReason::NoBuffer));
        let mut forbidden = packet(3000);
        let header = Ipv4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), protocol::UDP, 64, 3000);
        forbidden.buf[14..34].copy_from_slice(header.as_octets());
        assert_eq!(fragment(&forbidden, 1400, &mut pool, &mut out), Err(DropReason::TooBig));
        assert!(out.is_empty());
    }
}
