//! The command line: what people and scripts type.
//!
//! Standard output is data, standard error is talk. Every command takes `--json`. Exit codes are a contract
//! ([`Exit`]). Errors say what is wrong, where, and what to do. Commands that ask a gateway use its API and nothing
//! else.
//!
//! Nothing here starts a thread before the command is known: `demo`, `lab` and `bench` have to enter their namespaces while the
//! process has only one.

mod args;
mod ask;
mod bench;
mod bgp;
mod check;
mod choose;
mod decode;
mod doctor;
mod drain;
mod events;
mod exit;
mod explain;
mod keygen;
mod lab;
mod named;
mod reload;
mod restart;
mod run;
mod runtime;
mod terminal;
mod without_mka;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

use args::{Cli, Color, Command, Global, MkaVerb, StatusArgs};
pub use exit::{Exit, Failure};

/// Does what the command line says.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody may be listening any more.
            let _printed = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let json = cli.global.json;
    match dispatch(cli.global, cli.command) {
        Ok(code) => code,
        Err(failure) => {
            terminal::tell(&failure.render(json));
            failure.exit().into()
        }
    }
}

fn dispatch(global: Global, command: Option<Command>) -> Result<ExitCode, Failure> {
    let exit = match command.unwrap_or(Command::Status(StatusArgs::default())) {
        Command::Demo(mut options) => {
            options.color = match global.color {
                Color::Auto => None,
                Color::Always => Some(true),
                Color::Never => Some(false),
            };
            return Ok(crate::demo::run(&options));
        }
        Command::Lab(options) => return lab::lab(&global, &options),
        Command::Status(options) => ask::status(&global, options)?,
        Command::Show { noun } => ask::show(&global, &noun)?,
        Command::Bgp { verb } => bgp::wish(&global, &verb)?,
        Command::Bfd { verb } => bgp::switch_bfd(&global, &verb)?,
        Command::Rekey(options) => ask::rekey(&global, &options)?,
        Command::Mka { verb: MkaVerb::Suspend(options) } => ask::suspend(&global, &options)?,
        Command::Drain(options) => drain::drain(&global, &options)?,
        Command::Rate(options) => drain::rate(&global, &options)?,
        Command::Drill(options) => drain::drill(&global, &options)?,
        Command::Undrain(options) => drain::undrain(&global, &options)?,
        Command::Check(options) => check::check(&global, &options.file)?,
        Command::Doctor(options) => doctor::doctor(&global, &options.file)?,
        Command::Bench(options) => bench::bench(&global, &options)?,
        Command::Schema => schema()?,
        Command::Run(options) => run::run(&global, &options)?,
        Command::Restart(options) => restart::restart(&global, &options)?,
        Command::Reload(options) => reload::reload(&global, &options)?,
        Command::Keygen(options) => keygen::keygen(&global, &options)?,
        Command::Decode(options) => decode::decode(&global, &options)?,
        Command::Explain(options) => explain::explain(&global, &options.what)?,
        Command::Version => version(&global)?,
        Command::ExitCodes => exit_codes(&global)?,
    };
    Ok(exit.into())
}

fn schema() -> Result<Exit, Failure> {
    terminal::print_json(&config::schema())?;
    Ok(Exit::Done)
}

fn version(global: &Global) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if global.json {
        terminal::print_json(&serde_json::json!({ "program": "quadspan", "version": version }))?;
    } else {
        terminal::print(format!("quadspan {version}\n").as_bytes())?;
    }
    Ok(Exit::Done)
}

fn exit_codes(global: &Global) -> Result<Exit, Failure> {
    if global.json {
        let code = |exit: &Exit| serde_json::json!({ "code": exit.code(), "meaning": exit.meaning() });
        terminal::print_json(&Exit::ALL.iter().map(code).collect::<Vec<_>>())?;
    } else {
        terminal::print(exit::table().as_bytes())?;
    }
    Ok(Exit::Done)
}
