//! SecYs, by the standard's names (802.1AE-2018 §10.7).

use config::model as words;
use dataplane::ChannelId;
use macsec::{
    SecyStatus, ValidateFrames,
    secy::{
        ReceiveCounters, ReceiveSaStatus, ReceiveScStatus, SecyCounters, TransmitCounters, TransmitSaStatus,
    },
};

use super::{channel::secured, named, word};
use crate::api::{
    model::{Counts, MacsecChannel, ReceiveSa, ReceiveSc, TransmitSa, TransmitSc},
    source::Facts,
};

/// The SecYs of all channels whose workers answered.
pub(crate) fn macsec(facts: &Facts) -> Vec<MacsecChannel> {
    let each = facts.config.channels.iter().enumerate();
    each.filter_map(|(at, channel)| Some(one(facts, channel, &facts.channel(ChannelId::at(at))?.secy)))
        .collect()
}

fn one(facts: &Facts, channel: &words::Channel, secy: &SecyStatus) -> MacsecChannel {
    let policy = &secy.policy;
    MacsecChannel {
        channel: channel.name.clone(),
        policy: word(&channel.macsec.policy),
        secured: secured(secy),
        protect_frames: policy.protect_frames,
        validate_frames: validate(policy.validate).to_owned(),
        replay_protect: policy.replay_protect,
        replay_window: policy.replay_window,
        replay_strict: policy.strict_replay,
        include_sci: policy.include_sci,
        end_station: policy.end_station,
        scb: policy.scb,
        backend: secy.backends().into_iter().collect::<Vec<_>>().join(" and "),
        cipher_refused: secy.fell_back(),
        counters: secy_counters(&secy.counters),
        former_receive: receive_counters(&secy.former_receive_scs),
        transmit: TransmitSc {
            sci: secy.transmit.sci.to_string(),
            encoding_an: secy.transmit.encoding_sa.map(|an| an.get()),
            counters: transmit_counters(&secy.transmit.counters),
            sas: secy.transmit.sas.iter().map(|sa| transmit_sa(facts, sa)).collect(),
        },
        receive: secy.receive.iter().map(|sc| receive_sc(facts, sc)).collect(),
    }
}

fn transmit_sa(facts: &Facts, sa: &TransmitSaStatus) -> TransmitSa {
    TransmitSa {
        an: sa.an.get(),
        in_use: sa.in_use,
        suite: sa.suite.to_string(),
        encrypt: sa.encrypt,
        confidentiality_offset: sa.offset.octets(),
        key: sa.fingerprint.to_string(),
        ssci: sa.suite.is_xpn().then_some(sa.ssci.0),
        next_pn: sa.next_pn,
        pn_limit: sa.suite.last_pn(),
        pns_left: sa.pns_left,
        created: facts.wall_of(sa.times.created),
        started: sa.times.started.map(|then| facts.wall_of(then)),
        counters: transmit_counters(&sa.counters),
    }
}

fn receive_sc(facts: &Facts, sc: &ReceiveScStatus) -> ReceiveSc {
    ReceiveSc {
        sci: sc.sci.to_string(),
        receiving: sc.receiving,
        counters: receive_counters(&sc.counters),
        sas: sc.sas.iter().map(|sa| receive_sa(facts, sa)).collect(),
    }
}

fn receive_sa(facts: &Facts, sa: &ReceiveSaStatus) -> ReceiveSa {
    ReceiveSa {
        an: sa.an.get(),
        in_use: sa.in_use,
        suite: sa.suite.to_string(),
        confidentiality_offset: sa.offset.octets(),
        key: sa.fingerprint.to_string(),
        ssci: sa.suite.is_xpn().then_some(sa.ssci.0),
        next_pn: sa.next_pn,
        lowest_pn: sa.lowest_pn,
        created: facts.wall_of(sa.times.created),
        started: sa.times.started.map(|then| facts.wall_of(then)),
        counters: receive_counters(&sa.counters),
    }
}

const fn validate(validate: ValidateFrames) -> &'static str {
    match validate {
        ValidateFrames::Strict => "strict",
        ValidateFrames::Check => "check",
        ValidateFrames::Disabled => "disabled",
        ValidateFrames::Null => "null",
    }
}

pub(super) fn secy_counters(counters: &SecyCounters) -> Counts {
    named([
        ("in_pkts_untagged", counters.in_pkts_untagged),
        ("in_pkts_no_tag", counters.in_pkts_no_tag),
        ("in_pkts_bad_tag", counters.in_pkts_bad_tag),
        ("in_pkts_no_sa", counters.in_pkts_no_sa),
        ("in_pkts_no_sa_error", counters.in_pkts_no_sa_error),
        ("in_pkts_overrun", counters.in_pkts_overrun),
        ("in_octets_validated", counters.in_octets_validated),
        ("in_octets_decrypted", counters.in_octets_decrypted),
        ("out_pkts_untagged", counters.out_pkts_untagged),
        ("out_pkts_too_long", counters.out_pkts_too_long),
        ("out_octets_protected", counters.out_octets_protected),
        ("out_octets_encrypted", counters.out_octets_encrypted),
    ])
}

pub(super) fn receive_counters(counters: &ReceiveCounters) -> Counts {
    named([
        ("in_pkts_ok", counters.in_pkts_ok),
        ("in_pkts_unchecked", counters.in_pkts_unchecked),
        ("in_pkts_invalid", counters.in_pkts_invalid),
        ("in_pkts_not_valid", counters.in_pkts_not_valid),
        ("in_pkts_delayed", counters.in_pkts_delayed),
        ("in_pkts_late", counters.in_pkts_late),
    ])
}

pub(super) fn transmit_counters(counters: &TransmitCounters) -> Counts {
    named([
        ("out_pkts_protected", counters.out_pkts_protected),
        ("out_pkts_encrypted", counters.out_pkts_encrypted),
    ])
}
