//! `show runtime`.

use std::{thread, time::Duration};

use super::{
    args::{Global, RuntimeArgs},
    ask::{get, items, line},
    exit::{Exit, Failure},
    terminal,
};
use crate::{api::model::WorkerRuntime, show};

const PATH: &str = "/v1/runtime";

/// `show runtime [--over TIME | --total]`. As JSON it is the gateway's own document: sums since the start.
pub(super) fn runtime(global: &Global, options: &RuntimeArgs) -> Result<Exit, Failure> {
    let first = get(&global.socket, PATH)?;
    if global.json {
        terminal::print(&line(&first))?;
        return Ok(Exit::Done);
    }
    let mut workers: Vec<WorkerRuntime> = items(&first)?;
    if !options.total {
        pause(options.over);
        workers = show::runtime_between(&workers, items(&get(&global.socket, PATH)?)?);
    }
    terminal::print(show::runtime(&terminal::look(global.color), &workers).as_bytes())?;
    Ok(Exit::Done)
}

#[expect(clippy::disallowed_methods, reason = "nobody waits here but who asked for it")]
fn pause(time: Duration) {
    thread::sleep(time);
}
