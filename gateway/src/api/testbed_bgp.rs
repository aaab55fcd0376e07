//! What BGP says of the neighbour of the gateway for tests.

use std::{collections::BTreeMap, time::Duration};

use bgp::{
    FamilyStatus, LastWords, PeerId, PeerStatus, PerFamily,
    fsm::State,
    peer::Standing,
    session::MessageCounts,
    wire::notification::{Cease, Notification},
};
use net::Instant;

use crate::bgp::report::NeighborReport;

/// A neighbour that was up three times.
pub(crate) fn neighbor_report(state: State) -> NeighborReport {
    let family = FamilyStatus {
        received: 1200,
        accepted: 1100,
        received_max: Some(1500),
        announced: 7,
        held_back: 2,
        ..FamilyStatus::default()
    };
    let status = PeerStatus {
        id: PeerId(1),
        name: "blue/dx".to_owned(),
        state,
        standing: Standing::Runs,
        up_since: None,
        agreed: None,
        last_end: None,
        last_words: LastWords {
            heard: Some((
                Instant::ZERO.after(Duration::from_mins(4)),
                Notification::cease_with_text(Cease::AdminShutdown, "fibre work"),
            )),
            told: None,
        },
        sessions: 3,
        messages_in: MessageCounts { update: 40, keepalive: 2, ..MessageCounts::default() },
        messages_out: MessageCounts { update: 5, open: 1, ..MessageCounts::default() },
        faults: BTreeMap::new(),
        families: PerFamily { ipv4: family, ipv6: FamilyStatus::default() },
        draining: false,
    };
    NeighborReport {
        connection: 0,
        neighbor: 0,
        status,
        since: Instant::ZERO.after(Duration::from_mins(5)),
        added: Instant::ZERO,
        reason: None,
        last_down: Some((Instant::ZERO.after(Duration::from_mins(4)), "silence".to_owned())),
        failure: Some((Instant::ZERO.after(Duration::from_mins(59)), "Connection refused".to_owned())),
    }
}
