//! Channels: their state, MACsec, MKA.

use dataplane::{ChannelId, Fault};
use macsec::mka::wire::MkpduFault;

use super::{drops, m};
use crate::{
    api::{Facts, model},
    metrics::{catalog::of_macsec, page::Page},
};

pub(super) fn channels(page: &mut Page, facts: &Facts, channels: &[model::Channel]) {
    for (at, channel) in channels.iter().enumerate() {
        let (name, macsec) = (channel.name.as_str(), &channel.macsec);
        page.info(&m::CHANNEL, &[name, &channel.interconnect, &channel.port, &macsec.policy]);
        page.flag(&m::MACSEC_SHOULD_SECURE, &[name], macsec.policy == "should_secure");
        let Some(seen) = facts.channel(ChannelId::at(at)) else { continue };
        page.flag(&m::CHANNEL_UP, &[name], channel.state == model::ChannelState::Live);
        for fault in Fault::ALL {
            page.flag(&m::CHANNEL_FAULT, &[name, fault.label()], seen.faults.has(*fault));
        }
        if let Some(since) = channel.since {
            page.moment(&m::CHANNEL_CHANGED, &[name], since);
        }
        page.count(&m::CHANNEL_RX_FRAMES, &[name], channel.rx_frames);
        page.count(&m::CHANNEL_RX_BYTES, &[name], channel.rx_octets);
        page.count(&m::CHANNEL_TX_FRAMES, &[name], channel.tx_frames);
        page.count(&m::CHANNEL_TX_BYTES, &[name], channel.tx_octets);
        drops(page, &m::CHANNEL_DROPS, name, &channel.drops);
        macsec_of(page, name, macsec);
    }
}

fn macsec_of(page: &mut Page, name: &str, macsec: &model::ChannelMacsec) {
    page.flag(&m::MACSEC_SECURED, &[name], macsec.secured);
    page.flag(&m::MACSEC_CLEAR, &[name], macsec.clear_text);
    page.flag(&m::MACSEC_ACCEPTS_CLEAR, &[name], macsec.accepts_clear_text);
    page.flag(&m::MACSEC_CIPHER_REFUSED, &[name], macsec.cipher_refused);
    if let Some(next) = macsec.next_pn {
        page.whole(&m::MACSEC_NEXT_PN, &[name], next);
        page.whole(&m::MACSEC_PN_LIMIT, &[name], macsec.pn_limit);
    }
    for (counter, count) in &macsec.counters {
        if let Some(metric) = of_macsec(counter) {
            page.count(metric, &[name], *count);
        }
    }
}

pub(super) fn mka(page: &mut Page, channels: &[model::MkaChannel]) {
    for channel in channels {
        let name = channel.channel.as_str();
        let ours = channel.key_server.as_ref().is_some_and(|server| server.ours);
        let most = |peers: fn(&model::MkaParticipant) -> usize| {
            channel.participants.iter().map(peers).max().unwrap_or(0)
        };
        page.flag(&m::MKA_KEY_SERVER, &[name], ours);
        page.size(&m::MKA_LIVE_PEERS, &[name], most(|one| one.live.len()));
        page.size(&m::MKA_POTENTIAL_PEERS, &[name], most(|one| one.potential.len()));
        page.count(&m::MKA_REKEYS, &[name], channel.rekeys);
        page.flag(&m::MKA_SUSPENDED, &[name], channel.suspended_ms.is_some());
        page.count(&m::MKA_UNSENT, &[name], channel.unsent);
        let next = channel.waiting.iter().map(|key| key.starts).min();
        let key = channel.key.as_ref();
        let moments = [
            (&m::MKA_SAK_SINCE, key.map(|key| key.since)),
            (&m::MKA_SAK_DUE, key.and_then(|key| key.replaced_at)),
            (&m::MKA_NEXT_KEY, next),
        ];
        for (metric, at) in moments {
            if let Some(at) = at {
                page.moment(metric, &[name], at);
            }
        }
        for diagnosis in &channel.diagnoses {
            page.flag(&m::MKA_DIAGNOSIS, &[name, &diagnosis.code], true);
        }
        for fault in MkpduFault::ALL {
            let fault = fault.to_string();
            let count = channel.faults.get(&fault).copied().unwrap_or(0);
            page.count(&m::MKA_FAULTS, &[name, &fault], count);
        }
        for one in &channel.participants {
            page.count(&m::MKA_IN_MKPDU, &[name, &one.ckn], one.in_mkpdu);
            page.count(&m::MKA_OUT_MKPDU, &[name, &one.ckn], one.out_mkpdu);
            page.count(&m::MKA_ICV_FAILURES, &[name, &one.ckn], one.icv_failures);
        }
    }
}
