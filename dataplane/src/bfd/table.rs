//! All the sessions of a worker: which packet is for which (RFC 5880 §6.3, RFC 5881 §3), and what each has to send.

use core::{net::IpAddr, num::NonZeroU32};

use net::{
    Instant,
    carry::{Carry, Opened, Parcel},
    earliest,
};

use super::{
    BfdEvent, BfdMode, BfdParams, BfdStatus, BfdTimers, Control, Datagram, Discriminator, Hops, Refusal,
    RefusalCounters, SINGLE_HOP_PORT, Session,
};
use crate::{ConnectionId, InterfaceId, Setup, WorkerId, neighbor::Dice};

/// The first source port, and how many there are (RFC 5881 §4).
const FIRST_PORT: u16 = 49_152;
const PORTS: u16 = 16_384;

/// The sessions of one worker.
#[derive(Debug, Default)]
pub struct Sessions {
    entries: Vec<Entry>,
    /// Entries that may have something to send or to tell.
    touched: Vec<usize>,
    /// Interfaces of entries that told it, so that they may be judged again.
    told: Vec<InterfaceId>,
    /// Not later than the earliest deadline of any.
    next: Option<Instant>,
    /// Packets refused that were for none of them.
    refused: RefusalCounters,
}

#[derive(Debug)]
struct Entry {
    interface: InterfaceId,
    connection: ConnectionId,
    own: IpAddr,
    peer: IpAddr,
    source_port: u16,
    hops: Hops,
    session: Session,
}

/// A packet to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// Out by this interface; over several hops, by the routes of its connection.
    pub interface: InterfaceId,
    /// From this address of ours and this port.
    pub source: (IpAddr, u16),
    /// To the peer.
    pub destination: (IpAddr, u16),
    /// How far away it is.
    pub hops: Hops,
    /// The packet.
    pub control: Control,
}

impl Sessions {
    /// The sessions of `setup` that `me` runs: those on the interfaces that it alone sends by. `seed` makes discriminators and
    /// jitter; discriminators differ on all workers, whatever their seeds are.
    pub fn new(setup: &Setup, me: WorkerId, seed: u64) -> Self {
        let mut dice = Dice(seed ^ 0xbfd);
        let configured = setup
            .interfaces
            .iter()
            .enumerate()
            .flat_map(|(at, one)| one.bfd.iter().map(move |params| (InterfaceId::at(at), one, params)));
        let mut this = Self::default();
        for (at, (interface, one, params)) in configured.enumerate() {
            let Some(own) = one.address_for(params.peer) else { continue };
            if setup.runs_on(one) != me {
                continue;
            }
            let (discriminator, source_port) = names(at, &mut dice);
            let session = Session::new(*params, discriminator, Instant::ZERO, dice.roll(u64::MAX));
            this.touched.push(this.entries.len());
            this.entries.push(Entry {
                interface,
                connection: one.connection,
                own,
                peer: params.peer,
                source_port,
                hops: params.hops,
                session,
            });
        }
        this.next = (!this.entries.is_empty()).then_some(Instant::ZERO);
        this
    }

    /// True when there is nothing to do, ever.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The peers on the link of `interface`.
    pub fn near_peers(&self, interface: InterfaceId) -> impl Iterator<Item = IpAddr> {
        let near = move |one: &&Entry| one.interface == interface && matches!(one.hops, Hops::One);
        self.entries.iter().filter(near).map(|one| one.peer)
    }

    /// Hears a datagram that came in by `interface` of `connection`.
    ///
    /// # Errors
    /// When it was refused; that is counted, with the session that it was for, if it can be said.
    pub fn handle_datagram(
        &mut self,
        interface: InterfaceId,
        connection: ConnectionId,
        l3: &[u8],
        now: Instant,
    ) -> Result<(), Refusal> {
        let datagram = Datagram::parse(l3).inspect_err(|why| self.refused.count(*why))?;
        let sender = self.by_peer(interface, connection, &datagram);
        let received = match Control::decode(datagram.payload) {
            _ if datagram.port == SINGLE_HOP_PORT && datagram.hops != 255 => Err(Refusal::Hops),
            decoded => decoded,
        };
        let found = received.and_then(|received| {
            let at = match received.control.your_discriminator {
                None => sender.ok_or(Refusal::UnknownPeer),
                Some(mine) => self.by_name(mine, sender),
            }?;
            let entry = self.entries.get(at).ok_or(Refusal::UnknownSession)?;
            if datagram.hops < entry.hops.least() { Err(Refusal::Hops) } else { Ok((at, received)) }
        });
        match found {
            Ok((at, received)) => {
                let mut heard = Ok(());
                self.drive(at, |session| heard = session.handle_packet(&received, now));
                heard
            }
            Err(why) => {
                match sender.and_then(|at| self.entries.get_mut(at)) {
                    Some(entry) => drop(entry.session.refuse(why)),
                    None => self.refused.count(why),
                }
                Err(why)
            }
        }
    }

    fn drive(&mut self, at: usize, verb: impl FnOnce(&mut Session)) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        verb(&mut entry.session);
        self.next = earliest(self.next, entry.session.poll_timeout());
        if !self.touched.contains(&at) {
            self.touched.push(at);
        }
    }

    /// Does what is due; see [`Session::handle_timeout`] for what must have happened before.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        let mut next = None;
        for (at, entry) in self.entries.iter_mut().enumerate() {
            if entry.session.poll_timeout().is_some_and(|due| due <= now) {
                entry.session.handle_timeout(now);
                if !self.touched.contains(&at) {
                    self.touched.push(at);
                }
            }
            next = earliest(next, entry.session.poll_timeout());
        }
        self.next = next;
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called at the latest.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// True when `handle_timeout(now)` would declare a peer dead: look at the sockets first.
    pub fn is_judgement_due(&self, now: Instant) -> bool {
        let due = |entry: &Entry| entry.session.poll_judgement().is_some_and(|due| due <= now);
        self.next.is_some_and(|next| next <= now) && self.entries.iter().any(due)
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<Outgoing> {
        for at in &self.touched {
            let Some(entry) = self.entries.get_mut(*at) else { continue };
            if let Some(control) = entry.session.poll_transmit() {
                return Some(Outgoing {
                    interface: entry.interface,
                    source: (entry.own, entry.source_port),
                    destination: (entry.peer, entry.hops.port()),
                    hops: entry.hops,
                    control,
                });
            }
        }
        None
    }

    /// The next thing that others should know, with the session's interface and peer. Fetch it after all packets, and before
    /// the verdicts.
    pub fn poll_event(&mut self) -> Option<(InterfaceId, IpAddr, BfdEvent)> {
        while let Some(at) = self.touched.last() {
            if let Some(entry) = self.entries.get_mut(*at)
                && let Some(event) = entry.session.poll_event()
            {
                return Some((entry.interface, entry.peer, event));
            }
            let interface = self.entries.get(*at).map(|entry| entry.interface);
            self.told.extend(interface);
            self.touched.pop();
        }
        None
    }

    /// The next interface whose sessions moved, and whether any of them speaks against it now.
    pub fn poll_verdict(&mut self) -> Option<(InterfaceId, bool)> {
        let interface = self.told.pop()?;
        Some((interface, self.is_fault(interface)))
    }

    /// Whether any session speaks against its interface.
    pub fn is_fault(&self, interface: InterfaceId) -> bool {
        self.of(interface).any(|entry| entry.session.is_fault())
    }

    /// Says whether frames can leave by `interface` at all (see [`Session::set_path_open`]).
    pub fn set_path_open(&mut self, interface: InterfaceId, open: bool) {
        for entry in self.entries.iter_mut().filter(|entry| entry.interface == interface) {
            entry.session.set_path_open(open);
            self.next = earliest(self.next, entry.session.poll_timeout());
        }
    }

    /// Other timers and another mode for the session with `peer`. False when there is none.
    pub fn set_timers(
        &mut self,
        (interface, peer): (InterfaceId, IpAddr),
        timers: BfdTimers,
        mode: BfdMode,
        now: Instant,
    ) -> bool {
        self.change((interface, peer), |session| session.set_timers(timers, mode, now))
    }

    /// As configured anew, but for who the peer is and how far away. False when there is no session with it.
    pub fn set_params(&mut self, interface: InterfaceId, params: &BfdParams, now: Instant) -> bool {
        self.change((interface, params.peer), |session| {
            session.set_independent(params.independent);
            session.set_timers(params.timers, params.mode, now);
        })
    }

    /// Switches the session with `peer` off or on. False when there is none.
    pub fn set_admin_down(
        &mut self,
        (interface, peer): (InterfaceId, IpAddr),
        down: bool,
        now: Instant,
    ) -> bool {
        self.change((interface, peer), |session| session.set_admin_down(down, now))
    }

    fn change(&mut self, who: (InterfaceId, IpAddr), how: impl FnOnce(&mut Session)) -> bool {
        let Some(at) = self.entries.iter().position(|entry| (entry.interface, entry.peer) == who) else {
            return false;
        };
        self.drive(at, how);
        true
    }

    /// Leaves the sessions of `interface` to a successor in another process.
    pub fn leave(&self, interface: InterfaceId, out: &mut Parcel) {
        self.of(interface).count().pack(out);
        for entry in self.of(interface) {
            (entry.peer, entry.source_port).pack(out);
            let mut session = Parcel::new();
            entry.session.pack(&mut session);
            out.counted(session.as_octets());
        }
    }

    /// Goes on with the sessions of `interface` that a predecessor left and that are still configured. False when what it left is
    /// no such thing; then they begin anew.
    pub fn resume(&mut self, interface: InterfaceId, from: &mut Opened<'_>, now: Instant) -> bool {
        let Some(count) = usize::unpack(from) else { return false };
        for _ in 0..count {
            let Some((peer, source_port)) = <(IpAddr, u16)>::unpack(from) else { return false };
            let Some(left) = from.counted() else { return false };
            let with = |entry: &Entry| entry.interface == interface && entry.peer == peer;
            let Some(at) = self.entries.iter().position(with) else { continue };
            let fresh = self.entries.get(at).map(|entry| entry.session.clone());
            let mut resumed = None;
            self.drive(at, |session| resumed = session.resume(&mut Opened::new(left), now));
            let name = self.entries.get(at).map(|entry| entry.session.discriminator());
            let twice =
                self.entries.iter().filter(|one| Some(one.session.discriminator()) == name).count() > 1;
            let Some(entry) = self.entries.get_mut(at) else { return false };
            match (resumed, fresh) {
                (Some(()), _) if !twice => entry.source_port = source_port,
                (_, Some(fresh)) => entry.session = fresh,
                (_, None) => return false,
            }
        }
        true
    }

    /// What people see of the sessions of `interface`. Allocates.
    pub fn statuses(&self, interface: InterfaceId) -> Vec<BfdStatus> {
        let status = |entry: &Entry| entry.session.status((entry.own, entry.peer), entry.hops);
        self.of(interface).map(status).collect()
    }

    /// Packets refused that were for no session here.
    pub const fn refused(&self) -> &RefusalCounters {
        &self.refused
    }

    fn of(&self, interface: InterfaceId) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.interface == interface)
    }

    /// The session with the sender: over one hop its address on this interface says which (RFC 5881 §3), over several the pair
    /// of addresses (RFC 5883 §4).
    fn by_peer(
        &self,
        interface: InterfaceId,
        connection: ConnectionId,
        datagram: &Datagram<'_>,
    ) -> Option<usize> {
        self.entries.iter().position(|entry| {
            let near = matches!(entry.hops, Hops::One);
            let here = if near { entry.interface == interface } else { entry.connection == connection };
            here && entry.hops.port() == datagram.port
                && (entry.peer, entry.own) == (datagram.source, datagram.destination)
        })
    }

    /// The session that we call `mine`, which must be with the sender.
    fn by_name(&self, mine: Discriminator, sender: Option<usize>) -> Result<usize, Refusal> {
        let has = |at: usize| self.entries.get(at).is_some_and(|one| one.session.discriminator() == mine);
        match sender {
            Some(at) if has(at) => Ok(at),
            _ if (0..self.entries.len()).any(has) => Err(Refusal::WrongPath),
            _ => Err(Refusal::UnknownSession),
        }
    }
}

/// Discriminator and source port of the gateway's session number `at`: its number makes them unique on all workers, the
/// dice make the discriminator another one after a restart, so that a peer's old packets are known as such.
fn names(at: usize, dice: &mut Dice) -> (Discriminator, u16) {
    let number = u16::try_from(at).unwrap_or(u16::MAX).saturating_add(1);
    let luck = u32::try_from(dice.roll(1 << 16)).unwrap_or(0);
    let discriminator = NonZeroU32::new(luck << 16 | u32::from(number)).unwrap_or(NonZeroU32::MIN);
    (discriminator, FIRST_PORT + u16::try_from(at % usize::from(PORTS)).unwrap_or(0))
}
