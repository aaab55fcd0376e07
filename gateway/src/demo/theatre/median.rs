//! The middle of several runs: what an act costs on an ordinary evening, and on the worst of them.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use super::super::outcome::{grouped, short};
use super::super::standing::Mode;
use super::act::Act;
use super::measure::{Direction, seconds};
use super::outcome::Scene;

/// What one act in one mode cost in several runs. Of silences each run gives its worse direction, of counts both together.
#[derive(Clone, Debug, Serialize)]
pub struct Median {
    /// Which act.
    pub act: Act,
    /// For people.
    pub title: &'static str,
    /// How the connection used its channels.
    pub mode: Mode,
    /// Runs.
    pub runs: usize,
    /// Runs in which it was found, or, if planned, safe.
    pub found: usize,
    /// How long that took there; nothing when it never was.
    pub detected: Option<Times>,
    /// The longest silence.
    pub silent: Times,
    /// Datagrams lost in the flows of broken channels.
    pub lost: Counts,
    /// Datagrams lost in other flows, or before the failure or after its mending.
    pub lost_elsewhere: Counts,
    /// Datagrams that came twice.
    pub duplicated: Counts,
    /// Datagrams that came behind later ones.
    pub reordered: Counts,
    /// From mending until everything was as before.
    pub back: Times,
}

/// Times of several runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    /// The middle one; of an even number the later of the two.
    #[serde(serialize_with = "seconds")]
    pub median: Duration,
    /// The longest.
    #[serde(serialize_with = "seconds")]
    pub most: Duration,
}

/// Counts of several runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// The middle one; of an even number the higher of the two.
    pub median: u64,
    /// The highest.
    pub most: u64,
}

/// One for each act in each mode, in the order in which they were played.
#[must_use]
pub fn medians(scenes: &[Scene]) -> Vec<Median> {
    let mut played: Vec<(Act, Mode)> = Vec::new();
    for scene in scenes {
        if !played.contains(&(scene.act, scene.mode)) {
            played.push((scene.act, scene.mode));
        }
    }
    let of = |(act, mode): (Act, Mode)| {
        let same: Vec<&Scene> =
            scenes.iter().filter(|scene| scene.act == act && scene.mode == mode).collect();
        median(act, mode, &same)
    };
    played.into_iter().map(of).collect()
}

fn median(act: Act, mode: Mode, scenes: &[&Scene]) -> Median {
    let detected: Vec<Duration> = scenes.iter().filter_map(|scene| scene.detected).collect();
    let times = |of: &dyn Fn(&Scene) -> Duration| Times::of(scenes.iter().map(|scene| of(scene)).collect());
    let counts = |of: &dyn Fn(&Direction) -> u64| {
        let sum = |scene: &&Scene| scene.directions.iter().map(of).sum();
        Counts::of(scenes.iter().map(sum).collect())
    };
    let longest = |scene: &Scene| scene.directions.iter().map(|seen| seen.gap).max().unwrap_or_default();
    Median {
        act,
        title: act.title(),
        mode,
        runs: scenes.len(),
        found: detected.len(),
        detected: (!detected.is_empty()).then(|| Times::of(detected)),
        silent: times(&longest),
        lost: counts(&|seen| seen.lost),
        lost_elsewhere: counts(&|seen| seen.lost_elsewhere.saturating_add(seen.lost_after)),
        duplicated: counts(&|seen| seen.duplicated),
        reordered: counts(&|seen| seen.reordered.saturating_add(seen.reordered_elsewhere)),
        back: times(&|scene| scene.back),
    }
}

impl Median {
    /// Found after, silent, lost, lost elsewhere: medians, and in brackets the worst.
    #[must_use]
    pub fn numbers(&self) -> [String; 4] {
        let [_, found, silent, lost, elsewhere, ..] = row(self);
        [found, silent, lost, elsewhere]
    }
}

impl Times {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self { median: middle(&all), most: all.last().copied().unwrap_or_default() }
    }

    /// `4.1 ms (9.0 ms)`.
    fn words(self) -> String {
        format!("{} ({})", short(self.median), short(self.most))
    }
}

impl Counts {
    fn of(mut all: Vec<u64>) -> Self {
        all.sort_unstable();
        Self { median: middle(&all), most: all.last().copied().unwrap_or_default() }
    }

    fn words(self) -> String {
        format!("{} ({})", grouped(self.median), grouped(self.most))
    }
}

fn middle<T: Copy + Default>(sorted: &[T]) -> T {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// What the columns of [`row`] are: the median, and in brackets the worst.
pub(super) const HEADER: [&str; 8] =
    ["ACT", "DETECTED", "SILENT", "LOST", "ELSEWHERE", "TWICE", "OUT OF ORDER", "WELL AFTER"];

/// An act's cells.
pub(super) fn row(one: &Median) -> [String; 8] {
    let detected = one.detected.map_or_else(|| "-".to_owned(), Times::words);
    let always = one.found == one.runs;
    [
        format!("{} ({})", one.title, one.mode.word()),
        match one.found {
            0 => "never".to_owned(),
            _ if always => detected,
            found => format!("{detected}, {found} of {}", one.runs),
        },
        one.silent.words(),
        one.lost.words(),
        one.lost_elsewhere.words(),
        one.duplicated.words(),
        one.reordered.words(),
        one.back.words(),
    ]
}

/// As a table.
#[must_use]
pub fn table(medians: &[Median]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(HEADER);
    for one in medians {
        let [act, rest @ ..] = row(one);
        let right = |text| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([Cell::new(act)].into_iter().chain(rest.map(right)));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::scene;
    use super::*;

    #[test]
    fn the_middle_and_the_worst_of_each_act_and_mode() {
        let mut scenes: Vec<Scene> =
            [(1, 4), (2, 1), (3, 20)].map(|(run, gap)| Scene { run, ..scene(gap, run.into()) }).to_vec();
        scenes.push(Scene { act: Act::BlackHole, detected: None, ..scene(150, 0) });
        scenes[1].detected = None;
        let medians = medians(&scenes);
        assert_eq!(medians.len(), 2);
        let link = &medians[0];
        assert_eq!((link.runs, link.found), (3, 2));
        assert_eq!([link.silent.median, link.silent.most].map(|time| time.as_millis()), [4, 20]);
        assert_eq!(link.lost, Counts { median: 7, most: 7 });
        assert_eq!(link.lost_elsewhere, Counts { median: 2, most: 3 });
        assert!(medians[1].detected.is_none());
        let table = table(&medians);
        assert_eq!(table.lines().count(), 3);
        for part in ["4.0 ms (20.0 ms)", "2 of 3", "2 (3)"] {
            assert!(table.contains(part), "{part} is missing in\n{table}");
        }
    }
}
