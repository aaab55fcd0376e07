//! Against the kernel, over the loopback device of a network namespace of our own.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use super::*;
use crate::netns::NetNs;
use crate::poll::Poller;

/// Runs `test` in a namespace whose loopback device is up; loudly not at all where that cannot be made.
fn in_new_namespace(test: impl FnOnce() + Send) {
    match NetNs::new() {
        Ok(namespace) => namespace
            .within(|| {
                assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
                test();
            })
            .unwrap(),
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "must not be skipped in CI: {error}");
            eprintln!("SKIPPED: no new network namespace: {error}");
        }
    }
}

const LOOPBACKS: [&str; 2] = ["127.0.0.1", "::1"];

fn pair(address: &str) -> (UdpSocket, UdpSocket) {
    let ip: IpAddr = address.parse().unwrap();
    let here = UdpSocket::bind("lo", SocketAddr::new(ip, 4789)).unwrap();
    let there = UdpSocket::bind("lo", SocketAddr::new(ip, 50_000)).unwrap();
    assert!(here.receive_trains().unwrap());
    here.set_buffers(4 << 20, 1 << 20).unwrap();
    there.connect(SocketAddr::new(ip, 4789)).unwrap();
    (here, there)
}

/// One message, into these pieces.
fn receive(socket: &UdpSocket, pieces: &mut [&mut [u8]]) -> io::Result<UdpReceived> {
    let mut intake = UdpIntake::new();
    let pieces = pieces.iter_mut().map(|piece| IoSliceMut::new(piece));
    assert_eq!(intake.receive(socket, [pieces])?, (1, 1));
    Ok(intake.received(0).unwrap())
}

/// Everything that waits, datagram by datagram, and how many calls it took.
fn drain(socket: &UdpSocket, expect: usize) -> (Vec<Vec<u8>>, usize) {
    let (mut all, mut calls, mut buffer) = (Vec::new(), 0, vec![0; 65_536]);
    let mut poller = Poller::new().unwrap();
    poller.add(socket.as_fd(), 1).unwrap();
    while all.len() < expect {
        let mut ready = Vec::new();
        poller.wait(&mut ready, Some(std::time::Duration::from_secs(5))).unwrap();
        assert!(!ready.is_empty(), "{} of {expect} came", all.len());
        let got = receive(socket, &mut [&mut buffer]).unwrap();
        assert!(!got.truncated);
        calls += 1;
        all.extend(buffer[..got.octets].chunks(got.segment).map(<[u8]>::to_vec));
    }
    (all, calls)
}

fn numbered(len: usize, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|at| vec![u8::try_from(at % 251).unwrap(); len]).collect()
}

#[test]
fn trains_arrive_whole_datagram_by_datagram_and_in_order() {
    in_new_namespace(|| {
        for address in LOOPBACKS {
            let (here, there) = pair(address);
            let mut sent = numbered(1400, 40);
            sent.push(vec![0xee; 700]);
            sent.extend(numbered(1400, 3));
            let mut trains = UdpTrains::new();
            let done = trains.send(&there, sent.iter().map(|one| (&one[..], 0)), true);
            assert!(done.stopped.is_none(), "{done:?}");
            assert_eq!(done.sent, sent.len());
            let (came, calls) = drain(&here, sent.len());
            assert_eq!(came, sent);
            assert!(calls <= 3, "{calls} calls for two trains");
        }
    });
}

#[test]
fn a_train_ends_at_64_datagrams_and_at_what_an_ip_packet_holds() {
    in_new_namespace(|| {
        for (len, count) in [(100, 200), (9000, 20), (1, 70), (60_000, 3)] {
            let (here, there) = pair("127.0.0.1");
            let sent = numbered(len, count);
            let done = UdpTrains::new().send(&there, sent.iter().map(|one| (&one[..], 0)), true);
            assert!(done.stopped.is_none(), "{len}: {done:?}");
            assert_eq!(done.sent, count);
            assert_eq!(drain(&here, count).0, sent);
        }
    });
}

#[test]
fn more_than_the_arrays_hold_is_left_for_the_next_call() {
    in_new_namespace(|| {
        let (_here, there) = pair("127.0.0.1");
        let mut trains = UdpTrains::new();
        let one = [0; 10];
        let many = trains.send(&there, std::iter::repeat_n((&one[..], 0), PIECES_AND_MORE), true);
        assert_eq!((many.sent, many.stopped.is_none()), (1024, true));
        // Lengths that grow make no trains.
        let growing = numbered(1, 100).into_iter().enumerate().map(|(at, _)| vec![0; at + 1]);
        let growing: Vec<_> = growing.collect();
        let singles = trains.send(&there, growing.iter().map(|one| (&one[..], 0)), true);
        assert_eq!((singles.sent, singles.stopped.is_none()), (64, true));
    });
}

const PIECES_AND_MORE: usize = 1500;

#[test]
fn who_sent_it_is_told_and_a_small_buffer_is_noticed() {
    in_new_namespace(|| {
        for address in LOOPBACKS {
            let (here, there) = pair(address);
            let done = UdpTrains::new().send(&there, [(&[7; 50][..], 0)], false);
            assert_eq!(done.sent, 1);
            let got = receive(&here, &mut [&mut [0; 8], &mut [0; 12]]).unwrap();
            assert_eq!(got.source, Some(address.parse().unwrap()));
            assert_eq!((got.octets, got.truncated), (20, true));
            let empty = receive(&here, &mut [&mut [0; 8], &mut [0; 12]]).unwrap_err();
            assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        }
    });
}

#[test]
fn one_call_takes_several_trains_and_says_when_nothing_is_left() {
    in_new_namespace(|| {
        for address in LOOPBACKS {
            let (here, there) = pair(address);
            // Lengths that differ, so that the kernel joins nothing of one to another.
            let lengths = [1400, 900, 1200, 60, 1000];
            let mut trains = UdpTrains::new();
            for len in lengths {
                let sent = numbered(len, 20);
                assert_eq!(trains.send(&there, sent.iter().map(|one| (one.as_slice(), 0)), true).sent, 20);
            }
            let mut intake = UdpIntake::new();
            let mut buffers = vec![vec![0xa5; 65_536]; 3];
            let mut take = |buffers: &mut [Vec<u8>]| {
                let (heads, tails): (Vec<_>, Vec<_>) =
                    buffers.iter_mut().map(|b| b.split_at_mut(1000)).unzip();
                let pieces = heads.into_iter().zip(tails).map(|(a, b)| [a, b].map(IoSliceMut::new));
                let counts = intake.receive(&here, pieces).map_err(|error| error.kind())?;
                Ok((counts, (0..counts.0).map(|at| intake.received(at).unwrap()).collect::<Vec<_>>()))
            };
            let mut all = Vec::new();
            for expect in [(3, 3), (2, 3)] {
                let (counts, came) = take(&mut buffers).unwrap();
                assert_eq!(counts, expect);
                for (received, buffer) in came.iter().zip(&buffers) {
                    assert_eq!(received.source, Some(address.parse().unwrap()));
                    assert!(!received.truncated);
                    let datagrams: Vec<_> =
                        buffer[..received.octets].chunks(received.segment).map(<[u8]>::to_vec).collect();
                    all.push(datagrams);
                }
            }
            assert_eq!(all, lengths.map(|len| numbered(len, 20)));
            assert_eq!(take(&mut buffers), Err(io::ErrorKind::WouldBlock));
        }
    });
}

#[test]
fn a_closed_port_is_told_once_and_then_sending_goes_on() {
    in_new_namespace(|| {
        let (here, there) = pair("127.0.0.1");
        drop(here);
        let mut trains = UdpTrains::new();
        assert_eq!(trains.send(&there, [(&[0; 10][..], 0)], true).sent, 1);
        let told = trains.send(&there, [(&[0; 10][..], 0)], true);
        let (error, count) = told.stopped.unwrap();
        assert_eq!((told.sent, error.raw_os_error(), count), (0, Some(libc::ECONNREFUSED), 1));
        assert_eq!(trains.send(&there, [(&[0; 10][..], 0)], true).sent, 1);
    });
}

#[test]
fn what_the_path_does_not_carry_is_refused_and_the_path_says_what_it_carries() {
    in_new_namespace(|| {
        assert!(Command::new("ip").args(["link", "set", "lo", "mtu", "1400"]).status().unwrap().success());
        let (_here, there) = pair("127.0.0.1");
        assert_eq!(there.path_mtu().unwrap(), 1400);
        let refused = UdpTrains::new().send(&there, [(&[0; 1373][..], 0)], false);
        assert_eq!(refused.stopped.unwrap().0.raw_os_error(), Some(libc::EMSGSIZE));
        let most = UdpTrains::new().send(&there, [(&[0; 1372][..], 0)], false);
        assert_eq!(most.sent, 1);
    });
}

#[test]
fn a_socket_that_refuses_all_receives_nothing_and_drops_are_counted() {
    in_new_namespace(|| {
        let (here, there) = pair("127.0.0.1");
        here.refuse_all().unwrap();
        assert_eq!(UdpTrains::new().send(&there, [(&[0; 10][..], 0)], false).sent, 1);
        let empty = receive(&here, &mut [&mut [0; 8], &mut [0; 12]]).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        assert!(here.dropped().unwrap() > 0);
    });
}

#[test]
fn a_route_is_there_or_not() {
    in_new_namespace(|| {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        route("lo", at("127.0.0.1"), at("127.0.0.2")).unwrap();
        route("lo", at("127.0.0.1"), at("192.0.2.1")).unwrap_err();
        let stranger = route("lo", at("192.0.2.1"), at("127.0.0.1")).unwrap_err();
        assert_eq!(stranger.raw_os_error(), Some(libc::EADDRNOTAVAIL));
        assert!(route("nodevice", at("127.0.0.1"), at("127.0.0.2")).is_err());
        route("lo", at("::1"), at("2001:db8::1")).unwrap_err();
    });
}
