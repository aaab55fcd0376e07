//! LAGs: LACPDUs out of the frames of their members and into them, and the member that each flow takes.
//!
//! The worker that owns a LAG's members owns the LAG. Above it nothing knows of members: an attachment names the first one, and here that
//! becomes the one that the flow's hash chooses among those that distribute. Below it nothing knows of the LAG: a LACPDU is a
//! frame that the member's SecY protects. Members are chosen as attachments are ([`Group`]): one that goes moves its own flows only.

use net::{EtherType, Ethernet, Instant, MacAddr, carry::Opened, earliest};
use zerocopy::IntoBytes;

use super::{Blame, Dataplane, Event};
use crate::{
    ChannelId, DropReason, Fault, Faults, Frame, InterfaceId, LagId, LagSetup, Place, Setup,
    channel::{Channel, Queued},
    flow::flow_hash_l2,
    group::Group,
    lacp::Aggregator,
};

/// Slow_Protocols_Multicast (802.3 Annex 57A.3).
const SLOW_PROTOCOLS: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0x00, 0x00, 0x02]);
/// Of a LACPDU: it counts for its channel only.
const NO_ATTACHMENT: InterfaceId = InterfaceId(u16::MAX);

/// A LAG of this worker's.
#[derive(Debug)]
pub(super) struct Lag {
    pub(super) aggregator: Aggregator,
    /// All members, those that distribute being live.
    group: Group,
    collecting: u64,
    /// What speaks against the LAG.
    pub(super) faults: Faults,
    pub(super) since: Instant,
    /// What a predecessor left of members' ports, for a moment.
    left: Vec<(usize, Vec<u8>)>,
}

impl Lag {
    pub(super) fn new(setup: &LagSetup) -> Self {
        let members: Vec<_> = setup.members.iter().map(|member| member.port).collect();
        Self {
            aggregator: Aggregator::new(&setup.lacp, &members),
            group: super::build::group(members.len()),
            collecting: 0,
            faults: Faults::NONE,
            since: Instant::ZERO,
            left: Vec::new(),
        }
    }

    /// Whether frames from the member at this place are taken.
    pub(super) fn collects(&self, member: usize) -> bool {
        has(self.collecting, member)
    }

    /// Whether frames are sent by the member at this place.
    pub(super) fn distributes(&self, member: usize) -> bool {
        has(self.group.live(), member)
    }
}

fn has(set: u64, member: usize) -> bool {
    u32::try_from(member).is_ok_and(|member| set.checked_shr(member).unwrap_or(0) & 1 == 1)
}

/// The LAGs that `me` owns.
pub(super) fn own(setup: &Setup, me: crate::WorkerId) -> Vec<Option<Lag>> {
    let is_mine = |lag: &LagSetup| {
        let first = lag.members.first().and_then(|member| setup.channels.get(member.channel.index()));
        first.is_some_and(|channel| channel.owner == me)
    };
    setup.lags.iter().map(|lag| is_mine(lag).then(|| Lag::new(lag))).collect()
}

/// Frames.
impl Dataplane {
    /// The channel that a frame leaves by: of a LAG, the member that its flow has. `None`: no member distributes.
    pub(super) fn member_for(&self, channel: ChannelId, frame: &Frame) -> Option<ChannelId> {
        let Some((id, _)) = self.channel(channel).and_then(|channel| channel.lag) else {
            return Some(channel);
        };
        // The lowest nine bits chose the attachment, and all flows here have them in common.
        let hash = flow_hash_l2(&frame.buf) >> 9;
        let member = self.lag(id)?.group.choose(hash)?;
        self.setup.lags.get(id.index())?.members.get(member.index()).map(|member| member.channel)
    }

    /// Takes what a member got for its LAG's LACP, and what came although it collects nothing; gives other frames back.
    pub(super) fn pass_collector(
        &mut self,
        channel: ChannelId,
        (id, member): (LagId, usize),
        frame: Frame,
        now: Instant,
    ) -> Option<Frame> {
        let slow = Ethernet::split(&frame.buf).is_some_and(|(header, _)| header.ethertype == EtherType::SLOW);
        if self.is_rehearsed(channel) {
            // Nobody hears what LACP says; what is on its way through is counted where it is known whose it is.
            if !slow {
                return Some(frame);
            }
            self.drop(Blame::Channel(channel), DropReason::Rehearsal, frame);
            return None;
        }
        if slow {
            self.hear_lacp(channel, (id, member), frame, now);
            return None;
        }
        if self.lag(id).is_some_and(|lag| lag.collects(member)) {
            return Some(frame);
        }
        self.drop(Blame::Channel(channel), DropReason::NotCollecting, frame);
        None
    }

    /// A frame that a LAG would take for its own protocol must not be somebody else's.
    pub(super) fn is_mistaken_for_lacp(&self, out: Place, header: &Ethernet) -> bool {
        header.ethertype == EtherType::SLOW
            && matches!(out, Place::Attachment { channel, vlan: None } if self.setup.lag_of(channel).is_some())
    }

    fn hear_lacp(&mut self, channel: ChannelId, (id, member): (LagId, usize), frame: Frame, now: Instant) {
        let payload = frame.buf.get(Ethernet::LEN..).unwrap_or_default();
        let heard = self
            .lags
            .get_mut(id.index())
            .and_then(Option::as_mut)
            .map(|lag| lag.aggregator.handle_pdu(member, payload, now));
        match heard {
            Some(Err(_)) => self.drop(Blame::Channel(channel), DropReason::LacpRefused, frame),
            Some(Ok(())) | None => self.pool.recycle(frame),
        }
        self.settle_lag(id, now);
    }
}

/// Time, links, keys and operators.
impl Dataplane {
    /// Says that something speaks, or no longer speaks, against all members of a LAG at once, so that LACP has no reason to move
    /// flows from one to the other. What a predecessor thought of them is forgotten, also where nothing changes for us.
    pub fn set_lag_fault(&mut self, id: LagId, fault: Fault, present: bool, now: Instant) {
        let Some(setup) = self.setup.lags.get(id.index()) else { return };
        for member in &setup.members {
            if let Some(Some(channel)) = self.channels.get_mut(member.channel.index()) {
                channel.set_fault(fault, present, now);
            }
        }
        self.member_changed(id, now);
    }

    /// What speaks against a member changed.
    pub(super) fn member_changed(&mut self, id: LagId, now: Instant) {
        let Some(setup) = self.setup.lags.get(id.index()) else { return };
        let faults = |at: usize| {
            let member = setup.members.get(at)?;
            self.channels.get(member.channel.index())?.as_ref().map(Channel::faults)
        };
        // Of a LAG that is drained as a whole the members go on, as a reserve.
        let whole = (0..setup.members.len()).all(|at| faults(at).is_some_and(|one| one.has(Fault::Drained)));
        let Some(lag) = self.lags.get_mut(id.index()).and_then(Option::as_mut) else { return };
        for at in 0..setup.members.len() {
            let Some(faults) = faults(at) else { continue };
            lag.aggregator.set_enabled(at, !faults.is_cut(), now);
            lag.aggregator.set_standby(at, faults.has(Fault::Drained) && !whole, now);
        }
        self.settle_lag(id, now);
    }

    /// When LACP has something to do next.
    pub(super) fn lacp_deadline(&self) -> Option<Instant> {
        let own = self.lags.iter().flatten();
        own.map(|lag| lag.aggregator.poll_timeout()).fold(None, earliest)
    }

    /// Does what is due, and sends what is to be sent. True when there was anything.
    pub(super) fn tend_lacp(&mut self, now: Instant) -> bool {
        if self.lacp_deadline().is_none_or(|due| due > now) {
            return false;
        }
        for at in 0..self.lags.len() {
            let id = LagId::at(at);
            if let Some(lag) = self.lags.get_mut(at).and_then(Option::as_mut) {
                lag.aggregator.handle_timeout(now);
            }
            self.settle_lag(id, now);
            self.speak_lacp(id, now);
        }
        true
    }

    /// Does what LACP decided: who carries flows, whether the LAG does, and what is told.
    fn settle_lag(&mut self, id: LagId, now: Instant) {
        let Some(lag) = self.lags.get_mut(id.index()).and_then(Option::as_mut) else { return };
        let distributing = lag.aggregator.distributing();
        let moved = lag.group.set_live(distributing);
        lag.collecting = lag.aggregator.collecting();
        while let Some((member, event)) = self.lag_mut(id).and_then(|lag| lag.aggregator.poll_event()) {
            if let Some(channel) = self.member(id, member) {
                self.tell(Event::Lacp(id, channel, event));
            }
        }
        let faults = self.judge_lag(id, distributing);
        let Some(lag) = self.lag_mut(id) else { return };
        let news = core::mem::replace(&mut lag.faults, faults) != faults;
        if moved || news {
            lag.since = now;
        }
        if news {
            self.judge_attachments_on_lag(id, now);
        }
    }

    /// What speaks against a LAG: what all members have in common, and that too few distribute.
    fn judge_lag(&self, id: LagId, distributing: u64) -> Faults {
        let Some(setup) = self.setup.lags.get(id.index()) else { return Faults::NONE };
        let each = setup.members.iter().filter_map(|member| self.channel(member.channel));
        let mut faults = each.map(Channel::faults).reduce(Faults::and).unwrap_or_default();
        faults.set(Fault::LacpDown, distributing.count_ones() < u32::from(setup.min_links));
        faults
    }

    fn judge_attachments_on_lag(&mut self, id: LagId, now: Instant) {
        for at in 0..self.interfaces.len() {
            let here = self.setup.interfaces.get(at).is_some_and(|one| self.setup.is_on_lag(one.place, id));
            if here {
                self.judge(InterfaceId::at(at), now);
            }
        }
        self.refresh_liveness(now);
    }

    /// Keeps what a predecessor left of a member's port until all members have theirs.
    pub(super) fn keep_member(&mut self, channel: ChannelId, left: &mut Opened<'_>) {
        let member = self.channel(channel).and_then(|channel| channel.lag);
        if let (Some((id, member)), Some(left)) = (member, left.counted())
            && let Some(lag) = self.lag_mut(id)
        {
            lag.left.push((member, left.to_vec()));
        }
    }

    /// Goes on with the LACP ports of all members as they were left: to be called when the channels of this worker have resumed.
    pub fn resume_lags(&mut self, now: Instant) {
        for id in (0..self.lags.len()).map(LagId::at) {
            if let Some(lag) = self.lag_mut(id) {
                let left = core::mem::take(&mut lag.left);
                let _others_begin_anew = lag.aggregator.resume(&left, now);
                self.settle_lag(id, now);
            }
        }
    }

    /// Queues LACPDUs and answers to markers for the members' SecYs.
    fn speak_lacp(&mut self, id: LagId, now: Instant) {
        while let Some((member, pdu)) = self.lag_mut(id).and_then(|lag| lag.aggregator.poll_transmit(now)) {
            self.send_slow(id, member, &pdu);
        }
        while let Some((member, pdu)) = self.lag_mut(id).and_then(|lag| lag.aggregator.poll_response()) {
            self.send_slow(id, member, &pdu);
        }
    }

    /// Without a buffer the PDU is lost, as if on the way.
    fn send_slow(&mut self, id: LagId, member: usize, pdu: &[u8]) {
        let setup = self.setup.lags.get(id.index()).and_then(|lag| lag.members.get(member)).copied();
        let Some(setup) = setup else { return };
        let Some(mut buf) = self.pool.for_link() else {
            return self.count(Blame::Channel(setup.channel), DropReason::NoBuffer);
        };
        let header = Ethernet { destination: SLOW_PROTOCOLS, source: setup.mac, ethertype: EtherType::SLOW };
        let written = buf.extend_from_slice(header.as_bytes()) && buf.extend_from_slice(pdu);
        let frame = Frame::of_control(buf);
        match self.channel_mut(setup.channel) {
            Some(channel) if written => channel.enqueue(Queued { attachment: NO_ATTACHMENT, frame }),
            _ => self.pool.recycle(frame),
        }
    }

    pub(super) fn lag(&self, id: LagId) -> Option<&Lag> {
        self.lags.get(id.index())?.as_ref()
    }

    fn lag_mut(&mut self, id: LagId) -> Option<&mut Lag> {
        self.lags.get_mut(id.index())?.as_mut()
    }

    fn member(&self, id: LagId, member: usize) -> Option<ChannelId> {
        self.setup.lags.get(id.index())?.members.get(member).map(|member| member.channel)
    }

    /// All that speaks against a channel, LACP's verdict on a member included.
    pub(super) fn channel_faults(&self, channel: &Channel) -> Faults {
        let mut faults = channel.faults();
        if let Some((id, member)) = channel.lag {
            let distributes = self.lag(id).is_some_and(|lag| lag.distributes(member));
            faults.set(Fault::LacpDown, !distributes);
        }
        faults
    }
}
