//! `/v1/ports`, `/v1/drops`.

use serde::{Deserialize, Serialize};

use super::Counts;

/// Where frames come in and go out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The network interface.
    pub device: String,
    /// `channel`, `lan` or `unused`.
    pub role: String,
    /// How frames are moved: `af_packet`, `af_xdp`, `tap` or `vxlan`; `auto` only while no worker has it open.
    pub io: String,
    /// How the configuration wants them moved, where that could not be; the log has the reason (`port.io`).
    #[serde(default)]
    pub wanted_io: Option<String>,
    /// The version of its receive ring, `v2` or `v3`, or how near AF_XDP comes to the device: `zero-copy`, `bulk` (as
    /// `copy`, and many frames leave with one call), `copy` or `generic`.
    #[serde(default)]
    pub ring: Option<String>,
    /// Where they go, when it is a tunnel.
    #[serde(default)]
    pub tunnel: Option<PortTunnel>,
    /// Super-frames with a virtio-net header.
    pub vnet: bool,
    /// Workers that opened it and still have it.
    pub workers: Vec<u16>,
    /// Whether it works.
    pub state: PortState,
    /// Why not, in a word.
    pub reason: Option<String>,
    /// Whether the device has carrier.
    pub carrier: bool,
    /// The device's MAC address.
    pub mac: Option<String>,
    /// The device's MTU.
    pub mtu: Option<u32>,
    /// Frames received; a super-frame is one.
    pub rx_frames: u64,
    /// Their octets.
    pub rx_octets: u64,
    /// Frames sent; a super-frame is one.
    pub tx_frames: u64,
    /// Their octets.
    pub tx_octets: u64,
    /// Frames that the kernel or the driver did not pass on, by what was wrong.
    pub losses: Counts,
    /// Frames from it that the gateway dropped before they belonged to a channel, by reason.
    pub drops: Counts,
}

/// A VXLAN tunnel.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PortTunnel {
    /// Our address.
    pub local: String,
    /// The peer's address.
    pub remote: String,
    /// The network identifier.
    pub vni: u32,
    /// The UDP port of both ends.
    pub udp_port: u16,
    /// UDP source ports that flows are spread over.
    pub source_ports: u8,
    /// DSCP of the outer header: `copy`, a name or a number.
    #[serde(default)]
    pub dscp: String,
    /// Octets behind the Ethernet header that the path was found to carry.
    pub carries: Option<u16>,
}

/// Whether a port works.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PortState {
    /// It does.
    Up,
    /// It does not.
    Down,
}

/// Frames dropped for one reason in one place.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Drop {
    /// `channel` or `port`.
    pub scope: String,
    /// Name of the channel or the port.
    pub name: String,
    /// The reason, as `explain drop:REASON` takes it.
    pub reason: String,
    /// Frames.
    pub count: u64,
    /// What it means and what to look at.
    pub help: String,
}
