//! What the KaY wants done to its SecY, in the order in which it must be done.
//!
//! The order is what makes a rollover lose nothing: receive SAs of a key are in use before anybody transmits
//! with it, the old ones stay until nobody does.

use std::sync::Arc;

use net::Instant;

use super::wire::Confidentiality;
use crate::{
    an::An,
    error::LmiError,
    key::{KeyId, Sak, Salt},
    sci::{Sci, Ssci},
    secy::{ReceiveSaParams, SecY, TransmitSaParams},
    suite::CipherSuite,
};

/// A SAK and how it is used.
#[derive(Clone, Debug)]
pub struct DataKey {
    /// Its identifier.
    pub key_id: KeyId,
    /// Association number of its SAs.
    pub an: An,
    /// The key.
    pub sak: Sak,
    /// What it is for.
    pub suite: CipherSuite,
    /// How much is encrypted.
    pub confidentiality: Confidentiality,
    /// Salt of the XPN suites, from the key server's member identifier and the key number (trap 27).
    pub salt: Salt,
}

/// One step for the owner of the SecY; [`apply`](Self::apply) does it.
#[derive(Clone, Debug)]
pub enum KeyAction {
    /// Make a receive SC.
    CreateReceiveSc {
        /// The peer's SCI.
        sci: Sci,
    },
    /// Make a receive SA, not yet in use.
    InstallReceiveSa {
        /// The peer's SCI.
        sci: Sci,
        /// The key; its association number is the SA's.
        key: Arc<DataKey>,
        /// lowestPN to begin with.
        lowest_pn: u64,
        /// The peer's SSCI.
        ssci: Ssci,
    },
    /// Put a receive SA in use.
    EnableReceive {
        /// The peer's SCI.
        sci: Sci,
        /// Association number.
        an: An,
    },
    /// Make a transmit SA, not yet in use. Its packet numbers begin at 1.
    InstallTransmitSa {
        /// The key.
        key: Arc<DataKey>,
        /// Our SSCI.
        ssci: Ssci,
    },
    /// Transmit with this SA from now on.
    EnableTransmit {
        /// Association number.
        an: An,
    },
    /// Raise lowestPN of a receive SA (delay protection, or the upper half of a packet number).
    RaiseLowestPn {
        /// The peer's SCI.
        sci: Sci,
        /// Association number.
        an: An,
        /// To this.
        pn: u64,
    },
    /// Take a receive SA out of use, but keep its replay state: the peer is gone and may come back.
    DisableReceive {
        /// The peer's SCI.
        sci: Sci,
        /// Association number.
        an: An,
    },
    /// Delete a receive SA.
    DeleteReceiveSa {
        /// The peer's SCI.
        sci: Sci,
        /// Association number.
        an: An,
    },
    /// Delete a transmit SA.
    DeleteTransmitSa {
        /// Association number.
        an: An,
    },
    /// Delete a receive SC without SAs.
    DeleteReceiveSc {
        /// The peer's SCI.
        sci: Sci,
    },
    /// Whether the controlled port is secured: traffic may flow under MACsec.
    Secured(bool),
}

impl KeyAction {
    /// Does it. [`Secured`](Self::Secured) concerns the SecY's owner and does nothing here.
    ///
    /// # Errors
    /// What the SecY refused. Tell the KaY with [`Kay::handle_refusal`](super::Kay::handle_refusal).
    pub fn apply(&self, secy: &mut SecY, now: Instant) -> Result<(), LmiError> {
        match *self {
            Self::CreateReceiveSc { sci } => secy.create_receive_sc(sci, now),
            Self::InstallReceiveSa { sci, ref key, lowest_pn, ssci } => {
                secy.create_receive_sa(sci, key.an, &key.receive_params(lowest_pn, ssci), now)
            }
            Self::EnableReceive { sci, an } => secy.enable_receive_sa(sci, an, now),
            Self::InstallTransmitSa { ref key, ssci } => {
                secy.create_transmit_sa(key.an, &key.transmit_params(ssci), now)
            }
            Self::EnableTransmit { an } => secy.enable_transmit_sa(an, now),
            Self::RaiseLowestPn { sci, an, pn } => secy.raise_lowest_pn(sci, an, pn),
            Self::DisableReceive { sci, an } => secy.disable_receive_sa(sci, an, now),
            Self::DeleteReceiveSa { sci, an } => secy.delete_receive_sa(sci, an, now),
            Self::DeleteTransmitSa { an } => secy.delete_transmit_sa(an, now),
            Self::DeleteReceiveSc { sci } => secy.delete_receive_sc(sci),
            Self::Secured(_) => Ok(()),
        }
    }
}

impl DataKey {
    /// A receive SA with this key.
    pub fn receive_params(&self, lowest_pn: u64, ssci: Ssci) -> ReceiveSaParams<'_> {
        ReceiveSaParams {
            sak: &self.sak,
            suite: self.suite,
            offset: self.confidentiality.offset(),
            key_id: self.key_id,
            lowest_pn,
            ssci,
            salt: self.salt,
        }
    }

    /// A transmit SA with this key.
    pub fn transmit_params(&self, ssci: Ssci) -> TransmitSaParams<'_> {
        TransmitSaParams {
            sak: &self.sak,
            suite: self.suite,
            encrypt: self.confidentiality.encrypts(),
            offset: self.confidentiality.offset(),
            key_id: self.key_id,
            next_pn: 1,
            pn_limit: None,
            ssci,
            salt: self.salt,
        }
    }
}

net::carry!(DataKey { key_id, an, sak, suite, confidentiality, salt });
