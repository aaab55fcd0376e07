//! Links that change: what is told the workers, and when; and how much of it is logged.

use dataplane::{Fault, PortId};
use tracing::info;

use super::{Gateway, SETTLE};
use crate::{clock, link_monitor::Link, worker::Command};

impl Gateway {
    pub(super) fn link_changed(&mut self, at: usize, link: Link) {
        let before = self.links.get_mut(at).and_then(|known| known.replace(link));
        if before == Some(link) {
            return;
        }
        let (port, id) = (self.config.ports.get(at).cloned(), PortId::at(at));
        let Some(port) = port else { return };
        let another = before.is_some_and(|before| before.index() != link.index()) && link.index().is_some();
        if another && !self.reopen(id, &port) {
            return;
        }
        let fault = link.fault();
        let state = fault.map_or("up", Fault::label);
        if let Some(changes) = self.link_talk.entry(at).or_default().tell(&(), clock::now()) {
            info!(event = "port.link", port = port.name, device = port.device, state, changes);
        }
        self.settling.remove(&at);
        self.chronicle.link(id, &port.name, fault, clock::now());
        match fault {
            None if before.is_some() => drop(self.settling.insert(at, clock::now().after(SETTLE))),
            fault => self.tell_fault(id, fault),
        }
    }

    /// Lets ports be used whose links have been up for long enough.
    pub(super) fn settled(&mut self) {
        let now = clock::now();
        let due: Vec<usize> =
            self.settling.iter().filter(|(_, due)| **due <= now).map(|(at, _)| *at).collect();
        for at in due {
            self.settling.remove(&at);
            self.tell_fault(PortId::at(at), None);
        }
    }

    fn tell_fault(&self, port: PortId, fault: Option<Fault>) {
        for worker in &self.workers {
            worker.mailbox.send(Command::PortFault(port, fault));
        }
        self.with_bgp(|bgp| bgp.port(&self.setup, port, fault));
    }

    /// Logs the states of links that changed too fast for a line each, and are quiet now.
    pub(super) fn tell_quiet_links(&mut self) {
        let now = clock::now();
        for (at, talk) in &mut self.link_talk {
            let Some((((), changes), port)) = talk.rest(now).zip(self.config.ports.get(*at)) else {
                continue;
            };
            let link = self.links.get(*at).copied().flatten().unwrap_or(Link::Gone);
            let state = link.fault().map_or("up", Fault::label);
            info!(event = "port.link", port = port.name, device = port.device, state, changes);
        }
    }
}

#[cfg(test)]
mod tests {
    use net::Instant;

    use crate::talk::Talk;

    #[test]
    fn a_storm_is_a_line_a_second_and_each_change_is_in_one() {
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let mut talk = Talk::default();
        assert_eq!((talk.tell(&(), at(1000)), talk.rest(at(9000))), (Some(1), None));
        let lines: Vec<u64> =
            (0..2400).filter_map(|change| talk.tell(&(), at(10_000 + change * 25))).collect();
        assert!((60..=75).contains(&lines.len()), "{}", lines.len());
        assert_eq!(talk.rest(at(70_100)), None, "it is not quiet yet");
        let ((), rest) = talk.rest(at(73_000)).unwrap();
        assert_eq!((lines.iter().sum::<u64>() + rest, talk.rest(at(99_000))), (2400, None));
    }
}
