//! `[[channel.macsec.key]]` and `[channel.macsec.mka]`: names, times, and settings that go together
//! (IEEE 802.1X-2020 §9).
//!
//! Keys are read as static ones are. What makes a change of keys lose traffic is said here, before it
//! happens: two keys of one name, a time without any key, a change that changes nothing.

use core::time::Duration;
use std::time::SystemTime;

use super::{
    cloud_keys, given,
    key::{SecretKind, read, text_at},
    macsec::Keys,
    span_of, values,
};
use crate::{
    model::{Cipher, Ckn, Mka, MkaKey, Policy, Profile},
    problem::{Code, Report, Span},
    raw::{self, At, CknPlace, items, time::moment_text},
    secret::{Secret, SecretRef, hex},
};

/// A key and where it stands.
pub(super) type Placed = (MkaKey, Places);

/// Where a key and its parts stand; what is left out stands where the key does.
#[derive(Clone, Copy)]
pub(super) struct Places {
    pub(super) here: Span,
    pub(super) ckn: Span,
    pub(super) cak: Span,
    pub(super) start: Span,
    fallback: Span,
}

/// MKA of the channel, `Some(None)` when it has none or its policy is off; `None` after a finding.
pub(super) fn check(
    macsec: &raw::Macsec,
    profile: Profile,
    keys: &Keys<'_>,
    report: &mut Report,
) -> Option<Option<Mka>> {
    let default = raw::Mka::default();
    let settings = macsec.mka.as_ref().map_or(&default, |at| &at.value);
    timers(settings, report);
    cipher_list(macsec, settings, report);
    let build = |at: &At<raw::MkaKey>| key(macsec, at, keys, report);
    let placed: Option<Vec<Placed>> =
        items(&macsec.key).iter().map(build).collect::<Vec<_>>().into_iter().collect();
    if macsec.is_wrong("policy") || macsec.is_wrong("key") || macsec.is_wrong("mka") {
        return None;
    }
    let placed = placed?;
    if macsec.policy() == Policy::Off || placed.is_empty() {
        return Some(None);
    }
    names(&placed, settings, report);
    in_clear(&placed, report);
    fallback(&placed, report);
    gaps(&placed, keys, report);
    cloud_keys::check(&placed, settings, profile, report);
    Some(Some(Mka {
        priority: settings.priority(),
        version: settings.version(),
        hello: settings.hello().0,
        life: settings.life().0,
        delay_protect: settings.delay_protect(),
        destination: given(settings.destination.as_ref()).unwrap_or(raw::DESTINATION),
        ethertype: net::EtherType::new(settings.ethertype()),
        ckn_padding: settings.ckn_padding(),
        icv_indicator: given(settings.icv_indicator.as_ref())
            .unwrap_or_else(|| cloud_keys::icv_indicator(profile)),
        announce: settings.announce(),
        rekey: settings.rekey.as_ref().map(|at| at.value.0),
        suspension_limit: settings.suspension_limit().0,
        ciphers: ciphers(macsec),
        keys: placed.into_iter().map(|(key, _)| key).collect(),
    }))
}

/// The suites that may be used, the one we like best first: those of MKA, or the one of the channel.
pub(super) fn ciphers(macsec: &raw::Macsec) -> Vec<Cipher> {
    let listed = macsec.mka.as_ref().map_or_else(Vec::new, |at| values(&at.value.ciphers));
    if listed.is_empty() { vec![macsec.cipher()] } else { listed }
}

/// Table 9-3: Life Time is three Hello Times, of which a peer may lose two.
fn timers(settings: &raw::Mka, report: &mut Report) {
    /// MKA Bounded Hello Time: with delay protection nobody is slower (Table 9-3).
    const BOUNDED_HELLO: Duration = Duration::from_millis(500);
    if settings.is_wrong("hello") || settings.is_wrong("life") {
        return;
    }
    let written = settings.hello().0;
    let hello = if settings.delay_protect() { written.min(BOUNDED_HELLO) } else { written };
    let life = settings.life();
    if life.0 < hello.saturating_mul(3) {
        let span = span_of(settings.life.as_ref().or(settings.hello.as_ref()), settings.here);
        let hello = raw::time::Period(hello);
        let least = raw::time::Period(hello.0.saturating_mul(3));
        report
            .add(Code::MkaTimers, span, format!("a life of {life} is less than three hellos of {hello}"))
            .help(format!(
                "one lost MKPDU would end the channel: use life = \"{least}\" or more, the same at both ends"
            ));
    }
}

fn cipher_list(macsec: &raw::Macsec, settings: &raw::Mka, report: &mut Report) {
    let Some(list) = &settings.ciphers else { return };
    let Some(first) = list.value.first() else {
        report
            .add(Code::CipherList, list.span, "no cipher suite may be used")
            .help("name one, or remove `ciphers`: `cipher` is used then");
        return;
    };
    let again = list
        .value
        .iter()
        .enumerate()
        .find(|(at, cipher)| list.value.iter().take(*at).any(|before| before.value == cipher.value));
    if let Some((_, again)) = again {
        report
            .add(Code::CipherList, again.span, format!("{} stands twice", again.value))
            .help("the first place says how much it is liked; remove this one");
    }
    if let Some(cipher) = macsec.cipher.as_ref().filter(|cipher| cipher.value != first.value) {
        report
            .add(
                Code::CipherList,
                list.span,
                format!("`cipher` says {}, the list begins with {}", cipher.value, first.value),
            )
            .also(cipher.span, "here")
            .help("remove `cipher`, or begin the list with it");
    }
}

fn key(macsec: &raw::Macsec, at: &At<raw::MkaKey>, keys: &Keys<'_>, report: &mut Report) -> Option<Placed> {
    let key = &at.value;
    files(key, report);
    let ckn = key.ckn.as_ref().and_then(|place| ckn(place, keys, report));
    let cak = key.cak.as_ref().and_then(|place| {
        let cak = read((place, SecretKind::Mka), keys, report)?;
        cak_length(macsec, &cak, place.span, report).then_some(cak)
    });
    let (start, end) = (key.start.as_ref(), key.end.as_ref());
    if let (Some(start), Some(end)) = (start, end)
        && end.value <= start.value
    {
        report
            .add(Code::KeyTimes, end.span, "the key ends before it starts")
            .also(start.span, "starts here")
            .help("give it a later `end`, or none: a newer key takes over by its `start`");
    }
    let places = Places {
        here: at.span,
        ckn: span_of(key.ckn.as_ref(), at.span),
        cak: span_of(key.cak.as_ref(), at.span),
        start: span_of(start, at.span),
        fallback: span_of(key.fallback.as_ref(), at.span),
    };
    let wrong = ["start", "end", "fallback"].iter().any(|name| key.is_wrong(name));
    let built = MkaKey {
        ckn: ckn?,
        cak: cak?,
        from: key.cak.as_ref()?.value.clone(),
        start: start.map(|at| at.value),
        end: end.map(|at| at.value),
        fallback: key.fallback(),
    };
    (!wrong).then_some((built, places))
}

fn ckn(place: &At<CknPlace>, keys: &Keys<'_>, report: &mut Report) -> Option<Ckn> {
    let reference = match &place.value {
        CknPlace::Octets(octets) => return Some(Ckn::new(octets)),
        CknPlace::There(reference) => reference,
    };
    let text = text_at((reference, SecretKind::Mka), place.span, keys, report)?;
    let octets = hex(&text).filter(|octets| octets.len() <= raw::LONGEST_CKN);
    if octets.is_none() {
        report
            .add(Code::KeyMalformed, place.span, format!("{reference} does not hold a CKN"))
            .label("not 1 to 32 pairs of hexadecimal digits")
            .help("make a CKN and its CAK with `quadspan keygen`");
    }
    octets.map(|octets| Ckn::new(&octets))
}

/// 16 octets or 32, whatever the suite (802.1X-2020 §9.3.3); a SAK is no safer than the CAK that wraps it.
fn cak_length(macsec: &raw::Macsec, cak: &Secret, span: Span, report: &mut Report) -> bool {
    let found = cak.expose().len();
    if !matches!(found, 16 | 32) {
        report
            .add(Code::KeyLength, span, format!("the CAK has {found} octets; 16 and 32 are what there is"))
            .help("make one with `quadspan keygen`; a peer that fills up a short CAK with zeros needs them here too");
        return false;
    }
    let strong = |cipher: &Cipher| matches!(cipher, Cipher::GcmAes256 | Cipher::GcmAesXpn256);
    let unread = macsec.is_wrong("cipher") || macsec.policy() == Policy::Off;
    if let Some(cipher) = ciphers(macsec).iter().find(|cipher| found == 16 && strong(cipher) && !unread) {
        report
            .add(Code::ShortCak, span, format!("a CAK of 128 bits guards the keys of {cipher}"))
            .help("use a CAK of 32 octets at both ends, if the peer takes one: `quadspan keygen`");
    }
    true
}

/// One name per key, one key per name.
fn names(placed: &[Placed], settings: &raw::Mka, report: &mut Report) {
    let name = |ckn: &Ckn| {
        let mut octets = ckn.octets().to_vec();
        if settings.ckn_padding() {
            octets.resize(raw::LONGEST_CKN, 0);
        }
        octets
    };
    for (at, (key, place)) in placed.iter().enumerate() {
        let before = placed.get(..at).unwrap_or_default();
        if let Some((_, first)) = before.iter().find(|(known, _)| name(&known.ckn) == name(&key.ckn)) {
            report
                .add(Code::DuplicateCkn, place.ckn, "two keys of this channel have the same CKN")
                .also(first.ckn, "first here")
                .help("give every key a name of its own, the same at both ends");
        } else if let Some((_, first)) = before.iter().find(|(known, _)| known.cak == key.cak) {
            report
                .add(Code::SameCak, place.cak, "this CAK has another CKN as well")
                .also(first.cak, "first here")
                .help("make a new CAK for a new CKN: `quadspan keygen`");
        }
    }
}

/// A CKN stands in clear in every MKPDU (802.1X-2020 §11.11.1): a CAK in its place is nobody's secret any more.
fn in_clear(placed: &[Placed], report: &mut Report) {
    for (key, place) in placed {
        let own = placed.iter().find(|(other, _)| other.cak.expose() == key.ckn.octets());
        if let Some((_, other)) = own {
            report
                .add(Code::CknIsCak, place.ckn, "this CKN is a CAK, and would be sent in clear")
                .also(other.cak, "the CAK")
                .help("give it the CKN that was made with the CAK; if it was ever used so, make both anew with `quadspan keygen`");
        }
    }
}

/// Files of `quadspan keygen` end in `.ckn` and `.cak`.
fn files(key: &raw::MkaKey, report: &mut Report) {
    let ends = |reference: &SecretRef, end: &str| matches!(reference, SecretRef::File(path) if path.extension().is_some_and(|is| is == end));
    if let Some(at) = &key.ckn
        && matches!(&at.value, CknPlace::There(reference) if ends(reference, "cak"))
    {
        report
            .add(Code::CknCakFiles, at.span, "a CKN is read from a file that is called as those of CAKs are")
            .help("name the `.ckn` file; a CKN is sent in clear in every MKPDU");
    }
    if let Some(at) = key.cak.as_ref().filter(|at| ends(&at.value, "ckn")) {
        report
            .add(Code::CknCakFiles, at.span, "a CAK is read from a file that is called as those of CKNs are")
            .help("name the `.cak` file: what is in a `.ckn` file is known to everybody who sees MKPDUs");
    }
}

fn fallback(placed: &[Placed], report: &mut Report) {
    let mut fallbacks = placed.iter().filter(|(key, _)| key.fallback).map(|(_, place)| place.fallback);
    if let (Some(first), Some(second)) = (fallbacks.next(), fallbacks.next()) {
        report
            .add(Code::FallbackKeys, second, "two keys of this channel are the fallback")
            .also(first, "first here")
            .help("one key can be the fallback; order the others by their `start`");
    }
}

/// Times without a key: before the first, after the last, between two. The fallback covers its own time.
fn gaps(placed: &[Placed], keys: &Keys<'_>, report: &mut Report) {
    let channel = &keys.owner.channel;
    let mut by_start: Vec<&Placed> = placed.iter().collect();
    by_start.sort_by_key(|(key, _)| key.start);
    let Some((first, place)) = by_start.first() else { return };
    if let (Some(start), Some(now)) = (first.start, keys.outside.now)
        && start > now
    {
        let start_text = moment_text(start);
        report
            .add(
                Code::KeyGap,
                place.start,
                format!("no key of channel `{channel}` starts before {start_text}"),
            )
            .help("give one key no `start`, add a fallback key, or check the clock of this machine");
    }
    // `None` never ends and is later than everything.
    let later = |a: Option<SystemTime>, b: Option<SystemTime>| a.zip(b).map(|(a, b)| a.max(b));
    let mut covered = first.end;
    for (key, place) in by_start.iter().skip(1) {
        if let (Some(start), Some(end)) = (key.start, covered)
            && start > end
        {
            let (from, until) = (moment_text(end), moment_text(start));
            report
                .add(
                    Code::KeyGap,
                    place.start,
                    format!("channel `{channel}` has no key from {from} to {until}"),
                )
                .help("let the key before end later, or never: a newer key takes over by its `start`");
        }
        covered = later(covered, key.end);
    }
    if let (Some(end), Some(now)) = (covered, keys.outside.now)
        && end <= now
    {
        report
            .add(Code::KeyGap, place.here, format!("every key of channel `{channel}` has ended"))
            .help("add a new key with `quadspan keygen`, at both ends");
    }
}
