//! How much traffic each attachment carries: asked of the workers once a second.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use dataplane::InterfaceId;
use net::Instant;
use parking_lot::Mutex;

use crate::{clock, control::Workers};

/// How often.
const PERIOD: Duration = Duration::from_secs(1);

/// Frames a second by which this gateway forwards by each attachment.
#[derive(Debug, Default)]
pub struct Rates(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    at: Option<Instant>,
    sent: BTreeMap<InterfaceId, u64>,
    rates: BTreeMap<InterfaceId, u64>,
}

impl Rates {
    /// What an attachment carried in the last whole second or so.
    pub fn of(&self, interface: InterfaceId) -> u64 {
        self.0.lock().rates.get(&interface).copied().unwrap_or(0)
    }

    /// Takes how many frames were sent by each attachment until now; several workers may have sent by one.
    pub fn look(&self, counts: impl IntoIterator<Item = (InterfaceId, u64)>, now: Instant) {
        let mut sent: BTreeMap<InterfaceId, u64> = BTreeMap::new();
        for (interface, count) in counts {
            *sent.entry(interface).or_default() += count;
        }
        let mut seen = self.0.lock();
        let elapsed = seen.at.map_or(0, |at| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX));
        let rate = |(id, count): (&InterfaceId, &u64)| {
            let grew = count.saturating_sub(seen.sent.get(id).copied().unwrap_or(*count));
            (*id, grew.saturating_mul(1000).checked_div(elapsed).unwrap_or(0))
        };
        seen.rates = sent.iter().map(rate).collect();
        seen.sent = sent;
        seen.at = Some(now);
    }

    /// Asks the workers for as long as it is polled.
    pub async fn keep(self: Arc<Self>, workers: Workers) {
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let counts = workers.transit().await;
            self.look(counts, clock::now());
        }
    }
}
