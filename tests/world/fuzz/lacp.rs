//! LACPDUs from partners that lie, and time, links and operators between them.

use core::time::Duration;

use dataplane::lacp::{Aggregator, LacpParams, Lacpdu, MemberParams, MemberStatus, Pdu, PortInfo, PortState};
use net::{Instant, MacAddr};

use super::Choices;

const MEMBERS: usize = 3;
const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// What we say can be read and is no more than three in a second; nothing is sent into a port that does not collect, or that is not
/// enabled; what is refused changes counters only; time always goes on.
pub fn lacp(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let params = LacpParams {
        system_priority: 0x8000,
        system: OWN,
        key: 1,
        active: choices.flag(),
        short_timeout: choices.flag(),
    };
    let members: Vec<_> = (1..=3).map(|number| MemberParams { number, priority: 0x8000 }).collect();
    let mut lag = Aggregator::new(&params, &members);
    let (mut now, mut sent) = (Instant::ZERO, [const { Vec::new() }; MEMBERS]);
    while !choices.is_empty() {
        let member = choices.below(MEMBERS);
        match choices.below(6) {
            0 => {
                now = now.after(Duration::from_millis(u64::from(choices.word()) << choices.below(4)));
                lag.handle_timeout(now);
            }
            1 => lag.set_enabled(member, choices.below(4) > 0, now),
            2 => lag.set_standby(member, choices.below(4) == 0, now),
            3 => {
                let before = lag.status();
                if lag.handle_pdu(member, choices.piece(), now).is_err() {
                    let silent = |one: &MemberStatus| MemberStatus { counters: before[0].counters, ..*one };
                    assert!(lag.status().iter().map(silent).eq(before.iter().map(silent)), "it was refused");
                }
            }
            _ => {
                let pdu = pdu(&mut choices, &lag.status()[member]);
                lag.handle_pdu(member, &pdu.encode(), now).expect("it is a LACPDU");
            }
        }
        drain(&mut lag, &mut sent, now);
        check(&lag, now);
    }
}

fn drain(lag: &mut Aggregator, sent: &mut [Vec<Instant>; MEMBERS], now: Instant) {
    while let Some((member, octets)) = lag.poll_transmit(now) {
        assert!(matches!(Pdu::decode(&octets), Ok(Pdu::Lacp(pdu)) if pdu.actor.system == OWN));
        let times = &mut sent[member];
        times.push(now);
        if let [.., first, _, _, last] = times[..] {
            assert!(last.since(first) >= Duration::from_secs(1), "802.1AX-2014 §6.4.16");
        }
    }
    while let Some((_, octets)) = lag.poll_response() {
        assert!(matches!(Pdu::decode(&octets), Ok(Pdu::Marker(marker)) if marker.is_response));
    }
    while lag.poll_event().is_some() {}
}

fn check(lag: &Aggregator, now: Instant) {
    assert_eq!(lag.distributing() & !lag.collecting(), 0);
    assert!(lag.poll_timeout().is_none_or(|due| due > now), "a deadline that is over, and nothing done");
    for (at, one) in lag.status().iter().enumerate() {
        let distributes = lag.distributing() >> at & 1 == 1;
        let may =
            one.enabled && one.partner.state.has(PortState::COLLECTING.with(PortState::SYNCHRONIZATION));
        assert!(!distributes || may && one.selected.label() == "selected", "{one:?}");
        assert!(!one.collects || one.enabled, "{one:?}");
        assert!(one.since <= now && (!distributes || one.partner.system != OWN), "{one:?}");
    }
}

/// A LACPDU of one of few systems, which mostly knows what we say of the member.
fn pdu(choices: &mut Choices<'_>, known: &MemberStatus) -> Lacpdu {
    let system = [OWN, MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 3])][choices.below(8).min(2)];
    let port = u16::from(choices.octet() & 3);
    let state = PortState(choices.octet());
    let actor = PortInfo { system_priority: 0x8000, system, key: 1, port_priority: 0x8000, port, state };
    let mut partner = known.actor;
    match choices.below(8) {
        0 => partner.key ^= 1,
        1 => partner.state = PortState(choices.octet()),
        _ => {}
    }
    Lacpdu { version: choices.octet(), actor, partner, collector_max_delay: 0 }
}
