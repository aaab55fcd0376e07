//! Which channel a packet leaves by, against the rules of `protection/mod.rs` and `liveness.rs` read off a history: random typed
//! operations on a gateway, and after each of them a packet of every flow, seen on the wires.
//!
//! The reference shares no line and no structure with the gateway. It keeps what happened and looks through it anew for every
//! question. It does not know how flows are spread: of `ecmp` it learns, flow by flow, which channel was preferred to which,
//! and nothing that it sees later may contradict that. So a flow that moves although its channel may carry it, or that does
//! not come back to where it was, is found whatever the hash is.
//!
//! A failure is shrunk and printed with its operations. `QUADSPAN_SEEDS=10000 cargo test -p scenarios --test choice` plays more.

use core::time::Duration;
use std::{collections::BTreeMap, sync::Arc};

use dataplane::{
    ChannelId, ConnectionTables, Fault, Hop, InterfaceId, Protection, Tables, Target, frer::RecoveryParams,
    protection::StandbyParams,
};
use net::Instant;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use world::{
    Plan,
    Side::{self, Left, Right},
    World, routes, setup, udp,
};

const CHANNELS: u8 = 5;
const FLOWS: u16 = 16;

/// What happens to a gateway.
#[derive(Clone, Copy, Debug)]
enum Operation {
    /// A link goes down, or comes up.
    Link(u8, bool),
    /// Planned work begins, or ends.
    Drain(u8, bool),
    /// The path is measured as bad, or as good.
    Bad(u8, bool),
    /// Its share among those that lead to the destination.
    Share(u8, u8),
    /// It has a route there, or keeps its seat and carries nothing.
    Route(u8, bool),
    /// It leads to the destination, or not at all.
    Lead(u8, bool),
    /// Milliseconds pass.
    Wait(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let channel = || 0..CHANNELS;
    prop_oneof![
        5 => (channel(), any::<bool>()).prop_map(|(at, up)| Operation::Link(at, up)),
        2 => (channel(), any::<bool>()).prop_map(|(at, begins)| Operation::Drain(at, begins)),
        2 => (channel(), any::<bool>()).prop_map(|(at, bad)| Operation::Bad(at, bad)),
        1 => (channel(), prop_oneof![Just(1), Just(2), Just(10)])
            .prop_map(|(at, share)| Operation::Share(at, share)),
        2 => (channel(), any::<bool>()).prop_map(|(at, has)| Operation::Route(at, has)),
        1 => (channel(), any::<bool>()).prop_map(|(at, leads)| Operation::Lead(at, leads)),
        4 => (1_u64..200).prop_map(Operation::Wait),
    ]
}

/// How a connection uses its channels.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Ecmp,
    Standby { hold_down: Duration, revert: Option<Duration> },
    Duplicate,
}

type Protect = fn(Side, u8) -> Protection;

/// How much channels are preferred.
const ORDERS: [[u32; 5]; 4] = [[5, 4, 3, 2, 1], [1, 2, 3, 4, 5], [7; 5], [3, 9, 3, 9, 1]];
const NEVER: u64 = u64::MAX;

/// Times in milliseconds.
fn standby<const HOLD_DOWN: u64, const REVERT: u64, const ORDER: usize>(_: Side, _: u8) -> Protection {
    let Mode::Standby { hold_down, revert } = timers(HOLD_DOWN, REVERT) else { unreachable!() };
    let standby = StandbyParams { hold_down, revert_delay: revert };
    Protection::ActiveStandby { standby, preferences: ORDERS[ORDER].to_vec() }
}

fn duplicate<const ORDER: usize>(_: Side, _: u8) -> Protection {
    Protection::Duplicate { recovery: RecoveryParams::default(), preferences: ORDERS[ORDER].to_vec() }
}

fn timers(hold_down: u64, revert: u64) -> Mode {
    let revert = (revert != NEVER).then(|| Duration::from_millis(revert));
    Mode::Standby { hold_down: Duration::from_millis(hold_down), revert }
}

/// Every connection that is tried, with the place of its order.
fn connections() -> Vec<(Mode, usize, Protect)> {
    vec![
        (Mode::Ecmp, 0, |_, _| Protection::Ecmp),
        (timers(0, 0), 0, standby::<0, 0, 0>),
        (timers(150, 300), 1, standby::<150, 300, 1>),
        (timers(400, 100), 3, standby::<400, 100, 3>),
        (timers(100, 250), 2, standby::<100, 250, 2>),
        (timers(200, NEVER), 0, standby::<200, NEVER, 0>),
        (Mode::Duplicate, 0, duplicate::<0>),
        (Mode::Duplicate, 3, duplicate::<3>),
    ]
}

/// Of the channels that lead there, by number.
type Shares = Vec<(usize, u8)>;
/// `[a][b]`: a was preferred to b.
type Preferred = [[bool; 5]; 5];

/// What is known of a channel.
#[derive(Clone, Copy, Debug)]
struct Facts {
    link: bool,
    drained: bool,
    bad: bool,
    share: u8,
    route: bool,
    leads: bool,
}

/// The rules, read off what happened.
struct Reference {
    mode: Mode,
    order: [u32; 5],
    now: Instant,
    facts: [Facts; 5],
    /// Since when which channels may carry traffic, in the eyes of `active-standby`.
    story: Vec<(Instant, [bool; 5])>,
    active: Option<usize>,
    /// For each flow, while these were the shares.
    learnt: BTreeMap<Shares, Vec<Preferred>>,
}

impl Reference {
    /// Links come up one after the other.
    fn new(mode: Mode, order: [u32; 5]) -> Self {
        let down = Facts { link: false, drained: false, bad: false, share: 1, route: true, leads: true };
        let mut this = Self {
            mode,
            order,
            now: Instant::ZERO,
            facts: [down; 5],
            story: vec![(Instant::ZERO, [false; 5])],
            active: None,
            learnt: BTreeMap::new(),
        };
        for at in 0..CHANNELS {
            this.happens(Operation::Link(at, true));
        }
        this
    }

    fn happens(&mut self, operation: Operation) {
        let (Operation::Link(at, _)
        | Operation::Drain(at, _)
        | Operation::Bad(at, _)
        | Operation::Share(at, _)
        | Operation::Route(at, _)
        | Operation::Lead(at, _)) = operation
        else {
            let Operation::Wait(time) = operation else { unreachable!() };
            self.now = self.now.after(Duration::from_millis(time));
            return self.settle();
        };
        let facts = &mut self.facts[usize::from(at)];
        match operation {
            Operation::Link(_, up) => facts.link = up,
            Operation::Drain(_, begins) => facts.drained = begins,
            Operation::Bad(_, bad) => facts.bad = bad,
            Operation::Share(_, share) => facts.share = share,
            Operation::Route(_, has) => facts.route = has,
            Operation::Lead(_, leads) => facts.leads = leads,
            Operation::Wait(_) => {}
        }
        let may = self.may_carry(|_| true);
        if self.story.last().is_none_or(|(_, last)| *last != may) {
            self.story.push((self.now, may));
        }
        self.settle();
    }

    /// Those of a group without a fault; when there are none, those that are only drained or bad.
    fn may_carry(&self, of_group: impl Fn(&Facts) -> bool) -> [bool; 5] {
        let best = self.facts.map(|one| of_group(&one) && one.link && !one.drained && !one.bad);
        if best.contains(&true) { best } else { self.facts.map(|one| of_group(&one) && one.link) }
    }

    /// How long a channel has been able to carry without a break.
    fn unbroken(&self, channel: usize) -> Option<Duration> {
        let whole = self.story.iter().rev().take_while(|(_, may)| may[channel]).last();
        whole.map(|(since, _)| self.now.since(*since))
    }

    fn ever_failed(&self, channel: usize) -> bool {
        self.story.windows(2).any(|pair| pair[0].1[channel] && !pair[1].1[channel])
    }

    /// The most preferred, of equals the first.
    fn first(&self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        (0..5).filter(|&at| fits(at)).min_by_key(|&at| (u32::MAX - self.order[at], at))
    }

    /// The rules of `active-standby`.
    fn settle(&mut self) {
        let Mode::Standby { hold_down, revert } = self.mode else { return };
        let waited = |at: usize, time: Duration| {
            self.unbroken(at).is_some_and(|been| !self.ever_failed(at) || been >= time)
        };
        let stays = self.active.filter(|&at| self.unbroken(at).is_some());
        self.active = if let Some(active) = stays {
            let better = |at: usize| self.order[at] > self.order[active];
            let back =
                revert.and_then(|delay| self.first(|at| better(at) && waited(at, delay.max(hold_down))));
            back.or(Some(active))
        } else {
            let any = || self.first(|at| self.unbroken(at).is_some());
            self.first(|at| waited(at, hold_down)).or_else(any)
        };
    }

    /// A packet of a flow left by these channels: is that right?
    fn judge(&mut self, flow: usize, seen: &[usize]) -> Result<(), String> {
        let may = self.may_carry(|one| one.leads && one.route);
        let wrong =
            |right: &dyn core::fmt::Debug| Err(format!("flow {flow} left by {seen:?}, not {right:?}"));
        if !may.contains(&true) {
            return if seen.is_empty() { Ok(()) } else { wrong(&"not at all") };
        }
        match self.mode {
            Mode::Ecmp => match seen {
                [one] if may[*one] => self.learn(flow, *one, may),
                _ => wrong(&may),
            },
            Mode::Standby { .. } => {
                let right = self.active.filter(|&at| may[at]).or_else(|| self.first(|at| may[at]));
                if seen == right.as_slice() { Ok(()) } else { wrong(&right) }
            }
            Mode::Duplicate => {
                let first = self.first(|at| may[at]);
                let second = self.first(|at| may[at] && Some(at) != first);
                let mut right: Vec<usize> = first.into_iter().chain(second).collect();
                right.sort_unstable();
                if seen == right { Ok(()) } else { wrong(&right) }
            }
        }
    }

    fn learn(&mut self, flow: usize, winner: usize, may: [bool; 5]) -> Result<(), String> {
        let seats = self.facts.iter().enumerate().filter(|(_, one)| one.leads);
        let seats: Shares = seats.map(|(at, one)| (at, one.share)).collect();
        let flows = self.learnt.entry(seats).or_insert_with(|| vec![[[false; 5]; 5]; usize::from(FLOWS)]);
        let over = &mut flows[flow];
        for loser in (0..5).filter(|&at| may[at] && at != winner) {
            over[winner][loser] = true;
        }
        // What is preferred to something is preferred to all that this is preferred to.
        for (middle, from, to) in (0..125).map(|n| (n / 25, n / 5 % 5, n % 5)) {
            over[from][to] |= over[from][middle] && over[middle][to];
        }
        let circle = (0..5).find(|&at| over[at][at]);
        circle.map_or(Ok(()), |_| {
            Err(format!("flow {flow} now prefers {winner} to what it preferred before: {may:?}"))
        })
    }
}

/// The gateway under test, and what leaves it.
struct Subject {
    world: World,
    plan: Plan,
    generation: u64,
    around: usize,
}

impl Subject {
    fn new(protection: Protect) -> Self {
        let plan = Plan { channels: CHANNELS, protection, ..Plan::default() };
        let mut this = Self { world: World::of(plan), plan, generation: 1, around: 0 };
        this.world.pass(Duration::from_millis(1));
        this.world.send(Left, vec![packet(0)]);
        let longest = this.world.wire.iter().flatten().map(Vec::len).max().unwrap();
        this.around = longest - packet(0).len();
        this
    }

    fn happens(&mut self, operation: Operation, facts: &[Facts; 5]) {
        let now = self.world.now;
        let left = |world: &mut World, channel: u8, fault, present| {
            world.at(Left).set_channel_fault(ChannelId(channel.into()), fault, present, now);
        };
        match operation {
            Operation::Link(at, up) => self.world.carrier(at, up),
            Operation::Drain(at, begins) => left(&mut self.world, at, Fault::Drained, begins),
            Operation::Bad(at, bad) => left(&mut self.world, at, Fault::Quality, bad),
            Operation::Share(..) | Operation::Route(..) | Operation::Lead(..) => self.route(facts),
            Operation::Wait(time) => drop(self.world.pass(Duration::from_millis(time))),
        }
    }

    /// Routes whose hops are those that lead there, with their shares.
    fn route(&mut self, facts: &[Facts; 5]) {
        self.generation += 1;
        let setup = setup(Left, &self.plan);
        let mut all = routes(Left, CHANNELS, &setup);
        for (_, target) in &mut all {
            let Target::Via(hops) = target else { continue };
            let hop = |(at, hop): (usize, Hop)| {
                let one = facts[at];
                one.leads.then_some(Hop {
                    weight: one.share,
                    carries: one.route,
                    interface: InterfaceId::at(at),
                    ..hop
                })
            };
            *hops = hops.drain(..).enumerate().filter_map(hop).collect();
        }
        let tables =
            Tables { generation: self.generation, connections: vec![Arc::new(ConnectionTables::build(all))] };
        drop(self.world.at(Left).set_tables(Arc::new(tables)));
        self.world.pass(Duration::ZERO);
    }

    /// The channels that a packet of this flow left by, and how many times the far host got it.
    fn send(&mut self, flow: u16) -> (Vec<usize>, usize) {
        self.world.wire.iter_mut().for_each(Vec::clear);
        let packet = packet(flow);
        let len = packet.len() + self.around;
        let got = self.world.send(Left, vec![packet]);
        let wires = self.world.wire.iter().enumerate();
        let carried =
            wires.flat_map(|(at, wire)| wire.iter().filter(|frame| frame.len() == len).map(move |_| at));
        (carried.collect(), got.iter().filter(|(side, _)| *side == Right).count())
    }
}

/// Longer than anything that a gateway sends by itself, and as long as no packet of another flow.
fn packet(flow: u16) -> Vec<u8> {
    udp(Left, Right.host(), 1000 + flow, &vec![0xa5; 300 + 4 * usize::from(flow)])
}

fn agree(at: usize, operations: &[Operation]) -> Result<(), TestCaseError> {
    let (mode, order, protection) = connections()[at];
    let (mut subject, mut reference) = (Subject::new(protection), Reference::new(mode, ORDERS[order]));
    reference.happens(Operation::Wait(1));
    for (step, &operation) in operations.iter().enumerate() {
        let last = |facts: &[Facts; 5]| facts.iter().filter(|one| one.leads).count() == 1;
        if matches!(operation, Operation::Lead(at, false) if reference.facts[usize::from(at)].leads)
            && last(&reference.facts)
        {
            continue;
        }
        reference.happens(operation);
        subject.happens(operation, &reference.facts);
        for flow in 0..FLOWS {
            let (carried, arrived) = subject.send(flow);
            let story = || format!("{mode:?}, step {step}: {operation:?}, {:?}", reference.facts);
            prop_assert_eq!(
                arrived,
                usize::from(!carried.is_empty()),
                "flow {}, by {:?}, {}",
                flow,
                &carried,
                story()
            );
            let verdict = reference.judge(flow.into(), &carried);
            prop_assert!(
                verdict.is_ok(),
                "{}; step {step}: {operation:?}, {:?}",
                verdict.unwrap_err(),
                reference.facts
            );
        }
    }
    Ok(())
}

#[test]
fn every_packet_leaves_by_the_channels_that_the_rules_name() {
    let cases = std::env::var("QUADSPAN_SEEDS").map_or(96, |text| text.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let strategy = (0..connections().len(), prop::collection::vec(operation(), 1..40));
    runner.run(&strategy, |(at, operations)| agree(at, &operations)).unwrap();
}
