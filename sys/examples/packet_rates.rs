//! Measures the packet socket on a veth pair: `cargo run --release -p sys --example packet_rates`.
//!
//! Unit: microseconds for the time of a round trip (a frame out, its echo back, both sides asleep in epoll between),
//! frames per second and nanoseconds of processor time per frame for the rates. One thread sends as fast as it can,
//! one receives and copies each frame out, as a port does; the sending thread also does the kernel's receive work,
//! because veth hands frames over in softirq on the same processor. Honest because both threads are pinned, every
//! variant runs in the same process on the same interfaces, and what is lost is counted and shown.
//!
//! It answers: V2 or V3 for which port, qdisc bypass or not, and what a rest (`sys::rest`) of 50 us after each emptied
//! ring is worth. Needs `ip` and two processors; makes namespaces of its own.
//!
//! On a virtual machine with two processors and Linux 6.18, not quiet, so processor time is what to compare:
//! round trip 45 to 80 us on V2, 1000 us on V3. Per frame of 64 octets, sender and receiver: V2 2.8 and 0.7 us; V2 with
//! rests 2.1 and 0.4 us; V3 2.0 and 0.1 us. Of 60,000 octets: V2 with rests 6.2 and 2.4 us; V3 6.5 and 2.6 us. With and without the queueing
//! discipline the same. `PACKET_TX_RING` (V2, past the discipline) against `sendmmsg`, three runs, nobody receiving:
//! 64 octets 1.5 to 2.1 against 1.4 to 1.9 us, 1514 octets 1.6 to 2.2 against 1.5 to 1.9, 8000 octets 2.1 to 2.8 against
//! 2.1 to 2.5; so there is no transmit ring here.
#![expect(clippy::print_stdout, reason = "a measurement prints its results")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![expect(clippy::expect_used, clippy::as_conversions, clippy::cast_precision_loss, reason = "not a product")]

use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use sys::{
    Outgoing, PacketOptions, PacketSocket, Poller, RingVersion, RxRing, Statistics, TxBatch, netns, process,
};

fn main() {
    netns::enter_own_namespaces().expect("namespaces");
    ip("link add name east type veth peer name west");
    for name in ["east", "west"] {
        sys::sysctl::write(&format!("net/ipv6/conf/{name}/disable_ipv6"), "1").expect("sysctl");
        ip(&format!("link set dev {name} mtu 9000 up"));
    }
    let v3 = |millis| RingVersion::V3 { retire: Duration::from_millis(millis) };
    println!("round trip, microseconds (median, 99 %)");
    for (name, ring) in [("V2", RingVersion::V2), ("V3, retire 1 ms", v3(1)), ("V3, retire 10 ms", v3(10))] {
        let (median, high) = round_trip(ring);
        println!("  {name:18} {median:8.1} {high:8.1}");
    }
    println!(
        "\none sender, one receiver: Mframes/s sent, received, % dropped, ns/frame sender, ns/frame receiver"
    );
    let variants = [
        ("V2", RingVersion::V2, false, false),
        ("V2, rests", RingVersion::V2, true, false),
        ("V2, rests, bypass", RingVersion::V2, true, true),
        ("V3, retire 1 ms", v3(1), false, false),
    ];
    for octets in [64, 1514, 8000, 60_000] {
        for (name, ring, rests, bypass) in variants {
            println!("  {octets:6} {name:18} {}", rate(ring, rests, bypass, octets));
        }
    }
}

fn options(interface: &str, ring: RingVersion, bypass: bool) -> PacketOptions {
    PacketOptions { ring, qdisc_bypass: bypass, ..PacketOptions::new(interface) }
}

/// Median and 99th percentile of a frame's way to the other side and back, in microseconds.
fn round_trip(ring: RingVersion) -> (f64, f64) {
    let (near, mut near_ring) = PacketSocket::open(&options("east", ring, true)).expect("socket");
    let (far, mut far_ring) = PacketSocket::open(&options("west", ring, true)).expect("socket");
    let stop = AtomicBool::new(false);
    let (data, stopped) = (frame(64), &stop);
    let echo = data.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            process::pin_thread(1).expect("pin");
            while !stopped.load(Ordering::Relaxed) {
                if wait(&far, &mut far_ring, Duration::from_millis(100)) {
                    let _ = TxBatch::new(true).send(far.as_fd(), [Outgoing { vnet: None, data: &echo }]);
                }
            }
        });
        process::pin_thread(0).expect("pin");
        let mut times: Vec<Duration> = (0..2000)
            .map(|_| {
                let start = Instant::now();
                let _ = TxBatch::new(true).send(near.as_fd(), [Outgoing { vnet: None, data: &data }]);
                assert!(wait(&near, &mut near_ring, Duration::from_secs(1)), "the echo was lost");
                start.elapsed()
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        times.sort_unstable();
        let at = |part: usize| times.get(times.len() * part / 100).map_or(0.0, |t| t.as_secs_f64() * 1e6);
        (at(50), at(99))
    })
}

/// Waits for one frame and takes it.
fn wait(socket: &PacketSocket, ring: &mut RxRing, limit: Duration) -> bool {
    let mut poller = Poller::new().expect("epoll");
    let mut ready = Vec::new();
    poller.add(socket, 1).expect("epoll");
    while ring.next().is_none() {
        poller.wait(&mut ready, Some(limit)).expect("epoll");
        if ready.is_empty() {
            return false;
        }
    }
    ring.release();
    true
}

/// One second of sending as fast as possible.
fn rate(ring: RingVersion, rests: bool, bypass: bool, octets: usize) -> String {
    let tx = PacketSocket::open_for_sending(&options("east", ring, bypass)).expect("socket");
    let (rx, mut rx_ring) = PacketSocket::open(&options("west", ring, bypass)).expect("socket");
    let stop = AtomicBool::new(false);
    let data = frame(octets);
    // Above the MTU only a super-frame passes: TCP over IPv4, segments of 1448 octets.
    let vnet = (octets > 9014).then_some([1, 1, 54, 0, 0xa8, 0x05, 34, 0, 16, 0]);
    let stopped = &stop;
    let (sent, sender_time, receiver_time, statistics) = std::thread::scope(|scope| {
        let receiver = scope.spawn(move || {
            process::pin_thread(1).expect("pin");
            drain(&rx, &mut rx_ring, rests, stopped);
            (processor_time(), rx.statistics().expect("statistics"))
        });
        let data = &data;
        let sender = scope.spawn(move || {
            process::pin_thread(0).expect("pin");
            let sent = flood(&tx, &Outgoing { vnet, data });
            (sent, processor_time())
        });
        let (sent, sender_time) = sender.join().expect("sender");
        stop.store(true, Ordering::Relaxed);
        let (receiver_time, statistics) = receiver.join().expect("receiver");
        (sent, sender_time, receiver_time, statistics)
    });
    let Statistics { packets, drops, .. } = statistics;
    let per = |time: Duration, count: u64| time.as_secs_f64() * 1e9 / count.max(1) as f64;
    format!(
        "{:7.3} {:7.3} {:5.1} {:7.0} {:7.0}",
        sent as f64 / 1e6,
        packets as f64 / 1e6,
        drops as f64 * 100.0 / sent.max(1) as f64,
        per(sender_time, sent),
        per(receiver_time, packets),
    )
}

fn drain(socket: &PacketSocket, ring: &mut RxRing, rests: bool, stop: &AtomicBool) {
    let mut poller = Poller::new().expect("epoll");
    let mut ready = Vec::new();
    let mut buffers = vec![vec![0u8; 65_549]; 64];
    let mut next = (0..buffers.len()).cycle();
    process::set_timer_slack(Duration::from_nanos(1)).expect("slack");
    poller.add(socket, 1).expect("epoll");
    while !stop.load(Ordering::Relaxed) {
        while let Some(frame) = ring.next() {
            let Some(buffer) = next.next().and_then(|at| buffers.get_mut(at)) else { return };
            if frame.is_elsewhere() {
                let _ = frame.take_whole(buffer);
            } else if let Some(room) = buffer.get_mut(..frame.data.len()) {
                room.copy_from_slice(frame.data);
            }
        }
        if rests {
            sys::rest(Duration::from_micros(50));
        }
        poller.wait(&mut ready, Some(Duration::from_millis(20))).expect("epoll");
    }
    std::hint::black_box(buffers);
}

fn flood(socket: &PacketSocket, frame: &Outgoing<'_>) -> u64 {
    let mut batch = TxBatch::new(true);
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(1) {
        sent += batch.send(socket.as_fd(), std::iter::repeat_n(*frame, 64)).frames() as u64;
    }
    sent
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("clock").into()
}

/// A TCP segment over IPv4, or what is left of one in `octets` octets.
fn frame(octets: usize) -> Vec<u8> {
    let length = u16::try_from(octets - 14).expect("up to 65,535").to_be_bytes();
    let mut frame = vec![0xff; 12];
    frame.extend([0x08, 0x00]);
    frame.extend([0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    frame.resize(octets, 0x5a);
    frame
}

fn ip(words: &str) {
    assert!(Command::new("ip").args(words.split(' ')).status().expect("ip").success(), "ip {words}");
}
