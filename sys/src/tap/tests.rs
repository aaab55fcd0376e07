//! TAP queues against the kernel; the host's side of each device is a packet socket on it.

use super::*;
use crate::fault::Fault;
use crate::testbed::{frame, in_new_namespace_with_taps, open, options, receive, wait_for};
use crate::{Outgoing, PacketSocket, Poller, RingVersion, TxBatch};

/// The next frame of `tap`, waiting for it.
fn take(tap: &Tap) -> (VnetHeader, Vec<u8>) {
    let mut poller = Poller::new().unwrap();
    let mut ready = Vec::new();
    poller.add(tap, 1).unwrap();
    let (mut vnet, mut buffer) = ([0xa5; VNET_HEADER_OCTETS], vec![0xa5; 65_549]);
    loop {
        match tap.receive(&mut vnet, &mut buffer) {
            Ok(octets) => {
                buffer.truncate(octets);
                return (vnet, buffer);
            }
            Err(e) => assert_eq!(Fault::of(&e), Fault::Busy, "{e}"),
        }
        poller.wait(&mut ready, Some(std::time::Duration::from_secs(5))).unwrap();
        assert!(!ready.is_empty(), "no frame came");
    }
}

fn host_sends(host: &PacketSocket, vnet: Option<VnetHeader>, data: &[u8]) {
    let sent = TxBatch::new(true).send(host.as_fd(), [Outgoing { vnet, data }]);
    assert_eq!(sent.frames(), 1, "{:?}", sent.stopped);
}

/// A TCP super-frame of two segments with its header: NEEDS_CSUM, TCPV4, segments of 1000 octets.
fn train() -> (VnetHeader, Vec<u8>) {
    let mut packet = frame(14, 1);
    packet.truncate(12);
    packet.extend([0x08, 0x00]);
    let length = 2040u16.to_be_bytes();
    packet.extend([0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend([0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    packet.resize(14 + 2040, 0x5a);
    let mut header = [0; VNET_HEADER_OCTETS];
    header[..2].copy_from_slice(&[1, 1]);
    for (at, value) in [(2, 54u16), (4, 1000), (6, 34), (8, 16)] {
        header[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    }
    (header, packet)
}

#[test]
fn frames_cross_both_ways_and_without_header_too() {
    for vnet_header in [true, false] {
        in_new_namespace_with_taps(|bed| {
            let tap = Tap::open("t0", TapOptions { vnet_header, offloads: vnet_header, multi_queue: false })
                .unwrap();
            assert_eq!((tap.name(), tap.vnet_header()), ("t0", vnet_header));
            bed.up("t0");
            let (host, mut ring) = open(&options("t0", RingVersion::V2));
            host_sends(&host, None, &frame(777, 1));
            assert_eq!(take(&tap), ([0; VNET_HEADER_OCTETS], frame(777, 1)));
            tap.send(&[0; VNET_HEADER_OCTETS], &frame(888, 2)).unwrap();
            assert_eq!(receive(&host, &mut ring, 1)[0].data, frame(888, 2));
        });
    }
}

#[test]
fn super_frames_cross_whole_both_ways() {
    in_new_namespace_with_taps(|bed| {
        let tap = Tap::open("t0", TapOptions::default()).unwrap();
        bed.up("t0");
        let (host, mut ring) = open(&options("t0", RingVersion::V2));
        let (header, packet) = train();
        host_sends(&host, Some(header), &packet);
        let (vnet, got) = take(&tap);
        assert_eq!(got, packet);
        assert_eq!((&vnet[..2], &vnet[4..]), (&header[..2], &header[4..]));
        tap.send(&header, &packet).unwrap();
        let got = receive(&host, &mut ring, 1).remove(0);
        assert_eq!(got.data, packet);
        assert_eq!(got.vnet.unwrap()[1], 1, "still a TCPv4 train");
    });
}

#[test]
fn without_offloads_the_kernel_segments_before_it_hands_over() {
    in_new_namespace_with_taps(|bed| {
        let tap = Tap::open("t0", TapOptions { offloads: false, ..TapOptions::default() }).unwrap();
        assert!(!tap.takes_udp_trains());
        bed.up("t0");
        let (host, _ring) = open(&options("t0", RingVersion::V2));
        let (header, packet) = train();
        host_sends(&host, Some(header), &packet);
        for _ in 0..2 {
            let (vnet, segment) = take(&tap);
            assert_eq!((vnet[1], segment.len()), (0, 54 + 1000));
        }
    });
}

#[test]
fn the_kernel_chooses_a_name_when_asked() {
    in_new_namespace_with_taps(|_| {
        let (one, two) = (Tap::open("", TapOptions::default()), Tap::open("qs%d", TapOptions::default()));
        assert_eq!(one.unwrap().name(), "tap0");
        assert_eq!(two.unwrap().name(), "qs0");
        Tap::open("../t", TapOptions::default()).expect_err("no name");
    });
}

#[test]
fn each_frame_goes_to_one_queue_and_all_queues_send() {
    in_new_namespace_with_taps(|bed| {
        let options_of = TapOptions { multi_queue: true, ..TapOptions::default() };
        let queues = [Tap::open("t0", options_of).unwrap(), Tap::open("t0", options_of).unwrap()];
        Tap::open("t0", TapOptions::default()).expect_err("the queues of a device must agree");
        bed.up("t0");
        let (host, mut ring) = open(&options("t0", RingVersion::V2));
        for (number, tap) in (0..).zip(&queues) {
            tap.send(&[0; VNET_HEADER_OCTETS], &frame(60, number)).unwrap();
        }
        let got = receive(&host, &mut ring, 2);
        assert_eq!([got[0].data[59], got[1].data[59]], [0, 1]);
        for number in 0..20 {
            host_sends(&host, None, &frame(60, number));
        }
        let mut numbers = Vec::new();
        for tap in &queues {
            let (mut vnet, mut buffer) = ([0; VNET_HEADER_OCTETS], [0; 100]);
            while let Ok(octets) = tap.receive(&mut vnet, &mut buffer) {
                numbers.push(buffer[octets - 1]);
            }
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..20).collect::<Vec<u8>>());
    });
}

#[test]
fn a_persistent_device_can_be_left_and_taken_again() {
    in_new_namespace_with_taps(|bed| {
        bed.ip("tuntap add dev t0 mode tap");
        bed.take_up("t0");
        let index = interface::index("t0").unwrap();
        let options_plain = TapOptions { vnet_header: true, offloads: true, multi_queue: false };
        let tap = Tap::open("t0", options_plain).unwrap();
        assert_eq!(Tap::open("t0", options_plain).unwrap_err().raw_os_error(), Some(libc::EBUSY));
        drop(tap);
        // A child that another test is just forking may hold a copy of the descriptor until it execs.
        let mut again = None;
        wait_for(|| {
            again = Tap::open("t0", options_plain).ok();
            again.is_some()
        });
        let tap = again.unwrap();
        assert_eq!(interface::index("t0").unwrap(), index, "the same device");
        bed.active("t0");
        let (host, _ring) = open(&options("t0", RingVersion::V2));
        host_sends(&host, None, &frame(60, 1));
        assert_eq!(take(&tap).1, frame(60, 1));
        tap.set_persistent(false).unwrap();
        drop(tap);
        wait_for(|| interface::index("t0").is_err());
    });
}

#[test]
fn a_device_that_is_down_or_deleted_is_an_error_of_its_kind() {
    in_new_namespace_with_taps(|bed| {
        let tap = Tap::open("t0", TapOptions::default()).unwrap();
        let send = || tap.send(&[0; VNET_HEADER_OCTETS], &frame(60, 1)).map_err(|e| Fault::of(&e));
        assert_eq!(send(), Err(Fault::Down));
        bed.up("t0");
        assert_eq!(send(), Ok(()));
        assert_eq!(
            tap.send(&[0; VNET_HEADER_OCTETS], &[1, 2, 3]).map_err(|e| Fault::of(&e)),
            Err(Fault::Frame)
        );
        let mut nonsense = [0; VNET_HEADER_OCTETS];
        nonsense[..2].copy_from_slice(&[1, 0x7f]);
        assert_eq!(tap.send(&nonsense, &frame(60, 1)).map_err(|e| Fault::of(&e)), Err(Fault::Frame));
        bed.ip("link del dev t0");
        assert_eq!(send(), Err(Fault::Gone));
        let (mut vnet, mut buffer) = ([0; VNET_HEADER_OCTETS], [0; 100]);
        let error = tap.receive(&mut vnet, &mut buffer).unwrap_err();
        assert_eq!(Fault::of(&error), Fault::Gone, "{error}");
    });
}

#[test]
fn the_host_sees_the_carrier_that_we_say() {
    in_new_namespace_with_taps(|bed| {
        let tap = Tap::open("t0", TapOptions::default()).unwrap();
        bed.up("t0");
        assert!(interface::carrier("t0").unwrap());
        tap.set_carrier(false).unwrap();
        assert!(!interface::carrier("t0").unwrap());
        tap.set_carrier(true).unwrap();
        assert!(interface::carrier("t0").unwrap());
    });
}

#[test]
fn a_successor_has_the_device_and_what_waits_in_it() {
    in_new_namespace_with_taps(|bed| {
        let tap = Tap::open("t0", TapOptions::default()).unwrap();
        bed.up("t0");
        let (host, _ring) = open(&options("t0", RingVersion::V2));
        host_sends(&host, None, &frame(777, 1));
        let again = Tap::adopt(tap.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let (name, trains) = (tap.name().to_owned(), tap.takes_udp_trains());
        drop(tap);
        assert_eq!(
            (again.name(), again.vnet_header(), again.takes_udp_trains()),
            (name.as_str(), true, trains)
        );
        assert_eq!(take(&again).1, frame(777, 1));
        let file = File::open("/dev/null").unwrap();
        assert!(Tap::adopt(file.into()).is_err());
    });
}
