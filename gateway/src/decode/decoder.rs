//! One frame after another: sorted, opened if a key fits, counted.
//!
//! Which key belongs to which SA is found out, not configured. A key that opened a frame of an SA belongs to it. An SA
//! of which no frame was opened is judged at the end: when some key could have been its key (it was given for this SA, or
//! it opened nothing anywhere) its frames are *invalid*; when every key has its place elsewhere there is *no key*
//! for them. A key server says whose its SAK is, so what is known of an exchange is not guessed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use macsec::{An, Cak, Ckn, Sci, offline::source, wire::ChannelForm};

use super::{
    attempt::{Fit, Sender, attempts},
    capture::{ETHERNET, Packet},
    exchange::{Exchange, Seen},
    frame::{Kind, Protected, Type, mka, sort, without_fcs},
    keys::GivenKey,
    lacp::LacpSeen,
    numbers::Numbers,
    waiting::{Left, Pending, Waiting},
};

/// SAs that are told apart; frames of further ones count as having no key.
const MOST_SAS: usize = 10_000;
/// Different tags in clear that are noted for an SA.
const MOST_TAGS: usize = 16;
/// SAKs of one association number that are tried on a frame, the newest ones: those before are long out of use.
const MOST_SAKS: usize = 8;
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
    pub(super) exchange: Exchange,
    pub(super) reveal: bool,
    pub(super) lacp: LacpSeen,
    waiting: Waiting,
    /// Opened, and no frame before them waits.
    ready: VecDeque<(u64, Opened)>,
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
    /// One that follows the key exchanges under these CAKs.
    pub fn with_caks(caks: &[(Ckn, Cak)]) -> Self {
        Self { exchange: Exchange::new(caks), ..Self::default() }
    }

    /// The summary shows SAKs that were found, which it never does unless asked to.
    pub fn reveal_saks(&mut self) {
        self.reveal = true;
    }

    /// Adds a key. It is used from the next frame on.
    pub fn add_key(&mut self, key: GivenKey) {
        self.keys.push(key);
        self.opened.push(0);
    }

    /// Counts a packet, and opens it if it is protected and a key fits. What was opened, now or after having waited,
    /// comes out of [`poll_opened`](Self::poll_opened).
    pub fn handle_packet(&mut self, packet: &Packet<'_>) {
        self.totals.frames += 1;
        // What has waited too long must not be opened by what this packet brings.
        self.settle(Some(packet.nanoseconds));
        if packet.link_type != ETHERNET {
            *self.other_links.entry(packet.link_type).or_default() += 1;
            return;
        }
        let announced = usize::from(packet.fcs.unwrap_or(0));
        let frame = packet.octets.get(..packet.octets.len().saturating_sub(announced)).unwrap_or_default();
        match sort(frame) {
            Kind::Other(kind) => {
                self.lacp.observe(frame, None);
                if !self.handle_mka(frame, packet.nanoseconds) {
                    *self.other.entry(kind).or_default() += 1;
                }
            }
            Kind::BadTag(bad) => {
                self.totals.protected += 1;
                self.totals.bad_tag += 1;
                self.totals.cut += u64::from(packet.cut);
                *self.bad_tags.entry(bad.to_string()).or_default() += 1;
            }
            Kind::Protected(found) => self.handle_protected(packet, frame, found),
        }
        self.settle(Some(packet.nanoseconds));
    }

    /// The next opened frame in the order of the capture, and when it was captured.
    pub fn poll_opened(&mut self) -> Option<(u64, Opened)> {
        let next = self.ready.pop_front()?;
        self.lacp.observe(&next.1.octets, Some(next.1.sci));
        Some(next)
    }

    /// The capture is over: nothing waits any longer.
    pub fn finish(&mut self) {
        self.settle(None);
    }

    fn settle(&mut self, now: Option<u64>) {
        while let Some(left) = self.waiting.pop(now) {
            match left {
                Left::Opened(nanoseconds, opened) => self.ready.push_back((nanoseconds, opened)),
                Left::GivenUp(pending) => self.give_up(&pending),
            }
        }
    }

    fn give_up(&mut self, pending: &Pending) {
        let sa = self.sas.entry(pending.id).or_default();
        sa.unproven.note(u64::from(pending.pn));
        if pending.tried { sa.failed += 1 } else { sa.keyless += 1 }
    }

    /// Takes a frame without SecTAG; false when it is no MKPDU.
    fn handle_mka(&mut self, frame: &[u8], nanoseconds: u64) -> bool {
        let Some((ethertype, octets)) = mka(frame) else { return false };
        match self.exchange.observe(&octets, ethertype, nanoseconds) {
            Seen::Other => return false,
            Seen::Mkpdu => {}
            Seen::Authentic => self.learn_senders(),
            Seen::Sak(place) => {
                self.keys.extend(self.exchange.key(place));
                self.opened.resize(self.keys.len(), 0);
                self.learn_senders();
                self.retry(self.keys.len().saturating_sub(1));
            }
        }
        true
    }

    /// A member that was heard for the first time may be the last one that a SAK's list of senders lacks.
    fn learn_senders(&mut self) {
        for at in 0..self.keys.len() {
            let found = self.keys.get(at).and_then(|key| key.found.as_ref());
            let Some(place) = found.filter(|found| found.senders.is_none()).map(|found| found.place) else {
                continue;
            };
            let Some(senders) = self.exchange.senders(place) else { continue };
            let found = self.keys.get_mut(at).and_then(|key| key.found.as_mut());
            found.into_iter().for_each(|found| found.senders = Some(senders.clone()));
            self.retry(at);
        }
    }

    /// Tries a key that is new, or known better, on the frames that wait.
    fn retry(&mut self, at: usize) {
        let (mut waiting, mut fcs) = (core::mem::take(&mut self.waiting), 0);
        waiting.retry(|pending| {
            let Kind::Protected(found) = sort(&pending.frame) else { return None };
            let mut sa = self.sas.remove(&pending.id).unwrap_or_default();
            let mut open = |found: &Protected| self.try_key(at, pending.id, &mut sa, found);
            let opened = open(&found).or_else(|| {
                let Kind::Protected(found) = sort(without_fcs(&pending.frame)?) else { return None };
                open(&found).inspect(|_| fcs += 1)
            });
            self.sas.insert(pending.id, sa);
            opened
        });
        self.waiting = waiting;
        self.totals.fcs += fcs;
    }

    fn handle_protected(&mut self, packet: &Packet<'_>, frame: &[u8], found: Protected) {
        self.totals.protected += 1;
        self.totals.cut += u64::from(packet.cut);
        let Some(sender) = sender(&found) else { return };
        let id = SaId { sender, an: found.tag.an };
        if self.sas.len() >= MOST_SAS && !self.sas.contains_key(&id) {
            self.totals.unlisted += 1;
            return;
        }
        let mut sa = self.sas.remove(&id).unwrap_or_default();
        sa.total += 1;
        sa.encrypted += u64::from(found.tag.encrypted);
        if sa.clear_tags.len() < MOST_TAGS {
            sa.clear_tags.insert(found.clear_tags.clone());
        }
        let opened = self.try_keys(id, &mut sa, &found).or_else(|| self.try_without_fcs(id, &mut sa, frame));
        let (nanoseconds, pn) = (packet.nanoseconds, found.tag.pn);
        match opened {
            Some(opened) => self.waiting.push_opened(nanoseconds, opened),
            None => {
                let tried = !sa.tried.is_empty();
                self.wait(Pending { nanoseconds, id, pn, frame: frame.to_vec(), tried }, &mut sa);
            }
        }
        self.sas.insert(id, sa);
    }

    /// Without an exchange to follow there is nothing to wait for.
    fn wait(&mut self, pending: Pending, sa: &mut Sa) {
        if self.exchange.is_following() {
            self.waiting.push_pending(pending);
            return;
        }
        sa.unproven.note(u64::from(pending.pn));
        if pending.tried { sa.failed += 1 } else { sa.keyless += 1 }
    }

    /// Some equipment hands the FCS to its captures without saying so; then the ICV is not where it seems to be.
    fn try_without_fcs(&mut self, id: SaId, sa: &mut Sa, frame: &[u8]) -> Option<Opened> {
        let Kind::Protected(found) = sort(without_fcs(frame)?) else { return None };
        let opened = self.try_keys(id, sa, &found)?;
        self.totals.fcs += 1;
        Some(opened)
    }

    /// The key that opened the SA's last frame first, then those that were given, then the newest SAKs.
    fn try_keys(&mut self, id: SaId, sa: &mut Sa, found: &Protected) -> Option<Opened> {
        let preferred = sa.fit.map(|fit| fit.key);
        let may = |at: &usize| Some(*at) != preferred && self.keys.get(*at).is_some_and(|key| key.is_for(id));
        let is_given = |at: &usize| self.keys.get(*at).is_some_and(|key| key.found.is_none());
        let given = (0..self.keys.len()).filter(is_given).filter(may);
        let newest = (0..self.keys.len()).rev().filter(|at| !is_given(at)).filter(may).take(MOST_SAKS);
        let order: Vec<_> = preferred.into_iter().chain(given).chain(newest).collect();
        order.into_iter().find_map(|at| {
            let opened = self.try_key(at, id, sa, found);
            if opened.is_none() {
                sa.tried.insert(at);
            }
            opened
        })
    }

    fn try_key(&mut self, at: usize, id: SaId, sa: &mut Sa, found: &Protected) -> Option<Opened> {
        let key = self.keys.get(at).filter(|key| key.is_for(id))?;
        let last = sa.fit.filter(|fit| fit.key == at).map(|fit| fit.attempt);
        let searched = sa.searched.entry(at).or_default();
        let list = attempts(key, id.sender, &found.tag, last.as_ref(), *searched < SEARCHES);
        *searched = searched.saturating_add(1);
        let open = |attempt| Some((attempt, key.key.open(&found.octets, &found.tag, &attempt)?));
        let (attempt, octets) = list.into_iter().find_map(open)?;
        sa.accept(Fit { key: at, attempt });
        self.opened.iter_mut().skip(at).take(1).for_each(|count| *count += 1);
        let clear_tags = found.clear_tags.clone();
        Some(Opened { octets, sci: attempt.sci, an: id.an, pn: attempt.pn, clear_tags })
    }

    /// Whether a key may have been the one of this SA, which it did not open.
    pub(super) fn may_belong(&self, at: usize, id: SaId) -> bool {
        let Some(key) = self.keys.get(at) else { return false };
        match &key.found {
            // The key server said whose it is.
            Some(found) if found.senders.is_some() => key.is_for(id),
            Some(_) => self.opened.get(at) == Some(&0),
            None => key.sci.is_some() || key.an.is_some() || self.opened.get(at) == Some(&0),
        }
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
        let shares = match (self.found.as_ref().and_then(|found| found.senders.as_ref()), id.sender) {
            (None, _) => true,
            (Some(senders), Sender::Named(sci)) => senders.contains_key(&sci),
            (Some(senders), Sender::Unnamed(mac)) => senders.keys().any(|sci| sci.mac() == mac),
        };
        sender && shares && self.an.is_none_or(|an| an == id.an)
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
