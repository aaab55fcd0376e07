//! Key agreement of the configuration to that of the `macsec` crate.
//!
//! The configuration tells the time of day; a KaY knows only how long ago the process started. The difference is made
//! here, and made again when somebody sets the clock ([`crate::key_agreement`]).

use std::time::SystemTime;

use anyhow::{Context, Result};
use config::model::{Channel, IcvIndicator as Indicator, Mka, MkaKey, Policy};
use macsec::{
    Cak, Ckn, ConfidentialityOffset, SecyPolicy, ValidateFrames,
    mka::{Confidentiality, IcvIndicator, KayParams, KeyEntry, KeyStart},
};
use net::{Instant, MacAddr};

/// How a channel's KaY works; `None` without MKA. With it the SecY is strict: when frames in clear are accepted, the key
/// agreement says.
pub(super) fn params(channel: &Channel, secy: &mut SecyPolicy, device: MacAddr) -> Option<KayParams> {
    let (macsec, mka) = (&channel.macsec, channel.macsec.mka.as_ref()?);
    if secy.validate == ValidateFrames::Check {
        secy.validate = ValidateFrames::Strict;
    }
    let offset = ConfidentialityOffset::new(usize::from(macsec.confidentiality_offset)).unwrap_or_default();
    Some(KayParams {
        source: device,
        destination: mka.destination,
        ethertype: mka.ethertype,
        version: mka.version,
        priority: mka.priority,
        hello: mka.hello,
        life: mka.life,
        suites: mka.ciphers.iter().map(|&cipher| super::macsec::suite(cipher)).collect(),
        confidentiality: if macsec.encrypt {
            Confidentiality::From(offset)
        } else {
            Confidentiality::IntegrityOnly
        },
        delay_protect: mka.delay_protect,
        plain: macsec.policy == Policy::ShouldSecure,
        ckn_padding: mka.ckn_padding,
        icv_indicator: match mka.icv_indicator {
            Indicator::Auto => IcvIndicator::Auto,
            Indicator::Always => IcvIndicator::Always,
            Indicator::Never => IcvIndicator::Never,
        },
        announce: mka.announce,
        rekey: mka.rekey,
        suspension_limit: mka.suspension_limit,
        ..KayParams::new(secy.sci)
    })
}

/// The CAKs, in the order of the file, where the time of day is `wall` at `now`. Keys that have ended are left out.
///
/// # Errors
/// When a name or a key has not the length it must have.
pub fn key_entries(mka: &Mka, wall: SystemTime, now: Instant) -> Result<Vec<KeyEntry>> {
    let in_time = |key: &&MkaKey| key.end.is_none_or(|end| end > wall);
    mka.keys.iter().filter(in_time).map(|key| key_entry(key, wall, now)).collect()
}

fn key_entry(key: &MkaKey, wall: SystemTime, now: Instant) -> Result<KeyEntry> {
    let what = || format!("the key with CKN {}", key.ckn);
    let start = key.start.map_or(KeyStart::Always, |start| match start.duration_since(wall) {
        Ok(ahead) if !ahead.is_zero() => KeyStart::At(now.after(ahead)),
        Ok(_) => KeyStart::Started(core::time::Duration::ZERO),
        Err(past) => KeyStart::Started(past.duration()),
    });
    let end = key.end.and_then(|end| end.duration_since(wall).ok()).map(|left| now.after(left));
    Ok(KeyEntry {
        ckn: Ckn::new(key.ckn.octets()).with_context(what)?,
        cak: Cak::new(key.cak.expose()).with_context(what)?,
        start,
        end,
        fallback: key.fallback,
    })
}
