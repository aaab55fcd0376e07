use std::sync::Arc;

use dataplane::{
    Board, Moved, PortId, Setup,
    bfd::{BfdEvent, BfdLoss},
};
use net::Instant;

use super::*;
use crate::api::testbed::facts;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(millis: u64) -> Instant {
    Instant::ZERO.after(ms(millis))
}

fn chronicle() -> (Chronicle, Arc<Log>, Arc<Rates>) {
    let setup: Arc<Setup> = facts().setup;
    let (log, rates) = (Arc::<Log>::default(), Arc::<Rates>::default());
    let board = Board::new(setup.interfaces.len());
    let mut chronicle = Chronicle::new(setup, (log.clone(), rates.clone()), &board);
    for attachment in [0, 1] {
        chronicle.moved(&moved(attachment, None, 0), "blue/chN", at(0), Timestamp::UNIX_EPOCH);
    }
    (chronicle, log, rates)
}

fn moved(attachment: u16, fault: Option<Fault>, millis: u64) -> Moved {
    Moved { at: at(millis), interface: InterfaceId(attachment), fault, cleared: None, silent: Some(ms(140)) }
}

#[test]
fn a_link_that_goes_down_leaves_a_chain_times_and_an_estimate() {
    let (mut chronicle, log, rates) = chronicle();
    rates.look([(InterfaceId(0), 100), (InterfaceId(0), 50)], at(5000));
    rates.look([(InterfaceId(0), 1100), (InterfaceId(0), 50)], at(7000));
    chronicle.link(PortId(2), "wan1", Some(Fault::NoCarrier), at(9_998));
    chronicle.moved(&moved(0, Some(Fault::NoCarrier), 10_000), "blue/ch1", at(10_010), Timestamp::UNIX_EPOCH);
    let (records, last) = log.since(2);
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((record.id, last, record.change), (3, 3, Change::Left(Fault::NoCarrier)));
    let told: Vec<_> = record.chain.iter().map(|step| (step.before, step.what.as_str())).collect();
    assert_eq!(told, [(ms(2), "port wan1: no carrier"), (ms(0), "attachment blue/ch1: no carrier")]);
    assert_eq!((record.detected, record.switched), (Some(ms(140)), Some(ms(10))));
    // 1000 frames in two seconds; 150 ms into nowhere.
    assert_eq!((record.rate, record.lost, record.live), (500, Some(75), (1, 2)));
    let histogram = log.sums().failovers;
    assert_eq!((histogram.count, histogram.counts[7]), (1, 1), "100 to 250 ms: {histogram:?}");
    assert!((histogram.sum - 0.150).abs() < 1e-9);
    assert!(log.sums().left.contains(&(Fault::NoCarrier, 1)));
}

#[test]
fn a_successor_counts_what_was_live_before_it() {
    let setup = facts().setup;
    let (log, board) = (Arc::<Log>::default(), Board::new(setup.interfaces.len()));
    for attachment in [0, 1] {
        assert!(board.set(InterfaceId(attachment), true));
    }
    let mut chronicle = Chronicle::new(setup, (log.clone(), Arc::default()), &board);
    chronicle.moved(&moved(0, Some(Fault::Drained), 10), "blue/ch1", at(10), Timestamp::UNIX_EPOCH);
    let (records, _) = log.since(0);
    assert_eq!(records[0].live, (1, 2), "the other was live all the time");
}

#[test]
fn causes_fit_the_fault_and_are_recent() {
    let (mut chronicle, log, _) = chronicle();
    chronicle.link(PortId(2), "wan1", None, at(100));
    let loss = BfdLoss::Silence { heard_ago: ms(151), detection: ms(150) };
    let lost = BfdEvent::Down { loss, peer_independent: false };
    chronicle.bfd(InterfaceId(0), "169.254.1.2".parse().unwrap(), lost, at(20_000));
    chronicle.moved(&moved(0, Some(Fault::BfdDown), 20_000), "blue/ch1", at(20_000), Timestamp::UNIX_EPOCH);
    chronicle.active_moved(
        ConnectionId(0),
        (Some(InterfaceId(0)), Some(InterfaceId(1))),
        (at(20_001), Timestamp::UNIX_EPOCH),
    );
    // Long after that, an operator.
    chronicle.moved(&moved(0, Some(Fault::Drained), 90_000), "blue/ch1", at(90_000), Timestamp::UNIX_EPOCH);
    let (records, _) = log.since(2);
    let chains: Vec<Vec<_>> =
        records.iter().map(|record| record.chain.iter().map(|step| step.what.as_str()).collect()).collect();
    let silence =
        "BFD with 169.254.1.2: nothing heard for 151 ms, 150 ms are allowed: the path or the peer is gone";
    assert_eq!(
        chains,
        [
            vec![silence, "attachment blue/ch1: bfd down"],
            vec!["attachment blue/ch1: bfd down"],
            vec!["attachment blue/ch1: drained"],
        ]
    );
    let [_, moved, drained] = &records[..] else { panic!("{records:?}") };
    assert_eq!((moved.change, moved.to), (Change::ActiveMoved, Some(InterfaceId(1))));
    assert_eq!((drained.detected, drained.lost), (None, Some(0)), "nothing failed");
    assert_eq!(log.sums().failovers.count, 1);
}

#[test]
fn what_comes_back_does_so_by_the_end_of_what_spoke_against_it_last() {
    let why = |cleared: Fault| {
        let (mut chronicle, log, _) = chronicle();
        chronicle.link(PortId(2), "wan1", None, at(8000));
        chronicle.bfd(InterfaceId(0), "169.254.1.2".parse().unwrap(), BfdEvent::Up, at(9000));
        let back = Moved { cleared: Some(cleared), ..moved(0, None, 10_000) };
        chronicle.moved(&back, "blue/ch1", at(10_000), Timestamp::UNIX_EPOCH);
        let (records, _) = log.since(2);
        let [record] = &records[..] else { panic!("{records:?}") };
        let mut chain: Vec<_> = record.chain.iter().map(|step| step.what.clone()).collect();
        assert_eq!(chain.pop().unwrap(), "attachment blue/ch1: live");
        chain.join("; ")
    };
    for (cleared, said) in [
        (Fault::Drained, "undrained by an operator, or at the end of its time"),
        (Fault::NoCarrier, "port wan1: up"),
        (Fault::BfdDown, "BFD with 169.254.1.2: up"),
        (Fault::MkaDown, "MKA has agreed on a key"),
        (Fault::NotSecured, "MACsec has a key to send with"),
        (Fault::Drill, "the drill is over"),
        (Fault::Flapping, "it was up for long enough"),
    ] {
        assert_eq!(why(cleared), said);
    }
}

#[test]
fn the_ring_forgets_the_oldest_and_numbers_go_on() {
    let (chronicle, log, _) = chronicle();
    for _ in 0..KEPT + 10 {
        chronicle.redundancy(ConnectionId(0), true, Timestamp::UNIX_EPOCH);
    }
    let (records, last) = log.since(0);
    assert_eq!((records.len(), last), (KEPT, u64::try_from(KEPT).unwrap() + 12));
    assert!(records.iter().map(|one| one.id).eq(13..=last));
    assert_eq!(log.since(last - 1).0.len(), 1);
}

#[test]
fn an_address_of_two_stations_is_remembered_while_that_is_fresh() {
    let (log, seconds) = (Log::default(), |seconds: u64| at(seconds * 1000));
    let heard = |interface: &str, seconds: u64| Conflict {
        interface: interface.to_owned(),
        address: "169.254.1.1".parse().unwrap(),
        mac: None,
        at: at(seconds * 1000),
    };
    log.conflict(heard("blue/ch1", 10));
    log.conflict(heard("blue/ch1", 100));
    log.conflict(heard("blue/ch2", 10));
    assert_eq!(log.conflicts(seconds(129)).len(), 2);
    assert_eq!(log.conflicts(seconds(130)), [heard("blue/ch1", 100)]);
    for one in 0..1000 {
        log.conflict(heard(&format!("blue/x{one}"), 101));
    }
    assert!(log.conflicts(seconds(129)).len() < 100, "what is remembered is bounded");
    log.conflict(heard("blue/new", 900));
    assert_eq!(log.conflicts(seconds(901)), [heard("blue/new", 900)], "the old made room");
}
