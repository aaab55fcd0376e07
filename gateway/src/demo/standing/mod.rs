//! The demo's two sites as a lab that stays: `quadspan lab up`, then `cut`, `blackhole`, `lossy`, `delay`, `heal`, `down`.
//!
//! One process of this same program holds everything ([`serve`]): the namespaces, the wires between the gateways
//! ([`crate::lab::wire`]), the two gateways as its children. It listens on a unix socket in the lab's folder
//! ([`Place`]), and every other `lab` command is a [`Request`] to it ([`ask`]), a line of JSON each way. So no command
//! needs to enter a namespace, and none needs root.
//!
//! Invariants: the lab ends with that process, however it ends, and with it all that it started, and nothing else;
//! folder and socket are the user's own and nobody else's; a gateway that dies is reported, and the lab stays.

mod client;
mod hold;
mod place;
mod request;
mod server;
mod status;

pub use self::client::{AskError, ask, down, up};
pub use self::place::{Place, PlaceError};
pub use self::request::{Answer, Change, Mode, Request, Setup};
pub use self::server::serve;
pub use self::status::{GatewayState, NodeLine, Status};
