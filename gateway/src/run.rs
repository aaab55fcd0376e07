//! `quadspan run`: a gateway in the foreground, from configuration to orderly end.

use std::path::Path;

use anyhow::{Context, Result};
use config::Config;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::control::Gateway;

/// Starts the gateway that `config` describes, calls `serve` with it once it runs, and ends on SIGTERM or SIGINT.
/// SIGHUP is reserved for reloading and only logged.
///
/// # Errors
/// What keeps the gateway from starting, each with what to do about it; or that a worker died.
pub fn run<S, F>(config: Config, serve: S) -> Result<()>
where
    S: FnOnce(&Gateway) -> Result<F>,
    F: Future<Output = ()> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control loop")?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let site = config.site.name.clone();
        let gateway = Gateway::start(config).await?;
        let api = tokio::task::spawn_local(serve(&gateway)?);
        info!(event = "gateway.started", site, version = env!("CARGO_PKG_VERSION"));
        let ended = gateway.run(stop()).await;
        api.abort();
        info!(event = "gateway.stopped", site);
        ended
    })
}

/// Done when somebody asks the process to end.
async fn stop() {
    let listen = |kind| signal(kind).context("cannot listen to signals");
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) =
        (listen(SignalKind::terminate()), listen(SignalKind::interrupt()), listen(SignalKind::hangup()))
    else {
        warn!(event = "gateway.no_signals", "signals cannot be heard; only SIGKILL ends this process");
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = term.recv() => return,
            _ = int.recv() => return,
            _ = hup.recv() => warn!(event = "gateway.reload", "reloading comes in a later version; restart to apply changes"),
        }
    }
}

/// Reads a configuration file.
///
/// # Errors
/// When it cannot be read, or is not UTF-8.
pub fn read(path: &Path) -> Result<String> {
    let octets = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    String::from_utf8(octets).with_context(|| format!("{} is not UTF-8 text", path.display()))
}
