//! Paths of the API about routes and BGP: `GET /v1/routes`, `GET /v1/routes/why?prefix=`, `GET /v1/bgp`,
//! `POST /v1/bgp/{neighbor}/{clear,refresh,rekey,shutdown,enable}`, `POST /v1/bfd/{interface}/{disable,enable}`.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{
    model::{BfdDone, BgpDone, Items},
    query::{Asked, Nothing},
    server::{document, problem},
    source::{NoBfd, NoWish, Source, Wish, wall},
    view,
};
use crate::bgp::report::{Answer, Question, RoutesReport, Wanted};

/// Learnt routes of one connection in a list, unless more are asked for.
const LISTED: usize = 10_000;

/// What a list of routes may be asked to be like.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    /// At most this many learnt routes of each connection.
    limit: Option<usize>,
}

pub(super) async fn routes<S: Source>(
    State(source): State<Arc<S>>,
    Asked(listing): Asked<Listing>,
) -> Response {
    let facts = source.facts().await;
    let learned = match source.bgp(Question::Routes(listing.limit.unwrap_or(LISTED))).await {
        Some(Answer::Routes(learned)) => learned,
        _ => RoutesReport::default(),
    };
    let (items, unlisted) = view::routes(&facts, &learned);
    document("RouteList", facts.wall, Items { items, unlisted })
}

/// Which prefix.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// A prefix, or an address: then the longest prefix that holds it.
    prefix: String,
}

pub(super) async fn why<S: Source>(State(source): State<Arc<S>>, Asked(which): Asked<Which>) -> Response {
    let wanted = which.prefix.parse().map(Wanted::Prefix);
    let wanted = wanted.or_else(|_| which.prefix.parse::<IpAddr>().map(Wanted::Address));
    let Ok(wanted) = wanted else {
        let detail =
            "`prefix` is neither a prefix nor an address; for example ?prefix=10.2.0.0/24".to_owned();
        return problem(StatusCode::BAD_REQUEST, "bad_prefix", detail);
    };
    let facts = source.facts().await;
    let mut items = Vec::new();
    for at in 0..facts.config.connections.len() {
        let told = match source.bgp(Question::Explain(at, wanted)).await {
            Some(Answer::Explained(told)) => Some(*told),
            _ => None,
        };
        items.extend(view::story(&facts, at, wanted, told));
    }
    document("RouteStoryList", facts.wall, Items::all(items))
}

pub(super) async fn bgp<S: Source>(State(source): State<Arc<S>>) -> Response {
    let facts = source.facts().await;
    let reports = match source.bgp(Question::Neighbors).await {
        Some(Answer::Neighbors(reports)) => reports,
        _ => Vec::new(),
    };
    document("BgpList", facts.wall, Items::all(view::bgp(&facts, &reports)))
}

/// What is said with a wish.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    /// Words for the neighbour's operator (RFC 9003); what does not fit into 255 octets is cut off.
    text: Option<String>,
}

pub(super) async fn wish<S: Source>(
    State(source): State<Arc<S>>,
    Path((neighbor, wish)): Path<(String, String)>,
    Asked(words): Asked<Words>,
) -> Response {
    let name: String = neighbor.chars().take(100).collect();
    let (wish, message) = match wish.as_str() {
        "clear" => (Wish::Clear, "the session ends and starts again"),
        "refresh" => (Wish::Refresh, "asked for its routes again"),
        "rekey" => (Wish::Rekey, "signed with the password that stands in its file now"),
        "shutdown" => (
            Wish::Shutdown(words.text.unwrap_or_default()),
            "shut down, until `quadspan bgp enable` or a restart of the gateway",
        ),
        "enable" => (Wish::Enable, "runs again"),
        _ => {
            let detail = "a neighbour can be asked to clear, refresh, rekey, shutdown or enable".to_owned();
            return problem(StatusCode::NOT_FOUND, "unknown_path", detail);
        }
    };
    match source.wish(&neighbor, wish).await {
        Ok(neighbor) => document("BgpDone", wall(), BgpDone { neighbor, message: message.to_owned() }),
        Err(NoWish::Unknown) => {
            let detail = format!("there is no BGP neighbour `{name}`; GET /v1/bgp lists them");
            problem(StatusCode::NOT_FOUND, "unknown_neighbor", detail)
        }
        Err(NoWish::Ambiguous(names)) => {
            let detail = format!("several neighbours are called `{name}`: {}", names.join(", "));
            problem(StatusCode::CONFLICT, "ambiguous_neighbor", detail)
        }
        Err(NoWish::Refused(why)) => problem(StatusCode::CONFLICT, "not_done", why),
        Err(NoWish::Silent) => {
            let detail = "BGP did not answer in time: it is overloaded".to_owned();
            problem(StatusCode::SERVICE_UNAVAILABLE, "bgp_silent", detail)
        }
    }
}

pub(super) async fn bfd<S: Source>(
    State(source): State<Arc<S>>,
    Path((interface, wish)): Path<(String, String)>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Response {
    let name: String = interface.chars().take(100).collect();
    let (down, message) = match wish.as_str() {
        "disable" => (
            true,
            "switched off, until `quadspan bfd enable` or a restart of the gateway; the peer is told that nothing failed (some, BIRD 2.0 for one, end their BGP session all the same)",
        ),
        "enable" => (false, "switched on"),
        _ => {
            let detail = "a BFD session can be disabled and enabled".to_owned();
            return problem(StatusCode::NOT_FOUND, "unknown_path", detail);
        }
    };
    match source.switch_bfd(&interface, down) {
        Ok(interfaces) => document("BfdDone", wall(), BfdDone { interfaces, message: message.to_owned() }),
        Err(NoBfd::Unknown) => {
            let detail = format!("there is no channel and no interface `{name}`; GET /v1/bfd lists sessions");
            problem(StatusCode::NOT_FOUND, "unknown_interface", detail)
        }
        Err(NoBfd::None) => {
            let detail = format!("no BFD session runs on `{name}`; GET /v1/bfd lists them");
            problem(StatusCode::CONFLICT, "no_bfd", detail)
        }
    }
}
