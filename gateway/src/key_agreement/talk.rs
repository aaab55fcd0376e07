//! What happens to key agreements, as lines of the log.
//!
//! A KaY tells incidents by itself. Conditions (nobody is heard, the clock says that no key has started) exist only
//! when one looks; [`KeyAgreements::look`] does so now and then. Each is said once, until it is over.

use config::{Config, model::Policy};
use dataplane::ChannelId;
use macsec::mka::{Diagnosis, LostWhy, MkaEvent};
use tracing::{error, info, warn};

use super::{KeyAgreements, remedy};
use crate::worker::Report;

impl KeyAgreements {
    /// A KaY starts.
    pub(super) fn greet(&self, config: &Config, id: ChannelId) {
        if is_should_secure(config, id) {
            shout(name(config, id), "until MKA has a key");
        }
    }

    /// Tells what a KaY told.
    pub fn tell(&mut self, config: &Config, id: ChannelId, event: &MkaEvent) {
        let channel = name(config, id);
        match event {
            MkaEvent::PeerUp { sci, ckn, restarted } => {
                info!(event = "mka.peer_up", channel, peer = %sci, ckn = %ckn, restarted);
            }
            MkaEvent::PeerDown { sci, ckn } => {
                warn!(event = "mka.peer_down", channel, peer = %sci, ckn = %ckn, "it was silent for a life time");
            }
            MkaEvent::KeyServer { sci, ours } => {
                let server = sci.map_or_else(|| "none".to_owned(), |sci| sci.to_string());
                info!(event = "mka.key_server", channel, server, ours);
            }
            MkaEvent::Principal { ckn, fallback: false } => {
                info!(event = "mka.principal", channel, ckn = %ckn, fallback = false);
            }
            MkaEvent::Principal { ckn, fallback: true } => {
                warn!(event = "mka.principal", channel, ckn = %ckn, fallback = true, "no other key has a peer: do both ends have the same keys?");
            }
            MkaEvent::Secured { key_id, an, suite } => {
                self.told.remove(&id);
                info!(event = "mka.secured", channel, key = %key_id, an = an.get(), suite = %suite);
            }
            MkaEvent::Rekeyed { key_id, an, suite } => {
                info!(event = "mka.rekeyed", channel, key = %key_id, an = an.get(), suite = %suite);
            }
            MkaEvent::SakMade { key_id, why } => {
                info!(event = "mka.sak_made", channel, key = %key_id, why = %why)
            }
            MkaEvent::Lost(why) => {
                warn!(event = "mka.lost", channel, why = %why, remedy = lost_remedy(*why));
                if is_should_secure(config, id) {
                    shout(channel, "because MKA has lost its key");
                }
            }
            MkaEvent::Suspended { time, ours } => {
                info!(event = "mka.suspended", channel, seconds = time.as_secs_f64(), ours);
            }
            MkaEvent::Resumed => info!(event = "mka.resumed", channel),
            MkaEvent::Diagnosis(what) => self.diagnose(config, id, what),
        }
    }

    /// Tells what is wrong with any channel, and was not when last looked.
    pub fn look(&mut self, config: &Config, reports: &[Report]) {
        for channel in reports.iter().flat_map(|report| &report.snapshot.channels) {
            let Some(mka) = &channel.mka else { continue };
            for what in &mka.diagnoses {
                self.diagnose(config, channel.channel, what);
            }
            if let Some(told) = self.told.get_mut(&channel.channel) {
                told.retain(|code| mka.diagnoses.iter().any(|what| what.code() == *code));
            }
        }
    }

    fn diagnose(&mut self, config: &Config, id: ChannelId, what: &Diagnosis) {
        if self.told.entry(id).or_default().insert(what.code()) {
            let (channel, code) = (name(config, id), what.code());
            warn!(event = "mka.diagnosis", channel, code, why = %what, remedy = remedy(what));
        }
    }
}

const fn lost_remedy(why: LostWhy) -> &'static str {
    match why {
        LostWhy::NoPeer => {
            "is the peer running, and the path to it whole? `quadspan show mka` says what was heard last"
        }
        LostWhy::NoKey => "the last key has ended: configure one that is valid now",
        LostWhy::NoMacsec => {
            "make the peer require MACsec, or give this end a lower priority, so that it is key server"
        }
        LostWhy::KeyLost => "a fresh key follows by itself; if not, see `quadspan show mka`",
    }
}

fn shout(channel: &str, when: &str) {
    error!(
        event = "mka.clear_text",
        channel,
        "CLEAR TEXT: frames are sent and accepted without MACsec {when}, because the policy is should-secure"
    );
}

fn name(config: &Config, id: ChannelId) -> &str {
    config.channels.get(id.index()).map_or("?", |channel| &channel.name)
}

fn is_should_secure(config: &Config, id: ChannelId) -> bool {
    config.channels.get(id.index()).is_some_and(|channel| channel.macsec.policy == Policy::ShouldSecure)
}
