//! LACP: which links of a LAG carry frames, agreed with the system at the other end. IEEE 802.1AX-2014 §6.4, version 1.
//!
//! | file | what happens there |
//! | --- | --- |
//! | `pdu` | LACPDU and Marker PDU on the wire (§6.4.2, §6.5.3), and why one is refused |
//! | `state` | what one end says of a port: identifiers, keys, the eight state bits (§6.4.2.3, §6.3) |
//! | `receive` | Receive machine, and what it records (§6.4.12, §6.4.9) |
//! | `periodic` | Periodic Transmission machine, and how much may be sent (§6.4.13, §6.4.16) |
//! | `mux` | Mux machine with independent control of collecting and distributing (§6.4.15) |
//! | `churn` | Churn Detection machines (§6.4.17) |
//! | `selection` | Selection Logic: which ports may join the Aggregator (§6.4.14) |
//! | `port` | one Aggregation Port: its variables, and its machines side by side |
//! | `aggregator` | all ports of one LAG |
//! | `carry` | what a port leaves to the next process of this gateway |
//! | `params`, `status` | what is configured; what people see |
//!
//! # Where it stands
//! A LAG's members are channels, each with a SecY and a KaY of its own. LACPDUs are user data of the SecY (its controlled port), so they
//! are protected as all other frames are, and a port is enabled (port_enabled) only when its link is up and its SecY may send:
//! key agreement comes first, LACP second.
//!
//! # Contract
//! No clock, no socket: a verb with `now`, then drain [`Aggregator::poll_transmit`], [`Aggregator::poll_response`] and
//! [`Aggregator::poll_event`], then look at [`Aggregator::collecting`], [`Aggregator::distributing`] and
//! [`Aggregator::poll_timeout`]. Frames are taken from members in `collecting` and sent by those in `distributing`.
//!
//! # Choices that the standard leaves open
//! - There is one Aggregator for each LAG, and it takes no port whose partner was never heard or fell silent (Defaulted): a link
//!   that nobody speaks LACP on carries nothing.
//! - It keeps its partner as long as any port has it; then it takes the one that most ports hear. Ports with another partner, or
//!   that hear this very system, stay out and say so.
//! - The wait before attaching (Aggregate_Wait_Time) ends early when every port of the LAG is there: nobody else can come.
//! - A port that is taken out of service (standby) goes on collecting until the partner no longer distributes, a second at most: what is
//!   on its way is not lost.
//!
//! # Invariants
//! 1. A port distributes only while its partner says that it collects.
//! 2. At most three LACPDUs of a port in any second (§6.4.16), at most ten answers to markers.
//! 3. A PDU that is refused changes a counter and nothing else.
//! 4. Nothing is allocated after `new`, [`Aggregator::status`] aside.
//!
//! # What is absent
//! Version 2 and what belongs to it (conversations, §6.6), the Marker generator (§6.5.4.1: a flow moves at once), ports beyond those of the LAG
//! on standby by priority, LACP in clear beside the SecY.

mod aggregator;
mod carry;
mod churn;
mod mux;
mod params;
mod pdu;
mod periodic;
mod port;
mod receive;
mod selection;
mod state;
mod status;
#[cfg(test)]
mod tests;

use core::time::Duration;

pub use self::{
    aggregator::Aggregator,
    churn::ChurnState,
    mux::MuxState,
    params::{LacpParams, MemberParams},
    pdu::{LACPDU_LEN, Lacpdu, MARKER_LEN, Marker, Pdu, Refusal},
    periodic::PeriodicState,
    receive::ReceiveState,
    selection::{Kept, Selected},
    state::{PortInfo, PortState},
    status::{LacpEvent, Left, MemberCounters, MemberStatus},
};

/// Fast_Periodic_Time (§6.4.4).
const FAST_PERIODIC: Duration = Duration::from_secs(1);
/// Slow_Periodic_Time (§6.4.4).
const SLOW_PERIODIC: Duration = Duration::from_secs(30);
/// Short_Timeout_Time (§6.4.4).
const SHORT_TIMEOUT: Duration = Duration::from_secs(3);
/// Long_Timeout_Time (§6.4.4).
const LONG_TIMEOUT: Duration = Duration::from_secs(90);
/// Aggregate_Wait_Time (§6.4.4).
const AGGREGATE_WAIT: Duration = Duration::from_secs(2);
/// Churn_Detection_Time (§6.4.4).
const CHURN_DETECTION: Duration = Duration::from_secs(60);
/// How long a port in standby goes on collecting when its partner does not say that it stopped.
const GRACE: Duration = Duration::from_secs(1);
