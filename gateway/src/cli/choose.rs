//! Which items of a list the names behind `show NOUN` mean. A name that nothing has is a mistake, and is said to be one:
//! "there are none" would be taken for a statement about what was meant.

use bytes::Bytes;
use serde_json::Value;

use super::{
    args::{Global, Names},
    ask::{get, items, parse},
    exit::{Exit, Failure},
    explain::nearest,
};
use crate::api::model::{Connection, Lag, Port};

/// Names that are offered to whoever gave a wrong one.
const OFFERED: usize = 12;

/// Keeps the items that `names` mean by their `field`. Whether a name has to be in the list, or `may_be_empty`: then whatever the
/// gateway has is a name, and nothing of it is an answer.
pub(super) fn choose(
    global: &Global,
    body: &Bytes,
    field: &str,
    may_be_empty: bool,
    names: &Names,
) -> Result<Bytes, Failure> {
    let names = &names.names;
    if names.is_empty() {
        return Ok(body.clone());
    }
    let mut document: Value = parse(body)?;
    let Some(listed) = document.get_mut("items").and_then(Value::as_array_mut) else {
        return Ok(body.clone());
    };
    let known: Vec<_> = listed.iter().map(|item| text(item, field).to_owned()).collect();
    let missing = keep(listed, field, names);
    if let Some(first) = missing.first() {
        if may_be_empty {
            ensure_known(&known_to(global)?, missing)?;
        } else {
            return Err(unknown(first, &known));
        }
    }
    Ok(document.to_string().into())
}

/// Keeps what is meant; gives the names that meant nothing.
pub(super) fn keep<'a>(listed: &mut Vec<Value>, field: &str, names: &'a [String]) -> Vec<&'a String> {
    let means = |item: &Value, name: &str| {
        let has = text(item, field);
        let scoped =
            name.split_once('/').is_some_and(|(scope, bare)| scope == text(item, "scope") && bare == has);
        is(has, name) || scoped
    };
    let missing = names.iter().filter(|name| !listed.iter().any(|item| means(item, name))).collect();
    listed.retain(|item| names.iter().any(|name| means(item, name)));
    missing
}

/// Whether `has` is called `name`: as a whole (`connection/channel`), or by either of its halves.
pub(super) fn is(has: &str, name: &str) -> bool {
    has == name
        || has.split_once('/').is_some_and(|(connection, channel)| [connection, channel].contains(&name))
}

fn text<'a>(item: &'a Value, field: &str) -> &'a str {
    item.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The names of everything that `global`'s gateway has.
pub(super) fn known_to(global: &Global) -> Result<Vec<String>, Failure> {
    let connections: Vec<Connection> = items(&get(&global.socket, "/v1/connections")?)?;
    let lags: Vec<Lag> = items(&get(&global.socket, "/v1/lags")?)?;
    let ports: Vec<Port> = items(&get(&global.socket, "/v1/ports")?)?;
    let channels: Vec<Value> = items(&get(&global.socket, "/v1/channels")?)?;
    let mut known = interfaces(&connections);
    for name in channels.iter().map(|channel| text(channel, "name")) {
        known.extend([name.to_owned(), format!("channel/{name}")]);
    }
    for name in ports.into_iter().map(|port| port.name) {
        known.extend([format!("port/{name}"), name]);
    }
    known.extend(lags.into_iter().map(|lag| lag.name));
    known.sort_unstable();
    known.dedup();
    Ok(known)
}

/// Connections, with their attachments and LANs.
fn interfaces(connections: &[Connection]) -> Vec<String> {
    let all = connections.iter().flat_map(|one| {
        let attachments = one.attachments.iter().map(|attachment| &attachment.channel);
        let inside = attachments.chain(one.lans.iter().map(|lan| &lan.port));
        inside.map(|name| format!("{}/{name}", one.name)).chain([one.name.clone()])
    });
    all.collect()
}

/// That each of `names` is one of `known`.
pub(super) fn ensure_known<'a>(
    known: &[String],
    names: impl IntoIterator<Item = &'a String>,
) -> Result<(), Failure> {
    let wrong = names.into_iter().find(|name| !known.contains(name));
    wrong.map_or(Ok(()), |name| Err(unknown(name, known)))
}

/// Says that nothing is called `name`.
pub(super) fn unknown(name: &str, known: &[String]) -> Failure {
    let failure = Failure::new(Exit::Failed, format_args!("there is no `{name}` here"));
    if let Some(near) = nearest(name, known.iter().map(String::as_str)) {
        return failure.help(format!("did you mean `{near}`?"));
    }
    // Halves are names too: what is shown is enough to find the rest.
    let mut short: Vec<_> = known.iter().map(String::as_str).filter(|name| !name.contains('/')).collect();
    if short.is_empty() {
        short = known.iter().map(String::as_str).collect();
    }
    short.dedup();
    let more = if short.len() > OFFERED { " and more" } else { "" };
    short.truncate(OFFERED);
    if short.is_empty() {
        return failure.help("without a name, all are shown");
    }
    failure.help(format!("there is: {}{more}", short.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api;

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn halves_wholes_and_the_where_of_drops_are_names() {
        let sessions = || {
            vec![
                json!({"interface": "blue/ch1"}),
                json!({"interface": "red/ch1"}),
                json!({"interface": "blue/ch2"}),
            ]
        };
        for (name, left) in
            [("ch1", 2), ("blue", 2), ("blue/ch1", 1), ("red", 1), ("ch", 0), ("blue/", 0), ("", 0)]
        {
            let (mut listed, names) = (sessions(), named(&[name]));
            let missing = keep(&mut listed, "interface", &names);
            assert_eq!((listed.len(), missing.len()), (left, usize::from(left == 0)), "{name}");
        }
        let drops = || vec![json!({"scope": "channel", "name": "x"}), json!({"scope": "port", "name": "x"})];
        for (name, left) in [("x", 2), ("channel/x", 1), ("port/x", 1), ("lan/x", 0), ("channel", 0)] {
            let mut listed = drops();
            keep(&mut listed, "name", &named(&[name]));
            assert_eq!(listed.len(), left, "{name}");
        }
        // Several names: all that they mean, and the one that means nothing.
        let (mut listed, names) = (sessions(), named(&["ch2", "nosuch", "red/ch1"]));
        assert_eq!(keep(&mut listed, "interface", &names), [&names[1]]);
        assert_eq!(listed.len(), 2);
    }

    #[test]
    fn what_nothing_is_called_is_an_error_that_helps() {
        let known = interfaces(&api::connections(&api::testbed::facts()));
        assert!(ensure_known(&known, &named(&["blue", "blue/ch1"])).is_ok(), "{known:?}");
        let near = ensure_known(&known, &named(&["blue", "bleu/ch1"])).unwrap_err();
        assert_eq!(near.exit(), Exit::Failed);
        assert!(
            near.render(false).contains("no `bleu/ch1` here")
                && near.render(false).contains("did you mean `blue/ch1`?")
        );
        let far = unknown("zzzz", &named(&["blue", "blue/ch1", "ch1"])).render(false);
        assert!(far.contains("there is: blue, ch1\n"), "{far}");
        let many: Vec<String> = (0..40).map(|at: u8| at.to_string()).collect();
        assert!(unknown("zzzz", &many).render(false).contains("11 and more"));
        assert!(unknown("zzzz", &[]).render(false).contains("without a name"));
    }
}
