//! BGP neighbours.

use super::m;
use crate::{api::model, metrics::page::Page};

/// The states of RFC 4271 §8.2.2, in the words of the API.
const STATES: [&str; 6] = ["idle", "connect", "active", "open_sent", "open_confirm", "established"];

pub(super) fn bgp(page: &mut Page, neighbors: &[model::BgpNeighbor]) {
    for one in neighbors {
        let (connection, neighbor) = (one.connection.as_str(), one.name.as_str());
        let (labels, up) = ([connection, neighbor], one.state == "established");
        let (address, asn) = (one.address.to_string(), one.asn.to_string());
        page.info(&m::BGP_NEIGHBOR, &[connection, neighbor, &address, &asn, &one.interface]);
        page.flag(&m::BGP_UP, &labels, up);
        for state in STATES {
            page.flag(&m::BGP_STATE, &[connection, neighbor, state], one.state == state);
        }
        page.moment(&m::BGP_CHANGED, &labels, one.since);
        if let Some(down) = &one.last_down {
            page.moment(&m::BGP_LAST_DOWN, &labels, down.at);
        }
        page.count(&m::BGP_SESSIONS, &labels, one.sessions);
        page.count(&m::BGP_RESETS, &labels, one.sessions.saturating_sub(u64::from(up)));
        let ways = [("in", one.messages_in, one.updates_in), ("out", one.messages_out, one.updates_out)];
        for (way, messages, updates) in ways {
            page.count(&m::BGP_MESSAGES, &[connection, neighbor, way], messages);
            page.count(&m::BGP_UPDATES, &[connection, neighbor, way], updates);
        }
        for family in &one.families {
            self::family(page, [connection, neighbor, &family.family], family);
        }
    }
}

fn family(page: &mut Page, labels: [&str; 3], one: &model::BgpFamily) {
    page.whole(&m::BGP_RECEIVED, &labels, one.received);
    page.whole(&m::BGP_ACCEPTED, &labels, one.accepted);
    page.flag(&m::BGP_OVERFLOWED, &labels, one.overflowed);
    page.whole(&m::BGP_ANNOUNCED, &labels, one.announced);
    page.whole(&m::BGP_HELD_BACK, &labels, one.held_back);
    for (metric, limit) in
        [(&m::BGP_RECEIVED_MAX, one.received_max), (&m::BGP_ANNOUNCED_MAX, one.announced_max)]
    {
        if let Some(limit) = limit {
            page.whole(metric, &labels, limit);
        }
    }
}
