//! The words that `status` and tables give as reasons: why an attachment carries nothing, and what MKA finds.

use dataplane::Fault;

/// A word, what it means, and what to look at or to do.
pub(super) type Word = (&'static str, &'static str, &'static str);

/// What speaks against an attachment.
pub(super) const fn fault(fault: Fault) -> Word {
    let (meaning, next) = match fault {
        Fault::PortDown => (
            "the device of the port is down, or gone",
            "`ip link show DEVICE`; `ip link set DEVICE up`; `show ports` has the device of each port",
        ),
        Fault::NoCarrier => (
            "the port's device is up and has no carrier: nothing is plugged in, or the far end is down",
            "cable, optics and the far end's port; `ethtool DEVICE`",
        ),
        Fault::NoRoute => (
            "there is no route to the peer of the tunnel that the port is",
            "`ip route get REMOTE`; the port's `underlay` in the configuration",
        ),
        Fault::Drill => (
            "an operator rehearses a failure: the channel is silent for a while (`quadspan drill`)",
            "nothing: it ends by itself",
        ),
        Fault::MkaDown => (
            "MACsec is required and MKA has agreed on no key with the far end; nothing is sent in clear instead",
            "`show mka CHANNEL` says what it finds, each with a remedy",
        ),
        Fault::NotSecured => (
            "MACsec is required and there is no key to send with: none is agreed on or configured, or its packet numbers are used up",
            "`show macsec CHANNEL`, and `show mka CHANNEL` where keys come from MKA",
        ),
        Fault::LacpDown => (
            "LACP has not agreed: the channel carries nothing for its LAG, or too few members of the LAG do",
            "`show lags`; whether the far end runs LACP on the same links",
        ),
        Fault::BfdDown => (
            "the link is up, and BFD hears nothing of the far end, or the far end hears nothing of us",
            "`show bfd`: what each end says; a path in between that is broken, or a filter of UDP port 3784",
        ),
        Fault::NarrowPath => (
            "the tunnel's path carries less than the 1280 octets that IPv6 needs, and the attachment has IPv6 addresses; it carries what has no other way",
            "event port.path_mtu has what the path carries; raise the MTU on the way",
        ),
        Fault::Quality => (
            "the path is up and loses, delays or scatters more than `quality` allows; it carries what has no other way",
            "`show quality`; the carrier",
        ),
        Fault::Flapping => (
            "it is up, and was lost so often within a minute that it waits before it carries traffic; until then it carries what has no other way",
            "event attachment.flapping says for how long; `show events` has why it was lost each time",
        ),
        Fault::Drained => (
            "an operator moved its traffic away (`quadspan drain`); it carries what has no other way",
            "`quadspan undrain CHANNEL` when the work is done",
        ),
    };
    (fault.label(), meaning, next)
}

/// What MKA finds; what to do about it stands in [`crate::key_agreement::REMEDIES`].
pub(super) const MKA: &[(&str, &str)] = &[
    ("no_key_started", "by this machine's clock no key of the channel has started"),
    ("nothing_heard", "nobody speaks MKA with us on this link"),
    ("unknown_ckn", "the peer uses a key whose name (CKN) is not configured here"),
    ("key_not_started", "the peer uses a key that by our clock has not started"),
    (
        "cak_differs",
        "the peer has another key (CAK) under the same name: the check value of its messages is wrong",
    ),
    ("not_listed", "the peer does not list us among those it hears: our messages do not reach it"),
    ("only_potential", "the peer hears us, and does not accept what we send as recent"),
    ("cipher_not_accepted", "the key server chose a cipher suite that this channel does not accept"),
    ("cipher_not_supported", "the peer offers cipher suites, and there is none that both have"),
    ("capability_too_low", "the peer says that it can protect frames less than this channel requires"),
    ("macsec_not_desired", "the peer says that it wants no MACsec"),
    ("no_sak", "the key server hears us and distributes no key (SAK)"),
    (
        "sak_not_taken",
        "the peer is offered a key (SAK) and does not install it: what it is configured for differs",
    ),
    ("not_encrypted", "the key server asks for integrity alone, and this channel requires encryption"),
    ("no_macsec", "the key server says to do without MACsec"),
    ("two_key_servers", "two members with one priority claimed to be key server; the lower SCI won"),
    ("no_key_server", "every member has priority 255, so nobody may become key server"),
    ("packet_numbers_low", "a key's packet numbers near their end, and the key server sends no fresh key"),
    (
        "key_reused",
        "the key server distributed a key a second time; it is refused, as packet numbers would repeat",
    ),
    ("sak_unreadable", "a key that the key server sent cannot be unwrapped, or has not its suite's length"),
    ("sak_refused", "a key that was agreed on could not be installed here"),
    ("loop", "our own MKA messages come back: a loop, or another system with our address"),
    ("malformed", "a peer sends MKA messages that are malformed although it knows the key"),
    ("members_unknown", "a key waits until all members of the group are heard"),
];

#[cfg(test)]
mod tests {
    use macsec::mka::Diagnosis;

    use super::*;

    #[test]
    fn whatever_mka_finds_has_a_meaning() {
        assert!(MKA.iter().map(|(code, _)| code).eq(Diagnosis::CODES));
    }
}
