//! The gateway under test: the real binary with a real configuration, in a node of a lab.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gateway::lab::{Lab, Process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::shell::{Output, until};

/// How long a gateway may take to start, or to answer, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A private folder for configurations, keys, states, logs; gone when dropped.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("quadspan-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a key that only its owner may read.
    pub(crate) fn key(&self, name: &str, hex: &str) {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(self.0.join(name));
        file.unwrap().write_all(hex.as_bytes()).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A gateway, running or not.
#[derive(Debug)]
pub(crate) struct Gateway {
    node: String,
    config: PathBuf,
    log: PathBuf,
    state: PathBuf,
    socket: PathBuf,
    process: Option<Process>,
    /// Who took over from that.
    successor: Option<Successor>,
}

/// A process that nobody of ours started.
#[derive(Debug)]
struct Successor(i32);

impl Successor {
    fn has_ended(&self) -> bool {
        // Somebody else's child may stay a zombie for a while.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        stat.rsplit(')').next().is_none_or(|rest| rest.trim().is_empty() || rest.trim().starts_with('Z'))
    }

    fn signal(&self, signal: Signal) {
        let _gone = kill(Pid::from_raw(self.0), signal);
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// A test that fails may not know of a successor yet: whoever runs by this configuration ends with it, or it would hold on to devices and
/// namespaces for ever.
impl Drop for Gateway {
    fn drop(&mut self) {
        // First who could make one.
        drop(self.process.take());
        drop(self.successor.take());
        let runs = |one: &Path| {
            let words = fs::read(one.join("cmdline")).unwrap_or_default();
            let mut words = words.split(|octet| *octet == 0);
            words.any(|word| word == self.config.as_os_str().as_encoded_bytes())
        };
        for one in fs::read_dir("/proc").into_iter().flatten().flatten().filter(|one| runs(&one.path())) {
            if let Some(id) = one.file_name().to_str().and_then(|name| name.parse().ok()) {
                Successor(id).signal(Signal::SIGKILL);
            }
        }
    }
}

/// The counters of one channel's SecY, by the standard's names in snake_case, and its packet numbers.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) drops: BTreeMap<String, u64>,
    /// The next frame's packet number.
    pub(crate) next_pn: u64,
    /// One above the highest accepted, by receive SA.
    pub(crate) received_pn: Vec<u64>,
    pub(crate) live: bool,
}

impl Counted {
    /// The counter `name`.
    pub(crate) fn of(&self, name: &str) -> u64 {
        *self.counters.get(name).unwrap_or_else(|| panic!("no counter {name}: {self:?}"))
    }

    /// # Panics
    /// When a frame was received that was not what it should be (802.1AE §10.7.9).
    pub(crate) fn assert_clean(&self, whose: &str) {
        for bad in BAD {
            assert_eq!(self.of(bad), 0, "{whose}: {bad}: {self:?}");
        }
    }
}

const BAD: [&str; 5] =
    ["in_pkts_late", "in_pkts_not_valid", "in_pkts_invalid", "in_pkts_bad_tag", "in_pkts_no_sa_error"];

impl Gateway {
    /// A gateway called `name` that will run in `node` with this configuration, behind what [`Gateway::new`] puts in
    /// front: schema, site and runtime.
    pub(crate) fn new(folder: &Folder, node: &str, name: &str, workers: u8, config: &str) -> Self {
        let at = |suffix: &str| folder.path().join(format!("{name}{suffix}"));
        let this = Self {
            node: node.to_owned(),
            config: at(".toml"),
            log: at(".log"),
            state: at("-state"),
            socket: at(".sock"),
            process: None,
            successor: None,
        };
        let head = format!(
            "schema = 1\n[site]\nname = \"{name}\"\n[runtime]\nworkers = {workers}\nlog_format = \"json\"\n\
             state_dir = \"{}\"\nsocket = \"{}\"\n",
            this.state.display(),
            this.socket.display()
        );
        fs::write(&this.config, head + config).unwrap();
        this
    }

    /// Adds lines to its configuration, for the next start.
    pub(crate) fn configure(&self, more: &str) {
        let mut file = File::options().append(true).open(&self.config).unwrap();
        file.write_all(more.as_bytes()).unwrap();
    }

    /// Writes `after` in place of `before` in its configuration, which takes a reload or a start to count.
    pub(crate) fn rewrite(&self, before: &str, after: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        assert_eq!(text.matches(before).count(), 1, "{before}\n{text}");
        fs::write(&self.config, text.replace(before, after)).unwrap();
    }

    /// Makes nonsense of what it remembers in this file of its state folder.
    pub(crate) fn garble(&self, file: &str) {
        let file = self.state.join(file);
        assert!(file.exists(), "{}", file.display());
        fs::write(file, "[{").unwrap();
    }

    /// Asks it to read its configuration again.
    pub(crate) fn hang_up(&self) {
        self.process.as_ref().unwrap().signal(Signal::SIGHUP).unwrap();
    }

    /// Starts it and waits until it says that it runs. Its log goes on where an earlier run ended.
    pub(crate) fn start(&mut self, lab: &Lab) {
        let before = self.log().len();
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_quadspan"));
        command.args(["run", "-c"]).arg(&self.config);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = lab.spawn(&self.node, command).unwrap();
        until("the gateway starts", PATIENCE, || {
            let log = self.log();
            assert!(process.ended().unwrap().is_none(), "the gateway at {} ended:\n{log}", self.node);
            log.get(before..)?.contains("gateway.started").then_some(())
        });
        until("the gateway answers", PATIENCE, || UnixStream::connect(&self.socket).ok());
        self.process = Some(process);
    }

    /// What another gateway says that is to run as this one does, but with a state folder, a socket and the `device` of its own, and must
    /// not: when it has ended.
    pub(crate) fn twin_refused(&self, lab: &Lab, [device, other]: [&str; 2]) -> String {
        let [config, log] = ["twin.toml", "twin.log"].map(|to| self.config.with_extension(to));
        let text = fs::read_to_string(&self.config).unwrap();
        let own = |path: &Path| path.display().to_string();
        let quoted = |name: &str| format!("device = {name:?}");
        let text = text.replace(&quoted(device), &quoted(other));
        let text = text.replace(&own(&self.state), &(own(&self.state) + "-twin"));
        fs::write(&config, text.replace(&own(&self.socket), &(own(&self.socket) + "-twin"))).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_quadspan"));
        let file = File::create(&log).unwrap();
        command.args(["run", "-c"]).arg(&config).stdin(Stdio::null()).stdout(file.try_clone().unwrap());
        command.stderr(file);
        let mut twin = lab.spawn(&self.node, command).unwrap();
        let ended = twin.wait(PATIENCE);
        let ended = ended.unwrap_or_else(|why| panic!("another gateway runs on the same devices: {why}"));
        let said = fs::read_to_string(&log).unwrap();
        assert!(!ended.success() && !said.contains("gateway.started"), "{ended}: {said}");
        said
    }

    /// The process that runs.
    pub(crate) fn pid(&self) -> u32 {
        match (&self.process, &self.successor) {
            (Some(process), _) => process.id(),
            (None, Some(successor)) => successor.0.unsigned_abs(),
            (None, None) => panic!("nobody runs"),
        }
    }

    /// Has it hand over to a successor, and gives what it says of that. Further calls talk to the successor.
    pub(crate) fn restart(&mut self) -> Value {
        let before = self.events("gateway.started").len();
        let told = hand_over(|| self.cli(&["restart", "--json"]));
        assert_eq!(told["done"], true, "{told}\n{}", self.log());
        let next = Successor(i32::try_from(told["pid"].as_i64().unwrap()).unwrap());
        match (self.process.take(), self.successor.replace(next)) {
            (Some(mut process), _) => {
                let status = process.wait(PATIENCE).unwrap();
                assert!(status.success(), "{status}:\n{}", self.log());
            }
            (None, Some(before)) => until("it ends", PATIENCE, || before.has_ended().then_some(())),
            (None, None) => panic!("nobody runs"),
        }
        until("its successor runs", PATIENCE, || {
            (self.events("gateway.started").len() > before).then_some(())
        });
        told
    }

    /// Seconds of CPU that it has used since it started.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let id = self.process.as_ref().unwrap().id();
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        // proc(5): utime and stime are the 12th and 13th fields behind the name, in hundredths.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        fields.skip(11).take(2).map(|field| field.parse::<f64>().unwrap() / 100.0).sum()
    }

    /// Memory that it has in use now, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let id = self.process.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// From now on all its threads stand back behind others as much as this (`nice`).
    pub(crate) fn be_nice(&self, nice: i32) {
        let id = self.process.as_ref().unwrap().id();
        let threads = fs::read_dir(format!("/proc/{id}/task")).unwrap();
        for thread in threads {
            let thread = thread.unwrap().file_name().into_string().unwrap();
            let nice = nice.to_string();
            let said = Command::new("renice").args(["-n", &nice, "-p", &thread]).output().unwrap();
            assert!(said.status.success(), "{said:?}");
        }
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where it keeps its packet numbers.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(successor) = self.successor.take() {
            successor.signal(Signal::SIGKILL);
            until("the successor is gone", PATIENCE, || successor.has_ended().then_some(()));
            return;
        }
        let mut process = self.process.take().unwrap();
        process.signal(Signal::SIGKILL).unwrap();
        process.wait(PATIENCE).unwrap();
    }

    /// Asks it to end and holds it to its word: no error, no panic.
    pub(crate) fn end(&mut self) {
        if let Some(successor) = self.successor.take() {
            assert!(!successor.has_ended(), "{} ended by itself:\n{}", self.node, self.log());
            successor.signal(Signal::SIGTERM);
            until("the successor ends", PATIENCE, || successor.has_ended().then_some(()));
            assert!(!self.log().contains("panicked"), "{}", self.log());
            assert!(!self.events("gateway.stopped").is_empty(), "{}", self.log());
            return;
        }
        let mut process = self.process.take().unwrap();
        assert!(process.ended().unwrap().is_none(), "{} ended by itself:\n{}", self.node, self.log());
        let status = process.terminate(PATIENCE).unwrap();
        assert!(status.success(), "{}: {status}:\n{}", self.node, self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }

    /// A document of its API.
    pub(crate) fn api(&self, path: &str) -> Value {
        self.ask("GET", path)
    }

    /// What its API answers when something is asked of it.
    pub(crate) fn api_post(&self, path: &str) -> Value {
        self.ask("POST", path)
    }

    /// The metrics on its socket.
    pub(crate) fn page(&self) -> String {
        self.body("GET", "/metrics")
    }

    fn ask(&self, method: &str, path: &str) -> Value {
        let body = self.body(method, &format!("/v1/{path}"));
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"))
    }

    fn body(&self, method: &str, path: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: quadspan\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{path}: {answer}");
        body.to_owned()
    }

    /// What its command line says, run as an operator would.
    pub(crate) fn says(&self, words: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quadspan"));
        command.arg("-s").arg(&self.socket).args(words.split_whitespace()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// The lines of its log about `event`, as JSON.
    pub(crate) fn events(&self, event: &str) -> Vec<Value> {
        let lines = self.log();
        let parsed = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line["event"] == event).collect()
    }

    /// Why sessions of BGP ended, as logged. Both ends call: where both get through one of the two ends, which may have been
    /// up for a moment (RFC 4271 §6.8); that is no end, and does not count.
    pub(crate) fn bgp_ends(&self) -> Vec<Value> {
        let collision = |why: &str| why.contains("collision") || why.contains("the other of two connections");
        let mut ended = self.events("bgp.down");
        ended.retain(|line| !collision(line["why"].as_str().unwrap()));
        ended
    }

    /// The counters of a channel.
    pub(crate) fn counted(&self, channel: &str) -> Counted {
        let list = self.api("channels");
        let found = list["items"].as_array().unwrap().iter().find(|one| one["name"] == channel);
        let one = found.unwrap_or_else(|| panic!("no channel {channel}: {list}"));
        let macsec = &one["macsec"];
        Counted {
            counters: counts(&macsec["counters"]),
            drops: counts(&one["drops"]),
            next_pn: macsec["next_pn"].as_u64().unwrap_or(0),
            received_pn: macsec["rx"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|sa| sa["next_pn"].as_u64())
                .collect(),
            live: one["state"] == "live",
        }
    }

    /// What `quadspan`, asking this gateway, writes and how it ends.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quadspan"));
        command.arg("-s").arg(&self.socket).args(arguments).stdin(Stdio::null()).env("NO_COLOR", "1");
        let done = command.output().unwrap();
        let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        Output { status: done.status.code(), text }
    }

    /// What its API says of a channel's key agreement.
    pub(crate) fn mka(&self, channel: &str) -> Value {
        let list = self.api("mka");
        let found = list["items"].as_array().unwrap().iter().find(|one| one["channel"] == channel);
        found.unwrap_or_else(|| panic!("no MKA on {channel}: {list}")).clone()
    }

    /// All drops, for messages.
    pub(crate) fn drops(&self) -> String {
        let list = self.api("drops");
        let items = list["items"].as_array().unwrap().iter();
        items.map(|one| format!("{} {} {}; ", one["name"], one["reason"], one["count"])).collect()
    }
}

/// Has a gateway hand over by `restart`, which writes JSON, and gives what it says. Asks again, three times at most in all, where somebody
/// got no processor for as long as the handover may take: then all is as it was.
///
/// # Panics
/// When it was refused.
pub(crate) fn hand_over(restart: impl Fn() -> Output) -> Value {
    let slow = ["took too long", "does not rest", "does not leave", "does not answer"];
    let mut said = restart();
    for _ in 0..2 {
        if said.status != Some(0) && slow.iter().any(|one| said.text.contains(one)) {
            eprintln!("once more: {}", said.text);
            said = restart();
        }
    }
    assert_eq!(said.status, Some(0), "{}", said.text);
    // Standard error, if there is any, comes behind.
    serde_json::from_str(said.text.lines().next().unwrap()).unwrap()
}

fn counts(value: &Value) -> BTreeMap<String, u64> {
    let fields = value.as_object().into_iter().flatten();
    fields.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect()
}
