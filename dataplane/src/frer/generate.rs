//! The sequence generation function, §7.4.1.

/// Numbers for the frames of one stream: 0, 1, .. 65,535, 0, ..
#[derive(Clone, Debug, Default)]
pub struct SequenceGeneration {
    next: u16,
    generated: u64,
}

impl SequenceGeneration {
    /// SequenceGenerationReset, §7.4.1.3: the first number is 0.
    pub const fn new() -> Self {
        Self { next: 0, generated: 0 }
    }

    /// SequenceGenerationAlgorithm, §7.4.1.4: the number of the next frame (GenSeqNum), modulo GenSeqSpace.
    pub const fn take(&mut self) -> u16 {
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        self.generated += 1;
        sequence
    }

    /// Goes on at `next`, as a predecessor would have.
    pub const fn resume(&mut self, next: u16) {
        self.next = next;
    }

    /// What [`take`](Self::take) will give.
    pub const fn next(&self) -> u16 {
        self.next
    }

    /// Numbers given so far.
    pub const fn generated(&self) -> u64 {
        self.generated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_zero_and_wrap_after_65535() {
        let mut generation = SequenceGeneration::new();
        let numbers: Vec<_> = (0..65_538).map(|_| generation.take()).collect();
        assert_eq!((numbers[0], numbers[1], numbers[65_535], numbers[65_536]), (0, 1, 65_535, 0));
        assert_eq!(generation.generated(), 65_538);
    }
}
