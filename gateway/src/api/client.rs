//! The other end: one request, one answer.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::model::Problem;

/// How long a request may take altogether.
const WITHIN: Duration = Duration::from_secs(10);
/// Octets of the largest answer that is taken: a full table of routes fits.
const LARGEST: usize = 512 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no gateway answers on {socket}: {why}")]
    Unreachable {
        /// Where.
        socket: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// This user may not.
    #[error("this user may not use {socket}")]
    NotPermitted {
        /// Where.
        socket: PathBuf,
    },
    /// It took too long.
    #[error("the gateway on {socket} did not answer within {} s", WITHIN.as_secs())]
    TooSlow {
        /// Where.
        socket: PathBuf,
    },
    /// What listens there does not speak HTTP, or hung up.
    #[error("what listens on {socket} does not answer like a gateway: {why}")]
    Protocol {
        /// Where.
        socket: PathBuf,
        /// Why.
        why: String,
    },
    /// The gateway says no.
    #[error("the gateway says: {}", .0.detail)]
    Refused(Problem),
}

/// The body of the answer to `GET path`.
///
/// # Errors
/// [`ClientError`].
pub async fn get(socket: &Path, path: &str) -> Result<Bytes, ClientError> {
    within(socket, Method::GET, path).await
}

/// The body of the answer to `POST path`, with nothing in the request's.
///
/// # Errors
/// [`ClientError`].
pub async fn post(socket: &Path, path: &str) -> Result<Bytes, ClientError> {
    within(socket, Method::POST, path).await
}

/// As [`post`], for what takes so much longer.
///
/// # Errors
/// [`ClientError`].
pub async fn post_patiently(socket: &Path, path: &str, more: Duration) -> Result<Bytes, ClientError> {
    match tokio::time::timeout(WITHIN + more, ask(socket, Method::POST, path)).await {
        Ok(answer) => answer,
        Err(_) => Err(ClientError::TooSlow { socket: socket.to_owned() }),
    }
}

async fn within(socket: &Path, method: Method, path: &str) -> Result<Bytes, ClientError> {
    match tokio::time::timeout(WITHIN, ask(socket, method, path)).await {
        Ok(answer) => answer,
        Err(_) => Err(ClientError::TooSlow { socket: socket.to_owned() }),
    }
}

async fn ask(socket: &Path, method: Method, path: &str) -> Result<Bytes, ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|why| unreachable(socket, why))?;
    let protocol = |why: &dyn core::fmt::Display| ClientError::Protocol {
        socket: socket.to_owned(),
        why: why.to_string(),
    };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|why| protocol(&why))?;
    // It moves the octets, and ends with the request.
    let pump = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(header::HOST, "quadspan");
    let request = request.body(Empty::<Bytes>::new());
    let answer =
        sender.send_request(request.map_err(|why| protocol(&why))?).await.map_err(|why| protocol(&why))?;
    let status = answer.status();
    let body =
        Limited::new(answer.into_body(), LARGEST).collect().await.map_err(|why| protocol(&why))?.to_bytes();
    pump.abort();
    if status == StatusCode::OK {
        return Ok(body);
    }
    match serde_json::from_slice(&body) {
        Ok(problem) => Err(ClientError::Refused(problem)),
        Err(_) => Err(protocol(&status)),
    }
}

fn unreachable(socket: &Path, why: io::Error) -> ClientError {
    let socket = socket.to_owned();
    if why.kind() == io::ErrorKind::PermissionDenied {
        ClientError::NotPermitted { socket }
    } else {
        ClientError::Unreachable { socket, why }
    }
}
