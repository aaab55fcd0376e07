//! The binary `quadspan`.
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Two sites on this machine, four MACsec channels, real traffic, a cut, a verdict
    Demo(gateway::demo::Options),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(options) => gateway::demo::run(&options),
    }
}
