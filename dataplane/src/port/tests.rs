//! The drivers against the kernel: each test in a network namespace of its own, which needs `CAP_SYS_ADMIN` and
//! `ip`. Without them a test is skipped loudly; with `CI=true` it fails then.

use std::{fs::File, io, process::Command, time::Duration};

use etherparse::PacketBuilder;
use net::{
    EtherType, PacketBuf, VlanTag,
    virtio::{Checksum, Gso, GsoKind, Offload},
};
use sys::{Poller, netns::NetNs};

use super::{
    Port, PortError,
    af_packet::{AfPacketPort, Options, Ring, Share},
    tap::TapPort,
};
use crate::{Batch, Depot, Frame, HEADROOM, Pool, PoolSizes, TAILROOM};

/// Runs `test` on a thread in a namespace with the pair `a` - `b`, MTU 9000, up, silent.
pub(super) fn in_new_namespace(test: impl FnOnce() + Send) {
    if let Err(error) = Command::new("ip").arg("-V").output() {
        return skip("ip(8) cannot be run", &error);
    }
    match NetNs::new() {
        Err(error) => skip("no new network namespace", &error),
        Ok(namespace) => {
            let inside = || {
                ip("link add name a type veth peer name b");
                ["a", "b"].into_iter().for_each(silent_up);
                ["a", "b"].into_iter().for_each(active);
                test();
            };
            namespace.within(inside).unwrap();
        }
    }
}

/// As [`in_new_namespace`], for tests that need TAP devices.
fn in_new_namespace_with_taps(test: impl FnOnce() + Send) {
    match File::options().read(true).write(true).open("/dev/net/tun") {
        Ok(_) => in_new_namespace(test),
        Err(error) => skip("/dev/net/tun cannot be opened", &error),
    }
}

fn skip(why: &str, error: &io::Error) {
    assert!(std::env::var("CI").map_or(true, |ci| ci != "true"), "must not be skipped in CI: {why}: {error}");
    eprintln!("SKIPPED: {why}: {error}");
}

pub(super) fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(super) fn silent_up(device: &str) {
    sys::sysctl::write(&format!("net/ipv6/conf/{device}/disable_ipv6"), "1").unwrap();
    ip(&format!("link set dev {device} mtu 9000 up"));
}

/// Waits until the kernel has activated the device's queueing discipline; before, it swallows frames.
pub(super) fn active(device: &str) {
    wait_for(|| {
        let output = Command::new("ip").args(["link", "show", "dev", device]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        !text.contains("DOWN") && !text.contains("qdisc noop ")
    });
}

pub(super) fn pool() -> Pool {
    Pool::new(Depot::new(PoolSizes::default()))
}

pub(super) fn options(device: &str, ring: Ring, offload: bool) -> Options {
    Options {
        device: device.to_owned(),
        ring,
        ring_octets: 1 << 20,
        offload,
        qdisc_bypass: false,
        largest_frame: 1792,
        fanout: None,
    }
}

pub(super) fn open(device: &str, ring: Ring, offload: bool) -> AfPacketPort {
    AfPacketPort::open(&options(device, ring, offload)).unwrap()
}

/// The next `count` frames; fails when they do not come within five seconds.
pub(super) fn receive(port: &mut dyn Port, pool: &mut Pool, count: usize) -> Vec<Frame> {
    let mut poller = Poller::new().unwrap();
    let mut ready = Vec::new();
    poller.add(port.fd().unwrap(), 1).unwrap();
    let (mut batch, mut frames) = (Batch::new(), Vec::new());
    while frames.len() < count {
        poller.wait(&mut ready, Some(Duration::from_secs(5))).unwrap();
        assert!(!ready.is_empty(), "{} of {count} frames came", frames.len());
        let added = port.receive(&mut batch, pool).unwrap();
        assert_eq!(added, batch.len());
        frames.extend(batch.drain(..));
    }
    assert_eq!(frames.len(), count);
    for frame in &frames {
        assert!(frame.buf.headroom() >= HEADROOM - 4 && frame.buf.tailroom() >= TAILROOM, "{:?}", frame.buf);
    }
    frames
}

pub(super) fn send(
    port: &mut dyn Port,
    pool: &mut Pool,
    octets: &[Vec<u8>],
    offload: Offload,
) -> Result<(), PortError> {
    let mut frames: Vec<_> = octets
        .iter()
        .map(|o| Frame { offload, ..Frame::new(PacketBuf::copy_of(o, HEADROOM, TAILROOM)) })
        .collect();
    let result = port.send(&mut frames, pool);
    assert!(frames.is_empty());
    result
}

/// A broadcast frame with a local-experimental EtherType, `octets` long.
pub(super) fn plain(octets: usize, number: u8) -> Vec<u8> {
    let mut frame = vec![number; octets];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, number]);
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame
}

/// A TCP super-frame over IPv4 with `data` octets, and the work that is left: a begun checksum, segments of 1000.
fn train(data: usize) -> (Vec<u8>, Offload) {
    let payload: Vec<u8> = (0..data).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(12345, 80, 1, 65535)
        .ack(1);
    let mut frame = Vec::new();
    builder.write(&mut frame, &payload).unwrap();
    let offload = Offload {
        checksum: Checksum::Partial { start: 34, offset: 16 },
        gso: Some(Gso { kind: GsoKind::TcpV4, size: 1000, ecn: false }),
    };
    (frame, offload)
}

pub(super) fn octets(frames: &[Frame]) -> Vec<Vec<u8>> {
    frames.iter().map(|frame| frame.buf.to_vec()).collect()
}

/// Each layout, with and without offload.
fn on_each(test: impl Fn(Ring, bool) + Send + Sync) {
    for ring in [Ring::Auto, Ring::V3] {
        for offload in [false, true] {
            in_new_namespace(|| test(ring, offload));
        }
    }
}

#[test]
fn frames_cross_whole_and_both_sides_count_them() {
    on_each(|ring, offload| {
        let mut pool = pool();
        let (mut a, mut b) = (open("a", ring, offload), open("b", ring, offload));
        let frames: Vec<_> = (0..100).map(|n| plain(60 + 14 * usize::from(n), n)).collect();
        send(&mut a, &mut pool, &frames, Offload::default()).unwrap();
        let got = receive(&mut b, &mut pool, 100);
        assert_eq!(octets(&got), frames);
        assert!(got.iter().all(|frame| frame.offload == Offload::default()));
        let sum: usize = frames.iter().map(Vec::len).sum();
        let (tx, rx) = (a.counters(), b.counters());
        assert_eq!((tx.tx_frames, tx.tx_octets, tx.tx_refused), (100, sum.try_into().unwrap(), 0));
        assert_eq!((rx.rx_frames, rx.rx_octets), (100, sum.try_into().unwrap()));
        assert_eq!((rx.rx_truncated, rx.rx_no_buffer, rx.rx_bad_offload, rx.rx_ring_full), (0, 0, 0, 0));
    });
}

#[test]
fn tags_that_the_kernel_took_out_are_back_in_place() {
    on_each(|ring, offload| {
        let mut pool = pool();
        let (mut a, mut b) = (open("a", ring, offload), open("b", ring, offload));
        let mut twice = plain(200, 1);
        twice.splice(12..12, [0x88, 0xa8, 0x60, 0x64, 0x81, 0x00, 0x00, 0x07]);
        let mut once = plain(1514, 2);
        once.splice(12..12, [0x81, 0x00, 0x0f, 0xfe]);
        let frames = [twice, once, plain(60, 3)];
        send(&mut a, &mut pool, &frames, Offload::default()).unwrap();
        let got = receive(&mut b, &mut pool, 3);
        assert_eq!(octets(&got), frames);
        let outer = VlanTag::outermost(&got[0].buf).unwrap();
        assert_eq!((outer.tpid, outer.tci()), (EtherType::SERVICE_VLAN, 0x6064));
    });
}

#[test]
fn super_frames_cross_with_their_work_also_under_a_tag() {
    for ring in [Ring::Auto, Ring::V3] {
        in_new_namespace(|| {
            let mut pool = pool();
            let (mut a, mut b) = (open("a", ring, true), open("b", ring, true));
            for data in [2500, 30_000, 65_000] {
                let (mut frame, mut offload) = train(data);
                send(&mut a, &mut pool, std::slice::from_ref(&frame), offload).unwrap();
                let got = receive(&mut b, &mut pool, 1);
                assert_eq!((octets(&got), got[0].offload), (vec![frame.clone()], offload), "{ring:?} {data}");
                // With a tag everything counts four octets more.
                frame.splice(12..12, [0x81, 0x00, 0x00, 0x07]);
                offload.checksum = Checksum::Partial { start: 38, offset: 16 };
                send(&mut a, &mut pool, std::slice::from_ref(&frame), offload).unwrap();
                let got = receive(&mut b, &mut pool, 1);
                assert_eq!((octets(&got), got[0].offload), (vec![frame], offload), "{ring:?} {data}, tagged");
                got.into_iter().for_each(|frame| pool.recycle(frame));
            }
        });
    }
}

#[test]
fn a_port_without_offload_takes_work_that_is_left_but_passes_none_on() {
    in_new_namespace(|| {
        let mut pool = pool();
        let (mut a, mut b) = (open("a", Ring::Auto, false), open("b", Ring::Auto, false));
        assert_eq!(a.caps(), crate::PortCaps::default());
        let (frame, offload) = train(1000);
        let checksum_only = Offload { gso: None, ..offload };
        for offload in [offload, checksum_only] {
            send(&mut a, &mut pool, std::slice::from_ref(&frame), offload).unwrap();
        }
        send(&mut a, &mut pool, &[plain(60, 1)], Offload::default()).unwrap();
        assert_eq!(octets(&receive(&mut b, &mut pool, 1)), [plain(60, 1)], "and nothing before it");
        assert_eq!((a.counters().tx_frames, a.counters().tx_refused), (1, 2));
        // In the other direction work must be taken: the host that left it does not ask.
        let mut host = open("a", Ring::Auto, true);
        send(&mut host, &mut pool, std::slice::from_ref(&frame), checksum_only).unwrap();
        let got = receive(&mut b, &mut pool, 1);
        assert_eq!((octets(&got), got[0].offload), (vec![frame], checksum_only));
    });
}

#[test]
fn what_is_past_the_mtu_is_refused_and_counted() {
    in_new_namespace(|| {
        let mut pool = pool();
        let (mut a, mut b) = (open("a", Ring::Auto, false), open("b", Ring::Auto, false));
        let frames = [plain(9014, 1), plain(9015, 2), plain(60, 3)];
        send(&mut a, &mut pool, &frames, Offload::default()).unwrap();
        assert_eq!((a.counters().tx_frames, a.counters().tx_refused), (2, 1));
        let got = octets(&receive(&mut b, &mut pool, 2));
        assert_eq!(got, [plain(9014, 1), plain(60, 3)], "also what is past the largest frame of 1792");
    });
}

#[test]
fn long_frames_that_find_no_room_are_dropped_and_counted() {
    in_new_namespace(|| {
        let mut pool = pool();
        let mut a = open("a", Ring::Auto, false);
        let long_ring = Options { ring_octets: 8 << 20, ..options("b", Ring::Auto, false) };
        let mut b = AfPacketPort::open(&long_ring).unwrap();
        let frames = vec![plain(9014, 1); 50];
        for _ in 0..80 {
            send(&mut a, &mut pool, &frames, Offload::default()).unwrap();
        }
        let mut kept = 0;
        wait_for(|| {
            let mut batch = Batch::new();
            kept += u64::try_from(b.receive(&mut batch, &mut pool).unwrap()).unwrap();
            assert!(batch.iter().all(|frame| *frame.buf == plain(9014, 1)));
            batch.into_iter().for_each(|frame| pool.recycle(frame));
            kept + b.counters().rx_truncated == 4000
        });
        assert!(kept > 0 && b.counters().rx_truncated > 0, "{kept} kept");
        assert_eq!(b.counters().rx_ring_full, 0);
    });
}

#[test]
fn jumbo_frames_go_into_buffers_that_hold_them() {
    on_each(|ring, offload| {
        let mut pool = pool();
        let mut a = open("a", ring, offload);
        let mut b =
            AfPacketPort::open(&Options { largest_frame: 9018, ..options("b", ring, offload) }).unwrap();
        let frames = [plain(9014, 1), plain(60, 2)];
        send(&mut a, &mut pool, &frames, Offload::default()).unwrap();
        let got = receive(&mut b, &mut pool, 2);
        assert_eq!(octets(&got), frames);
        assert!(got[0].buf.capacity() > 60_000 && got[1].buf.capacity() < 3000, "{got:?}");
    });
}

#[test]
fn without_buffers_frames_are_dropped_counted_and_the_port_goes_on() {
    on_each(|ring, offload| {
        let small = PoolSizes { small_count: 10, big_count: 1, ..PoolSizes::default() };
        let mut pool = Pool::new(Depot::new(small));
        let (mut a, mut b) = (open("a", ring, offload), open("b", ring, offload));
        let frames: Vec<_> = (0..30).map(|n| plain(60, n)).collect();
        let mut enough = self::pool();
        send(&mut a, &mut enough, &frames, Offload::default()).unwrap();
        let got = receive(&mut b, &mut pool, 10);
        assert_eq!(octets(&got), frames[..10]);
        let drained = |b: &mut AfPacketPort, pool: &mut Pool| {
            let _none = b.receive(&mut Batch::new(), pool).unwrap();
            b.counters().rx_no_buffer == 20
        };
        wait_for(|| drained(&mut b, &mut pool));
        got.into_iter().for_each(|frame| pool.recycle(frame));
        send(&mut a, &mut enough, &frames[..1], Offload::default()).unwrap();
        assert_eq!(octets(&receive(&mut b, &mut pool, 1)), frames[..1]);
    });
}

pub(super) fn wait_for(mut done: impl FnMut() -> bool) {
    let mut poller = Poller::new().unwrap();
    for _ in 0..5000 {
        if done() {
            return;
        }
        poller.wait(&mut Vec::new(), Some(Duration::from_millis(1))).unwrap();
    }
    panic!("it did not come about in five seconds");
}

#[test]
fn a_full_ring_is_counted() {
    on_each(|ring, offload| {
        let mut pool = pool();
        let (mut a, mut b) = (open("a", ring, offload), open("b", ring, offload));
        let frames: Vec<_> = (0..200).map(|n| plain(1514, n)).collect();
        for _ in 0..30 {
            send(&mut a, &mut pool, &frames, Offload::default()).unwrap();
        }
        let sent = a.counters().tx_frames;
        let mut kept = 0;
        wait_for(|| {
            let mut batch = Batch::new();
            kept += b.receive(&mut batch, &mut pool).unwrap();
            batch.into_iter().for_each(|frame| pool.recycle(frame));
            u64::try_from(kept).unwrap() + b.counters().rx_ring_full == sent
        });
        assert!(b.counters().rx_ring_full > 0);
    });
}

#[test]
fn an_interface_that_goes_down_is_reported_and_works_again_when_up() {
    on_each(|ring, offload| {
        let mut pool = pool();
        let (mut a, mut b) = (open("a", ring, offload), open("b", ring, offload));
        ip("link set dev b down");
        let mut poller = Poller::new().unwrap();
        let mut ready = Vec::new();
        poller.add(b.fd().unwrap(), 1).unwrap();
        poller.wait(&mut ready, None).unwrap();
        assert_eq!(b.receive(&mut Batch::new(), &mut pool), Err(PortError::Down));
        assert_eq!(b.receive(&mut Batch::new(), &mut pool), Ok(0), "said once");
        let frames = [plain(60, 1), plain(60, 2)];
        assert_eq!(send(&mut b, &mut pool, &frames, Offload::default()), Err(PortError::Down));
        assert_eq!(b.counters().tx_refused, 2, "none is kept for later");
        ip("link set dev b up");
        // The kernel activates the queueing disciplines a little later, and until then they swallow frames.
        let mut crosses = |from: &mut AfPacketPort, to: &mut AfPacketPort| {
            let mut batch = Batch::new();
            wait_for(|| {
                send(from, &mut pool, &frames[..1], Offload::default()).unwrap();
                to.receive(&mut batch, &mut pool).unwrap() > 0
            });
            assert_eq!(*batch[0].buf, frames[0]);
        };
        crosses(&mut a, &mut b);
        crosses(&mut b, &mut a);
        // Frames in between: the look that finds none any more need not ask for an error, the next one does.
        ip("link set dev a down");
        wait_for(|| a.receive(&mut Batch::new(), &mut pool) == Err(PortError::Down));
    });
}

#[test]
fn an_interface_that_is_deleted_is_gone_and_a_new_port_works() {
    on_each(|ring, offload| {
        let mut pool = pool();
        let mut b = open("b", ring, offload);
        ip("link del dev b");
        assert_eq!(b.receive(&mut Batch::new(), &mut pool), Err(PortError::Gone));
        assert_eq!(send(&mut b, &mut pool, &[plain(60, 1)], Offload::default()), Err(PortError::Gone));
        ip("link add name a type veth peer name b");
        ["a", "b"].into_iter().for_each(silent_up);
        let (mut a, mut b) = (open("a", ring, offload), open("b", ring, offload));
        let mut batch = Batch::new();
        wait_for(|| {
            send(&mut a, &mut pool, &[plain(60, 1)], Offload::default()).unwrap();
            b.receive(&mut batch, &mut pool).unwrap() > 0
        });
        assert_eq!(*batch[0].buf, plain(60, 1));
    });
}

#[test]
fn ports_of_one_fanout_group_share_the_frames() {
    in_new_namespace(|| {
        let mut pool = pool();
        let mut a = open("a", Ring::Auto, false);
        let shared =
            Options { fanout: Some(Share { group: 9, members: 2 }), ..options("b", Ring::Auto, false) };
        let mut group = [AfPacketPort::open(&shared).unwrap(), AfPacketPort::open(&shared).unwrap()];
        let flow = |port: u16| {
            let mut frame = Vec::new();
            let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
                .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
                .udp(port, 7);
            builder.write(&mut frame, &[0; 32]).unwrap();
            frame
        };
        let frames: Vec<_> = (1000..1064).map(flow).collect();
        send(&mut a, &mut pool, &frames, Offload::default()).unwrap();
        let mut counts = [0; 2];
        wait_for(|| {
            for (count, port) in counts.iter_mut().zip(&mut group) {
                *count += port.receive(&mut Batch::new(), &mut pool).unwrap();
            }
            counts.iter().sum::<usize>() == 64
        });
        assert!(counts[0] > 0 && counts[1] > 0, "64 flows on two sockets: {counts:?}");
    });
}

#[test]
fn a_tap_exchanges_frames_and_super_frames_with_the_host() {
    in_new_namespace_with_taps(|| {
        let mut pool = pool();
        let mut tap = TapPort::open("qs%d").unwrap();
        assert_eq!(tap.name(), "qs0");
        silent_up("qs0");
        active("qs0");
        let mut host = open("qs0", Ring::Auto, true);
        assert!(tap.caps().offload);
        let frames: Vec<_> = (0..70).map(|n| plain(60 + 20 * usize::from(n), n)).collect();
        send(&mut host, &mut pool, &frames, Offload::default()).unwrap();
        let got = receive(&mut tap, &mut pool, 70);
        assert_eq!(octets(&got), frames);
        assert!(got.iter().all(|frame| frame.buf.capacity() < 3000), "small frames in small buffers");
        send(&mut tap, &mut pool, &frames, Offload::default()).unwrap();
        assert_eq!(octets(&receive(&mut host, &mut pool, 70)), frames);
        let (frame, offload) = train(50_000);
        for _ in 0..3 {
            send(&mut host, &mut pool, std::slice::from_ref(&frame), offload).unwrap();
            let got = receive(&mut tap, &mut pool, 1);
            assert_eq!((octets(&got), got[0].offload), (vec![frame.clone()], offload));
            send(&mut tap, &mut pool, std::slice::from_ref(&frame), offload).unwrap();
            let got = receive(&mut host, &mut pool, 1);
            assert_eq!((octets(&got), got[0].offload), (vec![frame.clone()], offload));
        }
        let counters = tap.counters();
        assert_eq!((counters.rx_frames, counters.tx_frames, counters.tx_refused), (73, 73, 0));
    });
}

// What is read is to be in the cache still when it is cut: whatever waits, a batch has about 64 KiB.
#[test]
fn a_batch_of_super_frames_is_not_larger_than_a_cache() {
    in_new_namespace_with_taps(|| {
        let mut pool = pool();
        let mut tap = TapPort::open("t0").unwrap();
        silent_up("t0");
        active("t0");
        let (mut host, mut a) = (open("t0", Ring::Auto, true), open("a", Ring::Auto, true));
        let mut b = open("b", Ring::Auto, true);
        let (frame, offload) = train(25_000);
        let many = vec![frame; 10];
        let pairs: [(&mut dyn Port, &mut dyn Port); 2] = [(&mut host, &mut tap), (&mut a, &mut b)];
        for (from, to) in pairs {
            send(from, &mut pool, &many, offload).unwrap();
            let mut batches = vec![];
            wait_for(|| {
                let mut batch = Batch::new();
                batches.push(to.receive(&mut batch, &mut pool).unwrap());
                batch.drain(..).for_each(|frame| pool.recycle(frame));
                batches.iter().sum::<usize>() == 10
            });
            assert_eq!(batches.iter().max(), Some(&3), "{batches:?}");
        }
    });
}

#[test]
fn a_tap_keeps_its_tags() {
    in_new_namespace_with_taps(|| {
        let mut pool = pool();
        let mut tap = TapPort::open("t0").unwrap();
        silent_up("t0");
        active("t0");
        let mut host = open("t0", Ring::Auto, true);
        let mut frame = plain(200, 1);
        frame.splice(12..12, [0x81, 0x00, 0x60, 0x64]);
        send(&mut host, &mut pool, std::slice::from_ref(&frame), Offload::default()).unwrap();
        assert_eq!(octets(&receive(&mut tap, &mut pool, 1)), [frame.clone()]);
        send(&mut tap, &mut pool, std::slice::from_ref(&frame), Offload::default()).unwrap();
        assert_eq!(octets(&receive(&mut host, &mut pool, 1)), [frame]);
    });
}

#[test]
fn a_tap_that_is_down_or_deleted_is_an_error_and_runts_are_refused() {
    in_new_namespace_with_taps(|| {
        let mut pool = pool();
        let mut tap = TapPort::open("t0").unwrap();
        let frames = [plain(60, 1), plain(60, 2)];
        assert_eq!(send(&mut tap, &mut pool, &frames, Offload::default()), Err(PortError::Down));
        silent_up("t0");
        active("t0");
        let with_runt = [plain(60, 1), vec![1, 2, 3], plain(60, 2)];
        assert_eq!(send(&mut tap, &mut pool, &with_runt, Offload::default()), Ok(()));
        assert_eq!((tap.counters().tx_frames, tap.counters().tx_refused), (2, 3));
        ip("link del dev t0");
        assert_eq!(tap.receive(&mut Batch::new(), &mut pool), Err(PortError::Gone));
        assert_eq!(send(&mut tap, &mut pool, &frames, Offload::default()), Err(PortError::Gone));
    });
}

#[test]
fn a_tap_without_buffers_drops_and_counts() {
    in_new_namespace_with_taps(|| {
        let mut pool = pool();
        let mut tap = TapPort::open("t0").unwrap();
        silent_up("t0");
        active("t0");
        let mut host = open("t0", Ring::Auto, true);
        let frames: Vec<_> = (0..20).map(|n| plain(60, n)).collect();
        send(&mut host, &mut pool, &frames, Offload::default()).unwrap();
        let mut none =
            Pool::new(Depot::new(PoolSizes { small_count: 0, big_count: 0, ..PoolSizes::default() }));
        assert_eq!(tap.receive(&mut Batch::new(), &mut none), Ok(0));
        assert_eq!(tap.counters().rx_no_buffer, 20);
        send(&mut host, &mut pool, &frames, Offload::default()).unwrap();
        assert_eq!(octets(&receive(&mut tap, &mut pool, 20)), frames);
    });
}

#[test]
fn more_taps_than_big_buffers_receive_all_the_same() {
    in_new_namespace_with_taps(|| {
        let sizes = PoolSizes { small_count: 256, big_count: 2, ..PoolSizes::default() };
        let mut pool = Pool::new(Depot::new(sizes));
        for number in 0..4 {
            // They stay open: each attachment with BGP has one.
            let name = format!("t{number}");
            let mut tap = TapPort::open(&name).unwrap();
            silent_up(&name);
            active(&name);
            let mut host = open(&name, Ring::Auto, true);
            let frames = [plain(60, number), plain(1000, number)];
            send(&mut host, &mut pool, &frames, Offload::default()).unwrap();
            assert_eq!(octets(&receive(&mut tap, &mut pool, 2)), frames, "{name}");
            assert_eq!(tap.counters().rx_no_buffer, 0, "{name}");
            std::mem::forget(tap);
        }
        let (held, free) = (pool.held().1, pool.free().1);
        assert_eq!(held + free, 2, "all big buffers are back");
    });
}

#[test]
fn several_queues_of_a_tap_send_and_share() {
    in_new_namespace_with_taps(|| {
        let mut pool = pool();
        let mut queues = [TapPort::open_queue("t0").unwrap(), TapPort::open_queue("t0").unwrap()];
        TapPort::open("t0").unwrap_err();
        silent_up("t0");
        active("t0");
        let mut host = open("t0", Ring::Auto, true);
        for (number, queue) in (0..).zip(&mut queues) {
            send(queue, &mut pool, &[plain(60, number)], Offload::default()).unwrap();
        }
        assert_eq!(octets(&receive(&mut host, &mut pool, 2)), [plain(60, 0), plain(60, 1)]);
        let frames: Vec<_> = (0..20).map(|n| plain(60, n)).collect();
        send(&mut host, &mut pool, &frames, Offload::default()).unwrap();
        let mut count = 0;
        for queue in &mut queues {
            count += queue.receive(&mut Batch::new(), &mut pool).unwrap();
        }
        assert_eq!(count, 20);
    });
}
