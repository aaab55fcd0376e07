//! A small BGP-4 speaker: bytes from peers in, route changes out.
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
