//! `drain`, `undrain`, `drill` and `rate`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use dataplane::Fault;

use super::{
    args::{ChannelArgs, DrainArgs, DrillArgs, Global, RateArgs},
    ask::{escaped, get, line, parse, talk},
    exit::{Exit, Failure},
    named::{Kind, ensure, named},
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
/// Looks, after one drill of several, whether all is as before: 15 s.
const BACK_LOOKS: u32 = 60;

/// `drain CHANNEL [--for TIME] [--force] [--no-wait]`.
pub(super) fn drain(global: &Global, options: &DrainArgs) -> Result<Exit, Failure> {
    let mut path = format!("/v1/channels/{}/drain?force={}", escaped(&options.channel), options.force);
    if let Some(lasts) = options.lasts {
        path += &format!("&for={}", lasts.as_secs().max(1));
    }
    let name = (Kind::ChannelOrLag, options.channel.as_str());
    let body = named(global, name, client::post(&global.socket, &path))?;
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
    let name = (Kind::ChannelOrLag, options.channel.as_str());
    let body = named(global, name, client::post(&global.socket, &path))?;
    let done: Document<DrainDone> = parse(&body)?;
    if global.json {
        terminal::print(&line(&body))?;
    } else {
        terminal::print(format!("{}: may carry traffic again\n", done.content.channel).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// `drill CHANNEL|LAG|CONNECTION [--for TIME] [--force]`.
pub(super) fn drill(global: &Global, options: &DrillArgs) -> Result<Exit, Failure> {
    let name = options.name.as_str();
    ensure(global, (Kind::AnyWithChannels, name))?;
    let before = Live::ask(global)?;
    let mut all = Vec::new();
    let ended = meant(name, &before.connections, &before.lags).into_iter().try_for_each(|channel| {
        if !all.is_empty() {
            before.wait(global)?;
        }
        all.push(drill_one(global, options, &channel)?);
        Ok(())
    });
    // What was rehearsed before something failed is told all the same.
    if global.json && (ended.is_ok() || !all.is_empty()) {
        terminal::print_json(&all)?;
    }
    ended?;
    let failed = all.iter().any(|done| done.far_end_stayed || done.back_after_us.is_none());
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn drill_one(global: &Global, options: &DrillArgs, channel: &str) -> Result<DrillDone, Failure> {
    let seconds = options.lasts.as_secs();
    let path = format!("/v1/channels/{}/drill?for={seconds}&force={}", escaped(channel), options.force);
    let drilled = client::post_patiently(&global.socket, &path, LONGEST * 2);
    let begun = async {
        if has_begun(&global.socket, channel).await {
            terminal::tell(&format!("{channel}: silent for {seconds} s\n"));
        }
    };
    let body = talk(telling(drilled, begun))?;
    let done: Document<DrillDone> = parse(&body)?;
    if !global.json {
        terminal::print(show::drill(&done.content).as_bytes())?;
    }
    Ok(done.content)
}

/// The answer to a question, while something may be told.
async fn telling<T>(question: impl Future<Output = T>, begun: impl Future<Output = ()>) -> T {
    let mut question = std::pin::pin!(question);
    tokio::select! {
        biased;
        answer = &mut question => return answer,
        () = begun => {}
    }
    question.await
}

/// Waits until the channel is silent: a drill that is refused never is. False when nobody can tell.
async fn has_begun(socket: &Path, channel: &str) -> bool {
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(body) = client::get(socket, "/v1/channels").await else { return false };
        let Ok(list) = parse::<List<Channel>>(&body) else { return false };
        let drilled =
            |one: &Channel| one.name == channel && one.reason.as_deref() == Some(Fault::Drill.label());
        if list.content.items.iter().any(drilled) {
            return true;
        }
    }
}

/// What is live.
struct Live {
    connections: Vec<Connection>,
    lags: Vec<Lag>,
}

impl Live {
    fn ask(global: &Global) -> Result<Self, Failure> {
        let connections: List<Connection> = parse(&get(&global.socket, "/v1/connections")?)?;
        let lags: List<Lag> = parse(&get(&global.socket, "/v1/lags")?)?;
        Ok(Self { connections: connections.content.items, lags: lags.content.items })
    }

    /// Waits until as much is live again: what one drill leaves behind must not be in the way of the next. When it takes too long, the
    /// gateway says what is missing.
    fn wait(&self, global: &Global) -> Result<(), Failure> {
        for _ in 0..BACK_LOOKS {
            let now = Self::ask(global)?;
            let connections =
                now.connections.iter().zip(&self.connections).all(|(now, then)| now.live >= then.live);
            let lags =
                now.lags.iter().zip(&self.lags).all(|(now, then)| now.distributing >= then.distributing);
            if connections && lags {
                break;
            }
            pause();
        }
        Ok(())
    }
}

/// The channels that a name stands for, each once: those of a connection, and of a LAG its members.
fn meant(name: &str, connections: &[Connection], lags: &[Lag]) -> Vec<String> {
    let attached = connections.iter().find(|one| one.name == name).map(|one| &one.attachments);
    let named = attached.map_or_else(
        || vec![name],
        |attachments| attachments.iter().map(|attachment| attachment.channel.as_str()).collect(),
    );
    let mut channels: Vec<String> = Vec::new();
    for name in named {
        let members = lags.iter().find(|lag| lag.name == name).map(|lag| &lag.members);
        let here = members.map_or_else(
            || vec![name],
            |members| members.iter().map(|member| member.channel.as_str()).collect(),
        );
        for channel in here {
            if !channels.iter().any(|other| other == channel) {
                channels.push(channel.to_owned());
            }
        }
    }
    channels
}

/// `rate CONNECTION MBPS|off`.
pub(super) fn rate(global: &Global, options: &RateArgs) -> Result<Exit, Failure> {
    let mbps = options.rate.0.map_or_else(|| "off".to_owned(), |mbps| mbps.to_string());
    let path = format!("/v1/connections/{}/rate?mbps={mbps}", escaped(&options.connection));
    let name = (Kind::Connection, options.connection.as_str());
    let body = named(global, name, client::post(&global.socket, &path))?;
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
