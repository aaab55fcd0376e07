//! As `port/tests.rs`, against the kernel, each in a network namespace of its own.

use net::virtio::{Checksum, Offload};

use super::*;
use crate::{
    Depot, PoolSizes,
    port::{
        af_packet,
        tests::{
            in_new_namespace, ip, octets, open as open_packet, plain, pool, receive, send, silent_up,
            wait_for,
        },
    },
};

const MODES: [XdpMode; 2] = [XdpMode::Native, XdpMode::Generic];

fn options(device: &str) -> Options {
    Options { device: device.to_owned(), claim: Claim::Everything, largest_frame: 9018, ring_octets: 2 << 20 }
}

fn open(device: &str, mode: XdpMode) -> AfXdpPort {
    AfXdpPort::open_as(&options(device), mode, Some(&Bulk::new().unwrap())).unwrap()
}

#[test]
fn frames_cross_whole_to_and_from_a_packet_port_and_both_sides_count_them() {
    in_new_namespace(|| {
        for mode in MODES {
            let mut pool = pool();
            let mut xdp = open("a", mode);
            let mut packet = open_packet("b", af_packet::Ring::V2, false);
            let kind = if mode == XdpMode::Native { PortKind::XdpCopy } else { PortKind::XdpGeneric };
            assert_eq!((xdp.kind(), xdp.kind().io(), xdp.caps()), (kind, "af_xdp", PortCaps::default()));
            let sent: Vec<_> = (0..60).map(|n| plain(60 + usize::from(n) * 29, n)).collect();
            for _ in 0..20 {
                send(&mut xdp, &mut pool, &sent, Offload::default()).unwrap();
                let received = receive(&mut packet, &mut pool, 60);
                assert_eq!(octets(&received), sent);
                received.into_iter().for_each(|frame| pool.recycle(frame));
                send(&mut packet, &mut pool, &sent, Offload::default()).unwrap();
                let received = receive(&mut xdp, &mut pool, 60);
                assert_eq!(octets(&received), sent);
                received.into_iter().for_each(|frame| pool.recycle(frame));
            }
            let sum = 20 * sent.iter().map(|o| u64::try_from(o.len()).unwrap()).sum::<u64>();
            let counted = xdp.counters();
            assert_eq!((counted.tx_frames, counted.tx_octets), (1200, sum));
            assert_eq!((counted.rx_frames, counted.rx_octets), (1200, sum));
            assert_eq!((counted.tx_refused, counted.rx_ring_full, counted.rx_truncated), (0, 0, 0));
        }
    });
}

// A card that was plugged in is found before it has the MTU of the one that it replaces.
#[test]
fn long_frames_leave_once_the_device_has_the_mtu_for_them() {
    in_new_namespace(|| {
        for mode in MODES {
            ["a", "b"].into_iter().for_each(|name| sys::interface::set_mtu(name, 1500).unwrap());
            let mut pool = pool();
            let mut xdp = open("a", mode);
            let mut packet = open_packet("b", af_packet::Ring::V2, false);
            let long = [plain(1600, 1)];
            send(&mut xdp, &mut pool, &long, Offload::default()).unwrap();
            assert_eq!((xdp.counters().tx_frames, xdp.counters().tx_refused), (0, 1));
            ["a", "b"].into_iter().for_each(|name| sys::interface::set_mtu(name, 1600).unwrap());
            send(&mut xdp, &mut pool, &long, Offload::default()).unwrap();
            assert_eq!(octets(&receive(&mut packet, &mut pool, 1)), long, "{mode:?}");
            assert_eq!((xdp.counters().tx_frames, xdp.counters().tx_refused), (1, 1));
            // And come: the sockets were opened for the longest frame that is wanted.
            send(&mut packet, &mut pool, &long, Offload::default()).unwrap();
            assert_eq!(octets(&receive(&mut xdp, &mut pool, 1)), long, "{mode:?}");
            assert_eq!(xdp.counters().rx_truncated, 0);
        }
    });
}

// Both ends take frames in bulk as soon as each has heard of the other, and some leave so and some by the sockets, in order.
#[test]
fn what_leaves_in_bulk_and_what_does_not_arrive_in_order_and_the_port_says_how_it_sends() {
    in_new_namespace(|| {
        let mut pool = pool();
        let small = |device| {
            let options = Options { largest_frame: 1518, ..options(device) };
            AfXdpPort::open_as(&options, XdpMode::Native, Some(&Bulk::new().unwrap())).unwrap()
        };
        let (mut a, mut b) = (small("a"), small("b"));
        wait_for(|| {
            let mut batch = Batch::new();
            assert_eq!((a.receive(&mut batch, &mut pool), b.receive(&mut batch, &mut pool)), (Ok(0), Ok(0)));
            (a.kind(), b.kind()) == (PortKind::XdpBulk, PortKind::XdpBulk)
        });
        assert_eq!((a.kind().io(), a.kind().ring()), ("af_xdp", Some("bulk")));
        for count in [1, 11, 12, 60, 2, 140, 300] {
            let number = |n: usize| u8::try_from(n % 251).unwrap();
            let sent: Vec<_> = (0..count).map(|n| plain(60 + n * 4, number(n))).collect();
            send(&mut a, &mut pool, &sent, Offload::default()).unwrap();
            let received = receive(&mut b, &mut pool, count);
            assert_eq!(octets(&received), sent);
            received.into_iter().for_each(|frame| pool.recycle(frame));
        }
        let sent = a.counters();
        assert_eq!((sent.tx_frames, sent.tx_refused), (526, 0));
        assert_eq!((sent.tx_frames, sent.tx_octets), (b.counters().rx_frames, b.counters().rx_octets));
        // The far end goes, and frames leave by the socket again.
        drop(b);
        wait_for(|| {
            let _quiet = a.receive(&mut Batch::new(), &mut pool);
            a.kind() == PortKind::XdpCopy
        });
        // A jumbo frame's port never sends so.
        assert!(open("b", XdpMode::Native).device.bulk_changes().is_none());
    });
}

// What a port gathers leaves with the other's, and before what it sends by its socket; what cannot leave so is left to be sent.
#[test]
fn ports_that_share_a_bulk_gather_their_frames_for_one_call() {
    in_new_namespace(|| {
        ip("link add name c type veth peer name d");
        ["c", "d"].into_iter().for_each(silent_up);
        ["c", "d"].into_iter().for_each(crate::port::tests::active);
        let (bulk, mut pool) = (Bulk::new().unwrap(), pool());
        let small = |device: &str| {
            let options = Options { largest_frame: 1518, ..options(device) };
            AfXdpPort::open_as(&options, XdpMode::Native, Some(&bulk)).unwrap()
        };
        let [mut a, mut b, mut c, mut d] = ["a", "b", "c", "d"].map(small);
        wait_for(|| {
            let [one, other] = [&mut a, &mut c].map(|port| port.receive(&mut Batch::new(), &mut pool));
            assert_eq!((one, other), (Ok(0), Ok(0)));
            a.gathers() && c.gathers()
        });
        let frames = |pool: &mut Pool, all: &[Vec<u8>]| -> Vec<Frame> {
            let buf = |octets: &Vec<u8>| {
                let mut buf = pool.for_len(octets.len()).unwrap();
                assert!(buf.extend_from_slice(octets));
                Frame::new(buf)
            };
            all.iter().map(buf).collect()
        };
        let first: Vec<_> = (0..20).map(|n| plain(100, n)).collect();
        let second: Vec<_> = (0..5).map(|n| plain(200, n)).collect();
        let mut waiting = frames(&mut pool, &first);
        a.gather(&mut waiting, &mut pool);
        assert!(waiting.is_empty());
        // A frame whose checksum nobody would finish is refused here as it is when it is sent.
        let mut waiting = frames(&mut pool, &second);
        let begun = Offload { checksum: Checksum::Partial { start: 34, offset: 16 }, ..Offload::default() };
        waiting[1].offload = begun;
        c.gather(&mut waiting, &mut pool);
        assert!(waiting.is_empty());
        let mut nothing = Batch::new();
        assert_eq!(b.receive(&mut nothing, &mut pool), Ok(0), "nothing has left yet");
        // One call for both, whoever makes it.
        a.send_gathered();
        assert_eq!(octets(&receive(&mut b, &mut pool, 20)), first);
        let arrived = [&second[..1], &second[2..]].concat();
        assert_eq!(octets(&receive(&mut d, &mut pool, 4)), arrived);
        assert_eq!((c.counters().tx_frames, c.counters().tx_refused), (4, 1));
        // Without the far end's program nothing is gathered; who hears of that in the middle sends what others have gathered all the same.
        drop(b);
        let mut waiting = frames(&mut pool, &first);
        c.gather(&mut waiting, &mut pool);
        let mut waiting = frames(&mut pool, &second);
        wait_for(|| {
            let _quiet = a.receive(&mut Batch::new(), &mut pool);
            !a.gathers()
        });
        a.gather(&mut waiting, &mut pool);
        assert_eq!(octets(&waiting), second);
        a.send_gathered();
        assert_eq!(octets(&receive(&mut d, &mut pool, 20)), first);
    });
}

#[test]
fn jumbo_frames_cross_in_pieces_and_are_whole_again() {
    in_new_namespace(|| {
        for mode in MODES {
            let mut pool = pool();
            let (mut a, mut b) = (open("a", mode), open("b", mode));
            let sent = [plain(9014, 1), plain(64, 2), plain(5000, 3), plain(4096, 4)];
            send(&mut a, &mut pool, &sent, Offload::default()).unwrap();
            assert_eq!(octets(&receive(&mut b, &mut pool, 4)), sent);
        }
    });
}

#[test]
fn work_that_nobody_would_do_and_frames_past_the_mtu_are_refused_and_counted() {
    in_new_namespace(|| {
        let mut pool = pool();
        let (mut a, mut b) = (open("a", XdpMode::Native), open("b", XdpMode::Native));
        let begun = Offload { checksum: Checksum::Partial { start: 34, offset: 16 }, ..Offload::default() };
        send(&mut a, &mut pool, &[plain(100, 1)], begun).unwrap();
        send(&mut a, &mut pool, &[plain(9015, 2), plain(9014, 3)], Offload::default()).unwrap();
        let mut tagged = plain(9018, 4);
        tagged[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
        send(&mut a, &mut pool, &[tagged.clone()], Offload::default()).unwrap();
        assert_eq!(octets(&receive(&mut b, &mut pool, 2)), [plain(9014, 3), tagged]);
        assert_eq!((a.counters().tx_refused, a.counters().tx_frames), (2, 2));
    });
}

#[test]
fn without_buffers_frames_are_dropped_counted_and_the_port_goes_on() {
    in_new_namespace(|| {
        let sizes = PoolSizes { small_count: 3, big_count: 1, ..PoolSizes::default() };
        let (mut few, mut many) = (Pool::new(Depot::new(sizes)), pool());
        let (mut a, mut b) = (open("a", XdpMode::Native), open("b", XdpMode::Native));
        let sent: Vec<_> = (0..10).map(|n| plain(100, n)).collect();
        send(&mut a, &mut many, &sent, Offload::default()).unwrap();
        let mut held = Vec::new();
        wait_for(|| {
            let mut batch = Batch::new();
            b.receive(&mut batch, &mut few).unwrap();
            held.extend(batch.drain(..));
            b.counters().rx_no_buffer + b.counters().rx_frames == 10
        });
        assert_eq!(octets(&held), sent[..held.len()]);
        assert!(b.counters().rx_no_buffer > 0);
        held.into_iter().for_each(|frame| few.recycle(frame));
        send(&mut a, &mut many, &sent[..1], Offload::default()).unwrap();
        assert_eq!(octets(&receive(&mut b, &mut few, 1)), sent[..1]);
    });
}

#[test]
fn a_receiver_that_does_not_look_costs_frames_that_are_counted() {
    in_new_namespace(|| {
        let mut pool = pool();
        let (mut a, b) = (open("a", XdpMode::Native), open("b", XdpMode::Native));
        for _ in 0..40 {
            let frames: Vec<_> = (0..64).map(|n| plain(64, n)).collect();
            send(&mut a, &mut pool, &frames, Offload::default()).unwrap();
        }
        wait_for(|| b.counters().rx_ring_full > 0);
        let sent = a.counters();
        assert_eq!(sent.tx_frames + sent.tx_refused, 40 * 64);
    });
}

#[test]
fn an_interface_that_goes_down_is_reported_and_works_again_when_up() {
    in_new_namespace(|| {
        let mut pool = pool();
        let (mut a, mut b) = (open("a", XdpMode::Native), open("b", XdpMode::Native));
        ip("link set dev a down");
        let mut poller = Poller::new().unwrap();
        poller.add(a.fd().unwrap(), 1).unwrap();
        let mut ready = Vec::new();
        poller.wait(&mut ready, Some(std::time::Duration::from_secs(5))).unwrap();
        assert_eq!(ready.len(), 1, "whoever waits is woken");
        assert_eq!(a.receive(&mut Batch::new(), &mut pool), Err(PortError::Down));
        assert_eq!(a.receive(&mut Batch::new(), &mut pool), Ok(0));
        assert_eq!(send(&mut a, &mut pool, &[plain(64, 1)], Offload::default()), Err(PortError::Down));
        silent_up("a");
        crate::port::tests::active("a");
        send(&mut b, &mut pool, &[plain(64, 2)], Offload::default()).unwrap();
        assert_eq!(octets(&receive(&mut a, &mut pool, 1)), [plain(64, 2)]);
        // What waited while it was down leaves first.
        send(&mut a, &mut pool, &[plain(64, 3)], Offload::default()).unwrap();
        assert_eq!(octets(&receive(&mut b, &mut pool, 2)), [plain(64, 1), plain(64, 3)]);
    });
}

#[test]
fn an_interface_that_is_deleted_is_gone_and_a_new_port_works() {
    in_new_namespace(|| {
        let mut pool = pool();
        let mut old = open("b", XdpMode::Native);
        ip("link del dev a");
        wait_for(|| old.receive(&mut Batch::new(), &mut pool) == Err(PortError::Gone));
        ip("link add name a type veth peer name b");
        ["a", "b"].into_iter().for_each(silent_up);
        ["a", "b"].into_iter().for_each(crate::port::tests::active);
        assert_eq!(old.receive(&mut Batch::new(), &mut pool), Err(PortError::Gone));
        let (mut a, mut b) = (open("a", XdpMode::Native), open("b", XdpMode::Native));
        send(&mut a, &mut pool, &[plain(64, 2)], Offload::default()).unwrap();
        assert_eq!(octets(&receive(&mut b, &mut pool, 1)), [plain(64, 2)]);
    });
}

#[test]
fn what_cannot_run_in_the_driver_runs_in_the_stack_and_says_why() {
    in_new_namespace(|| {
        // The loopback device has no native way.
        let port = AfXdpPort::open(&Options { largest_frame: 1514, ..options("lo") }, None).unwrap();
        assert_eq!(port.kind(), PortKind::XdpGeneric);
        assert!(port.why_generic().is_some(), "{port:?}");
        assert_eq!(open("a", XdpMode::Native).why_generic().map(io::Error::kind), None);
        let missing = AfXdpPort::open(&options("missing"), None).unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(19), "ENODEV");
    });
}
