//! Routes that were looked up last.
//!
//! Frames of one flow come together: forty segments of a train ask the same two questions, where to and whether they may come from there. So the last
//! answer to each is kept, for the batch only: the tables change under it, each entry by itself.

use core::{cell::Cell, net::IpAddr};

use crate::{ConnectionId, tables::NextHop};

/// The last answer to one question.
#[derive(Debug, Default)]
pub(super) struct Recent(Cell<Option<Answer>>);

#[derive(Clone, Copy, Debug)]
struct Answer {
    connection: ConnectionId,
    address: IpAddr,
    next: Option<NextHop>,
}

impl Recent {
    /// The next hop of the route to `address`: as it was, or as it is found now.
    #[inline]
    pub(super) fn next_hop(
        &self,
        connection: ConnectionId,
        address: IpAddr,
        find: impl FnOnce() -> Option<NextHop>,
    ) -> Option<NextHop> {
        if let Some(last) = self.0.get()
            && last.address == address
            && last.connection == connection
        {
            return last.next;
        }
        let next = find();
        self.0.set(Some(Answer { connection, address, next }));
        next
    }

    /// Forgets it.
    #[inline]
    pub(super) fn forget(&self) {
        self.0.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_question_of_the_same_connection_is_answered_from_memory_and_only_until_forgotten() {
        let [red, blue] = [ConnectionId::at(0), ConnectionId::at(1)];
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let [old, new] = [Some(NextHop::Blackhole), Some(NextHop::Unreachable)];
        let recent = Recent::default();
        for (connection, address, found, answer) in [
            (red, one, old, old),
            (red, one, new, old),
            (blue, one, new, new),
            (red, one, old, old),
            (red, other, new, new),
            (red, one, None, None),
            (red, one, new, None),
        ] {
            assert_eq!(recent.next_hop(connection, address, || found), answer);
        }
        recent.forget();
        assert_eq!(recent.next_hop(red, one, || new), new);
    }
}
