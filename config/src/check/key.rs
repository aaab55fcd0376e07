//! Static keys: read, of the right length, and never the same nonce twice.
//!
//! AES-GCM breaks completely when one key meets one nonce twice (NIST SP 800-38D §8). A nonce is made of the
//! sender (its SCI, or its SSCI with XPN) and the packet number, and every sender starts to count at 1. So
//! each pair of key and sender may exist once among all keys of the file, sending and receiving.

use std::collections::BTreeMap;

use super::macsec::{Keys, is_xpn, tx_sci};
use crate::{
    model::{Cipher, Policy, RxSc, Sa, Sci, TxSci, Xpn},
    problem::{Code, Report, Span},
    raw::{self, At, items},
    secret::{Secret, SecretError, SecretRef, Zeroizing, hex},
};

/// Which key was seen with which sender, and where.
#[derive(Default)]
pub(super) struct Ledger(BTreeMap<([u8; 32], Sender), Use>);

/// What makes the nonces of a sender different from those of others.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Sender {
    Ssci(u32),
    Sci(Sci),
    /// An SCI made of the MAC address of this port's device.
    Device {
        port: String,
        port_id: u16,
    },
}

#[derive(Clone)]
struct Use {
    channel: String,
    sends: bool,
    span: Span,
}

/// A key of either direction, as far as both are alike.
struct Entry<'e> {
    an: Option<&'e At<u8>>,
    key: Option<&'e At<SecretRef>>,
    salt: Option<&'e At<[u8; 12]>>,
    ssci: Option<&'e At<u32>>,
    here: Span,
}

/// The keys of a channel, both lists empty when its policy is off; `None` after a finding.
pub(super) fn check(
    macsec: &raw::Macsec,
    keys: &mut Keys<'_>,
    report: &mut Report,
) -> Option<(Vec<Sa>, Vec<RxSc>)> {
    let none = raw::StaticKeys::default();
    let given = macsec.static_keys.as_ref().map_or(&none, |at| &at.value);
    let tx = tx(macsec, items(&given.tx), keys, report);
    let rx = rx(macsec, items(&given.rx), keys, report);
    if macsec.is_wrong("policy") || macsec.is_wrong("static") {
        return None;
    }
    // Without static keys it is MKA's, or a finding already.
    let Some(here) = macsec.static_keys.as_ref().filter(|_| macsec.policy() != Policy::Off) else {
        return Some((Vec::new(), Vec::new()));
    };
    for (list, direction) in [(items(&given.tx).len(), "tx"), (items(&given.rx).len(), "rx")] {
        if list == 0 {
            let message = format!("channel `{}` has no key to {}", keys.owner.channel, verb(direction));
            report
                .add(Code::NoKeys, here.span, message)
                .help(format!("add [[channel.macsec.static.{direction}]] with a key"));
        }
    }
    tx.zip(rx)
}

fn verb(direction: &str) -> &'static str {
    if direction == "tx" { "send with" } else { "receive with" }
}

fn tx(
    macsec: &raw::Macsec,
    list: &[At<raw::TxKey>],
    keys: &mut Keys<'_>,
    report: &mut Report,
) -> Option<Vec<Sa>> {
    let mut ans = BTreeMap::new();
    let sender = match tx_sci(macsec) {
        TxSci::Given(sci) => Sender::Sci(sci),
        TxSci::DeviceMac { port_id } => Sender::Device { port: keys.owner.port.clone(), port_id },
    };
    let build = |at: &At<raw::TxKey>| {
        let key = &at.value;
        let entry = Entry {
            an: key.an.as_ref(),
            key: key.key.as_ref(),
            salt: key.salt.as_ref(),
            ssci: key.ssci.as_ref(),
            here: key.here,
        };
        an_once(&mut ans, &entry, "to send with", report);
        sa(macsec, &entry, &sender, true, keys, report)
    };
    list.iter().map(build).collect::<Vec<_>>().into_iter().collect()
}

fn rx(
    macsec: &raw::Macsec,
    list: &[At<raw::RxKey>],
    keys: &mut Keys<'_>,
    report: &mut Report,
) -> Option<Vec<RxSc>> {
    let mut ans: BTreeMap<Sci, BTreeMap<u8, Span>> = BTreeMap::new();
    let mut channels: Vec<RxSc> = Vec::new();
    let mut whole = true;
    for At { value: key, .. } in list {
        let entry = Entry {
            an: key.an.as_ref(),
            key: key.key.as_ref(),
            salt: key.salt.as_ref(),
            ssci: key.ssci.as_ref(),
            here: key.here,
        };
        let sci = key.sci.as_ref();
        if let Some(sci) = sci {
            own_sci(macsec, sci, report);
            several_without_sci(macsec, &ans, sci, report);
            an_once(ans.entry(sci.value).or_default(), &entry, "of this SCI", report);
        }
        // Without an SCI the rest of the entry is checked all the same; a made-up sender collides with nobody.
        let sender = sci
            .map_or_else(|| Sender::Device { port: String::new(), port_id: 0 }, |at| Sender::Sci(at.value));
        match (sci, sa(macsec, &entry, &sender, false, keys, report)) {
            (Some(sci), Some(sa)) => match channels.iter_mut().find(|known| known.sci == sci.value) {
                Some(known) => known.sas.push(sa),
                None => channels.push(RxSc { sci: sci.value, sas: vec![sa] }),
            },
            _ => whole = false,
        }
    }
    whole.then_some(channels)
}

fn own_sci(macsec: &raw::Macsec, sci: &At<Sci>, report: &mut Report) {
    if let Some(own) = macsec.sci.as_ref().filter(|own| own.value == sci.value) {
        report
            .add(Code::SameSci, sci.span, format!("the peer's SCI {} is our own", sci.value))
            .also(own.span, "ours")
            .help("the SCI of a receive key is the one that the far end sends with");
    }
}

/// §10.5.3 sends the SCI whenever more than one receive SC is enabled; leaving it out on purpose then
/// leaves every receiver in the dark.
fn several_without_sci(
    macsec: &raw::Macsec,
    known: &BTreeMap<Sci, BTreeMap<u8, Span>>,
    sci: &At<Sci>,
    report: &mut Report,
) {
    let left_out =
        macsec.include_sci.as_ref().filter(|at| !at.value && !macsec.end_station() && !macsec.scb());
    let Some(left_out) = left_out.filter(|_| known.len() == 1 && !known.contains_key(&sci.value)) else {
        return;
    };
    report
        .add(Code::SciNeeded, left_out.span, "with several peers every frame must say whose it is")
        .also(sci.span, "a second peer")
        .help("set include_sci = true");
}

fn an_once(seen: &mut BTreeMap<u8, Span>, entry: &Entry<'_>, whose: &str, report: &mut Report) {
    let Some(an) = entry.an else { return };
    if let Some(first) = seen.get(&an.value) {
        report
            .add(Code::DuplicateAn, an.span, format!("two keys {whose} have association number {}", an.value))
            .also(*first, "first here")
            .help("association numbers are 0 to 3; the keys of one secure channel need different ones");
    } else {
        seen.insert(an.value, an.span);
    }
}

/// Everything about one key.
fn sa(
    macsec: &raw::Macsec,
    entry: &Entry<'_>,
    sender: &Sender,
    sends: bool,
    keys: &mut Keys<'_>,
    report: &mut Report,
) -> Option<Sa> {
    let secret = entry.key.and_then(|reference| {
        let secret = read((reference, SecretKind::Sak), keys, report)?;
        (macsec.is_wrong("cipher") || length_fits(&secret, macsec.cipher(), reference, report))
            .then_some(secret)
    });
    let xpn = if macsec.is_wrong("cipher") { None } else { xpn(macsec.cipher(), entry, report)? };
    let (an, reference, secret) = (entry.an?, entry.key?, secret?);
    let sender = xpn.map_or_else(|| sender.clone(), |xpn| Sender::Ssci(xpn.ssci));
    if macsec.policy() != Policy::Off {
        let use_here = Use { channel: keys.owner.channel.clone(), sends, span: reference.span };
        keys.ledger.enter(&secret, sender, use_here, report);
    }
    Some(Sa { an: an.value, key: secret, from: reference.value.clone(), xpn })
}

/// What a secret is for, and so where it comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SecretKind {
    /// A SAK that is set by hand.
    Sak,
    /// A CAK or its name.
    Mka,
    /// The password of a BGP session.
    Password,
    /// The key of measurements.
    Measurement,
}

impl SecretKind {
    /// How to come by one.
    const fn origin(self) -> &'static str {
        match self {
            Self::Sak => "make a key with: openssl rand -hex 32",
            Self::Mka => "make a CKN and its CAK with: quadspan keygen --out keys/ch1",
            Self::Password => "the password is the one that the neighbour has: ask its operator",
            Self::Measurement => "both ends have the same key; make one with: openssl rand -hex 32",
        }
    }
}

/// Reads the key behind a reference. What is said about a failure never holds what was read.
pub(super) fn read(
    (reference, kind): (&At<SecretRef>, SecretKind),
    keys: &Keys<'_>,
    report: &mut Report,
) -> Option<Secret> {
    let text = text_at((&reference.value, kind), reference.span, keys, report)?;
    let octets = if text.trim().is_empty() { None } else { hex(&text) };
    let Some(mut octets) = octets else {
        let is_empty = text.trim().is_empty();
        let message =
            format!("{} {}", reference.value, if is_empty { "is empty" } else { "does not hold a key" });
        report
            .add(Code::KeyMalformed, reference.span, message)
            .label(if is_empty { "no key in it" } else { "not made of pairs of hexadecimal digits" })
            .help(format!("a key is 32 or 64 hexadecimal digits; {}", kind.origin()));
        return None;
    };
    Some(Secret::new(&mut octets))
}

/// What stands at a reference.
pub(super) fn text_at(
    (reference, kind): (&SecretRef, SecretKind),
    span: Span,
    keys: &Keys<'_>,
    report: &mut Report,
) -> Option<Zeroizing<String>> {
    let text = keys.outside.secrets.read(reference);
    text.inspect_err(|error| refused((reference, kind), span, error, report)).ok()
}

/// Says why a secret was not read.
pub(super) fn refused(
    (reference, kind): (&SecretRef, SecretKind),
    span: Span,
    error: &SecretError,
    report: &mut Report,
) {
    let code = match error {
        SecretError::NotFound => Code::SecretNotFound,
        SecretError::WorldReadable { .. } => Code::SecretWorldReadable,
        SecretError::Denied | SecretError::NotText | SecretError::Failed(_) => Code::SecretUnreadable,
    };
    let found = report.add(code, span, format!("{reference} {error}"));
    match (error, reference) {
        (SecretError::WorldReadable { .. }, SecretRef::File(path)) => {
            found.help(format!("chmod 600 {}; and change the key if others may have seen it", path.display()))
        }
        (SecretError::NotFound, SecretRef::File(_)) => found
            .help(format!("a relative path starts at the directory of the configuration; {}", kind.origin())),
        (SecretError::NotFound, SecretRef::Credential(name)) => {
            found.help(format!("add LoadCredential={name}:/path/of/the/key to the unit"))
        }
        (SecretError::NotFound, SecretRef::Env(name)) => {
            found.help(format!("set {name} for the gateway's process"))
        }
        (_, SecretRef::File(path)) => {
            found.help(format!("see ls -l {}, and run as the gateway's user", path.display()))
        }
        _ => found.help("run as the gateway's user, in its unit"),
    };
}

fn length_fits(secret: &Secret, cipher: Cipher, reference: &At<SecretRef>, report: &mut Report) -> bool {
    let needed = match cipher {
        Cipher::GcmAes128 | Cipher::GcmAesXpn128 => 16,
        Cipher::GcmAes256 | Cipher::GcmAesXpn256 => 32,
    };
    let found = secret.expose().len();
    if found != needed {
        report
            .add(
                Code::KeyLength,
                reference.span,
                format!("the key has {found} octets, {cipher} needs {needed}"),
            )
            .help(format!("use {} hexadecimal digits: openssl rand -hex {needed}", needed * 2));
    }
    found == needed
}

/// Salt and SSCI, which belong to XPN suites and to nothing else. The outer `None` is a finding.
fn xpn(cipher: Cipher, entry: &Entry<'_>, report: &mut Report) -> Option<Option<Xpn>> {
    let fields = [("salt", entry.salt.map(|at| at.span)), ("ssci", entry.ssci.map(|at| at.span))];
    let mut right = true;
    for (name, place) in fields {
        match (is_xpn(cipher), place) {
            (true, None) => {
                report
                    .add(Code::XpnMissing, entry.here, format!("`{name}` is missing: {cipher} needs it"))
                    .help("both ends need the same salt, and each sender an SSCI of its own (1, 2, …)");
            }
            (false, Some(span)) => {
                report
                    .add(Code::XpnUnexpected, span, format!("{cipher} has no `{name}`"))
                    .help("remove it, or use an XPN suite");
            }
            (true, Some(_)) | (false, None) => continue,
        }
        right = false;
    }
    let xpn = entry.salt.zip(entry.ssci).map(|(salt, ssci)| Xpn { ssci: ssci.value, salt: salt.value });
    right.then_some(xpn)
}

impl Ledger {
    fn enter(&mut self, secret: &Secret, sender: Sender, here: Use, report: &mut Report) {
        let Some(first) = self.0.insert((secret.digest(), sender.clone()), here.clone()) else { return };
        let what = match sender {
            Sender::Ssci(ssci) => format!("SSCI {ssci}"),
            Sender::Sci(sci) => format!("SCI {sci}"),
            Sender::Device { .. } => "SCI".to_owned(),
        };
        let one_channel = first.channel == here.channel;
        let (code, message) = if one_channel && first.sends != here.sends {
            (
                Code::SameSender,
                format!("both ends of channel `{}` use this key with the same {what}", here.channel),
            )
        } else if one_channel {
            (Code::NonceReuse, format!("channel `{}` has this key twice with the same {what}", here.channel))
        } else {
            let (a, b) = (&first.channel, &here.channel);
            (Code::NonceReuse, format!("channels `{a}` and `{b}` use one key with the same {what}"))
        };
        report
            .add(code, here.span, message)
            .label("the same key again")
            .also(first.span, "first here")
            .help("nonces would repeat, which gives the key away: use another key, or another SSCI");
    }
}
