//! Paths of the API about routes and BGP: `GET /v1/routes?after=&limit=`, `GET /v1/routes/why?prefix=`, `GET /v1/bgp`,
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
    source::{AskBgp, NoBfd, NoBgp, NoWish, Source, Wish, wall},
    view,
};
use crate::bgp::report::{Answer, Question, RoutesReport, Wanted};

/// Learnt routes in one answer, at most: who wants more asks again, and a gateway that is asked has other work too.
pub(super) const LISTED: usize = 10_000;

/// What a list of routes may be asked to be like.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    /// At most this many learnt routes, and at most [`LISTED`].
    limit: Option<usize>,
    /// Behind what the answer before ended with: its `next`.
    #[serde(default)]
    after: String,
}

pub(super) async fn routes<S: Source>(
    State(source): State<Arc<S>>,
    Asked(listing): Asked<Listing>,
) -> Response {
    let facts = source.facts(AskBgp::No).await;
    let Some(from) = view::cursor(&facts, &listing.after) else {
        let detail =
            "`after` is what the answer before had as `next`; the connection that it names is not there"
                .to_owned();
        return problem(StatusCode::BAD_REQUEST, "bad_after", detail);
    };
    let limit = listing.limit.unwrap_or(LISTED).clamp(1, LISTED);
    let learned = match source.bgp(Question::Routes(from, limit)).await {
        Ok(Answer::Routes(learned)) => learned,
        Err(NoBgp::Unused) => RoutesReport::default(),
        Ok(_) | Err(NoBgp::Silent) => return silent(),
    };
    // Links and reservations do not wait until a long list is written.
    let written = move || document("RouteList", facts.wall, view::routes(&facts, from, &learned));
    match tokio::task::spawn_blocking(written).await {
        Ok(answer) => answer,
        Err(why) => problem(StatusCode::INTERNAL_SERVER_ERROR, "not_shown", why.to_string()),
    }
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
    let facts = source.facts(AskBgp::No).await;
    let mut items = Vec::new();
    for at in 0..facts.config.connections.len() {
        let told = match source.bgp(Question::Explain(at, wanted)).await {
            Ok(Answer::Explained(told)) => Some(*told),
            Err(NoBgp::Silent) => return silent(),
            // The connection does not speak BGP.
            Ok(_) | Err(NoBgp::Unused) => None,
        };
        items.extend(view::story(&facts, at, wanted, told));
    }
    document("RouteStoryList", facts.wall, Items::all(items))
}

pub(super) async fn bgp<S: Source>(State(source): State<Arc<S>>) -> Response {
    let facts = source.facts(AskBgp::Patiently).await;
    let Some(reports) = &facts.neighbors else { return silent() };
    document("BgpList", facts.wall, Items::all(view::bgp(&facts, reports)))
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
            let detail =
                "BGP did not answer in time, it is overloaded: nothing was done, and nothing will be; try again"
                    .to_owned();
            problem(StatusCode::SERVICE_UNAVAILABLE, "bgp_silent", detail)
        }
    }
}

/// That nothing can be said is not that there is nothing.
fn silent() -> Response {
    let detail =
        "BGP did not answer in time: it is overloaded; its sessions and routes may be as they were, try again"
            .to_owned();
    problem(StatusCode::SERVICE_UNAVAILABLE, "bgp_silent", detail)
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
