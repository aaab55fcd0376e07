//! Channels.

use config::model::{self as words, Policy};
use dataplane::{ChannelId, ChannelSnapshot, Fault, Faults};
use macsec::{SecyStatus, ValidateFrames};
use net::Ethernet;

use super::{counts, wiring, word};
use crate::api::{
    model::{Channel, ChannelMacsec, ChannelRx, ChannelState, Counts},
    source::Facts,
};

/// All channels.
pub(crate) fn channels(facts: &Facts) -> Vec<Channel> {
    let each = facts.config.channels.iter().enumerate();
    each.map(|(at, channel)| one(facts, at, channel)).collect()
}

fn one(facts: &Facts, at: usize, channel: &words::Channel) -> Channel {
    let seen = facts.channel(ChannelId::at(at));
    let setup = facts.setup.channels.get(at);
    let counters = seen.map(|seen| seen.counters).unwrap_or_default();
    let (state, reason) = state(seen.map(|seen| seen.faults));
    let drain = super::drain::of_channel(facts, ChannelId::at(at));
    let max_frame = setup.map_or(0, |setup| setup.secy.max_frame.saturating_sub(Ethernet::LEN));
    Channel {
        name: channel.name.clone(),
        interconnect: channel.interconnect.name().to_owned(),
        port: channel.port.name().to_owned(),
        clear_tags: channel.clear_tags.iter().map(|tag| tag.vlan.get()).collect(),
        worker: setup.map_or(0, |setup| setup.owner.0),
        state,
        reason,
        since: seen.map(|seen| facts.wall_of(seen.since)),
        carrier: seen
            .is_some_and(|seen| !seen.faults.has(Fault::NoCarrier) && !seen.faults.has(Fault::PortDown)),
        mtu: u64::try_from(max_frame).unwrap_or(u64::MAX),
        macsec: protection(facts, at, channel, seen),
        drain,
        tx_frames: counters.tx_frames,
        tx_octets: counters.tx_octets,
        rx_frames: counters.rx_frames,
        rx_octets: counters.rx_octets,
        drops: seen.map(|seen| counts(&seen.drops)).unwrap_or_default(),
    }
}

/// A state and the most fundamental reason for it; `None` when nobody knows.
pub(super) fn state(faults: Option<Faults>) -> (ChannelState, Option<String>) {
    let Some(faults) = faults else { return (ChannelState::Unknown, Some("worker_silent".to_owned())) };
    let state = match (faults.is_live(), faults.is_reserve()) {
        (true, _) => ChannelState::Live,
        (false, true) => ChannelState::Reserve,
        (false, false) => ChannelState::Down,
    };
    (state, faults.first().map(|fault| fault.label().to_owned()))
}

fn protection(
    facts: &Facts,
    at: usize,
    channel: &words::Channel,
    seen: Option<&ChannelSnapshot>,
) -> ChannelMacsec {
    let secy = seen.map(|seen| &seen.secy);
    let sending = secy.and_then(|secy| {
        let an = secy.transmit.encoding_sa?;
        secy.transmit.sas.iter().find(|sa| sa.an == an)
    });
    let suite = sending.map_or_else(|| crate::assemble::suite(channel.macsec.cipher), |sa| sa.suite);
    let mka = seen.and_then(|seen| seen.mka.as_ref());
    ChannelMacsec {
        policy: word(&channel.macsec.policy),
        secured: secy.is_some_and(secured),
        clear_text: channel.macsec.policy == Policy::Off
            || secy.is_some_and(|secy| !secy.policy.protect_frames),
        accepts_clear_text: secy.is_some_and(|secy| secy.policy.validate != ValidateFrames::Strict),
        suite: suite.to_string(),
        cipher_refused: secy.is_some_and(SecyStatus::fell_back),
        mka: channel.macsec.mka.is_some(),
        diagnosis: mka.and_then(|mka| mka.diagnoses.first()).map(|what| {
            let crossed = wiring::crossed(facts, ChannelId::at(at), what);
            crossed.map_or_else(|| what.to_string(), |crossed| format!("{what}; {crossed}"))
        }),
        sci: secy.map(|secy| secy.transmit.sci.to_string()),
        encoding_an: sending.map(|sa| sa.an.get()),
        next_pn: sending.map(|sa| sa.next_pn),
        pn_limit: suite.last_pn(),
        rx: secy.map(receiving).unwrap_or_default(),
        counters: secy.map(totals).unwrap_or_default(),
    }
}

/// Frames are sent protected, and there is a key to do it with.
pub(super) const fn secured(secy: &SecyStatus) -> bool {
    secy.policy.protect_frames && secy.mac_operational
}

fn receiving(secy: &SecyStatus) -> Vec<ChannelRx> {
    let sas = secy.receive.iter().flat_map(|sc| sc.sas.iter().map(move |sa| (sc.sci, sa)));
    sas.filter(|(_, sa)| sa.in_use)
        .map(|(sci, sa)| ChannelRx {
            sci: sci.to_string(),
            an: sa.an.get(),
            lowest_pn: sa.lowest_pn,
            next_pn: sa.next_pn,
        })
        .collect()
}

fn totals(secy: &SecyStatus) -> Counts {
    let mut all = super::macsec::secy_counters(&secy.counters);
    all.extend(super::macsec::receive_counters(&secy.receive_totals()));
    all.extend(super::macsec::transmit_counters(&secy.transmit.counters));
    all
}
