//! Linux kernel MACsec as the peer: a Debian kernel in a small VM (`support/vm.rs`, `vm/`).
//!
//! The first test proves the fixture itself: two such kernels, joined by a bridge, understand each other in every
//! shape that a channel of ours is then held against. When ours fails and that one passes, it is ours.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::process::Command;
use std::time::Duration;

use gateway::lab::Lab;
use support::gateway::{Counted, Folder, Gateway};
use support::guest::{boot_at_channel, one_channel, with_guest};
use support::shell::{measured, must, until};
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
    with_guest("linux_macsec::two_kernels_agree_with_each_other_in_every_shape", &[], two_kernels);
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

/// The guest's `macsec0` against a channel of a real gateway, which has a host behind it, in every shape but one: the
/// kernel reads a frame with the SCB bit as one of port identifier 1, the standard (802.1AE-2018 §9.5) as one of 0.
#[test]
fn a_channel_and_a_kernel_agree_in_every_shape() {
    const TEST: &str = "linux_macsec::a_channel_and_a_kernel_agree_in_every_shape";
    with_guest(TEST, &["ip", "ping", "iperf3", "timeout"], gateway_and_kernel);
}

fn gateway_and_kernel() -> Result<(), VmError> {
    let (folder, lab) = (Folder::new(), Lab::build(&one_channel()).unwrap());
    let mut guest = boot_at_channel(&lab, MAC_A)?;
    for (at, shape) in SHAPES.iter().enumerate().filter(|(_, shape)| shape.tag != "scb") {
        let what = format!("{} encrypt={} tag={} pn={}", shape.cipher, shape.encrypt, shape.tag, shape.pn);
        eprintln!("{what}");
        let mut gateway = gateway_for(shape, &folder, at);
        gateway.start(&lab);
        guest.must(&secy_up(shape, &GUEST, &GATEWAY))?;
        guest.must(
            "ip route add 10.1.0.0/24 via 169.254.1.1 && ip address add fd00:ff:1::2/126 dev macsec0 nodad \
             && ip route add fd00:1::/64 via fd00:ff:1::1",
        )?;
        guest.must("ping -c 12 -i 0.02 -W 5 10.1.0.2")?;
        must(&lab, "host", "ping -n -c 12 -i 0.02 -W 5 169.254.1.2");
        must(&lab, "host", "ping -n -c 3 -i 0.02 -W 5 fd00:ff:1::2");
        // Whole frames: 1500 octets less SecTAG and ICV (the kernel always leaves room for an SCI), headers of 28.
        must(&lab, "host", "ping -n -c 3 -i 0.02 -W 5 -M do -s 1440 169.254.1.2");
        for more in ["-t 1", "-t 1 -R"] {
            // 1451: port 5201; 0A: listening.
            guest.must("iperf3 -s -1 -D && until_true 10 grep -q ':1451 .* 0A ' /proc/net/tcp6")?;
            let text = must(&lab, "host", &format!("iperf3 -J -c 169.254.1.2 --connect-timeout 9000 {more}"));
            assert!(measured(&text).received >= 200_000, "{what}: {text}");
        }
        let (ours, theirs) = settled(&gateway, &mut guest, shape)?;
        ours.assert_clean(&what);
        for bad in ["InPktsInvalid", "InPktsNotValid", "InPktsLate", "InPktsNotUsingSA", "InPktsUnusedSA"] {
            assert_eq!(count(&theirs, &format!("rxsc {bad}")), Some(0), "{what}: {theirs}");
        }
        if shape.pn > 1 {
            assert!(ours.next_pn > 1 << 32, "{what}: sent across 2^32: {ours:?}");
            assert!(ours.received_pn[0] > 1 << 32, "{what}: received across 2^32: {ours:?}");
        }
        guest.must("secy_down")?;
        gateway.end();
    }
    Ok(())
}

/// What both ends have counted, once each has accepted all that the other one sent.
fn settled(gateway: &Gateway, guest: &mut Vm, shape: &Shape) -> Result<(Counted, String), VmError> {
    let (theirs_sent, ours_sent) = match shape.encrypt {
        "on" => ("txsa OutPktsEncrypted", "out_pkts_encrypted"),
        _ => ("txsa OutPktsProtected", "out_pkts_protected"),
    };
    let mut failure = None;
    let both = until("all that one end sent is accepted at the other", Duration::from_secs(30), || {
        let theirs = match guest.must("counters") {
            Ok(theirs) => theirs,
            Err(error) => {
                failure = Some(error);
                return Some(None);
            }
        };
        let ours = gateway.counted("ch1");
        // A worker that moves to another processor may be overtaken on a veth pair, whose queues are the processors': to a
        // kernel without replay protection the frame that comes late is `InPktsDelayed`, and accepted.
        let accepted = count(&theirs, "rxsc InPktsOK").zip(count(&theirs, "rxsc InPktsDelayed"));
        let there =
            accepted.map(|(ok, late)| ok + late) == Some(ours.of(ours_sent)) && ours.of(ours_sent) > 300;
        let here = count(&theirs, theirs_sent) == Some(ours.of("in_pkts_ok")) && ours.of("in_pkts_ok") > 300;
        if !(there && here) {
            eprintln!("not yet: {ours:?}\n{theirs}");
        }
        (there && here).then_some(Some((ours, theirs)))
    });
    both.ok_or_else(|| failure.unwrap_or_else(|| VmError::Failed("no counters".to_owned())))
}

/// A gateway, not yet started, whose channel is the other end of `shape`.
fn gateway_for(shape: &Shape, folder: &Folder, number: usize) -> Gateway {
    folder.key("guest.sak", &key(shape, &GUEST));
    folder.key("gateway.sak", &key(shape, &GATEWAY));
    let xpn = |end: &End| match shape.cipher.contains("xpn") {
        true => format!("salt = \"{SALT}\"\nssci = {}\n", end.ssci),
        false => String::new(),
    };
    let tag = match shape.tag {
        "es" => "end_station = true\n",
        "none" => "include_sci = false\n",
        _ => "",
    };
    let mut text = String::from(
        "[[interconnect]]\nname = \"x\"\n[[port]]\nname = \"lan\"\ndevice = \"lan1\"\n\
         [[port]]\nname = \"p1\"\ndevice = \"ch1\"\n\
         [[channel]]\nname = \"ch1\"\ninterconnect = \"x\"\nport = \"p1\"\n",
    );
    let _ = write!(
        text,
        "[channel.macsec]\ncipher = \"{}\"\nencrypt = {}\nreplay_window = 64\n{tag}\
         [[channel.macsec.static.tx]]\nan = 0\nkey = {{ file = \"gateway.sak\" }}\n{}\
         [[channel.macsec.static.rx]]\nsci = \"{}\"\nan = 0\nkey = {{ file = \"guest.sak\" }}\n{}",
        shape.cipher,
        shape.encrypt == "on",
        xpn(&GATEWAY),
        with_colon(GUEST.sci),
        xpn(&GUEST),
    );
    text += "[[connection]]\nname = \"blue\"\ninterconnect = \"x\"\n\
             [[connection.attachment]]\nchannel = \"ch1\"\n\
             address = [\"169.254.1.1/30\", \"fd00:ff:1::1/126\"]\npeer = [\"169.254.1.2\", \"fd00:ff:1::2\"]\n\
             [[connection.lan]]\nport = \"lan\"\naddress = [\"10.1.0.1/24\", \"fd00:1::1/64\"]\n";
    let gateway = Gateway::new(folder, "gw", &format!("shape-{number}"), 1, &text);
    if shape.pn > 1 {
        write_numbers(&gateway, shape);
    }
    gateway
}

/// The state that an earlier run leaves which used (and saw) all numbers below `shape.pn`.
fn write_numbers(gateway: &Gateway, shape: &Shape) {
    let name = |end: &End| {
        let sci: macsec::Sci = end.sci.parse().unwrap();
        let sak = macsec::Sak::new(&vec![end.key; key(shape, end).len() / 2]).unwrap();
        format!("{sci} an=0 sak={}", sak.fingerprint())
    };
    DirBuilder::new().mode(0o700).create(gateway.state()).unwrap();
    let numbers = serde_json::json!({
        "transmit": BTreeMap::from([(name(&GATEWAY), shape.pn - 1)]),
        "receive": BTreeMap::from([(name(&GUEST), shape.pn)]),
    });
    fs::write(gateway.state().join("packet-numbers.json"), numbers.to_string()).unwrap();
}

/// An SCI as people write it.
fn with_colon(sci: &str) -> String {
    let (mac, port) = sci.split_at(12);
    format!("{mac}:{port}")
}

const GUEST: End = End { address: "169.254.1.2/30", ..A };
const GATEWAY: End = End { sci: "020000000a010001", address: "169.254.1.1/30", ..B };

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
    format!(
        "secy_up cipher={} encrypt={} tag={} sci={} peer_sci={} tx_key={} rx_key={} tx_pn={} rx_pn={} \
         salt={SALT} ssci={:08x} peer_ssci={:08x} address={}",
        shape.cipher,
        shape.encrypt,
        shape.tag,
        own.sci,
        peer.sci,
        key(shape, own),
        key(shape, peer),
        shape.pn,
        shape.pn,
        own.ssci,
        peer.ssci,
        own.address,
    )
}

/// The key that protects what `end` sends, in hexadecimal digits.
fn key(shape: &Shape, end: &End) -> String {
    format!("{:02x}", end.key).repeat(if shape.cipher.ends_with("256") { 32 } else { 16 })
}

const SALT: &str = "a0a1a2a3a4a5a6a7a8a9aaab";

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
