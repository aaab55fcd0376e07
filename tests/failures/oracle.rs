//! What may be, and what was.

use core::time::Duration;
use std::collections::BTreeMap;

use dataplane::Fault;
use net::Instant;
use world::Side::{self, Left, Right};

use crate::play::{CHANNELS, FLOWS, Mode, SETTLE, packet};

/// BFD's 150 ms; a one-way failure is heard of by the next packet of the side that noticed; the longest way, twice.
const DETECTION: Duration = Duration::from_millis(150 + 60 + 2 * 21);
/// The longest way, and waiting for a neighbour's address.
const ON_THE_WAY: Duration = Duration::from_millis(50);
/// What loses frames must be left by then, unless BFD has its say.
const MEASURED: Duration = Duration::from_secs(8);

/// A datagram.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    /// The channels that it left by; none when the gateway had to look for its neighbour first, or had no way.
    pub(crate) carried: Vec<usize>,
    /// By channel: chance took it.
    pub(crate) taken: Vec<bool>,
    /// By channel: the sender might use it, by its own account.
    pub(crate) may: Vec<bool>,
    /// Some channel was sound.
    pub(crate) sound: bool,
    pub(crate) arrived: bool,
}

/// How it went.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) sent: usize,
    /// Datagrams that had to arrive, and did.
    pub(crate) judged: usize,
    /// How long after a failure the last datagram was sent that did not arrive, though a path lived.
    pub(crate) longest: Duration,
}

/// A channel's path, as the world made it.
#[derive(Clone, Copy, Debug)]
struct Path {
    /// Since when nothing is wrong with it.
    well: Option<Instant>,
    /// Since when it loses frames, and nothing else is wrong with it.
    lossy: Option<Instant>,
    /// Since it does, a gateway thought that it was dead.
    thought_dead: bool,
}

/// Knows what was done to the paths and what became of the datagrams.
pub(crate) struct Oracle {
    mode: Mode,
    seed: u64,
    turn: [u64; 2],
    /// By the sender's number and flow, in the order of their own numbers.
    sent: BTreeMap<(u8, u16), Vec<Sent>>,
    /// The highest number that arrived.
    last: BTreeMap<(u8, u16), u64>,
    failures: Vec<Instant>,
    paths: [Path; CHANNELS as usize],
    /// Frames of our lengths that channels were given.
    crossed: usize,
}

impl Oracle {
    /// All is well, and has been.
    pub(crate) fn new(mode: Mode, seed: u64) -> Self {
        let path = Path { well: Some(Instant::ZERO), lossy: None, thought_dead: false };
        Self {
            mode,
            seed,
            turn: [0; 2],
            sent: BTreeMap::new(),
            last: BTreeMap::new(),
            failures: vec![],
            paths: [path; CHANNELS as usize],
            crossed: 0,
        }
    }

    /// Frames on this channel may be lost from now on until that is found.
    pub(crate) fn fails(&mut self, channel: u8, now: Instant) {
        self.failures.push(now);
        if let Some(well) = self.paths[usize::from(channel)].well.as_mut() {
            *well = now;
        }
    }

    /// Something else is wrong with it now: nothing, only loss, or more.
    pub(crate) fn changes(&mut self, channel: u8, (well, lossy): (bool, bool), now: Instant) {
        let path = Path { well: well.then_some(now), lossy: lossy.then_some(now), thought_dead: false };
        self.paths[usize::from(channel)] = path;
    }

    /// Nothing has been wrong with it for so long that it must be in use.
    pub(crate) fn is_sound(&self, channel: usize, now: Instant) -> bool {
        let well = self.paths[channel].well;
        well.is_some_and(|since| since == Instant::ZERO || now.since(since) >= SETTLE)
    }

    /// It must be known to be lossy, at both ends.
    pub(crate) fn must_be_left(&self, channel: u8, now: Instant) -> bool {
        let path = &self.paths[usize::from(channel)];
        !path.thought_dead && path.lossy.is_some_and(|since| now.since(since) >= MEASURED)
    }

    /// A gateway takes a channel out of use. Of one that loses frames BFD may think that it is dead, and then for the moment it is.
    pub(crate) fn went_down(&mut self, now: Instant, side: Side, channel: usize, fault: Fault) {
        if channel >= usize::from(CHANNELS) || fault == Fault::Drained {
            return;
        }
        let seed = self.seed;
        assert!(
            !self.is_sound(channel, now),
            "seed {seed}: {side:?} calls {channel} {fault:?} at {now}, and it is not"
        );
        let path = &mut self.paths[channel];
        if path.lossy.is_some() && fault != Fault::Quality {
            path.thought_dead = true;
            self.failures.push(now);
        }
    }

    /// Flow and number of the next datagram of a side.
    pub(crate) fn next(&mut self, side: Side) -> (u16, u64) {
        let turn = &mut self.turn[usize::from(side == Right)];
        let (flow, number) = (u16::try_from(*turn % u64::from(FLOWS)).unwrap(), *turn / u64::from(FLOWS));
        *turn += 1;
        (flow, number)
    }

    /// A datagram left its host, and perhaps its gateway.
    pub(crate) fn sent(&mut self, side: Side, flow: u16, sent: Sent) {
        let (mode, seed) = (self.mode, self.seed);
        let copies = if mode == Mode::Duplicate { 2 } else { 1 };
        assert!(sent.carried.len() <= copies, "{mode:?}, seed {seed}: {sent:?}");
        let allowed = sent.carried.iter().all(|&at| sent.may[at]);
        assert!(allowed, "{mode:?}, seed {seed}: {side:?} uses what it thinks is bad: {sent:?}");
        let all = self.sent.entry((side.number(), flow)).or_default();
        if let (Mode::Ecmp, Some(before)) = (mode, all.last())
            && let ([from], [to]) = (before.carried.as_slice(), sent.carried.as_slice())
        {
            let had_to = from == to || !sent.may[*from] || !before.may[*to];
            assert!(had_to, "seed {seed}: flow {flow} of {side:?} moves for nothing: {before:?}, {sent:?}");
        }
        all.push(sent);
    }

    /// A datagram came to the host at a side.
    pub(crate) fn arrived(&mut self, at: Side, flow: u16, number: u64) {
        let (mode, seed) = (self.mode, self.seed);
        let key = (at.other().number(), flow);
        let Some(all) = self.sent.get_mut(&key) else { return };
        let place = usize::try_from(number).unwrap();
        let story = format!("{mode:?}, seed {seed}: number {number} of flow {flow} to {at:?}");
        let one = &mut all[place];
        assert!(!one.arrived, "{story} came twice: {one:?}");
        one.arrived = true;
        let last = self.last.entry(key).or_default();
        if number < *last && mode != Mode::Duplicate {
            let (one, other) = (&all[place], &all[usize::try_from(*last).unwrap()]);
            assert!(
                one.carried != other.carried,
                "{story} came behind {last} by the same channel: {one:?}, {other:?}"
            );
        }
        *last = number.max(*last);
    }

    /// Frames with so many octets on the LAN were given to a channel.
    pub(crate) fn crosses(&mut self, lengths: impl Iterator<Item = usize>) {
        let longest = packet(Right, FLOWS - 1, 0).len();
        let shortest = packet(Left, 0, 0).len();
        self.crossed += lengths.filter(|len| (shortest..=longest).contains(len)).count();
    }

    /// What had to arrive has, or this panics.
    pub(crate) fn verdict(&self) -> Verdict {
        let (mode, seed) = (self.mode, self.seed);
        let sent = self.sent.values().map(Vec::len).sum();
        let copies = if mode == Mode::Duplicate { 2 } else { 1 };
        assert!(
            self.crossed <= sent * copies,
            "{mode:?}, seed {seed}: {} frames for {sent} datagrams",
            self.crossed
        );
        let mut verdict = Verdict { sent, judged: 0, longest: Duration::ZERO };
        for ((side, flow), one) in
            self.sent.iter().flat_map(|(key, all)| all.iter().map(move |one| (key, one)))
        {
            let after = self.failures.iter().filter(|&&at| at <= one.at).max().map(|at| one.at.since(*at));
            let amid = self.failures.iter().any(|&at| at > one.at && at <= one.at.after(ON_THE_WAY));
            let excused = amid || after.is_some_and(|after| after <= DETECTION);
            let by_chance = !one.carried.is_empty() && one.carried.iter().all(|&at| one.taken[at]);
            match (one.arrived, one.sound) {
                (true, true) => verdict.judged += usize::from(!excused),
                (true, false) => {}
                (false, true) if excused && !by_chance => {
                    verdict.longest = after.filter(|_| !amid).unwrap_or_default().max(verdict.longest);
                }
                (false, _) => {
                    let right = !one.sound || by_chance;
                    assert!(
                        right,
                        "{mode:?}, seed {seed}: a black hole for flow {flow} of side {side}, {after:?} after the last failure: {one:?}"
                    );
                }
            }
        }
        verdict
    }
}
