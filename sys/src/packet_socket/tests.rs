//! Sockets, rings and batches against the kernel, on veth pairs in namespaces of their own.

use super::*;
use crate::fault::Fault;
use crate::testbed::{Bed, frame, in_new_namespace, open, options, receive, ring_versions, wait_for};
use crate::{Outgoing, TX_BATCH, TxBatch};

/// Sends `frames` without headers; all must be taken.
fn send(socket: &PacketSocket, frames: &[Vec<u8>]) {
    for some in frames.chunks(TX_BATCH) {
        let sent = TxBatch::new(true).send(socket.as_fd(), some.iter().map(|f| plain(f)));
        assert_eq!((sent.frames(), sent.stopped.map(|e| e.to_string())), (some.len(), None));
    }
}

fn plain(data: &[u8]) -> Outgoing<'_> {
    Outgoing { vnet: None, data }
}

/// Runs `test` once for each ring layout, each time on a fresh pair `a` - `b`.
fn on_each_ring(test: impl Fn(&Bed, RingVersion) + Send + Sync) {
    for version in ring_versions() {
        in_new_namespace(|bed| {
            bed.veth("a", "b");
            test(bed, version);
        });
    }
}

#[test]
fn frames_cross_a_veth_pair_in_order_and_whole() {
    on_each_ring(|_, version| {
        let (tx, _ring) = open(&options("a", version));
        let (rx, mut ring) = open(&options("b", version));
        let frames: Vec<_> = (0..200).map(|n| frame(60 + 7 * usize::from(n), n)).collect();
        for some in frames.chunks(25) {
            send(&tx, some);
            let got = receive(&rx, &mut ring, some.len());
            for (sent, got) in some.iter().zip(&got) {
                assert_eq!(&got.data, sent, "{version:?}");
                assert_eq!(got.vnet, Some([0; 10]), "nothing to do");
                assert_eq!((got.vlan, got.truncated, got.packet_type), (None, false, libc::PACKET_BROADCAST));
            }
        }
        assert_eq!(ring.malformed(), 0);
    });
}

#[test]
fn without_the_header_option_frames_come_without_header() {
    on_each_ring(|_, version| {
        let bare = |name| PacketOptions { vnet_header: false, ..options(name, version) };
        let (tx, _ring) = open(&bare("a"));
        let (rx, mut ring) = open(&bare("b"));
        let sent = TxBatch::new(false).send(tx.as_fd(), [plain(&frame(60, 1))]);
        assert_eq!(sent.frames(), 1);
        let got = receive(&rx, &mut ring, 1);
        assert_eq!((got[0].data.clone(), got[0].vnet), (frame(60, 1), None));
        let with_header = Outgoing { vnet: Some([0; 10]), data: &frame(60, 2) };
        let sent = TxBatch::new(false).send(tx.as_fd(), [with_header, plain(&frame(60, 3))]);
        assert_eq!((sent.taken, sent.refused), (2, 0b01), "a header would go out as frame octets");
        assert_eq!(receive(&rx, &mut ring, 1)[0].data, frame(60, 3));
    });
}

#[test]
fn the_vlan_tag_that_the_kernel_takes_out_is_reported() {
    on_each_ring(|_, version| {
        let (tx, _ring) = open(&options("a", version));
        let (rx, mut ring) = open(&options("b", version));
        for (tpid, tci) in [(0x8100u16, 0x6064u16), (0x88a8, 0x0fff), (0x8100, 0)] {
            let untagged = frame(100, 9);
            let mut tagged = untagged.clone();
            let tag = [tpid.to_be_bytes(), tci.to_be_bytes()].concat();
            tagged.splice(12..12, tag);
            send(&tx, &[tagged]);
            let got = receive(&rx, &mut ring, 1).remove(0);
            assert_eq!(got.vlan, Some((tpid, tci)), "{version:?}");
            assert_eq!(got.data, untagged, "{version:?}");
        }
    });
}

#[test]
fn only_the_outer_of_two_tags_is_taken_out() {
    on_each_ring(|_, version| {
        let (tx, _ring) = open(&options("a", version));
        let (rx, mut ring) = open(&options("b", version));
        let mut inner = frame(100, 9);
        inner.splice(12..12, [0x81, 0x00, 0x00, 0x07]);
        let mut both = inner.clone();
        both.splice(12..12, [0x88, 0xa8, 0x00, 0x64]);
        send(&tx, &[both]);
        let got = receive(&rx, &mut ring, 1).remove(0);
        assert_eq!((got.vlan, got.data), (Some((0x88a8, 100)), inner), "{version:?}");
    });
}

/// An IPv4 TCP super-frame of `payload` octets with an open checksum, and its header for segments of 1448 octets.
fn super_frame(payload: usize) -> ([u8; 10], Vec<u8>) {
    let mut packet = frame(14, 1);
    packet[12..14].copy_from_slice(&[0x08, 0x00]);
    let length = u16::try_from(20 + 20 + payload).unwrap().to_be_bytes();
    packet.extend([0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend([0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend((0..payload).map(|i| u8::try_from(i % 251).unwrap()));
    // flags: NEEDS_CSUM; gso type: TCPV4; hdr_len 54; gso_size 1448; csum_start 34; csum_offset 16.
    let mut header = [0; 10];
    header[0..2].copy_from_slice(&[1, 1]);
    for (at, value) in [(2, 54u16), (4, 1448), (6, 34), (8, 16)] {
        header[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    }
    (header, packet)
}

#[test]
fn a_super_frame_arrives_as_super_frame() {
    on_each_ring(|_, version| {
        let (tx, _ring) = open(&options("a", version));
        let (rx, mut ring) = open(&options("b", version));
        // 65,535 octets in all is the most that Linux leaves whole (dev->gso_max_size), Ethernet header included.
        for payload in [10_000, 65_535 - 54] {
            let (header, packet) = super_frame(payload);
            let sent = TxBatch::new(true).send(tx.as_fd(), [Outgoing { vnet: Some(header), data: &packet }]);
            assert_eq!(sent.frames(), 1, "{:?}", sent.stopped);
            let got = receive(&rx, &mut ring, 1).remove(0);
            assert_eq!(got.data.len(), packet.len(), "{version:?}");
            assert_eq!(got.data, packet);
            let vnet = got.vnet.unwrap();
            // hdr_len is what the kernel likes to have in one piece; everything else must come through.
            assert_eq!((&vnet[..2], &vnet[4..]), (&header[..2], &header[4..]), "{version:?}");
        }
    });
}

#[test]
fn past_the_queueing_discipline_the_kernel_does_not_segment() {
    in_new_namespace(|bed| {
        bed.veth("a", "b");
        bed.ip("link set dev a gso_max_size 3000");
        let (rx, mut ring) = open(&options("b", RingVersion::V2));
        let (header, data) = super_frame(2 * 1448 + 1000);
        let data = [Outgoing { vnet: Some(header), data: &data }];
        for bypass in [true, false] {
            let tx = PacketSocket::open_for_sending(&PacketOptions {
                qdisc_bypass: bypass,
                ..options("a", RingVersion::V2)
            });
            let sent = TxBatch::new(true).send(tx.unwrap().as_fd(), data);
            let why = sent.stopped.map(|e| e.raw_os_error());
            assert_eq!((sent.taken, why), if bypass { (0, Some(Some(libc::ENOBUFS))) } else { (1, None) });
        }
        let lengths: Vec<_> = receive(&rx, &mut ring, 3).iter().map(|f| f.data.len()).collect();
        assert_eq!(lengths, [54 + 1448, 54 + 1448, 54 + 1000]);
    });
}

#[test]
fn a_frame_longer_than_the_ring_holds_is_cut_and_says_so() {
    on_each_ring(|bed, version| {
        bed.ip("link set dev a mtu 9000");
        bed.ip("link set dev b mtu 9000");
        let (tx, _ring) = open(&options("a", version));
        let (rx, mut ring) = open(&PacketOptions { overflow: None, ..options("b", version) });
        let jumbo = frame(9014, 1);
        send(&tx, &[jumbo.clone(), frame(60, 2)]);
        let got = receive(&rx, &mut ring, 2);
        match version {
            RingVersion::V2 => {
                assert!(got[0].truncated && got[0].data.len() < 9014);
                assert!(jumbo.starts_with(&got[0].data));
            }
            RingVersion::V3 { .. } => assert_eq!(got[0].data, jumbo, "a block has room"),
        }
        assert!(!got[1].truncated);
    });
}

#[test]
fn jumbo_frames_of_9000_octets_cross() {
    on_each_ring(|bed, version| {
        bed.ip("link set dev a mtu 9000");
        bed.ip("link set dev b mtu 9000");
        let (tx, _ring) = open(&options("a", version));
        let (rx, mut ring) = open(&PacketOptions { max_frame: 9014, ..options("b", version) });
        let frames = [frame(9014, 1), frame(9014, 2)];
        send(&tx, &frames);
        let got = receive(&rx, &mut ring, 2);
        assert_eq!(got.iter().map(|f| &f.data).collect::<Vec<_>>(), frames.iter().collect::<Vec<_>>());
    });
}

#[test]
fn what_this_machine_sends_is_not_received() {
    on_each_ring(|_, version| {
        let (tx, _ring) = open(&options("a", version));
        let (deaf, mut deaf_ring) = open(&options("a", version));
        let (tap, mut tap_ring) = open(&PacketOptions { ignore_outgoing: false, ..options("a", version) });
        send(&tx, &[frame(60, 1)]);
        let seen = receive(&tap, &mut tap_ring, 1).remove(0);
        assert_eq!((seen.data, seen.packet_type), (frame(60, 1), libc::PACKET_OUTGOING));
        // The other direction shows that the deaf socket is not simply dead.
        let (far, _ring) = open(&options("b", version));
        send(&far, &[frame(60, 2)]);
        assert_eq!(receive(&deaf, &mut deaf_ring, 1).remove(0).data, frame(60, 2));
    });
}

#[test]
fn frames_of_other_interfaces_never_enter() {
    on_each_ring(|bed, version| {
        bed.veth("c", "d");
        let (tx_a, _ring) = open(&options("a", version));
        let (tx_c, _ring) = open(&options("c", version));
        let (rx, mut ring) = open(&options("b", version));
        send(&tx_c, &[frame(60, 1)]);
        send(&tx_a, &[frame(60, 2)]);
        assert_eq!(receive(&rx, &mut ring, 1).remove(0).data, frame(60, 2));
    });
}

#[test]
fn a_fanout_group_shares_the_frames_and_takes_each_once() {
    on_each_ring(|_, version| {
        let fanout = Some(Fanout { group: 77, mode: FanoutMode::LoadBalance });
        let (tx, _ring) = open(&options("a", version));
        let (one, mut one_ring) = open(&PacketOptions { fanout, ..options("b", version) });
        let (two, mut two_ring) = open(&PacketOptions { fanout, ..options("b", version) });
        let frames: Vec<_> = (0..20).map(|n| frame(60, n)).collect();
        send(&tx, &frames);
        let mut got = receive(&one, &mut one_ring, 10);
        got.extend(receive(&two, &mut two_ring, 10));
        let mut numbers: Vec<u8> = got.iter().map(|f| f.data[59]).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..20).collect::<Vec<u8>>());
        let other_mode = Some(Fanout { group: 77, mode: FanoutMode::Hash });
        let error =
            PacketSocket::open(&PacketOptions { fanout: other_mode, ..options("b", version) }).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    });
}

#[test]
fn a_flow_stays_on_one_socket_of_a_hash_group() {
    on_each_ring(|_, version| {
        let fanout = Some(Fanout { group: 1, mode: FanoutMode::Hash });
        let (tx, _ring) = open(&options("a", version));
        let members: Vec<_> =
            (0..2).map(|_| open(&PacketOptions { fanout, ..options("b", version) })).collect();
        let (header, packet) = super_frame(100);
        let unsegmented =
            [header[0], 0, header[2], header[3], 0, 0, header[6], header[7], header[8], header[9]];
        let flow = [Outgoing { vnet: Some(unsegmented), data: &packet }; 8];
        assert_eq!(TxBatch::new(true).send(tx.as_fd(), flow).frames(), 8);
        wait_for(|| members.iter().map(|(s, _)| s.statistics().unwrap().packets).sum::<u64>() == 8);
        let counts: Vec<_> = members.iter().map(|(s, _)| s.statistics().unwrap().packets).collect();
        assert!(counts == [8, 0] || counts == [0, 8], "{counts:?}");
    });
}

#[test]
fn one_bad_frame_does_not_stop_those_behind_it() {
    on_each_ring(|_, version| {
        let (tx, _ring) = open(&options("a", version));
        let (rx, mut ring) = open(&options("b", version));
        let frames = [frame(60, 1), frame(1515, 2), frame(60, 3), vec![4; 5], frame(60, 5)];
        let mut nonsense = [0; 10];
        nonsense[0..2].copy_from_slice(&[1, 0x7f]);
        let bad_header = Outgoing { vnet: Some(nonsense), data: &frames[0] };
        let batch = frames.iter().map(|f| plain(f)).chain([bad_header]);
        let sent = TxBatch::new(true).send(tx.as_fd(), batch);
        assert_eq!((sent.taken, sent.refused, sent.frames()), (6, 0b10_1010, 3), "{:?}", sent.stopped);
        let numbers: Vec<_> = receive(&rx, &mut ring, 3).iter().map(|f| f.data[59]).collect();
        assert_eq!(numbers, [1, 3, 5], "too long, too short and a senseless header are left out");
    });
}

#[test]
fn a_batch_is_at_most_64_frames() {
    in_new_namespace(|bed| {
        bed.veth("a", "b");
        let tx = PacketSocket::open_for_sending(&PacketOptions::new("a")).unwrap();
        let data = frame(60, 1);
        let sent = TxBatch::new(true).send(tx.as_fd(), std::iter::repeat_n(plain(&data), TX_BATCH + 6));
        assert_eq!((sent.taken, sent.refused), (TX_BATCH, 0), "{:?}", sent.stopped);
        assert_eq!(TxBatch::new(true).send(tx.as_fd(), []).taken, 0);
    });
}

#[test]
fn a_full_ring_drops_counts_and_recovers() {
    on_each_ring(|_, version| {
        let (tx, _ring) = open(&options("a", version));
        let (rx, mut ring) = open(&PacketOptions { ring_octets: 1 << 17, ..options("b", version) });
        let frames: Vec<_> = (0..250).map(|n| frame(1514, n)).collect();
        for _ in 0..20 {
            send(&tx, &frames);
        }
        wait_for(|| {
            let all = rx.statistics().unwrap();
            all.packets + all.drops == 5000
        });
        let all = rx.statistics().unwrap();
        assert!(all.drops > 0 && all.packets > 0, "{all:?}");
        let kept = std::iter::from_fn(|| ring.next().map(|f| f.data.len())).count();
        assert_eq!(
            u64::try_from(kept).unwrap(),
            all.packets,
            "{version:?}: what was counted is what was there"
        );
        send(&tx, &[frame(60, 1)]);
        assert_eq!(receive(&rx, &mut ring, 1).remove(0).data, frame(60, 1));
    });
}

#[test]
fn a_link_that_goes_down_is_reported_and_works_again_when_up() {
    on_each_ring(|bed, version| {
        let (tx, _ring) = open(&options("a", version));
        let (rx, mut ring) = open(&options("b", version));
        rx.health().unwrap();
        bed.ip("link set dev b down");
        let mut poller = crate::Poller::new().unwrap();
        let mut ready = Vec::new();
        poller.add(&rx, 1).unwrap();
        poller.wait(&mut ready, None).unwrap();
        assert!(ready[0].failed, "{ready:?}");
        let error = rx.health().unwrap_err();
        assert_eq!(Fault::of(&error), Fault::Down, "{error}");
        let sent = TxBatch::new(true).send(rx.as_fd(), [plain(&frame(60, 1))]);
        assert_eq!((sent.taken, sent.stopped.map(|e| Fault::of(&e))), (0, Some(Fault::Down)));
        assert!(ring.next().is_none());
        rx.health().expect("taken once");
        bed.up("b");
        bed.active("a");
        send(&tx, &[frame(60, 2)]);
        assert_eq!(receive(&rx, &mut ring, 1).remove(0).data, frame(60, 2), "the same socket");
    });
}

#[test]
fn a_socket_can_be_opened_on_an_interface_that_is_down() {
    on_each_ring(|bed, version| {
        bed.ip("link set dev b down");
        let (rx, mut ring) = open(&options("b", version));
        assert_eq!(Fault::of(&rx.health().unwrap_err()), Fault::Down);
        bed.up("b");
        bed.active("a");
        let (tx, _ring) = open(&options("a", version));
        send(&tx, &[frame(60, 2)]);
        assert_eq!(receive(&rx, &mut ring, 1).remove(0).data, frame(60, 2));
    });
}

#[test]
fn a_deleted_interface_is_gone_for_its_socket() {
    on_each_ring(|bed, version| {
        let (rx, mut ring) = open(&options("b", version));
        bed.ip("link del dev b");
        assert_eq!(Fault::of(&rx.health().unwrap_err()), Fault::Gone);
        let sent = TxBatch::new(true).send(rx.as_fd(), [plain(&frame(60, 1))]);
        assert_eq!((sent.taken, sent.stopped.map(|e| Fault::of(&e))), (0, Some(Fault::Gone)));
        assert!(ring.next().is_none());
        // One of the same name is another interface: the old socket stays gone, a new one works.
        bed.veth("a", "b");
        assert_eq!(Fault::of(&rx.health().unwrap_err()), Fault::Gone);
        let (tx, _ring) = open(&options("a", version));
        let (new, mut new_ring) = open(&options("b", version));
        send(&tx, &[frame(60, 2)]);
        assert_eq!(receive(&new, &mut new_ring, 1).len(), 1);
        assert!(ring.next().is_none());
    });
}

#[test]
fn long_frames_that_nobody_takes_do_not_shift_those_behind_them() {
    in_new_namespace(|bed| {
        bed.veth("a", "b");
        bed.ip("link set dev a mtu 9000");
        bed.ip("link set dev b mtu 9000");
        let (tx, _ring) = open(&options("a", RingVersion::V2));
        let (rx, mut ring) = open(&options("b", RingVersion::V2));
        let lengths = [9014, 60, 5000, 4000, 60, 3000];
        let frames: Vec<_> = (1..).zip(lengths).map(|(number, octets)| frame(octets, number)).collect();
        send(&tx, &frames);
        wait_for(|| rx.statistics().unwrap().packets == 6);
        // Frames 1 and 3 are looked at only, frame 4 is taken in part, frame 6 whole and then once too often.
        let mut buffer = vec![0; 9014];
        for (number, octets) in (1u8..).zip(lengths) {
            let got = ring.next().unwrap();
            assert_eq!((got.length, got.data[11], got.is_elsewhere()), (octets, number, octets > 1514 + 128));
            assert!(!got.is_truncated());
            match number {
                4 => assert_eq!(got.take_whole(&mut buffer[..100]).unwrap(), 100),
                6 => {
                    assert_eq!(got.take_whole(&mut buffer).unwrap(), octets);
                    assert_eq!(buffer[..octets], frames[5]);
                    assert_eq!(Fault::of(&got.take_whole(&mut buffer).unwrap_err()), Fault::Busy);
                }
                _ => {}
            }
        }
        assert!(ring.next().is_none());
    });
}

#[test]
fn long_frames_beyond_the_overflow_are_cut_and_say_so() {
    in_new_namespace(|bed| {
        bed.veth("a", "b");
        bed.ip("link set dev a mtu 9000");
        bed.ip("link set dev b mtu 9000");
        let (tx, _ring) = open(&options("a", RingVersion::V2));
        let small = PacketOptions { overflow: Some(50_000), ..options("b", RingVersion::V2) };
        let (rx, mut ring) = open(&small);
        let frames: Vec<_> = (0..50).map(|number| frame(9014, number)).collect();
        send(&tx, &frames);
        wait_for(|| rx.statistics().unwrap().packets == 50);
        let mut cut = 0;
        let mut buffer = vec![0; 9014];
        for sent in &frames {
            let got = ring.next().unwrap();
            if got.is_truncated() {
                cut += 1;
            } else {
                assert_eq!(got.take_whole(&mut buffer).unwrap(), 9014);
                assert_eq!(&buffer, sent);
            }
        }
        assert!((1..50).contains(&cut), "{cut} of 50");
        send(&tx, &frames[..1]);
        assert_eq!(receive(&rx, &mut ring, 1)[0].data, frames[0], "room again");
    });
}

#[test]
fn what_cannot_be_opened_is_an_error() {
    in_new_namespace(|bed| {
        bed.veth("a", "b");
        let number = |options: &PacketOptions| PacketSocket::open(options).unwrap_err().raw_os_error();
        assert_eq!(number(&PacketOptions::new("nobody")), Some(libc::ENODEV));
        assert_eq!(number(&PacketOptions::new("../a")), Some(libc::EINVAL));
        let huge = PacketOptions { ring_octets: usize::MAX / 4, ..PacketOptions::new("a") };
        assert!(PacketSocket::open(&huge).is_err());
    });
}

#[test]
fn a_successor_reads_on_where_its_predecessor_stood_and_no_frame_is_lost_or_comes_twice() {
    on_each_ring(|_, version| {
        let (tx, _ring) = open(&options("a", version));
        let (rx, mut ring) = open(&options("b", version));
        let frames: Vec<_> = (0..60).map(|n| frame(100 + usize::from(n), n)).collect();
        send(&tx, &frames[..20]);
        let first = receive(&rx, &mut ring, 20);
        // These wait, and the last of them comes while nobody reads.
        send(&tx, &frames[20..40]);
        let (again, mut ring_again) =
            PacketSocket::adopt(rx.as_fd().try_clone_to_owned().unwrap(), &options("b", version)).unwrap();
        let place = ring.place();
        send(&tx, &frames[40..]);
        assert!(ring_again.resume(place));
        drop((rx, ring));
        let rest = receive(&again, &mut ring_again, 40);
        let got: Vec<_> = first.iter().chain(&rest).map(|one| one.data.clone()).collect();
        assert_eq!(got, frames, "{version:?}");
        assert!(!ring_again.is_ready());
        let nowhere = crate::RingPlace { block: usize::MAX, in_block: 0, held: None };
        assert!(!ring_again.resume(nowhere));
        let not_ours = crate::RingPlace { held: Some((1, 0)), ..ring_again.place() };
        assert!(!ring_again.resume(not_ours), "the cell is the kernel's");
    });
}

#[test]
fn a_socket_of_another_device_or_with_another_ring_is_not_gone_on_with() {
    on_each_ring(|bed, version| {
        bed.veth("c", "d");
        let (rx, _ring) = open(&options("b", version));
        let fd = || rx.as_fd().try_clone_to_owned().unwrap();
        let other = PacketSocket::adopt(fd(), &options("c", version)).map(|_| ()).unwrap_err();
        assert_eq!(other.raw_os_error(), Some(libc::ENODEV));
        let own = options("b", version);
        let larger = PacketOptions { ring_octets: own.ring_octets * 4, ..own };
        assert!(PacketSocket::adopt(fd(), &larger).is_err());
    });
}
