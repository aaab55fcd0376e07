//! What stands on the wire: the SecTAG.

mod sectag;

pub use sectag::{BadTag, ChannelForm, MIN_SECURE_DATA, SecTag};
