//! The closed list of problem codes. A code never changes its meaning and is never used again for
//! another one: people put them into tickets and search for them.
//!
//! Hundreds group them: 00 shape of the text, 01 names and ports, 02 channels and their SecY, 03 keys,
//! 04 connections, 05 addresses, 06 routes, 07 MTU, 08 profiles, 09 BGP and BFD, 10 LAGs.

use core::fmt;

use serde::{Serialize, Serializer};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The configuration cannot be run.
    Error,
    /// It can be run, and somebody should know this about it.
    Warning,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $severity:ident;)+) => {
        /// What kind of problem it is; each has a number that stays.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The number, such as `QS0102`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// Error or warning; a code is always the same one.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// What the code means in general, for `explain` and the documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// The text is not TOML.
    Syntax = "QS0001", Error;
    /// A key that this section does not have; misspelt keys are never ignored.
    UnknownKey = "QS0002", Error;
    /// A value of another TOML type than the key takes.
    WrongType = "QS0003", Error;
    /// A key that has no default is missing.
    MissingKey = "QS0004", Error;
    /// A word that is not among the words this key takes.
    UnknownWord = "QS0005", Error;
    /// A text that is not the address, prefix, name or identifier it should be.
    Malformed = "QS0006", Error;
    /// A number outside the range of its key.
    OutOfRange = "QS0007", Error;
    /// A feature that exists in the language of the configuration but not yet in this version.
    NotYet = "QS0008", Error;
    /// The file is written for another version of the configuration language.
    SchemaVersion = "QS0009", Error;
    /// The file is larger than any sensible configuration.
    TooLarge = "QS0010", Error;

    /// Two things of one kind have the same name.
    DuplicateName = "QS0101", Error;
    /// A name that nothing carries.
    UnknownReference = "QS0102", Error;
    /// Two ports open the same network interface.
    DeviceUsedTwice = "QS0103", Error;
    /// No channel and no LAN uses the port.
    UnusedPort = "QS0104", Warning;
    /// The interconnect has no channel, or no connection uses it.
    UnusedInterconnect = "QS0105", Warning;
    /// No connection has an attachment on the channel.
    UnusedChannel = "QS0106", Warning;
    /// One port is the underlay of a channel and a LAN: frames of the LAN could leave without protection.
    PortRoles = "QS0107", Error;
    /// The list of CPUs does not give every worker one of its own.
    Pins = "QS0108", Error;
    /// A host device has the name of another device.
    HostDevice = "QS0109", Error;
    /// The addresses of a tunnel are not those of two stations of one family.
    TunnelAddress = "QS0110", Error;
    /// Two tunnels wait for datagrams at the same address and UDP port.
    TunnelOverlap = "QS0111", Error;
    /// A tunnel leads through a network that others read: only the frames of channels, which are protected, may use it.
    TunnelRole = "QS0112", Error;
    /// Metrics cannot be served there: everywhere, a group, or port 0.
    MetricsAddress = "QS0113", Error;
    /// AF_XDP hands over frames as they are: a LAN port of it cannot take super-frames and begun checksums.
    XdpOffload = "QS0114", Error;

    /// Two channels cannot be told apart: same port, same tags in clear.
    ChannelOverlap = "QS0201", Error;
    /// The confidentiality offset does not exist in XPN suites (802.1AE §14.7, §14.8) or without encryption.
    Offset = "QS0202", Error;
    /// The replay window is larger than the packet numbers of the suite allow (802.1AE §10.7.8).
    ReplayWindow = "QS0203", Error;
    /// must-secure only means something when frames that fail validation are dropped.
    ValidateTooWeak = "QS0204", Error;
    /// Receivers could not tell which secure channel a frame belongs to (802.1AE §10.5.3).
    SciNeeded = "QS0205", Error;
    /// The settings contradict the form of the SecTAG that they ask for (802.1AE §9.5).
    SciForm = "QS0206", Error;
    /// The channel carries everything in clear.
    MacsecOff = "QS0207", Warning;
    /// The channel falls back to clear text.
    ShouldSecure = "QS0208", Warning;
    /// A protection that MACsec offers is switched off.
    Weakened = "QS0209", Warning;
    /// A peer would be given up before it can be late (802.1X-2020 Table 9-3: three hellos and some).
    MkaTimers = "QS0210", Error;
    /// The list of cipher suites contradicts `cipher`, is empty, or names one twice.
    CipherList = "QS0211", Error;
    /// Frames of the channel may overtake each other on their way, and its replay window drops those that come late.
    Overtaking = "QS0212", Warning;

    /// Key material stands in the file itself.
    LiteralSecret = "QS0301", Error;
    /// The file, credential or variable that holds the key does not exist.
    SecretNotFound = "QS0302", Error;
    /// Every user of the machine can read the key.
    SecretWorldReadable = "QS0303", Error;
    /// The key exists and cannot be read.
    SecretUnreadable = "QS0304", Error;
    /// What was read is not a key in hexadecimal digits.
    KeyMalformed = "QS0305", Error;
    /// The key is too short or too long for the cipher suite.
    KeyLength = "QS0306", Error;
    /// XPN suites need a salt and an SSCI with every key (802.1AE §10.7.13, §10.7.28).
    XpnMissing = "QS0307", Error;
    /// Only XPN suites have a salt and an SSCI.
    XpnUnexpected = "QS0308", Error;
    /// Two ends of one channel would use the same key with the same SSCI or SCI: nonces repeat.
    SameSender = "QS0309", Error;
    /// The peer's SCI is our own.
    SameSci = "QS0310", Error;
    /// Two keys of one secure channel have the same association number.
    DuplicateAn = "QS0311", Error;
    /// Two secure channels use one key with the same SSCI or SCI: nonces repeat and AES-GCM is broken.
    NonceReuse = "QS0312", Error;
    /// The channel must be secured and has no key for one direction.
    NoKeys = "QS0313", Error;
    /// A channel has MKA or static keys, not both.
    KeyKinds = "QS0314", Error;
    /// The channel's policy is off: its keys protect nothing.
    KeysUnused = "QS0315", Warning;
    /// Two keys of one channel have the same name (CKN): nobody could tell which one an MKPDU means.
    DuplicateCkn = "QS0316", Error;
    /// Two names (CKN) of one channel stand for the same key: a change from one to the other changes nothing.
    SameCak = "QS0317", Warning;
    /// More than one key of a channel is the fallback.
    FallbackKeys = "QS0318", Error;
    /// The key ends before it starts.
    KeyTimes = "QS0319", Error;
    /// There is a time, now or later, at which no key of the channel is in force: traffic stops then.
    KeyGap = "QS0320", Warning;
    /// A CAK of 128 bits guards a cipher suite of 256: the shorter one counts.
    ShortCak = "QS0321", Warning;
    /// A name (CKN) is a CAK as well: names travel in clear in every MKPDU, so whoever listens has the key.
    CknIsCak = "QS0322", Error;
    /// By its file's name a CKN is read from where a CAK is, or the other way round: names travel in clear, keys must not.
    CknCakFiles = "QS0323", Warning;

    /// A connection has no attachment.
    NoAttachment = "QS0401", Error;
    /// The attachment's channel belongs to another interconnect.
    ForeignChannel = "QS0402", Error;
    /// Two attachments on one channel cannot be told apart.
    AttachmentOverlap = "QS0403", Error;
    /// Two LANs on one port cannot be told apart.
    LanOverlap = "QS0404", Error;
    /// A transparent connection is a wire: one LAN, no addresses, no routes.
    Transparent = "QS0405", Error;
    /// A routed connection cannot use an interface that has no address.
    NoAddress = "QS0406", Error;
    /// Quality is to be measured and there is nobody to measure it with.
    QualityPeer = "QS0407", Error;
    /// A class that no packet can be of, that says nothing of its packets, or that says something twice.
    Class = "QS0408", Error;

    /// Two interfaces of one connection have overlapping subnets.
    AddressOverlap = "QS0501", Error;
    /// The address cannot be a host's.
    NotAHost = "QS0502", Error;
    /// The peer is in none of the attachment's subnets.
    PeerOffLink = "QS0503", Error;
    /// The peer's address is our own.
    PeerIsSelf = "QS0504", Error;
    /// Two peers of one address family on one attachment.
    PeerAmbiguous = "QS0505", Error;

    /// The prefix has bits set behind its length.
    HostBits = "QS0601", Error;
    /// The next hop is not a neighbour that the connection can reach.
    NextHop = "QS0602", Error;
    /// No attachment of the route has a peer in its address family.
    NoPeer = "QS0603", Error;
    /// Two routes of one connection have the same prefix.
    DuplicateRoute = "QS0604", Error;

    /// IPv6 needs 1280 octets (RFC 8200 §5).
    Ipv6Mtu = "QS0701", Error;
    /// Packets of this size do not fit the channel once tags and MACsec are added.
    MtuChain = "QS0702", Error;

    /// The peer's profile says that it refuses this.
    ProfileRefuses = "QS0801", Error;
    /// The peer's profile says that this will not work as it stands.
    ProfileWarns = "QS0802", Warning;

    /// A connection has BGP neighbours and does not say who we are.
    BgpMissing = "QS0901", Error;
    /// Nothing can be the BGP identifier.
    RouterId = "QS0902", Error;
    /// Two neighbours have the same address on the same interface.
    DuplicateNeighbor = "QS0903", Error;
    /// The AS number is reserved (RFC 6793, RFC 7300, RFC 7607).
    ReservedAsn = "QS0904", Error;
    /// Timers of BGP that do not go together (RFC 4271 §4.4, §10).
    BgpTimers = "QS0905", Error;
    /// The password cannot be used for TCP-MD5 (RFC 2385).
    Password = "QS0906", Error;
    /// An external neighbour without a policy: no routes pass (RFC 8212).
    NoRoutePolicy = "QS0907", Warning;
    /// Routes of this family could not be announced: there is no address of ours to be their next hop.
    NextHopMissing = "QS0908", Error;
    /// A role of RFC 9234 that cannot be.
    Role = "QS0909", Error;
    /// The neighbour is to be watched by BFD, and its interface has none.
    BfdMissing = "QS0910", Error;
    /// BFD is to run and there is nobody to run it with.
    BfdPeer = "QS0911", Error;
    /// No neighbour uses the policy.
    UnusedPolicy = "QS0912", Warning;
    /// It is not clear which LAN the neighbour is on.
    NeighborPlace = "QS0913", Error;
    /// The session of a neighbour waits for BFD (`strict`), and BFD never runs with it: it is not a peer of its attachment.
    BfdNever = "QS0914", Error;
    /// BFD is to watch a neighbour (`follow`), and never runs with it: it is not a peer of its attachment.
    BfdUnwatched = "QS0915", Warning;

    /// A channel that cannot be a member of the LAG: it is used otherwise, on the same port as another member, or leads elsewhere.
    LagMember = "QS1001", Error;
    /// Members of a LAG do not carry packets of the same length.
    LagMtu = "QS1002", Error;
    /// The LAG needs more links than it has members.
    LagMinLinks = "QS1003", Error;
    /// Two LAGs have the same key (802.1AX §6.3.5).
    LagKey = "QS1004", Error;
    /// An attachment names a channel and a LAG.
    LagOrChannel = "QS1005", Error;
    /// No connection has an attachment on the LAG.
    UnusedLag = "QS1006", Warning;
    /// LACP speaks untagged inside the ciphertext: a wire that passes every frame has no place beside it.
    LagWire = "QS1007", Error;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_rise() {
        let numbers: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }

    #[test]
    fn every_code_says_what_it_means() {
        assert!(Code::ALL.iter().all(|code| code.meaning().ends_with('.')));
    }
}
