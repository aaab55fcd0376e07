//! Session-Sender, RFC 8762 §4.2, and what it makes of the replies.

use core::time::Duration;

use net::{Instant, earliest};

use super::{Mode, Ntp, Refusal, Reply, Request, WallClock};

/// Probes of which a reply still counts; a power of two. [`WINDOW`] and the longest timeout hold 200 at the shortest interval.
pub const OUTSTANDING: usize = 256;
/// What a report covers.
const WINDOW: Duration = Duration::from_secs(1);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
const LONGEST_TIMEOUT: Duration = WINDOW;
const _: () = assert!(OUTSTANDING.is_power_of_two());

/// How a session measures.
#[derive(Clone, Debug)]
pub struct SenderParams {
    /// With or without HMAC.
    pub mode: Mode,
    /// Between probes, 10 ms or more.
    pub interval: Duration,
    /// A reply that takes longer is a lost one; at most 1 s.
    pub timeout: Duration,
    /// Session identifier, RFC 8972 §3: random, so that a reflector knows a session that starts again from the old one.
    pub ssid: u16,
}

/// One second of a path. Sums, so that several can be added up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Probes sent.
    pub sent: u32,
    /// Of these, answered in time.
    pub received: u32,
    /// Lost on the way out, as far as the reflector's count tells: what was sent last is told by a later report.
    pub lost_out: u32,
    /// Lost on the way back, likewise. A stateless reflector cannot tell, and all is counted here.
    pub lost_back: u32,
    /// Replies that came more than once.
    pub duplicates: u32,
    /// Replies that came behind one to a later probe.
    pub reordered: u32,
    /// The shortest round trip, without the reflector's residence.
    pub rtt_min: Duration,
    /// The longest.
    pub rtt_max: Duration,
    /// All of them together: by `received`, the mean.
    pub rtt_sum: Duration,
    /// Changes of delay on the way out from one reply to the next, together (RFC 3550 §6.4.1, |D|).
    pub jitter_out_sum: Duration,
    /// On the way back.
    pub jitter_back_sum: Duration,
    /// How many changes that were.
    pub jitter_count: u32,
}

impl Report {
    /// Probes that were not answered.
    pub const fn lost(&self) -> u32 {
        self.sent.saturating_sub(self.received)
    }

    /// Mean round trip; `None` when nothing came back.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt_sum.checked_div(self.received)
    }

    /// Mean delay variation of the worse direction.
    pub fn jitter(&self) -> Option<Duration> {
        self.jitter_out_sum.max(self.jitter_back_sum).checked_div(self.jitter_count)
    }

    /// Both together.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let shortest = match (self.received, other.received) {
            (0, _) => other.rtt_min,
            (_, 0) => self.rtt_min,
            _ => self.rtt_min.min(other.rtt_min),
        };
        Self {
            sent: self.sent.saturating_add(other.sent),
            received: self.received.saturating_add(other.received),
            lost_out: self.lost_out.saturating_add(other.lost_out),
            lost_back: self.lost_back.saturating_add(other.lost_back),
            duplicates: self.duplicates.saturating_add(other.duplicates),
            reordered: self.reordered.saturating_add(other.reordered),
            rtt_min: shortest,
            rtt_max: self.rtt_max.max(other.rtt_max),
            rtt_sum: self.rtt_sum.saturating_add(other.rtt_sum),
            jitter_out_sum: self.jitter_out_sum.saturating_add(other.jitter_out_sum),
            jitter_back_sum: self.jitter_back_sum.saturating_add(other.jitter_back_sum),
            jitter_count: self.jitter_count.saturating_add(other.jitter_count),
        }
    }
}

/// A probe that was sent.
#[derive(Clone, Copy, Debug)]
struct Probe {
    sequence: u32,
    sent: Instant,
    stamp: Ntp,
    answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    rtt: Duration,
    /// Against the reply before: out and back.
    jitter: Option<(Duration, Duration)>,
    number: u32,
}

/// The times of the last reply.
#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: u32,
    sent: Instant,
    reflected: (Ntp, Ntp),
    received: Instant,
}

/// Probes of one second, the first one and how many.
#[derive(Clone, Copy, Debug)]
struct Window {
    first: u32,
    due: Instant,
}

/// Measures one path.
#[derive(Debug)]
pub struct Sender {
    params: SenderParams,
    next: u32,
    next_at: Instant,
    probes: Box<[Option<Probe>; OUTSTANDING]>,
    /// The window in which probes are sent now; `due` is its end.
    open: Window,
    /// The one before, while its last replies are waited for; `due` is when it is reported.
    closed: Option<Window>,
    last: Option<Last>,
    /// The highest probe answered before this report, and the highest number of the reflector's.
    counted: Option<(u32, u32)>,
    duplicates: u32,
    reordered: u32,
    report: Option<Report>,
}

impl Sender {
    /// The first probe is due at once. Interval and timeout are held to their limits.
    pub fn new(params: SenderParams, now: Instant) -> Self {
        let params = SenderParams {
            interval: params.interval.max(SHORTEST_INTERVAL),
            timeout: params.timeout.min(LONGEST_TIMEOUT),
            ..params
        };
        Self {
            params,
            next: 0,
            next_at: now,
            probes: Box::new([None; OUTSTANDING]),
            open: Window { first: 0, due: now.after(WINDOW) },
            closed: None,
            last: None,
            counted: None,
            duplicates: 0,
            reordered: 0,
            report: None,
        }
    }

    /// Begins anew, from number 0: the path was not there for a while, and what is still out does not count.
    pub fn resume(&mut self, now: Instant) {
        self.probes.fill(None);
        (self.next, self.next_at) = (0, now);
        self.open = Window { first: 0, due: now.after(WINDOW) };
        (self.closed, self.last, self.counted, self.report) = (None, None, None, None);
    }

    /// Writes the probe that is due into `packet` (the UDP payload); its number of octets, or `None` when none is due.
    pub fn poll_transmit(&mut self, packet: &mut [u8], wall: &WallClock, now: Instant) -> Option<usize> {
        if now < self.next_at {
            return None;
        }
        let request =
            Request { sequence: self.next, sent: wall.at(now), error: wall.error, ssid: self.params.ssid };
        let len = request.write(packet, &self.params.mode).ok()?;
        let probe = Probe { sequence: self.next, sent: now, stamp: request.sent, answer: None };
        if let Some(place) = self.probes.get_mut(place(self.next)) {
            *place = Some(probe);
        }
        self.next = self.next.wrapping_add(1);
        // After a stall the probes that were missed are not sent in a burst.
        let planned = self.next_at.after(self.params.interval);
        self.next_at = if planned > now { planned } else { now.after(self.params.interval) };
        Some(len)
    }

    /// Takes a reply (the UDP payload) that came at `now`.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn handle_packet(&mut self, packet: &[u8], now: Instant) -> Result<(), Refusal> {
        let reply = Reply::parse(packet, &self.params.mode)?;
        let request = &reply.request;
        // A reflector of RFC 8762 alone does not know the identifier, and sends zeros there.
        if request.ssid != self.params.ssid && request.ssid != 0 {
            return Err(Refusal::OtherSession);
        }
        let asked = self.probes.get_mut(place(request.sequence)).and_then(Option::as_mut);
        let probe = asked
            .filter(|probe| probe.sequence == request.sequence && probe.stamp == request.sent)
            .ok_or(Refusal::Unexpected)?;
        if probe.answer.is_some() {
            self.duplicates += 1;
            return Err(Refusal::Unexpected);
        }
        let here = Last {
            sequence: probe.sequence,
            sent: probe.sent,
            reflected: (reply.received, reply.sent),
            received: now,
        };
        let residence = duration(reply.sent.nanos_since(reply.received));
        let rtt = now.since(probe.sent).saturating_sub(residence);
        let jitter = self.last.map(|last| (jitter_out(&last, &here), jitter_back(&last, &here)));
        probe.answer = Some(Answer { rtt, jitter, number: reply.sequence });
        self.reordered += u32::from(self.last.is_some_and(|last| is_after(last.sequence, here.sequence)));
        self.last = Some(here);
        Ok(())
    }

    /// Closes and reports windows that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(closed) = self.closed.filter(|closed| closed.due <= now) {
            self.report = Some(self.summary(closed.first, self.open.first));
            self.closed = None;
        }
        if self.open.due <= now {
            let first = self.open.first;
            self.closed = Some(Window { first, due: now.after(self.params.timeout) });
            self.open = Window { first: self.next, due: now.after(WINDOW) };
        }
    }

    /// The report of the last window that was not fetched yet.
    pub const fn poll_report(&mut self) -> Option<Report> {
        self.report.take()
    }

    /// When [`poll_transmit`](Self::poll_transmit) or [`handle_timeout`](Self::handle_timeout) have something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let windows = earliest(Some(self.open.due), self.closed.map(|closed| closed.due));
        earliest(Some(self.next_at), windows)
    }

    /// Everything about the probes from `first` to before `end`; none of them counts from now on.
    fn summary(&mut self, first: u32, end: u32) -> Report {
        let mut report = Report {
            sent: end.wrapping_sub(first),
            duplicates: core::mem::take(&mut self.duplicates),
            reordered: core::mem::take(&mut self.reordered),
            ..Report::default()
        };
        let mut highest: Option<(u32, u32)> = None;
        for at in 0..report.sent {
            let sequence = first.wrapping_add(at);
            let taken = self.probes.get_mut(place(sequence)).and_then(Option::take);
            let Some(answer) =
                taken.filter(|probe| probe.sequence == sequence).and_then(|probe| probe.answer)
            else {
                continue;
            };
            report.add(&answer);
            let number = highest.map_or(answer.number, |(_, number)| later(number, answer.number));
            highest = Some((sequence, number));
        }
        self.tell_directions(&mut report, highest);
        report
    }

    /// What the reflector counted between the last answer of the report before and the last one of this.
    fn tell_directions(&mut self, report: &mut Report, highest: Option<(u32, u32)>) {
        let Some((sequence, number)) = highest else { return };
        // The first probe is 0, and so is the first number.
        let (sequence_before, number_before) = self.counted.unwrap_or((u32::MAX, u32::MAX));
        self.counted = Some((sequence, number));
        let (sent, arrived) = (sequence.wrapping_sub(sequence_before), number.wrapping_sub(number_before));
        // A reflector that began anew, or counts duplicates, tells nothing about loss.
        if arrived <= sent {
            report.lost_out = sent - arrived;
            report.lost_back = arrived.saturating_sub(report.received);
        }
    }
}

impl Report {
    fn add(&mut self, answer: &Answer) {
        self.rtt_min = if self.received == 0 { answer.rtt } else { self.rtt_min.min(answer.rtt) };
        self.rtt_max = self.rtt_max.max(answer.rtt);
        self.rtt_sum = self.rtt_sum.saturating_add(answer.rtt);
        self.received += 1;
        if let Some((out, back)) = answer.jitter {
            self.jitter_out_sum = self.jitter_out_sum.saturating_add(out);
            self.jitter_back_sum = self.jitter_back_sum.saturating_add(back);
            self.jitter_count += 1;
        }
    }
}

/// |D| of RFC 3550 §6.4.1 between two replies, on the way out: the reflector's clock against ours.
fn jitter_out(before: &Last, here: &Last) -> Duration {
    let there = here.reflected.0.nanos_since(before.reflected.0);
    difference(there, nanos_between(before.sent, here.sent))
}

/// On the way back.
fn jitter_back(before: &Last, here: &Last) -> Duration {
    let there = here.reflected.1.nanos_since(before.reflected.1);
    difference(nanos_between(before.received, here.received), there)
}

fn nanos_between(before: Instant, after: Instant) -> i64 {
    let nanos = |time: Instant| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    nanos(after).saturating_sub(nanos(before))
}

fn difference(a: i64, b: i64) -> Duration {
    Duration::from_nanos(a.abs_diff(b))
}

fn duration(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

fn place(sequence: u32) -> usize {
    usize::try_from(sequence).unwrap_or(0) % OUTSTANDING
}

/// True when `a` comes after `b` in the 32-bit circle.
const fn is_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

const fn later(a: u32, b: u32) -> u32 {
    if is_after(a, b) { a } else { b }
}
