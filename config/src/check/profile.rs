//! What the peers' clouds refuse, as far as it can be seen in the file.
//!
//! Only what their documentation states and what this version can set: cipher suites, tags, SCI, VLANs, MTUs.
//! What they say about MKA keys is in `cloud_keys`.

use core::ops::RangeInclusive;

use super::{classes, macsec::include_sci, span_of};
use crate::{
    model::{Cipher, Policy, Profile},
    problem::{Code, Report, Span},
    raw::{self, At, items},
};

struct Rules {
    ciphers: &'static [Cipher],
    needs_sci: bool,
    clear_tags: bool,
    vlans: RangeInclusive<u16>,
    /// IP MTUs; empty: any.
    mtus: &'static [u16],
}

/// `None`: everything goes.
fn rules(profile: Profile) -> Option<Rules> {
    const STRONG: &[Cipher] = &[Cipher::GcmAesXpn256, Cipher::GcmAes256];
    Some(match profile {
        Profile::Quadspan => return None,
        // 256-bit suites only, SCI always, no tags in clear; jumbo is 8500 or 9001 by kind of virtual interface.
        Profile::AwsDx => Rules {
            ciphers: STRONG,
            needs_sci: true,
            clear_tags: false,
            vlans: 1..=4094,
            mtus: &[1500, 8500, 9001],
        },
        // The Connection Coordinator specification reserves VLANs up to 1024; the AWS side has one MTU.
        Profile::AwsInterconnect => {
            Rules { ciphers: STRONG, needs_sci: true, clear_tags: false, vlans: 1025..=4094, mtus: &[8500] }
        }
        Profile::GcpCci => Rules {
            ciphers: STRONG,
            needs_sci: true,
            clear_tags: false,
            vlans: 2..=4093,
            mtus: &[1440, 1460, 1500, 8896],
        },
        Profile::AzureErDirect => {
            Rules { ciphers: Cipher::ALL, needs_sci: false, clear_tags: true, vlans: 1..=4094, mtus: &[1500] }
        }
    })
}

/// replayWindow where the file does not give one: Google documents 64, the standard's default is 0.
pub(super) const fn replay_window(profile: Profile) -> u32 {
    match profile {
        Profile::GcpCci => 64,
        Profile::Quadspan | Profile::AwsDx | Profile::AwsInterconnect | Profile::AzureErDirect => 0,
    }
}

pub(super) fn channel(channel: &raw::Channel, profile: Profile, report: &mut Report) {
    let Some(rules) = rules(profile) else { return };
    if let Some(tags) = channel.clear_tags.as_ref().filter(|at| !at.value.is_empty() && !rules.clear_tags) {
        refuse(
            profile,
            tags.span,
            "VLAN tags in clear",
            "put the tag inside: `vlan` of the attachment",
            report,
        );
    }
    let Some(At { value: macsec, .. }) = &channel.macsec else { return };
    if macsec.policy() == Policy::Off {
        return;
    }
    ciphers(macsec, profile, &rules, report);
    if rules.needs_sci && !include_sci(macsec) {
        let short = macsec.end_station.as_ref().or(macsec.scb.as_ref()).or(macsec.include_sci.as_ref());
        let span = span_of(macsec.include_sci.as_ref().or(short), macsec.here);
        refuse(profile, span, "frames without an SCI", "set include_sci = true", report);
    }
    if let Some(keys) = &macsec.static_keys {
        report
            .add(
                Code::ProfileWarns,
                keys.span,
                format!("a peer of profile \"{profile}\" agrees on its keys by MKA"),
            )
            .help("static keys reach another Quadspan or a laboratory, not this peer");
    }
}

fn ciphers(macsec: &raw::Macsec, profile: Profile, rules: &Rules, report: &mut Report) {
    let words: Vec<_> = rules.ciphers.iter().map(|cipher| cipher.as_str()).collect();
    let help = format!("use {}", words.join(" or "));
    let listed = macsec.mka.as_ref().map_or(&[][..], |at| items(&at.value.ciphers));
    for cipher in listed.iter().filter(|cipher| !rules.ciphers.contains(&cipher.value)) {
        refuse(profile, cipher.span, cipher.value.as_str(), &help, report);
    }
    let cipher = macsec.cipher();
    if listed.is_empty() && !rules.ciphers.contains(&cipher) && !macsec.is_wrong("cipher") {
        refuse(profile, span_of(macsec.cipher.as_ref(), macsec.here), cipher.as_str(), &help, report);
    }
}

pub(super) fn attachment(attachment: &raw::Attachment, profile: Profile, report: &mut Report) {
    let Some(rules) = rules(profile) else { return };
    let (first, last) = (rules.vlans.start(), rules.vlans.end());
    let help = format!("use a VLAN from {first} to {last}");
    match &attachment.vlan {
        Some(vlan) if !rules.vlans.contains(&vlan.value.get()) => {
            refuse(profile, vlan.span, &format!("VLAN {}", vlan.value), &help, report);
        }
        None if !attachment.is_wrong("vlan") => {
            refuse(profile, attachment.here, "untagged attachments", &help, report);
        }
        Some(_) | None => {}
    }
    if let Some(mtu) = attachment.mtu.as_ref().filter(|at| !rules.mtus.contains(&at.value)) {
        let choices: Vec<_> = rules.mtus.iter().map(u16::to_string).collect();
        let help = format!("use {}", choices.join(", "));
        refuse(profile, mtu.span, &format!("an MTU of {}", mtu.value), &help, report);
    }
}

/// A redundancy tag is an EtherType that routers do not know: they drop the frame.
pub(super) fn redundancy(connection: &raw::Connection, profile: Profile, report: &mut Report) {
    if profile == Profile::Quadspan || !classes::tags(connection) {
        return;
    }
    let class = classes::place(connection);
    let span = class.unwrap_or_else(|| span_of(connection.protection.as_ref(), connection.here));
    let help = "use protection = \"ecmp\" or \"active-standby\" without classes: only another Quadspan removes copies";
    refuse(profile, span, "redundancy tags (IEEE 802.1CB)", help, report);
}

/// Google speaks LACP on every link, even a single one; where nobody answers, its end stays detached.
pub(super) fn needs_lacp(attachment: &raw::Attachment, profile: Profile, report: &mut Report) {
    let Some(channel) = attachment.channel.as_ref().filter(|_| profile == Profile::GcpCci) else { return };
    let message = format!(
        "a peer of profile \"{profile}\" speaks LACP on every link, and channel `{}` is in no LAG",
        channel.value
    );
    report.add(Code::ProfileWarns, channel.span, message).help(format!(
        "add [[lag]] with members = [\"{}\"] and name it here with `lag`, unless a switch in between speaks LACP",
        channel.value
    ));
}

pub(super) fn refuse(profile: Profile, span: Span, what: &str, help: &str, report: &mut Report) {
    report
        .add(Code::ProfileRefuses, span, format!("a peer of profile \"{profile}\" refuses {what}"))
        .help(help);
}
