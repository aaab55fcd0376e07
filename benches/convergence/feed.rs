//! What is sent, and what of it has come out at the far end.
//!
//! Routes are /24s of 32.0.0.0/3, in thirteen ascending passes, one to eleven sharing attributes; AS paths of three to seven hops, up to four
//! communities: as the Internet's table has it. Each feed sends the same prefixes with attributes of its own.

use std::{
    net::Ipv4Addr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Instant,
};

use bgp::{
    Asn, Family,
    wire::{
        as_path::AsPath,
        attributes::{Attributes, NextHop},
        community::Community,
        emit::{self, EmitContext},
        header::MAX_LEN,
    },
};
use net::{IpNet, Ipv4Net};

const CONTEXT: EmitContext = EmitContext { four_octet_as: true, max_len: MAX_LEN };
/// The first address of all prefixes, and how many /24s there are behind it.
const FIRST: u32 = 32 << 24;
const ROOM: u32 = 1 << 21;

/// The address of feed `n`, from 0.
pub(crate) fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 255, 0, 2 + n)
}

/// Prefix `n`: thirteen is odd, so each comes once.
pub(crate) fn prefix(n: u32) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_bits(FIRST + ((n * 13 % ROOM) << 8)), 24)
}

/// UPDATEs of feed `n` for the first `routes` prefixes.
pub(crate) fn announcements(n: u8, routes: u32) -> Vec<u8> {
    let mut rng = u64::from(n) + 1;
    let mut random = |below: u64| {
        rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((rng >> 33) % below).unwrap()
    };
    let (mut out, mut next) = (Vec::new(), 0);
    while next < routes {
        let count = (1 + random(11)).min(routes - next);
        let mut attributes = Attributes::local(NextHop::V4(address(n)));
        let tail: Vec<_> = (0..2 + random(5)).map(|_| Asn(1 + random(60_000))).collect();
        attributes.as_path = AsPath::sequence(&[&[Asn(asn(n))], tail.as_slice()].concat());
        attributes.communities = (0..random(5)).map(|_| Community(random(1 << 31))).collect();
        let prefixes: Vec<IpNet> = (next..next + count).map(|n| prefix(n).into()).collect();
        out.extend(emit::announce(Family::Ipv4, &attributes, &prefixes, CONTEXT).unwrap().concat());
        next += count;
    }
    out
}

/// One route that is announced.
pub(crate) fn announcement(n: u8, prefix: Ipv4Net) -> Vec<u8> {
    let mut attributes = Attributes::local(NextHop::V4(address(n)));
    attributes.as_path = AsPath::sequence(&[Asn(asn(n))]);
    emit::announce(Family::Ipv4, &attributes, &[prefix.into()], CONTEXT).unwrap().concat()
}

/// UPDATEs that take these prefixes back.
pub(crate) fn withdrawals(prefixes: impl Iterator<Item = Ipv4Net>) -> Vec<u8> {
    let prefixes: Vec<IpNet> = prefixes.map(IpNet::from).collect();
    emit::withdraw(Family::Ipv4, &prefixes, CONTEXT).concat()
}

/// The AS of feed `n`.
pub(crate) fn asn(n: u8) -> u32 {
    65_010 + u32::from(n)
}

/// Which prefixes the sink has.
#[derive(Debug)]
pub(crate) struct Sunk {
    there: Mutex<Vec<bool>>,
    count: AtomicU32,
    last: Mutex<Instant>,
}

impl Sunk {
    pub(crate) fn new() -> Self {
        let there = Mutex::new(vec![false; usize::try_from(ROOM).unwrap()]);
        Self { there, count: AtomicU32::new(0), last: Mutex::new(Instant::now()) }
    }

    /// Takes the body of an UPDATE in: withdrawn routes, attributes, NLRI (RFC 4271 §4.3).
    pub(crate) fn hear(&self, body: &[u8]) {
        let (withdrawn, rest) = list(body);
        let (_, announced) = list(rest);
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        for (mut prefixes, now) in [(withdrawn, false), (announced, true)] {
            while let Some((len, rest)) = prefixes.split_first() {
                let (octets, rest) = rest.split_at(usize::from(len.div_ceil(8)));
                prefixes = rest;
                let mut address = [0; 4];
                address[..octets.len()].copy_from_slice(octets);
                let at = u32::from_be_bytes(address).wrapping_sub(FIRST) >> 8;
                // The contender's own routes are elsewhere.
                let Some(known) = there.get_mut(usize::try_from(at).unwrap()) else { continue };
                if std::mem::replace(known, now) != now {
                    if now {
                        self.count.fetch_add(1, Relaxed)
                    } else {
                        self.count.fetch_sub(1, Relaxed)
                    };
                }
            }
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How many prefixes the sink has.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// When something arrived last.
    pub(crate) fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A list with its length in two octets in front, and what follows.
fn list(octets: &[u8]) -> (&[u8], &[u8]) {
    let (len, rest) = octets.split_first_chunk().expect("the contender sends well-formed UPDATEs");
    rest.split_at(usize::from(u16::from_be_bytes(*len)))
}
