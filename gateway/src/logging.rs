//! Logs: one line per change of state, on standard error, with a stable name in the field `event`.
//!
//! People read text; machines read one JSON object per line. Nobody has to say which: a terminal gets text,
//! anything else JSON, unless the configuration chooses. Nothing is logged per frame, and no secret ever.
//!
//! Event names are part of the interface: they are listed in [`EVENTS`], never change their meaning, and every line of
//! the gateway's own has one of them; a test holds the list against the code.

use std::io::{self, IsTerminal};

use config::model::LogFormat;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// The names of events, and what they tell.
pub const EVENTS: &[(&str, &str)] = &[
    ("address.conflict", "Another station uses an address of the gateway."),
    ("api.failed", "The API could not take a connection."),
    ("api.listening", "The API listens on its socket."),
    ("attachment.down", "An attachment must not carry traffic, for the reason given."),
    (
        "attachment.flapping",
        "An attachment is up again, but was lost so often that it waits before it carries traffic.",
    ),
    (
        "attachment.stays_down",
        "The link below an attachment came back or was lost, while something else speaks against it still.",
    ),
    ("attachment.up", "An attachment may carry traffic."),
    ("bfd.down", "A BFD session is not up any more, for the reason given."),
    ("bfd.peer_admin_down", "The peer's operator switched a BFD session off."),
    ("bfd.up", "A BFD session is up."),
    ("bgp.attempt", "An attempt at a BGP session failed without a word from the neighbour."),
    (
        "bgp.down",
        "A BGP session ended, for the reason given; one line stands for so many `changes`, when they come too fast.",
    ),
    ("bgp.end_of_rib", "A BGP neighbour has sent all its routes of a family."),
    ("bgp.fault", "A BGP neighbour sent an UPDATE with a fault; what was done about it is told."),
    ("bgp.limit", "A BGP neighbour sends, or would get, nearly as many prefixes as the limit, or more."),
    ("bgp.listen_failed", "Nobody can call on a device: its BGP neighbours are called instead."),
    ("bgp.md5", "Segments arrive whose MD5 signature is missing, wrong or not expected."),
    ("bgp.memory", "What the next life of this gateway needs of BGP could not be written, or not be read."),
    (
        "bgp.not_kept",
        "The session of a neighbour that keeps no routes over a planned restart was reset by one: what to set.",
    ),
    ("bgp.password", "A password for TCP-MD5 could not be set."),
    (
        "bgp.refused",
        "A BGP session did not come about: one side told the other why; one line stands for so many `changes`, when they come too fast.",
    ),
    (
        "bgp.restarted",
        "BGP goes on where an earlier life of this gateway ended: neighbours may have kept its routes.",
    ),
    ("bgp.selection_done", "After a restart all neighbours have sent their routes."),
    ("bgp.socket", "A connection of a BGP neighbour could not be used."),
    ("bgp.stale_dropped", "Routes that a BGP neighbour did not bring back after its restart were dropped."),
    ("bgp.state", "A BGP session changed its state."),
    ("bgp.stranger", "Somebody who is no BGP neighbour connected."),
    ("bgp.tables", "Building forwarding tables took long."),
    ("bgp.too_large", "Routes were not announced: their attributes do not fit into a message."),
    ("bgp.too_many", "A neighbour that was added cannot be numbered any more."),
    (
        "bgp.ttl",
        "Segments arrive with a smaller TTL than `ttl_security` takes: the neighbour is likely without it.",
    ),
    ("bgp.unwelcome", "A BGP neighbour connected while it may not."),
    ("bgp.up", "A BGP session is up; one line stands for so many `changes`, when they come too fast."),
    ("channel.drain", "Somebody drains a channel, or the gateway remembers that it was drained."),
    ("channel.drain_failed", "A drain whose time is over could not be ended."),
    ("channel.drain_forgotten", "What was drained before a restart cannot be read."),
    ("channel.drain_moving", "Traffic is on a drained channel again."),
    ("channel.drain_stays", "Traffic does not leave a drained channel."),
    (
        "channel.drained",
        "Nothing is on its way through a drained channel, or LAG, any more: it is safe to work on.",
    ),
    ("channel.drill", "Somebody rehearses a failure on a channel."),
    ("channel.drilled", "The drill is over."),
    ("channel.undrained", "A drained channel may carry traffic again."),
    ("clock.stepped", "The time of day was set; start and end times of keys are counted anew."),
    ("config.change", "A reload changed something."),
    ("config.reload_failed", "The configuration file was read again, and is not what runs: why."),
    ("config.reloaded", "The configuration file was read again, and is what runs."),
    ("config.warning", "The configuration has a warning."),
    ("connection.active_moved", "An active-standby connection's traffic takes another attachment."),
    ("connection.rate", "The bandwidth of a connection was set."),
    ("connection.redundancy_lost", "Second copies of a duplicate connection's frames are missing."),
    ("connection.redundancy_restored", "Second copies of a duplicate connection's frames come again."),
    (
        "gateway.began_anew",
        "After a restart under traffic a channel or a port did not go on where it stood: why not.",
    ),
    ("gateway.handed_over", "Another process has taken over, and this one ends."),
    ("gateway.no_signals", "Signals cannot be heard; only SIGKILL ends the process."),
    ("gateway.not_bound", "A gateway of a lab cannot see the end of the lab, and outlives it."),
    (
        "gateway.not_handed_over",
        "No other process could take over, for the reason given: this one goes on as it was.",
    ),
    ("gateway.notify", "The service manager could not be told."),
    (
        "gateway.restarting",
        "Somebody asked for a restart: a successor is prepared while this process goes on.",
    ),
    ("gateway.started", "The gateway forwards."),
    ("gateway.stopped", "The gateway has stopped."),
    ("gateway.took_over", "This process has taken over from another one that ran."),
    ("lacp.churn", "One end of a LAG's member was not in step for a minute."),
    ("lacp.churn_over", "An end of a LAG's member is in step again."),
    ("lacp.joined", "Frames are sent by a member of a LAG."),
    ("lacp.kept_out", "A member is kept out of its LAG: why, and what to do."),
    ("lacp.left", "Frames are sent by a member of a LAG no longer, for the reason given."),
    ("lacp.partner", "A member of a LAG leads to this system now."),
    ("link_monitor.failed", "The kernel does not tell of links any more; they are looked at until it does."),
    (
        "macsec.cipher_refused",
        "A key failed its trial with our own AES-GCM, and AWS-LC does it: slower, and to be reported.",
    ),
    ("macsec.no_numbers", "A transmit SA has no packet numbers left: it sends nothing."),
    (
        "macsec.pn_exhaustion_pending",
        "Three quarters of a SAK's packet numbers are used. With MKA a fresh SAK follows by itself.",
    ),
    (
        "macsec.reservation_failed",
        "Packet numbers could not be reserved on disk. It is tried again each second.",
    ),
    ("macsec.reserved_again", "Packet numbers could be reserved on disk again."),
    ("metrics.listening", "Metrics are served at the address of `runtime.metrics`."),
    (
        "mka.clear_text",
        "A should-secure channel has no key: its frames are sent and accepted in clear until MKA has one.",
    ),
    ("mka.diagnosis", "Something is wrong with a channel's key agreement: what, and what to do."),
    ("mka.key_server", "Another member is key server of a channel, or none."),
    ("mka.lost", "A channel has no key any more, for the reason given."),
    ("mka.peer_down", "A peer was silent for an MKA life time."),
    ("mka.peer_up", "A peer proved that it is alive and has our CAK."),
    ("mka.principal", "Another CAK carries a channel's key agreement."),
    ("mka.rekeyed", "A channel sends with a fresh SAK."),
    ("mka.resumed", "A suspension of MKA is over: peers that are silent are given up again."),
    ("mka.sak_made", "As key server we made a SAK, for the reason given."),
    ("mka.secured", "MKA has agreed on a key: a channel's frames are protected."),
    ("mka.suspended", "MKA is suspended: a channel keeps its key for a while though its peer may be silent."),
    (
        "port.host_pair",
        "The host's stack has an interface by a veth pair, since /dev/net/tun cannot be opened.",
    ),
    ("port.io", "A port's frames move in another way than the configuration asks for, or than before."),
    (
        "port.kernel_address",
        "The kernel has an address on the device of a port, which lets packets past the gateway.",
    ),
    ("port.link", "The device of a port changed its state."),
    ("port.lost", "A port cannot be used any more."),
    ("port.not_adopted", "What a predecessor had of a port is configured otherwise now: it was opened anew."),
    ("port.path_mtu", "A router on a tunnel's way carries more or less than before; attachments follow."),
    ("port.reopen_failed", "The device of a port is back, and could not be opened."),
    ("port.reopened", "The device of a port is back, and was opened."),
    ("port.sysctl", "A setting of a device could not be changed."),
    (
        "quality.bad",
        "Too much is lost on an attachment's path, or it takes too long, or its delay varies too much.",
    ),
    ("quality.good", "An attachment's path is good again."),
    ("state.locked", "Another gateway has the state folder still: this one waits for some seconds."),
    ("state.write_failed", "What was received could not be written down."),
    ("worker.no_realtime", "BFD packets may be late when all processors are busy."),
    ("worker.not_pinned", "A worker could not be pinned to its CPU."),
    ("worker.stuck", "A worker was told to stop, and works on."),
];

/// Why logging was not set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be understood.
    #[error(
        "`{filter}` is not a log filter: write a level (error, warn, info, debug, trace) or pairs like gateway=debug"
    )]
    Filter {
        /// As it was given.
        filter: String,
    },
    /// Somebody did it before.
    #[error("logging was set up already")]
    Twice,
}

/// Sets up logging for the whole process: `filter` as in the configuration's `runtime.log`, such as `info` or
/// `warn,gateway=debug`. The environment variable `QUADSPAN_LOG` beats it.
///
/// # Errors
/// [`LoggingError`]: nothing was set up then.
pub fn start(filter: &str, format: LogFormat) -> Result<(), LoggingError> {
    let wanted = std::env::var("QUADSPAN_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter = parse(&wanted)?;
    let terminal = io::stderr().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = fmt::layer().with_writer(io::stderr).with_target(false);
    let layer = if is_text(format, terminal) {
        layer.with_ansi(colour).compact().boxed()
    } else {
        layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    };
    tracing_subscriber::registry().with(filter).with(layer).try_init().map_err(|_| LoggingError::Twice)
}

fn parse(filter: &str) -> Result<EnvFilter, LoggingError> {
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    builder.parse(filter).map_err(|_| LoggingError::Filter { filter: filter.to_owned() })
}

const fn is_text(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn a_terminal_gets_text_and_a_pipe_json_unless_told_otherwise() {
        assert!(is_text(LogFormat::Auto, true) && !is_text(LogFormat::Auto, false));
        assert!(is_text(LogFormat::Text, false) && !is_text(LogFormat::Json, true));
    }

    /// Every `event = "..."` under `folder`.
    fn events_in(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                events_in(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let names = text.split("event = \"").skip(1).filter_map(|rest| rest.split('"').next());
                // Only in macros of tracing: this file and messages about events are none.
                found.extend(
                    names.filter(|name| name.contains('.') && !name.contains("..")).map(str::to_owned),
                );
            }
        }
    }

    #[test]
    fn every_event_in_the_code_is_listed_and_no_other() {
        let mut found = BTreeSet::new();
        events_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let listed: BTreeSet<_> = EVENTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(found, listed);
        assert!(EVENTS.is_sorted() && EVENTS.iter().all(|(_, meaning)| meaning.ends_with('.')));
    }

    #[test]
    fn filters_are_levels_or_pairs() {
        for good in ["info", "warn,gateway=debug", ""] {
            assert!(parse(good).is_ok(), "{good}");
        }
        assert!(parse("gateway=loud").unwrap_err().to_string().contains("gateway=loud"));
    }
}
