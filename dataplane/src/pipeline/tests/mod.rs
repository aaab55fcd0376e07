//! Two gateways, their channels joined in memory, and what crosses between their LANs.

mod bench_world;
mod forwarding;
mod hostile;
mod wire;

pub(crate) use bench_world::{Side, World, udp};
