//! BGP-4 messages: bytes to values and back.
//!
//! | file | holds |
//! | --- | --- |
//! | `header` | framing of the stream, message types |
//! | `open`, `capability` | OPEN, RFC 5492, RFC 9072 |
//! | `update` | UPDATE to routes, or to what RFC 7606 makes of it |
//! | `scan` | one pass over the attribute list, a rule per type |
//! | `fault` | every fault and its treatment, in one table |
//! | `multiprotocol`, `nlri`, `as_path`, `community`, `attributes` | what UPDATEs are made of |
//! | `emit` | routes to UPDATEs |
//! | `notification`, `refresh` | the two short ones |
//!
//! Nothing here knows a peer or keeps state; nothing panics on any input. A value that exists can be
//! sent, and what was sent parses to the same value.

pub mod as_path;
pub mod attributes;
pub mod capability;
pub mod community;
pub mod emit;
pub mod fault;
pub mod header;
mod multiprotocol;
pub mod nlri;
pub mod notification;
pub mod open;
pub mod refresh;
mod scan;
pub mod update;

#[cfg(test)]
mod tests;
