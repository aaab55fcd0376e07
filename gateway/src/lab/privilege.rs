//! Who may build a lab, and how to become somebody who may (user_namespaces(7)).

use std::fs;
use std::io;

use nix::errno::Errno;
pub use sys::netns::Entered;
use sys::netns::{self, NetNs};

use super::error::LabError;

/// Moves this process into network and mount namespaces of its own; without privilege into a user namespace first,
/// in which it is root. To be called before the process has a second thread.
///
/// # Errors
/// [`LabError::Forbidden`] with what forbids it and the remedy.
pub fn enter() -> Result<Entered, LabError> {
    netns::enter_own_namespaces().map_err(|e| forbidden(&e))
}

/// What to type to get a shell, or whatever program follows, in the node that process `pid` holds. Only who became
/// root of a user namespace has one to enter: the kernel refuses to enter one's own again (setns(2)).
#[must_use]
pub fn way_in(entered: Entered, pid: u32) -> String {
    match entered {
        Entered::Privileged => format!("nsenter -t {pid} -n"),
        Entered::AsOwnRoot => format!("nsenter -t {pid} -U -n --preserve-credentials"),
    }
}

/// Why this process, as it is, cannot build a lab; `None` when it can.
#[must_use]
pub fn missing_privilege() -> Option<LabError> {
    NetNs::new().err().map(|e| forbidden(&e))
}

fn forbidden(error: &io::Error) -> LabError {
    let setting = |key: &str| fs::read_to_string(format!("/proc/sys/{key}")).unwrap_or_default();
    let (why, remedy) = explain(error, &|key| setting(key).trim().to_owned());
    LabError::Forbidden { why, remedy }
}

/// What is known to forbid namespaces, the most certain first.
fn explain(error: &io::Error, setting: &dyn Fn(&str) -> String) -> (String, String) {
    let root = "or run this as root";
    let switch = |key: &str, value: &str| {
        let name = key.replace('/', ".");
        (format!("{name} = {}", setting(key)), format!("sysctl -w {name}={value}, {root}"))
    };
    let number = error.raw_os_error().map(Errno::from_raw);
    if setting("kernel/unprivileged_userns_clone") == "0" {
        return switch("kernel/unprivileged_userns_clone", "1");
    }
    if setting("user/max_user_namespaces") == "0" {
        return switch("user/max_user_namespaces", "10000");
    }
    if setting("user/max_net_namespaces") == "0" {
        return switch("user/max_net_namespaces", "10000");
    }
    if setting("kernel/apparmor_restrict_unprivileged_userns") == "1" {
        return switch("kernel/apparmor_restrict_unprivileged_userns", "0");
    }
    match number {
        Some(Errno::ENOSPC) => (
            "the limit of namespaces is reached (ENOSPC)".to_owned(),
            format!("raise user.max_user_namespaces and user.max_net_namespaces, {root}"),
        ),
        Some(Errno::EINVAL) => (
            "this process has threads already, or the kernel was built without namespaces (EINVAL)"
                .to_owned(),
            format!("start it as a program of its own, {root}"),
        ),
        _ => (
            format!("{error}; perhaps a container's seccomp filter or missing CAP_SYS_ADMIN"),
            "run this as root, or start the container with --cap-add SYS_ADMIN --cap-add NET_ADMIN \
             --security-opt seccomp=unconfined"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(errno: Errno, set: (&str, &str)) -> (String, String) {
        explain(&errno.into(), &|key| if key == set.0 { set.1.to_owned() } else { String::new() })
    }

    #[test]
    fn a_refusal_names_the_setting_and_the_remedy() {
        for (key, value, remedy) in [
            ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
            (
                "kernel/apparmor_restrict_unprivileged_userns",
                "1",
                "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            ),
            ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
        ] {
            let (why, how) = explained(Errno::EPERM, (key, value));
            assert!(why.contains(&key.replace('/', ".")), "{why}");
            assert!(how.starts_with(remedy), "{how}");
        }
        assert!(explained(Errno::EPERM, ("", "")).1.contains("as root"));
        assert!(explained(Errno::ENOSPC, ("", "")).0.contains("limit"));
        assert!(explained(Errno::EINVAL, ("", "")).0.contains("threads"));
    }
}
