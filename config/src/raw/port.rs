//! The sections about this machine: `[site]`, `[runtime]`, `[[port]]`, and about links: `[[interconnect]]`, `[[channel]]`.

use std::path::PathBuf;

use super::{
    kinds::{AbsolutePath, Address, Device, Endpoint, Filter, Int, List, Mac, Name, Vlan},
    macsec::Macsec,
    section::{section, words},
};

section! {
    /// This gateway.
    pub(crate) Site = "[site]" {
        /// Its name on screens, in logs and in metrics.
        name: Name => required;
    }
}

section! {
    /// The process: threads, files, logs.
    pub(crate) Runtime = "[runtime]" {
        /// Worker threads that move frames.
        workers: Int<u8, 1, 64> => default(1);
        /// CPUs to pin the workers to, one per worker. Without it, the kernel chooses.
        pin: List<Int<u16, 0, 4095>> => optional;
        /// What a worker does while no frames come.
        poll: Poll => default(Poll::Interrupt);
        /// Directory for state that outlives the process.
        state_dir: AbsolutePath => default(PathBuf::from("/var/lib/quadspan"));
        /// Unix socket of the API.
        socket: AbsolutePath => default(PathBuf::from("/run/quadspan/api.sock"));
        /// Address and TCP port where `/metrics` is served to Prometheus, such as `127.0.0.1:9477`, to whoever reaches it. Without it, only
        /// the API's socket has it.
        metrics: Endpoint => optional;
        /// Which log events are written: a level, or a filter such as `info,dataplane=debug`.
        log: Filter => default("info".to_owned());
        /// How log events look.
        log_format: LogFormat => default(LogFormat::Auto);
        /// Which implementation of AES-GCM protects frames. All give the same frames.
        aead: Aead => default(Aead::Auto);
    }
}

words! {
    /// What a worker does while no frames come.
    pub enum Poll {
        /// It sleeps until the kernel wakes it.
        Interrupt = "interrupt",
        /// It goes on looking for 50 microseconds after the last frame, then it sleeps.
        Adaptive = "adaptive",
        /// It never sleeps: the least latency, for a CPU of its own (`pin`).
        Busy = "busy",
    }
}

words! {
    /// An implementation of AES-GCM.
    pub enum Aead {
        /// Quadspan's own where the processor has AVX-512, VAES and VPCLMULQDQ, `aws-lc` elsewhere.
        Auto = "auto",
        /// AWS-LC: fast, with assembly for the machine.
        AwsLc = "aws-lc",
        /// The `aes-gcm` crate: portable, all Rust, slower.
        AesGcm = "aes-gcm",
    }
}

words! {
    /// How log events look.
    pub enum LogFormat {
        /// Text on a terminal, JSON otherwise.
        Auto = "auto",
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

section! {
    /// Where frames come in and go out.
    pub(crate) Port = "[[port]]" {
        /// Its name in this file.
        name: Name => required;
        /// The network interface, or the name of the TAP device.
        device: Device => required;
        /// How frames are moved between the kernel and the gateway.
        io: Io => default(Io::Auto);
        /// Version of the kernel's receive ring (AF_PACKET only).
        rx_ring: RxRing => default(RxRing::Auto);
        /// Let the kernel hand over and take super-frames with a virtio-net header. Ignored on ports of
        /// channels, where every frame is cut before it is protected.
        offload: bool => default(true);
        /// Size of the receive ring in KiB; of each queue's with AF_XDP.
        ring_kib: Int<u32, 256, 262_144> => default(4096);
        /// Send past the kernel's queueing discipline (AF_PACKET only).
        qdisc_bypass: bool => default(true);
        /// Frames travel inside UDP across a routed network, by the device and the kernel's own routes. For channels
        /// only; the device stays the kernel's, and several ports may use it this way.
        underlay: Underlay => optional;
    }
}

section! {
    /// A tunnel through a routed network to one peer.
    pub(crate) Underlay = "[port.underlay]" {
        /// What kind of tunnel.
        kind: UnderlayKind => required;
        /// Our address: one of this machine's.
        local: Address => required;
        /// The peer's address.
        remote: Address => required;
        /// The VXLAN network identifier, the same at both ends.
        vni: Int<u32, 0, 16_777_215> => required;
        /// The UDP port of both ends.
        port: Int<u16, 1, 65_535> => default(4789);
        /// How many UDP source ports flows are spread over, so that routers with several ways use them all. With more
        /// than one, frames of different flows may overtake each other: give the channel a replay window.
        source_ports: Int<u8, 1, 64> => default(16);
        /// From where datagrams are accepted.
        accept_from: AcceptFrom => default(AcceptFrom::Remote);
        /// The MAC address of our end. Default: made of `local`, `port` and `vni`.
        mac: Mac => optional;
    }
}

words! {
    /// What kind of tunnel.
    pub enum UnderlayKind {
        /// VXLAN (RFC 7348).
        Vxlan = "vxlan",
    }
    later { "geneve": "only VXLAN is there; use \"vxlan\""; }
}

words! {
    /// From where a tunnel's datagrams are accepted.
    pub enum AcceptFrom {
        /// From `remote` only.
        Remote = "remote",
        /// From any address: for peers with several. What is inside must be valid all the same.
        Any = "any",
    }
}

words! {
    /// How frames are moved between the kernel and the gateway.
    pub enum Io {
        /// The fastest way that works for the device.
        Auto = "auto",
        /// A packet socket with a memory-mapped receive ring.
        AfPacket = "af_packet",
        /// An AF_XDP socket: past the kernel's stack, so frames must be complete as they come. Takes a driver that can; the
        /// kernel's own way, and then a packet socket, are what is left otherwise, and screens say so.
        AfXdp = "af_xdp",
        /// A TAP device: attached to when it is there, made when not. The kernel's interface is the far end of it: a LAN to
        /// talk to this machine or to a virtual one, or, in a bridge, the way of a channel.
        Tap = "tap",
    }
}

words! {
    /// Version of the AF_PACKET receive ring.
    pub enum RxRing {
        /// The one that suits the port.
        Auto = "auto",
        /// TPACKET_V3: blocks of frames.
        V3 = "v3",
        /// TPACKET_V2: one slot per frame.
        V2 = "v2",
    }
}

section! {
    /// Channels that form one redundancy group towards one peer.
    pub(crate) Interconnect = "[[interconnect]]" {
        /// Its name in this file.
        name: Name => required;
        /// What the peer accepts and does; sets defaults and is checked.
        profile: Profile => default(Profile::Quadspan);
    }
}

words! {
    /// What kind of peer is at the far end.
    pub enum Profile {
        /// Another Quadspan: everything is allowed.
        Quadspan = "quadspan",
        /// AWS Direct Connect, dedicated connections.
        AwsDx = "aws-dx",
        /// AWS Interconnect (multicloud, last mile).
        AwsInterconnect = "aws-interconnect",
        /// Google Cross-Cloud Interconnect.
        GcpCci = "gcp-cci",
        /// Azure ExpressRoute Direct.
        AzureErDirect = "azure-er-direct",
    }
}

section! {
    /// One link to one peer, protected by MACsec.
    pub(crate) Channel = "[[channel]]" {
        /// Its name in this file.
        name: Name => required;
        /// The interconnect it belongs to.
        interconnect: Name => required;
        /// The port its frames use.
        port: Name => required;
        /// VLAN ids in clear in front of the SecTAG, outer first; at most two.
        clear_tags: List<Vlan> => optional;
        /// Type of the outer tag in clear.
        clear_tag_type: TagType => default(TagType::Customer);
        /// Largest payload of the underlay in octets: what may follow the MAC header and the tags in
        /// clear, SecTAG and ICV included. Default: the MTU of the device, read at start.
        mtu: Int<u16, 128, 65_535> => optional;
        /// What it carries in Mbit/s: `ecmp` shares flows by it. Default: as much as the slowest one that is given.
        capacity: Int<u32, 1, 1_600_000> => optional;
        /// The peer's MAC address. Default: learnt.
        peer_mac: Mac => optional;
        /// How the channel is protected.
        macsec: Macsec => required;
    }
}

words! {
    /// Type of a VLAN tag.
    pub enum TagType {
        /// Customer tag, EtherType 0x8100.
        Customer = "802.1q",
        /// Service tag, EtherType 0x88a8.
        Service = "802.1ad",
    }
}
