//! The running configuration in the language it was written in.

use serde_json::Value;

use crate::api::model::RunningConfig;

/// The configuration as TOML: every default filled in, keys as fingerprints.
pub fn config(running: &RunningConfig) -> String {
    let mut config = running.config.clone();
    drop_nulls(&mut config);
    // Everything in a configuration came from TOML, so it can go back; should it not, JSON says the same.
    let text = toml::to_string(&config).unwrap_or_else(|_| format!("{config:#}\n"));
    format!("# {}, as it runs: defaults filled in, keys shown as fingerprints\n{text}", running.file)
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
