//! BFD: finds a dead path fast, without flapping. RFC 5880 asynchronous mode, RFC 5881 (one hop) and RFC 5883 (several).
//!
//! | file | what happens there |
//! | --- | --- |
//! | `packet` | the control packet, and the rules by which one is refused (RFC 5880 §4.1, §6.8.6) |
//! | `datagram` | IP and UDP around it: ports, hop limit, checksums, DSCP (RFC 5881 §4, §5, RFC 5883 §5) |
//! | `state` | states, diagnostics, the transition table (§6.2, §4.1) |
//! | `params` | what is configured |
//! | `timing` | negotiated intervals, the Poll Sequence, jitter (§6.8.2, §6.8.3, §6.8.7, §6.5) |
//! | `session` | one session |
//! | `guard` | whether a session speaks against its path (RFC 5882 §3.2, §4.2) |
//! | `status` | what people see of a session: times, counters, reasons |
//! | `table` | all the sessions of a worker, by discriminator and by interface and peer (§6.3) |
//!
//! # Contract
//! No clock, no socket: [`Session::handle_packet`], [`Session::handle_timeout`], then drain
//! [`Session::poll_transmit`] and [`Session::poll_event`], then look at [`Session::poll_timeout`].
//!
//! **A late caller looks at its socket before it declares a peer dead.** `handle_timeout(now)` means: everything that
//! arrived before `now` was handed in. A caller that was kept from working reads the clock, drains its sockets, and only
//! then calls with the instant that it read *before* draining. [`Session::poll_judgement`] says when that matters, so
//! that nobody drains for nothing.
//!
//! # Invariants
//! 1. Up is left in the same call that notices the silence or hears the peer leave.
//! 2. While a session is not Up nothing periodic leaves faster than once a second (§6.8.3).
//! 3. Never more than one Poll Sequence, and a Final ends it only if a Poll with the present values was sent (§6.5).
//! 4. Every packet that is refused counts under exactly one [`Refusal`]; a refused packet changes nothing
//!    (except that §6.8.6 learns from one that comes while we are AdminDown before it is discarded).
//! 5. No input makes more than one packet per packet heard, besides the periodic ones.
//!
//! # What is absent
//! Echo (we announce a Required Min Echo RX Interval of 0, so nobody may send us any), authentication (inside MACsec
//! it protects nothing; packets that carry it are refused), our own wish for Demand mode (a peer's is honoured).

mod datagram;
mod guard;
mod packet;
mod params;
mod session;
mod state;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod timing;

pub(crate) use self::datagram::{HOPS as OWN_LINK, write_udp};
pub use self::{
    datagram::{Datagram, MULTIHOP_PORT, SINGLE_HOP_PORT, write as write_datagram},
    guard::Guard,
    packet::{Control, Discriminator, Received, Refusal, RefusalCounters},
    params::{BfdMode, BfdParams, BfdTimers, BfdTimersError, Hops},
    session::Session,
    state::{BfdState, Diagnostic},
    status::{BfdChange, BfdCounters, BfdEvent, BfdLoss, BfdStatus},
    table::{Outgoing, Sessions},
};
