//! From [`Facts`] to the documents of the API: pure functions, one file for each kind of thing.

mod bfd;
mod bgp;
mod channel;
mod connection;
mod drain;
mod event;
mod lag;
mod macsec;
mod mka;
mod port;
mod quality;
mod reasons;
mod reload;
mod restart;
mod route;
mod runtime;
mod status;
#[cfg(test)]
mod tests;
mod wiring;

use dataplane::{ChannelId, DropCounters, InterfaceId};
use serde::Serialize;

pub(crate) use self::reload::reload;
pub(crate) use self::restart::restart;
pub(crate) use self::{
    bfd::bfd,
    bgp::{bgp, story},
    channel::channels,
    connection::{connections, neighbors},
    drain::{drill, one as drain},
    event::event,
    lag::lags,
    macsec::macsec,
    mka::{mka, rekey, suspension},
    port::{drops, ports},
    quality::quality,
    route::{cursor, routes},
    runtime::runtime,
    status::status,
};
use super::{model::Counts, source::Facts};

/// The word that the configuration has for something, with `_` for `-`.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.replace('-', "_"),
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}

/// The counts that are not zero.
fn counts(drops: &DropCounters) -> Counts {
    drops
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| (reason.label().to_owned(), count))
        .collect()
}

/// Counts by name, zeros included.
fn named<const N: usize>(counts: [(&str, u64); N]) -> Counts {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

impl Facts {
    /// A channel, as the worker that owns it sees it; `None` when that one did not answer.
    pub(crate) fn channel(&self, id: ChannelId) -> Option<&dataplane::ChannelSnapshot> {
        let mut channels = self.reports.iter().flat_map(|report| &report.snapshot.channels);
        channels.find(|channel| channel.channel == id)
    }

    /// An interface, as each worker that answered sees it.
    fn interface(
        &self,
        id: InterfaceId,
    ) -> impl Iterator<Item = (&crate::worker::Report, &dataplane::InterfaceSnapshot)> {
        self.reports.iter().filter_map(move |report| {
            let mut interfaces = report.snapshot.interfaces.iter();
            Some((report, interfaces.find(|interface| interface.interface == id)?))
        })
    }

    /// An attachment, as the worker that owns its channel sees it.
    pub(crate) fn owned_interface(&self, id: InterfaceId) -> Option<&dataplane::InterfaceSnapshot> {
        let setup = self.setup.interfaces.get(id.index())?;
        let dataplane::Place::Attachment { channel, .. } = setup.place else { return None };
        let owner = self.setup.channels.get(channel.index())?.owner;
        self.interface(id).find(|(report, _)| report.snapshot.worker == owner).map(|(_, interface)| interface)
    }

    /// The interface of a connection's attachment, or of a LAN behind those.
    pub(crate) fn interface_id(&self, connection: usize, at: usize) -> InterfaceId {
        let before = self.config.connections.iter().take(connection);
        InterfaceId::at(before.map(|one| one.attachments.len() + one.lans.len()).sum::<usize>() + at)
    }
}
