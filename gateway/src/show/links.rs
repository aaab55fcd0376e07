//! Channels, ports, drops.

use super::{
    look::Look,
    table::{number, table, text},
    units::{ago, count, octets, percent},
};
use crate::api::model::{Channel, ChannelMacsec, ChannelState, Drop, Port, PortState};

/// Channels.
pub fn channels(look: &Look, channels: &[Channel]) -> String {
    let columns = [
        text("CHANNEL"),
        text("STATE"),
        text("SINCE").rank(4),
        text("PORT").rank(3),
        text("MACSEC"),
        number("AN").rank(6),
        number("NEXT PN").rank(5),
        number("PN USED"),
        number("RX").rank(1),
        number("RX FRAMES").rank(7),
        number("TX").rank(1),
        number("TX FRAMES").rank(7),
        number("DROPS"),
    ];
    let row = |channel: &Channel| {
        let macsec = &channel.macsec;
        vec![
            channel.name.clone(),
            state(channel.state, channel.reason.as_deref()),
            ago(channel.since, look.now),
            with_tags(&channel.port, &channel.clear_tags),
            protection(macsec),
            macsec.encoding_an.map_or_else(|| "-".to_owned(), |an| an.to_string()),
            macsec.next_pn.map_or_else(|| "-".to_owned(), count),
            macsec
                .next_pn
                .map_or_else(|| "-".to_owned(), |pn| percent(pn.saturating_sub(1), macsec.pn_limit)),
            octets(channel.rx_octets),
            count(channel.rx_frames),
            octets(channel.tx_octets),
            count(channel.tx_frames),
            count(channel.drops.values().sum()),
        ]
    };
    let table =
        table(look, &columns, &channels.iter().map(row).collect::<Vec<_>>(), "no channels are configured");
    channels.iter().filter_map(|channel| planned(look, channel)).fold(table, |screen, line| screen + &line)
}

/// Planned work on a channel.
fn planned(look: &Look, channel: &Channel) -> Option<String> {
    let drain = channel.drain.as_ref()?;
    let until = drain.until.map(|until| format!(", until {}", until.strftime("%F %T UTC")));
    let since = ago(Some(drain.since), look.now);
    let name = &channel.name;
    Some(look.paint(&format!(
        "! {name} was drained {since}{}: {}\n",
        until.unwrap_or_default(),
        drain.message
    )))
}

/// A state, and the reason when it is not the good one.
pub(super) fn state(state: ChannelState, reason: Option<&str>) -> String {
    let word = match state {
        ChannelState::Live => return "live".to_owned(),
        ChannelState::Reserve => "reserve",
        ChannelState::Down => "down",
        ChannelState::Unknown => "unknown",
    };
    reason.map_or_else(|| word.to_owned(), |reason| format!("{word} {reason}"))
}

fn with_tags(port: &str, tags: &[u16]) -> String {
    tags.iter().fold(port.to_owned(), |text, tag| format!("{text}.{tag}"))
}

/// What is true about the protection now; anything weaker than must-secure is loud.
fn protection(macsec: &ChannelMacsec) -> String {
    let suite = macsec.suite.trim_start_matches("gcm-aes-");
    match (macsec.clear_text, macsec.secured, macsec.accepts_clear_text) {
        (true, _, _) => "CLEAR TEXT".to_owned(),
        (false, false, _) => "NOT SECURED".to_owned(),
        (false, true, true) => format!("secured {suite} SHOULD-SECURE"),
        (false, true, false) => format!("secured {suite}"),
    }
}

/// Ports.
pub fn ports(look: &Look, ports: &[Port]) -> String {
    let columns = [
        text("PORT"),
        text("DEVICE"),
        text("LINK"),
        text("ROLE").rank(3),
        text("IO"),
        text("VNET").rank(2),
        text("WORKERS").rank(5),
        number("MTU").rank(4),
        text("MAC").rank(8),
        number("RX").rank(1),
        number("RX FRAMES").rank(6),
        number("TX").rank(1),
        number("TX FRAMES").rank(6),
        number("LOST").rank(1),
        number("DROPS"),
    ];
    let row = |port: &Port| {
        let workers: Vec<_> = port.workers.iter().map(u16::to_string).collect();
        let lost = port.losses.values().sum();
        vec![
            port.name.clone(),
            port.device.clone(),
            link(port),
            port.role.clone(),
            io(port),
            if port.vnet { "yes" } else { "no" }.to_owned(),
            workers.join(","),
            port.mtu.map_or_else(|| "-".to_owned(), |mtu| mtu.to_string()),
            port.mac.clone().unwrap_or_else(|| "-".to_owned()),
            octets(port.rx_octets),
            count(port.rx_frames),
            octets(port.tx_octets),
            count(port.tx_frames),
            count(lost),
            count(port.drops.values().sum()),
        ]
    };
    table(look, &columns, &ports.iter().map(row).collect::<Vec<_>>(), "no ports are configured")
}

/// How frames move, and where to when that is a tunnel.
fn io(port: &Port) -> String {
    let tunnel = port.tunnel.iter().map(|tunnel| format!(" {} to {}", tunnel.vni, tunnel.remote));
    let ring = port.ring.iter().map(|ring| format!(" {ring}"));
    let closed = port.workers.is_empty().then(|| " (closed)".to_owned());
    ring.chain(tunnel).chain(closed).fold(port.io.clone(), |text, more| text + &more)
}

fn link(port: &Port) -> String {
    match port.state {
        PortState::Up => "up".to_owned(),
        PortState::Down => {
            format!("down {}", port.reason.as_deref().unwrap_or_default()).trim_end().to_owned()
        }
    }
}

/// Drops, each with what it means where there is room.
pub fn drops(look: &Look, drops: &[Drop]) -> String {
    let columns = [number("FRAMES"), text("REASON"), text("WHERE"), text("MEANING").rank(1)];
    let row = |drop: &Drop| {
        let meaning = drop.help.split(". ").next().unwrap_or_default().to_owned();
        vec![count(drop.count), drop.reason.clone(), format!("{}/{}", drop.scope, drop.name), meaning]
    };
    let table = table(look, &columns, &drops.iter().map(row).collect::<Vec<_>>(), "nothing was dropped");
    match drops.first() {
        Some(first) => format!("{table}\nmore about one: quadspan explain drop:{}\n", first.reason),
        None => table,
    }
}
