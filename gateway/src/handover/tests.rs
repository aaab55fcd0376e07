//! What predecessor and successor say to each other, without either.

use std::{collections::BTreeMap, os::unix::net::UnixStream, path::PathBuf, sync::Arc, thread::JoinHandle};

use crossbeam::channel::bounded;
use dataplane::{Board, Dataplane, Depot, Pool, PoolSizes, Setup, WorkerId};
use net::{
    Instant,
    carry::{Carry as _, Opened, Parcel},
};
use parking_lot::Mutex;

use super::{
    Anew, Facts, Giving,
    line::{Estate, Hello, Kind, Line, MAGIC, Offer, PortOffer},
    predecessor::Prepared,
};
use crate::{
    clock,
    state::PnStore,
    worker::{Command, Mailbox, Worker},
};

fn lines() -> (Line, Line) {
    let (one, other) = UnixStream::pair().unwrap();
    (Line::new(one), Line::new(other))
}

fn offer() -> Offer {
    let port = PortOffer {
        key: "port p1".to_owned(),
        worker: 1,
        count: 2,
        facts: "tap".to_owned(),
        device: "lan0".to_owned(),
    };
    Offer {
        now: Instant::from_nanos(1),
        monotonic: 2,
        folder: "/var/lib/quadspan".to_owned(),
        api: Some("/run/quadspan/api.sock".to_owned()),
        has_metrics: false,
        hands_off: vec![(
            "eth1".to_owned(),
            vec![("net/ipv4/conf/eth1/rp_filter".to_owned(), "2".to_owned())],
        )],
        ports: vec![port],
    }
}

fn packed(pack: impl FnOnce(&mut Parcel)) -> Parcel {
    let mut parcel = Parcel::new();
    pack(&mut parcel);
    parcel
}

#[test]
fn each_hears_what_the_other_says_and_nothing_else() {
    let (here, there) = lines();
    let hello = Hello { magic: MAGIC, format: 7, version: "1.2.3".to_owned() };
    here.say_with(Kind::Hello, &packed(|out| hello.pack(out)), &[]).unwrap();
    let heard = there.hear(Kind::Hello).unwrap();
    let told = Hello::unpack(&mut heard.body()).unwrap();
    assert_eq!((told.magic, told.format, told.version.as_str()), (MAGIC, 7, "1.2.3"));
    here.say(Kind::Ready).unwrap();
    let wrong = there.hear(Kind::Go).map(|_| ()).unwrap_err();
    assert_eq!(wrong.to_string(), "it said Ready instead of Go");
    here.say_failed("no such port");
    assert_eq!(there.hear(Kind::Ready).map(|_| ()).unwrap_err().to_string(), "no such port");
    drop(here);
    assert_eq!(there.hear(Kind::Ready).map(|_| ()).unwrap_err().to_string(), "it ended");
}

#[test]
fn an_estate_is_found_by_name_and_one_that_was_cut_is_none() {
    let estate = Estate {
        channels: vec![("ch1".to_owned(), b"one".as_slice()), ("ch2".to_owned(), b"")],
        interfaces: vec![("blue/ch1".to_owned(), b"x")],
        connections: vec![],
        ports: vec![(("port p1".to_owned(), 1), b"place")],
    };
    let parcel = packed(|out| estate.pack(out));
    let whole = parcel.as_octets();
    let opened = Estate::unpack(&mut Opened::new(whole)).unwrap();
    assert_eq!(opened.channel("ch1"), Some(b"one".as_slice()));
    assert_eq!(opened.channel("ch3"), None);
    assert_eq!(opened.ports, estate.ports);
    for cut in 0..whole.len() {
        assert!(Estate::unpack(&mut Opened::new(&whole[..cut])).is_none(), "{cut}");
    }
}

// Two programs understand each other when their layouts are the same. Whoever changes one of these sees it here, and changes
// FORMAT with it.
#[test]
fn the_format_is_what_its_number_says() {
    let offered = packed(|out| offer().pack(out));
    let numbers = packed(|out| {
        let own = macsec::Sci::new(net::MacAddr([2, 0, 0, 0, 0, 1]), 1);
        let secy = macsec::SecY::new(macsec::SecyPolicy::new(own), Instant::ZERO).unwrap();
        secy.numbers().pack(out);
    });
    let lengths = (super::FORMAT, offered.as_octets().len(), numbers.as_octets().len());
    assert_eq!(lengths, (2, 202, 33));
}

/// A worker without anything, and what hands it over.
fn gateway() -> (JoinHandle<()>, Mailbox, Giving, PathBuf) {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("quadspan-handover-{}-{number}", std::process::id()));
    let store = Arc::new(Mutex::new(PnStore::open(&folder).unwrap()));
    let (setup, board) = (Arc::new(Setup::default()), Board::new(0));
    let depot = Depot::new(PoolSizes::default());
    let dataplane = Dataplane::new(WorkerId(0), setup, board, Pool::new(depot), 1).unwrap();
    let (worker, mailbox) = Worker::new(dataplane, Box::new(drop)).unwrap();
    let facts = Facts {
        file: PathBuf::new(),
        program: PathBuf::new(),
        folder: folder.clone(),
        bound: None,
        channels: vec![],
        interfaces: vec![],
        connections: vec![],
        ports: BTreeMap::new(),
    };
    let mailboxes = vec![mailbox.clone()];
    let giving = Giving {
        facts: Arc::new(facts),
        mailboxes,
        store,
        doors: Arc::default(),
        locks: Arc::default(),
        hands_off: vec![],
    };
    (std::thread::spawn(move || drop(worker.run())), mailbox, giving, folder)
}

/// Hands over to a successor that does this once it was given the estate.
fn give_way_to(successor: impl FnOnce(Line) + Send + 'static) -> Result<Vec<Anew>, String> {
    let (thread, mailbox, giving, folder) = gateway();
    let (ours, theirs) = lines();
    let child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let prepared = Prepared::new(ours, child, clock::now());
    let other = std::thread::spawn(move || {
        if theirs.hear(Kind::Estate).is_ok() {
            successor(theirs);
        }
    });
    let given = giving.give_way(prepared);
    other.join().unwrap();
    if given.is_err() {
        // It works on: it answers, and ends when it is told to.
        let (reply, answer) = bounded(1);
        mailbox.send(Command::Report(reply));
        answer.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
        assert!(giving.store.try_lock().is_some(), "packet numbers can be reserved again");
        mailbox.send(Command::Stop);
    }
    thread.join().unwrap();
    let _removed = std::fs::remove_dir_all(folder);
    given.map(|(handed, _)| handed.anew).map_err(|why| format!("{why:#}"))
}

/// The same, and again, three times at most, where a worker got no processor for as long as it may take: that is no news of the
/// successor.
fn give_way_in_time_to(successor: fn(Line)) -> Result<Vec<Anew>, String> {
    let starved = |told: &Result<Vec<Anew>, String>| {
        let slow = ["a worker does not rest", "a worker does not leave"];
        told.as_ref().is_err_and(|why| slow.iter().any(|one| why.starts_with(one)))
    };
    let mut told = give_way_to(successor);
    for _ in 0..2 {
        if starved(&told) {
            told = give_way_to(successor);
        }
    }
    told
}

#[test]
fn until_it_said_go_a_predecessor_goes_on_whatever_the_successor_does() {
    let refused = |why| Err(format!("the successor cannot go on: {why}"));
    let cases: [(fn(Line), _); 6] = [
        (drop, refused("it ended")),
        (|line| line.say_failed("no"), refused("no")),
        (|line| line.say(Kind::Ready).unwrap(), refused("it said Ready instead of Taken")),
        // Silence, until the predecessor has hung up.
        (|line| line.hear_end(), refused("it took too long")),
        // And one that is as it should be.
        (taken, Ok(vec![])),
        (taken_anew, Ok(vec![anew()])),
    ];
    for (successor, told) in cases {
        assert_eq!(give_way_in_time_to(successor), told);
    }
}

fn anew() -> Anew {
    Anew { subject: "channel ch2".to_owned(), message: "its SCI".to_owned() }
}

// What did not go on is said with `Taken`; a program from before that says it with nothing.
fn taken_anew(line: Line) {
    line.say_with(Kind::Taken, &packed(|out| vec![anew()].pack(out)), &[]).unwrap();
    line.hear(Kind::Go).unwrap();
}

fn taken(line: Line) {
    line.say(Kind::Taken).unwrap();
    line.hear(Kind::Go).unwrap();
}
