//! From the documents of the API to a page, one file for each kind of thing.

mod bgp;
mod channel;
mod connection;
mod lag;

use dataplane::{DropReason, WorkerId};

use super::{catalog as m, metric::Metric, page::Page};
use crate::{
    api::{self, Facts, model},
    events::Sums,
};

/// What is known at this moment.
pub(super) fn page(facts: &Facts, changes: &Sums) -> Page {
    let (mut page, status) = (Page::default(), api::status(facts));
    process(&mut page, facts, &status);
    // A sum over workers of which one is missing would fall.
    let complete = facts.reports.len() >= usize::from(facts.setup.workers);
    page.classes(&m::FAILOVERS, &[], &changes.failovers);
    for (fault, count) in &changes.left {
        page.count(&m::DEPARTURES, &[fault.label()], *count);
    }
    channel::channels(&mut page, facts, &status.channels);
    channel::mka(&mut page, &api::mka(facts));
    lag::lags(&mut page, &api::lags(facts));
    connection::connections(&mut page, facts, &status.connections, complete);
    connection::bfd(&mut page, &api::bfd(facts));
    if facts.config.connections.iter().any(|connection| connection.bgp.is_some()) {
        page.flag(&m::BGP_ANSWERED, &[], facts.neighbors.is_some());
    }
    bgp::bgp(&mut page, &api::bgp(facts, facts.neighbors.as_deref().unwrap_or_default()));
    ports(&mut page, facts, &status.ports, complete);
    page
}

fn process(page: &mut Page, facts: &Facts, status: &model::Status) {
    page.info(&m::BUILD, &[&status.version]);
    page.info(&m::SITE, &[&status.site]);
    page.moment(&m::START_TIME, &[], status.started);
    page.flag(&m::DEGRADED, &[], status.state == model::Health::Degraded);
    for worker in 0..facts.setup.workers {
        let answered = facts.reports.iter().any(|report| report.snapshot.worker == WorkerId(worker));
        page.flag(&m::WORKER_UP, &[&worker.to_string()], answered);
    }
    for worker in &status.workers {
        let id = worker.worker.to_string();
        page.whole(&m::WORKER_GENERATION, &[&id], worker.route_generation);
        page.size(&m::WORKER_BUFFERS, &[&id, "small"], worker.small_buffers_held);
        page.size(&m::WORKER_BUFFERS, &[&id, "big"], worker.big_buffers_held);
    }
    api::runtime(facts).iter().for_each(|one| runtime(page, one));
}

fn runtime(page: &mut Page, one: &model::WorkerRuntime) {
    let id = one.worker.to_string();
    for (how, nanos) in [("working", one.working_ns), ("looking", one.looking_ns), ("asleep", one.asleep_ns)]
    {
        page.spent(&m::WORKER_TIME, &[&id, how], nanos);
    }
    if let Some(kernel) = one.schedule {
        page.spent(&m::WORKER_WAITED, &[&id], kernel.waited_ns);
    }
    for (direction, calls) in [("receive", one.receive), ("send", one.send)] {
        page.count(&m::WORKER_CALLS, &[&id, direction], calls.calls);
        page.count(&m::WORKER_FRAMES, &[&id, direction], calls.frames);
    }
    page.count(&m::WORKER_REFUSED, &[&id], one.refused);
    page.micros(&m::WORKER_LATEST, &[&id], one.latest_ns / 1000);
}

fn ports(page: &mut Page, facts: &Facts, ports: &[model::Port], complete: bool) {
    for port in ports {
        let name = port.name.as_str();
        page.info(&m::PORT, &[name, &port.device, &port.role, &port.io]);
        page.flag(&m::PORT_UP, &[name], port.state == model::PortState::Up);
        if let Some(octets) = port.tunnel.as_ref().and_then(|tunnel| tunnel.carries) {
            page.whole(&m::PORT_PATH, &[name], u64::from(octets));
        }
        if complete {
            page.count(&m::PORT_RX_FRAMES, &[name], port.rx_frames);
            page.count(&m::PORT_RX_BYTES, &[name], port.rx_octets);
            page.count(&m::PORT_TX_FRAMES, &[name], port.tx_frames);
            page.count(&m::PORT_TX_BYTES, &[name], port.tx_octets);
            for (loss, count) in &port.losses {
                page.count(&m::PORT_LOSSES, &[name, loss], *count);
            }
            drops(page, &m::PORT_DROPS, name, &port.drops);
        }
    }
    // The host's TAPs are in no list of ports.
    let configured = |drop: &model::Drop| ports.iter().any(|port| port.name == drop.name);
    let all = if complete { api::drops(facts) } else { Vec::new() };
    for drop in all.iter().filter(|drop| drop.scope == "port" && !configured(drop)) {
        page.count(&m::PORT_DROPS, &[&drop.name, &drop.reason], drop.count);
    }
}

/// All reasons, also those without frames: what appears with its first frame has no rate.
fn drops(page: &mut Page, metric: &Metric, name: &str, drops: &model::Counts) {
    for reason in DropReason::ALL {
        let count = drops.get(reason.label()).copied().unwrap_or(0);
        page.count(metric, &[name, reason.label()], count);
    }
}
