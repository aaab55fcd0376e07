//! The server: a document for each path.

use std::{convert::Infallible, io, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use jiff::Timestamp;
use macsec::mka::SUSPENSION_LIMIT;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
};

use super::{
    listener::Listener,
    model::{Document, Items, Problem, RunningConfig, Version},
    planned,
    query::{Asked, Nothing},
    routing,
    source::{AskBgp, Facts, NoKay, Source, wall},
    view,
};
use crate::metrics;

/// Connections at a time; further ones wait in the socket's backlog.
const MOST_CONNECTIONS: usize = 64;
/// The same on the address for metrics.
const MOST_SCRAPERS: usize = 8;
/// How long a request's header may take to arrive, and how long an idle connection is kept.
const HEADER_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection is served at all.
const CONNECTION_WITHIN: Duration = Duration::from_secs(60);
/// Octets of buffer for a connection: a header has to fit.
const BUFFER: usize = 16 * 1024;
/// Header fields of a request.
const MOST_HEADERS: usize = 64;
/// Pause after the kernel refused a connection, for want of descriptors usually.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the API until the returned future is dropped.
pub async fn serve<S: Source>(listener: Listener, source: Arc<S>) -> Infallible {
    let accept = async || Ok(listener.socket.accept().await?.0);
    serve_each(accept, MOST_CONNECTIONS, &router(source)).await
}

/// Serves `/metrics`, and nothing else, to whoever reaches `listener`, until the returned future is dropped.
pub async fn serve_metrics<S: Source>(listener: TcpListener, source: Arc<S>) -> Infallible {
    let elsewhere = async || {
        let detail = "only /metrics is here; the rest of the API is on the gateway's socket".to_owned();
        problem(StatusCode::NOT_FOUND, "unknown_path", detail)
    };
    let router = Router::new()
        .route("/metrics", get(metrics::<S>))
        .fallback(elsewhere)
        .method_not_allowed_fallback(other_method)
        .with_state(source);
    let accept = async || Ok(listener.accept().await?.0);
    serve_each(accept, MOST_SCRAPERS, &router).await
}

/// Serves each connection on a task of its own, so many at a time.
async fn serve_each<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    accept: impl AsyncFn() -> io::Result<T>,
    most: usize,
    service: &Router,
) -> Infallible {
    let places = Arc::new(Semaphore::new(most));
    loop {
        let place = places.clone().acquire_owned().await;
        let stream = match accept().await {
            Ok(stream) => stream,
            Err(why) => {
                tracing::warn!(event = "api.failed", why = %why, "cannot take a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(HEADER_WITHIN)
                .max_buf_size(BUFFER)
                .max_headers(MOST_HEADERS);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // A client that hangs up, or takes too long, is no news.
            let _ended = tokio::time::timeout(CONNECTION_WITHIN, connection).await;
            drop(place);
        });
    }
}

fn router<S: Source>(source: Arc<S>) -> Router {
    // What a path does not take is said by the router that the path is in.
    let all = readings::<S>().method_not_allowed_fallback(other_method);
    all.merge(wishes::<S>().method_not_allowed_fallback(only_post)).fallback(unknown_path).with_state(source)
}

/// The paths of a router and the list of them, from one table: `docs/API.md` is held against the list.
macro_rules! paths {
    ($(#[$doc:meta])* $name:ident, $list:ident, $method:ident, { $($path:literal => $handler:expr,)* }) => {
        $(#[$doc])*
        fn $name<S: Source>() -> Router<Arc<S>> {
            Router::new()$(.route($path, $method($handler)))*
        }
        #[cfg(test)]
        pub(super) const $list: &[&str] = &[$($path),*];
    };
}

paths! {
    /// What is read.
    readings, READINGS, get, {
        "/v1/version" => version,
        "/v1/status" => status::<S>,
        "/v1/channels" => channels::<S>,
        "/v1/connections" => connections::<S>,
        "/v1/ports" => ports::<S>,
        "/v1/drops" => drops::<S>,
        "/v1/routes" => routing::routes::<S>,
        "/v1/routes/why" => routing::why::<S>,
        "/v1/bgp" => routing::bgp::<S>,
        "/v1/lags" => lags::<S>,
        "/v1/macsec" => macsec::<S>,
        "/v1/bfd" => bfd::<S>,
        "/v1/mka" => mka::<S>,
        "/v1/quality" => quality::<S>,
        "/v1/runtime" => runtime::<S>,
        "/v1/events" => planned::events::<S>,
        "/v1/neighbors" => neighbors::<S>,
        "/v1/config" => config::<S>,
        "/metrics" => metrics::<S>,
    }
}

paths! {
    /// What can be asked for.
    wishes, WISHES, post, {
        "/v1/bgp/{neighbor}/{wish}" => routing::wish::<S>,
        "/v1/bfd/{interface}/{wish}" => routing::bfd::<S>,
        "/v1/channels/{channel}/rekey" => rekey::<S>,
        "/v1/channels/{channel}/suspend" => suspend::<S>,
        "/v1/reload" => reload::<S>,
        "/v1/restart" => restart::<S>,
        "/v1/channels/{channel}/drain" => planned::drain::<S>,
        "/v1/channels/{channel}/undrain" => planned::undrain::<S>,
        "/v1/channels/{channel}/drill" => planned::drill::<S>,
        "/v1/connections/{connection}/rate" => planned::rate::<S>,
    }
}

async fn version() -> Response {
    let content = Version { program: "quadspan".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    document("Version", wall(), content)
}

async fn status<S: Source>(State(source): State<Arc<S>>) -> Response {
    let facts = source.facts(AskBgp::Soon).await;
    document("Status", facts.wall, view::status(&facts))
}

async fn config<S: Source>(State(source): State<Arc<S>>) -> Response {
    let facts = source.facts(AskBgp::No).await;
    match serde_json::to_value(&*facts.config) {
        Ok(config) => {
            let file = facts.config_file.display().to_string();
            document("Config", facts.wall, RunningConfig { file, config })
        }
        Err(why) => problem(StatusCode::INTERNAL_SERVER_ERROR, "not_shown", why.to_string()),
    }
}

async fn channels<S: Source>(State(source): State<Arc<S>>) -> Response {
    list(&*source, "ChannelList", view::channels).await
}

async fn connections<S: Source>(State(source): State<Arc<S>>) -> Response {
    list(&*source, "ConnectionList", view::connections).await
}

async fn ports<S: Source>(State(source): State<Arc<S>>) -> Response {
    list(&*source, "PortList", view::ports).await
}

async fn drops<S: Source>(State(source): State<Arc<S>>) -> Response {
    list(&*source, "DropList", view::drops).await
}

async fn lags<S: Source>(State(source): State<Arc<S>>) -> Response {
    list(&*source, "LagList", view::lags).await
}

async fn macsec<S: Source>(State(source): State<Arc<S>>) -> Response {
    list(&*source, "MacsecList", view::macsec).await
}

async fn mka<S: Source>(State(source): State<Arc<S>>) -> Response {
    list(&*source, "MkaList", view::mka).await
}

async fn rekey<S: Source>(
    State(source): State<Arc<S>>,
    Path(channel): Path<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Response {
    match source.rekey(&channel).await {
        Ok(answer) => document("Rekey", wall(), view::rekey(&channel, answer)),
        Err(why) => no_kay(&channel, why),
    }
}

async fn suspend<S: Source>(
    State(source): State<Arc<S>>,
    Path(channel): Path<String>,
    Asked(wanted): Asked<Suspending>,
) -> Response {
    let longest = SUSPENSION_LIMIT.as_secs();
    if !(1..=longest).contains(&wanted.seconds) {
        let detail = format!("`seconds` must be from 1 to {longest}");
        return problem(StatusCode::BAD_REQUEST, "bad_time", detail);
    }
    match source.suspend(&channel, Duration::from_secs(wanted.seconds)).await {
        Ok(answer) => document("Suspension", wall(), view::suspension(&channel, wanted.seconds, answer)),
        Err(why) => no_kay(&channel, why),
    }
}

/// For how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suspending {
    seconds: u64,
}

fn no_kay(channel: &str, why: NoKay) -> Response {
    let name: String = channel.chars().take(100).collect();
    match why {
        NoKay::UnknownChannel => {
            let detail = format!("there is no channel `{name}`; GET /v1/channels lists them");
            problem(StatusCode::NOT_FOUND, "unknown_channel", detail)
        }
        NoKay::NoMka => {
            let detail = format!(
                "channel `{name}` has no MKA: its keys stand in the configuration; give it [[channel.macsec.key]]"
            );
            problem(StatusCode::CONFLICT, "no_mka", detail)
        }
        NoKay::Silent => {
            let detail = "the channel's worker did not answer in time: it is overloaded, or stuck".to_owned();
            problem(StatusCode::SERVICE_UNAVAILABLE, "worker_silent", detail)
        }
    }
}

async fn quality<S: Source>(State(source): State<Arc<S>>) -> Response {
    list(&*source, "QualityList", view::quality).await
}

async fn runtime<S: Source>(State(source): State<Arc<S>>) -> Response {
    list(&*source, "RuntimeList", view::runtime).await
}

/// Whether only to say what would happen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reloading {
    #[serde(default)]
    dry_run: bool,
}

async fn reload<S: Source>(State(source): State<Arc<S>>, Asked(how): Asked<Reloading>) -> Response {
    match source.reload(how.dry_run).await {
        Some(outcome) => document("Reload", wall(), view::reload(outcome, how.dry_run)),
        None => problem(StatusCode::SERVICE_UNAVAILABLE, "ending", "the gateway is ending".to_owned()),
    }
}

/// What to go on with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Restarting {
    binary: Option<PathBuf>,
}

async fn restart<S: Source>(State(source): State<Arc<S>>, Asked(how): Asked<Restarting>) -> Response {
    document("Restart", wall(), view::restart(source.restart(how.binary).await))
}

async fn bfd<S: Source>(State(source): State<Arc<S>>) -> Response {
    list(&*source, "BfdList", view::bfd).await
}

async fn neighbors<S: Source>(State(source): State<Arc<S>>) -> Response {
    list(&*source, "NeighborList", view::neighbors).await
}

async fn metrics<S: Source>(State(source): State<Arc<S>>) -> Response {
    let facts = source.facts(AskBgp::Patiently).await;
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&facts, &source.changes()))
        .into_response()
}

async fn list<S: Source, T: Serialize>(source: &S, kind: &str, view: fn(&Facts) -> Vec<T>) -> Response {
    let facts = source.facts(AskBgp::No).await;
    document(kind, facts.wall, Items::all(view(&facts)))
}

async fn unknown_path(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(100).collect();
    let detail = format!("there is nothing at {path}; GET /v1/status is a good start");
    problem(StatusCode::NOT_FOUND, "unknown_path", detail)
}

async fn other_method() -> Response {
    let detail = "this path is read with GET; what changes something has a path of its own, and takes POST";
    problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail.to_owned())
}

async fn only_post() -> Response {
    let detail = "this path changes something: it takes POST, and cannot be read";
    problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail.to_owned())
}

pub(super) fn document<T: Serialize>(kind: &str, made: Timestamp, content: T) -> Response {
    match serde_json::to_vec(&Document::new(kind, made, content)) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(why) => problem(StatusCode::INTERNAL_SERVER_ERROR, "not_shown", why.to_string()),
    }
}

pub(super) fn problem(status: StatusCode, code: &str, detail: String) -> Response {
    let problem = Problem {
        kind: format!("urn:quadspan:problem:{code}"),
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail,
        code: code.to_owned(),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ::bgp::fsm::State as Session;

    use super::{
        super::{source::NoBgp, testbed::Fixed, testbed_bgp::neighbor_report},
        *,
    };
    use crate::bgp::report::{Answer, Question};

    /// How often BGP was asked.
    static ASKED: AtomicUsize = AtomicUsize::new(0);

    fn counted(_: Question) -> Result<Answer, NoBgp> {
        ASKED.fetch_add(1, Ordering::Relaxed);
        Ok(Answer::Neighbors(vec![neighbor_report(Session::Active)]))
    }

    #[test]
    fn bgp_is_asked_once_and_only_for_what_says_how_its_neighbours_are() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let source = || State(Arc::new(Fixed(counted)));
        let asked = |path: &str, answer: Response, times: usize| {
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            assert_eq!(ASKED.swap(0, Ordering::Relaxed), times, "{path}");
        };
        runtime.block_on(async {
            asked("/v1/bgp", routing::bgp(source()).await, 1);
            asked("/metrics", metrics(source()).await, 1);
            asked("/v1/status", status(source()).await, 1);
            asked("/v1/channels", channels(source()).await, 0);
            asked("/v1/config", config(source()).await, 0);
        });
    }
}
