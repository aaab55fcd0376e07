//! The XPN parameter set (MKA version 2 on): upper halves of the lowest packet numbers, and the time for which
//! the sender asks MKA to be suspended.

use net::{Malformed, Reader, Writer};

use super::{RawSet, kind, put_set};

/// The XPN parameter set.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct XpnSet {
    /// MKA suspension time in seconds; 0 asks for nothing.
    pub suspension: u8,
    /// Upper 32 bits of the latest key's lowest packet number.
    pub latest_high: u32,
    /// Upper 32 bits of the old key's lowest packet number.
    pub old_high: u32,
}

impl XpnSet {
    pub(super) fn parse(set: &RawSet<'_>) -> Result<Self, Malformed> {
        let mut body = Reader::new(set.body);
        Ok(Self { suspension: set.second, latest_high: body.u32()?, old_high: body.u32()? })
    }

    pub(super) fn emit(&self, out: &mut Writer) {
        let mut body = Writer::new();
        body.u32(self.latest_high);
        body.u32(self.old_high);
        put_set(out, kind::XPN, self.suspension, 0, body.as_slice());
    }
}

net::carry!(XpnSet { suspension, latest_high, old_high });
