//! What management decides about one SecY: the controls of 802.1AE-2018 §10.7 that are not per SA.

use crate::{
    aead::{Backend, ICV_LEN},
    error::PolicyError,
    replay::MAX_STRICT_WINDOW,
    sci::Sci,
    suite::{CipherSuite, ConfidentialityOffset},
    wire::{ChannelForm, SecTag},
};

/// How much validation decides over the fate of received frames (validateFrames, §10.7.8).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ValidateFrames {
    /// Only valid frames are delivered.
    #[default]
    Strict,
    /// Frames are validated; those that fail, or have no tag or key, are still delivered if their user
    /// data is in clear.
    Check,
    /// Frames are not validated; those whose user data is in clear are delivered.
    Disabled,
    /// The SecY is not there: frames pass unmodified both ways, tags and all.
    Null,
}

/// The controls of one SecY. [`SecyPolicy::new`] gives the safe ones; change fields and
/// [`check`](Self::check).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SecyPolicy {
    /// Our SCI, which names our transmit SC.
    pub sci: Sci,
    /// protectFrames: false sends frames in clear. [`ValidateFrames::Null`] makes it false as well.
    pub protect_frames: bool,
    /// validateFrames.
    pub validate: ValidateFrames,
    /// replayProtect: frames below lowestPN are dropped.
    pub replay_protect: bool,
    /// replayWindow, 0..=2^32 - 1 packet numbers, held to 2^30 - 1 for SAs with extended packet numbers.
    /// 0 is strict order.
    pub replay_window: u32,
    /// Ours, not the standard's: a packet number inside the window is accepted once only. The window is
    /// then at most [`MAX_STRICT_WINDOW`].
    pub strict_replay: bool,
    /// alwaysIncludeSCI: every frame carries the SCI.
    pub include_sci: bool,
    /// useES: ES stands for the SCI, whose port number is then 1.
    pub end_station: bool,
    /// useSCB: SCB stands for the SCI, whose port number is then 0.
    pub scb: bool,
    /// Octets of the largest protected frame, from the destination address, without FCS (OutPktsTooLong).
    pub max_frame: usize,
    /// What does AES-GCM, for SAs made from now on.
    pub backend: Backend,
}

impl SecyPolicy {
    /// Protect everything, accept only what is valid and in order, carry the SCI, no limit on length.
    ///
    /// alwaysIncludeSCI is false in the standard; every interworking guide assumes it true.
    pub const fn new(sci: Sci) -> Self {
        Self {
            sci,
            protect_frames: true,
            validate: ValidateFrames::Strict,
            replay_protect: true,
            replay_window: 0,
            strict_replay: false,
            include_sci: true,
            end_station: false,
            scb: false,
            max_frame: usize::MAX,
            backend: Backend::Auto,
        }
    }

    /// Whether a SecY can follow this.
    ///
    /// # Errors
    /// The first [`PolicyError`].
    pub const fn check(&self) -> Result<(), PolicyError> {
        if self.sci.as_u64() == Sci::RESERVED.as_u64() {
            return Err(PolicyError::ReservedSci);
        }
        if !self.include_sci && self.scb && self.sci.port() != Sci::SCB_PORT {
            return Err(PolicyError::ScbPort(self.sci.port()));
        }
        if !self.include_sci && !self.scb && self.end_station && self.sci.port() != Sci::END_STATION_PORT {
            return Err(PolicyError::EndStationPort(self.sci.port()));
        }
        if self.strict_replay && !self.replay_protect {
            return Err(PolicyError::StrictWithoutProtection);
        }
        if self.strict_replay && self.replay_window > MAX_STRICT_WINDOW {
            return Err(PolicyError::WindowBeyondStrict(self.replay_window));
        }
        if self.max_frame <= SecTag::OFFSET + SecTag::MAX_LEN + ICV_LEN {
            return Err(PolicyError::MaxFrameTooSmall(self.max_frame));
        }
        Ok(())
    }

    /// Whether this policy can be kept to the letter with SAs of `suite` and `offset`. A SecY would hold the
    /// window to the suite's and refuse the SA; a configuration should hear about it before.
    ///
    /// # Errors
    /// The first [`PolicyError`], those of [`check`](Self::check) included.
    pub const fn check_suite(
        &self,
        suite: CipherSuite,
        offset: ConfidentialityOffset,
    ) -> Result<(), PolicyError> {
        if suite.is_xpn() && offset.octets() != 0 {
            return Err(PolicyError::OffsetWithXpn);
        }
        if self.replay_window > suite.max_replay_window() {
            return Err(PolicyError::WindowBeyondXpn(self.replay_window));
        }
        self.check()
    }

    /// Whether frames are protected: protectFrames, unless validateFrames is Null (§10.7.8, trap 25).
    pub const fn protects(&self) -> bool {
        self.protect_frames && !matches!(self.validate, ValidateFrames::Null)
    }

    /// How our frames say whose they are (§10.5.3, Table 10-1), with this many receive SCs.
    pub(crate) const fn channel_form(&self, receive_scs: usize) -> ChannelForm {
        let shared = receive_scs > 1 && !self.end_station && !self.scb;
        match (self.include_sci || shared, self.scb, self.end_station) {
            (true, ..) => ChannelForm::Explicit(self.sci),
            (false, true, end_station) => ChannelForm::SingleCopyBroadcast { end_station },
            (false, false, true) => ChannelForm::EndStation,
            (false, false, false) => ChannelForm::Peer,
        }
    }

    /// The replay window of an SA of `suite` (§10.6.2 bounds it under XPN).
    pub(crate) fn window_for(&self, suite: CipherSuite) -> u32 {
        self.replay_window.min(suite.max_replay_window())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> SecyPolicy {
        SecyPolicy::new("02:00:00:00:00:01/0002".parse().unwrap())
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_reason() {
        let bare = SecyPolicy { include_sci: false, ..policy() };
        for (wrong, why) in [
            (SecyPolicy { sci: Sci::RESERVED, ..policy() }, PolicyError::ReservedSci),
            (SecyPolicy { end_station: true, ..bare }, PolicyError::EndStationPort(2)),
            (SecyPolicy { scb: true, ..bare }, PolicyError::ScbPort(2)),
            (SecyPolicy { scb: true, end_station: true, ..bare }, PolicyError::ScbPort(2)),
            (
                SecyPolicy { strict_replay: true, replay_protect: false, ..policy() },
                PolicyError::StrictWithoutProtection,
            ),
            (
                SecyPolicy { strict_replay: true, replay_window: 65537, ..policy() },
                PolicyError::WindowBeyondStrict(65537),
            ),
            (SecyPolicy { max_frame: 44, ..policy() }, PolicyError::MaxFrameTooSmall(44)),
        ] {
            assert_eq!(wrong.check(), Err(why));
        }
        for right in [
            policy(),
            bare,
            SecyPolicy { end_station: true, ..policy() },
            SecyPolicy { strict_replay: true, replay_window: 65536, ..policy() },
            SecyPolicy { replay_window: u32::MAX, ..policy() },
        ] {
            assert_eq!(right.check(), Ok(()));
        }
    }

    // Trap 29, and §10.6.2's bound on the window.
    #[test]
    fn xpn_suites_take_no_offset_and_a_smaller_window() {
        let wide = SecyPolicy { replay_window: 1 << 30, ..policy() };
        for suite in CipherSuite::ALL {
            for octets in [30, 50] {
                let offset = ConfidentialityOffset::new(octets).unwrap();
                assert_eq!(policy().check_suite(suite, offset).is_err(), suite.is_xpn());
            }
            assert_eq!(policy().check_suite(suite, ConfidentialityOffset::Zero), Ok(()));
            let refused = wide.check_suite(suite, ConfidentialityOffset::Zero);
            assert_eq!(refused.err(), suite.is_xpn().then_some(PolicyError::WindowBeyondXpn(1 << 30)));
            assert_eq!(wide.window_for(suite), if suite.is_xpn() { (1 << 30) - 1 } else { 1 << 30 });
        }
    }

    // §10.5.3, Table 10-1.
    #[test]
    fn the_sci_is_carried_when_asked_for_or_needed() {
        let form = |include_sci, end_station, scb, receive_scs| {
            SecyPolicy { include_sci, end_station, scb, ..policy() }.channel_form(receive_scs)
        };
        let explicit = ChannelForm::Explicit(policy().sci);
        assert_eq!(form(true, true, true, 0), explicit);
        assert_eq!(form(false, false, false, 2), explicit);
        assert_eq!(form(false, false, false, 1), ChannelForm::Peer);
        assert_eq!(form(false, true, false, 2), ChannelForm::EndStation);
        assert_eq!(form(false, false, true, 2), ChannelForm::SingleCopyBroadcast { end_station: false });
        assert_eq!(form(false, true, true, 2), ChannelForm::SingleCopyBroadcast { end_station: true });
    }
}
