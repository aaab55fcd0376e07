//! Packet numbers that survive a restart.
//!
//! A SAK given in the configuration outlives the process that uses it. Using one packet number twice under one key
//! gives GCM's authentication key away (NIST SP 800-38D §8.3), so numbers are reserved on disk *before* they are used,
//! [`CHUNK`] at a time: a gateway that died, however it died, starts behind everything that it can have used.
//! What was received is written down too, now and then, so that a restart does not open the door to old frames and an
//! XPN receiver knows the upper half of its peer's numbers.
//!
//! One file, `packet-numbers.json`, is replaced as a whole (write, fsync, rename, fsync of the folder). A lock on the
//! folder keeps a second gateway from using the same numbers. A file that cannot be read stops the start: guessing
//! here would be the very reuse that this module prevents.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use macsec::{An, Sci};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::clock;

/// Packet numbers reserved at a time. Below 2^30, so that a receiver of extended packet numbers recovers the jump
/// (802.1AE §10.6.2); 256 restarts use up a 32-bit number space.
pub const CHUNK: u64 = 1 << 24;
/// Ask for the next chunk when this many numbers are left.
pub const LOW: u64 = CHUNK / 2;

const FILE: &str = "packet-numbers.json";
const LOCK: &str = "lock";
/// How long a killed gateway may keep its lock: cards whose drivers reset them take a second or two each.
pub(crate) const LET_GO: Duration = Duration::from_secs(5);
/// Who waits for longer than this says so.
const SILENT: Duration = Duration::from_secs(1);
/// Between two looks whether it did.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Which SA: its SCI, its AN, and the fingerprint of its SAK.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SaName(String);

impl SaName {
    /// The name of an SA.
    pub fn new(sci: Sci, an: An, fingerprint: &str) -> Self {
        Self(format!("{sci} an={} sak={fingerprint}", an.get()))
    }

    /// The SCI and the fingerprint.
    fn parts(name: &str) -> (&str, &str) {
        (name.split(' ').next().unwrap_or_default(), name.rsplit("sak=").next().unwrap_or_default())
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    /// The last number that may have been used to transmit.
    transmit: BTreeMap<String, u64>,
    /// The lowest number that is still acceptable.
    receive: BTreeMap<String, u64>,
}

/// The packet numbers of all static SAs, on disk.
#[derive(Debug)]
pub struct PnStore {
    folder: PathBuf,
    numbers: Numbers,
    /// Transmit SAs that this process started.
    started: BTreeSet<String>,
    /// Held until all processes that share it have closed it.
    lock: File,
}

impl PnStore {
    /// Opens (and makes, mode 0700) the state folder and locks it.
    ///
    /// # Errors
    /// When the folder cannot be made or written, another gateway holds it, or the file in it is damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| {
            format!(
                "cannot make the state folder {}; set runtime.state_dir to one that can be written",
                folder.display()
            )
        })?;
        let lock = lock(folder, || {
            warn!(event = "state.locked", folder = %folder.display(), longest_s = LET_GO.as_secs(), "another gateway has it still: waiting until it lets go");
        })?;
        let numbers = read(&folder.join(FILE))?;
        let store = Self { folder: folder.to_owned(), numbers, started: BTreeSet::new(), lock };
        store.write().with_context(|| format!("cannot write to the state folder {}", folder.display()))?;
        Ok(store)
    }

    /// The folder that a predecessor in another process has locked, with that lock. It is still the predecessor's to write:
    /// [`reread`](Self::reread) says that it is ours from now on.
    pub fn adopt(folder: &Path, lock: File) -> Self {
        Self { folder: folder.to_owned(), numbers: Numbers::default(), started: BTreeSet::new(), lock }
    }

    /// Reads what the predecessor wrote last.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn reread(&mut self) -> Result<()> {
        self.numbers = read(&self.folder.join(FILE))?;
        Ok(())
    }

    /// The lock, for a successor.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn lock_again(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// A transmit SA goes on with the numbers that a predecessor reserved.
    pub fn go_on_with(&mut self, name: &SaName) {
        let (sci, sak) = SaName::parts(&name.0);
        self.started.insert(format!("{sci} {sak}"));
    }

    /// Reserves the next chunk for a transmit SA that starts: the first number to use, and the last one.
    /// `max` is the suite's last number.
    ///
    /// The AN is not part of a nonce, and under XPN neither is the SCI (802.1AE §14.5, §14.7): an SA whose key was moved
    /// to another AN, or to a device with another MAC address, starts behind what was used there.
    ///
    /// # Errors
    /// When the numbers are used up, the disk refuses, or another SA with this SCI and SAK was started before.
    pub fn start_transmit(&mut self, name: &SaName, max: u64) -> Result<(u64, u64)> {
        let (sci, sak) = SaName::parts(&name.0);
        let xpn = max > u64::from(u32::MAX);
        let same_nonces = |other: &str| {
            let (other_sci, other_sak) = SaName::parts(other);
            other_sak == sak && (xpn || other_sci == sci)
        };
        let used =
            self.numbers.transmit.iter().filter(|(other, _)| same_nonces(other)).map(|(_, used)| *used);
        let used = used.max().unwrap_or(0);
        if used >= max {
            bail!("the packet numbers of SA {} are used up: configure a new SAK", name.0);
        }
        if !self.started.insert(format!("{sci} {sak}")) {
            bail!(
                "SA {} has SCI and SAK of another one: their packet numbers would meet; give each its own SAK",
                name.0
            );
        }
        let last = self.reserve(name, used, max)?;
        Ok((used + 1, last))
    }

    /// Reserves one more chunk for a transmit SA in use: the last number that may now be used.
    ///
    /// # Errors
    /// When the disk refuses: then nothing more is reserved, and the SA stops at its old limit.
    pub fn extend_transmit(&mut self, name: &SaName, max: u64) -> Result<u64> {
        let used = self.numbers.transmit.get(&name.0).copied().unwrap_or(0);
        self.reserve(name, used, max)
    }

    fn reserve(&mut self, name: &SaName, used: u64, max: u64) -> Result<u64> {
        let last = used.saturating_add(CHUNK).min(max);
        self.numbers.transmit.insert(name.0.clone(), last);
        if let Err(error) = self.write() {
            self.numbers.transmit.insert(name.0.clone(), used);
            return Err(error)
                .with_context(|| format!("cannot reserve packet numbers in {}", self.folder.display()));
        }
        Ok(last)
    }

    /// The lowest number to accept on a receive SA that starts.
    pub fn start_receive(&self, name: &SaName) -> u64 {
        self.numbers.receive.get(&name.0).copied().unwrap_or(1)
    }

    /// Notes what receive SAs have reached. Numbers only grow. Returns whether anything moved; then it was written.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn note_receive(&mut self, reached: impl IntoIterator<Item = (SaName, u64)>) -> io::Result<bool> {
        let mut moved = false;
        for (name, lowest) in reached {
            let known = self.numbers.receive.entry(name.0).or_insert(1);
            moved |= lowest > *known;
            *known = lowest.max(*known);
        }
        if moved {
            self.write()?;
        }
        Ok(moved)
    }

    fn write(&self) -> io::Result<()> {
        replace(&self.folder, FILE, &serde_json::to_vec_pretty(&self.numbers)?)
    }
}

/// Puts `octets` into the file `name` of `folder`, for nobody but us to read. Whatever happens, the file holds all of them or what
/// it held before; when this is done they outlive a power cut.
///
/// # Errors
/// What the file system says.
pub fn replace(folder: &Path, name: &str, octets: &[u8]) -> io::Result<()> {
    let fresh = folder.join(format!("{name}.new"));
    let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    out.write_all(octets)?;
    out.sync_all()?;
    fs::rename(&fresh, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// Waits a little for one that was killed and is still being taken down: the kernel closes its files only when its devices are let go of.
/// `waits` is called once, when that takes long.
fn lock(folder: &Path, waits: impl FnOnce()) -> Result<File> {
    let path = folder.join(LOCK);
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    let began = clock::now();
    let due = began.after(LET_GO);
    let mut waits = Some(waits);
    // flock(2): it belongs to the open file, so a successor that is given this descriptor has it too, and closing ours does not let go.
    while let Err(why) = file.try_lock() {
        if !matches!(why, TryLockError::WouldBlock) || clock::now() >= due {
            bail!(
                "cannot lock {} ({why}): another gateway uses this state folder; give each its own runtime.state_dir",
                path.display()
            );
        }
        if clock::now().since(began) >= SILENT
            && let Some(waits) = waits.take()
        {
            waits();
        }
        std::thread::park_timeout(LOOK);
    }
    Ok(file)
}

fn read(path: &Path) -> Result<Numbers> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Numbers::default()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} is damaged. It holds the packet numbers that were used; without them a SAK must not be used again. \
             Put new SAKs into the configuration on both sides, then delete the file",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("quadspan-state-{name}-{}", std::process::id()));
        let _gone = fs::remove_dir_all(&folder);
        folder
    }

    fn name(an: u8) -> SaName {
        SaName::new("0200000000010001".parse().unwrap(), An::new(an).unwrap(), "0badcafe")
    }

    #[test]
    fn a_number_is_never_given_out_twice_however_the_process_ends() {
        let folder = folder("twice");
        let mut last = 0;
        for _ in 0..4 {
            let mut store = PnStore::open(&folder).unwrap();
            let (first, limit) = store.start_transmit(&name(0), u64::MAX).unwrap();
            assert!(first > last, "{first} was reserved before");
            assert_eq!(limit - first + 1, CHUNK);
            last = store.extend_transmit(&name(0), u64::MAX).unwrap();
            assert_eq!(last, limit + CHUNK);
            // No shutdown: the store is just gone.
        }
        let another = SaName::new("0200000000010001".parse().unwrap(), An::new(0).unwrap(), "5eedcafe");
        assert_eq!(PnStore::open(&folder).unwrap().start_transmit(&another, u64::MAX).unwrap().0, 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_key_moved_to_another_an_or_under_xpn_another_sci_starts_behind_what_it_used() {
        // 802.1AE §14.5, §14.7: the nonce is SCI and PN, or with XPN SSCI and PN. There is no AN in it.
        let folder = folder("moved");
        let moved = |sci: &str, an| SaName::new(sci.parse().unwrap(), An::new(an).unwrap(), "0badcafe");
        let start = |name: &SaName, max| PnStore::open(&folder).unwrap().start_transmit(name, max).unwrap().0;
        assert_eq!(start(&moved("0200000000010001", 0), 0xffff_ffff), 1);
        assert_eq!(start(&moved("0200000000010001", 1), 0xffff_ffff), CHUNK + 1);
        assert_eq!(start(&moved("0200000000020001", 0), 0xffff_ffff), 1);
        assert_eq!(start(&moved("0200000000030001", 0), u64::MAX), 2 * CHUNK + 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn two_senders_with_one_sci_and_one_key_are_refused() {
        // Two VLAN devices on one NIC have one MAC address, hence one SCI.
        let folder = folder("shared");
        let mut store = PnStore::open(&folder).unwrap();
        store.start_transmit(&name(0), u64::MAX).unwrap();
        for an in [0, 1] {
            assert!(
                store.start_transmit(&name(an), u64::MAX).unwrap_err().to_string().contains("its own SAK")
            );
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn used_up_numbers_fail_closed() {
        let folder = folder("used-up");
        let mut store = PnStore::open(&folder).unwrap();
        let max = CHUNK + 10;
        store.start_transmit(&name(0), max).unwrap();
        drop(store);
        let mut store = PnStore::open(&folder).unwrap();
        assert_eq!(store.start_transmit(&name(0), max).unwrap(), (CHUNK + 1, max));
        assert!(store.start_transmit(&name(0), max).unwrap_err().to_string().contains("new SAK"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_was_received_only_grows() {
        let folder = folder("receive");
        let mut store = PnStore::open(&folder).unwrap();
        assert_eq!(store.start_receive(&name(0)), 1);
        assert!(store.note_receive([(name(0), 500)]).unwrap());
        assert!(!store.note_receive([(name(0), 400)]).unwrap());
        drop(store);
        assert_eq!(PnStore::open(&folder).unwrap().start_receive(&name(0)), 500);
        fs::remove_dir_all(folder).unwrap();
    }

    // A supervisor starts it again at once, while the kernel takes the killed one down.
    #[test]
    fn a_lock_that_is_let_go_of_soon_is_waited_for() {
        let folder = folder("soon");
        let store = PnStore::open(&folder).unwrap();
        let (waits, begun) = std::sync::mpsc::channel();
        let again = std::thread::spawn({
            let folder = folder.clone();
            move || {
                waits.send(()).unwrap();
                PnStore::open(&folder).map(drop)
            }
        });
        begun.recv().unwrap();
        std::thread::park_timeout(5 * LOOK);
        drop(store);
        again.join().unwrap().unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn who_waits_for_long_says_so_once() {
        let folder = folder("waits");
        let store = PnStore::open(&folder).unwrap();
        let (waits, told) = std::sync::mpsc::channel();
        let again = std::thread::spawn({
            let folder = folder.clone();
            move || lock(&folder, || waits.send(()).unwrap()).map(drop)
        });
        told.recv().unwrap();
        drop(store);
        again.join().unwrap().unwrap();
        assert!(told.recv().is_err(), "once");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_second_gateway_and_a_damaged_file_are_refused() {
        let folder = folder("refused");
        let store = PnStore::open(&folder).unwrap();
        assert!(format!("{:#}", PnStore::open(&folder).unwrap_err()).contains("another gateway"));
        drop(store);
        fs::write(folder.join(FILE), "{\"transmit\": {\"x\": 1").unwrap();
        assert!(format!("{:#}", PnStore::open(&folder).unwrap_err()).contains("new SAKs"));
        fs::remove_dir_all(folder).unwrap();
    }
}
