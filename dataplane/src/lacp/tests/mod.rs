//! LACP, machine by machine, and then two systems on bad links.

mod codec;
mod limits;
mod machines;
mod pair;
mod selection;

use core::time::Duration;

use net::{Instant, MacAddr};

use super::*;

pub(super) const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0a]);
pub(super) const THEIRS: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0b]);

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn at(ms: u64) -> Instant {
    Instant::ZERO.after(Duration::from_millis(ms))
}

pub(super) const ACTIVE_FAST: LacpParams =
    LacpParams { system_priority: 0x8000, system: OURS, key: 7, active: true, short_timeout: true };

/// So many members, numbered from 1.
pub(super) fn members(count: u16) -> Vec<MemberParams> {
    (1..=count).map(|number| MemberParams { number, priority: 0x8000 }).collect()
}

/// A LAG whose ports are all enabled at `now`, with what that makes them say fetched.
pub(super) fn enabled(params: &LacpParams, count: u16, now: Instant) -> Aggregator {
    let mut lag = Aggregator::new(params, &members(count));
    (0..usize::from(count)).for_each(|member| lag.set_enabled(member, true, now));
    drain(&mut lag, now);
    lag
}

/// What the partner says of its port `number`, in this state.
pub(super) fn partner_port(number: u16, state: PortState) -> PortInfo {
    PortInfo { system_priority: 0x8000, system: THEIRS, key: 9, port_priority: 0x8000, port: number, state }
}

/// What a partner usually says before it is in step.
pub(super) const WILLING: PortState = PortState(0x01 | 0x02 | 0x04);

/// The PDU of a partner that knows what we say of `member`.
pub(super) fn pdu(lag: &Aggregator, member: usize, actor: PortInfo) -> [u8; LACPDU_LEN] {
    Lacpdu { version: 1, actor, partner: lag.status()[member].actor, collector_max_delay: 0 }.encode()
}

/// The partner's port on `member` says that it is in this state, and knows us.
pub(super) fn say(lag: &mut Aggregator, member: usize, state: PortState, now: Instant) {
    let number = u16::try_from(member).unwrap() + 1;
    let said = pdu(lag, member, partner_port(number, state));
    lag.handle_pdu(member, &said, now).unwrap();
}

/// Brings `member` to DISTRIBUTING at `now`, its wait aside: all members must be brought there.
pub(super) fn bring_up(lag: &mut Aggregator, member: usize, now: Instant) {
    let synchronized = WILLING.with(PortState::SYNCHRONIZATION);
    say(lag, member, WILLING, now);
    say(lag, member, synchronized, now);
    say(lag, member, synchronized.with(PortState::COLLECTING).with(PortState::DISTRIBUTING), now);
}

/// All LACPDUs that wait to be sent, by member.
pub(super) fn drain(lag: &mut Aggregator, now: Instant) -> Vec<(usize, Lacpdu)> {
    let mut sent = Vec::new();
    while let Some((member, octets)) = lag.poll_transmit(now) {
        let Ok(Pdu::Lacp(pdu)) = Pdu::decode(&octets) else { panic!("what we say is a LACPDU") };
        sent.push((member, pdu));
    }
    sent
}

/// All that waits to be told.
pub(super) fn told(lag: &mut Aggregator) -> Vec<(usize, LacpEvent)> {
    core::iter::from_fn(|| lag.poll_event()).collect()
}
