//! Path quality: from `[connection.quality]` to the measurements of the workers, and what they tell.

use std::time::Duration;

use config::{
    Config,
    model::{Interface, QualityAction},
};
use dataplane::{
    InterfaceId, QualityParams, Setup,
    stamp::{ErrorEstimate, HmacKey, Mode, Ntp, Report, Thresholds, WallClock, Why},
};
use net::Instant;
use tracing::{info, warn};

use crate::{assemble::interface_id, clock, worker::Worker};

/// How far the time of day may be off, as far as anybody here knows.
const CLOCK_ERROR: Duration = Duration::from_millis(100);

/// Lets the workers measure what the configuration says.
pub(crate) fn start(config: &Config, setup: &Setup, workers: &mut [Worker]) {
    let now = clock::now();
    for worker in workers.iter_mut() {
        worker.dataplane().set_wall(wall(now));
    }
    for (interface, params) in plans(config) {
        let owner = setup.interfaces.get(interface.index()).map(|one| setup.runs_on(one).index());
        if let Some(worker) = owner.and_then(|owner| workers.get_mut(owner)) {
            worker.dataplane().measure(interface, params, now);
        }
    }
}

/// What time of day it was when the process's clock began.
pub(crate) fn wall(now: Instant) -> WallClock {
    let unix = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let start = Ntp::from_unix(unix.saturating_sub(now.since(Instant::ZERO)));
    WallClock { start, error: ErrorEstimate::of(CLOCK_ERROR, false) }
}

/// Each attachment that is measured, with its first peer.
fn plans(config: &Config) -> Vec<(InterfaceId, QualityParams)> {
    let mut plans = Vec::new();
    for (at, connection) in config.connections.iter().enumerate() {
        let Some(quality) = &connection.quality else { continue };
        for (place, attachment) in connection.attachments.iter().enumerate() {
            let Some(&peer) = attachment.peers.first() else { continue };
            let mut ssid = [0; 2];
            // Without randomness the identifier is the same after a restart, and numbers begin at 0 again: that is told apart, too.
            let _filled = sys::random::fill(&mut ssid);
            let mode = quality
                .key
                .as_ref()
                .map_or(Mode::Unauthenticated, |key| Mode::Authenticated(HmacKey::new(key.secret.expose())));
            let params = QualityParams {
                peer,
                mode,
                interval: quality.interval,
                timeout: quality.timeout,
                ssid: u16::from_be_bytes(ssid).max(1),
                thresholds: Thresholds {
                    loss_ppm: Some(quality.loss),
                    rtt: quality.delay,
                    jitter: quality.jitter,
                    bad_windows: quality.leave_after,
                    good_windows: quality.return_after,
                    recover_percent: quality.return_within,
                },
                leave: quality.action == QualityAction::Leave,
            };
            plans.push((interface_id(config, at, Interface::Attachment(place)), params));
        }
    }
    plans
}

/// The word for what is bad.
pub(crate) const fn label(why: Why) -> &'static str {
    match why {
        Why::Loss => "loss",
        Why::Delay => "delay",
        Why::Jitter => "jitter",
    }
}

/// A path turned bad, or good again: in the log, and in words.
pub(crate) fn tell(attachment: &str, bad: Option<Why>, report: &Report) -> String {
    let (sent, lost) = (report.sent, report.lost());
    let rtt_us = report.rtt().map_or(0, micros);
    let jitter_us = report.jitter().map_or(0, micros);
    let Some(why) = bad.map(label) else {
        info!(event = "quality.good", attachment, sent, lost, rtt_us, jitter_us);
        return "path quality: good again".to_owned();
    };
    warn!(event = "quality.bad", attachment, why, sent, lost, rtt_us, jitter_us);
    format!(
        "path quality: {why}: in the last second {lost} of {sent} probes lost, round trip {rtt_us} us, jitter {jitter_us} us"
    )
}

/// Whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
