//! Keeping the kernel's own stack off a device that a port has.
//!
//! The kernel sees every frame that a packet socket sees. It must neither answer nor forward what the gateway owns, so
//! each device that a port takes loses IPv6, answers no ARP, forwards nothing, and accepts nothing whose way back leads
//! elsewhere (ip-sysctl: `disable_ipv6`, `arp_ignore` 8, `forwarding` 0, `rp_filter` 1). What was set before is put
//! back when the gateway ends in an orderly way.
//!
//! What `rp_filter` 1 is for: who is on a link can send the gateway's MAC address a packet for any other address of this
//! machine, such as the one it is managed by, and the kernel would deliver it. As the device has no IPv4 address of
//! the kernel's and no route leads back by it, the check drops it. The kernel takes the larger one of the device's
//! setting and of `all`; should that be 2, loose checking, nothing changes: on a device without address the
//! loose check is as strict (`__fib_validate_source`). But on a device *with* an address the strict check lets neighbours of that
//! subnet pass, and the loose one everybody. That is the machine's administrator's to mend: see [`kernel_addresses`].

use std::net::Ipv4Addr;

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

    /// What was set before is what it was before a predecessor of this process set it.
    pub fn inherit(&mut self, before: Vec<(String, String)>) {
        self.before.retain(|(key, _)| before.iter().all(|(known, _)| known != key));
        self.before.extend(before);
    }

    /// What was set before: a successor puts it back.
    pub fn before(&self) -> &[(String, String)] {
        &self.before
    }

    /// Leaves the device as it is: a successor has it now.
    pub fn leave(mut self) {
        self.before.clear();
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

/// The IPv4 addresses that the kernel itself has on a device. A port's device should have none.
pub fn kernel_addresses(device: &str) -> Vec<Ipv4Addr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let here = all.filter(|one| one.interface_name == device);
    here.filter_map(|one| Some(one.address?.as_sockaddr_in()?.ip())).collect()
}

/// What is wrong with a device that has these addresses, and what to do about it; `None` when it has none.
pub fn why_not_addresses(device: &str, addresses: &[Ipv4Addr]) -> Option<String> {
    let first = addresses.first()?;
    let loose = sysctl::read("net/ipv4/conf/all/rp_filter").is_ok_and(|value| value.trim() == "2");
    let who = if loose { "anybody on its link" } else { "hosts of that subnet on its link" };
    Some(format!(
        "the kernel has the address {first} on {device}: {who} can reach all addresses of this machine past the gateway. Run \
         `ip address flush dev {device}`; for an address that the host shares with the gateway, write host = true"
    ))
}
