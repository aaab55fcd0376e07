//! Commands about routes and BGP neighbours.

use std::net::IpAddr;

use net::IpNet;

use super::{
    args::{BfdVerb, BgpVerb, Global, Names, RoutesArgs},
    ask::{escaped, get, line, parse},
    choose::unknown,
    exit::{Exit, Failure},
    explain::nearest,
    named::{Kind, named},
    terminal,
};
use crate::{
    api::{
        client,
        model::{
            BfdDone, BgpDone, BgpNeighbor, Connection, Document, Items, List, Route, RoutePage, RouteStory,
        },
    },
    show,
};

/// `show routes [CONNECTION|PREFIX|ADDRESS]... [--why]`.
pub(super) fn routes(global: &Global, options: &RoutesArgs) -> Result<Exit, Failure> {
    let is_prefix = |name: &&String| name.parse::<IpNet>().is_ok() || name.parse::<IpAddr>().is_ok();
    let prefixes: Vec<_> = options.names.iter().filter(is_prefix).collect();
    if prefixes.is_empty() && options.why {
        return Err(Failure::new(Exit::Usage, "--why of which prefix?")
            .help("quadspan show routes 10.2.0.0/24 --why"));
    }
    let connections: Vec<_> = options.names.iter().filter(|name| !is_prefix(name)).collect();
    ensure_connections(global, &connections)?;
    if prefixes.is_empty() {
        return all(global, &Names { names: options.names.clone() });
    }
    let mut told: Option<List<RouteStory>> = None;
    for prefix in prefixes {
        let body = get(&global.socket, &format!("/v1/routes/why?prefix={}", escaped(prefix)))?;
        let mut list: List<RouteStory> = parse(&body)?;
        list.content.items.retain(|story| connections.is_empty() || connections.contains(&&story.connection));
        match &mut told {
            Some(told) => told.content.items.append(&mut list.content.items),
            None => told = Some(list),
        }
    }
    let Some(told) = told else { return Ok(Exit::Done) };
    if global.json {
        terminal::print_json(&told)?;
    } else {
        let look = terminal::look(global.color);
        terminal::print(show::route_stories(&look, &told.content.items).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// That each of `names`, which are no prefixes, is a connection.
fn ensure_connections(global: &Global, names: &[&String]) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let connections: List<Connection> = parse(&get(&global.socket, "/v1/connections")?)?;
    let known: Vec<_> = connections.content.items.into_iter().map(|one| one.name).collect();
    names.iter().find(|name| !known.contains(name)).map_or(Ok(()), |name| Err(no_connection(name, &known)))
}

fn no_connection(name: &str, known: &[String]) -> Failure {
    let address = name.split_once('/').map_or(name, |(address, _)| address);
    if address.parse::<IpAddr>().is_ok() {
        let why = format_args!("`{name}` is not a prefix");
        return Failure::new(Exit::Failed, why)
            .help("an IPv4 prefix is up to 32 bits long, an IPv6 prefix up to 128");
    }
    unknown(name, known)
}

fn all(global: &Global, names: &Names) -> Result<Exit, Failure> {
    let is = |route: &Route| names.names.is_empty() || names.names.contains(&route.connection);
    let mut all: Document<RoutePage> = parse(&get(&global.socket, "/v1/routes")?)?;
    all.content.items.retain(is);
    while let Some(after) = all.content.next.take() {
        let path = format!("/v1/routes?after={}", escaped(&after));
        let mut more = parse::<Document<RoutePage>>(&get(&global.socket, &path)?)?.content;
        more.items.retain(is);
        all.content.items.append(&mut more.items);
        (all.content.unlisted, all.content.next) = (more.unlisted, more.next);
    }
    if global.json {
        terminal::print_json(&all)?;
        return Ok(Exit::Done);
    }
    let screen = show::routes(&terminal::look(global.color), &all.content.items);
    terminal::print(screen.as_bytes())?;
    Ok(Exit::Done)
}

/// `show bgp [NEIGHBOR]...`.
pub(super) fn neighbors(global: &Global, names: &Names) -> Result<Exit, Failure> {
    let body = get(&global.socket, "/v1/bgp")?;
    let mut list: Document<Items<BgpNeighbor>> = parse(&body)?;
    let is = |one: &BgpNeighbor, name: &str| {
        [one.name.as_str(), one.connection.as_str()].contains(&name)
            || one.address.to_string() == name
            || format!("{}/{}", one.connection, one.name) == name
    };
    let all = &mut list.content.items;
    if let Some(missing) = names.names.iter().find(|name| !all.iter().any(|one| is(one, name))) {
        let failure = Failure::new(Exit::Failed, format_args!("there is no BGP neighbour `{missing}` here"));
        return Err(match nearest(missing, all.iter().map(|one| one.name.as_str())) {
            Some(near) => failure.help(format!("did you mean `{near}`?")),
            None => failure.help("without a name, all are shown"),
        });
    }
    all.retain(|one| names.names.is_empty() || names.names.iter().any(|name| is(one, name)));
    if global.json {
        terminal::print_json(&list)?;
        return Ok(Exit::Done);
    }
    let look = terminal::look(global.color);
    let screen = if names.names.is_empty() {
        show::bgp(&look, &list.content.items)
    } else {
        show::bgp_pages(&look, &list.content.items)
    };
    terminal::print(screen.as_bytes())?;
    Ok(Exit::Done)
}

/// `bgp clear|refresh|rekey|shutdown|enable NEIGHBOR`.
pub(super) fn wish(global: &Global, verb: &BgpVerb) -> Result<Exit, Failure> {
    let (wish, neighbor) = match verb {
        BgpVerb::Clear(options) => ("clear".to_owned(), &options.neighbor),
        BgpVerb::Refresh(options) => ("refresh".to_owned(), &options.neighbor),
        BgpVerb::Rekey(options) => ("rekey".to_owned(), &options.neighbor),
        BgpVerb::Shutdown(options) => {
            (format!("shutdown?text={}", escaped(&options.text)), &options.neighbor)
        }
        BgpVerb::Enable(options) => ("enable".to_owned(), &options.neighbor),
    };
    let path = format!("/v1/bgp/{}/{wish}", escaped(neighbor));
    let body = named(global, (Kind::Neighbor, neighbor), client::post(&global.socket, &path))?;
    let done: Document<BgpDone> = parse(&body)?;
    if global.json {
        terminal::print(&line(&body))?;
    } else {
        let BgpDone { neighbor, message } = done.content;
        terminal::print(format!("{neighbor}: {message}\n").as_bytes())?;
    }
    Ok(Exit::Done)
}

/// `bfd disable|enable INTERFACE`.
pub(super) fn switch_bfd(global: &Global, verb: &BfdVerb) -> Result<Exit, Failure> {
    let (wish, options) = match verb {
        BfdVerb::Disable(options) => ("disable", options),
        BfdVerb::Enable(options) => ("enable", options),
    };
    let path = format!("/v1/bfd/{}/{wish}", escaped(&options.interface));
    let name = (Kind::Interface, options.interface.as_str());
    let body = named(global, name, client::post(&global.socket, &path))?;
    let done: Document<BfdDone> = parse(&body)?;
    if global.json {
        terminal::print(&line(&body))?;
    } else {
        let BfdDone { interfaces, message } = done.content;
        terminal::print(format!("{}: {message}\n", interfaces.join(", ")).as_bytes())?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_addresses_are_told_from_connections() {
        for (name, prefix) in [("10.2.0.0/24", true), ("10.2.0.1", true), ("fd00::/8", true), ("blue", false)]
        {
            assert_eq!(name.parse::<IpNet>().is_ok() || name.parse::<IpAddr>().is_ok(), prefix, "{name}");
        }
    }

    #[test]
    fn what_is_neither_a_connection_nor_a_prefix_is_said_to_be_none() {
        let known = ["blue".to_owned(), "red".to_owned()];
        for (name, said) in [
            ("10.2.0.0/33", "`10.2.0.0/33` is not a prefix"),
            ("fd00::/129", "128"),
            ("nosuch", "there is: blue, red"),
            ("blu", "did you mean `blue`?"),
            ("blue/ch1", "there is no `blue/ch1` here"),
        ] {
            let failure = no_connection(name, &known);
            assert!(failure.render(false).contains(said), "{}", failure.render(false));
            assert_eq!(failure.exit(), Exit::Failed);
        }
    }
}
