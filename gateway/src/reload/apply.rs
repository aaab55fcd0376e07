//! Reading the file again, and doing what lies between.

use std::sync::Arc;

use anyhow::{Context, Result};
use config::{Loaded, Problem, Severity};
use dataplane::{ConnectionTables, Tables};
use tracing::{error, info, warn};

use super::{Comparison, Outcome, Step, compare};
use crate::{api::wall, assemble, clock, control::Gateway, names, run, secrets::Secrets, worker::Command};

impl Gateway {
    /// Reads the configuration file again, and runs what it says, or says what that would do.
    pub(crate) fn reload(&mut self, dry_run: bool) -> Outcome {
        let outcome = match self.read_again() {
            Err(problems) => Outcome::Invalid(problems),
            Ok(loaded) => self.take(loaded, dry_run),
        };
        if !dry_run {
            self.tell(&outcome);
        }
        outcome
    }

    fn read_again(&self) -> Result<Loaded, Vec<String>> {
        let file = &self.reloads.file;
        let text = run::read(file).map_err(|why| vec![format!("{why:#}")])?;
        let name = file.display().to_string();
        let loaded = config::load_at(&name, &text, &Secrets::beside(file), clock::wall());
        loaded.map_err(|problems| {
            let errors = problems.iter().filter(|problem| problem.severity() == Severity::Error);
            errors.map(line).collect()
        })
    }

    fn take(&mut self, loaded: Loaded, dry_run: bool) -> Outcome {
        let comparison = match compare(&self.config, &loaded.config, &self.reloads.devices) {
            Ok(comparison) => comparison,
            Err(why) => return Outcome::Invalid(vec![format!("{why:#}")]),
        };
        if !comparison.restart.is_empty() {
            return Outcome::NeedsRestart(comparison.restart, comparison.steps);
        }
        let steps = comparison.steps.clone();
        if !dry_run && let Err(why) = self.apply(loaded, comparison) {
            return Outcome::Invalid(vec![format!("{why:#}")]);
        }
        Outcome::Done(steps)
    }

    fn apply(&mut self, loaded: Loaded, comparison: Comparison) -> Result<()> {
        for problem in &loaded.warnings {
            let (code, line) = (problem.code().as_str(), problem.line());
            warn!(event = "config.warning", code, file = problem.file(), line, "{}", problem.message());
        }
        // All that can fail comes first.
        let keys = self.agreements.keys(&loaded.config).context("the keys cannot be used")?;
        self.config = loaded.config;
        for (channel, keys) in keys.into_iter().filter(|(channel, _)| comparison.keys.contains(channel)) {
            if let Some(worker) = self.owner(channel) {
                worker.mailbox.send(Command::MkaKeys(channel, keys));
            }
        }
        for (connection, rate) in comparison.rates {
            self.bandwidths().set(connection, rate);
        }
        for (interface, params) in comparison.bfd {
            self.workers().set_bfd(interface, params);
        }
        let mut plan = comparison.plan;
        let domains = core::mem::take(&mut plan.domains);
        self.route_anew(domains, plan.tables);
        self.setup = Arc::new(plan.setup);
        Ok(())
    }

    /// BGP publishes all tables where it runs; otherwise they are published here.
    fn route_anew(&mut self, domains: Vec<assemble::Domain>, tables: Tables) {
        let speaks = |at| domains.iter().any(|domain| domain.connection == at);
        if let Some(bgp) = &self.bgp {
            let others = tables.connections.into_iter().enumerate().filter(|(at, _)| !speaks(*at));
            let others: Vec<(usize, Arc<ConnectionTables>)> = others.collect();
            let all = domains.iter().map(|domain| names::neighbors(&self.config, domain.connection));
            let names = all.collect();
            bgp.handle().reload(domains, names, others);
            return;
        }
        self.reloads.generation += 1;
        let tables = Arc::new(Tables { generation: self.reloads.generation, ..tables });
        for worker in &self.workers {
            worker.mailbox.send(Command::Tables(Arc::clone(&tables)));
        }
    }

    /// Everybody may know what runs now, and whether the file says the same.
    fn tell(&self, outcome: &Outcome) {
        let refused = match outcome {
            Outcome::Done(steps) => {
                steps.iter().for_each(told);
                info!(event = "config.reloaded", changes = steps.len());
                None
            }
            Outcome::Invalid(problems) => {
                for problem in problems {
                    error!(event = "config.reload_failed", why = problem, "the gateway runs on as it did");
                }
                let first = problems.first().map_or("it cannot be read", String::as_str);
                Some(format!("the file has {} errors, the first: {first}", problems.len()))
            }
            Outcome::NeedsRestart(restart, _) => {
                let what = restart.join("; ");
                error!(event = "config.reload_failed", why = %format!("it needs a restart: {what}"), "the gateway runs on as it did");
                Some(format!("it needs a restart: {what}"))
            }
        };
        let mut current = self.reloads.current.lock();
        current.config = Arc::new(self.config.clone());
        current.setup = self.setup.clone();
        current.refused = refused.map(|why| (wall(), why));
    }
}

fn told(step: &Step) {
    info!(event = "config.change", subject = step.subject, resets = step.resets, "{}", step.message);
}

fn line(problem: &Problem) -> String {
    let (file, line, column) = (problem.file(), problem.line(), problem.column());
    format!("{file}:{line}:{column}: {} {}", problem.code(), problem.message())
}
