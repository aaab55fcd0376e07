//! Linux kernel MACsec as the peer: a Debian kernel in a small VM (`support/vm.rs`, `vm/`).
//!
//! The test here proves the fixture itself: two such kernels, joined by a bridge, understand each other in every
//! shape that our channels are later held against. When a test of ours fails and this one passes, it is ours.

mod support;

use std::process::Command;
use support::skipped;
use support::vm::{Vm, VmError};

/// One SecY of the guest, as `secy_up` in `vm/guest.sh` takes it; both ends get the same.
struct Shape {
    cipher: &'static str,
    encrypt: &'static str,
    tag: &'static str,
    /// Next packet number of both ends.
    pn: u64,
}

const fn shape(cipher: &'static str, encrypt: &'static str, tag: &'static str, pn: u64) -> Shape {
    Shape { cipher, encrypt, tag, pn }
}

#[rustfmt::skip]
const SHAPES: &[Shape] = &[
    shape("gcm-aes-128",     "on",  "sci",  1),
    shape("gcm-aes-128",     "off", "sci",  1),
    shape("gcm-aes-128",     "on",  "es",   1),
    shape("gcm-aes-128",     "on",  "none", 1),
    shape("gcm-aes-128",     "on",  "scb",  1),
    shape("gcm-aes-256",     "on",  "sci",  1),
    shape("gcm-aes-256",     "off", "es",   1),
    shape("gcm-aes-xpn-128", "on",  "sci",  1),
    shape("gcm-aes-xpn-128", "off", "sci",  1),
    shape("gcm-aes-xpn-128", "on",  "es",   1),
    shape("gcm-aes-xpn-256", "on",  "sci",  1),
    shape("gcm-aes-xpn-256", "off", "sci",  1),
    // Across 2^32 in the middle of the pings: 802.1AE 10.6.2, the upper half is recovered, not sent.
    shape("gcm-aes-xpn-128", "on",  "sci",  0xffff_fff8),
    shape("gcm-aes-xpn-256", "off", "none", 0xffff_fff8),
];

#[test]
fn two_kernels_agree_with_each_other_in_every_shape() {
    match two_kernels() {
        Err(VmError::Unavailable(why)) => skipped("linux_macsec::two_kernels_agree_with_each_other", &why),
        Err(VmError::Failed(why)) => panic!("{why}"),
        Ok(()) => {}
    }
}

fn two_kernels() -> Result<(), VmError> {
    let wire = Wire::new()?;
    let mut a = Vm::boot(&wire.netns, "a", MAC_A)?;
    let mut b = Vm::boot(&wire.netns, "b", MAC_B)?;
    for shape in SHAPES {
        a.must(&secy_up(shape, &A, &B))?;
        b.must(&secy_up(shape, &B, &A))?;
        a.must("ping -c 12 -i 0.02 -W 5 192.0.2.2")?;
        for vm in [&mut a, &mut b] {
            let counted = vm.must("counters")?;
            assert!(count(&counted, "rxsa InPktsOK") >= Some(12), "{}: {counted}", shape.cipher);
            let sent = if shape.encrypt == "on" { "txsa OutPktsEncrypted" } else { "txsa OutPktsProtected" };
            assert!(count(&counted, sent) >= Some(12), "{}: {counted}", shape.cipher);
            for bad in ["InPktsInvalid", "InPktsNotValid", "InPktsLate", "InPktsNotUsingSA", "InPktsUnusedSA"]
            {
                assert_eq!(count(&counted, &format!("rxsc {bad}")), Some(0), "{}: {counted}", shape.cipher);
            }
        }
        a.must("secy_down")?;
        b.must("secy_down")?;
    }
    Ok(())
}

/// What one end is known by.
struct End {
    sci: &'static str,
    key: u8,
    ssci: u32,
    address: &'static str,
}

const MAC_A: &str = "52:54:00:aa:00:01";
const MAC_B: &str = "52:54:00:aa:00:02";
const A: End = End { sci: "525400aa00010001", key: 0x11, ssci: 1, address: "192.0.2.1/24" };
const B: End = End { sci: "525400aa00020001", key: 0x22, ssci: 2, address: "192.0.2.2/24" };

/// The order that gives the guest at `own` its SecY towards `peer`. An end's key protects what that end sends.
fn secy_up(shape: &Shape, own: &End, peer: &End) -> String {
    let octets = if shape.cipher.ends_with("256") { 32 } else { 16 };
    let key = |end: &End| format!("{:02x}", end.key).repeat(octets);
    format!(
        "secy_up cipher={} encrypt={} tag={} sci={} peer_sci={} tx_key={} rx_key={} tx_pn={} rx_pn={} \
         salt=a0a1a2a3a4a5a6a7a8a9aaab ssci={:08x} peer_ssci={:08x} address={}",
        shape.cipher,
        shape.encrypt,
        shape.tag,
        own.sci,
        peer.sci,
        key(own),
        key(peer),
        shape.pn,
        shape.pn,
        own.ssci,
        peer.ssci,
        own.address,
    )
}

/// The value on the line of `counters` that starts with `name`, if there is one.
fn count(counted: &str, name: &str) -> Option<u64> {
    let line = counted.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok())
}

/// A network namespace in which TAP devices `a` and `b` are the two ends of one wire.
struct Wire {
    netns: String,
}

impl Wire {
    fn new() -> Result<Self, VmError> {
        let wire = Self { netns: format!("quadspan-vm-{}", std::process::id()) };
        sh(&format!("ip netns add {}", wire.netns)).map_err(VmError::Unavailable)?;
        // A bridge keeps 01-80-C2-00-00-03 (MKA) to itself unless told to forward that group (bit 3).
        sh(&format!(
            "ip netns exec {} sh -ec 'ip link add br0 type bridge group_fwd_mask 8; ip link set br0 up
             for tap in a b; do ip tuntap add $tap mode tap vnet_hdr; ip link set dev $tap master br0 up; done'",
            wire.netns
        ))
        .map_err(VmError::Failed)?;
        Ok(wire)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = sh(&format!("ip netns del {}", self.netns));
    }
}

/// Runs a host command; the error is what it said.
fn sh(command: &str) -> Result<(), String> {
    match Command::new("sh").args(["-c", command]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`{command}`: {}", String::from_utf8_lossy(&output.stderr))),
        Err(e) => Err(format!("`{command}`: {e}")),
    }
}
