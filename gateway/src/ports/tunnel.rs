//! Tunnels: UDP sockets on a device that stays the kernel's.

use anyhow::{Context, Result};
use config::model::{self as words, AcceptFrom, Port as PortConfig, Underlay};
use dataplane::{
    port::{Heirloom, Port, udp},
    underlay::{Marking, Tunnel, Vni},
};

/// Opens the tunnel of a port, or goes on with what a predecessor `left`; says whether it does. Neither its address nor a route to the peer need be there yet.
///
/// # Errors
/// When the kernel refuses: with what to do about it.
pub(super) fn open(
    port: &PortConfig,
    underlay: &Underlay,
    left: Option<Heirloom>,
) -> Result<(Box<dyn Port>, bool)> {
    let options = udp::Options {
        device: port.device.clone(),
        local: underlay.local,
        port: underlay.port,
        tunnel: Tunnel {
            remote: underlay.remote,
            vni: Vni::new(underlay.vni).context("a VNI has 24 bits")?,
            any_source: underlay.accept_from == AcceptFrom::Any,
            source_ports: underlay.source_ports,
        },
        marking: match underlay.dscp {
            words::Marking::Copy => Marking::Copy,
            words::Marking::Fixed(dscp) => Marking::Fixed(dscp),
        },
    };
    if let Some(left) = left {
        match udp::UdpPort::adopt(&options, left) {
            Ok(adopted) => return Ok((Box::new(adopted), true)),
            Err(why) => super::not_adopted(port, &why),
        }
    }
    let opened = udp::UdpPort::open(&options).with_context(|| {
        format!(
            "port \"{}\": cannot open the tunnel's UDP sockets on {}: the device must be there, and no other program (nor a vxlan device of the kernel) may have {} port {}",
            port.name, port.device, underlay.local, underlay.port
        )
    })?;
    Ok((Box::new(opened), false))
}
