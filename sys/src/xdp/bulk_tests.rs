//! Sending in bulk, against the kernel, each test in a network namespace of its own.

use super::tests::{OPTIONS, open, receive};
use super::*;
use crate::Poller;
use crate::netns::NetNs;
use crate::testbed::{Bed, frame, in_new_namespace, wait_for};

fn pair(bed: &Bed) -> [(XdpDevice, XdpSocket); 2] {
    bed.veth("a", "b");
    ["a", "b"].into_iter().for_each(|name| interface::set_mtu(name, 2030).unwrap());
    let options = XdpOptions { max_frame: 2044, ..OPTIONS };
    let mut ends = ["a", "b"].map(|name| open(name, Claim::Everything, XdpMode::Native, &options));
    ends.iter_mut().for_each(|(device, _)| device.look_at_bulk());
    ends
}

/// Frames of these lengths, numbered.
fn frames(lengths: impl IntoIterator<Item = usize>) -> Vec<Vec<u8>> {
    let numbers = (0..=u8::MAX).cycle();
    lengths.into_iter().zip(numbers).map(|(length, number)| frame(length, number)).collect()
}

fn slices(frames: &[Vec<u8>]) -> impl ExactSizeIterator<Item = &[u8]> {
    frames.iter().map(Vec::as_slice)
}

#[test]
fn frames_of_every_length_cross_whole_and_in_order() {
    in_new_namespace(|bed| {
        let [(mut a, _), (_b, mut to)] = pair(bed);
        for first in (14..=2044).step_by(200) {
            // More than one call's.
            let sent = frames(first..(first + 200).min(BulkSender::LONGEST + 1));
            let result = a.bulk().unwrap().send(slices(&sent));
            assert_eq!((result.taken, result.stopped.is_none()), (sent.len(), true));
            assert_eq!(receive(&mut to, sent.len()), sent, "from {first} octets on");
        }
        assert_eq!(to.statistics().unwrap(), XdpStatistics::default());
    });
}

#[test]
fn a_frame_that_is_too_long_or_too_short_stops_it_in_front_of_it() {
    in_new_namespace(|bed| {
        let [(mut a, _), (_b, mut to)] = pair(bed);
        for wrong in [BulkSender::LONGEST + 1, 9000, 13, 0] {
            let mut sent = frames(100..120);
            sent[17] = vec![1; wrong];
            let result = a.bulk().unwrap().send(slices(&sent));
            assert_eq!((result.taken, result.stopped.is_none()), (17, true), "{wrong} octets");
            assert_eq!(receive(&mut to, 17), sent[..17], "{wrong} octets");
        }
    });
}

// The other end of a veth takes such frames while it has a program. Frames sent while it does not would be lost.
#[test]
fn it_is_offered_while_the_other_end_takes_it_and_every_change_is_told() {
    in_new_namespace(|bed| {
        bed.veth("a", "b");
        let (mut a, mut socket) = open("a", Claim::Everything, XdpMode::Native, &OPTIONS);
        assert!(a.bulk().is_none() && !a.sends_in_bulk());
        let mut poller = Poller::new().unwrap();
        poller.add(a.bulk_changes().unwrap(), 1).unwrap();
        let mut changed = |a: &mut XdpDevice| {
            let mut ready = Vec::new();
            poller.wait(&mut ready, Some(Duration::from_secs(5))).unwrap();
            assert!(!ready.is_empty(), "nothing was told");
            a.look_at_bulk();
        };
        for round in 0..3 {
            let (b, mut to) = open("b", Claim::Everything, XdpMode::Native, &OPTIONS);
            while !a.sends_in_bulk() {
                changed(&mut a);
            }
            let sent = frames([64 + round; 20]);
            assert_eq!(a.bulk().unwrap().send(slices(&sent)).taken, 20);
            assert_eq!(receive(&mut to, 20), sent);
            // Sockets send as before; few frames are left to them.
            assert_eq!(a.bulk().unwrap().send(slices(&sent[..5])).taken, 0);
            assert_eq!(socket.send(slices(&sent)).taken, 20);
            assert_eq!(receive(&mut to, 20), sent);
            drop((b, to));
            while a.sends_in_bulk() {
                changed(&mut a);
            }
            assert!(a.bulk().is_none());
        }
    });
}

#[test]
fn while_the_device_is_down_frames_are_dropped_and_later_ones_come() {
    in_new_namespace(|bed| {
        let [(mut a, _from), (_b, mut to)] = pair(bed);
        interface::set_up("a", false).unwrap();
        assert_eq!(a.bulk().unwrap().send(slices(&frames([64; 100]))).taken, 100);
        interface::set_up("a", true).unwrap();
        ["a", "b"].into_iter().for_each(|name| bed.active(name));
        let mut arrived = None;
        wait_for(|| {
            assert_eq!(a.bulk().unwrap().send(slices(&frames([64; 20]))).taken, 20);
            arrived = to.next_frame().map(|frame| frame.length());
            to.release();
            arrived.is_some()
        });
        assert_eq!(arrived, Some(64));
    });
}

// Eight devices, and more frames than one call sends.
#[test]
fn devices_that_share_calls_each_send_their_own_frames_in_their_order() {
    in_new_namespace(|bed| {
        let bulk = Bulk::new().unwrap();
        let open = |name: &str| {
            let device = XdpDevice::attach(name, &Claim::Everything, XdpMode::Native, Some(&bulk)).unwrap();
            let socket = XdpSocket::open(&device, 0, &OPTIONS).unwrap();
            (device, socket)
        };
        let mut pairs: Vec<_> = (0..8)
            .map(|n| {
                let (near, far) = (format!("a{n}"), format!("b{n}"));
                bed.veth(&near, &far);
                (open(&near), open(&far))
            })
            .collect();
        pairs.iter_mut().for_each(|((near, _), _)| near.look_at_bulk());
        let sent: Vec<_> = (0..8).map(|n| frames((0..n * 30 + 1).map(|at| 60 + at + n))).collect();
        // In turns, piece by piece; nothing leaves before the memory is full, or somebody says so.
        for at in 0..24 {
            for (((near, _), _), frames) in pairs.iter_mut().zip(&sent) {
                let piece = frames.iter().skip(at * 10).take(10).map(Vec::as_slice);
                let put = near.bulk().unwrap().put(piece);
                assert!(put.stopped.is_none());
            }
        }
        assert!(pairs[3].0.0.bulk().unwrap().flush().is_none());
        for ((_, (_, to)), frames) in pairs.iter_mut().zip(&sent) {
            assert_eq!(&receive(to, frames.len()), frames);
        }
        // One of them leaves, and with it the program that was run; the others go on, and what it had left to send was sent.
        let ((mut first, first_socket), (first_far, mut to)) = pairs.remove(0);
        assert_eq!(first.bulk().unwrap().put(slices(&sent[1])).taken, 31);
        drop((first, first_socket));
        assert_eq!(receive(&mut to, 31), sent[1]);
        drop((first_far, to));
        for ((near, _), (_, to)) in &mut pairs {
            assert_eq!(near.bulk().unwrap().send(slices(&sent[2])).taken, 61);
            assert_eq!(receive(to, 61), sent[2]);
            assert_eq!(near.lost_in_bulk(), 0);
        }
        // Its place is free for another one.
        let (mut again, _socket) = open("a0");
        let (_far, mut to) = open("b0");
        again.look_at_bulk();
        assert_eq!(again.bulk().unwrap().send(slices(&sent[2])).taken, 61);
        assert_eq!(receive(&mut to, 61), sent[2]);
    });
}

// The kernel takes a deleted device's program out of the table that calls go by; it may be the one that is run for the others.
#[test]
fn a_device_that_is_deleted_does_not_end_it_for_the_others() {
    in_new_namespace(|bed| {
        let bulk = Bulk::new().unwrap();
        let attach =
            |name| XdpDevice::attach(name, &Claim::Everything, XdpMode::Native, Some(&bulk)).unwrap();
        bed.veth("a", "b");
        bed.veth("c", "d");
        let (mut a, _b, mut c, d) = (attach("a"), attach("b"), attach("c"), attach("d"));
        let mut to = XdpSocket::open(&d, 0, &OPTIONS).unwrap();
        [&mut a, &mut c].into_iter().for_each(XdpDevice::look_at_bulk);
        let sent = frames([100; 40]);
        assert_eq!(a.bulk().unwrap().put(slices(&sent)).taken, 40);
        bed.ip("link del dev a");
        for _ in 0..20 {
            assert_eq!(c.bulk().unwrap().send(slices(&sent)).taken, 40);
            assert_eq!(receive(&mut to, 40), sent);
        }
        drop(a);
        assert_eq!(c.bulk().unwrap().send(slices(&sent)).taken, 40);
        assert_eq!((receive(&mut to, 40), c.lost_in_bulk()), (sent, 0));
    });
}

// The kernel finds a device's number in the namespace of the thread that calls.
#[test]
fn frames_leave_by_their_device_wherever_the_thread_is() {
    in_new_namespace(|bed| {
        let [(mut a, _from), (_b, mut to)] = pair(bed);
        let sent = frames(100..120);
        let taken = NetNs::new().unwrap().within(|| a.bulk().unwrap().send(slices(&sent)).taken).unwrap();
        assert_eq!(taken, 20);
        assert_eq!(receive(&mut to, 20), sent);
    });
}

#[test]
fn only_devices_that_deliver_at_once_are_asked() {
    in_new_namespace(|bed| {
        bed.veth("a", "b");
        assert_eq!(interface::driver("a").unwrap(), "veth");
        assert!(interface::driver("nothing").is_err());
        let generic =
            XdpDevice::attach("lo", &Claim::Everything, XdpMode::Generic, Some(&Bulk::new().unwrap()))
                .unwrap();
        assert!(generic.bulk_changes().is_none());
        bed.ip(
            "link add name c numtxqueues 2 numrxqueues 2 type veth peer name d numtxqueues 2 numrxqueues 2",
        );
        let several =
            XdpDevice::attach("c", &Claim::Everything, XdpMode::Native, Some(&Bulk::new().unwrap())).unwrap();
        assert_eq!((several.queues(), several.bulk_changes().is_none()), (2, true));
    });
}
