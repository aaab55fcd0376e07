//! What receive SAs have reached, written down while the gateway runs.
//!
//! A restart must not open the door to frames that were accepted before, so the lowest packet number that each static receive SA
//! still accepts is noted every [`NOTE`], when it moved. A gateway that is killed accepts frames of the time since its
//! last note once more; one that ends in order notes as it ends. SAs of key agreement need none of this: a restart
//! gives them new keys.
//!
//! Workers are only asked for numbers; the disk is waited for on a thread of its own, so that links, the API and the
//! reservations of transmit SAs do not wait with it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use dataplane::ChannelId;
use macsec::{An, Sci};
use parking_lot::Mutex;
use tracing::error;

use crate::{
    control::Workers,
    state::{PnStore, SaName},
};

/// How often numbers are written down, when they moved.
pub const NOTE: Duration = Duration::from_secs(1);

/// Everything that noting takes.
#[derive(Clone)]
pub struct Notes {
    /// The way to the workers.
    pub workers: Workers,
    /// Where it is written down.
    pub store: Arc<Mutex<PnStore>>,
    /// The static receive SAs.
    pub names: Arc<BTreeMap<(ChannelId, Sci, An), SaName>>,
}

impl Notes {
    /// Notes for as long as it is polled.
    pub async fn keep(self) {
        let mut tick = tokio::time::interval(NOTE);
        // A disk that is slower than this gets no backlog.
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.names.is_empty() {
            tick.tick().await;
            self.note().await;
        }
    }

    /// Notes once.
    pub async fn note(&self) {
        let reached: Vec<_> = self.workers.received().await;
        let named = |(channel, sci, an, lowest)| Some((self.names.get(&(channel, sci, an))?.clone(), lowest));
        let reached: Vec<_> = reached.into_iter().filter_map(named).collect();
        let store = self.store.clone();
        let written = tokio::task::spawn_blocking(move || store.lock().note_receive(reached)).await;
        if let Ok(Err(why)) = written {
            error!(event = "state.write_failed", why = %why, "after a restart old frames could be accepted again");
        }
    }
}
