//! The server and its socket, over real sockets in a folder of the test's own.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use dataplane::Target;
use net::{IpNet, Ipv4Net};

use super::{
    client::{ClientError, get, post},
    listener::{ListenError, Listener},
    model::{self, Document, List},
    serve,
    source::NoBgp,
    testbed::{Fixed, facts},
    view,
};
use crate::bgp::report::{Answer, LearnedRoutes, Question, RoutesReport};

/// Nothing was learnt here.
fn all_routes(facts: &super::Facts) -> Vec<model::Route> {
    view::routes(facts, Default::default(), &Default::default()).items
}

pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("quadspan-api-{name}-{}", std::process::id()));
        let _gone = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("api.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// Runs `story` on a thread while the API is served.
fn with_api<T: Send + 'static>(folder: &Folder, story: impl FnOnce(PathBuf) -> T + Send + 'static) -> T {
    with_bgp(folder, |_| Err(NoBgp::Unused), story)
}

pub(super) fn with_bgp<T: Send + 'static>(
    folder: &Folder,
    bgp: fn(Question) -> Result<Answer, NoBgp>,
    story: impl FnOnce(PathBuf) -> T + Send + 'static,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let socket = folder.socket();
    runtime.block_on(async {
        let listener = Listener::bind(&socket).unwrap();
        let story = tokio::task::spawn_blocking(move || story(socket));
        tokio::select! {
            never = serve(listener, Arc::new(Fixed(bgp))) => match never {},
            told = story => told.unwrap(),
        }
    })
}

fn ask(socket: &Path, path: &str) -> Result<bytes::Bytes, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(get(socket, path))
}

/// What a client sends, and all that comes back.
fn raw(socket: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    // The server may hang up before it has read everything.
    let _sent = stream.write_all(request);
    let mut answer = Vec::new();
    let _ended = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn what_the_server_writes_the_client_reads_back() {
    let folder = Folder::new("round-trip");
    with_api(&folder, |socket| {
        macro_rules! same {
            ($path:literal, $kind:literal, $item:ty, $view:path) => {{
                let list: List<$item> = serde_json::from_slice(&ask(&socket, $path).unwrap()).unwrap();
                assert_eq!((list.api.as_str(), list.kind.as_str()), ("v1", $kind));
                assert_eq!(list.content.items, $view(&facts()), $path);
                assert_eq!(list.generated_at, facts().wall);
            }};
        }
        same!("/v1/channels", "ChannelList", model::Channel, view::channels);
        same!("/v1/connections", "ConnectionList", model::Connection, view::connections);
        same!("/v1/ports", "PortList", model::Port, view::ports);
        same!("/v1/drops", "DropList", model::Drop, view::drops);
        same!("/v1/routes", "RouteList", model::Route, all_routes);
        same!("/v1/macsec", "MacsecList", model::MacsecChannel, view::macsec);
        same!("/v1/mka", "MkaList", model::MkaChannel, view::mka);
        same!("/v1/neighbors", "NeighborList", model::Neighbor, view::neighbors);
        let status: Document<model::Status> =
            serde_json::from_slice(&ask(&socket, "/v1/status").unwrap()).unwrap();
        assert_eq!(status.content, view::status(&facts()));
        let version: Document<model::Version> =
            serde_json::from_slice(&ask(&socket, "/v1/version").unwrap()).unwrap();
        assert_eq!(version.content.program, "quadspan");
        let config: Document<model::RunningConfig> =
            serde_json::from_slice(&ask(&socket, "/v1/config").unwrap()).unwrap();
        assert_eq!(config.content.config["site"]["name"], "site-a");
        assert!(!config.content.config.to_string().contains(&super::testbed::KEY[8..32]), "no key in it");
    });
}

#[test]
fn bgp_that_does_not_answer_is_not_bgp_without_neighbours() {
    let folder = Folder::new("silent-bgp");
    let silent = |_| Err(NoBgp::Silent);
    with_bgp(&folder, silent, |socket| {
        for path in ["/v1/bgp", "/v1/routes", "/v1/routes/why?prefix=10.2.0.0/24"] {
            let Err(ClientError::Refused(problem)) = ask(&socket, path) else { panic!("{path}") };
            assert_eq!((problem.status, problem.code.as_str()), (503, "bgp_silent"), "{path}");
        }
        assert!(ask(&socket, "/metrics").is_ok());
    });
}

/// A quarter more than two pages of learnt routes, of which `limit` at most are told at a time.
fn many_routes(question: Question) -> Result<Answer, NoBgp> {
    let Question::Routes(from, limit) = question else { return Ok(Answer::Neighbors(Vec::new())) };
    assert!(limit <= super::routing::LISTED, "the answer has no bound: {limit}");
    let prefix = |at: u32| IpNet::V4(Ipv4Net::new((0x2000_0000 + (at << 8)).into(), 24).unwrap());
    let all = (0..MANY).map(prefix).filter(|prefix| from.after.is_none_or(|after| *prefix > after));
    let rest = all.clone().count().saturating_sub(limit);
    let routes = all.take(limit).map(|prefix| (prefix, Target::Blackhole)).collect();
    let connections = vec![LearnedRoutes { connection: 0, rest, routes }];
    Ok(Answer::Routes(RoutesReport { generation: 1, connections }))
}

const MANY: u32 = 22_500;

#[test]
fn routes_come_in_pages_each_once_whatever_is_asked_for() {
    let folder = Folder::new("pages");
    with_bgp(&folder, many_routes, |socket| {
        let (mut prefixes, mut pages, mut next) = (Vec::new(), 0, Some(String::new()));
        while let Some(after) = next {
            let path = format!("/v1/routes?limit=1000000000&after={after}");
            let page: Document<model::RoutePage> =
                serde_json::from_slice(&ask(&socket, &path).unwrap()).unwrap();
            let blue = page.content.items.iter().filter(|route| route.connection == "blue");
            prefixes.extend(blue.map(|route| route.prefix));
            let listed = page.content.items.len();
            assert!((1..=super::routing::LISTED + 100).contains(&listed), "{listed}");
            assert_eq!(page.content.next.is_some(), page.content.unlisted > 0);
            (pages, next) = (pages + 1, page.content.next);
        }
        assert_eq!(pages, 3);
        // Those of the file stand among them, in order, and nothing stands there twice.
        let own = all_routes(&facts()).len();
        assert_eq!(prefixes.len(), usize::try_from(MANY).unwrap() + own);
        assert!(prefixes.is_sorted_by(|a, b| a < b));
        let Err(ClientError::Refused(problem)) = ask(&socket, "/v1/routes?after=nowhere/10.0.0.0/8") else {
            panic!("there is no such connection")
        };
        assert_eq!((problem.status, problem.code.as_str()), (400, "bad_after"));
    });
}

#[test]
fn a_fresh_sak_is_asked_for_with_post() {
    let folder = Folder::new("rekey");
    with_api(&folder, |socket| {
        let ask = |name: &str| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let body = runtime.block_on(post(&socket, &format!("/v1/channels/{name}/rekey")));
            body.map(|body| serde_json::from_slice::<Document<model::Rekey>>(&body).unwrap().content)
        };
        assert_eq!(ask("ch1").unwrap().answer, model::RekeyAnswer::Started);
        let other = ask("a%2Fb%20c").unwrap();
        assert_eq!(other.answer, model::RekeyAnswer::NotKeyServer);
        assert!(other.message.contains(&other.key_server.unwrap()) && other.channel == "a/b c");
        for (name, status, code) in [("ch9", 404, "unknown_channel"), ("static", 409, "no_mka")] {
            let Err(ClientError::Refused(problem)) = ask(name) else { panic!("{name}") };
            assert_eq!((problem.status, problem.code.as_str()), (status, code));
        }
        // Reading does not roll keys.
        let answer =
            raw(&socket, b"GET /v1/channels/ch1/rekey HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    });
}

#[test]
fn a_suspension_is_asked_for_with_post_and_has_a_limit() {
    let folder = Folder::new("suspend");
    with_api(&folder, |socket| {
        let ask = |name: &str, seconds: &str| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let path = format!("/v1/channels/{name}/suspend?seconds={seconds}");
            let body = runtime.block_on(post(&socket, &path));
            body.map(|body| serde_json::from_slice::<Document<model::Suspension>>(&body).unwrap().content)
        };
        let started = ask("ch1", "30").unwrap();
        assert_eq!((started.answer, started.seconds), (model::SuspendAnswer::Started, 30));
        for (name, answer) in
            [("member", model::SuspendAnswer::Asked), ("old", model::SuspendAnswer::Unsupported)]
        {
            let told = ask(name, "1").unwrap();
            assert!(told.answer == answer && told.message.contains(&told.member.unwrap()), "{name}");
        }
        for (name, seconds, status, code) in [
            ("ch9", "30", 404, "unknown_channel"),
            ("ch1", "0", 400, "bad_time"),
            ("ch1", "121", 400, "bad_time"),
        ] {
            let Err(ClientError::Refused(problem)) = ask(name, seconds) else { panic!("{name} {seconds}") };
            assert_eq!((problem.status, problem.code.as_str()), (status, code));
        }
        let wordy = raw(&socket, b"POST /v1/channels/ch1/suspend?seconds=x HTTP/1.0\r\n\r\n");
        assert!(wordy.starts_with("HTTP/1.0 400"), "{wordy}");
    });
}

/// What comes back for a request over TCP.
fn over_tcp(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_are_on_the_socket_and_on_their_own_address_and_nothing_else_is_there() {
    let folder = Folder::new("metrics");
    with_api(&folder, |socket| {
        let body = ask(&socket, "/metrics").unwrap();
        assert_eq!(body, crate::metrics::text(&facts(), &super::testbed::records().sums()));
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let story = tokio::task::spawn_blocking(move || {
            let page = over_tcp(address, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let (head, body) = page.split_once("\r\n\r\n").unwrap();
            assert!(
                head.starts_with("HTTP/1.1 200")
                    && head.contains("application/openmetrics-text; version=1.0.0")
            );
            assert!(body.ends_with("# EOF\n"));
            for (request, status) in [
                ("GET /v1/status HTTP/1.0\r\n\r\n", "404"),
                ("GET /v1/config HTTP/1.0\r\n\r\n", "404"),
                ("POST /v1/channels/ch1/rekey HTTP/1.0\r\n\r\n", "404"),
                ("POST /metrics HTTP/1.0\r\n\r\n", "405"),
            ] {
                let answer = over_tcp(address, request);
                assert!(answer.starts_with(&format!("HTTP/1.0 {status}")), "{request}: {answer}");
            }
            // As many as are served at a time say nothing: the next one waits, and is served when one hangs up.
            let idle: Vec<_> = (0..8).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            let late = std::thread::spawn(move || over_tcp(address, "GET /metrics HTTP/1.0\r\n\r\n"));
            drop(idle);
            assert!(late.join().unwrap().starts_with("HTTP/1.0 200"));
        });
        tokio::select! {
            never = super::serve_metrics(listener, Arc::new(Fixed(|_| Err(NoBgp::Unused)))) => match never {},
            told = story => told.unwrap(),
        }
    });
}

// RFC 9457.
#[test]
fn reloads_and_bfd_switches_are_asked_for_with_post() {
    let folder = Folder::new("wishes");
    with_api(&folder, |socket| {
        let ask = |path: &str| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(post(&socket, path))
        };
        for (path, dry_run, outcome) in [
            ("/v1/reload", false, model::ReloadOutcome::Invalid),
            ("/v1/reload?dry_run=false", false, model::ReloadOutcome::Invalid),
            ("/v1/reload?dry_run=true", true, model::ReloadOutcome::Done),
        ] {
            let told: Document<model::Reload> = serde_json::from_slice(&ask(path).unwrap()).unwrap();
            assert_eq!((told.content.dry_run, told.content.outcome), (dry_run, outcome), "{path}");
            assert_eq!(
                (told.content.changes.len(), told.content.problems.len()),
                (dry_run.into(), (!dry_run).into())
            );
        }
        for (path, interface) in
            [("/v1/bfd/ch1/disable", "blue/ch1"), ("/v1/bfd/blue%2Fch2/enable", "blue/ch2")]
        {
            let told: Document<model::BfdDone> = serde_json::from_slice(&ask(path).unwrap()).unwrap();
            assert!(told.content.interfaces.iter().all(|one| one == interface), "{path}: {told:?}");
        }
        for (path, status, code) in [
            ("/v1/bfd/ch9/disable", 404, "unknown_interface"),
            ("/v1/bfd/blue%2Flan1/disable", 409, "no_bfd"),
            ("/v1/bfd/ch1/explode", 404, "unknown_path"),
        ] {
            let Err(ClientError::Refused(problem)) = ask(path) else { panic!("{path}") };
            assert_eq!((problem.status, problem.code.as_str()), (status, code), "{path}");
        }
        // Reading changes nothing.
        for path in ["/v1/reload", "/v1/bfd/ch1/disable"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            assert!(raw(&socket, request.as_bytes()).starts_with("HTTP/1.1 405 "), "{path}");
        }
    });
}

#[test]
fn parameters_that_are_not_understood_are_refused_by_name_and_nothing_is_done() {
    let folder = Folder::new("parameters");
    with_api(&folder, |socket| {
        for (request, status, code, words) in [
            (
                "POST /v1/reload?dryrun=true",
                400,
                "bad_query",
                "unknown parameter `dryrun`, expected `dry_run`",
            ),
            ("POST /v1/reload?dry_run=1", 400, "bad_query", "dry_run: "),
            ("POST /v1/restart?file=x", 400, "bad_query", "`binary`"),
            ("POST /v1/connections/blue/rate?mpbs=500", 400, "bad_query", "`mpbs`, expected `mbps`"),
            ("POST /v1/connections/blue/rate?mbps=abc", 400, "bad_rate", "or `off`"),
            ("POST /v1/connections/blue/rate?mbps=0", 400, "bad_rate", "from 1 to"),
            ("POST /v1/connections/blue/rate", 400, "bad_rate", "or `off`"),
            ("POST /v1/channels/ch1/drain?second=5", 400, "bad_query", "`second`, expected `for` or `force`"),
            ("POST /v1/channels/ch1/drill?fore=5", 400, "bad_query", "`fore`"),
            ("POST /v1/channels/ch1/drill?for=60", 400, "bad_time", "from 1 to 30"),
            ("POST /v1/channels/ch1/drill?for=0", 400, "bad_time", "from 1 to 30"),
            ("POST /v1/channels/ch1/undrain?for=5", 400, "bad_query", "none is taken here"),
            ("POST /v1/channels/ch1/rekey?in=5", 400, "bad_query", "`in`"),
            ("POST /v1/channels/ch1/suspend", 400, "bad_query", "missing parameter `seconds`"),
            ("POST /v1/channels/ch1/suspend?seconds=x", 400, "bad_query", "seconds: "),
            ("POST /v1/bfd/ch1/disable?for=5", 400, "bad_query", "`for`"),
            ("POST /v1/bgp/peer/shutdown?txt=x", 400, "bad_query", "`txt`, expected `text`"),
            ("GET /v1/events?after=abc", 400, "bad_query", "after: "),
            ("GET /v1/routes?max=5", 400, "bad_query", "`limit`"),
            ("GET /v1/routes/why", 400, "bad_query", "missing parameter `prefix`"),
            ("GET /v1/channels/ch1/rekey", 405, "method_not_allowed", "takes POST"),
            ("DELETE /v1/reload", 405, "method_not_allowed", "takes POST"),
            ("POST /v1/status", 405, "method_not_allowed", "read with GET"),
        ] {
            let answer = raw(&socket, format!("{request} HTTP/1.0\r\n\r\n").as_bytes());
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("application/problem+json"), "{request}: {answer}");
            let problem: model::Problem = serde_json::from_str(body).unwrap();
            assert_eq!((problem.status, problem.code.as_str()), (status, code), "{request}: {body}");
            assert!(problem.detail.contains(words), "{request}: {}", problem.detail);
        }
        // The clients of this version say what they mean.
        for (path, rate) in [("rate?mbps=off", "null"), ("rate?mbps=500", "500")] {
            let answer =
                raw(&socket, format!("POST /v1/connections/blue/{path} HTTP/1.0\r\n\r\n").as_bytes());
            assert!(answer.contains(&format!("\"rate_mbps\":{rate}")), "{answer}");
        }
    });
}

#[test]
fn errors_are_problem_documents() {
    let folder = Folder::new("problems");
    with_api(&folder, |socket| {
        let Err(ClientError::Refused(problem)) = ask(&socket, "/v1/nothing?x=1") else { panic!() };
        assert_eq!((problem.status, problem.code.as_str()), (404, "unknown_path"));
        assert_eq!(problem.kind, "urn:quadspan:problem:unknown_path");
        let answer = raw(&socket, b"DELETE /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(
            answer.contains("application/problem+json") && answer.contains("method_not_allowed"),
            "{answer}"
        );
    });
}

#[test]
fn requests_have_limits_and_nonsense_does_no_harm() {
    let folder = Folder::new("limits");
    with_api(&folder, |socket| {
        let long = format!("GET /v1/version HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
        let many = format!("GET /v1/version HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(1000));
        for request in
            [long.as_bytes(), many.as_bytes(), &[0x16, 3, 1, 0, 200], b"GET\r\n\r\n", b"\r\n\r\n\0\0"]
        {
            let answer = raw(&socket, request);
            assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        // HTTP/1.0, and several requests on one connection.
        assert!(raw(&socket, b"GET /v1/version HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200"));
        let two = b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(raw(&socket, two).matches("HTTP/1.1 200").count(), 2);
        // A body that nobody reads.
        let body = format!(
            "GET /v1/version HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{}",
            "12345"
        );
        assert!(raw(&socket, body.as_bytes()).starts_with("HTTP/1.1 200"));
        // More idle connections than are served at a time do not keep those that are from being answered.
        let idle: Vec<_> = (0..40).map(|_| UnixStream::connect(&socket).unwrap()).collect();
        assert!(ask(&socket, "/v1/version").is_ok());
        drop(idle);
    });
}

#[test]
fn the_socket_is_for_owner_and_group_and_goes_with_its_gateway() {
    let folder = Folder::new("mode");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let path = folder.0.join("new/folder/api.sock");
        let listener = Listener::bind(&path).unwrap();
        let about = fs::metadata(&path).unwrap();
        assert!(about.file_type().is_socket());
        assert_eq!(about.permissions().mode() & 0o777, 0o660);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
        drop(listener);
        assert!(!path.exists());
    });
}

#[test]
fn a_stale_socket_is_replaced_and_a_used_one_is_not() {
    let folder = Folder::new("stale");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let path = folder.socket();
        // A process that died left its socket behind.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = Listener::bind(&path).unwrap();
        let second = Listener::bind(&path).unwrap_err();
        assert!(
            matches!(second, ListenError::Running(_))
                && second.to_string().contains("another gateway is running")
        );
        assert!(Listener::ensure_free(&path).is_err());

        // Whoever took the place keeps it.
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(listener);
        assert!(path.exists());
        drop(other);

        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Listener::bind(&path), Err(ListenError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert!(matches!(Listener::bind(Path::new("/proc/nowhere/x.sock")), Err(ListenError::Io { .. })));
    });
}

#[test]
fn a_client_says_what_is_wrong_with_the_other_end() {
    let folder = Folder::new("client");
    let path = folder.socket();
    assert!(matches!(ask(&path, "/v1/status"), Err(ClientError::Unreachable { .. })));
    let listener = UnixListener::bind(&path).unwrap();
    let answers: [&[u8]; 4] = [
        b"SSH-2.0-x\r\n",
        b"",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
    ];
    let other = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _read = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
        }
        listener
    });
    for _ in answers {
        let error = ask(&path, "/v1/status").unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    }
    // Nobody listens any more, but the socket is still there.
    drop(other.join().unwrap());
    assert!(matches!(ask(&path, "/v1/status"), Err(ClientError::Unreachable { .. })));
}
