//! Wishes about something that has a name. A name that nothing has is told as `show` tells it, in the words of the command line and not
//! in those of the API.

use bytes::Bytes;
use serde_json::Value;

use super::{
    args::Global,
    ask::{failure, get, hear, items},
    choose::known_to,
    exit::{Exit, Failure},
    explain::nearest,
};
use crate::api::client::ClientError;

/// What a command takes names of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Channel,
    /// A LAG stands for its members.
    ChannelOrLag,
    /// As above, and a connection for its channels.
    AnyWithChannels,
    Connection,
    Neighbor,
    Interface,
}

impl Kind {
    /// What one is called, and the `show` that lists them.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Channel => ("channel", "channels"),
            Self::ChannelOrLag => ("channel or LAG", "channels"),
            Self::AnyWithChannels => ("channel, LAG or connection", "channels"),
            Self::Connection => ("connection", "connections"),
            Self::Neighbor => ("BGP neighbour", "bgp"),
            Self::Interface => ("channel and no interface", "bfd"),
        }
    }

    /// The codes by which the API says that there is none of the name.
    fn is_unknown(self, code: &str) -> bool {
        let own = match self {
            Self::Channel | Self::ChannelOrLag | Self::AnyWithChannels => "unknown_channel",
            Self::Connection => "unknown_connection",
            Self::Neighbor => "unknown_neighbor",
            Self::Interface => "unknown_interface",
        };
        code == own
    }

    fn known(self, global: &Global) -> Result<Vec<String>, Failure> {
        let paths: &[_] = match self {
            Self::Channel => &["/v1/channels"],
            Self::ChannelOrLag => &["/v1/channels", "/v1/lags"],
            Self::AnyWithChannels => &["/v1/channels", "/v1/lags", "/v1/connections"],
            Self::Connection => &["/v1/connections"],
            Self::Neighbor => &["/v1/bgp"],
            Self::Interface => return known_to(global),
        };
        let mut known = Vec::new();
        for path in paths {
            let all: Vec<Value> = items(&get(&global.socket, path)?)?;
            let names = all.iter().flat_map(|one| ["name", "address"].map(|field| one.get(field)));
            known.extend(names.flatten().filter_map(Value::as_str).map(str::to_owned));
        }
        Ok(known)
    }

    /// What is said when nothing is called `name`, and `known` are all names.
    fn unknown(self, name: &str, known: &[String]) -> Failure {
        let (one, noun) = self.words();
        let lists = format!("`quadspan show {noun}` lists them");
        let near = nearest(name, known.iter().map(String::as_str));
        let help = near.map_or_else(|| lists.clone(), |near| format!("did you mean `{near}`? {lists}"));
        Failure::new(Exit::Failed, format_args!("there is no {one} `{name}` here")).help(help)
    }
}

/// The answer to a wish about a `kind` of thing called `name`.
pub(super) fn named(
    global: &Global,
    (kind, name): (Kind, &str),
    question: impl Future<Output = Result<Bytes, ClientError>>,
) -> Result<Bytes, Failure> {
    let error = match hear(question)? {
        Ok(body) => return Ok(body),
        Err(error) => error,
    };
    let ClientError::Refused(problem) = &error else { return Err(failure(&error)) };
    if kind.is_unknown(&problem.code) {
        return Err(kind.unknown(name, &kind.known(global)?));
    }
    if problem.code == "no_bfd" {
        let said = format!("no BFD session runs on `{name}`");
        return Err(Failure::new(Exit::Failed, said).help("`quadspan show bfd` lists them"));
    }
    Err(failure(&error))
}

/// That something of this kind is called `name`.
pub(super) fn ensure(global: &Global, (kind, name): (Kind, &str)) -> Result<(), Failure> {
    let known = kind.known(global)?;
    if known.iter().any(|one| one == name) { Ok(()) } else { Err(kind.unknown(name, &known)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_told_with_the_right_one_and_where_all_are() {
        let known: Vec<String> = ["ch1", "ch2", "ch3", "ch4", "bundle"].map(str::to_owned).into();
        let near = Kind::Channel.unknown("ch9", &known).render(false);
        assert_eq!(
            near,
            "error: there is no channel `ch9` here\n  help: did you mean `ch1`? `quadspan show channels` lists them\n"
        );
        let far = Kind::Neighbor.unknown("zzzz", &known).render(false);
        assert!(far.ends_with("  help: `quadspan show bgp` lists them\n"), "{far}");
    }

    #[test]
    fn only_a_missing_name_is_told_as_one() {
        for (kind, code) in [
            (Kind::Channel, "unknown_channel"),
            (Kind::AnyWithChannels, "unknown_channel"),
            (Kind::Connection, "unknown_connection"),
            (Kind::Neighbor, "unknown_neighbor"),
            (Kind::Interface, "unknown_interface"),
        ] {
            assert!(kind.is_unknown(code) && !kind.is_unknown("no_mka"), "{kind:?}");
        }
    }
}
