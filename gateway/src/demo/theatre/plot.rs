//! Arrivals over time around a failure, a row for each channel's flows: for the terminal and as SVG.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::super::outcome::{chart, short};
use super::super::story::speaks_utf8;
use super::measure::seconds;

/// Arrivals over time in one direction.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Plot {
    /// `a -> b`.
    pub way: &'static str,
    /// What one number stands for.
    #[serde(serialize_with = "seconds")]
    pub step: Duration,
    /// When the failure was, from the plot's begin on.
    #[serde(serialize_with = "seconds")]
    pub hurt: Duration,
    /// When it was mended, if the plot reaches that far.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_seconds")]
    pub mended: Option<Duration>,
    /// Arrivals of the flows that each channel had before the failure.
    pub rows: Vec<(String, Vec<u64>)>,
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn maybe_seconds<S: serde::Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(to)
}

impl Plot {
    /// For a terminal.
    pub(super) fn text(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let column = usize::try_from(self.hurt.as_nanos() / self.step.as_nanos().max(1)).unwrap_or(0);
        let chart = chart(&self.rows, speaks_utf8());
        let blank = " ".repeat(width + 4 + column);
        format!(
            "  {}, arrivals by the channel that flows had before, {} for each character:\n{chart}{blank}^ failure\n",
            self.way,
            short(self.step)
        )
    }

    /// As SVG, with everything in it.
    pub(super) fn svg(&self) -> String {
        let columns = self.rows.iter().map(|(_, row)| row.len()).max().unwrap_or(0).max(1);
        let most = self.rows.iter().flat_map(|(_, row)| row).max().copied().unwrap_or(0).max(1);
        let high = self.rows.len().saturating_mul(ROW).saturating_add(FOOT);
        let wide = columns.saturating_mul(COLUMN).saturating_add(LEFT);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {wide} {high}\" role=\"img\" aria-label=\"arrivals over time, {}\">\n",
            self.way.replace('>', "&gt;")
        );
        for (place, (name, row)) in self.rows.iter().enumerate() {
            let base = place.saturating_add(1).saturating_mul(ROW);
            // Writing to a String cannot fail.
            let _ = writeln!(svg, "<text x=\"0\" y=\"{}\">{name}</text>", base.saturating_sub(8));
            for (at, &count) in row.iter().enumerate().filter(|&(_, &count)| count > 0) {
                let tall = count.saturating_mul(TALLEST).div_ceil(most);
                let x = at.saturating_mul(COLUMN).saturating_add(LEFT);
                let y = base.saturating_sub(usize::try_from(tall).unwrap_or(0)).saturating_sub(2);
                let width = COLUMN - 1;
                let _ = writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{tall}\"/>");
            }
        }
        self.mark(&mut svg, self.hurt, "hurt", "failure", high);
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
            mended: Some(Duration::from_millis(3)),
            rows: vec![("ch1".to_owned(), vec![4, 4, 0, 0, 4]), ("ch2".to_owned(), vec![2; 5])],
        }
    }

    #[test]
    fn the_terminal_shows_the_failure_below_its_column() {
        let text = plot().text();
        let lines: Vec<&str> = text.lines().collect();
        let bar = lines[1].chars().position(|c| c == '|').unwrap();
        assert_eq!(lines[3].find('^').unwrap(), bar + 1 + 2, "{text}");
    }

    #[test]
    fn the_svg_has_a_bar_for_each_arrival_and_both_marks() {
        let svg = plot().svg();
        assert_eq!(svg.matches("<rect").count(), 8);
        assert!(svg.contains("x1=\"58.0\"") && svg.contains("x1=\"67.0\""), "{svg}");
        assert!(svg.contains("class=\"mended\"") && svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("http"), "nothing from elsewhere");
    }
}
