//! SAKs that stand in the configuration: packet numbers reserved on disk, then SAs for the SecYs.
//!
//! Channels with MKA have none of this: their SAKs live as long as the process.

use std::collections::BTreeMap;

use anyhow::Result;
use config::Config;
use dataplane::ChannelId;
use macsec::{An, SecY, SecyNumbers};
use net::Instant;
use tracing::{error, warn};

use crate::{
    assemble::{Plan, StaticSas, TransmitSa},
    clock,
    state::{LOW, PnStore, SaName},
    worker::Worker,
};

/// The static SAs of all channels: reserved, installed, remembered.
#[derive(Default)]
pub(crate) struct StaticKeys {
    /// Transmit SAs whose numbers are extended while they run: by channel and AN, with the suite's last number.
    pub(crate) reserved: BTreeMap<(ChannelId, An), (SaName, u64)>,
    /// Receive SAs whose numbers are written down.
    pub(crate) received: BTreeMap<(ChannelId, macsec::Sci, An), SaName>,
}

impl StaticKeys {
    /// Reserves packet numbers for all static SAs, and gives the SAs to the workers, which do not run yet. SAs that a predecessor
    /// `left` go on behind the numbers that it used.
    pub(crate) fn install(
        &mut self,
        (config, plan): (&Config, &Plan),
        workers: &mut [Worker],
        store: &mut PnStore,
        left: &BTreeMap<ChannelId, SecyNumbers>,
    ) -> Result<()> {
        for (at, sas) in plan.keys.iter().enumerate() {
            let channel = ChannelId::at(at);
            let owner = plan.setup.channels.get(at).map(|channel| channel.owner.index());
            let Some(worker) = owner.and_then(|owner| workers.get_mut(owner)) else { continue };
            let Some(secy) = worker.dataplane().secy(channel) else { continue };
            let now = clock::now();
            self.receive(channel, sas, secy, store, now)?;
            let name = config.channels.get(at).map_or("?", |one| &one.name);
            let limits = self.transmit((channel, name), sas, secy, (&mut *store, left.get(&channel)), now)?;
            worker.dataplane().secy_changed(channel, now);
            for (an, limit) in limits {
                worker.dataplane().set_pn_limit(channel, an, limit, LOW);
            }
        }
        Ok(())
    }

    fn receive(
        &mut self,
        channel: ChannelId,
        sas: &StaticSas,
        secy: &mut SecY,
        store: &PnStore,
        now: Instant,
    ) -> Result<()> {
        for (sci, list) in &sas.receive {
            secy.create_receive_sc(*sci, now)?;
            for sa in list {
                let name = SaName::new(*sci, sa.an, &sa.sak.fingerprint().to_string());
                secy.create_receive_sa(*sci, sa.an, &sa.params(store.start_receive(&name)), now)?;
                secy.enable_receive_sa(*sci, sa.an, now)?;
                self.received.insert((channel, *sci, sa.an), name);
            }
        }
        Ok(())
    }

    fn transmit(
        &mut self,
        (channel, called): (ChannelId, &str),
        sas: &StaticSas,
        secy: &mut SecY,
        (store, left): (&mut PnStore, Option<&SecyNumbers>),
        now: Instant,
    ) -> Result<Vec<(An, u64)>> {
        let mut limits = Vec::new();
        for (at, sa) in sas.transmit.iter().enumerate() {
            let name = SaName::new(sa.sci, sa.an, &sa.sak.fingerprint().to_string());
            let (next_pn, limit) = match numbers(&name, sa, secy, (&mut *store, left)) {
                Ok(numbers) => numbers,
                Err(why) => {
                    // Fail closed: this SA sends nothing; the others of the gateway are not to blame.
                    error!(event = "macsec.no_numbers", channel = called, why = format!("{why:#}"));
                    continue;
                }
            };
            if next_pn == 1 {
                tell_first_use(called, sa);
            }
            secy.create_transmit_sa(sa.an, &sa.params(next_pn, Some(limit)), now)?;
            if at == 0 {
                secy.enable_transmit_sa(sa.an, now)?;
            }
            self.reserved.insert((channel, sa.an), (name, sa.suite.last_pn()));
            limits.push((sa.an, limit));
        }
        Ok(limits)
    }
}

/// NIST SP 800-38D §8.3: a number that is used twice under one key gives both frames away, and the key of the ICV. Where numbers are
/// kept there is no word of this key: it is new, or what was kept is lost.
fn tell_first_use(channel: &str, sa: &TransmitSa) {
    warn!(
        event = "macsec.first_use",
        channel,
        an = sa.an.get(),
        sak = %sa.sak.fingerprint(),
        "the state folder has no record of this SAK: it starts at packet number 1. If it was ever used, with another state_dir or \
         before the folder was lost, frames can be decrypted and forged: then make new keys at both ends"
    );
}

/// The first packet number that an SA may use, and the last one.
fn numbers(
    name: &SaName,
    sa: &TransmitSa,
    secy: &SecY,
    (store, left): (&mut PnStore, Option<&SecyNumbers>),
) -> Result<(u64, u64)> {
    let left = left.filter(|left| left.sci() == secy.policy().sci);
    match left.and_then(|left| left.next_pn(sa.an, sa.sak.fingerprint())) {
        // One below the end, which also stands for the end itself.
        Some((next, last)) if next < sa.suite.last_pn() => {
            store.go_on_with(name);
            Ok((next, last))
        }
        _ => store.start_transmit(name, sa.suite.last_pn()),
    }
}
