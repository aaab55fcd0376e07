//! Whom to hear first when more MKPDUs come in than can be checked: what a frame is worth, told without cryptography.
//!
//! Nothing here is proof of anything, an ICV is. But who cannot see our MKPDUs cannot guess a member identifier, 96 random bits
//! (802.1X-2020 §9.4.2): by that, members are told from whoever may send to the port. A peer
//! that is new needs no luck either as soon as it hears us, because then it names our identifier.

use net::Instant;

use super::Kay;
use crate::mka::{
    identity::Recency,
    wire::{Basic, Envelope, MkpduFault, message_listed},
};

/// What a received frame is worth, as far as can be told before its ICV is checked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Standing {
    /// Of a member that is known, or was a short while ago, with a message number that it has not used yet; or it names our own identifier and a message of
    /// ours of the last life time. Who does not see MKPDUs of this channel cannot make one up.
    Member,
    /// It has our CKN, and may come from a new peer or from anybody.
    Stranger,
    /// It changes nothing, whatever its ICV: no MKPDU, not for us, a CKN that is not ours, a message number that came before, or one
    /// of our own come back. At most it tells what is wrong.
    Idle,
}

impl Kay {
    /// What a frame is worth that [`handle_mkpdu`](Self::handle_mkpdu) would be given. Costs no cryptography.
    pub fn standing(&self, frame: &[u8], now: Instant) -> Standing {
        self.weigh(frame, now.max(self.now)).unwrap_or(Standing::Idle)
    }

    fn weigh(&self, frame: &[u8], now: Instant) -> Result<Standing, MkpduFault> {
        let envelope = self.open(frame)?;
        let basic = envelope.basic()?;
        let participant = self.participants.iter().find(|participant| participant.answers_to(&basic.ckn));
        let participant = participant.ok_or(MkpduFault::UnknownCkn)?;
        if basic.agility != Basic::AGILITY || basic.sci == self.params.sci {
            return Ok(Standing::Idle);
        }
        let names_us = || {
            let message = message_listed(envelope.sets, participant.identity.member())?;
            Some(participant.identity.recency(message, now, self.params.life))
        };
        let peers = &participant.peers;
        let last = peers.last_message(basic.member).or_else(|| peers.lapsed_message(basic.member));
        Ok(match last {
            Some(last) if basic.message > last => Standing::Member,
            // What we never said was said by somebody else who has our identifier, and then another is needed.
            Some(_) if names_us() == Some(Recency::Future) => Standing::Stranger,
            Some(_) => Standing::Idle,
            None if names_us() == Some(Recency::Recent) => Standing::Member,
            None => Standing::Stranger,
        })
    }

    /// Opens a frame that is an MKPDU for us.
    pub(super) fn open<'a>(&self, frame: &'a [u8]) -> Result<Envelope<'a>, MkpduFault> {
        let envelope = Envelope::open(frame, self.params.ethertype)?;
        if !envelope.destination.is_group() && envelope.destination != self.params.destination {
            return Err(MkpduFault::IndividualDestination);
        }
        Ok(envelope)
    }
}
