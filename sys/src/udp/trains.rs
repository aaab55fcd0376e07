//! Sending many datagrams with few calls: consecutive ones of one length become a train (`UDP_SEGMENT`), and several
//! trains go with one `sendmmsg`.
//!
//! The kernel cuts a train where the device cannot, behind all the work that it does per packet. A train must fit one IP
//! packet's length field, holds at most 64 datagrams, and only its last may be shorter. It has one IP header until it is cut, so all
//! of its datagrams have one TOS (IPv6: traffic class) too.
//!
//! A message says its TOS in ancillary data (ip(7), ipv6(7)), and only where that is not 0: with it the kernel looks the route up
//! for this message (Linux `udp_sendmsg`), which best effort need not pay for.
#![expect(unsafe_code, reason = "sendmmsg takes arrays of pointers")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, c_uint, c_void, cmsghdr, iovec, mmsghdr};

use super::{MAX_SEGMENTS, MAX_TRAIN, UDP_SEGMENT, UdpSocket};

/// The most messages, and the most datagrams, that one call looks at.
const MESSAGES: usize = 64;
const PIECES: usize = 1024;

/// What became of some datagrams.
#[derive(Debug)]
#[must_use = "datagrams after `sent` were not sent"]
pub struct TrainsSent {
    /// How many datagrams from the front were sent.
    pub sent: usize,
    /// Why the next ones were not, and how many those are (a whole train), when there is a reason.
    pub stopped: Option<(io::Error, usize)>,
}

/// A datagram, and the octet of its IP header that holds DSCP and ECN.
pub type Marked<'a> = (&'a [u8], u8);

/// The arrays of `sendmmsg`, allocated once.
pub struct UdpTrains {
    pieces: Box<[iovec; PIECES]>,
    messages: Box<[mmsghdr; MESSAGES]>,
    controls: Box<[Controls; MESSAGES]>,
    /// Datagrams of each message.
    counts: [usize; MESSAGES],
}

// SAFETY: the pointers in the arrays are written and read only inside `send`; between calls nobody follows them.
unsafe impl Send for UdpTrains {}

impl UdpTrains {
    /// Empty arrays.
    #[must_use]
    pub fn new() -> Self {
        let empty = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: mmsghdr is integers and raw pointers, for all of which zero is a value.
        let message: mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            pieces: Box::new([empty; PIECES]),
            messages: Box::new([message; MESSAGES]),
            controls: Box::new([Controls::new(); MESSAGES]),
            counts: [0; MESSAGES],
        }
    }

    /// Sends `datagrams` in their order through the connected `socket` without blocking: as trains when `trains`, each by
    /// itself otherwise. It may stop before the end without a reason; then the caller calls again with the rest.
    pub fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        datagrams: impl IntoIterator<Item = Marked<'a>>,
        trains: bool,
    ) -> TrainsSent {
        let messages = self.lay(datagrams, trains, socket.v6);
        let mut done = 0;
        while done < messages {
            match self.call(socket, done, messages) {
                Ok(0) => return self.stopped(done, io::ErrorKind::WouldBlock.into()),
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.stopped(done, error),
            }
        }
        TrainsSent { sent: self.datagrams(messages), stopped: None }
    }

    fn stopped(&self, done: usize, error: io::Error) -> TrainsSent {
        let count = self.counts.get(done).copied().unwrap_or(0);
        TrainsSent { sent: self.datagrams(done), stopped: Some((error, count)) }
    }

    fn datagrams(&self, messages: usize) -> usize {
        self.counts.iter().take(messages).sum()
    }

    /// Fills the arrays and says how many messages there are. What does not fit is left for the next call.
    fn lay<'a>(&mut self, datagrams: impl IntoIterator<Item = Marked<'a>>, trains: bool, v6: bool) -> usize {
        let mut open: Option<Train> = None;
        let (mut messages, mut used) = (0, 0);
        for (datagram, tos) in datagrams {
            let joins = trains && open.as_mut().is_some_and(|train| train.takes(datagram.len(), tos));
            if used == PIECES || (!joins && messages == MESSAGES) {
                break;
            }
            if !joins {
                self.close(messages, used, open.take(), v6);
                open = Some(Train::starting(used, datagram.len(), tos));
                messages += 1;
            }
            if let Some(piece) = self.pieces.get_mut(used) {
                *piece = iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: datagram.len() };
            }
            used += 1;
        }
        self.close(messages, used, open, v6);
        messages
    }

    /// Writes message number `messages - 1`, whose pieces end before `used`.
    fn close(&mut self, messages: usize, used: usize, train: Option<Train>, v6: bool) {
        let (Some(train), Some(at)) = (train, messages.checked_sub(1)) else { return };
        let Some(pieces) = self.pieces.get_mut(train.first..used) else { return };
        let (Some(message), Some(control), Some(count)) =
            (self.messages.get_mut(at), self.controls.get_mut(at), self.counts.get_mut(at))
        else {
            return;
        };
        *count = pieces.len();
        message.msg_hdr.msg_iov = pieces.as_mut_ptr();
        message.msg_hdr.msg_iovlen = pieces.len();
        let size = (pieces.len() > 1).then(|| u16::try_from(train.size).unwrap_or(u16::MAX));
        (message.msg_hdr.msg_control, message.msg_hdr.msg_controllen) = control.say(train.tos, size, v6);
    }

    fn call(&mut self, socket: &UdpSocket, from: usize, until: usize) -> io::Result<usize> {
        let messages = self.messages.get_mut(from..until).unwrap_or_default();
        let count = c_uint::try_from(messages.len()).unwrap_or_default();
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: `count` messages, which `close` pointed at pieces and control data that we own; the pieces point at
        // datagrams that the caller of `send` still borrows. The kernel only reads all of them.
        let sent = unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

impl Default for UdpTrains {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for UdpTrains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UdpTrains").finish_non_exhaustive()
    }
}

/// A message that is being laid.
struct Train {
    first: usize,
    tos: u8,
    size: usize,
    octets: usize,
    count: usize,
    /// A shorter datagram ended it.
    ended: bool,
}

impl Train {
    const fn starting(first: usize, size: usize, tos: u8) -> Self {
        Self { first, tos, size, octets: size, count: 1, ended: size == 0 }
    }

    /// Whether one more datagram of `len` octets fits; then it is counted.
    const fn takes(&mut self, len: usize, tos: u8) -> bool {
        let fits = !self.ended
            && tos == self.tos
            && len > 0
            && len <= self.size
            && self.count < MAX_SEGMENTS
            && self.octets + len <= MAX_TRAIN;
        if fits {
            self.octets += len;
            self.count += 1;
            self.ended = len < self.size;
        }
        fits
    }
}

/// The ancillary data of one message: its TOS, and what makes it a train. Either may be left out, so the one that is needed
/// more often alone stands at the end.
#[derive(Clone, Copy)]
#[repr(C)]
struct Controls {
    tos: TosControl,
    segment: SegmentControl,
}

/// Header, value, padding.
#[derive(Clone, Copy)]
#[repr(C)]
struct TosControl {
    header: cmsghdr,
    tos: c_int,
    padding: u32,
}

/// Header, size, padding.
#[derive(Clone, Copy)]
#[repr(C)]
struct SegmentControl {
    header: cmsghdr,
    size: u16,
    padding: [u16; 3],
}

impl Controls {
    fn new() -> Self {
        // SAFETY: both are integers, for which zero is a value.
        let mut this: Self = unsafe { std::mem::zeroed() };
        this.tos.header.cmsg_len = size_of::<cmsghdr>() + size_of::<c_int>();
        this.segment.header.cmsg_len = size_of::<cmsghdr>() + size_of::<u16>();
        this.segment.header.cmsg_level = libc::SOL_UDP;
        this.segment.header.cmsg_type = UDP_SEGMENT;
        this
    }

    /// Writes what a message has to say, and tells where that begins and how long it is.
    fn say(&mut self, tos: u8, size: Option<u16>, v6: bool) -> (*mut c_void, usize) {
        let header = &mut self.tos.header;
        (header.cmsg_level, header.cmsg_type) =
            if v6 { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) } else { (libc::IPPROTO_IP, libc::IP_TOS) };
        self.tos.tos = tos.into();
        self.segment.size = size.unwrap_or(0);
        match (tos, size) {
            (0, None) => (std::ptr::null_mut(), 0),
            (0, Some(_)) => (std::ptr::from_mut(&mut self.segment).cast(), size_of::<SegmentControl>()),
            (_, None) => (std::ptr::from_mut(&mut self.tos).cast(), size_of::<TosControl>()),
            (_, Some(_)) => (std::ptr::from_mut(self).cast(), size_of::<Self>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What message `at` says: its datagrams, the kind and value of its TOS, and the size of a train's pieces.
    fn read(trains: &UdpTrains, at: usize) -> (usize, Option<(c_int, c_int)>, u8, Option<u16>) {
        let (header, control) = (&trains.messages[at].msg_hdr, &trains.controls[at]);
        let from_tos = header.msg_control == std::ptr::from_ref(control).cast_mut().cast();
        let from_segment = header.msg_control == std::ptr::from_ref(&control.segment).cast_mut().cast();
        let (one, both) = (size_of::<SegmentControl>(), size_of::<Controls>());
        assert_eq!(size_of::<TosControl>(), one);
        let kind = (control.tos.header.cmsg_level, control.tos.header.cmsg_type);
        let tos = u8::try_from(control.tos.tos).unwrap();
        let (kind, tos, size) = match (from_tos, from_segment, header.msg_controllen) {
            (true, _, len) if len == both => (Some(kind), tos, Some(control.segment.size)),
            (true, _, len) if len == one => (Some(kind), tos, None),
            (_, true, len) if len == one => (None, 0, Some(control.segment.size)),
            (false, false, 0) if header.msg_control.is_null() => (None, 0, None),
            other => panic!("{other:?}"),
        };
        (header.msg_iovlen, kind, tos, size)
    }

    proptest! {
        /// Nothing is left out or moved; a train has one TOS and one length; and none ends before it must.
        #[test]
        fn trains_are_cut_where_length_or_tos_changes_and_nowhere_else(
            plan in prop::collection::vec((prop::sample::select(vec![0_usize, 60, 1400, 9000]), 0_u8..3, 1_usize..90), 0..12),
            trains in any::<bool>(),
            v6 in any::<bool>(),
        ) {
            let octets = vec![0; 9000];
            let all: Vec<Marked<'_>> = plan
                .iter()
                .flat_map(|&(len, tos, count)| std::iter::repeat_n((&octets[..len], [0, 0xb8, 0xc0][usize::from(tos)]), count))
                .collect();
            let mut laid = UdpTrains::new();
            let messages = laid.lay(all.iter().copied(), trains, v6);
            let mut at = 0;
            for message in 0..messages {
                let (count, kind, tos, size) = read(&laid, message);
                let ours = if v6 { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) } else { (libc::IPPROTO_IP, libc::IP_TOS) };
                prop_assert_eq!(kind, (tos != 0).then_some(ours));
                let (train, rest) = all[at..].split_at(count);
                prop_assert_eq!(count, laid.counts[message]);
                prop_assert!(train.iter().all(|one| one.1 == tos));
                let first = train[0].0.len();
                let (last, before) = train.split_last().unwrap();
                prop_assert!(before.iter().all(|one| one.0.len() == first) && last.0.len() <= first);
                prop_assert_eq!(size.map(usize::from), (count > 1).then_some(first));
                let sum: usize = train.iter().map(|one| one.0.len()).sum();
                prop_assert!(count <= MAX_SEGMENTS && (sum <= MAX_TRAIN || count == 1));
                if let Some(next) = rest.first().filter(|_| trains && message + 1 < messages) {
                    let fits = next.1 == tos
                        && (1..=first).contains(&next.0.len())
                        && last.0.len() == first
                        && count < MAX_SEGMENTS
                        && sum + next.0.len() <= MAX_TRAIN;
                    prop_assert!(!fits, "message {message} ended too early");
                }
                at += count;
            }
            prop_assert!(at == all.len() || messages == MESSAGES || at == PIECES);
            prop_assert!(trains || (0..messages).all(|message| laid.counts[message] == 1));
        }
    }
}
