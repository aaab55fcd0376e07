//! What LACP said: inside the frames that were opened, or in clear.

use std::collections::BTreeMap;

use dataplane::lacp::{Lacpdu, Pdu, PortInfo};
use macsec::Sci;
use net::{EtherType, Ethernet, MacAddr};
use serde::Serialize;

/// Ports that are told apart; those beyond are not listed.
const MOST: usize = 256;

/// A port of a LAG, as its own system described it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct LacpSummary {
    /// Its system, as `priority-MAC address`.
    pub system: String,
    /// Its port number.
    pub port: u16,
    /// Its key.
    pub key: u16,
    /// The SCI under which its LACPDUs came; null: in clear.
    pub sci: Option<String>,
    /// LACPDUs.
    pub pdus: u64,
    /// How often what they said of their own state differed from the one before.
    pub changes: u64,
    /// The state that it said last: names of bits, such as `ACT+AGG+SYN`.
    pub state: String,
    /// The system and port that it believed to be at the other end, and their state.
    pub partner: String,
}

/// All ports that were seen.
#[derive(Debug, Default)]
pub(super) struct LacpSeen(BTreeMap<Name, Said>);

type Name = (u16, MacAddr, u16, u16, Option<Sci>);

#[derive(Debug)]
struct Said {
    pdus: u64,
    changes: u64,
    last: Lacpdu,
}

impl LacpSeen {
    /// Looks at a frame that nobody protects, or whose protection was taken off. True when it is a LACPDU.
    pub(super) fn observe(&mut self, frame: &[u8], sci: Option<Sci>) -> bool {
        let Some((header, payload)) = Ethernet::split(frame) else { return false };
        let Some(pdu) = (header.ethertype == EtherType::SLOW).then(|| Pdu::decode(payload).ok()).flatten()
        else {
            return false;
        };
        let Pdu::Lacp(pdu) = pdu else { return false };
        let PortInfo { system_priority, system, key, port, .. } = pdu.actor;
        let name = (system_priority, system, key, port, sci);
        if self.0.len() == MOST && !self.0.contains_key(&name) {
            return true;
        }
        let said = self.0.entry(name).or_insert(Said { pdus: 0, changes: 0, last: pdu });
        said.pdus += 1;
        said.changes += u64::from(said.last.actor.state != pdu.actor.state);
        said.last = pdu;
        true
    }

    pub(super) fn summaries(&self) -> Vec<LacpSummary> {
        self.0.iter().map(|(name, said)| summary(*name, said)).collect()
    }
}

fn summary((priority, system, key, port, sci): Name, said: &Said) -> LacpSummary {
    let partner = said.last.partner;
    LacpSummary {
        system: format!("{priority}-{system}"),
        port,
        key,
        sci: sci.map(|sci| sci.to_string()),
        pdus: said.pdus,
        changes: said.changes,
        state: said.last.actor.state.to_string(),
        partner: format!(
            "{}-{} port {} {}",
            partner.system_priority, partner.system, partner.port, partner.state
        ),
    }
}
