//! ICMP as a router speaks it: errors about packets that it could not forward, and replies to echo requests.
//!
//! [`may_answer`] decides whether an error may be sent at all, [`build_error`] writes it, [`RateLimiter`] bounds how
//! many there are (RFC 1812 §4.3.2.8, RFC 4443 §2.4(f)), [`echo_reply_in_place`] answers a ping in the buffer
//! that it came in. All of them work on packets from the IP header on: Ethernet is the caller's.
//!
//! # Invariants
//! 1. No error about an error, a group, or a source that is nobody: one packet never makes more than one.
//! 2. An error is at most 576 octets (IPv4) or 1280 (IPv6) long, whatever it quotes.
//! 3. An echo is answered only when every checksum in it is right.

mod echo;
mod error;
mod limit;

pub use echo::echo_reply_in_place;
pub use error::{IcmpError, build_error, may_answer};
pub use limit::RateLimiter;

#[cfg(test)]
mod tests;
