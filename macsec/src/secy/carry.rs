//! What a SecY leaves to its successor in another process: no keys, only how far each was used.
//!
//! The successor makes the same SAs, from the keys that its KaY or its configuration has, and goes on behind these numbers: the
//! next packet number is exact, because whoever left it sends no more, so no nonce comes twice and none is skipped; the
//! windows are those that there were, so nothing is accepted twice.

use std::collections::VecDeque;

use net::{
    Instant,
    carry::{Opened, Parcel},
};

use super::SecY;
use crate::{an::An, error::LmiError, key::Fingerprint, replay::ReplayWindow, sci::Sci};

/// How far the keys of a SecY were used, as its predecessor left it.
#[derive(Debug)]
pub struct SecyNumbers {
    sci: Sci,
    encoding: Option<An>,
    transmit: Vec<Sent>,
    receive: Vec<Received>,
    used: VecDeque<(Fingerprint, u64)>,
}

/// A transmit SA.
#[derive(Debug)]
struct Sent {
    an: An,
    key: Fingerprint,
    /// What the next frame gets, and the last that may be used.
    next: u64,
    last: u64,
}
net::carry!(Sent { an, key, next, last });

/// A receive SA.
#[derive(Debug)]
struct Received {
    sci: Sci,
    an: An,
    key: Fingerprint,
    in_use: bool,
    window: Vec<u8>,
}
net::carry!(Received { sci, an, key, in_use, window });
net::carry!(SecyNumbers { sci, encoding, transmit, receive, used });

impl SecY {
    /// How far each of its keys was used. It must neither send nor receive any more afterwards.
    pub fn numbers(&self) -> SecyNumbers {
        let transmit = self.transmit.sas.iter().map(|(an, sa)| Sent {
            an,
            key: sa.keyed.fingerprint,
            next: sa.pns.next_pn(),
            last: sa.pns.last(),
        });
        let receive = self.receive.scs.iter().flat_map(|sc| {
            sc.sas.iter().map(|(an, sa)| {
                let mut window = Parcel::new();
                sa.window.pack(&mut window);
                let window = window.as_octets().to_vec();
                Received { sci: sc.sci, an, key: sa.keyed.fingerprint, in_use: sa.in_use, window }
            })
        });
        SecyNumbers {
            sci: self.policy.sci,
            encoding: self.transmit.encoding,
            transmit: transmit.collect(),
            receive: receive.collect(),
            used: self.used_keys.0.clone(),
        }
    }

    /// Goes on where `numbers` end, with the receive SAs that were made meanwhile: each that has the key of one that is left gets
    /// its window, and is in use when that was. Keys that were used up before stay refused. Transmit SAs are made with
    /// [`SecyNumbers::next_pn`] first; the one that was encodingSA is that again.
    pub fn resume(&mut self, numbers: &SecyNumbers, now: Instant) {
        self.used_keys.0.extend(&numbers.used);
        let strict = self.policy.strict_replay;
        for left in &numbers.receive {
            let Some(sc) = self.receive.sc_mut(left.sci) else { continue };
            let Some(sa) = sc.sas.get_mut(left.an).filter(|sa| sa.keyed.fingerprint == left.key) else {
                continue;
            };
            let width = self.policy.window_for(sa.keyed.suite);
            match ReplayWindow::unpack(&mut Opened::new(&left.window), (width, strict)) {
                Some(window) => sa.window = window,
                // Without its numbers it could accept what was accepted before.
                None => {
                    sc.sas.take(left.an);
                    continue;
                }
            }
            let _known: Result<(), LmiError> = match left.in_use {
                true => self.enable_receive_sa(left.sci, left.an, now),
                false => self.disable_receive_sa(left.sci, left.an, now),
            };
        }
        let same = |an: &An| {
            let sa = self.transmit.sas.get(*an);
            sa.is_some_and(|sa| {
                numbers.transmit.iter().any(|left| left.an == *an && left.key == sa.keyed.fingerprint)
            })
        };
        if let Some(an) = numbers.encoding.filter(same) {
            let _there = self.enable_transmit_sa(an, now);
        }
    }
}

impl SecyNumbers {
    /// The SCI of the SecY that left them: no other one may use them.
    pub const fn sci(&self) -> Sci {
        self.sci
    }

    /// What the next frame under this key gets, and the last packet number that may be used; `None` when no transmit SA had it.
    /// [`u64::MAX`] as next one also says that all are used up.
    pub fn next_pn(&self, an: An, key: Fingerprint) -> Option<(u64, u64)> {
        let left = self.transmit.iter().find(|left| left.an == an && left.key == key)?;
        Some((left.next, left.last))
    }
}

#[cfg(test)]
mod tests {
    use net::carry::Carry as _;

    use super::*;

    // What comes from another process may be anything; it makes no window that the invariants do not know.
    #[test]
    fn a_window_that_no_window_leaves_is_none() {
        let left = |highest: u64, floor: u64, width: u32, words: Option<Vec<u64>>| {
            let mut parcel = Parcel::new();
            (highest, floor).pack(&mut parcel);
            width.pack(&mut parcel);
            words.pack(&mut parcel);
            parcel.as_octets().to_vec()
        };
        let open = |octets: &[u8]| ReplayWindow::unpack(&mut Opened::new(octets), (100, true));
        assert!(open(&left(10, 10, 0, None)).is_some());
        assert!(open(&left(10, 11, 0, None)).is_none(), "a floor above the highest");
        assert!(open(&left(300, 100, 100, None)).is_none(), "a window that is too wide");
        assert!(open(&left(100, 50, 100, Some(vec![0; 3]))).is_none(), "another number of words");
        assert!(open(&left(100, 50, 100, Some(vec![0; 4]))).is_some());
        assert!(open(&left(100, 50, u32::MAX, Some(vec![0; 4]))).is_none());
        assert!(open(&[]).is_none());
    }
}
