//! The API: HTTP/1.1 over a unix socket, read by the CLI and by anybody else. There is no other way to ask a gateway.
//!
//! `GET /v1/{status,channels,connections,ports,drops,routes,routes/why,bgp,macsec,mka,neighbors,quality,events,config,version}`; answers are the documents
//! of [`model`], errors are `application/problem+json` (RFC 9457). `POST
//! /v1/channels/NAME/rekey` makes a fresh SAK, `POST /v1/channels/NAME/{drain,undrain}` is for planned work.
//!
//! Flow: [`serve`] takes connections from a [`Listener`]; a handler gathers [`Facts`] from its [`Source`], `view`
//! turns them into a document. [`client`] is the other end.
//!
//! Invariants: the socket can be used by its owner and group only (0660); a socket that another gateway listens on is
//! never taken away; whoever connects can use up neither memory nor descriptors nor time: connections, header
//! sizes and waiting are limited; no key leaves, only fingerprints.

pub mod client;
mod listener;
pub mod model;
mod planned;
mod routing;
mod server;
mod source;
#[cfg(test)]
pub(crate) mod testbed;
#[cfg(test)]
mod tests;
mod view;

pub use listener::{ListenError, Listener};
pub use server::serve;
pub use source::{DeviceFacts, Facts, NoBfd, NoRekey, NoWish, Running, Source, Wish, wall};
#[cfg(test)]
pub(crate) use view::{
    bfd, channels, connections, drops, event, macsec, mka, neighbors, ports, quality, routes, status,
};
