//! The stage: what is broken and mended, and the traffic meanwhile.

use core::time::Duration;

use dataplane::{
    ChannelId, Event, Fault, InterfaceId, QualityParams,
    bfd::{BfdMode, BfdTimers},
    stamp::{self, Thresholds},
};
use net::Instant;
use world::{
    Dice, Plan,
    Side::{self, Left, Right},
    World, udp,
};

use crate::{
    oracle::{Oracle, Sent, Verdict},
    protection,
};

pub(crate) const CHANNELS: u8 = 4;
/// Flows of each side.
pub(crate) const FLOWS: u16 = 5;
/// From one datagram of a side to its next, the flows in turn.
const GAP: Duration = Duration::from_millis(12);
/// A mended channel is sound when its gateways have had time to agree on keys and hear each other: an MKA life time, BFD's
/// second, and a bad quality's way back.
pub(crate) const SETTLE: Duration = Duration::from_secs(10);

/// How the connection uses its channels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    Ecmp,
    Standby,
    Duplicate,
}

/// What is wrong with a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Trouble {
    down: bool,
    dead: [bool; 2],
    lossy: bool,
}

pub(crate) struct Play {
    world: World,
    dice: Dice,
    oracle: Oracle,
    troubles: [Trouble; CHANNELS as usize],
    /// Left alone for now, so that a path lives.
    keeper: u8,
    /// Octets on a channel around those on the LAN.
    around: usize,
    told: usize,
}

impl Play {
    /// Two gateways whose channels are all in use.
    pub(crate) fn begin(mode: Mode, seed: u64) -> Self {
        let fast = |_| Some((BfdTimers::new(ms(50), ms(50), 3).unwrap(), BfdMode::Follow));
        let plan = Plan {
            channels: CHANNELS,
            mka: Some(|_, _| {}),
            bfd: fast,
            protection: protection(mode),
            ..Plan::default()
        };
        let mut world = World::of(plan);
        let mut dice = Dice::new(seed + 1);
        for lane in world.lanes.iter_mut().flatten() {
            lane.more = Duration::from_micros(dice.below(20_000));
        }
        world.dice = Dice::new(seed ^ 0x5eed);
        world.recording = true;
        let mut play = Self {
            world,
            dice,
            oracle: Oracle::new(mode, seed),
            troubles: [Trouble::default(); CHANNELS as usize],
            keeper: 0,
            around: 0,
            told: 0,
        };
        for side in [Left, Right] {
            play.measure(side);
        }
        play.meet();
        play
    }

    pub(crate) const fn now(&self) -> Instant {
        self.world.now
    }

    pub(crate) const fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// Paths are measured, as `[connection.quality]` has it.
    fn measure(&mut self, side: Side) {
        let now = self.world.now;
        for at in 0..CHANNELS {
            let params = QualityParams {
                peer: format!("169.254.{at}.{}", side.other().number()).parse().unwrap(),
                mode: stamp::Mode::Unauthenticated,
                interval: ms(100),
                timeout: ms(100),
                ssid: 1 + u16::from(at),
                thresholds: Thresholds { bad_windows: 2, good_windows: 2, ..Thresholds::default() },
                leave: true,
            };
            self.world.at(side).measure(InterfaceId(at.into()), params, now);
        }
    }

    /// Until all attachments are in use and the hosts have met; how long a datagram is on a channel.
    fn meet(&mut self) {
        self.world.run_until(Duration::from_secs(10), |world| {
            let now = world.now;
            let live = |world: &mut World, side| {
                let seen = world.at(side).snapshot(now).interfaces;
                seen.iter().take(CHANNELS.into()).all(|one| one.faults.is_live())
            };
            live(world, Left) && live(world, Right)
        });
        self.world.run(Duration::from_secs(2));
        for _ in 0..2 {
            self.world.wire.iter_mut().for_each(Vec::clear);
            for side in [Left, Right] {
                self.world.offer(side, [packet(side, 0, 0)]);
            }
            self.world.run(ms(200));
        }
        let longest = self.world.wire.iter().flatten().map(Vec::len).max().unwrap();
        self.around = longest - packet(Right, 0, 0).len();
        self.told = self.world.told.len();
        self.world.wire.iter_mut().for_each(Vec::clear);
    }

    /// Something happens; now and then nothing does.
    pub(crate) fn misfortune(&mut self) {
        self.choose_keeper();
        let at = u8::try_from(self.dice.below(CHANNELS.into())).unwrap();
        let side = if self.dice.one_in(2) { Left } else { Right };
        if at == self.keeper {
            return;
        }
        match self.dice.below(20) {
            0..=2 => self.change(at, |trouble| trouble.down = true),
            3..=5 => self.change(at, |trouble| trouble.dead = [true; 2]),
            6..=8 => self.change(at, |trouble| trouble.dead[usize::from(side == Right)] = true),
            9..=10 => self.change(at, |trouble| trouble.lossy = true),
            11 => {
                for _ in 0..self.dice.below(8) {
                    self.change(at, |trouble| trouble.down ^= true);
                    let pause = self.dice.below(120);
                    self.run(ms(pause));
                }
            }
            12..=13 => self.drain(side, at, true),
            14 => [Left, Right].into_iter().for_each(|side| self.drain(side, at, true)),
            15 if self.dice.one_in(4) => self.restart(side),
            16 if self.dice.one_in(4) => self.everything(),
            _ => self.mend(at),
        }
    }

    /// Another channel takes its turn as the one that is left alone, once it is sound.
    fn choose_keeper(&mut self) {
        let other = u8::try_from(self.dice.below(CHANNELS.into())).unwrap();
        if self.dice.one_in(3) && self.oracle.is_sound(other.into(), self.world.now) {
            self.keeper = other;
        }
    }

    fn everything(&mut self) {
        for at in 0..CHANNELS {
            self.change(at, |trouble| trouble.dead = [true; 2]);
        }
        let time = self.dice.below(3000);
        self.run(ms(time));
        (0..CHANNELS).for_each(|at| self.mend(at));
    }

    /// A gateway loses its power, and comes back.
    fn restart(&mut self, side: Side) {
        self.world.kill(side);
        (0..CHANNELS).for_each(|at| self.oracle.fails(at, self.world.now));
        let time = self.dice.below(2000);
        self.run(ms(time));
        self.world.restart(side);
        self.measure(side);
        for at in 0..CHANNELS {
            self.oracle.fails(at, self.world.now);
            self.apply(at);
        }
    }

    fn drain(&mut self, side: Side, at: u8, begins: bool) {
        let now = self.world.now;
        self.world.at(side).set_channel_fault(ChannelId(at.into()), Fault::Drained, begins, now);
    }

    fn mend(&mut self, at: u8) {
        [Left, Right].into_iter().for_each(|side| self.drain(side, at, false));
        self.change(at, |trouble| *trouble = Trouble::default());
    }

    fn change(&mut self, at: u8, change: impl FnOnce(&mut Trouble)) {
        let trouble = &mut self.troubles[usize::from(at)];
        let before = *trouble;
        change(trouble);
        let after = *trouble;
        if after == before {
            return;
        }
        let only_lossy = Trouble { lossy: true, ..Trouble::default() };
        if self.oracle.must_be_left(at, self.world.now) {
            self.assert_left(at);
        }
        // Loss makes no hole.
        let (well, lossy) = (after == Trouble::default(), after == only_lossy);
        if !well && !lossy {
            self.oracle.fails(at, self.world.now);
        }
        self.oracle.changes(at, (well, lossy), self.world.now);
        self.apply(at);
    }

    /// Both gateways have measured that a channel is bad.
    fn assert_left(&mut self, at: u8) {
        let now = self.world.now;
        for side in [Left, Right] {
            let seen = self.world.at(side).snapshot(now).interfaces;
            let faults = seen[usize::from(at)].faults;
            assert!(faults.has(Fault::Quality), "{side:?} has not left {at}, which is lossy: {faults:?}");
        }
    }

    fn apply(&mut self, at: u8) {
        let trouble = self.troubles[usize::from(at)];
        for (lane, dead) in self.world.lanes[usize::from(at)].iter_mut().zip(trouble.dead) {
            lane.dead = dead;
            lane.loss = if trouble.lossy { 80_000 } else { 0 };
        }
        if self.world.cut[usize::from(at)] != trouble.down {
            self.world.carrier(at, !trouble.down);
        }
    }

    /// Hosts send while time passes.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.world.now.after(time);
        while self.world.now < end {
            for side in [Left, Right] {
                self.send(side);
            }
            let delivered = self.world.run(GAP.min(end.since(self.world.now)));
            self.take(delivered);
        }
    }

    fn send(&mut self, side: Side) {
        let (flow, number) = self.oracle.next(side);
        let packet = packet(side, flow, number);
        let (now, len) = (self.world.now, packet.len() + self.around);
        let before = self.world.wire.iter().map(Vec::len).collect::<Vec<_>>();
        let may = self.may_carry(side);
        let sound = (0..CHANNELS).any(|at| self.oracle.is_sound(at.into(), now));
        self.world.offer(side, [packet]);
        let delivered = self.world.run(Duration::ZERO);
        let wires = self.world.wire.iter().zip(before).enumerate();
        let carried = wires.filter(|(_, (wire, from))| wire[*from..].iter().any(|frame| frame.len() == len));
        let carried: Vec<usize> = carried.map(|(at, _)| at).collect();
        let lanes = self.world.lanes.iter().map(|lanes| lanes[usize::from(side == Right)].took);
        let taken = lanes.map(|took| took == Some((now, len))).collect();
        self.oracle.sent(side, flow, Sent { at: now, carried, taken, may, sound, arrived: false });
        self.take(delivered);
    }

    /// The attachments that a side may use now, by its own account, or the reserve.
    fn may_carry(&mut self, side: Side) -> Vec<bool> {
        let now = self.world.now;
        let seen = self.world.at(side).snapshot(now).interfaces;
        let among = |fits: &dyn Fn(dataplane::Faults) -> bool| -> Vec<bool> {
            seen.iter().take(CHANNELS.into()).map(|one| fits(one.faults)).collect()
        };
        let live = among(&|faults| faults.is_live());
        if live.contains(&true) { live } else { among(&|faults| faults.is_reserve()) }
    }

    fn take(&mut self, delivered: Vec<(Side, Vec<u8>)>) {
        for (side, frame) in delivered.iter().filter(|(_, frame)| frame[12..14] == [8, 0] && frame[23] == 17)
        {
            let flow = u16::from_be_bytes([frame[34], frame[35]]) - FIRST_PORT;
            let number = u64::from_be_bytes(*frame[42..].first_chunk().unwrap());
            assert_eq!(frame[26..30], side.other().host().octets(), "{side:?} gets what was not for it");
            self.oracle.arrived(*side, flow, number);
        }
        let around = self.around;
        for wire in &mut self.world.wire {
            let ours = wire.drain(..).filter_map(|frame| frame.len().checked_sub(around));
            self.oracle.crosses(ours);
        }
        for (at, side, event) in &self.world.told[self.told..] {
            if let Event::AttachmentDown(id, fault) = event {
                self.oracle.went_down(*at, *side, id.index(), *fault);
            }
        }
        self.told = self.world.told.len();
    }

    /// Everything is mended; what had to arrive has.
    pub(crate) fn end(mut self) -> Verdict {
        (0..CHANNELS).for_each(|at| self.mend(at));
        self.run(SETTLE);
        self.run(Duration::from_secs(1));
        let delivered = self.world.run(ms(200));
        self.take(delivered);
        self.oracle.verdict()
    }
}

const FIRST_PORT: u16 = 2000;

/// As long as no packet of another flow, and longer than what gateways say.
pub(crate) fn packet(side: Side, flow: u16, number: u64) -> Vec<u8> {
    let mut data = vec![0xa5; length(side, flow)];
    data[..8].copy_from_slice(&number.to_be_bytes());
    udp(side, side.other().host(), FIRST_PORT + flow, &data)
}

/// Octets of its data.
fn length(side: Side, flow: u16) -> usize {
    400 + 4 * usize::from(flow + FLOWS * u16::from(side == Right))
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
