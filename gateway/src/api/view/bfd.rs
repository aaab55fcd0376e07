//! BFD sessions.

use std::time::Duration;

use dataplane::{
    InterfaceId, InterfaceSetup,
    bfd::{BfdChange, BfdMode, BfdState, BfdStatus, Hops},
};

use crate::{
    api::{
        model::{BfdSession, BfdTransition},
        source::Facts,
    },
    names,
};

/// All sessions, in the order of the interfaces. Each runs in one worker.
pub(crate) fn bfd(facts: &Facts) -> Vec<BfdSession> {
    let interfaces = (0..facts.setup.interfaces.len()).map(InterfaceId::at);
    let sessions = interfaces.flat_map(|id| {
        facts.interface(id).flat_map(move |(_, seen)| seen.bfd.iter().map(move |one| (id, one)))
    });
    sessions.map(|(id, one)| session(facts, id, one)).collect()
}

fn session(facts: &Facts, id: InterfaceId, one: &BfdStatus) -> BfdSession {
    let refused = one.counters.refused.iter().filter(|(_, count)| *count > 0);
    BfdSession {
        interface: names::interface(&facts.config, id),
        own: one.own,
        peer: one.peer,
        single_hop: one.hops == Hops::One,
        mode: match one.mode {
            BfdMode::Follow => "follow".to_owned(),
            BfdMode::Strict => "strict".to_owned(),
        },
        state: one.state.label().to_owned(),
        reason: reason(one),
        since: facts.wall_of(one.since),
        // On a LAN it speaks to BGP only.
        fault: one.fault && facts.setup.interfaces.get(id.index()).is_some_and(InterfaceSetup::is_attachment),
        guard: one.guard.label().to_owned(),
        diagnostic: one.diagnostic.name().to_owned(),
        remote_state: one.remote_state.label().to_owned(),
        remote_diagnostic: one.remote_diagnostic.name().to_owned(),
        discriminator: one.discriminator,
        remote_discriminator: one.remote_discriminator,
        min_tx_us: micros(one.timers.min_tx()),
        min_rx_us: micros(one.timers.min_rx()),
        multiplier: one.timers.multiplier(),
        remote_min_tx_us: micros(one.remote_min_tx),
        remote_min_rx_us: micros(one.remote_min_rx),
        remote_multiplier: one.remote_multiplier,
        remote_control_plane_independent: one.remote_independent,
        tx_interval_us: one.tx_interval.map(micros),
        detection_us: one.detection.map(micros),
        heard: one.heard.map(|heard| facts.wall_of(heard)),
        longest_gap_us: micros(one.longest_gap),
        tx_packets: one.counters.tx,
        rx_packets: one.counters.rx,
        refused: refused.map(|(why, count)| (why.label().to_owned(), count)).collect(),
        ups: one.counters.ups,
        downs: one.counters.downs,
        history: one.history.iter().map(|change| transition(facts, change)).collect(),
    }
}

fn transition(facts: &Facts, change: &BfdChange) -> BfdTransition {
    BfdTransition {
        at: facts.wall_of(change.at),
        from: change.from.label().to_owned(),
        to: change.to.label().to_owned(),
        cause: change.loss.map(|loss| loss.label().to_owned()),
        why: change.loss.map(|loss| loss.to_string()),
    }
}

/// Why it is not up.
fn reason(one: &BfdStatus) -> Option<String> {
    let last = one.history.iter().rev().find_map(|change| change.loss);
    Some(match (one.state, one.remote_state, one.heard) {
        (BfdState::Up, ..) => return None,
        (BfdState::AdminDown, ..) => "switched off here".to_owned(),
        (_, BfdState::AdminDown, Some(_)) => "the peer's operator switched it off".to_owned(),
        (BfdState::Init, ..) => "the peer is heard, and does not hear us".to_owned(),
        (BfdState::Down, _, Some(_)) => "the peer is heard".to_owned(),
        (BfdState::Down, _, None) => match last {
            Some(loss) => loss.to_string(),
            None if one.counters.refused.total() > 0 => "the peer's packets are refused".to_owned(),
            None => "the peer was never heard".to_owned(),
        },
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
