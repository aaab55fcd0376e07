//! Logs: one line per change of state, on standard error, with a stable name in the field `event`.
//!
//! People read text; machines read one JSON object per line. Nobody has to say which: a terminal gets text,
//! anything else JSON, unless the configuration chooses. Nothing is logged per frame, and no secret ever.
//!
//! Event names are part of the interface: they are listed in [`event`], never change their meaning, and every
//! line of the gateway's own uses one of them, as in `info!(event = event::STARTED, ..)`.

use std::io::{self, IsTerminal};

use config::model::LogFormat;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// The names of events.
pub mod event {
    /// The gateway forwards.
    pub const STARTED: &str = "gateway.started";
    /// The gateway was told to stop, or cannot go on.
    pub const STOPPING: &str = "gateway.stopping";
    /// The gateway has stopped.
    pub const STOPPED: &str = "gateway.stopped";
    /// The configuration has a warning.
    pub const CONFIG_WARNING: &str = "config.warning";
    /// A port works (again).
    pub const PORT_UP: &str = "port.up";
    /// A port lost its carrier, or its device is down or gone.
    pub const PORT_DOWN: &str = "port.down";
    /// Something about a port is not as good as it could be.
    pub const PORT_DEGRADED: &str = "port.degraded";
    /// A channel may carry traffic.
    pub const CHANNEL_UP: &str = "channel.up";
    /// A channel must not carry traffic.
    pub const CHANNEL_DOWN: &str = "channel.down";
    /// A channel carries traffic in clear, as the configuration allows.
    pub const CHANNEL_CLEAR: &str = "channel.clear_text";
    /// An attachment may carry traffic.
    pub const ATTACHMENT_UP: &str = "attachment.up";
    /// An attachment must not carry traffic.
    pub const ATTACHMENT_DOWN: &str = "attachment.down";
    /// Three quarters of a SAK's packet numbers are used.
    pub const PN_EXHAUSTION: &str = "macsec.pn_exhaustion";
    /// Packet numbers could not be reserved on disk.
    pub const PN_RESERVATION: &str = "macsec.pn_reservation_failed";
    /// Routes changed.
    pub const ROUTES: &str = "routes.changed";
    /// The API listens.
    pub const API_LISTENING: &str = "api.listening";
    /// The API could not serve somebody.
    pub const API_FAILED: &str = "api.failed";
}

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
    use super::*;

    #[test]
    fn a_terminal_gets_text_and_a_pipe_json_unless_told_otherwise() {
        assert!(is_text(LogFormat::Auto, true) && !is_text(LogFormat::Auto, false));
        assert!(is_text(LogFormat::Text, false) && !is_text(LogFormat::Json, true));
    }

    #[test]
    fn filters_are_levels_or_pairs() {
        for good in ["info", "warn,gateway=debug", ""] {
            assert!(parse(good).is_ok(), "{good}");
        }
        assert!(parse("gateway=loud").unwrap_err().to_string().contains("gateway=loud"));
    }
}
