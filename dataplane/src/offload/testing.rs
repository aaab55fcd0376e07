//! Frames for tests, made by an independent library (`etherparse`) and checked by another one (`pnet_packet`), and
//! pools whose buffers are counted.

use std::sync::Arc;

use etherparse::{
    EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, SingleVlanHeader, TcpHeader,
    UdpHeader, VlanId,
};
use net::{
    tcp::flag,
    virtio::{Checksum, Gso, GsoKind, Offload},
};
use pnet_packet::{tcp, udp};
use proptest::prelude::*;

use crate::{Depot, Frame, Pool, PoolSizes};

/// All that a frame says; the lengths and checksums follow from it.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) destination: [u8; 6],
    pub(super) vlans: Vec<u16>,
    pub(super) v6: bool,
    pub(super) udp: bool,
    pub(super) tos: u8,
    pub(super) ttl: u8,
    pub(super) label: u32,
    pub(super) df: bool,
    pub(super) id: u16,
    pub(super) ip_options: Vec<u8>,
    pub(super) source_port: u16,
    pub(super) sequence: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) accurate_ecn: bool,
    pub(super) window: u16,
    pub(super) urgent: u16,
    pub(super) options: Vec<u8>,
    pub(super) data: Vec<u8>,
}

/// NOP, NOP, timestamps.
pub(super) const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 7];

const V4: ([u8; 4], [u8; 4]) = ([10, 0, 0, 1], [192, 0, 2, 200]);
const V6: ([u8; 16], [u8; 16]) = {
    let (mut source, mut destination) = ([0xfd; 16], [0x20; 16]);
    source[15] = 1;
    destination[15] = 0xee;
    (source, destination)
};

impl Spec {
    /// A TCP segment with timestamps and `len` octets of data.
    pub(super) fn tcp(len: usize) -> Self {
        Self {
            destination: [2, 0, 0, 0, 0, 1],
            vlans: Vec::new(),
            v6: false,
            udp: false,
            tos: 0,
            ttl: 63,
            label: 0xabcde,
            df: true,
            id: 7,
            ip_options: Vec::new(),
            source_port: 40_000,
            sequence: 1000,
            ack: 77_777,
            flags: flag::ACK,
            accurate_ecn: false,
            window: 502,
            urgent: 0,
            options: TIMESTAMPS.to_vec(),
            data: numbered(0, len),
        }
    }

    /// A UDP datagram with `len` octets of data.
    pub(super) fn udp(len: usize) -> Self {
        Self { udp: true, flags: 0, options: Vec::new(), ..Self::tcp(len) }
    }

    pub(super) fn v6(self) -> Self {
        Self { v6: true, ..self }
    }

    pub(super) fn l4(&self) -> usize {
        14 + 4 * self.vlans.len() + if self.v6 { 40 } else { 20 + self.ip_options.len() }
    }

    pub(super) fn headers(&self) -> usize {
        self.l4() + if self.udp { 8 } else { 20 + self.options.len() }
    }

    pub(super) fn kind(&self) -> GsoKind {
        match (self.udp, self.v6) {
            (true, _) => GsoKind::Udp,
            (false, false) => GsoKind::TcpV4,
            (false, true) => GsoKind::TcpV6,
        }
    }

    /// The complete frame.
    pub(super) fn wire(&self) -> Vec<u8> {
        let transport = if self.udp { self.udp_header() } else { self.tcp_header() };
        let payload = [transport, self.data.clone()].concat();
        [self.ethernet(), self.ip_header(payload.len()), payload].concat()
    }

    /// The segments that it stands for as a super-frame with `size` octets of data each, made one by one.
    pub(super) fn segments(&self, size: usize) -> Vec<Self> {
        let mut segments: Vec<_> = self.data.chunks(size).map(|data| self.with_data(data)).collect();
        if segments.is_empty() {
            segments.push(self.clone());
        }
        let last = segments.len() - 1;
        for (at, segment) in segments.iter_mut().enumerate() {
            segment.id = self.id.wrapping_add(u16::try_from(at % 0x1_0000).unwrap());
            segment.sequence = self.sequence.wrapping_add(u32::try_from(at * size).unwrap());
            if at != last {
                segment.flags &= !(flag::PSH | flag::FIN);
            }
        }
        segments
    }

    /// The super-frame, with its checksum begun.
    pub(super) fn train(&self, size: u16) -> Frame {
        let mut octets = self.wire();
        let (l4, offset) = (self.l4(), if self.udp { 6 } else { 16 });
        // The checksum over the headers without transport header, length included: only the pseudo-header.
        let len = octets.len() - l4;
        let addresses =
            if self.v6 { &octets[l4 - 32..l4] } else { &octets[26 + 4 * self.vlans.len()..][..8] };
        let number = if self.udp { 17 } else { 6 };
        let pseudo = [addresses, &u32::try_from(len).unwrap().to_be_bytes(), &[0, number]].concat();
        let sum = !pnet_packet::util::checksum(&pseudo, usize::MAX);
        octets[l4 + offset..][..2].copy_from_slice(&sum.to_be_bytes());
        let (start, offset) = (u16::try_from(l4).unwrap(), u16::try_from(offset).unwrap());
        let gso = Some(Gso { kind: self.kind(), size, ecn: false });
        let offload = Offload { checksum: Checksum::Partial { start, offset }, gso };
        Frame { offload, ..Frame::new(net::PacketBuf::copy_of(&octets, 0, 0)) }
    }

    fn with_data(&self, data: &[u8]) -> Self {
        Self { data: data.to_vec(), ..self.clone() }
    }

    fn ethernet(&self) -> Vec<u8> {
        let ip = if self.v6 { EtherType::IPV6 } else { EtherType::IPV4 };
        let tag = EtherType::VLAN_TAGGED_FRAME;
        let ether_type = if self.vlans.is_empty() { ip } else { tag };
        let header =
            Ethernet2Header { source: [2, 0, 0, 0, 0, 2], destination: self.destination, ether_type };
        let mut octets = header.to_bytes().to_vec();
        for (at, &vlan) in self.vlans.iter().enumerate() {
            let ether_type = if at + 1 == self.vlans.len() { ip } else { tag };
            let vlan_id = VlanId::try_new(vlan).unwrap();
            let tag = SingleVlanHeader { vlan_id, ether_type, ..SingleVlanHeader::default() };
            octets.extend(tag.to_bytes());
        }
        octets
    }

    fn number(&self) -> IpNumber {
        if self.udp { IpNumber::UDP } else { IpNumber::TCP }
    }

    fn ip_header(&self, len: usize) -> Vec<u8> {
        if self.v6 {
            let header = Ipv6Header {
                traffic_class: self.tos,
                flow_label: Ipv6FlowLabel::try_new(self.label).unwrap(),
                payload_length: u16::try_from(len).unwrap(),
                next_header: self.number(),
                hop_limit: self.ttl,
                source: V6.0,
                destination: V6.1,
            };
            return header.to_bytes().to_vec();
        }
        let len = u16::try_from(len).unwrap();
        let mut header = Ipv4Header::new(len, self.ttl, self.number(), V4.0, V4.1).unwrap();
        header.options = self.ip_options.as_slice().try_into().unwrap();
        header.set_payload_len(usize::from(len)).unwrap();
        header.dscp = etherparse::IpDscp::try_new(self.tos >> 2).unwrap();
        header.ecn = etherparse::IpEcn::try_new(self.tos & 3).unwrap();
        (header.identification, header.dont_fragment) = (self.id, self.df);
        header.header_checksum = header.calc_header_checksum();
        header.to_bytes().to_vec()
    }

    fn udp_header(&self) -> Vec<u8> {
        let len = u16::try_from(8 + self.data.len()).unwrap();
        let mut header =
            UdpHeader { source_port: self.source_port, destination_port: 443, length: len, checksum: 0 };
        header.checksum = if self.v6 {
            header.calc_checksum_ipv6_raw(V6.0, V6.1, &self.data).unwrap()
        } else {
            header.calc_checksum_ipv4_raw(V4.0, V4.1, &self.data).unwrap()
        };
        header.to_bytes().to_vec()
    }

    fn tcp_header(&self) -> Vec<u8> {
        let mut header = TcpHeader::new(self.source_port, 443, self.sequence, self.window);
        let has = |bit: u8| self.flags & bit != 0;
        header.acknowledgment_number = self.ack;
        header.ns = self.accurate_ecn;
        (header.fin, header.syn, header.rst) = (has(flag::FIN), has(flag::SYN), has(flag::RST));
        (header.psh, header.ack, header.urg) = (has(flag::PSH), has(flag::ACK), has(flag::URG));
        (header.ece, header.cwr) = (has(flag::ECE), has(flag::CWR));
        header.urgent_pointer = self.urgent;
        header.set_options_raw(&self.options).unwrap();
        header.checksum = if self.v6 {
            header.calc_checksum_ipv6_raw(V6.0, V6.1, &self.data).unwrap()
        } else {
            header.calc_checksum_ipv4_raw(V4.0, V4.1, &self.data).unwrap()
        };
        header.to_bytes().to_vec()
    }
}

/// `len` octets of a stream that does not repeat soon, from octet `from` on.
pub(super) fn numbered(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| at.to_le_bytes()[at % 3] ^ 0x5a).collect()
}

/// True when the transport checksum on the wire is the one that `pnet_packet` computes.
pub(super) fn is_right(wire: &[u8]) -> bool {
    let sliced = etherparse::SlicedPacket::from_ethernet(wire).unwrap();
    let (number, payload, v4, v6) = match sliced.net.as_ref().unwrap() {
        etherparse::NetSlice::Ipv4(ip) => {
            let header = ip.header();
            assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
            let pair = (header.source_addr(), header.destination_addr());
            (ip.payload().ip_number, ip.payload().payload, Some(pair), None)
        }
        etherparse::NetSlice::Ipv6(ip) => {
            let pair = (ip.header().source_addr(), ip.header().destination_addr());
            (ip.payload().ip_number, ip.payload().payload, None, Some(pair))
        }
        etherparse::NetSlice::Arp(_) => return true,
    };
    let (said, computed) = if number == IpNumber::TCP {
        let packet = tcp::TcpPacket::new(payload).unwrap();
        let v4 = v4.map(|(a, b)| tcp::ipv4_checksum(&packet, &a, &b));
        (packet.get_checksum(), v4.or_else(|| v6.map(|(a, b)| tcp::ipv6_checksum(&packet, &a, &b))))
    } else {
        let packet = udp::UdpPacket::new(payload).unwrap();
        let v4 = v4.map(|(a, b)| udp::ipv4_checksum(&packet, &a, &b));
        let computed = v4.or_else(|| v6.map(|(a, b)| udp::ipv6_checksum(&packet, &a, &b)));
        // RFC 768: a checksum of 0 is sent as all ones.
        (packet.get_checksum(), computed.map(|sum| if sum == 0 { u16::MAX } else { sum }))
    };
    Some(said) == computed
}

/// Any TCP or UDP frame; `data` says how much data.
pub(super) fn any_spec(data: core::ops::Range<usize>) -> impl Strategy<Value = Spec> {
    let l3 = (any::<bool>(), any::<u8>(), 2u8.., 0u32..0x10_0000, any::<bool>(), any::<u16>());
    let vlans = proptest::collection::vec(1u16..4095, 0..3);
    let l4 = (any::<bool>(), any::<u32>(), any::<u32>(), any::<u16>(), any::<bool>(), 0usize..3);
    (vlans, l3, l4, data).prop_map(
        |(vlans, (v6, tos, ttl, label, df, id), (udp, sequence, ack, window, push, options), len)| {
            let base = if udp { Spec::udp(len) } else { Spec::tcp(len) };
            let flags = if udp { 0 } else { flag::ACK | if push { flag::PSH } else { 0 } };
            let options = if udp { Vec::new() } else { TIMESTAMPS.repeat(options) };
            Spec { vlans, v6, tos, ttl, label, df, id, sequence, ack, window, flags, options, ..base }
        },
    )
}

/// A pool, and the depot behind it that counts.
pub(super) fn pool(small_count: usize, big_count: usize) -> (Arc<Depot>, Pool) {
    let depot = Depot::new(PoolSizes { small_count, big_count, ..PoolSizes::default() });
    (depot.clone(), Pool::new(depot))
}

/// The frame, as a port would have received it.
pub(super) fn received(octets: &[u8], pool: &mut Pool) -> Frame {
    let mut buf = pool.for_len(octets.len()).expect("the test has buffers enough");
    assert!(buf.extend_from_slice(octets));
    Frame::new(buf)
}
