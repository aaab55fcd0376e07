//! `[connection.attachment.bfd]` and `[connection.lan.bfd]`: timers, and what the peer's cloud does.

use core::time::Duration;

use net::VlanId;

use super::{
    super::{given, lasting, span_of},
    profile,
};
use crate::{
    model::{Bfd, BfdMode, Profile},
    problem::{Code, Report},
    raw::{self, At, items, time::Period},
};

/// BFD of an attachment, with the defaults of the peer's profile.
pub(in crate::check) fn bfd(
    attachment: &raw::Attachment,
    profile: Profile,
    report: &mut Report,
) -> Option<Bfd> {
    let section = attachment.bfd.as_ref()?;
    let bfd = &section.value;
    if items(&attachment.peer).is_empty() && !attachment.is_wrong("peer") && bfd.mode() != BfdMode::Off {
        report
            .add(Code::BfdPeer, section.span, "BFD on an attachment without a `peer`")
            .help("add peer = [\"169.254.10.2\"], the address of the router at the far end");
    }
    Some(settings(bfd, profile, report))
}

/// BFD with the BGP neighbours on a LAN: none of them is a cloud.
pub(in crate::check) fn lan_bfd(
    connection: &raw::Connection,
    lan: &raw::Lan,
    report: &mut Report,
) -> Option<Bfd> {
    let section = lan.bfd.as_ref()?;
    let port = lan.port.as_ref()?;
    let on = |at: &At<raw::Neighbor>| {
        let vlan: Option<VlanId> = given(at.value.vlan.as_ref());
        let here = vlan.is_none() || vlan == given(lan.vlan.as_ref());
        here && at.value.on.as_ref().is_some_and(|on| on.value == port.value)
    };
    if !items(&connection.neighbor).iter().any(on)
        && !connection.is_wrong("neighbor")
        && section.value.mode() != BfdMode::Off
    {
        report
            .add(Code::BfdPeer, section.span, "BFD on a LAN without a BGP neighbour")
            .help(format!("add [[connection.neighbor]] with on = \"{}\", or remove it", port.value));
    }
    Some(settings(&section.value, Profile::Quadspan, report))
}

fn settings(bfd: &raw::Bfd, profile: Profile, report: &mut Report) -> Bfd {
    let defaults = profile::defaults(profile);
    let min_tx = lasting(bfd.min_tx.as_ref()).unwrap_or(defaults.bfd_interval);
    let min_rx = lasting(bfd.min_rx.as_ref()).unwrap_or(min_tx);
    let multiplier = given(bfd.multiplier.as_ref()).unwrap_or(defaults.bfd_multiplier);
    if bfd.mode() != BfdMode::Off {
        refuse(bfd, profile, (min_tx, min_rx, multiplier), report);
    }
    Bfd { min_tx, min_rx, multiplier, mode: bfd.mode() }
}

/// The ranges that a peer cloud lets one configure, and how fast its own end goes.
fn refuse(
    bfd: &raw::Bfd,
    profile: Profile,
    (min_tx, min_rx, multiplier): (Duration, Duration, u8),
    report: &mut Report,
) {
    let interval = span_of(bfd.min_tx.as_ref().or(bfd.min_rx.as_ref()), bfd.here);
    let fastest = match profile {
        Profile::Quadspan => return,
        Profile::GcpCci => Duration::from_secs(1),
        Profile::AwsDx | Profile::AwsInterconnect | Profile::AzureErDirect => Duration::from_millis(300),
    };
    if min_tx.min(min_rx) < fastest {
        let message = format!(
            "a peer of profile \"{profile}\" sends no faster than every {}: {} will be agreed on",
            Period(fastest),
            Period(fastest)
        );
        report
            .add(Code::ProfileWarns, interval, message)
            .help(format!("write min_tx = \"{}\", so that the file says what happens", Period(fastest)));
    }
    if profile == Profile::GcpCci && !(5..=16).contains(&multiplier) {
        profile::refuse(
            profile,
            span_of(bfd.multiplier.as_ref(), bfd.here),
            &format!("a multiplier of {multiplier}"),
            "use 5 to 16",
            report,
        );
    }
}
