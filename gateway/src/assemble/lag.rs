//! LAGs: from the words of the file to LACP's parameters.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use config::{
    Config,
    model::{Attachment, Lag, LagMode, LagTimers},
};
use dataplane::{
    ChannelId, ChannelSetup, LagMember, LagSetup,
    lacp::{LacpParams, MemberParams},
};
use net::MacAddr;

use super::{Device, device_of};

/// All LAGs.
///
/// # Errors
/// When members do not carry frames of the same length.
pub(super) fn lags(
    config: &Config,
    devices: &BTreeMap<String, Device>,
    channels: &[ChannelSetup],
) -> Result<Vec<LagSetup>> {
    config.lags.iter().map(|lag| one(config, devices, channels, lag)).collect()
}

/// The MAC address that an attachment's LAG gives it, when the file says one.
pub(super) fn mac(config: &Config, attachment: &Attachment) -> Option<MacAddr> {
    config.lags.get(attachment.link.lag()?.index())?.mac
}

fn one(
    config: &Config,
    devices: &BTreeMap<String, Device>,
    channels: &[ChannelSetup],
    lag: &Lag,
) -> Result<LagSetup> {
    let mut members = Vec::new();
    for member in &lag.members {
        let Some(port) = config.channel(member).map(|channel| channel.port.index()) else { continue };
        let device = device_of(config, devices, port)?;
        let channel = ChannelId::at(member.index());
        // Of all ports of the system each has another number; its place in the file is one.
        let number = channel.0.saturating_add(1);
        members.push(LagMember {
            channel,
            mac: device.mac,
            port: MemberParams { number, priority: PORT_PRIORITY },
        });
    }
    let carries =
        |member: &LagMember| channels.get(member.channel.index()).map(|channel| channel.secy.max_frame);
    if let Some((first, rest)) = members.split_first()
        && let Some(other) = rest.iter().find(|other| carries(other) != carries(first))
    {
        let name =
            |member: &LagMember| config.channels.get(member.channel.index()).map_or("?", |one| &one.name);
        bail!(
            "LAG \"{}\": channel \"{}\" does not carry frames as long as \"{}\" does: give their devices the same MTU, or both channels the same mtu",
            lag.name,
            name(other),
            name(first)
        );
    }
    let first = members.first().map(|member| member.mac);
    let lacp = LacpParams {
        system_priority: lag.system_priority,
        system: lag.mac.or(first).unwrap_or_default(),
        key: lag.key,
        active: lag.mode == LagMode::Active,
        short_timeout: lag.timers == LagTimers::Fast,
    };
    Ok(LagSetup { lacp, min_links: lag.min_links.max(1), members })
}

/// The default of 802.1AX-2014 §6.3.4: all ports are alike.
const PORT_PRIORITY: u16 = 0x8000;
