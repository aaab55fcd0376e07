//! The schema and the reader come from one table; this holds them against each other from outside.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use config::Code;
use serde_json::Value;
use support::{BASE, load, problems};

/// Every section of the schema by its path, where a step that ends in `[]` is a list of sections.
fn sections() -> BTreeMap<String, Value> {
    let schema = config::schema();
    let mut found = BTreeMap::new();
    collect(&schema, &schema, String::new(), &mut found);
    found
}

fn collect(root: &Value, at: &Value, path: String, found: &mut BTreeMap<String, Value>) {
    if let Some(name) = at["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).expect("references lead somewhere");
        return collect(root, target, path, found);
    }
    if at["type"] == "array" {
        return collect(root, &at["items"], format!("{path}[]"), found);
    }
    for (key, property) in at["properties"].as_object().into_iter().flatten() {
        collect(root, property, format!("{path}.{key}"), found);
    }
    if at["type"] == "object" {
        found.insert(path, at.clone());
    }
}

/// A document with `body` as the inside of the section at `path`.
fn document(path: &str, body: &str) -> String {
    let mut steps = path.split('.').filter(|step| !step.is_empty());
    let Some(first) = steps.next() else { return body.to_owned() };
    let wrap = |step: &str, inside: String| match step.strip_suffix("[]") {
        Some(name) => format!("{name} = [{{ {inside} }}]"),
        None => format!("{step} = {{ {inside} }}"),
    };
    let inside = steps.rev().fold(body.replace('\n', ", "), |inside, step| wrap(step, inside));
    wrap(first, inside)
}

fn unknown_keys(text: &str) -> usize {
    problems(text).iter().filter(|problem| problem.code() == Code::UnknownKey).count()
}

#[test]
fn the_reader_takes_the_keys_of_the_schema_and_no_others() {
    let sections = sections();
    assert!(sections.len() >= 14, "{:?}", sections.keys());
    for (path, section) in &sections {
        let keys: Vec<_> = section["properties"].as_object().expect("a section has keys").keys().collect();
        assert_eq!(section["additionalProperties"], false, "{path}");
        // Values of a type that no key takes: the keys are what counts.
        let known = keys.iter().map(|key| format!("{key} = 1979-05-27")).collect::<Vec<_>>().join("\n");
        let text = document(path, &known);
        assert_eq!(unknown_keys(&text), 0, "{path}: {text}\n{}", problems(&text).render(100, false));
        let wrong = document(path, &format!("{known}\nno_such_key_anywhere = 1"));
        assert_eq!(unknown_keys(&wrong), 1, "{path}: {wrong}");
    }
}

#[test]
fn the_schema_requires_what_the_reader_requires() {
    for (path, section) in sections() {
        let missing = problems(&document(&path, ""));
        let of_here = |key: &str, what: &str| {
            missing.iter().any(|problem| {
                problem.code() == Code::MissingKey
                    && problem.message().starts_with(&format!("`{key}` is missing in {what}"))
            })
        };
        // A key reference is one of three; the schema says so with minProperties.
        let what = match path.as_str() {
            "" => "the file".to_owned(),
            path if path.ends_with("[]") => format!("[[{}]]", path[1..].replace("[]", "")),
            path => format!("[{}]", path[1..].replace("[]", "")),
        };
        let required: Vec<_> =
            section["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for key in section["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()) {
            assert_eq!(required.contains(&key), of_here(key, &what), "{key} in {what}");
        }
    }
}

#[test]
fn the_defaults_of_the_schema_are_the_defaults() {
    let plain = load(BASE).expect("the base loads").config;
    let mut tried = 0;
    for (path, section) in sections() {
        for (key, property) in section["properties"].as_object().into_iter().flatten() {
            let Some(default) = property.get("default") else { continue };
            let heading = match path.as_str() {
                path if path.ends_with("[]") => format!("\n[[{}]]\n", path[1..].replace("[]", "")),
                path => format!("\n[{}]\n", path[1..].replace("[]", "")),
            };
            // With every section of its kind saying so, nothing changes, unless the base says otherwise.
            let text: String = BASE
                .split_inclusive(heading.trim_start())
                .map(|part| {
                    if part.ends_with(heading.trim_start()) {
                        format!("{part}{key} = {default}\n")
                    } else {
                        part.to_owned()
                    }
                })
                .collect();
            // The base has its own value for some keys, and a tag type needs tags.
            let Ok(loaded) = load(&text) else {
                let why = problems(&text);
                let excused = why
                    .iter()
                    .all(|problem| problem.message().contains("duplicate key") || key == "clear_tag_type");
                assert!(excused, "{key} = {default} in {path}\n{}", why.render(100, false));
                continue;
            };
            assert_eq!(loaded.config, plain, "{key} = {default} in {path}");
            tried += 1;
        }
    }
    assert!(tried >= 20, "only {tried} defaults could be tried");
}

#[test]
fn the_schema_says_what_it_is() {
    let schema = config::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for (path, section) in sections() {
        for (key, property) in section["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].as_str().is_some_and(|text| text.ends_with('.')), "{path}.{key}");
        }
    }
}
