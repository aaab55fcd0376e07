//! Why frames are dropped: a closed list.

use crate::closed_list::closed_list;

closed_list! {
    /// Why a frame was dropped. Each dropped frame counts under exactly one of these.
    pub enum DropReason {
        /// Shorter than an Ethernet header, or than its tags announce.
        Runt = "runt",
        /// Longer than any buffer: raise the pool's frame size or lower the sender's MTU.
        Oversized = "oversized",
        /// The receive ring's slot was too small and the kernel cut the frame.
        Truncated = "truncated",
        /// All buffers are in flight: the gateway is overloaded.
        NoBuffer = "no_buffer",
        /// Nothing is configured for this VLAN on this port or channel.
        UnknownVlan = "unknown_vlan",
        /// The destination MAC address is another station's.
        NotOurMac = "not_our_mac",
        /// The EtherType is not one that the gateway forwards or answers.
        UnknownEtherType = "unknown_ethertype",
        /// A channel got a frame that is neither MACsec, MKA nor allowed in clear.
        NotProtected = "not_protected",
        /// More MKPDUs came in than a channel takes: somebody forges them, or there is a loop. Those of its peers go on being heard.
        MkaFlood = "mka_flood",
        /// MACsec (802.1AE §10.6): no SecTAG although validateFrames is Strict (InPktsNoTag).
        MacsecNoTag = "macsec_no_tag",
        /// MACsec §9.12: the SecTAG is not valid (InPktsBadTag).
        MacsecBadTag = "macsec_bad_tag",
        /// MACsec §10.6: no receive SA for this SCI and AN (InPktsNoSAError): keys or SCI differ, or are not installed yet.
        MacsecNoSa = "macsec_no_sa",
        /// MACsec §10.6.5: replayed, or later than the replay window allows (InPktsLate).
        MacsecLate = "macsec_late",
        /// MACsec §10.6: the integrity check failed (InPktsNotValid): the SAK differs, or the frame was altered.
        MacsecNotValid = "macsec_not_valid",
        /// MACsec: an E=1 C=0 frame, reserved for the KaY, that no KaY takes.
        MacsecKayFrame = "macsec_kay_frame",
        /// MACsec §10.5: no transmit SA, so nothing may be sent (fail closed).
        MacsecNoTransmitSa = "macsec_no_transmit_sa",
        /// MACsec §10.5.2: the packet numbers of the SAK are used up (fail closed): a new SAK is needed.
        MacsecPnExhausted = "macsec_pn_exhausted",
        /// MACsec §10.5: the protected frame is longer than the channel carries (OutPktsTooLong): lower the MTU in front of it.
        MacsecTooLong = "macsec_too_long",
        /// MACsec: the cipher refused to protect the frame, so it was not sent (fail closed). This is a fault of the gateway's.
        MacsecCipher = "macsec_cipher",
        /// The IP header is malformed, or its checksum wrong.
        BadIpHeader = "bad_ip_header",
        /// The source address is a group, loopback, or the gateway's own.
        MartianSource = "martian_source",
        /// Reverse-path sanity: the route back to the source leaves by another kind of interface (RFC 3704).
        ReversePath = "reverse_path",
        /// The destination is a group (also of the link layer), loopback or link-local address that is not forwarded.
        NotForwardable = "not_forwardable",
        /// No route to the destination; the sender was told by ICMP.
        NoRoute = "no_route",
        /// A route says blackhole or unreachable.
        Blackhole = "blackhole",
        /// The hop limit ran out; the sender was told by ICMP.
        HopLimit = "hop_limit",
        /// Longer than the way on allows; the sender was told the MTU by ICMP.
        TooBig = "too_big",
        /// The second copy of a frame that was sent twice, by protection duplicate or its class (frerCpsSeqRcvyDiscardedPackets): as it should be.
        Duplicate = "duplicate",
        /// Its redundancy number is farther from the last than the history reaches (frerCpsSeqRcvyRoguePackets): the far end
        /// began anew, or one path is slower than the other by more than the history.
        RogueSequence = "rogue_sequence",
        /// A redundancy tag on a connection of which nothing is duplicated here: set protection duplicate, or name a class, at both ends.
        UnexpectedRedundancyTag = "unexpected_redundancy_tag",
        /// The connection carries as much as its `rate` allows.
        Policed = "policed",
        /// More came than the worker can carry: it went on with key agreement, BFD, BGP and neighbours' messages, and dropped this early.
        Overload = "overload",
        /// A member of a LAG got a frame, and its Collector is off: LACP has not agreed, or no longer, that it carries any.
        NotCollecting = "not_collecting",
        /// No member of the LAG distributes: `quadspan show lag` says why.
        NotDistributing = "not_distributing",
        /// A frame of Slow Protocols that is neither a LACPDU nor a Marker PDU, or malformed: `quadspan show lag` counts which.
        LacpRefused = "lacp_refused",
        /// No attachment of the group is live.
        NoLiveAttachment = "no_live_attachment",
        /// The neighbour did not answer ARP or ND, or too many frames already wait for it, or for others on this and other interfaces.
        NeighborUnresolved = "neighbor_unresolved",
        /// A drill lasts on the channel: `quadspan drill` makes it behave as if its carrier was lost.
        Rehearsal = "rehearsal",
        /// For the gateway itself, but nothing here listens to it.
        NotForUs = "not_for_us",
        /// A BFD packet that RFC 5880 §6.8.6 or RFC 5881 §5 tells to discard: `quadspan show bfd` says why.
        BfdRefused = "bfd_refused",
        /// A probe of a path's quality, or a reply to one, that RFC 8762 tells to discard: another key, too late, or never asked for.
        ProbeRefused = "probe_refused",
        /// An ARP or ND message that contradicts itself, or comes from outside the subnet.
        BadNeighborMessage = "bad_neighbor_message",
        /// A super-frame whose headers do not fit together, or a begun checksum that is to be written where no transport header has one.
        BadOffload = "bad_offload",
        /// The port's transmit queue was full, or the kernel refused the frame.
        PortRefused = "port_refused",
        /// The port is down or gone.
        PortDown = "port_down",
        /// A datagram without a valid VXLAN header (RFC 7348 §5: the I flag must be set), or with no frame behind it.
        VxlanBadHeader = "vxlan_bad_header",
        /// A VXLAN frame of a network that is not this tunnel's: the VNIs of the two ends differ.
        VxlanUnknownVni = "vxlan_unknown_vni",
        /// A datagram to the tunnel from an address that is not the peer's: see `remote` and `accept_from` of the port.
        VxlanUnknownSource = "vxlan_unknown_source",
        /// The path to the tunnel's peer carries less than the frame needs, and fragments are not sent (RFC 7348 §4.3): senders are told the MTU from then on.
        PathTooNarrow = "path_too_narrow",
        /// The ring to the worker that owns the channel was full: that worker is overloaded.
        RingFull = "ring_full",
    }

    /// Dropped frames, one count per [`DropReason`].
    pub struct DropCounters;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_are_unique_and_every_reason_explains_itself() {
        let labels: BTreeSet<_> = DropReason::ALL.iter().map(|r| r.label()).collect();
        assert_eq!(labels.len(), DropReason::ALL.len());
        for reason in DropReason::ALL {
            assert!(reason.help().len() > 20, "{reason:?}");
            assert!(reason.label().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{reason:?}");
        }
    }

    #[test]
    fn each_count_goes_to_its_own_reason() {
        let mut drops = DropCounters::default();
        for (at, &reason) in DropReason::ALL.iter().enumerate() {
            drops.add(reason, u64::try_from(at).unwrap());
        }
        for (at, (reason, count)) in drops.iter().enumerate() {
            assert_eq!((reason, count), (DropReason::ALL[at], u64::try_from(at).unwrap()));
        }
    }
}
