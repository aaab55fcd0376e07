//! A channel: clear tags, a SecY, and what speaks against using it.

use macsec::{An, SecY, clear_tags};
use net::{EtherType, Instant, PacketBuf, VlanTag};

use crate::{
    ChannelSetup, Fault, Faults, Frame, InterfaceId, LagId, PortId, Rehearsal,
    demux::Demux,
    key_agreement::KeyAgreement,
    verdict::{DropCounters, DropReason},
};

/// One MACsec-protected link to one peer. Owned by one worker.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) port: PortId,
    pub(crate) secy: SecY,
    /// The LAG that it is a member of, and its place there.
    pub(crate) lag: Option<(LagId, usize)>,
    /// Its KaY, once started. Large, and none of a data frame's business.
    pub(crate) mka: Option<Box<KeyAgreement>>,
    /// Frames of this EtherType are MKA's.
    pub(crate) eapol: EtherType,
    pub(crate) drops: DropCounters,
    pub(crate) counters: ChannelCounters,
    /// The attachments, by the tag inside the ciphertext.
    pub(crate) inner: Demux,
    /// Clear tags, outer first.
    clear_tags: Vec<VlanTag>,
    faults: Faults,
    /// When `faults` last changed.
    pub(crate) since: Instant,
    /// The drill that lasts, or the last one.
    pub(crate) rehearsal: Option<Rehearsal>,
    /// When its SecY last accepted a frame.
    pub(crate) heard: Option<Instant>,
    /// Frames that wait for the end of the batch to be protected together.
    pub(crate) queue: Vec<Queued>,
    /// Ask for more packet numbers when fewer than this are left; 0: never.
    low: u64,
    /// It asked, and nothing came yet.
    asked: bool,
    /// One bit for each AN whose exhaustion was told.
    exhausting: u8,
}

/// A frame that waits to be protected, and the attachment that it leaves by.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) attachment: InterfaceId,
    pub(crate) frame: Frame,
}

impl AsMut<PacketBuf> for Queued {
    fn as_mut(&mut self) -> &mut PacketBuf {
        &mut self.frame.buf
    }
}

/// Frames and octets before protection and after validation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ChannelCounters {
    /// Frames accepted by the SecY.
    pub rx_frames: u64,
    /// Their octets, without SecTAG and ICV.
    pub rx_octets: u64,
    /// Frames protected and handed to the port.
    pub tx_frames: u64,
    /// Their octets, without SecTAG and ICV.
    pub tx_octets: u64,
}

impl Channel {
    pub(crate) fn new(setup: &ChannelSetup, secy: SecY, inner: Demux, queue: usize) -> Self {
        Self {
            port: setup.port,
            secy,
            lag: None,
            mka: None,
            eapol: setup.mka.as_ref().map_or(EtherType::EAPOL, |params| params.ethertype),
            drops: DropCounters::default(),
            counters: ChannelCounters::default(),
            inner,
            clear_tags: setup.clear_tags.clone(),
            faults: Faults::NONE,
            since: Instant::ZERO,
            rehearsal: None,
            heard: None,
            queue: Vec::with_capacity(queue),
            low: 0,
            asked: false,
            exhausting: 0,
        }
    }

    /// Gives it its KaY.
    pub(crate) fn set_agreement(&mut self, agreement: KeyAgreement) {
        self.mka = Some(Box::new(agreement));
    }

    /// All that speaks against using the channel now.
    pub(crate) const fn faults(&self) -> Faults {
        self.faults
    }

    /// Adds or removes a fault. True when that is news.
    pub(crate) fn set_fault(&mut self, fault: Fault, present: bool, now: Instant) -> bool {
        let before = self.faults;
        self.faults.set(fault, present);
        let news = before != self.faults;
        if news {
            self.since = now;
        }
        news
    }

    /// More packet numbers were reserved; ask again when fewer than `low` are left.
    pub(crate) const fn reserved(&mut self, low: u64) {
        self.low = low;
        self.asked = false;
    }

    /// True, once per reservation, when the reserved packet numbers run low.
    pub(crate) fn asks_for_numbers(&mut self) -> bool {
        let asks = !self.asked && self.secy.pns_left() < self.low;
        self.asked |= asks;
        asks
    }

    /// True the first time that the numbers of this SA are said to run out.
    pub(crate) fn news_of_exhaustion(&mut self, an: An) -> bool {
        let bit = 1 << an.get();
        let news = self.exhausting & bit == 0;
        self.exhausting |= bit;
        news
    }

    /// SAs came or went: what was told of exhaustion may be told again.
    pub(crate) const fn forget_exhaustion(&mut self) {
        self.exhausting = 0;
    }

    /// Puts the clear tags in front of the SecTAG.
    pub(crate) fn push_clear_tags(&self, frame: &mut Frame) -> Result<(), DropReason> {
        if clear_tags::push(&mut frame.buf, &self.clear_tags) { Ok(()) } else { Err(DropReason::Oversized) }
    }
}
