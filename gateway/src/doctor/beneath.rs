//! What a device stands on, as far as that bounds its MTU.
//!
//! The kernel lets no VLAN, MACVLAN or IPVLAN have a larger MTU than the device below it, and a bond or team gives its own to its
//! members. So who is to raise one begins at the bottom, and at the bond in place of its members.

use std::io;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};

/// A device whose MTU bounds that of another one, or that one itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layer {
    /// Its name.
    pub device: String,
    /// Its MTU.
    pub mtu: u32,
    /// The largest that its driver takes, where it says so.
    pub most: Option<u32>,
}

/// A device as the kernel tells of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    index: u32,
    layer: Option<Layer>,
    /// The device whose MTU bounds this one's.
    on: Option<u32>,
    /// What has it as a member.
    of: Option<u32>,
    /// It gives its MTU to its members.
    gives: bool,
}

/// All devices of this network namespace.
///
/// # Errors
/// What netlink says.
pub(super) fn look() -> io::Result<Vec<Told>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let pump = tokio::spawn(connection);
        let links = handle.link().get().execute().try_collect::<Vec<_>>().await.map_err(io::Error::other);
        pump.abort();
        Ok(links?.iter().map(told).collect())
    })
}

/// The devices whose MTU `device` needs, the lowest first, itself or the bond that it is a member of last. Empty where it is not known.
pub(super) fn layers(all: &[Told], device: &str) -> Vec<Layer> {
    let find = |index: u32| all.iter().find(|one| one.index == index);
    let mut at = all.iter().find(|one| one.layer.as_ref().is_some_and(|layer| layer.device == device));
    let mut layers = Vec::new();
    while let Some(mut one) = at.filter(|_| layers.len() < DEEPEST) {
        if let Some(bond) = one.of.and_then(find).filter(|bond| bond.gives) {
            one = bond;
        }
        layers.extend(one.layer.clone());
        at = one.on.and_then(find);
    }
    layers.reverse();
    layers
}

fn told(link: &LinkMessage) -> Told {
    let mut one = Told { index: link.header.index, ..Told::default() };
    let (mut name, mut mtu, mut most, mut below, mut kind) = (None, None, None, None, None);
    for attribute in &link.attributes {
        #[expect(clippy::wildcard_enum_match_arm, reason = "there are many more, and of no use here")]
        match attribute {
            LinkAttribute::IfName(own) => name = Some(own.clone()),
            LinkAttribute::Mtu(own) => mtu = Some(*own),
            LinkAttribute::MaxMtu(own) => most = Some(*own).filter(|most| *most != 0),
            LinkAttribute::Link(other) => below = Some(*other),
            LinkAttribute::Controller(other) => one.of = Some(*other),
            LinkAttribute::LinkInfo(all) => kind = all.iter().find_map(kind_of),
            _ => {}
        }
    }
    one.gives = matches!(kind, Some(InfoKind::Bond | InfoKind::Team));
    let bounded = [InfoKind::Vlan, InfoKind::MacVlan, InfoKind::MacVtap, InfoKind::IpVlan, InfoKind::IpVtap];
    // A pair's other end is told of in the same way, and bounds nothing; one in another namespace is not to be found here.
    let elsewhere = link.attributes.iter().any(|one| matches!(one, LinkAttribute::LinkNetNsId(_)));
    one.on = below.filter(|_| !elsewhere && kind.is_some_and(|kind| bounded.contains(kind)));
    one.layer = name.zip(mtu).map(|(device, mtu)| Layer { device, mtu, most });
    one
}

const fn kind_of(info: &LinkInfo) -> Option<&InfoKind> {
    if let LinkInfo::Kind(kind) = info { Some(kind) } else { None }
}

/// Nobody stacks so many.
const DEEPEST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, kind: Option<InfoKind>, more: &[LinkAttribute]) -> Told {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.attributes = vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::Mtu(1500)];
        link.attributes.extend(kind.map(|kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])));
        link.attributes.extend(more.iter().cloned());
        told(&link)
    }

    #[test]
    fn a_device_needs_what_it_stands_on_and_a_member_its_bond() {
        use LinkAttribute::{Controller, Link, LinkNetNsId};
        let all = [
            link(2, "eth0", None, &[Controller(4)]),
            link(3, "eth1", None, &[Controller(4)]),
            link(4, "bond0", Some(InfoKind::Bond), &[]),
            link(5, "bond0.7", Some(InfoKind::Vlan), &[Link(4)]),
            link(6, "bond0.7.8", Some(InfoKind::Vlan), &[Link(5)]),
            link(7, "br0", Some(InfoKind::Bridge), &[]),
            link(8, "eth2", None, &[Controller(7)]),
            link(9, "eth2.1", Some(InfoKind::Vlan), &[Link(8)]),
            link(10, "veth0", Some(InfoKind::Veth), &[Link(8)]),
            link(11, "mac0", Some(InfoKind::MacVlan), &[Link(2), LinkNetNsId(0)]),
        ];
        let layers = |device| layers(&all, device).into_iter().map(|layer| layer.device).collect::<Vec<_>>();
        for (device, expected) in [
            ("eth0", &["bond0"][..]),
            ("bond0", &["bond0"]),
            ("bond0.7", &["bond0", "bond0.7"]),
            ("bond0.7.8", &["bond0", "bond0.7", "bond0.7.8"]),
            ("eth2.1", &["eth2", "eth2.1"]),
            ("veth0", &["veth0"]),
            ("mac0", &["mac0"]),
            ("eth9", &[]),
        ] {
            assert_eq!(layers(device), expected, "{device}");
        }
    }
}
