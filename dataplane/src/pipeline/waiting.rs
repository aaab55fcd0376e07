//! Which ports have frames to be sent: a bit each, so that a gateway with hundreds of ports looks at those that do.

use crate::PortId;

/// A set of ports.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<u64>);

impl Waiting {
    /// None of so many ports.
    pub(super) fn none_of(ports: usize) -> Self {
        Self(vec![0; ports.div_ceil(64)])
    }

    /// This one has frames.
    #[inline]
    pub(super) fn add(&mut self, port: PortId) {
        if let Some(word) = self.0.get_mut(port.index() / 64) {
            *word |= 1 << (port.index() % 64);
        }
    }

    /// The first of those that have; it is taken out.
    pub(super) fn take(&mut self) -> Option<PortId> {
        let at = self.0.iter().position(|word| *word != 0)?;
        let word = self.0.get_mut(at)?;
        let bit = usize::try_from(word.trailing_zeros()).ok()?;
        *word &= *word - 1;
        Some(PortId::at(at * 64 + bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_once_and_in_order() {
        let mut waiting = Waiting::none_of(200);
        assert_eq!(waiting.take(), None);
        for port in [199, 0, 64, 63, 64] {
            waiting.add(PortId(port));
        }
        // No port of this gateway.
        waiting.add(PortId(4000));
        let all: Vec<_> = core::iter::from_fn(|| waiting.take()).map(|port| port.0).collect();
        assert_eq!(all, [0, 63, 64, 199]);
        assert_eq!(waiting.take(), None);
    }
}
