//! Which packets are duplicated on a connection that is not: classes by DSCP and by prefix.
//!
//! A packet is asked for its DSCP first: one bit of a word says whether any class wants that, so traffic of other DSCPs costs a shift. A
//! class then asks for its own DSCPs, and for the ranges of its prefixes, which are sorted and do not overlap: one search in each list.
//! The first class that fits is the packet's. Only the IP header counts, so all fragments of a datagram are of one class.

use core::net::{Ipv4Addr, Ipv6Addr};

use net::{Dscp, IpNet, ipv4::Ipv4, ipv6::Ipv6};
use zerocopy::FromBytes;

/// The most classes of one connection.
pub const MAX_CLASSES: usize = 16;

/// What packets of a class have in common: each list that is not empty must fit by one element.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClassParams {
    /// Their DSCPs.
    pub dscp: Vec<Dscp>,
    /// Where they come from.
    pub sources: Vec<IpNet>,
    /// Where they go.
    pub destinations: Vec<IpNet>,
}

/// The classes of one connection, made to be asked about each packet. Asking allocates nothing.
#[derive(Clone, Debug)]
pub struct Classes {
    /// The DSCPs that some class wants, one bit each.
    points: u64,
    /// At most [`MAX_CLASSES`].
    classes: Box<[Class]>,
}

#[derive(Clone, Debug)]
struct Class {
    points: u64,
    sources: Option<Ranges>,
    destinations: Option<Ranges>,
}

/// First and last addresses, in order, none touching another.
#[derive(Clone, Debug)]
struct Ranges {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Classes {
    /// The first [`MAX_CLASSES`] of these.
    pub fn new(params: &[ClassParams]) -> Self {
        let classes: Box<[_]> = params.iter().take(MAX_CLASSES).map(Class::new).collect();
        Self { points: classes.iter().fold(0, |all, class| all | class.points), classes }
    }

    /// The class of an IP packet, from its IP header on, by its place in the list.
    #[inline]
    pub fn of(&self, packet: &[u8]) -> Option<usize> {
        let point = bit(Dscp::of(packet)?);
        if self.points & point == 0 {
            return None;
        }
        self.find(packet, point)
    }

    fn find(&self, packet: &[u8], point: u64) -> Option<usize> {
        if packet.first().is_some_and(|first| first >> 4 == 4) {
            let (header, _) = Ipv4::ref_from_prefix(packet).ok()?;
            let ends = (header.source().to_bits(), header.destination().to_bits());
            return self.first(point, |ranges, from| holds(&ranges.v4, if from { ends.0 } else { ends.1 }));
        }
        let (header, _) = Ipv6::ref_from_prefix(packet).ok()?;
        let ends = (header.source().to_bits(), header.destination().to_bits());
        self.first(point, |ranges, from| holds(&ranges.v6, if from { ends.0 } else { ends.1 }))
    }

    /// The first class with this DSCP whose ranges hold the packet's source and destination.
    fn first(&self, point: u64, holds: impl Fn(&Ranges, bool) -> bool) -> Option<usize> {
        self.classes.iter().position(|class| {
            let fits = |ranges: &Option<Ranges>, from| ranges.as_ref().is_none_or(|one| holds(one, from));
            class.points & point != 0 && fits(&class.sources, true) && fits(&class.destinations, false)
        })
    }
}

impl Class {
    fn new(params: &ClassParams) -> Self {
        let points = params.dscp.iter().fold(0, |all, dscp| all | bit(*dscp));
        let ranges = |nets: &[IpNet]| (!nets.is_empty()).then(|| Ranges::new(nets));
        Self {
            points: if params.dscp.is_empty() { u64::MAX } else { points },
            sources: ranges(&params.sources),
            destinations: ranges(&params.destinations),
        }
    }
}

impl Ranges {
    fn new(nets: &[IpNet]) -> Self {
        let v4 = nets.iter().filter_map(|net| match net {
            IpNet::V4(net) => Some((Ipv4Addr::to_bits(net.network()), net.broadcast().to_bits())),
            IpNet::V6(_) => None,
        });
        let v6 = nets.iter().filter_map(|net| match net {
            IpNet::V6(net) => Some((Ipv6Addr::to_bits(net.network()), net.broadcast().to_bits())),
            IpNet::V4(_) => None,
        });
        Self { v4: sorted(v4.collect()), v6: sorted(v6.collect()) }
    }
}

/// Prefixes contain each other or have nothing in common: of those that begin in another one nothing is left.
fn sorted<T: Copy + Ord>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    // Of those that begin alike the longest first.
    ranges.sort_unstable_by_key(|(first, last)| (*first, core::cmp::Reverse(*last)));
    let mut kept: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for range in ranges {
        if kept.last().is_none_or(|(_, last)| *last < range.0) {
            kept.push(range);
        }
    }
    kept.into()
}

fn holds<T: Copy + Ord>(ranges: &[(T, T)], address: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
}

/// Of 64, by number.
const fn bit(dscp: Dscp) -> u64 {
    1 << (dscp.get() & 63)
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    /// A header and nothing else; `ecn` is not asked for.
    fn packet(source: IpAddr, destination: IpAddr, dscp: Dscp, ecn: u8) -> Vec<u8> {
        let octet = dscp.octet() | ecn;
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = vec![0x45, octet, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0];
                header.extend(source.octets());
                header.extend(destination.octets());
                header
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut header = vec![0x60 | octet >> 4, octet << 4, 0, 0, 0, 0, 17, 64];
                header.extend(source.octets());
                header.extend(destination.octets());
                header
            }
            _ => vec![],
        }
    }

    /// The rules as they are written, one after the other.
    fn naive(params: &[ClassParams], (source, destination): (IpAddr, IpAddr), dscp: Dscp) -> Option<usize> {
        let within =
            |nets: &[IpNet], address| nets.is_empty() || nets.iter().any(|net| net.contains(&address));
        params.iter().position(|class| {
            (class.dscp.is_empty() || class.dscp.contains(&dscp))
                && within(&class.sources, source)
                && within(&class.destinations, destination)
        })
    }

    /// Few addresses and prefixes, near each other, so that they meet.
    fn address(v6: bool) -> impl Strategy<Value = IpAddr> {
        (0_u8..4, 0_u8..8).prop_map(move |(net, host)| {
            if v6 {
                IpAddr::from([0xfd, 0, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host])
            } else {
                IpAddr::from([10, 0, net, host])
            }
        })
    }

    fn prefix() -> impl Strategy<Value = IpNet> {
        let lengths =
            |v6| if v6 { vec![0, 8, 24, 31, 32, 64, 126, 128] } else { vec![0, 8, 22, 23, 24, 30, 32] };
        any::<bool>().prop_flat_map(move |v6| {
            (address(v6), prop::sample::select(lengths(v6)))
                .prop_map(|(address, length)| IpNet::new_assert(address, length))
        })
    }

    fn dscp() -> impl Strategy<Value = Dscp> {
        prop::sample::select(vec![0, 1, 46, 48, 63]).prop_map(|number| Dscp::new(number).unwrap())
    }

    fn params() -> impl Strategy<Value = ClassParams> {
        let nets = || prop::collection::vec(prefix(), 0..4);
        (prop::collection::vec(dscp(), 0..3), nets(), nets())
            .prop_map(|(dscp, sources, destinations)| ClassParams { dscp, sources, destinations })
    }

    fn ends() -> impl Strategy<Value = (IpAddr, IpAddr)> {
        any::<bool>().prop_flat_map(|v6| (address(v6), address(v6)))
    }

    proptest! {
        #[test]
        fn the_class_of_a_packet_is_what_the_rules_say(
            params in prop::collection::vec(params(), 0..5),
            packets in prop::collection::vec((ends(), dscp(), 0_u8..4), 1..40),
        ) {
            let classes = Classes::new(&params);
            for (ends, dscp, ecn) in packets {
                let octets = packet(ends.0, ends.1, dscp, ecn);
                prop_assert_eq!(classes.of(&octets), naive(&params, ends, dscp), "{:?} {}", ends, dscp);
                for len in 0..octets.len() {
                    // Cut short it may have a class or none: it is never forwarded.
                    let _class = classes.of(&octets[..len]);
                }
            }
        }
    }

    #[test]
    fn without_classes_and_without_ip_there_is_none() {
        let v4 = packet([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), Dscp::BEST_EFFORT, 0);
        assert_eq!(Classes::new(&[]).of(&v4), None);
        let all = Classes::new(&[ClassParams::default()]);
        assert_eq!((all.of(&v4), all.of(&[]), all.of(&[0x15; 40])), (Some(0), None, None));
        let many = Classes::new(&vec![ClassParams::default(); MAX_CLASSES + 1]);
        assert_eq!(many.classes.len(), MAX_CLASSES);
    }
}
