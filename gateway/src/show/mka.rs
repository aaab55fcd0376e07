//! Key agreements: first what is wrong and what to do, then who takes part and under which keys.

use core::fmt::Write as _;

use jiff::Timestamp;

use super::{
    look::Look,
    units::{ago, count, span},
};
use crate::api::model::{MkaChannel, MkaParticipant, MkaPeer, MkaSak};

/// The KaYs of all channels that have one.
pub fn mka(look: &Look, channels: &[MkaChannel]) -> String {
    let each: Vec<_> = channels.iter().map(|channel| one(look, channel)).collect();
    if each.is_empty() { NONE.to_owned() } else { look.paint(&each.join("\n")) }
}

fn one(look: &Look, channel: &MkaChannel) -> String {
    let mut text = heading(look, channel);
    for wrong in &channel.diagnoses {
        add(&mut text, format_args!("! {}", wrong.message));
        add(&mut text, format_args!("!   {}", wrong.remedy));
    }
    if let Some(server) = &channel.key_server {
        let whose = if server.ours { "this gateway" } else { "the peer" };
        add(&mut text, format_args!("  key server {} ({whose}: {})", server.sci, server.why));
    }
    for (title, key) in [("key", &channel.key), ("next key", &channel.next_key)] {
        if let Some(key) = key {
            add(&mut text, format_args!("  {title} {}", sak(look, key)));
        }
    }
    for participant in &channel.participants {
        add(&mut text, format_args!("  {}", conversation(participant)));
        for (kind, peers) in [("live", &participant.live), ("potential", &participant.potential)] {
            for peer in peers {
                add(&mut text, format_args!("    {kind} {}", member(look, peer)));
            }
        }
    }
    for waiting in &channel.waiting {
        add(&mut text, format_args!("  ckn {} starts in {}", waiting.ckn, ahead(waiting.starts, look.now)));
    }
    for (fault, frames) in &channel.faults {
        add(&mut text, format_args!("  refused: {fault} {}", count(*frames)));
    }
    text
}

fn heading(look: &Look, channel: &MkaChannel) -> String {
    let state = match (channel.secured, channel.clear_text) {
        (_, true) => "CLEAR TEXT",
        (true, false) => "secured",
        (false, false) => "NOT SECURED",
    };
    let policy = if channel.policy == "should_secure" {
        "SHOULD-SECURE".to_owned()
    } else {
        channel.policy.replace('_', "-")
    };
    let mut text = format!(
        "{}   {state} since {}   {policy}   {}   {} keys used",
        channel.channel,
        ago(Some(channel.since), look.now),
        channel.sci,
        channel.rekeys
    );
    if let Some(left) = channel.suspended_ms {
        add_part(&mut text, format_args!("   suspended for {}", span(left / 1000)));
    }
    text.push('\n');
    text
}

fn sak(look: &Look, key: &MkaSak) -> String {
    let mode = match (key.encrypt, key.confidentiality_offset) {
        (false, _) => "integrity only".to_owned(),
        (true, 0) => "encrypt".to_owned(),
        (true, offset) => format!("encrypt from {offset}"),
    };
    let mut text = format!(
        "{} {}   an {}   {} {mode}   since {}",
        key.key_id,
        key.fingerprint,
        key.an,
        key.suite,
        ago(Some(key.since), look.now)
    );
    if let Some(at) = key.replaced_at {
        add_part(&mut text, format_args!("   replaced in {}", ahead(at, look.now)));
    }
    text
}

fn conversation(one: &MkaParticipant) -> String {
    let mut text = format!("ckn {}   cak {}", one.ckn, one.cak);
    for (is, word) in [(one.principal, "principal"), (one.fallback, "fallback")] {
        if is {
            add_part(&mut text, format_args!("   {word}"));
        }
    }
    add_part(
        &mut text,
        format_args!(
            "   mi {} mn {}   in {} out {}",
            one.member,
            one.message,
            count(one.in_mkpdu),
            count(one.out_mkpdu)
        ),
    );
    if one.icv_failures > 0 {
        add_part(&mut text, format_args!("   icv failures {}", count(one.icv_failures)));
    }
    text
}

fn member(look: &Look, peer: &MkaPeer) -> String {
    let uses = match (peer.receives, peer.transmits) {
        (true, true) => "receives and transmits",
        (true, false) => "receives",
        (false, true) => "transmits",
        (false, false) => "does not use the key",
    };
    format!(
        "{} ({})   mka {}   priority {}   lists us: {}   {uses}   heard {}",
        peer.sci,
        peer.source,
        peer.version,
        peer.priority,
        peer.lists_us,
        ago(Some(peer.heard), look.now)
    )
}

fn ahead(then: Timestamp, now: Timestamp) -> String {
    span(u64::try_from(then.duration_since(now).as_secs()).unwrap_or(0))
}

fn add(text: &mut String, line: core::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _written = writeln!(text, "{line}");
}

fn add_part(text: &mut String, part: core::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _written = write!(text, "{part}");
}

const NONE: &str = "no channel has MKA: keys are static, or frames cross in clear, by [channel.macsec]; `quadspan show macsec` has each\n";
