//! A gateway's channel that ends at the guest of [`vm`](super::vm), and what every test with one begins with.

use gateway::lab::{End, Lab, Node, Topology};

use super::shell::must;
use super::vm::{Vm, VmError};
use super::{able, skipped};

/// Plays `scene`. Says loudly why when this machine lacks a program of `tools`, a right, or what a guest needs.
///
/// # Panics
/// When the guest or the scene fails.
pub(crate) fn with_guest(test: &str, tools: &[&str], scene: impl FnOnce() -> Result<(), VmError>) {
    if !able(test, tools) {
        return;
    }
    match scene() {
        Err(VmError::Unavailable(why)) => skipped(test, &why),
        Err(VmError::Failed(why)) => panic!("{why}"),
        Ok(()) => {}
    }
}

/// `wire` (a bridge to the guest) – `gw` – `host`.
pub(crate) fn one_channel() -> Topology {
    let net = |text: &str| text.parse().unwrap();
    let host = Node::new("host")
        .route(net("169.254.0.0/16"), ["10.1.0.1".parse().unwrap()])
        .route(net("fd00:ff::/32"), ["fd00:1::1".parse().unwrap()]);
    let host_end = End::new("host", "eth0").address(net("10.1.0.2/24")).address(net("fd00:1::2/64"));
    let gateway_end = |name: &str, last| End::new("gw", name).mac(Topology::gateway_mac(1, last)).quiet();
    Topology::new()
        .node(Node::new("wire"))
        .node(Node::new("gw"))
        .node(host)
        .link(End::new("wire", "ch1").quiet(), gateway_end("ch1", 1))
        .link(gateway_end("lan1", 0), host_end)
}

/// Boots a guest at the far end of `ch1` of [`one_channel`].
///
/// # Errors
/// As [`Vm::boot`].
pub(crate) fn boot_at_channel(lab: &Lab, mac: &str) -> Result<Vm, VmError> {
    // A bridge keeps 01-80-C2-00-00-03 to itself unless told to forward that group (bit 3).
    must(
        lab,
        "wire",
        "ip link add br0 type bridge group_fwd_mask 8; ip link set br0 up; ip link set ch1 master br0; \
         ip tuntap add vm mode tap vnet_hdr; ip link set vm master br0 up",
    );
    boot_in_wire(lab, mac)
}

/// Boots a guest at the TAP device `vm` of the node `wire`.
///
/// # Errors
/// As [`Vm::boot`].
pub(crate) fn boot_in_wire(lab: &Lab, mac: &str) -> Result<Vm, VmError> {
    Vm::boot(&format!("/proc/{}/ns/net", lab.pid("wire").unwrap()), "vm", mac)
}
