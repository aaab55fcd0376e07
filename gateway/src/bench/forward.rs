//! What a frame costs in two gateways, in memory: route, protect, validate, route.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dataplane::BATCH;
use net::Instant;
use serde::Serialize;

use super::{
    memory::{Road, Wish, roads},
    stopwatch::per_item,
};

/// A frame of one size through a gateway, without what ports and kernel do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ForwardFigures {
    /// Octets of the frame on the LAN, from the destination address on, without FCS.
    pub octets: usize,
    /// From LAN to LAN by both gateways, in nanoseconds; the copy into a buffer, which a port makes, is in it.
    pub both_ns: f64,
}

const BUDGET: Duration = Duration::from_millis(200);
const NOW: Instant = Instant::ZERO;

pub(super) fn measure(sizes: &[usize]) -> Result<Vec<ForwardFigures>> {
    sizes.iter().map(|size| one(*size)).collect()
}

fn one(octets: usize) -> Result<ForwardFigures> {
    let mut road: Road = roads(1, Wish::of(octets), NOW)?.pop().context("no worker")?;
    road.pass(NOW);
    let once = road.arrived;
    ensure!(once == BATCH, "{once} of {BATCH} frames came through in memory");
    let both_ns = per_item(BUDGET, BATCH, &mut road, |road| road.arrived = 0, |road| road.pass(NOW));
    ensure!(road.arrived == BATCH, "frames were lost in memory");
    Ok(ForwardFigures { octets, both_ns })
}
