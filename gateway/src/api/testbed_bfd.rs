//! BFD sessions of the gateway for tests.

use std::{sync::Arc, time::Duration};

use dataplane::{
    ConnectionId, InterfaceId, WorkerId,
    bfd::{BfdMode, BfdParams, BfdState, BfdTimers, Control, Diagnostic, Hops, Sessions, write_datagram},
};
use net::{Instant, PacketBuf};

use super::{source::Facts, testbed::facts};

/// The facts of [`facts`], with three BFD sessions: one is up, and was lost to silence and by its peer before; one was never
/// heard; one was up until its peer's operator switched it off, and its packets come over a router.
pub(crate) fn bfd_facts() -> Facts {
    let mut facts = facts();
    let mut setup = (*facts.setup).clone();
    let params = |peer: &str| BfdParams {
        peer: peer.parse().unwrap(),
        timers: BfdTimers::new(Duration::from_millis(50), Duration::from_millis(300), 3).unwrap(),
        mode: if peer == "169.254.2.2" { BfdMode::Strict } else { BfdMode::Follow },
        hops: Hops::One,
        independent: true,
    };
    setup.interfaces[0].bfd = vec![params("169.254.1.2"), params("fd00:100:1::2")];
    setup.interfaces[1].bfd = vec![params("169.254.2.2")];
    for worker in [WorkerId(0), WorkerId(1)] {
        let mut sessions = Sessions::new(&setup, worker, 5);
        drive_bfd(&mut sessions, facts.now);
        for at in [0, 1] {
            facts.reports[worker.index()].snapshot.interfaces[at].bfd =
                sessions.statuses(InterfaceId::at(at));
        }
    }
    facts.setup = Arc::new(setup);
    facts
}

fn drive_bfd(sessions: &mut Sessions, now: Instant) {
    use BfdState::{AdminDown, Down, Init, Up};
    let before = |millis: u64| Instant::from_nanos(now.as_nanos() - millis * 1_000_000);
    let hours = 3_000_000;
    let lost = [(hours, Down), (hours, Init), (2_000_000, Down), (2_000_000, Init), (1_999_500, Down)];
    let back = [(600, Down), (600, Init), (300, Up), (40, Up), (0, Up)];
    let off = [(hours, Down), (hours, Init), (hours - 500, AdminDown), (40, AdminDown)];
    let story = |steps: &[(u64, BfdState)]| -> Vec<_> {
        steps.iter().map(|(millis, state)| (before(*millis), *state)).collect()
    };
    let first = (InterfaceId(0), "169.254.1.1", "169.254.1.2");
    let up = say(sessions, first, &story(&[&lost[..], &back].concat()));
    let off = say(sessions, (InterfaceId(1), "169.254.2.1", "169.254.2.2"), &story(&off));
    assert!(up || off, "a worker runs one of them");
}

/// Lets a peer say these states at these times; silence between them is judged. False when the session is another worker's.
fn say(
    sessions: &mut Sessions,
    (interface, own, peer): (InterfaceId, &str, &str),
    story: &[(Instant, BfdState)],
) -> bool {
    let Some(mine) = sessions.statuses(interface).first().map(|one| one.discriminator) else { return false };
    for &(at, state) in story {
        while let Some(due) = sessions.poll_timeout().filter(|due| *due <= at) {
            sessions.handle_timeout(due);
            while sessions.poll_transmit().is_some() {}
        }
        let control = Control {
            diagnostic: Diagnostic::ControlDetectionTimeExpired,
            state,
            poll: false,
            is_final: false,
            control_plane_independent: true,
            demand: false,
            multiplier: 3.try_into().unwrap(),
            my_discriminator: 9.try_into().unwrap(),
            your_discriminator: mine.try_into().ok(),
            desired_min_tx: Duration::from_millis(50),
            required_min_rx: Duration::from_millis(50),
            required_min_echo_rx: Duration::ZERO,
        };
        let mut buf = PacketBuf::with_capacity(128, 0);
        let (own, peer) = (own.parse().unwrap(), peer.parse().unwrap());
        write_datagram(&mut buf, (peer, 50_000), (own, 3784), &control).unwrap();
        sessions.handle_datagram(interface, ConnectionId(0), &buf, at).unwrap();
        // The same once more, by a router.
        buf[8] -= 1;
        buf[10..12].fill(0);
        let sum = net::checksum::checksum(&buf[..20]).to_be_bytes();
        buf[10..12].copy_from_slice(&sum);
        assert!(sessions.handle_datagram(interface, ConnectionId(0), &buf, at).is_err());
        while sessions.poll_transmit().is_some() {}
    }
    true
}
