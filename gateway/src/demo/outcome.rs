//! Everything that the demo found out, as one document and as the tables a person reads.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use super::api::Channel;
use super::detect::Noticed;
use super::flows::Moved;
use super::verdict::{Check, Verdict};
use crate::lab::capture::Seen;
use crate::lab::traffic::ping::PingReport;
use crate::lab::traffic::tcp::TcpReport;
use crate::lab::traffic::udp::UdpReport;

/// The document of `--json`. Times are in seconds, as in all our documents.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Outcome {
    /// `v1`.
    pub api: &'static str,
    /// `Demo`.
    pub kind: &'static str,
    /// Whether every check held.
    pub ok: bool,
    /// What went wrong before all could be checked.
    pub error: Option<String>,
    /// How long it took.
    pub elapsed: f64,
    /// How late timers are on this machine (99th percentile); budgets grow with it.
    pub timer_lateness: f64,
    /// The checks.
    #[serde(rename = "checks")]
    pub verdict: Verdict,
    /// From the start of the second gateway to the first encrypted frame on a channel, in seconds.
    pub first_encrypted: Option<f64>,
    /// From when all channels were live until each site had learnt the other's prefixes on all attachments, in seconds.
    pub routes_learnt: Option<f64>,
    /// When each site found the silent cut.
    pub found: Vec<FoundLine>,
    /// Keys that were changed under traffic.
    pub rolls: Vec<RollLine>,
    /// Echo requests.
    pub pings: Vec<PingLine>,
    /// TCP streams.
    pub streams: Vec<StreamLine>,
    /// Numbered datagrams, by direction.
    pub datagrams: Vec<DatagramLine>,
    /// The channels of both sites at the end.
    pub channels: Vec<ChannelLine>,
    /// What the captures saw.
    pub captures: Vec<CaptureLine>,
    /// Where the gateways' logs are, when they were kept.
    pub logs: Option<String>,
}

/// A change of one channel's key under traffic.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RollLine {
    /// The channel.
    pub channel: String,
    /// `sak` or `cak`.
    pub key: &'static str,
    /// From the wish for the SAK, or from the start of the CAK, until both ends sent under the new one, in seconds;
    /// null when they did not in time.
    pub took: Option<f64>,
}

/// How a site found out that a channel is silent.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FoundLine {
    /// The site.
    pub site: char,
    /// The attachment: `blue/ch2`.
    pub attachment: String,
    /// How long after the channel fell silent it was taken out of use, in seconds; null: it was not.
    pub after: Option<f64>,
    /// Why, as the gateway's log says.
    pub why: Option<String>,
}

/// Echo requests to one address.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PingLine {
    /// `h-a -> 10.2.0.2`.
    pub way: String,
    /// Requests.
    pub sent: u16,
    /// Replies.
    pub received: usize,
    /// Median round-trip time in seconds.
    pub median: Option<f64>,
}

/// One TCP stream.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StreamLine {
    /// `h-a -> 10.2.0.2`.
    pub way: String,
    /// `alone` or `through the cuts`.
    pub phase: &'static str,
    /// Octets that arrived and were right.
    pub octets: u64,
    /// Whether all that was sent arrived, and right.
    pub complete: bool,
    /// Payload bits per second.
    pub bits_per_second: u64,
    /// The longest wait for more, in seconds.
    pub longest_wait: f64,
}

/// The numbered datagrams of one direction.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DatagramLine {
    /// `a -> b`.
    pub way: &'static str,
    /// How many flows.
    pub flows: usize,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that arrived.
    pub received: u64,
    /// Lost ones.
    pub lost: u64,
    /// Those that came twice.
    pub duplicated: u64,
    /// Those that came after a later one.
    pub reordered: u64,
    /// Those with wrong octets.
    pub damaged: u64,
    /// Median time on the way, in seconds.
    pub delay_median: f64,
    /// 99th percentile.
    pub delay_p99: f64,
    /// What the cut did, and what the silent cut did.
    pub cuts: Vec<Moved>,
}

/// One channel of one site.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ChannelLine {
    /// The site.
    pub site: char,
    /// What its gateway says.
    #[serde(flatten)]
    pub channel: Channel,
}

/// One captured interface.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CaptureLine {
    /// `gw-b/ch1`.
    pub interface: String,
    /// Frames looked at, both directions.
    pub frames: u64,
    /// Frames that the capture could not keep up with.
    pub missed: u64,
    /// MACsec frames.
    pub macsec: u64,
    /// MKPDUs.
    pub mka: u64,
    /// IPv4, IPv6 and ARP frames in clear.
    pub ip_in_clear: u64,
    /// Frames with octets of our payloads.
    pub payload_in_clear: u64,
}

impl Outcome {
    /// Nothing found out yet.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { api: "v1", kind: "Demo", ..Self::default() }
    }
}

impl FoundLine {
    pub(super) fn new(site: char, attachment: &str, found: Option<&Noticed>) -> Self {
        Self {
            site,
            attachment: attachment.to_owned(),
            after: found.map(|found| found.after.as_secs_f64()),
            why: found.map(|found| found.why.clone()),
        }
    }
}

impl PingLine {
    pub(super) fn new(way: String, report: &PingReport) -> Self {
        let median = report.median().map(|m| m.as_secs_f64());
        Self { way, sent: report.sent, received: report.round_trips.len(), median }
    }
}

impl StreamLine {
    pub(super) fn new(way: String, phase: &'static str, report: &TcpReport) -> Self {
        Self {
            way,
            phase,
            octets: report.verified,
            complete: report.is_complete(),
            bits_per_second: report.bits_per_second(),
            longest_wait: report.longest_wait.as_secs_f64(),
        }
    }
}

impl DatagramLine {
    pub(super) fn new(way: &'static str, report: &UdpReport, cuts: Vec<Moved>) -> Self {
        let totals = report.totals();
        Self {
            way,
            flows: report.flows.len(),
            sent: totals.sent,
            received: totals.received,
            lost: totals.lost,
            duplicated: totals.duplicated,
            reordered: totals.reordered,
            damaged: totals.damaged,
            delay_median: report.delay(50).as_secs_f64(),
            delay_p99: report.delay(99).as_secs_f64(),
            cuts,
        }
    }
}

impl CaptureLine {
    pub(super) fn new(node: &str, seen: &Seen) -> Self {
        use net::EtherType;
        let both = [&seen.incoming, &seen.outgoing];
        let sum = |of: &dyn Fn(&crate::lab::capture::Frames) -> u64| both.iter().map(|f| of(f)).sum();
        let of_type = |ether_type| sum(&|frames| frames.of_type(ether_type));
        Self {
            interface: format!("{node}/{}", seen.interface),
            frames: sum(&|frames| frames.count),
            missed: seen.missed,
            macsec: of_type(EtherType::MACSEC),
            mka: of_type(EtherType::EAPOL),
            ip_in_clear: [EtherType::IPV4, EtherType::IPV6, EtherType::ARP].map(of_type).iter().sum(),
            payload_in_clear: sum(&|frames| frames.clear()),
        }
    }
}

/// The channels as a table, a row for each channel of each site.
#[must_use]
pub(super) fn channel_table(lines: &[ChannelLine]) -> String {
    let mut table = plain_table(&[
        "SITE",
        "CHANNEL",
        "STATE",
        "CIPHER SUITE",
        "TX FRAMES",
        "TX OCTETS",
        "RX FRAMES",
        "RX OCTETS",
        "NEXT PN",
        "LOWEST PN",
        "DROPS",
    ]);
    for ChannelLine { site, channel } in lines {
        let macsec = channel.macsec.clone().unwrap_or_default();
        let lowest = macsec.rx.first().map_or_else(String::new, |sc| grouped(sc.lowest_pn));
        let mut row = vec![Cell::new(site), Cell::new(&channel.name), Cell::new(&channel.state)];
        row.push(Cell::new(&macsec.suite));
        let numbers = [
            grouped(channel.tx_frames),
            grouped(channel.tx_octets),
            grouped(channel.rx_frames),
            grouped(channel.rx_octets),
            macsec.next_pn.map_or_else(String::new, grouped),
            lowest,
            grouped(channel.dropped()),
        ];
        row.extend(numbers.map(right));
        table.add_row(row);
    }
    let mut text = table.trim_fmt();
    for ChannelLine { site, channel } in lines {
        for (reason, frames) in &channel.drops {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n dropped at {site}/{}: {} {reason}", channel.name, grouped(*frames));
        }
    }
    text
}

/// The checks as a table.
#[must_use]
pub(super) fn check_table(checks: &[Check], outcome: impl Fn(bool) -> String) -> String {
    let mut table = plain_table(&["", "CHECK", "FOUND", "WANTED"]);
    for check in checks {
        let cells = [outcome(check.ok), check.name.clone(), check.value.clone(), check.wanted.clone()];
        table.add_row(cells.map(Cell::new));
    }
    table.trim_fmt()
}

/// Frames per channel over time, a row of characters for each channel: how full each piece of time was.
#[must_use]
pub(super) fn chart(rows: &[(String, Vec<u64>)], unicode: bool) -> String {
    let most = rows.iter().flat_map(|(_, counts)| counts).max().copied().unwrap_or(0).max(1);
    let levels: Vec<char> = if unicode { " ▁▂▃▄▅▆▇█" } else { " .:-=+*#%" }.chars().collect();
    let top = u64::try_from(levels.len().saturating_sub(1)).unwrap_or(1);
    let level = |count: u64| {
        // Rounded up: a blank is no frame at all.
        let place = usize::try_from(count.saturating_mul(top).div_ceil(most)).unwrap_or(usize::MAX);
        levels.get(place).copied().unwrap_or('?')
    };
    let line = |(name, counts): &(String, Vec<u64>)| {
        format!("  {name} |{}|\n", counts.iter().map(|&count| level(count)).collect::<String>())
    };
    rows.iter().map(line).collect()
}

/// Digits in groups of three: `1 234 567`.
#[must_use]
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len().saturating_sub(place)).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Bits per second in the unit that suits: `812 Mbit/s`, `3.4 Gbit/s`.
#[must_use]
pub(super) fn rate(bits_per_second: u64) -> String {
    let megabits = bits_per_second / 1_000_000;
    if megabits < 1000 {
        format!("{megabits} Mbit/s")
    } else {
        format!("{}.{} Gbit/s", megabits / 1000, megabits % 1000 / 100)
    }
}

/// A duration with a digit after the point, in the unit that suits: `0.4 ms`, `1.2 s`.
#[must_use]
pub(super) fn short(duration: Duration) -> String {
    if duration >= Duration::from_secs(1) {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
    }
}

fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().copied());
    table
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 12, 1234, 1_234_567].map(grouped), ["0", "12", "1 234", "1 234 567"]);
        assert_eq!([812_900_000, 3_456_000_000].map(rate), ["812 Mbit/s", "3.4 Gbit/s"]);
        assert_eq!([400, 1_234_000].map(|us| short(Duration::from_micros(us))), ["0.4 ms", "1.2 s"]);
    }

    #[test]
    fn a_chart_is_blank_only_where_nothing_came() {
        let rows = [("ch1".to_owned(), vec![800, 0, 1]), ("ch2".to_owned(), vec![400, 800, 800])];
        assert_eq!(chart(&rows, false), "  ch1 |% .|\n  ch2 |=%%|\n");
        assert_eq!(chart(&rows, true), "  ch1 |█ ▁|\n  ch2 |▄██|\n");
    }

    #[test]
    fn a_channel_has_a_row_with_its_packet_numbers() {
        let text = r#"{"name":"ch1","state":"live","tx_frames":1234,"drops":{"late":2},
            "macsec":{"suite":"gcm-aes-xpn-256","next_pn":5678,"rx":[{"lowest_pn":91011}]}}"#;
        let line = ChannelLine { site: 'a', channel: serde_json::from_str(text).unwrap() };
        let table = channel_table(&[line]);
        for part in ["ch1", "live", "gcm-aes-xpn-256", "1 234", "5 678", "91 011"] {
            assert!(table.contains(part), "{part} is missing in\n{table}");
        }
        assert_eq!(table.lines().count(), 3);
        assert!(table.ends_with("dropped at a/ch1: 2 late"), "{table}");
    }
}
