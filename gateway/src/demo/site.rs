//! The files of the two sites: configurations as a user would write them, keys as `quadspan keygen` makes them.
//!
//! Everything lies in one private directory (mode 0700). Each channel has a key chain of its own (802.1X-2020 §9): a CAK
//! to begin with, and another one that starts while the demo's traffic runs, both the same at both sites.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use net::Instant;

use super::standing::Mode;
use crate::{clock, keygen};

/// One of the two sites.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Site {
    /// `a` or `b`.
    pub letter: char,
    /// Its configuration file.
    pub config: PathBuf,
    /// Where its gateway answers.
    pub socket: PathBuf,
    /// Where its gateway logs.
    pub log: PathBuf,
}

/// A private directory with the files of both sites. Dropping it removes them, or the keys only when asked to
/// [`keep`](SiteFiles::keep_logs) the rest.
#[derive(Debug)]
pub struct SiteFiles {
    directory: PathBuf,
    /// Site A, site B.
    pub sites: [Site; 2],
    /// The keys that start later, channel by channel.
    pub next_keys: Vec<NextKey>,
    keep_logs: bool,
}

/// The second key of a channel's chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NextKey {
    /// Its name.
    pub ckn: String,
    /// When it starts.
    pub starts: Instant,
}

/// What the sites agree on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    /// How the connection uses its channels.
    pub mode: Mode,
    /// How many channels.
    pub channels: u8,
    /// Octets of payload in a frame on the channels.
    pub channel_mtu: u32,
    /// How long after the files are written the first channel's second key starts; the others follow in turn. Without it,
    /// no channel has a second key.
    pub next_key_after: Option<Duration>,
    /// Whether the quality of each path is measured, and a bad one left.
    pub measured: bool,
}

/// From the start of one channel's second key to that of the next.
const IN_TURN: Duration = Duration::from_millis(400);

impl SiteFiles {
    /// Writes keys and configurations for [`Topology::two_sites`](crate::lab::Topology::two_sites) of the same plan, below the system's directory for
    /// temporary files.
    ///
    /// # Errors
    /// When the directory or a file cannot be made.
    pub fn write(plan: Plan) -> io::Result<Self> {
        Self::write_in(private_directory()?, plan)
    }

    /// Writes them into `directory`, which is there, empty, and private. It goes with the files.
    ///
    /// # Errors
    /// When a file cannot be made.
    pub fn write_in(directory: PathBuf, plan: Plan) -> io::Result<Self> {
        let site = |letter: char| Site {
            letter,
            config: directory.join(format!("site-{letter}.toml")),
            socket: directory.join(format!("site-{letter}.sock")),
            log: directory.join(format!("site-{letter}.log")),
        };
        let (sites, next_keys) = (['a', 'b'].map(site), Vec::new());
        let mut files = Self { sites, directory, next_keys, keep_logs: false };
        let starts = files.write_keys(plan)?;
        for (site, number) in files.sites.iter().zip([1, 2]) {
            fs::write(&site.config, files.configuration(plan, number, &starts))?;
        }
        Ok(files)
    }

    /// The directory of all files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Leaves configurations and logs when this is dropped; keys go all the same.
    pub fn keep_logs(&mut self) {
        self.keep_logs = true;
    }

    /// The keys of each channel, into files. Returns when the second ones start, where there are any.
    fn write_keys(&mut self, plan: Plan) -> io::Result<Vec<Option<Timestamp>>> {
        let (wall, now) = (clock::wall(), clock::now());
        let mut starts = Vec::new();
        for channel in 1..=plan.channels {
            let make =
                |name: String| keygen::make(Some(&self.keys().join(name)), 32).map_err(io::Error::other);
            make(format!("ch{channel}"))?;
            let Some(first) = plan.next_key_after else {
                starts.push(None);
                continue;
            };
            let next = make(format!("ch{channel}-next"))?;
            let after = first.saturating_add(IN_TURN.saturating_mul((channel - 1).into()));
            self.next_keys.push(NextKey { ckn: next.ckn, starts: now.after(after) });
            let start = wall.checked_add(after).and_then(|at| Timestamp::try_from(at).ok());
            let senseless = || io::Error::other("the clock of this machine makes no sense");
            starts.push(Some(start.ok_or_else(senseless)?));
        }
        Ok(starts)
    }

    fn keys(&self) -> PathBuf {
        self.directory.join("keys")
    }

    fn configuration(&self, plan: Plan, number: u8, starts: &[Option<Timestamp>]) -> String {
        let own = if number == 1 { 'a' } else { 'b' };
        let peer = if number == 1 { 'b' } else { 'a' };
        let mut text = preamble(&self.directory, own, peer);
        for (channel, start) in (1..=plan.channels).zip(starts) {
            text.push_str(&channel_section(plan, peer, channel, *start));
        }
        text.push_str(&connection_section(plan, number, peer));
        text
    }
}

impl Drop for SiteFiles {
    fn drop(&mut self) {
        // What cannot be removed is in a directory that only this user can read.
        let _ = if self.keep_logs {
            fs::remove_dir_all(self.keys())
        } else {
            fs::remove_dir_all(&self.directory)
        };
    }
}

fn preamble(directory: &Path, own: char, peer: char) -> String {
    let directory = directory.display();
    format!(
        r#"# Site {own} of the demonstration: written by `quadspan demo`, read by `quadspan run -c`.
schema = 1

[site]
name = "site-{own}"

[runtime]
socket = "{directory}/site-{own}.sock"
state_dir = "{directory}/state-{own}"

[[port]]
name = "lan"
device = "lan1"

[[interconnect]]
name = "to-{peer}"
profile = "quadspan"
"#
    )
}

fn channel_section(plan: Plan, peer: char, channel: u8, next_key: Option<Timestamp>) -> String {
    let mtu = plan.channel_mtu;
    let next = next_key.map_or_else(String::new, |start| {
        format!(
            r#"
[[channel.macsec.key]]
ckn = {{ file = "keys/ch{channel}-next.ckn" }}
cak = {{ file = "keys/ch{channel}-next.cak" }}
start = {start}
"#
        )
    });
    format!(
        r#"
[[port]]
name = "wan{channel}"
device = "ch{channel}"

[[channel]]
name = "ch{channel}"
interconnect = "to-{peer}"
port = "wan{channel}"
mtu = {mtu}

[channel.macsec]
policy = "must-secure"
cipher = "gcm-aes-xpn-256"
replay_window = 0

[[channel.macsec.key]]
ckn = {{ file = "keys/ch{channel}.ckn" }}
cak = {{ file = "keys/ch{channel}.cak" }}
{next}"#
    )
}

fn connection_section(plan: Plan, number: u8, peer: char) -> String {
    let far = 3 - number;
    let protection = plan.mode.word();
    let standby = if plan.mode == Mode::ActiveStandby { STANDBY } else { "" };
    let quality = if plan.measured { quality_section() } else { String::new() };
    let mut text = format!(
        r#"
[[connection]]
name = "blue"
interconnect = "to-{peer}"
mode = "routed"
protection = "{protection}"
mss_clamp = "auto"
{standby}{quality}
[[connection.lan]]
port = "lan"
address = ["10.{number}.0.1/24", "fd00:{number}::1/64"]
mtu = 1500
"#
    );
    for channel in 1..=plan.channels {
        let preference = match plan.mode {
            Mode::ActiveStandby => format!("preference = {}\n", 100 - channel),
            Mode::Ecmp | Mode::Duplicate => String::new(),
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"
[[connection.attachment]]
channel = "ch{channel}"
vlan = {VLAN}
address = ["169.254.{channel}.{number}/30", "fd00:100:{channel}::{number}/126"]
peer = ["169.254.{channel}.{far}", "fd00:100:{channel}::{far}"]
mtu = 1500
{preference}
[connection.attachment.bfd]
min_tx = "{BFD_INTERVAL}ms"
multiplier = {BFD_MULTIPLIER}
"#
        );
    }
    text.push_str(&routing_section(plan, number));
    text
}

/// Who we are, what we announce, and a neighbour on each attachment: nothing else leads to the other site.
fn routing_section(plan: Plan, number: u8) -> String {
    let far = 3 - number;
    let (own_asn, far_asn) = (FIRST_ASN + u32::from(number), FIRST_ASN + u32::from(far));
    let mut text = format!("\n[connection.bgp]\nasn = {own_asn}\nannounce = [\"lans\"]\n");
    for channel in 1..=plan.channels {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"
[[connection.neighbor]]
on = "ch{channel}"
asn = {far_asn}
families = ["ipv4", "ipv6"]
connect_retry = "1s"
graceful_restart = "full"
import = "accept"
export = "accept"
"#
        );
    }
    text
}

/// With `active-standby`: traffic goes back soon, so that somebody who watches sees it.
const STANDBY: &str = r#"
[connection.standby]
hold_down = "500ms"
revert_delay = "500ms"
"#;

/// How paths are measured: often, so that a second says enough, and judged by two seconds at a time both ways.
fn quality_section() -> String {
    format!(
        r#"
[connection.quality]
interval = "10ms"
timeout = "{QUALITY_TIMEOUT}ms"
loss = "2%"
leave_after = {QUALITY_SECONDS}
return_after = {QUALITY_SECONDS}
"#
    )
}

/// Milliseconds that a probe's reply may take, and seconds that are judged together.
const QUALITY_TIMEOUT: u64 = 500;
const QUALITY_SECONDS: u64 = 2;

/// How long a lossy path can be in use: the rest of the second in which the loss begins, the seconds that are judged, and the
/// last replies. It is less where the rest of that second is enough.
pub const QUALITY_DETECTION: Duration = Duration::from_millis((1 + QUALITY_SECONDS) * 1000 + QUALITY_TIMEOUT);

/// The VLAN of the connection, inside the ciphertext.
const VLAN: u16 = 100;

/// The sites' AS numbers are this and their own number: of those for private use (RFC 6996).
const FIRST_ASN: u32 = 65_000;

/// Milliseconds between BFD packets, and how many in a row may be lost.
const BFD_INTERVAL: u64 = 50;
const BFD_MULTIPLIER: u64 = 3;

/// How long a path may be silent before BFD calls it dead.
pub const BFD_DETECTION: Duration = Duration::from_millis(BFD_INTERVAL * BFD_MULTIPLIER);

/// Octets that a frame of the demo's channels has beyond the IP packet in it: addresses, SecTAG with SCI, VLAN tag,
/// EtherType, ICV.
pub const FRAME_OVERHEAD: usize = 12 + 16 + 4 + 2 + 16;

fn private_directory() -> io::Result<PathBuf> {
    let directory = std::env::temp_dir().join(format!("quadspan-demo-{}", random_hex::<4>()?));
    DirBuilder::new().mode(0o700).create(&directory)?;
    Ok(directory)
}

fn random_hex<const OCTETS: usize>() -> io::Result<String> {
    let mut octets = [0; OCTETS];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use config::secret::{SecretError, SecretRef, SecretSource};
    use zeroize::Zeroizing;

    use super::*;

    const PLAN: Plan = Plan {
        mode: Mode::Ecmp,
        channels: 4,
        channel_mtu: 1600,
        next_key_after: Some(Duration::from_secs(5)),
        measured: false,
    };

    struct Beside<'a>(&'a Path);

    impl SecretSource for Beside<'_> {
        fn read(&self, reference: &SecretRef) -> Result<Zeroizing<String>, SecretError> {
            let SecretRef::File(path) = reference else { return Err(SecretError::NotFound) };
            fs::read_to_string(self.0.join(path)).map(Zeroizing::new).map_err(|_| SecretError::NotFound)
        }
    }

    #[test]
    fn both_configurations_load_without_a_warning() {
        let files = SiteFiles::write(PLAN).unwrap();
        for site in &files.sites {
            let text = fs::read_to_string(&site.config).unwrap();
            let loaded = config::load("site", &text, &Beside(files.directory())).unwrap();
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
            assert_eq!(loaded.config.channels.len(), 4);
            for (channel, next) in loaded.config.channels.iter().zip(&files.next_keys) {
                let keys = &channel.macsec.mka.as_ref().unwrap().keys;
                assert_eq!((keys.len(), keys[1].ckn.to_string()), (2, next.ckn.clone()));
                assert!(keys[0].start.is_none() && keys[1].start.is_some());
            }
        }
    }

    #[test]
    fn each_mode_loads_and_a_standby_knows_its_order() {
        for mode in [Mode::Ecmp, Mode::ActiveStandby, Mode::Duplicate] {
            let files = SiteFiles::write(Plan { mode, ..PLAN }).unwrap();
            let text = fs::read_to_string(&files.sites[1].config).unwrap();
            let loaded = config::load("site", &text, &Beside(files.directory())).unwrap();
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
            let connection = &loaded.config.connections[0];
            let preferences: Vec<u32> = connection.attachments.iter().map(|one| one.preference).collect();
            let descending = preferences.is_sorted_by(|one, next| one > next);
            assert_eq!(descending, mode == Mode::ActiveStandby, "{preferences:?}");
            assert_eq!(connection.standby.is_some(), mode == Mode::ActiveStandby);
            assert_eq!((connection.neighbors.len(), connection.routes.len()), (4, 0));
            assert!(connection.attachments.iter().all(|one| one.bfd.is_some()));
        }
    }

    #[test]
    fn paths_are_measured_where_that_is_wanted() {
        for measured in [false, true] {
            let files = SiteFiles::write(Plan { measured, ..PLAN }).unwrap();
            let text = fs::read_to_string(&files.sites[0].config).unwrap();
            let loaded = config::load("site", &text, &Beside(files.directory())).unwrap();
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
            let quality = loaded.config.connections[0].quality.as_ref();
            let judged = quality.map(|one| Duration::from_secs(1 + u64::from(one.leave_after)) + one.timeout);
            assert_eq!(judged, measured.then_some(QUALITY_DETECTION));
        }
    }

    #[test]
    fn without_a_second_key_there_is_one() {
        let files = SiteFiles::write(Plan { next_key_after: None, ..PLAN }).unwrap();
        let text = fs::read_to_string(&files.sites[0].config).unwrap();
        let loaded = config::load("site", &text, &Beside(files.directory())).unwrap();
        assert!(loaded.warnings.is_empty() && files.next_keys.is_empty());
        let keys = |channel: &config::model::Channel| channel.macsec.mka.as_ref().unwrap().keys.len();
        assert!(loaded.config.channels.iter().all(|channel| keys(channel) == 1));
    }

    #[test]
    fn keys_differ_are_private_and_go_even_when_logs_stay() {
        let mut files = SiteFiles::write(PLAN).unwrap();
        let directory = files.directory().to_owned();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        let mut keys = std::collections::BTreeSet::new();
        for entry in fs::read_dir(directory.join("keys")).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600);
            keys.insert(fs::read_to_string(path).unwrap());
        }
        assert_eq!(keys.len(), 16);
        files.keep_logs();
        drop(files);
        assert!(!directory.join("keys").exists() && directory.join("site-a.toml").exists());
        fs::remove_dir_all(&directory).unwrap();
        let files = SiteFiles::write(PLAN).unwrap();
        let directory = files.directory().to_owned();
        drop(files);
        assert!(!directory.exists());
    }
}
