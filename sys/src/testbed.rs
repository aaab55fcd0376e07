//! For the tests of this crate: a network namespace of its own for each test, with veth pairs in it.
//!
//! A test that cannot have one (no privilege, no `ip`) is skipped loudly; in CI (environment `CI=true`) it fails.
//! Run unprivileged tests with `unshare --user --map-root-user --net cargo test -p sys`.

use std::fs::File;
use std::io;
use std::process::Command;
use std::time::Duration;

use crate::netns::NetNs;
use crate::{PacketOptions, PacketSocket, Poller, Ready, RingVersion, RxFrame, RxRing};

/// The namespace that the test's thread is in.
pub(crate) struct Bed(());

/// Runs `test` on a thread inside a new network namespace.
pub(crate) fn in_new_namespace(test: impl FnOnce(&Bed) + Send) {
    if let Err(e) = Command::new("ip").arg("-V").output() {
        return skip("ip(8) cannot be run", &e);
    }
    match NetNs::new() {
        Ok(namespace) => namespace.within(|| test(&Bed(()))).unwrap(),
        Err(e) => skip("no new network namespace", &e),
    }
}

/// As [`in_new_namespace`], for tests that need TAP devices.
pub(crate) fn in_new_namespace_with_taps(test: impl FnOnce(&Bed) + Send) {
    match File::options().read(true).write(true).open("/dev/net/tun") {
        Ok(_) => in_new_namespace(test),
        Err(e) => skip("/dev/net/tun cannot be opened", &e),
    }
}

pub(crate) fn skip(why: &str, error: &io::Error) {
    assert!(std::env::var_os("CI").is_none_or(|v| v != "true"), "must not be skipped in CI: {why}: {error}");
    eprintln!("SKIPPED: {why}: {error}");
}

impl Bed {
    /// Runs `ip` with `words`, which must succeed.
    pub(crate) fn ip(&self, words: &str) {
        let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A pair of interfaces, up, on which the kernel itself sends nothing.
    pub(crate) fn veth(&self, a: &str, b: &str) {
        self.ip(&format!("link add name {a} type veth peer name {b}"));
        [a, b].into_iter().for_each(|name| self.take_up(name));
        [a, b].into_iter().for_each(|name| self.active(name));
    }

    /// Takes `name` up without IPv6 and waits until it works.
    pub(crate) fn up(&self, name: &str) {
        self.take_up(name);
        self.active(name);
    }

    /// Takes `name` up without IPv6, whether it works or not.
    pub(crate) fn take_up(&self, name: &str) {
        crate::sysctl::write(&format!("net/ipv6/conf/{name}/disable_ipv6"), "1").unwrap();
        self.ip(&format!("link set dev {name} up"));
    }

    /// Waits until the kernel has activated the queueing discipline of `name`; before, it swallows frames.
    pub(crate) fn active(&self, name: &str) {
        wait_for(|| {
            let output = Command::new("ip").args(["link", "show", "dev", name]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            !text.contains("DOWN") && !text.contains("qdisc noop ")
        });
    }
}

/// Both ring layouts, for tests that must hold on each.
pub(crate) fn ring_versions() -> [RingVersion; 2] {
    [RingVersion::V2, RingVersion::V3 { retire: Duration::from_millis(1) }]
}

/// Small rings on `interface`.
pub(crate) fn options(interface: &str, ring: RingVersion) -> PacketOptions {
    PacketOptions { ring, ring_octets: 2 << 20, ..PacketOptions::new(interface) }
}

pub(crate) fn open(options: &PacketOptions) -> (PacketSocket, RxRing) {
    PacketSocket::open(options).unwrap()
}

/// A received frame, copied out of the ring.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Copied {
    pub(crate) data: Vec<u8>,
    pub(crate) vlan: Option<(u16, u16)>,
    pub(crate) vnet: Option<[u8; 10]>,
    pub(crate) packet_type: u8,
    pub(crate) truncated: bool,
}

/// The next `count` frames; fails when they do not come within five seconds.
pub(crate) fn receive(socket: &PacketSocket, ring: &mut RxRing, count: usize) -> Vec<Copied> {
    let mut poller = Poller::new().unwrap();
    poller.add(socket, 1).unwrap();
    let mut frames = Vec::new();
    let mut ready: Vec<Ready> = Vec::new();
    loop {
        while let Some(frame) = ring.next() {
            frames.push(Copied {
                data: whole(&frame),
                vlan: frame.vlan,
                vnet: frame.vnet,
                packet_type: frame.packet_type,
                truncated: frame.is_truncated(),
            });
        }
        if frames.len() >= count {
            assert_eq!(frames.len(), count, "more came than were sent");
            return frames;
        }
        poller.wait(&mut ready, Some(Duration::from_secs(5))).unwrap();
        assert!(!ready.is_empty(), "{} of {count} frames came", frames.len());
    }
}

/// The octets of `frame`, from wherever they are.
fn whole(frame: &RxFrame<'_>) -> Vec<u8> {
    if !frame.is_elsewhere() {
        return frame.data.to_vec();
    }
    let mut data = vec![0xa5; frame.length];
    assert_eq!(frame.take_whole(&mut data).unwrap(), frame.length);
    assert!(data.starts_with(frame.data));
    data
}

/// A broadcast frame with a local-experimental EtherType (0x88b5), `octets` long, that carries `number`.
pub(crate) fn frame(octets: usize, number: u8) -> Vec<u8> {
    let mut frame = vec![number; octets];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, number]);
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame
}

/// Looks again and again until `done` holds; fails after five seconds.
pub(crate) fn wait_for(mut done: impl FnMut() -> bool) {
    let mut poller = Poller::new().unwrap();
    let mut ready = Vec::new();
    for _ in 0..5000 {
        if done() {
            return;
        }
        poller.wait(&mut ready, Some(Duration::from_millis(1))).unwrap();
    }
    panic!("it did not come about in five seconds");
}
