//! Every transition of the Receive, Periodic Transmission, Mux and Churn Detection machines, and when PDUs leave.

use super::*;

const SYN: PortState = PortState::SYNCHRONIZATION;
const COL: PortState = PortState::COLLECTING;

#[test]
fn ieee_802_1ax_6_4_12_receive_machine() {
    let mut lag = Aggregator::new(&ACTIVE_FAST, &members(1));
    let receive = |lag: &Aggregator| lag.status()[0].receive;
    // INITIALIZE, then PORT_DISABLED; nothing is heard there.
    assert_eq!(receive(&lag), ReceiveState::PortDisabled);
    let deaf = pdu(&lag, 0, partner_port(1, WILLING));
    lag.handle_pdu(0, &deaf, at(0)).unwrap();
    assert_eq!((receive(&lag), lag.status()[0].partner.port), (ReceiveState::PortDisabled, 0));
    // port_enabled: EXPIRED, which asks the partner to be fast, and says so.
    lag.set_enabled(0, true, at(0));
    let status = lag.status()[0];
    assert_eq!(status.receive, ReceiveState::Expired);
    assert!(status.actor.state.has(PortState::EXPIRED) && status.partner.state.has(PortState::TIMEOUT));
    assert!(!status.partner.state.has(SYN));
    // current_while_timer, Short_Timeout: DEFAULTED.
    lag.handle_timeout(at(2_999));
    assert_eq!(receive(&lag), ReceiveState::Expired);
    lag.handle_timeout(at(3_000));
    let status = lag.status()[0];
    assert_eq!(status.receive, ReceiveState::Defaulted);
    assert!(status.actor.state.has(PortState::DEFAULTED) && !status.actor.state.has(PortState::EXPIRED));
    // A LACPDU: CURRENT, from any state.
    say(&mut lag, 0, WILLING, at(5_000));
    let status = lag.status()[0];
    assert_eq!((status.receive, status.partner.port), (ReceiveState::Current, 1));
    assert!(!status.actor.state.has(PortState::DEFAULTED));
    // Silence for our own LACP_Timeout: EXPIRED, then DEFAULTED; a LACPDU brings it back from there.
    lag.handle_timeout(at(7_999));
    assert_eq!(receive(&lag), ReceiveState::Current);
    lag.handle_timeout(at(8_000));
    assert_eq!(receive(&lag), ReceiveState::Expired);
    say(&mut lag, 0, WILLING, at(8_100));
    assert_eq!(receive(&lag), ReceiveState::Current);
    // The port goes: PORT_DISABLED, whatever it was.
    lag.set_enabled(0, false, at(8_200));
    assert_eq!(receive(&lag), ReceiveState::PortDisabled);
    lag.handle_timeout(at(60_000));
    assert_eq!(receive(&lag), ReceiveState::PortDisabled);
}

#[test]
fn ieee_802_1ax_6_4_4_a_slow_port_is_patient_for_90_seconds() {
    let mut lag = enabled(&LacpParams { short_timeout: false, ..ACTIVE_FAST }, 1, at(0));
    say(&mut lag, 0, WILLING, at(0));
    lag.handle_timeout(at(89_999));
    assert_eq!(lag.status()[0].receive, ReceiveState::Current);
    lag.handle_timeout(at(90_000));
    assert_eq!(lag.status()[0].receive, ReceiveState::Expired);
}

#[test]
fn ieee_802_1ax_6_4_9_record_pdu_believes_a_partner_that_knows_us_or_stands_alone() {
    let both = WILLING.with(SYN);
    let alone = PortState(both.0 & !PortState::AGGREGATION.0);
    let mute = PortState(both.0 & !PortState::ACTIVITY.0);
    // What the partner says of itself, whether it knows us, whether we are active: whether it is in step.
    for (state, knows_us, active, expected) in [
        (both, true, true, true),
        (both, false, true, false),
        (alone, false, true, true),
        (WILLING, true, true, false),
        (mute, true, true, true),
        (mute, true, false, false),
    ] {
        let mut lag = enabled(&LacpParams { active, ..ACTIVE_FAST }, 1, at(0));
        let mut said = Lacpdu {
            version: 1,
            actor: partner_port(1, state),
            partner: lag.status()[0].actor,
            collector_max_delay: 0,
        };
        if !knows_us {
            said.partner.port = 99;
        }
        lag.handle_pdu(0, &said.encode(), at(10)).unwrap();
        let synchronized = lag.status()[0].partner.state.has(SYN);
        assert_eq!(synchronized, expected, "{state} knows us {knows_us} active {active}");
    }
}

#[test]
fn ieee_802_1ax_6_4_9_an_old_picture_of_us_is_corrected_at_once() {
    let mut lag = enabled(&ACTIVE_FAST, 1, at(0));
    bring_up(&mut lag, 0, at(2_000));
    lag.handle_timeout(at(4_000));
    drain(&mut lag, at(4_000));
    let in_step = WILLING.with(SYN).with(COL).with(PortState::DISTRIBUTING);
    say(&mut lag, 0, in_step, at(4_500));
    assert_eq!(drain(&mut lag, at(4_500)), vec![], "it knows all of us that counts");
    let mut stale = Lacpdu {
        version: 1,
        actor: partner_port(1, in_step),
        partner: lag.status()[0].actor,
        collector_max_delay: 0,
    };
    stale.partner.state.set(SYN, false);
    lag.handle_pdu(0, &stale.encode(), at(4_600)).unwrap();
    let sent = drain(&mut lag, at(4_600));
    assert!(matches!(sent[..], [(0, pdu)] if pdu.actor.state.has(SYN)), "{sent:?}");
}

#[test]
fn ieee_802_1ax_6_4_13_periodic_transmission_machine() {
    let periodic = |lag: &Aggregator| lag.status()[0].periodic;
    let slow_partner = PortState(WILLING.0 & !PortState::TIMEOUT.0);
    let mut lag = Aggregator::new(&ACTIVE_FAST, &members(1));
    assert_eq!(periodic(&lag), PeriodicState::NoPeriodic, "the port is not enabled");
    lag.set_enabled(0, true, at(0));
    assert_eq!(periodic(&lag), PeriodicState::FastPeriodic, "nobody is heard yet");
    drain(&mut lag, at(0));
    say(&mut lag, 0, slow_partner, at(100));
    assert_eq!(periodic(&lag), PeriodicState::SlowPeriodic);
    drain(&mut lag, at(2_500));
    lag.handle_timeout(at(2_900));
    say(&mut lag, 0, slow_partner, at(2_900));
    assert_eq!(drain(&mut lag, at(2_900)), vec![]);
    // The partner wants to hear more: it does at once, and then every second.
    say(&mut lag, 0, WILLING, at(3_000));
    assert_eq!(periodic(&lag), PeriodicState::FastPeriodic);
    assert_eq!(drain(&mut lag, at(3_000)).len(), 1);
    lag.handle_timeout(at(3_999));
    assert_eq!(drain(&mut lag, at(3_999)), vec![]);
    lag.handle_timeout(at(4_000));
    assert_eq!(drain(&mut lag, at(4_000)).len(), 1);
    lag.set_enabled(0, false, at(4_100));
    assert_eq!(periodic(&lag), PeriodicState::NoPeriodic);
    lag.handle_timeout(at(10_000));
    assert_eq!(drain(&mut lag, at(10_000)), vec![]);
}

#[test]
fn ieee_802_1ax_6_4_13_two_passive_ends_are_silent_and_one_active_end_is_enough() {
    let passive = LacpParams { active: false, ..ACTIVE_FAST };
    let mut lag = enabled(&passive, 1, at(0));
    assert_eq!(lag.status()[0].periodic, PeriodicState::NoPeriodic);
    lag.handle_timeout(at(10_000));
    assert_eq!(drain(&mut lag, at(10_000)), vec![]);
    let silent = PortState(WILLING.0 & !PortState::ACTIVITY.0);
    say(&mut lag, 0, silent, at(11_000));
    assert_eq!((lag.status()[0].periodic, drain(&mut lag, at(11_000))), (PeriodicState::NoPeriodic, vec![]));
    say(&mut lag, 0, WILLING, at(12_000));
    assert_eq!(lag.status()[0].periodic, PeriodicState::FastPeriodic);
}

#[test]
fn ieee_802_1ax_6_4_13_slow_means_every_30_seconds() {
    let slow_partner = PortState(WILLING.0 & !PortState::TIMEOUT.0);
    let mut lag = enabled(&LacpParams { short_timeout: false, ..ACTIVE_FAST }, 1, at(0));
    say(&mut lag, 0, slow_partner, at(1_500));
    drain(&mut lag, at(1_500));
    say(&mut lag, 0, slow_partner, at(2_000));
    lag.handle_timeout(at(3_500));
    drain(&mut lag, at(3_500));
    say(&mut lag, 0, slow_partner, at(4_000));
    lag.handle_timeout(at(31_499));
    assert_eq!(drain(&mut lag, at(31_499)), vec![]);
    lag.handle_timeout(at(31_500));
    assert_eq!(drain(&mut lag, at(31_500)).len(), 1);
}

#[test]
fn ieee_802_1ax_6_4_15_mux_machine_with_independent_control() {
    let mux = |lag: &Aggregator| lag.status()[0].mux;
    let mut lag = enabled(&ACTIVE_FAST, 2, at(0));
    assert_eq!(mux(&lag), MuxState::Detached);
    // Selected, and another member may come yet: it waits for Aggregate_Wait_Time.
    say(&mut lag, 0, WILLING, at(1_000));
    assert_eq!(mux(&lag), MuxState::Waiting);
    say(&mut lag, 0, WILLING, at(2_500));
    lag.handle_timeout(at(2_999));
    assert_eq!(mux(&lag), MuxState::Waiting);
    lag.handle_timeout(at(3_000));
    assert_eq!(mux(&lag), MuxState::Attached);
    assert!(lag.status()[0].actor.state.has(SYN) && lag.collecting() == 0);
    // The partner is in step: it collects. The partner collects: it distributes.
    say(&mut lag, 0, WILLING.with(SYN), at(3_100));
    assert_eq!((mux(&lag), lag.collecting(), lag.distributing()), (MuxState::Collecting, 1, 0));
    say(&mut lag, 0, WILLING.with(SYN).with(COL), at(3_200));
    assert_eq!((mux(&lag), lag.collecting(), lag.distributing()), (MuxState::Distributing, 1, 1));
    // The partner no longer collects, then it is no longer in step.
    say(&mut lag, 0, WILLING.with(SYN), at(3_300));
    assert_eq!((mux(&lag), lag.collecting(), lag.distributing()), (MuxState::Collecting, 1, 0));
    say(&mut lag, 0, WILLING, at(3_400));
    assert_eq!((mux(&lag), lag.collecting(), lag.distributing()), (MuxState::Attached, 0, 0));
    // From DISTRIBUTING it comes down to ATTACHED at once.
    say(&mut lag, 0, WILLING.with(SYN).with(COL), at(3_500));
    assert_eq!(mux(&lag), MuxState::Distributing);
    say(&mut lag, 0, WILLING, at(3_600));
    assert_eq!((mux(&lag), lag.distributing()), (MuxState::Attached, 0));
    // Unselected (silence, then DEFAULTED): DETACHED.
    lag.handle_timeout(at(6_600));
    assert_eq!(mux(&lag), MuxState::Attached);
    lag.handle_timeout(at(9_600));
    assert_eq!(mux(&lag), MuxState::Detached);
    assert!(!lag.status()[0].actor.state.has(SYN));
}

#[test]
fn the_wait_ends_when_nobody_else_can_come() {
    let mut lag = enabled(&ACTIVE_FAST, 2, at(0));
    say(&mut lag, 0, WILLING, at(100));
    say(&mut lag, 1, WILLING, at(150));
    let mux = |lag: &Aggregator| lag.status().iter().map(|one| one.mux).collect::<Vec<_>>();
    assert_eq!(mux(&lag), [MuxState::Attached, MuxState::Attached]);
}

#[test]
fn a_link_that_goes_stops_both_ways_at_once_and_tells_why() {
    let mut lag = enabled(&ACTIVE_FAST, 1, at(0));
    bring_up(&mut lag, 0, at(100));
    assert_eq!((lag.collecting(), lag.distributing()), (1, 1));
    told(&mut lag);
    lag.set_enabled(0, false, at(200));
    assert_eq!((lag.collecting(), lag.distributing()), (0, 0));
    assert_eq!(told(&mut lag), [(0, LacpEvent::Left(Left::Disabled))]);
}

#[test]
fn silence_and_a_partner_that_leaves_are_told_apart() {
    let mut lag = enabled(&ACTIVE_FAST, 1, at(0));
    bring_up(&mut lag, 0, at(100));
    let partner = told(&mut lag);
    assert!(matches!(partner[..], [(0, LacpEvent::Partner(_)), (0, LacpEvent::Joined)]), "{partner:?}");
    lag.handle_timeout(at(3_100));
    assert_eq!(told(&mut lag), [(0, LacpEvent::Left(Left::Silence))]);
    bring_up(&mut lag, 0, at(3_200));
    assert_eq!(told(&mut lag), [(0, LacpEvent::Joined)]);
    say(&mut lag, 0, WILLING, at(3_300));
    assert_eq!(told(&mut lag), [(0, LacpEvent::Left(Left::Partner))]);
    lag.handle_timeout(at(6_300));
    lag.handle_timeout(at(9_300));
    assert_eq!(told(&mut lag), [(0, LacpEvent::KeptOut(Kept::Unheard))]);
}

#[test]
fn a_drained_member_goes_on_collecting_until_the_partner_stops() {
    let in_step = WILLING.with(SYN).with(COL).with(PortState::DISTRIBUTING);
    let mut lag = enabled(&ACTIVE_FAST, 2, at(0));
    bring_up(&mut lag, 0, at(100));
    bring_up(&mut lag, 1, at(100));
    bring_up(&mut lag, 0, at(150));
    assert_eq!(lag.distributing(), 3);
    lag.handle_timeout(at(2_000));
    drain(&mut lag, at(2_000));
    told(&mut lag);
    lag.set_standby(1, true, at(2_000));
    assert_eq!((lag.distributing(), lag.collecting()), (1, 3), "what is on its way is taken");
    let sent = drain(&mut lag, at(2_000));
    assert!(matches!(sent[..], [(1, pdu)] if !pdu.actor.state.has(SYN)), "{sent:?}");
    assert_eq!(told(&mut lag), [(1, LacpEvent::Left(Left::Standby))]);
    say(&mut lag, 1, WILLING.with(SYN), at(2_010));
    assert_eq!(lag.collecting(), 1, "the partner has stopped");
    lag.set_standby(1, false, at(2_100));
    say(&mut lag, 1, in_step, at(2_110));
    assert_eq!((lag.distributing(), lag.collecting()), (3, 3));
    // A partner that never says so is waited for a second at most.
    lag.set_standby(1, true, at(2_200));
    say(&mut lag, 0, in_step, at(2_200));
    lag.handle_timeout(at(3_199));
    assert_eq!(lag.collecting(), 3);
    lag.handle_timeout(at(3_200));
    assert_eq!(lag.collecting(), 1);
}

#[test]
fn ieee_802_1ax_6_4_17_churn_is_told_after_a_minute_and_when_it_is_over() {
    let mut lag = enabled(&ACTIVE_FAST, 1, at(0));
    let mut now = 0;
    let keep_alive = |lag: &mut Aggregator, now: &mut u64, until: u64| {
        while *now < until {
            *now += 1_000;
            say(lag, 0, WILLING, at(*now));
            lag.handle_timeout(at(*now));
        }
    };
    keep_alive(&mut lag, &mut now, 59_000);
    told(&mut lag);
    // We are attached; it is the partner that does not come.
    assert_eq!(
        (lag.status()[0].actor_churn, lag.status()[0].partner_churn),
        (ChurnState::NoChurn, ChurnState::Monitor)
    );
    keep_alive(&mut lag, &mut now, 60_000);
    assert_eq!(told(&mut lag), [(0, LacpEvent::Churn { actor: false, begins: true })]);
    assert_eq!(lag.status()[0].counters.partner_churns, 1);
    say(&mut lag, 0, WILLING.with(SYN), at(60_500));
    assert_eq!(told(&mut lag), [(0, LacpEvent::Churn { actor: false, begins: false })]);
    // A link that is down churns nothing.
    lag.set_enabled(0, false, at(60_600));
    lag.handle_timeout(at(200_000));
    assert_eq!(lag.status()[0].partner_churn, ChurnState::Monitor);
    assert_eq!(lag.status()[0].counters.partner_churns, 1);
}

#[test]
fn the_machines_have_names_of_their_own() {
    let receive =
        [ReceiveState::PortDisabled, ReceiveState::Expired, ReceiveState::Defaulted, ReceiveState::Current];
    assert_eq!(receive.map(ReceiveState::label), ["port_disabled", "expired", "defaulted", "current"]);
    let mux = [
        MuxState::Detached,
        MuxState::Waiting,
        MuxState::Attached,
        MuxState::Collecting,
        MuxState::Distributing,
    ];
    assert_eq!(mux.map(MuxState::label), ["detached", "waiting", "attached", "collecting", "distributing"]);
    let periodic = [PeriodicState::NoPeriodic, PeriodicState::FastPeriodic, PeriodicState::SlowPeriodic];
    assert_eq!(periodic.map(PeriodicState::label), ["no_periodic", "fast_periodic", "slow_periodic"]);
}
