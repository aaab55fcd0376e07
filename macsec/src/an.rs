//! Association number: which of the four SAs of an SC a frame belongs to (802.1AE-2018 §7.1.3, §9.6).

use core::fmt;

/// An association number, 0..=3.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct An(u8);

impl An {
    /// All four, in order.
    pub const ALL: [Self; 4] = [Self(0), Self(1), Self(2), Self(3)];

    /// The association number, or `None` above 3.
    pub const fn new(an: u8) -> Option<Self> {
        if an <= 3 { Some(Self(an)) } else { None }
    }

    /// The two low bits of the third SecTAG octet (§9.6).
    pub(crate) const fn from_low_bits(octet: u8) -> Self {
        Self(octet & 0x03)
    }

    /// Its number, 0..=3.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The association number the next SAK takes: one higher, 0 after 3.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1) & 0x03)
    }
}

impl fmt::Display for An {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl net::carry::Carry for An {
    fn pack(&self, out: &mut net::carry::Parcel) {
        self.0.pack(out);
    }

    fn unpack(from: &mut net::carry::Opened<'_>) -> Option<Self> {
        Self::new(u8::unpack(from)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn association_numbers_are_0_to_3_and_go_round() {
        assert_eq!(An::new(4), None);
        let round: Vec<u8> = An::ALL.iter().map(|an| an.next().get()).collect();
        assert_eq!(round, [1, 2, 3, 0]);
        assert_eq!(An::from_low_bits(0xff).get(), 3);
    }
}
