//! Why frames are dropped, for whoever sees a count grow: what it usually is, and where to look next.

use dataplane::DropReason::{self, *};

/// What there is to say of a reason beyond what it means.
#[derive(Debug)]
pub(super) struct Hint {
    reason: DropReason,
    /// Usual causes, the most likely one first.
    pub(super) causes: &'static str,
    /// What to look at, or to do.
    pub(super) next: &'static str,
}

/// The hint for this reason.
pub(super) fn hint(reason: DropReason) -> Option<&'static Hint> {
    HINTS.iter().find(|hint| hint.reason == reason)
}

const fn of(reason: DropReason, causes: &'static str, next: &'static str) -> Hint {
    Hint { reason, causes, next }
}

const HINTS: &[Hint] = &[
    of(
        Runt,
        "a station or carrier that cuts frames off, or a tag announced where none follows; a few at the plugging of a cable are normal",
        "`ethtool -S DEVICE` for errors of the NIC; a capture of the device shows who sends them",
    ),
    of(
        Oversized,
        "a sender on the link has a larger MTU than this gateway's port",
        "`show ports` has the port's MTU; give all stations of the link that MTU, or the device and the connection a larger one",
    ),
    of(
        Truncated,
        "frames longer than the port's MTU, from a sender with a larger one; or a NIC or kernel that joins segments before a port with `offload = false` sees them",
        "the MTU of the sender; `ethtool -K DEVICE lro off gro off` where the port has `offload = false`",
    ),
    of(
        NoBuffer,
        "more frames on their way at once than there are buffers: a port that sends slower than others receive, or a worker that is late",
        "`show runtime` for load and lateness, `show ports` for a port whose LOST or DROPS grow too; more workers, or less load",
    ),
    of(
        UnknownVlan,
        "the two ends disagree about a VLAN id, or the carrier or switch passes other customers' VLANs on",
        "`show connections` has the VLANs of attachments and LANs; compare them with the far end's, and `clear_tags` of the channel with the carrier's",
    ),
    of(
        NotOurMac,
        "a switch that floods frames for a station it does not know; harmless in small numbers",
        "many: has a neighbour a stale ARP entry for this gateway? `show ports --json` has our MAC addresses; on a channel, `show neighbors` at the far end has what it believes",
    ),
    of(
        UnknownEtherType,
        "LLDP, STP, CDP and the like from a switch: harmless; on a transparent connection all protocols pass",
        "a capture of the device shows the protocol; if hosts need it to cross, use `mode = \"transparent\"`",
    ),
    of(
        NotProtected,
        "the far end sends in clear: MACsec is off there, or not agreed yet, or the cable leads to somebody else; LLDP and STP of a carrier's switch count here too",
        "`show mka CHANNEL`, or `show macsec CHANNEL` with static keys; then the same at the far end. `policy = \"must-secure\"` is meant to drop these",
    ),
    of(
        MkaFlood,
        "a loop in the carrier's network, or somebody who forges key agreement",
        "a capture of EAPOL (`tcpdump -i DEVICE ether proto 0x888e`) shows the source addresses; tell the carrier. Keys in use go on",
    ),
    of(
        MacsecNoTag,
        "the far end sends in clear, or a device of the carrier in between speaks on the link (LLDP, STP)",
        "`show macsec CHANNEL` at both ends; the far end must protect what it sends",
    ),
    of(
        MacsecBadTag,
        "another form of SecTAG than the standard allows, or frames that were damaged on the way",
        "`ethtool -S DEVICE` for errors; if every frame counts, a capture and `quadspan decode` say what is wrong with the tag",
    ),
    of(
        MacsecNoSa,
        "right after a start or a roll of keys: a few are normal. Lasting: with static keys another SCI, AN or key at the far end; with MKA, peers that did not agree",
        "`show mka CHANNEL` says what is wrong; with static keys compare SCI and AN in `show macsec CHANNEL` at both ends",
    ),
    of(
        MacsecLate,
        "a path that puts frames out of order, or repeats them; a far end that began its packet numbers anew under the same static key",
        "`replay_window` of the channel: larger than the path reorders (64 is a start); `show macsec CHANNEL` has the packet numbers of both directions",
    ),
    of(
        MacsecNotValid,
        "right after a roll of keys: a few are normal. Lasting: the two ends have different keys under one AN, or another cipher suite or offset; else frames are altered on the way",
        "`show macsec CHANNEL` at both ends: the fingerprints of the SAKs and the cipher must be the same; then `ethtool -S DEVICE`",
    ),
    of(
        MacsecKayFrame,
        "a far end that protects frames of its key agreement, which few do",
        "nothing as long as `show mka CHANNEL` is well; else a capture and the far end's documentation",
    ),
    of(
        MacsecNoTransmitSa,
        "no key yet: MKA has not agreed, or its peer is gone, or all CAKs have ended; with static keys, none for transmitting",
        "`show mka CHANNEL` says why there is no key; `quadspan doctor` whether keys have ended",
    ),
    of(
        MacsecPnExhausted,
        "a static key that was used for 2^32 frames (2^64 with xpn); with MKA, a key server that does not make a new one in time",
        "static: new SAKs at both ends, or better MKA; MKA: `quadspan rekey CHANNEL`, and an xpn cipher for fast links",
    ),
    of(
        MacsecTooLong,
        "the attachments' MTU plus SecTAG, ICV and tags is more than the channel's device carries",
        "`quadspan doctor -c FILE` says how large the device's MTU must be, or how much smaller the attachments'",
    ),
    of(
        MacsecCipher,
        "the implementation of AES-GCM failed: this should never be seen",
        "`[runtime] aead = \"aws-lc\"` and a restart does without ours; please report it, with `quadspan doctor` and `lscpu`",
    ),
    of(
        BadIpHeader,
        "a broken sender or NIC (checksum offload that does not what it says), or damage inside a LAN",
        "a capture on the port shows the sender; `ethtool -K DEVICE tx off` at the sender tells whether it is its NIC",
    ),
    of(
        MartianSource,
        "a host that has this gateway's address too, or sends from 127.0.0.0/8 or a group: a wrong configuration, or forgery",
        "a capture on the port that counts (`show drops`, WHERE): the MAC address says which host; look for a doubled address",
    ),
    of(
        ReversePath,
        "packets come in by a LAN whose answers would leave by a channel, or the other way: a missing route, a host in two networks, or forged sources",
        "`show routes SOURCE` says where answers would go; announce or configure the prefix on the side where it is",
    ),
    of(
        NotForwardable,
        "multicast and broadcast of hosts (mDNS, DHCP, NetBIOS): normal on a LAN, routers do not pass it on",
        "nothing, unless somebody needs it to cross: then a transparent connection",
    ),
    of(
        NoRoute,
        "BGP has not learnt the prefix (yet), or nobody announces it, or a static route is missing",
        "`show routes ADDRESS` says what is there; `show bgp` whether neighbours are up and how many prefixes they told",
    ),
    of(
        Blackhole,
        "the configuration says so: a route with `via = \"blackhole\"` or `\"unreachable\"`, also one that covers more than was meant",
        "`show routes ADDRESS` says which route it is",
    ),
    of(
        HopLimit,
        "traceroute: normal. Many: a routing loop between the two sites or behind one",
        "`show routes ADDRESS` at both sites: do they send the prefix to each other?",
    ),
    of(
        TooBig,
        "hosts that send larger packets than an attachment's MTU: a few for each destination are normal, until they heed the ICMP message",
        "many: somebody on the way to the host filters ICMP (type 3 code 4; ICMPv6 type 2); `mss_clamp = \"auto\"` of the connection helps TCP all the same",
    ),
    of(
        Duplicate,
        "the second copy of each packet, as it should be",
        "nothing: about as many as packets came is good; far fewer means that one path loses, see `show quality`",
    ),
    of(
        RogueSequence,
        "right after a restart of the far end: normal. Lasting: the delays of the paths differ by more than `history` packets",
        "`show quality` has each path's round trip; a larger `history` in `[connection.duplicate]`",
    ),
    of(
        UnexpectedRedundancyTag,
        "the far end duplicates and this end knows nothing of it",
        "`show connections` at both ends: `protection` and classes must be there at both",
    ),
    of(
        Policed,
        "hosts send more than the connection's bandwidth: as agreed",
        "`show connections` has the rate and what is carried; `quadspan rate` sets another one from now on",
    ),
    of(
        Overload,
        "more frames come than this machine can carry, often many small ones; or something else takes its processors",
        "`show runtime` (load, lateness, time without a processor); more workers or CPUs; `quadspan bench` says what the machine can carry",
    ),
    of(
        NotCollecting,
        "LACP is about to agree: a few are normal. Lasting: the far end has no LAG on this link, or another one",
        "`show lag` has what both partners say of the member",
    ),
    of(
        NotDistributing,
        "no member is agreed: the far end does not speak LACP, its keys differ, or all members are down",
        "`show lag` says what each member waits for; then `show channels`",
    ),
    of(
        LacpRefused,
        "another protocol of the same family (OAM, OSSP) from a switch: harmless; or malformed LACPDUs",
        "`show lag` counts which; a capture shows the source",
    ),
    of(
        NoLiveAttachment,
        "all channels of the connection are down, or none has a key, or BFD with `strict` has not come up",
        "`quadspan status`, then `show channels`: the reason stands beside each; `show events` says since when",
    ),
    of(
        NeighborUnresolved,
        "a host or router that does not answer ARP or ND: switched off, on another VLAN, or another subnet mask; scans of empty addresses count here too",
        "`show neighbors` has who answered; ping the other one from its own LAN; VLAN and addresses of the interface in `show connections`",
    ),
    of(
        Rehearsal,
        "somebody runs `quadspan drill` on this channel; it ends by itself",
        "the report of the drill: what the far end still sends through the channel is what it is there to find",
    ),
    of(
        NotForUs,
        "connections to the gateway's own addresses where nothing listens: scans, monitoring, BGP from a neighbour that is not configured",
        "a capture on the port shows who and which port; `show bgp` for neighbours; `host = true` lets the host's own services answer",
    ),
    of(
        BfdRefused,
        "a session that restarts: a few are normal. Lasting: another hop limit (a router in between), authentication at the far end, or a stale session there",
        "`show bfd` says why the last one was refused",
    ),
    of(
        ProbeRefused,
        "replies that come too late on a bad path, or a peer that probes with other settings",
        "`show quality` for loss and delay; then the probes' settings at both ends",
    ),
    of(
        BadNeighborMessage,
        "a host with the wrong subnet mask, two subnets on one link, or forged ARP or ND",
        "a capture (`tcpdump -e -i DEVICE arp or icmp6`) shows the sender's MAC address",
    ),
    of(
        BadOffload,
        "a driver or virtual machine below the LAN that describes its super-frames wrongly",
        "`offload = false` on the port goes without them; then a newer driver or hypervisor",
    ),
    of(
        PortRefused,
        "the link is slower than what is to leave by it, or the device's queue is short; a device that was just set down",
        "`show ports` says which; compare its rate with the link's; `ethtool -g DEVICE` for a longer queue, `rate` of connections for less",
    ),
    of(
        PortDown,
        "no carrier, the device is set down, or gone",
        "`show ports` and `ip link show DEVICE`; then the cable and the far end",
    ),
    of(
        VxlanBadHeader,
        "somebody else sends to the tunnel's UDP port: a scan, or another program",
        "a capture of that UDP port shows the source; a firewall in front of it",
    ),
    of(
        VxlanUnknownVni,
        "`vni` differs at the two ends, or one peer has several tunnels to this UDP port",
        "compare `vni` of `[port.underlay]` at both ends",
    ),
    of(
        VxlanUnknownSource,
        "the peer sends from another address than `remote` (another interface, NAT), or it is a stranger",
        "a capture of the UDP port shows the source; set `remote` to it, or `accept_from = \"any\"` where MACsec alone shall decide",
    ),
    of(
        PathTooNarrow,
        "a network between the tunnel's ends with a smaller MTU: a few, until senders have been told",
        "`show ports` has the path's MTU as found out; many: hosts do not hear ICMP, so lower `mtu` of the attachments or set `mss_clamp`",
    ),
    of(
        RingFull,
        "the worker that owns the channel has more to do than it can, while others have time",
        "`show runtime`: which worker is at its limit; spread channels over more ports, or use more workers",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_one_hint_that_says_more_than_its_meaning() {
        for reason in DropReason::ALL {
            let own: Vec<_> = HINTS.iter().filter(|hint| hint.reason == *reason).collect();
            let [hint] = own.as_slice() else { panic!("{reason:?}: {own:?}") };
            assert!(hint.causes.len() > 30 && hint.next.len() > 20, "{hint:?}");
            assert!(!reason.help().contains(hint.causes) && !hint.next.ends_with('.'), "{hint:?}");
        }
    }
}
