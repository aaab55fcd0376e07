use std::process::Command;

use super::*;
use crate::testbed::{Bed, frame, in_new_namespace, wait_for};
use crate::{Outgoing, PacketOptions, PacketSocket, Poller, TxBatch};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x0a];
const MODES: [XdpMode; 2] = [XdpMode::Native, XdpMode::Generic];

pub(super) const OPTIONS: XdpOptions = XdpOptions { max_frame: 1518, octets: 1 << 20 };

pub(super) fn open(name: &str, claim: Claim, mode: XdpMode, options: &XdpOptions) -> (XdpDevice, XdpSocket) {
    let device = XdpDevice::attach(name, &claim, mode, Some(&Bulk::new().unwrap())).unwrap();
    let socket = XdpSocket::open(&device, 0, options).unwrap();
    (device, socket)
}

fn send(name: &str, frames: &[Vec<u8>]) {
    let socket = PacketSocket::open_for_sending(&PacketOptions::new(name)).unwrap();
    for frames in frames.chunks(64) {
        let sent =
            TxBatch::new(true).send(socket.as_fd(), frames.iter().map(|data| Outgoing { vnet: None, data }));
        assert_eq!(sent.frames(), frames.len(), "{sent:?}");
    }
}

/// All frames that come until `count` have.
pub(super) fn receive(socket: &mut XdpSocket, count: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    wait_for(|| {
        while let Some(frame) = socket.next_frame() {
            let data: Vec<u8> = frame.pieces().flat_map(|piece| piece.unwrap().to_vec()).collect();
            assert_eq!(data.len(), frame.length());
            frames.push(data);
        }
        socket.release();
        frames.len() >= count
    });
    assert_eq!(frames.len(), count);
    frames
}

fn to(destination: [u8; 6], ethertype: [u8; 2], number: u8) -> Vec<u8> {
    let mut data = frame(64, number);
    data[..6].copy_from_slice(&destination);
    data[12..14].copy_from_slice(&ethertype);
    data
}

fn pair(bed: &Bed) {
    bed.veth("a", "b");
    interface::set_mac("b", MAC).unwrap();
}

#[test]
fn what_is_the_stations_comes_to_the_socket_and_the_rest_to_the_kernel() {
    in_new_namespace(|bed| {
        pair(bed);
        let other = [2, 0, 0, 0, 0, 0x0b];
        let ip = [8, 0];
        let frames = [
            (true, to(MAC, ip, 0)),
            (false, to(other, ip, 1)),
            (true, to([0xff; 6], [8, 6], 2)),
            (true, to([0x33, 0x33, 0, 0, 0, 1], [0x86, 0xdd], 3)),
            (true, to([1, 0, 0x5e, 0, 0, 5], ip, 4)),
            (false, to([1, 0x80, 0xc2, 0, 0, 0x0e], [0x88, 0xcc], 5)),
            (true, to([1, 0x80, 0xc2, 0, 0, 3], [0x88, 0x8e], 6)),
            (true, to(other, [0x88, 0xe5], 7)),
            (false, to([2, 0, 0, 0, 0xff, 0x0a], ip, 8)),
            (false, to([0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], ip, 9)),
            (false, to([0x33, 0x32, 0, 0, 0, 1], ip, 10)),
            (false, to([1, 0, 0x5f, 0, 0, 5], ip, 11)),
            (true, to([0x33, 0x33, 0xff, 0, 0, 9], [0x86, 0xdd], 12)),
        ];
        let sent: Vec<_> = frames.iter().map(|(_, data)| data.clone()).collect();
        for mode in MODES {
            let (_device, mut socket) =
                open("b", Claim::Station { mac: MAC, types: vec![0x88e5, 0x888e] }, mode, &OPTIONS);
            let (beside, mut ring) = PacketSocket::open(&PacketOptions::new("b")).unwrap();
            send("a", &sent);
            let part = |ours| {
                frames.iter().filter(|(of, _)| *of == ours).map(|(_, data)| data.clone()).collect::<Vec<_>>()
            };
            let (ours, theirs) = (part(true), part(false));
            assert_eq!(receive(&mut socket, ours.len()), ours, "{mode:?}");
            let seen = crate::testbed::receive(&beside, &mut ring, theirs.len());
            assert_eq!(seen.into_iter().map(|frame| frame.data).collect::<Vec<_>>(), theirs, "{mode:?}");
        }
        for mode in MODES {
            let (_device, mut socket) = open("b", Claim::Everything, mode, &OPTIONS);
            send("a", &sent);
            assert_eq!(receive(&mut socket, sent.len()), sent, "{mode:?}");
        }
    });
}

#[test]
fn many_times_the_memory_passes_both_ways_in_order() {
    in_new_namespace(|bed| {
        pair(bed);
        for mode in MODES {
            let (_a, mut from) = open("a", Claim::Everything, mode, &OPTIONS);
            let (_b, mut to) = open("b", Claim::Everything, mode, &OPTIONS);
            assert!(!from.is_zero_copy() && !to.is_zero_copy());
            for round in 0..200u32 {
                let frames: Vec<_> = (0..32)
                    .map(|n| {
                        let mut data = frame(64 + usize::try_from(round).unwrap() * 7, n);
                        data[14..18].copy_from_slice(&round.to_be_bytes());
                        data
                    })
                    .collect();
                let sent = from.send(frames.iter().map(Vec::as_slice));
                assert_eq!((sent.taken, sent.refused), (32, 0), "{sent:?} {mode:?} {round}");
                assert_eq!(receive(&mut to, 32), frames, "{mode:?} {round}");
            }
            assert_eq!(to.statistics().unwrap(), XdpStatistics::default());
        }
    });
}

#[test]
fn a_jumbo_frame_comes_and_goes_in_pieces_and_a_socket_without_them_counts_it() {
    in_new_namespace(|bed| {
        pair(bed);
        ["a", "b"].into_iter().for_each(|name| interface::set_mtu(name, 9000).unwrap());
        let long = vec![frame(9014, 1), frame(64, 2), frame(4000, 3)];
        for mode in MODES {
            let options = XdpOptions { max_frame: 9018, ..OPTIONS };
            let (_a, mut from) = open("a", Claim::Everything, mode, &options);
            let (_b, mut to) = open("b", Claim::Everything, mode, &options);
            let sent = from.send(long.iter().map(Vec::as_slice));
            assert_eq!((sent.taken, sent.refused), (3, 0), "{sent:?}");
            assert_eq!(receive(&mut to, 3), long, "{mode:?}");
        }
        let (_b, mut to) = open("b", Claim::Everything, XdpMode::Native, &OPTIONS);
        send("a", &long);
        assert_eq!(receive(&mut to, 1), [frame(64, 2)]);
        assert_eq!(to.statistics().unwrap().too_long, 2);
    });
}

#[test]
fn frames_that_find_no_room_are_counted_and_later_ones_come_again() {
    in_new_namespace(|bed| {
        pair(bed);
        let (_device, mut socket) = open("b", Claim::Everything, XdpMode::Native, &OPTIONS);
        let many: Vec<_> = (0..700).map(|_| frame(64, 1)).collect();
        send("a", &many);
        let mut got = 0;
        wait_for(|| {
            while socket.next_frame().is_some() {
                got += 1;
            }
            got + socket.statistics().unwrap().full == 700
        });
        assert_eq!(got, 512, "one frame for each chunk");
        socket.release();
        send("a", &[frame(64, 9)]);
        assert_eq!(receive(&mut socket, 1), [frame(64, 9)]);
    });
}

#[test]
fn the_program_leaves_with_its_owner_and_a_second_one_is_refused() {
    in_new_namespace(|bed| {
        pair(bed);
        let shown = || {
            let output = Command::new("ip").args(["link", "show", "dev", "b"]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).contains("xdp")
        };
        assert!(!shown());
        let (device, socket) = open("b", Claim::Everything, XdpMode::Native, &OPTIONS);
        assert!(shown());
        let second = XdpDevice::attach("b", &Claim::Everything, XdpMode::Native, None).unwrap_err();
        assert_eq!(second.raw_os_error(), Some(libc::EBUSY));
        assert_eq!(XdpSocket::open(&device, 1, &OPTIONS).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        drop((device, socket));
        wait_for(|| !shown());
        let (_device, mut socket) = open("b", Claim::Everything, XdpMode::Native, &OPTIONS);
        send("a", &[frame(64, 5)]);
        assert_eq!(receive(&mut socket, 1), [frame(64, 5)]);
    });
}

#[test]
fn a_device_that_is_down_is_said_so_and_one_that_is_gone_too() {
    in_new_namespace(|bed| {
        pair(bed);
        let (device, mut socket) = open("b", Claim::Everything, XdpMode::Native, &OPTIONS);
        interface::set_up("b", false).unwrap();
        let sent = socket.send([frame(64, 1).as_slice()]);
        assert_eq!(sent.stopped.and_then(|why| why.raw_os_error()), Some(libc::ENETDOWN));
        assert_eq!(device.health().unwrap_err().raw_os_error(), Some(libc::ENETDOWN));
        interface::set_up("b", true).unwrap();
        device.health().unwrap();
        bed.active("b");
        send("a", &[frame(64, 2)]);
        assert_eq!(receive(&mut socket, 1), [frame(64, 2)]);
        let mut poller = Poller::new().unwrap();
        poller.add(&device, 7).unwrap();
        bed.ip("link del dev a");
        let mut ready = Vec::new();
        poller.wait(&mut ready, Some(Duration::from_secs(5))).unwrap();
        assert!(ready.iter().any(|one| one.token == 7), "whoever waits is woken");
        assert_eq!(device.health().unwrap_err().raw_os_error(), Some(libc::ENODEV));
    });
}

#[test]
fn each_receive_queue_has_its_socket() {
    in_new_namespace(|bed| {
        bed.ip(
            "link add name a numtxqueues 2 numrxqueues 2 type veth peer name b numtxqueues 2 numrxqueues 2",
        );
        ["a", "b"].into_iter().for_each(|name| bed.take_up(name));
        ["a", "b"].into_iter().for_each(|name| bed.active(name));
        assert_eq!(interface::receive_queues("b").unwrap(), 2);
        let device = XdpDevice::attach("b", &Claim::Everything, XdpMode::Native, None).unwrap();
        assert_eq!(device.queues(), 2);
        let mut sockets = [0, 1].map(|queue| XdpSocket::open(&device, queue, &OPTIONS).unwrap());
        let busy = XdpSocket::open(&device, 1, &OPTIONS).unwrap_err();
        assert_eq!(busy.raw_os_error(), Some(libc::EBUSY));
        let (_a, mut from) = {
            let device = XdpDevice::attach("a", &Claim::Everything, XdpMode::Native, None).unwrap();
            let first = XdpSocket::open(&device, 0, &OPTIONS).unwrap();
            (device, first)
        };
        // What leaves by transmit queue 0 arrives on receive queue 0 of a veth's far end.
        let sent = from.send([frame(64, 1).as_slice()]);
        assert_eq!(sent.taken, 1);
        assert_eq!(receive(&mut sockets[0], 1), [frame(64, 1)]);
        assert!(sockets[1].next_frame().is_none());
    });
}
