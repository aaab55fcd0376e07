//! From a port to the interface that a frame belongs to.
//!
//! LAN frames go by their tags. Channel frames lose their clear tags, pass the SecY (in runs of one channel,
//! so that the AEAD sees batches), and then go by the tag inside. Frames of the host's TAP leave as they are.

use macsec::{RxDrop, RxVerdict};
use net::{EtherType, Ethernet, Instant};

use super::{Blame, Dataplane, Facts, blame_of, recent::Recent};
use crate::{
    BATCH, Batch, ChannelId, ConnectionKind, Crossing, DropReason, Frame, InterfaceId, PortId,
    demux::Owner,
    frer::rtag,
    offload::check_begun,
    precedence::{is_marked, may_be_control},
};

impl Dataplane {
    /// Forwards `batch`, which was received on `port`. Empties it.
    pub fn handle_batch(&mut self, port: PortId, batch: &mut Batch, now: Instant) {
        self.refresh_liveness(now);
        self.recent.iter().for_each(Recent::forget);
        if let Some(interface) = self.ports.get(port.index()).and_then(|port| port.host_of) {
            for mut frame in batch.drain(..) {
                if check_begun(&frame).is_err() {
                    self.drop(Blame::Port(port), DropReason::BadOffload, frame);
                    continue;
                }
                frame.control = is_marked(&frame.buf);
                self.emit(interface, frame);
            }
        } else {
            self.sort(port, batch, now);
        }
        self.finish(now);
    }

    /// As [`handle_batch`](Self::handle_batch), when more comes than can be carried: what was sent to the gateway itself goes on, what is on
    /// its way through ends here ([`DropReason::Overload`]), before it costs most. Protected frames are validated: only then it shows
    /// which they are, and replay windows move on.
    pub fn handle_pressed(&mut self, port: PortId, batch: &mut Batch, now: Instant) {
        self.pressed = true;
        self.handle_batch(port, batch, now);
        self.pressed = false;
    }

    /// Goes on with what other workers handed over. Empties it.
    pub fn handle_crossings(&mut self, crossings: &mut Vec<Crossing>, now: Instant) {
        self.refresh_liveness(now);
        self.recent.iter().for_each(Recent::forget);
        for crossing in crossings.drain(..) {
            match crossing {
                Crossing::Route { interface, gateway, frame } => self.send_to(interface, gateway, frame, now),
                Crossing::Emit { interface, frame } => self.emit(interface, frame),
                Crossing::Host { interface, frame } => self.hand_to_host(interface, frame),
                Crossing::Bfd { interface, frame } => match self.facts(interface) {
                    Some(facts) => {
                        if let Some(frame) = self.take_bfd(&facts, blame_of(facts.place), frame, now) {
                            self.pool.recycle(frame);
                        }
                    }
                    None => self.pool.recycle(frame),
                },
                Crossing::Twice { pair, frame } => self.send_twice(pair, frame, now),
                Crossing::Recover { interface, sequence, frame } => match self.facts(interface) {
                    Some(facts) => self.recover(&facts, blame_of(facts.place), (sequence, frame), now),
                    None => self.pool.recycle(frame),
                },
                Crossing::Neighbor { interface, ip, mac } => {
                    if let Some(one) = self.interfaces.get_mut(interface.index()) {
                        one.neighbors.learn(ip, mac, now);
                        self.stirred.push(interface);
                    }
                }
            }
        }
        self.finish(now);
    }

    fn sort(&mut self, port: PortId, batch: &mut Batch, now: Instant) {
        let mut current = None;
        for mut frame in batch.drain(..) {
            if check_begun(&frame).is_err() {
                self.drop(Blame::Port(port), DropReason::BadOffload, frame);
                continue;
            }
            let owner = self.ports.get(port.index()).and_then(|port| port.demux.claim(&mut frame));
            match owner {
                Some(Owner::Channel(channel)) => {
                    if current.is_some_and(|current| current != channel) {
                        self.validate_run(current, now);
                    }
                    if self.is_mka(channel, &frame) {
                        // What was sent before it is validated before it: a key may go.
                        self.validate_run(current.take(), now);
                        self.hear_mkpdu(channel, frame, now);
                        continue;
                    }
                    current = Some(channel);
                    self.queue_for_validation(channel, frame);
                }
                Some(Owner::Interface(interface)) => {
                    self.validate_run(current.take(), now);
                    self.enter(interface, Blame::Port(port), frame, now);
                }
                None => {
                    let reason = if frame.buf.len() < Ethernet::LEN {
                        DropReason::Runt
                    } else {
                        DropReason::UnknownVlan
                    };
                    self.drop(Blame::Port(port), reason, frame);
                }
            }
        }
        self.validate_run(current, now);
    }

    /// MKA is for the KaY, by the uncontrolled port (802.1X §6.3); everything else is for the SecY.
    fn is_mka(&self, channel: ChannelId, frame: &Frame) -> bool {
        let eapol = self.channel(channel).map(|channel| channel.eapol);
        Ethernet::split(&frame.buf).is_some_and(|(header, _)| Some(header.ethertype) == eapol)
    }

    fn queue_for_validation(&mut self, channel: ChannelId, frame: Frame) {
        match Ethernet::split(&frame.buf) {
            None => self.drop(Blame::Channel(channel), DropReason::Runt, frame),
            // EAPOL that is not this channel's MKA is no traffic, whatever the policy.
            Some((header, _)) if header.ethertype == EtherType::EAPOL => {
                self.drop(Blame::Channel(channel), DropReason::NotProtected, frame);
            }
            Some(_) => self.run.push(frame),
        }
    }

    fn validate_run(&mut self, channel: Option<ChannelId>, now: Instant) {
        let Some(channel) = channel else { return };
        let mut run = core::mem::take(&mut self.run);
        let mut verdicts = [RxVerdict::Drop(RxDrop::NoSaError); BATCH];
        if let (Some(Some(state)), Some(verdicts)) =
            (self.channels.get_mut(channel.index()), verdicts.get_mut(..run.len()))
        {
            let began = self.stages.begin();
            state.secy.validate_batch(&mut run, verdicts);
            if let Some(time) = self.stages.since(began) {
                self.stages.times.validate.add(run.len(), time);
            }
        }
        for (frame, verdict) in run.drain(..).zip(verdicts) {
            match verdict {
                RxVerdict::Deliver(_) => self.accept(channel, frame, now),
                RxVerdict::Uncontrolled => {
                    self.drop(Blame::Channel(channel), DropReason::MacsecKayFrame, frame)
                }
                RxVerdict::Drop(why) => self.drop(Blame::Channel(channel), rx_reason(why), frame),
            }
        }
        self.run = run;
    }

    /// A frame that the SecY delivered: in clear, its integrity checked.
    fn accept(&mut self, channel: ChannelId, mut frame: Frame, now: Instant) {
        let Some(Some(state)) = self.channels.get_mut(channel.index()) else { return };
        state.counters.rx_frames += 1;
        state.counters.rx_octets += octets(&frame);
        state.heard = Some(now);
        if let Some(lag) = state.lag {
            let Some(passed) = self.pass_collector(channel, lag, frame, now) else { return };
            frame = passed;
        }
        let claimed = self.channel_mut(channel).and_then(|state| state.inner.claim(&mut frame));
        match claimed {
            Some(Owner::Interface(interface)) => self.enter(interface, Blame::Channel(channel), frame, now),
            Some(Owner::Channel(_)) | None => {
                self.drop(Blame::Channel(channel), DropReason::UnknownVlan, frame)
            }
        }
    }

    /// A frame on the interface that it belongs to, without that interface's tag.
    fn enter(&mut self, interface: InterfaceId, blame: Blame, frame: Frame, now: Instant) {
        let Some(one) = self.interfaces.get_mut(interface.index()) else {
            return self.drop(blame, DropReason::UnknownVlan, frame);
        };
        one.counters.rx_frames += 1;
        one.counters.rx_octets += octets(&frame);
        let facts = one.facts;
        if self.pressed && (facts.kind == ConnectionKind::Transparent || !may_be_control(&frame.buf)) {
            return self.drop(blame, DropReason::Overload, frame);
        }
        let frame = match self.rehearsing {
            true => match self.miss(&facts, blame, frame, now) {
                Some(frame) => frame,
                None => return,
            },
            false => frame,
        };
        match facts.kind {
            ConnectionKind::Transparent => self.over_the_wire(&facts, blame, frame, now),
            ConnectionKind::Routed => self.by_ethertype(&facts, blame, frame, now),
        }
    }

    fn by_ethertype(&mut self, facts: &Facts, blame: Blame, frame: Frame, now: Instant) {
        let Some((header, _)) = Ethernet::split(&frame.buf) else {
            return self.drop(blame, DropReason::Runt, frame);
        };
        if header.destination != facts.mac && !header.destination.is_group() {
            return self.drop(blame, DropReason::NotOurMac, frame);
        }
        match header.ethertype {
            EtherType::IPV4 => self.input_v4(facts, blame, frame, now),
            EtherType::IPV6 => self.input_v6(facts, blame, frame, now),
            EtherType::ARP => self.input_arp(facts, blame, frame, now),
            rtag::ETHERTYPE => self.input_tagged(facts, blame, frame, now),
            _ => self.drop(blame, DropReason::UnknownEtherType, frame),
        }
    }
}

pub(super) fn octets(frame: &Frame) -> u64 {
    u64::try_from(frame.buf.len()).unwrap_or(u64::MAX)
}

const fn rx_reason(why: RxDrop) -> DropReason {
    match why {
        RxDrop::NoTag => DropReason::MacsecNoTag,
        RxDrop::BadTag => DropReason::MacsecBadTag,
        RxDrop::NoSaError => DropReason::MacsecNoSa,
        RxDrop::Late => DropReason::MacsecLate,
        RxDrop::NotValid => DropReason::MacsecNotValid,
    }
}
