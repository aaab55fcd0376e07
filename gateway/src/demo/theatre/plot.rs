//! Arrivals over time around a failure, a row for each channel's flows, and losses: for the terminal and as SVG.

use std::fmt::Write as _;
use std::time::Duration;

use net::Instant;
use serde::Serialize;

use super::super::outcome::{chart, short};
use super::super::story::speaks_utf8;
use super::measure::{Direction, Home, Moments, arrivals, losses, maybe_seconds, seconds};
use crate::lab::traffic::udp::UdpReport;

/// Arrivals over time in one direction.
#[derive(Clone, Debug, Serialize)]
pub struct Plot {
    /// `a -> b`.
    pub way: &'static str,
    /// What one number stands for.
    #[serde(serialize_with = "seconds")]
    pub step: Duration,
    /// When the failure was, from the plot's begin on.
    #[serde(serialize_with = "seconds")]
    pub hurt: Duration,
    /// When who sends had left a channel that it measured.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_seconds")]
    pub left: Option<Duration>,
    /// When it was mended, if the plot reaches that far.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_seconds")]
    pub mended: Option<Duration>,
    /// Arrivals of the flows that each channel had before the failure.
    pub rows: Vec<(String, Vec<u64>)>,
    /// Losses of all flows, by the time they were sent.
    pub lost: Vec<u64>,
}

impl Plot {
    /// Arrivals and losses around a failure, close enough that the gap can be seen; where somebody measured, until it was mended.
    pub(super) fn around(
        seen: &Direction,
        names: &[&str],
        (report, homes): (&UdpReport, &[Home]),
        at: Moments,
    ) -> Self {
        let broken = at.mended.since(at.hurt);
        let span = match at.left {
            Some(_) => broken.saturating_add(broken / 2),
            None => seen.gap.saturating_mul(4).clamp(SHORTEST, LONGEST),
        };
        let step = (span / PIECES).max(Duration::from_nanos(1));
        let lead = (span / 4).min(LONGEST_LEAD);
        let from = Instant::ZERO.after(at.hurt.since(Instant::ZERO.after(lead)));
        let pieces = usize::try_from(PIECES).unwrap_or_default();
        let name = |home: Home| {
            home.iter().filter_map(|place| names.get(*place).copied()).collect::<Vec<_>>().join("+")
        };
        let rows = arrivals(report, homes, from, step, pieces);
        let mended = at.mended.since(from);
        Self {
            way: seen.way,
            step,
            hurt: at.hurt.since(from),
            left: at.left.map(|left| left.since(from)),
            mended: (mended < span).then_some(mended),
            rows: rows.into_iter().map(|(home, row)| (name(home), row)).collect(),
            lost: losses(report, from, step, pieces),
        }
    }

    /// For a terminal.
    pub(super) fn text(&self) -> String {
        let names = self.rows.iter().map(|(name, _)| name.len()).chain([LOST.len()]);
        let width = names.max().unwrap_or(0);
        let pad = |name: &str| format!("{name:<width$}");
        let rows: Vec<_> = self.rows.iter().map(|(name, row)| (pad(name), row.clone())).collect();
        let arrived = chart(&rows, speaks_utf8());
        // A scale of their own: a few among many arrivals could not be seen.
        let lost = chart(&[(pad(LOST), self.lost.clone())], speaks_utf8());
        let marks = [(Some(self.hurt), "^ failure"), (self.left, "^ left"), (self.mended, "^ mended")];
        let mut foot = " ".repeat(width + 4);
        let begin = foot.len();
        for (at, mark) in marks {
            let steps = at.map(|at| at.as_nanos() / self.step.as_nanos().max(1));
            let column = steps.and_then(|steps| usize::try_from(steps).ok()).map(|column| begin + column);
            // A mark that would stand in another one is left out.
            if let Some(gap) = column.and_then(|column| column.checked_sub(foot.len())) {
                foot.push_str(&" ".repeat(gap));
                foot.push_str(mark);
            }
        }
        format!(
            "  {}, arrivals by the channel that flows had before, {} for each character:\n{arrived}{lost}{foot}\n",
            self.way,
            short(self.step)
        )
    }

    /// As SVG, with everything in it.
    pub(super) fn svg(&self) -> String {
        let columns = self.rows.iter().map(|(_, row)| row.len()).max().unwrap_or(0).max(1);
        let most = self.rows.iter().flat_map(|(_, row)| row).max().copied().unwrap_or(0);
        let any = self.lost.iter().any(|&lost| lost > 0);
        let rows = self.rows.len().saturating_add(usize::from(any));
        let high = rows.saturating_mul(ROW).saturating_add(FOOT);
        let wide = columns.saturating_mul(COLUMN).saturating_add(LEFT);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {wide} {high}\" role=\"img\" aria-label=\"arrivals over time, {}\">\n",
            self.way.replace('>', "&gt;")
        );
        for (place, (name, row)) in self.rows.iter().enumerate() {
            bars(&mut svg, (place, name, ""), row, most);
        }
        if any {
            let worst = self.lost.iter().max().copied().unwrap_or(0);
            bars(&mut svg, (self.rows.len(), LOST, " class=\"lost\""), &self.lost, worst);
        }
        self.mark(&mut svg, self.hurt, "hurt", "failure", high);
        if let Some(left) = self.left {
            self.mark(&mut svg, left, "left", "left", high);
        }
        if let Some(mended) = self.mended {
            self.mark(&mut svg, mended, "mended", "mended", high);
        }
        let span = self.step.saturating_mul(u32::try_from(columns).unwrap_or(u32::MAX));
        let end = wide.saturating_sub(2);
        let foot = high.saturating_sub(4);
        let _ = writeln!(svg, "<text x=\"{end}\" y=\"{foot}\" class=\"end\">{}</text>\n</svg>", short(span));
        svg
    }

    fn mark(&self, svg: &mut String, at: Duration, class: &str, label: &str, high: usize) {
        let steps = at.as_secs_f64() / self.step.as_secs_f64().max(1e-9);
        let x = steps.mul_add(COLUMN_F, LEFT_F);
        let foot = high.saturating_sub(FOOT);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{foot}\" class=\"{class}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" class=\"{class}\">{label}</text>",
            high.saturating_sub(4)
        );
    }
}

/// A row of bars, the highest of which stands for `most`.
fn bars(svg: &mut String, (place, name, class): (usize, &str, &str), row: &[u64], most: u64) {
    let base = place.saturating_add(1).saturating_mul(ROW);
    // Writing to a String cannot fail.
    let _ = writeln!(svg, "<text x=\"0\" y=\"{}\">{name}</text>", base.saturating_sub(8));
    for (at, &count) in row.iter().enumerate().filter(|&(_, &count)| count > 0) {
        let tall = count.saturating_mul(TALLEST).div_ceil(most.max(1));
        let x = at.saturating_mul(COLUMN).saturating_add(LEFT);
        let y = base.saturating_sub(usize::try_from(tall).unwrap_or(0)).saturating_sub(2);
        let width = COLUMN - 1;
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{tall}\"{class}/>");
    }
}

/// What the row of losses is called.
const LOST: &str = "lost";
/// Columns of a plot.
const PIECES: u32 = 90;
/// The most time that a plot shows of what was before.
const LONGEST_LEAD: Duration = Duration::from_millis(425);
/// The most time that a plot shows of a failure that shows itself, and the least.
const LONGEST: Duration = Duration::from_millis(1700);
const SHORTEST: Duration = Duration::from_millis(90);
/// Pixels.
const COLUMN: usize = 9;
const COLUMN_F: f64 = 9.0;
const LEFT: usize = 40;
const LEFT_F: f64 = 40.0;
const ROW: usize = 30;
const TALLEST: u64 = 24;
const FOOT: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        Plot {
            way: "a -> b",
            step: Duration::from_millis(1),
            hurt: Duration::from_millis(2),
            left: None,
            mended: Some(Duration::from_millis(3)),
            rows: vec![("ch1".to_owned(), vec![4, 4, 0, 0, 4]), ("ch2".to_owned(), vec![2; 5])],
            lost: vec![0, 0, 3, 1, 0],
        }
    }

    #[test]
    fn the_terminal_shows_the_failure_below_its_column() {
        let text = plot().text();
        let lines: Vec<&str> = text.lines().collect();
        let bar = lines[1].chars().position(|c| c == '|').unwrap();
        assert_eq!(lines[4].find('^').unwrap(), bar + 1 + 2, "{text}");
        let bars: Vec<_> =
            lines[1..4].iter().map(|line| line.chars().position(|c| c == '|').unwrap()).collect();
        assert_eq!(bars, [bar; 3], "names are padded: {text}");
        assert!(!text.contains("mended"), "there is no room: {text}");
        let wide = Plot { mended: Some(Duration::from_millis(30)), ..plot() }.text();
        assert_eq!(wide.lines().last().unwrap().find("^ mended").unwrap(), bar + 1 + 30, "{wide}");
    }

    #[test]
    fn without_losses_there_is_no_row_for_them() {
        let svg = Plot { lost: vec![0; 5], left: Some(Duration::from_millis(2)), ..plot() }.svg();
        assert!(!svg.contains("lost") && svg.contains("class=\"left\""), "{svg}");
    }

    #[test]
    fn a_plot_shows_the_gap_and_where_somebody_measured_all_of_it() {
        let seen = Direction { gap: Duration::from_millis(100), ..Direction::default() };
        let report = UdpReport {
            started: Instant::ZERO,
            flows: Vec::new(),
            buckets: Vec::new(),
            longest_gap: Duration::ZERO,
            delays: Vec::new(),
        };
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let seconds = |left| {
            let moments = Moments { hurt: at(5000), mended: at(9000), left };
            let plot = Plot::around(&seen, &[], (&report, &[]), moments);
            (plot.step * PIECES, plot.left.is_some(), plot.mended.is_some())
        };
        let close = |span: Duration, right| span.abs_diff(right) < Duration::from_micros(1);
        let (span, left, mended) = seconds(None);
        assert!(!left && !mended && close(span, Duration::from_millis(400)), "{span:?}");
        let (span, left, mended) = seconds(Some(at(7000)));
        assert!(left && mended && close(span, Duration::from_secs(6)), "{span:?}");
    }

    #[test]
    fn the_svg_has_a_bar_for_each_arrival_and_both_marks() {
        let svg = plot().svg();
        assert_eq!(svg.matches("<rect").count(), 8 + 2);
        assert_eq!(svg.matches("class=\"lost\"").count(), 2);
        assert!(svg.contains("x1=\"58.0\"") && svg.contains("x1=\"67.0\""), "{svg}");
        assert!(svg.contains("class=\"mended\"") && svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("http"), "nothing from elsewhere");
    }
}
