//! `show events`.

use jiff::Timestamp;

use super::{
    args::{EventsArgs, Global},
    ask::{get, parse},
    choose::{ensure_known, known_to},
    drain::pause,
    exit::{Exit, Failure},
    terminal,
};
use crate::{
    api::model::{Document, Event, Events},
    show,
};

/// `show events [NAME]... [--since TIME] [--follow]`.
pub(super) fn events(global: &Global, options: &EventsArgs) -> Result<Exit, Failure> {
    let mut list = ask(global, 0)?;
    let earliest = options.since.map(|age| list.generated_at.saturating_sub(age).unwrap_or(Timestamp::MIN));
    ensure_names(global, &options.names, &list.content.items)?;
    let wanted = |one: &Event| {
        let named = |name: &String| is(one, name);
        (options.names.is_empty() || options.names.iter().any(named))
            && earliest.is_none_or(|earliest| one.at >= earliest)
    };
    list.content.items.retain(wanted);
    if !options.follow {
        return tell(global, &list);
    }
    loop {
        if global.json {
            list.content.items.iter().try_for_each(terminal::print_json)?;
        } else if !list.content.items.is_empty() {
            terminal::print(show::event_lines(&list.content.items).as_bytes())?;
        }
        pause();
        let last = list.content.last;
        list = ask(global, last)?;
        list.content.items.retain(wanted);
    }
}

/// Whether an event is about what has this name: a connection, a channel, or `connection/channel`.
fn is(event: &Event, name: &str) -> bool {
    let mut channels = [&event.channel, &event.to].into_iter().flatten();
    event.connection == name
        || channels.any(|channel| {
            channel == name
                || name.strip_prefix(&*event.connection).and_then(|rest| rest.strip_prefix('/'))
                    == Some(channel)
        })
}

/// That each name is one that the gateway has, or that it had: then events still tell of it.
fn ensure_names(global: &Global, names: &[String], events: &[Event]) -> Result<(), Failure> {
    let strange: Vec<_> = names.iter().filter(|name| !events.iter().any(|one| is(one, name))).collect();
    if strange.is_empty() { Ok(()) } else { ensure_known(&known_to(global)?, strange) }
}

fn ask(global: &Global, after: u64) -> Result<Document<Events>, Failure> {
    parse(&get(&global.socket, &format!("/v1/events?after={after}"))?)
}

fn tell(global: &Global, list: &Document<Events>) -> Result<Exit, Failure> {
    if global.json {
        terminal::print_json(list)?;
    } else {
        let look = terminal::look(global.color);
        terminal::print(show::events(&look, &list.content.items).as_bytes())?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;

    #[test]
    fn an_event_is_found_by_its_connection_its_channel_and_both() {
        let facts = api::testbed::facts();
        let records = api::testbed::records();
        let (records, _) = records.since(0);
        let event = records
            .iter()
            .map(|one| api::event(&facts.config, &facts.setup, one))
            .find(|one| one.channel.is_some());
        let event = event.unwrap();
        let channel = event.channel.clone().unwrap();
        for name in [event.connection.clone(), channel.clone(), format!("{}/{channel}", event.connection)] {
            assert!(is(&event, &name), "{name}");
        }
        for name in
            ["nosuch".to_owned(), String::new(), format!("{}/", event.connection), format!("x/{channel}")]
        {
            assert!(!is(&event, &name), "{name}");
        }
    }
}
