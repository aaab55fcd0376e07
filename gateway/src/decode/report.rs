//! What was found, as data: the document of `decode --json`, and what the tables are made of.
//!
//! `total` is always `valid + invalid + no_key`: in the whole, and for each SA; of MKPDUs it is the sum of the others. `bad_tag` frames are among the
//! invalid ones and belong to no SA; `cut` ones may be anywhere.

use std::collections::{BTreeMap, BTreeSet};

use macsec::{
    An, Ckn, Sci,
    mka::{
        MemberId,
        decode::{FoundSak, Member},
    },
};
use net::Instant;
use serde::Serialize;

use super::{
    attempt::Sender,
    decoder::{Decoder, Sa, SaId},
    exchange::{CknCounts, MkpduCounts},
    keys::GivenKey,
    lacp::LacpSummary,
    numbers::Numbers,
};

/// The result of a decoding.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// Packets in the capture.
    pub frames: u64,
    /// MKPDUs.
    pub mkpdu: MkpduCounts,
    /// Frames with a SecTAG.
    pub macsec: MacsecCounts,
    /// Who takes part in the key exchanges, by member identifier: senders of MKPDUs with a right ICV.
    pub members: Vec<MemberSummary>,
    /// SAKs that were distributed, in the order in which they were.
    pub saks: Vec<SakSummary>,
    /// The CKNs that MKPDUs name, and those that were given.
    pub ckns: Vec<CknSummary>,
    /// The SAs, in the order of their SCIs.
    pub channels: Vec<SaSummary>,
    /// The keys, in the order in which they were given.
    pub keys: Vec<KeySummary>,
    /// Ports that spoke LACP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacp: Vec<LacpSummary>,
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

/// A member of a key exchange.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct MemberSummary {
    /// Its member identifier, new whenever it starts.
    pub mi: String,
    /// Its SCI.
    pub sci: String,
    /// Its address.
    pub source: String,
    /// The name of the CAK that it holds.
    pub ckn: String,
    /// Its Key Server Priority, as last heard.
    pub priority: u8,
    /// The MKA version that it speaks.
    pub version: u8,
    /// It distributed a SAK.
    pub key_server: bool,
    /// Its MKPDUs with a right ICV.
    pub mkpdus: u64,
}

/// A SAK that was distributed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SakSummary {
    /// Its key identifier: the key server's member identifier, then the key number.
    pub ki: String,
    /// Its association number.
    pub an: u8,
    /// Its cipher suite.
    pub cipher: String,
    /// When it was first distributed in this capture (RFC 3339).
    pub distributed_at: String,
    /// The name of the CAK under which.
    pub ckn: String,
    /// SCI of the key server.
    pub key_server: String,
    /// Octets of user data in clear; null: integrity only.
    pub confidentiality_offset: Option<usize>,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Frames that it opened.
    pub frames: u64,
    /// The SAK itself, when that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sak: Option<String>,
}

/// The name of a CAK.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CknSummary {
    /// The name as MKPDUs show it, or as it was given.
    pub ckn: String,
    /// A CAK was given for it.
    pub given: bool,
    /// MKPDUs with a right ICV.
    pub icv_valid: u64,
    /// MKPDUs whose ICV is wrong by the CAK that was given.
    pub icv_invalid: u64,
    /// MKPDUs, when no CAK was given.
    pub unknown: u64,
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
        let key = |(key, &frames): (&GivenKey, &u64)| KeySummary {
            fingerprint: key.fingerprint.to_string(),
            suite: key.key.suite().to_string(),
            frames,
        };
        Summary {
            frames: totals.frames,
            mkpdu: self.exchange.counts,
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
            members: self.members(),
            saks: self.exchange.saks().iter().enumerate().map(|(place, sak)| self.sak(place, sak)).collect(),
            ckns: self.exchange.ckns().iter().map(ckn).collect(),
            keys: self
                .keys
                .iter()
                .zip(&self.opened)
                .filter(|(key, _)| key.found.is_none())
                .map(key)
                .collect(),
            channels,
            lacp: self.lacp.summaries(),
            other: self.other.iter().map(|(kind, &count)| (kind.to_string(), count)).collect(),
            other_links: self.other_links.clone(),
            bad_tags: self.bad_tags.clone(),
            truncated: problem.is_some(),
            problem,
        }
    }

    fn members(&self) -> Vec<MemberSummary> {
        let servers: BTreeSet<_> = self.exchange.saks().iter().map(|sak| sak.data.key_id.member()).collect();
        let member = |(mi, member): (&MemberId, &Member)| MemberSummary {
            mi: mi.to_string(),
            sci: member.sci.to_string(),
            source: member.source.to_string(),
            ckn: member.ckn.to_string(),
            priority: member.priority,
            version: member.version,
            key_server: servers.contains(&mi.0),
            mkpdus: member.mkpdus,
        };
        self.exchange.follower().members().iter().map(member).collect()
    }

    fn sak(&self, place: usize, sak: &FoundSak) -> SakSummary {
        let is_it = |key: &GivenKey| key.found.as_ref().is_some_and(|found| found.place == place);
        let opened =
            self.keys.iter().zip(&self.opened).find(|(key, _)| is_it(key)).map(|(_, &frames)| frames);
        let digits = || sak.data.sak.octets().iter().map(|octet| format!("{octet:02x}")).collect();
        SakSummary {
            ki: sak.data.key_id.to_string(),
            an: An::get(sak.data.an),
            cipher: sak.data.suite.to_string(),
            distributed_at: time(sak.distributed_at),
            ckn: sak.ckn.to_string(),
            key_server: sak.server.to_string(),
            confidentiality_offset: sak
                .data
                .confidentiality
                .encrypts()
                .then(|| sak.data.confidentiality.offset().octets()),
            fingerprint: sak.data.sak.fingerprint().to_string(),
            frames: opened.unwrap_or(0),
            sak: self.reveal.then(digits),
        }
    }

    fn sa(&self, id: SaId, sa: &Sa) -> SaSummary {
        // See the module `decoder`: what was not opened is wrong only when it should have been.
        let wrong = sa.valid > 0 || sa.tried.iter().any(|&at| self.may_belong(at, id));
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

fn ckn((ckn, counts, given): &(Ckn, CknCounts, bool)) -> CknSummary {
    CknSummary {
        ckn: ckn.to_string(),
        given: *given,
        icv_valid: counts.valid,
        icv_invalid: counts.invalid,
        unknown: counts.unknown,
    }
}

fn time(at: Instant) -> String {
    let time = jiff::Timestamp::from_nanosecond(at.as_nanos().into());
    time.map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}

/// Under XPN the ICV proves nothing about an SCI that the frame does not hold.
fn sci(sender: Sender, fit: Option<(Sci, bool)>) -> Option<String> {
    match (sender, fit) {
        (Sender::Named(sci), _) | (Sender::Unnamed(_), Some((sci, false))) => Some(sci.to_string()),
        (Sender::Unnamed(_), Some((_, true)) | None) => None,
    }
}
