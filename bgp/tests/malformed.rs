//! 121 malformed messages, octet for octet, and what the speaker makes of each (RFC 4271 clause 6, 7606
//! and the RFCs named in the table): session kept or reset, with which NOTIFICATION, route used or not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and counts small numbers"
)]

mod lab;

use bgp::{
    fsm::State,
    wire::header::{self, MessageType},
};
use lab::{Lab, keepalive, unhex};

const CASES: &str = include_str!("vectors/malformed.tsv");

struct Case<'a> {
    name: &'a str,
    expected: &'a str,
    state: &'a str,
    prefix: &'a str,
    octets: Vec<u8>,
}

fn cases() -> Vec<Case<'static>> {
    let lines = CASES.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut fields = line.split('\t');
            let mut next = || fields.next().expect("six fields");
            let (name, expected, _clause) = (next(), next(), next());
            let (state, prefix, octets) = (next(), next(), unhex(next()));
            Case { name, expected, state, prefix, octets }
        })
        .collect()
}

/// The tester's good OPEN is one of the cases: the one that is wrong only in its state.
fn good_open() -> Vec<u8> {
    cases().into_iter().find(|case| case.name == "open-in-established").expect("it is there").octets
}

/// A good route to 100.96.0.1/32.
fn sentinel() -> Vec<u8> {
    let attributes = unhex("40010100 400206020100 00fde9 4003040aff0001");
    let len = u16::try_from(attributes.len()).expect("short");
    let body = [&[0, 0][..], &len.to_be_bytes(), &attributes, &[32, 100, 96, 0, 1]].concat();
    header::emit(MessageType::Update, &body)
}

fn run(case: &Case<'_>) -> String {
    let mut lab = Lab::connect();
    if case.state != "none" {
        lab.say(&good_open());
    }
    if case.state == "established" {
        lab.say(&keepalive());
        assert_eq!(lab.state(), State::Established, "{}", case.name);
    }
    lab.say(&case.octets);
    if case.expected == "established" && case.state == "none" {
        lab.say(&keepalive());
    }
    if case.prefix != "-" && !lab.closed {
        lab.say(&sentinel());
        assert!(lab.closed || lab.uses("100.96.0.1/32"), "{}: the sentinel is lost", case.name);
    }
    match lab.reset() {
        Some(reset) => {
            assert_ne!(lab.state(), State::Established, "{}", case.name);
            reset
        }
        None if case.prefix == "-" && lab.state() == State::Established => "established".to_owned(),
        None if case.prefix == "-" => format!("{}", lab.state()),
        None if lab.uses(case.prefix) => "accept".to_owned(),
        None => "withdraw".to_owned(),
    }
}

/// `reset 3/*` matches `reset 3/1`, `reset */*` any reset, and `a|b` either.
fn matches(expected: &str, got: &str) -> bool {
    expected.split('|').any(|one| match (one.strip_prefix("reset "), got.strip_prefix("reset ")) {
        (Some("*/*"), Some(_)) => true,
        (Some(expected), Some(got)) => {
            let (mut expected, mut got) = (expected.split('/'), got.split('/'));
            let mut same = || match (expected.next(), got.next()) {
                (Some("*"), Some(_)) => true,
                (a, b) => a == b,
            };
            same() && same()
        }
        _ => one == got,
    })
}

#[test]
fn every_malformed_message_gets_the_reaction_its_rfc_asks_for() {
    let cases = cases();
    assert_eq!(cases.len(), 121);
    let mut wrong = Vec::new();
    for case in &cases {
        let got = run(case);
        if !matches(case.expected, &got) {
            wrong.push(format!("{}: expected {}, got {got}", case.name, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} of {} as expected", cases.len() - wrong.len(), cases.len());
}

// Damaged messages on a live session: no panic, and a session that ends says why.
#[test]
fn damaged_messages_end_the_session_with_a_word_or_not_at_all() {
    let mut rng = 9_u64;
    let mut random = |below: usize| {
        rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (rng >> 33) as usize % below
    };
    let cases = cases();
    for _ in 0..600 {
        let mut lab = Lab::connect();
        lab.say(&good_open());
        lab.say(&keepalive());
        let mut octets = cases[random(cases.len())].octets.clone();
        for _ in 0..1 + random(3) {
            // Often a length or a flag.
            let at = random(octets.len());
            octets[at] = random(256) as u8;
        }
        lab.say(&octets);
        lab.say(&sentinel());
        if lab.state() != State::Established {
            assert!(lab.closed, "{octets:x?}");
            let by_them = octets.get(18) == Some(&3);
            assert!(by_them || lab.reset().is_some_and(|reset| reset != "reset -"), "{octets:x?}");
        }
    }
}

// The pattern matcher of this test must be able to fail.
#[test]
fn reactions_are_told_apart() {
    assert!(matches("reset 3/*", "reset 3/1") && !matches("reset 3/*", "reset 2/1"));
    assert!(matches("reset */*", "reset -") && !matches("reset 1/2", "reset -"));
    assert!(matches("withdraw|accept", "accept") && !matches("withdraw", "accept"));
    assert!(!matches("established", "reset 2/0") && !matches("reset */*", "established"));
    if matches("reset 1/2", "reset 1/3") {
        panic!("subcodes are not compared");
    }
}
