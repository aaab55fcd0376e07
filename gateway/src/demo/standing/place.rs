//! Where a lab has its files: a folder for each user, private, and in it one for each lab.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why there is no place for the lab.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// The name cannot be the name of a folder of ours.
    #[error("a lab cannot be called {0:?}\n  remedy: use up to 32 letters, digits, and dashes")]
    Name(String),
    /// Somebody else made the folder.
    #[error("{} is not ours alone\n  remedy: remove it, or set TMPDIR to a folder of your own", .0.display())]
    NotOurs(PathBuf),
    /// A socket in that folder would have too long a name for the kernel (unix(7)).
    #[error("{} is too long a path for a socket\n  remedy: set TMPDIR to a shorter folder", .0.display())]
    TooLong(PathBuf),
    /// The folder cannot be made.
    #[error("making {}: {source}\n  remedy: set TMPDIR to a folder where you may write", path.display())]
    Make {
        /// The folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

/// The folder of one lab. It need not be there yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    name: String,
    directory: PathBuf,
}

impl Place {
    /// The place of the lab called `name`, of the user who asks.
    ///
    /// # Errors
    /// [`PlaceError`] when the name will not do, or the user's folder cannot be had or be trusted.
    pub fn of(name: &str) -> Result<Self, PlaceError> {
        let user = nix::unistd::geteuid().as_raw();
        let base = std::env::temp_dir().join(format!("quadspan-lab-{user}"));
        Self::below(&base, user, name)
    }

    fn below(base: &Path, user: u32, name: &str) -> Result<Self, PlaceError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fits) {
            return Err(PlaceError::Name(name.to_owned()));
        }
        make_private(base)?;
        let found = fs::symlink_metadata(base);
        let ours = found.is_ok_and(|data| data.is_dir() && data.uid() == user && data.mode() & 0o077 == 0);
        if !ours {
            return Err(PlaceError::NotOurs(base.to_owned()));
        }
        let place = Self { name: name.to_owned(), directory: base.join(name) };
        // `struct sockaddr_un` has 108 octets, one of them a zero; the gateways' sockets are the longest.
        let longest = place.sites().join("site-a.sock");
        if longest.as_os_str().len() > 107 {
            return Err(PlaceError::TooLong(longest));
        }
        Ok(place)
    }

    /// The lab's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the lab's process listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join("lab.sock")
    }

    /// What the lab's process has to say.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join("lab.log")
    }

    /// The files of the two sites.
    #[must_use]
    pub fn sites(&self) -> PathBuf {
        self.directory.join("sites")
    }

    /// Makes the folder anew, empty.
    ///
    /// # Errors
    /// [`PlaceError::Make`].
    pub fn make(&self) -> Result<(), PlaceError> {
        let failed = |source| PlaceError::Make { path: self.directory.clone(), source };
        self.remove().map_err(failed)?;
        make_private(&self.directory)?;
        make_private(&self.sites())
    }

    /// Removes the folder with all that is in it, if it is there.
    ///
    /// # Errors
    /// Whatever the system answers.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Whether the folder is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.directory.exists()
    }
}

/// Makes a folder that only its owner may look into, unless it is there.
fn make_private(path: &Path) -> Result<(), PlaceError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(PlaceError::Make { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

const LONGEST_NAME: usize = 32;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_place_is_private_and_can_be_made_again() {
        let base = Base::new("make");
        let place = Place::below(&base.0, base.user(), "one").unwrap();
        place.make().unwrap();
        fs::write(place.log(), "old").unwrap();
        place.make().unwrap();
        assert!(place.exists() && !place.log().exists());
        for path in [&base.0, place.directory(), &place.sites()] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
        place.remove().unwrap();
        place.remove().unwrap();
        assert!(!place.exists());
    }

    #[test]
    fn names_that_lead_elsewhere_and_folders_of_others_are_refused() {
        let base = Base::new("refuse");
        for bad in ["", "..", "a/b", "a b", "x".repeat(33).as_str()] {
            let refused = Place::below(&base.0, base.user(), bad);
            assert!(matches!(refused, Err(PlaceError::Name(_))), "{bad:?}");
        }
        let elsewhere = base.0.with_extension("link");
        symlink("/", &elsewhere).unwrap();
        let refused = Place::below(&elsewhere, base.user(), "one");
        fs::remove_file(&elsewhere).unwrap();
        assert!(matches!(refused, Err(PlaceError::NotOurs(_))), "{refused:?}");
        fs::create_dir(&base.0).unwrap();
        fs::set_permissions(&base.0, fs::Permissions::from_mode(0o755)).unwrap();
        let refused = Place::below(&base.0, base.user(), "one").unwrap_err().to_string();
        assert!(refused.contains("remedy"), "{refused}");
        let long = Base(base.0.with_extension("x".repeat(100)));
        assert!(matches!(Place::below(&long.0, long.user(), "one"), Err(PlaceError::TooLong(_))));
    }

    struct Base(PathBuf);

    impl Base {
        fn new(test: &str) -> Self {
            Self(std::env::temp_dir().join(format!("quadspan-place-{test}-{}", std::process::id())))
        }

        fn user(&self) -> u32 {
            nix::unistd::geteuid().as_raw()
        }
    }

    impl Drop for Base {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
