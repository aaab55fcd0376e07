//! MACsec settings and static SAKs of the configuration to those of the `macsec` crate.

use anyhow::{Context, Result, bail};
use config::model::{Aead, Channel, Cipher, Macsec, Policy, Sa, TxSci, Validate};
use dataplane::ChannelSetup;
use macsec::{
    An, Backend, CipherSuite, ConfidentialityOffset, KeyId, ReceiveSaParams, Sak, Salt, Sci, SecyPolicy,
    Ssci, TransmitSaParams, ValidateFrames,
};
use net::MacAddr;

/// The static SAs of one channel.
#[derive(Debug, Default)]
pub struct StaticSas {
    /// Transmit SAs; the first one is used.
    pub transmit: Vec<TransmitSa>,
    /// Receive SAs, by SC.
    pub receive: Vec<(Sci, Vec<ReceiveSa>)>,
}

/// A transmit SA to make.
#[derive(Debug)]
pub struct TransmitSa {
    /// Our SCI.
    pub sci: Sci,
    /// Its AN.
    pub an: An,
    /// Its suite.
    pub suite: CipherSuite,
    /// What stays in clear although it is encrypted; `None`: integrity only.
    pub offset: Option<ConfidentialityOffset>,
    /// Its key.
    pub sak: Sak,
    /// XPN: short SCI and salt.
    pub xpn: Option<(Ssci, Salt)>,
}

/// A receive SA to make.
#[derive(Debug)]
pub struct ReceiveSa {
    /// Its AN.
    pub an: An,
    /// Its suite.
    pub suite: CipherSuite,
    /// What stays in clear although it is encrypted; `None`: integrity only.
    pub offset: Option<ConfidentialityOffset>,
    /// Its key.
    pub sak: Sak,
    /// XPN: short SCI and salt.
    pub xpn: Option<(Ssci, Salt)>,
}

impl TransmitSa {
    /// As the SecY wants it: with the packet number to begin with, and the last one that may be used.
    pub fn params(&self, next_pn: u64, pn_limit: Option<u64>) -> TransmitSaParams<'_> {
        let (ssci, salt) = self.xpn.unwrap_or_default();
        TransmitSaParams {
            sak: &self.sak,
            suite: self.suite,
            encrypt: self.offset.is_some(),
            offset: self.offset.unwrap_or_default(),
            key_id: KeyId::default(),
            next_pn,
            pn_limit,
            ssci,
            salt,
        }
    }
}

impl ReceiveSa {
    /// As the SecY wants it: with the lowest packet number to take.
    pub fn params(&self, lowest_pn: u64) -> ReceiveSaParams<'_> {
        let (ssci, salt) = self.xpn.unwrap_or_default();
        ReceiveSaParams {
            sak: &self.sak,
            suite: self.suite,
            offset: self.offset.unwrap_or_default(),
            key_id: KeyId::default(),
            lowest_pn,
            ssci,
            salt,
        }
    }
}

/// How a channel's SecY works.
pub(super) fn policy(macsec: &Macsec, aead: Aead, device: MacAddr, max_frame: usize) -> SecyPolicy {
    let sci = match macsec.tx_sci {
        TxSci::DeviceMac { port_id } => Sci::new(device, port_id),
        TxSci::Given(sci) => Sci::from_octets(sci.octets()),
    };
    let off = macsec.policy == Policy::Off;
    SecyPolicy {
        protect_frames: !off && macsec.validate != Validate::Null,
        validate: match macsec.validate {
            _ if off => ValidateFrames::Null,
            Validate::Strict => ValidateFrames::Strict,
            Validate::Check => ValidateFrames::Check,
            Validate::Disabled => ValidateFrames::Disabled,
            Validate::Null => ValidateFrames::Null,
        },
        replay_protect: macsec.replay_protect,
        replay_window: macsec.replay_window,
        strict_replay: macsec.replay_strict,
        include_sci: macsec.include_sci,
        end_station: macsec.end_station,
        scb: macsec.scb,
        max_frame,
        backend: match aead {
            Aead::Auto => Backend::Auto,
            Aead::AwsLc => Backend::AwsLc,
            Aead::AesGcm => Backend::AesGcm,
        },
        ..SecyPolicy::new(sci)
    }
}

/// The keys of a channel.
pub(super) fn keys(channel: &Channel, setup: &ChannelSetup) -> Result<StaticSas> {
    let macsec = &channel.macsec;
    let suite = suite(macsec.cipher);
    let offset =
        ConfidentialityOffset::new(usize::from(macsec.confidentiality_offset)).filter(|_| macsec.encrypt);
    let mut sas = StaticSas::default();
    for sa in &macsec.tx {
        let (an, sak, xpn) = parts(channel, sa)?;
        sas.transmit.push(TransmitSa { sci: setup.secy.sci, an, suite, offset, sak, xpn });
    }
    for sc in &macsec.rx {
        let sa = |sa| parts(channel, sa).map(|(an, sak, xpn)| ReceiveSa { an, suite, offset, sak, xpn });
        let list = sc.sas.iter().map(sa).collect::<Result<_>>()?;
        sas.receive.push((Sci::from_octets(sc.sci.octets()), list));
    }
    Ok(sas)
}

type Parts = (An, Sak, Option<(Ssci, Salt)>);

fn parts(channel: &Channel, sa: &Sa) -> Result<Parts> {
    let Some(an) = An::new(sa.an) else {
        bail!("channel \"{}\": an is {}, but 0 to 3 is all there is", channel.name, sa.an)
    };
    let sak =
        Sak::new(sa.key.expose()).with_context(|| format!("channel \"{}\", an {}", channel.name, sa.an))?;
    Ok((an, sak, sa.xpn.map(|xpn| (Ssci(xpn.ssci), Salt(xpn.salt)))))
}

/// The suite that the configuration means.
pub(crate) const fn suite(cipher: Cipher) -> CipherSuite {
    match cipher {
        Cipher::GcmAes128 => CipherSuite::GcmAes128,
        Cipher::GcmAes256 => CipherSuite::GcmAes256,
        Cipher::GcmAesXpn128 => CipherSuite::GcmAesXpn128,
        Cipher::GcmAesXpn256 => CipherSuite::GcmAesXpn256,
    }
}
