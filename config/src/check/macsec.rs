//! `[channel.macsec]`: which settings go together (IEEE 802.1AE-2018 §10.7, §14).

use super::{
    Outside, given,
    key::{self, Ledger},
    mka, profile, span_of,
};
use crate::{
    model::{Cipher, Macsec, Policy, Profile, TxSci, Validate},
    problem::{Code, Report},
    raw::{self, items},
};

/// What checking the keys of one channel needs from outside its section.
pub(super) struct Keys<'k> {
    pub(super) outside: &'k Outside<'k>,
    pub(super) ledger: &'k mut Ledger,
    pub(super) owner: Owner,
}

/// Whose keys they are.
pub(super) struct Owner {
    pub(super) channel: String,
    pub(super) port: String,
}

pub(super) fn check(
    macsec: &raw::Macsec,
    profile: Profile,
    keys: &mut Keys<'_>,
    report: &mut Report,
) -> Option<Macsec> {
    policy(macsec, keys, report);
    offset(macsec, report);
    let window = replay_window(macsec, profile, report);
    form(macsec, report);
    kinds_of_keys(macsec, keys, report);
    let statics = key::check(macsec, keys, report);
    let mka = mka::check(macsec, profile, keys, report)?;
    let (tx, rx) = statics?;
    Some(Macsec {
        policy: macsec.policy(),
        cipher: mka::ciphers(macsec).first().copied().unwrap_or_else(|| macsec.cipher()),
        encrypt: macsec.encrypt(),
        confidentiality_offset: macsec.confidentiality_offset(),
        validate: macsec.validate(),
        replay_protect: macsec.replay_protect(),
        replay_window: window,
        replay_strict: macsec.replay_strict(),
        include_sci: include_sci(macsec),
        end_station: macsec.end_station(),
        scb: macsec.scb(),
        tx_sci: tx_sci(macsec),
        tx,
        rx,
        mka,
    })
}

/// A channel has keys of one kind, and if its policy is off of none.
fn kinds_of_keys(macsec: &raw::Macsec, keys: &Keys<'_>, report: &mut Report) {
    if macsec.is_wrong("policy") || macsec.is_wrong("static") || macsec.is_wrong("key") {
        return;
    }
    let channel = &keys.owner.channel;
    let (first, statics) = (items(&macsec.key).first(), macsec.static_keys.as_ref());
    let agreed = first.map(|at| at.span).or_else(|| macsec.mka.as_ref().map(|at| at.span));
    match (macsec.policy(), agreed, statics.map(|at| at.span)) {
        (Policy::Off, Some(span), _) | (Policy::Off, None, Some(span)) => {
            report
                .add(Code::KeysUnused, span, format!("channel `{channel}` has keys, and its policy is off"))
                .help("use policy = \"must-secure\", or remove the keys");
        }
        (_, Some(span), Some(other)) => {
            report
                .add(Code::KeyKinds, span, format!("channel `{channel}` has MKA and static keys"))
                .also(other, "static keys")
                .help("remove one kind; [[channel.macsec.key]] is the one that looks after itself");
        }
        (Policy::MustSecure | Policy::ShouldSecure, Some(span), None) if first.is_none() => {
            report
                .add(Code::NoKeys, span, format!("channel `{channel}` has no key to agree with"))
                .help("make one with `quadspan keygen`, and add what it prints: [[channel.macsec.key]]");
        }
        (Policy::MustSecure | Policy::ShouldSecure, None, None) => {
            report
                .add(Code::NoKeys, macsec.here, format!("channel `{channel}` has no key"))
                .help("make one with `quadspan keygen`, and add what it prints: [[channel.macsec.key]]");
        }
        (Policy::Off, None, None) | (Policy::MustSecure | Policy::ShouldSecure, _, _) => {}
    }
}

/// A suite that may be used and has 64-bit packet numbers, as far as they could be read.
fn may_be_xpn(macsec: &raw::Macsec) -> Option<Cipher> {
    let unread =
        macsec.is_wrong("cipher") || macsec.mka.as_ref().is_some_and(|at| at.value.is_wrong("ciphers"));
    mka::ciphers(macsec).into_iter().find(|cipher| is_xpn(*cipher)).filter(|_| !unread)
}

/// alwaysIncludeSCI: as written, or true unless one of the short forms is asked for.
pub(super) fn include_sci(macsec: &raw::Macsec) -> bool {
    given(macsec.include_sci.as_ref()).unwrap_or_else(|| !macsec.end_station() && !macsec.scb())
}

/// True for the suites with 64-bit packet numbers.
pub(super) const fn is_xpn(cipher: Cipher) -> bool {
    matches!(cipher, Cipher::GcmAesXpn128 | Cipher::GcmAesXpn256)
}

/// The SCI we send with. The SCB form stands for port identifier 0 (§9.5), the ES form for 1.
pub(super) fn tx_sci(macsec: &raw::Macsec) -> TxSci {
    match &macsec.sci {
        Some(sci) => TxSci::Given(sci.value),
        None => TxSci::DeviceMac { port_id: if macsec.scb() { 0 } else { macsec.port_id() } },
    }
}

fn policy(macsec: &raw::Macsec, keys: &Keys<'_>, report: &mut Report) {
    if macsec.is_wrong("policy") {
        return;
    }
    let (policy, channel) = (macsec.policy(), &keys.owner.channel);
    let span = span_of(macsec.policy.as_ref(), macsec.here);
    match policy {
        Policy::Off => {
            report
                .add(Code::MacsecOff, span, format!("channel `{channel}` carries everything in clear"))
                .help("use policy = \"must-secure\" unless this is a laboratory");
            return;
        }
        Policy::ShouldSecure => {
            report
                .add(Code::ShouldSecure, span, format!("channel `{channel}` falls back to clear text"))
                .help("use policy = \"must-secure\" once both ends are secured");
        }
        Policy::MustSecure => validate(macsec, report),
    }
    weakened(macsec, channel, report);
}

/// §10.6: anything but strict delivers frames that MACsec did not protect, and null does not even protect what
/// is sent.
fn validate(macsec: &raw::Macsec, report: &mut Report) {
    let Some(validate) = macsec.validate.as_ref().filter(|at| at.value != Validate::Strict) else { return };
    let word = validate.value;
    report
        .add(
            Code::ValidateTooWeak,
            validate.span,
            format!("must-secure does not go with validate = \"{word}\""),
        )
        .label("lets frames without protection in")
        .help("use validate = \"strict\", or policy = \"should-secure\" if clear text is meant to pass");
}

fn weakened(macsec: &raw::Macsec, channel: &str, report: &mut Report) {
    if let Some(encrypt) = macsec.encrypt.as_ref().filter(|at| !at.value) {
        report
            .add(Code::Weakened, encrypt.span, format!("whoever sees channel `{channel}` can read it"))
            .help("encrypt = true costs nothing: integrity only is not faster");
    }
    if let Some(replay) = macsec.replay_protect.as_ref().filter(|at| !at.value) {
        report
            .add(
                Code::Weakened,
                replay.span,
                format!("channel `{channel}` accepts frames that are sent again"),
            )
            .help("keep replay_protect = true and give frames room to overtake: replay_window = 64");
    }
}

fn offset(macsec: &raw::Macsec, report: &mut Report) {
    let Some(offset) = macsec.confidentiality_offset.as_ref().filter(|at| at.value != 0) else { return };
    let why = if let Some(cipher) = may_be_xpn(macsec) {
        format!("{cipher} has no confidentiality offset")
    } else if !macsec.encrypt() {
        "a confidentiality offset without encryption".to_owned()
    } else {
        return;
    };
    report
        .add(Code::Offset, offset.span, why)
        .help("remove it, or use \"gcm-aes-128\" or \"gcm-aes-256\" with encryption");
}

/// §10.7.8: with XPN, recovery of the upper half of a packet number needs a window below 2^30.
fn replay_window(macsec: &raw::Macsec, profile: Profile, report: &mut Report) -> u32 {
    const XPN_LARGEST: u32 = (1 << 30) - 1;
    let window = given(macsec.replay_window.as_ref()).unwrap_or_else(|| profile::replay_window(profile));
    if let Some(cipher) = may_be_xpn(macsec).filter(|_| window > XPN_LARGEST) {
        let span = span_of(macsec.replay_window.as_ref(), macsec.here);
        report
            .add(Code::ReplayWindow, span, format!("a replay window of {window} is too large for {cipher}"))
            .help(format!("XPN suites allow 0 to {XPN_LARGEST}"));
    }
    window
}

/// The ES and SCB forms leave the SCI out and fix what it is (§9.5); everything that says otherwise is refused.
fn form(macsec: &raw::Macsec, report: &mut Report) {
    let form = match (macsec.end_station(), macsec.scb()) {
        (false, false) => {
            port_id_twice(macsec, report);
            return;
        }
        (true, true) => {
            let span = span_of(macsec.scb.as_ref(), macsec.here);
            report
                .add(Code::SciForm, span, "a frame is either of the ES or of the SCB form")
                .help("choose one");
            return;
        }
        (true, false) => ("end_station", 1),
        (false, true) => ("scb", 0),
    };
    let (name, port_id) = form;
    if let Some(include) = macsec.include_sci.as_ref().filter(|at| at.value) {
        report
            .add(
                Code::SciForm,
                include.span,
                format!("`{name}` leaves the SCI out, `include_sci` puts it in"),
            )
            .help("remove one of them");
    }
    let given_id = macsec.sci.as_ref().map(|at| (at.value.port_id, at.span));
    let given_id = given_id.or_else(|| macsec.port_id.as_ref().map(|at| (at.value, at.span)));
    if let Some((wrong, span)) = given_id.filter(|(given, _)| *given != port_id) {
        report
            .add(Code::SciForm, span, format!("`{name}` stands for port identifier {port_id}, not {wrong}"))
            .help(format!(
                "receivers take the source MAC address with {port_id:04x} for the SCI; remove this"
            ));
    }
}

fn port_id_twice(macsec: &raw::Macsec, report: &mut Report) {
    let (Some(sci), Some(port_id)) = (&macsec.sci, &macsec.port_id) else { return };
    if sci.value.port_id != port_id.value {
        report
            .add(Code::SciForm, port_id.span, format!("`sci` says port identifier {}", sci.value.port_id))
            .also(sci.span, "here")
            .help("remove `port_id`: an SCI has its own");
    }
}
