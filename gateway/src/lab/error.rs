//! What can go wrong while a lab is built or used.

use std::io;

use thiserror::Error;

/// Why the lab could not do it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabError {
    /// The system does not let us have namespaces.
    #[error("this needs network namespaces, and the system refuses them: {why}\n  remedy: {remedy}")]
    Forbidden {
        /// What forbids it, as far as we can tell.
        why: String,
        /// What to do about it.
        remedy: String,
    },
    /// A call to the operating system failed.
    #[error("{doing}: {source}")]
    System {
        /// What we were doing, to what.
        doing: String,
        /// What the system answered.
        source: io::Error,
    },
    /// The kernel refused a change of a link, an address or a route.
    #[error("{doing}: {source}")]
    Netlink {
        /// What we were doing, to what.
        doing: String,
        /// What the kernel answered.
        source: rtnetlink::Error,
    },
    /// The topology, or the caller, names something that is not there or cannot be.
    #[error("{0}")]
    Topology(String),
}

/// Says what we were doing when the system refused.
pub(crate) trait Doing<T> {
    /// Adds `doing`, which is only made into text when there is an error.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|source| LabError::System { doing: doing(), source })
    }
}

impl<T> Doing<T> for Result<T, rtnetlink::Error> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|source| LabError::Netlink { doing: doing(), source })
    }
}
