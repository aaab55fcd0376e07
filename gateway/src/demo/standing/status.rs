//! How a lab is, as a document and as text.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::request::Mode;
use crate::lab::ChannelState;

/// A lab as it is; the document of `lab status --json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Status {
    /// `v1`.
    pub api: String,
    /// `Lab`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The process that holds it.
    pub pid: u32,
    /// Its files.
    pub directory: PathBuf,
    /// How its connection uses the channels.
    pub mode: Mode,
    /// Its channels' wires.
    pub channels: Vec<ChannelState>,
    /// Its gateways.
    pub gateways: Vec<GatewayState>,
    /// Its network stacks.
    pub nodes: Vec<NodeLine>,
}

/// A gateway of the lab.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct GatewayState {
    /// `a` or `b`.
    pub site: char,
    /// Its process, while it runs.
    pub pid: Option<u32>,
    /// `runs`, `not started`, or how it ended.
    pub state: String,
    /// Where it answers.
    pub socket: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// Its log.
    pub log: PathBuf,
}

/// A network stack of the lab.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct NodeLine {
    /// `h-a`, `gw-a`, `wire`, `gw-b` or `h-b`.
    pub name: String,
    /// What to type for a shell in it.
    pub enter: String,
}

impl Status {
    /// For people: channels and gateways.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "lab {} (process {}, {}), files in {}\n",
            self.name,
            self.pid,
            self.mode.word(),
            self.directory.display()
        );
        for channel in &self.channels {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {:<5} {}", channel.name, wire_in_words(channel));
        }
        for gateway in &self.gateways {
            let process = gateway.pid.map_or_else(String::new, |pid| format!(" as process {pid}"));
            let _ = writeln!(text, "  gw-{}  {}{process}", gateway.site, gateway.state);
        }
        text
    }

    /// What to type to look around.
    #[must_use]
    pub fn how_to_look_around(&self, program: &str) -> String {
        let mut text = "Look around:\n".to_owned();
        for gateway in &self.gateways {
            if gateway.pid.is_some() {
                let socket = gateway.socket.display();
                let _ = writeln!(text, "  {program} -s {socket} status");
                let _ = writeln!(text, "  {program} -s {socket} show channels");
            } else {
                let node = format!("gw-{}", gateway.site);
                let enter = self.nodes.iter().find(|n| n.name == node).map_or("", |n| n.enter.as_str());
                let config = gateway.config.display();
                let _ = writeln!(text, "  {enter} {program} run -c {config}    # start {node}");
            }
        }
        for node in &self.nodes {
            let _ = writeln!(text, "  {}    # a shell in {}", node.enter, node.name);
        }
        let name = if self.name == DEFAULT_NAME { String::new() } else { format!(" --name {}", self.name) };
        let first = self.channels.first().map_or("ch1", |c| c.name.as_str());
        let _ = writeln!(text, "  from h-a: ping 10.2.0.2, ping fd00:2::2");
        let _ = writeln!(text, "Break something, and mend it:");
        for command in [
            format!("cut {first}"),
            format!("blackhole {first}"),
            format!("lossy {first} 5%"),
            "heal".to_owned(),
        ] {
            let _ = writeln!(text, "  {program} lab{name} {command}");
        }
        let _ = writeln!(text, "Take it away: {program} lab{name} down");
        text
    }
}

fn wire_in_words(channel: &ChannelState) -> String {
    let (there, back) = (&channel.a_to_b, &channel.b_to_a);
    let frames = |counters: crate::lab::wire::LaneCounters| {
        format!("{} of {} frames", counters.passed, counters.received)
    };
    let state = match (channel.cut, there == back) {
        (true, _) => "cut".to_owned(),
        (false, true) => there.to_string(),
        (false, false) => format!("a to b: {there}; b to a: {back}"),
    };
    format!("{state} (a to b {}, b to a {})", frames(channel.a_to_b_frames), frames(channel.b_to_a_frames))
}

/// The name of a lab that was not given one.
pub(super) const DEFAULT_NAME: &str = "lab";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::wire::Impairment;

    #[test]
    fn a_status_says_what_is_wrong_with_each_channel_and_how_to_go_on() {
        let lossy = Impairment { blackhole: true, ..Impairment::default() };
        let channel = |name: &str| ChannelState { name: name.to_owned(), ..ChannelState::default() };
        let status = Status {
            api: "v1".to_owned(),
            kind: "Lab".to_owned(),
            name: "mine".to_owned(),
            pid: 7,
            directory: "/tmp/x".into(),
            mode: Mode::Ecmp,
            channels: vec![
                ChannelState { cut: true, ..channel("ch1") },
                ChannelState { a_to_b: lossy, ..channel("ch2") },
                channel("ch3"),
            ],
            gateways: vec![GatewayState {
                site: 'a',
                pid: None,
                state: "killed by SIGKILL".to_owned(),
                socket: "/tmp/x/a.sock".into(),
                config: "/tmp/x/a.toml".into(),
                log: "/tmp/x/a.log".into(),
            }],
            nodes: vec![NodeLine { name: "gw-a".to_owned(), enter: "nsenter -t 9 -n".to_owned() }],
        };
        let text = status.text();
        for part in
            ["ch1   cut", "a to b: black hole; b to a: clear", "ch3   clear", "gw-a  killed by SIGKILL"]
        {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        let how = status.how_to_look_around("quadspan");
        assert!(how.contains("nsenter -t 9 -n quadspan run -c /tmp/x/a.toml"), "{how}");
        assert!(how.contains("quadspan lab --name mine down"), "{how}");
    }
}
