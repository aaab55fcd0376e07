//! A small BGP-4 speaker: bytes from peers in, route changes out.
//!
//! It is made for one job: exchanging routes with a cloud edge over a handful of attachments, and getting
//! them into the forwarding table at once. IPv4 and IPv6 unicast, external peers above all, internal ones
//! as far as a cloud makes them necessary. It refuses to be a route reflector, a confederation member, a
//! route server, or a carrier of any other family.
//!
//! There are no sockets, no clock and no threads here. [`Speaker`] is fed with octets, times and wishes,
//! and drained of octets, route changes, events and the next deadline; the gateway moves the octets.
//!
//! From the wire upwards:
//! - [`wire`]: messages. What a malformed UPDATE does to its routes and to the session is the return type
//!   of its parser (RFC 7606);
//! - [`fsm`]: the state machine of RFC 4271 clause 8, a function from (state, event) to (state, actions);
//! - [`session`]: one connection: framing, state machine, timers;
//! - [`peer`]: one neighbour: two connections that collide, and when to try again;
//! - [`rib`] and [`decision`]: the tables and the choice among routes, each with its reasons;
//! - [`policy`]: what is accepted and announced, as plain values;
//! - [`Speaker`]: all of it for one routed domain.
//!
//! Invariants: no input panics; a session is never reset where RFC 7606 leaves a milder way; a limit for
//! what a peer may be sent is never exceeded, not even for a moment; everything that is refused, not used
//! or not announced can say why ([`Speaker::explain`]); the same calls give the same results.
//!
//! `CONFORMANCE.md` beside this lists every clause, where it is done and which test holds it.
#![forbid(unsafe_code)]

pub mod decision;
mod error;
pub mod fsm;
mod negotiate;
pub mod peer;
pub mod policy;
pub mod rib;
pub mod session;
mod speaker;
mod types;
pub mod wire;

pub use error::SessionEnd;
pub use negotiate::{Negotiated, SessionParams};
pub use rib::PeerId;
pub use speaker::*;
pub use types::{AfiSafi, Asn, Family, PerFamily, RouterId};
