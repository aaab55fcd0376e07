//! The binary, run as people and scripts run it, and a folder for its files.
#![allow(dead_code, reason = "not every test uses every part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the helpers, too, end the test when something is not as it should be"
)]

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_quadspan");
pub(crate) const KEY: &str = "ad7a2bd03eac835a6f620fdcb506b345";

/// A folder of the test's own.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("quadspan-cli-{name}-{}", std::process::id()));
        let _gone = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    }

    /// `config/examples/minimal.toml` with its keys, and a socket and state of its own.
    pub(crate) fn config(&self) -> String {
        self.put("keys/east-to-west.sak", KEY.repeat(2));
        self.put("keys/west-to-east.sak", "0f".repeat(32));
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/minimal.toml");
        let (socket, state) = (self.path("api.sock"), self.path("state"));
        let runtime = format!("[runtime]\nsocket = {socket:?}\nstate_dir = {state:?}\n");
        self.put("quadspan.toml", fs::read_to_string(example).unwrap() + &runtime)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }
}

pub(crate) fn quadspan<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Ended {
    ended(command().args(args))
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(BINARY);
    for name in ["QUADSPAN_SOCKET", "QUADSPAN_CONFIG", "QUADSPAN_LOG", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn ended(command: &mut Command) -> Ended {
    command.stdin(Stdio::null());
    let output = loop {
        match command.output() {
            // A program that was just copied is busy while a test beside this one forks with its file still open.
            Err(why) if why.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            done => break done.unwrap(),
        }
    };
    let ended = Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    // Whatever was asked: no key in any answer.
    for secret in [&KEY[8..24], "0f0f0f0f0f0f0f0f"] {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "a key was printed: {ended:?}");
    }
    ended
}

pub(crate) fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub(crate) fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65535, 1].map(u32::to_be_bytes).concat();
    for frame in frames {
        let len = u32::try_from(frame.len()).unwrap();
        file.extend([0, 0, len, len].map(u32::to_be_bytes).concat());
        file.extend(frame);
    }
    file
}
