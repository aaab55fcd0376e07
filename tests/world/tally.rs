//! Datagrams by number: what came of what was sent.

use std::collections::BTreeMap;

use crate::Side;

/// What became of numbered datagrams ([`crate::udp`], the number first in the data), seen from the hosts.
#[derive(Default)]
pub struct Tally {
    /// Numbers that came, and how often each did.
    pub came: BTreeMap<u64, u32>,
    /// Datagrams that came behind one of a higher number, of all that the same host got.
    pub reordered: u32,
    last: [u64; 2],
}

impl Tally {
    /// A datagram came to the host of this side.
    ///
    /// # Panics
    /// When it is too short to have a number.
    pub fn take(&mut self, to: Side, frame: &[u8]) {
        let number = u64::from_be_bytes(*frame[42..].first_chunk().unwrap());
        *self.came.entry(number).or_default() += 1;
        let last = &mut self.last[usize::from(to == Side::Left)];
        self.reordered += u32::from(*last > number);
        *last = number;
    }

    /// How many of the numbers below `sent` never came.
    pub fn lost(&self, sent: u64) -> u64 {
        (0..sent).map(|number| u64::from(!self.came.contains_key(&number))).sum()
    }

    /// How many came more than once.
    pub fn repeated(&self) -> usize {
        self.came.values().filter(|times| **times > 1).count()
    }
}
