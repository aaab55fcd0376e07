//! A tester at the other end of a session, with nothing but octets: AS 65001 at 10.255.0.1 (or in our own AS), towards a
//! speaker with AS 65002 at 10.255.0.2.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part of the lab")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and counts small numbers"
)]

use bgp::{
    Asn, ConnectionId, Event, Family, FamilyStatus, Impact, Io, PeerConfig, PeerId, PerFamily, RouterId,
    Speaker, SpeakerConfig,
    decision::DecisionRules,
    fsm::State,
    peer::Unwelcome,
    policy::Policy,
    wire::{
        as_path::AsPath,
        attributes::{Attributes, NextHop},
        capability::{Capability, GracefulRestart},
        emit::{self, EmitContext},
        header::{self, MessageType},
        open::Open,
        refresh::{RefreshKind, RouteRefresh},
    },
};
use net::{Instant, IpNet};
use std::{net::Ipv4Addr, time::Duration};

/// Octets from hexadecimal digits; anything else between them is for the reader.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).expect("a digit")).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit)).collect()
}

pub fn keepalive() -> Vec<u8> {
    header::emit(MessageType::Keepalive, &[])
}

/// What the tester can do.
pub fn capabilities(enhanced: bool) -> Vec<Capability> {
    let mut all = vec![
        Capability::Multiprotocol(Family::Ipv4.code()),
        Capability::Multiprotocol(Family::Ipv6.code()),
        Capability::RouteRefresh,
        Capability::FourOctetAs(Asn(65001)),
    ];
    all.extend(enhanced.then_some(Capability::EnhancedRouteRefresh));
    all
}

pub fn refresh(family: Family, kind: RefreshKind) -> Vec<u8> {
    header::emit(MessageType::RouteRefresh, &RouteRefresh { family: family.code(), kind }.emit())
}

/// UPDATEs that announce these.
pub fn update(prefixes: &[&str]) -> Vec<u8> {
    update_by(AsPath::sequence(&[Asn(65001)]), prefixes)
}

/// The same with this path.
pub fn update_by(path: AsPath, prefixes: &[&str]) -> Vec<u8> {
    let prefixes: Vec<IpNet> = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
    let mut attributes = Attributes::local(NextHop::V4(Ipv4Addr::new(10, 255, 0, 1)));
    attributes.as_path = path;
    let context = EmitContext { four_octet_as: true, max_len: 4096 };
    emit::announce(Family::Ipv4, &attributes, &prefixes, context).unwrap().concat()
}

pub fn end_of_rib() -> Vec<u8> {
    emit::end_of_rib(Family::Ipv4)
}

/// The tester keeps forwarding while it restarts.
pub fn restarts() -> Vec<Capability> {
    let families = PerFamily { ipv4: Some(true), ipv6: None };
    let restart = GracefulRestart { restarting: false, notification: false, restart_time: 120, families };
    let mut all = capabilities(true);
    all.push(Capability::GracefulRestart(restart));
    all
}

/// The tester's side of the session, with nothing but octets.
pub struct Lab {
    pub speaker: Speaker,
    peer: PeerId,
    connection: ConnectionId,
    now: Instant,
    heard: Vec<u8>,
    pub closed: bool,
}

impl Lab {
    pub fn connect() -> Self {
        Self::connect_as(65001, |_| {})
    }

    /// As a neighbour in AS `asn` that is configured with `change`.
    pub fn connect_as(asn: u32, change: impl FnOnce(&mut PeerConfig)) -> Self {
        let now = Instant::ZERO.after(Duration::from_secs(1));
        let router_id = RouterId::new(Ipv4Addr::new(192, 0, 2, 2)).expect("not zero");
        let config = SpeakerConfig {
            asn: Asn(65002),
            router_id,
            decision: DecisionRules::default(),
            restarting: None,
        };
        let mut speaker = Speaker::new(config, 1, now);
        let mut tester = PeerConfig::new("tester", Ipv4Addr::new(10, 255, 0, 1).into(), Asn(asn));
        tester.timers.passive = true;
        tester.own_addresses = vec![Ipv4Addr::new(10, 255, 0, 2).into()];
        tester.import = Some(Policy::accept_all());
        change(&mut tester);
        let peer = speaker.add_peer(tester).expect("room for one");
        speaker.start_peer(peer, now);
        let connection = speaker.accept(peer, now).expect("welcome");
        let mut lab = Self { speaker, peer, connection, now, heard: Vec::new(), closed: false };
        lab.listen();
        assert_eq!(lab.messages().first(), Some(&(MessageType::Open, vec![])), "our OPEN comes first");
        lab
    }

    /// An established session with these capabilities.
    pub fn established(
        asn: u32,
        capabilities: Vec<Capability>,
        change: impl FnOnce(&mut PeerConfig),
    ) -> Self {
        let mut lab = Self::connect_as(asn, change);
        lab.greet(asn, capabilities);
        lab
    }

    fn greet(&mut self, asn: u32, capabilities: Vec<Capability>) {
        let router_id = RouterId::new(Ipv4Addr::new(192, 0, 2, 1)).expect("not zero");
        let open = Open { asn: Asn(asn), hold_time: 90, router_id, capabilities };
        self.say(&header::emit(MessageType::Open, &open.emit()));
        self.say(&keepalive());
        assert_eq!(self.state(), State::Established);
    }

    /// The connection is lost.
    pub fn hang_up(&mut self) {
        self.speaker.handle_closed(self.connection, self.now);
        self.listen();
    }

    /// Another connection, with a session on it.
    pub fn come_back(&mut self, asn: u32, capabilities: Vec<Capability>) {
        self.connection = self.speaker.accept(self.peer, self.now).expect("welcome");
        self.greet(asn, capabilities);
    }

    /// The tester calls, beside what connections there are, and says nothing yet.
    pub fn call(&mut self) -> Result<(), Unwelcome> {
        self.speaker.accept(self.peer, self.now).map(|_| ())
    }

    /// Time goes by.
    pub fn wait(&mut self, span: Duration) {
        self.now = self.now.after(span);
        self.speaker.handle_timeout(self.now);
        self.listen();
    }

    pub fn say(&mut self, octets: &[u8]) {
        // In pieces: where TCP cuts must not matter.
        for piece in octets.chunks(7) {
            self.speaker.handle_bytes(self.connection, piece, self.now);
        }
        self.listen();
    }

    /// Says it all at once, and takes nothing that the speaker has to say.
    pub fn shove(&mut self, octets: &[u8]) {
        self.speaker.handle_bytes(self.connection, octets, self.now);
    }

    /// Takes one piece of what the speaker has to say.
    pub fn hear_some(&mut self) -> bool {
        let octets = self.speaker.poll_transmit(self.connection, self.now);
        let some = octets.is_some();
        self.heard.extend(octets.unwrap_or_default());
        some
    }

    /// Takes all that the speaker has to say.
    pub fn listen(&mut self) {
        while self.hear_some() {}
        while let Some(io) = self.speaker.poll_io() {
            if let Io::Close(connection, last_words) = io
                && connection == self.connection
            {
                self.heard.extend(last_words);
                self.closed = true;
            }
        }
    }

    /// What was heard: types, with the body for NOTIFICATIONs.
    pub fn messages(&self) -> Vec<(MessageType, Vec<u8>)> {
        let (mut rest, mut all) = (&self.heard[..], Vec::new());
        while let Some(frame) = header::split(rest, header::MAX_LEN).expect("we send good headers") {
            let body = if frame.kind == MessageType::Notification { frame.body.to_vec() } else { vec![] };
            all.push((frame.kind, body));
            rest = rest.get(frame.len()..).unwrap_or_default();
        }
        all
    }

    /// The ROUTE-REFRESH messages that were heard, in order.
    pub fn refreshes(&self) -> Vec<RouteRefresh> {
        let (mut rest, mut all) = (&self.heard[..], Vec::new());
        while let Some(frame) = header::split(rest, header::MAX_LEN).expect("we send good headers") {
            if frame.kind == MessageType::RouteRefresh {
                all.push(RouteRefresh::parse(frame.body, true).expect("we send good refreshes"));
            }
            rest = rest.get(frame.len()..).unwrap_or_default();
        }
        all
    }

    /// Forgets what was heard.
    pub fn forget(&mut self) {
        self.heard.clear();
    }

    pub fn reset(&self) -> Option<String> {
        let messages = self.messages();
        let note = messages.iter().find(|(kind, _)| *kind == MessageType::Notification);
        match note.map(|(_, body)| &body[..]) {
            Some([code, subcode, ..]) => Some(format!("reset {code}/{subcode}")),
            _ => self.closed.then(|| "reset -".to_owned()),
        }
    }

    /// Changes how the tester is configured.
    pub fn change(&mut self, change: impl FnOnce(&mut PeerConfig)) -> Impact {
        let mut config = self.speaker.peer_config(self.peer).expect("the peer is there").clone();
        change(&mut config);
        let impact = self.speaker.change_peer(self.peer, config, self.now);
        self.listen();
        impact
    }

    /// How IPv4 stands.
    pub fn ipv4(&self) -> FamilyStatus {
        self.speaker.status(self.peer).expect("the peer is there").families.ipv4
    }

    /// What the speaker has to tell an operator.
    pub fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.speaker.poll_event()).collect()
    }

    pub fn state(&self) -> State {
        self.speaker.status(self.peer).expect("the peer is there").state
    }

    pub fn uses(&self, prefix: &str) -> bool {
        let prefix: IpNet = prefix.parse().expect("a prefix");
        self.speaker.rib().get(&prefix).is_some_and(|destination| destination.best().is_some())
    }
}
