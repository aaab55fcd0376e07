//! BFD packets from peers that lie, and time, timers, operators and links between them.

use core::{net::IpAddr, time::Duration};

use dataplane::{
    ChannelId, ChannelSetup, ConnectionId, InterfaceId, InterfaceSetup, MssClamp, Place, PortId, Setup,
    WorkerId,
    bfd::{BfdMode, BfdParams, BfdState, BfdStatus, BfdTimers, Control, Hops, Sessions, write_datagram},
};
use macsec::{Sci, SecyPolicy};
use net::{Instant, MacAddr, PacketBuf};

use super::Choices;

const PEERS: [&str; 2] = ["169.254.0.2", "fd00::2"];
const OWN: [&str; 2] = ["169.254.0.1", "fd00::1"];
const HERE: InterfaceId = InterfaceId(0);

/// What a session says can be read, is slow enough while it is not Up and never P and F at once; a packet makes at most two;
/// a refused one changes no state (AdminDown aside); time always goes on; Up and Down alternate as they are counted.
pub fn bfd(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let mut sessions = Sessions::new(&setup(), WorkerId(0), 1);
    let mut now = Instant::ZERO;
    while !choices.is_empty() {
        let before = sessions.statuses(HERE);
        let mut most = 2 * before.len();
        match choices.below(8) {
            0 => {
                now = now.after(Duration::from_micros(u64::from(choices.word()) << choices.below(8)));
                sessions.handle_timeout(now);
                assert!(!sessions.is_judgement_due(now), "judged, and still to be judged");
            }
            1 => {
                let who = (HERE, address(&mut choices, PEERS));
                sessions.set_timers(who, timers(&mut choices), BfdMode::Strict, now);
            }
            2 => {
                let who = (HERE, address(&mut choices, PEERS));
                sessions.set_admin_down(who, choices.flag(), now);
            }
            3 => sessions.set_path_open(HERE, choices.flag()),
            _ => {
                let heard =
                    sessions.handle_datagram(HERE, ConnectionId(0), &packet(&mut choices, &before), now);
                let after = sessions.statuses(HERE);
                let state = |list: &[BfdStatus]| list.iter().map(|one| one.state).collect::<Vec<_>>();
                assert!(heard.is_ok() || state(&before) == state(&after), "{heard:?} changed a state");
                most = 2;
            }
        }
        drain(&mut sessions, most);
        check(&sessions, now);
    }
}

fn drain(sessions: &mut Sessions, most: usize) {
    let mut sent = 0;
    while let Some(out) = sessions.poll_transmit() {
        sent += 1;
        assert!(sent <= most, "one packet made {sent}");
        let control = out.control;
        let read = Control::decode(&control.encode()).expect("what we say can be read").control;
        assert_eq!(read, control);
        assert!(!(control.poll && control.is_final), "RFC 5880 §6.5");
        let slow = control.desired_min_tx >= Duration::from_secs(1);
        assert!(slow || control.state == BfdState::Up, "RFC 5880 §6.8.3: {control:?}");
        assert!(out.source.1 >= 49_152 && out.destination.1 == 3784);
    }
    while sessions.poll_event().is_some() {}
    while let Some((interface, fault)) = sessions.poll_verdict() {
        assert_eq!(sessions.is_fault(interface), fault);
    }
}

fn check(sessions: &Sessions, now: Instant) {
    let _due = sessions.poll_timeout();
    for one in sessions.statuses(HERE) {
        let up = u64::from(one.state == BfdState::Up);
        assert_eq!(one.counters.ups, one.counters.downs + up, "{one:?}");
        assert!(one.since <= now && one.history.len() <= 16, "{one:?}");
        assert_ne!(one.discriminator, 0);
    }
}

fn address(choices: &mut Choices<'_>, of: [&str; 2]) -> IpAddr {
    of[choices.below(2)].parse().unwrap()
}

fn timers(choices: &mut Choices<'_>) -> BfdTimers {
    let interval = |word: u16| Duration::from_millis(10 + u64::from(word) % 29_991);
    BfdTimers::new(interval(choices.word()), interval(choices.word()), choices.octet().max(1)).unwrap()
}

/// Some octets; or a control packet that says what is chosen, mostly to the right session, in a proper datagram.
fn packet(choices: &mut Choices<'_>, known: &[BfdStatus]) -> Vec<u8> {
    if choices.below(8) == 0 {
        return choices.piece().to_vec();
    }
    let family = choices.below(2);
    let mut control = [0; 24];
    control[0] = 0x20 | choices.octet() & 0x1f;
    control[1] = choices.octet() & !5;
    control[2] = choices.octet();
    control[3] = 24;
    control[4..8].copy_from_slice(&u32::from(choices.octet()).to_be_bytes());
    let named = known.get(family).map_or(0, |one| one.discriminator);
    let yours = if choices.flag() { named } else { u32::from(choices.flag()) };
    control[8..12].copy_from_slice(&yours.to_be_bytes());
    for field in [12, 16] {
        let time = u32::from(choices.word()) << choices.below(16);
        control[field..field + 4].copy_from_slice(&time.to_be_bytes());
    }
    if choices.below(16) == 0 {
        let at = choices.below(24);
        control[at] = choices.octet();
    }
    let (from, to) = (PEERS[family].parse().unwrap(), OWN[family].parse().unwrap());
    let Ok(received) = Control::decode(&control) else { return control.to_vec() };
    let mut buf = PacketBuf::with_capacity(128, 0);
    write_datagram(&mut buf, (from, 50_000), (to, 3784), &received.control).unwrap();
    buf.to_vec()
}

fn setup() -> Setup {
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let params = |peer: &str| BfdParams {
        peer: peer.parse().unwrap(),
        timers: BfdTimers::new(Duration::from_millis(50), Duration::from_millis(300), 3).unwrap(),
        mode: BfdMode::Follow,
        hops: Hops::One,
        independent: true,
    };
    Setup {
        workers: 1,
        ports: vec![],
        channels: vec![ChannelSetup {
            port: PortId(0),
            owner: WorkerId(0),
            clear_tags: vec![],
            secy: SecyPolicy::new(Sci::new(mac, 1)),
            mka: None,
        }],
        lags: vec![],
        interfaces: vec![InterfaceSetup {
            connection: ConnectionId(0),
            place: Place::Attachment { channel: ChannelId(0), vlan: None },
            mac,
            mtu: 1500,
            addresses: vec!["169.254.0.1/24".parse().unwrap(), "fd00::1/64".parse().unwrap()],
            mss_clamp: MssClamp::Off,
            host: None,
            bfd: PEERS.map(params).to_vec(),
        }],
        connections: vec![],
    }
}
