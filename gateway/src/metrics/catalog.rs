//! Every metric there is, in the order of the page and of `docs/METRICS.md`.
//!
//! A name is part of the interface: it never changes its meaning and is never taken away within a version of the API.

use super::metric::{Kind, Metric, Unit};

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $name:ident = $kind:ident $unit:ident $stem:literal [$($label:literal),*];)+) => {
        $(
            $(#[doc = $doc])+
            pub(super) const $name: Metric = Metric {
                stem: $stem,
                kind: Kind::$kind,
                unit: Unit::$unit,
                labels: &[$($label),*],
                help: concat!($($doc,)+).trim_ascii(),
            };
        )+

        /// All of them.
        pub(super) const ALL: &[Metric] = &[$($name,)+];
    };
}

metrics! {
    /// The program that answers.
    BUILD = Info One "build" ["version"];
    /// The gateway's name.
    SITE = Info One "site" ["site"];
    /// When the gateway was started.
    START_TIME = Gauge Seconds "start_time" [];
    /// 1 when something that is configured does not work: `quadspan status` says what.
    DEGRADED = Gauge One "degraded" [];

    /// 1 when the worker answered in time. Of what only a silent worker knows, this page says nothing.
    WORKER_UP = Gauge One "worker_up" ["worker"];
    /// Generation of the forwarding tables that the worker uses; the same for all, but for a moment.
    WORKER_GENERATION = Gauge One "worker_route_generation" ["worker"];
    /// Buffers in the worker's hands, by `size` (`small`, `big`).
    WORKER_BUFFERS = Gauge One "worker_buffers_held" ["worker", "size"];
    /// Time that the worker spent, by `how` (`working`: awake with frames; `looking`: awake without; `asleep`).
    WORKER_TIME = Counter Seconds "worker_time" ["worker", "how"];
    /// Time that the worker was ready and had no processor: others took it. Left out where the kernel does not count it.
    WORKER_WAITED = Counter Seconds "worker_waited_for_processor" ["worker"];
    /// Calls that moved frames, by `direction` (`receive`, `send`): frames by calls is what a batch holds.
    WORKER_CALLS = Counter One "worker_calls" ["worker", "direction"];
    /// Frames that those calls moved, by `direction`; a super-frame is one.
    WORKER_FRAMES = Counter One "worker_frames" ["worker", "direction"];
    /// Frames and news that full rings between workers refused.
    WORKER_REFUSED = Counter One "worker_ring_refused" ["worker"];
    /// The longest time that the worker woke behind a deadline.
    WORKER_LATEST = Gauge Seconds "worker_latest_wake" ["worker"];

    /// What a channel is: its interconnect, port and MACsec policy.
    CHANNEL = Info One "channel" ["channel", "interconnect", "port", "policy"];
    /// 1 when nothing speaks against using the channel; 0 also for one that is drained, which is still a reserve.
    CHANNEL_UP = Gauge One "channel_up" ["channel"];
    /// 1 while this `fault` speaks against using the channel.
    CHANNEL_FAULT = Gauge One "channel_fault" ["channel", "fault"];
    /// When the channel's faults changed last.
    CHANNEL_CHANGED = Gauge Seconds "channel_last_change_timestamp" ["channel"];
    /// Frames accepted by the channel's SecY.
    CHANNEL_RX_FRAMES = Counter One "channel_rx_frames" ["channel"];
    /// Their octets, without SecTAG and ICV.
    CHANNEL_RX_BYTES = Counter Bytes "channel_rx" ["channel"];
    /// Frames protected and handed to the port.
    CHANNEL_TX_FRAMES = Counter One "channel_tx_frames" ["channel"];
    /// Their octets, without SecTAG and ICV.
    CHANNEL_TX_BYTES = Counter Bytes "channel_tx" ["channel"];
    /// Frames of the channel that were dropped, by `reason`: `quadspan explain drop:REASON`.
    CHANNEL_DROPS = Counter One "channel_drops" ["channel", "reason"];

    /// What a LAG is: who speaks first in LACP, and how soon silence is noticed.
    LAG = Info One "lag" ["lag", "mode", "timers"];
    /// 1 when nothing speaks against using the LAG: at least `min_links` of its members carry frames.
    LAG_UP = Gauge One "lag_up" ["lag"];
    /// Members of the LAG that frames are sent by.
    LAG_DISTRIBUTING = Gauge One "lag_members_distributing" ["lag"];
    /// With fewer than these the LAG is down.
    LAG_MIN_LINKS = Gauge One "lag_min_links" ["lag"];
    /// 1 while frames are sent by this member of the LAG (Distributing).
    LAG_MEMBER_DISTRIBUTING = Gauge One "lag_member_distributing" ["lag", "channel"];
    /// 1 while frames from this member are taken (Collecting).
    LAG_MEMBER_COLLECTING = Gauge One "lag_member_collecting" ["lag", "channel"];
    /// 1 when this `end` of the member (`actor` or `partner`) was not in step for a minute (802.1AX-2014 §6.4.17).
    LAG_MEMBER_CHURN = Gauge One "lag_member_churn" ["lag", "channel", "end"];
    /// PDUs and transitions of the member's LACP by `kind`, the counters of 802.1AX-2014 §7.3.3 and §7.3.4.
    LAG_MEMBER_PDUS = Counter One "lag_member_lacp" ["lag", "channel", "kind"];

    /// 1 when frames are sent protected and there is a key to do it with.
    MACSEC_SECURED = Gauge One "macsec_secured" ["channel"];
    /// 1 when frames leave in clear NOW: the policy is off, or should-secure without a key.
    MACSEC_CLEAR = Gauge One "macsec_cleartext" ["channel"];
    /// 1 when frames in clear are accepted now.
    MACSEC_ACCEPTS_CLEAR = Gauge One "macsec_cleartext_accepted" ["channel"];
    /// 1 when the policy is should-secure: without a key, frames pass in clear.
    MACSEC_SHOULD_SECURE = Gauge One "macsec_should_secure" ["channel"];
    /// 1 when a key failed its trial with our own AES-GCM, and AWS-LC does it: slower, and to be reported.
    MACSEC_CIPHER_REFUSED = Gauge One "macsec_cipher_refused" ["channel"];
    /// The next frame's packet number under the SAK in use.
    MACSEC_NEXT_PN = Gauge One "macsec_next_packet_number" ["channel"];
    /// The last packet number of the SAK in use: traffic stops there (fail closed).
    MACSEC_PN_LIMIT = Gauge One "macsec_packet_number_limit" ["channel"];
    /// Frames received without SecTAG and delivered (InPktsUntagged, 802.1AE §10.7.9).
    MACSEC_IN_UNTAGGED = Counter One "macsec_in_pkts_untagged" ["channel"];
    /// Frames received without SecTAG and discarded, because validateFrames is Strict (InPktsNoTag).
    MACSEC_IN_NO_TAG = Counter One "macsec_in_pkts_no_tag" ["channel"];
    /// Frames discarded because their SecTAG is not valid (InPktsBadTag).
    MACSEC_IN_BAD_TAG = Counter One "macsec_in_pkts_bad_tag" ["channel"];
    /// Frames of an unknown SC or an SA not in use that were delivered (InPktsNoSA).
    MACSEC_IN_NO_SA = Counter One "macsec_in_pkts_no_sa" ["channel"];
    /// Frames of an unknown SC or an SA not in use that were discarded (InPktsNoSAError).
    MACSEC_IN_NO_SA_ERROR = Counter One "macsec_in_pkts_no_sa_error" ["channel"];
    /// Frames discarded because validation could not keep up (InPktsOverrun).
    MACSEC_IN_OVERRUN = Counter One "macsec_in_pkts_overrun" ["channel"];
    /// Frames whose integrity was right and whose packet number was in time (InPktsOK).
    MACSEC_IN_OK = Counter One "macsec_in_pkts_ok" ["channel"];
    /// Frames delivered without validation (InPktsUnchecked).
    MACSEC_IN_UNCHECKED = Counter One "macsec_in_pkts_unchecked" ["channel"];
    /// Frames that failed validation and were delivered all the same, as validateFrames is Check (InPktsInvalid).
    MACSEC_IN_INVALID = Counter One "macsec_in_pkts_invalid" ["channel"];
    /// Frames discarded because the integrity check failed (InPktsNotValid): another SAK, or somebody alters frames.
    MACSEC_IN_NOT_VALID = Counter One "macsec_in_pkts_not_valid" ["channel"];
    /// Frames below the lowest acceptable packet number that were delivered, as replayProtect is off (InPktsDelayed).
    MACSEC_IN_DELAYED = Counter One "macsec_in_pkts_delayed" ["channel"];
    /// Frames discarded as replayed or too late (InPktsLate).
    MACSEC_IN_LATE = Counter One "macsec_in_pkts_late" ["channel"];
    /// Octets of plaintext of frames that were only integrity protected and validated (InOctetsValidated).
    MACSEC_IN_OCTETS_VALIDATED = Counter One "macsec_in_octets_validated" ["channel"];
    /// Octets of plaintext of frames that were decrypted and validated (InOctetsDecrypted).
    MACSEC_IN_OCTETS_DECRYPTED = Counter One "macsec_in_octets_decrypted" ["channel"];
    /// Frames sent without SecTAG (OutPktsUntagged).
    MACSEC_OUT_UNTAGGED = Counter One "macsec_out_pkts_untagged" ["channel"];
    /// Frames discarded because they were too long for the channel once protected (OutPktsTooLong).
    MACSEC_OUT_TOO_LONG = Counter One "macsec_out_pkts_too_long" ["channel"];
    /// Frames sent with integrity protection only (OutPktsProtected).
    MACSEC_OUT_PROTECTED = Counter One "macsec_out_pkts_protected" ["channel"];
    /// Frames sent encrypted (OutPktsEncrypted).
    MACSEC_OUT_ENCRYPTED = Counter One "macsec_out_pkts_encrypted" ["channel"];
    /// Octets of plaintext of frames that were only integrity protected (OutOctetsProtected).
    MACSEC_OUT_OCTETS_PROTECTED = Counter One "macsec_out_octets_protected" ["channel"];
    /// Octets of plaintext of frames that were encrypted (OutOctetsEncrypted).
    MACSEC_OUT_OCTETS_ENCRYPTED = Counter One "macsec_out_octets_encrypted" ["channel"];

    /// 1 when this gateway is the channel's key server.
    MKA_KEY_SERVER = Gauge One "mka_key_server" ["channel"];
    /// Live peers under the CAK that has most of them.
    MKA_LIVE_PEERS = Gauge One "mka_live_peers" ["channel"];
    /// Peers that are heard under some CAK and do not prove that they hear us.
    MKA_POTENTIAL_PEERS = Gauge One "mka_potential_peers" ["channel"];
    /// SAKs that came into use.
    MKA_REKEYS = Counter One "mka_rekeys" ["channel"];
    /// When the SAK in use was made or received: the last roll.
    MKA_SAK_SINCE = Gauge Seconds "mka_sak_installed_timestamp" ["channel"];
    /// When this gateway, as key server, replaces the SAK by the clock.
    MKA_SAK_DUE = Gauge Seconds "mka_sak_due_timestamp" ["channel"];
    /// When the next CAK of the channel starts; left out when none waits.
    MKA_NEXT_KEY = Gauge Seconds "mka_key_next_start_timestamp" ["channel"];
    /// 1 while MKA is suspended: the channel lives without hearing its peer.
    MKA_SUSPENDED = Gauge One "mka_suspended" ["channel"];
    /// 1 while `quadspan show mka` gives this diagnosis; left out otherwise.
    MKA_DIAGNOSIS = Gauge One "mka_diagnosis" ["channel", "code"];
    /// Received frames that became no MKPDU, by what was wrong with them.
    MKA_FAULTS = Counter One "mka_faults" ["channel", "fault"];
    /// MKPDUs received and taken, by the CKN of their CAK.
    MKA_IN_MKPDU = Counter One "mka_in_mkpdu" ["channel", "ckn"];
    /// MKPDUs sent, by the CKN of their CAK.
    MKA_OUT_MKPDU = Counter One "mka_out_mkpdu" ["channel", "ckn"];
    /// MKPDUs with a CKN of ours whose ICV was wrong: the CAK differs, or somebody forges.
    MKA_ICV_FAILURES = Counter One "mka_icv_failures" ["channel", "ckn"];
    /// MKPDUs that could not be sent for want of a buffer.
    MKA_UNSENT = Counter One "mka_unsent" ["channel"];

    /// How long failovers took, from the last sign of life on a channel until frames went another way.
    FAILOVERS = Histogram Seconds "failover_duration" [];
    /// How often traffic left an attachment, by why: `quadspan show events` has each of them.
    DEPARTURES = Counter One "attachment_departures" ["fault"];

    /// What a connection is: its interconnect, mode and protection.
    CONNECTION = Info One "connection" ["connection", "interconnect", "mode", "protection"];
    /// Attachments that are configured.
    CONNECTION_ATTACHMENTS = Gauge One "connection_attachments" ["connection"];
    /// 1 while some attachment carries traffic, be it only as a reserve.
    CONNECTION_UP = Gauge One "connection_up" ["connection"];
    /// Attachments against which nothing speaks.
    CONNECTION_LIVE = Gauge One "connection_attachments_live" ["connection"];
    /// Of an active-standby connection: 1 for the channel that carries everything.
    CONNECTION_ACTIVE = Gauge One "connection_active" ["connection", "channel"];
    /// Of a connection that is duplicated, or whose classes are: frames numbered and sent, each twice where two attachments are live.
    REDUNDANCY_SENT = Counter One "redundancy_sent_frames" ["connection"];
    /// Of a connection with classes that are duplicated: frames of the class, numbered and sent.
    REDUNDANCY_CLASS = Counter One "redundancy_class_frames" ["connection", "class"];
    /// Of such a connection: what became of received frames, by the names of 802.1CB §10.8.
    REDUNDANCY = Counter One "redundancy_frames" ["connection", "counter"];
    /// Of such a connection: 1 when second copies are missing, so that one path is broken though nothing is lost.
    REDUNDANCY_LOST = Gauge One "redundancy_lost" ["connection"];

    /// 1 when nothing speaks against using the attachment.
    ATTACHMENT_UP = Gauge One "attachment_up" ["connection", "channel", "vlan"];
    /// 1 while this `fault` speaks against using the attachment.
    ATTACHMENT_FAULT = Gauge One "attachment_fault" ["connection", "channel", "vlan", "fault"];
    /// When the attachment's faults changed last.
    ATTACHMENT_CHANGED = Gauge Seconds "attachment_last_change_timestamp" ["connection", "channel", "vlan"];
    /// Frames in.
    ATTACHMENT_RX_FRAMES = Counter One "attachment_rx_frames" ["connection", "channel", "vlan"];
    /// Octets in.
    ATTACHMENT_RX_BYTES = Counter Bytes "attachment_rx" ["connection", "channel", "vlan"];
    /// Frames out; a super-frame is one.
    ATTACHMENT_TX_FRAMES = Counter One "attachment_tx_frames" ["connection", "channel", "vlan"];
    /// Octets out.
    ATTACHMENT_TX_BYTES = Counter Bytes "attachment_tx" ["connection", "channel", "vlan"];

    /// 1 when the BFD session is up.
    BFD_UP = Gauge One "bfd_session_up" ["interface", "peer"];
    /// 1 when the BFD session takes its attachment out of use.
    BFD_FAULT = Gauge One "bfd_session_fault" ["interface", "peer"];
    /// When the session's state changed last.
    BFD_CHANGED = Gauge Seconds "bfd_last_change_timestamp" ["interface", "peer"];
    /// How often the session came up.
    BFD_UPS = Counter One "bfd_session_ups" ["interface", "peer"];
    /// How often the session was lost, to silence or by its peer: flaps.
    BFD_DOWNS = Counter One "bfd_session_downs" ["interface", "peer"];
    /// Silence after which the peer is declared dead; left out before it was heard.
    BFD_DETECTION = Gauge Seconds "bfd_detection_time" ["interface", "peer"];
    /// The longest silence of the peer while the session was up.
    BFD_GAP = Gauge Seconds "bfd_longest_gap" ["interface", "peer"];
    /// BFD packets received and taken.
    BFD_RX = Counter One "bfd_rx_packets" ["interface", "peer"];
    /// BFD packets sent.
    BFD_TX = Counter One "bfd_tx_packets" ["interface", "peer"];
    /// BFD packets refused, by `reason`.
    BFD_REFUSED = Counter One "bfd_refused_packets" ["interface", "peer", "reason"];

    /// 1 when BGP answered in time, where a connection speaks it. At 0 this page says nothing else of BGP: its sessions are not known, and may be up.
    BGP_ANSWERED = Gauge One "bgp_responding" [];
    /// What a BGP neighbour is.
    BGP_NEIGHBOR = Info One "bgp_neighbor" ["connection", "neighbor", "address", "asn", "interface"];
    /// 1 when the session is established.
    BGP_UP = Gauge One "bgp_session_up" ["connection", "neighbor"];
    /// 1 for the `state` that the session is in (RFC 4271 §8.2.2), 0 for the others.
    BGP_STATE = Gauge One "bgp_session_state" ["connection", "neighbor", "state"];
    /// Since when the session is in its state.
    BGP_CHANGED = Gauge Seconds "bgp_last_change_timestamp" ["connection", "neighbor"];
    /// When the last session ended.
    BGP_LAST_DOWN = Gauge Seconds "bgp_last_down_timestamp" ["connection", "neighbor"];
    /// Sessions that came up.
    BGP_SESSIONS = Counter One "bgp_sessions" ["connection", "neighbor"];
    /// Sessions that came up and ended: resets.
    BGP_RESETS = Counter One "bgp_session_resets" ["connection", "neighbor"];
    /// Messages, by `direction` (`in`, `out`).
    BGP_MESSAGES = Counter One "bgp_messages" ["connection", "neighbor", "direction"];
    /// UPDATEs, by `direction` (`in`, `out`).
    BGP_UPDATES = Counter One "bgp_updates" ["connection", "neighbor", "direction"];
    /// Prefixes received and kept, refused ones included.
    BGP_RECEIVED = Gauge One "bgp_prefixes_received" ["connection", "neighbor", "family"];
    /// Prefixes received and accepted by the policy: those that may be used.
    BGP_ACCEPTED = Gauge One "bgp_prefixes_accepted" ["connection", "neighbor", "family"];
    /// The limit for received prefixes; left out when there is none.
    BGP_RECEIVED_MAX = Gauge One "bgp_prefixes_received_limit" ["connection", "neighbor", "family"];
    /// 1 when received prefixes were left out because of the limit.
    BGP_OVERFLOWED = Gauge One "bgp_prefixes_overflowed" ["connection", "neighbor", "family"];
    /// Prefixes announced.
    BGP_ANNOUNCED = Gauge One "bgp_prefixes_announced" ["connection", "neighbor", "family"];
    /// The limit for announced prefixes; left out when there is none.
    BGP_ANNOUNCED_MAX = Gauge One "bgp_prefixes_announced_limit" ["connection", "neighbor", "family"];
    /// Prefixes that are not announced because of the limit.
    BGP_HELD_BACK = Gauge One "bgp_prefixes_held_back" ["connection", "neighbor", "family"];

    /// What a port is: its device, role, and how frames are moved.
    PORT = Info One "port" ["port", "device", "role", "io"];
    /// 1 when the port works.
    PORT_UP = Gauge One "port_up" ["port"];
    /// Frames received; a super-frame is one.
    PORT_RX_FRAMES = Counter One "port_rx_frames" ["port"];
    /// Octets received.
    PORT_RX_BYTES = Counter Bytes "port_rx" ["port"];
    /// Frames sent; a super-frame is one.
    PORT_TX_FRAMES = Counter One "port_tx_frames" ["port"];
    /// Octets sent.
    PORT_TX_BYTES = Counter Bytes "port_tx" ["port"];
    /// Frames that the kernel or the driver did not pass on, by what was wrong.
    PORT_LOSSES = Counter One "port_losses" ["port", "loss"];
    /// Frames from the port that were dropped before they belonged to a channel, by `reason`: `quadspan explain drop:REASON`.
    PORT_DROPS = Counter One "port_drops" ["port", "reason"];
    /// Of a tunnel: octets behind the Ethernet header that its path was found to carry.
    PORT_PATH = Gauge Bytes "port_path" ["port"];
}

/// The metric of a counter of 802.1AE, by the name that the API has for it.
pub(super) fn of_macsec(counter: &str) -> Option<&'static Metric> {
    ALL.iter().find(|metric| metric.stem.strip_prefix("macsec_") == Some(counter))
}
