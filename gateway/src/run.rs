//! `quadspan run`: a gateway in the foreground, from configuration to orderly end.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use config::Config;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use tracing::{info, warn};

use crate::{
    control::{Ended, Gateway},
    handover::{self, Inheritance, notify},
    reload::Reloader,
};

/// How long answers of the API may take to leave a process whose work another one does already.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long work beside the control loop may go on after its end.
const LET_GO: Duration = Duration::from_secs(2);

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
    let done = local.block_on(&runtime, async {
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
    });
    drop(local);
    end(runtime);
    done
}

/// Ends the control loop. Work on threads beside it gets a while to end: some may wait for what this process never has again, as
/// for the packet numbers that a successor reserves now.
fn end(runtime: Runtime) {
    runtime.shutdown_timeout(LET_GO);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    // Who gave way keeps the numbers locked for good, and a note of what was received may wait for them just then.
    #[test]
    fn work_that_waits_for_what_a_successor_has_does_not_keep_the_process() {
        let store = Arc::new(Mutex::new(()));
        std::mem::forget(store.lock());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (entered, waits) = std::sync::mpsc::channel();
        runtime.block_on(async {
            tokio::task::spawn_blocking(move || {
                entered.send(()).unwrap();
                drop(store.lock());
            });
        });
        waits.recv().unwrap();
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            super::end(runtime);
            ended.send(()).unwrap();
        });
        end.recv_timeout(Duration::from_secs(60)).expect("it waits for ever");
    }
}
