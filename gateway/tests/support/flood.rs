//! More frames than a gateway can carry: a generator past its host's stack, and a count of what came through.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use dataplane::port::Port as _;
use dataplane::port::af_packet::{AfPacketPort, Options, Ring};
use dataplane::{Depot, Frame, Pool, PoolSizes};
use gateway::clock;
use gateway::lab::{Lab, Stop, Topology};

use super::shell::must;

/// The port that the sink has (discard, RFC 863).
const PORT: u16 = 9;
const FLOWS: u16 = 64;
const BURST: usize = 32;

/// UDP frames of 64 flows from the host of one site to that of the other, while this lives.
#[derive(Debug)]
pub(crate) struct Flood {
    stop: Stop,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    /// Offers `rate` frames a second of `octets` octets, Ethernet header included, from site 1 or 2 to the other.
    pub(crate) fn start(lab: &Lab, site: u8, octets: usize, rate: u64) -> Self {
        let node = if site == 1 { "h-a" } else { "h-b" };
        let options = Options {
            device: "eth0".to_owned(),
            ring: Ring::V2,
            ring_octets: 1 << 18,
            offload: false,
            qdisc_bypass: true,
            largest_frame: 1518,
            fanout: None,
        };
        let port = lab.in_node(node, || AfPacketPort::open(&options).unwrap()).unwrap();
        let (stop, sent) = (Stop::new(), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (stop.clone(), sent.clone());
        let frames = (0..FLOWS).map(|flow| frame(site, octets, flow)).collect::<Vec<_>>();
        let offering = move || offer(port, &frames, rate, &stopped, &counted);
        let thread = std::thread::Builder::new().name("flood".to_owned()).spawn(offering).unwrap();
        Self { stop, sent, thread: Some(thread) }
    }

    /// Frames sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.request();
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn offer(mut port: AfPacketPort, flows: &[Vec<u8>], rate: u64, stop: &Stop, sent: &AtomicU64) {
    let sizes = PoolSizes { small_count: 256, big_count: 1, ..PoolSizes::default() };
    let mut pool = Pool::new(Depot::new(sizes));
    let mut burst: Vec<Frame> = Vec::with_capacity(BURST);
    // The load must be there whoever wants the processors; without the right to it, it is what it is.
    let _first = sys::process::set_realtime(0, Some(1));
    let (begin, mut next, mut offered) = (clock::now(), flows.iter().cycle(), 0);
    while !stop.is_requested() {
        let past = u64::try_from(clock::now().since(begin).as_micros()).unwrap();
        let due = past * rate / 1_000_000 - offered;
        for octets in next.by_ref().take(usize::try_from(due).unwrap().min(BURST)) {
            let mut buf = pool.for_len(octets.len()).unwrap();
            assert!(buf.extend_from_slice(octets));
            burst.push(Frame::new(buf));
        }
        // What could not be sent in time is not made up for: the rate is what is offered.
        offered += due;
        if burst.is_empty() {
            sys::rest(Duration::from_micros(200));
        } else {
            port.send(&mut burst, &mut pool).unwrap();
            sent.store(port.counters().tx_frames, Ordering::Relaxed);
        }
    }
}

fn frame(site: u8, octets: usize, flow: u16) -> Vec<u8> {
    let length = u16::try_from(octets - 14).unwrap();
    let mut header = vec![0x45, 0];
    header.extend(length.to_be_bytes());
    header.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, site, 0, 2, 10, 3 - site, 0, 2]);
    let sum = net::checksum::checksum(&header).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    let udp = [20_000 + flow, PORT, length - 20, 0].map(u16::to_be_bytes).concat();
    let mac = Topology::gateway_mac(site, 0).0;
    let mut frame = [&mac[..], &[2, 0, 0, 0, 0, 1, 8, 0], &header, &udp].concat();
    frame.resize(octets, 0);
    frame
}

/// A socket at a host that nobody reads: its kernel counts what comes for it, and answers nothing.
pub(crate) fn sink(lab: &Lab, node: &str) -> UdpSocket {
    lab.in_node(node, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap()).unwrap()
}

/// UDP datagrams that a host's kernel has seen, read or not.
pub(crate) fn heard(lab: &Lab, node: &str) -> u64 {
    let text = must(lab, node, "nstat -asz UdpInDatagrams UdpInErrors UdpNoPorts");
    text.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}
