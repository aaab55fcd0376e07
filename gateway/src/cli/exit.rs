//! How the program ends: codes that scripts can rely on, and messages that say what, where and what to do.

use core::fmt::Display;
use std::process::ExitCode;

/// Why a command ends. The numbers are a contract.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Done, nothing to do, or healthy.
    Done,
    /// The operation failed.
    Failed,
    /// Wrong usage.
    Usage,
    /// The configuration is invalid.
    ConfigInvalid,
    /// No gateway answers.
    Unreachable,
    /// This user may not.
    NotPermitted,
    /// The file needs a restart, and `reload --dry-run` asked.
    NeedsRestart,
    /// The gateway is degraded, and `status --exit-code` asked; or the machine is not fit, and `doctor` or `bench --config` asked.
    Degraded,
}

impl Exit {
    /// All, by number.
    pub const ALL: &[Self] = &[
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::ConfigInvalid,
        Self::Unreachable,
        Self::NotPermitted,
        Self::NeedsRestart,
        Self::Degraded,
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::ConfigInvalid => 3,
            Self::Unreachable => 4,
            Self::NotPermitted => 5,
            Self::NeedsRestart => 6,
            Self::Degraded => 8,
        }
    }

    /// What it means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, nothing to do, or healthy",
            Self::Failed => "the operation failed; standard error says why",
            Self::Usage => "wrong usage",
            Self::ConfigInvalid => "the configuration is invalid",
            Self::Unreachable => "no gateway answers on the socket",
            Self::NotPermitted => "not permitted",
            Self::NeedsRestart => "the file has changes that need a restart; only with reload --dry-run",
            Self::Degraded => {
                "degraded; only with status --exit-code, with doctor, and with bench --config when a promise is broken"
            }
        }
    }

    /// The word in errors of `--json`.
    const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::ConfigInvalid => "config_invalid",
            Self::Unreachable => "unreachable",
            Self::NotPermitted => "not_permitted",
            Self::NeedsRestart => "needs_restart",
            Self::Degraded => "degraded",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table of `help exit-codes`.
pub(super) fn table() -> String {
    Exit::ALL.iter().map(|exit| format!("{:>3}  {}\n", exit.code(), exit.meaning())).collect()
}

/// A command that did not do what it should.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    exit: Exit,
    /// `None`: everything was said already.
    message: Option<String>,
    help: Option<String>,
}

impl Failure {
    /// Ends with this code and message.
    pub fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: Some(message.to_string()), help: None }
    }

    /// Ends with this code; everything was said already.
    pub const fn silent(exit: Exit) -> Self {
        Self { exit, message: None, help: None }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// How the program ends.
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// What standard error gets.
    pub fn render(&self, json: bool) -> String {
        let Some(message) = &self.message else { return String::new() };
        if json {
            let code = self.exit.word();
            let error =
                serde_json::json!({ "error": { "code": code, "message": message, "help": self.help } });
            return format!("{error}\n");
        }
        let help = self.help.as_ref().map(|help| format!("  help: {help}\n")).unwrap_or_default();
        format!("error: {message}\n{help}")
    }
}
