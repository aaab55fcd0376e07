//! What the kernel's counters say of segments that it refuses.
//!
//! TCP-MD5 (RFC 2385) drops what is not signed as it should be, and GTSM (RFC 5082) what may have come from afar, without a word to
//! anybody. The kernel only counts: what was wrong, for all sockets of a network namespace together, and that something was, by
//! socket. Both together tell whose segments were refused ([`blame`]): a neighbour's listener, or its connection, threw something
//! away, nothing else explains why it is not up, and it has a password or none, `ttl_security` or none, as the counter fits. Where
//! more than one can be meant, that is said. It is a guess, so it is forgotten when the counter stands still, and one guess does not
//! hide another ([`Guesses`]). A single segment with a low TTL is none: anybody can send one, which is what GTSM is for.

use bgp::PeerId;
use dataplane::InterfaceId;
use net::Instant;
use sys::tcp;
use tracing::warn;

use core::time::Duration;

/// How often the counters are looked at while a session is missing.
const LOOK: Duration = Duration::from_secs(1);

/// And while it is not clear whose segments were refused: so close to each other, two neighbours seldom call.
const CLOSE_LOOK: Duration = Duration::from_millis(40);
/// For so long, after the last time that it was not.
const CLOSE_LOOKS: Duration = Duration::from_secs(5);

/// How long a guess stands after the last segment that was counted: longer than a peer's TCP waits between two of its first calls.
const LAPSE: Duration = Duration::from_secs(30);
/// Segments with a low TTL so close to each other are a neighbour's that calls again and again.
const AGAIN: Duration = Duration::from_secs(10);

/// What is wrong with the segments that arrive.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Refusal {
    /// Ours expects a signature, theirs has none.
    Missing,
    /// Theirs has one, ours expects none.
    Unexpected,
    /// They differ.
    Wrong,
    /// They have fewer hops left than a neighbour's on the link has: it sends with another TTL, or somebody else does.
    Ttl,
}

impl Refusal {
    /// In words that say what to do.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Missing => {
                "segments arrive without an MD5 signature: the neighbour has no password; give it ours, or remove `password` here"
            }
            Self::Unexpected => {
                "segments arrive with an MD5 signature: the neighbour has a password; add `password` here"
            }
            Self::Wrong => "segments arrive with a wrong MD5 signature: the passwords differ",
            Self::Ttl => {
                "segments arrive with a TTL below 255: the neighbour has no TTL security (turn it on there: GTSM, `ttl-security hops 1`), or somebody who is not on the link sends to us; if the neighbour knows no TTL security, remove `ttl_security` here"
            }
        }
    }

    /// A word for programs.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Missing => "md5_missing",
            Self::Unexpected => "md5_unexpected",
            Self::Wrong => "md5_wrong",
            Self::Ttl => "ttl_too_low",
        }
    }

    /// Whether it can be about this neighbour.
    const fn fits(self, suspect: &Suspect<'_>) -> bool {
        match self {
            Self::Missing | Self::Wrong => suspect.password && suspect.connects,
            Self::Unexpected => !suspect.password && suspect.connects,
            Self::Ttl => suspect.ttl_security,
        }
    }

    /// Logs it of a neighbour, or of one of these.
    pub(super) fn tell(self, neighbor: &str, among: &[String]) {
        let (kind, words) = (self.word(), of(among, self.words()));
        match self {
            Self::Missing | Self::Unexpected | Self::Wrong => {
                warn!(event = "bgp.md5", neighbor, kind, "{words}")
            }
            Self::Ttl => warn!(event = "bgp.ttl", neighbor, kind, "{words}"),
        }
    }
}

/// Says of whom `words` are, when that is not known for sure.
fn of(among: &[String], words: &str) -> String {
    if among.is_empty() { words.to_owned() } else { format!("one of {}: {words}", among.join(", ")) }
}

/// A neighbour that refused segments can have come from.
#[derive(Clone, Debug)]
pub(super) struct Suspect<'a> {
    /// Its speaker, and what that calls it.
    pub(super) speaker: usize,
    pub(super) peer: PeerId,
    pub(super) name: &'a str,
    /// Its interface, and whether its address is of IPv6: neighbours with the same place call at the same listener.
    pub(super) place: (InterfaceId, bool),
    pub(super) password: bool,
    pub(super) ttl_security: bool,
    /// There is no TCP connection.
    pub(super) connects: bool,
}

/// What is said of a neighbour.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Blame {
    pub(super) speaker: usize,
    pub(super) peer: PeerId,
    pub(super) kind: Refusal,
    /// It, or another one of these; empty when nobody else can be meant.
    pub(super) among: Vec<String>,
}

/// Who of these can have sent what was refused. `known` says that segments were thrown away at the sockets of each of them; otherwise
/// the kernel does not tell where.
pub(super) fn blame(kinds: &[Refusal], suspects: &[Suspect<'_>], known: bool) -> Vec<Blame> {
    let one_place = suspects.iter().all(|one| suspects.first().is_some_and(|first| first.place == one.place));
    let mut all = Vec::new();
    for &kind in kinds {
        let fits: Vec<_> = suspects.iter().filter(|one| kind.fits(one)).collect();
        for one in &fits {
            let alone = fits.iter().filter(|other| other.place == one.place).count() == 1;
            // What was thrown away at its socket was of the only kind, or the only socket threw it away.
            let sure = fits.len() == 1 || known && alone && (one_place || kinds.len() == 1);
            let names = fits.iter().map(|one| one.name.to_owned());
            let among = if sure { Vec::new() } else { names.collect() };
            all.push(Blame { speaker: one.speaker, peer: one.peer, kind, among });
        }
    }
    all
}

/// What was counted lately that can be one neighbour's.
#[derive(Debug, Default)]
pub(super) struct Guesses(Vec<Guess>);

#[derive(Debug)]
struct Guess {
    kind: Refusal,
    last: Instant,
    among: Vec<String>,
}

impl Guesses {
    /// Something was counted; `among` are those who can be meant, where it is not sure that this neighbour is. True when that is news.
    pub(super) fn add(&mut self, kind: Refusal, among: Vec<String>, now: Instant) -> bool {
        if among.is_empty() {
            // What is sure explains it.
            self.0.retain(|guess| guess.among.is_empty());
        } else if self.is_sure() {
            self.0.iter_mut().filter(|guess| guess.kind == kind).for_each(|guess| guess.last = now);
            return false;
        }
        match self.0.iter_mut().find(|guess| guess.kind == kind) {
            Some(guess) => {
                (guess.last, guess.among) = (now, among);
                false
            }
            None => {
                self.0.push(Guess { kind, last: now, among });
                self.0.sort_unstable_by_key(|guess| guess.kind);
                true
            }
        }
    }

    /// Something is known for sure.
    pub(super) fn is_sure(&self) -> bool {
        self.0.iter().any(|guess| guess.among.is_empty())
    }

    /// Forgets what was not counted for long.
    pub(super) fn forget(&mut self, now: Instant) {
        self.0.retain(|guess| now.since(guess.last) < LAPSE);
    }

    /// A word for programs, of the most likely one, and what to do, of all.
    pub(super) fn reason(&self) -> Option<(&'static str, String)> {
        let first = self.0.first()?;
        let words: Vec<_> = self.0.iter().map(|guess| of(&guess.among, guess.kind.words())).collect();
        Some((first.kind.word(), words.join("; or: ")))
    }
}

/// Looks at the counters now and then.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    before: Option<tcp::Refusals>,
    next: Option<Instant>,
    /// Until then it is looked closely.
    close_until: Option<Instant>,
    /// When a low TTL was last counted.
    low: Option<Instant>,
}

impl Refusals {
    /// When [`look`](Self::look) wants to be called, as long as a session is missing.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.next
    }

    /// What was refused since the last look; `None` when it is not time for one.
    pub(super) fn look(&mut self, missing: bool, now: Instant) -> Option<Vec<Refusal>> {
        if !missing {
            // What happens to sessions that are up is not looked for; start again from then on.
            *self = Self::default();
            return None;
        }
        if self.next.is_some_and(|next| next > now) {
            return None;
        }
        let close = self.close_until.is_some_and(|until| now < until);
        self.next = Some(now.after(if close { CLOSE_LOOK } else { LOOK }));
        // A kernel that does not count, or hides its counters, has nothing to say.
        let counters = tcp::refusals().unwrap_or_default();
        let since = self.before.replace(counters).map(|before| counters.since(before)).unwrap_or_default();
        let kinds = [
            (since.not_found, Refusal::Missing),
            (since.unexpected, Refusal::Unexpected),
            (since.failure, Refusal::Wrong),
            (u64::from(self.is_low_again(since.min_ttl, now)), Refusal::Ttl),
        ];
        Some(kinds.into_iter().filter(|(count, _)| *count > 0).map(|(_, kind)| kind).collect())
    }

    /// More than one neighbour can be meant, and which one is not known yet.
    pub(super) fn look_closely(&mut self, now: Instant) {
        self.close_until = Some(now.after(CLOSE_LOOKS));
        self.next = Some(now.after(CLOSE_LOOK));
    }

    /// Whether segments with a low TTL came now, and in an earlier look not long ago.
    fn is_low_again(&mut self, count: u64, now: Instant) -> bool {
        if count == 0 {
            return false;
        }
        self.low.replace(now).is_some_and(|last| now.since(last) <= AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default().after(Duration::from_secs(seconds))
    }

    fn suspect(name: &str, interface: usize) -> Suspect<'_> {
        Suspect {
            speaker: 0,
            peer: PeerId(u16::try_from(interface).unwrap()),
            name,
            place: (InterfaceId::at(interface), false),
            password: true,
            ttl_security: false,
            connects: true,
        }
    }

    fn names(blamed: &[Blame]) -> Vec<(u16, Refusal, String)> {
        blamed.iter().map(|one| (one.peer.0, one.kind, one.among.join(" "))).collect()
    }

    #[test]
    fn a_neighbour_is_blamed_for_what_it_can_have_sent() {
        use Refusal::{Missing, Ttl, Unexpected, Wrong};
        let [two, three] = [suspect("ch2", 2), suspect("ch3", 3)];
        let open = Suspect { password: false, ..suspect("ch5", 5) };
        let told = |kinds: &[Refusal], suspects: &[Suspect<'_>], known| names(&blame(kinds, suspects, known));
        let sure = |peer, kind| (peer, kind, String::new());
        let both = "ch2 ch3".to_owned();
        // One kind: whoever threw something away threw that away. Two kinds at two sockets: either.
        assert_eq!(told(&[Wrong], &[two.clone(), three.clone()], true), [sure(2, Wrong), sure(3, Wrong)]);
        assert_eq!(
            told(&[Missing, Wrong], std::slice::from_ref(&two), true),
            [sure(2, Missing), sure(2, Wrong)]
        );
        let mixed = told(&[Missing, Wrong], &[two.clone(), three.clone()], true);
        let each = [(2, Missing), (3, Missing), (2, Wrong), (3, Wrong)]
            .map(|(peer, kind)| (peer, kind, both.clone()));
        assert_eq!(mixed, each);
        // A kernel that does not tell where: all of them, but none that cannot be meant.
        let all = [two.clone(), three, open.clone()];
        assert_eq!(told(&[Wrong], &all, false), [(2, Wrong, both.clone()), (3, Wrong, both)]);
        assert_eq!(told(&[Unexpected], &all, false), [sure(5, Unexpected)]);
        assert_eq!(told(&[Ttl], &all, true), []);
        // Whoever has a TCP connection has signed it well.
        let talks = Suspect { connects: false, ttl_security: true, ..two };
        assert_eq!(told(&[Wrong, Ttl], &[talks], true), [sure(2, Ttl)]);
    }

    #[test]
    fn what_is_sure_replaces_what_was_one_of_several() {
        let mut guesses = Guesses::default();
        let both = || vec!["ch2".to_owned(), "ch3".to_owned()];
        assert!(guesses.add(Refusal::Missing, both(), at(0)) && guesses.add(Refusal::Wrong, both(), at(0)));
        let (word, words) = guesses.reason().unwrap();
        assert!(
            word == "md5_missing" && words.starts_with("one of ch2, ch3: segments arrive without"),
            "{words}"
        );
        assert!(guesses.add(Refusal::Wrong, vec![], at(1)), "that is news");
        assert!(!guesses.add(Refusal::Missing, both(), at(2)));
        assert_eq!(guesses.reason(), Some(("md5_wrong", Refusal::Wrong.words().to_owned())));
    }

    #[test]
    fn a_guess_is_told_once_stands_beside_others_and_is_forgotten() {
        let mut guesses = Guesses::default();
        assert_eq!(guesses.reason(), None);
        assert!(guesses.add(Refusal::Ttl, vec![], at(0)) && guesses.add(Refusal::Wrong, vec![], at(20)));
        assert!(!guesses.add(Refusal::Wrong, vec![], at(25)));
        let (word, words) = guesses.reason().unwrap();
        assert_eq!(word, "md5_wrong");
        assert!(words.contains(Refusal::Wrong.words()) && words.contains(Refusal::Ttl.words()));
        guesses.forget(at(31));
        assert_eq!(guesses.reason(), Some(("md5_wrong", Refusal::Wrong.words().to_owned())));
        guesses.forget(at(60));
        assert_eq!(guesses.reason(), None);
        assert!(guesses.add(Refusal::Wrong, vec![], at(61)), "it is told again");
    }

    #[test]
    fn one_segment_from_afar_says_nothing() {
        let mut refusals = Refusals::default();
        let counted = [(0, 1), (1, 0), (30, 2), (35, 1), (60, 1), (61, 0), (70, 3)];
        let told = counted.map(|(second, count)| refusals.is_low_again(count, at(second)));
        assert_eq!(told, [false, false, false, true, false, false, true]);
    }
}
