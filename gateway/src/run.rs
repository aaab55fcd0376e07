//! `quadspan run`: a gateway in the foreground, from configuration to orderly end.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use config::Config;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::{
    control::{Ended, Gateway},
    handover::{self, Inheritance, notify},
    reload::Reloader,
};

/// How long answers of the API may take to leave a process whose work another one does already.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts the gateway that `config`, read from `file`, describes, calls `serve` with it once it runs, and ends on SIGTERM or
/// SIGINT, or when a successor has taken over. SIGHUP has the file read again. With `heir` it takes over itself.
///
/// # Errors
/// What keeps the gateway from starting, each with what to do about it; or that a worker died.
pub fn run<S, F>(config: Config, file: &Path, heir: Option<Inheritance>, serve: S) -> Result<()>
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
        let succeeds = heir.is_some();
        let gateway = Gateway::start(config, file, heir).await?;
        if succeeds {
            handover::watch();
        }
        let hang_ups = tokio::task::spawn_local(reload_on_hang_up(gateway.reloader()));
        let api = tokio::task::spawn_local(serve(&gateway)?);
        info!(event = "gateway.started", site, version = env!("CARGO_PKG_VERSION"));
        notify("READY=1\n");
        let ended = gateway.run(stop()).await;
        api.abort();
        hang_ups.abort();
        match ended? {
            Ended::Stopped => {
                notify("STOPPING=1\n");
                info!(event = "gateway.stopped", site);
            }
            // Whoever asked for it still has to hear how it went.
            Ended::HandedOver => tokio::time::sleep(LAST_WORDS).await,
        }
        Ok(())
    })
}

/// Done when somebody asks the process to end.
async fn stop() {
    let listen = |kind| signal(kind).context("cannot listen to signals");
    let (Ok(mut term), Ok(mut int)) = (listen(SignalKind::terminate()), listen(SignalKind::interrupt()))
    else {
        warn!(event = "gateway.no_signals", "signals cannot be heard; only SIGKILL ends this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// What comes of it is in the log and in `status`.
async fn reload_on_hang_up(reloader: Reloader) {
    let Ok(mut hang_ups) = signal(SignalKind::hangup()) else {
        warn!(event = "gateway.no_signals", "SIGHUP cannot be heard; `quadspan reload` works");
        return;
    };
    while hang_ups.recv().await.is_some() {
        let _told = reloader.reload(false).await;
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
