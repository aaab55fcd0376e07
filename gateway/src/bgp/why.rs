//! Why there is no session with a neighbour, in words: what is the matter now first, what was before behind it.
//!
//! The most fundamental reason counts: a link that is down says more than what the neighbour said before it went, and what the
//! neighbour says or is told in NOTIFICATIONs says more than what TCP makes of it afterwards (a neighbour that is left alone for a
//! while, RFC 4271 §8.1.1 DampPeerOscillations, resets our calls).

use std::time::Duration;

use bgp::{
    PeerStatus, SessionEnd,
    fsm::State,
    peer::Standing,
    wire::notification::{Cause, Notification, OpenError},
};
use net::Instant;

use super::speaking::Watched;
use crate::show::units::span;

/// An attempt that has had no answer for so long says more than why the session before it ended.
const PATIENCE: Duration = Duration::from_secs(3);
/// For so long what a neighbour and we said about a fault is why there is no session: whoever is left alone for a while tries
/// again at least every minute, and says it again.
const FRESH: Duration = Duration::from_secs(150);

/// A word for programs, and a sentence.
type Reason = (&'static str, String);

/// The last NOTIFICATION, from either side.
#[derive(Clone, Copy)]
struct Said<'a> {
    at: Instant,
    by_us: bool,
    note: &'a Notification,
}

impl Said<'_> {
    /// Something that one side cannot accept of the other, and would not the next time.
    const fn is_fault(&self) -> bool {
        !matches!(self.note.cause, Cause::Cease(_) | Cause::HoldTimer)
    }
}

impl Watched {
    /// Why there is no session, and what was before.
    pub(super) fn reason(&self, status: &PeerStatus, now: Instant) -> Option<Reason> {
        if let Some(words) = &self.shut {
            let words = if words.is_empty() { String::new() } else { format!(": {words}") };
            return Some(("shut_down", format!("shut down by an operator{words}")));
        }
        if let Some(reason) = self.barred(status) {
            return Some(reason);
        }
        let before = |(word, text): Reason| (word, text + &self.before(status, now));
        if let Some(unreached) = self.unreached(status) {
            return Some(before(unreached));
        }
        let held = matches!(status.standing, Standing::HeldUntil(_));
        if let Some(said) = self.fault(status, now) {
            let (word, way) = if held { ("held", "left alone for a while: ") } else { ("ended", "") };
            return Some((word, format!("{way}{}", self.told(said))));
        }
        if let Some(reason) = self.refused.reason() {
            return Some(before(reason));
        }
        let ended = status.last_end.as_ref().filter(|(_, end)| *end != SessionEnd::Closed);
        match (ended, &self.failure) {
            (Some((_, end)), _) if held => Some(("held", format!("left alone for a while: {end}"))),
            (Some((at, end)), failure)
                if failure.as_ref().is_none_or(|(failed, _)| failed <= at)
                    && !(calls(status) && now.since(*at) >= PATIENCE) =>
            {
                Some(("ended", end.to_string()))
            }
            (_, Some((_, lost))) => Some(before(("no_connection", lost.words.clone()))),
            (_, None) => Some(before(("connecting", "no answer yet".to_owned()))),
        }
    }

    /// Somebody or something keeps it from trying at all.
    fn barred(&self, status: &PeerStatus) -> Option<Reason> {
        if let Err(link) = self.link {
            return Some(("link_down", format!("the link is down: {link}")));
        }
        match status.standing {
            Standing::Stopped => return Some(self.stopped()),
            Standing::AwaitsPath => return Some(("awaits_bfd", "waits until BFD is up".to_owned())),
            Standing::HeldUntil(_) | Standing::Runs => {}
        }
        let (family, max) = self.over_limit.filter(|_| matches!(status.standing, Standing::HeldUntil(_)))?;
        let words = format!(
            "shut down by max_in for a while: it sent more than {max} {family} prefixes; `quadspan bgp enable {}` lets it run at once",
            self.name
        );
        Some(("held", words))
    }

    /// Why it stays down although nobody shut it down: `max_in` with `action = "shut"`, and without `restart`.
    fn stopped(&self) -> Reason {
        let enable = format!("`quadspan bgp enable {}` lets it run again", self.name);
        match self.over_limit {
            Some((family, max)) => (
                "max_prefixes",
                format!(
                    "shut down by max_in: it sent more than {max} {family} prefixes; have it announce fewer, or raise the limit, and then {enable}"
                ),
            ),
            None => ("stopped", format!("stopped; {enable}")),
        }
    }

    /// Nothing reaches it, so what TCP makes of our calls says nothing of it.
    fn unreached(&self, status: &PeerStatus) -> Option<Reason> {
        let lost = self.failure.as_ref().map(|(_, lost)| lost);
        match lost.filter(|lost| lost.unreachable) {
            Some(lost) => Some(("no_connection", lost.words.clone())),
            None if self.silent && calls(status) => {
                Some(("bfd_down", "BFD hears nothing from it".to_owned()))
            }
            None => None,
        }
    }

    /// Whether segments that the kernel refused may be its own: nothing else explains why it is not up.
    pub(super) fn may_be_refused(&self, status: &PeerStatus, now: Instant) -> bool {
        status.state != State::Established
            && self.shut.is_none()
            && self.barred(status).is_none()
            && self.unreached(status).is_none()
            && self.fault(status, now).is_none()
    }

    /// What was said last, if it is a fault and still counts.
    fn fault<'a>(&self, status: &'a PeerStatus, now: Instant) -> Option<Said<'a>> {
        self.said(status).filter(|said| said.is_fault() && now.since(said.at) < FRESH)
    }

    /// What was said last, at the end of the last session or since.
    fn said<'a>(&self, status: &'a PeerStatus) -> Option<Said<'a>> {
        let ended = self.last_down.as_ref().map_or(Instant::ZERO, |(at, _)| *at);
        let words = [(false, &status.last_words.heard), (true, &status.last_words.told)];
        let words = words.into_iter().filter_map(|(by_us, words)| {
            let (at, note) = words.as_ref()?;
            Some(Said { at: *at, by_us, note })
        });
        words.filter(|said| said.at >= ended).max_by_key(|said| said.at)
    }

    /// A fault in words that name both sides' belief.
    fn told(&self, Said { by_us, note, .. }: Said<'_>) -> String {
        let wrong_as = note.cause == Cause::Open(OpenError::PeerAs);
        match (note.refused_as().filter(|_| wrong_as), by_us) {
            (Some(asn), true) => {
                format!(
                    "neighbour says AS {asn}, we expect {}: correct `asn` here, or its AS there; told it {note}",
                    self.asn.0
                )
            }
            (Some(asn), false) => format!("peer sent {note}: it expects another AS of us than {asn}"),
            (None, true) => format!("peer broke the protocol, told it {note}"),
            (None, false) => format!("peer sent {note}"),
        }
    }

    /// What was said, or how the session ended, before what is the matter now.
    fn before(&self, status: &PeerStatus, now: Instant) -> String {
        let (at, what) = match (self.said(status), &self.last_down) {
            (Some(said), _) if !said.by_us => (said.at, format!("it said {}", said.note)),
            (Some(said), _) => (said.at, format!("we said {}", said.note)),
            (None, Some((at, why))) => (*at, format!("the session ended, {why}")),
            (None, None) => return String::new(),
        };
        format!("; before, {} ago: {what}", span(now.since(at).as_secs()))
    }
}

/// It is being called, or waited for.
const fn calls(status: &PeerStatus) -> bool {
    matches!(status.state, State::Connect | State::Active)
}
