//! Super-frames of a host that cannot be trusted, and segments from a network that cannot either.

use dataplane::{
    Depot, Frame, Pool, PoolSizes, PortCaps,
    offload::{Coalescer, Layout, clamp_mss, finish_checksum, largest_l3, segment},
};
use net::virtio::Offload;

use super::Choices;

/// No buffer is lost, segments hold exactly the train's data, and no more frames come out of joining than went in.
pub fn offload(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let sizes = PoolSizes { small_count: 128, big_count: 12, ..PoolSizes::default() };
    let depot = Depot::new(sizes);
    let mut pool = Pool::new(depot.clone());
    let mut coalescer =
        Coalescer::new(PortCaps { offload: true, udp_segments: choices.flag(), flows: false });
    let (mut joined, mut pushed) = (Vec::new(), 0);
    // So many that every piece finds a buffer.
    for _ in 0..10 {
        let work = Offload::decode(choices.array()).unwrap_or_default();
        let (times, piece) = (1 + choices.below(40), choices.piece());
        let Some(frame) = train(&mut pool, piece, times, work) else { continue };
        assert!(largest_l3(&frame) <= frame.buf.len());
        let mut segments = Vec::with_capacity(64);
        if let Ok(count) = segment(&frame, &mut pool, &mut segments) {
            assert_eq!(count, segments.len());
            assert_same_data(&frame, &segments);
        }
        for segment in segments {
            coalescer.push(segment, &mut pool, &mut joined);
            pushed += 1;
        }
        let mut frame = frame;
        if let Some(packet) = frame.buf.get_mut(14..) {
            clamp_mss(packet, 1000, &work);
        }
        if finish_checksum(&mut frame).is_ok() {
            coalescer.push(frame, &mut pool, &mut joined);
            pushed += 1;
        } else {
            pool.recycle(frame);
        }
        coalescer.flush(&mut joined);
        assert!(joined.len() <= pushed, "{} frames out of {pushed}", joined.len());
        joined.drain(..).for_each(|frame| pool.recycle(frame));
        pushed = 0;
    }
    drop(pool);
    assert_eq!(depot.free(), (sizes.small_count, sizes.big_count), "a buffer went astray");
}

/// A frame whose last part is the end of `piece` repeated, so that a few octets make a long train.
fn train(pool: &mut Pool, piece: &[u8], times: usize, work: Offload) -> Option<Frame> {
    let tail = piece.get(piece.len().saturating_sub(1024)..).unwrap_or_default();
    let mut buf = pool.for_len(piece.len() + tail.len() * (times - 1))?;
    assert!(buf.extend_from_slice(piece));
    for _ in 1..times {
        assert!(buf.extend_from_slice(tail));
    }
    Some(Frame { offload: work, ..Frame::new(buf) })
}

fn assert_same_data(train: &Frame, segments: &[Frame]) {
    let data = |frame: &Frame| {
        let layout = Layout::parse(&frame.buf).expect("what was cut has headers");
        frame.buf[layout.payload..layout.end].to_vec()
    };
    let all: Vec<u8> = segments.iter().flat_map(data).collect();
    assert!(all == data(train), "the segments hold other data than the train");
}
