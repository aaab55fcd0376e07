//! Names for things: small numbers, given in the order of the configuration, the same on every worker.

macro_rules! ids {
    ($($(#[$doc:meta])+ $name:ident,)+) => { $(
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub u16);

        impl $name {
            /// Its place in a list of all of them.
            pub fn index(self) -> usize {
                usize::from(self.0)
            }

            /// The one at this place of such a list; the last possible one when the place is beyond 65,535.
            pub fn at(index: usize) -> Self {
                Self(u16::try_from(index).unwrap_or(u16::MAX))
            }
        }
    )+ };
}

ids! {
    /// A worker thread.
    WorkerId,
    /// A port. A LAN port that several workers opened is one port.
    PortId,
    /// A channel.
    ChannelId,
    /// A LAG: channels that carry frames as one.
    LagId,
    /// A connection.
    ConnectionId,
    /// An interface of a connection: a LAN interface or an attachment.
    InterfaceId,
}
