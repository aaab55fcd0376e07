//! A network in virtual time: gateways with a KaY and a SecY each on one segment, and traffic between all of them.
//!
//! MKPDUs are lost, delayed (and so reordered), duplicated and corrupted as [`Weather`] says, by a seed. Data frames
//! cross undisturbed after [`World::data_delay`], so that every one that is lost was lost by the key agreement.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use macsec::{
    An, Cak, CipherSuite, Ckn, Fingerprint, RxVerdict, Sci, SecY, SecyNumbers, SecyPolicy, Ssci,
    mka::{Kay, KayParams, KeyAction, KeyEntry, MkaEvent, MkaStatus, Standing},
};
use net::{
    Instant, MacAddr, PacketBuf,
    carry::{Carry as _, Opened},
};

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn at(millis: u64) -> Instant {
    Instant::ZERO.after(ms(millis))
}

pub(crate) fn ckn(name: u8) -> Ckn {
    Ckn::new(&[name; 8]).unwrap()
}

pub(crate) fn cak(secret: u8) -> Cak {
    Cak::new(&[secret; 32]).unwrap()
}

pub(crate) fn key(name: u8) -> KeyEntry {
    KeyEntry::new(ckn(name), cak(name))
}

pub(crate) fn mac(node: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, u8::try_from(node).unwrap() + 1])
}

pub(crate) fn sci(node: usize) -> Sci {
    Sci::new(mac(node), 1)
}

/// Settings with a random order of precedence: node 0 has the lowest SCI, and so is key server at equal priority.
pub(crate) fn params(node: usize) -> KayParams {
    KayParams::new(sci(node))
}

/// SplitMix64: same seed, same run.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn rng(mut self) -> Rng {
        Box::new(move |room| room.iter_mut().for_each(|octet| *octet = self.roll() as u8))
    }
}

/// Decides whether an MKPDU of this node is sent.
type Filter = Box<dyn FnMut(usize, &[u8]) -> bool>;

/// Fills a buffer with random octets.
type Rng = Box<dyn FnMut(&mut [u8]) + Send>;

/// What happens to MKPDUs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) duplicate: u64,
    pub(crate) corrupt: u64,
    pub(crate) delay: (Duration, Duration),
}

impl Weather {
    pub(crate) const FAIR: Self = Self { loss: 0, duplicate: 0, corrupt: 0, delay: (ms(1), ms(1)) };
}

pub(crate) struct Node {
    pub(crate) params: KayParams,
    pub(crate) keys: Vec<KeyEntry>,
    pub(crate) kay: Kay,
    pub(crate) secy: SecY,
    pub(crate) alive: bool,
    pub(crate) secured: bool,
    pub(crate) secured_at: Option<Instant>,
    /// Key and SSCI behind each association number, as told by the actions.
    tx_keys: BTreeMap<An, (Fingerprint, Ssci, CipherSuite)>,
    rx_ready: BTreeSet<(Sci, An, Fingerprint)>,
    rx_keys: BTreeMap<(Sci, An), Fingerprint>,
    pub(crate) events: Vec<(Instant, MkaEvent)>,
    pub(crate) sent_mkpdus: u64,
    sent_data: u64,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Parcel {
    Mkpdu(Vec<u8>),
    Data { from: usize, number: u64, counts: bool, octets: Vec<u8> },
}

/// A data frame that did not arrive.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "printed when a test fails")]
pub(crate) struct Loss {
    pub(crate) at: Instant,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) number: u64,
    pub(crate) why: String,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node>,
    pub(crate) weather: Weather,
    pub(crate) dice: Dice,
    /// Links on which nothing passes, from one node to another.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    pub(crate) data_delay: Duration,
    /// Time between two data frames of each node, if there is traffic.
    pub(crate) traffic: Option<Duration>,
    next_traffic: Instant,
    queue: BinaryHeap<Reverse<(Instant, u64, usize, Parcel)>>,
    serial: u64,
    /// Frames sent while every node was secured, and those of them that were lost.
    pub(crate) carried: u64,
    pub(crate) losses: Vec<Loss>,
    /// (key, SSCI or SCI, packet number) of every frame sent.
    nonces: BTreeSet<(Fingerprint, u64, u64)>,
    /// Every MKPDU sent, with its sender: for tests that look, or replay.
    pub(crate) tape: Vec<(Instant, usize, Vec<u8>)>,
    pub(crate) taping: bool,
    /// Every MKPDU passes through here before it is sent.
    pub(crate) filter: Option<Filter>,
    pub(crate) refusals: Vec<String>,
    spins: u32,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            now: at(1000),
            nodes: Vec::new(),
            weather: Weather::FAIR,
            dice: Dice::new(seed),
            cut: BTreeSet::new(),
            data_delay: ms(2),
            traffic: None,
            next_traffic: Instant::FAR_FUTURE,
            queue: BinaryHeap::new(),
            serial: 0,
            carried: 0,
            losses: Vec::new(),
            nonces: BTreeSet::new(),
            tape: Vec::new(),
            taping: false,
            filter: None,
            refusals: Vec::new(),
            spins: 0,
        }
    }

    /// `count` nodes with one key, in fair weather.
    pub(crate) fn of(count: usize) -> Self {
        let mut world = Self::new(1);
        for node in 0..count {
            world.add(params(node), vec![key(1)]);
        }
        world
    }

    /// The same, with other settings for each.
    pub(crate) fn with(count: usize, change: impl Fn(usize, &mut KayParams)) -> Self {
        let mut world = Self::new(1);
        for node in 0..count {
            let mut params = params(node);
            change(node, &mut params);
            world.add(params, vec![key(1)]);
        }
        world
    }

    pub(crate) fn add(&mut self, params: KayParams, keys: Vec<KeyEntry>) -> usize {
        let node = self.fresh(params, keys);
        self.nodes.push(node);
        let at = self.nodes.len() - 1;
        self.drain(at);
        at
    }

    fn fresh(&mut self, params: KayParams, keys: Vec<KeyEntry>) -> Node {
        let seed = self.dice.roll();
        let mut kay = Kay::new(params.clone(), Dice::new(seed).rng(), self.now);
        kay.set_keys(keys.clone(), self.now);
        Node {
            secy: SecY::new(SecyPolicy::new(params.sci), self.now).unwrap(),
            params,
            keys,
            kay,
            alive: true,
            secured: false,
            secured_at: None,
            tx_keys: BTreeMap::new(),
            rx_ready: BTreeSet::new(),
            rx_keys: BTreeMap::new(),
            events: Vec::new(),
            sent_mkpdus: 0,
            sent_data: 0,
        }
    }

    /// The process dies.
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].alive = false;
        self.nodes[node].secured = false;
    }

    /// It is started again, and remembers nothing.
    pub(crate) fn restart(&mut self, node: usize) {
        let (params, keys) = (self.nodes[node].params.clone(), self.nodes[node].keys.clone());
        let sent_data = self.nodes[node].sent_data;
        self.nodes[node] = Node { sent_data, ..self.fresh(params, keys) };
        self.drain(node);
    }

    /// The process hands over to its successor, which has nothing but octets and the configuration.
    pub(crate) fn hand_over(&mut self, at: usize) {
        let (seed, now) = (self.dice.roll(), self.now);
        let node = &mut self.nodes[at];
        let (mut kept, mut numbers) = (net::carry::Parcel::new(), net::carry::Parcel::new());
        node.secy.numbers().pack(&mut numbers);
        node.kay.pack(&mut kept);
        node.secy = SecY::new(SecyPolicy::new(node.params.sci), now).unwrap();
        let numbers = SecyNumbers::unpack(&mut Opened::new(numbers.as_octets())).unwrap();
        let left = (&mut Opened::new(kept.as_octets()), &numbers);
        let rng = Dice::new(seed).rng();
        let resumed = Kay::resume(node.params.clone(), rng, node.keys.clone(), left, &mut node.secy, now);
        node.kay = resumed.unwrap_or_else(|| panic!("seed {}: node {at} cannot go on", self.seed));
        self.drain(at);
    }

    pub(crate) fn set_keys(&mut self, node: usize, keys: Vec<KeyEntry>) {
        let now = self.now;
        self.nodes[node].keys.clone_from(&keys);
        self.nodes[node].kay.set_keys(keys, now);
        self.drain(node);
    }

    pub(crate) fn start_traffic(&mut self, every: Duration) {
        self.traffic = Some(every);
        self.next_traffic = self.now;
    }

    pub(crate) fn stop_traffic(&mut self) {
        self.traffic = None;
        self.next_traffic = Instant::FAR_FUTURE;
    }

    /// Does something to a KaY and lets the world hear of it.
    pub(crate) fn tell<T>(&mut self, node: usize, what: impl FnOnce(&mut Kay, Instant) -> T) -> T {
        let now = self.now;
        self.note_pns(node);
        let answer = what(&mut self.nodes[node].kay, now);
        self.drain(node);
        answer
    }

    /// A frame arrives at `node` out of nowhere.
    pub(crate) fn inject(&mut self, node: usize, frame: &[u8]) {
        self.tell(node, |kay, now| hear(kay, frame, now));
    }

    pub(crate) fn status(&self, node: usize) -> MkaStatus {
        self.nodes[node].kay.status(self.now)
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now.after(time);
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until `done`, at most for `limit`; how long it took.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Duration {
        let (start, until) = (self.now, self.now.after(limit));
        while !done(self) {
            assert!(self.step(until), "seed {}: not within {limit:?}\n{}", self.seed, self.describe());
        }
        self.now.since(start)
    }

    /// Until everybody alive is secured with one key.
    pub(crate) fn settle(&mut self, limit: Duration) -> Duration {
        self.run_until(limit, Self::agreed)
    }

    /// Everybody alive is secured, with the same SAK, and no rollover is under way.
    pub(crate) fn agreed(&self) -> bool {
        let alive = || self.nodes.iter().filter(|node| node.alive);
        let keys: BTreeSet<_> = alive()
            .map(|node| {
                let status = node.kay.status(self.now);
                (node.secured, status.key.map(|key| key.key_id), status.next_key.is_some())
            })
            .collect();
        keys.len() == 1 && keys.iter().all(|(secured, key, next)| *secured && key.is_some() && !next)
    }

    /// One frame each way between all that are alive, now.
    pub(crate) fn ping(&mut self) {
        let (carried, lost) = (self.carried, self.losses.len());
        self.send_data();
        let delay = self.data_delay;
        self.run(delay + ms(1));
        let alive = self.nodes.iter().filter(|node| node.alive).count() as u64;
        let expected = alive * (alive - 1);
        assert_eq!(
            self.carried - carried,
            expected,
            "seed {}: not all secured\n{}",
            self.seed,
            self.describe()
        );
        assert_eq!(
            self.losses.len(),
            lost,
            "seed {}: {:?}\n{}",
            self.seed,
            &self.losses[lost..],
            self.describe()
        );
    }

    pub(crate) fn describe(&self) -> String {
        let mut text = format!("at {}\n", self.now);
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
            let status = node.kay.status(self.now);
            text += &format!(
                "node {at}: secured {} {:?} key {:?} next {:?} server {:?}\n  diagnoses {:?}\n",
                status.secured,
                status.cp,
                status.key.map(|key| (key.key_id.to_string(), key.an)),
                status.next_key.map(|key| (key.key_id.to_string(), key.an)),
                status.key_server.map(|server| server.sci),
                status.diagnoses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            );
            for participant in &status.participants {
                let brief = |peers: &[macsec::mka::PeerStatus]| {
                    peers.iter().map(|peer| (peer.sci, peer.listing, peer.receives)).collect::<Vec<_>>()
                };
                text += &format!(
                    "  ckn {} {} mi {} live {:?} potential {:?}\n",
                    participant.ckn,
                    if participant.principal { "principal" } else { "" },
                    participant.member,
                    brief(&participant.live),
                    brief(&participant.potential)
                );
            }
            for (at, event) in node.events.iter().rev().take(12).rev() {
                text += &format!("    {at} {event:?}\n");
            }
        }
        text
    }

    /// The next thing that happens, if it does before `until`.
    fn step(&mut self, until: Instant) -> bool {
        let timers = self.nodes.iter().enumerate().filter(|(_, node)| node.alive);
        let timer = timers.filter_map(|(at, node)| Some((node.kay.poll_timeout()?, at))).min();
        let parcel = self.queue.peek().map(|Reverse((due, ..))| *due);
        let next = [timer.map(|(due, _)| due), parcel, Some(self.next_traffic)].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= until) else { return false };
        self.spins = if next > self.now { 0 } else { self.spins + 1 };
        assert!(self.spins < 10_000, "seed {}: time stands still\n{}", self.seed, self.describe());
        self.now = self.now.max(next);
        if parcel == Some(next) {
            self.deliver();
        } else if next == self.next_traffic {
            self.next_traffic = self.now.after(self.traffic.unwrap());
            self.send_data();
        } else if let Some((_, at)) = timer {
            self.tell(at, Kay::handle_timeout);
        }
        true
    }

    fn note_pns(&mut self, at: usize) {
        let now = self.now;
        let node = &mut self.nodes[at];
        node.kay.note_pns(node.secy.next_pn(), now);
    }

    fn drain(&mut self, at: usize) {
        self.note_pns(at);
        while let Some(action) = self.nodes[at].kay.poll_action() {
            self.apply(at, &action);
        }
        let mut frame = PacketBuf::with_capacity(1600, 0);
        while self.nodes[at].kay.poll_transmit(&mut frame) {
            self.nodes[at].sent_mkpdus += 1;
            self.broadcast(at, &frame);
            frame.reset(0);
        }
        let now = self.now;
        let node = &mut self.nodes[at];
        while let Some(event) = node.kay.poll_event() {
            node.events.push((now, event));
        }
    }

    fn apply(&mut self, at: usize, action: &KeyAction) {
        let now = self.now;
        let node = &mut self.nodes[at];
        match action {
            KeyAction::InstallReceiveSa { sci, key, .. } => {
                node.rx_keys.insert((*sci, key.an), key.sak.fingerprint());
            }
            KeyAction::EnableReceive { sci, an } => {
                node.rx_ready.insert((*sci, *an, node.rx_keys[&(*sci, *an)]));
            }
            KeyAction::InstallTransmitSa { key, ssci } => {
                node.tx_keys.insert(key.an, (key.sak.fingerprint(), *ssci, key.suite));
            }
            KeyAction::EnableTransmit { an } => {
                // Receive before transmit: whoever transmits with a key receives with it.
                let key = node.tx_keys[an].0;
                let ready = node.rx_ready.iter().any(|(_, _, ready)| *ready == key);
                assert!(ready, "seed {}: node {at} transmits before it receives", self.seed);
            }
            KeyAction::Secured(secured) => {
                node.secured = *secured;
                node.secured_at = node.secured.then_some(now);
            }
            KeyAction::CreateReceiveSc { .. }
            | KeyAction::RaiseLowestPn { .. }
            | KeyAction::DisableReceive { .. }
            | KeyAction::DeleteReceiveSa { .. }
            | KeyAction::DeleteTransmitSa { .. }
            | KeyAction::DeleteReceiveSc { .. } => {}
        }
        if let Err(refused) = action.apply(&mut node.secy, now) {
            self.refusals.push(format!("{now} node {at}: {action:?}: {refused}"));
            node.kay.handle_refusal(action, now);
        }
    }

    fn broadcast(&mut self, from: usize, frame: &[u8]) {
        if self.taping {
            self.tape.push((self.now, from, frame.to_vec()));
        }
        if self.filter.as_mut().is_some_and(|passes| !passes(from, frame)) {
            return;
        }
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            if self.cut.contains(&(from, to)) || self.dice.chance(self.weather.loss) {
                continue;
            }
            let copies = 1 + u64::from(self.dice.chance(self.weather.duplicate));
            for _ in 0..copies {
                let mut octets = frame.to_vec();
                if self.dice.chance(self.weather.corrupt) {
                    let at = self.dice.below(octets.len() as u64) as usize;
                    octets[at] ^= 1 << self.dice.below(8);
                }
                let (least, most) = self.weather.delay;
                let spread = (most - least).as_micros() as u64 + 1;
                let delay = least + Duration::from_micros(self.dice.below(spread));
                self.post(delay, to, Parcel::Mkpdu(octets));
            }
        }
    }

    fn post(&mut self, delay: Duration, to: usize, parcel: Parcel) {
        self.serial += 1;
        self.queue.push(Reverse((self.now.after(delay), self.serial, to, parcel)));
    }

    /// Every node sends one frame to all.
    fn send_data(&mut self) {
        let all_secured = self.nodes.iter().all(|node| !node.alive || node.secured);
        for from in 0..self.nodes.len() {
            let node = &mut self.nodes[from];
            if !node.alive {
                continue;
            }
            let number = node.sent_data;
            node.sent_data += 1;
            let (mut frame, pn) = (data_frame(from, number), node.secy.next_pn());
            let Ok(_) = node.secy.protect(&mut frame) else {
                assert!(!all_secured, "seed {}: node {from} is secured and cannot send", self.seed);
                continue;
            };
            let (an, pn) = pn.unwrap();
            let (key, ssci, suite) = node.tx_keys[&an];
            let who = if suite.is_xpn() { u64::from(ssci.0) } else { sci(from).as_u64() };
            assert!(self.nonces.insert((key, who, pn)), "seed {}: packet number {pn} used twice", self.seed);
            let others: Vec<_> =
                (0..self.nodes.len()).filter(|to| *to != from && self.nodes[*to].alive).collect();
            for to in others {
                self.carried += u64::from(all_secured);
                let parcel = Parcel::Data { from, number, counts: all_secured, octets: frame.to_vec() };
                self.post(self.data_delay, to, parcel);
            }
        }
    }

    fn deliver(&mut self) {
        let Some(Reverse((_, _, to, parcel))) = self.queue.pop() else { return };
        if !self.nodes[to].alive {
            return;
        }
        match parcel {
            Parcel::Mkpdu(octets) => self.tell(to, |kay, now| hear(kay, &octets, now)),
            Parcel::Data { from, number, counts, octets } => self.receive(to, from, number, counts, &octets),
        }
    }

    fn receive(&mut self, to: usize, from: usize, number: u64, counts: bool, octets: &[u8]) {
        let mut frame = PacketBuf::copy_of(octets, 32, 32);
        let verdict = self.nodes[to].secy.validate(&mut frame);
        if matches!(verdict, RxVerdict::Deliver(_)) {
            assert_eq!(frame.to_vec(), data_frame(from, number).to_vec(), "seed {}", self.seed);
        } else if counts && self.nodes[to].alive && self.nodes[from].alive {
            let why = format!("{verdict:?}");
            self.losses.push(Loss { at: self.now, from, to, number, why });
        }
    }
}

fn data_frame(from: usize, number: u64) -> PacketBuf {
    let mut octets = vec![0xff; 6];
    octets.extend_from_slice(&mac(from).0);
    octets.extend_from_slice(&[0x08, 0x00]);
    octets.extend_from_slice(&number.to_be_bytes());
    octets.resize(80, from as u8);
    PacketBuf::copy_of(&octets, 32, 32)
}

/// Gives a KaY a frame. What was said of it before its ICV was checked must have been right: who is heard under load depends on it.
pub(crate) fn hear(kay: &mut Kay, frame: &[u8], now: Instant) {
    let refused = |kay: &Kay| kay.status(now).counters.faults.values().sum::<u64>();
    let (standing, before) = (kay.standing(frame, now), refused(kay));
    kay.handle_mkpdu(frame, now);
    let taken = refused(kay) == before;
    assert!(!taken || standing != Standing::Idle, "{:?}", kay.status(now));
}
