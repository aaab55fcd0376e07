//! The grammar of the command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{decode::KeyText, demo, drill::LONGEST};

/// Joins sites privately over redundant links, each encrypted with MACsec.
///
/// Without a command it shows the status of the gateway that runs on this machine.
#[derive(Debug, Parser)]
#[command(name = "quadspan", version, infer_subcommands = true, disable_version_flag = false)]
#[command(
    after_help = "Commands and nouns may be shortened: quadspan sh ch. Exit codes: quadspan help exit-codes."
)]
pub(super) struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub(super) global: Global,
    /// What to do; nothing means `status`.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub(super) struct Global {
    /// Unix socket of the gateway to ask
    #[arg(
        short,
        long,
        global = true,
        env = "QUADSPAN_SOCKET",
        default_value = super::ask::SOCKET,
        value_parser = super::ask::socket(),
        value_name = "SOCKET"
    )]
    pub(super) socket: PathBuf,
    /// Give the result as JSON on standard output; talk goes to standard error
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// When to use colour; NO_COLOR counts for `auto`
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(super) color: Color,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show how the gateway is, on one screen
    Status(StatusArgs),
    /// Show one kind of thing in full
    #[command(infer_subcommands = true)]
    Show {
        /// What kind.
        #[command(subcommand)]
        noun: Noun,
    },
    /// Do something to a BGP neighbour
    #[command(infer_subcommands = true)]
    Bgp {
        /// What.
        #[command(subcommand)]
        verb: BgpVerb,
    },
    /// Switch BFD of a channel off, which the peer is told and does not take for a failure, or on again
    #[command(infer_subcommands = true)]
    Bfd {
        /// What.
        #[command(subcommand)]
        verb: BfdVerb,
    },
    /// Say what is wrong with a configuration file; needs neither root nor a running gateway
    Check(FileArgs),
    /// Say whether this machine is fit for a configuration, and what to do; changes nothing
    Doctor(FileArgs),
    /// Measure what this machine can carry, before it is trusted with traffic; needs neither root nor a running gateway
    Bench(BenchArgs),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Run a gateway in the foreground until SIGTERM
    Run(RunArgs),
    /// Have the running gateway read its configuration file again: all of it, or nothing
    Reload(ReloadArgs),
    /// Restart the running gateway, or upgrade it to another binary, under traffic
    Restart(RestartArgs),
    /// Make a key for MKA: CAK and CKN in files of their own, and what to write into the configuration
    Keygen(KeygenArgs),
    /// Make a fresh SAK on a channel now
    Rekey(RekeyArgs),
    /// Do something to a channel's key agreement
    #[command(infer_subcommands = true)]
    Mka {
        /// What.
        #[command(subcommand)]
        verb: MkaVerb,
    },
    /// Move traffic off a channel before planned work, losing nothing, and say when it is safe
    Drain(DrainArgs),
    /// Set the bandwidth of a connection, each way, from now on; frames that are on their way stay
    Rate(RateArgs),
    /// Rehearse a failure: make a channel silent for a while, and tell what happened
    Drill(DrillArgs),
    /// Let traffic use a drained channel again
    Undrain(ChannelArgs),
    /// Read MACsec and MKA in a capture with given keys
    Decode(DecodeArgs),
    /// Two sites on this machine, four MACsec channels, real traffic, new keys, a cut, a verdict
    Demo(demo::Options),
    /// Keep the demo's two sites up, and break their channels in every way
    #[command(infer_subcommands = true)]
    Lab(super::lab::LabArgs),
    /// Explain a drop reason, a problem of a configuration, an event, or a metric
    Explain(ExplainArgs),
    /// Print the version
    Version,
    /// What the exit codes mean
    #[command(name = "exit-codes", long_about = exit_codes())]
    ExitCodes,
}

fn exit_codes() -> String {
    format!("What the exit codes mean:\n\n{}", super::exit::table())
}

/// Options of `status`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct StatusArgs {
    /// End with code 8 when the gateway is degraded
    #[arg(long)]
    pub(super) exit_code: bool,
}

/// Kinds of things to show.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Noun {
    /// Links to peers: state, MACsec, packet numbers, traffic
    Channels(Names),
    /// Customers' domains: attachments and LANs
    Connections(Names),
    /// Network interfaces that the gateway uses
    Ports(Names),
    /// Frames that were dropped, and why
    Drops(Names),
    /// Where packets go; with a prefix, why
    Routes(RoutesArgs),
    /// BGP neighbours; with a name, everything about one
    Bgp(Names),
    /// LAGs: what LACP says of each member, ours and the partner's
    #[command(alias = "lags")]
    Lag(Names),
    /// SecYs with their SCs, SAs and the counters of IEEE 802.1AE
    Macsec(Names),
    /// Key agreements: members, keys, and what is wrong with them
    Mka(Names),
    /// BFD sessions: state, times, and why they were lost
    Bfd(Names),
    /// How good each path is: loss, round trip, jitter
    Quality(Names),
    /// Changes of forwarding: what led to them, how long they took, what they cost
    Events(EventsArgs),
    /// How workers spend their time: load, batches, stages
    Runtime(RuntimeArgs),
    /// Neighbours learnt by ARP and ND
    Neighbors(Names),
    /// The configuration that runs, keys as fingerprints
    Config,
}

/// Which ones.
#[derive(Args, Clone, Debug)]
pub(super) struct Names {
    /// Only these; all when none is given
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
}

/// Which events.
#[derive(Args, Clone, Debug)]
pub(super) struct EventsArgs {
    /// Only those of these connections or channels
    #[arg(value_name = "NAME")]
    pub(super) names: Vec<String>,
    /// Only what happened within this time, such as 10m or 2h
    #[arg(long, value_parser = lasting, value_name = "TIME")]
    pub(super) since: Option<Duration>,
    /// Go on telling until interrupted
    #[arg(short, long)]
    pub(super) follow: bool,
}

/// Over what time.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct RuntimeArgs {
    /// Watch for so long, such as 200ms or 10s
    #[arg(long, value_parser = lasting, default_value = "1s", value_name = "TIME")]
    pub(super) over: Duration,
    /// Since the workers began, not over a while
    #[arg(long, conflicts_with = "over")]
    pub(super) total: bool,
}

/// Which routes.
#[derive(Args, Clone, Debug)]
pub(super) struct RoutesArgs {
    /// Only those of these connections; or a prefix or address: its story
    #[arg(value_name = "CONNECTION|PREFIX|ADDRESS")]
    pub(super) names: Vec<String>,
    /// Tell the story of each prefix that is named; always done for prefixes and addresses
    #[arg(long)]
    pub(super) why: bool,
}

/// What can be done to a BGP neighbour.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum BgpVerb {
    /// End the session and start it again
    Clear(NeighborArgs),
    /// Ask the neighbour for its routes again; the session stays
    Refresh(NeighborArgs),
    /// Read the neighbour's password again and sign with it; the session stays if it does the same in time
    Rekey(NeighborArgs),
    /// End the session and keep it down, until `enable` or a restart of the gateway
    Shutdown(ShutdownArgs),
    /// Let a neighbour that was shut down run again
    Enable(NeighborArgs),
}

/// A BGP neighbour to shut down.
#[derive(Args, Clone, Debug)]
pub(super) struct ShutdownArgs {
    /// Its name, its address, or connection/name
    #[arg(value_name = "NEIGHBOR")]
    pub(super) neighbor: String,
    /// Why, for its operator, who sees these words (RFC 9003)
    #[arg(long, default_value = "", value_name = "WORDS")]
    pub(super) text: String,
}

/// What can be done to BFD sessions.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum BfdVerb {
    /// Switch them off, until `enable` or a restart of the gateway
    Disable(BfdArgs),
    /// Switch them on
    Enable(BfdArgs),
}

/// Which BFD sessions.
#[derive(Args, Clone, Debug)]
pub(super) struct BfdArgs {
    /// A channel, connection/channel, or connection/port
    #[arg(value_name = "CHANNEL|INTERFACE")]
    pub(super) interface: String,
}

/// Which BGP neighbour.
#[derive(Args, Clone, Debug)]
pub(super) struct NeighborArgs {
    /// Its name, its address, or connection/name
    #[arg(value_name = "NEIGHBOR")]
    pub(super) neighbor: String,
}

/// Options of `rekey`.
#[derive(Args, Clone, Debug)]
pub(super) struct RekeyArgs {
    /// The channel; this gateway must be its key server
    #[arg(value_name = "CHANNEL")]
    pub(super) channel: String,
}

/// What can be done to a channel's key agreement.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum MkaVerb {
    /// Keep the channel's key for a while though no MKPDU comes through (in-service suspension)
    Suspend(SuspendArgs),
}

/// Options of `mka suspend`.
#[derive(Args, Clone, Debug)]
#[command(after_help = SUSPEND_HELP)]
pub(super) struct SuspendArgs {
    /// The channel
    #[arg(value_name = "CHANNEL")]
    pub(super) channel: String,
    /// For how long: 1s to 120s
    #[arg(long = "for", value_parser = suspension, default_value = "30s", value_name = "TIME")]
    pub(super) time: u64,
}

const SUSPEND_HELP: &str = "\
For work on the control plane at one end or between: the peer's routing engine is switched over, or equipment of the carrier
that passes MKPDUs on by software is restarted. For so long nobody is given up for being silent, no new SAK is made that can wait,
and frames go on under the SAK in use. Both ends must speak MKA version 2 or later; a peer grants no more than its own limit.
A gateway that is itself restarted needs none of this: it agrees on a fresh SAK in well under a second.";

fn suspension(text: &str) -> Result<u64, String> {
    whole_seconds(text, macsec::mka::SUSPENSION_LIMIT, "30s")
}

fn rehearsal(text: &str) -> Result<Duration, String> {
    whole_seconds(text, LONGEST, "5s").map(Duration::from_secs)
}

fn whole_seconds(text: &str, longest: Duration, example: &str) -> Result<u64, String> {
    let longest = longest.as_secs();
    let refused = || format!("write a time from 1s to {longest}s, such as {example}");
    let time = lasting(text).ok().filter(|time| time.subsec_nanos() == 0).map(|time| time.as_secs());
    time.filter(|seconds| (1..=longest).contains(seconds)).ok_or_else(refused)
}

/// Options of `drain`.
#[derive(Args, Clone, Debug)]
pub(super) struct DrainArgs {
    /// The channel, or a LAG: all of its members
    #[arg(value_name = "CHANNEL")]
    pub(super) channel: String,
    /// Undrain it by itself after so long, such as 30m or 2h
    #[arg(long = "for", value_parser = lasting, value_name = "TIME")]
    pub(super) lasts: Option<Duration>,
    /// Even if it is the last live channel of a connection, or another one of its interconnect is drained
    #[arg(long)]
    pub(super) force: bool,
    /// Do not wait until it is safe
    #[arg(long)]
    pub(super) no_wait: bool,
}

/// Options of `drill`.
#[derive(Args, Clone, Debug)]
pub(super) struct DrillArgs {
    /// The channel, or a LAG or a connection: its channels one after the other
    #[arg(value_name = "CHANNEL|LAG|CONNECTION")]
    pub(super) name: String,
    /// How long the channel is silent: 1s to 30s
    #[arg(long = "for", value_parser = rehearsal, default_value = "5s", value_name = "TIME")]
    pub(super) lasts: Duration,
    /// Even if it is the last live channel of a connection, or another one of its interconnect is drained
    #[arg(long)]
    pub(super) force: bool,
}

/// Options of `rate`.
#[derive(Args, Clone, Debug)]
pub(super) struct RateArgs {
    /// The connection
    #[arg(value_name = "CONNECTION")]
    pub(super) connection: String,
    /// Mbit/s, or `off`: no limit
    #[arg(value_parser = mbps, value_name = "MBPS|off")]
    pub(super) rate: Mbps,
}

/// A rate, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mbps(pub(super) Option<u32>);

fn mbps(text: &str) -> Result<Mbps, String> {
    match text {
        "off" => Ok(Mbps(None)),
        number => {
            number.parse().map(|mbps| Mbps(Some(mbps))).map_err(|_| "a number of Mbit/s, or off".to_owned())
        }
    }
}

fn lasting(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write it like 30m, 90s or 2h".to_owned())?;
    Duration::try_from(span)
        .ok()
        .filter(|span| !span.is_zero())
        .ok_or_else(|| "it must be longer than nothing".to_owned())
}

/// Which channel.
#[derive(Args, Clone, Debug)]
pub(super) struct ChannelArgs {
    /// The channel
    #[arg(value_name = "CHANNEL")]
    pub(super) channel: String,
}

/// Options of `check` and `doctor`.
#[derive(Args, Clone, Debug)]
pub(super) struct FileArgs {
    /// The configuration file
    #[arg(env = "QUADSPAN_CONFIG", default_value = DEFAULT_CONFIG, value_name = "FILE")]
    pub(super) file: PathBuf,
}

/// Options of `bench`.
#[derive(Args, Clone, Debug)]
pub(super) struct BenchArgs {
    /// Say whether this machine keeps what this configuration promises (`rate` of its connections)
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Leave out the gateways in namespaces: memory only
    #[arg(long)]
    pub(super) no_rig: bool,
    /// How long each kind of traffic goes through the gateways in namespaces
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=60), value_name = "SECONDS")]
    pub(super) seconds: u16,
}

/// Options of `run`.
#[derive(Args, Clone, Debug)]
pub(super) struct RunArgs {
    /// The configuration file
    #[arg(short, long, env = "QUADSPAN_CONFIG", default_value = DEFAULT_CONFIG, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Take over from the gateway that has our standard input
    #[arg(long, hide = true)]
    pub(super) take_over: bool,
    /// End when this process does
    #[arg(long, hide = true, value_name = "PID", requires = "take_over")]
    pub(super) end_with: Option<u32>,
}

/// Options of `restart`.
#[derive(Args, Clone, Debug)]
#[command(after_help = super::restart::HELP)]
pub(super) struct RestartArgs {
    /// The program to go on with; without it, what now lies where the running one came from
    #[arg(short, long, value_name = "FILE")]
    pub(super) binary: Option<PathBuf>,
}

/// Options of `reload`.
#[derive(Args, Clone, Debug)]
pub(super) struct ReloadArgs {
    /// Only say what would change, which sessions would be reset, and what needs a restart
    #[arg(long)]
    pub(super) dry_run: bool,
}

const DEFAULT_CONFIG: &str = "/etc/quadspan/quadspan.toml";

/// Options of `keygen`.
#[derive(Args, Clone, Debug)]
pub(super) struct KeygenArgs {
    /// Make NAME.ckn and NAME.cak; without it, they are called after the CKN
    #[arg(short, long, value_name = "[DIR/]NAME")]
    pub(super) out: Option<PathBuf>,
    /// Length of the CAK
    #[arg(long, value_parser = bits, value_name = "128|256", conflicts_with = "cipher")]
    pub(super) bits: Option<u16>,
    /// A CAK as long as the keys of this cipher suite; without it, 256 bits
    #[arg(long, value_enum, value_name = "SUITE")]
    pub(super) cipher: Option<Suite>,
    /// When it starts, such as 2027-01-01T02:00:00Z: a key that takes over from the one in use
    #[arg(long, value_name = "TIME")]
    pub(super) start: Option<jiff::Timestamp>,
}

/// Cipher suites, in the words of the configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Suite {
    #[value(name = "gcm-aes-128")]
    GcmAes128,
    #[value(name = "gcm-aes-256")]
    GcmAes256,
    #[value(name = "gcm-aes-xpn-128")]
    GcmAesXpn128,
    #[value(name = "gcm-aes-xpn-256")]
    GcmAesXpn256,
}

impl Suite {
    /// Length of its keys.
    pub(super) const fn bits(self) -> u16 {
        match self {
            Self::GcmAes128 | Self::GcmAesXpn128 => 128,
            Self::GcmAes256 | Self::GcmAesXpn256 => 256,
        }
    }
}

fn bits(text: &str) -> Result<u16, &'static str> {
    match text {
        "128" => Ok(128),
        "256" => Ok(256),
        _ => Err("a CAK has 128 or 256 bits"),
    }
}

/// Options of `decode`.
#[derive(Args, Clone, Debug)]
#[command(after_help = super::decode::HELP)]
pub(super) struct DecodeArgs {
    /// The capture, pcap or pcapng; - is standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// A SAK in hexadecimal digits, or @FILE that holds it, and what is known about it; may be repeated
    #[arg(long, value_name = "KEY[,NAME=VALUE]...")]
    pub(super) sak: Vec<KeyText>,
    /// The name of a CAK in hexadecimal digits, or @FILE that holds it; may be repeated, each with its --cak
    #[arg(long, value_name = "CKN")]
    pub(super) ckn: Vec<KeyText>,
    /// A CAK in hexadecimal digits, or @FILE that holds it: MKA is followed and every SAK in the capture is used
    #[arg(long, value_name = "CAK")]
    pub(super) cak: Vec<KeyText>,
    /// Show the SAKs that are found
    #[arg(long)]
    pub(super) show_keys: bool,
    /// Write the decrypted frames to this file (pcapng)
    #[arg(short, long, value_name = "FILE")]
    pub(super) write: Option<PathBuf>,
}

/// Options of `explain`.
#[derive(Args, Clone, Debug)]
pub(super) struct ExplainArgs {
    /// `drop:REASON`, `event:NAME`, `metric:NAME`, or a code such as QS0102
    #[arg(value_name = "WHAT")]
    pub(super) what: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_and_nouns_may_be_shortened_while_they_are_unique() {
        for (line, expected) in [
            ("sh ch", "Show { noun: Channels("),
            ("show conn", "Show { noun: Connections("),
            ("sho mac ch1", "Show { noun: Macsec("),
            ("sho mk", "Show { noun: Mka("),
            ("rek ch1", "Rekey("),
            ("mka sus ch1 --for 1m", "Mka { verb: Suspend("),
            ("stat --exit-code", "Status("),
            ("chec x.toml", "Check("),
            ("e drop:runt", "error"),
            ("show co", "error"),
            ("s", "error"),
        ] {
            let parsed = Cli::try_parse_from(["quadspan"].into_iter().chain(line.split(' ')));
            let text =
                parsed.map_or_else(|_| "error".to_owned(), |cli| format!("{:?}", cli.command.unwrap()));
            assert!(text.starts_with(expected), "{line}: {text}");
        }
        assert!(Cli::try_parse_from(["quadspan"]).unwrap().command.is_none());
    }

    #[test]
    fn a_suspension_has_whole_seconds_and_a_limit() {
        for (text, expected) in [("30s", Some(30)), ("2m", Some(120)), ("120s", Some(120)), ("1s", Some(1))] {
            assert_eq!(suspension(text).ok(), expected, "{text}");
        }
        for text in ["0s", "121s", "3m", "30", "1.5s", "s", "", "-1s", "99999999999999999999m"] {
            assert!(suspension(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_drill_that_is_too_long_is_refused_not_shortened() {
        for (text, expected) in [("30s", Some(30)), ("5s", Some(5)), ("1s", Some(1))] {
            assert_eq!(rehearsal(text).ok().map(|time| time.as_secs()), expected, "{text}");
        }
        for text in ["31s", "60s", "1m", "0s", "500ms", "x"] {
            assert!(rehearsal(text).unwrap_err().contains("1s to 30s"), "{text}");
        }
        assert!(Cli::try_parse_from(["quadspan", "drill", "ch1", "--for", "60s"]).is_err());
    }

    #[test]
    fn json_may_stand_anywhere() {
        for line in ["--json demo", "demo --json", "show --json ports", "--json status"] {
            let cli = Cli::try_parse_from(["quadspan"].into_iter().chain(line.split(' '))).unwrap();
            assert!(cli.global.json, "{line}");
            if let Some(Command::Demo(options)) = cli.command {
                assert!(options.json, "{line}");
            }
        }
    }
}
