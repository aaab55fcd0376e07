//! What the API asks of the thread, and what it is told: copies, nothing that holds the thread up.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bgp::{Explanation, PeerId, PeerStatus};
use crossbeam::channel::{Receiver, Sender, bounded};
use dataplane::Target;
use net::{Instant, IpNet};

/// A question, or a wish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Question {
    /// How all neighbours are.
    Neighbors,
    /// What was learnt, from here on: at most this many routes in all.
    Routes(Cursor, usize),
    /// Everything about one prefix of one connection (its place in the configuration).
    Explain(usize, Wanted),
    /// End the session of a neighbour (places of connection and neighbour) and start it again.
    Clear(usize, usize),
    /// Ask a neighbour for its routes again, and tell it ours again.
    Refresh(usize, usize),
    /// End the session of a neighbour with these words (RFC 9003), and keep it down.
    Shutdown(usize, usize, String),
    /// Let a neighbour that was shut down run again.
    Enable(usize, usize),
}

/// A place in the list of all routes: connections in the order of the configuration, and the routes of each in order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cursor {
    /// Place of the connection in the configuration.
    pub connection: usize,
    /// Behind this prefix of it, or before all of them.
    pub after: Option<IpNet>,
}

/// Which prefix is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// Exactly this one.
    Prefix(IpNet),
    /// The longest one that holds this address.
    Address(IpAddr),
}

/// A session that was up, and ended, because its neighbour does not keep our routes while we are gone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reset {
    /// As `connection/neighbour`.
    pub neighbor: String,
    /// Why, and what to set.
    pub message: &'static str,
}

/// What is said to a [`Question`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`Question::Neighbors`].
    Neighbors(Vec<NeighborReport>),
    /// To [`Question::Routes`].
    Routes(RoutesReport),
    /// To [`Question::Explain`].
    Explained(Box<Explained>),
    /// To a wish: it is being done, or why not.
    Done(Result<(), &'static str>),
}

/// A question on its way. Either it is begun, and then its answer is waited for, or it was given up, and then nothing is done:
/// nobody is told that the thread is silent and later has done what they wished.
#[derive(Debug)]
pub(crate) struct Asked {
    question: Question,
    reply: Sender<Answer>,
    decided: Arc<AtomicBool>,
}

/// The side that waits.
#[derive(Debug)]
pub(crate) struct Awaited {
    answer: Receiver<Answer>,
    decided: Arc<AtomicBool>,
}

impl Asked {
    pub(crate) fn new(question: Question) -> (Self, Awaited) {
        let (reply, answer) = bounded(1);
        let decided = Arc::<AtomicBool>::default();
        (Self { question, reply, decided: Arc::clone(&decided) }, Awaited { answer, decided })
    }

    /// What is to be done, and where the answer goes; nothing when whoever asked waits no longer.
    pub(crate) fn begin(self) -> Option<(Question, Sender<Answer>)> {
        let given_up = self.decided.swap(true, Ordering::AcqRel);
        (!given_up).then_some((self.question, self.reply))
    }
}

impl Awaited {
    /// The answer, if it is begun within `patience`, and then does not take longer than that again.
    pub(crate) fn wait(self, patience: Duration) -> Option<Answer> {
        self.answer.recv_timeout(patience).ok().or_else(|| {
            let begun = self.decided.swap(true, Ordering::AcqRel);
            begun.then(|| self.answer.recv_timeout(patience).ok()).flatten()
        })
    }
}

/// One neighbour.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighborReport {
    /// Place of its connection in the configuration.
    pub connection: usize,
    /// Its place there.
    pub neighbor: usize,
    /// What its speaker says.
    pub status: PeerStatus,
    /// Since when it is in this state.
    pub since: Instant,
    /// Since when it is a neighbour: the start, or a reload.
    pub added: Instant,
    /// Why it is not up, in a word and in a sentence, as far as that is known.
    pub reason: Option<(&'static str, String)>,
    /// When its last session ended, and why.
    pub last_down: Option<(Instant, String)>,
    /// When the last attempt at a connection failed, and why; none since the session is up.
    pub failure: Option<(Instant, String)>,
}

/// Routes that were learnt and are used.
#[derive(Clone, Debug, Default)]
pub struct RoutesReport {
    /// The newest generation of tables that was given to the workers.
    pub generation: u64,
    /// By connection, from the one on that was asked for.
    pub connections: Vec<LearnedRoutes>,
}

/// Routes that one connection learnt.
#[derive(Clone, Debug, Default)]
pub struct LearnedRoutes {
    /// Place of the connection in the configuration.
    pub connection: usize,
    /// How many more come behind these.
    pub rest: usize,
    /// In order, from the place on that was asked for.
    pub routes: Vec<(IpNet, Target)>,
}

/// Everything about one prefix.
#[derive(Clone, Debug)]
pub struct Explained {
    /// What the speaker says; nobody has told of it when it has no paths.
    pub explanation: Explanation,
    /// What the tables of this generation do with exactly this prefix, as BGP learnt it.
    pub target: Option<Target>,
    /// It counts: no route of the configuration has the same prefix.
    pub counts: bool,
    /// Tables with the newest changes are not built yet.
    pub pending: bool,
    /// The newest generation that was given to the workers.
    pub generation: u64,
    /// Names of the neighbours: `connection/name`.
    pub names: BTreeMap<PeerId, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    #[test]
    fn what_was_given_up_is_not_done_later() {
        let (asked, awaited) = Asked::new(Question::Clear(0, 0));
        assert!(awaited.wait(SOON).is_none());
        assert!(asked.begin().is_none(), "whoever asked was told that nothing was done");
    }

    #[test]
    fn what_was_begun_is_waited_for() {
        let (asked, awaited) = Asked::new(Question::Clear(0, 0));
        let (question, reply) = asked.begin().unwrap();
        assert_eq!(question, Question::Clear(0, 0));
        reply.send(Answer::Done(Ok(()))).unwrap();
        assert!(matches!(awaited.wait(SOON), Some(Answer::Done(Ok(())))));
        // Its thread is gone.
        let (asked, awaited) = Asked::new(Question::Neighbors);
        drop(asked);
        assert!(awaited.wait(Duration::from_secs(60)).is_none());
    }
}
