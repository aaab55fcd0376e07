//! PDUs on the wire.

use proptest::prelude::*;

use super::*;

/// What Linux 6.1's bonding driver sent, from the subtype on: active, fast, looking for a partner.
const LINUX: &str = "0101\
    0114ffff525400aa0001000f00ff0001c7000000\
    0214ffff000000000000000100ff000102000000\
    03100000";

/// The PDU, whose rest is zero.
fn linux() -> [u8; LACPDU_LEN] {
    let mut whole = [0; LACPDU_LEN];
    let said = octets(LINUX);
    whole[..said.len()].copy_from_slice(&said);
    whole
}

fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(core::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

#[test]
fn ieee_802_1ax_6_4_2_3_what_linux_sends_is_understood_and_written_alike() {
    let read = Pdu::decode(&linux()).unwrap();
    let Pdu::Lacp(pdu) = read else { panic!("{read:?}") };
    assert_eq!((pdu.actor.system_priority, pdu.actor.key, pdu.actor.port), (0xffff, 15, 1));
    assert_eq!(pdu.actor.system.to_string(), "52:54:00:aa:00:01");
    assert_eq!(pdu.actor.state.to_string(), "ACT+STO+AGG+DEF+EXP");
    assert_eq!(pdu.partner.state.to_string(), "STO");
    assert_eq!(pdu.encode(), linux());
}

#[test]
fn ieee_802_1ax_6_4_2_4_a_later_version_is_understood_as_far_as_it_is_ours() {
    let mut later = linux().to_vec();
    later[1] = 2;
    // Behind the Partner's TLV another one than ours, and more octets than version 1 has.
    later.truncate(42);
    later.extend([0x0a, 0x08, 1, 2, 3, 4, 5, 6]);
    later.extend([0; 100]);
    let Ok(Pdu::Lacp(pdu)) = Pdu::decode(&later) else { panic!("refused") };
    assert_eq!((pdu.version, pdu.actor.port, pdu.collector_max_delay), (2, 1, 0));
}

#[test]
fn what_is_cut_short_or_contradicts_itself_is_illegal() {
    let whole = linux();
    for len in 0..42 {
        assert_eq!(Pdu::decode(&whole[..len]), Err(Refusal::Illegal), "{len} octets");
    }
    assert!(Pdu::decode(&whole[..42]).is_ok(), "behind the partner nothing is needed");
    for (place, value) in [(2, 2), (3, 19), (3, 21), (22, 1), (23, 0)] {
        let mut wrong = whole;
        wrong[place] = value;
        assert_eq!(Pdu::decode(&wrong), Err(Refusal::Illegal), "octet {place} is {value}");
    }
    let marker = Marker { is_response: false, port: 3, system: THEIRS, transaction: 0x1234_5678 };
    for len in 0..16 {
        assert_eq!(Pdu::decode(&marker.encode()[..len]), Err(Refusal::Illegal), "{len} octets");
    }
}

#[test]
fn other_slow_protocols_are_unknown_and_those_that_do_not_exist_illegal() {
    for subtype in [0, 11, 255] {
        assert_eq!(Pdu::decode(&[subtype; 110]), Err(Refusal::Illegal), "{subtype}");
    }
    for subtype in 3..=10 {
        assert_eq!(Pdu::decode(&[subtype; 110]), Err(Refusal::Unknown), "{subtype}");
    }
}

#[test]
fn ieee_802_1ax_6_5_3_3_a_marker_reads_like_its_figure() {
    let marker = Marker { is_response: false, port: 3, system: THEIRS, transaction: 0x1234_5678 };
    assert_eq!(marker.encode()[..18], octets("0201 0116 0003 02000000000b 12345678 0000")[..]);
    let response = Marker { is_response: true, ..marker };
    assert_eq!(response.encode()[..4], octets("0201 0216")[..]);
    assert_eq!(Pdu::decode(&response.encode()), Ok(Pdu::Marker(response)));
    assert_eq!(response.encode().len(), 110);
}

#[test]
fn state_bits_have_the_standards_order() {
    let each = PortState::NAMES.map(|(bit, name)| (bit.0, name));
    let expected = [
        (0x01, "ACT"),
        (0x02, "STO"),
        (0x04, "AGG"),
        (0x08, "SYN"),
        (0x10, "COL"),
        (0x20, "DIS"),
        (0x40, "DEF"),
        (0x80, "EXP"),
    ];
    assert_eq!(each, expected);
    assert_eq!(PortState(0).to_string(), "-");
}

proptest! {
    #[test]
    fn any_octets_are_refused_or_understood(octets in proptest::collection::vec(any::<u8>(), 0..160)) {
        if let Ok(Pdu::Lacp(pdu)) = Pdu::decode(&octets) {
            prop_assert_eq!(Pdu::decode(&pdu.encode()), Ok(Pdu::Lacp(pdu)));
        }
    }

    #[test]
    fn what_is_written_reads_back(words in any::<[u16; 9]>(), states in any::<[u8; 2]>(), mac in any::<[u8; 6]>()) {
        let info = |at: usize, state| PortInfo {
            system_priority: words[at],
            system: MacAddr(mac),
            key: words[at + 1],
            port_priority: words[at + 2],
            port: words[at + 3],
            state: PortState(state),
        };
        let pdu = Lacpdu { version: 1, actor: info(0, states[0]), partner: info(4, states[1]), collector_max_delay: words[8] };
        prop_assert_eq!(Pdu::decode(&pdu.encode()), Ok(Pdu::Lacp(pdu)));
    }
}
