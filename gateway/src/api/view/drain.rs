//! Planned work on channels.

use dataplane::ChannelId;

use crate::{
    api::{
        model::{ChannelDrain, DrainState, DrillDone, DrillShare},
        source::Facts,
    },
    drain::{Drain, Phase, neighbors},
    drill::Drilled,
    quality::micros,
};

/// The drain of a channel, if it is drained.
pub(super) fn of_channel(facts: &Facts, channel: ChannelId) -> Option<ChannelDrain> {
    facts.drains.iter().find(|one| one.channel == channel).map(|drain| one(&facts.config, drain))
}

/// A drain.
pub(crate) fn one(config: &config::Config, drain: &Drain) -> ChannelDrain {
    let neighbors = neighbors(config, (drain.channel, drain.lag));
    let member =
        config.lags.iter().flat_map(|lag| &lag.members).any(|one| one.index() == drain.channel.index());
    let member = member && drain.lag.is_none();
    let state = match drain.phase {
        Phase::Moving => DrainState::Moving,
        Phase::Safe => DrainState::Safe,
        Phase::Stays => DrainState::Stays,
    };
    ChannelDrain {
        state,
        message: message(drain, neighbors, member),
        since: drain.since,
        until: drain.until,
        forced: drain.forced,
        neighbors,
        frames_per_second: drain.rate,
    }
}

fn message(drain: &Drain, neighbors: usize, member: bool) -> String {
    let far = if member {
        "the partner does not heed LACP"
    } else if neighbors == 0 {
        "the far end cannot be told, for no BGP neighbour is on the channel: drain it there, too"
    } else {
        "either end may know no other way, or the far end does not heed"
    };
    match drain.phase {
        Phase::Moving => {
            format!("traffic leaves: {} frames a second are still on their way through it", drain.rate)
        }
        Phase::Safe => "safe to work on: nothing is on its way through it, in either direction".to_owned(),
        Phase::Stays => format!("not safe: {} frames a second stay; {far}", drain.rate),
    }
}

/// What a drill showed.
pub(crate) fn drill(config: &config::Config, channel: String, seen: &Drilled) -> DrillDone {
    let name =
        |id: ChannelId| config.channels.get(id.index()).map_or_else(String::new, |one| one.name.clone());
    let share = |(id, frames_per_second): &(ChannelId, u64)| DrillShare {
        channel: name(*id),
        frames_per_second: *frames_per_second,
    };
    DrillDone {
        channel,
        frames_per_second: seen.rate,
        switched_us: seen.switched.map(micros),
        far_end_moved_us: seen.far_moved.map(micros),
        far_end_stayed: seen.far_stayed,
        lost: seen.lost,
        carried_by: seen.carried_by.iter().map(share).collect(),
        back_after_us: seen.back.map(micros),
    }
}
