//! Against the real kernel: two ends of a veth pair, each in a namespace of its own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;

use super::*;
use crate::testbed::{in_new_namespace, wait_for};

const KEY: &[u8] = b"correct horse";

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The loopback of a new namespace is as good a link as any, and TTLs are as sent.
fn on_loopback(test: impl Fn(IpAddr) + Send + Sync) {
    in_new_namespace(|_| {
        ip("link set lo up");
        for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            test(address);
        }
    });
}

/// Both ends of a connection, or `None` when the client's did not come about.
fn joined(listener: &TcpListener, mut client: TcpStream) -> Option<(TcpStream, TcpStream)> {
    let mut taken = None;
    let mut poller = crate::Poller::new().unwrap();
    poller.add(listener, 1).unwrap();
    let mut ready = Vec::new();
    for _ in 0..30 {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).unwrap();
            taken = Some(stream);
        }
        if taken.is_some() && client.write(b"x").is_ok() {
            break;
        }
        poller.wait(&mut ready, Some(Duration::from_millis(10))).unwrap();
    }
    let mut server = taken?;
    wait_for(|| server.read(&mut [0; 8]).is_ok());
    Some((server, client))
}

fn pair(
    address: IpAddr,
    port: u16,
    hops: (Hops, Hops),
    keys: (Option<&[u8]>, Option<&[u8]>),
) -> Option<(TcpStream, TcpStream)> {
    let here = SocketAddr::new(address, port);
    let listener = listen("lo", here, hops.0).unwrap();
    if let Some(key) = keys.0 {
        set_md5_key(&listener, here, key).unwrap();
    }
    let client = connect("lo", Some(address), here, hops.1, keys.1).unwrap();
    let joined = joined(&listener, client);
    // Whom the kernel refused, it refused at this socket.
    assert_eq!(dropped(&listener).unwrap() > 0, joined.is_none());
    joined
}

#[test]
fn equal_keys_connect_and_others_are_counted() {
    on_loopback(|address| {
        let hops = (Hops::ONE, Hops::ONE);
        assert!(pair(address, 1001, hops, (Some(KEY), Some(KEY))).is_some());
        assert!(pair(address, 1002, hops, (None, None)).is_some());
        let before = refusals().unwrap();
        assert!(pair(address, 1003, hops, (Some(KEY), Some(b"another"))).is_none());
        assert!(refusals().unwrap().since(before).failure > 0);
        let before = refusals().unwrap();
        assert!(pair(address, 1004, hops, (Some(KEY), None)).is_none());
        assert!(refusals().unwrap().since(before).not_found > 0);
        let before = refusals().unwrap();
        assert!(pair(address, 1005, hops, (None, Some(KEY))).is_none());
        assert!(refusals().unwrap().since(before).unexpected > 0);
    });
}

#[test]
fn a_live_connection_is_given_another_key_without_an_end() {
    on_loopback(|address| {
        let hops = (Hops::ONE, Hops::ONE);
        let (mut server, mut client) = pair(address, 1010, hops, (Some(KEY), Some(KEY))).unwrap();
        let (server_name, client_name) = (client.peer_addr().unwrap(), server.peer_addr().unwrap());
        set_md5_key(&server, client_name, b"the next one").unwrap();
        server.write_all(b"signed with the new key").unwrap();
        set_md5_key(&client, server_name, b"the next one").unwrap();
        let mut text = Vec::new();
        wait_for(|| {
            let mut octets = [0; 64];
            let count = client.read(&mut octets).unwrap_or(0);
            text.extend_from_slice(&octets[..count]);
            text == b"signed with the new key"
        });
    });
}

#[test]
fn a_key_may_have_80_octets_and_may_be_for_a_network() {
    on_loopback(|address| {
        let here = SocketAddr::new(address, 1020);
        let listener = listen("lo", here, Hops::ONE).unwrap();
        assert!(set_md5_key(&listener, here, &[7; 81]).is_err());
        set_md5_key(&listener, here, &[7; 80]).unwrap();
        set_md5_key(&listener, here, &[]).unwrap();
        let network = match address {
            IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::new(127, 0, 0, 0).into(), 0),
            IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
        };
        set_md5_key_for_prefix(&listener, network, 8, KEY).unwrap();
        let client = connect("lo", None, here, Hops::ONE, Some(KEY)).unwrap();
        assert!(joined(&listener, client).is_some());
        assert!(set_md5_key_for_prefix(&listener, network, 129, KEY).is_err());
    });
}

// As many neighbours as a gateway may have call in the same moment, before anybody has looked.
#[test]
fn hundreds_may_call_at_once() {
    on_loopback(|address| {
        let here = SocketAddr::new(address, 1040);
        let _listener = listen("lo", here, Hops::ONE).unwrap();
        let clients: Vec<_> = (0..400).map(|_| connect("lo", None, here, Hops::ONE, None).unwrap()).collect();
        let connected = || clients.iter().filter(|client| client.peer_addr().is_ok()).count();
        wait_for(|| connected() == clients.len());
    });
}

// RFC 5082: what a router has forwarded has lost a hop.
#[test]
fn gtsm_takes_nothing_with_a_smaller_ttl() {
    on_loopback(|address| {
        assert!(pair(address, 1030, (Hops::GTSM, Hops::GTSM), (None, None)).is_some());
        let before = refusals().unwrap();
        assert!(pair(address, 1031, (Hops::GTSM, Hops::ONE), (None, None)).is_none());
        assert!(refusals().unwrap().since(before).min_ttl > 0);
        assert!(pair(address, 1032, (Hops { ttl: 255, min_ttl: 0 }, Hops::ONE), (None, None)).is_some());
    });
}

#[test]
fn the_same_link_local_addresses_stand_on_two_devices() {
    in_new_namespace(|_| {
        for device in ["v1", "v2"] {
            ip(&format!("link add {device} type veth peer name {device}x"));
            ip(&format!("addr add fe80::1/64 dev {device} nodad"));
            ip(&format!("addr add fe80::2/64 dev {device}x nodad"));
            for end in [device.to_owned(), format!("{device}x")] {
                crate::sysctl::write(&format!("net/ipv6/conf/{end}/accept_dad"), "0").unwrap();
                ip(&format!("link set {end} up"));
            }
        }
        for device in ["v1", "v2"] {
            let (here, far) = ("fe80::1".parse().unwrap(), format!("{device}x"));
            let there = SocketAddr::new("fe80::2".parse().unwrap(), 179);
            let listener = listen(&far, there, Hops::GTSM).unwrap();
            let client = connect(device, Some(here), there, Hops::GTSM, None).unwrap();
            let (server, _client) = joined(&listener, client).unwrap();
            assert_eq!(server.peer_addr().unwrap().ip(), here, "{device}");
        }
    });
}

#[test]
fn counters_are_found_by_name() {
    let text = "TcpExt: A TCPMinTTLDrop TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure B\nTcpExt: 9 4 1 2 3 8\nIpExt: X\nIpExt: 7\n";
    assert_eq!(counters_in(text), Refusals { not_found: 1, unexpected: 2, failure: 3, min_ttl: 4 });
    assert_eq!(counters_in("TcpExt: A\n"), Refusals::default());
}
