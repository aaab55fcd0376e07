//! One frame after another: sorted, opened if a key fits, counted.
//!
//! Which key belongs to which SA is found out, not configured. A key that opened a frame of an SA belongs to it. An SA
//! of which no frame was opened is judged at the end: when some key could have been its key (it was given for this SA, or
//! it opened nothing anywhere) its frames are *invalid*; when every key has its place elsewhere there is *no key*
//! for them.

use std::collections::{BTreeMap, BTreeSet};

use macsec::{An, Sci, offline::source, wire::ChannelForm};

use super::{
    attempt::{Fit, Sender, attempts},
    capture::{ETHERNET, Packet},
    frame::{Kind, Protected, Type, sort, without_fcs},
    keys::GivenKey,
    numbers::Numbers,
};

/// SAs that are told apart; frames of further ones count as having no key.
const MOST_SAS: usize = 10_000;
/// Different tags in clear that are noted for an SA.
const MOST_TAGS: usize = 16;
/// Frames of an SA on which a key's long list of attempts is gone through.
const SEARCHES: u8 = 4;

/// Reads frames with the keys that it was given.
#[derive(Debug, Default)]
pub struct Decoder {
    pub(super) keys: Vec<GivenKey>,
    /// How many frames each key opened.
    pub(super) opened: Vec<u64>,
    pub(super) sas: BTreeMap<SaId, Sa>,
    pub(super) totals: Totals,
    pub(super) other: BTreeMap<Type, u64>,
    pub(super) other_links: BTreeMap<u16, u64>,
    pub(super) bad_tags: BTreeMap<String, u64>,
}

/// Counts over all frames.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Totals {
    pub(super) frames: u64,
    pub(super) protected: u64,
    pub(super) bad_tag: u64,
    /// Frames with a SecTAG of which the capture kept only a part.
    pub(super) cut: u64,
    /// Frames of SAs beyond the limit.
    pub(super) unlisted: u64,
    /// Frames that were found to end in a frame check sequence.
    pub(super) fcs: u64,
}

/// Which SA.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct SaId {
    pub(super) sender: Sender,
    pub(super) an: An,
}

/// What is known of an SA.
#[derive(Clone, Debug, Default)]
pub(super) struct Sa {
    pub(super) total: u64,
    pub(super) encrypted: u64,
    pub(super) valid: u64,
    /// Keys were tried, and none fitted.
    pub(super) failed: u64,
    /// There was no key to try.
    pub(super) keyless: u64,
    pub(super) clear_tags: BTreeSet<Vec<u16>>,
    pub(super) fit: Option<Fit>,
    /// Keys that were tried in vain.
    pub(super) tried: BTreeSet<usize>,
    searched: BTreeMap<usize, u8>,
    /// Packet numbers of opened frames, by key: when a rekey comes round to the same AN they begin anew.
    pub(super) numbers: BTreeMap<usize, Numbers>,
    /// Packet number of the first opened frame in the capture.
    pub(super) first_pn: Option<u64>,
    /// Packet number of the last one.
    pub(super) last_pn: Option<u64>,
    /// The 32 bits of the packet number in frames that were not opened: anybody may have written them.
    pub(super) unproven: Numbers,
}

/// A frame that was opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// The user's frame: addresses and user data.
    pub octets: Vec<u8>,
    /// The sender.
    pub sci: Sci,
    /// The SA.
    pub an: An,
    /// The packet number.
    pub pn: u64,
    /// VLAN identifiers of tags in clear, outer first.
    pub clear_tags: Vec<u16>,
}

impl Decoder {
    /// Adds a key. It is used from the next frame on.
    pub fn add_key(&mut self, key: GivenKey) {
        self.keys.push(key);
        self.opened.push(0);
    }

    /// Counts a packet, and opens it if it is protected and a key fits.
    pub fn handle_packet(&mut self, packet: &Packet<'_>) -> Option<Opened> {
        self.totals.frames += 1;
        if packet.link_type != ETHERNET {
            *self.other_links.entry(packet.link_type).or_default() += 1;
            return None;
        }
        let announced = usize::from(packet.fcs.unwrap_or(0));
        let frame = packet.octets.get(..packet.octets.len().saturating_sub(announced)).unwrap_or_default();
        match sort(frame) {
            Kind::Other(kind) => {
                *self.other.entry(kind).or_default() += 1;
                None
            }
            Kind::BadTag(bad) => {
                self.totals.protected += 1;
                self.totals.bad_tag += 1;
                self.totals.cut += u64::from(packet.cut);
                *self.bad_tags.entry(bad.to_string()).or_default() += 1;
                None
            }
            Kind::Protected(found) => self.handle_protected(packet, frame, found),
        }
    }

    fn handle_protected(&mut self, packet: &Packet<'_>, frame: &[u8], found: Protected) -> Option<Opened> {
        self.totals.protected += 1;
        self.totals.cut += u64::from(packet.cut);
        let id = SaId { sender: sender(&found)?, an: found.tag.an };
        if self.sas.len() >= MOST_SAS && !self.sas.contains_key(&id) {
            self.totals.unlisted += 1;
            return None;
        }
        let mut sa = self.sas.remove(&id).unwrap_or_default();
        sa.total += 1;
        sa.encrypted += u64::from(found.tag.encrypted);
        if sa.clear_tags.len() < MOST_TAGS {
            sa.clear_tags.insert(found.clear_tags.clone());
        }
        let opened = self.try_keys(id, &mut sa, &found).or_else(|| self.try_without_fcs(id, &mut sa, frame));
        if opened.is_none() {
            sa.unproven.note(u64::from(found.tag.pn));
            if sa.tried.is_empty() { sa.keyless += 1 } else { sa.failed += 1 }
        }
        self.sas.insert(id, sa);
        opened
    }

    /// Some equipment hands the FCS to its captures without saying so; then the ICV is not where it seems to be.
    fn try_without_fcs(&mut self, id: SaId, sa: &mut Sa, frame: &[u8]) -> Option<Opened> {
        let Kind::Protected(found) = sort(without_fcs(frame)?) else { return None };
        let opened = self.try_keys(id, sa, &found)?;
        self.totals.fcs += 1;
        Some(opened)
    }

    fn try_keys(&mut self, id: SaId, sa: &mut Sa, found: &Protected) -> Option<Opened> {
        let preferred = sa.fit.map(|fit| fit.key);
        let others = (0..self.keys.len()).filter(|&at| Some(at) != preferred);
        for at in preferred.into_iter().chain(others) {
            let Some(key) = self.keys.get(at).filter(|key| key.is_for(id)) else { continue };
            let last = sa.fit.filter(|fit| fit.key == at).map(|fit| fit.attempt);
            let searched = sa.searched.entry(at).or_default();
            let list = attempts(key, id.sender, &found.tag, last.as_ref(), *searched < SEARCHES);
            *searched = searched.saturating_add(1);
            let open = |attempt| Some((attempt, key.key.open(&found.octets, &found.tag, &attempt)?));
            let Some((attempt, octets)) = list.into_iter().find_map(open) else {
                sa.tried.insert(at);
                continue;
            };
            sa.accept(Fit { key: at, attempt });
            self.opened.iter_mut().skip(at).take(1).for_each(|count| *count += 1);
            let clear_tags = found.clear_tags.clone();
            return Some(Opened { octets, sci: attempt.sci, an: id.an, pn: attempt.pn, clear_tags });
        }
        None
    }

    /// Whether a key may have been the one of this SA, which it did not open.
    pub(super) fn may_belong(&self, at: usize) -> bool {
        let bound = self.keys.get(at).is_some_and(|key| key.sci.is_some() || key.an.is_some());
        bound || self.opened.get(at) == Some(&0)
    }
}

impl Sa {
    fn accept(&mut self, fit: Fit) {
        self.valid += 1;
        self.first_pn.get_or_insert(fit.attempt.pn);
        self.last_pn = Some(fit.attempt.pn);
        let numbers = self.numbers.entry(fit.key).or_default();
        numbers.note(fit.attempt.pn);
        // The highest number stays: recovery goes by it.
        let pn = numbers.highest().unwrap_or(fit.attempt.pn);
        self.fit = Some(Fit { attempt: macsec::offline::Attempt { pn, ..fit.attempt }, ..fit });
    }
}

impl GivenKey {
    fn is_for(&self, id: SaId) -> bool {
        let sender = match (self.sci, id.sender) {
            (Some(wanted), Sender::Named(sci)) => wanted == sci,
            (Some(_), Sender::Unnamed(_)) | (None, _) => true,
        };
        sender && self.an.is_none_or(|an| an == id.an)
    }
}

fn sender(found: &Protected) -> Option<Sender> {
    let source = source(&found.octets)?;
    Some(match found.tag.channel {
        ChannelForm::Peer => Sender::Unnamed(source),
        form @ (ChannelForm::Explicit(_)
        | ChannelForm::EndStation
        | ChannelForm::SingleCopyBroadcast { .. }) => {
            form.sci(source).map_or(Sender::Unnamed(source), Sender::Named)
        }
    })
}
