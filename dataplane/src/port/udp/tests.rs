//! Against the kernel, over the loopback device of a network namespace of our own.

use std::{collections::BTreeSet, net::UdpSocket as StdSocket, process::Command, time::Duration};

use net::virtio::{Checksum, Offload};
use sys::{Poller, netns::NetNs};

use super::*;
use crate::{Depot, PoolSizes, underlay::Vni};

/// Runs `test` in a namespace whose loopback device has some more addresses.
fn in_new_namespace(test: impl FnOnce() + Send) {
    match NetNs::new() {
        Ok(namespace) => namespace
            .within(|| {
                ip("link set lo up");
                for last in 1..=3 {
                    ip(&format!("address add 2001:db8::{last}/128 dev lo nodad"));
                }
                test();
            })
            .unwrap(),
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "must not be skipped in CI: {error}");
            eprintln!("SKIPPED: no new network namespace: {error}");
        }
    }
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

const ENDS: [[&str; 3]; 2] =
    [["127.0.0.1", "127.0.0.2", "127.0.0.3"], ["2001:db8::1", "2001:db8::2", "2001:db8::3"]];

fn options(local: &str, remote: &str) -> Options {
    let (remote, vni) = (remote.parse().unwrap(), Vni::new(0x1234).unwrap());
    let tunnel = Tunnel { remote, vni, any_source: false, source_ports: 16 };
    Options {
        device: "lo".to_owned(),
        local: local.parse().unwrap(),
        port: 4789,
        tunnel,
        marking: Marking::Copy,
    }
}

fn open(local: &str, remote: &str) -> UdpPort {
    UdpPort::open(&options(local, remote)).unwrap()
}

fn pool() -> Pool {
    Pool::new(Depot::new(PoolSizes::default()))
}

/// An Ethernet frame of `len` octets with a number in it.
fn octets(len: usize, number: usize) -> Vec<u8> {
    let mut frame = vec![u8::try_from(number % 251).unwrap(); len];
    frame[12..14].copy_from_slice(&[0x88, 0xe5]);
    frame
}

fn frame(pool: &mut Pool, octets: &[u8], flow: u16) -> Frame {
    let mut buf = pool.for_len(octets.len()).unwrap();
    buf.extend_from_slice(octets);
    Frame { flow, ..Frame::new(buf) }
}

fn send(port: &mut UdpPort, pool: &mut Pool, all: &[Vec<u8>], flow: u16) -> Result<(), PortError> {
    let mut frames: Vec<_> = all.iter().map(|octets| frame(pool, octets, flow)).collect();
    let sent = port.send(&mut frames, pool);
    assert!(frames.is_empty());
    sent
}

/// The next `count` frames, within five seconds.
fn receive(port: &mut UdpPort, pool: &mut Pool, count: usize) -> Vec<Vec<u8>> {
    let mut poller = Poller::new().unwrap();
    let (mut ready, mut all) = (Vec::new(), Vec::new());
    poller.add(port.fd().unwrap(), 1).unwrap();
    while all.len() < count {
        let wait = if port.holds_frames() { Duration::ZERO } else { Duration::from_secs(5) };
        poller.wait(&mut ready, Some(wait)).unwrap();
        assert!(!ready.is_empty() || wait.is_zero(), "{} of {count} came: {:?}", all.len(), port.counters());
        let mut batch = Batch::new();
        let got = port.receive(&mut batch, pool).unwrap();
        assert_eq!(got, batch.len());
        for frame in batch.drain(..) {
            assert!(frame.buf.headroom() >= crate::HEADROOM && frame.buf.tailroom() >= crate::TAILROOM);
            all.push(frame.buf.to_vec());
            pool.recycle(frame);
        }
    }
    all
}

#[test]
fn frames_cross_both_ways_whole_and_in_order_over_ipv4_and_ipv6() {
    in_new_namespace(|| {
        for [a, b, _] in ENDS {
            let mut pool = pool();
            let (mut here, mut there) = (open(a, b), open(b, a));
            let mut all: Vec<_> = (0..150).map(|number| octets(1482, number)).collect();
            all.push(octets(600, 7));
            all.extend((0..100).map(|number| octets(60 + number % 5, number)));
            from_to(&mut here, &mut there, &mut pool, &all);
            from_to(&mut there, &mut here, &mut pool, &all);
        }
    });
}

fn from_to(from: &mut UdpPort, to: &mut UdpPort, pool: &mut Pool, all: &[Vec<u8>]) {
    send(from, pool, all, 5).unwrap();
    assert_eq!(receive(to, pool, all.len()), all);
    let (sent, came) = (from.counters(), to.counters());
    let (frames, octets) = (u64::try_from(all.len()).unwrap(), u64::try_from(all.concat().len()).unwrap());
    assert_eq!((sent.tx_frames, sent.tx_octets, sent.tx_refused), (frames, octets, 0));
    assert_eq!((came.rx_frames, came.rx_octets), (frames, octets));
}

#[test]
fn a_flow_keeps_its_source_port_of_the_dynamic_range_and_flows_spread() {
    in_new_namespace(|| {
        let mut pool = pool();
        let mut port = open("127.0.0.1", "127.0.0.2");
        // RFC 7348 §5, RFC 6335 §6.
        let peer = StdSocket::bind("127.0.0.2:4789").unwrap();
        let mut from = |flow, count| {
            let all: Vec<_> = (0..count).map(|number| octets(100, number)).collect();
            send(&mut port, &mut pool, &all, flow).unwrap();
            let mut buffer = [0; 200];
            let seen: BTreeSet<_> = (0..count)
                .map(|number| {
                    let (len, source) = peer.recv_from(&mut buffer).unwrap();
                    assert_eq!(buffer[..8], [8, 0, 0, 0, 0, 0x12, 0x34, 0]);
                    assert_eq!(buffer[8..len], octets(100, number));
                    source.port()
                })
                .collect();
            assert_eq!(seen.len(), 1, "one flow, one port");
            *seen.first().unwrap()
        };
        let ports: BTreeSet<_> = (0..16).map(|flow| from(flow, 3)).collect();
        assert_eq!(ports.len(), 16);
        assert!(ports.iter().all(|port| *port >= 49_152));
        assert_eq!(from(3, 1), from(3 + 16, 1));
    });
}

#[test]
fn what_is_not_the_peers_is_dropped_and_counted_by_reason() {
    in_new_namespace(|| {
        let mut pool = pool();
        let mut port = open("127.0.0.1", "127.0.0.2");
        let (peer, stranger) =
            (StdSocket::bind("127.0.0.2:0").unwrap(), StdSocket::bind("127.0.0.3:0").unwrap());
        let good = [&[8, 0, 0, 0, 0, 0x12, 0x34, 0][..], &octets(60, 9)].concat();
        let tell = |socket: &StdSocket, data: &[u8]| {
            assert_eq!(socket.send_to(data, "127.0.0.1:4789").unwrap(), data.len())
        };
        tell(&stranger, &good);
        tell(&peer, &[&[0, 0, 0, 0, 0, 0x12, 0x34, 0][..], &octets(60, 9)].concat()); // RFC 7348 §5: I is not set
        tell(&peer, &[8, 0, 0, 0]);
        tell(&peer, &[]);
        tell(&peer, &[8, 0, 0, 0, 0, 0x12, 0x34, 0, 1, 2, 3]);
        tell(&peer, &[&[8, 0, 0, 0, 0, 0x12, 0x35, 0][..], &octets(60, 9)].concat());
        tell(&peer, &good);
        assert_eq!(receive(&mut port, &mut pool, 1), [octets(60, 9)]);
        let counted = port.counters();
        assert_eq!(counted.rx_unknown_source, 1);
        assert_eq!(counted.rx_bad_header, 4);
        assert_eq!(counted.rx_unknown_vni, 1);
        assert_eq!((counted.rx_frames, counted.rx_ring_full), (1, 0));

        let mut open_to_all = options("127.0.0.1", "127.0.0.2");
        (open_to_all.tunnel.any_source, open_to_all.port) = (true, 4790);
        let mut port = UdpPort::open(&open_to_all).unwrap();
        stranger.send_to(&good, "127.0.0.1:4790").unwrap();
        assert_eq!(receive(&mut port, &mut pool, 1).len(), 1);
    });
}

#[test]
fn a_batch_takes_what_fits_and_the_rest_of_a_train_is_not_forgotten() {
    in_new_namespace(|| {
        let mut pool = pool();
        let (mut here, mut there) = (open("127.0.0.1", "127.0.0.2"), open("127.0.0.2", "127.0.0.1"));
        let all: Vec<_> = (0..3)
            .map(|number| octets(60 + number, number))
            .chain((0..64).map(|n| octets(1000, n)))
            .collect();
        send(&mut here, &mut pool, &all, 0).unwrap();
        let mut batch = Batch::new();
        assert_eq!(there.receive(&mut batch, &mut pool), Ok(64));
        assert!(there.holds_frames());
        batch.clear();
        assert_eq!(there.receive(&mut batch, &mut pool), Ok(3));
        assert!(!there.holds_frames());
        assert_eq!(*batch[2].buf, octets(1000, 63));
        assert_eq!(there.receive(&mut batch, &mut pool), Ok(0));
    });
}

#[test]
fn a_read_that_empties_the_socket_is_the_last_one_and_until_then_reading_goes_on() {
    in_new_namespace(|| {
        let mut pool = pool();
        let (mut here, mut there) = (open("127.0.0.1", "127.0.0.2"), open("127.0.0.2", "127.0.0.1"));
        let take = |there: &mut UdpPort, pool: &mut Pool| {
            let mut batch = Batch::new();
            let got = there.receive(&mut batch, pool).unwrap();
            batch.drain(..).for_each(|frame| pool.recycle(frame));
            (got, there.holds_frames(), there.inbox.is_drained() && !there.holds_frames())
        };
        // Lengths that differ: as many messages as frames.
        let few: Vec<_> = (0..3).map(|number| octets(60 + 10 * number, number)).collect();
        send(&mut here, &mut pool, &few, 0).unwrap();
        assert_eq!(take(&mut there, &mut pool), (3, false, true));
        // More messages than one read takes, and more frames than a batch.
        let many: Vec<_> = (0..100).map(|number| octets(60 + 3 * (number % 7), number)).collect();
        send(&mut here, &mut pool, &many, 0).unwrap();
        let (mut all, mut drained) = (0, false);
        while all < many.len() {
            assert!(!drained, "{all} frames");
            let (got, holds, now) = take(&mut there, &mut pool);
            assert!(got > 0 && !(holds && now));
            (all, drained) = (all + got, now);
        }
        assert_eq!(take(&mut there, &mut pool), (0, false, true));
        // Trains: two in one read.
        for _ in 0..3 {
            let train: Vec<_> = (0..40).map(|number| octets(1482, number)).collect();
            send(&mut here, &mut pool, &train, 0).unwrap();
            send(&mut here, &mut pool, &[octets(100, 1)], 0).unwrap();
        }
        let mut all = 0;
        while all < 3 * 41 {
            all += take(&mut there, &mut pool).0;
        }
        assert_eq!(take(&mut there, &mut pool), (0, false, true));
    });
}

// A port is opened anew whenever its device went away and came back: what it kept must not go with it.
#[test]
fn a_port_that_is_dropped_has_given_back_what_it_kept_of_the_pool() {
    in_new_namespace(|| {
        let (depot, all) = (Depot::new(PoolSizes::default()), PoolSizes::default());
        let mut pool = Pool::new(depot.clone());
        let [here, there, _] = ENDS[0];
        for round in 0..3 {
            let (mut from, mut to) = (open(here, there), open(there, here));
            let frames: Vec<_> = (0..40).map(|number| octets(1400, number)).collect();
            for _ in 0..4 {
                send(&mut from, &mut pool, &frames, 5).unwrap();
                assert_eq!(receive(&mut to, &mut pool, frames.len()), frames);
            }
            let kept = all.small_count - depot.free().0 - pool.held().0;
            assert!((1..=2 * KEPT).contains(&kept), "round {round}: {kept} kept");
            from.give_back(&mut pool);
            to.give_back(&mut pool);
            assert_eq!(depot.free().0 + pool.held().0, all.small_count, "round {round}");
        }
    });
}

#[test]
fn what_the_path_does_not_carry_is_counted_and_the_path_is_told() {
    in_new_namespace(|| {
        for ([a, b, _], outer) in ENDS.into_iter().zip([50, 70]) {
            ip("link set lo mtu 2000");
            let mut pool = pool();
            let (mut here, mut there) = (open(a, b), open(b, a));
            assert_eq!(here.path_news(), Some(2000 - outer));
            assert_eq!(here.path_news(), None);
            ip("link set lo mtu 1400");
            let most = usize::from(1400 - outer) + 14;
            let all = [octets(most + 1, 1), octets(most + 1, 2), octets(most, 3), octets(60, 4)];
            send(&mut here, &mut pool, &all, 0).unwrap();
            assert_eq!(receive(&mut there, &mut pool, 2), all[2..]);
            assert_eq!((here.counters().tx_too_long, here.counters().tx_frames), (2, 2));
            assert_eq!(here.path_news(), Some(1400 - outer));
        }
    });
}

// A reserve has nothing to send but MKPDUs: a thousand of them take half an hour.
#[test]
fn a_path_that_carries_more_again_is_told_without_a_frame_sent() {
    in_new_namespace(|| {
        for ([a, b, _], outer) in ENDS.into_iter().zip([50, 70]) {
            ip("link set lo mtu 1400");
            let mut pool = pool();
            let mut here = open(a, b);
            assert_eq!(here.path_news(), Some(1400 - outer));
            send(&mut here, &mut pool, &[octets(60, 1)], 0).unwrap();
            ip("link set lo mtu 2000");
            assert_eq!(here.path_news(), None);
            here.look_again();
            assert_eq!(here.path_news(), Some(2000 - outer));
            here.look_again();
            assert_eq!(here.path_news(), None);
        }
    });
}

#[test]
fn without_a_route_the_port_says_so_and_works_once_there_is_one() {
    in_new_namespace(|| {
        let mut pool = pool();
        let mut port = open("2001:db8::1", "2001:db8:9::9");
        assert_eq!(send(&mut port, &mut pool, &[octets(60, 1)], 0), Err(PortError::NoRoute));
        assert_eq!((port.counters().tx_refused, port.counters().tx_frames), (1, 0));
        ip("-6 route add 2001:db8:9::9/128 dev lo");
        send(&mut port, &mut pool, &[octets(60, 1)], 0).unwrap();
        assert_eq!(port.counters().tx_frames, 1);
        ip("-6 route del 2001:db8:9::9/128 dev lo");
        assert_eq!(send(&mut port, &mut pool, &[octets(60, 1)], 0), Err(PortError::NoRoute));
        ip("-6 route add 2001:db8:9::9/128 dev lo");
        send(&mut port, &mut pool, &[octets(60, 1)], 0).unwrap();
    });
}

#[test]
fn a_peer_that_is_not_there_yet_costs_no_frame_of_ours() {
    in_new_namespace(|| {
        let mut pool = pool();
        let mut here = open("127.0.0.1", "127.0.0.2");
        // Each of these is answered by ICMP, which the kernel tells with the next one instead of sending it.
        for number in 0..3 {
            send(&mut here, &mut pool, &[octets(60, number)], 0).unwrap();
        }
        let mut there = open("127.0.0.2", "127.0.0.1");
        send(&mut here, &mut pool, &[octets(60, 9)], 0).unwrap();
        assert_eq!(receive(&mut there, &mut pool, 1), [octets(60, 9)]);
        assert_eq!((here.counters().tx_frames, here.counters().tx_refused), (4, 0));
    });
}

#[test]
fn an_address_that_is_taken_or_a_device_that_is_missing_is_an_error() {
    in_new_namespace(|| {
        let _taken = StdSocket::bind("127.0.0.1:4789").unwrap();
        let error = UdpPort::open(&options("127.0.0.1", "127.0.0.2")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let missing = Options { device: "nodevice".to_owned(), ..options("127.0.0.1", "127.0.0.2") };
        assert!(UdpPort::open(&missing).is_err());
    });
}

#[test]
fn unfinished_frames_and_frames_without_headroom_are_refused() {
    in_new_namespace(|| {
        let mut pool = pool();
        let mut port = open("127.0.0.1", "127.0.0.2");
        let begun = Offload { checksum: Checksum::Partial { start: 34, offset: 16 }, gso: None };
        let unfinished = Frame { offload: begun, ..frame(&mut pool, &octets(60, 1), 0) };
        let tight = Frame::new(PacketBuf::copy_of(&octets(60, 1), 0, 0));
        port.send(&mut vec![unfinished, tight], &mut pool).unwrap();
        assert_eq!((port.counters().tx_refused, port.counters().tx_frames), (2, 0));
    });
}

#[test]
fn whatever_the_lengths_all_frames_come_as_they_left() {
    in_new_namespace(|| {
        let mut pool = pool();
        let (mut here, mut there) = (open("127.0.0.1", "127.0.0.2"), open("127.0.0.2", "127.0.0.1"));
        // Trains of changing lengths and counts, with and without a shorter end, between frames that are alone.
        let mut number = 0;
        for round in 0..40_usize {
            let (len, count) =
                ([1482, 1482, 700, 66, 1400, 60][round % 6], [43, 7, 64, 20, 1, 90][round / 6 % 6]);
            let mut all: Vec<_> = (0..count)
                .map(|_| {
                    number += 1;
                    octets(len, number)
                })
                .collect();
            all.extend((round % 3 == 0).then(|| octets(len / 2 + 14, round)));
            send(&mut here, &mut pool, &all, 3).unwrap();
            assert_eq!(receive(&mut there, &mut pool, all.len()), all, "round {round}");
        }
        let lost = there.counters();
        assert_eq!(
            (lost.rx_no_buffer, lost.rx_bad_header, lost.rx_truncated, lost.rx_ring_full),
            (0, 0, 0, 0)
        );
    });
}
