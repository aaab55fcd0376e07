//! Keeping the kernel's own stack off a device that a port has.
//!
//! The kernel sees every frame that a packet socket sees. It must neither answer nor forward what the gateway owns, so
//! each device that a port takes loses IPv6, answers no ARP, forwards nothing, and accepts nothing whose way back leads
//! elsewhere (ip-sysctl: `disable_ipv6`, `arp_ignore` 8, `forwarding` 0, `rp_filter` 1). What was set before is put
//! back when the gateway ends in an orderly way.
//!
//! What `rp_filter` 1 is for: who is on the LAN can send the gateway's MAC address a packet for any other address of this
//! machine, such as the one it is managed by, and the kernel would deliver it. As no route leads back by the
//! gateway's device, strict checking drops it. But the kernel takes the larger one of the device's setting and of
//! `all`: 2 there, which some distributions set, is loose checking everywhere ([`loose_reverse_path`]), and only
//! the machine's administrator can say whether that may be changed.

use sys::sysctl;

/// What is set on a device while the gateway has it.
const HANDS_OFF: &[(&str, &str)] = &[
    ("net/ipv6/conf/{}/disable_ipv6", "1"),
    ("net/ipv4/conf/{}/forwarding", "0"),
    ("net/ipv4/conf/{}/arp_ignore", "8"),
    ("net/ipv4/conf/{}/rp_filter", "1"),
];

/// Keeps the kernel's own stack off a device, until dropped.
#[derive(Debug)]
pub struct HandsOff {
    device: String,
    before: Vec<(String, String)>,
}

impl HandsOff {
    /// Takes the device away from the kernel's stack. What cannot be set (a kernel without IPv6, a read-only `/proc`)
    /// is returned as a list of keys, for the log.
    pub fn of(device: &str) -> (Self, Vec<String>) {
        let (mut before, mut failed) = (Vec::new(), Vec::new());
        for (key, wanted) in HANDS_OFF {
            let key = key.replace("{}", device);
            match sysctl::read(&key) {
                Ok(old) if old.trim() == *wanted => {}
                Ok(old) if sysctl::write(&key, wanted).is_ok() => before.push((key, old.trim().to_owned())),
                Ok(_) | Err(_) => failed.push(key),
            }
        }
        (Self { device: device.to_owned(), before }, failed)
    }

    /// The device.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Takes the device away again where somebody gave it back: whoever writes `net.ipv4.ip_forward`, a container
    /// engine for example, writes `forwarding` of every device (ip-sysctl). Returns the keys that had changed.
    pub fn hold(&self) -> Vec<String> {
        let keys = HANDS_OFF.iter().map(|(key, wanted)| (key.replace("{}", &self.device), wanted));
        let changed =
            |(key, wanted): &(String, &&str)| sysctl::read(key).is_ok_and(|now| now.trim() != **wanted);
        let taken_back = |(key, wanted): (String, &&str)| sysctl::write(&key, wanted).is_ok().then_some(key);
        keys.filter(changed).filter_map(taken_back).collect()
    }
}

impl Drop for HandsOff {
    fn drop(&mut self) {
        for (key, old) in &self.before {
            // The device may be gone by now, and its settings with it.
            let _restored = sysctl::write(key, old);
        }
    }
}

/// Whether the kernel's reverse-path check is loose on every device, whatever is set for one (ip-sysctl: `rp_filter`, the
/// larger value counts).
pub fn loose_reverse_path() -> bool {
    sysctl::read("net/ipv4/conf/all/rp_filter").is_ok_and(|value| value.trim() == "2")
}

/// What that means, and what to do about it.
pub const LOOSE_REVERSE_PATH: &str = "net.ipv4.conf.all.rp_filter is 2, which overrules the strict check on the gateway's devices: who \
    is on a LAN can reach this machine's other addresses past the gateway. Run `sysctl -w net.ipv4.conf.all.rp_filter=0` (each device then has its own \
    setting; mend /etc/sysctl.d too), or let a firewall drop what comes in by the gateway's devices";
