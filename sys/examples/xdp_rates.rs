//! Measures AF_XDP against packet sockets on a veth pair: `cargo run --release -p sys --example xdp_rates`.
//!
//! Unit: frames per second and nanoseconds of processor time per frame. One thread sends as fast as it can, in calls of 64 or of one, one receives and
//! copies each frame out, as a port does; the sending thread also does the kernel's receive work, because veth hands
//! frames over in softirq on the same processor. Honest because both threads are pinned, all variants take turns on the
//! same interfaces in one process, medians are printed, and what is lost is shown.
#![expect(clippy::print_stdout, reason = "a measurement prints its results")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![expect(clippy::expect_used, clippy::as_conversions, clippy::cast_precision_loss, reason = "not a product")]

use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use sys::{
    Bulk, Claim, Outgoing, PacketOptions, PacketSocket, Poller, RxRing, TxBatch, XdpDevice, XdpMode,
    XdpOptions, XdpSocket, netns, process,
};

const ROUNDS: usize = 5;
/// Octets of a frame, and frames of a call.
const LOADS: [(usize, usize); 5] = [(64, 64), (512, 64), (1514, 64), (9014, 64), (64, 1)];
const WAYS: [(&str, Way); 4] = [
    ("packet", Way::Packet),
    ("xdp bulk", Way::Bulk),
    ("xdp native", Way::Xdp(XdpMode::Native)),
    ("xdp generic", Way::Xdp(XdpMode::Generic)),
];

#[derive(Clone, Copy)]
enum Way {
    Packet,
    /// Received by a socket of the driver's own, sent in bulk where that can be, else by the socket.
    Bulk,
    Xdp(XdpMode),
}

enum Port {
    Packet(PacketSocket, Box<RxRing>, TxBatch),
    /// The device stays ours as long as it is held.
    Xdp {
        device: Box<XdpDevice>,
        socket: Box<XdpSocket>,
        bulk: bool,
    },
}

fn main() {
    netns::enter_own_namespaces().expect("namespaces");
    ip("link add name east type veth peer name west");
    for name in ["east", "west"] {
        sys::sysctl::write(&format!("net/ipv6/conf/{name}/disable_ipv6"), "1").expect("sysctl");
        ip(&format!("link set dev {name} mtu 9000 up"));
    }
    println!(
        "octets, frames a call  sender > receiver: Mframes/s sent, received, ns/frame sender, ns/frame receiver (medians of {ROUNDS})"
    );
    for (octets, at_once) in LOADS {
        let mut samples = vec![Vec::new(); WAYS.len() * WAYS.len()];
        for _ in 0..ROUNDS {
            let pairs = WAYS.iter().flat_map(|from| WAYS.iter().map(move |to| (from.1, to.1)));
            for ((from, to), place) in pairs.zip(&mut samples) {
                place.push(rate(from, to, octets, at_once));
            }
        }
        let names = WAYS.iter().flat_map(|from| WAYS.iter().map(move |to| (from.0, to.0)));
        for ((from, to), samples) in names.zip(&samples) {
            let median = |which: usize| {
                let mut all: Vec<f64> =
                    samples.iter().filter_map(|s: &[f64; 4]| s.get(which).copied()).collect();
                all.sort_by(f64::total_cmp);
                all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
            };
            println!(
                "  {octets:5} x{at_once:<2} {from:>11} > {to:11} {:7.3} {:7.3} {:7.0} {:7.0}",
                median(0),
                median(1),
                median(2),
                median(3)
            );
        }
    }
}

impl Port {
    fn open(name: &str, way: Way, max_frame: usize) -> Self {
        match way {
            Way::Packet => {
                let options = PacketOptions { max_frame, ..PacketOptions::new(name) };
                let (socket, ring) = PacketSocket::open(&options).expect("socket");
                Self::Packet(socket, Box::new(ring), TxBatch::new(true))
            }
            Way::Bulk | Way::Xdp(_) => {
                let mode = if let Way::Xdp(mode) = way { mode } else { XdpMode::Native };
                let device =
                    XdpDevice::attach(name, &Claim::Everything, mode, Some(&Bulk::new().expect("maps")))
                        .expect("program");
                let options = XdpOptions { max_frame, octets: 4 << 20 };
                let socket = XdpSocket::open(&device, 0, &options).expect("socket");
                let bulk = matches!(way, Way::Bulk);
                Self::Xdp { device: Box::new(device), socket: Box::new(socket), bulk }
            }
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Packet(socket, ..) => socket.as_fd(),
            Self::Xdp { socket, .. } => socket.as_fd(),
        }
    }

    fn send(&mut self, data: &[u8], at_once: usize) -> u64 {
        let frames = || std::iter::repeat_n(data, at_once);
        let sent = match self {
            Self::Packet(socket, _, batch) => {
                batch.send(socket.as_fd(), frames().map(|data| Outgoing { vnet: None, data })).frames()
            }
            Self::Xdp { device, socket, bulk } => {
                if *bulk {
                    device.look_at_bulk();
                }
                let taken = match device.bulk().filter(|_| *bulk) {
                    Some(sender) => sender.send(frames()).taken,
                    None => 0,
                };
                if taken == 0 { socket.send(frames()).taken } else { taken }
            }
        };
        sent as u64
    }

    /// Copies up to 64 frames out.
    fn receive(&mut self, into: &mut [u8]) -> u64 {
        let mut count = 0;
        match self {
            Self::Packet(_, ring, _) => {
                while count < 64
                    && let Some(frame) = ring.next()
                {
                    let room = into.get_mut(..frame.data.len()).expect("room");
                    room.copy_from_slice(frame.data);
                    count += 1;
                }
                ring.release();
            }
            Self::Xdp { socket, .. } => {
                while count < 64
                    && let Some(frame) = socket.next_frame()
                {
                    let mut at = 0;
                    for piece in frame.pieces() {
                        let piece = piece.expect("inside");
                        into.get_mut(at..at + piece.len()).expect("room").copy_from_slice(piece);
                        at += piece.len();
                    }
                    count += 1;
                }
                socket.release();
            }
        }
        count
    }
}

/// 300 ms of sending as fast as possible.
fn rate(from: Way, to: Way, octets: usize, at_once: usize) -> [f64; 4] {
    let mut from = Port::open("east", from, 9014);
    let mut to = Port::open("west", to, 9014);
    let stop = AtomicBool::new(false);
    let stopped = &stop;
    let data = frame(octets);
    let (sent, sender_time, received, receiver_time) = std::thread::scope(|scope| {
        let receiver = scope.spawn(move || {
            process::pin_thread(1).expect("pin");
            let (mut poller, mut ready, mut into) =
                (Poller::new().expect("epoll"), Vec::new(), vec![0; 9100]);
            poller.add(to.fd(), 1).expect("epoll");
            let mut received = 0;
            while !stopped.load(Ordering::Relaxed) {
                poller.wait(&mut ready, Some(Duration::from_millis(10))).expect("epoll");
                loop {
                    let more = to.receive(&mut into);
                    received += more;
                    if more == 0 {
                        break;
                    }
                }
            }
            (received, processor_time())
        });
        process::pin_thread(0).expect("pin");
        let before = processor_time();
        let begin = Instant::now();
        let mut sent = 0;
        while begin.elapsed() < Duration::from_millis(300) {
            sent += from.send(&data, at_once);
        }
        let sender_time = processor_time().saturating_sub(before);
        stop.store(true, Ordering::Relaxed);
        let (received, receiver_time) = receiver.join().expect("receiver");
        (sent, sender_time, received, receiver_time)
    });
    let per = |time: Duration, count: u64| time.as_secs_f64() * 1e9 / count.max(1) as f64;
    [sent as f64 / 3e5, received as f64 / 3e5, per(sender_time, sent), per(receiver_time, received)]
}

fn frame(octets: usize) -> Vec<u8> {
    let mut frame = vec![0xa5; octets];
    let header = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    frame.get_mut(..14).expect("a header").copy_from_slice(&header);
    frame
}

fn processor_time() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("clock"))
}

fn ip(words: &str) {
    let status = Command::new("ip").args(words.split_whitespace()).status().expect("ip");
    assert!(status.success(), "ip {words}");
}
