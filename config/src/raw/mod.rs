//! The file as it is written: one struct per section, every value with its place.
//!
//! `section!` makes of one table the struct, its reader, its defaults and its JSON Schema, so that the
//! keys that are accepted, the ones the schema shows and the ones the code sees cannot differ. Reading
//! never stops: a wrong value becomes a finding and an empty field, and the checks go on with the rest.
//! Whether values fit *together* is none of this module's business; see `check`.

mod bgp;
mod connection;
mod kinds;
mod lag;
mod macsec;
mod marking;
mod mka;
mod port;
mod quality;
mod section;
pub(crate) mod time;
mod tree;

use schemars::generate::SchemaSettings;

pub(crate) use bgp::{Announced, Bfd, Bgp, MaxIn, MaxOut, Neighbor, Policy as RoutePolicy, Rule};
pub use bgp::{BfdMode, Family, GracefulRestart, LimitAction, Role, RouteOrigin, RouteSource, Verdict};
pub(crate) use connection::{Attachment, Connection, DuplicateClass, Lan, Route, Via};
pub use connection::{Mode, Protection};
pub(crate) use kinds::items;
pub(crate) use lag::Lag;
pub use lag::{LagMode, LagTimers};
pub use macsec::{Cipher, Policy, Validate};
pub(crate) use macsec::{Macsec, RxKey, StaticKeys, TxKey};
pub use mka::IcvIndicator;
pub(crate) use mka::{CknPlace, DESTINATION, LONGEST_CKN, Mka, MkaKey};
pub use port::{AcceptFrom, Aead, Io, LogFormat, Poll, Profile, RxRing, TagType, UnderlayKind};
pub(crate) use port::{Channel, Interconnect, Port, Runtime, Site, Underlay};
pub use quality::QualityAction;
pub(crate) use tree::{At, Kind, suggest};

use crate::problem::{Code, Report, Span};
use kinds::{List, SchemaVersion};
use section::section;

section! {
    /// Configuration of a Quadspan gateway.
    pub(crate) Document = "the file" {
        /// Version of the configuration language; 1 is the only one there is.
        schema: SchemaVersion => required;
        /// This gateway.
        site: Site => required;
        /// The process: threads, files, logs.
        runtime: Runtime => optional;
        /// Where frames come in and go out.
        port: List<Port> => required;
        /// Groups of redundant channels towards one peer.
        interconnect: List<Interconnect> => optional;
        /// Links to a peer, each with MACsec of its own.
        channel: List<Channel> => optional;
        /// Channels that carry frames as one, by LACP.
        lag: List<Lag> => optional;
        /// Customers' domains across an interconnect.
        connection: List<Connection> => optional;
    }
}

/// Reads `text` into a [`Document`]; `None` only when it is too large to look at.
pub(crate) fn read(text: &str, report: &mut Report) -> Option<Document> {
    if text.len() > MAX_TEXT {
        report
            .add(
                Code::TooLarge,
                Span::default(),
                format!("the file has {} octets, more than {MAX_TEXT}", text.len()),
            )
            .help("is this the right file? A configuration of a hundred thousand routes is smaller");
        return None;
    }
    let (root, errors) = toml::de::DeTable::parse_recoverable(text);
    let document = Document::read_table(root.get_ref(), Span::default(), report);
    if !errors.is_empty() {
        // What stands in an unreadable line is not missing.
        report.forget(Code::MissingKey);
        syntax(text, &errors, report);
        return None;
    }
    Some(document)
}

/// The JSON Schema of the file.
pub(crate) fn schema() -> serde_json::Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Document>().to_value()
}

/// One finding per line: the parser's later complaints about a line follow from its first.
fn syntax(text: &str, errors: &[toml::de::Error], report: &mut Report) {
    let end = Span { start: text.len(), end: text.len() };
    let mut places: Vec<_> =
        errors.iter().map(|error| (error.span().map_or(end, Span::from), error)).collect();
    places.sort_by_key(|(span, _)| span.start);
    let mut line_end = 0;
    for (span, error) in places {
        if span.start < line_end {
            continue;
        }
        let rest = text.get(text.floor_char_boundary(span.start)..).unwrap_or("");
        line_end = span.start + rest.find('\n').map_or(rest.len(), |at| at + 1);
        let found = report.add(Code::Syntax, span, format!("this is not TOML: {}", error.message()));
        if error.message().contains("duplicate key") {
            found.help("a key or table may stand only once; lists of tables are written [[name]]");
        } else {
            found.help("texts stand in \"quotes\", keys are written name = value; see https://toml.io");
        }
    }
}

/// Twice what a hundred connections of a thousand routes each need; what is larger is some other file.
pub(crate) const MAX_TEXT: usize = 16 << 20;
