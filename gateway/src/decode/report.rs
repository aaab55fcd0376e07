//! What was found, as data: the document of `decode --json`, and what the tables are made of.
//!
//! `total` is always `valid + invalid + no_key`: in the whole, and for each SA. `bad_tag` frames are among the
//! invalid ones and belong to no SA; `cut` ones may be anywhere.

use std::collections::BTreeMap;

use macsec::{An, Sci};
use serde::Serialize;

use super::{
    attempt::Sender,
    decoder::{Decoder, Sa, SaId},
    numbers::Numbers,
};

/// The result of a decoding.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// Packets in the capture.
    pub frames: u64,
    /// Frames with a SecTAG.
    pub macsec: MacsecCounts,
    /// The SAs, in the order of their SCIs.
    pub channels: Vec<SaSummary>,
    /// The keys, in the order in which they were given.
    pub keys: Vec<KeySummary>,
    /// Frames without SecTAG, by EtherType (`0x888e`), or `llc`, or `runt`.
    pub other: BTreeMap<String, u64>,
    /// Packets of links that are not Ethernet, by LINKTYPE.
    pub other_links: BTreeMap<u16, u64>,
    /// Rules of 802.1AE §9.12 that SecTAGs broke.
    pub bad_tags: BTreeMap<String, u64>,
    /// The file ends in the middle of a record, or makes no sense from some place on: there may have been more.
    pub truncated: bool,
    /// What is wrong with the file.
    pub problem: Option<String>,
}

/// Frames with a SecTAG.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct MacsecCounts {
    /// All of them.
    pub total: u64,
    /// The ICV is right.
    pub valid: u64,
    /// The SecTAG breaks a rule, or the ICV is wrong under every key that may be the SA's.
    pub invalid: u64,
    /// No key was given for the SA.
    pub no_key: u64,
    /// Of the invalid ones: the SecTAG breaks a rule.
    pub bad_tag: u64,
    /// The capture kept only a part of the frame.
    pub cut: u64,
    /// Frames that ended in a frame check sequence that the file did not announce.
    pub with_fcs: u64,
    /// Of those without key: frames of SAs that are not in the list, because it is too long.
    pub unlisted: u64,
}

/// One SA.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SaSummary {
    /// Its SCI; null when frames do not say and no key proved it.
    pub sci: Option<String>,
    /// The source address when frames do not name their SCI.
    pub source: Option<String>,
    /// Its association number.
    pub an: u8,
    /// Frames.
    pub total: u64,
    /// The ICV is right.
    pub valid: u64,
    /// The ICV is wrong.
    pub invalid: u64,
    /// No key was given for it.
    pub no_key: u64,
    /// Frames whose user data is encrypted; the others are only protected in their integrity.
    pub encrypted: u64,
    /// Fingerprint of the SAK that fits.
    pub key: Option<String>,
    /// The cipher suite, once a key fitted.
    pub suite: Option<String>,
    /// The short SCI, once a key of an XPN suite fitted.
    pub ssci: Option<u32>,
    /// Octets of user data in clear, once a key fitted an encrypted frame.
    pub confidentiality_offset: Option<usize>,
    /// Packet number of the first frame.
    pub first_pn: Option<u64>,
    /// Packet number of the last frame.
    pub last_pn: Option<u64>,
    /// True when packet numbers are of valid frames, whole; false: the 32 bits that frames show, whoever wrote them.
    pub pn_proven: bool,
    /// Frames with a packet number that was there before.
    pub duplicates: u64,
    /// Frames behind one with a higher packet number.
    pub reordered: u64,
    /// Packet numbers between the lowest and the highest that are not there.
    pub gaps: u64,
    /// VLANs of tags in clear in front of the SecTAG, outer first; one list for each combination.
    pub clear_tags: Vec<Vec<u16>>,
}

/// One key.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct KeySummary {
    /// Fingerprint of the SAK.
    pub fingerprint: String,
    /// Its suite.
    pub suite: String,
    /// Frames that it opened.
    pub frames: u64,
}

impl Decoder {
    /// What was found so far. `problem` is what was wrong with the file, if it ended early.
    pub fn summary(&self, problem: Option<String>) -> Summary {
        let totals = self.totals;
        let channels: Vec<_> = self.sas.iter().map(|(&id, sa)| self.sa(id, sa)).collect();
        let sum = |count: fn(&SaSummary) -> u64| channels.iter().map(count).sum::<u64>();
        let key = |(key, &frames): (&super::keys::GivenKey, &u64)| KeySummary {
            fingerprint: key.fingerprint.to_string(),
            suite: key.key.suite().to_string(),
            frames,
        };
        Summary {
            frames: totals.frames,
            macsec: MacsecCounts {
                total: totals.protected,
                valid: sum(|sa| sa.valid),
                invalid: sum(|sa| sa.invalid) + totals.bad_tag,
                no_key: sum(|sa| sa.no_key) + totals.unlisted,
                bad_tag: totals.bad_tag,
                cut: totals.cut,
                with_fcs: totals.fcs,
                unlisted: totals.unlisted,
            },
            keys: self.keys.iter().zip(&self.opened).map(key).collect(),
            channels,
            other: self.other.iter().map(|(kind, &count)| (kind.to_string(), count)).collect(),
            other_links: self.other_links.clone(),
            bad_tags: self.bad_tags.clone(),
            truncated: problem.is_some(),
            problem,
        }
    }

    fn sa(&self, id: SaId, sa: &Sa) -> SaSummary {
        // See the module `decoder`: what was not opened is wrong only when it should have been.
        let wrong = sa.valid > 0 || sa.tried.iter().any(|&at| self.may_belong(at));
        let (invalid, no_key) = if wrong { (sa.failed, sa.keyless) } else { (0, sa.failed + sa.keyless) };
        let fit = sa.fit.and_then(|fit| Some((fit.attempt, self.keys.get(fit.key)?)));
        let sum = |count: fn(&Numbers) -> u64| {
            let numbers = sa.numbers.values().map(count).fold(0, u64::saturating_add);
            if sa.valid > 0 { numbers } else { count(&sa.unproven) }
        };
        SaSummary {
            sci: sci(id.sender, fit.map(|(attempt, key)| (attempt.sci, key.key.suite().is_xpn()))),
            source: match id.sender {
                Sender::Named(_) => None,
                Sender::Unnamed(mac) => Some(mac.to_string()),
            },
            an: An::get(id.an),
            total: sa.total,
            valid: sa.valid,
            invalid,
            no_key,
            encrypted: sa.encrypted,
            key: fit.map(|(_, key)| key.fingerprint.to_string()),
            suite: fit.map(|(_, key)| key.key.suite().to_string()),
            ssci: fit.filter(|(_, key)| key.key.suite().is_xpn()).map(|(attempt, _)| attempt.ssci.0),
            confidentiality_offset: fit
                .filter(|_| sa.encrypted > 0)
                .map(|(attempt, _)| attempt.offset.octets()),
            first_pn: sa.first_pn.or_else(|| sa.unproven.first()),
            last_pn: sa.last_pn.or_else(|| sa.unproven.last()),
            pn_proven: sa.valid > 0,
            duplicates: sum(Numbers::duplicates),
            reordered: sum(Numbers::reordered),
            gaps: sum(Numbers::missing),
            clear_tags: sa.clear_tags.iter().filter(|tags| !tags.is_empty()).cloned().collect(),
        }
    }
}

/// Under XPN the ICV proves nothing about an SCI that the frame does not hold.
fn sci(sender: Sender, fit: Option<(Sci, bool)>) -> Option<String> {
    match (sender, fit) {
        (Sender::Named(sci), _) | (Sender::Unnamed(_), Some((sci, false))) => Some(sci.to_string()),
        (Sender::Unnamed(_), Some((_, true)) | None) => None,
    }
}
