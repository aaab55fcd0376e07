//! Commands that ask a running gateway: `status`, `show`, `rekey` and `mka suspend`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::builder::{OsStringValueParser, TypedValueParser};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{
    args::{Global, Noun, RekeyArgs, StatusArgs, SuspendArgs},
    bgp,
    choose::choose,
    events,
    exit::{Exit, Failure},
    named::{Kind, named},
    runtime, terminal, without_mka,
};
use crate::{
    api::{
        client::{self, ClientError},
        model::{
            Document, Health, List, MkaChannel, Rekey, RekeyAnswer, RunningConfig, Status, SuspendAnswer,
            Suspension,
        },
    },
    show::{self, Look},
};

/// Where a gateway listens whose file does not say where.
pub(super) const SOCKET: &str = "/run/quadspan/api.sock";

/// The socket to ask on. A variable that is empty is as good as none.
pub(super) fn socket() -> impl TypedValueParser<Value = PathBuf> {
    let given = |given: OsString| PathBuf::from(if given.is_empty() { SOCKET.into() } else { given });
    OsStringValueParser::new().map(given)
}

/// `status`, and no command at all.
pub(super) fn status(global: &Global, options: StatusArgs) -> Result<Exit, Failure> {
    let body = get(&global.socket, "/v1/status")?;
    let status: Document<Status> = parse(&body)?;
    if global.json {
        terminal::print(&line(&body))?;
    } else {
        terminal::print(show::status(&terminal::look(global.color), &status.content).as_bytes())?;
    }
    let degraded = status.content.state == Health::Degraded;
    Ok(if options.exit_code && degraded { Exit::Degraded } else { Exit::Done })
}

/// `show NOUN [NAME]...`.
pub(super) fn show(global: &Global, noun: &Noun) -> Result<Exit, Failure> {
    // Whether there may be nothing of a name: nothing dropped on a channel is an answer, a channel that is not there is a mistake.
    let (path, field, may_be_empty, names) = match noun {
        Noun::Channels(names) => ("/v1/channels", "name", false, names),
        Noun::Connections(names) => ("/v1/connections", "name", false, names),
        Noun::Ports(names) => ("/v1/ports", "name", false, names),
        Noun::Drops(names) => ("/v1/drops", "name", true, names),
        Noun::Routes(options) => return bgp::routes(global, options),
        Noun::Bgp(names) => return bgp::neighbors(global, names),
        Noun::Lag(names) => ("/v1/lags", "name", false, names),
        Noun::Macsec(names) => ("/v1/macsec", "channel", false, names),
        Noun::Mka(names) => ("/v1/mka", "channel", false, names),
        Noun::Bfd(names) => ("/v1/bfd", "interface", true, names),
        Noun::Quality(names) => ("/v1/quality", "attachment", true, names),
        Noun::Runtime(options) => return runtime::runtime(global, options),
        Noun::Events(options) => return events::events(global, options),
        Noun::Neighbors(names) => ("/v1/neighbors", "interface", true, names),
        Noun::Config => return config(global),
    };
    let body = get(&global.socket, path)?;
    let (body, without) = if let Noun::Mka(names) = noun {
        without_mka::choose(global, &body, names)?
    } else {
        (choose(global, &body, field, may_be_empty, names)?, Vec::new())
    };
    if global.json {
        terminal::print(&line(&body))?;
    } else if !without.is_empty() {
        terminal::print(format!("{}\n", without.join("\n")).as_bytes())?;
        let rest: Vec<MkaChannel> = items(&body)?;
        if !rest.is_empty() {
            terminal::print(show::mka(&terminal::look(global.color), &rest).as_bytes())?;
        }
    } else if may_be_empty && !names.names.is_empty() && items::<IgnoredAny>(&body)?.is_empty() {
        terminal::print(format!("{}: {}\n", names.names.join(", "), nothing_of(noun)).as_bytes())?;
    } else {
        terminal::print(screen(&terminal::look(global.color), noun, &body)?.as_bytes())?;
    }
    Ok(Exit::Done)
}

/// What is said of names that are known and have nothing of this kind, though others may.
const fn nothing_of(noun: &Noun) -> &'static str {
    match noun {
        Noun::Drops(_) => "no frames were dropped",
        Noun::Bfd(_) => "no BFD sessions",
        Noun::Quality(_) => "no paths that are measured",
        Noun::Neighbors(_) => "no neighbours",
        Noun::Channels(_)
        | Noun::Connections(_)
        | Noun::Ports(_)
        | Noun::Lag(_)
        | Noun::Macsec(_)
        | Noun::Mka(_)
        | Noun::Routes(_)
        | Noun::Bgp(_)
        | Noun::Events(_)
        | Noun::Runtime(_)
        | Noun::Config => "none",
    }
}

fn screen(look: &Look, noun: &Noun, body: &[u8]) -> Result<String, Failure> {
    Ok(match noun {
        Noun::Channels(_) => show::channels(look, &items(body)?),
        Noun::Connections(_) => show::connections(look, &items(body)?),
        Noun::Ports(_) => show::ports(look, &items(body)?),
        Noun::Drops(_) => show::drops(look, &items(body)?),
        Noun::Routes(_) | Noun::Bgp(_) | Noun::Events(_) | Noun::Runtime(_) => String::new(),
        Noun::Lag(_) => show::lags(look, &items(body)?),
        Noun::Macsec(_) => show::macsec(look, &items(body)?),
        Noun::Mka(_) => show::mka(look, &items(body)?),
        Noun::Bfd(_) => show::bfd(look, &items(body)?),
        Noun::Quality(_) => show::quality(look, &items(body)?),
        Noun::Neighbors(_) => show::neighbors(look, &items(body)?),
        Noun::Config => show::config(&parse::<Document<RunningConfig>>(body)?.content),
    })
}

fn config(global: &Global) -> Result<Exit, Failure> {
    let body = get(&global.socket, "/v1/config")?;
    if global.json {
        terminal::print(&line(&body))?;
    } else {
        let running: Document<RunningConfig> = parse(&body)?;
        terminal::print(show::config(&running.content).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// `rekey CHANNEL`.
pub(super) fn rekey(global: &Global, options: &RekeyArgs) -> Result<Exit, Failure> {
    let path = format!("/v1/channels/{}/rekey", escaped(&options.channel));
    let name = (Kind::Channel, options.channel.as_str());
    let body = named(global, name, client::post(&global.socket, &path))?;
    let told: Document<Rekey> = parse(&body)?;
    if global.json {
        terminal::print(&line(&body))?;
    }
    match told.content.answer {
        RekeyAnswer::Started | RekeyAnswer::Queued if global.json => Ok(Exit::Done),
        RekeyAnswer::Started | RekeyAnswer::Queued => {
            terminal::print(format!("{}: {}\n", told.content.channel, told.content.message).as_bytes())?;
            Ok(Exit::Done)
        }
        RekeyAnswer::NotKeyServer | RekeyAnswer::NoPeer => Err(Failure::new(
            Exit::Failed,
            format_args!("{}: {}", told.content.channel, told.content.message),
        )),
    }
}

/// `mka suspend CHANNEL`.
pub(super) fn suspend(global: &Global, options: &SuspendArgs) -> Result<Exit, Failure> {
    let (name, seconds) = (escaped(&options.channel), options.time);
    let path = format!("/v1/channels/{name}/suspend?seconds={seconds}");
    let name = (Kind::Channel, options.channel.as_str());
    let body = named(global, name, client::post(&global.socket, &path))?;
    let told: Document<Suspension> = parse(&body)?;
    if global.json {
        terminal::print(&line(&body))?;
    }
    let sentence = format!("{}: {}", told.content.channel, told.content.message);
    match told.content.answer {
        SuspendAnswer::Started | SuspendAnswer::Asked => {
            if !global.json {
                terminal::print(format!("{sentence}\n").as_bytes())?;
            }
            Ok(Exit::Done)
        }
        SuspendAnswer::NoPeer | SuspendAnswer::Unsettled | SuspendAnswer::Unsupported => {
            Err(Failure::new(Exit::Failed, sentence))
        }
    }
}

/// A name as one segment of a path (RFC 3986 §2.1).
pub(super) fn escaped(name: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
    let escape = |octet: u8| {
        if plain(octet) { char::from(octet).to_string() } else { format!("%{octet:02X}") }
    };
    name.bytes().map(escape).collect()
}

pub(super) fn items<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, Failure> {
    Ok(parse::<List<T>>(body)?.content.items)
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|why| {
        Failure::new(Exit::Failed, format_args!("the gateway's answer cannot be understood: {why}"))
            .help("is it of the same version as this program? see `quadspan version`, and --json for the answer as it is")
    })
}

pub(super) fn line(body: &Bytes) -> Vec<u8> {
    [body, &b"\n"[..]].concat()
}

pub(super) fn get(socket: &Path, path: &str) -> Result<Bytes, Failure> {
    talk(client::get(socket, path))
}

pub(super) fn talk(question: impl Future<Output = Result<Bytes, ClientError>>) -> Result<Bytes, Failure> {
    hear(question)?.map_err(|error| failure(&error))
}

/// As [`talk`], for who looks at refusals.
pub(super) fn hear<T>(question: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| Failure::new(Exit::Failed, format_args!("cannot start: {why}")))?;
    Ok(runtime.block_on(question))
}

pub(super) fn failure(error: &ClientError) -> Failure {
    match error {
        ClientError::Unreachable { .. } => Failure::new(Exit::Unreachable, error)
            .help("start one with `quadspan run -c FILE`, or say with -s on which socket it listens (runtime.socket)"),
        ClientError::NotPermitted { .. } => Failure::new(Exit::NotPermitted, error)
            .help("use sudo, or become a member of the group that owns the socket"),
        ClientError::TooSlow { .. } => {
            Failure::new(Exit::Unreachable, error).help("is it overloaded or stopped? see its log")
        }
        ClientError::Protocol { .. } => {
            Failure::new(Exit::Unreachable, error).help("is that the socket of a gateway? say another one with -s")
        }
        ClientError::Refused(_) => Failure::new(Exit::Failed, error),
    }
}
