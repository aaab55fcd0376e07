//! A channel: clear tags, a SecY, and what speaks against using it.

use macsec::{An, SecY};
use net::{Instant, VlanTag};

use crate::{
    ChannelSetup, Fault, Faults, Frame, PortId,
    demux::Demux,
    verdict::{DropCounters, DropReason},
    vlan,
};

/// One MACsec-protected link to one peer. Owned by one worker.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) port: PortId,
    pub(crate) secy: SecY,
    pub(crate) drops: DropCounters,
    pub(crate) counters: ChannelCounters,
    /// The attachments, by the tag inside the ciphertext.
    pub(crate) inner: Demux,
    /// Clear tags, outer first.
    clear_tags: Vec<VlanTag>,
    faults: Faults,
    /// When `faults` last changed.
    pub(crate) since: Instant,
    /// Frames that wait for the end of the batch to be protected together.
    pub(crate) queue: Vec<Frame>,
    reservation: Reservation,
    /// One bit for each AN whose exhaustion was told.
    exhausting: u8,
}

/// Frames and octets before protection and after validation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ChannelCounters {
    /// Frames accepted by the SecY.
    pub rx_frames: u64,
    /// Their octets, without SecTAG and ICV.
    pub rx_octets: u64,
    /// Frames protected and handed to the port.
    pub tx_frames: u64,
    /// Their octets, without SecTAG and ICV.
    pub tx_octets: u64,
}

/// How many packet numbers the control plane reserved on disk and are not used yet.
#[derive(Clone, Copy, Debug, Default)]
struct Reservation {
    an: u8,
    left: u64,
    low: u64,
    asked: bool,
}

impl Channel {
    pub(crate) fn new(setup: &ChannelSetup, secy: SecY, inner: Demux, queue: usize) -> Self {
        Self {
            port: setup.port,
            secy,
            drops: DropCounters::default(),
            counters: ChannelCounters::default(),
            inner,
            clear_tags: setup.clear_tags.clone(),
            faults: Faults::NONE,
            since: Instant::ZERO,
            queue: Vec::with_capacity(queue),
            reservation: Reservation::default(),
            exhausting: 0,
        }
    }

    /// All that speaks against using the channel now.
    pub(crate) const fn faults(&self) -> Faults {
        self.faults
    }

    /// Adds or removes a fault. True when that is news.
    pub(crate) fn set_fault(&mut self, fault: Fault, present: bool, now: Instant) -> bool {
        let before = self.faults;
        self.faults.set(fault, present);
        let news = before != self.faults;
        if news {
            self.since = now;
        }
        news
    }

    /// Packet numbers up to `limit` may be used by the SA with this AN; ask for more when `low` are left.
    pub(crate) fn reserve(&mut self, an: An, next_pn: u64, limit: u64, low: u64) {
        self.reservation = Reservation { an: an.get(), left: limit.saturating_sub(next_pn), low, asked: false };
    }

    /// After `frames` were protected: the AN whose reservation runs low, once per reservation.
    pub(crate) fn spend(&mut self, frames: u64) -> Option<u8> {
        let reservation = &mut self.reservation;
        if reservation.low == 0 {
            return None;
        }
        reservation.left = reservation.left.saturating_sub(frames);
        let ask = reservation.left < reservation.low && !core::mem::replace(&mut reservation.asked, true);
        if reservation.left >= reservation.low {
            reservation.asked = false;
        }
        ask.then_some(reservation.an)
    }

    /// True the first time that the numbers of this SA are said to run out.
    pub(crate) fn news_of_exhaustion(&mut self, an: An) -> bool {
        let bit = 1 << an.get();
        let news = self.exhausting & bit == 0;
        self.exhausting |= bit;
        news
    }

    /// A new SA took this AN: its numbers are fresh.
    pub(crate) fn forget_exhaustion(&mut self, an: An) {
        self.exhausting &= !(1 << an.get());
    }

    /// Puts the clear tags in front of the SecTAG.
    pub(crate) fn push_clear_tags(&self, frame: &mut Frame) -> Result<(), DropReason> {
        let pushed = self.clear_tags.iter().rev().all(|&tag| vlan::push(frame, tag));
        if pushed { Ok(()) } else { Err(DropReason::Oversized) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_asks_once_when_it_runs_low() {
        let mut reservation = Reservation { an: 1, left: 10, low: 4, asked: false };
        let mut asked = 0;
        for _ in 0..10 {
            reservation.left = reservation.left.saturating_sub(1);
            if reservation.left < reservation.low && !core::mem::replace(&mut reservation.asked, true) {
                asked += 1;
            }
        }
        assert_eq!(asked, 1);
    }
}
