//! The BFD sessions of an attachment: one with each of its peers (RFC 5881 §2: one for each address family).

use config::model as words;
use dataplane::bfd::{BfdMode, BfdParams, BfdTimers, Hops};

/// None without `[connection.attachment.bfd]`, or when that says `off`.
pub(super) fn sessions(attachment: &words::Attachment) -> Vec<BfdParams> {
    let Some(bfd) = &attachment.bfd else { return Vec::new() };
    let mode = match bfd.mode {
        words::BfdMode::Off => return Vec::new(),
        words::BfdMode::Follow => BfdMode::Follow,
        words::BfdMode::Strict => BfdMode::Strict,
    };
    // The configuration's check has the same limits.
    let Ok(timers) = BfdTimers::new(bfd.min_tx, bfd.min_rx, bfd.multiplier) else { return Vec::new() };
    attachment.peers.iter().map(|&peer| BfdParams { peer, timers, mode, hops: Hops::One }).collect()
}
