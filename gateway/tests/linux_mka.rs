//! wpa_supplicant on Linux kernel MACsec as the peer: keys agreed by MKA (IEEE 802.1X-2020 §9) with an implementation
//! that none of our own code had a hand in, in a small VM (`support/vm.rs`, `vm/`).
//!
//! Debian's wpa_supplicant speaks MKA version 1 with one CAK and GCM-AES-128. One gateway, one guest, and the same ping
//! in every scene; what differs is who is key server, how long the CAK is, and what goes wrong.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop; a JSON value that is not there is null"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use gateway::clock;
use gateway::lab::Lab;
use serde_json::Value;
use support::gateway::{Folder, Gateway};
use support::guest::{boot_at_channel, one_channel, with_guest};
use support::shell::{must, until};
use support::vm::{Vm, VmError};

const CKN: &str = "6c696e75782d70656572";
const OTHER_CKN: &str = "736f6d656f6e652d656c7365";
const CAK_128: &str = "000102030405060708090a0b0c0d0e0f";
const CAK_256: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER_CAK: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
const GUEST_MAC: &str = "52:54:00:aa:00:01";
const GUEST_SCI: &str = "52:54:00:aa:00:01/0001";
/// Lower wins (802.1X-2020 §9.5); ours is 16.
const GUEST_SERVES: u8 = 1;
const GUEST_FOLLOWS: u8 = 200;
/// wpa_supplicant says hello every 2 s and gives a peer up after 6 s; software emulation is slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pings that may be under way when they end: a second's, for a guest in software emulation.
const UNDER_WAY: u64 = 50;

#[test]
fn keys_are_agreed_whoever_is_key_server_and_however_long_the_cak() {
    scene("keys_are_agreed_whoever_is_key_server_and_however_long_the_cak", |rig| {
        for cak in [CAK_128, CAK_256] {
            for priority in [GUEST_SERVES, GUEST_FOLLOWS] {
                for encrypt in [true, false] {
                    rig.agree(cak, priority, encrypt)?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_sak_is_replaced_by_either_side_under_ping_without_a_loss() {
    scene("a_sak_is_replaced_by_either_side_under_ping_without_a_loss", |rig| {
        rig.start(CAK_128, GUEST_FOLLOWS, true)?;
        rig.ping_through(|rig| {
            for _ in 0..5 {
                let before = rig.mka()["key"]["key_id"].clone();
                let answer = rig.gateway.api_post("channels/ch1/rekey");
                assert!(answer["answer"] == "started" || answer["answer"] == "queued", "{answer}");
                rig.wait("a fresh SAK is used by both", |mka| {
                    mka["key"]["key_id"] != before && peer(mka)["transmits"] == true
                });
            }
            Ok(())
        })?;
        rig.stop()?;

        rig.start(CAK_128, GUEST_SERVES, true)?;
        let answer = rig.gateway.api_post("channels/ch1/rekey");
        assert_eq!(
            (&answer["answer"], &answer["key_server"]),
            (&"not_key_server".into(), &GUEST_SCI.into()),
            "{answer}"
        );
        // The guest, as key server, makes a fresh SAK when a member's packet numbers run out: 0xC0000000 (§9.8).
        rig.ping_through(|rig| {
            let before = rig.mka()["key"]["key_id"].clone();
            let an = &rig.mka()["key"]["an"];
            rig.guest.must(&format!("ip macsec set macsec0 tx sa {an} pn 3221225480 on"))?;
            rig.wait("the guest makes a fresh SAK", |mka| mka["key"]["key_id"] != before);
            Ok(())
        })?;
        rig.stop()
    });
}

#[test]
fn either_end_is_killed_and_comes_back() {
    scene("either_end_is_killed_and_comes_back", |rig| {
        for priority in [GUEST_SERVES, GUEST_FOLLOWS] {
            rig.start(CAK_128, priority, true)?;
            rig.ping()?;

            rig.guest.must("mka_kill")?;
            let died = clock::now();
            rig.mka_up(CKN, CAK_128, priority, true)?;
            rig.secured()?;
            eprintln!(
                "priority {priority}: forwards {:?} after the guest was killed",
                clock::now().since(died)
            );
            rig.ping()?;

            let before = rig.mka()["key"]["key_id"].clone();
            rig.gateway.kill();
            let died = clock::now();
            rig.gateway.start(&rig.lab);
            rig.secured()?;
            eprintln!(
                "priority {priority}: forwards {:?} after the gateway was killed",
                clock::now().since(died)
            );
            assert_ne!(rig.mka()["key"]["key_id"], before, "a SAK of before the restart is used again");
            rig.ping()?;
            rig.stop()?;
        }
        Ok(())
    });
}

#[test]
fn a_wrong_cak_and_a_wrong_ckn_are_told_apart_and_nothing_passes() {
    scene("a_wrong_cak_and_a_wrong_ckn_are_told_apart_and_nothing_passes", |rig| {
        rig.gateway_with(CAK_128, true);
        for (ckn, cak, code) in [(CKN, OTHER_CAK, "cak_differs"), (OTHER_CKN, CAK_128, "unknown_ckn")] {
            rig.mka_up(ckn, cak, GUEST_FOLLOWS, true)?;
            let mka = rig.wait("the cause is told", |mka| codes(mka).iter().any(|one| one == code));
            assert_eq!(mka["secured"], false, "{mka}");
            if code == "unknown_ckn" {
                assert!(mka["diagnoses"].to_string().contains(OTHER_CKN), "what was offered is named: {mka}");
            }
            let ping = must(&rig.lab, "host", "ping -n -c 2 -i 0.2 -W 1 169.254.1.2 || true");
            assert!(ping.contains(" 0 received"), "{ping}");
            rig.guest.must("killall -9 wpa_supplicant; until_true 5 no_wpa; ip link del macsec0; true")?;
        }
        rig.mka_up(CKN, CAK_128, GUEST_FOLLOWS, true)?;
        rig.secured()?;
        rig.ping()?;
        rig.wait("nothing is wrong any more", |mka| codes(mka).is_empty());
        rig.stop()
    });
}

/// Runs `play` with a fresh rig, or says why it cannot.
fn scene(name: &str, play: impl FnOnce(&mut Rig) -> Result<(), VmError>) {
    let test = format!("linux_mka::{name}");
    with_guest(&test, &["ip", "ping", "timeout"], || Rig::new().and_then(|mut rig| play(&mut rig)));
}

/// A gateway with a host behind it, and a guest at the far end of its channel.
struct Rig {
    gateway: Gateway,
    guest: Vm,
    lab: Lab,
    folder: Folder,
}

impl Rig {
    fn new() -> Result<Self, VmError> {
        let (folder, lab) = (Folder::new(), Lab::build(&one_channel()).unwrap());
        let guest = boot_at_channel(&lab, GUEST_MAC)?;
        let gateway = Gateway::new(&folder, "gw", "gw", 1, &config(true));
        Ok(Self { gateway, guest, lab, folder })
    }

    /// Both ends up, a ping both ways, both down.
    fn agree(&mut self, cak: &str, priority: u8, encrypt: bool) -> Result<(), VmError> {
        let what = format!("CAK of {} octets, priority {priority}, encrypt {encrypt}", cak.len() / 2);
        let begun = clock::now();
        self.start(cak, priority, encrypt)?;
        eprintln!("{what}: secured {:?} after start", clock::now().since(begun));
        self.ping()?;
        let mka = self.mka();
        assert_eq!(mka["key_server"]["ours"], priority == GUEST_FOLLOWS, "{what}: {mka}");
        assert_eq!(mka["key"]["encrypt"], encrypt, "{what}: {mka}");
        let counted = self.gateway.counted("ch1");
        counted.assert_clean(&what);
        let sent = if encrypt { "out_pkts_encrypted" } else { "out_pkts_protected" };
        assert!(counted.of(sent) >= 24, "{what}: {counted:?}");
        self.stop()
    }

    fn gateway_with(&mut self, cak: &str, encrypt: bool) {
        self.folder.key("ch1.cak", cak);
        self.gateway = Gateway::new(&self.folder, "gw", "gw", 1, &config(encrypt));
        self.gateway.start(&self.lab);
    }

    fn start(&mut self, cak: &str, priority: u8, encrypt: bool) -> Result<(), VmError> {
        self.gateway_with(cak, encrypt);
        self.mka_up(CKN, cak, priority, encrypt)?;
        self.secured()
    }

    fn mka_up(&mut self, ckn: &str, cak: &str, priority: u8, encrypt: bool) -> Result<(), VmError> {
        let line = if encrypt { "" } else { "macsec_integ_only=1" };
        self.guest.must(&format!("mka_up {ckn} {cak} {priority} {line}")).map(drop)
    }

    /// Waits until frames pass both ways. wpa_supplicant takes `macsec0` down while it has no key and up again when it
    /// has one; that costs the guest its route.
    fn secured(&mut self) -> Result<(), VmError> {
        self.guest.must("until_true 50 mka_secured")?;
        self.guest.must("until_true 50 reach 169.254.1.2/30 169.254.1.1 10.1.0.2").map(drop)
    }

    fn stop(&mut self) -> Result<(), VmError> {
        self.guest.must("mka_down")?;
        self.gateway.end();
        Ok(())
    }

    fn ping(&mut self) -> Result<(), VmError> {
        self.guest.must("ping -c 12 -i 0.02 -W 5 10.1.0.2")?;
        must(&self.lab, "host", "ping -n -c 12 -i 0.02 -W 5 169.254.1.2");
        Ok(())
    }

    /// Pings from the guest every 20 ms while `act` goes on; each must be answered, but for those under way at the end.
    fn ping_through(&mut self, act: impl FnOnce(&mut Self) -> Result<(), VmError>) -> Result<(), VmError> {
        self.guest.must("/tools/ping -i 0.02 10.1.0.2 >/tmp/ping.log 2>&1 & echo $! >/tmp/ping.pid")?;
        act(self)?;
        let text = self.guest.must(
            "kill -INT $(cat /tmp/ping.pid); until_true 10 grep -q transmitted /tmp/ping.log; tail -4 /tmp/ping.log",
        )?;
        eprintln!("{}", text.trim());
        let answered =
            self.guest.must("sed -n 's/.* bytes from .*icmp_seq=\\([0-9]*\\) .*/\\1/p' /tmp/ping.log")?;
        assert_all_answered(&text, &answered);
        Ok(())
    }

    /// The channel's key agreement.
    fn mka(&self) -> Value {
        self.gateway.api("mka")["items"][0].clone()
    }

    fn wait(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, PATIENCE, || Some(self.mka()).filter(|mka| is(mka)))
    }
}

/// Holds that none is missing before the last request that was answered, and that it was among the last of all: `ping` ends
/// at once when told to, and counts as lost what is under way then. `summary` is what it says at its end.
fn assert_all_answered(summary: &str, answered: &str) {
    let answered: BTreeSet<u64> = answered.lines().map(|line| line.trim().parse().unwrap()).collect();
    let sent =
        summary.lines().find_map(|line| line.split_once(" packets transmitted")?.0.trim().parse().ok());
    let (sent, last): (u64, _) = (sent.unwrap(), *answered.last().unwrap());
    let missing: Vec<_> = (1..=last).filter(|number| !answered.contains(number)).collect();
    assert!(missing.is_empty(), "no answer to {missing:?} of {sent}: {summary}");
    assert!(sent - last < UNDER_WAY, "no answer to the last {}: {summary}", sent - last);
}

/// The one live peer.
fn peer(mka: &Value) -> &Value {
    &mka["participants"][0]["live"][0]
}

fn codes(mka: &Value) -> Vec<String> {
    let list = mka["diagnoses"].as_array().unwrap().iter();
    list.map(|one| one["code"].as_str().unwrap().to_owned()).collect()
}

fn config(encrypt: bool) -> String {
    format!(
        "[[interconnect]]\nname = \"x\"\n[[port]]\nname = \"lan\"\ndevice = \"lan1\"\n\
         [[port]]\nname = \"p1\"\ndevice = \"ch1\"\n\
         [[channel]]\nname = \"ch1\"\ninterconnect = \"x\"\nport = \"p1\"\n\
         [channel.macsec]\ncipher = \"gcm-aes-128\"\nencrypt = {encrypt}\n\
         [[channel.macsec.key]]\nckn = \"{CKN}\"\ncak = {{ file = \"ch1.cak\" }}\n\
         [[connection]]\nname = \"blue\"\ninterconnect = \"x\"\n\
         [[connection.attachment]]\nchannel = \"ch1\"\naddress = [\"169.254.1.1/30\"]\npeer = [\"169.254.1.2\"]\n\
         [[connection.lan]]\nport = \"lan\"\naddress = [\"10.1.0.1/24\"]\n"
    )
}
