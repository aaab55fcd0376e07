//! `docs/API.md` against the program: the paths of the router, the parameters that each takes, the fields of its answers, and the codes of
//! its errors.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use serde::Serialize;
use serde_json::Value;

use super::{
    client::{ClientError, get, post},
    server::{READINGS, WISHES},
    source::{Facts, NoBgp},
    testbed::{config_with_bgp, facts, mka_facts},
    testbed_bfd::bfd_facts,
    testbed_bgp::neighbor_report,
    tests::{Folder, with_bgp},
    view,
};
use crate::bgp::report::{Answer, Question, RoutesReport};

/// What the page says of a path.
struct Section {
    /// `GET /v1/version`
    heading: String,
    text: String,
}

fn page() -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/API.md");
    fs::read_to_string(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()))
}

fn sections() -> Vec<Section> {
    let page = page();
    let parts = page.split("\n### `").skip(1);
    let section = |part: &str| {
        let (heading, rest) = part.split_once("`\n").unwrap();
        let text = rest.split("\n## ").next().unwrap_or_default();
        Section { heading: heading.to_owned(), text: text.to_owned() }
    };
    parts.map(section).collect()
}

/// Words between backticks.
fn words(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

impl Section {
    /// Names before a parenthesis in the line about parameters.
    fn parameters(&self) -> BTreeSet<String> {
        let line = self.text.lines().find_map(|line| line.strip_prefix("Parameters: ")).unwrap_or_default();
        // A default is told with its value, a parameter with what it may be.
        let parts = line.split("), ").map(|part| part.split("` (").next().unwrap_or_default());
        parts.filter_map(|part| part.strip_prefix('`')).map(str::to_owned).collect()
    }

    /// The request, with names that the gateway for tests has.
    fn path(&self) -> String {
        let path = self.heading.split_once(' ').unwrap().1;
        let wish = if path.contains("/bfd/") { "disable" } else { "shutdown" };
        [
            ("{channel}", "ch2"),
            ("{connection}", "blue"),
            ("{interface}", "ch1"),
            ("{neighbor}", "dx"),
            ("{wish}", wish),
        ]
        .iter()
        .fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
    }
}

#[test]
fn the_page_has_the_paths_of_the_router() {
    let there: Vec<_> = sections().into_iter().map(|one| one.heading).collect();
    let readings = READINGS.iter().map(|path| format!("GET {path}"));
    let wanted: BTreeSet<_> = readings.chain(WISHES.iter().map(|path| format!("POST {path}"))).collect();
    assert_eq!(there.iter().cloned().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(there.len(), wanted.len(), "one twice: {there:?}");
}

fn answers(question: Question) -> Result<Answer, NoBgp> {
    match question {
        Question::Routes(..) => Ok(Answer::Routes(RoutesReport::default())),
        Question::Neighbors => Ok(Answer::Neighbors(vec![])),
        Question::Explain(..)
        | Question::Clear(..)
        | Question::Refresh(..)
        | Question::Shutdown(..)
        | Question::Enable(..) => Err(NoBgp::Unused),
    }
}

/// The parameters that a refusal names as those that it takes.
fn expected(refusal: &str) -> BTreeSet<String> {
    refusal.split_once("expected ").map_or_else(BTreeSet::new, |(_, names)| words(names))
}

#[test]
fn the_page_has_the_parameters_of_each_path() {
    let folder = Folder::new("reference");
    with_bgp(&folder, answers, |socket| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut with_parameters = 0;
        for one in sections() {
            let path = format!("{}?nosuch=1", one.path());
            let answer = match one.heading.starts_with("GET") {
                true => runtime.block_on(get(&socket, &path)),
                false => runtime.block_on(post(&socket, &path)),
            };
            let known = match answer {
                Err(ClientError::Refused(problem)) if problem.code == "bad_query" => {
                    expected(&problem.detail)
                }
                Err(other) => panic!("{path}: {other}"),
                // It looks at none.
                Ok(_) => BTreeSet::new(),
            };
            with_parameters += usize::from(!known.is_empty());
            assert_eq!(one.parameters(), known, "{}", one.heading);
        }
        assert!(with_parameters >= 10, "{with_parameters}");
    });
}

/// Names of fields of a document, or of the things in a list.
fn fields(answer: &impl Serialize) -> BTreeSet<String> {
    let value = serde_json::to_value(answer).unwrap();
    let own = |value: &Value| value.as_object().map(|fields| fields.keys().cloned().collect::<BTreeSet<_>>());
    match value.as_array() {
        Some(items) => items.iter().filter_map(own).flatten().collect(),
        None => own(&value).unwrap(),
    }
}

/// The fields of answers that the gateway for tests gives, or has the facts for.
fn known_fields() -> Vec<(&'static str, BTreeSet<String>)> {
    let (facts, mut dropping) = (facts(), facts());
    for channel in dropping.reports.iter_mut().flat_map(|report| &mut report.snapshot.channels) {
        channel.drops.add(dataplane::DropReason::ALL[0], 1);
    }
    let with_bgp = Facts { config: Arc::new(config_with_bgp()), ..super::testbed::facts() };
    let reports = [neighbor_report(::bgp::fsm::State::Established)];
    let records = super::testbed::records().since(0).0;
    let event = view::event(&facts.config, &facts.setup, &records[0]);
    let wanted = crate::bgp::report::Wanted::Prefix("10.2.0.0/24".parse().unwrap());
    vec![
        ("GET /v1/status", fields(&view::status(&facts))),
        ("GET /v1/channels", fields(&view::channels(&facts))),
        ("GET /v1/connections", fields(&view::connections(&facts))),
        ("GET /v1/ports", fields(&view::ports(&facts))),
        ("GET /v1/drops", fields(&view::drops(&dropping))),
        ("GET /v1/macsec", fields(&view::macsec(&facts))),
        ("GET /v1/mka", fields(&view::mka(&mka_facts()))),
        ("GET /v1/bfd", fields(&view::bfd(&bfd_facts()))),
        ("GET /v1/bgp", fields(&view::bgp(&with_bgp, &reports))),
        ("GET /v1/neighbors", fields(&view::neighbors(&facts))),
        ("GET /v1/runtime", fields(&view::runtime(&facts))),
        ("GET /v1/events", fields(&event)),
        ("GET /v1/routes", fields(&view::routes(&facts, Default::default(), &Default::default()).items)),
        ("GET /v1/routes/why", fields(&view::story(&facts, 0, wanted, None).unwrap())),
        ("POST /v1/reload", fields(&view::reload(crate::reload::Outcome::Done(vec![]), true))),
        ("POST /v1/restart", fields(&view::restart(Err(String::new())))),
    ]
}

#[test]
fn the_page_has_the_fields_of_the_answers() {
    let sections = sections();
    for (heading, fields) in known_fields() {
        let there = words(&sections.iter().find(|one| one.heading == heading).unwrap().text);
        let missing: Vec<_> = fields.difference(&there).collect();
        assert!(!fields.is_empty() && missing.is_empty(), "{heading}: {missing:?} are not told");
    }
}

/// Codes that the program gives, with the names of their status: the word behind a `StatusCode`.
fn codes() -> BTreeSet<(String, u16)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/api");
    let mut all = BTreeSet::new();
    for file in ["server.rs", "routing.rs", "planned.rs", "query.rs"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let text = text.split("\nmod tests {").next().unwrap_or_default();
        for part in text.split("StatusCode::").skip(1) {
            let (name, rest) = part.split_once(',').unwrap_or((part, ""));
            let Some(code) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next())
            else {
                continue;
            };
            let status = match name {
                "BAD_REQUEST" => 400,
                "NOT_FOUND" => 404,
                "METHOD_NOT_ALLOWED" => 405,
                "CONFLICT" => 409,
                "INTERNAL_SERVER_ERROR" => 500,
                "SERVICE_UNAVAILABLE" => 503,
                other => panic!("{other} of {code} is not among those that this test knows"),
            };
            all.insert((code.to_owned(), status));
        }
    }
    all
}

#[test]
fn the_page_has_the_codes_of_all_errors() {
    let page = page();
    let table = page.split("\n## Errors").nth(1).unwrap();
    let mut there = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split(" | ").collect();
        there.extend(words(cells[0]).into_iter().map(|code| (code, cells[1].trim().parse::<u16>().unwrap())));
    }
    assert_eq!(there, codes());
    // What a path's section says agrees with the table.
    for section in sections() {
        for line in section.text.lines().filter_map(|line| line.strip_prefix("Problems: ")) {
            for part in line.split(", ") {
                let (status, code) = part.split_once(" `").unwrap();
                let code = code.split('`').next().unwrap().to_owned();
                assert!(
                    there.contains(&(code.clone(), status.parse().unwrap())),
                    "{}: {code}",
                    section.heading
                );
            }
        }
    }
}
