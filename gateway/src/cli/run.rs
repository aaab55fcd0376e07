//! `run`: a gateway in the foreground, with its API.

use std::{io, path::Path, sync::Arc};

use tracing::{info, warn};

use super::{
    args::Global,
    check,
    exit::{Exit, Failure},
};
use crate::{
    api::{self, Listener, Running, wall},
    control::Gateway,
    logging,
};

/// Runs the gateway that `file` describes.
pub(super) fn run(global: &Global, file: &Path) -> Result<Exit, Failure> {
    let loaded = check::load(global, file)?;
    let runtime = &loaded.config.runtime;
    logging::start(&runtime.log, runtime.log_format).map_err(|why| {
        Failure::new(Exit::ConfigInvalid, why).help("mend runtime.log, or QUADSPAN_LOG if it is set")
    })?;
    for problem in &loaded.warnings {
        let (code, line) = (problem.code().as_str(), problem.line());
        warn!(event = "config.warning", code, file = problem.file(), line, "{}", problem.message());
    }
    // Before anything is opened, so that a second gateway cannot disturb the first.
    Listener::ensure_free(&runtime.socket).map_err(|why| Failure::new(Exit::Failed, why))?;
    let (started, origin) = (wall(), file.to_owned());
    let serve = move |gateway: &Gateway| {
        let socket = &gateway.config().runtime.socket;
        let listener = Listener::bind(socket)?;
        info!(event = "api.listening", socket = %socket.display());
        let source = Running {
            workers: gateway.workers(),
            bgp: gateway.bgp(),
            current: gateway.current(),
            config_file: origin,
            reloader: gateway.reloader(),
            links: gateway.links(),
            drains: gateway.drains(),
            events: gateway.events(),
            drills: Arc::new(tokio::sync::Semaphore::new(1)),
            started,
        };
        Ok(async move { match api::serve(listener, Arc::new(source)).await {} })
    };
    crate::run::run(loaded.config, file, serve).map_err(|error| failure(&error))?;
    Ok(Exit::Done)
}

fn failure(error: &anyhow::Error) -> Failure {
    let denied = error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        io == Some(io::ErrorKind::PermissionDenied)
            || matches!(cause.downcast_ref(), Some(nix::errno::Errno::EPERM | nix::errno::Errno::EACCES))
    });
    let message = format!("{error:#}");
    if denied {
        return Failure::new(Exit::NotPermitted, message)
            .help("run it as root, or give it CAP_NET_RAW and CAP_NET_ADMIN (AmbientCapabilities= in a systemd unit)");
    }
    Failure::new(Exit::Failed, message)
}
