//! `run`: a gateway in the foreground, with its API.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

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
    let metrics = runtime.metrics.map(listen).transpose()?;
    let (started, origin) = (wall(), file.to_owned());
    let serve = move |gateway: &Gateway| {
        let socket = &gateway.config().runtime.socket;
        let listener = Listener::bind(socket)?;
        info!(event = "api.listening", socket = %socket.display());
        let metrics = metrics.map(tokio::net::TcpListener::from_std).transpose()?;
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
        let source = Arc::new(source);
        Ok(async move {
            let scrapes = async {
                match metrics {
                    Some(listener) => api::serve_metrics(listener, source.clone()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                never = api::serve(listener, source.clone()) => match never {},
                never = scrapes => match never {},
            }
        })
    };
    crate::run::run(loaded.config, file, serve).map_err(|error| failure(&error))?;
    Ok(Exit::Done)
}

/// The socket of `runtime.metrics`.
fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    let listener = listener.map_err(|why| {
        let exit =
            if why.kind() == io::ErrorKind::PermissionDenied { Exit::NotPermitted } else { Exit::Failed };
        Failure::new(exit, format_args!("cannot serve metrics at {address}: {why}"))
            .help("runtime.metrics must be an address of this machine and a TCP port that nobody uses")
    })?;
    info!(event = "metrics.listening", address = %address);
    Ok(listener)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_metrics_that_is_taken_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let failure = listen(address).unwrap_err();
        let text = failure.render(false);
        assert!(text.contains(&format!("cannot serve metrics at {address}")), "{text}");
        assert!(text.contains("runtime.metrics must be"), "{text}");
        drop(taken);
        assert_eq!(listen(address).unwrap().local_addr().unwrap(), address);
    }
}
