//! UDP frames at a given rate, past the host's stack: by a packet socket, or in bulk, as gateways send on veth.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dataplane::{
    Batch, Depot, Frame, Pool, PoolSizes,
    port::{
        Port, PortKind,
        af_packet::{AfPacketPort, Options, Ring},
        af_xdp::{self, AfXdpPort},
    },
};
use sys::{Bulk, Claim, XdpMode};

use crate::{
    lab::{Lab, Node, host_mac, lan_mac},
    process::output,
};

/// Where frames go: the UDP port of the sink (discard, RFC 863).
pub const PORT: u16 = 9;
/// How long it takes to hear that the other end takes frames in bulk.
const SETTLE: Duration = Duration::from_secs(5);

/// How often frames leave, and how many at once.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long it sleeps when nothing is due; the kernel may add as much. At 100,000 frames a second some ten are due after 50 us.
    pause: Duration,
    burst: usize,
}

/// By a packet socket, where every frame costs the same.
pub const ONE_BY_ONE: Pace = Pace { pause: Duration::from_micros(50), burst: 32 };
/// In bulk, where a call has its price.
pub const IN_BULK: Pace = Pace { pause: Duration::from_micros(150), burst: 128 };

/// A packet socket on a host's device, and buffers.
pub fn open(device: &str) -> Result<(AfPacketPort, Pool)> {
    let options = Options {
        device: device.to_owned(),
        ring: Ring::V2,
        ring_octets: 1 << 20,
        offload: false,
        qdisc_bypass: true,
        largest_frame: 1522,
        fanout: None,
    };
    let port = AfPacketPort::open(&options).with_context(|| format!("cannot open {device}"))?;
    Ok((port, pool()))
}

/// A host's device by AF_XDP, which takes nothing that comes from the kernel.
pub fn open_xdp(device: &str) -> Result<(AfXdpPort, Pool)> {
    let options = af_xdp::Options {
        device: device.to_owned(),
        claim: Claim::Types(Vec::new()),
        largest_frame: 1522,
        ring_octets: 1 << 20,
    };
    let port = AfXdpPort::open_as(&options, XdpMode::Native, Some(&Bulk::new()?))
        .with_context(|| format!("cannot open {device}"))?;
    Ok((port, pool()))
}

fn pool() -> Pool {
    Pool::new(Depot::new(PoolSizes { small_count: 512, big_count: 1, ..PoolSizes::default() }))
}

/// Waits until a port sends in bulk.
#[expect(clippy::disallowed_methods, reason = "a generator reads the clock and waits for it")]
pub fn wait_for_bulk(port: &mut AfXdpPort, pool: &mut Pool) -> Result<()> {
    let begin = Instant::now();
    while port.kind() != PortKind::XdpBulk {
        if begin.elapsed() > SETTLE {
            bail!("the other end of the link takes no frames in bulk");
        }
        port.receive(&mut Batch::new(), pool)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Sends at `rate` for `time`: what is due is sent at once, in bursts. In between it sleeps: one that looked at the clock all the time
/// would take a processor from those whom it measures, and from the echoes beside it.
#[expect(clippy::disallowed_methods, reason = "a generator reads the clock and waits for it")]
pub fn offer(
    port: &mut impl Port,
    pool: &mut Pool,
    pace: Pace,
    flows: &[Vec<u8>],
    rate: u64,
    time: Duration,
) -> Result<u64> {
    let mut frames: Vec<Frame> = Vec::with_capacity(pace.burst);
    let (begin, mut next) = (Instant::now(), flows.iter().cycle());
    let mut offered: u64 = 0;
    loop {
        let past = begin.elapsed();
        if past >= time {
            break;
        }
        let due = u64::try_from(past.as_micros()).unwrap_or(u64::MAX).saturating_mul(rate) / 1_000_000;
        for octets in next.by_ref().take(usize::try_from(due - offered).unwrap_or(0).min(pace.burst)) {
            let mut buf = pool.for_len(octets.len()).context("no buffer")?;
            ensure!(buf.extend_from_slice(octets), "a frame fits");
            frames.push(Frame::new(buf));
        }
        offered += u64::try_from(frames.len()).unwrap_or(0);
        if frames.is_empty() {
            std::thread::sleep(pace.pause);
        } else {
            port.send(&mut frames, pool).context("cannot send")?;
        }
    }
    Ok(port.counters().tx_frames)
}

/// One UDP frame of this many octets (FCS included) from host a to host b by gateway a, in this VLAN; the flow is the source port.
pub fn frame(octets: usize, flow: u16, vlan: Option<u16>) -> Result<Vec<u8>> {
    let octets = octets.saturating_sub(4).max(60);
    let mut frame = Vec::with_capacity(octets);
    frame.extend(mac(&lan_mac(1))?);
    frame.extend(mac(&host_mac(1))?);
    if let Some(vlan) = vlan {
        frame.extend([0x81, 0x00]);
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend([0x08, 0x00]);
    let length = u16::try_from(octets - 14).context("too long")?;
    let mut ip = vec![0x45, 0];
    ip.extend(length.to_be_bytes());
    ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 10, 10, 2, 0, 10]);
    let sum = net::checksum::checksum(&ip).to_be_bytes();
    frame.extend(ip.iter().take(10));
    frame.extend(sum);
    frame.extend(ip.iter().skip(12));
    frame.extend((20_000 + flow).to_be_bytes());
    frame.extend(PORT.to_be_bytes());
    frame.extend((length - 20).to_be_bytes());
    frame.resize(octets + if vlan.is_some() { 4 } else { 0 }, 0);
    Ok(frame)
}

fn mac(text: &str) -> Result<Vec<u8>> {
    text.split(':').map(|octet| u8::from_str_radix(octet, 16).context("no MAC address")).collect()
}

/// UDP datagrams that host b's kernel has seen.
pub fn heard(lab: &Lab) -> Result<u64> {
    let said = output(lab.command(Node::HostB, "cat").arg("/proc/net/snmp"))?;
    let mut rows = said.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, numbers) = rows.next().zip(rows.next()).context("no UDP counters")?;
    let pairs = names.split(' ').zip(numbers.split(' '));
    let wanted = pairs.filter(|(name, _)| ["InDatagrams", "NoPorts", "InErrors"].contains(name));
    Ok(wanted.filter_map(|(_, number)| number.parse::<u64>().ok()).sum())
}
