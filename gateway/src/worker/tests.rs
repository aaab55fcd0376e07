//! What a worker sends when ports gather, with ports that write down what they are asked to do.

use std::{
    io::Write as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex},
};

use dataplane::{
    BATCH, Board, Depot, Frame, Pool, PoolSizes, WorkerId,
    port::{PortCaps, WORTH_GATHERING},
};

use super::*;
use crate::bench::memory::{Wish, roads};

/// What a port was asked to do, and with how many frames; or what was told of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Gather(usize),
    SendGathered,
    Send(usize),
    Look,
    Moved,
}

type Asks = Arc<Mutex<Vec<(PortId, Asked)>>>;

struct Scribe {
    id: PortId,
    asks: Asks,
    gathers: bool,
    /// It says that it gathers, and takes nothing when asked to.
    changed_its_mind: bool,
    /// Its device is not there any more.
    gone: bool,
    /// What it is going to receive, the last one first.
    coming: Vec<Vec<u8>>,
    /// Frames that it hands over at a time.
    at_once: usize,
    /// What its path carries, once it looks again.
    carries: Option<u16>,
    looked: bool,
    /// What tells the poller whether something waits.
    fd: Option<OwnedFd>,
}

impl Port for Scribe {
    fn receive(&mut self, batch: &mut Batch, pool: &mut Pool) -> Result<usize, PortError> {
        let before = batch.len();
        while !batch.is_full()
            && batch.len() - before < self.at_once
            && let Some(octets) = self.coming.pop()
        {
            let mut buf = pool.for_len(octets.len()).unwrap();
            assert!(buf.extend_from_slice(&octets));
            batch.push(Frame::new(buf));
        }
        Ok(batch.len() - before)
    }

    fn send(&mut self, frames: &mut Vec<Frame>, pool: &mut Pool) -> Result<(), PortError> {
        self.asks.lock().unwrap().push((self.id, Asked::Send(frames.len())));
        frames.drain(..).for_each(|frame| pool.recycle(frame));
        if self.gone { Err(PortError::Gone) } else { Ok(()) }
    }

    fn gathers(&self) -> bool {
        self.gathers
    }

    fn gather(&mut self, frames: &mut Vec<Frame>, pool: &mut Pool) {
        if !self.changed_its_mind {
            self.asks.lock().unwrap().push((self.id, Asked::Gather(frames.len())));
            frames.drain(..).for_each(|frame| pool.recycle(frame));
        }
    }

    fn send_gathered(&mut self) {
        self.asks.lock().unwrap().push((self.id, Asked::SendGathered));
    }

    fn path_news(&mut self) -> Option<u16> {
        self.carries.filter(|_| core::mem::take(&mut self.looked))
    }

    fn look_again(&mut self) {
        self.asks.lock().unwrap().push((self.id, Asked::Look));
        self.looked = true;
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    fn caps(&self) -> PortCaps {
        PortCaps::default()
    }

    fn kind(&self) -> PortKind {
        PortKind::Memory
    }

    fn counters(&self) -> PortCounters {
        PortCounters::default()
    }
}

fn scribe(id: PortId, asks: Asks, gathers: bool) -> Scribe {
    let (changed_its_mind, gone, looked) = (false, false, false);
    Scribe {
        id,
        asks,
        gathers,
        changed_its_mind,
        gone,
        coming: vec![],
        at_once: BATCH,
        carries: None,
        looked,
        fd: None,
    }
}

/// A worker with a LAN and four channels, whose ports gather unless changed; so many frames come on the LAN, and it works once.
fn work(frames: usize, change: impl Fn(usize, &mut Scribe, &[u8])) -> Vec<(PortId, Asked)> {
    let road = roads(1, Wish::of(64), clock::now()).unwrap().pop().unwrap();
    let (dataplane, lan, wans, all, question) = road.into_near();
    let asks = Asks::default();
    let told = asks.clone();
    let news = move |news| {
        if let News::Moved(moved, _) = news {
            told.lock().unwrap().push((PortId(moved.interface.0), Asked::Moved));
        }
    };
    let (mut worker, _mailbox) = Worker::new(dataplane, Box::new(news)).unwrap();
    // What the making of the road left.
    worker.pass_time(clock::now());
    worker.settle();
    asks.lock().unwrap().clear();
    for (at, id) in [lan].into_iter().chain(wans).enumerate() {
        let coming = if id == lan { all.iter().cycle().take(frames).cloned().collect() } else { Vec::new() };
        let (asks, gathers) = (asks.clone(), true);
        let mut port = Scribe { coming, ..scribe(id, asks, gathers) };
        change(at, &mut port, &question);
        worker.set_port(id, Box::new(port)).unwrap();
    }
    let token = u64::from(lan.0);
    worker.work(&mut vec![Ready { token, readable: true, writable: false, failed: false }]);
    worker.settle();
    assert!(worker.gathering.is_empty() && worker.gathered() == 0, "nothing waits any more");
    assert!(worker.dataplane.poll_transmit().is_none());
    let asks = asks.lock().unwrap();
    asks.clone()
}

/// How many frames left together each time.
fn lots(asks: &[(PortId, Asked)]) -> Vec<usize> {
    let mut lots = vec![0];
    for (_, asked) in asks {
        match (asked, lots.last_mut()) {
            (Asked::Gather(frames), Some(lot)) => *lot += frames,
            (Asked::SendGathered, Some(lot)) if *lot > 0 => lots.push(0),
            _ => {}
        }
    }
    lots.into_iter().filter(|lot| *lot > 0).collect()
}

fn count(asks: &[(PortId, Asked)], of: fn(Asked) -> Option<usize>) -> usize {
    asks.iter().filter_map(|(_, asked)| of(*asked)).sum()
}

const fn gathered(asked: Asked) -> Option<usize> {
    if let Asked::Gather(frames) = asked { Some(frames) } else { None }
}

const fn sent(asked: Asked) -> Option<usize> {
    if let Asked::Send(frames) = asked { Some(frames) } else { None }
}

const fn calls(asked: Asked) -> Option<usize> {
    if let Asked::SendGathered = asked { Some(1) } else { None }
}

#[test]
fn frames_of_all_ports_leave_together_when_nothing_more_comes() {
    let asks = work(64, |_, _, _| {});
    assert_eq!((count(&asks, gathered), count(&asks, sent)), (64, 0), "{asks:?}");
    // All gather before any sends, and every one of them is asked to: one of them may not be able to any more.
    let ports = asks.iter().filter(|(_, asked)| gathered(*asked).is_some()).count();
    assert!(ports > 1, "{asks:?}");
    assert!(asks[..ports].iter().all(|(_, asked)| gathered(*asked).is_some()), "{asks:?}");
    assert_eq!(count(&asks, calls), ports);
}

#[test]
fn enough_frames_leave_at_once_and_the_rest_when_nothing_more_comes() {
    let asks = work(300, |_, _, _| {});
    assert_eq!((count(&asks, gathered), count(&asks, sent)), (300, 0), "{asks:?}");
    // Batches of 64: two of them are enough, and the last one is 44.
    assert_eq!(lots(&asks), [128, 128, 44]);
}

// The host asks for its gateway's address, and the answer is a control frame.
#[test]
fn a_control_frame_waits_for_a_round_and_no_longer() {
    let asks = work(128, |at, port, question| {
        if at == 0 {
            port.coming.push(question.to_vec());
        }
    });
    assert_eq!(lots(&asks), [64, 65], "{asks:?}");
}

// A channel's device goes, and its connection's frames take other ways: they do before that is told.
#[test]
fn what_moved_has_left_when_it_is_told_and_a_port_that_is_gone_is_asked_no_more() {
    let asks = work(128, |at, port, _| {
        (port.gathers, port.gone) = if at == 2 { (false, true) } else { (true, false) }
    });
    let told = asks.iter().position(|(_, asked)| *asked == Asked::Moved).expect("it is told");
    let first = asks.iter().position(|(_, asked)| *asked == Asked::SendGathered).unwrap();
    assert!(first < told, "{asks:?}");
    assert_eq!(asks.iter().filter(|(_, asked)| sent(*asked).is_some()).count(), 1, "{asks:?}");
    assert_eq!(count(&asks, gathered) + count(&asks, sent), 128, "{asks:?}");
}

#[test]
fn few_frames_leave_port_by_port() {
    for frames in 1..WORTH_GATHERING {
        let asks = work(frames, |_, _, _| {});
        assert_eq!((count(&asks, gathered), count(&asks, sent)), (0, frames), "{asks:?}");
    }
}

#[test]
fn a_port_that_does_not_gather_waits_for_nobody() {
    let asks = work(128, |at, port, _| port.gathers = at != 2);
    let odd = asks.iter().filter(|(_, asked)| sent(*asked).is_some());
    let odd: Vec<_> = odd.map(|(id, _)| *id).collect();
    // Batch by batch, before the others.
    assert_eq!(odd.len(), 2, "{asks:?}");
    assert!(odd.iter().all(|id| *id == odd[0]));
    assert_eq!(count(&asks, gathered) + count(&asks, sent), 128);
    assert!(sent(asks[0].1).is_some(), "{asks:?}");
}

// It hears that the other end of its link takes such frames no more, while others have gathered theirs.
#[test]
fn what_a_port_does_not_gather_in_the_end_it_sends_behind_the_others() {
    let asks = work(64, |at, port, _| port.changed_its_mind = at == 1);
    assert_eq!(count(&asks, gathered) + count(&asks, sent), 64, "{asks:?}");
    assert!(count(&asks, sent) > 0, "{asks:?}");
    assert!(sent(asks.last().unwrap().1).is_some(), "{asks:?}");
    assert!(count(&asks, calls) > 1, "those that gathered send, whatever the first one can: {asks:?}");
}

/// How many frames leave by the LAN, each time, when so many of one flow come by a channel, `at_once` with each look.
fn joined(coming: usize, at_once: usize) -> Vec<usize> {
    let wish = Wish { offload: true, ..Wish::of(1000) };
    let road = roads(1, wish, clock::now()).unwrap().pop().unwrap();
    let (dataplane, lan, wan, mut coming) = road.into_far(coming, clock::now());
    let count = coming.len();
    coming.reverse();
    let (mut worker, _mailbox) = Worker::new(dataplane, Box::new(|_| {})).unwrap();
    worker.pass_time(clock::now());
    worker.settle();
    let asks = Asks::default();
    worker.set_port(lan, Box::new(scribe(lan, asks.clone(), false))).unwrap();
    let port = Scribe { coming, at_once, ..scribe(wan, Asks::default(), false) };
    worker.set_port(wan, Box::new(port)).unwrap();
    let token = u64::from(wan.0);
    worker.work(&mut vec![Ready { token, readable: true, writable: false, failed: false }]);
    // Without another verb: next it may sleep.
    assert!(worker.dataplane.poll_transmit().is_none() && !worker.dataplane.close_trains());
    let received: u64 =
        worker.dataplane.snapshot(clock::now()).interfaces.iter().map(|one| one.counters.rx_transit).sum();
    assert!(received >= u64::try_from(count).unwrap(), "{received}");
    let asks = asks.lock().unwrap();
    asks.iter().filter_map(|(_, asked)| sent(*asked)).collect()
}

#[test]
fn what_comes_in_rounds_leaves_as_one_train_when_nothing_more_comes() {
    assert_eq!(joined(60, 20), [1]);
    assert_eq!(joined(60, BATCH), [1]);
    // 64 datagrams are a whole train.
    assert_eq!(joined(80, 20), [1, 1]);
    // A train that is short after a round waits for no other.
    assert_eq!(joined(24, 8), [1, 1, 1]);
    assert_eq!(joined(1, BATCH), [1]);
}

// Nothing is sent meanwhile: below a reserve there may be nothing but an MKPDU now and then.
#[test]
fn a_path_that_is_too_narrow_is_looked_at_by_the_clock_until_it_is_not() {
    let road = roads(1, Wish::of(64), clock::now()).unwrap().pop().unwrap();
    let (dataplane, _, wans, ..) = road.into_near();
    let (mut worker, _mailbox) = Worker::new(dataplane, Box::new(|_| {})).unwrap();
    let (asks, now) = (Asks::default(), clock::now());
    for (id, carries) in [(wans[0], 1300), (wans[1], 9000)] {
        let port = Scribe { carries: Some(carries), ..scribe(id, asks.clone(), false) };
        worker.set_port(id, Box::new(port)).unwrap();
        worker.hear_of_path(id, 1300, now);
    }
    let looked = || core::mem::take(&mut *asks.lock().unwrap());
    let soon = now.after(Duration::from_secs(9));
    worker.look_at_narrowed(soon);
    assert_eq!(looked(), []);
    let due = worker.next_look().unwrap();
    assert!(due > soon && due <= now.after(Duration::from_secs(10)), "{due:?}");
    assert!(worker.wait(due).is_some_and(|wait| wait.is_zero()));
    for id in [wans[0], wans[1]] {
        worker.look_at_narrowed(due);
        assert_eq!(looked(), [(id, Asked::Look)], "one at a time");
    }
    // The first is as narrow as ever; the other one carries what its attachments take.
    let again = worker.next_look().unwrap();
    for later in [again, again] {
        worker.look_at_narrowed(later);
    }
    assert_eq!(looked(), [(wans[0], Asked::Look)]);
    worker.release(wans[0]);
    assert_eq!(worker.next_look(), None);
}

// It goes before others then: were it awake all the time, those that it waits for would have no processor.
#[test]
fn a_worker_that_rests_sleeps_although_frames_wait() {
    let pool = Pool::new(Depot::new(PoolSizes::default()));
    let dataplane = Dataplane::new(WorkerId(0), Arc::default(), Board::new(0), pool, 1).unwrap();
    let (mut worker, mailbox) = Worker::new(dataplane, Box::new(|_| {})).unwrap();
    let (waits, mut frame) = std::io::pipe().unwrap();
    frame.write_all(&[1]).unwrap();
    let port = Scribe { fd: Some(waits.into()), ..scribe(PortId(0), Asks::default(), false) };
    worker.set_port(PortId(0), Box::new(port)).unwrap();
    let thread = std::thread::spawn(move || drop(worker.run()));
    let (reply, rested) = crossbeam::channel::bounded(1);
    mailbox.send(Command::Handover(Step::Rest(reply)));
    rested.recv().unwrap();
    let wakes = || {
        let (reply, report) = crossbeam::channel::bounded(1);
        mailbox.send(Command::Report(reply));
        report.recv().unwrap().account.wakes
    };
    let (before, began) = (wakes(), clock::now());
    while clock::now().since(began) < Duration::from_millis(50) {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let woke = wakes() - before;
    let passed = clock::now().since(began).as_millis();
    assert!(u128::from(woke) <= passed + 2, "{woke} times in {passed} ms");
    mailbox.send(Command::Stop);
    thread.join().unwrap();
}
