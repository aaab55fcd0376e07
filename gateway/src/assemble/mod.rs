//! From a configuration to the things that run: the only place where the words of the file become the words of
//! the protocol crates.
//!
//! [`plan`] is pure: it takes the [`Config`](config::Config) and what the kernel says of each device, and gives
//! everything that `gateway::control` has to open, install and start. So it can be tested without a network.

mod bfd;
mod bgp;
mod lag;
mod macsec;
mod mka;
mod protection;
mod routes;
mod workers;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use config::{
    Config,
    model::{self as words, Connection, HostDevice, Io, Mode, PortRole, TagType},
};
use dataplane::{
    ChannelId, ChannelSetup, ConnectionId, ConnectionKind, ConnectionSetup, InterfaceId, InterfaceSetup,
    MssClamp, Place, PoolSizes, PortCaps, PortId, PortSetup, Setup, Tables, WorkerId,
    port::udp,
    underlay::{Tunnel, carries},
};
use net::{EtherType, Ethernet, IpNet, MacAddr, VlanId, VlanTag};

pub(crate) use self::macsec::suite;
pub(crate) use self::routes::routes;
pub use self::{
    bgp::{Domain, OwnPrefix, PeerPlan},
    macsec::{ReceiveSa, StaticSas, TransmitSa},
    mka::key_entries,
};

/// What the kernel says of a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Device {
    /// Its MAC address.
    pub mac: MacAddr,
    /// Its MTU: octets behind the Ethernet header.
    pub mtu: u16,
    /// Several workers can receive from it, each its share of the flows.
    pub shared: bool,
    /// It takes segment trains of UDP beside those of TCP.
    pub udp_segments: bool,
}

/// Everything that a gateway is made of, before anything is opened.
#[derive(Debug)]
pub struct Plan {
    /// What every worker knows.
    pub setup: Setup,
    /// The first generation of routes.
    pub tables: Tables,
    /// Keys, by channel.
    pub keys: Vec<StaticSas>,
    /// TAPs that give the host's own stack an interface.
    pub hosts: Vec<HostTap>,
    /// Connections that speak BGP.
    pub domains: Vec<Domain>,
    /// Buffers.
    pub pool: PoolSizes,
}

/// A TAP to make.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostTap {
    /// Its port.
    pub port: PortId,
    /// The interface it belongs to.
    pub interface: InterfaceId,
    /// Its name; `%d` is replaced by the kernel with a number.
    pub name: String,
    /// MAC address, that of the interface.
    pub mac: MacAddr,
    /// MTU, that of the interface.
    pub mtu: u16,
    /// Addresses, those of the interface.
    pub addresses: Vec<IpNet>,
}

/// Plans the gateway that `config` describes on a machine whose devices are `devices` (by device name).
///
/// # Errors
/// When a device is missing, or the devices do not carry what the configuration wants of them.
pub fn plan(config: &Config, devices: &BTreeMap<String, Device>) -> Result<Plan> {
    let owners = workers::share_out(config, devices);
    let mut ports = ports(config, devices, &owners);
    let channels = channels(config, devices, &owners)?;
    let lags = lag::lags(config, devices, &channels)?;
    let (mut interfaces, mut hosts) = (Vec::new(), Vec::new());
    for (at, connection) in config.connections.iter().enumerate() {
        add_interfaces(config, devices, &channels, (ConnectionId::at(at), connection), &mut interfaces)?;
    }
    add_hosts(config, &mut ports, &channels, &mut interfaces, &mut hosts);
    let tables = routes::tables(config, &interfaces);
    let domains = bgp::domains(config, &interfaces);
    let keys = config
        .channels
        .iter()
        .zip(&channels)
        .map(|(one, setup)| macsec::keys(one, setup))
        .collect::<Result<_>>()?;
    let connection = |one| ConnectionSetup {
        twice: protection::twice(one),
        ..ConnectionSetup::new(kind(one), protection::of(one))
    };
    let connections = config.connections.iter().map(connection).collect();
    let workers = u16::from(config.runtime.workers);
    let setup = Setup { workers, ports, channels, lags, interfaces, connections };
    let pool = pool(config, devices, &setup);
    Ok(Plan { setup, tables, keys, hosts, domains, pool })
}

fn ports(config: &Config, devices: &BTreeMap<String, Device>, owners: &[Option<WorkerId>]) -> Vec<PortSetup> {
    let port = |(port, owner): (&config::model::Port, &Option<WorkerId>)| {
        // Super-frames stay on the LAN side. On channels each frame is a frame on a wire.
        let offload = port.role == PortRole::Lan && (port.offload || port.io == Io::Tap);
        let udp_segments = offload && devices.get(&port.device).is_some_and(|device| device.udp_segments);
        PortSetup { owner: *owner, caps: PortCaps { offload, udp_segments, flows: port.underlay.is_some() } }
    };
    config.ports.iter().zip(owners).map(port).collect()
}

fn channels(
    config: &Config,
    devices: &BTreeMap<String, Device>,
    owners: &[Option<WorkerId>],
) -> Result<Vec<ChannelSetup>> {
    let channel = |one: &config::model::Channel| {
        let device = device_of(config, devices, one.port.index())?;
        let owner = owners.get(one.port.index()).copied().flatten().unwrap_or_default();
        // The first clear tag fits every Ethernet device beside its MTU (802.3 §3.2.7); further ones do not, and in a
        // tunnel none does.
        let tunnel = config.port(&one.port).is_some_and(|port| port.underlay.is_some());
        let beside = if tunnel { 0 } else { 1 };
        let further_tags = 4 * u16::try_from(one.clear_tags.len().saturating_sub(beside)).unwrap_or(0);
        let mtu = one.mtu.unwrap_or_else(|| device.mtu.saturating_sub(further_tags));
        if mtu > device.mtu {
            bail!(
                "channel \"{}\": mtu is {mtu}, but the device {} of port \"{}\" carries {}: lower the channel's mtu, or run `ip link set {} mtu {mtu}`",
                one.name,
                config.ports.get(one.port.index()).map_or("?", |port| &port.device),
                one.port.name(),
                device.mtu,
                config.ports.get(one.port.index()).map_or("?", |port| &port.device),
            );
        }
        let clear_tags =
            one.clear_tags.iter().map(|tag| VlanTag::new(tag_type(tag.tag_type), tag.vlan)).collect();
        let mut secy =
            macsec::policy(&one.macsec, config.runtime.aead, device.mac, usize::from(mtu) + Ethernet::LEN);
        let mka = mka::params(one, &mut secy, device.mac);
        Ok(ChannelSetup { port: PortId::at(one.port.index()), owner, clear_tags, secy, mka })
    };
    config.channels.iter().map(channel).collect()
}

const fn tag_type(tag: TagType) -> EtherType {
    match tag {
        TagType::Customer => EtherType::VLAN,
        TagType::Service => EtherType::SERVICE_VLAN,
    }
}

const fn kind(connection: &Connection) -> ConnectionKind {
    match connection.mode {
        Mode::Routed => ConnectionKind::Routed,
        Mode::Transparent => ConnectionKind::Transparent,
    }
}

/// What a port offers: its device's address and MTU, or those of the tunnel that it is.
fn device_of(config: &Config, devices: &BTreeMap<String, Device>, port: usize) -> Result<Device> {
    let Some(port) = config.ports.get(port) else { bail!("a port is missing from the configuration") };
    match (devices.get(&port.device), &port.underlay) {
        (Some(device), Some(underlay)) => {
            let own = || Tunnel::mac_of(underlay.local, underlay.port, underlay.vni);
            let mtu = carries(u32::from(device.mtu), underlay.local.is_ipv6());
            Ok(Device { mac: underlay.mac.unwrap_or_else(own), mtu, ..*device })
        }
        (Some(device), None) => Ok(*device),
        (None, _) => bail!(
            "port \"{}\": there is no device {}: see `ip link` for what there is",
            port.name,
            port.device
        ),
    }
}

/// A connection's interfaces: its attachments, then its LANs.
fn add_interfaces(
    config: &Config,
    devices: &BTreeMap<String, Device>,
    channels: &[ChannelSetup],
    (id, connection): (ConnectionId, &Connection),
    interfaces: &mut Vec<InterfaceSetup>,
) -> Result<()> {
    let mss_clamp = match connection.mss_clamp {
        config::model::MssClamp::Off => MssClamp::Off,
        config::model::MssClamp::Auto => MssClamp::Auto,
        config::model::MssClamp::Limit(mss) => MssClamp::Fixed(mss),
    };
    for (at, one) in connection.attachments.iter().enumerate() {
        let Some(channel) = config.channel(one.channel()) else { continue };
        let device = device_of(config, devices, channel.port.index())?;
        let carries =
            channels.get(one.channel().index()).map_or(0, |setup| setup.secy.max_frame - Ethernet::LEN);
        let room = u16::try_from(carries)
            .unwrap_or(u16::MAX)
            .saturating_sub(channel.overhead(one.vlan.is_some()) + connection.overhead());
        let mtu = one.mtu.unwrap_or(room);
        if mtu > room {
            bail!(
                "connection \"{}\", attachment on \"{}\": mtu is {mtu}, but the channel leaves {room} octets (it carries {carries})",
                connection.name,
                one.link.name()
            );
        }
        let vlan = one.vlan.map(customer_tag);
        interfaces.push(InterfaceSetup {
            connection: id,
            place: Place::Attachment { channel: ChannelId::at(one.channel().index()), vlan },
            mac: one.mac.or_else(|| lag::mac(config, one)).unwrap_or(device.mac),
            mtu,
            addresses: one.addresses.clone(),
            mss_clamp,
            host: None,
            bfd: bfd::of_attachment(connection, at),
        });
    }
    for (at, one) in connection.lans.iter().enumerate() {
        let device = device_of(config, devices, one.port.index())?;
        interfaces.push(InterfaceSetup {
            connection: id,
            place: Place::Lan { port: PortId::at(one.port.index()), vlan: one.vlan.map(customer_tag) },
            mac: one.mac.unwrap_or(device.mac),
            mtu: one.mtu.unwrap_or(device.mtu),
            addresses: one.addresses.clone(),
            mss_clamp,
            host: None,
            bfd: bfd::of_lan(connection, at),
        });
    }
    Ok(())
}

const fn customer_tag(vlan: VlanId) -> VlanTag {
    VlanTag::new(EtherType::VLAN, vlan)
}

/// One more port, a TAP, for each interface that the host's own stack uses: because the file says so, or because a
/// BGP neighbour is there.
fn add_hosts(
    config: &Config,
    ports: &mut Vec<PortSetup>,
    channels: &[ChannelSetup],
    interfaces: &mut [InterfaceSetup],
    hosts: &mut Vec<HostTap>,
) {
    let wishes = config.connections.iter().flat_map(|connection| {
        let wish = move |host: Option<&HostDevice>, place| {
            let unnamed = || bgp::has_neighbor(connection, place).then_some(HostDevice { name: None });
            host.cloned().or_else(unnamed)
        };
        let attachments = connection.attachments.iter().enumerate();
        let attachments =
            attachments.map(move |(at, one)| wish(one.host.as_ref(), words::Interface::Attachment(at)));
        let lans = connection.lans.iter().enumerate();
        attachments.chain(lans.map(move |(at, one)| wish(one.host.as_ref(), words::Interface::Lan(at))))
    });
    for (at, (wish, interface)) in wishes.zip(interfaces).enumerate() {
        let Some(wish) = wish else { continue };
        let port = PortId::at(ports.len());
        let owner = match interface.place {
            Place::Attachment { channel, .. } => channels.get(channel.index()).map(|channel| channel.owner),
            Place::Lan { port, .. } => ports.get(port.index()).and_then(|port| port.owner),
        };
        // Frames for the host's own stack go there as they came: nothing is joined for it.
        let caps = PortCaps { offload: true, ..PortCaps::default() };
        ports.push(PortSetup { owner: Some(owner.unwrap_or_default()), caps });
        interface.host = Some(port);
        hosts.push(host_tap(&wish, (port, InterfaceId::at(at)), interface));
    }
}

fn host_tap(wish: &HostDevice, (port, id): (PortId, InterfaceId), interface: &InterfaceSetup) -> HostTap {
    HostTap {
        port,
        interface: id,
        name: wish.name.clone().unwrap_or_else(|| "qspan%d".to_owned()),
        mac: interface.mac,
        mtu: interface.mtu,
        addresses: interface.addresses.clone(),
    }
}

/// Buffers for every ring's worth of frames in flight, as large as the largest MTU wants them.
fn pool(config: &Config, devices: &BTreeMap<String, Device>, setup: &Setup) -> PoolSizes {
    let standard = PoolSizes::default();
    let mtus = config
        .ports
        .iter()
        .filter_map(|port| devices.get(&port.device))
        .map(|device| usize::from(device.mtu));
    // Behind the MTU: the Ethernet header, clear tags, and a tag inside.
    let frame = mtus.max().unwrap_or(0) + Ethernet::LEN + 3 * VlanTag::LEN;
    let workers = usize::from(setup.workers.max(1));
    // A tunnel keeps buffers ready for what comes next.
    let tunnels = config.ports.iter().filter(|port| port.underlay.is_some()).count();
    // Each frame that is duplicated wants two buffers.
    let twice = setup.connections.iter().any(ConnectionSetup::tags);
    PoolSizes {
        small_frame: frame.max(standard.small_frame),
        small_count: standard.small_count * workers * if twice { 2 } else { 1 } + udp::KEPT * tunnels,
        big_count: standard.big_count * workers,
        ..standard
    }
}

/// The interface of a connection's attachment (or, beyond those, LAN) with this place in the configuration.
pub(crate) fn interface_id(
    config: &Config,
    connection: usize,
    place: config::model::Interface,
) -> InterfaceId {
    let before: usize =
        config.connections.iter().take(connection).map(|one| one.attachments.len() + one.lans.len()).sum();
    let attachments = config.connections.get(connection).map_or(0, |one| one.attachments.len());
    InterfaceId::at(match place {
        config::model::Interface::Attachment(at) => before + at,
        config::model::Interface::Lan(at) => before + attachments + at,
    })
}
