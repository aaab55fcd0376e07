//! `drain`, `undrain`, `drill` and `rate`.

use std::time::{Duration, Instant};

use super::{
    args::{ChannelArgs, DrainArgs, DrillArgs, Global, RateArgs},
    ask::{escaped, get, line, parse, talk},
    exit::{Exit, Failure},
    terminal,
};
use crate::{
    api::{
        client,
        model::{
            Channel, ChannelDrain, Connection, Document, DrainDone, DrainState, DrillDone, Lag, List,
            RateDone,
        },
    },
    drill::LONGEST,
    show,
};

/// How often the gateway is asked how far it has come.
const LOOK: Duration = Duration::from_millis(250);

/// `drain CHANNEL [--for TIME] [--force] [--no-wait]`.
pub(super) fn drain(global: &Global, options: &DrainArgs) -> Result<Exit, Failure> {
    let mut path = format!("/v1/channels/{}/drain?force={}", escaped(&options.channel), options.force);
    if let Some(lasts) = options.lasts {
        path += &format!("&for={}", lasts.as_secs().max(1));
    }
    let body = talk(client::post(&global.socket, &path))?;
    let done: Document<DrainDone> = parse(&body)?;
    let Some(mut drain) = done.content.drain.clone() else { return Ok(Exit::Done) };
    if !options.no_wait {
        drain = wait(global, &options.channel, drain)?;
    }
    if global.json {
        let content = DrainDone { channel: options.channel.clone(), drain: Some(drain.clone()) };
        terminal::print_json(&Document { content, ..done })?;
    } else if drain.state != DrainState::Stays {
        terminal::print(format!("{}: {}{}\n", options.channel, drain.message, until(&drain)).as_bytes())?;
    }
    if drain.state == DrainState::Stays {
        return Err(Failure::new(Exit::Failed, format_args!("{}: {}", options.channel, drain.message)).help(
            format!(
                "it stays drained and traffic may still leave; `quadspan undrain {}` takes that back",
                options.channel
            ),
        ));
    }
    Ok(Exit::Done)
}

fn until(drain: &ChannelDrain) -> String {
    drain.until.map_or_else(
        || "; undrain it afterwards".to_owned(),
        |until| format!("; undrained by itself at {}", until.strftime("%F %T UTC")),
    )
}

/// Looks until it is decided; tells when the traffic changes.
fn wait(global: &Global, channel: &str, first: ChannelDrain) -> Result<ChannelDrain, Failure> {
    let (mut drain, mut told) = (first, None);
    // Of a LAG all members are drained, as one.
    let lags: List<Lag> = parse(&get(&global.socket, "/v1/lags")?)?;
    let lag = lags.content.items.into_iter().find(|one| one.name == channel);
    let member = lag.and_then(|lag| Some(lag.members.into_iter().next()?.channel));
    let watched = member.as_deref().unwrap_or(channel);
    while drain.state == DrainState::Moving {
        if told != Some(drain.frames_per_second) {
            terminal::tell(&format!("{channel}: {}\n", drain.message));
            told = Some(drain.frames_per_second);
        }
        pause();
        let list: List<Channel> = parse(&get(&global.socket, "/v1/channels")?)?;
        let found = list.content.items.into_iter().find(|one| one.name == watched);
        drain = found.and_then(|one| one.drain).ok_or_else(|| {
            Failure::new(
                Exit::Failed,
                format_args!("{channel} is not drained any more: somebody undrained it"),
            )
        })?;
    }
    Ok(drain)
}

/// A moment between two looks.
#[expect(clippy::disallowed_methods, reason = "a command waits by the clock; no core is near")]
pub(super) fn pause() {
    let due = Instant::now() + LOOK;
    while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// `undrain CHANNEL`.
pub(super) fn undrain(global: &Global, options: &ChannelArgs) -> Result<Exit, Failure> {
    let path = format!("/v1/channels/{}/undrain", escaped(&options.channel));
    let body = talk(client::post(&global.socket, &path))?;
    let done: Document<DrainDone> = parse(&body)?;
    if global.json {
        terminal::print(&line(&body))?;
    } else {
        terminal::print(format!("{}: may carry traffic again\n", done.content.channel).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// `drill CHANNEL|CONNECTION [--for TIME] [--force]`.
pub(super) fn drill(global: &Global, options: &DrillArgs) -> Result<Exit, Failure> {
    let lasts = options.lasts.min(LONGEST);
    let mut all = Vec::new();
    let mut exit = Exit::Done;
    for channel in meant(global, &options.name)? {
        terminal::tell(&format!("{channel}: silent for {} s\n", lasts.as_secs().max(1)));
        let path = format!(
            "/v1/channels/{}/drill?for={}&force={}",
            escaped(&channel),
            lasts.as_secs().max(1),
            options.force
        );
        let body = talk(client::post_patiently(&global.socket, &path, LONGEST * 2))?;
        let done: Document<DrillDone> = parse(&body)?;
        if done.content.far_end_stayed || done.content.back_after_us.is_none() {
            exit = Exit::Failed;
        }
        if !global.json {
            terminal::print(show::drill(&done.content).as_bytes())?;
        }
        all.push(done.content);
    }
    if global.json {
        terminal::print_json(&all)?;
    }
    Ok(exit)
}

/// The channels that a name stands for.
fn meant(global: &Global, name: &str) -> Result<Vec<String>, Failure> {
    let list: List<Connection> = parse(&get(&global.socket, "/v1/connections")?)?;
    let connection = list.content.items.into_iter().find(|one| one.name == name);
    Ok(connection.map_or_else(
        || vec![name.to_owned()],
        |one| one.attachments.into_iter().map(|attachment| attachment.channel).collect(),
    ))
}

/// `rate CONNECTION MBPS|off`.
pub(super) fn rate(global: &Global, options: &RateArgs) -> Result<Exit, Failure> {
    let mbps = options.rate.0.map(|mbps| format!("?mbps={mbps}")).unwrap_or_default();
    let body = talk(client::post(
        &global.socket,
        &format!("/v1/connections/{}/rate{mbps}", escaped(&options.connection)),
    ))?;
    let done: Document<RateDone> = parse(&body)?;
    if global.json {
        terminal::print(&line(&body))?;
        return Ok(Exit::Done);
    }
    let rate = done
        .content
        .rate_mbps
        .map_or_else(|| "no limit".to_owned(), |mbps| format!("{mbps} Mbit/s each way"));
    let text = format!(
        "{}: {rate}, until the gateway restarts: `rate` in the file is for good\n",
        options.connection
    );
    terminal::print(text.as_bytes())?;
    Ok(Exit::Done)
}
