//! The cache: entries, the frames that wait for them, and the verbs that callers use.

use core::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};
use std::collections::{HashMap, VecDeque};

use net::{Instant, Ipv6Net, MacAddr};

use super::{
    BadNeighborMessage, NeighborEntry, NeighborLimits, NeighborParams, NeighborState, Resolve,
    entry::{Claim, Entry, REACHABLE},
    hash::{Dice, Key, Seeded},
};
use crate::{Frame, icmp::RateLimiter};

/// Neighbours beyond the limits that are asked for because routes, or sessions of our own, lead to them.
pub(super) const PEERS: usize = 256;

/// The neighbours of one interface. See the [module](super) for how to drive it.
#[derive(Debug)]
pub struct Neighbors {
    pub(super) params: NeighborParams,
    pub(super) entries: Vec<Entry>,
    /// Where each address's entry is in `entries`.
    index: HashMap<Key, usize, Seeded>,
    /// Addresses whose entries have a question to send (`Entry::asking`); stale ones are skipped.
    pub(super) asking: VecDeque<IpAddr>,
    /// Frames that wait, oldest first.
    waiting: VecDeque<(IpAddr, Frame)>,
    released: VecDeque<(MacAddr, Frame)>,
    failed: VecDeque<Frame>,
    learned: VecDeque<(IpAddr, MacAddr)>,
    /// New entries for frames that wait.
    wanted: RateLimiter,
    /// New entries for neighbours that ask for us.
    heard: RateLimiter,
    /// New entries for neighbours that we have an interest of our own in.
    peers: RateLimiter,
    /// Not later than the earliest `Entry::timer`.
    pub(super) next: Option<Instant>,
    unresolved: usize,
    /// Who spoke last from beyond our subnets, and when.
    pub(super) off_link: Option<(IpAddr, Instant)>,
    dice: Dice,
}

impl Neighbors {
    /// An empty cache; `seed` decides how addresses hash and how long confirmations last.
    pub fn new(mut params: NeighborParams, seed: u64) -> Self {
        if !params.v6.is_empty() && !params.v6.iter().any(|own| own.addr().is_unicast_link_local()) {
            params.v6.extend(Ipv6Net::new(params.own_mac.link_local(), 64));
        }
        let NeighborLimits { new_per_second, new_burst, .. } = params.limits;
        let limiter = RateLimiter::new(new_per_second, new_burst);
        Self {
            params,
            entries: Vec::new(),
            index: HashMap::with_hasher(Seeded(seed)),
            asking: VecDeque::new(),
            waiting: VecDeque::new(),
            released: VecDeque::new(),
            failed: VecDeque::new(),
            learned: VecDeque::new(),
            wanted: limiter,
            heard: limiter,
            peers: limiter,
            next: None,
            unresolved: 0,
            off_link: None,
            dice: Dice(seed),
        }
    }

    /// What the cache was made with, the link-local address included.
    pub const fn params(&self) -> &NeighborParams {
        &self.params
    }

    /// Who spoke ARP or ND last with an address that is in none of the interface's subnets, and when.
    pub const fn off_link(&self) -> Option<(IpAddr, Instant)> {
        self.off_link
    }

    /// Notes such a one.
    pub(super) const fn refuse_off_link(&mut self, from: IpAddr, now: Instant) -> BadNeighborMessage {
        self.off_link = Some((from, now));
        BadNeighborMessage::OffLink
    }

    /// Whether `ip` is one of the interface's own addresses.
    pub fn is_own(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.params.v4.iter().any(|own| own.addr() == ip),
            IpAddr::V6(ip) => self.params.v6.iter().any(|own| own.addr() == ip),
        }
    }

    /// Whether `ip` can be a neighbour: a single station in one of the interface's subnets, and not ourselves.
    pub fn is_neighbor(&self, ip: IpAddr) -> bool {
        let on_link = match ip {
            IpAddr::V4(ip) => self.params.v4.iter().any(|own| {
                // The first and last address of a subnet are no hosts, except in a /31 or /32 (RFC 3021).
                let ends = own.prefix_len() < 31 && (ip == own.network() || ip == own.broadcast());
                own.contains(&ip) && !ends
            }),
            IpAddr::V6(ip) => self.params.v6.iter().any(|own| own.contains(&ip)),
        };
        on_link && !self.is_own(ip) && !ip.is_multicast() && !ip.is_unspecified() && !ip.is_loopback()
    }

    /// The MAC address of `ip`, for a frame that goes there now. Allocates nothing.
    #[inline]
    pub fn resolve(&mut self, ip: IpAddr, now: Instant) -> Resolve {
        let Some(entry) = self.index.get(&Key(ip)).and_then(|&at| self.entries.get_mut(at)) else {
            return Resolve::Unknown;
        };
        let (mac, timer_set) = entry.take(now);
        if timer_set {
            self.next = net::earliest(self.next, Some(entry.deadline));
        }
        mac.map_or(Resolve::Unknown, Resolve::Known)
    }

    /// Keeps `frame` until `ip` is resolved, and starts to ask. `Err` gives a frame back that has to be dropped: this one, when
    /// `ip` cannot be a neighbour or a limit is reached; the oldest for the same neighbour, when too many wait for it.
    pub fn hold(&mut self, ip: IpAddr, frame: Frame, now: Instant) -> Result<(), Frame> {
        let is_full = self.kept() >= self.params.limits.waiting;
        match self.resolve(ip, now) {
            Resolve::Known(_) if is_full => Err(frame),
            Resolve::Known(mac) => {
                self.released.push_back((mac, frame));
                Ok(())
            }
            Resolve::Unknown => self.wait(ip, frame, is_full, now),
        }
    }

    /// Asks for `ip` before any frame wants to go there, so that the first ones need not wait. Does nothing when it is known or
    /// asked for already, or may not be asked for.
    pub fn seek(&mut self, ip: IpAddr, now: Instant) {
        if !self.index.contains_key(&Key(ip)) {
            // Refused by a limit: then the first frame asks.
            let _asked = self.ask_for(ip, now);
        }
    }

    /// As [`seek`](Self::seek), for one that routes or sessions of our own lead to: a scan of silent addresses is not in the way.
    pub fn meet(&mut self, ip: IpAddr, now: Instant) {
        if !self.index.contains_key(&Key(ip)) {
            let _asked = self.ask_for_peer(ip, now);
        }
    }

    /// As [`meet`](Self::meet), and asks also for one that is known or was asked for: the link came up, so what was asked may
    /// not have reached it, nor the answer us. The question tells the neighbour where we are, too.
    pub fn greet(&mut self, ip: IpAddr, now: Instant) {
        if self.index.contains_key(&Key(ip)) {
            self.ask(ip);
        } else {
            self.meet(ip, now);
        }
    }

    fn wait(&mut self, ip: IpAddr, frame: Frame, is_full: bool, now: Instant) -> Result<(), Frame> {
        let known = self.index.contains_key(&Key(ip))
            || if frame.control { self.ask_for_peer(ip, now) } else { self.ask_for(ip, now) };
        if self.params.limits.waiting_per_entry == 0 || !known {
            return Err(frame);
        }
        let oldest = self.oldest_of_too_many(ip);
        if oldest.is_none() && is_full {
            return Err(frame);
        }
        self.waiting.push_back((ip, frame));
        oldest.map_or(Ok(()), Err)
    }

    /// The oldest frame that waits for `ip`, taken out, when as many wait as may.
    fn oldest_of_too_many(&mut self, ip: IpAddr) -> Option<Frame> {
        let many = self.waiting.iter().filter(|(waits_for, _)| *waits_for == ip).count();
        if many < self.params.limits.waiting_per_entry {
            return None;
        }
        let at = self.waiting.iter().position(|(waits_for, _)| *waits_for == ip)?;
        self.waiting.remove(at).map(|(_, frame)| frame)
    }

    fn kept(&self) -> usize {
        self.waiting.len() + self.released.len() + self.failed.len()
    }

    /// Makes an entry for `ip` and asks for it; false when that is not allowed.
    pub(super) fn ask_for(&mut self, ip: IpAddr, now: Instant) -> bool {
        let allowed = self.is_neighbor(ip)
            && self.unresolved < self.params.limits.unresolved
            && self.wanted.allow(now)
            && self.has_room(now);
        if allowed {
            self.begin_asking(ip, now);
        }
        allowed
    }

    /// As [`ask_for`](Self::ask_for), with limits that others have no part in (RFC 6583 §7.1).
    fn ask_for_peer(&mut self, ip: IpAddr, now: Instant) -> bool {
        let limits = self.params.limits;
        let allowed = self.is_neighbor(ip)
            && self.unresolved < limits.unresolved + PEERS
            && self.peers.allow(now)
            && (self.has_room(now) || self.entries.len() < limits.entries + PEERS);
        if allowed {
            self.begin_asking(ip, now);
        }
        allowed
    }

    fn begin_asking(&mut self, ip: IpAddr, now: Instant) {
        self.insert(Entry::incomplete(ip, now));
        self.ask(ip);
    }

    /// A frame that was held, and where it can go now.
    pub fn poll_released(&mut self) -> Option<(MacAddr, Frame)> {
        self.released.pop_front()
    }

    /// A frame that was held for a neighbour that does not answer: to be dropped, and its sender told (host unreachable).
    pub fn poll_failed(&mut self) -> Option<Frame> {
        self.failed.pop_front()
    }

    /// The frame that waits longest, taken out to be dropped: others need its buffer. Its neighbour is asked all the same.
    pub fn give_up_oldest(&mut self) -> Option<Frame> {
        self.waiting.pop_front().map(|(_, frame)| frame)
    }

    /// What other workers with a cache for the same interface should [`learn`](Self::learn).
    pub fn poll_learned(&mut self) -> Option<(IpAddr, MacAddr)> {
        self.learned.pop_front()
    }

    /// Another worker found `ip` at `mac`: as good as an answer to a question of our own.
    pub fn learn(&mut self, ip: IpAddr, mac: MacAddr, now: Instant) {
        if !self.is_neighbor(ip) || mac.is_group() || mac == MacAddr::ZERO {
            return;
        }
        let claim = Claim { mac: Some(mac), confirms: true, replaces: true };
        if self.index.contains_key(&Key(ip)) {
            self.update(ip, claim, now);
        } else if self.heard.allow(now) && self.has_room(now) {
            self.insert(Entry::stale(ip, mac, now));
            self.update(ip, claim, now);
        }
    }

    /// What a predecessor of this process knew: it is used at once, and asked when it is.
    pub fn resume(&mut self, ip: IpAddr, mac: MacAddr, now: Instant) {
        if mac.is_group() || !self.is_neighbor(ip) {
            return;
        }
        match self.entry(ip).map(|entry| entry.state) {
            // Channels go on first, and have it asked for at once: no reason to wait for the answer.
            Some(NeighborState::Incomplete) => {
                let _released =
                    self.update(ip, Claim { mac: Some(mac), confirms: false, replaces: false }, now);
            }
            Some(_) => {}
            None if self.has_room(now) => self.insert(Entry::stale(ip, mac, now)),
            None => {}
        }
    }

    /// All entries, by no particular order but always the same one.
    pub fn entries(&self, now: Instant) -> impl Iterator<Item = NeighborEntry> + '_ {
        self.entries.iter().map(move |entry| NeighborEntry {
            ip: entry.ip,
            mac: (entry.state != NeighborState::Incomplete).then_some(entry.mac),
            state: entry.state_at(now),
            age: now.since(entry.since),
        })
    }

    /// Frames that wait for an answer or to be fetched.
    pub fn frames_held(&self) -> usize {
        self.kept()
    }

    /// Hears `claim` about `ip` in a message; makes an entry of it if `may_create`. Tells other workers what is new.
    pub(super) fn hear(&mut self, ip: IpAddr, claim: Claim, may_create: bool, now: Instant) {
        if self.index.contains_key(&Key(ip)) {
            if self.update(ip, claim, now)
                && let Some(entry) = self.entry_mut(ip)
                && entry.may_be_told(now)
            {
                let mac = entry.mac;
                self.tell(ip, mac);
            }
        } else if let Some(mac) = claim.mac
            && (may_create || claim.confirms)
            && self.heard.allow(now)
        {
            if may_create && self.has_room(now) {
                self.insert(Entry::stale(ip, mac, now));
                self.tell(ip, mac);
            } else if claim.confirms {
                // An answer to a question that we did not ask: another worker did.
                self.tell(ip, mac);
            }
        }
    }

    /// The entry of `ip`.
    pub(super) fn entry(&self, ip: IpAddr) -> Option<&Entry> {
        self.index.get(&Key(ip)).and_then(|&at| self.entries.get(at))
    }

    /// As [`entry`](Self::entry), to be changed.
    pub(super) fn entry_mut(&mut self, ip: IpAddr) -> Option<&mut Entry> {
        self.index.get(&Key(ip)).and_then(|&at| self.entries.get_mut(at))
    }

    /// Applies `claim` to the entry of `ip`, and lets the frames go that waited for it. True when it is news.
    fn update(&mut self, ip: IpAddr, claim: Claim, now: Instant) -> bool {
        let reachable = self.reachable_time();
        let Some(entry) = self.entry_mut(ip) else { return false };
        let was_incomplete = entry.state == NeighborState::Incomplete;
        let news = entry.hear(claim, now, reachable);
        let (mac, resolved) = (entry.mac, was_incomplete && entry.state != NeighborState::Incomplete);
        if resolved {
            self.unresolved = self.unresolved.saturating_sub(1);
            for frame in Self::drain(&mut self.waiting, ip) {
                self.released.push_back((mac, frame));
            }
            // The frames that go now are a use: the entry of an unasked answer gets probed.
            if !self.released.is_empty() {
                let _known = self.resolve(ip, now);
            }
        }
        news
    }

    /// RFC 4861 §6.3.2: a random half to one and a half of the base, so that neighbours are not all probed at once.
    fn reachable_time(&mut self) -> Duration {
        let half = REACHABLE / 2;
        half + Duration::from_millis(self.dice.roll(u64::try_from(2 * half.as_millis()).unwrap_or(0)))
    }

    /// Takes out the frames that wait for `ip`, in order.
    fn drain(waiting: &mut VecDeque<(IpAddr, Frame)>, ip: IpAddr) -> impl Iterator<Item = Frame> {
        let mut left = waiting.len();
        core::iter::from_fn(move || {
            while left > 0 {
                left -= 1;
                match waiting.pop_front()? {
                    (waits_for, frame) if waits_for == ip => return Some(frame),
                    other => waiting.push_back(other),
                }
            }
            None
        })
    }

    /// Queues a question for `ip`. When nobody fetches them the oldest is forgotten; it is asked again in time.
    pub(super) fn ask(&mut self, ip: IpAddr) {
        let Some(entry) = self.entry_mut(ip) else { return };
        if core::mem::replace(&mut entry.asking, true) {
            return;
        }
        self.asking.push_back(ip);
        if self.asking.len() > self.params.limits.entries
            && let Some(oldest) = self.asking.pop_front()
            && let Some(entry) = self.entry_mut(oldest)
        {
            entry.asking = false;
        }
    }

    fn tell(&mut self, ip: IpAddr, mac: MacAddr) {
        let most = self.params.limits.learned;
        if most == 0 {
            return;
        }
        if self.learned.len() >= most {
            self.learned.pop_front();
        }
        self.learned.push_back((ip, mac));
    }

    /// Whether one more entry fits; the longest idle one goes if that helps.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.entries.len() < self.params.limits.entries {
            return true;
        }
        let idle = self.entries.iter().enumerate().filter(|(_, entry)| entry.is_idle(now));
        let Some(at) = idle.min_by_key(|(_, entry)| (entry.used, entry.since)).map(|(at, _)| at) else {
            return false;
        };
        self.remove(at);
        self.entries.len() < self.params.limits.entries
    }

    fn insert(&mut self, entry: Entry) {
        self.unresolved += usize::from(entry.state == NeighborState::Incomplete);
        self.next = net::earliest(self.next, entry.timer());
        self.index.insert(Key(entry.ip), self.entries.len());
        self.entries.push(entry);
    }

    /// Removes the entry at `at`; the last one takes its place.
    pub(super) fn remove(&mut self, at: usize) {
        if at >= self.entries.len() {
            return;
        }
        let gone = self.entries.swap_remove(at);
        self.unresolved -= usize::from(gone.state == NeighborState::Incomplete);
        self.index.remove(&Key(gone.ip));
        if let Some(moved) = self.entries.get(at) {
            self.index.insert(Key(moved.ip), at);
        }
        for frame in Self::drain(&mut self.waiting, gone.ip) {
            self.failed.push_back(frame);
        }
    }

    /// Our own IPv6 address to ask for `target` from: link-local for link-local, else one of the same subnet.
    pub(super) fn own_v6_for(&self, target: Ipv6Addr) -> Option<Ipv6Addr> {
        self.params.v6.iter().find(|own| own.contains(&target)).map(Ipv6Net::addr)
    }
}

#[cfg(test)]
impl Neighbors {
    /// Checks that the parts of the cache agree with each other.
    pub(super) fn audit(&self) {
        assert_eq!(self.index.len(), self.entries.len());
        for (at, entry) in self.entries.iter().enumerate() {
            assert_eq!(self.index.get(&Key(entry.ip)), Some(&at));
            assert!(!entry.asking || self.asking.contains(&entry.ip), "{} is never asked", entry.ip);
            assert!(entry.timer().is_none_or(|timer| self.next.is_some_and(|next| next <= timer)));
        }
        let incomplete = self.entries.iter().filter(|entry| entry.state == NeighborState::Incomplete).count();
        assert_eq!(self.unresolved, incomplete);
        assert!(self.asking.len() <= self.params.limits.entries);
        assert!(self.waiting.iter().all(|(ip, _)| self.index.contains_key(&Key(*ip))));
    }
}
