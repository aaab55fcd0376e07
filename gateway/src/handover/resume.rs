//! What was left, put to where it belongs now: by name, as far as the configuration still has it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use config::Config;
use dataplane::{ChannelId, ConnectionId, Dataplane, InterfaceId, PortId, Setup};
use macsec::mka::KeyEntry;
use tracing::{info, warn};

use super::{
    Anew, Inheritance,
    line::Estate,
    successor::{Went, names},
};
use crate::{assemble::Plan, clock, key_agreement, state::PnStore, static_keys::StaticKeys, worker::Worker};

/// What a handover puts together.
pub(crate) struct Heir<'a> {
    pub(crate) config: &'a Config,
    pub(crate) plan: &'a Plan,
    pub(crate) setup: &'a Setup,
    pub(crate) workers: &'a mut [Worker],
    pub(crate) store: &'a mut PnStore,
    pub(crate) static_keys: &'a mut StaticKeys,
    /// The CAKs of all channels with MKA.
    pub(crate) caks: Vec<(ChannelId, Vec<KeyEntry>)>,
    /// What ports are called.
    pub(crate) ports: &'a BTreeMap<PortId, (String, String)>,
}

impl Heir<'_> {
    /// Waits until the predecessor has stopped, goes on where that is, and waits for leave to send. Blocks.
    ///
    /// # Errors
    /// Why not: then nothing may be sent.
    pub(crate) fn take_over(mut self, inheritance: Inheritance) -> Result<Went> {
        let heard = inheritance.estate()?;
        let began = clock::now();
        let estate = Estate::unpack(&mut heard.body()).context("what was left makes no sense")?;
        let mut anew = self.resume_ports(&inheritance, &estate)?;
        self.store.reread()?;
        anew.extend(self.resume_channels(&estate)?);
        self.resume_rest(&estate);
        let went = inheritance.go(&anew)?;
        let took = clock::now().since(began);
        info!(event = "gateway.took_over", channels = estate.channels.len(), took_ms = took.as_millis());
        for Anew { subject, message } in anew {
            warn!(event = "gateway.began_anew", subject, "{message}");
        }
        Ok(went)
    }

    /// Gives the ports that begin anew.
    fn resume_ports(&mut self, inheritance: &Inheritance, estate: &Estate<'_>) -> Result<Vec<Anew>> {
        for (id, (key, _)) in self.ports {
            for (at, worker) in (0..).zip(&mut *self.workers) {
                if !inheritance.to_resume().contains(&(key.clone(), at)) {
                    worker.forget_waiting(*id);
                }
            }
        }
        for (key, worker) in inheritance.to_resume() {
            let id = self.ports.iter().find(|(_, (own, _))| own == key).map(|(id, _)| *id);
            let left = estate.ports.iter().find(|((own, at), _)| own == key && at == worker);
            let resumed = id.zip(left).is_some_and(|(id, (_, left))| {
                let worker = self.workers.get_mut(usize::from(*worker));
                worker.is_some_and(|worker| worker.resume_port(id, left))
            });
            if !resumed {
                bail!("{key} of worker {worker} cannot go on where it stopped");
            }
        }
        let is_new = |key: &str| !inheritance.to_resume().iter().any(|(own, _)| own == key);
        let of = |(key, device): &(String, String)| Anew {
            subject: key.clone(),
            message: format!(
                "opened anew: it is new in the file, or {device} is opened in another way now; what waited in it is lost"
            ),
        };
        Ok(self.ports.values().filter(|(key, _)| key.starts_with("port ") && is_new(key)).map(of).collect())
    }

    /// Gives the channels that begin anew.
    fn resume_channels(&mut self, estate: &Estate<'_>) -> Result<Vec<Anew>> {
        let (channels, _, _) = names(self.config);
        let mut numbers = BTreeMap::new();
        for (at, name) in channels.iter().enumerate() {
            if let Some(left) = estate.channel(name).and_then(Dataplane::numbers_left) {
                numbers.insert(ChannelId::at(at), left);
            }
        }
        self.static_keys.install(self.plan, self.workers, self.store, &numbers)?;
        let mut caks: BTreeMap<_, _> = std::mem::take(&mut self.caks).into_iter().collect();
        let mut new = Vec::new();
        for (at, name) in channels.into_iter().enumerate() {
            let id = ChannelId::at(at);
            let owner = self.setup.channels.get(at).map(|channel| channel.owner.index());
            let Some(worker) = owner.and_then(|owner| self.workers.get_mut(owner)) else { continue };
            let (now, keys, left) = (clock::now(), caks.remove(&id), estate.channel(&name));
            let mka = || keys.clone().map(|keys| (key_agreement::rng(), keys));
            let resumed = left.is_some_and(|left| worker.dataplane().resume_channel(id, left, mka(), now));
            if !resumed {
                if let Some((random, keys)) = mka() {
                    worker.dataplane().start_mka(id, random, keys, now);
                }
                new.push(self.began_anew(at, &name, left));
            }
        }
        Ok(new)
    }

    /// Why a channel could not go on.
    fn began_anew(&self, at: usize, name: &str, left: Option<&[u8]>) -> Anew {
        let ours = self.setup.channels.get(at).map(|channel| channel.secy.sci);
        let was = left.and_then(Dataplane::numbers_left).map(|numbers| numbers.sci());
        let message = match (was, ours) {
            (None, _) => "it is new in the file".to_owned(),
            (Some(was), Some(ours)) if was != ours => format!(
                "its SCI was {was} and is {ours} now (its device has another MAC address since the gateway started, or tx_sci changed): nothing was carried until the peer had agreed on new keys"
            ),
            _ => "its keys or its MACsec are others now: nothing was carried until the peer had agreed on new keys".to_owned(),
        };
        Anew { subject: format!("channel {name}"), message }
    }

    fn resume_rest(&mut self, estate: &Estate<'_>) {
        let (_, interfaces, connections) = names(self.config);
        let now = clock::now();
        for worker in &mut *self.workers {
            worker.dataplane().resume_lags(now);
        }
        for (at, name) in interfaces.iter().enumerate() {
            for (_, left) in estate.interfaces.iter().filter(|(own, _)| own == name) {
                for worker in &mut *self.workers {
                    worker.dataplane().resume_interface(InterfaceId::at(at), left, now);
                }
            }
        }
        for worker in &mut *self.workers {
            worker.dataplane().resume_paths(now);
        }
        for (at, name) in connections.iter().enumerate() {
            for (_, left) in estate.connections.iter().filter(|(own, _)| own == name) {
                for worker in &mut *self.workers {
                    worker.dataplane().resume_connection(ConnectionId::at(at), left);
                }
            }
        }
        for worker in &mut *self.workers {
            worker.dataplane().resumed(now);
        }
    }
}
