//! Kernel settings of a network namespace under `/proc/sys`, as plain files.
//!
//! `/proc/sys/net` shows the namespace of the thread that looks, so these calls act on the namespace that
//! [`crate::netns::within`] moved the thread to. Keys are written with slashes, because interface names may contain
//! dots: `net/ipv6/conf/eth0.100/disable_ipv6`.

use std::fs;
use std::io;
use std::path::PathBuf;

/// Reads setting `key` without its line end.
///
/// # Errors
/// `InvalidInput` when `key` could leave `/proc/sys`; otherwise what reading the file gives.
pub fn read(key: &str) -> io::Result<String> {
    let text = fs::read_to_string(path(key)?)?;
    Ok(text.trim_end().to_owned())
}

/// Sets `key` to `value`.
///
/// # Errors
/// `InvalidInput` when `key` could leave `/proc/sys`; `EACCES`, `EROFS` or `EPERM` without privilege; `EINVAL` when
/// the kernel does not take the value.
pub fn write(key: &str, value: &str) -> io::Result<()> {
    fs::write(path(key)?, value)
}

/// Where `key` lies. Each part must be a plain name, so that an interface name from a config file cannot climb out.
fn path(key: &str) -> io::Result<PathBuf> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if !key.split('/').all(plain) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a key below /proc/sys"));
    }
    Ok(PathBuf::from("/proc/sys").join(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::in_new_namespace;

    #[test]
    fn keys_cannot_leave_proc_sys() {
        for bad in ["", "/etc/passwd", "net/../../etc/passwd", "net//ipv4", "net/./ipv4", "net/", ".."] {
            assert_eq!(read(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad:?}");
            assert_eq!(write(bad, "1").unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
        assert!(!read("kernel/ostype").unwrap().contains('\n'));
    }

    #[test]
    fn a_setting_belongs_to_the_namespace_of_the_thread() {
        in_new_namespace(|bed| {
            bed.veth("a.1", "b");
            write("net/ipv6/conf/a.1/disable_ipv6", "1").unwrap();
            assert_eq!(read("net/ipv6/conf/a.1/disable_ipv6").unwrap(), "1");
            write("net/ipv6/conf/a.1/disable_ipv6", "pears").expect_err("not a number");
        });
        read("net/ipv6/conf/a.1/disable_ipv6").expect_err("no such interface out here");
    }
}
