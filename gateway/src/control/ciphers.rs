//! Keys that failed their trial.
//!
//! Each key is tried before it is used: our own AES-GCM has to do what AWS-LC does (`macsec::aead`). Where it does not, AWS-LC has the key,
//! and nothing is lost but speed. It means that a processor or our code is wrong, though, and that is for somebody to know.

use std::collections::BTreeSet;

use config::Config;
use dataplane::ChannelId;
use tracing::warn;

use crate::worker::Report;

/// Of which channels it was told.
#[derive(Debug, Default)]
pub(super) struct Ciphers(BTreeSet<ChannelId>);

impl Ciphers {
    /// Tells of each channel once.
    pub(super) fn look(&mut self, config: &Config, reports: &[Report]) {
        for channel in self.news(reports) {
            let name = config.channels.get(channel.index()).map_or("?", |one| &one.name);
            warn!(
                event = "macsec.cipher_refused",
                channel = name,
                "a key failed its trial with our own AES-GCM, so AWS-LC does it, which is slower: a processor or this program is wrong; \
                 please report it, with `quadspan doctor` and `lscpu`; `[runtime] aead = \"aws-lc\"` does without ours"
            );
        }
    }

    fn news(&mut self, reports: &[Report]) -> Vec<ChannelId> {
        let channels = reports.iter().flat_map(|report| &report.snapshot.channels);
        let refused = channels.filter(|one| one.secy.fell_back()).map(|one| one.channel);
        refused.filter(|channel| self.0.insert(*channel)).collect()
    }
}

#[cfg(test)]
mod tests {
    use macsec::Backend;

    use super::*;
    use crate::api::testbed;

    #[test]
    fn a_channel_whose_key_failed_its_trial_is_told_of_once() {
        let (mut ciphers, mut reports) = (Ciphers::default(), testbed::facts().reports);
        assert_eq!(ciphers.news(&reports), []);
        let channel = reports.iter_mut().flat_map(|report| &mut report.snapshot.channels).next().unwrap();
        channel.secy.transmit.sas[0].backend = "aws-lc";
        let told: Vec<_> = sys::gcm::is_supported().then_some(channel.channel).into_iter().collect();
        assert_eq!(ciphers.news(&reports), told, "where the processor could do it");
        assert_eq!(ciphers.news(&reports), []);
        // Who asked for AWS-LC has it.
        let (mut ciphers, mut reports) = (Ciphers::default(), testbed::facts().reports);
        let channel = reports.iter_mut().flat_map(|report| &mut report.snapshot.channels).next().unwrap();
        channel.secy.policy.backend = Backend::AwsLc;
        channel.secy.transmit.sas[0].backend = "aws-lc";
        assert_eq!(ciphers.news(&reports), []);
    }
}
