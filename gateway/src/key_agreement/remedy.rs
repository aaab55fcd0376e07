//! What to do about what is wrong.

use macsec::mka::Diagnosis;

/// Remedies, each with the code of its diagnosis.
macro_rules! remedies {
    ($($name:ident = $code:literal: $text:literal,)+) => {
        /// What somebody who reads a diagnosis should look at.
        pub const fn remedy(diagnosis: &Diagnosis) -> &'static str {
            match diagnosis {
                $(Diagnosis::$name { .. } => $text,)+
            }
        }

        /// What somebody who reads the code of a diagnosis should look at.
        pub const REMEDIES: &[(&str, &str)] = &[$(($code, $text)),+];
    };
}

remedies! {
    NoKeyStarted = "no_key_started":
        "look at this machine's clock (timedatectl), or give a key an earlier start, or none",
    NothingHeard = "nothing_heard":
        "does the peer run MKA on this link? is its VLAN ours (clear_tags)? do bridges and carriers on the way pass \
         the destination address and EtherType (channel.macsec.mka.destination, .ethertype)?",
    UnknownCkn = "unknown_ckn":
        "give both ends the same ckn; peers that fill it up with zeros want ckn_padding = true",
    KeyNotStarted = "key_not_started":
        "compare both clocks; let the old key overlap with the new one on both ends",
    CakDiffers = "cak_differs":
        "give both ends the same cak under this ckn; compare their fingerprints",
    NotListed = "not_listed":
        "frames from here do not reach the peer, or it refuses them: look at its log, and for a filter on the way",
    OnlyPotential = "only_potential":
        "the peer hears us late or only now and then: look for loss or delay on the way",
    CipherNotAccepted = "cipher_not_accepted":
        "add its suite to channel.macsec.mka.ciphers, or change the peer's",
    CipherNotSupported = "cipher_not_supported":
        "give both ends a suite in common: channel.macsec.mka.ciphers here, or the peer's",
    CapabilityTooLow = "capability_too_low":
        "make the peer encrypt (its MACsec mode), or set encrypt = false here if integrity is enough",
    NotDesired = "macsec_not_desired":
        "switch MACsec on, as required, at the peer",
    NoSak = "no_sak":
        "look at the key server's log: does it have one of channel.macsec.mka.ciphers? and does a third member hold it up?",
    SakNotTaken = "sak_not_taken":
        "set the cipher suite and confidentiality offset that the peer is configured for, and look at its log",
    NotEncrypted = "not_encrypted":
        "make the peer encrypt, or raise its key server priority above ours, or set encrypt = false",
    NoMacsec = "no_macsec":
        "make the peer require MACsec, or raise its key server priority above ours",
    TwoKeyServers = "two_key_servers":
        "it works; give one end a lower channel.macsec.mka.priority to say which one it is to be",
    NoKeyServer = "no_key_server":
        "give one end a priority below 255",
    PacketNumbersLow = "packet_numbers_low":
        "make the key server rekey, or use an XPN suite, whose numbers last for years",
    KeyReused = "key_reused":
        "the key server is faulty or its messages are replayed: restart it",
    SakUnreadable = "sak_unreadable":
        "the key server is faulty, or uses a suite of another key length",
    SakRefused = "sak_refused":
        "see `quadspan show macsec`; if it stays, it is a fault in this program",
    Loop = "loop":
        "look for a loop on the way, or another system with our MAC address",
    Malformed = "malformed":
        "the peer speaks another dialect: a capture and `quadspan decode` show which parameter set",
    MembersUnknown = "members_unknown":
        "it ends by itself once all members of the group have been heard; if not, one of them is not heard here",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_diagnoses() {
        assert!(REMEDIES.iter().map(|(code, _)| code).eq(Diagnosis::CODES));
        let loops = REMEDIES.iter().find(|(code, _)| *code == Diagnosis::Loop.code());
        assert_eq!(loops.map(|(_, text)| *text), Some(remedy(&Diagnosis::Loop)));
    }
}
