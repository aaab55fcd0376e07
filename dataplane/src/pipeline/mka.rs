//! The KaYs of the channels: MKPDUs in and out by the uncontrolled port, keys to the SecY, events to the control plane.
//!
//! One rule: whatever was asked of a KaY, [`Dataplane::settle_mka`] follows at once. It does to the SecY what the KaY
//! decided, judges the channel by it, and queues the MKPDUs that are due; they pass beside the SecY (802.1X §6.3), under
//! the channel's clear tags.

use core::time::Duration;

use macsec::mka::{Kay, KeyEntry, RekeyAnswer, Rng, SuspendAnswer};
use net::{Instant, PacketBuf, earliest};

use super::{Blame, Dataplane, Event, Facts};
use crate::{
    ChannelId, DropReason, Fault, Frame, InterfaceId, PortId, channel::Channel, key_agreement::KeyAgreement,
};

/// Orders of the control plane.
impl Dataplane {
    /// Starts key agreement on a channel that this worker owns and whose setup has [`mka`](crate::ChannelSetup::mka).
    /// `random` fills buffers with octets that nobody can guess: SAKs are made of them. False when there is no such channel.
    pub fn start_mka(&mut self, id: ChannelId, random: Rng, keys: Vec<KeyEntry>, now: Instant) -> bool {
        let setup = self.setup.channels.get(id.index());
        let Some((params, policy)) = setup.and_then(|setup| Some((setup.mka.clone()?, setup.secy))) else {
            return false;
        };
        let Some(Some(channel)) = self.channels.get_mut(id.index()) else { return false };
        let kay = Kay::new(params, random, now);
        channel.set_agreement(KeyAgreement::new(kay, policy, keys, now));
        self.settle_mka(id, now);
        true
    }

    /// Uses these CAKs from now on; what stays is not disturbed. False when the channel has no KaY here.
    pub fn set_mka_keys(&mut self, id: ChannelId, keys: Vec<KeyEntry>, now: Instant) -> bool {
        self.with_kay(id, now, |kay| kay.set_keys(keys, now)).is_some()
    }

    /// Makes a fresh SAK, if we are key server. `None` when the channel has no KaY here.
    pub fn rekey(&mut self, id: ChannelId, now: Instant) -> Option<RekeyAnswer> {
        self.with_kay(id, now, |kay| kay.rekey(now))
    }

    /// Suspends MKA for `time`, or asks the key server to (802.1X-2020 §9.18). `None` when the channel has no KaY here.
    pub fn suspend_mka(&mut self, id: ChannelId, time: Duration, now: Instant) -> Option<SuspendAnswer> {
        self.with_kay(id, now, |kay| kay.suspend(time, now))
    }

    fn with_kay<T>(&mut self, id: ChannelId, now: Instant, ask: impl FnOnce(&mut Kay) -> T) -> Option<T> {
        let Some(Some(Channel { mka: Some(mka), secy, .. })) = self.channels.get_mut(id.index()) else {
            return None;
        };
        mka.kay.note_pns(secy.next_pn(), now);
        let answer = ask(&mut mka.kay);
        self.settle_mka(id, now);
        Some(answer)
    }
}

/// What frames, time and links do.
impl Dataplane {
    /// A frame of MKA's EtherType, its clear tags taken off. It ends here.
    pub(super) fn hear_mkpdu(&mut self, id: ChannelId, frame: Frame, now: Instant) {
        let Some(Some(channel)) = self.channels.get_mut(id.index()) else { return self.pool.recycle(frame) };
        let Some(mka) = &mut channel.mka else {
            return self.drop(Blame::Channel(id), DropReason::NotProtected, frame);
        };
        if !mka.admits(&frame.buf, now) {
            return self.drop(Blame::Channel(id), DropReason::MkaFlood, frame);
        }
        mka.kay.note_pns(channel.secy.next_pn(), now);
        if mka.kay.handle_mkpdu(&frame.buf, now) {
            self.settle_mka(id, now);
        }
        self.pool.recycle(frame);
    }

    /// When a KaY has something to do next.
    pub(super) fn mka_deadline(&self) -> Option<Instant> {
        let each = self.channels.iter().flatten().filter_map(|channel| channel.mka.as_ref()?.due());
        each.fold(None, |due, one| earliest(due, Some(one)))
    }

    /// Lets the KaYs do what is due.
    pub(super) fn tend_mka(&mut self, now: Instant) {
        for at in 0..self.channels.len() {
            let Some(Some(Channel { mka: Some(mka), secy, .. })) = self.channels.get_mut(at) else {
                continue;
            };
            if mka.due().is_some_and(|due| due <= now) {
                mka.handle_timeout(secy, now);
                self.settle_mka(ChannelId::at(at), now);
            }
        }
    }

    /// The port has its carrier back: its KaYs speak at once.
    pub(super) fn link_up_for_mka(&mut self, port: PortId, now: Instant) {
        for at in 0..self.channels.len() {
            if matches!(self.channels.get(at), Some(Some(channel)) if channel.port == port) {
                self.with_kay(ChannelId::at(at), now, |kay| kay.handle_link_up(now));
            }
        }
    }

    /// Drains a KaY: SecY first, then what must be told by MKPDU, then what is told the control plane.
    pub(super) fn settle_mka(&mut self, id: ChannelId, now: Instant) {
        let Some(Some(channel)) = self.channels.get_mut(id.index()) else { return };
        let Some(mka) = &mut channel.mka else { return };
        let turn = mka.apply(&mut channel.secy, now);
        let open = mka.is_open();
        if turn.ours {
            channel.forget_exhaustion();
        }
        self.set_channel_fault(id, Fault::MkaDown, !open, now);
        self.judge_security(id, now);
        self.refresh_liveness(now);
        if turn.ours || turn.theirs {
            self.greet_over(id, now);
        }
        self.speak_mka(id);
        while let Some(event) =
            self.channel_mut(id).and_then(|channel| channel.mka.as_mut()?.kay.poll_event())
        {
            self.tell(Event::Mka(id, event));
        }
        if let Some(mka) = self.channel_mut(id).and_then(|channel| channel.mka.as_mut()) {
            mka.settle();
        }
    }

    /// Who restarted may have asked for us when we could answer only under a key that it has no more, and so may we have asked
    /// others: whoever can be reached is asked again. BFD may call it dead just now; it cannot come back before it is met.
    fn greet_over(&mut self, id: ChannelId, now: Instant) {
        for at in 0..self.interfaces.len() {
            let interface = InterfaceId::at(at);
            let on_channel = |one: Facts| self.setup.is_on(one.place, id);
            if self.facts(interface).is_some_and(on_channel) && !self.faults_of(interface).is_cut() {
                self.greet_peers(interface, now);
            }
        }
    }

    fn speak_mka(&mut self, id: ChannelId) {
        loop {
            // Without a buffer what is due is lost, and the KaY counts it; it must not wait, or time would stand still.
            let mut buf = self.pool.for_link().unwrap_or_else(|| PacketBuf::with_capacity(0, 0));
            let sent = self.channel_mut(id).is_some_and(|channel| {
                channel.mka.as_mut().is_some_and(|mka| mka.kay.poll_transmit(&mut buf))
            });
            if !sent {
                return self.pool.give(buf);
            }
            if !buf.is_empty() {
                self.leave_beside(id, Frame::of_control(buf));
            }
        }
    }
}
