//! `run`: a gateway in the foreground, with its API.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    sync::Arc,
};

use tracing::{info, warn};

use super::{
    args::{Global, RunArgs},
    check,
    exit::{Exit, Failure},
};
use crate::{
    api::{self, Listener, Running, wall},
    control::Gateway,
    handover::{self, Doors, Inheritance},
    logging,
};

/// Runs the gateway that a file describes.
pub(super) fn run(global: &Global, options: &RunArgs) -> Result<Exit, Failure> {
    let file = &options.config;
    handover::bind(options.end_with);
    let refused = |why: anyhow::Error| Failure::new(Exit::Usage, format_args!("{why:#}"));
    // First of all: time is what it is to the predecessor.
    let heir = options.take_over.then(Inheritance::receive).transpose().map_err(refused)?;
    let teller = heir.as_ref().and_then(|heir| heir.teller().ok());
    let ran = start(global, file, heir);
    if let (Err(failure), Some(teller)) = (&ran, teller) {
        // What is wrong with the file was printed as it was found.
        let why = match failure.render(false) {
            empty if empty.trim().is_empty() => {
                format!("{} has errors; `quadspan check` says which", file.display())
            }
            text => text.trim().trim_start_matches("error: ").to_owned(),
        };
        teller.fail(&why);
    }
    ran
}

fn start(global: &Global, file: &Path, mut heir: Option<Inheritance>) -> Result<Exit, Failure> {
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
    let api = heir.as_mut().and_then(|heir| heir.take_api(&runtime.socket));
    if api.is_none() {
        Listener::ensure_free(&runtime.socket).map_err(|why| Failure::new(Exit::Failed, why))?;
    }
    let left = heir.as_mut().and_then(Inheritance::take_metrics);
    let metrics = runtime.metrics.map(|address| adopt(address, left).map_or_else(|| listen(address), Ok));
    let metrics = metrics.transpose()?;
    let (started, origin) = (wall(), file.to_owned());
    let serve = move |gateway: &Gateway| {
        let socket = &gateway.config().runtime.socket;
        let listener = api.map_or_else(|| Listener::bind(socket), |api| Listener::adopt(socket, api))?;
        info!(event = "api.listening", socket = %socket.display());
        let (again, left) = listener.again()?;
        *gateway.doors().lock() = Doors {
            api: Some((again, left, socket.clone())),
            metrics: metrics.as_ref().map(|one| one.as_fd().try_clone_to_owned()).transpose()?,
        };
        let metrics = metrics.map(tokio::net::TcpListener::from_std).transpose()?;
        let source = Running {
            workers: gateway.workers(),
            bgp: gateway.bgp(),
            current: gateway.current(),
            config_file: origin,
            reloader: gateway.reloader(),
            restarter: gateway.restarter(),
            links: gateway.links(),
            drains: gateway.drains(),
            events: gateway.events(),
            bandwidths: gateway.bandwidths(),
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
    crate::run::run(loaded.config, file, heir, serve).map_err(|error| failure(&error))?;
    Ok(Exit::Done)
}

/// The socket that a predecessor served metrics on, if that is this address.
fn adopt(address: SocketAddr, left: Option<OwnedFd>) -> Option<TcpListener> {
    let left = TcpListener::from(left?);
    left.local_addr().is_ok_and(|at| at == address).then_some(left)
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
