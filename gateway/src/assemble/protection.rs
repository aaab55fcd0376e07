//! How connections use their attachments: from the words of the file to the data plane's.

use config::{
    Config,
    model::{Connection, DuplicateClass, Protection as Word},
};
use dataplane::{
    Protection, TwiceSetup,
    frer::{HistoryLength, LatentErrorParams, RecoveryParams},
    group::Weight,
    protection::{ClassParams, Preference, StandbyParams, weights},
};

/// A connection's protection.
pub(super) fn of(connection: &Connection) -> Protection {
    let preferences = preferences(connection);
    match connection.protection {
        Word::Ecmp => Protection::Ecmp,
        Word::ActiveStandby => Protection::ActiveStandby { standby: standby(connection), preferences },
        Word::Duplicate => Protection::Duplicate { recovery: recovery(connection), preferences },
    }
}

/// The classes of a connection that are duplicated.
pub(super) fn twice(connection: &Connection) -> Option<TwiceSetup> {
    let words = &connection.duplicate.as_ref()?.classes;
    let class = |one: &DuplicateClass| ClassParams {
        dscp: one.dscp.clone(),
        sources: one.sources.clone(),
        destinations: one.destinations.clone(),
    };
    (!words.is_empty()).then(|| TwiceSetup {
        classes: words.iter().map(class).collect(),
        recovery: recovery(connection),
        preferences: preferences(connection),
    })
}

fn preferences(connection: &Connection) -> Vec<Preference> {
    connection.attachments.iter().map(|one| one.preference).collect()
}

fn standby(connection: &Connection) -> StandbyParams {
    connection.standby.map_or_else(StandbyParams::default, |words| StandbyParams {
        hold_down: words.hold_down,
        revert_delay: words.revert.then_some(words.revert_delay),
    })
}

fn recovery(connection: &Connection) -> RecoveryParams {
    let standard = RecoveryParams::default();
    let Some(words) = &connection.duplicate else { return standard };
    let latent = LatentErrorParams {
        difference: words.latent_error_difference.into(),
        period: words.latent_error_period,
        ..LatentErrorParams::default()
    };
    RecoveryParams {
        history_length: HistoryLength::new(words.history).unwrap_or(standard.history_length),
        reset: words.reset,
        latent: Some(latent),
        ..standard
    }
}

/// The weights of a connection's attachments (places in its list) by the capacities of their channels and LAGs.
pub(super) fn shares(config: &Config, connection: &Connection, places: &[usize]) -> Vec<Weight> {
    let capacity = |place: &usize| {
        let attachment = connection.attachments.get(*place)?;
        config.capacity_of(attachment)
    };
    weights(&places.iter().map(capacity).collect::<Vec<_>>())
}
