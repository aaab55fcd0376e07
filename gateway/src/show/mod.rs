//! The API's documents for people: tables, units that can be read, colour where there is some.
//!
//! Each screen is a pure function of a document and a [`Look`]: how wide the terminal is, whether it has colour, what
//! time it is. Without a terminal nothing is shortened, wrapped or coloured. In a narrow one the least important
//! columns go first, and only then is text wrapped. `--json` has everything as it is.

mod bfd;
mod bgp;
mod config;
mod connections;
mod decoded;
mod events;
mod lags;
mod links;
mod look;
mod macsec;
mod mka;
mod quality;
mod runtime;
mod status;
mod table;
#[cfg(test)]
mod tests;

pub mod units;

pub use bfd::bfd;
pub use bgp::{bgp, bgp_pages, route_stories};
pub use config::config;
pub use connections::{connections, neighbors, routes};
pub use decoded::decoded;
pub use events::{drill, event_lines, events};
pub use lags::lags;
pub use links::{channels, drops, ports};
pub use look::Look;
pub use macsec::macsec;
pub use mka::mka;
pub use quality::quality;
pub use runtime::{runtime, runtime_between};
pub use status::status;
