//! `reload`: what changes, or would.

use core::fmt::Write as _;

use super::{
    args::{Global, ReloadArgs},
    ask::{line, parse, talk},
    exit::{Exit, Failure},
    terminal,
};
use crate::api::{
    client,
    model::{Document, Reload, ReloadOutcome},
};

/// Has the gateway read its file again.
pub(super) fn reload(global: &Global, options: &ReloadArgs) -> Result<Exit, Failure> {
    let path = if options.dry_run { "/v1/reload?dry_run=true" } else { "/v1/reload" };
    let body = talk(client::post(&global.socket, path))?;
    let told: Document<Reload> = parse(&body)?;
    if global.json {
        terminal::print(&line(&body))?;
    } else {
        terminal::print(screen(&told.content).as_bytes())?;
    }
    match told.content.outcome {
        ReloadOutcome::Done => Ok(Exit::Done),
        ReloadOutcome::NeedsRestart => {
            let (exit, what) = match options.dry_run {
                true => (Exit::NeedsRestart, "a reload would change nothing"),
                false => (Exit::Failed, "not reloaded: nothing has changed"),
            };
            Err(Failure::new(exit, what).help(remedy(&told.content.needs_restart)))
        }
        ReloadOutcome::Invalid => Err(Failure::new(Exit::ConfigInvalid, "not reloaded: nothing has changed")
            .help("`quadspan check FILE` shows the places, and what to do")),
    }
}

/// How to bring the file into use. Packet numbers are in the state folder and nowhere else: no successor takes another one.
fn remedy(needs: &[String]) -> &'static str {
    if needs.iter().any(|one| one.starts_with("[runtime]") && one.contains("state_dir")) {
        return "another state_dir takes a stop and a start of the gateway (traffic stops meanwhile); or take these changes out of the file";
    }
    "`quadspan restart` brings the file into use under traffic: some milliseconds stand still, a channel that changed agrees on keys anew, \
     and BGP sessions without graceful_restart = \"full\" are reset; or take these changes out of the file"
}

fn screen(reload: &Reload) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for change in &reload.changes {
        let mark = if change.resets { "!" } else { " " };
        let _written = writeln!(text, "{mark} {} {}", change.subject, change.message);
    }
    for what in &reload.needs_restart {
        let _written = writeln!(text, "! needs a restart: {what}");
    }
    for problem in &reload.problems {
        let _written = writeln!(text, "! {problem}");
    }
    let count = reload.changes.len();
    let plural = if count == 1 { "change" } else { "changes" };
    let last = match (reload.outcome, reload.dry_run) {
        (ReloadOutcome::Done, _) if count == 0 => "nothing differs\n".to_owned(),
        (ReloadOutcome::Done, true) => format!("{count} {plural}; `quadspan reload` makes them\n"),
        (ReloadOutcome::Done, false) => format!("reloaded: {count} {plural}\n"),
        (ReloadOutcome::NeedsRestart | ReloadOutcome::Invalid, _) => String::new(),
    };
    text + &last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reload::Step;

    #[test]
    fn a_restart_under_traffic_is_offered_where_it_can_be_one() {
        let needs = |one: &str| remedy(&[one.to_owned()]);
        assert!(needs("[runtime] workers").starts_with("`quadspan restart`"));
        assert!(needs("port state_dir: new").starts_with("`quadspan restart`"));
        assert!(needs("[runtime] state_dir, log").contains("a stop and a start"));
    }

    #[test]
    fn a_plan_says_what_hurts() {
        let step = |subject: &str, resets| Step {
            subject: subject.to_owned(),
            message: "changes".to_owned(),
            resets,
        };
        let plan = Reload {
            outcome: ReloadOutcome::Done,
            dry_run: true,
            changes: vec![step("neighbor blue/r1", true), step("route blue/10.0.0.0/8", false)],
            needs_restart: vec![],
            problems: vec![],
        };
        let expected = "! neighbor blue/r1 changes\n  route blue/10.0.0.0/8 changes\n2 changes; `quadspan reload` makes them\n";
        assert_eq!(screen(&plan), expected);
        let stuck = Reload {
            outcome: ReloadOutcome::NeedsRestart,
            needs_restart: vec!["port p9: new".to_owned()],
            changes: vec![],
            ..plan.clone()
        };
        assert_eq!(screen(&stuck), "! needs a restart: port p9: new\n");
        assert_eq!(screen(&Reload { changes: vec![], ..plan }), "nothing differs\n");
    }
}
