//! Our own prefixes: announced while a LAN that they lead to can be reached.
//!
//! A LAN whose port is down, or has no carrier, is a black hole to everybody who still sends us its traffic, and perhaps another gateway
//! is on the same LAN. What leads nowhere else is withdrawn at once. It is announced again when its link is back, which
//! the control loop says once it has been up for long enough; one that is lost again and again waits longer each time, as
//! an attachment does ([`dataplane::damping`]).

use std::collections::{BTreeMap, BTreeSet};

use bgp::Speaker;
use dataplane::{InterfaceId, damping::Damper};
use net::{Instant, IpNet, earliest};
use tracing::{info, warn};

use crate::assemble::OwnPrefix;

/// All that one connection announces of its own.
#[derive(Debug, Default)]
pub(super) struct Own {
    prefixes: Vec<OwnPrefix>,
    announced: BTreeSet<IpNet>,
    /// What was said of the links of LANs; nothing speaks against others.
    lans: BTreeMap<InterfaceId, Lan>,
    /// Links, or what is wanted, are others than when it was settled last.
    changed: bool,
}

#[derive(Debug)]
struct Lan {
    link: Result<(), &'static str>,
    damper: Damper,
    /// Its prefixes are taken back, which was told.
    told: bool,
}

impl Own {
    /// Announces these, and no others.
    pub(super) fn replace(&mut self, prefixes: Vec<OwnPrefix>, speaker: &mut Speaker, now: Instant) {
        self.prefixes = prefixes;
        self.changed = true;
        self.settle(speaker, now);
    }

    /// The link of a LAN may be used, or not, and then why not.
    pub(super) fn set_link(&mut self, lan: InterfaceId, link: Result<(), &'static str>, now: Instant) {
        let fresh = || Lan { link, damper: Damper::default(), told: false };
        let lan = self.lans.entry(lan).or_insert_with(fresh);
        lan.link = link;
        lan.damper.note(link.is_err(), now);
        self.changed = true;
    }

    /// Announces and takes back, as the LANs are now.
    pub(super) fn settle(&mut self, speaker: &mut Speaker, now: Instant) {
        for lan in self.lans.values_mut() {
            self.changed |= lan.damper.release(now);
        }
        if !core::mem::take(&mut self.changed) {
            return;
        }
        let wanted: BTreeSet<IpNet> =
            self.prefixes.iter().filter(|one| self.is_reached(one)).map(|one| one.prefix).collect();
        for gone in self.announced.difference(&wanted) {
            speaker.retract(gone);
        }
        for new in wanted.difference(&self.announced) {
            speaker.announce(*new, bgp::own_route(), now);
        }
        self.announced = wanted;
    }

    /// Tells of LANs whose prefixes were taken back, or are announced again. `names` are those of the interfaces.
    pub(super) fn tell(&mut self, names: &[String]) {
        for (id, lan) in &mut self.lans {
            let led = || self.prefixes.iter().filter(|one| one.lans.contains(id));
            let out = lan.is_out() && led().next().is_some();
            if core::mem::replace(&mut lan.told, out) == out {
                continue;
            }
            let prefixes = led().map(|one| one.prefix.to_string()).collect::<Vec<_>>().join(" ");
            let interface = names.get(id.index());
            match lan.link {
                Err(why) => warn!(
                    event = "bgp.withheld",
                    interface,
                    why,
                    prefixes,
                    "not announced while the LAN has no link, as far as they lead nowhere else"
                ),
                Ok(()) => info!(event = "bgp.announced_again", interface, prefixes),
            }
        }
    }

    /// When [`settle`](Self::settle) has something to do although no link changed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.lans.values().map(|lan| lan.damper.until()).fold(None, earliest)
    }

    fn is_reached(&self, one: &OwnPrefix) -> bool {
        let is_out = |lan: &InterfaceId| self.lans.get(lan).is_some_and(Lan::is_out);
        one.lans.is_empty() || !one.lans.iter().all(is_out)
    }
}

impl Lan {
    /// It has no link, or has it again but is held back.
    const fn is_out(&self) -> bool {
        self.link.is_err() || self.damper.until().is_some()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use bgp::{Asn, RouterId, SpeakerConfig};

    use super::*;

    const DOWN: Result<(), &str> = Err("no_carrier");
    const LAN: InterfaceId = InterfaceId(4);
    const OTHER: InterfaceId = InterfaceId(5);

    struct Bench {
        own: Own,
        speaker: Speaker,
    }

    impl Bench {
        fn new() -> Self {
            let config = SpeakerConfig {
                asn: Asn(65001),
                router_id: RouterId::new(std::net::Ipv4Addr::new(192, 0, 2, 1)).unwrap(),
                decision: bgp::decision::DecisionRules::default(),
                restarting: None,
            };
            let mut speaker = Speaker::new(config, 1, Instant::ZERO);
            let mut own = Own::default();
            let prefix =
                |text: &str, lans: &[InterfaceId]| OwnPrefix { prefix: net(text), lans: lans.into() };
            let all = vec![
                prefix("10.1.0.0/24", &[LAN]),
                prefix("10.8.0.0/16", &[LAN, OTHER]),
                prefix("10.9.0.0/16", &[]),
            ];
            own.replace(all, &mut speaker, Instant::ZERO);
            Self { own, speaker }
        }

        fn link(&mut self, lan: InterfaceId, link: Result<(), &'static str>, now: Instant) -> Vec<bool> {
            self.own.set_link(lan, link, now);
            self.look(now)
        }

        fn look(&mut self, now: Instant) -> Vec<bool> {
            self.own.settle(&mut self.speaker, now);
            let is_announced = |text| !self.speaker.explain(&net(text)).paths.is_empty();
            ["10.1.0.0/24", "10.8.0.0/16", "10.9.0.0/16"].map(is_announced).into()
        }
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn what_leads_to_a_lan_without_a_link_alone_is_taken_back_until_it_has_one() {
        let mut bench = Bench::new();
        assert_eq!(bench.look(at(1)), [true; 3], "nobody said anything of links");
        assert_eq!(bench.link(LAN, Ok(()), at(2)), [true; 3]);
        assert_eq!(bench.link(LAN, DOWN, at(3)), [false, true, true]);
        assert_eq!(bench.link(OTHER, DOWN, at(4)), [false, false, true]);
        assert_eq!(bench.link(LAN, Ok(()), at(5)), [true; 3]);
    }

    #[test]
    fn a_lan_that_is_down_from_the_start_is_not_announced() {
        assert_eq!(Bench::new().link(LAN, DOWN, at(1)), [false, true, true]);
    }

    #[test]
    fn a_lan_that_is_lost_again_and_again_waits_as_an_attachment_does() {
        let mut bench = Bench::new();
        bench.link(LAN, Ok(()), at(1));
        for loss in 1..=5 {
            assert!(!bench.link(LAN, DOWN, at(2 * loss))[0]);
            assert!(bench.link(LAN, Ok(()), at(2 * loss + 1))[0], "{loss}");
        }
        bench.link(LAN, DOWN, at(20));
        assert!(!bench.link(LAN, Ok(()), at(21))[0]);
        let due = bench.own.due().unwrap();
        assert_eq!(due, at(21).after(Duration::from_secs(1)));
        assert_eq!((bench.look(due)[0], bench.own.due()), (true, None));
    }

    #[test]
    fn another_configuration_finds_the_links_as_they_are() {
        let mut bench = Bench::new();
        bench.link(LAN, DOWN, at(1));
        let all = vec![
            OwnPrefix { prefix: net("10.1.0.0/24"), lans: vec![] },
            OwnPrefix { prefix: net("10.9.0.0/16"), lans: vec![LAN] },
        ];
        bench.own.replace(all, &mut bench.speaker, at(2));
        assert_eq!(bench.look(at(2)), [true, false, false]);
    }
}
