//! How a worker of the gateway for tests spent its time.

use std::time::Duration;

use dataplane::{StageTime, StageTimes, WorkerId};

use crate::runtime::{Account, Calls, Sampled, Schedule};

/// An hour of work.
pub(super) fn account(id: WorkerId) -> Account {
    let (calls, time) = (|calls, empty, frames| Calls { calls, empty, frames }, Duration::from_millis);
    let stage = |frames, micros| StageTime { frames, time: Duration::from_micros(micros) };
    let idle = Account { asleep: Duration::from_hours(1), wakes: 3600, ..Account::default() };
    if id != WorkerId(0) {
        return idle;
    }
    Account {
        asleep: time(2_520_000),
        looking: time(36_000),
        working: time(1_044_000),
        wakes: 9_000_000,
        called: 1_000_000,
        rounds: 27_000_000,
        receive: calls(18_000_000, 9_000_000, 360_000_000),
        send: calls(19_000_000, 0, 359_000_000),
        taken: calls(1000, 0, 4000),
        handed: calls(100, 0, 6400),
        refused: 17,
        deadlines: 36_000,
        late: time(2_160),
        latest: time(4),
        sampled: Sampled {
            pieces: 442_622,
            receive: stage(5_900_000, 1_770_000),
            handle: stage(5_900_000, 3_540_000),
            stages: StageTimes {
                validate: stage(2_900_000, 609_000),
                cut: stage(0, 0),
                protect: stage(3_000_000, 600_000),
            },
            send: stage(5_890_000, 5_890_000),
        },
        ..Account::default()
    }
}

/// What the kernel counted meanwhile.
pub(super) const SCHEDULE: Schedule =
    Schedule { ran: Duration::from_secs(900), waited: Duration::from_secs(180), turns: 12_000_000 };
