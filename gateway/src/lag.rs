//! What LACP tells of a LAG's members: to people in the log.

use dataplane::lacp::{Kept, LacpEvent};
use tracing::{info, warn};

/// Logs what was told of `channel`, a member of `lag`.
pub(crate) fn log(lag: &str, channel: &str, event: LacpEvent) {
    match event {
        LacpEvent::Joined => info!(event = "lacp.joined", lag, channel),
        LacpEvent::Left(why) => warn!(event = "lacp.left", lag, channel, why = why.label(), "{why}"),
        LacpEvent::Partner(partner) => info!(
            event = "lacp.partner",
            lag,
            channel,
            system = %partner.system,
            system_priority = partner.system_priority,
            key = partner.key,
            port = partner.port
        ),
        LacpEvent::KeptOut(why) => {
            warn!(event = "lacp.kept_out", lag, channel, why = word(why), "{}", remedy(why))
        }
        LacpEvent::Churn { actor, begins } => {
            let end = if actor { "ours" } else { "the partner's" };
            if begins {
                warn!(event = "lacp.churn", lag, channel, end, "not in step for a minute");
            } else {
                info!(event = "lacp.churn_over", lag, channel, end);
            }
        }
    }
}

const fn word(why: Kept) -> &'static str {
    match why {
        Kept::Unheard => "unheard",
        Kept::Loopback => "loopback",
        Kept::OtherPartner => "other_partner",
    }
}

const fn remedy(why: Kept) -> &'static str {
    match why {
        Kept::Unheard => {
            "nobody speaks LACP at the other end: switch it on there, or make one end active; where MACsec's parameters differ (SCI, keys), nothing gets through either"
        }
        Kept::Loopback => {
            "it hears this system itself: the link is a loop, or both ends have one MAC address"
        }
        Kept::OtherPartner => {
            "it leads to another system, or another group there, than the other members: look at the cabling and at the peer's key"
        }
    }
}

/// What the failover record says of it; `None` when it moves no traffic.
pub(crate) fn cause(lag: &str, channel: &str, event: LacpEvent) -> Option<String> {
    match event {
        LacpEvent::Joined => Some(format!("LACP {lag}: {channel} joined")),
        LacpEvent::Left(why) => Some(format!("LACP {lag}: {channel} left, {why}")),
        LacpEvent::Partner(_) | LacpEvent::KeptOut(_) | LacpEvent::Churn { .. } => None,
    }
}
