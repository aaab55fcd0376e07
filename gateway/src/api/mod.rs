//! The API: HTTP/1.1 over a unix socket, read by the CLI and by anybody else. There is no other way to ask a gateway.
//!
//! `GET /v1/{status,channels,connections,ports,drops,routes,routes/why,bgp,lags,macsec,mka,neighbors,quality,runtime,events,config,version}`; answers are the documents
//! of [`model`], errors are `application/problem+json` (RFC 9457). What can be asked for with `POST`: `/v1/channels/NAME/rekey` makes a fresh
//! SAK, `/v1/channels/NAME/suspend?seconds=30` suspends MKA, `/v1/channels/NAME/{drain,undrain,drill}` is for planned work,
//! `/v1/bgp/NEIGHBOR/{clear,refresh,rekey}`. Nothing else can be changed through it. A parameter that a path does not know is refused (400).
//!
//! Flow: [`serve`] takes connections from a [`Listener`]; a handler gathers [`Facts`] from its [`Source`], `view`
//! turns them into a document. [`client`] is the other end. `GET /metrics` gives the same as numbers ([`crate::metrics`]), also on
//! a TCP address of its own ([`serve_metrics`]), where there is nothing else.
//!
//! Invariants: the socket can be used by its owner and group only (0660); a socket that another gateway listens on is
//! never taken away; whoever connects can use up neither memory nor descriptors nor time: connections, header
//! sizes and waiting are limited; no key leaves, only fingerprints.

pub mod client;
mod listener;
pub mod model;
mod planned;
mod query;
#[cfg(test)]
mod reference;
mod routing;
mod server;
mod source;
#[cfg(test)]
pub(crate) mod testbed;
#[cfg(test)]
pub(crate) mod testbed_bfd;
#[cfg(test)]
pub(crate) mod testbed_bgp;
#[cfg(test)]
mod testbed_runtime;
#[cfg(test)]
mod tests;
mod view;

pub use listener::{ListenError, Listener};
pub use server::{serve, serve_metrics};
pub use source::{AskBgp, DeviceFacts, Facts, NoBfd, NoBgp, NoKay, NoWish, Running, Source, Wish, wall};
pub(crate) use view::{bfd, bgp, drops, lags, mka, runtime, status};
#[cfg(test)]
pub(crate) use view::{channels, connections, event, macsec, neighbors, ports, quality, routes};
