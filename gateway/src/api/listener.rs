//! The socket: made without ever taking a running gateway's away, and removed in the end.
//!
//! A socket's file outlives the process that made it. Whether somebody still listens on it, only connecting tells. A new
//! one is made under another name, given its mode, and then renamed to its place, so nobody can connect before the
//! mode is right, and a stale one is replaced in one step.

use std::{
    fs, io,
    os::fd::{AsFd as _, OwnedFd},
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
        net as blocking,
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::net::UnixListener;

/// Owner and group may connect; nobody else.
const MODE: u32 = 0o660;

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody does already.
    #[error(
        "another gateway is running: it listens on {0}; stop it, or give this one its own runtime.socket"
    )]
    Running(PathBuf),
    /// There is something else in its place.
    #[error("{0} exists and is not a socket; remove it, or choose another runtime.socket")]
    NotASocket(PathBuf),
    /// The kernel refuses.
    #[error("cannot listen on {path}: {why}; runtime.socket must name a place that can be written")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
}

/// A socket that listens. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: UnixListener,
    path: PathBuf,
    inode: u64,
    /// Its file is a successor's now.
    left: Arc<AtomicBool>,
}

impl Listener {
    /// Listens at `path`, and makes its folder if it is missing. Needs a running tokio runtime.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        let io = |why| ListenError::Io { path: path.to_owned(), why };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(io)?;
        }
        Self::ensure_free(path)?;
        let fresh = path.with_extension(format!("{}.new", std::process::id()));
        // Left over only if a process with this number died at this very place.
        let _stale = fs::remove_file(&fresh);
        let socket = UnixListener::bind(&fresh).map_err(io)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(MODE)).map_err(io)?;
        let inode = fs::metadata(&fresh).map_err(io)?.ino();
        fs::rename(&fresh, path).map_err(io)?;
        Ok(Self { socket, path: path.to_owned(), inode, left: Arc::default() })
    }

    /// Listens on what a predecessor in another process listens on at `path`.
    ///
    /// # Errors
    /// [`ListenError::Io`].
    pub fn adopt(path: &Path, socket: OwnedFd) -> Result<Self, ListenError> {
        let io = |why| ListenError::Io { path: path.to_owned(), why };
        let socket = blocking::UnixListener::from(socket);
        let inode = fs::metadata(path).map_err(io)?.ino();
        socket.set_nonblocking(true).map_err(io)?;
        let socket = UnixListener::from_std(socket).map_err(io)?;
        Ok(Self { socket, path: path.to_owned(), inode, left: Arc::default() })
    }

    /// The socket once more, for a successor, and by what to say that its file is left to that one.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn again(&self) -> io::Result<(OwnedFd, Arc<AtomicBool>)> {
        Ok((self.socket.as_fd().try_clone_to_owned()?, self.left.clone()))
    }

    /// Refuses when somebody listens at `path`, or when something else is there.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn ensure_free(path: &Path) -> Result<(), ListenError> {
        let there = match fs::symlink_metadata(path) {
            Ok(there) => there,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(why) => return Err(ListenError::Io { path: path.to_owned(), why }),
        };
        if !there.file_type().is_socket() {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        match blocking::UnixStream::connect(path) {
            Ok(_) => Err(ListenError::Running(path.to_owned())),
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
            // A full backlog is somebody who listens; anything else is not ours to judge.
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Err(ListenError::Running(path.to_owned())),
            Err(why) => Err(ListenError::Io { path: path.to_owned(), why }),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Another gateway may have put its own in our place by now.
        if !self.left.load(Ordering::Relaxed)
            && fs::metadata(&self.path).is_ok_and(|there| there.ino() == self.inode)
        {
            let _removed = fs::remove_file(&self.path);
        }
    }
}
