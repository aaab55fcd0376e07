//! What a worker leaves to its successor in another process, and how that one goes on.
//!
//! Each channel, interface and connection leaves a parcel of its own; whoever carries them knows them by name, so the successor
//! may be configured otherwise: it takes what it still has. Left is what peers would miss, or must not see twice: packet numbers
//! and replay windows, the KaY with its SAKs, LACP's port, BFD sessions, sequence numbers of `duplicate`, the choice of `active-standby`, which
//! ports and paths were unusable, and the MAC addresses of neighbours. Counters begin at zero, as after every start.
//!
//! The order is the successor's affair: channels first, then LAGs, then interfaces, then (when all workers have theirs) connections.

use core::net::IpAddr;

use macsec::{
    SecY, SecyNumbers,
    mka::{Kay, KeyEntry, Rng},
};
use net::{
    Instant, MacAddr,
    carry::{Carry, Opened, Parcel},
};

use super::{Dataplane, Event};
use crate::{
    ChannelId, ConnectionId, Fault, Faults, InterfaceId, bfd::BfdEvent, key_agreement::KeyAgreement,
    protection::Standby, stamp::Why,
};

/// What was wrong below a channel, which nobody may have told the successor yet.
const BELOW: [Fault; 3] = [Fault::PortDown, Fault::NoCarrier, Fault::NoRoute];

/// The predecessor.
impl Dataplane {
    /// Leaves a channel; false when this worker does not own it. Nothing may be sent or received by it any more, unless no
    /// successor ever does.
    pub fn leave_channel(&self, id: ChannelId, out: &mut Parcel) -> bool {
        let Some(channel) = self.channel(id) else { return false };
        channel.secy.numbers().pack(out);
        (channel.faults(), channel.heard).pack(out);
        channel.mka.is_some().pack(out);
        if let Some(mka) = &channel.mka {
            let mut kay = Parcel::new();
            mka.kay.pack(&mut kay);
            out.counted(kay.as_octets());
        }
        if let Some((lag, member)) = channel.lag.and_then(|(id, member)| Some((self.lag(id)?, member))) {
            let mut port = Parcel::new();
            lag.aggregator.leave(member, &mut port);
            out.counted(port.as_octets());
        }
        true
    }

    /// Leaves what this worker knows about an interface.
    pub fn leave_interface(&self, id: InterfaceId, out: &mut Parcel, now: Instant) {
        let entries = self.interfaces.get(id.index()).into_iter().flat_map(|one| one.neighbors.entries(now));
        let known = entries.filter_map(|one| Some((one.ip, one.mac?)));
        known.collect::<Vec<_>>().pack(out);
        self.bad_quality(id).pack(out);
        self.bfd.leave(id, out);
    }

    /// Leaves the protection of a connection; false when this worker does not decide for it, or there is none.
    pub fn leave_connection(&self, id: ConnectionId, out: &mut Parcel) -> bool {
        let Some((_, protected)) = self.own_protected().find(|(own, _)| *own == id) else { return false };
        if let Some(standby) = protected.standby() {
            false.pack(out);
            standby.pack(out);
        }
        if let Some(redundancy) = &protected.redundancy {
            (true, redundancy.generation.next()).pack(out);
            redundancy.recovery.pack(out);
        }
        true
    }
}

/// The successor.
impl Dataplane {
    /// How far the keys of a channel were used, of the parcel that it left.
    pub fn numbers_left(left: &[u8]) -> Option<SecyNumbers> {
        SecyNumbers::unpack(&mut Opened::new(left))
    }

    /// Goes on with a channel that this worker owns; with `mka` its KaY too, otherwise its SAs are made already. False when
    /// that is not possible: then the channel has no SAs, and is started as any other.
    pub fn resume_channel(
        &mut self,
        id: ChannelId,
        left: &[u8],
        mka: Option<(Rng, Vec<KeyEntry>)>,
        now: Instant,
    ) -> bool {
        let mut from = Opened::new(left);
        type Left = (SecyNumbers, (Faults, Option<Instant>));
        let Some((numbers, (faults, heard))) = Left::unpack(&mut from) else { return false };
        // What is left of a KaY is read whether there is one now or not: the port of LACP comes after it.
        let Some(had_mka) = bool::unpack(&mut from) else { return false };
        let kay = if had_mka { from.counted() } else { None };
        let resumed = match mka {
            Some(mka) => kay.is_some_and(|kay| self.resume_kay(id, kay, &numbers, mka, now).is_some()),
            None => self.secy(id).is_some_and(|secy| {
                let ours = secy.policy().sci == numbers.sci();
                if ours {
                    secy.resume(&numbers, now);
                }
                ours
            }),
        };
        if !resumed {
            self.forget_secy(id, now);
            return false;
        }
        if let Some(channel) = self.channel_mut(id) {
            channel.heard = heard;
        }
        for fault in BELOW {
            self.set_channel_fault(id, fault, faults.has(fault), now);
        }
        self.secy_changed(id, now);
        self.keep_member(id, &mut from);
        true
    }

    fn resume_kay(
        &mut self,
        id: ChannelId,
        left: &[u8],
        numbers: &SecyNumbers,
        (random, keys): (Rng, Vec<KeyEntry>),
        now: Instant,
    ) -> Option<()> {
        let setup = self.setup.channels.get(id.index())?;
        let (params, policy) = (setup.mka.clone()?, setup.secy);
        let channel = self.channel_mut(id)?;
        let left = (&mut Opened::new(left), numbers);
        let kay = Kay::resume(params, random, keys, left, &mut channel.secy, now)?;
        channel.set_agreement(KeyAgreement::resume(kay, policy));
        self.settle_mka(id, now);
        Some(())
    }

    /// A SecY that got some of what was left, and not all, is none.
    fn forget_secy(&mut self, id: ChannelId, now: Instant) {
        let policy = self.setup.channels.get(id.index()).map(|channel| channel.secy);
        if let (Some(Ok(fresh)), Some(channel)) =
            (policy.map(|policy| SecY::new(policy, now)), self.channel_mut(id))
        {
            channel.secy = fresh;
            channel.mka = None;
        }
        self.secy_changed(id, now);
    }

    /// Goes on with an interface, as far as its predecessors of any worker knew it.
    pub fn resume_interface(&mut self, id: InterfaceId, left: &[u8], now: Instant) {
        let mut from = Opened::new(left);
        let Some(known) = <Vec<(IpAddr, MacAddr)>>::unpack(&mut from) else { return };
        if let Some(one) = self.interfaces.get_mut(id.index()) {
            for (ip, mac) in known {
                one.neighbors.resume(ip, mac, now);
            }
        }
        let Some(bad) = <Option<Why>>::unpack(&mut from) else { return };
        self.resume_quality(id, bad, now);
        // Sessions that are not there, or not so, begin anew.
        let _resumed = self.bfd.resume(id, &mut from, now);
    }

    /// Lets everything that has resumed speak: BFD judges its paths, liveness is what it was.
    pub fn resume_paths(&mut self, now: Instant) {
        self.serve_bfd(now);
        self.refresh_liveness(now);
    }

    /// Goes on with the protection of a connection, if this worker decides for it and it is of the kind that was left. To be
    /// called when the paths of all workers have resumed.
    pub fn resume_connection(&mut self, id: ConnectionId, left: &[u8]) {
        let mut from = Opened::new(left);
        let Some(mut duplicate) = bool::unpack(&mut from) else { return };
        let Some(protected) = self.protected(id.index()) else { return };
        let (before, mut chosen) = (protected.active(), false);
        if !duplicate {
            // Read to its end whatever becomes of it: the numbers of classes follow, if there were any.
            let Some(left) = Standby::unpack(&mut from) else { return };
            chosen = protected.standby_mut().is_some_and(|standby| standby.resume(left));
            duplicate = bool::unpack(&mut from) == Some(true);
        }
        if let (true, Some(redundancy)) = (duplicate, &mut protected.redundancy)
            && let Some(next) = u16::unpack(&mut from)
        {
            redundancy.generation.resume(next);
            redundancy.recovery.resume(&mut from);
        }
        if chosen {
            self.publish(id.index(), before);
        }
    }

    /// The end of resuming: of what came about by it only that attachments and BFD sessions are up is news, since nothing moved.
    pub fn resumed(&mut self, now: Instant) {
        self.refresh_liveness(now);
        self.choose_again(|_| true);
        let news = |event: &Event| matches!(event, Event::AttachmentUp(_) | Event::Bfd(_, _, BfdEvent::Up));
        self.events.retain(news);
    }
}
