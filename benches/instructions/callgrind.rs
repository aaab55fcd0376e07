//! One case under callgrind.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Instructions inside `counted` in one run of the case.
///
/// # Errors
/// When valgrind is not there, or the case fails.
pub(crate) fn count(case: &str) -> Result<u64> {
    let own = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*instructions*counted*"]);
    command.args(["--callgrind-out-file=/dev/null"]).arg(own).args(["--run", case]);
    let done = command.output().context("cannot run valgrind (Debian package: valgrind)")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{case}: {said}");
    let count = collected(&said).with_context(|| format!("{case}: no count in: {said}"))?;
    ensure!(count > 0, "{case}: nothing was counted: is `counted` inlined?");
    Ok(count)
}

/// `==4711== Collected : 123456`, as callgrind ends.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 123456\n==7== \n"), Some(123_456));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
