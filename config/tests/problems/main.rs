//! Every problem code: something that causes it, where the caret must stand, and what is said.
//!
//! A case changes `BASE` in some places. `‸` in what is put there marks where the caret must be; it is
//! taken out before the text is loaded.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod bgp;
mod classes;
mod lag;
mod macsec;
mod mka;
mod routing;
mod shape;
#[path = "../support/mod.rs"]
mod support;

use config::{Code, Severity};
use support::{BASE, EXAMPLES, base_with, load, problems};

/// A code, the changes that cause it, and words of the message or the remedy.
pub(crate) type Case = (Code, &'static [(&'static str, &'static str)], &'static str);

fn cases() -> impl Iterator<Item = &'static Case> {
    [
        shape::SHAPE,
        shape::NAMES,
        shape::TUNNELS,
        classes::CLASSES,
        macsec::CHANNELS,
        macsec::KEYS,
        mka::KEYS,
        mka::SETTINGS,
        mka::CLOUDS,
        routing::CONNECTIONS,
        routing::ROUTING,
        lag::LAGS,
        bgp::BGP,
        bgp::CLOUDS,
    ]
    .into_iter()
    .flatten()
}

#[test]
fn the_base_has_no_problem() {
    assert_eq!(problems(BASE).render(100, false), "site.toml: 0 errors\n");
}

#[test]
fn every_problem_is_found_where_it_is() {
    let wrong: Vec<_> = cases().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{} cases failed\n{}", wrong.len(), wrong.join("\n\n"));
}

/// What is wrong with the way a case comes out, if anything.
fn wrong((code, edits, words): &Case) -> Option<String> {
    let marked = base_with(edits);
    assert_eq!(marked.matches('‸').count(), 1, "{code} {edits:?} must mark one place");
    let before = marked.split('‸').next().unwrap_or("");
    let place =
        (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or("").chars().count() + 1);
    let text = marked.replace('‸', "");

    let found = problems(&text);
    let here = found.iter().any(|problem| {
        let said = format!("{} {}", problem.message(), problem.help().unwrap_or(""));
        problem.code() == *code && (problem.line(), problem.column()) == place && said.contains(words)
    });
    let remedies = found.iter().all(|problem| problem.help().is_some_and(|help| !help.is_empty()));
    let loads = load(&text).is_ok() == (code.severity() == Severity::Warning);
    let right = here && remedies && loads;
    let all = found.render(100, false);
    (!right).then(|| format!("{code} with {words:?} at {place:?} for {edits:?}\nfound {here}, remedies {remedies}, loads {loads}\n{all}"))
}

#[test]
fn every_code_has_a_case() {
    // A whole megabyte is its own test below.
    let tested: Vec<_> = cases().map(|(code, ..)| *code).chain([Code::TooLarge]).collect();
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !tested.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_huge_file_is_refused_unread() {
    let found = problems(&"# nothing\n".repeat(2_000_000));
    let codes: Vec<_> =
        found.iter().map(|problem| (problem.code(), problem.line(), problem.column())).collect();
    assert_eq!(codes, [(Code::TooLarge, 1, 1)]);
}

#[test]
fn one_mistake_is_one_problem() {
    // What follows from a mistake is not a second one: a misspelt key is not also missing, a cipher that cannot be
    // read says nothing about keys, a reference that leads nowhere leaves nothing unused.
    for edit in [
        ("device = \"eth1\"", "devcie = \"eth1\""),
        ("cipher = \"gcm-aes-256\"", "cipher = \"gcm-aes-265\""),
        ("port = \"wan2\"", "port = \"wan3\""),
        ("channel = \"ch2\"", "channel = \"ch3\""),
        ("name = \"ch1\"", "name = \"ch 1\""),
        ("policy = \"must-secure\"", "policy = \"most-secure\""),
        ("address = [\"169.254.11.1/30\"]", "address = [\"169.254.11.1-30\"]"),
        ("vlan = 100", "vlan = 0"),
        ("clear_tags = []", "clear_tags = [0]"),
        ("pin = [0, 1]", "pin = [0, -1]"),
        ("name = \"here\"", "name = here"),
        ("[site]", "[site"),
    ] {
        let found = problems(&base_with(&[edit]));
        assert_eq!(found.len(), 1, "{edit:?}\n{}", found.render(100, false));
    }
}

#[test]
fn warnings_come_with_a_configuration_and_errors_with_warnings() {
    let warned = load(&base_with(&[("replay_window = 0", "replay_protect = false")]));
    let warnings = warned.map(|loaded| loaded.warnings).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((warnings.len(), warnings.has_errors()), (1, false));

    let both =
        base_with(&[("replay_window = 0", "replay_protect = false"), ("port = \"lan1\"", "port = \"lan7\"")]);
    let found = load(&both).err().map(|problems| problems.to_string());
    assert_eq!(found.as_deref(), Some("site.toml: 1 error, 1 warning"));
}

#[test]
fn a_problem_is_plain_data_for_scripts() {
    let found = problems(&base_with(&[("port = \"lan1\"", "port = \"lna1\"")]));
    let expected = serde_json::json!({
        "file": "site.toml",
        "list": [{
            "code": "QS0102",
            "severity": "error",
            "file": "site.toml",
            "line": 70,
            "column": 8,
            "message": "there is no port called `lna1`",
            "help": "did you mean `lan1`?",
        }],
        "unlisted": 0,
    });
    assert_eq!(serde_json::to_value(&found).ok(), Some(expected));
}

#[test]
fn examples_load_without_a_word() {
    for (name, text) in EXAMPLES {
        let found = problems(text);
        assert!(found.is_empty() && load(text).is_ok(), "{name}\n{}", found.render(100, false));
    }
}
