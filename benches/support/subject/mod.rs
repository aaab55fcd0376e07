//! What is measured, ready to be measured: by time (`benches/*.rs`) and by instructions (`benches/instructions`).

mod lan_to_lan;
mod link;
pub mod tables;
mod train;

pub use lan_to_lan::{LanToLan, TRAIN, TRAINS};
pub use link::Link;
pub use train::Train;
