//! `doctor`: whether this machine is fit for a configuration, and how the gateway is if one runs.

use core::fmt::Write as _;
use std::path::Path;

use config::Loaded;

use super::{
    args::Global,
    ask, check,
    exit::{Exit, Failure},
    terminal,
};
use crate::{
    api::model::{self, Document, Status},
    clock,
    doctor::{self, Finding, Machine, Seat, Verdict},
    secrets::Secrets,
};

/// Looks at everything and says what to do.
pub(super) fn doctor(global: &Global, file: &Path) -> Result<Exit, Failure> {
    let name = file.display().to_string();
    let loaded = config::load_at(&name, &check::read(file)?, &Secrets::beside(file), clock::wall());
    let mut findings = vec![configuration(&name, &loaded)];
    if let Ok(Loaded { config, .. }) = &loaded {
        let machine = Machine::look(config);
        findings.extend(doctor::examine(config, &machine));
        if machine.seat == Seat::Taken {
            findings.extend(running(&config.runtime.socket));
        }
    }
    let worst = findings.iter().map(|finding| finding.result).max().unwrap_or(Verdict::Ok);
    if global.json {
        terminal::print_json(&serde_json::json!({
            "api": model::API,
            "kind": "Doctor",
            "file": name,
            "result": worst,
            "items": findings,
        }))?;
    } else {
        terminal::print(terminal::look(global.color).paint(&screen(&findings)).as_bytes())?;
    }
    Ok(if worst == Verdict::Ok { Exit::Done } else { Exit::Degraded })
}

fn configuration(name: &str, loaded: &Result<Loaded, config::Problems>) -> Finding {
    let remedy = format!("quadspan check {name} shows where, and what to do");
    match loaded {
        Ok(loaded) if loaded.warnings.is_empty() => {
            Finding::ok("config", "", format!("{name} is valid, and its keys can be read"))
        }
        Ok(loaded) => {
            let count = counted(loaded.warnings.iter().count(), "warning");
            Finding::warn("config", "", format!("{name} is valid, with {count}"), &remedy)
        }
        Err(problems) => {
            let count = problems.iter().filter(|one| one.severity() == config::Severity::Error).count();
            Finding::fail(
                "config",
                "",
                format!("{name} has {}; nothing else was looked at", counted(count, "error")),
                &remedy,
            )
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What a gateway that runs says of itself.
fn running(socket: &Path) -> Vec<Finding> {
    let status = ask::get(socket, "/v1/status").and_then(|body| ask::parse::<Document<Status>>(&body));
    let Ok(status) = status else {
        let message = "the gateway that runs does not answer".to_owned();
        return vec![Finding::fail("gateway", "", message, "is it overloaded or stopped? see its log")];
    };
    let reasons = status.content.reasons.iter().map(|reason| {
        let remedy = "quadspan status, and quadspan explain for its words";
        match reason.severity {
            model::Severity::Degraded => {
                Finding::fail("status", &reason.subject, reason.message.clone(), remedy)
            }
            model::Severity::Warning => {
                Finding::warn("status", &reason.subject, reason.message.clone(), remedy)
            }
        }
    });
    reasons.collect()
}

fn screen(findings: &[Finding]) -> String {
    let title = |one: &Finding| match one.subject.as_str() {
        "" => one.check.to_owned(),
        subject => format!("{} {subject}", one.check),
    };
    let width = findings.iter().map(|one| title(one).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for one in findings {
        // Writing to a String does not fail.
        let _line = writeln!(text, "{:<4}  {:<width$}  {}", one.result.word(), title(one), one.message);
        if let Some(remedy) = &one.remedy {
            let _line = writeln!(text, "{:width$}        -> {remedy}", "");
        }
    }
    let count = |result| findings.iter().filter(|one| one.result == result).count();
    let _line = writeln!(
        text,
        "{} looked at: {} ok, {} to know, {} to mend",
        findings.len(),
        count(Verdict::Ok),
        count(Verdict::Warn),
        count(Verdict::Fail)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_stand_below_what_they_mend() {
        let findings = [
            Finding::ok("kernel", "", "Linux 6.1".to_owned()),
            Finding::fail("port", "wan1", "there is no device eth1".to_owned(), "`ip link` lists them"),
        ];
        assert_eq!(
            screen(&findings),
            "ok    kernel     Linux 6.1\n\
             FAIL  port wan1  there is no device eth1\n                 -> `ip link` lists them\n\
             2 looked at: 1 ok, 0 to know, 1 to mend\n"
        );
    }
}
