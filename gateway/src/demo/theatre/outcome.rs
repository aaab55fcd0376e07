//! What the evening brought: a scene for each act, and whether each kept within its budget.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use super::super::outcome::{grouped, short};
use super::super::standing::Mode;
use super::super::verdict::Verdict;
use super::act::Act;
use super::measure::{Direction, seconds};
use super::plot::Plot;

/// The document of `demo --failover --json`. Times are in seconds.
#[derive(Debug, Serialize)]
pub(super) struct Evening {
    /// `v1`.
    pub api: &'static str,
    /// `Failover`.
    pub kind: &'static str,
    /// Whether every check held.
    pub ok: bool,
    /// What ended it before its end.
    pub error: Option<String>,
    /// How long it took.
    pub elapsed: f64,
    /// How late timers usually are on this machine (99th percentile).
    pub timer_lateness: f64,
    /// The acts.
    pub scenes: Vec<Scene>,
    /// The checks.
    #[serde(rename = "checks")]
    pub verdict: Verdict,
}

/// One act, played.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Scene {
    /// Which.
    pub act: Act,
    /// For people.
    pub title: &'static str,
    /// How the connection used its channels.
    pub mode: Mode,
    /// When the failure was.
    pub at: String,
    /// How long until the later of the gateways that live had taken the first attachment out of use; of a drain, until
    /// the channel was safe to work on.
    #[serde(serialize_with = "maybe_seconds")]
    pub detected: Option<Duration>,
    /// What the gateways said.
    pub reasons: Vec<String>,
    /// The latest that a timer was during the act.
    #[serde(serialize_with = "seconds")]
    pub lateness: Duration,
    /// How long silence may last.
    #[serde(serialize_with = "seconds")]
    pub gap_budget: Duration,
    /// Datagrams that may be lost to a machine that gives threads no processor.
    pub lost_budget: u64,
    /// Time between two datagrams of a flow: what a gap cannot be measured finer than.
    #[serde(serialize_with = "seconds")]
    pub spacing: Duration,
    /// Both directions.
    pub directions: Vec<Direction>,
    /// Both directions over time.
    pub plots: Vec<Plot>,
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn maybe_seconds<S: serde::Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(to)
}

impl Evening {
    /// Nothing played yet, on a machine whose timers usually are so late.
    pub(super) fn new(lateness: Duration) -> Self {
        Self {
            api: "v1",
            kind: "Failover",
            ok: false,
            error: None,
            elapsed: 0.0,
            timer_lateness: lateness.as_secs_f64(),
            scenes: Vec::new(),
            verdict: Verdict::default(),
        }
    }

    /// How late timers usually are.
    pub(super) fn lateness(&self) -> Duration {
        Duration::from_secs_f64(self.timer_lateness)
    }

    /// Adds an act and checks its budgets.
    pub(super) fn add(&mut self, scene: Scene) {
        check_detection(&scene, &mut self.verdict);
        for direction in &scene.directions {
            check(&scene, direction, &mut self.verdict);
        }
        self.scenes.push(scene);
    }

    /// All is played.
    pub(super) fn conclude(&mut self, elapsed: Duration) {
        self.elapsed = elapsed.as_secs_f64();
        self.ok = self.error.is_none() && self.verdict.holds();
    }
}

/// A failure that nobody noticed was not survived: traffic came back because it was mended.
fn check_detection(scene: &Scene, verdict: &mut Verdict) {
    let (claim, budget) = match scene.act {
        Act::KillAndRestart => return,
        Act::Drain => ("safe to work on", DRAINED_WITHIN),
        Act::LinkDown | Act::BlackHole | Act::Lossy | Act::ThreeOfFour => {
            ("found by both gateways", scene.gap_budget)
        }
    };
    let found = scene.detected.map_or_else(|| "never".to_owned(), short);
    let wanted = format!("at most {}", short(budget));
    let ok = scene.detected.is_some_and(|after| after <= budget);
    let name = format!("{} ({}): {claim}", scene.title, scene.mode.word());
    verdict.check(&name, ok, found, wanted);
}

/// How long a drain may take: traffic moves at once, and a second without any shows that it has.
const DRAINED_WITHIN: Duration = Duration::from_secs(5);

/// What an act promises for one direction.
fn check(scene: &Scene, seen: &Direction, verdict: &mut Verdict) {
    let name = |claim: &str| format!("{} ({}), {}: {claim}", scene.title, scene.mode.word(), seen.way);
    verdict.check(
        &name("longest silence"),
        seen.gap <= scene.gap_budget,
        short(seen.gap),
        format!("at most {}", short(scene.gap_budget)),
    );
    verdict.none(&name("twice or damaged"), seen.duplicated.saturating_add(seen.damaged));
    if scene.act.loses_nothing(scene.mode) {
        verdict.at_most(&name("lost"), seen.lost, scene.lost_budget);
    }
    verdict.at_most(&name("lost after it was mended"), seen.lost_after, scene.lost_budget);
    let some = seen.flows_hurt > 0;
    verdict.check(&name("flows hit"), some, seen.flows_hurt.to_string(), "some");
    if scene.act.spares_others() {
        verdict.at_most(&name("lost in other channels' flows"), seen.lost_elsewhere, scene.lost_budget);
        verdict.none(&name("out of order in other channels' flows"), seen.reordered_elsewhere);
    }
}

/// The acts as a table, a row for each direction.
pub(super) fn table(scenes: &[Scene]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(HEADER);
    for scene in scenes {
        for seen in &scene.directions {
            let [first, second, rest @ ..] = row(scene, seen);
            let right = |text| Cell::new(text).set_alignment(CellAlignment::Right);
            let cells = [Cell::new(first), Cell::new(second)].into_iter().chain(rest.map(right));
            table.add_row(cells);
        }
    }
    table.trim_fmt()
}

/// What the columns of [`row`] are.
pub(super) const HEADER: [&str; 9] =
    ["ACT", "WAY", "DETECTED", "SILENT", "BUDGET", "LOST", "TWICE", "OUT OF ORDER", "FLOWS HIT"];

/// A direction of an act in words.
pub(super) fn row(scene: &Scene, seen: &Direction) -> [String; 9] {
    [
        format!("{} ({})", scene.title, scene.mode.word()),
        seen.way.to_owned(),
        scene.detected.map_or_else(|| "-".to_owned(), short),
        short(seen.gap),
        short(scene.gap_budget),
        grouped(seen.lost),
        grouped(seen.duplicated),
        grouped(seen.reordered),
        format!("{} of {}", seen.flows_hurt, seen.flows),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A link that went down, with a gap of so many milliseconds.
    pub(in crate::demo::theatre) fn scene(gap: u64, elsewhere: u64) -> Scene {
        let seen = Direction {
            way: "a -> b",
            flows: 24,
            flows_hurt: 6,
            sent: 1000,
            lost: 7,
            lost_elsewhere: elsewhere,
            gap: Duration::from_millis(gap),
            ..Direction::default()
        };
        Scene {
            act: Act::LinkDown,
            title: Act::LinkDown.title(),
            mode: Mode::Ecmp,
            at: "2026-11-22T04:07:54Z".to_owned(),
            detected: Some(Duration::from_micros(700)),
            reasons: vec!["a/blue/ch1: no_carrier".to_owned()],
            lateness: Duration::ZERO,
            gap_budget: Duration::from_millis(5),
            lost_budget: 2,
            spacing: Duration::from_millis(3),
            directions: vec![seen],
            plots: Vec::new(),
        }
    }

    #[test]
    fn an_evening_is_good_only_when_every_budget_was_kept() {
        for (gap, elsewhere, ok) in [(5, 2, true), (6, 0, false), (1, 3, false)] {
            let mut evening = Evening::new(Duration::ZERO);
            evening.add(scene(gap, elsewhere));
            evening.conclude(Duration::ZERO);
            assert_eq!(evening.ok, ok, "{gap} ms, {elsewhere} elsewhere");
        }
        let mut unseen = Evening::new(Duration::ZERO);
        unseen.add(Scene { detected: None, ..scene(1, 0) });
        unseen.conclude(Duration::ZERO);
        assert!(!unseen.ok, "nobody noticed");
        let mut nothing = Evening::new(Duration::ZERO);
        nothing.conclude(Duration::ZERO);
        assert!(!nothing.ok, "nothing played is no success");
    }

    #[test]
    fn with_a_copy_on_another_channel_nothing_may_be_lost() {
        for (lost, act, ok) in
            [(2, Act::BlackHole, true), (3, Act::BlackHole, false), (3, Act::KillAndRestart, true)]
        {
            let mut evening = Evening::new(Duration::ZERO);
            let mut scene = Scene { act, mode: Mode::Duplicate, ..scene(1, 0) };
            scene.directions[0].lost = lost;
            evening.add(scene);
            evening.conclude(Duration::ZERO);
            assert_eq!(evening.ok, ok, "{act:?} {lost}");
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_direction() {
        let table = table(&[scene(4, 0)]);
        assert_eq!(table.lines().count(), 2);
        for part in ["link down (ecmp)", "0.7 ms", "4.0 ms", "5.0 ms", "6 of 24"] {
            assert!(table.contains(part), "{part} is missing in\n{table}");
        }
    }
}
