//! Two gateways that watch their attachments with BFD: silent cuts, peers that do not speak it, peers that are switched off.

use core::{net::Ipv4Addr, time::Duration};
use std::{num::NonZeroU32, sync::Arc};

use dataplane::{
    bfd::{BfdEvent, BfdLoss, BfdMode, BfdParams, BfdState, BfdStatus, BfdTimers, Control, Diagnostic, Hops},
    *,
};
use macsec::mka::MkaEvent;
use net::{EtherType, Ethernet, Instant, PacketBuf, checksum::Sum, virtio::Checksum};
use proptest::prelude::*;
use world::{
    Plan,
    Side::{self, Left, Right},
    World, udp,
};
use zerocopy::IntoBytes as _;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fast() -> BfdTimers {
    BfdTimers::new(ms(50), ms(50), 3).unwrap()
}

fn slow() -> BfdTimers {
    BfdTimers::new(ms(300), ms(300), 3).unwrap()
}

fn plan(channels: u8) -> Plan {
    Plan { channels, bfd: |_| Some((fast(), BfdMode::Follow)), ..Plan::default() }
}

/// A world whose sessions are Up and whose hosts have met.
fn watched(plan: Plan) -> World {
    let mut world = World::of(plan);
    world.run_until(secs(2), |world| states(world).iter().all(|state| *state == BfdState::Up));
    world.offer(Left, [udp(Left, Right.host(), 1, b"hello")]);
    world.offer(Right, [udp(Right, Left.host(), 1, b"hello")]);
    assert_eq!(world.run(ms(100)).len(), 2);
    world.told.clear();
    world
}

fn statuses(world: &mut World, side: Side) -> Vec<BfdStatus> {
    let now = world.now;
    world.at(side).snapshot(now).interfaces.into_iter().flat_map(|one| one.bfd).collect()
}

fn states(world: &mut World) -> Vec<BfdState> {
    [Left, Right].map(|side| statuses(world, side)).iter().flatten().map(|one| one.state).collect()
}

fn faults(world: &mut World, side: Side, attachment: u16) -> Faults {
    let now = world.now;
    world.at(side).snapshot(now).interfaces[usize::from(attachment)].faults
}

/// 16 flows from Left to Right, a frame of each every other millisecond. The longest time that any flow was silent.
fn longest_gap(world: &mut World, time: Duration) -> Duration {
    let mut last = [world.now; 16];
    let mut longest = Duration::ZERO;
    for _ in 0..time.as_millis() / 2 {
        world.offer(Left, (0..16).map(|flow| udp(Left, Right.host(), 1000 + flow, b"x")));
        let delivered = world.run(ms(2));
        for (_, frame) in delivered.iter().filter(|(side, frame)| *side == Right && frame[23] == 17) {
            let flow = usize::from(u16::from_be_bytes([frame[34], frame[35]]) - 1000);
            longest = longest.max(world.now.since(last[flow]));
            last[flow] = world.now;
        }
    }
    last.iter().map(|last| world.now.since(*last)).fold(longest, Duration::max)
}

/// Nobody notices by the link that frames vanish: only BFD does.
#[test]
fn traffic_leaves_a_silently_cut_attachment_within_the_detection_time() {
    for (timers, most) in [(fast as fn() -> BfdTimers, ms(156)), (slow, ms(906))] {
        let bfd = if timers() == fast() { plan(2).bfd } else { |_| Some((slow(), BfdMode::Follow)) };
        let mut world = watched(Plan { bfd, ..plan(2) });
        assert!(longest_gap(&mut world, ms(500)) <= ms(4), "before");
        world.cut[0] = true;
        let gap = longest_gap(&mut world, secs(2));
        assert!((ms(20)..=most).contains(&gap), "{gap:?}, not {most:?}");
        assert!(faults(&mut world, Left, 0).has(Fault::BfdDown));
        assert!(faults(&mut world, Right, 0).has(Fault::BfdDown) && faults(&mut world, Right, 1).is_live());
        let told: Vec<_> = world.told.iter().map(|(_, side, event)| (*side, event.clone())).collect();
        for side in [Left, Right] {
            assert!(told.contains(&(side, Event::AttachmentDown(InterfaceId(0), Fault::BfdDown))));
            let silence = |event: &Event| {
                matches!(
                    event,
                    Event::Bfd(InterfaceId(0), _, BfdEvent::Down { loss: BfdLoss::Silence { .. }, .. })
                )
            };
            assert!(told.iter().any(|(at, event)| *at == side && silence(event)), "{told:?}");
        }
        world.cut[0] = false;
        assert!(longest_gap(&mut world, secs(3)) <= ms(4), "coming back costs nothing");
        assert!(faults(&mut world, Left, 0).is_live() && faults(&mut world, Right, 0).is_live());
    }
}

/// BGP may be what BFD waits for at the other end: that frames can leave again is told, although BFD still keeps traffic away.
#[test]
fn a_link_that_comes_back_is_told_although_bfd_is_still_down() {
    let mut world = watched(plan(2));
    let told = |world: &mut World| -> Vec<Event> {
        let all = core::mem::take(&mut world.told);
        let of_left = all.into_iter().filter(|(_, side, _)| *side == Left).map(|(_, _, event)| event);
        let link = |event: &Event| {
            use Event::{AttachmentDown, AttachmentStays, AttachmentUp};
            matches!(event, AttachmentUp(_) | AttachmentDown(..) | AttachmentStays(..))
        };
        of_left.filter(link).collect()
    };
    let id = InterfaceId(0);
    world.carrier(0, false);
    world.run(secs(5));
    assert_eq!(told(&mut world), [Event::AttachmentDown(id, Fault::NoCarrier)]);
    assert!(faults(&mut world, Left, 0).has(Fault::BfdDown));
    world.carrier(0, true);
    world.cut[0] = true;
    world.run(secs(1));
    assert_eq!(told(&mut world), [Event::AttachmentStays(id, Fault::BfdDown)]);
    // And the other way round.
    world.carrier(0, false);
    world.run(secs(1));
    assert_eq!(told(&mut world), [Event::AttachmentStays(id, Fault::NoCarrier)]);
    world.carrier(0, true);
    world.run(secs(5));
    assert_eq!(told(&mut world), [Event::AttachmentStays(id, Fault::BfdDown), Event::AttachmentUp(id)]);
}

/// RFC 5882 §4.2: with a peer that does not speak BFD an attachment works; unless BFD is required.
#[test]
fn a_peer_without_bfd_is_no_fault_unless_it_is_required() {
    let left = |mode: BfdMode| {
        let bfd: fn(Side) -> _ = match mode {
            BfdMode::Follow => |side| (side == Left).then(|| (fast(), BfdMode::Follow)),
            BfdMode::Strict => |side| (side == Left).then(|| (fast(), BfdMode::Strict)),
        };
        let mut world = World::of(Plan { bfd, ..plan(1) });
        world.run(secs(5));
        world
    };
    assert!(faults(&mut left(BfdMode::Follow), Left, 0).is_live());
    let mut world = left(BfdMode::Strict);
    assert!(faults(&mut world, Left, 0).has(Fault::BfdDown) && faults(&mut world, Right, 0).is_live());
    world.offer(Left, [udp(Left, Right.host(), 1, b"hello")]);
    world.run(ms(100));
    assert_eq!(world.drops(Left, DropReason::NoLiveAttachment), 1);
    // The other one takes the packets for nobody's, and says so.
    assert!(world.drops(Right, DropReason::NotForUs) >= 5);
}

#[test]
fn what_requires_bfd_is_used_once_it_is_up() {
    let mut world = watched(Plan { bfd: |_| Some((fast(), BfdMode::Strict)), ..plan(1) });
    assert!(faults(&mut world, Left, 0).is_live());
    world.cut[0] = true;
    world.run(ms(200));
    assert!(faults(&mut world, Left, 0).has(Fault::BfdDown));
}

/// RFC 5882 §4.2: AdminDown is no failure of the path.
#[test]
fn switching_bfd_off_moves_no_traffic() {
    for mode in [|_: Side| Some((fast(), BfdMode::Follow)), |_: Side| Some((fast(), BfdMode::Strict))] {
        let mut world = watched(Plan { bfd: mode, ..plan(1) });
        let peers: Vec<_> = statuses(&mut world, Right).iter().map(|one| one.peer).collect();
        for down in [true, false] {
            for peer in &peers {
                let now = world.now;
                assert!(world.at(Right).set_bfd_admin_down((InterfaceId(0), *peer), down, now));
            }
            assert!(longest_gap(&mut world, secs(5)) <= ms(4), "down: {down}");
            let up = if down { BfdState::Down } else { BfdState::Up };
            assert!(statuses(&mut world, Left).iter().all(|one| one.state == up));
        }
        let downs = world.told.iter().filter(|(_, _, event)| matches!(event, Event::AttachmentDown(..)));
        assert_eq!(downs.count(), 0);
    }
}

/// With MKA the first packets would be lost before there is a key: sessions wait for it, and then need no second.
#[test]
fn sessions_come_up_as_soon_as_the_channel_has_a_key() {
    let mut world = World::of(Plan { mka: Some(|_, _| {}), ..plan(1) });
    let (took, _) =
        world.run_until(secs(1), |world| states(world).iter().all(|state| *state == BfdState::Up));
    assert!(took <= ms(400), "{took:?}");
    let mut without = World::of(Plan { mka: Some(|_, _| {}), bfd: |_| None, ..plan(1) });
    without.run(secs(1));
    let refused = |world: &mut World| world.drops(Left, DropReason::MacsecNoTransmitSa);
    assert_eq!(refused(&mut world), refused(&mut without), "no packet was made only to be dropped");
}

/// Who was killed and comes back asks for its peer when it has a key. The peer may answer too early, under the key that the
/// dead had: whoever sends with another key, or hears that the other does, asks again, whatever BFD says meanwhile. Otherwise
/// the next question, and with it BFD's first packet, would wait for a second (RFC 4861 §10, RETRANS_TIMER).
#[test]
fn who_was_killed_is_back_soon_whether_or_not_bfd_had_found_it() {
    for bfd in [|_| Some((fast(), BfdMode::Follow)), |_| Some((fast(), BfdMode::Strict))] {
        for (victim, gone) in [
            (Left, ms(1)),
            (Right, ms(1)),
            (Left, ms(160)),
            (Right, ms(160)),
            (Left, secs(2)),
            (Right, secs(20)),
        ] {
            let mut world = World::of(Plan { mka: Some(|_, _| {}), bfd, ..plan(1) });
            for delay in [0, 1, 5] {
                world.delay = ms(delay);
                let up = |world: &mut World| {
                    let live = [Left, Right].iter().all(|side| faults(world, *side, 0).is_live());
                    live && states(world).iter().all(|state| *state == BfdState::Up)
                };
                world.run_until(secs(2), up);
                world.run(secs(3));
                world.kill(victim);
                world.run(gone);
                world.restart(victim);
                world.run(ms(10));
                let (took, _) = world.run_until(secs(3), up);
                assert!(took <= ms(250), "{victim:?} gone for {gone:?}, {delay} ms away: {took:?}");
            }
        }
    }
}

/// Other people's gateways ask nobody again when their key changes: it is enough that they say in MKA that it has.
#[test]
fn who_asked_too_early_asks_again_when_the_peer_sends_with_the_new_key() {
    let mut world = World::of(Plan { mka: Some(|_, _| {}), ..plan(1) });
    world.delay = ms(5);
    let up = |world: &mut World| states(world).iter().all(|state| *state == BfdState::Up);
    world.run_until(secs(2), up);
    world.kill(Left);
    world.run(secs(1));
    world.told.clear();
    world.lanes[0][1].mute = true;
    world.restart(Left);
    let turns = |world: &mut World| {
        let mut told = world.told.iter();
        told.any(|(_, side, event)| {
            *side == Right && matches!(event, Event::Mka(_, MkaEvent::Rekeyed { .. }))
        })
    };
    world.run_until(secs(1), turns);
    // Its first frames under the new key are lost.
    world.lanes[0][1].mute = false;
    let (took, _) = world.run_until(secs(3), up);
    assert!(took <= ms(100), "{took:?}");
}

/// A link that comes back is greeted at once, and traffic returns when BFD is Up again.
#[test]
fn an_attachment_is_back_soon_after_its_link() {
    let mut world = watched(plan(2));
    world.carrier(0, false);
    world.run(secs(5));
    assert_eq!(statuses(&mut world, Left)[0].state, BfdState::Down);
    world.carrier(0, true);
    let live = |world: &mut World| faults(world, Left, 0).is_live() && faults(world, Right, 0).is_live();
    let (took, _) = world.run_until(secs(2), live);
    assert!(took <= ms(20), "{took:?}");
}

/// A gateway that could not run for a while finds its peer's packets in the socket and does not declare it dead.
#[test]
fn a_late_worker_that_drains_its_ports_first_does_not_flap() {
    let mut world = watched(plan(1));
    // Left sleeps for 120 ms, which Right bears; what Right says waits in Left's socket all that time.
    let (start, mut waiting) = (world.now, vec![]);
    while world.now.since(start) < ms(120) {
        world.now = world.now.after(ms(1));
        let now = world.now;
        world.at(Right).handle_timeout(now);
        let (frames, pool) = world.at(Right).transmit(PortId(0)).unwrap();
        waiting.extend(frames.drain(..).map(|frame| {
            let octets = frame.buf.to_vec();
            pool.recycle(frame);
            octets
        }));
    }
    // Then time jumps, as it does for somebody who was not woken: without its socket it would give up.
    let now = world.now.after(ms(100));
    assert!(world.at(Left).is_judgement_due(now));
    world.now = now;
    // What is forged last arrives first.
    for octets in waiting.into_iter().rev() {
        world.forge(Left, 0, octets);
    }
    let late = world.run(Duration::ZERO);
    assert!(late.is_empty() && !world.at(Left).is_judgement_due(now));
    world.at(Left).handle_timeout(now);
    assert!(statuses(&mut world, Left).iter().all(|one| one.state == BfdState::Up));
}

const OWN: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);

/// A LAN that two workers serve, with a customer's router that speaks BFD.
fn shared_lan() -> [Dataplane; 2] {
    let bfd = BfdParams {
        peer: ROUTER.into(),
        timers: fast(),
        mode: BfdMode::Follow,
        hops: Hops::One,
        independent: true,
    };
    let setup = Arc::new(Setup {
        lags: vec![],
        workers: 2,
        ports: vec![PortSetup { owner: None, caps: PortCaps::default() }],
        channels: vec![],
        interfaces: vec![InterfaceSetup {
            connection: ConnectionId(0),
            place: Place::Lan { port: PortId(0), vlan: None },
            mac: Left.lan_mac(),
            mtu: 1500,
            addresses: vec!["10.1.0.1/24".parse().unwrap()],
            mss_clamp: MssClamp::Off,
            host: None,
            bfd: vec![bfd],
        }],
        connections: vec![ConnectionSetup::new(ConnectionKind::Routed, dataplane::Protection::Ecmp)],
    });
    let depot = Depot::new(PoolSizes { small_count: 1024, big_count: 1, ..PoolSizes::default() });
    let board = Board::new(1);
    let routes = vec![
        ("10.1.0.0/24".parse().unwrap(), Target::OnLink(InterfaceId(0))),
        ("10.1.0.1/32".parse().unwrap(), Target::Local(InterfaceId(0))),
    ];
    let tables =
        Arc::new(Tables { generation: 1, connections: vec![ConnectionTables::build(routes).into()] });
    [0, 1].map(|worker| {
        let pool = Pool::new(depot.clone());
        let mut one = Dataplane::new(WorkerId(worker), setup.clone(), board.clone(), pool, 1).unwrap();
        drop(one.set_tables(tables.clone()));
        one
    })
}

fn router_says(state: BfdState) -> Control {
    Control {
        diagnostic: Diagnostic::None,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        multiplier: 3.try_into().unwrap(),
        my_discriminator: NonZeroU32::new(9).unwrap(),
        your_discriminator: None,
        desired_min_tx: secs(1),
        required_min_rx: ms(50),
        required_min_echo_rx: Duration::ZERO,
    }
}

fn from_router(ttl: u8, control: &Control) -> Vec<u8> {
    let mut buf = PacketBuf::with_capacity(128, 0);
    dataplane::bfd::write_datagram(&mut buf, (ROUTER.into(), 50_000), (OWN.into(), 3784), control).unwrap();
    let header =
        Ethernet { destination: Left.lan_mac(), source: Left.host_mac(), ethertype: EtherType::IPV4 };
    let mut octets = [header.as_bytes(), &buf[..]].concat();
    octets[22] = ttl;
    octets[24..26].fill(0);
    let sum = net::checksum::checksum(&octets[14..34]).to_be_bytes();
    octets[24..26].copy_from_slice(&sum);
    octets
}

fn hear(worker: &mut Dataplane, octets: &[u8]) {
    let mut frame = Frame::new(worker.pool().small().unwrap());
    assert!(frame.buf.extend_from_slice(octets));
    let mut batch = Batch::new();
    batch.push(frame);
    worker.handle_batch(PortId(0), &mut batch, Instant::ZERO);
}

/// The kernel hands the router's flow to any worker; the session is one worker's.
#[test]
fn packets_that_another_worker_received_cross_to_the_session() {
    let [mut first, mut second] = shared_lan();
    let down = router_says(BfdState::Down);
    let of = |worker: &Dataplane| worker.snapshot(Instant::ZERO).interfaces[0].bfd.clone();
    assert_eq!((of(&first).len(), of(&second).len()), (1, 0));
    hear(&mut second, &from_router(255, &down));
    let mut crossed: Vec<_> = second.crossings().0.drain(..).collect();
    assert!(matches!(crossed[..], [(WorkerId(0), Crossing::Bfd { interface: InterfaceId(0), .. })]));
    let mut crossed = crossed.drain(..).map(|(_, crossing)| crossing).collect();
    first.handle_crossings(&mut crossed, Instant::ZERO);
    assert_eq!(of(&first)[0].state, BfdState::Init);
    // From beyond the link it is refused (RFC 5881 §5), and counted at the port.
    hear(&mut first, &from_router(254, &down));
    let snapshot = first.snapshot(Instant::ZERO);
    assert_eq!(snapshot.ports[0].drops.of(DropReason::BfdRefused), 1);
    assert_eq!(of(&first)[0].counters.refused.total(), 1);
}

/// The rings between workers carry control only so fast: what no session can want does not cross (RFC 5881 §5, §6).
#[test]
fn packets_that_no_session_can_want_do_not_cross() {
    let [_, mut second] = shared_lan();
    let down = router_says(BfdState::Down);
    let mut stranger = from_router(255, &down);
    stranger[26..30].copy_from_slice(&[10, 1, 0, 99]);
    stranger[24..26].fill(0);
    let sum = net::checksum::checksum(&stranger[14..34]).to_be_bytes();
    stranger[24..26].copy_from_slice(&sum);
    for octets in [from_router(254, &down), stranger] {
        hear(&mut second, &octets);
        assert!(second.crossings().0.is_empty());
    }
    assert_eq!(second.snapshot(Instant::ZERO).ports[0].drops.of(DropReason::BfdRefused), 2);
}

/// A frame from a peer on the same machine: its checksum was left to whoever is last.
#[test]
fn a_checksum_that_was_left_open_is_finished_first() {
    let [mut first, _] = shared_lan();
    let mut octets = from_router(255, &router_says(BfdState::Down));
    let pseudo = Sum::new().add_pseudo_v4(ROUTER, OWN, 17, 32);
    octets[40..42].copy_from_slice(&pseudo.folded().to_be_bytes());
    let state = |worker: &Dataplane| worker.snapshot(Instant::ZERO).interfaces[0].bfd[0].state;
    hear(&mut first, &octets);
    assert_eq!(state(&first), BfdState::Down, "as it stands the checksum is wrong");
    let mut frame = Frame::new(first.pool().small().unwrap());
    assert!(frame.buf.extend_from_slice(&octets));
    frame.offload.checksum = Checksum::Partial { start: 34, offset: 6 };
    first.handle_batch(PortId(0), &mut Batch::from_iter([frame]), Instant::ZERO);
    assert_eq!(state(&first), BfdState::Init);
}

/// Half of the choices are a fuzzer's; here they are random.
#[test]
fn whatever_comes_the_rules_hold() {
    proptest!(ProptestConfig::with_cases(300), |(octets in proptest::collection::vec(any::<u8>(), 0..3000))| {
        world::fuzz::bfd(&octets);
    });
}
