//! A Linux kernel in a small virtual machine: a MACsec peer that none of our own code had a hand in.
//!
//! `vm/build.sh` makes the machine (a stock Debian kernel, an initramfs with iproute2, iperf3, tcpdump and
//! wpa_supplicant); [`Vm::boot`] starts it under QEMU's software emulation with one NIC on a TAP device in a network
//! namespace, and [`Vm::run`] has it do things. It boots in about two seconds. The guest's `vm/guest.sh` holds the
//! commands that are known to work, as shell functions.
//!
//! The line to the guest is a virtio-serial port on QEMU's standard input and output (its grammar is in `vm/init`).
//! A thread reads it, so every wait here is a wait on a channel with a limit. When this process dies, however it
//! dies, the line closes and the guest powers itself off.
#![allow(dead_code, reason = "not every test uses every part")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use std::{env, fs, process, thread};

/// Why there is no machine, or why it did not answer.
#[derive(Debug)]
pub(crate) enum VmError {
    /// This host lacks something (packages and no right to install them, no TAP): a reason to skip, loudly.
    Unavailable(String),
    /// Everything was there and it still did not work: a failure.
    Failed(String),
}

/// What a command in the guest left behind.
#[derive(Debug)]
pub(crate) struct Output {
    /// Exit status as the shell counts it; 124 or 143: stopped after its time.
    pub(crate) status: i32,
    /// Standard output and standard error, in the order written.
    pub(crate) text: String,
}

/// A running guest. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Vm {
    qemu: Child,
    orders: Option<ChildStdin>,
    replies: Receiver<Reply>,
    console: PathBuf,
    next_id: u32,
}

#[derive(Debug)]
struct Reply {
    id: String,
    output: Output,
}

impl Vm {
    /// Boots a guest whose NIC `eth0` has the address `mac` and is the far end of the TAP device `tap_name` in the
    /// network namespace `netns`: a name as in `ip netns`, a path to a namespace (`/proc/PID/ns/net`), or empty for
    /// the one we are in. QEMU makes the TAP device when it is not there; bring it up before or after.
    ///
    /// # Errors
    /// [`VmError::Unavailable`] when this host cannot run one, [`VmError::Failed`] when it did not come up.
    pub(crate) fn boot(netns: &str, tap_name: &str, mac: &str) -> Result<Self, VmError> {
        Self::boot_with(netns, &[(tap_name, mac)])
    }

    /// [`Vm::boot`] with several NICs, `eth0` and so on, each the far end of a TAP device with an address.
    ///
    /// # Errors
    /// As [`Vm::boot`].
    pub(crate) fn boot_with(netns: &str, nics: &[(&str, &str)]) -> Result<Self, VmError> {
        let image = image()?;
        let console = image.join(unique("console"));
        let mut qemu = qemu(netns, &image, &console, nics)
            .spawn()
            .map_err(|e| VmError::Unavailable(format!("cannot start qemu-system-x86_64: {e}")))?;
        let orders = qemu.stdin.take();
        let (to_us, replies) = channel();
        if let Some(line) = qemu.stdout.take() {
            thread::spawn(move || read_replies(BufReader::new(line), &to_us));
        }
        let vm = Self { qemu, orders, replies, console, next_id: 0 };
        vm.reply_to("ready", BOOT)?;
        Ok(vm)
    }

    /// Runs a shell command in the guest and waits for it, a minute at most.
    ///
    /// # Errors
    /// When the guest does not answer. A command that fails is no error: see [`Output::status`].
    pub(crate) fn run(&mut self, command: &str) -> Result<Output, VmError> {
        self.run_for(Duration::from_secs(60), command)
    }

    /// [`Vm::run`] with a limit of its own (whole seconds), after which the guest stops the command.
    ///
    /// # Errors
    /// As [`Vm::run`].
    pub(crate) fn run_for(&mut self, limit: Duration, command: &str) -> Result<Output, VmError> {
        self.next_id += 1;
        let id = self.next_id.to_string();
        let escaped = command.trim_end().replace('\\', r"\\").replace('\n', r"\n");
        let order = format!("{id} {} {escaped}\n", limit.as_secs().max(1));
        let sent = match self.orders.as_mut() {
            Some(line) => line.write_all(order.as_bytes()).and_then(|()| line.flush()),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        sent.map_err(|e| self.failure(&format!("the line to the guest is gone ({e})")))?;
        self.reply_to(&id, limit + GRACE)
    }

    /// [`Vm::run`], and a status other than 0 is an error too; gives what the command wrote.
    ///
    /// # Errors
    /// As [`Vm::run`], and when the command fails.
    pub(crate) fn must(&mut self, command: &str) -> Result<String, VmError> {
        let output = self.run(command)?;
        if output.status == 0 {
            return Ok(output.text);
        }
        Err(VmError::Failed(format!("guest: `{command}` ended with {}:\n{}", output.status, output.text)))
    }

    /// Process id of QEMU, for `/proc/PID/ns/net` and the like.
    pub(crate) fn pid(&self) -> u32 {
        self.qemu.id()
    }

    /// The answer to `id`; one to an earlier command that we gave up on is passed over.
    fn reply_to(&self, id: &str, limit: Duration) -> Result<Output, VmError> {
        loop {
            match self.replies.recv_timeout(limit) {
                Ok(reply) if reply.id == id => return Ok(reply.output),
                Ok(_late) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.failure(&format!("no answer to `{id}` in {} s", limit.as_secs())));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.failure("qemu ended")),
            }
        }
    }

    fn failure(&self, what: &str) -> VmError {
        let mut text = format!("{what}; the guest's console:\n");
        let console = fs::read(&self.console).unwrap_or_default();
        let _ = text.write_str(&String::from_utf8_lossy(&console));
        VmError::Failed(text)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = fs::remove_file(&self.console);
    }
}

/// The folder with the kernel and the initramfs, built when needed.
fn image() -> Result<PathBuf, VmError> {
    let folder = env::var_os("QUADSPAN_VM_DIR").map_or_else(
        || Path::new(option_env!("CARGO_TARGET_TMPDIR").unwrap_or("/tmp")).join("linux-macsec-vm"),
        PathBuf::from,
    );
    let script = Path::new(option_env!("CARGO_MANIFEST_DIR").unwrap_or("gateway")).join("tests/vm/build.sh");
    let built = Command::new(&script)
        .arg(&folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| VmError::Unavailable(format!("{}: {e}", script.display())))?;
    let said = String::from_utf8_lossy(&built.stderr).trim().to_owned();
    match built.status.code() {
        Some(0) => Ok(folder),
        Some(LACKING) => Err(VmError::Unavailable(said)),
        _ => Err(VmError::Failed(format!("{}: {}\n{said}", script.display(), built.status))),
    }
}

fn qemu(netns: &str, image: &Path, console: &Path, nics: &[(&str, &str)]) -> Command {
    let mut command = match netns {
        "" => Command::new("qemu-system-x86_64"),
        path if path.contains('/') => {
            let mut enter = Command::new("nsenter");
            enter.arg(format!("--net={path}")).arg("qemu-system-x86_64");
            enter
        }
        name => {
            let mut enter = Command::new("ip");
            enter.args(["netns", "exec", name, "qemu-system-x86_64"]);
            enter
        }
    };
    // Software emulation everywhere, also where /dev/kvm is there: build machines are guests themselves.
    command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-m", "384", "-smp", "1"]);
    command.arg("-kernel").arg(image.join("vmlinuz")).arg("-initrd").arg(image.join("initramfs.img"));
    command.args([
        "-append",
        "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable",
        "-no-reboot",
    ]);
    command.args([
        "-display",
        "none",
        "-monitor",
        "none",
        "-nodefaults",
        "-no-user-config",
        "-parallel",
        "none",
    ]);
    command.arg("-serial").arg(format!("file:{}", console.display()));
    command.args(["-chardev", "stdio,id=agent,signal=off", "-device", "virtio-serial-pci"]);
    command.args(["-device", "virtserialport,chardev=agent,name=agent"]);
    for (at, (tap, mac)) in nics.iter().enumerate() {
        command.arg("-netdev").arg(format!("tap,id=n{at},ifname={tap},script=no,downscript=no"));
        // An empty romfile: no network boot, which would take longer than the kernel.
        command.arg("-device").arg(format!("virtio-net-pci,netdev=n{at},mac={mac},romfile="));
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn read_replies(mut line: BufReader<ChildStdout>, to_us: &Sender<Reply>) {
    while let Some(reply) = read_reply(&mut line) {
        if to_us.send(reply).is_err() {
            return;
        }
    }
}

/// `ID STATUS OCTETS`, a newline, and that many octets. `None` at the end of the line, or when it makes no sense.
fn read_reply(line: &mut BufReader<ChildStdout>) -> Option<Reply> {
    let mut header = String::new();
    line.read_line(&mut header).ok()?;
    let mut words = header.split_whitespace();
    let id = words.next()?.to_owned();
    let status = words.next()?.parse().ok()?;
    let mut text = vec![0; words.next()?.parse().ok()?];
    line.read_exact(&mut text).ok()?;
    Some(Reply { id, output: Output { status, text: String::from_utf8_lossy(&text).into_owned() } })
}

fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}.log", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// `build.sh` ends with this when the host lacks something.
const LACKING: i32 = 3;
/// From power on to the agent. Two seconds on a quiet machine; a loaded one with two cores may take thirty.
const BOOT: Duration = Duration::from_secs(120);
/// What a command's answer may take beyond the time the command has.
const GRACE: Duration = Duration::from_secs(30);
