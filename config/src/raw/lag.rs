//! `[[lag]]`: channels that carry frames as one.

use super::{
    kinds::{Int, List, Mac, Name},
    section::{section, words},
};

section! {
    /// Channels to one system that carry frames as one, agreed with LACP (IEEE 802.1AX).
    pub(crate) Lag = "[[lag]]" {
        /// Its name in this file; no channel has it.
        name: Name => required;
        /// The channels that are its members. The first one's MAC address is that of the LAG.
        members: List<Name> => required;
        /// Whether we speak before the peer does.
        mode: LagMode => default(LagMode::Active);
        /// How soon a silent peer is given up, and how often it is asked to speak.
        timers: LagTimers => default(LagTimers::Fast);
        /// With fewer members that carry frames, the attachments on the LAG are down.
        min_links: Int<u8, 1, 16> => default(1);
        /// LACP's system priority: the lower one decides where the two ends disagree.
        system_priority: Int<u16, 0, 65_535> => default(32_768);
        /// LACP's key. Default: the place of the LAG in this file, from 1.
        key: Int<u16, 1, 65_535> => optional;
        /// Our MAC address on all members, and LACP's system. Default: that of the first member's device.
        mac: Mac => optional;
    }
}

words! {
    /// Whether LACP speaks unasked.
    pub enum LagMode {
        /// It does.
        Active = "active",
        /// It answers only: the peer must be active.
        Passive = "passive",
    }
    later { "static": "every LAG speaks LACP here: use \"active\", which clouds want too"; }
}

words! {
    /// How patient LACP is.
    pub enum LagTimers {
        /// A LACPDU every second; a peer that is silent for 3 seconds is gone.
        Fast = "fast",
        /// A LACPDU every 30 seconds; a peer that is silent for 90 seconds is gone.
        Slow = "slow",
    }
}
