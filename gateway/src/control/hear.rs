//! What workers tell unasked, and what is done about it.

use core::{net::IpAddr, time::Duration};

use dataplane::{
    ChannelId, Event, Fault, InterfaceId, LagId, PortId, WorkerId, lacp::LacpEvent, port::PortError,
};
use macsec::An;
use net::MacAddr;
use tracing::{info, warn};

use super::Gateway;
use crate::{
    api::wall,
    clock,
    events::Conflict,
    link_monitor::{Link, Watched},
    worker::{Command, News},
};

impl Gateway {
    pub(super) fn hear(&mut self, worker: WorkerId, news: News) {
        match news {
            News::Port(port, error) => {
                let device = self.config.ports.get(port.index()).map_or("", |port| &port.device);
                if error == PortError::Gone && self.supplies.taps().is_current(device) {
                    return; // of a TAP that was made again since
                }
                let name = self.config.ports.get(port.index()).map_or("(host)", |port| &port.name);
                warn!(event = "port.lost", port = name, worker = worker.0, why = %error);
                if let Some(known) = self.links.get_mut(port.index()) {
                    // Look again: when the device is back (or never left), its next state reopens the port. One that
                    // was down for a moment only may be up again by now, and nobody else would tell the worker.
                    let lasts = matches!(error, PortError::Down | PortError::NoRoute);
                    let port_config = self.config.ports.get(port.index());
                    let link = port_config.map_or(Link::Gone, |port| Watched::of(port).link());
                    // A worker may know before the link monitor that a device is gone: that is still to be told then.
                    if link != Link::Gone {
                        *known = (!lasts).then_some(Link::Gone);
                    }
                    self.link_changed(port.index(), link);
                }
            }
            News::Path(port, octets) => self.path_changed(port, octets),
            News::Dataplane(event) => self.hear_dataplane(event),
            News::Moved(moved, told) => {
                let name = self.attachment(moved.interface);
                self.chronicle.moved(&moved, &name, told, wall());
            }
            News::Retired(tables) => drop(tables),
        }
    }

    /// A tunnel's path carries another amount than before: every worker must know what attachments take.
    fn path_changed(&mut self, port: PortId, octets: u16) {
        for worker in &self.workers {
            worker.mailbox.send(Command::Path(port, octets));
        }
        let name = self.config.ports.get(port.index()).map_or("?", |port| &port.name);
        let before = self.paths.insert(port, octets);
        match before {
            Some(before) if octets < before => {
                warn!(
                    event = "port.path_mtu",
                    port = name,
                    carries = octets,
                    before,
                    "a router on the way carries less; packets that are too long for it are refused, and their senders told"
                );
            }
            _ => info!(event = "port.path_mtu", port = name, carries = octets),
        }
    }

    fn log_narrow(&self, id: InterfaceId) {
        warn!(
            event = "attachment.down",
            attachment = self.attachment(id),
            why = Fault::NarrowPath.label(),
            "the tunnel's path carries less than the 1280 octets that IPv6 needs inside, so it carries only what has no other way; \
             raise the MTU on the way (port.path_mtu says what it is), or take the attachment's IPv6 addresses away"
        );
    }

    fn log_flapping(&self, id: InterfaceId, losses: usize, hold: Duration) {
        warn!(
            event = "attachment.flapping",
            attachment = self.attachment(id),
            losses,
            seconds = hold.as_secs(),
            "it was lost so often within a minute that it waits before it carries traffic, but for what has no other way"
        );
    }

    fn hear_lacp(&mut self, lag: LagId, channel: ChannelId, event: LacpEvent) {
        let name = self.config.lags.get(lag.index()).map_or("?", |one| &one.name);
        let member = self.config.channels.get(channel.index()).map_or("?", |one| &one.name);
        crate::lag::log(name, member, event);
        if let Some(what) = crate::lag::cause(name, member, event) {
            self.chronicle.lacp(lag, what, clock::now());
        }
    }

    fn hear_exhaustion(&self, channel: ChannelId, an: An) {
        let (name, an) = (self.channel_name(channel), an.get());
        if self.config.channels.get(channel.index()).is_some_and(|one| one.macsec.mka.is_some()) {
            info!(event = "macsec.pn_exhaustion_pending", channel = name, an, "a fresh SAK is due");
            return;
        }
        warn!(
            event = "macsec.pn_exhaustion_pending",
            channel = name,
            an,
            "three quarters of the SAK's packet numbers are used; configure a new SAK before they end, traffic stops then"
        );
    }

    fn hear_dataplane(&mut self, event: Event) {
        match event {
            Event::AttachmentUp(id) => {
                info!(event = "attachment.up", attachment = self.attachment(id));
                self.with_bgp(|bgp| bgp.link(id, Ok(())));
            }
            Event::AttachmentDown(id, why) => {
                self.with_bgp(|bgp| bgp.attachment_down(id, why));
                if why == Fault::NarrowPath {
                    return self.log_narrow(id);
                }
                warn!(event = "attachment.down", attachment = self.attachment(id), why = why.label());
            }
            Event::AttachmentStays(id, why) => {
                self.with_bgp(|bgp| bgp.attachment_down(id, why));
                info!(event = "attachment.stays_down", attachment = self.attachment(id), why = why.label());
            }
            Event::Flapping(id, losses, hold) => self.log_flapping(id, losses, hold),
            Event::PnReservationLow(channel, an) => self.extend(channel, an),
            Event::PnExhaustionPending(channel, an) => self.hear_exhaustion(channel, an),
            Event::Bfd(id, peer, event) => {
                crate::bfd::log(&self.attachment(id), peer, event);
                self.chronicle.bfd(id, peer, event, clock::now());
                if let Some(news) = crate::bfd::news(id, peer, event) {
                    self.with_bgp(|bgp| bgp.bfd(news));
                }
            }
            Event::Lacp(lag, channel, event) => self.hear_lacp(lag, channel, event),
            Event::Mka(channel, event) => self.agreements.tell(&self.config, channel, &event),
            Event::ActiveMoved { connection, from, to } => {
                self.chronicle.active_moved(connection, (from, to), (clock::now(), wall()));
                let name =
                    |id: Option<InterfaceId>| id.map_or_else(|| "none".to_owned(), |id| self.attachment(id));
                let (from, to) = (name(from), name(to));
                info!(
                    event = "connection.active_moved",
                    connection = self.connection_name(connection),
                    from,
                    to
                );
            }
            Event::Moved(_) => {} // comes with the time at which it took effect
            Event::RedundancyLost(connection, true) => {
                self.chronicle.redundancy(connection, true, wall());
                warn!(
                    event = "connection.redundancy_lost",
                    connection = self.connection_name(connection),
                    "second copies of frames are missing: one path is broken, though nothing is lost yet"
                );
            }
            Event::RedundancyLost(connection, false) => {
                self.chronicle.redundancy(connection, false, wall());
                info!(
                    event = "connection.redundancy_restored",
                    connection = self.connection_name(connection)
                );
            }
            Event::Quality { interface, bad, report } => {
                let what = crate::quality::tell(&self.attachment(interface), bad, &report);
                self.chronicle.quality(interface, what, clock::now());
            }
            Event::AddressConflict(id, own, mac) => self.hear_conflict(id, own, mac),
        }
    }

    fn hear_conflict(&self, id: InterfaceId, own: IpAddr, mac: Option<MacAddr>) {
        let (interface, mac) = (self.attachment(id), mac.map(|mac| mac.to_string()));
        self.events.conflict(Conflict {
            interface: interface.clone(),
            address: own,
            mac: mac.clone(),
            at: clock::now(),
        });
        warn!(
            event = "address.conflict",
            interface,
            address = %own,
            other_station = mac.as_deref().unwrap_or("unknown"),
            "another station says that this address is its own: two have it, and packets go to either, or to none; \
             give one of them another address. If it is the far gateway, both may run the same file"
        );
    }
}
