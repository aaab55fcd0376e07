//! Nothing grows without bound, whatever comes in.

use proptest::prelude::*;

use super::*;
use crate::{flow::fold, neighbor::cache::PEERS};

fn tight() -> NeighborLimits {
    NeighborLimits {
        entries: 8,
        unresolved: 4,
        waiting_per_entry: 2,
        waiting: 6,
        new_per_second: 10,
        new_burst: 6,
        learned: 5,
    }
}

fn host(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

fn mac(number: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 1, number])
}

#[test]
fn too_many_frames_for_one_neighbour_replace_the_oldest() {
    // RFC 4861 §7.2.2, RFC 1122 §2.3.2.2: the latest is the one to keep.
    let limits = NeighborLimits { waiting_per_entry: 3, ..NeighborLimits::default() };
    let mut rig = Rig::with(NeighborParams { limits, ..params() });
    for frame in 1..=3 {
        assert_eq!(rig.hold(HOST, frame), Ok(()));
    }
    assert_eq!(rig.hold(HOST, 4), Err(1));
    assert_eq!(rig.hold(HOST, 5), Err(2));
    rig.reply((HOST_MAC, HOST)).unwrap();
    assert_eq!(rig.released(), [(HOST_MAC, 3), (HOST_MAC, 4), (HOST_MAC, 5)]);
}

#[test]
fn too_many_frames_in_all_are_refused() {
    let limits = NeighborLimits { unresolved: 100, new_burst: 100, entries: 100, ..tight() };
    let mut rig = Rig::with(NeighborParams { limits, ..params() });
    for number in 2..8 {
        assert_eq!(rig.hold(host(number), number), Ok(()));
    }
    assert_eq!(rig.hold(host(8), 8), Err(8));
    assert_eq!(rig.hold(host(2), 99), Err(99));
    // Frames that were not fetched count too.
    rig.reply((mac(2), host(2))).unwrap();
    assert_eq!((rig.hold(host(9), 9), rig.hold(host(2), 3)), (Err(9), Err(3)));
    rig.released();
    assert_eq!((rig.hold(host(2), 3), rig.cache.frames_held()), (Ok(()), 6));
}

#[test]
fn a_scan_of_the_subnet_asks_no_more_than_allowed() {
    let mut rig =
        Rig::with(NeighborParams { limits: NeighborLimits { waiting: 100, ..tight() }, ..params() });
    let refused = (2..=254).filter(|&number| rig.hold(host(number), number).is_err()).count();
    assert_eq!((refused, rig.cache.entries(rig.now).count(), rig.sent().len()), (249, 4, 4));
    // Frames for somebody who is not there at all: off-link, group, broadcast, ourselves.
    for ip in [
        Ipv4Addr::new(192, 0, 2, 1),
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::BROADCAST,
        host(255),
        host(0),
        OWN,
    ] {
        assert_eq!(rig.hold(ip, 1), Err(1), "{ip}");
    }
}

// RFC 6583 §7.1: who sends to silent addresses must not keep a router from those that routes and BFD sessions lead to.
#[test]
fn a_scan_does_not_keep_us_from_asking_for_peers_of_our_own() {
    let wide = NeighborParams { v4: vec!["10.0.0.1/8".parse().unwrap()], ..params() };
    let limits = NeighborLimits { waiting: 100, ..tight() };
    let mut rig = Rig::with(NeighborParams { limits, ..wide });
    for number in 100..=254 {
        let _refused = rig.hold(host(number), number);
    }
    assert_eq!(rig.sent().len(), limits.unresolved);
    rig.cache.greet(host(2).into(), rig.now);
    let frame = Frame::of_control(PacketBuf::copy_of(&[9], 0, 0));
    assert!(rig.cache.hold(host(3).into(), frame, rig.now).is_ok(), "a BFD packet");
    assert_eq!([2, 3].map(|number| rig.state(host(number))), [Some(NeighborState::Incomplete); 2]);
    assert_eq!(rig.sent().len(), 2);
    assert_eq!(rig.hold(host(4), 4), Err(4), "all others wait as before");
    // Not without bounds either: a peer may announce any number of next hops.
    for number in 0..10_000_u16 {
        let [a, b] = number.to_be_bytes();
        rig.cache.greet(Ipv4Addr::new(10, 1, a, b).into(), rig.now);
        rig.now = rig.now.after(Duration::from_millis(1));
        rig.cache.audit();
    }
    assert!(rig.cache.entries(rig.now).count() <= limits.entries + PEERS);
}

// Other workers hear of it, by rings that BFD's packets cross by as well.
#[test]
fn a_station_that_never_stops_speaking_is_news_ten_times_a_second() {
    let mut rig = Rig::new();
    rig.request((HOST_MAC, HOST)).unwrap();
    let mut told = rig.learned().len();
    for step in 0..20_000 {
        rig.now = rig.now.after(Duration::from_micros(50));
        let mac = if step % 2 == 0 { HOST_MAC } else { OTHER_MAC };
        rig.reply((mac, HOST)).unwrap();
        told += rig.learned().len();
    }
    assert!((15..=25).contains(&told), "{told} in a second, ten of them at once");
    rig.wait(2);
    rig.reply((HOST_MAC, HOST)).unwrap();
    assert_eq!(rig.learned(), [(HOST.into(), HOST_MAC)]);
}

#[test]
fn new_neighbours_push_out_the_longest_idle_one_and_never_one_in_use() {
    let mut rig =
        Rig::with(NeighborParams { limits: NeighborLimits { new_burst: 100, ..tight() }, ..params() });
    for number in 2..10 {
        rig.request((mac(number), host(number))).unwrap();
        rig.wait(1);
    }
    for number in [2, 4] {
        rig.resolve(host(number));
    }
    rig.request((mac(10), host(10))).unwrap();
    assert_eq!((rig.state(host(3)), rig.cache.entries(rig.now).count()), (None, 8));
    // Everybody is in use now: the next one has to wait.
    for number in [2, 4, 5, 6, 7, 8, 9, 10] {
        assert_eq!(rig.resolve(host(number)), Resolve::Known(mac(number)));
    }
    assert!(
        matches!(rig.request((mac(11), host(11))), Ok(ArpOutcome::Reply(_))),
        "it is answered all the same"
    );
    assert_eq!(rig.state(host(11)), None);
    assert_eq!(rig.hold(host(11), 1), Err(1));
}

#[test]
fn news_that_nobody_fetches_are_forgotten_oldest_first() {
    let mut rig =
        Rig::with(NeighborParams { limits: NeighborLimits { new_burst: 100, ..tight() }, ..params() });
    for number in 2..9 {
        rig.request((mac(number), host(number))).unwrap();
    }
    let learned: Vec<_> = (4..9).map(|number| (IpAddr::from(host(number)), mac(number))).collect();
    assert_eq!(rig.learned(), learned);
}

#[test]
fn a_question_waits_for_a_buffer() {
    let mut rig = Rig::new();
    rig.hold(HOST, 1).unwrap();
    let mut small = PacketBuf::with_capacity(41, 0);
    assert!(!rig.cache.poll_transmit(&mut small) && small.is_empty());
    assert_eq!(rig.sent().len(), 1);
}

#[test]
fn a_question_that_is_answered_before_it_is_sent_is_not_sent() {
    let mut rig = Rig::new();
    rig.hold(HOST, 1).unwrap();
    rig.reply((HOST_MAC, HOST)).unwrap();
    assert_eq!(rig.sent().len(), 0);
}

#[test]
fn a_million_requests_from_random_senders_grow_nothing_beyond_the_limits() {
    let wide = NeighborParams { v4: vec!["10.0.0.1/8".parse().unwrap()], ..params() };
    let mut rig = Rig::with(wide);
    let limits = rig.cache.params().limits;
    let friend = Ipv4Addr::new(10, 200, 0, 1);
    rig.hold(friend, 1).unwrap();
    rig.reply((HOST_MAC, friend)).unwrap();
    let mut replies = 0;
    for number in 0..1_000_000_u64 {
        let [a, b, c, d, e, f, ..] =
            fold(number ^ 0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93).to_be_bytes();
        let sender = (MacAddr([2, a, b, c, d, e]), Ipv4Addr::new(10, d % 200, e, f));
        let packet = Arp::new(Operation::Request, sender, (MacAddr::ZERO, OWN));
        let outcome = rig.cache.handle_arp(packet.as_bytes(), rig.now);
        replies += usize::from(matches!(outcome, Ok(ArpOutcome::Reply(_))));
        if number % 1000 == 0 {
            rig.now = rig.now.after(Duration::from_millis(10));
            rig.cache.handle_timeout(rig.now);
            assert_eq!(rig.resolve(friend), Resolve::Known(HOST_MAC), "after {number}");
            rig.reply((HOST_MAC, friend)).unwrap(); // as it would answer probes
        }
    }
    assert!(
        replies > 999_000,
        "everybody is answered but those with a MAC address of ours or no host's address"
    );
    assert_eq!(rig.cache.entries(rig.now).count(), limits.entries);
    assert_eq!(rig.learned().len(), limits.learned);
    assert_eq!((rig.cache.frames_held(), rig.released().len()), (1, 1));
    assert!(rig.sent().len() <= limits.unresolved);
    // And a frame for a newcomer still finds room.
    assert_eq!(rig.hold(Ipv4Addr::new(10, 201, 0, 1), 2), Ok(()));
}

#[derive(Clone, Debug)]
enum Step {
    Hold(u8),
    Resolve(u8),
    Request(u8, u8),
    Reply(u8, u8),
    Gratuitous(u8, u8),
    Learn(u8, u8),
    Wait(u16),
    Send,
    Fetch,
}

fn step() -> impl Strategy<Value = Step> {
    let host = 0_u8..24;
    prop_oneof![
        4 => host.clone().prop_map(Step::Hold),
        2 => host.clone().prop_map(Step::Resolve),
        1 => (host.clone(), 0_u8..4).prop_map(|(ip, mac)| Step::Request(ip, mac)),
        2 => (host.clone(), 0_u8..4).prop_map(|(ip, mac)| Step::Reply(ip, mac)),
        1 => (host.clone(), 0_u8..4).prop_map(|(ip, mac)| Step::Gratuitous(ip, mac)),
        1 => (host, 0_u8..4).prop_map(|(ip, mac)| Step::Learn(ip, mac)),
        3 => (0_u16..8000).prop_map(Step::Wait),
        1 => Just(Step::Send),
        1 => Just(Step::Fetch),
    ]
}

impl Rig {
    fn take(&mut self, step: &Step) -> (usize, usize) {
        match *step {
            Step::Hold(ip) => return (1, usize::from(self.hold(host(ip), ip).is_err())),
            Step::Resolve(ip) => drop(self.resolve(host(ip))),
            Step::Request(ip, at) => drop(self.request((mac(at), host(ip)))),
            Step::Reply(ip, at) => drop(self.reply((mac(at), host(ip)))),
            Step::Gratuitous(ip, at) => drop(self.arp(Operation::Request, (mac(at), host(ip)), host(ip))),
            Step::Learn(ip, at) => self.cache.learn(host(ip).into(), mac(at), self.now),
            Step::Wait(millis) => {
                self.now = self.now.after(Duration::from_millis(millis.into()));
                self.cache.handle_timeout(self.now);
            }
            Step::Send => drop(self.sent()),
            Step::Fetch => {
                self.learned();
                return (0, self.released().len() + self.failed().len());
            }
        }
        (0, 0)
    }
}

proptest! {
    #[test]
    fn limits_and_books_hold_in_any_history(steps in prop::collection::vec(step(), 1..200)) {
        let limits = tight();
        let mut rig = Rig::with(NeighborParams { limits, ..params() });
        let (mut given, mut got) = (0, 0);
        for step in &steps {
            let (into, out) = rig.take(step);
            (given, got) = (given + into, got + out);
            rig.cache.audit();
            // No frame is lost or doubled.
            prop_assert_eq!(given, got + rig.cache.frames_held(), "{:?}", step);
            prop_assert!(rig.cache.frames_held() <= limits.waiting);
            let entries: Vec<_> = rig.cache.entries(rig.now).collect();
            prop_assert!(entries.len() <= limits.entries);
            let incomplete = entries.iter().filter(|entry| entry.state == NeighborState::Incomplete).count();
            prop_assert!(incomplete <= limits.unresolved);
            // Whoever is asked for is asked again or given up: a deadline is set.
            prop_assert!(incomplete == 0 || rig.cache.poll_timeout().is_some());
        }
        // Left alone, everything that waits comes out within three seconds, and a little.
        let limit = rig.now.after(Duration::from_millis(3100));
        while rig.cache.poll_timeout().is_some_and(|next| next <= limit) {
            rig.next();
        }
        got += rig.released().len() + rig.failed().len();
        prop_assert_eq!((given, rig.cache.frames_held()), (got, 0));
    }
}
