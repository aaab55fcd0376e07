//! The running configuration in the language it was written in.

use serde_json::Value;

use crate::api::model::RunningConfig;

/// The configuration as TOML: every default filled in, keys as fingerprints.
pub fn config(running: &RunningConfig) -> String {
    let mut config = running.config.clone();
    drop_nulls(&mut config);
    let mut text =
        format!("# {}, as it runs: defaults filled in, keys shown as fingerprints\n", running.file);
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
