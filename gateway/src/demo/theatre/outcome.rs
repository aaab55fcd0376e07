//! What the evening brought: a scene for each act, and whether each kept within its budget.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use super::super::outcome::{grouped, short};
use super::super::standing::Mode;
use super::super::verdict::Verdict;
use super::act::Act;
use super::measure::{Direction, maybe_seconds, seconds};
use super::median::{Median, medians};
use super::plot::Plot;

/// The document of `demo --failover --json`. Times are in seconds.
#[derive(Debug, Serialize)]
pub struct Evening {
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
    /// The middle of several runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub medians: Vec<Median>,
    /// The checks.
    #[serde(rename = "checks")]
    pub(super) verdict: Verdict,
}

/// One act, played.
#[derive(Clone, Debug, Serialize)]
pub struct Scene {
    /// In which run, from 1 on.
    pub run: u16,
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
    /// How long that may take; nothing where nobody has to find anything.
    #[serde(serialize_with = "maybe_seconds")]
    pub detection_budget: Option<Duration>,
    /// From mending until everything was as before.
    #[serde(serialize_with = "seconds")]
    pub back: Duration,
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

impl Evening {
    /// Nothing played yet, on a machine whose timers usually are so late.
    #[must_use]
    pub fn new(lateness: Duration) -> Self {
        Self {
            api: "v1",
            kind: "Failover",
            ok: false,
            error: None,
            elapsed: 0.0,
            timer_lateness: lateness.as_secs_f64(),
            scenes: Vec::new(),
            medians: Vec::new(),
            verdict: Verdict::default(),
        }
    }

    /// How late timers usually are.
    #[must_use]
    pub fn lateness(&self) -> Duration {
        Duration::from_secs_f64(self.timer_lateness)
    }

    /// Adds an act and checks its budgets; false when it did not keep within them.
    pub fn add(&mut self, scene: Scene) -> bool {
        let failed = self.verdict.failed().count();
        check_detection(&scene, &mut self.verdict);
        for direction in &scene.directions {
            check(&scene, direction, &mut self.verdict);
        }
        self.scenes.push(scene);
        self.verdict.failed().count() == failed
    }

    /// All is played.
    pub fn conclude(&mut self, elapsed: Duration) {
        self.elapsed = elapsed.as_secs_f64();
        if self.scenes.iter().any(|scene| scene.run > 1) {
            self.medians = medians(&self.scenes);
        }
        self.ok = self.error.is_none() && self.verdict.holds();
    }
}

/// A failure that nobody noticed was not survived: traffic came back because it was mended.
fn check_detection(scene: &Scene, verdict: &mut Verdict) {
    let Some(budget) = scene.detection_budget else { return };
    let claim = if scene.act.is_planned() { "safe to work on" } else { "found by both gateways" };
    let found = scene.detected.map_or_else(|| "never".to_owned(), short);
    let wanted = format!("at most {}", short(budget));
    let ok = scene.detected.is_some_and(|after| after <= budget);
    verdict.check(&format!("{}: {claim}", scene.name()), ok, found, wanted);
}

impl Scene {
    /// The act and its mode, and the run where there are several.
    pub(super) fn name(&self) -> String {
        let run = if self.run > 1 { format!(", run {}", self.run) } else { String::new() };
        format!("{} ({}{run})", self.title, self.mode.word())
    }
}

/// What an act promises for one direction.
fn check(scene: &Scene, seen: &Direction, verdict: &mut Verdict) {
    let name = |claim: &str| format!("{}, {}: {claim}", scene.name(), seen.way);
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
    if scene.act.is_measured() {
        let lost = seen.lost_left.unwrap_or(u64::MAX);
        let found = seen.lost_left.map_or_else(|| "it was not left".to_owned(), |lost| lost.to_string());
        let wanted = format!("at most {}", scene.lost_budget);
        verdict.check(&name("lost when it had been left"), lost <= scene.lost_budget, found, wanted);
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
#[must_use]
pub fn table(scenes: &[Scene]) -> String {
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
pub(super) const HEADER: [&str; 10] = [
    "ACT",
    "WAY",
    "DETECTED",
    "SILENT",
    "BUDGET",
    "LOST",
    "TWICE",
    "OUT OF ORDER",
    "FLOWS HIT",
    "WELL AFTER",
];

/// A direction of an act in words.
pub(super) fn row(scene: &Scene, seen: &Direction) -> [String; 10] {
    [
        scene.name(),
        seen.way.to_owned(),
        scene.detected.map_or_else(|| "-".to_owned(), short),
        short(seen.gap),
        short(scene.gap_budget),
        grouped(seen.lost),
        grouped(seen.duplicated),
        grouped(seen.reordered),
        format!("{} of {}", seen.flows_hurt, seen.flows),
        short(scene.back),
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
            run: 1,
            act: Act::LinkDown,
            title: Act::LinkDown.title(),
            mode: Mode::Ecmp,
            at: "2026-11-22T04:07:54Z".to_owned(),
            detected: Some(Duration::from_micros(700)),
            detection_budget: Some(Duration::from_millis(5)),
            back: Duration::from_millis(1200),
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
            assert_eq!(evening.add(scene(gap, elsewhere)), ok);
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
    fn a_lossy_channel_must_have_been_left_and_lose_nothing_then() {
        for (lost_left, ok) in [(Some(2), true), (Some(3), false), (None, false)] {
            let mut evening = Evening::new(Duration::ZERO);
            let mut scene = Scene { act: Act::Lossy, ..scene(1, 0) };
            scene.directions[0].lost_left = lost_left;
            evening.add(scene);
            evening.conclude(Duration::ZERO);
            assert_eq!(evening.ok, ok, "{lost_left:?}");
        }
    }

    #[test]
    fn several_runs_have_medians_and_each_is_held_to_its_budget() {
        let mut evening = Evening::new(Duration::ZERO);
        for (run, gap) in [(1, 4), (2, 9), (3, 5)] {
            evening.add(Scene { run, ..scene(gap, 0) });
        }
        evening.conclude(Duration::ZERO);
        assert!(!evening.ok && evening.verdict.failed().all(|check| check.name.contains("ecmp, run 2")));
        let [median] = evening.medians.as_slice() else { panic!("one act in one mode") };
        assert_eq!([median.silent.median, median.silent.most].map(|time| time.as_millis()), [5, 9]);
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
