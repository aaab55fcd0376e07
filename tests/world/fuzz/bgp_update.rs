//! UPDATEs of neighbours that send anything.

use bgp::{
    PerFamily,
    wire::{
        emit::{self, EmitContext},
        header::{HEADER_LEN, MAX_LEN_EXTENDED},
        update::{self, Announced, Update, UpdateContext},
    },
};
use net::IpNet;

use super::Choices;

/// What was read can be said again and is read as the same; prefixes have no host bits; a message with faults that cost
/// routes announces none.
pub fn bgp_update(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let context = context(&mut choices);
    let Ok(update) = update::parse(choices.take(usize::MAX), &context) else { return };
    assert!(prefixes(&update).all(|prefix| *prefix == prefix.trunc()), "{update:?}");
    let Announced::Routes(groups) = update.announced else { return };
    // Groups of an empty list of prefixes say nothing.
    for group in groups.iter().filter(|group| !group.prefixes.is_empty()) {
        let family = bgp::Family::of(&group.prefixes[0]);
        let to = EmitContext { four_octet_as: true, max_len: MAX_LEN_EXTENDED };
        let Ok(messages) = emit::announce(family, &group.attributes, &group.prefixes, to) else { continue };
        let again = UpdateContext { four_octet_as: true, ..context.clone() };
        let mut seen = Vec::new();
        for message in messages {
            let read = update::parse(&message[HEADER_LEN..], &again).expect("we can read what we say");
            let Announced::Routes(groups) = read.announced else { panic!("{:?}", read.faults) };
            for one in groups {
                assert_eq!(one.attributes, group.attributes);
                seen.extend(one.prefixes);
            }
        }
        assert_eq!(seen, group.prefixes);
    }
}

fn prefixes(update: &Update) -> Box<dyn Iterator<Item = &IpNet> + '_> {
    match &update.announced {
        Announced::Routes(groups) => {
            Box::new(update.withdrawn.iter().chain(groups.iter().flat_map(|group| &group.prefixes)))
        }
        Announced::TreatAsWithdraw(lost) => Box::new(update.withdrawn.iter().chain(lost)),
    }
}

fn context(choices: &mut Choices<'_>) -> UpdateContext {
    let mut families = PerFamily::both(true);
    families.ipv4 = choices.below(8) != 0;
    UpdateContext {
        internal: choices.flag(),
        four_octet_as: choices.flag(),
        families,
        ipv4_over_ipv6: choices.flag(),
        first_as: None,
        accept_as_sets: choices.flag(),
        discard: Vec::new(),
    }
}
