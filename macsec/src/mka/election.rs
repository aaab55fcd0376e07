//! Key server election (802.1X-2020 §9.5): everybody computes it alone, from the same facts.
//!
//! The lowest Key Server Priority wins, then the lowest SCI, all eight octets of it: some compare only the MAC
//! address, which two channels of one system share. Priority 255 never wins. The Key Server flag of a peer does
//! not count: it says what the peer has concluded, and during a change it is late.

use super::params::NEVER_KEY_SERVER;
use crate::sci::Sci;

/// A member as the election sees it; ordered best first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Candidate {
    /// Its Key Server Priority.
    pub priority: u8,
    /// Its SCI.
    pub sci: Sci,
}

/// The key server among us and our live peers; `None` when nobody may be.
pub fn elect(members: impl IntoIterator<Item = Candidate>) -> Option<Candidate> {
    members.into_iter().filter(|member| member.priority != NEVER_KEY_SERVER).min()
}

net::carry!(Candidate { priority, sci });

#[cfg(test)]
mod tests {
    use net::MacAddr;

    use super::*;

    fn candidate(priority: u8, mac: u8, port: u16) -> Candidate {
        Candidate { priority, sci: Sci::new(MacAddr([2, 0, 0, 0, 0, mac]), port) }
    }

    // §9.5; Table 9-2 for 255.
    #[test]
    fn lowest_priority_then_lowest_sci_wins_and_255_never_does() {
        for (members, winner) in [
            (vec![], None),
            (vec![candidate(255, 1, 1)], None),
            (vec![candidate(255, 1, 1), candidate(254, 9, 1)], Some(1)),
            (vec![candidate(16, 1, 1), candidate(15, 9, 1)], Some(1)),
            (vec![candidate(16, 2, 1), candidate(16, 1, 1)], Some(1)),
            // Some implementations compare six octets and never agree here.
            (vec![candidate(16, 1, 2), candidate(16, 1, 1)], Some(1)),
            (vec![candidate(0, 9, 9), candidate(16, 1, 1)], Some(0)),
        ] {
            assert_eq!(elect(members.clone()), winner.map(|at: usize| members[at]), "{members:?}");
        }
    }
}
