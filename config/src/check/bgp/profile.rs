//! What the clouds' BGP speakers do and refuse, as their documentation states it: timers, TTL, passwords, AS
//! numbers, limits, and what does not go together.

use core::time::Duration;

use super::super::span_of;
use crate::{
    model::{GracefulRestart, Limits, Password, Profile},
    problem::{Code, Report, Span},
    raw::{self, At, items, time::Period},
};

/// What a profile sets where the file says nothing.
pub(super) struct Defaults {
    pub(super) hold: Duration,
    pub(super) keepalive: Duration,
    pub(super) bfd_interval: Duration,
    pub(super) bfd_multiplier: u8,
    /// One prefix more, and the cloud ends the session or drops something.
    pub(super) max_out: Limits,
}

/// The defaults of `profile`.
pub(super) const fn defaults(profile: Profile) -> Defaults {
    let (hold, keepalive, interval, bfd_multiplier, ipv4, ipv6) = match profile {
        Profile::Quadspan => (90, 30, 300, 3, None, None),
        // 30/90, 300 ms x 3; 100 prefixes of each family on private and transit interfaces.
        Profile::AwsDx => (90, 30, 300, 3, Some(100), Some(100)),
        Profile::AwsInterconnect => (90, 30, 300, 3, Some(1000), Some(1000)),
        // Keepalive 20 to 60, hold three times that; BFD 1000 ms x 5.
        Profile::GcpCci => (60, 20, 1000, 5, Some(5000), Some(5000)),
        // 60/180; 4000 prefixes without the premium add-on, 100 of IPv6.
        Profile::AzureErDirect => (180, 60, 300, 3, Some(4000), Some(100)),
    };
    Defaults {
        hold: Duration::from_secs(hold),
        keepalive: Duration::from_secs(keepalive),
        bfd_interval: Duration::from_millis(interval),
        bfd_multiplier,
        max_out: Limits { ipv4, ipv6 },
    }
}

/// Graceful restart where the file says nothing: off where the cloud advises against it beside BFD.
pub(super) const fn graceful_restart(profile: Profile, bfd: bool) -> GracefulRestart {
    match profile {
        Profile::AwsDx | Profile::AwsInterconnect if bfd => GracefulRestart::Off,
        Profile::Quadspan
        | Profile::AwsDx
        | Profile::AwsInterconnect
        | Profile::GcpCci
        | Profile::AzureErDirect => GracefulRestart::Helper,
    }
}

/// What our side as a whole must not be.
pub(super) fn speaker(bgp: &raw::Bgp, connection: &raw::Connection, profile: Profile, report: &mut Report) {
    if let Some(asn) = &bgp.asn {
        customer_asn(asn, profile, report);
    }
    for At { value: neighbor, .. } in items(&connection.neighbor) {
        if let Some(asn) = neighbor.local_asn.as_ref().filter(|_| on_attachment(connection, neighbor)) {
            customer_asn(asn, profile, report);
        }
    }
}

/// Profiles are about the far end of the interconnect, not about the customer's own routers.
pub(super) fn on_attachment(connection: &raw::Connection, neighbor: &raw::Neighbor) -> bool {
    let channel = |at: &At<raw::Attachment>| at.value.link().map(|name| name.value.clone());
    let on = neighbor.on.as_ref().map(|name| name.value.clone());
    on.is_some() && items(&connection.attachment).iter().any(|at| channel(at) == on)
}

fn customer_asn(asn: &At<u32>, profile: Profile, report: &mut Report) {
    let theirs = match profile {
        Profile::AzureErDirect => matches!(asn.value, 12_076 | 65_515..=65_520),
        Profile::GcpCci => asn.value == 16_550,
        Profile::AwsDx | Profile::AwsInterconnect => asn.value == 7224,
        Profile::Quadspan => false,
    };
    if theirs {
        refuse(profile, asn.span, &format!("AS {} as yours", asn.value), "use another AS number", report);
    }
}

/// What one neighbour is, as far as the clouds care.
pub(super) struct Facts<'f> {
    pub(super) hold: Duration,
    pub(super) keepalive: Duration,
    pub(super) password: Option<&'f Password>,
    pub(super) bfd: bool,
    pub(super) graceful_restart: GracefulRestart,
    pub(super) max_out: Limits,
}

/// What the cloud at the far end refuses of a neighbour.
pub(super) fn neighbor(neighbor: &raw::Neighbor, profile: Profile, facts: &Facts<'_>, report: &mut Report) {
    if profile == Profile::Quadspan {
        return;
    }
    ttl(neighbor, profile, report);
    timers(neighbor, profile, facts, report);
    password(neighbor, profile, facts.password, report);
    edge_asn(neighbor, profile, report);
    restart_with_bfd(neighbor, profile, facts, report);
    limits(neighbor, profile, facts, report);
}

/// AWS sends with TTL 1; the others do not document GTSM at all.
fn ttl(neighbor: &raw::Neighbor, profile: Profile, report: &mut Report) {
    if let Some(at) = neighbor.ttl_security.as_ref().filter(|at| at.value) {
        let what = "TTL security: it sends with TTL 1, and the session would never come up";
        let help = "remove ttl_security; both ends are on one link anyway";
        refuse(profile, at.span, what, help, report);
    }
}

fn timers(neighbor: &raw::Neighbor, profile: Profile, facts: &Facts<'_>, report: &mut Report) {
    let (min_hold, min_keepalive) = match profile {
        Profile::GcpCci => (60, 20),
        Profile::AzureErDirect => (10, 3),
        Profile::Quadspan | Profile::AwsDx | Profile::AwsInterconnect => (3, 1),
    };
    let fields = [
        ("hold time", "hold", neighbor.hold.as_ref(), facts.hold, min_hold),
        ("keepalive time", "keepalive", neighbor.keepalive.as_ref(), facts.keepalive, min_keepalive),
    ];
    for (what, key, field, value, least) in fields {
        let least = Duration::from_secs(least);
        if value < least {
            let span = span_of(field, neighbor.here);
            let help = format!("write {key} = \"{}\" or more", Period(least));
            refuse(profile, span, &format!("a {what} of {}", Period(value)), &help, report);
        }
    }
}

/// 6 to 80 characters at AWS, 80 printable ones at Google, 25 letters and digits at Azure.
fn password(neighbor: &raw::Neighbor, profile: Profile, password: Option<&Password>, report: &mut Report) {
    let Some((password, at)) = password.zip(neighbor.password.as_ref()) else {
        let wanted = matches!(profile, Profile::AwsDx) && neighbor.password.is_none();
        if wanted && !neighbor.is_wrong("password") {
            report
                .add(
                    Code::ProfileWarns,
                    neighbor.here,
                    format!("a peer of profile \"{profile}\" makes up a password when you give it none"),
                )
                .help(
                    "add password = { file = \"keys/dx1.md5\" } with the password of the virtual interface",
                );
        }
        return;
    };
    let octets = password.secret.expose();
    let (fits, rule) = match profile {
        Profile::AwsDx | Profile::AwsInterconnect => (octets.len() >= 6, "6 to 80 characters"),
        Profile::AzureErDirect => (
            octets.len() <= 25 && octets.iter().all(u8::is_ascii_alphanumeric),
            "at most 25 letters and digits",
        ),
        Profile::GcpCci => {
            (octets.iter().all(|octet| (0x20..0x7f).contains(octet)), "at most 80 printable ASCII characters")
        }
        Profile::Quadspan => (true, ""),
    };
    if !fits {
        refuse(profile, at.span, "this password", &format!("use one of {rule}"), report);
    }
}

fn edge_asn(neighbor: &raw::Neighbor, profile: Profile, report: &mut Report) {
    let Some(asn) = &neighbor.asn else { return };
    let private = matches!(asn.value, 64_512..=65_534 | 4_200_000_000..=4_294_967_294);
    let (fits, theirs) = match profile {
        Profile::AzureErDirect => (asn.value == 12_076, "12076"),
        Profile::GcpCci => (asn.value == 16_550 || private, "16550 or a private AS number"),
        Profile::Quadspan | Profile::AwsDx | Profile::AwsInterconnect => (true, ""),
    };
    if !fits {
        report
            .add(
                Code::ProfileWarns,
                asn.span,
                format!("the routers behind profile \"{profile}\" are not in AS {}", asn.value),
            )
            .help(format!("they have {theirs}"));
    }
}

/// AWS: "do not configure graceful restart and BFD at the same time".
fn restart_with_bfd(neighbor: &raw::Neighbor, profile: Profile, facts: &Facts<'_>, report: &mut Report) {
    let aws = matches!(profile, Profile::AwsDx | Profile::AwsInterconnect);
    if aws && facts.bfd && facts.graceful_restart != GracefulRestart::Off {
        report
            .add(
                Code::ProfileWarns,
                span_of(neighbor.graceful_restart.as_ref(), neighbor.here),
                format!("profile \"{profile}\" advises against graceful restart beside BFD"),
            )
            .help("write graceful_restart = \"off\", or turn BFD off");
    }
}

/// Above the documented limit the session ends, or routes vanish.
fn limits(neighbor: &raw::Neighbor, profile: Profile, facts: &Facts<'_>, report: &mut Report) {
    let Some(section) = &neighbor.max_out else { return };
    let documented = defaults(profile).max_out;
    let families = [
        ("IPv4", section.value.ipv4.as_ref(), facts.max_out.ipv4, documented.ipv4),
        ("IPv6", section.value.ipv6.as_ref(), facts.max_out.ipv6, documented.ipv6),
    ];
    for (family, field, ours, theirs) in families {
        if let (Some(field), Some(ours), Some(theirs)) = (field, ours, theirs)
            && ours > theirs
        {
            report
                .add(
                    Code::ProfileWarns,
                    field.span,
                    format!("profile \"{profile}\" takes {theirs} {family} prefixes by default, not {ours}"),
                )
                .help("make sure that the limit was raised; beyond it the session goes down");
        }
    }
}

pub(super) fn refuse(profile: Profile, span: Span, what: &str, help: &str, report: &mut Report) {
    report
        .add(Code::ProfileRefuses, span, format!("a peer of profile \"{profile}\" refuses {what}"))
        .help(help);
}
