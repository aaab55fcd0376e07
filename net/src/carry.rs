//! State that one process leaves to its successor, as octets.
//!
//! A gateway that restarts in order hands its successor what must go on without a break: packet numbers, keys, who its peers
//! are, when each was heard last. Both are programs of this house and run on the same machine, so this is no format for the
//! world: integers are little-endian, fields follow each other as their [`Carry`] says, nothing is named or tagged. Who
//! changes what a type carries changes the format's number (`gateway::handover`), and two programs that do not agree on it
//! hand over nothing.
//!
//! Octets may be keys: a [`Parcel`] wipes its memory, also when it grows. Whatever octets an [`Opened`] parcel holds, reading them
//! gives values or `None`.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use zeroize::{Zeroize, Zeroizing};

use crate::{EtherType, Instant, MacAddr};

/// Something that can be left to a successor.
pub trait Carry: Sized {
    /// Appends it.
    fn pack(&self, out: &mut Parcel);
    /// Takes it from the front; `None` when there is no such thing.
    fn unpack(from: &mut Opened<'_>) -> Option<Self>;
}

/// Octets on their way to a successor. They are wiped in the end.
#[derive(Default)]
pub struct Parcel(Zeroizing<Vec<u8>>);

impl Parcel {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends octets as they are.
    pub fn octets(&mut self, octets: &[u8]) {
        if self.0.capacity() - self.0.len() < octets.len() {
            // A vector that grows leaves what it held behind.
            let room = (self.0.len() + octets.len()).next_power_of_two().max(4096);
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
        self.0.extend_from_slice(octets);
    }

    /// Appends octets with their count in front.
    pub fn counted(&mut self, octets: &[u8]) {
        octets.len().pack(self);
        self.octets(octets);
    }

    /// All of them.
    pub fn as_octets(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Parcel({} octets)", self.0.len())
    }
}

/// What is left to read of a parcel.
#[derive(Clone, Copy)]
pub struct Opened<'a>(&'a [u8]);

impl<'a> Opened<'a> {
    /// Reads `octets` from their start.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The next `count` octets.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Octets that [`Parcel::counted`] wrote.
    pub fn counted(&mut self) -> Option<&'a [u8]> {
        let count = usize::unpack(self)?;
        self.take(count)
    }

    /// Nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl core::fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Opened({} octets)", self.0.len())
    }
}

/// Carries a struct field by field, in the order given; or a struct of one field without a name.
#[macro_export]
macro_rules! carry {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::carry::Carry for $type {
            fn pack(&self, out: &mut $crate::carry::Parcel) {
                $($crate::carry::Carry::pack(&self.$field, out);)+
            }

            fn unpack(from: &mut $crate::carry::Opened<'_>) -> Option<Self> {
                Some(Self { $($field: $crate::carry::Carry::unpack(from)?),+ })
            }
        }
    };
    ($type:ident (_)) => {
        impl $crate::carry::Carry for $type {
            fn pack(&self, out: &mut $crate::carry::Parcel) {
                $crate::carry::Carry::pack(&self.0, out);
            }

            fn unpack(from: &mut $crate::carry::Opened<'_>) -> Option<Self> {
                Some(Self($crate::carry::Carry::unpack(from)?))
            }
        }
    };
    ($type:ty = $($variant:ident $number:literal),+ $(,)?) => {
        impl $crate::carry::Carry for $type {
            fn pack(&self, out: &mut $crate::carry::Parcel) {
                let number: u8 = match self { $(Self::$variant => $number),+ };
                $crate::carry::Carry::pack(&number, out);
            }

            fn unpack(from: &mut $crate::carry::Opened<'_>) -> Option<Self> {
                match <u8 as $crate::carry::Carry>::unpack(from)? {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

macro_rules! carry_integers {
    ($($type:ty),+) => {$(
        impl Carry for $type {
            fn pack(&self, out: &mut Parcel) {
                out.octets(&self.to_le_bytes());
            }

            fn unpack(from: &mut Opened<'_>) -> Option<Self> {
                let octets = from.take(size_of::<Self>())?;
                Some(Self::from_le_bytes(octets.try_into().ok()?))
            }
        }
    )+};
}

carry_integers!(u8, u16, u32, u64, u128, i128);

impl Carry for usize {
    fn pack(&self, out: &mut Parcel) {
        u64::try_from(*self).unwrap_or(u64::MAX).pack(out);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        Self::try_from(u64::unpack(from)?).ok()
    }
}

impl Carry for NonZeroU8 {
    fn pack(&self, out: &mut Parcel) {
        self.get().pack(out);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        Self::new(u8::unpack(from)?)
    }
}

impl Carry for NonZeroU32 {
    fn pack(&self, out: &mut Parcel) {
        self.get().pack(out);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        Self::new(u32::unpack(from)?)
    }
}

impl Carry for bool {
    fn pack(&self, out: &mut Parcel) {
        u8::from(*self).pack(out);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        match u8::unpack(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<const N: usize> Carry for [u8; N] {
    fn pack(&self, out: &mut Parcel) {
        out.octets(self);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        from.take(N)?.try_into().ok()
    }
}

impl Carry for String {
    fn pack(&self, out: &mut Parcel) {
        out.counted(self.as_bytes());
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        core::str::from_utf8(from.counted()?).ok().map(Self::from)
    }
}

impl<T: Carry> Carry for Option<T> {
    fn pack(&self, out: &mut Parcel) {
        self.is_some().pack(out);
        if let Some(one) = self {
            one.pack(out);
        }
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        Some(if bool::unpack(from)? { Some(T::unpack(from)?) } else { None })
    }
}

impl<T: Carry> Carry for Arc<T> {
    fn pack(&self, out: &mut Parcel) {
        T::pack(self, out);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        T::unpack(from).map(Self::new)
    }
}

impl<A: Carry, B: Carry> Carry for (A, B) {
    fn pack(&self, out: &mut Parcel) {
        self.0.pack(out);
        self.1.pack(out);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        Some((A::unpack(from)?, B::unpack(from)?))
    }
}

macro_rules! carry_many {
    ($($many:ty where $($bound:ident $limit:path),+;)+) => {$(
        impl<$($bound: Carry + $limit),+> Carry for $many {
            fn pack(&self, out: &mut Parcel) {
                self.len().pack(out);
                for one in self {
                    pack_one(one, out);
                }
            }

            fn unpack(from: &mut Opened<'_>) -> Option<Self> {
                let count = usize::unpack(from)?;
                // Collected one by one: a count that lies reserves nothing.
                (0..count).map(|_| Carry::unpack(from)).collect()
            }
        }
    )+};
}

/// An element of a collection, or a pair of references to a key and what it leads to.
trait Element {
    fn pack_into(self, out: &mut Parcel);
}

impl<T: Carry> Element for &T {
    fn pack_into(self, out: &mut Parcel) {
        self.pack(out);
    }
}

impl<K: Carry, V: Carry> Element for (&K, &V) {
    fn pack_into(self, out: &mut Parcel) {
        self.0.pack(out);
        self.1.pack(out);
    }
}

fn pack_one(one: impl Element, out: &mut Parcel) {
    one.pack_into(out);
}

carry_many! {
    Vec<T> where T Sized;
    VecDeque<T> where T Sized;
    BTreeSet<T> where T Ord;
    BTreeMap<K, V> where K Ord, V Sized;
}

impl Carry for Instant {
    fn pack(&self, out: &mut Parcel) {
        self.as_nanos().pack(out);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        Some(Self::from_nanos(u64::unpack(from)?))
    }
}

impl Carry for Duration {
    fn pack(&self, out: &mut Parcel) {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX).pack(out);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        Some(Self::from_nanos(u64::unpack(from)?))
    }
}

impl Carry for IpAddr {
    fn pack(&self, out: &mut Parcel) {
        match self {
            Self::V4(ip) => (false, ip.octets()).pack(out),
            Self::V6(ip) => (true, ip.octets()).pack(out),
        }
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        Some(if bool::unpack(from)? {
            Ipv6Addr::from(<[u8; 16]>::unpack(from)?).into()
        } else {
            Ipv4Addr::from(<[u8; 4]>::unpack(from)?).into()
        })
    }
}

carry!(MacAddr(_));

impl Carry for EtherType {
    fn pack(&self, out: &mut Parcel) {
        self.get().pack(out);
    }

    fn unpack(from: &mut Opened<'_>) -> Option<Self> {
        Some(Self::new(u16::unpack(from)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Kind {
        One,
        Two,
    }
    carry!(Kind = One 1, Two 2);

    #[derive(Debug, PartialEq)]
    struct Thing {
        kind: Kind,
        names: Vec<String>,
        times: VecDeque<(Instant, u64)>,
        by: BTreeMap<u16, Option<IpAddr>>,
        set: BTreeSet<[u8; 3]>,
        rest: (bool, Duration),
    }
    carry!(Thing { kind, names, times, by, set, rest });

    fn thing() -> Thing {
        Thing {
            kind: Kind::Two,
            names: vec!["ch1".to_owned(), String::new()],
            times: [(Instant::from_nanos(7), u64::MAX), (Instant::FAR_FUTURE, 0)].into(),
            by: [
                (1, None),
                (2, Some("192.0.2.1".parse().unwrap())),
                (3, Some("2001:db8::1".parse().unwrap())),
            ]
            .into(),
            set: [[1, 2, 3], [0, 0, 0]].into(),
            rest: (true, Duration::from_millis(1500)),
        }
    }

    #[test]
    fn what_was_packed_is_what_is_unpacked_and_nothing_is_left() {
        let mut parcel = Parcel::new();
        thing().pack(&mut parcel);
        parcel.counted(&[9; 5000]);
        let mut opened = Opened::new(parcel.as_octets());
        assert_eq!(Thing::unpack(&mut opened), Some(thing()));
        assert_eq!(opened.counted(), Some([9; 5000].as_slice()));
        assert!(opened.is_empty());
        assert!(!format!("{parcel:?} {opened:?}").contains('9'), "it shows its length only");
    }

    #[test]
    fn a_parcel_that_was_cut_or_lies_about_its_counts_holds_nothing() {
        let mut parcel = Parcel::new();
        thing().pack(&mut parcel);
        let whole = parcel.as_octets();
        for cut in 0..whole.len() {
            assert_eq!(Thing::unpack(&mut Opened::new(&whole[..cut])), None, "{cut}");
        }
        for at in 0..whole.len() {
            let mut spoilt = whole.to_vec();
            spoilt[at] = 0xff;
            // Something else, or nothing; and no memory for what is not there.
            let _something = Thing::unpack(&mut Opened::new(&spoilt));
        }
        assert_eq!(Kind::unpack(&mut Opened::new(&[3])), None);
        assert_eq!(bool::unpack(&mut Opened::new(&[2])), None);
    }
}
