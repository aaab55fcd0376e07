//! Key agreements (802.1X-2020 §9, §12).

use config::model as words;
use dataplane::{ChannelId, ChannelSnapshot};
use macsec::mka::{
    Confidentiality, CpState, Diagnosis, KeyServerStatus, Listing, MkaStatus, ParticipantStatus, PeerStatus,
    RekeyAnswer as Answer, SakStatus,
};

use super::{wiring, word};
use crate::{
    api::{
        model::{
            MkaChannel, MkaDiagnosis, MkaKeyServer, MkaParticipant, MkaPeer, MkaSak, MkaWaiting, Rekey,
            RekeyAnswer, SuspendAnswer, Suspension,
        },
        source::Facts,
    },
    key_agreement::remedy,
};

/// The KaYs of all channels that have one and whose workers answered.
pub(crate) fn mka(facts: &Facts) -> Vec<MkaChannel> {
    let each = facts.config.channels.iter().enumerate();
    each.filter_map(|(at, channel)| {
        let seen = facts.channel(ChannelId::at(at))?;
        Some(one(facts, (ChannelId::at(at), channel), seen, seen.mka.as_ref()?))
    })
    .collect()
}

/// What a KaY answered to the wish for a fresh SAK.
pub(crate) fn rekey(channel: &str, answer: Answer) -> Rekey {
    let (answer, key_server, message) = match answer {
        Answer::Started => (RekeyAnswer::Started, None, "a fresh SAK is being distributed".to_owned()),
        Answer::Queued => {
            let message = "a fresh SAK follows as soon as the last rollover is over".to_owned();
            (RekeyAnswer::Queued, None, message)
        }
        Answer::NotKeyServer(sci) => {
            let message = format!("the key server is {sci}, and only it makes SAKs: ask there");
            (RekeyAnswer::NotKeyServer, Some(sci.to_string()), message)
        }
        Answer::NoPeer => {
            let message =
                format!("there is no live peer to share a SAK with: see `quadspan show mka {channel}`");
            (RekeyAnswer::NoPeer, None, message)
        }
    };
    Rekey { channel: channel.to_owned(), answer, key_server, message }
}

/// What a KaY answered to the wish to suspend MKA.
pub(crate) fn suspension(channel: &str, seconds: u64, answer: macsec::mka::SuspendAnswer) -> Suspension {
    use macsec::mka::SuspendAnswer as Kay;
    let (answer, member, message) = match answer {
        Kay::Started => {
            let message = format!(
                "MKA is suspended for {seconds} s: peers that grant it keep the key though no MKPDU comes through"
            );
            (SuspendAnswer::Started, None, message)
        }
        Kay::Asked(server) => {
            let message = format!(
                "the key server {server} is asked to suspend MKA for {seconds} s; whether it grants that, `show mka` there says"
            );
            (SuspendAnswer::Asked, Some(server), message)
        }
        Kay::NoPeer => {
            let message =
                format!("there is no live peer to suspend MKA with: see `quadspan show mka {channel}`");
            (SuspendAnswer::NoPeer, None, message)
        }
        Kay::Unsettled => {
            let message =
                "a SAK is just being agreed on, and frames would be lost: try again in a few seconds";
            (SuspendAnswer::Unsettled, None, message.to_owned())
        }
        Kay::Unsupported(member) => {
            let message = format!(
                "{member} speaks MKA version 1, which does not know suspension: it would give the channel up after a life time"
            );
            (SuspendAnswer::Unsupported, Some(member), message)
        }
    };
    let member = member.map(|sci| sci.to_string());
    Suspension { channel: channel.to_owned(), answer, seconds, member, message }
}

fn one(
    facts: &Facts,
    (at, channel): (ChannelId, &words::Channel),
    seen: &ChannelSnapshot,
    mka: &MkaStatus,
) -> MkaChannel {
    let faults = mka.counters.faults.iter().filter(|(_, count)| **count > 0);
    let waiting =
        mka.waiting.iter().map(|(ckn, at)| MkaWaiting { ckn: ckn.to_string(), starts: facts.wall_of(*at) });
    MkaChannel {
        channel: channel.name.clone(),
        policy: word(&channel.macsec.policy),
        secured: mka.secured,
        clear_text: !seen.secy.policy.protect_frames,
        since: facts.wall_of(mka.since),
        state: state(mka.cp).to_owned(),
        sci: mka.sci.to_string(),
        principal: mka.principal.map(|ckn| ckn.to_string()),
        key_server: mka.key_server.map(key_server),
        key: mka.key.map(|key| sak(facts, &key)),
        next_key: mka.next_key.map(|key| sak(facts, &key)),
        participants: mka.participants.iter().map(|one| participant(facts, one)).collect(),
        waiting: waiting.collect(),
        suspended_ms: mka.suspended.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        diagnoses: mka.diagnoses.iter().map(|what| diagnosis(facts, at, what)).collect(),
        faults: faults.map(|(fault, count)| (fault.to_string(), *count)).collect(),
        rekeys: mka.counters.rekeys,
        unsent: mka.counters.unsent,
    }
}

const fn state(cp: CpState) -> &'static str {
    match cp {
        CpState::Down => "down",
        CpState::Receiving => "receiving",
        CpState::Ready => "ready",
        CpState::Transmitting => "transmitting",
        CpState::Retired => "retired",
    }
}

fn key_server(server: KeyServerStatus) -> MkaKeyServer {
    MkaKeyServer {
        sci: server.sci.to_string(),
        priority: server.priority,
        ours: server.ours,
        why: server.why.to_string(),
    }
}

fn sak(facts: &Facts, key: &SakStatus) -> MkaSak {
    MkaSak {
        key_id: key.key_id.to_string(),
        fingerprint: key.fingerprint.to_string(),
        an: key.an.get(),
        suite: key.suite.to_string(),
        encrypt: key.confidentiality != Confidentiality::IntegrityOnly,
        confidentiality_offset: key.confidentiality.offset().octets(),
        ckn: key.ckn.to_string(),
        since: facts.wall_of(key.since),
        replaced_at: key.replaced_at.map(|at| facts.wall_of(at)),
        next_pn: key.next_pn,
    }
}

fn participant(facts: &Facts, one: &ParticipantStatus) -> MkaParticipant {
    let peers = |peers: &[PeerStatus]| peers.iter().map(|one| peer(facts, one)).collect();
    MkaParticipant {
        ckn: one.ckn.to_string(),
        cak: one.cak.to_string(),
        fallback: one.fallback,
        principal: one.principal,
        member: one.member.to_string(),
        message: one.message,
        key_server: one.key_server.map(|sci| sci.to_string()),
        live: peers(&one.live),
        potential: peers(&one.potential),
        in_mkpdu: one.counters.in_mkpdu,
        out_mkpdu: one.counters.out_mkpdu,
        icv_failures: one.counters.icv_failures,
        saks_received: one.counters.saks_received,
        saks_made: one.counters.saks_made,
    }
}

fn peer(facts: &Facts, one: &PeerStatus) -> MkaPeer {
    let listing = match one.listing {
        Listing::No => "no",
        Listing::Potential => "potential",
        Listing::Live => "live",
    };
    MkaPeer {
        sci: one.sci.to_string(),
        source: one.source.to_string(),
        member: one.member.to_string(),
        message: one.message,
        version: one.version,
        priority: one.priority,
        lists_us: listing.to_owned(),
        suites: one.suites.as_ref().map(|suites| suites.iter().map(ToString::to_string).collect()),
        heard: facts.wall_of(one.heard),
        expires: facts.wall_of(one.expires),
        receives: one.receives,
        transmits: one.transmits,
    }
}

fn diagnosis(facts: &Facts, at: ChannelId, what: &Diagnosis) -> MkaDiagnosis {
    let remedy = wiring::crossed(facts, at, what).unwrap_or_else(|| remedy(what).to_owned());
    MkaDiagnosis { code: what.code().to_owned(), message: what.to_string(), remedy }
}
