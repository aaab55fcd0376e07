//! What the demo promises, checked: a list of claims, each with what was found and what was wanted.

use serde::Serialize;

/// One claim.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Check {
    /// What is claimed.
    pub name: String,
    /// Whether it held.
    pub ok: bool,
    /// What was found.
    pub value: String,
    /// What was wanted.
    pub wanted: String,
}

/// All claims so far.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Verdict {
    checks: Vec<Check>,
}

impl Verdict {
    /// Adds a claim.
    pub(super) fn check(
        &mut self,
        name: &str,
        ok: bool,
        value: impl Into<String>,
        wanted: impl Into<String>,
    ) {
        self.checks.push(Check { name: name.to_owned(), ok, value: value.into(), wanted: wanted.into() });
    }

    /// Adds the claim that there was none of something.
    pub(super) fn none(&mut self, name: &str, found: u64) {
        self.check(name, found == 0, found.to_string(), "0");
    }

    /// Adds the claim that there was no more of something than `most`.
    pub(super) fn at_most(&mut self, name: &str, found: u64, most: u64) {
        let wanted = if most == 0 { "0".to_owned() } else { format!("at most {most}") };
        self.check(name, found <= most, found.to_string(), wanted);
    }

    /// All claims, in the order they were made.
    #[must_use]
    pub(super) fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Those that did not hold.
    pub(super) fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.ok)
    }

    /// Whether every claim held, and there was one.
    #[must_use]
    pub(super) fn holds(&self) -> bool {
        !self.checks.is_empty() && self.failed().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_all_and_nothing_claimed_is_no_success() {
        let mut verdict = Verdict::default();
        assert!(!verdict.holds());
        verdict.none("frames in clear", 0);
        assert!(verdict.holds());
        verdict.at_most("frames late", 3, 3);
        assert!(verdict.holds());
        verdict.at_most("frames lost", 3, 2);
        verdict.check("rate", true, "1 Gbit/s", "any");
        assert!(!verdict.holds());
        assert_eq!(verdict.failed().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["frames lost"]);
    }
}
