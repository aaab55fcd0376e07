//! What was accepted.

use std::{collections::BTreeMap, fmt, fs};

use anyhow::{Context, Result};

/// Where the accepted counts stand.
pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions/baseline.txt");
/// By how many per cent a case may cost more.
pub(crate) const TOLERANCE: u64 = 5;

/// Accepted counts, by case.
#[derive(Debug, Default)]
pub(crate) struct Baseline(BTreeMap<String, u64>);

/// How a count compares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing to compare with.
    New,
    /// The accepted count, and ten times the change in per cent.
    Known(u64, i64),
}

impl Verdict {
    /// Too much, or not accepted yet.
    pub(crate) fn fails(self) -> bool {
        match self {
            Self::New => true,
            Self::Known(_, tenths) => tenths > i64::try_from(TOLERANCE * 10).unwrap_or(0),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::New => write!(f, "{:>12}  {:>8}", "-", "NEW"),
            Self::Known(accepted, tenths) => {
                let sign = if tenths < 0 { '-' } else { '+' };
                let change = format!("{sign}{}.{} %", tenths.abs() / 10, tenths.abs() % 10);
                write!(f, "{accepted:>12}  {change:>8}")
            }
        }
    }
}

impl Baseline {
    /// What is committed.
    pub(crate) fn read() -> Result<Self> {
        match fs::read_to_string(FILE) {
            Ok(text) => Self::parse(&text),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(why) => Err(why).context(FILE),
        }
    }

    /// A name and a number on each line; remarks begin with `#`.
    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let pair = |line: &str| {
            let (name, count) = line.split_once(' ').with_context(|| format!("{FILE}: `{line}`"))?;
            Ok((name.to_owned(), count.trim().parse().with_context(|| format!("{FILE}: `{line}`"))?))
        };
        lines.map(pair).collect::<Result<_>>().map(Self)
    }

    pub(crate) fn write(&self) -> Result<()> {
        let head = "# Instructions by case, for one unit each: `cargo run --release -p benches --bin instructions -- --accept` writes this.\n";
        let lines: String = self.0.iter().map(|(name, count)| format!("{name:<28} {count}\n")).collect();
        fs::write(FILE, head.to_owned() + &lines).context(FILE)
    }

    pub(crate) fn set(&mut self, name: &str, count: u64) {
        self.0.insert(name.to_owned(), count);
    }

    pub(crate) fn judge(&self, name: &str, count: u64) -> Verdict {
        let Some(&accepted) = self.0.get(name) else { return Verdict::New };
        let change = i128::from(count) - i128::from(accepted);
        let tenths = change * 1000 / i128::from(accepted.max(1));
        Verdict::Known(accepted, i64::try_from(tenths).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_five_per_cent_fails_and_so_does_what_nobody_accepted() {
        let baseline = Baseline::parse("# remark\nfib/v4   1000\n\n").unwrap();
        for (count, fails) in [(10, false), (1000, false), (1050, false), (1051, true), (9000, true)] {
            assert_eq!(baseline.judge("fib/v4", count).fails(), fails, "{count}");
        }
        assert!(baseline.judge("other", 1).fails());
        assert_eq!(baseline.judge("fib/v4", 963).to_string(), "        1000    -3.7 %");
    }

    #[test]
    fn a_spoilt_file_is_said_to_be() {
        assert!(Baseline::parse("fib/v4").is_err());
        assert!(Baseline::parse("fib/v4 many").is_err());
    }

    #[test]
    fn every_case_was_accepted() {
        let baseline = Baseline::read().unwrap();
        let missing = crate::cases::CASES.iter().filter(|case| !baseline.0.contains_key(case.name));
        assert_eq!(missing.map(|case| case.name).collect::<Vec<_>>(), [""; 0]);
        assert_eq!(baseline.0.len(), crate::cases::CASES.len(), "a case went, and its count stayed");
    }
}
