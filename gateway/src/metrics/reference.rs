//! `docs/METRICS.md` and `docs/alerts.yml` against the catalogue. `QUADSPAN_UPDATE_DOCS=1` writes the former anew, to be read before it is
//! committed.

use std::{collections::BTreeSet, env, fmt::Write as _, fs, path::PathBuf};

use super::{ALL, metric::Kind};

fn document(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

const HEAD: &str = "\
# Metrics
`GET /metrics` on the gateway's socket, and on the TCP address of `[runtime] metrics = \"127.0.0.1:9477\"` where there is one, as
OpenMetrics 1.0. There is no password: name an address that only the collector reaches. `quadspan explain metric:NAME` says what a metric
tells; [alerts.yml](alerts.yml) has alerts on them, [grafana.json](grafana.json) a dashboard.

The numbers are those of `quadspan show`, taken at the moment of the scrape; counting costs frames nothing. Names do not change their
meaning and are not taken away. Labels take their values from the configuration or from closed lists, never from what a peer sends. Counters
start at 0 with the process. What only a worker knows that does not answer is left out, not zero.

Generated from the program; a test holds it against the code.

| metric | kind | labels | what it tells |
| --- | --- | --- | --- |
";

fn reference() -> String {
    let mut text = HEAD.to_owned();
    for metric in ALL {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) = (metric.name(), metric.kind.word());
        writeln!(text, "| `{name}` | {kind} | {} | {} |", labels.join(", "), metric.help).unwrap();
    }
    text
}

#[test]
fn the_reference_lists_what_the_program_has() {
    let file = document("METRICS.md");
    if env::var_os("QUADSPAN_UPDATE_DOCS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, reference()).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    let stray = written
        .lines()
        .zip(reference().lines())
        .find(|(there, wanted)| there != wanted)
        .map(|(there, _)| there.to_owned());
    assert!(
        written == reference(),
        "{} is not what the program has, from {stray:?}: QUADSPAN_UPDATE_DOCS=1 writes it anew",
        file.display()
    );
}

// The naming rules of Prometheus and OpenMetrics: base units, suffixes by kind, nothing twice.
#[test]
fn names_follow_the_rules() {
    let names: BTreeSet<_> = ALL.iter().map(super::Metric::name).collect();
    assert_eq!(names.len(), ALL.len());
    for metric in ALL {
        let (name, stem) = (metric.name(), metric.stem);
        assert!(
            name.bytes().all(|octet| octet.is_ascii_lowercase() || b"0123456789_".contains(&octet)),
            "{name}"
        );
        assert!(!stem.ends_with("total") && !stem.ends_with("info") && !stem.contains("__"), "{name}");
        assert!(metric.help.ends_with('.') && !metric.help.contains('\n') && metric.help.len() > 9, "{name}");
        assert_eq!(metric.kind == Kind::Info, name.ends_with("_info"), "{name}");
        for banned in ["_ms", "_us", "millis", "micros", "octets_total_bytes", "_age"] {
            assert!(!name.ends_with(banned), "{name}");
        }
        let labels: BTreeSet<_> = metric.labels.iter().collect();
        assert_eq!(labels.len(), metric.labels.len(), "{name}");
    }
}

/// Words of an expression that are names of ours.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("quadspan_")).map(str::to_owned).collect()
}

#[test]
fn the_dashboard_shows_metrics_that_exist() {
    let text = fs::read_to_string(document("grafana.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let known: BTreeSet<_> = ALL.iter().flat_map(super::Metric::samples).collect();
    let strangers: Vec<_> = names_in(&text).into_iter().filter(|name| !known.contains(name)).collect();
    assert!(strangers.is_empty(), "grafana.json speaks of {strangers:?}");
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(
        panels
            .iter()
            .filter(|panel| panel["type"] != "row")
            .all(|panel| panel["targets"][0]["expr"].is_string())
    );
    assert!(panels.len() > 20);
}

#[test]
fn alerts_are_about_metrics_that_exist_and_say_what_to_do() {
    let text = fs::read_to_string(document("alerts.yml")).unwrap();
    let known: BTreeSet<_> = ALL.iter().flat_map(super::Metric::samples).collect();
    let strangers: Vec<_> = names_in(&text).into_iter().filter(|name| !known.contains(name)).collect();
    assert!(strangers.is_empty(), "alerts.yml speaks of {strangers:?}");
    let rules: Vec<_> = text.split("\n      - alert: ").skip(1).collect();
    assert!(rules.len() >= 12, "{}", rules.len());
    for rule in rules {
        for part in ["        expr: ", "          severity: ", "          summary: ", "          runbook: "] {
            assert!(rule.contains(&format!("\n{part}")), "{part} is missing: {rule}");
        }
        let expression = rule.split("expr: ").nth(1).unwrap().split("labels:").next().unwrap();
        assert!(!names_in(expression).is_empty() || expression.contains("up{"), "{rule}");
        let (runbook, name) = (rule.split("runbook: ").nth(1).unwrap(), rule.lines().next().unwrap());
        assert!(runbook.contains("quadspan ") || runbook.contains("systemctl"), "{name} names no command");
    }
}
