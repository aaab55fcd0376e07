//! Key material from where it lies: files, systemd credentials, the environment.
//!
//! [`Secrets`] is the [`SecretSource`] of `run` and `check`. What it reads is wiped after use, never logged and
//! never longer than [`LARGEST`]. A file that every user of the machine may read is refused, whatever is in it:
//! a key that may have been copied is no key. Symbolic links are followed and the file at their end is
//! judged, so that a secret store may link its current generation. Only regular files are read; opening
//! never waits for the other end of a pipe.

use std::{
    env,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use config::{SecretError, SecretRef, SecretSource};
use zeroize::Zeroizing;

/// Octets of the largest text that may be a key: 32 octets in hexadecimal digits, and generous white space.
const LARGEST: usize = 4096;
/// Any access for users who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;

/// Reads secrets for one configuration file.
#[derive(Clone, Debug)]
pub struct Secrets {
    folder: PathBuf,
    credentials: Option<PathBuf>,
}

impl Secrets {
    /// The source for the configuration file `config`: relative paths start at its folder, and credentials are in
    /// `$CREDENTIALS_DIRECTORY` (systemd.exec(5)).
    pub fn beside(config: &Path) -> Self {
        let folder = config.parent().unwrap_or_else(|| Path::new(""));
        Self {
            folder: folder.to_owned(),
            credentials: env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }
}

impl SecretSource for Secrets {
    fn read(&self, reference: &SecretRef) -> Result<Zeroizing<String>, SecretError> {
        match reference {
            SecretRef::File(path) => read_file(&self.folder.join(path)),
            SecretRef::Credential(name) => {
                let folder = self.credentials.as_ref().filter(|_| is_plain_name(name));
                read_file(&folder.ok_or(SecretError::NotFound)?.join(name))
            }
            SecretRef::Env(name) => read_env(name),
        }
    }
}

/// The text in the regular file at `path`.
///
/// # Errors
/// [`SecretError`], which holds no part of the text.
pub fn read_file(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let open = fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    let mut file = open.map_err(|error| refusal(&error))?;
    let about = file.metadata().map_err(|error| refusal(&error))?;
    if !about.is_file() {
        return Err(SecretError::NotText);
    }
    let mode = about.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(SecretError::WorldReadable { mode });
    }
    read_text(&mut file)
}

fn read_text(file: &mut File) -> Result<Zeroizing<String>, SecretError> {
    // As large as it can get from the start: growing would leave copies of the key behind in freed memory.
    let mut octets = Zeroizing::new(vec![0; LARGEST + 1]);
    let mut filled = 0;
    while let Some(room) = octets.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(refusal(&error)),
        }
    }
    let text = octets.get(..filled).filter(|_| filled <= LARGEST).and_then(|text| str::from_utf8(text).ok());
    text.map(|text| Zeroizing::new(text.to_owned())).ok_or(SecretError::NotText)
}

fn read_env(name: &str) -> Result<Zeroizing<String>, SecretError> {
    match env::var(name).map(Zeroizing::new) {
        Ok(text) if text.len() <= LARGEST => Ok(text),
        Ok(_) | Err(env::VarError::NotUnicode(_)) => Err(SecretError::NotText),
        Err(env::VarError::NotPresent) => Err(SecretError::NotFound),
    }
}

/// A name that stays inside the folder it is looked for in.
fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}

fn refusal(error: &io::Error) -> SecretError {
    use io::ErrorKind as Kind;
    let kind = error.kind();
    if matches!(kind, Kind::NotFound | Kind::NotADirectory) {
        SecretError::NotFound
    } else if kind == Kind::PermissionDenied {
        SecretError::Denied
    } else if kind == Kind::IsADirectory {
        SecretError::NotText
    } else {
        SecretError::Failed(kind)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = env::temp_dir().join(format!("quadspan-secrets-{name}-{}", std::process::id()));
            let _gone = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn put(&self, name: &str, text: &[u8], mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }

        fn secrets(&self) -> Secrets {
            Secrets { credentials: Some(self.0.clone()), ..Secrets::beside(&self.0.join("quadspan.toml")) }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn file(path: impl Into<PathBuf>) -> SecretRef {
        SecretRef::File(path.into())
    }

    #[test]
    fn paths_start_at_the_folder_of_the_configuration() {
        let folder = Folder::new("relative");
        let whole = folder.put("a.sak", b"00ff\n", 0o600);
        for path in [PathBuf::from("a.sak"), whole] {
            assert_eq!(folder.secrets().read(&file(path)).unwrap().trim(), "00ff");
        }
    }

    #[test]
    fn what_everybody_may_read_is_refused_whatever_the_link_says() {
        let folder = Folder::new("open");
        for (mode, refused) in [(0o644, true), (0o604, true), (0o602, true), (0o640, false), (0o400, false)] {
            let target = folder.put("key", b"00", mode);
            let _gone = fs::remove_file(folder.0.join("link"));
            symlink(target, folder.0.join("link")).unwrap();
            for name in ["key", "link"] {
                let read = folder.secrets().read(&file(name)).err();
                assert_eq!(read, refused.then_some(SecretError::WorldReadable { mode }), "{mode:o}");
            }
            fs::remove_file(folder.0.join("key")).unwrap();
        }
    }

    #[test]
    fn only_small_texts_in_regular_files_are_read() {
        let folder = Folder::new("kinds");
        folder.put("large", &vec![b'0'; LARGEST + 1], 0o600);
        folder.put("binary", &[0xff, 0xfe], 0o600);
        nix::unistd::mkfifo(&folder.0.join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        for name in ["large", "binary", "pipe", "."] {
            assert_eq!(folder.secrets().read(&file(name)).err(), Some(SecretError::NotText), "{name}");
        }
        assert_eq!(folder.secrets().read(&file("missing")).err(), Some(SecretError::NotFound));
        assert_eq!(folder.secrets().read(&file("binary/x")).err(), Some(SecretError::NotFound));
    }

    #[test]
    fn a_credential_cannot_lead_out_of_its_folder() {
        let folder = Folder::new("credential");
        folder.put("dx1", b"abcd", 0o400);
        let credential = |name: &str| folder.secrets().read(&SecretRef::Credential(name.to_owned()));
        assert_eq!(*credential("dx1").unwrap(), "abcd");
        for name in ["../etc/passwd", "/etc/passwd", "", ".", "..", "a/b"] {
            assert_eq!(credential(name).err(), Some(SecretError::NotFound), "{name}");
        }
        let without = Secrets { credentials: None, ..folder.secrets() };
        assert_eq!(without.read(&SecretRef::Credential("dx1".into())).err(), Some(SecretError::NotFound));
    }

    #[test]
    fn the_environment_is_read_by_name() {
        let secrets = Secrets::beside(Path::new("x.toml"));
        assert!(secrets.read(&SecretRef::Env("PATH".into())).is_ok());
        let missing = SecretRef::Env("QUADSPAN_TEST_NOT_SET".into());
        assert_eq!(secrets.read(&missing).err(), Some(SecretError::NotFound));
    }
}
