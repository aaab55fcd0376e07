//! Live and potential peer lists (802.1X-2020 Figure 11-9): whom the sender hears, and up to which message.

use net::{Malformed, Reader, Writer};

use super::{MemberId, RawSet, put_set};

/// A member and the highest message number heard of it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PeerId {
    /// Its member identifier.
    pub member: MemberId,
    /// The message number.
    pub message: u32,
}

/// A peer list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PeerList {
    /// Low octet of the key server's SSCI, in a live peer list of MKA version 3 beside a distributed SAK of an
    /// XPN suite; else 0.
    pub server_ssci: u8,
    /// The members, at most 255.
    pub peers: Vec<PeerId>,
}

/// Octets of an entry.
const ENTRY_LEN: usize = 16;

/// How many entries a body can hold.
pub(crate) const MAX_ENTRIES: usize = super::MAX_BODY / ENTRY_LEN;

impl PeerList {
    /// Whether it names this member, and with which message number.
    pub fn message_of(&self, member: MemberId) -> Option<u32> {
        self.peers.iter().find(|peer| peer.member == member).map(|peer| peer.message)
    }

    /// As [`message_of`](Self::message_of), of a list as it stands on the wire.
    pub(super) fn message_in(body: &[u8], member: MemberId) -> Option<u32> {
        let (entries, _) = body.as_chunks::<ENTRY_LEN>();
        let message = entries.iter().find_map(|entry| entry.strip_prefix(&member.0))?;
        Some(u32::from_be_bytes(*message.first_chunk()?))
    }

    pub(super) fn parse(set: &RawSet<'_>) -> Result<Self, Malformed> {
        if !set.body.len().is_multiple_of(ENTRY_LEN) {
            return Err(Malformed);
        }
        let (mut body, mut peers) = (Reader::new(set.body), Vec::new());
        while !body.is_empty() {
            peers.push(PeerId { member: MemberId(body.array()?), message: body.u32()? });
        }
        Ok(Self { server_ssci: set.second, peers })
    }

    pub(super) fn emit(&self, kind: u8, out: &mut Writer) {
        let mut body = Writer::new();
        for peer in self.peers.iter().take(MAX_ENTRIES) {
            body.put(&peer.member.0);
            body.u32(peer.message);
        }
        put_set(out, kind, self.server_ssci, 0, body.as_slice());
    }
}
