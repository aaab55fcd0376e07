//! TAP devices that are ports of the configuration.
//!
//! A TAP that is there is attached to and left as it is, but set up. One that is not there is made, with the MTU that the
//! configuration wants of its port, and goes away with the gateway: who wants to give it addresses that outlive a
//! restart makes it first (`ip tuntap add lan1 mode tap multi_queue`). One that somebody deletes is made again,
//! with the MAC address and MTU that it had.
//!
//! A TAP is a cable: the kernel's interface is one end of it, with its own MAC address, and the gateway is the
//! other. So the gateway's end needs another address, or a bridge would never send it anything. It is made
//! from the device's, see [`far_end`].
//!
//! With several workers a LAN's TAP gets a queue for each, where it was not made with a single one.

use std::{collections::BTreeMap, io, path::Path};

use anyhow::{Context, Result, bail};
use config::{
    Config,
    model::{Io, Port, PortRole},
};
use dataplane::port::{
    self, Heirloom, Port as _, af_packet,
    tap::{SEVERAL, TapPort},
};
use net::MacAddr;

use crate::{
    assemble::Device,
    handover::{self, Inheritance},
};

/// The TAP devices of all ports, by name.
#[derive(Debug, Default)]
pub struct Taps(BTreeMap<String, Tap>);

#[derive(Debug)]
struct Tap {
    /// Made with several queues.
    several: bool,
    mtu: u32,
    /// The kernel's end.
    mac: [u8; 6],
    udp_segments: bool,
    /// The queue by which it was looked at first: somebody is going to use it.
    first: Option<TapPort>,
    /// The kernel's number of the device that was opened last.
    index: Option<u32>,
}

impl Taps {
    /// Opens, and makes where there is none, each TAP that the configuration names.
    ///
    /// # Errors
    /// When the kernel refuses: with what to do about it.
    pub fn prepare(config: &Config, heir: Option<&mut Inheritance>) -> Result<Self> {
        if let Some(heir) = heir {
            return Self::adopt(config, heir);
        }
        let ports = config.ports.iter().enumerate().filter(|(_, port)| port.io == Io::Tap);
        ports
            .map(|(at, port)| Ok((port.device.clone(), prepare(config, at, port)?)))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// The same of TAPs whose first queue a predecessor in another process has; others are made.
    fn adopt(config: &Config, heir: &mut Inheritance) -> Result<Self> {
        let mut all = BTreeMap::new();
        let ports = config.ports.iter().enumerate().filter(|(_, port)| port.io == Io::Tap);
        for (at, port) in ports {
            let key = handover::port_key(&port.name);
            let tap = match heir.port_facts(&key) {
                Some(facts) => look_at(port, facts == SEVERAL, None)?,
                None => prepare(config, at, port)?,
            };
            all.insert(port.device.clone(), tap);
        }
        Ok(Self(all))
    }

    /// What there is to know of a TAP. Its MAC address is that of the gateway's end.
    pub fn device(&self, name: &str) -> Option<Device> {
        let tap = self.0.get(name)?;
        Some(Device {
            mac: far_end(tap.mac),
            mtu: u16::try_from(tap.mtu).unwrap_or(u16::MAX),
            shared: tap.several,
            udp_segments: tap.udp_segments,
        })
    }

    /// A queue of a TAP that was prepared, the one that a predecessor `left` if it did (then true); the device is made again when it
    /// is gone.
    ///
    /// # Errors
    /// When the kernel refuses: with what to do about it.
    pub fn open(&mut self, name: &str, left: Option<Heirloom>) -> Result<(Box<dyn port::Port>, bool)> {
        let Some(tap) = self.0.get_mut(name) else { bail!("the TAP device {name} is no port's") };
        if let Some(left) = left {
            let adopted =
                TapPort::adopt(left).with_context(|| format!("cannot go on with the TAP {name}"))?;
            return Ok((Box::new(adopted), true));
        }
        if let Some(first) = tap.first.take() {
            return Ok((Box::new(first), false));
        }
        let is_new = sys::interface::index(name).is_err();
        let port = if tap.several { TapPort::open_queue(name) } else { TapPort::open(name) };
        let port = port.with_context(|| refused(name))?;
        if is_new {
            sys::interface::set_mac(name, tap.mac)
                .with_context(|| format!("cannot set the MAC address of {name}"))?;
            set_mtu(name, tap.mtu)?;
        }
        set_up(name)?;
        tap.index = sys::interface::index(name).ok();
        Ok((Box::new(port), false))
    }

    /// Whether the TAP of that name is there and the very one that was opened last.
    pub fn is_current(&self, name: &str) -> bool {
        let opened = self.0.get(name).and_then(|tap| tap.index);
        opened.is_some() && opened == sys::interface::index(name).ok()
    }
}

fn prepare(config: &Config, at: usize, port: &Port) -> Result<Tap> {
    let name = &port.device;
    if !Path::new("/dev/net/tun").exists() {
        bail!(
            "port \"{}\" on TAP device {name}: /dev/net/tun is missing: load the kernel module `tun`",
            port.name
        );
    }
    let is_new = sys::interface::index(name).is_err();
    let wants_several = config.runtime.workers > 1 && port.role != PortRole::Channel;
    let (several, first) = open_either(name, wants_several).with_context(|| refused(name))?;
    if is_new {
        set_mtu(name, wanted_mtu(config, at))?;
    }
    set_up(name)?;
    look_at(port, several, Some(first))
}

/// What there is to know of a TAP that is there.
fn look_at(port: &Port, several: bool, first: Option<TapPort>) -> Result<Tap> {
    let name = &port.device;
    Ok(Tap {
        several,
        mtu: sys::interface::mtu(name).with_context(|| format!("cannot read the MTU of {name}"))?,
        mac: sys::interface::mac(name).with_context(|| format!("cannot read the MAC address of {name}"))?,
        udp_segments: first.as_ref().map_or_else(af_packet::udp_segments, |first| first.caps().udp_segments),
        first,
        index: sys::interface::index(name).ok(),
    })
}

/// A queue of the TAP, and whether the device has several: as wanted, or as it was made.
fn open_either(name: &str, several: bool) -> io::Result<(bool, TapPort)> {
    let open = |several| if several { TapPort::open_queue(name) } else { TapPort::open(name) };
    match open(several) {
        // EINVAL: the device is there, and is of the other kind.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok((!several, open(!several)?)),
        opened => Ok((several, opened?)),
    }
}

/// The largest MTU that the users of the port at this place want; 1500 when they leave it to the device.
fn wanted_mtu(config: &Config, at: usize) -> u32 {
    let lans = config.connections.iter().flat_map(|connection| &connection.lans);
    let of_lans = lans.filter(|lan| lan.port.index() == at).map(|lan| lan.mtu);
    let of_channels = config.channels.iter().filter(|one| one.port.index() == at).map(|one| one.mtu);
    of_lans.chain(of_channels).flatten().max().map_or(1500, u32::from)
}

/// The MAC address of the gateway's end of a TAP whose kernel's end has `mac`: locally administered, another one, and
/// always the same.
const fn far_end(mac: [u8; 6]) -> MacAddr {
    let [first, b, c, d, e, f] = mac;
    MacAddr([(first & 0xfe | 0x02) ^ 0x04, b, c, d, e, f])
}

fn set_mtu(name: &str, mtu: u32) -> Result<()> {
    sys::interface::set_mtu(name, mtu).with_context(|| format!("cannot set the MTU of {name} to {mtu}"))
}

fn set_up(name: &str) -> Result<()> {
    sys::interface::set_up(name, true).with_context(|| format!("cannot set {name} up"))
}

fn refused(name: &str) -> String {
    format!(
        "cannot open the TAP device {name}: it takes CAP_NET_ADMIN (or a persistent TAP of this user's) and /dev/net/tun, and a device \
         of this name must be a TAP that no other program has open"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_end_has_another_address_of_a_single_station() {
        for mac in [[0x02, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [0xfe, 1, 2, 3, 4, 5], [0x06, 1, 2, 3, 4, 5]] {
            let far = far_end(mac);
            assert_ne!(far, MacAddr(mac));
            assert!(!far.is_group() && far.0[0] & 0x02 != 0, "{far}");
        }
    }
}
