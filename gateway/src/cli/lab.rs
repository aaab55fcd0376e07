//! `lab`: two sites that stay up, and what can be done to them.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::Global;
use super::exit::{Exit, Failure};
use super::terminal;
use crate::demo::standing::{self, AskError, Change, Mode, Place, Request, Setup, Status};
use crate::lab::wire::quantity::{self, NotAQuantity, Rate, Share};
use crate::lab::wire::{Queue, Way};

/// Options of `lab`.
#[derive(Args, Clone, Debug)]
pub(super) struct LabArgs {
    /// Which lab, when there are several
    #[arg(long, global = true, default_value = "lab", value_name = "NAME")]
    name: String,
    /// What to do.
    #[command(subcommand)]
    command: LabCommand,
}

/// What to do with a lab.
#[derive(Clone, Debug, Subcommand)]
enum LabCommand {
    /// Build two sites in namespaces, join them by channels, start both gateways
    Up(UpArgs),
    /// Show its channels and gateways
    Status,
    /// Take channels down: both gateways lose the carrier
    Cut(Channels),
    /// Swallow every frame while the link stays up
    Blackhole(OneWay),
    /// Lose a share of the frames
    Lossy(ShareArgs),
    /// Turn a bit in a share of the frames
    Corrupt(ShareArgs),
    /// Send a share of the frames twice
    Duplicate(ShareArgs),
    /// Deliver every frame later
    Delay(DelayArgs),
    /// Let only so much pass
    Limit(LimitArgs),
    /// Make channels good again; all when none is named
    Heal(Heal),
    /// Kill a gateway (SIGKILL)
    Kill(SiteArg),
    /// Start a gateway that does not run
    Start(SiteArg),
    /// Take everything away
    Down,
    /// What `up` runs in the background
    #[command(hide = true)]
    Serve {
        /// How it is built, as JSON.
        #[arg(long, value_parser = setup)]
        setup: Setup,
    },
}

#[derive(Args, Clone, Debug)]
struct UpArgs {
    /// How many channels
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    channels: u8,
    /// How the connection uses them
    #[arg(long, value_enum, default_value_t = Mode::Ecmp)]
    mode: Mode,
    /// Write the configurations and build the network, but leave starting the gateways to you
    #[arg(long)]
    config_only: bool,
    /// What the chances of loss and the like are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args, Clone, Debug)]
struct Channels {
    /// Which channels
    #[arg(required = true, value_name = "CHANNEL")]
    channels: Vec<String>,
}

#[derive(Args, Clone, Debug)]
struct Heal {
    /// Which channels
    #[arg(value_name = "CHANNEL")]
    channels: Vec<String>,
}

#[derive(Args, Clone, Debug)]
struct OneWay {
    /// Which channel
    channel: String,
    /// In one direction only
    #[arg(long, value_enum, default_value_t = Way::Both)]
    way: Way,
}

#[derive(Args, Clone, Debug)]
struct ShareArgs {
    #[command(flatten)]
    target: OneWay,
    /// How many of a hundred, such as 5% or 0.1%; 0 ends it
    share: Share,
}

#[derive(Args, Clone, Debug)]
struct DelayArgs {
    #[command(flatten)]
    target: OneWay,
    /// How much later, such as 20ms; 0ms ends it
    #[arg(value_parser = quantity::time)]
    time: Duration,
    /// And up to so much more or less
    #[arg(long, value_parser = quantity::time, default_value = "0ms", value_name = "TIME")]
    jitter: Duration,
    /// Let jitter change the order of frames
    #[arg(long)]
    reorder: bool,
}

#[derive(Args, Clone, Debug)]
struct LimitArgs {
    #[command(flatten)]
    target: OneWay,
    /// Bits per second, such as 100M
    rate: Rate,
    /// Octets that may wait, such as 256k
    #[arg(long, value_parser = queue, default_value = "256k", value_name = "OCTETS")]
    queue: Queue,
}

#[derive(Args, Clone, Copy, Debug)]
struct SiteArg {
    /// a or b, or gw-a or gw-b, as `lab status` has them
    #[arg(value_parser = site)]
    site: char,
}

fn site(text: &str) -> Result<char, String> {
    let mut letters = text.strip_prefix("gw-").unwrap_or(text).chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok(letter),
        _ => Err("there are a and b".to_owned()),
    }
}

fn queue(text: &str) -> Result<Queue, NotAQuantity> {
    quantity::octets(text).map(Queue)
}

fn setup(text: &str) -> Result<Setup, serde_json::Error> {
    serde_json::from_str(text)
}

/// Does what `lab` was told.
pub(super) fn lab(global: &Global, args: &LabArgs) -> Result<ExitCode, Failure> {
    let place = Place::of(&args.name).map_err(|e| Failure::new(Exit::Failed, e))?;
    if let LabCommand::Serve { setup } = &args.command {
        return Ok(standing::serve(&place, *setup));
    }
    let exit = if let LabCommand::Up(options) = &args.command {
        up(global, &place, options)?
    } else if matches!(args.command, LabCommand::Down) {
        down(global, &place)?
    } else {
        ask(global, &place, &request(&args.command))?
    };
    Ok(exit.into())
}

/// The request that a command is.
fn request(command: &LabCommand) -> Request {
    match command {
        LabCommand::Up(_) | LabCommand::Serve { .. } | LabCommand::Status => Request::Status,
        LabCommand::Cut(Channels { channels }) => Request::Cut { channels: channels.clone() },
        LabCommand::Heal(Heal { channels }) => Request::Heal { channels: channels.clone() },
        LabCommand::Kill(SiteArg { site }) => Request::Kill { site: *site },
        LabCommand::Start(SiteArg { site }) => Request::Start { site: *site },
        LabCommand::Down => Request::Down,
        LabCommand::Blackhole(target) => impair(target, Change::Blackhole),
        LabCommand::Lossy(args) => impair(&args.target, Change::Loss(args.share)),
        LabCommand::Corrupt(args) => impair(&args.target, Change::Corrupt(args.share)),
        LabCommand::Duplicate(args) => impair(&args.target, Change::Duplicate(args.share)),
        LabCommand::Delay(DelayArgs { target, time, jitter, reorder }) => {
            impair(target, Change::Delay { time: *time, jitter: *jitter, reorder: *reorder })
        }
        LabCommand::Limit(LimitArgs { target, rate, queue }) => {
            impair(target, Change::Limit { rate: *rate, queue: *queue })
        }
    }
}

fn impair(target: &OneWay, change: Change) -> Request {
    Request::Impair { channels: vec![target.channel.clone()], way: target.way, change }
}

fn up(global: &Global, place: &Place, options: &UpArgs) -> Result<Exit, Failure> {
    let UpArgs { channels, mode, config_only, seed } = *options;
    let setup = Setup { channels, mode, config_only, seed };
    let (status, new) = standing::up(place, setup).map_err(|e| failure(place, &e))?;
    if !new {
        terminal::tell(&format!("the lab {} is up already\n", place.name()));
    }
    if global.json {
        terminal::print_json(&status)?;
    } else {
        let program =
            std::env::current_exe().map_or_else(|_| "quadspan".to_owned(), |p| p.display().to_string());
        terminal::print(format!("{}{}", status.text(), status.how_to_look_around(&program)).as_bytes())?;
    }
    Ok(Exit::Done)
}

fn down(global: &Global, place: &Place) -> Result<Exit, Failure> {
    let was_up = standing::down(place).map_err(|e| failure(place, &e))?;
    if global.json {
        terminal::print_json(&serde_json::json!({ "name": place.name(), "was_up": was_up }))?;
    } else {
        let what = if was_up { "is down" } else { "was not up" };
        terminal::print(format!("the lab {} {what}\n", place.name()).as_bytes())?;
    }
    Ok(Exit::Done)
}

fn ask(global: &Global, place: &Place, request: &Request) -> Result<Exit, Failure> {
    let status: Status = standing::ask(place, request).map_err(|e| failure(place, &e))?;
    if global.json {
        terminal::print_json(&status)?;
    } else {
        terminal::print(status.text().as_bytes())?;
    }
    Ok(Exit::Done)
}

fn failure(place: &Place, error: &AskError) -> Failure {
    match error {
        AskError::NotUp(name) => {
            let named = if name == "lab" { String::new() } else { format!(" --name {name}") };
            Failure::new(Exit::Unreachable, error).help(format!("quadspan lab{named} up"))
        }
        AskError::Silent { .. } => {
            let log = place.log();
            Failure::new(Exit::Unreachable, error).help(format!("its log is {}", log.display()))
        }
        AskError::Refused(_) | AskError::Place(_) => Failure::new(Exit::Failed, error),
    }
}
