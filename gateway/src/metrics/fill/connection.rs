//! Connections, their attachments, and the BFD sessions on those.

use dataplane::{Fault, bfd::Refusal};

use super::m;
use crate::{
    api::{Facts, model},
    metrics::page::Page,
};

pub(super) fn connections(page: &mut Page, facts: &Facts, connections: &[model::Connection], complete: bool) {
    for (at, connection) in connections.iter().enumerate() {
        let name = connection.name.as_str();
        let about = [name, &connection.interconnect, &connection.mode, &connection.protection];
        page.info(&m::CONNECTION, &about);
        page.size(&m::CONNECTION_ATTACHMENTS, &[name], connection.total);
        let known = |one: &model::Attachment| one.state != model::ChannelState::Unknown;
        if connection.attachments.iter().all(known) {
            page.flag(&m::CONNECTION_UP, &[name], connection.state != model::ConnectionState::Down);
            page.size(&m::CONNECTION_LIVE, &[name], connection.live);
        }
        if let Some(redundancy) = &connection.redundancy {
            page.count(&m::REDUNDANCY_SENT, &[name], redundancy.sent);
            for class in &redundancy.classes {
                page.count(&m::REDUNDANCY_CLASS, &[name, &class.name], class.sent);
            }
            page.flag(&m::REDUNDANCY_LOST, &[name], redundancy.latent_error);
            for (counter, count) in &redundancy.counters {
                page.count(&m::REDUNDANCY, &[name, counter], *count);
            }
        }
        for (place, one) in connection.attachments.iter().enumerate() {
            if connection.protection == "active_standby" && known(one) {
                let active = connection.active.as_deref() == Some(&one.channel);
                page.flag(&m::CONNECTION_ACTIVE, &[name, &one.channel], active);
            }
            attachment(page, facts, (at, place), (name, one), complete);
        }
    }
}

fn attachment(
    page: &mut Page,
    facts: &Facts,
    (at, place): (usize, usize),
    (connection, one): (&str, &model::Attachment),
    complete: bool,
) {
    let vlan = one.vlan.map(|vlan| vlan.to_string()).unwrap_or_default();
    let labels = [connection, one.channel.as_str(), vlan.as_str()];
    if complete {
        page.count(&m::ATTACHMENT_RX_FRAMES, &labels, one.rx_frames);
        page.count(&m::ATTACHMENT_RX_BYTES, &labels, one.rx_octets);
        page.count(&m::ATTACHMENT_TX_FRAMES, &labels, one.tx_frames);
        page.count(&m::ATTACHMENT_TX_BYTES, &labels, one.tx_octets);
    }
    let Some(seen) = facts.owned_interface(facts.interface_id(at, place)) else { return };
    page.flag(&m::ATTACHMENT_UP, &labels, one.state == model::ChannelState::Live);
    if let Some(since) = one.since {
        page.moment(&m::ATTACHMENT_CHANGED, &labels, since);
    }
    for fault in Fault::ALL {
        let labels = [connection, one.channel.as_str(), vlan.as_str(), fault.label()];
        page.flag(&m::ATTACHMENT_FAULT, &labels, seen.faults.has(*fault));
    }
}

pub(super) fn bfd(page: &mut Page, sessions: &[model::BfdSession]) {
    for one in sessions {
        let peer = one.peer.to_string();
        let labels = [one.interface.as_str(), peer.as_str()];
        page.flag(&m::BFD_UP, &labels, one.state == "up");
        page.flag(&m::BFD_FAULT, &labels, one.fault);
        page.moment(&m::BFD_CHANGED, &labels, one.since);
        page.count(&m::BFD_UPS, &labels, one.ups);
        page.count(&m::BFD_DOWNS, &labels, one.downs);
        if let Some(micros) = one.detection_us {
            page.micros(&m::BFD_DETECTION, &labels, micros);
        }
        page.micros(&m::BFD_GAP, &labels, one.longest_gap_us);
        page.count(&m::BFD_RX, &labels, one.rx_packets);
        page.count(&m::BFD_TX, &labels, one.tx_packets);
        for why in Refusal::ALL {
            let count = one.refused.get(why.label()).copied().unwrap_or(0);
            page.count(&m::BFD_REFUSED, &[labels[0], labels[1], why.label()], count);
        }
    }
}
