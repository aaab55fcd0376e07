//! Which attachments may carry traffic, known to every worker within one batch.
//!
//! An attachment is live when nothing speaks against it: its port has carrier, its channel is secured (or
//! allowed to be in clear), its BFD session (once there is one) is up, and nobody drained it. The worker that
//! owns the channel decides that from its [`Faults`] and writes one bit to the [`Board`]; all workers look
//! at the board's epoch once per batch and choose again when it moved.
//!
//! A drain, a path too narrow for IPv6, a bad quality or a history of losses does not make a path useless: an attachment with nothing worse than these is a *reserve*, which carries
//! what no live one can. So neither a planned work nor a measurement takes the last path away.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::InterfaceId;

/// What can speak against a channel or an attachment.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// The port's device is down or gone.
    PortDown,
    /// The port has no carrier.
    NoCarrier,
    /// There is no route to the tunnel's peer.
    NoRoute,
    /// An operator rehearses a failure.
    Drill,
    /// MACsec is required, and MKA has agreed on no key.
    MkaDown,
    /// MACsec is required and there is no SA to send with.
    NotSecured,
    /// LACP: the channel carries nothing for its LAG, or too few members of the LAG do.
    LacpDown,
    /// BFD says the path is gone.
    BfdDown,
    /// The tunnel's path carries less than IPv6 needs, and the attachment has IPv6 addresses.
    NarrowPath,
    /// The path is up but too bad to use.
    Quality,
    /// It is up again, but was lost again and again: it waits ([`crate::damping`]).
    Flapping,
    /// An operator drained it.
    Drained,
}

impl Fault {
    /// All, the most fundamental first.
    pub const ALL: &[Self] = &[
        Self::PortDown,
        Self::NoCarrier,
        Self::NoRoute,
        Self::Drill,
        Self::MkaDown,
        Self::NotSecured,
        Self::LacpDown,
        Self::BfdDown,
        Self::NarrowPath,
        Self::Quality,
        Self::Flapping,
        Self::Drained,
    ];

    /// The name in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::PortDown => "port_down",
            Self::NoCarrier => "no_carrier",
            Self::NoRoute => "no_route",
            Self::Drill => "drill",
            Self::MkaDown => "mka_down",
            Self::NotSecured => "not_secured",
            Self::LacpDown => "lacp_down",
            Self::BfdDown => "bfd_down",
            Self::NarrowPath => "narrow_path",
            Self::Quality => "quality",
            Self::Flapping => "flapping",
            Self::Drained => "drained",
        }
    }

    const fn bit(self) -> u16 {
        match self {
            Self::PortDown => 1,
            Self::NoCarrier => 2,
            Self::MkaDown => 4,
            Self::NotSecured => 8,
            Self::BfdDown => 16,
            Self::Quality => 32,
            Self::Drained => 64,
            Self::NoRoute => 128,
            Self::Drill => 256,
            Self::LacpDown => 512,
            Self::Flapping => 1024,
            Self::NarrowPath => 2048,
        }
    }
}

/// A set of faults. Empty means live.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Faults(u16);

net::carry!(Faults(_));

impl Faults {
    /// Nothing speaks against it.
    pub const NONE: Self = Self(0);

    /// True when nothing speaks against it.
    pub const fn is_live(self) -> bool {
        self.0 == 0
    }

    /// Adds or removes one fault.
    pub const fn set(&mut self, fault: Fault, present: bool) {
        if present {
            self.0 |= fault.bit();
        } else {
            self.0 &= !fault.bit();
        }
    }

    /// True when this fault is in the set.
    pub const fn has(self, fault: Fault) -> bool {
        self.0 & fault.bit() != 0
    }

    /// True when nothing at all can be sent: the link is down, there is no key, or LACP has not agreed.
    pub fn is_cut(self) -> bool {
        use Fault::{Drill, LacpDown, MkaDown, NoCarrier, NoRoute, NotSecured, PortDown};
        [PortDown, NoCarrier, NoRoute, Drill, NotSecured, MkaDown, LacpDown]
            .iter()
            .any(|fault| self.has(*fault))
    }

    /// True when it carries what nothing live can: at worst it is drained, too narrow for IPv6, of bad quality, or waits.
    pub const fn is_reserve(self) -> bool {
        use Fault::{Drained, Flapping, NarrowPath, Quality};
        self.0 & !(Drained.bit() | NarrowPath.bit() | Quality.bit() | Flapping.bit()) == 0
    }

    /// True when something broke, and nobody meant it to.
    pub const fn is_broken(self) -> bool {
        !Self(self.0 & !Fault::Drill.bit()).is_reserve()
    }

    /// The faults of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The faults that both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The most fundamental fault: the reason to show.
    pub fn first(self) -> Option<Fault> {
        Fault::ALL.iter().copied().find(|&fault| self.has(fault))
    }
}

/// One bit per interface, shared by all workers. A LAN interface's bit is always set.
#[derive(Debug)]
pub struct Board {
    epoch: AtomicU64,
    live: Vec<AtomicU64>,
    /// Those that may carry what no live one can; the live ones among them.
    reserve: Vec<AtomicU64>,
    /// Attachments that were chosen to carry their connection's traffic (`active-standby`).
    chosen: Vec<AtomicU64>,
}

impl Board {
    /// A board for `interfaces` interfaces, none of them live.
    pub fn new(interfaces: usize) -> Arc<Self> {
        let words = interfaces.div_ceil(64);
        let none = || (0..words).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { epoch: AtomicU64::new(0), live: none(), reserve: none(), chosen: none() })
    }

    /// Moves whenever a bit moved.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether the interface may carry traffic.
    pub fn is_live(&self, interface: InterfaceId) -> bool {
        read(&self.live, interface)
    }

    /// Whether the interface may carry what no live one can. True of live ones, too.
    pub fn is_reserve(&self, interface: InterfaceId) -> bool {
        read(&self.reserve, interface)
    }

    /// Whether the attachment was chosen to carry its connection's traffic. It may have died since.
    pub fn is_chosen(&self, attachment: InterfaceId) -> bool {
        read(&self.chosen, attachment)
    }

    /// Chooses the attachment, or no longer. True when that is news. Only the worker that decides for its connection may.
    pub fn choose(&self, attachment: InterfaceId, chosen: bool) -> bool {
        self.write(&self.chosen, attachment, chosen)
    }

    /// Says whether the interface may carry traffic; a live one is a reserve, too. True when that is news.
    pub fn set(&self, interface: InterfaceId, live: bool) -> bool {
        self.put(interface, if live { Faults::NONE } else { Faults(u16::MAX) })
    }

    /// Says what speaks against the interface. True when it becomes live, a reserve, or neither by that.
    pub fn put(&self, interface: InterfaceId, faults: Faults) -> bool {
        let moved = self.write(&self.reserve, interface, faults.is_reserve());
        self.write(&self.live, interface, faults.is_live()) || moved
    }

    fn write(&self, words: &[AtomicU64], interface: InterfaceId, set: bool) -> bool {
        let Some(word) = words.get(interface.index() / 64) else { return false };
        let bit = 1u64 << (interface.index() % 64);
        let before =
            if set { word.fetch_or(bit, Ordering::AcqRel) } else { word.fetch_and(!bit, Ordering::AcqRel) };
        let news = (before & bit != 0) != set;
        if news {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        news
    }
}

fn read(words: &[AtomicU64], interface: InterfaceId) -> bool {
    let word = words.get(interface.index() / 64).map_or(0, |word| word.load(Ordering::Acquire));
    word >> (interface.index() % 64) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_fundamental_fault_is_the_reason() {
        let mut faults = Faults::NONE;
        for &fault in Fault::ALL.iter().rev() {
            faults.set(fault, true);
            assert_eq!(faults.first(), Some(fault));
        }
        Fault::ALL.iter().for_each(|&fault| faults.set(fault, false));
        assert!(faults.is_live() && faults.first().is_none());
    }

    #[test]
    fn what_is_drained_or_bad_is_a_reserve_and_what_is_broken_is_none() {
        for &fault in Fault::ALL {
            let mut faults = Faults::NONE;
            faults.set(fault, true);
            let soft = matches!(fault, Fault::Drained | Fault::NarrowPath | Fault::Quality | Fault::Flapping);
            assert_eq!((faults.is_live(), faults.is_reserve()), (false, soft), "{fault:?}");
            let board = Board::new(1);
            assert!(board.set(InterfaceId(0), true) && board.put(InterfaceId(0), faults));
            assert_eq!((board.is_live(InterfaceId(0)), board.is_reserve(InterfaceId(0))), (false, soft));
            assert!(!board.put(InterfaceId(0), faults));
        }
    }

    #[test]
    fn the_epoch_moves_only_with_news() {
        let board = Board::new(100);
        assert!(board.set(InterfaceId(99), true));
        assert!(!board.set(InterfaceId(99), true));
        assert!(!board.set(InterfaceId(5), false));
        assert!(!board.set(InterfaceId(9999), true));
        assert_eq!(
            (board.epoch(), board.is_live(InterfaceId(99)), board.is_live(InterfaceId(98))),
            (2, true, false)
        );
    }
}
