//! Which channel carried which flow, and what each cut did to it.
//!
//! The frames are encrypted, but encryption keeps lengths: each flow has a packet length of its own, so a capture at the
//! far end of the channels tells the flows apart without any key. (That it can is a fact about MACsec worth knowing.)

use std::net::IpAddr;
use std::time::Duration;

use net::Instant;
use serde::Serialize;

use super::site::FRAME_OVERHEAD;
use crate::lab::capture::Seen;
use crate::lab::traffic::udp::{UdpFlow, UdpOptions, UdpReport};

/// What the capture counts separately.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Period {
    /// Before the numbered flows, and while something changes.
    Between,
    /// All channels up.
    Before,
    /// One channel cut, and the flows settled.
    Cut,
    /// All channels up again, and the flows settled.
    Healed,
    /// One channel swallows everything, and the flows settled.
    Silent,
    /// All channels well again, and the flows settled.
    Recovered,
}

/// A channel that was broken for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken {
    /// The channel's place.
    pub place: usize,
    /// What the capture counted before, while it was broken, and after.
    pub periods: [Period; 3],
    /// When it was mended.
    pub mended_at: Instant,
    /// What was sent from here on, up to the next one's, is judged with it.
    pub from: Instant,
}

impl Period {
    /// Its number.
    #[must_use]
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Between => 0,
            Self::Before => 1,
            Self::Cut => 2,
            Self::Healed => 3,
            Self::Silent => 4,
            Self::Recovered => 5,
        }
    }
}

impl Broken {
    const fn before(&self) -> Period {
        let [before, ..] = self.periods;
        before
    }
}

/// What a broken channel did to the flows of one direction.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub(super) struct Moved {
    /// Flows per channel before the channel was broken, by the channel's place.
    pub before: Vec<usize>,
    /// While it was.
    pub during: Vec<usize>,
    /// After it was mended.
    pub after: Vec<usize>,
    /// Its flows that another one carried meanwhile.
    pub moved: usize,
    /// Its flows that it carried again afterwards.
    pub returned: usize,
    /// Flows of the other channels that did not stay where they were, meanwhile or afterwards.
    pub strayed: usize,
    /// Flows that were not seen on any channel in some period.
    pub unseen: usize,
    /// Datagrams lost in its flows.
    pub lost: u64,
    /// Those of them that were sent after it was mended.
    pub lost_after: u64,
    /// Datagrams lost in the other flows.
    pub lost_elsewhere: u64,
    /// Datagrams of flows over no broken channel that came after a later one, all the time.
    pub reordered_elsewhere: u64,
    /// From the first datagram that it lost to the one after the last, by the times they were sent: the longest
    /// that it can have kept any of the flows from arriving.
    pub outage: Duration,
}

/// Flows to `targets` in turn, each with its own source port and packet length.
#[must_use]
pub(super) fn options(targets: &[IpAddr], flows: u16, rate: u32, port: u16) -> UdpOptions {
    let flow = |(number, &to): (u16, &IpAddr)| UdpFlow {
        to,
        source_port: FIRST_SOURCE_PORT.saturating_add(number),
        packet: SHORTEST_PACKET.saturating_add(number.saturating_mul(4)),
    };
    let flows = (0..flows).zip(targets.iter().cycle()).map(flow).collect();
    UdpOptions { flows, rate, port }
}

/// Puts together what the capture at the receiving gateway saw and what the receiving host got, for each channel of
/// `breaks`, which were broken one after the other.
#[must_use]
pub(super) fn judge(
    options: &UdpOptions,
    seen: &[Seen],
    report: &UdpReport,
    breaks: &[Broken],
) -> Vec<Moved> {
    let untils = breaks.iter().skip(1).map(|next| next.from).chain([Instant::FAR_FUTURE]);
    // What was lost before the first one is judged with it, too.
    let froms = [Instant::ZERO].into_iter().chain(breaks.iter().skip(1).map(|one| one.from));
    let windows = froms.zip(untils);
    let one = |(broken, window): (&Broken, _)| judge_one(options, seen, report, broken, window);
    let mut all: Vec<Moved> = breaks.iter().zip(windows).map(one).collect();
    let hit =
        |flow: &UdpFlow| breaks.iter().any(|one| channel_of(flow, seen, one.before()) == Some(one.place));
    let others = options.flows.iter().zip(&report.flows).filter(|(flow, _)| !hit(flow));
    let reordered = others.map(|(_, fate)| fate.reordered).sum();
    all.iter_mut().for_each(|moved| moved.reordered_elsewhere = reordered);
    all
}

fn judge_one(
    options: &UdpOptions,
    seen: &[Seen],
    report: &UdpReport,
    broken: &Broken,
    (from, until): (Instant, Instant),
) -> Moved {
    let cut = broken.place;
    let mut result = Moved {
        before: vec![0; seen.len()],
        during: vec![0; seen.len()],
        after: vec![0; seen.len()],
        ..Moved::default()
    };
    let mut lost_around_cut: Vec<Instant> = Vec::new();
    for (flow, fate) in options.flows.iter().zip(&report.flows) {
        let [before, during, after] = broken.periods.map(|period| channel_of(flow, seen, period));
        for (counts, place) in
            [(&mut result.before, before), (&mut result.during, during), (&mut result.after, after)]
        {
            if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
                *count += 1;
            }
        }
        let lost = || fate.lost.iter().filter(|&&at| at >= from && at < until);
        let count = u64::try_from(lost().count()).unwrap_or(u64::MAX);
        if before == Some(cut) {
            result.moved += usize::from(during.is_some_and(|place| place != cut));
            result.returned += usize::from(after == before);
            result.lost = result.lost.saturating_add(count);
            let (around_cut, after): (Vec<Instant>, Vec<_>) = lost().partition(|&&at| at < broken.mended_at);
            lost_around_cut.extend(around_cut);
            result.lost_after =
                result.lost_after.saturating_add(u64::try_from(after.len()).unwrap_or(u64::MAX));
        } else {
            result.strayed += usize::from(during != before || after != before);
            result.lost_elsewhere = result.lost_elsewhere.saturating_add(count);
        }
        result.unseen += usize::from([before, during, after].contains(&None));
    }
    if let (Some(first), Some(last)) = (lost_around_cut.iter().min(), lost_around_cut.iter().max()) {
        result.outage = last.since(*first).saturating_add(interval(options, result.before.get(cut)));
    }
    result
}

/// Time from one datagram to the next, of as many flows as are given, when all flows share one rate in turn.
fn interval(options: &UdpOptions, flows: Option<&usize>) -> Duration {
    let all = u32::try_from(options.flows.len()).unwrap_or(u32::MAX);
    let some = flows.and_then(|&flows| u32::try_from(flows).ok()).unwrap_or(1);
    Duration::from_secs(1).saturating_mul(all) / options.rate.saturating_mul(some).max(1)
}

/// The channel on which most frames of the flow's length came in; `None` when hardly any did.
fn channel_of(flow: &UdpFlow, seen: &[Seen], period: Period) -> Option<usize> {
    let octets = usize::from(flow.packet).saturating_add(FRAME_OVERHEAD);
    let counts = |one: &Seen| one.lengths.get(&(period.number(), octets)).copied().unwrap_or(0);
    let (place, frames) = seen.iter().map(counts).enumerate().max_by_key(|&(_, frames)| frames)?;
    (frames >= FEWEST_FRAMES).then_some(place)
}

const FIRST_SOURCE_PORT: u16 = 40_000;
/// Lengths below 460 octets: the partial segments that end each write of our TCP streams are longer.
const SHORTEST_PACKET: u16 = 200;
/// Fewer frames of a length could be somebody else's.
const FEWEST_FRAMES: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::traffic::udp::Flow;

    const CUT: [Period; 3] = [Period::Before, Period::Cut, Period::Healed];
    const SILENT: [Period; 3] = [Period::Healed, Period::Silent, Period::Recovered];

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    /// Three channels; three flows in the periods from `Before` on, which were on these channels and lost what was sent in
    /// these milliseconds.
    fn judged(places: &[[Option<usize>; 5]; 3], lost: [&[u64]; 3], breaks: &[Broken]) -> Vec<Moved> {
        let options = options(&["10.2.0.2".parse().unwrap()], 3, 300, 7000);
        let mut seen = vec![Seen::default(); 3];
        for (flow, places) in options.flows.iter().zip(places) {
            let octets = usize::from(flow.packet) + FRAME_OVERHEAD;
            for (place, period) in places.iter().zip(1..) {
                if let Some(place) = *place {
                    seen[place].lengths.insert((period, octets), 200);
                    seen[(place + 1) % 3].lengths.insert((period, octets), 4);
                }
            }
        }
        let flow = |(number, lost): (u64, &[u64])| Flow {
            lost: lost.iter().map(|&ms| at(ms)).collect(),
            reordered: number,
            ..Flow::default()
        };
        let report = UdpReport {
            started: Instant::ZERO,
            flows: (0..).zip(lost).map(flow).collect(),
            buckets: Vec::new(),
            longest_gap: Duration::ZERO,
            delays: Vec::new(),
        };
        judge(&options, &seen, &report, breaks)
    }

    #[test]
    fn a_cut_that_moves_its_own_flows_only_is_told_from_one_that_stirs_all() {
        let cut = [Broken { place: 0, periods: CUT, mended_at: at(50), from: at(8) }];
        let good = judged(
            &[
                [Some(0), Some(1), Some(0), None, None],
                [Some(0), Some(2), Some(0), None, None],
                [Some(2), Some(2), Some(2), None, None],
            ],
            [&[10, 12], &[11, 14, 70], &[]],
            &cut,
        );
        let [good] = good.as_slice() else { panic!("one channel was broken") };
        assert_eq!(
            (&good.before, &good.during, &good.after),
            (&vec![2, 0, 1], &vec![0, 1, 2], &vec![2, 0, 1])
        );
        assert_eq!((good.moved, good.returned, good.strayed, good.unseen), (2, 2, 0, 0));
        assert_eq!((good.lost, good.lost_elsewhere), (5, 0));
        assert_eq!((good.lost_after, good.reordered_elsewhere), (1, 2));
        // 100 datagrams per second and flow, two flows: 5 ms from one to the next.
        assert_eq!(good.outage, Duration::from_millis(4 + 5), "the loss at 70 ms came after the cut");
        let bad = judged(
            &[
                [Some(0), Some(0), Some(1), None, None],
                [Some(0), None, Some(0), None, None],
                [Some(2), Some(1), Some(2), None, None],
            ],
            [&[], &[], &[20]],
            &cut,
        );
        let [bad] = bad.as_slice() else { panic!("one channel was broken") };
        assert_eq!((bad.moved, bad.returned, bad.strayed, bad.unseen), (0, 1, 1, 1));
        assert_eq!((bad.lost, bad.lost_elsewhere, bad.outage), (0, 1, Duration::ZERO));
    }

    #[test]
    fn each_of_two_cuts_has_its_own_time_and_its_own_flows() {
        let breaks = [
            Broken { place: 0, periods: CUT, mended_at: at(50), from: at(8) },
            Broken { place: 1, periods: SILENT, mended_at: at(150), from: at(90) },
        ];
        let moves = judged(
            &[
                [Some(0), Some(2), Some(0), Some(0), Some(0)],
                [Some(1), Some(1), Some(1), Some(2), Some(1)],
                [Some(2); 5],
            ],
            [&[10, 11], &[100, 120], &[]],
            &breaks,
        );
        let [cut, silent] = moves.as_slice() else { panic!("two channels were broken") };
        for one in [cut, silent] {
            assert_eq!((one.moved, one.returned, one.strayed, one.unseen), (1, 1, 0, 0));
            assert_eq!((one.lost, one.lost_elsewhere, one.lost_after), (2, 0, 0));
            assert_eq!(one.reordered_elsewhere, 2, "only the third flow was never hit");
        }
        assert_eq!((cut.outage, silent.outage), (Duration::from_millis(11), Duration::from_millis(30)));
    }
}
