//! RFC 4271 clause 8.2.2 as a table of next states, and what must hold for every pair.

use super::{Action, Event, State, step};

use State::{Active as A, Connect as C, Established as E, Idle as I, OpenConfirm as O, OpenSent as S};

#[test]
fn next_states_are_those_of_the_table() {
    #[rustfmt::skip]
    let table: [(Event, [State; 6]); 19] = [
        //            in:          Idle Connect Active OpenSent OpenConfirm Established
        (Event::Start,               [C, C, A, S, O, E]),
        (Event::StartPassive,        [A, C, A, S, O, E]),
        (Event::Stop,                [I, I, I, I, I, I]),
        (Event::ConnectRetryExpires, [I, C, C, I, I, I]),
        (Event::HoldExpires,         [I, I, I, I, I, I]),
        (Event::KeepaliveExpires,    [I, I, I, I, O, E]),
        (Event::SendHoldExpires,     [I, I, I, I, I, I]),
        (Event::TcpOpen,             [I, S, S, S, O, E]),
        (Event::TcpFails,            [I, A, A, A, I, I]),
        (Event::Open,                [I, I, I, O, I, I]),
        (Event::HeaderError,         [I, I, I, I, I, I]),
        (Event::OpenError,           [I, I, I, I, I, I]),
        (Event::CollisionDump,       [I, I, I, I, I, I]),
        (Event::NotifyVersion,       [I, I, I, I, I, I]),
        (Event::Notification,        [I, I, I, I, I, I]),
        (Event::Keepalive,           [I, I, I, I, E, E]),
        (Event::Update,              [I, I, I, I, I, E]),
        (Event::UpdateError,         [I, I, I, I, I, I]),
        (Event::Refresh,             [I, I, I, I, I, E]),
    ];
    for (event, expected) in table {
        for (state, next) in State::ALL.into_iter().zip(expected) {
            assert_eq!(step(state, event).0, next, "{event:?} in {state}");
        }
    }
}

fn every_pair() -> impl Iterator<Item = (State, Event, State, &'static [Action])> {
    State::ALL.into_iter().flat_map(|state| {
        Event::ALL.into_iter().map(move |event| {
            let (next, actions) = step(state, event);
            (state, event, next, actions)
        })
    })
}

#[test]
fn up_and_down_are_told_exactly_when_established_is_entered_and_left() {
    for (state, event, next, actions) in every_pair() {
        let entered = state != E && next == E;
        let left = state == E && next != E;
        assert_eq!(actions.contains(&Action::ComeUp), entered, "{event:?} in {state}");
        assert_eq!(actions.contains(&Action::GoDown), left, "{event:?} in {state}");
    }
}

// Clause 8.2.2: leaving a connected state closes the connection and stops every timer.
#[test]
fn a_connection_that_is_given_up_is_closed_and_its_timers_stopped() {
    for (state, event, next, actions) in every_pair() {
        if state.is_connected() && !next.is_connected() {
            assert!(actions.contains(&Action::StopTimers), "{event:?} in {state}");
            let gone_already = event == Event::TcpFails;
            assert!(gone_already || actions.contains(&Action::HangUp), "{event:?} in {state}");
        }
    }
}

// Clause 6.4: a NOTIFICATION is never answered with one.
#[test]
fn notifications_are_sent_on_live_connections_and_never_in_answer_to_one() {
    for (state, event, _, actions) in every_pair() {
        let told = actions.contains(&Action::Notify) || actions.contains(&Action::NotifyUnexpected);
        if told {
            assert!(state.is_connected(), "{event:?} in {state}");
            assert!(!matches!(event, Event::Notification | Event::NotifyVersion | Event::TcpFails));
        }
    }
}

// RFC 6608: what does not belong into a state is answered with the state's own subcode.
#[test]
fn unexpected_messages_are_answered_as_such() {
    let cases = [
        (S, Event::Keepalive),
        (S, Event::Update),
        (S, Event::Refresh),
        (O, Event::Open),
        (O, Event::Update),
        (O, Event::Refresh),
        (E, Event::Open),
    ];
    for (state, event) in cases {
        assert_eq!(step(state, event).1.first(), Some(&Action::NotifyUnexpected), "{event:?} in {state}");
    }
}
