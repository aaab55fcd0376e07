//! The SecY of each channel as a tree: SCs, SAs, what they counted.

use core::fmt::Write as _;

use super::{
    look::Look,
    units::{ago, count, percent},
};
use crate::api::model::{Counts, MacsecChannel, ReceiveSa, TransmitSa};

/// The SecYs of all channels.
pub fn macsec(look: &Look, channels: &[MacsecChannel]) -> String {
    let each: Vec<_> = channels.iter().map(|channel| one(look, channel)).collect();
    if each.is_empty() { "no channels are configured\n".to_owned() } else { look.paint(&each.join("\n")) }
}

fn one(look: &Look, channel: &MacsecChannel) -> String {
    let mut text = String::new();
    let state = match (channel.protect_frames, channel.secured) {
        (false, _) => "CLEAR TEXT",
        (true, false) => "NOT SECURED",
        (true, true) => "secured",
    };
    let loud = if channel.policy == "should_secure" {
        "SHOULD-SECURE".to_owned()
    } else {
        channel.policy.replace('_', "-")
    };
    if channel.policy == "off" {
        add(&mut text, format_args!("{}   {state}   off", channel.channel));
        add(
            &mut text,
            format_args!(
                "  no MACsec: frames cross in clear both ways, by `policy = \"off\"` in its [channel.macsec]"
            ),
        );
        return text;
    }
    add(&mut text, format_args!("{}   {state}   {loud}   {}", channel.channel, controls(channel)));
    if channel.counters.values().any(|&count| count > 0) {
        add(&mut text, format_args!("  secy{}", seen(&channel.counters)));
    }
    let transmit = &channel.transmit;
    add(&mut text, format_args!("  tx {}{}", transmit.sci, seen(&transmit.counters)));
    for sa in &transmit.sas {
        add(&mut text, format_args!("    {}", transmit_sa(look, sa)));
    }
    for sc in &channel.receive {
        add(&mut text, format_args!("  rx {}{}", sc.sci, seen(&sc.counters)));
        for sa in &sc.sas {
            add(&mut text, format_args!("    {}", receive_sa(look, sa)));
        }
    }
    text
}

fn add(text: &mut String, line: core::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _written = writeln!(text, "{line}");
}

fn controls(channel: &MacsecChannel) -> String {
    let replay = match (channel.replay_protect, channel.replay_strict) {
        (false, _) => "no replay protection".to_owned(),
        (true, false) => format!("replay window {}", channel.replay_window),
        (true, true) => format!("replay window {} strict", channel.replay_window),
    };
    let form = match (channel.include_sci, channel.end_station, channel.scb) {
        (true, ..) => "SCI sent",
        (false, true, false) => "ES",
        (false, _, true) => "SCB",
        (false, false, false) => "no SCI sent",
    };
    let refused = if channel.cipher_refused { " (a key failed its trial with vaes)" } else { "" };
    format!("validate {}, {replay}, {form}, {}{refused}", channel.validate_frames, channel.backend)
}

/// Counters that are not zero.
fn seen(counts: &Counts) -> String {
    let seen: Vec<_> = counts.iter().filter(|(_, value)| **value > 0).collect();
    let texts = seen.iter().map(|(name, value)| format!("{name} {}", count(**value)));
    texts.fold(String::new(), |text, one| text + "   " + &one)
}

fn transmit_sa(look: &Look, sa: &TransmitSa) -> String {
    let mode = match (sa.encrypt, sa.confidentiality_offset) {
        (false, _) => "integrity only".to_owned(),
        (true, 0) => "encrypt".to_owned(),
        (true, offset) => format!("encrypt from {offset}"),
    };
    format!(
        "an {} {}  {} {mode}  next PN {} ({} used, {} reserved)  key {}{}  since {}{}",
        sa.an,
        usage(sa.in_use),
        sa.suite,
        sa.next_pn,
        percent(sa.next_pn.saturating_sub(1), sa.pn_limit),
        count(sa.pns_left),
        sa.key,
        ssci(sa.ssci),
        ago(sa.started, look.now),
        seen(&sa.counters),
    )
}

fn receive_sa(look: &Look, sa: &ReceiveSa) -> String {
    format!(
        "an {} {}  {}  next PN {}, lowest {}  key {}{}  since {}{}",
        sa.an,
        usage(sa.in_use),
        sa.suite,
        sa.next_pn,
        sa.lowest_pn,
        sa.key,
        ssci(sa.ssci),
        ago(sa.started, look.now),
        seen(&sa.counters),
    )
}

const fn usage(in_use: bool) -> &'static str {
    if in_use { "in use" } else { "ready" }
}

fn ssci(ssci: Option<u32>) -> String {
    ssci.map(|ssci| format!(" ssci {ssci:08x}")).unwrap_or_default()
}
