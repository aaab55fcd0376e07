//! A small BGP-4 speaker: bytes from peers in, route changes out.
#![forbid(unsafe_code)]

mod types;
pub mod wire;

pub use types::{AfiSafi, Asn, Family, PerFamily, RouterId};
