//! BFD by the clauses, and as pairs on links that lose, delay, double, mix up and garble.

mod codec;
mod negotiation;
mod pair;
mod session;
mod table;

use core::{net::IpAddr, num::NonZeroU32, time::Duration};

use net::Instant;

use super::*;

const MINE: u32 = 0x1111_0001;
const THEIRS: u32 = 0x2222_0002;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn timers(min_tx: u64, min_rx: u64, multiplier: u8) -> BfdTimers {
    BfdTimers::new(ms(min_tx), ms(min_rx), multiplier).unwrap()
}

fn name(number: u32) -> Discriminator {
    NonZeroU32::new(number).unwrap()
}

/// What a peer with 50 ms, multiplier 3, says in `state`.
fn says(state: BfdState) -> Control {
    Control {
        diagnostic: Diagnostic::None,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        multiplier: 3.try_into().unwrap(),
        my_discriminator: name(THEIRS),
        your_discriminator: Some(name(MINE)),
        desired_min_tx: ms(50),
        required_min_rx: ms(50),
        required_min_echo_rx: Duration::ZERO,
    }
}

/// A session, its time, and a peer that says what it is told to.
struct One {
    session: Session,
    now: Instant,
}

impl One {
    fn new(timers: BfdTimers) -> Self {
        Self::of(timers, BfdMode::Follow)
    }

    fn of(timers: BfdTimers, mode: BfdMode) -> Self {
        let now = Instant::ZERO.after(Duration::from_secs(100));
        let params = BfdParams { timers, mode, ..table::params("10.0.0.2") };
        Self { session: Session::new(params, name(MINE), now, 7), now }
    }

    /// Up, its Poll answered, nothing left to send.
    fn up(timers: BfdTimers) -> Self {
        let mut one = Self::new(timers);
        one.bring_up();
        one
    }

    fn bring_up(&mut self) {
        self.hear(says(BfdState::Down)).unwrap();
        self.hear(says(BfdState::Init)).unwrap();
        self.sent();
        self.hear(Control { is_final: true, ..says(BfdState::Up) }).unwrap();
        self.sent();
        while self.session.poll_event().is_some() {}
    }

    fn hear(&mut self, control: Control) -> Result<(), Refusal> {
        self.session.handle_packet(&Received { control, authenticated: false }, self.now)
    }

    fn sent(&mut self) -> Vec<Control> {
        core::iter::from_fn(|| self.session.poll_transmit()).collect()
    }

    fn events(&mut self) -> Vec<BfdEvent> {
        core::iter::from_fn(|| self.session.poll_event()).collect()
    }

    fn status(&self) -> BfdStatus {
        let nobody: IpAddr = "192.0.2.1".parse().unwrap();
        self.session.status((nobody, nobody), Hops::One)
    }

    /// Lets `time` pass, its caller always in time, the peer saying `keeps_saying` every 20 ms. What was sent, and when.
    fn pass(&mut self, time: Duration, keeps_saying: Option<Control>) -> Vec<(Instant, Control)> {
        let (end, mut sent) = (self.now.after(time), vec![]);
        while self.now < end {
            let next = self.session.poll_timeout().unwrap_or(end);
            self.now = next.min(self.now.after(ms(20))).min(end).max(self.now);
            if let Some(control) = keeps_saying {
                self.hear(control).unwrap();
            }
            self.session.handle_timeout(self.now);
            let now = self.now;
            sent.extend(self.sent().into_iter().map(|control| (now, control)));
            self.now = self.now.after(Duration::from_micros(1));
        }
        sent
    }
}

/// The times between packets.
fn gaps(sent: &[(Instant, Control)]) -> Vec<Duration> {
    sent.windows(2).map(|pair| pair[1].0.since(pair[0].0)).collect()
}
