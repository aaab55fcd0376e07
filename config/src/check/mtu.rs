//! What fits into what.

use crate::{
    model::{REDUNDANCY_TAG, VLAN_TAG, overhead},
    problem::{Code, Report, Span},
    raw::{self, At, items},
};
use net::IpNet;

/// RFC 8200 §5.
const IPV6_LEAST: u16 = 1280;
/// The MAC header, in front of all that an MTU counts.
const HEADER: u32 = 14;

/// The largest IP packet of an attachment, where it does not depend on the device; with room for a redundancy tag when it may be sent `twice`.
pub(super) fn attachment(
    attachment: &raw::Attachment,
    channel: Option<&raw::Channel>,
    twice: bool,
    report: &mut Report,
) -> Option<u16> {
    let given = attachment.mtu.as_ref();
    let left = channel.and_then(|channel| chain(attachment, channel, twice, report));
    let mtu = given.map(|at| at.value).or(left);
    let span =
        super::span_of(given.or_else(|| channel.and_then(|channel| channel.mtu.as_ref())), attachment.here);
    ipv6(&attachment.address, mtu, span, report);
    mtu
}

/// The chain: IP packet + redundancy tag + VLAN tag + SecTAG and ICV must fit what the underlay carries behind the MAC
/// header, which is the same on both sides of the sum.
fn chain(
    attachment: &raw::Attachment,
    channel: &raw::Channel,
    twice: bool,
    report: &mut Report,
) -> Option<u16> {
    let (carries, macsec) = (channel.mtu.as_ref()?, &channel.macsec.as_ref()?.value);
    let name = &channel.name.as_ref()?.value;
    let protection = overhead(macsec.policy(), super::macsec::include_sci(macsec));
    let tag = if attachment.vlan.is_some() { VLAN_TAG } else { 0 };
    let redundancy = if twice { REDUNDANCY_TAG } else { 0 };
    let left = carries.value.saturating_sub(protection + tag + redundancy);
    if let Some(wanted) = attachment.mtu.as_ref().filter(|wanted| wanted.value > left) {
        let mtu = wanted.value;
        let sum = u32::from(mtu) + u32::from(redundancy) + u32::from(tag) + u32::from(protection);
        let tagged = if redundancy > 0 { format!(" + {redundancy} (redundancy tag)") } else { String::new() };
        let parts =
            format!("{mtu} (IP){tagged} + {tag} (VLAN tag) + {protection} (SecTAG and ICV) = {sum} octets");
        report
            .add(
                Code::MtuChain,
                wanted.span,
                format!("{parts}, but channel `{name}` carries {}", carries.value),
            )
            .also(carries.span, "what the channel carries")
            .help(format!(
                "on the wire that is {} octets against {}; use mtu = {left} here, or mtu = {sum} for the channel",
                sum + HEADER,
                u32::from(carries.value) + HEADER,
            ));
    }
    Some(left)
}

/// An interface with an IPv6 address must carry what every IPv6 link carries.
pub(super) fn ipv6(
    addresses: &Option<At<Vec<At<IpNet>>>>,
    mtu: Option<u16>,
    span: Span,
    report: &mut Report,
) {
    let address = items(addresses).iter().find(|at| matches!(at.value, IpNet::V6(_)));
    if let (Some(address), Some(mtu)) = (address, mtu.filter(|mtu| *mtu < IPV6_LEAST)) {
        report
            .add(Code::Ipv6Mtu, span, format!("an MTU of {mtu} octets is too small for IPv6"))
            .also(address.span, "an IPv6 address")
            .help(format!("IPv6 needs {IPV6_LEAST}: raise the MTU or remove the IPv6 addresses"));
    }
}
