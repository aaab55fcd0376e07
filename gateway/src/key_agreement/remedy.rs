//! What to do about what is wrong.

use macsec::mka::Diagnosis;

/// What somebody who reads a diagnosis should look at.
pub const fn remedy(diagnosis: &Diagnosis) -> &'static str {
    match diagnosis {
        Diagnosis::NoKeyStarted { .. } => {
            "look at this machine's clock (timedatectl), or give a key an earlier start, or none"
        }
        Diagnosis::NothingHeard { .. } => {
            "does the peer run MKA on this link? is its VLAN ours (clear_tags)? do bridges and carriers on the way pass \
             the destination address and EtherType (channel.macsec.mka.destination, .ethertype)?"
        }
        Diagnosis::UnknownCkn { .. } => {
            "give both ends the same ckn; peers that fill it up with zeros want ckn_padding = true"
        }
        Diagnosis::KeyNotStarted { .. } => {
            "compare both clocks; let the old key overlap with the new one on both ends"
        }
        Diagnosis::CakDiffers { .. } => {
            "give both ends the same cak under this ckn; compare their fingerprints"
        }
        Diagnosis::NotListed { .. } => {
            "frames from here do not reach the peer, or it refuses them: look at its log, and for a filter on the way"
        }
        Diagnosis::OnlyPotential { .. } => {
            "the peer hears us late or only now and then: look for loss or delay on the way"
        }
        Diagnosis::CipherNotAccepted { .. } => {
            "add its suite to channel.macsec.mka.ciphers, or change the peer's"
        }
        Diagnosis::CipherNotSupported { .. } => {
            "give both ends a suite in common: channel.macsec.mka.ciphers here, or the peer's"
        }
        Diagnosis::CapabilityTooLow { .. } => {
            "make the peer encrypt (its MACsec mode), or set encrypt = false here if integrity is enough"
        }
        Diagnosis::NotDesired { .. } => "switch MACsec on, as required, at the peer",
        Diagnosis::NoSak { .. } => {
            "look at the key server's log: does it have one of channel.macsec.mka.ciphers? and does a third member hold it up?"
        }
        Diagnosis::SakNotTaken { .. } => {
            "set the cipher suite and confidentiality offset that the peer is configured for, and look at its log"
        }
        Diagnosis::NotEncrypted { .. } => {
            "make the peer encrypt, or raise its key server priority above ours, or set encrypt = false"
        }
        Diagnosis::NoMacsec { .. } => {
            "make the peer require MACsec, or raise its key server priority above ours"
        }
        Diagnosis::TwoKeyServers { .. } => {
            "it works; give one end a lower channel.macsec.mka.priority to say which one it is to be"
        }
        Diagnosis::NoKeyServer => "give one end a priority below 255",
        Diagnosis::PacketNumbersLow { .. } => {
            "make the key server rekey, or use an XPN suite, whose numbers last for years"
        }
        Diagnosis::KeyReused { .. } => "the key server is faulty or its messages are replayed: restart it",
        Diagnosis::SakUnreadable { .. } => "the key server is faulty, or uses a suite of another key length",
        Diagnosis::SakRefused { .. } => {
            "see `quadspan show macsec`; if it stays, it is a fault in this program"
        }
        Diagnosis::Loop => "look for a loop on the way, or another system with our MAC address",
        Diagnosis::Malformed { .. } => {
            "the peer speaks another dialect: a capture and `quadspan decode` show which parameter set"
        }
        Diagnosis::MembersUnknown { .. } => {
            "it ends by itself once all members of the group have been heard; if not, one of them is not heard here"
        }
    }
}
