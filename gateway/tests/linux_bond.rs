//! Linux bonding (802.3ad) over Linux MACsec as the peer of a LAG: an LACP that none of our own code had a hand in, in a small
//! VM with two NICs (`support/vm.rs`, `vm/`).
//!
//! The guest's NICs end at TAP devices beside the gateway: no bridge passes LACPDUs on (802.1Q Table 8-1), protected or not.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop; a JSON value that is not there is null"
)]

mod support;

use std::fmt::Write as _;
use std::time::Duration;

use gateway::lab::{End, Lab, Node, Topology};
use serde_json::Value;
use support::gateway::{Folder, Gateway};
use support::guest::with_guest;
use support::shell::{must, sh, until};
use support::vm::{Vm, VmError};

/// Slow timers of LACP and software emulation.
const PATIENCE: Duration = Duration::from_secs(100);
const TOOLS: [&str; 3] = ["ip", "ping", "timeout"];

#[test]
fn a_lag_and_a_linux_bond_agree_whoever_speaks_first_and_however_fast() {
    let test = "linux_bond::a_lag_and_a_linux_bond_agree_whoever_speaks_first_and_however_fast";
    with_guest(test, &TOOLS, || {
        let mut rig = Rig::new()?;
        for (mode, timers, rate, active) in [
            ("active", "fast", "fast", "on"),
            ("active", "slow", "slow", "on"),
            ("active", "fast", "slow", "off"),
            ("passive", "slow", "fast", "on"),
        ] {
            let what = format!("we {mode} {timers}, Linux lacp_rate={rate} lacp_active={active}");
            rig.start(
                &format!("mode = \"{mode}\"\ntimers = \"{timers}\""),
                &format!("rate={rate} active={active}"),
            )?;
            rig.await_members(2)?;
            rig.ping();
            let (lag, bond) = (rig.lag(), rig.guest.must("cat /proc/net/bonding/lag0")?);
            eprintln!("{what}\n{}\n{bond}", rig.gateway.says("show lag"));
            assert!(bond.contains(&format!("Partner Mac Address: {}", GATEWAY_MACS[0])), "{what}: {bond}");
            assert_eq!(lag["partner"], format!("65535-{}", GUEST_MACS[0]), "{what}: {lag}");
            let asked = lag["members"][0]["partner"]["state"].to_string();
            assert_eq!(asked.contains("STO"), rate == "fast", "{what}: {asked}");
            assert_eq!(asked.contains("ACT"), active == "on", "{what}: {asked}");
            rig.stop()?;
        }
        Ok(())
    });
}

#[test]
fn a_member_that_goes_is_left_by_both_and_both_heed_min_links() {
    let test = "linux_bond::a_member_that_goes_is_left_by_both_and_both_heed_min_links";
    with_guest(test, &TOOLS, || {
        let mut rig = Rig::new()?;
        rig.start("min_links = 1", "min_links=1")?;
        rig.await_members(2)?;
        // Our end sees the carrier go; Linux, whose NIC is still up, has to miss LACPDUs for three seconds.
        must(&rig.lab, "gw", "ip link set vm1 down");
        rig.await_members(1)?;
        rig.ping();
        assert_eq!(rig.lag()["state"], "live");
        must(&rig.lab, "gw", "ip link set vm1 up");
        rig.await_members(2)?;
        rig.ping();
        // A drained member: LACP tells Linux, which sends nothing there from then on.
        let told = rig.gateway.cli(&["drain", "ch2"]);
        assert!(told.text.contains("safe to work on"), "{}", told.text);
        rig.guest.must("until_true 20 bond_ports 1")?;
        rig.ping();
        rig.gateway.says("undrain ch2");
        rig.await_members(2)?;
        rig.stop()?;

        rig.start("min_links = 2", "min_links=2")?;
        rig.await_members(2)?;
        must(&rig.lab, "gw", "ip link set vm2 down");
        until("the LAG is down with one member", PATIENCE, || {
            let lag = rig.lag();
            (lag["state"] == "down" && lag["reason"] == "lacp_down" && lag["distributing"] == 1).then_some(())
        });
        rig.guest.must("until_true 20 bond_silent")?;
        let connection = &rig.gateway.api("connections")["items"][0]["attachments"][0];
        assert_eq!((&connection["state"], &connection["reason"]), (&"down".into(), &"lacp_down".into()));
        let record = rig.gateway.says("show events");
        assert!(record.contains("ch2 left"), "{record}");
        must(&rig.lab, "gw", "ip link set vm2 up");
        rig.await_members(2)?;
        rig.ping();
        rig.stop()
    });
}

const GATEWAY_MACS: [&str; 2] = ["02:00:00:00:0a:11", "02:00:00:00:0a:12"];
const GUEST_MACS: [&str; 2] = ["52:54:00:aa:00:01", "52:54:00:aa:00:02"];

/// The gateway at node `gw` with its LAG of `vm1` and `vm2`, the guest behind those, and a host.
struct Rig {
    gateway: Gateway,
    guest: Vm,
    lab: Lab,
    folder: Folder,
    runs: u32,
}

impl Rig {
    fn new() -> Result<Self, VmError> {
        let net = |text: &str| text.parse().unwrap();
        let host = Node::new("host").route(net("169.254.0.0/16"), ["10.1.0.1".parse().unwrap()]);
        let lan = End::new("gw", "lan1").mac(Topology::gateway_mac(1, 0)).quiet();
        let host_end = End::new("host", "eth0").address(net("10.1.0.2/24"));
        let lab = Lab::build(&Topology::new().node(Node::new("gw")).node(host).link(lan, host_end)).unwrap();
        for (at, mac) in (1..).zip(GATEWAY_MACS) {
            let script = format!(
                "ip tuntap add vm{at} mode tap vnet_hdr; ip link set vm{at} address {mac}; ip link set vm{at} up"
            );
            must(&lab, "gw", &script);
        }
        let folder = Folder::new();
        for (at, (ours, theirs)) in [(1, keys(1)), (2, keys(2))] {
            folder.key(&format!("ours-{at}.sak"), &ours);
            folder.key(&format!("theirs-{at}.sak"), &theirs);
        }
        let netns = format!("/proc/{}/ns/net", lab.pid("gw").unwrap());
        let guest = Vm::boot_with(&netns, &[("vm1", GUEST_MACS[0]), ("vm2", GUEST_MACS[1])])?;
        let gateway = Gateway::new(&folder, "gw", "none", 1, "");
        Ok(Self { gateway, guest, lab, folder, runs: 0 })
    }

    /// Both ends anew, with these lines of `[[lag]]`, and these words for `bond_up`.
    fn start(&mut self, lag: &str, bond: &str) -> Result<(), VmError> {
        self.runs += 1;
        let name = format!("run-{}", self.runs);
        self.gateway = Gateway::new(&self.folder, "gw", &name, 2, &configuration(lag));
        self.gateway.start(&self.lab);
        for (at, mac) in (0..).zip(GUEST_MACS) {
            let (ours, theirs) = keys(at + 1);
            self.guest.must(&format!(
                "echo 1 >/proc/sys/net/ipv6/conf/eth{at}/disable_ipv6; ip link set eth{at} up; \
                 secy_up name=macsec{at} link=eth{at} cipher=gcm-aes-256 tag=sci sci={}0001 peer_sci={}0001 \
                 tx_key={theirs} rx_key={ours}",
                mac.replace(':', ""),
                GATEWAY_MACS[usize::from(at)].replace(':', ""),
            ))?;
        }
        self.guest.must(&format!(
            "bond_up {bond} address=169.254.1.2/30 && ip route add 10.1.0.0/24 via 169.254.1.1"
        ))?;
        Ok(())
    }

    fn stop(&mut self) -> Result<(), VmError> {
        self.guest.must("bond_down; secy_down macsec0; secy_down macsec1")?;
        self.gateway.end();
        Ok(())
    }

    fn lag(&self) -> Value {
        self.gateway.api("lags")["items"][0].clone()
    }

    /// So many members carry frames, at both ends.
    fn await_members(&mut self, count: u64) -> Result<(), VmError> {
        let text = format!("{count} members distribute");
        let ready = || (self.lag()["distributing"] == count).then_some(());
        let told = |lag: &Value| format!("{text}: {lag}");
        if sh(&self.lab, "gw", "true").status == Some(0) {
            until(&told(&self.lag()), PATIENCE, ready);
        }
        self.guest
            .must(&format!("until_true 50 bond_ports {count} || {{ cat /proc/net/bonding/lag0; false; }}"))?;
        Ok(())
    }

    /// Packets of several flows cross, both ways.
    fn ping(&self) {
        for size in [56, 400, 1400] {
            must(&self.lab, "host", &format!("ping -n -c 4 -i 0.05 -W 5 -s {size} 169.254.1.2"));
        }
    }
}

/// The keys of a member, ours and theirs.
fn keys(member: u8) -> (String, String) {
    (format!("{:02x}", 0x10 + member).repeat(32), format!("{:02x}", 0x20 + member).repeat(32))
}

fn configuration(lag: &str) -> String {
    let mut text =
        String::from("[[interconnect]]\nname = \"x\"\n[[port]]\nname = \"lan\"\ndevice = \"lan1\"\n");
    for (at, mac) in (1..).zip(GUEST_MACS) {
        let _ = write!(
            text,
            "[[port]]\nname = \"p{at}\"\ndevice = \"vm{at}\"\n\
             [[channel]]\nname = \"ch{at}\"\ninterconnect = \"x\"\nport = \"p{at}\"\n\
             [channel.macsec]\ncipher = \"gcm-aes-256\"\nreplay_window = 64\n\
             [[channel.macsec.static.tx]]\nan = 0\nkey = {{ file = \"ours-{at}.sak\" }}\n\
             [[channel.macsec.static.rx]]\nsci = \"{mac}:0001\"\nan = 0\nkey = {{ file = \"theirs-{at}.sak\" }}\n",
            mac = mac.replace(':', ""),
        );
    }
    let _ = write!(
        text,
        "[[lag]]\nname = \"bundle\"\nmembers = [\"ch1\", \"ch2\"]\n{lag}\n\
         [[connection]]\nname = \"blue\"\ninterconnect = \"x\"\n\
         [[connection.attachment]]\nlag = \"bundle\"\naddress = [\"169.254.1.1/30\"]\npeer = [\"169.254.1.2\"]\n\
         [[connection.lan]]\nport = \"lan\"\naddress = [\"10.1.0.1/24\"]\n"
    );
    text
}
