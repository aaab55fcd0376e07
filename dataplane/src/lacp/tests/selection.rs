//! Which ports may join the Aggregator (§6.4.14).

use super::*;

/// A partner's PDU on `member` that knows us, from this system.
fn from(lag: &mut Aggregator, member: usize, actor: PortInfo, now: Instant) {
    let said = pdu(lag, member, actor);
    lag.handle_pdu(member, &said, now).unwrap();
}

fn selected(lag: &Aggregator) -> Vec<&'static str> {
    lag.status().iter().map(|one| one.selected.label()).collect()
}

#[test]
fn ieee_802_1ax_6_4_14_1_ports_that_lead_elsewhere_stay_out() {
    let mut lag = enabled(&ACTIVE_FAST, 3, at(0));
    say(&mut lag, 0, WILLING, at(100));
    say(&mut lag, 1, WILLING, at(100));
    let stranger = PortInfo { system: MacAddr([2, 0, 0, 0, 0, 0x0c]), ..partner_port(3, WILLING) };
    from(&mut lag, 2, stranger, at(100));
    assert_eq!(selected(&lag), ["selected", "selected", "other_partner"]);
    let events = told(&mut lag);
    assert!(events.contains(&(2, LacpEvent::KeptOut(Kept::OtherPartner))), "{events:?}");
    // Another key is another group of the same system.
    from(&mut lag, 2, PortInfo { key: 10, ..partner_port(3, WILLING) }, at(200));
    assert_eq!(selected(&lag)[2], "other_partner");
    say(&mut lag, 2, WILLING, at(300));
    assert_eq!(selected(&lag)[2], "selected");
}

#[test]
fn the_aggregator_keeps_its_partner_and_takes_another_when_all_have_left() {
    let other = |number| PortInfo { system: MacAddr([2, 0, 0, 0, 0, 0x0c]), ..partner_port(number, WILLING) };
    let mut lag = enabled(&ACTIVE_FAST, 3, at(0));
    say(&mut lag, 0, WILLING, at(100));
    from(&mut lag, 1, other(2), at(100));
    from(&mut lag, 2, other(3), at(100));
    assert_eq!(selected(&lag), ["selected", "other_partner", "other_partner"], "it was there first");
    lag.set_enabled(0, false, at(200));
    from(&mut lag, 1, other(2), at(300));
    assert_eq!(selected(&lag)[1..], ["selected", "selected"]);
}

#[test]
fn ieee_802_1ax_6_4_14_1_an_individual_link_stands_alone() {
    let alone = PortState(WILLING.0 & !PortState::AGGREGATION.0);
    let mut lag = enabled(&ACTIVE_FAST, 2, at(0));
    say(&mut lag, 0, alone, at(100));
    say(&mut lag, 1, alone, at(100));
    assert_eq!(selected(&lag), ["selected", "other_partner"]);
}

#[test]
fn ieee_802_1ax_6_4_14_1_who_hears_itself_is_no_partner() {
    let mut lag = enabled(&ACTIVE_FAST, 2, at(0));
    let own = PortInfo { system: OURS, key: 7, ..partner_port(2, WILLING) };
    from(&mut lag, 0, own, at(100));
    assert_eq!(selected(&lag)[0], "loopback");
    assert!(told(&mut lag).contains(&(0, LacpEvent::KeptOut(Kept::Loopback))));
    lag.handle_timeout(at(2_500));
    assert_eq!((lag.collecting(), lag.distributing()), (0, 0));
}

#[test]
fn ieee_802_1ax_6_4_9_a_partner_that_changed_is_let_go_before_it_is_taken_again() {
    let mut lag = enabled(&ACTIVE_FAST, 1, at(0));
    bring_up(&mut lag, 0, at(100));
    drain(&mut lag, at(2_000));
    told(&mut lag);
    // The peer's cable moved to another port of the same group, and that one knows nothing of us yet.
    let moved = partner_port(5, WILLING);
    from(&mut lag, 0, moved, at(2_100));
    assert_eq!(lag.distributing(), 0);
    assert_eq!(told(&mut lag), [(0, LacpEvent::Left(Left::Partner))]);
    assert_eq!(lag.status()[0].selected, Selected::Selected, "and it may join again");
}

#[test]
fn ieee_802_1ax_6_4_8_port_moved_frees_the_member_where_the_partner_was() {
    let mut lag = enabled(&ACTIVE_FAST, 2, at(0));
    say(&mut lag, 0, WILLING, at(100));
    lag.set_enabled(0, false, at(200));
    assert_eq!(lag.status()[0].partner.port, 1);
    from(&mut lag, 1, partner_port(1, WILLING), at(300));
    let status = lag.status()[0];
    assert_eq!((status.partner.port, status.selected.label()), (0, "unheard"));
    assert!(status.actor.state.has(PortState::DEFAULTED));
}

#[test]
fn a_port_without_a_partner_carries_nothing() {
    let mut lag = enabled(&ACTIVE_FAST, 1, at(0));
    for second in 1..200 {
        lag.handle_timeout(at(second * 1_000));
        assert_eq!((lag.collecting(), lag.distributing()), (0, 0));
    }
    assert_eq!(selected(&lag), ["unheard"]);
    assert_eq!(told(&mut lag)[0], (0, LacpEvent::KeptOut(Kept::Unheard)));
}
