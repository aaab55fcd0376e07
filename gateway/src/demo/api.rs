//! What the demo asks a running gateway: HTTP/1.1 over its unix socket, JSON in the answer.
//!
//! A client of its own, some fifty lines, because the demo is not asynchronous and wants to see what any client would.
//! Fields it does not know are ignored, fields that are missing are empty.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A list as the API gives it.
#[derive(Debug, Deserialize)]
pub(crate) struct List<T> {
    /// What is in it.
    pub items: Vec<T>,
}

/// A channel of a gateway.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Channel {
    /// Its name.
    pub name: String,
    /// `live` or `down`.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// Whether its port has a link.
    pub carrier: bool,
    /// Its SecY.
    pub macsec: Option<Macsec>,
    /// Frames sent.
    pub tx_frames: u64,
    /// Octets sent.
    pub tx_octets: u64,
    /// Frames received.
    pub rx_frames: u64,
    /// Octets received.
    pub rx_octets: u64,
    /// Frames dropped, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Planned work on it.
    pub drain: Option<Drain>,
}

/// Planned work.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Drain {
    /// `moving`, `safe` or `stays`.
    pub state: String,
}

/// A SecY.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Macsec {
    /// Whether nothing passes in clear.
    pub secured: bool,
    /// The cipher suite's name.
    pub suite: String,
    /// Association number of the key to send with.
    pub encoding_an: Option<u8>,
    /// The packet number that the next frame gets, when there is a key to send with.
    pub next_pn: Option<u64>,
    /// What it receives with.
    pub rx: Vec<ReceiveSc>,
}

/// A key that a SecY receives with.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ReceiveSc {
    /// The peer's SCI.
    pub sci: String,
    /// Association number of the key.
    pub an: u8,
    /// The lowest packet number that is still accepted.
    pub lowest_pn: u64,
    /// One more than the highest that was accepted.
    pub next_pn: u64,
}

impl Channel {
    /// Whether it carries traffic.
    #[must_use]
    pub(super) fn is_live(&self) -> bool {
        self.state == "live"
    }

    /// Whether it is drained, and nothing crosses it any more.
    #[must_use]
    pub(super) fn is_safe(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| drain.state == "safe")
    }

    /// Frames dropped, for whatever reason.
    #[must_use]
    pub(super) fn dropped(&self) -> u64 {
        self.drops.values().sum()
    }

    /// Frames that its SecY refused to send or to accept.
    #[must_use]
    pub(super) fn refused(&self) -> u64 {
        self.drops.iter().filter(|(reason, _)| reason.starts_with("macsec")).map(|(_, count)| count).sum()
    }
}

/// The channels of the gateway at `socket`.
///
/// # Errors
/// When nobody answers, or not in the way of the API.
pub(super) fn channels(socket: &Path) -> io::Result<Vec<Channel>> {
    get::<List<Channel>>(socket, "/v1/channels").map(|list| list.items)
}

/// A port of a gateway.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    /// Frames that the kernel or the driver did not pass on, by what was wrong.
    losses: BTreeMap<String, u64>,
}

/// Frames that the gateway at `socket` never saw, because a queue of the kernel's was full or a driver had no room.
///
/// # Errors
/// As for [`channels`].
pub(super) fn lost_in_queues(socket: &Path) -> io::Result<u64> {
    let ports = get::<List<Port>>(socket, "/v1/ports")?.items;
    Ok(ports.iter().flat_map(|port| port.losses.values()).sum())
}

/// The key agreement of a channel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct KeyAgreement {
    /// The channel.
    pub channel: String,
    /// CKN of the CAK whose SAK is used.
    pub principal: Option<String>,
    /// The SAK that frames are sent with.
    pub key: Option<Sak>,
    /// Who makes SAKs.
    pub key_server: Option<KeyServer>,
}

/// A SAK, without itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sak {
    /// Its identifier.
    pub key_id: String,
    /// CKN of the CAK that it came under.
    pub ckn: String,
}

/// The key server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct KeyServer {
    /// It is the gateway that was asked.
    pub ours: bool,
}

/// The key agreements of the gateway at `socket`.
///
/// # Errors
/// As for [`channels`].
pub(super) fn key_agreements(socket: &Path) -> io::Result<Vec<KeyAgreement>> {
    get::<List<KeyAgreement>>(socket, "/v1/mka").map(|list| list.items)
}

/// Has the gateway at `socket` make a fresh SAK for `channel`.
///
/// # Errors
/// As for [`channels`], or when the gateway refuses.
pub(super) fn rekey(socket: &Path, channel: &str) -> io::Result<()> {
    ask::<serde_json::Value>(socket, "POST", &format!("/v1/channels/{channel}/rekey")).map(drop)
}

/// Has the gateway at `socket` drain `channel`, or, with `back`, end that.
///
/// # Errors
/// As for [`rekey`].
pub(super) fn drain(socket: &Path, channel: &str, back: bool) -> io::Result<()> {
    let wish = if back { "undrain" } else { "drain" };
    ask::<serde_json::Value>(socket, "POST", &format!("/v1/channels/{channel}/{wish}")).map(drop)
}

/// What became of a restart.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Restarted {
    /// Another process goes on.
    pub done: bool,
    /// Which.
    pub pid: u32,
    /// How long nobody forwarded.
    pub still_ms: f64,
    /// Why nothing came of it.
    pub why: String,
}

/// Has the gateway at `socket` hand over to a successor of the same program.
///
/// # Errors
/// As for [`channels`]. That it handed over to nobody is no error here.
pub(super) fn restart(socket: &Path) -> io::Result<Restarted> {
    ask_within(socket, ("POST", "/v1/restart"), PATIENCE_FOR_A_SUCCESSOR)
}

/// Whether the gateway at `socket` says that it runs.
#[must_use]
pub(super) fn answers(socket: &Path) -> bool {
    get::<serde_json::Value>(socket, "/v1/status").is_ok()
}

/// The document at `path` of the gateway at `socket`.
///
/// # Errors
/// As for [`channels`].
pub(crate) fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> io::Result<T> {
    ask(socket, "GET", path)
}

fn ask<T: DeserializeOwned>(socket: &Path, method: &str, path: &str) -> io::Result<T> {
    ask_within(socket, (method, path), PATIENCE)
}

fn ask_within<T: DeserializeOwned>(
    socket: &Path,
    (method, path): (&str, &str),
    patience: Duration,
) -> io::Result<T> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0 spares us chunked answers (RFC 9112 §7.1: not to be sent to such a client).
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: quadspan\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MOST_OCTETS).read_to_end(&mut answer)?;
    body(&answer).and_then(|body| serde_json::from_slice(body).map_err(io::Error::other))
}

/// The body of a successful answer.
fn body(answer: &[u8]) -> io::Result<&[u8]> {
    let not_http = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    let end = memchr::memmem::find(answer, b"\r\n\r\n").ok_or_else(not_http)?;
    let (head, rest) = answer.split_at_checked(end).ok_or_else(not_http)?;
    let status = String::from_utf8_lossy(head.split(|&c| c == b'\r').next().unwrap_or_default()).into_owned();
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(status));
    }
    rest.get(4..).ok_or_else(not_http)
}

/// How long the gateway may take for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take until a successor has taken over.
const PATIENCE_FOR_A_SUCCESSOR: Duration = Duration::from_secs(30);
/// More than any answer has.
const MOST_OCTETS: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_success_has_a_body() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}").unwrap(), b"{}");
        for bad in ["HTTP/1.1 404 Not Found\r\n\r\n{}", "HTTP/1.1 200 OK\r\n", "", "200 200 \r\n\r"] {
            assert!(body(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_channel_is_read_with_fields_missing_and_added() {
        let text = r#"{"api":"v1","items":[{"name":"ch1","state":"live","new":1,"drops":{"too_big":2},
            "macsec":{"secured":true,"next_pn":7,"rx":[{"next_pn":9}]}},{"name":"ch2","macsec":null}]}"#;
        let List { items } = serde_json::from_str::<List<Channel>>(text).unwrap();
        assert!(items[0].is_live() && !items[1].is_live());
        assert_eq!(items[0].dropped(), 2);
        assert_eq!(items[0].macsec.as_ref().unwrap().rx[0].next_pn, 9);
    }
}
