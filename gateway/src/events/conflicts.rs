//! Addresses of the gateway that another station has, too.

use core::{net::IpAddr, time::Duration};
use std::collections::BTreeMap;

use net::Instant;

/// Stations ask for each other again within a minute, and are told of then.
const FRESH: Duration = Duration::from_mins(2);
/// Addresses that are remembered.
const MOST: usize = 64;

/// Another station said that an address of ours is its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    /// Where it was heard: `connection/channel`, `connection/port`.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// The station, when it told.
    pub mac: Option<String>,
    /// When it was heard last.
    pub at: Instant,
}

/// The last of each interface and address.
#[derive(Debug, Default)]
pub(super) struct Conflicts(BTreeMap<(String, IpAddr), Conflict>);

impl Conflicts {
    pub(super) fn add(&mut self, conflict: Conflict) {
        let key = (conflict.interface.clone(), conflict.address);
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            self.0.retain(|_, one| conflict.at.since(one.at) < FRESH);
        }
        if self.0.len() < MOST || self.0.contains_key(&key) {
            self.0.insert(key, conflict);
        }
    }

    pub(super) fn fresh(&self, now: Instant) -> Vec<Conflict> {
        self.0.values().filter(|one| now.since(one.at) < FRESH).cloned().collect()
    }
}
