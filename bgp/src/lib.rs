//! A small BGP-4 speaker: bytes from peers in, route changes out. It comes in a later version; nothing is here yet.
#![forbid(unsafe_code)]
