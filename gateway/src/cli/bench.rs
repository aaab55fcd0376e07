//! `bench`: what this machine can carry.

use std::time::Duration;

use super::{
    args::{BenchArgs, Global},
    check,
    exit::{Exit, Failure},
    terminal,
};
use crate::{api::model, bench, clock, secrets::Secrets};

/// `bench [--config FILE] [--no-rig] [--seconds N]`.
pub(super) fn bench(global: &Global, options: &BenchArgs) -> Result<Exit, Failure> {
    let config = match &options.config {
        Some(file) => {
            let name = file.display().to_string();
            let text = check::read(file)?;
            let loaded = config::load_at(&name, &text, &Secrets::beside(file), clock::wall());
            let refused = |_| {
                Failure::new(Exit::Failed, format_args!("{name} is not valid"))
                    .help(format!("`quadspan check {name}` shows where, and what to do"))
            };
            Some(loaded.map_err(refused)?.config)
        }
        None => None,
    };
    let rig = (!options.no_rig).then(|| Duration::from_secs(options.seconds.into()));
    let tell = |what: &str| terminal::tell(&format!("measuring {what}\n"));
    let figures = bench::run(rig, config.as_ref(), tell)
        .map_err(|why| Failure::new(Exit::Failed, format_args!("{why:#}")))?;
    if global.json {
        terminal::print_json(&serde_json::json!({
            "api": model::API,
            "kind": "Bench",
            "generated_at": crate::api::wall(),
            "figures": figures,
        }))?;
    } else {
        terminal::print(bench::screen(&figures).as_bytes())?;
    }
    let broken = figures.promise.is_some_and(|promise| promise.verdict == "broken");
    Ok(if broken { Exit::Degraded } else { Exit::Done })
}
