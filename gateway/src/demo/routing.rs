//! What the gateways say of the way to the other site: routes that BGP learnt, attachments that BFD watches, and the
//! screens that tell their story.

use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::api::{List, get};
use crate::api::model::{BfdSession, BgpNeighbor, Connection, RouteStory};
use crate::clock;
use crate::show::{self, Look};

/// Prefixes behind the gateway of the site that is not `letter`: its LAN.
const fn far_prefixes(letter: char) -> [&'static str; 2] {
    if letter == 'a' { ["10.2.0.0/24", "fd00:2::/64"] } else { ["10.1.0.0/24", "fd00:1::/64"] }
}

/// By how many attachments the other site's prefixes are reached from the site `letter` whose gateway is at `socket`, as
/// all its workers use it, by live ones: the least of both prefixes.
///
/// # Errors
/// When it does not answer.
pub(super) fn ways(socket: &Path, letter: char) -> io::Result<usize> {
    let mut least = usize::MAX;
    for prefix in far_prefixes(letter) {
        let stories = get::<List<RouteStory>>(socket, &format!("/v1/routes/why?prefix={prefix}"))?.items;
        least = least.min(stories.iter().map(usable).sum());
    }
    Ok(least)
}

/// Hops of a route over live attachments; none before all workers have it.
fn usable(story: &RouteStory) -> usize {
    if !story.workers.iter().all(|worker| worker.current) {
        return 0;
    }
    let hops = story.route.iter().flat_map(|route| &route.hops);
    hops.filter(|hop| hop.live).count()
}

/// The channel that carries everything, with `active-standby`, as the gateway at `socket` says; empty when there is none.
///
/// # Errors
/// When it does not answer.
pub(super) fn active(socket: &Path) -> io::Result<String> {
    let connections = get::<List<Connection>>(socket, "/v1/connections")?.items;
    Ok(connections.into_iter().next().and_then(|one| one.active).unwrap_or_default())
}

/// `quadspan show bgp` of the gateway at `socket`.
///
/// # Errors
/// When it does not answer.
pub(super) fn bgp_screen(socket: &Path) -> io::Result<String> {
    let neighbors = get::<List<BgpNeighbor>>(socket, "/v1/bgp")?.items;
    Ok(show::bgp(&look(), &neighbors))
}

/// `quadspan show bfd` of one attachment of the gateway at `socket`.
///
/// # Errors
/// When it does not answer.
pub(super) fn bfd_screen(socket: &Path, attachment: &str) -> io::Result<String> {
    let mut sessions = get::<List<BfdSession>>(socket, "/v1/bfd")?.items;
    sessions.retain(|one| one.interface == attachment);
    Ok(show::bfd(&look(), &sessions))
}

fn look() -> Look {
    Look { width: Some(COLUMNS), ..Look::plain(Timestamp::try_from(clock::wall()).unwrap_or_default()) }
}

/// As wide as the demo's other tables.
const COLUMNS: usize = 110;
