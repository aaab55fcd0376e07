//! The failover record.

use core::time::Duration;

use config::Config;
use dataplane::{InterfaceId, Place, Setup};

use crate::{
    api::model::{Event, EventStep},
    events::{Change, Record},
    names,
};

/// A record.
pub(crate) fn event(config: &Config, setup: &Setup, record: &Record) -> Event {
    let channel = |id: Option<InterfaceId>| {
        let Place::Attachment { .. } = setup.interfaces.get(id?.index())?.place else { return None };
        names::link(config, id?)
    };
    let connection = config.connections.get(record.connection.index());
    let reason = match record.change {
        Change::Left(fault) => Some(fault.label().to_owned()),
        Change::Returned | Change::ActiveMoved | Change::RedundancyLost | Change::RedundancyRestored => None,
    };
    let step =
        |one: &crate::events::Step| EventStep { before_us: micros(one.before), what: one.what.clone() };
    let (live, total) = record.live;
    Event {
        id: record.id,
        at: record.at,
        change: record.change.label().to_owned(),
        connection: connection.map_or_else(String::new, |one| one.name.clone()),
        channel: channel(record.attachment),
        to: channel(record.to),
        reason,
        chain: record.chain.iter().map(step).collect(),
        detected_us: record.detected.map(micros),
        switched_us: record.switched.map(micros),
        frames_per_second: record.rate,
        lost: record.lost,
        live,
        total,
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
