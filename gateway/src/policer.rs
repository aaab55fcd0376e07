//! Bandwidths of connections.

use std::{collections::BTreeMap, sync::Arc};

use config::Config;
use dataplane::{ConnectionId, meter::Meters};

use crate::worker::Worker;

/// The highest rate in Mbit/s: 400 Gbit/s, as a channel's capacity.
pub const HIGHEST: u32 = 400_000;

/// The meters of all connections, by their places; clones are the same meters.
#[derive(Clone, Debug, Default)]
pub struct Bandwidths(Arc<BTreeMap<ConnectionId, Arc<Meters>>>);

impl Bandwidths {
    /// Those of the configuration, given to all workers.
    pub(crate) fn start(config: &Config, workers: &mut [Worker]) -> Self {
        let meters = |(at, connection): (usize, &config::model::Connection)| {
            let meters = Arc::<Meters>::default();
            meters.set(connection.rate);
            (ConnectionId::at(at), meters)
        };
        let all: BTreeMap<_, _> = config.connections.iter().enumerate().map(meters).collect();
        for worker in workers {
            for (connection, meters) in &all {
                worker.dataplane().police(*connection, meters.clone());
            }
        }
        Self(Arc::new(all))
    }

    /// The rate of each direction in Mbit/s.
    pub fn rate(&self, connection: ConnectionId) -> Option<u32> {
        self.0.get(&connection)?.out.mbps()
    }

    /// Sets it from now on; `None`: no limit.
    pub fn set(&self, connection: ConnectionId, mbps: Option<u32>) {
        if let Some(meters) = self.0.get(&connection) {
            meters.set(mbps);
        }
    }
}
