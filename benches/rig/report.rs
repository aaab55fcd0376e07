//! Samples in, medians and ratios out.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

/// One measured number, with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sample {
    Gbps(f64),
    Microseconds(f64),
    CpuPerGb(f64),
    KiloFrames(f64),
    CpuPerMillion(f64),
    MiB(f64),
}

impl Sample {
    const fn number(self) -> f64 {
        match self {
            Self::Gbps(n)
            | Self::Microseconds(n)
            | Self::CpuPerGb(n)
            | Self::KiloFrames(n)
            | Self::CpuPerMillion(n)
            | Self::MiB(n) => n,
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Gbps(_) => "Gbit/s",
            Self::Microseconds(_) => "us",
            Self::CpuPerGb(_) => "CPU s/GB",
            Self::KiloFrames(_) => "kframe/s",
            Self::CpuPerMillion(_) => "CPU s/Mfr",
            Self::MiB(_) => "MiB",
        }
    }
}

/// All samples: by what was measured in the order of measuring, then by contender.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(String, BTreeMap<String, Vec<Sample>>)>,
}

impl Report {
    pub(crate) fn add(&mut self, contender: &str, what: &str, sample: Sample) {
        let at = self.rows.iter().position(|(name, _)| name == what).unwrap_or_else(|| {
            self.rows.push((what.to_owned(), BTreeMap::new()));
            self.rows.len() - 1
        });
        if let Some((_, row)) = self.rows.get_mut(at) {
            row.entry(contender.to_owned()).or_default().push(sample);
        }
    }

    /// One line for each number: what, by whom, median, least and most, ratio to the kernel's, and what a time is more than the kernel's.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{:<34} {:>9} {:>9} {:>9}  {:<9} {:>7} {:>9}  contender\n",
            "", "median", "least", "most", "unit", "ratio", "added"
        );
        for (what, row) in &self.rows {
            let kernel = row.get("kernel").map(|samples| median(samples));
            for (name, samples) in row {
                let (mid, unit) = (median(samples), samples.first().map_or("", |sample| sample.unit()));
                let (least, most) = ends(samples);
                let ratio = kernel.map_or(String::new(), |kernel| format!("{:.3}", mid / kernel));
                let added = added(samples, kernel).map_or(String::new(), |more| format!("{more:.1}"));
                let _written = writeln!(
                    text,
                    "{what:<34} {mid:>9.2} {least:>9.2} {most:>9.2}  {unit:<9} {ratio:>7} {added:>9}  {name}"
                );
            }
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let row = |(what, row): &(String, BTreeMap<String, Vec<Sample>>)| {
            let kernel = row.get("kernel").map(|samples| median(samples));
            let one = |(name, samples): (&String, &Vec<Sample>)| {
                let numbers: Vec<f64> = samples.iter().map(|sample| sample.number()).collect();
                let unit = samples.first().map_or("", |sample| sample.unit());
                let ratio = kernel.map(|kernel| median(samples) / kernel);
                json!({ "contender": name, "unit": unit, "median": median(samples), "samples": numbers, "ratio_to_kernel": ratio,
                    "added_to_kernel": added(samples, kernel) })
            };
            json!({ "what": what, "contenders": row.iter().map(one).collect::<Vec<Value>>() })
        };
        format!("{:#}", json!({ "results": self.rows.iter().map(row).collect::<Vec<_>>() }))
    }
}

/// How much longer than the kernel's own this time is.
fn added(samples: &[Sample], kernel: Option<f64>) -> Option<f64> {
    let time = matches!(samples.first(), Some(Sample::Microseconds(_)));
    kernel.filter(|_| time).map(|kernel| median(samples) - kernel)
}

fn sorted(samples: &[Sample]) -> Vec<f64> {
    let mut numbers: Vec<f64> = samples.iter().map(|sample| sample.number()).collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// The middle one, or the mean of the two in the middle.
fn median(samples: &[Sample]) -> f64 {
    let numbers = sorted(samples);
    let (low, high) = (numbers.get((numbers.len().max(1) - 1) / 2), numbers.get(numbers.len() / 2));
    low.zip(high).map_or(f64::NAN, |(low, high)| f64::midpoint(*low, *high))
}

fn ends(samples: &[Sample]) -> (f64, f64) {
    let numbers = sorted(samples);
    numbers.first().zip(numbers.last()).map_or((f64::NAN, f64::NAN), |(least, most)| (*least, *most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_the_ratio_is_of_medians() {
        let mut report = Report::default();
        for (name, samples) in [("q", [3.0, 1.0, 9.0, 2.0]), ("kernel", [5.0, 5.0, 50.0, 5.0])] {
            samples.into_iter().for_each(|n| report.add(name, "TCP", Sample::Gbps(n)));
        }
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["results"][0]["contenders"][1]["median"], 2.5);
        assert_eq!(json["results"][0]["contenders"][1]["ratio_to_kernel"], 0.5);
        assert_eq!(json["results"][0]["contenders"][1]["added_to_kernel"], Value::Null);
    }

    #[test]
    fn a_time_is_told_with_what_it_is_more_than_the_kernels() {
        let mut report = Report::default();
        report.add("q", "echo", Sample::Microseconds(117.0));
        report.add("kernel", "echo", Sample::Microseconds(49.0));
        assert!(report.table().contains(" 68.0 "), "{}", report.table());
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["results"][0]["contenders"][1]["added_to_kernel"], 68.0);
    }
}
