//! Revised error handling (RFC 7606), attribute by attribute: every type that an RFC gives a form to, with every length up
//! to 26 octets and every combination of flags, from a neighbour in another AS and one in ours, on routes of both families.
//!
//! What must happen is written down here a second time, from the RFCs alone; the speaker under test is asked what it uses
//! and whether it kept the session. `tests/malformed.rs` has messages that somebody else wrote.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test fails by panicking, and counts small numbers"
)]

mod lab;

use bgp::{
    AfiSafi, Asn, Family,
    wire::{
        capability::Capability,
        header::{self, MessageType},
    },
};
use lab::{Lab, unhex};

/// Octets of the longest value: two of the largest unit, and some.
const LONGEST: u32 = 26;

/// What a route with the attribute becomes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Used,
    Withdrawn,
    /// The session ends with this subcode of UPDATE Message Error.
    Reset(u8),
}

/// Lengths that an attribute may have.
#[derive(Clone, Copy, Debug)]
enum Form {
    Exactly(usize),
    /// A multiple of this, and not none.
    Multiple(usize),
    /// Nobody here looks inside.
    Any,
}

impl Form {
    fn allows(self, len: usize) -> bool {
        match self {
            Self::Exactly(wanted) => len == wanted,
            Self::Multiple(unit) => len > 0 && len.is_multiple_of(unit),
            Self::Any => true,
        }
    }
}

/// One attribute type.
struct Kind {
    name: &'static str,
    code: u8,
    /// Optional (0x80) and Transitive (0x40), RFC 4271 §4.3; `None`: a type that a unicast speaker does not know.
    flags: Option<u8>,
    form: Form,
    /// What a wrong length does.
    wrong: Fate,
    /// External neighbours must not send it: it is thrown away whatever it looks like.
    internal_only: bool,
    /// Octets of a good value of this length.
    fill: u8,
}

const fn kind(name: &'static str, code: u8, flags: u8, form: Form, wrong: Fate) -> Kind {
    Kind { name, code, flags: Some(flags), form, wrong, internal_only: false, fill: 1 }
}

const fn unknown(name: &'static str, code: u8) -> Kind {
    Kind { name, code, flags: None, form: Form::Any, wrong: Fate::Used, internal_only: false, fill: 0xff }
}

const WELL_KNOWN: u8 = 0x40;
const NONTRANSITIVE: u8 = 0x80;
const TRANSITIVE: u8 = 0xc0;

/// RFC 7606 §7 and, behind them, what later RFCs say of their own attributes. RFC 6514 (PMSI tunnel), RFC 9012 (tunnel
/// encapsulation) and RFC 8669 (prefix-SID) speak of families and speakers that use them: to all others these attributes
/// are unrecognized, and what is in them is nobody's business. AIGP is only taken where it is configured (RFC 7311 §3.2).
const KINDS: [Kind; 19] = [
    kind("MED", 4, NONTRANSITIVE, Form::Exactly(4), Fate::Withdrawn),
    Kind { internal_only: true, ..kind("LOCAL_PREF", 5, WELL_KNOWN, Form::Exactly(4), Fate::Withdrawn) },
    kind("ATOMIC_AGGREGATE", 6, WELL_KNOWN, Form::Exactly(0), Fate::Used),
    kind("AGGREGATOR", 7, TRANSITIVE, Form::Exactly(8), Fate::Used),
    kind("COMMUNITIES", 8, TRANSITIVE, Form::Multiple(4), Fate::Withdrawn),
    Kind {
        internal_only: true,
        ..kind("ORIGINATOR_ID", 9, NONTRANSITIVE, Form::Exactly(4), Fate::Withdrawn)
    },
    Kind {
        internal_only: true,
        ..kind("CLUSTER_LIST", 10, NONTRANSITIVE, Form::Multiple(4), Fate::Withdrawn)
    },
    kind("EXTENDED_COMMUNITIES", 16, TRANSITIVE, Form::Multiple(8), Fate::Withdrawn),
    kind("AS4_PATH on a four-octet session", 17, TRANSITIVE, Form::Any, Fate::Used),
    kind("AS4_AGGREGATOR on a four-octet session", 18, TRANSITIVE, Form::Any, Fate::Used),
    kind("LARGE_COMMUNITY", 32, TRANSITIVE, Form::Multiple(12), Fate::Withdrawn),
    kind("OTC", 35, TRANSITIVE, Form::Exactly(4), Fate::Withdrawn),
    unknown("PMSI_TUNNEL", 22),
    unknown("TUNNEL_ENCAPSULATION", 23),
    unknown("AIGP", 26),
    unknown("BGPSEC_PATH", 33),
    unknown("PREFIX_SID", 40),
    unknown("ATTR_SET", 128),
    unknown("nobody's", 250),
];

impl Kind {
    /// RFC 7606 §3 c: Optional and Transitive have to be right; the Partial bit and the low bits say nothing.
    fn fate(&self, flags: u8, len: usize, internal: bool) -> Fate {
        if self.internal_only && !internal {
            return Fate::Used;
        }
        match self.flags {
            None if flags & 0x80 == 0 => Fate::Reset(2),
            None => Fate::Used,
            Some(right) if right != flags & 0xc0 => Fate::Withdrawn,
            Some(_) if self.form.allows(len) => Fate::Used,
            Some(_) => self.wrong,
        }
    }
}

const FOUR: &str = "10.77.0.0/16";
const SIX: &str = "2001:db8:77::/48";

/// An UPDATE with one route, whose mandatory attributes are right, and one attribute more.
fn route(v6: bool, internal: bool, extra: &[u8]) -> Vec<u8> {
    let origin = unhex("40 01 01 00");
    let path = if internal { unhex("40 02 00") } else { unhex("40 02 06 02 01 0000fde9") };
    // RFC 4271 §5.1.5: internal neighbours always send it.
    let preference = if internal && extra.get(1) != Some(&5) { unhex("40 05 04 00000064") } else { vec![] };
    let hop = unhex("40 03 04 0aff0001");
    let reach = unhex("80 0e 1c 0002 01 10 20010db8ffff00000000000000000001 00 30 20010db80077");
    if v6 {
        update(&[&reach, &origin, &path, &preference, extra], &[])
    } else {
        update(&[&origin, &path, &hop, &preference, extra], &unhex("10 0a4d"))
    }
}

fn update(attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let len = u16::try_from(attributes.len()).unwrap();
    header::emit(MessageType::Update, &[&[0, 0][..], &len.to_be_bytes(), &attributes, nlri].concat())
}

fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).unwrap();
    match u8::try_from(len) {
        Ok(short) if flags & 0x10 == 0 => [&[flags, code, short][..], value].concat(),
        _ => [&[flags | 0x10, code][..], &len.to_be_bytes(), value].concat(),
    }
}

fn session(internal: bool) -> Lab {
    let asn = if internal { 65002 } else { 65001 };
    let families = [Family::Ipv4, Family::Ipv6].map(|family| Capability::Multiprotocol(family.code()));
    let all = families.into_iter().chain([Capability::RouteRefresh, Capability::FourOctetAs(Asn(asn))]);
    Lab::established(asn, all.collect(), |_| {})
}

/// Says a good route, then this, and looks.
fn fate(lab: &mut Lab, v6: bool, internal: bool, octets: &[u8]) -> Fate {
    lab.say(&route(v6, internal, &[]));
    let prefix = if v6 { SIX } else { FOUR };
    assert!(lab.uses(prefix), "the good route is used");
    lab.say(octets);
    match lab.reset() {
        Some(reset) => {
            Fate::Reset(reset.strip_prefix("reset 3/").expect("UPDATE Message Error").parse().unwrap())
        }
        None if lab.uses(prefix) => Fate::Used,
        None => Fate::Withdrawn,
    }
}

#[test]
fn every_length_and_every_flag_of_every_attribute_has_the_fate_of_its_rfc() {
    let mut count = 0_u32;
    for internal in [false, true] {
        let mut lab = session(internal);
        for kind in &KINDS {
            for (len, flags) in (0..=LONGEST).flat_map(|len| (0..16).map(move |flags: u8| (len, flags << 4)))
            {
                let len = len as usize;
                let octets = attribute(flags, kind.code, &vec![kind.fill; len]);
                let expected = kind.fate(flags, len, internal);
                for v6 in [false, true] {
                    let got = fate(&mut lab, v6, internal, &route(v6, internal, &octets));
                    let case = format!(
                        "{} ({}), flags {flags:#x}, {len} octets, internal {internal}, v6 {v6}",
                        kind.name, kind.code
                    );
                    assert_eq!(got, expected, "{case}");
                    count += 1;
                    if lab.closed {
                        lab = session(internal);
                    }
                }
            }
        }
    }
    assert_eq!(count, 2 * 19 * (LONGEST + 1) * 16 * 2);
    println!("{count} cases");
}

// RFC 7606 §7.1 to §7.3: what every route must have.
#[test]
fn the_mandatory_attributes_are_held_to_their_values() {
    let with = |origin: &str, path: &str, hop: &str| {
        update(&[&unhex(origin), &unhex(path), &unhex(hop)], &unhex("10 0a4d"))
    };
    let (origin, path, hop) = ("40010100", "40020602010000fde9", "4003040aff0001");
    let cases = [
        (with(origin, path, hop), Fate::Used),
        // ORIGIN: length, value, flags, absence.
        (with("400100", path, hop), Fate::Withdrawn),
        (with("4001020000", path, hop), Fate::Withdrawn),
        (with("40010103", path, hop), Fate::Withdrawn),
        (with("c0010100", path, hop), Fate::Withdrawn),
        (with("", path, hop), Fate::Withdrawn),
        // AS_PATH: types, counts, AS 0 (RFC 7607), sets (RFC 9774), confederations (RFC 5065), another neighbour first.
        (with(origin, "40020600010000fde9", hop), Fate::Withdrawn),
        (with(origin, "40020605010000fde9", hop), Fate::Withdrawn),
        (with(origin, "400206ff010000fde9", hop), Fate::Withdrawn),
        (with(origin, "40020602020000fde9", hop), Fate::Withdrawn),
        (with(origin, "40020602000000fde9", hop), Fate::Withdrawn),
        (with(origin, "4002020200", hop), Fate::Withdrawn),
        (with(origin, "40020102", hop), Fate::Withdrawn),
        (with(origin, "40020a02020000fde900000000", hop), Fate::Withdrawn),
        (with(origin, "40020c02010000fde901010000fdea", hop), Fate::Withdrawn),
        (with(origin, "40020c02010000fde903010000fdea", hop), Fate::Withdrawn),
        (with(origin, "40020c02010000fde904010000fdea", hop), Fate::Withdrawn),
        (with(origin, "40020602010000fdeb", hop), Fate::Withdrawn),
        (with(origin, "400200", hop), Fate::Withdrawn),
        (with(origin, "", hop), Fate::Withdrawn),
        // NEXT_HOP: length, values that cannot forward, our own address, absence.
        (with(origin, path, "4003030aff00"), Fate::Withdrawn),
        (with(origin, path, "4003050aff000100"), Fate::Withdrawn),
        (with(origin, path, "40030400000000"), Fate::Withdrawn),
        (with(origin, path, "4003047f000001"), Fate::Withdrawn),
        (with(origin, path, "400304e0000001"), Fate::Withdrawn),
        (with(origin, path, "400304f0000001"), Fate::Withdrawn),
        (with(origin, path, "400304ffffffff"), Fate::Withdrawn),
        (with(origin, path, "4003040aff0002"), Fate::Withdrawn),
        (with(origin, path, "8003040aff0001"), Fate::Withdrawn),
        (with(origin, path, ""), Fate::Withdrawn),
    ];
    let mut lab = session(false);
    for (octets, expected) in &cases {
        assert_eq!(fate(&mut lab, false, false, octets), *expected, "{octets:02x?}");
    }
}

// RFC 7606 §5.3, §7.11, RFC 4760 §7, RFC 8950: every family that was declared, and those that were not.
#[test]
fn multiprotocol_attributes_of_every_family_are_read_or_ignored_or_end_the_session() {
    let families = [Family::Ipv4, Family::Ipv6].map(|family| Capability::Multiprotocol(family.code()));
    let wide = Capability::FourOctetAs(Asn(65001));
    let over = Capability::ExtendedNextHop(vec![(Family::Ipv4.code(), 2)]);
    let plain: Vec<_> = families.clone().into_iter().chain([wide.clone()]).collect();
    let extended: Vec<_> = families.into_iter().chain([wide, over]).collect();
    let common = unhex("40010100 40020602010000fde9");
    let hop = unhex(
        "20010db8ffff00000000000000000001 fe800000000000000000000000000001 fe80000000000000 0000000000000009",
    );
    let reach = |code: AfiSafi, hop: &[u8], nlri: &[u8]| {
        let head = [&code.afi.to_be_bytes()[..], &[code.safi, hop.len() as u8], hop, &[0], nlri].concat();
        update(&[&attribute(0x80, 14, &head), &common], &[])
    };
    for (capabilities, rfc_8950) in [(plain, false), (extended, true)] {
        let connect =
            || Lab::established(65001, capabilities.clone(), |config| config.ipv4_over_ipv6 = rfc_8950);
        let mut lab = connect();
        let mut look = |octets: &[u8], prefix: &str, expected: Fate, what: String| {
            lab.say(octets);
            let got = match lab.reset() {
                // RFC 7606 §7.11 and §5.3 leave the subcode open.
                Some(reset) => Fate::Reset(if reset.starts_with("reset 3/") { 0 } else { 255 }),
                None if lab.uses(prefix) => Fate::Used,
                None => Fate::Withdrawn,
            };
            assert_eq!(got, expected, "{what}");
            lab = connect();
        };
        // Next hops of every length.
        for len in 0..=48 {
            for (family, nlri, prefix) in
                [(Family::Ipv4, "10 0a4d", FOUR), (Family::Ipv6, "30 20010db80077", SIX)]
            {
                let fits = match family {
                    Family::Ipv4 => len == 4 || rfc_8950 && matches!(len, 16 | 32),
                    Family::Ipv6 => matches!(len, 16 | 32),
                };
                let good = if len == 4 { unhex("0aff0001") } else { hop[..len].to_vec() };
                let expected = if fits { Fate::Used } else { Fate::Reset(0) };
                look(
                    &reach(family.code(), &good, &unhex(nlri)),
                    prefix,
                    expected,
                    format!("{family}, next hop of {len}"),
                );
            }
        }
        // Prefixes of every length, whole and cut short.
        for bits in 0..=255_u8 {
            for (family, longest, hop) in
                [(Family::Ipv4, 32, unhex("0aff0001")), (Family::Ipv6, 128, hop[..16].to_vec())]
            {
                let octets = usize::from(bits.div_ceil(8));
                let body = vec![0xa0; octets];
                let fits = bits <= longest;
                let prefix = if fits { prefix_of(family, bits) } else { SIX.to_owned() };
                let whole = [&[bits][..], &body].concat();
                look(
                    &reach(family.code(), &hop, &whole),
                    &prefix,
                    if fits { Fate::Used } else { Fate::Reset(0) },
                    format!("{family} /{bits}"),
                );
                if octets > 0 {
                    look(
                        &reach(family.code(), &hop, &whole[..octets]),
                        SIX,
                        Fate::Reset(0),
                        format!("{family} /{bits}, cut"),
                    );
                }
            }
        }
        // RFC 4760 §7: families that were not declared say nothing, whatever is in them.
        for (afi, safi) in [
            (1, 2),
            (1, 4),
            (1, 128),
            (1, 132),
            (1, 133),
            (2, 4),
            (2, 128),
            (2, 133),
            (25, 65),
            (25, 70),
            (16388, 71),
            (16397, 75),
            (0, 0),
            (65535, 255),
        ] {
            for nlri in ["", "ff", "00", "18 0a0000", "70 000010 0000fde900000001 0a0000"] {
                let octets = reach(AfiSafi { afi, safi }, &hop[..12], &unhex(nlri));
                look(&octets, SIX, Fate::Withdrawn, format!("{afi}/{safi} `{nlri}`"));
            }
        }
    }
}

/// The prefix whose octets are all 0xa0.
fn prefix_of(family: Family, bits: u8) -> String {
    let net = match family {
        Family::Ipv4 => format!("160.160.160.160/{bits}"),
        Family::Ipv6 => format!("a0a0:a0a0:a0a0:a0a0:a0a0:a0a0:a0a0:a0a0/{bits}"),
    };
    net.parse::<net::IpNet>().unwrap().trunc().to_string()
}

// RFC 6793 §4.2.3, §6: what old speakers pass on.
#[test]
fn on_a_two_octet_session_the_wide_attributes_count_and_their_faults_cost_only_themselves() {
    let families = [Family::Ipv4, Family::Ipv6].map(|family| Capability::Multiprotocol(family.code()));
    let mut lab = Lab::established(65001, families.into(), |_| {});
    let base = unhex("40010100 40020802 03 fde9 5ba0 5ba0 4003040aff0001");
    for (extra, what) in [
        ("", "without AS4_PATH"),
        ("c0110a 02 02 00010001 00010002", "a good AS4_PATH"),
        ("c01100", "an empty AS4_PATH"),
        ("c01103 02 02 00", "a broken AS4_PATH"),
        ("c0110602 01 00000000", "AS 0 in it"),
        ("c01112 02 04 00010001 00010002 00010003 00010004", "an AS4_PATH longer than the AS_PATH"),
        ("c01208 00010001 0aff0001", "AS4_AGGREGATOR alone"),
        ("c01207 00010001 0aff00", "a short AS4_AGGREGATOR"),
        ("c0120800000000 0aff0001", "AS4_AGGREGATOR with AS 0"),
        ("c00706 5ba0 0aff0001 c01208 00010001 0aff0001", "both"),
        ("c00708 00005ba0 0aff0001", "a wide AGGREGATOR"),
    ] {
        lab.say(&update(&[&base, &unhex(extra)], &unhex("10 0a4d")));
        assert!(!lab.closed && lab.uses(FOUR), "{what}: {:?}", lab.reset());
        lab.say(&update(&[], &[]));
        lab.say(&header::emit(MessageType::Update, &unhex("0003 10 0a4d 0000")));
        assert!(!lab.uses(FOUR), "{what}: it was withdrawn");
    }
}
