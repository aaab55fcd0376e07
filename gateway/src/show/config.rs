//! The running configuration, laid out as its file is, for people to read: it holds what the file comes to, so no program takes it for a file.

use serde_json::Value;

use crate::api::model::RunningConfig;

/// The configuration in the manner of TOML: every default filled in, keys as fingerprints.
pub fn config(running: &RunningConfig) -> String {
    let mut config = running.config.clone();
    drop_nulls(&mut config);
    let file = &running.file;
    let mut text = format!(
        "# What runs, from {file}: every default filled in, keys as fingerprints.\n\
         # It is laid out as that file is, but is no file: some names differ, `check` and `run` refuse it.\n\
         # To change something, edit {file} and run `quadspan reload`.\n"
    );
    let Some(sections) = config.as_object() else { return text };
    let rest = sections.keys().map(String::as_str).filter(|key| !ORDER.contains(key));
    for key in ORDER.iter().copied().chain(rest) {
        if let Some(section) =
            sections.get(key).filter(|section| section.as_array().is_none_or(|all| !all.is_empty()))
        {
            text.push('\n');
            text.push_str(&toml_of(key, section));
        }
    }
    text
}

/// Sections as people write them.
const ORDER: [&str; 7] = ["site", "runtime", "port", "interconnect", "channel", "lag", "connection"];

fn toml_of(key: &str, section: &Value) -> String {
    let table = serde_json::json!({ key: section });
    // Everything in a configuration came from TOML, so it can go back; should it not, JSON says the same.
    toml::to_string(&table).unwrap_or_else(|_| format!("# {key}: {section}\n"))
}

/// TOML has no word for nothing.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
