//! Session-Reflector, RFC 8762 §4.3, stateful: it counts what arrives of each session.

use core::net::IpAddr;

use arrayvec::ArrayVec;
use net::Instant;

use super::{Mode, Refusal, Reply, Request, WallClock, packet::refuse_tlvs};

/// Sessions that are counted at the same time on one attachment; there is one peer, so one is usual.
const SESSIONS: usize = 8;

/// Who sends: a session of RFC 8762 §4.1 together with the SSID.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionKey {
    /// Source address.
    pub address: IpAddr,
    /// Source port.
    pub port: u16,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    key: SessionKey,
    ssid: u16,
    next: u32,
    last: Instant,
}

/// Answers the probes that come in by one attachment.
#[derive(Clone, Debug)]
pub struct Reflector {
    mode: Mode,
    sessions: ArrayVec<Session, SESSIONS>,
    reflected: u64,
    refused: u64,
}

impl Reflector {
    /// Nothing was reflected yet.
    pub const fn new(mode: Mode) -> Self {
        Self { mode, sessions: ArrayVec::new_const(), reflected: 0, refused: 0 }
    }

    /// Turns a probe (the UDP payload), which arrived at `received` with this TTL, into its reply, in place: the reply is as long as
    /// the probe (§4.3). `now` is when it is sent.
    ///
    /// # Errors
    /// Why there is no reply.
    pub fn reflect(
        &mut self,
        packet: &mut [u8],
        (from, ttl): (SessionKey, u8),
        wall: &WallClock,
        (received, now): (Instant, Instant),
    ) -> Result<(), Refusal> {
        let request = Request::parse(packet, &self.mode).inspect_err(|_| self.refused += 1)?;
        let reply = Reply {
            sequence: self.number(from, &request, now),
            sent: wall.at(now),
            error: wall.error,
            received: wall.at(received),
            request,
            ttl,
        };
        let base = reply.write(packet, &self.mode)?;
        refuse_tlvs(packet.get_mut(base..).unwrap_or_default());
        self.reflected += 1;
        Ok(())
    }

    /// Probes answered and refused so far.
    pub const fn counters(&self) -> (u64, u64) {
        (self.reflected, self.refused)
    }

    /// The reflector's own count of this session, from 0; a session that starts again starts its count again.
    fn number(&mut self, key: SessionKey, request: &Request, now: Instant) -> u32 {
        let known = self.sessions.iter_mut().find(|one| one.key == key && one.ssid == request.ssid);
        if let Some(session) = known {
            if request.sequence == 0 {
                session.next = 0;
            }
            let number = session.next;
            session.next = number.wrapping_add(1);
            session.last = now;
            return number;
        }
        if self.sessions.is_full() {
            // The one that was silent longest makes room.
            let oldest = self.sessions.iter().enumerate().min_by_key(|(_, one)| one.last).map(|(at, _)| at);
            if let Some(at) = oldest {
                self.sessions.swap_remove(at);
            }
        }
        self.sessions.push(Session { key, ssid: request.ssid, next: 1, last: now });
        0
    }
}
