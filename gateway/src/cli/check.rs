//! `check`: everything that is wrong with a configuration file, at once.

use std::{io, path::Path};

use config::{Config, Loaded, Problems, Severity};

use super::{
    args::{Color, Global},
    exit::{Exit, Failure},
    terminal,
};
use crate::{clock, secrets::Secrets};

/// Says what is wrong with `file`.
pub(super) fn check(global: &Global, file: &Path) -> Result<Exit, Failure> {
    let name = file.display().to_string();
    let loaded = config::load_at(&name, &read(file)?, &Secrets::beside(file), clock::wall());
    let (problems, config) = match &loaded {
        Ok(Loaded { config, warnings }) => (warnings, Some(config)),
        Err(problems) => (problems, None),
    };
    if global.json {
        terminal::print_json(&document(&name, problems))?;
    } else {
        show(global.color, problems);
        if let Some(config) = config {
            terminal::print(format!("{name}: valid: {}\n", contents(config)).as_bytes())?;
        }
    }
    Ok(if config.is_some() { Exit::Done } else { Exit::ConfigInvalid })
}

/// Reads and checks `file`; what is wrong goes to standard error.
pub(super) fn load(global: &Global, file: &Path) -> Result<Loaded, Failure> {
    let name = file.display().to_string();
    let loaded = config::load_at(&name, &read(file)?, &Secrets::beside(file), clock::wall());
    loaded.map_err(|problems| {
        if global.json {
            terminal::tell(&format!("{}\n", document(&name, &problems)));
        } else {
            show(global.color, &problems);
        }
        Failure::silent(Exit::ConfigInvalid)
    })
}

pub(super) fn read(file: &Path) -> Result<String, Failure> {
    let octets = std::fs::read(file).map_err(|why| {
        let exit =
            if why.kind() == io::ErrorKind::PermissionDenied { Exit::NotPermitted } else { Exit::Failed };
        Failure::new(exit, format_args!("cannot read the configuration {}: {why}", file.display()))
            .help("name a file: `quadspan run -c FILE`, `quadspan check FILE`")
    })?;
    String::from_utf8(octets).map_err(|why| {
        let place = why.utf8_error().valid_up_to();
        let message = format!("{} is not UTF-8 text: octet {place} is wrong", file.display());
        Failure::new(Exit::ConfigInvalid, message).help("a configuration is TOML in UTF-8")
    })
}

fn show(color: Color, problems: &Problems) {
    if !problems.is_empty() {
        let (width, colour) = terminal::messages(color);
        terminal::tell(&problems.render(width, colour));
    }
}

fn document(name: &str, problems: &Problems) -> serde_json::Value {
    let count = |severity| problems.iter().filter(|problem| problem.severity() == severity).count();
    serde_json::json!({
        "api": crate::api::model::API,
        "kind": "Check",
        "file": name,
        "valid": !problems.has_errors(),
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "unlisted": problems.unlisted(),
        "problems": problems.iter().collect::<Vec<_>>(),
    })
}

fn contents(config: &Config) -> String {
    let parts = [
        (config.ports.len(), "port"),
        (config.channels.len(), "channel"),
        (config.connections.len(), "connection"),
    ];
    let texts = parts.map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }));
    texts.join(", ")
}
