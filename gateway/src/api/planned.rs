//! Paths of the API about planned work: `POST /v1/channels/{channel}/drain?for=SECONDS&force=true`,
//! `POST /v1/channels/{channel}/undrain`, `POST /v1/channels/{channel}/drill?for=SECONDS&force=true`; and about what was not planned: `GET /v1/events?after=ID`;
//! `POST /v1/connections/{connection}/rate?mbps=NUMBER|off`.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    model::{DrainDone, Events, RateDone},
    query::{Asked, Nothing},
    server::{document, problem},
    source::{AskBgp, Source, wall},
    view,
};
use crate::{
    drain::{NoDrain, Order},
    drill::LONGEST,
    policer::HIGHEST,
};

/// How long a drill lasts when nobody says.
const DRILL: Duration = Duration::from_secs(5);

/// How a channel is to be drained, or drilled.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Seconds after which it ends by itself.
    #[serde(rename = "for")]
    lasts: Option<u64>,
    /// Whatever speaks against it.
    #[serde(default)]
    force: bool,
}

pub(super) async fn drain<S: Source>(
    State(source): State<Arc<S>>,
    Path(channel): Path<String>,
    Asked(wanted): Asked<Wanted>,
) -> Response {
    let order = Order { lasts: wanted.lasts.map(Duration::from_secs), force: wanted.force };
    match source.drain(&channel, order).await {
        Ok(drain) => {
            let facts = source.facts(AskBgp::No).await;
            let drain = Some(view::drain(&facts.config, &drain));
            document("Drain", facts.wall, DrainDone { channel, drain })
        }
        Err(why) => refused(&channel, &why),
    }
}

pub(super) async fn undrain<S: Source>(
    State(source): State<Arc<S>>,
    Path(channel): Path<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Response {
    match source.undrain(&channel).await {
        Ok(()) => document("Drain", wall(), DrainDone { channel, drain: None }),
        Err(why) => refused(&channel, &why),
    }
}

pub(super) async fn drill<S: Source>(
    State(source): State<Arc<S>>,
    Path(channel): Path<String>,
    Asked(wanted): Asked<Wanted>,
) -> Response {
    let lasts = wanted.lasts.map_or(DRILL, Duration::from_secs);
    if lasts.is_zero() || lasts > LONGEST {
        let detail = format!("`for` must be from 1 to {}", LONGEST.as_secs());
        return problem(StatusCode::BAD_REQUEST, "bad_time", detail);
    }
    match source.drill(&channel, lasts, wanted.force).await {
        Ok(seen) => {
            let facts = source.facts(AskBgp::No).await;
            document("Drill", facts.wall, view::drill(&facts.config, channel, &seen))
        }
        Err(why) => refused(&channel, &why),
    }
}

/// How much a connection may carry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bandwidth {
    /// Mbit/s each way, or `off`. Nothing is no answer: a limit is not lifted by leaving something out.
    mbps: Option<String>,
}

pub(super) async fn rate<S: Source>(
    State(source): State<Arc<S>>,
    Path(connection): Path<String>,
    Asked(wanted): Asked<Bandwidth>,
) -> Response {
    let rate_mbps = match wanted.mbps.as_deref() {
        Some("off") => Some(None),
        number => number
            .and_then(|text| text.parse::<u32>().ok())
            .filter(|mbps| (1..=HIGHEST).contains(mbps))
            .map(Some),
    };
    let Some(rate_mbps) = rate_mbps else {
        let detail = format!("`mbps` is a number from 1 to {HIGHEST}, or `off`: no limit");
        return problem(StatusCode::BAD_REQUEST, "bad_rate", detail);
    };
    if source.set_rate(&connection, rate_mbps) {
        return document("Rate", wall(), RateDone { connection, rate_mbps });
    }
    let name: String = connection.chars().take(100).collect();
    let detail = format!("there is no connection `{name}`; GET /v1/connections lists them");
    problem(StatusCode::NOT_FOUND, "unknown_connection", detail)
}

/// From where on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    /// The number of the last event that is known.
    #[serde(default)]
    after: u64,
}

pub(super) async fn events<S: Source>(State(source): State<Arc<S>>, Asked(from): Asked<After>) -> Response {
    let facts = source.facts(AskBgp::No).await;
    let (records, last) = source.events(from.after);
    let items = records.iter().map(|one| view::event(&facts.config, &facts.setup, one)).collect();
    document("EventList", facts.wall, Events { items, last })
}

fn refused(channel: &str, why: &NoDrain) -> Response {
    let name: String = channel.chars().take(100).collect();
    let (status, code, detail) = match why {
        NoDrain::UnknownChannel => (
            StatusCode::NOT_FOUND,
            "unknown_channel",
            format!("there is no channel `{name}`; GET /v1/channels lists them"),
        ),
        NoDrain::IsLag(members) => {
            let members: Vec<_> = members.iter().map(|member| format!("`{member}`")).collect();
            (
                StatusCode::CONFLICT,
                "is_lag",
                format!("`{name}` is a LAG: a drill is on one of its members, {}", members.join(" or ")),
            )
        }
        NoDrain::LastLive(connection) => (
            StatusCode::CONFLICT,
            "last_live_channel",
            format!(
                "`{name}` is the last live channel of connection `{connection}`: mend another one first, or force it"
            ),
        ),
        NoDrain::PlannedWork(other) => (
            StatusCode::CONFLICT,
            "planned_work",
            format!(
                "`{other}` of the same interconnect is drained already, and two at once are too many: undrain it first, or force it"
            ),
        ),
        NoDrain::LastMember(lag) => (
            StatusCode::CONFLICT,
            "last_member",
            format!(
                "without `{name}` the LAG `{lag}` has fewer members that carry frames than its `min_links`: mend another one first, or force it"
            ),
        ),
        NoDrain::Whole(lag) => (
            StatusCode::CONFLICT,
            "lag",
            format!(
                "`{name}` is drained with all members of the LAG `{lag}`: `quadspan undrain {lag}` ends that"
            ),
        ),
        NoDrain::NotLive => {
            (StatusCode::CONFLICT, "not_live", format!("`{name}` is not live: there is nothing to rehearse"))
        }
        NoDrain::Drill => (StatusCode::CONFLICT, "drill", "another drill lasts".to_owned()),
        NoDrain::NotDrained => (StatusCode::CONFLICT, "not_drained", format!("`{name}` is not drained")),
        NoDrain::Silent => (
            StatusCode::SERVICE_UNAVAILABLE,
            "worker_silent",
            "a worker did not answer in time, so nobody knows what is live: it is overloaded, or stuck"
                .to_owned(),
        ),
        NoDrain::Disk(why) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "not_remembered",
            format!("it cannot be remembered, and would be forgotten by a restart: {why}"),
        ),
    };
    problem(status, code, detail)
}
