//! States, detection, what is said and what it means for the path.

use super::*;
use BfdState::{AdminDown, Down, Init, Up};

const fn down(loss: BfdLoss) -> BfdEvent {
    BfdEvent::Down { loss, peer_independent: false }
}

/// RFC 5880 §6.8.6 and the figure of §6.2.
#[test]
fn the_state_table_is_the_standards() {
    let rows = [
        //  hears:     AdminDown  Down       Init       Up
        (AdminDown, [AdminDown, AdminDown, AdminDown, AdminDown]),
        (Down, [Down, Init, Up, Down]),
        (Init, [Down, Init, Up, Up]),
        (Up, [Down, Down, Up, Up]),
    ];
    for (state, row) in rows {
        for (remote, next) in BfdState::ALL.into_iter().zip(row) {
            assert_eq!(state.on_remote(remote), next, "{state} hears {remote}");
            let mut one = in_state(state);
            let heard = one.hear(says(remote));
            assert_eq!(one.session.state(), next, "{state} hears {remote}");
            assert_eq!(heard, if state == AdminDown { Err(Refusal::AdminDown) } else { Ok(()) });
            // §6.8.7: a changed state is told at once, an unchanged one is not.
            assert_eq!(one.sent().len(), usize::from(state != next), "{state} hears {remote}");
        }
    }
}

fn in_state(state: BfdState) -> One {
    let mut one = One::new(timers(50, 50, 3));
    match state {
        AdminDown => one.session.set_admin_down(true, one.now),
        Down => {}
        Init => one.hear(says(Down)).unwrap(),
        Up => one.bring_up(),
    }
    one.sent();
    assert_eq!(one.session.state(), state);
    one
}

/// §6.8.4, §6.8.1: the multiplier is the peer's, the interval the slower of what we want and what it does.
#[test]
fn silence_for_the_detection_time_takes_it_down_and_not_before() {
    for (min_rx, remote_tx, multiplier, detection) in
        [(50, 50, 3, 150), (300, 50, 3, 900), (50, 300, 3, 900), (10, 10, 1, 10), (30_000, 1, 255, 7_650_000)]
    {
        let mut one = One::new(timers(50, min_rx, 5));
        one.bring_up();
        let control =
            Control { desired_min_tx: ms(remote_tx), multiplier: multiplier.try_into().unwrap(), ..says(Up) };
        one.hear(control).unwrap();
        let heard = one.now;
        let due = heard.after(ms(detection));
        assert_eq!((one.status().detection, one.session.poll_judgement()), (Some(ms(detection)), Some(due)));
        one.session.handle_timeout(Instant::from_nanos(due.as_nanos() - 1));
        assert_eq!(one.session.state(), Up);
        one.session.handle_timeout(due);
        let status = one.status();
        assert_eq!((status.state, status.remote_discriminator), (Down, 0), "bfd.RemoteDiscr");
        assert_eq!(status.diagnostic, Diagnostic::ControlDetectionTimeExpired);
        let loss = BfdLoss::Silence { heard_ago: ms(detection), detection: ms(detection) };
        assert_eq!(one.events(), [down(loss)]);
        let sent = one.sent();
        assert_eq!(sent.len(), 1, "told at once");
        assert_eq!((sent[0].state, sent[0].your_discriminator), (Down, None));
        assert_eq!(sent[0].diagnostic, Diagnostic::ControlDetectionTimeExpired);
    }
}

#[test]
fn a_session_in_init_gives_up_too() {
    let mut one = in_state(Init);
    one.pass(Duration::from_secs(4), None);
    assert_eq!((one.session.state(), one.events()), (Down, vec![]), "nobody was told that it was Up");
    assert_eq!(one.status().diagnostic, Diagnostic::ControlDetectionTimeExpired);
}

/// The contract of `handle_timeout`: what waited in the socket is handed in first.
#[test]
fn a_late_caller_that_looked_at_its_socket_does_not_declare_the_peer_dead() {
    let mut one = One::up(timers(50, 50, 3));
    let now = one.now.after(Duration::from_secs(2));
    assert!(one.session.poll_judgement().is_some_and(|due| due < now));
    one.now = now;
    one.hear(says(Up)).unwrap();
    assert!(one.session.poll_judgement().is_some_and(|due| due > now));
    one.session.handle_timeout(now);
    assert_eq!((one.session.state(), one.events()), (Up, vec![]));
}

/// §6.5: at once, whatever the timer says; never P and F together.
#[test]
fn a_poll_is_answered_at_once() {
    for state in [Down, Init, Up] {
        let mut one = in_state(state);
        one.hear(Control { poll: true, ..says(if state == Up { Up } else { Down }) }).unwrap();
        let sent = one.sent();
        assert!(sent.iter().any(|control| control.is_final), "{state}");
        assert!(sent.iter().all(|control| !(control.is_final && control.poll)), "{state}");
        assert_eq!(sent.iter().filter(|control| control.is_final).count(), 1, "{state}");
    }
    // §6.8.6: AdminDown comes before P.
    let mut one = in_state(AdminDown);
    assert_eq!(one.hear(Control { poll: true, ..says(Down) }), Err(Refusal::AdminDown));
    assert_eq!(one.sent(), []);
}

/// §6.8.6: "if the Authentication Present bit is set and no authentication is in use, the packet MUST be discarded".
#[test]
fn authentication_is_refused_counted_and_changes_nothing() {
    let mut one = One::up(timers(50, 50, 3));
    let before = one.session.poll_timeout();
    let received = Received { control: says(Down), authenticated: true };
    assert_eq!(one.session.handle_packet(&received, one.now.after(ms(1))), Err(Refusal::Authentication));
    assert_eq!((one.session.state(), one.session.poll_timeout()), (Up, before));
    assert_eq!(one.status().counters.refused.of(Refusal::Authentication), 1);
}

/// §6.8.16: the peer is told at once and for ever, once a second; nothing that it says counts.
#[test]
fn switched_off_it_says_so_and_hears_nothing() {
    let mut one = One::up(timers(50, 50, 3));
    one.session.set_admin_down(true, one.now);
    assert_eq!(one.events(), [down(BfdLoss::AdminDown)]);
    let sent = one.sent();
    assert_eq!((sent.len(), sent[0].state), (1, AdminDown));
    assert_eq!(sent[0].diagnostic, Diagnostic::AdministrativelyDown);
    let sent = one.pass(Duration::from_secs(20), None);
    assert!(sent.iter().all(|(_, control)| control.state == AdminDown));
    assert!(gaps(&sent).iter().all(|gap| (ms(750)..=ms(1001)).contains(gap)), "{:?}", gaps(&sent));
    assert!(!one.session.is_fault(), "our operator's doing is not the path's fault");
    one.session.set_admin_down(false, one.now);
    assert_eq!((one.session.state(), one.sent().len()), (Down, 1));
    assert!(!one.session.is_fault());
    one.bring_up();
    one.pass(ms(200), None);
    assert!(one.session.is_fault(), "it watches again");
}

/// RFC 5882 §3.2, §4.2: what the state means for the path, in both modes.
#[test]
fn down_is_a_fault_only_after_up_and_only_if_nobody_switched_it_off() {
    for mode in [BfdMode::Follow, BfdMode::Strict] {
        let mut one = One::of(timers(50, 50, 3), mode);
        let strict = mode == BfdMode::Strict;
        assert_eq!(one.session.is_fault(), strict, "a peer that may not speak BFD");
        one.hear(says(AdminDown)).unwrap();
        assert_eq!((one.session.is_fault(), one.events()), (strict, vec![BfdEvent::PeerAdminDown]));
        one.hear(says(AdminDown)).unwrap();
        assert_eq!(one.events(), [], "told once");
        one.bring_up();
        assert!(!one.session.is_fault());
        one.pass(ms(200), None);
        assert!(one.session.is_fault(), "the path is gone");
        one.bring_up();
        one.hear(Control { diagnostic: Diagnostic::AdministrativelyDown, ..says(AdminDown) }).unwrap();
        assert_eq!((one.session.state(), one.events()), (Down, vec![down(BfdLoss::PeerAdminDown)]));
        assert_eq!(one.status().diagnostic, Diagnostic::NeighborSignaledSessionDown);
        assert!(!one.session.is_fault(), "the peer's operator switched it off");
        one.pass(Duration::from_secs(10), None);
        assert!(!one.session.is_fault(), "and it falls silent");
        one.hear(says(Down)).unwrap();
        assert!(!one.session.is_fault(), "switched on again, traffic stays where it is");
        one.bring_up();
        one.hear(Control { diagnostic: Diagnostic::PathDown, ..says(Down) }).unwrap();
        assert!(one.session.is_fault(), "the peer itself says that the path is bad");
        assert_eq!(one.events(), [down(BfdLoss::PeerDown(Diagnostic::PathDown))]);
        one.hear(says(AdminDown)).unwrap();
        assert_eq!((one.session.is_fault(), one.events()), (false, vec![BfdEvent::PeerAdminDown]));
    }
}

/// §6.8.1: all initial values, as far as they are on the wire; echo is not offered (§6.8.9).
#[test]
fn the_first_packet_says_the_initial_values() {
    let mut one = One::new(timers(50, 300, 5));
    assert_eq!(one.session.poll_timeout(), Some(one.now));
    one.session.handle_timeout(one.now);
    let first = Control {
        diagnostic: Diagnostic::None,
        state: Down,
        poll: false,
        is_final: false,
        control_plane_independent: true,
        demand: false,
        multiplier: 5.try_into().unwrap(),
        my_discriminator: name(MINE),
        your_discriminator: None,
        desired_min_tx: Duration::from_secs(1),
        required_min_rx: ms(300),
        required_min_echo_rx: Duration::ZERO,
    };
    assert_eq!(one.sent(), [first]);
}

/// RFC 5882 §4.3: where the peer keeps our routes over a restart, a silence of ours may be no more than that.
#[test]
fn our_c_bit_says_what_the_configuration_asks_of_the_peer() {
    let mut one = One::up(timers(50, 50, 3));
    for independent in [false, true] {
        one.session.set_independent(independent);
        one.session.handle_timeout(one.now.after(ms(50)));
        one.now = one.now.after(ms(50));
        let sent = one.sent();
        assert!(
            !sent.is_empty() && sent.iter().all(|packet| packet.control_plane_independent == independent)
        );
    }
}

/// RFC 5882 §4.3.2: whether forwarding may go on at a peer that fell silent, its last C bit says.
#[test]
fn the_peers_c_bit_is_told_with_the_loss() {
    for bit in [false, true] {
        let mut one = One::up(timers(50, 50, 3));
        one.hear(Control { control_plane_independent: bit, ..says(Up) }).unwrap();
        one.pass(ms(200), None);
        assert!(
            matches!(one.events()[..], [BfdEvent::Down { peer_independent, .. }] if peer_independent == bit)
        );
    }
}

/// A restarted peer has another discriminator, and is Down: we leave Up and meet it again.
#[test]
fn a_restarted_peer_is_met_again() {
    let mut one = One::up(timers(50, 50, 3));
    let fresh = Control { my_discriminator: name(77), your_discriminator: None, ..says(Down) };
    one.hear(fresh).unwrap();
    assert_eq!(one.session.state(), Down);
    one.hear(fresh).unwrap();
    assert_eq!(one.session.state(), Init);
    assert!(one.sent().iter().all(|control| control.your_discriminator == Some(name(77))));
}

#[test]
fn while_frames_cannot_leave_none_are_made_and_then_one_at_once() {
    let mut one = One::new(timers(50, 50, 3));
    one.session.set_path_open(false);
    assert_eq!(one.pass(Duration::from_secs(5), None), []);
    one.session.set_path_open(true);
    one.session.handle_timeout(one.now);
    assert_eq!(one.sent().len(), 1);
    one.session.handle_timeout(one.now.after(ms(700)));
    assert_eq!(one.sent(), [], "§6.8.3: not faster than once a second");
}

#[test]
fn the_last_changes_are_remembered_with_their_reasons() {
    let mut one = One::new(timers(50, 50, 3));
    for _ in 0..20 {
        one.bring_up();
        one.pass(ms(200), None);
    }
    let status = one.status();
    assert_eq!((status.counters.ups, status.counters.downs, status.history.len()), (20, 20, 16));
    let last = status.history.last().unwrap();
    assert_eq!((last.from, last.to, last.at), (Up, Down, status.since));
    assert!(last.loss.is_some_and(|loss| loss.to_string().contains("150 ms are allowed")), "{last:?}");
    let up = status.history.iter().rev().nth(1).unwrap();
    assert_eq!((up.from, up.to, up.loss), (Init, Up, None));
}

/// A peer that falls asleep for a while shows, long before it is declared dead.
#[test]
fn the_longest_gap_is_known() {
    let mut one = One::up(timers(50, 50, 3));
    for gap in [40, 120, 60] {
        one.now = one.now.after(ms(gap));
        one.hear(says(Up)).unwrap();
    }
    assert_eq!(one.status().longest_gap, ms(120));
}
