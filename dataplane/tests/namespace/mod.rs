//! For tests of ports that need the kernel: a network namespace of their own.

use sys::netns::NetNs;

/// Runs `test` on a thread inside a new network namespace. Where there can be none it is skipped loudly; in CI (environment `CI=true`) that is a failure.
pub(crate) fn in_new_namespace(test: fn()) {
    match NetNs::new() {
        Ok(namespace) => namespace.within(test).unwrap(),
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "must not be skipped in CI: {error}");
            eprintln!("SKIPPED: no new network namespace: {error}");
        }
    }
}
