//! A small BGP-4 speaker: bytes from peers in, route changes out.
#![forbid(unsafe_code)]

pub mod decision;
mod error;
pub mod fsm;
mod negotiate;
pub mod peer;
pub mod rib;
pub mod session;
mod types;
pub mod wire;

pub use error::SessionEnd;
pub use negotiate::{Negotiated, SessionParams};
pub use types::{AfiSafi, Asn, Family, PerFamily, RouterId};
