//! `show events`.

use jiff::Timestamp;

use super::{
    args::{EventsArgs, Global},
    ask::{get, parse},
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
    let wanted = |one: &Event| {
        let named = |name: &String| {
            one.connection == *name || [&one.channel, &one.to].iter().any(|is| is.as_ref() == Some(name))
        };
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
