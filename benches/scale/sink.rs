//! Host b, without its kernel, which may know no VLANs: answers ARP on every VLAN and counts UDP frames, by a packet socket.

use std::{
    io::{Read, Write, stdin, stdout},
    os::fd::AsFd,
};

use anyhow::{Context, Result};
use dataplane::{Batch, Frame, Pool, port::Port};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use support::generator;

/// Where tags end and the EtherType stands.
const ETHERTYPE: usize = 16;
const ARP: [u8; 2] = [0x08, 0x06];
const IPV4: [u8; 2] = [0x08, 0x00];
const HOST: [u8; 4] = [10, 2, 0, 10];
const MAC: [u8; 6] = [2, 0, 0, 0, 2, 0x10];

/// Says `ready`, then `first` when the first UDP frame came, and their number for each line that it is given; until its input ends.
pub(crate) fn run() -> Result<()> {
    let (mut port, mut pool) = generator::open("eth0")?;
    say("ready")?;
    let (mut count, mut answers) = (0_u64, Vec::new());
    loop {
        let asked = wait(&port)?;
        let mut batch = Batch::new();
        while port.receive(&mut batch, &mut pool).context("host b's device")? > 0 {
            for frame in batch.drain(..) {
                if is_udp(&frame.buf) {
                    count += 1;
                    if count == 1 {
                        say("first")?;
                    }
                } else if let Some(reply) = answer(&frame.buf) {
                    answers.extend(filled(&mut pool, &reply));
                }
                pool.recycle(frame);
            }
        }
        if !answers.is_empty() {
            port.send(&mut answers, &mut pool).context("host b's device")?;
        }
        if asked {
            let mut line = [0; 1];
            if stdin().read(&mut line)? == 0 {
                return Ok(());
            }
            say(&count.to_string())?;
        }
    }
}

/// Waits for frames or a question; true when there is a question.
fn wait(port: &impl Port) -> Result<bool> {
    let input = stdin();
    let fd = port.fd().context("the port has a descriptor")?;
    let mut both = [PollFd::new(fd, PollFlags::POLLIN), PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    poll(&mut both, PollTimeout::NONE)?;
    Ok(both[1].any().unwrap_or(false))
}

fn say(line: &str) -> Result<()> {
    println!("{line}");
    Ok(stdout().flush()?)
}

fn is_udp(frame: &[u8]) -> bool {
    frame.get(ETHERTYPE..ETHERTYPE + 2) == Some(&IPV4) && frame.get(ETHERTYPE + 2 + 9) == Some(&17)
}

/// The reply to a question for host b (RFC 826), in the same VLAN.
fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let arp = frame.get(ETHERTYPE + 2..ETHERTYPE + 2 + 28)?;
    let ours = frame.get(ETHERTYPE..ETHERTYPE + 2) == Some(&ARP) && arp[7] == 1 && arp[24..28] == HOST;
    let (asker, tag) = (&arp[8..18], &frame[12..16]);
    ours.then(|| [&asker[..6], &MAC, tag, &ARP, &arp[..7], &[2], &MAC, &HOST, asker].concat())
}

fn filled(pool: &mut Pool, octets: &[u8]) -> Option<Frame> {
    let mut buf = pool.for_len(octets.len())?;
    buf.extend_from_slice(octets).then(|| Frame::new(buf))
}
