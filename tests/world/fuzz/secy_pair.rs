//! Two SecYs and a network between them that loses, repeats, reorders and changes frames, against a model of the
//! replay check (802.1AE-2018 §10.6).

use macsec::{
    An, Backend, CipherSuite, ConfidentialityOffset, Delivered, KeyId, ReceiveSaParams, RxDrop, RxVerdict,
    Sak, Salt, Sci, SecY, SecyPolicy, Ssci, TransmitSaParams,
};
use net::{Instant, MacAddr, PacketBuf};

use super::Choices;

const NOW: Instant = Instant::ZERO;
const ALICE: Sci = Sci::new(MacAddr([2, 0, 0, 0, 0, 1]), 1);
const BOB: Sci = Sci::new(MacAddr([2, 0, 0, 0, 0, 2]), 1);

/// A frame on its way: what it was, what it is, its number.
struct Flight {
    clear: Vec<u8>,
    sealed: Vec<u8>,
    pn: u64,
}

/// nextPN and lowestPN as the standard defines them, and every number that was accepted.
struct Model {
    next: u64,
    lowest: u64,
    window: u64,
    strict: bool,
    xpn: bool,
    seen: Vec<u64>,
}

impl Model {
    /// §10.6.2: 32 bits travel, and the rest is taken from lowestPN, or one more when lowestPN is in the upper half of
    /// its 2^32 and the 32 bits are not. A number that is older than that comes out another one: then the nonce is wrong,
    /// and nobody can know that the frame is late.
    fn misleads(&self, pn: u64) -> bool {
        let half = 1 << 31;
        let (low, upper) = (pn & 0xffff_ffff, self.lowest & !0xffff_ffff);
        let next = self.lowest & half != 0 && low & half == 0;
        self.xpn && (upper | low) + (u64::from(next) << 32) != pn
    }

    fn accepts(&self, pn: u64) -> bool {
        pn >= self.lowest && !(self.strict && self.seen.contains(&pn))
    }

    fn accepted(&mut self, pn: u64) {
        self.seen.push(pn);
        self.next = self.next.max(pn + 1);
        self.lowest = self.lowest.max(self.next.saturating_sub(self.window));
    }
}

/// What arrives as it was sent is delivered exactly when the model says so, as it was; what was changed never is.
pub fn secy_pair(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let suite = CipherSuite::ALL[choices.below(CipherSuite::ALL.len())];
    let backend = Backend::ALL[choices.below(Backend::ALL.len())];
    let (window, strict) = (u32::from(choices.octet()), choices.flag());
    let policy =
        SecyPolicy { backend, replay_window: window, strict_replay: strict, ..SecyPolicy::new(ALICE) };
    let first = [1, 0x7fff_fff0, 0xffff_ff00][choices.below(3)];
    let (mut alice, mut bob) = pair(policy, suite, first, &mut choices);
    let mut model = Model {
        next: first,
        lowest: first,
        window: window.into(),
        strict,
        xpn: suite.is_xpn(),
        seen: Vec::new(),
    };
    let mut flights: Vec<Flight> = Vec::new();
    let mut shown = 0;
    while !choices.is_empty() {
        if flights.is_empty() || choices.flag() {
            send(&mut alice, &mut choices, &mut flights);
            continue;
        }
        let at = choices.below(flights.len());
        let flight = &flights[at];
        if choices.below(4) == 0 {
            shown += u64::from(changed(&mut bob, flight, &mut choices));
        } else {
            whole(&mut bob, flight, &mut model);
            shown += 1;
        }
        if choices.flag() {
            flights.remove(at);
        }
        assert_eq!(bob.lowest_pn(ALICE, An::ALL[0]), Some(model.lowest));
        assert_eq!(counted(&bob), shown, "each frame is counted once");
    }
}

fn pair(policy: SecyPolicy, suite: CipherSuite, first: u64, choices: &mut Choices<'_>) -> (SecY, SecY) {
    let sak = Sak::new(&[0x42; 32][..suite.key_len()]).expect("a key of the suite's length");
    let offsets = [ConfidentialityOffset::Zero, ConfidentialityOffset::Thirty, ConfidentialityOffset::Fifty];
    let encrypt = choices.flag();
    // XPN suites know no other offset (§14.7.1).
    let offset = if suite.is_xpn() || !encrypt { offsets[0] } else { offsets[choices.below(3)] };
    let (an, key_id, ssci, salt) = (An::ALL[0], KeyId::default(), Ssci(1), Salt([7; 12]));
    let mut alice = SecY::new(policy, NOW).expect("a policy that holds together");
    let pn_limit = None;
    let transmit =
        TransmitSaParams { sak: &sak, suite, encrypt, offset, key_id, next_pn: first, pn_limit, ssci, salt };
    alice.create_transmit_sa(an, &transmit, NOW).expect("a new SA");
    alice.enable_transmit_sa(an, NOW).expect("it is there");
    let mut bob = SecY::new(SecyPolicy { sci: BOB, ..policy }, NOW).expect("a policy that holds together");
    bob.create_receive_sc(ALICE, NOW).expect("a new SC");
    let receive = ReceiveSaParams { sak: &sak, suite, offset, key_id, lowest_pn: first, ssci, salt };
    bob.create_receive_sa(ALICE, an, &receive, NOW).expect("a new SA");
    bob.enable_receive_sa(ALICE, an, NOW).expect("it is there");
    (alice, bob)
}

fn send(alice: &mut SecY, choices: &mut Choices<'_>, flights: &mut Vec<Flight>) {
    let len = 1 + choices.below(120);
    let clear = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &vec![choices.octet(); len]].concat();
    let (an, next) = alice.next_pn().expect("an SA is in use");
    // Numbers are lost now and then.
    alice.raise_next_pn(an, next + u64::from(choices.octet() / 16)).expect("it is there");
    let pn = alice.next_pn().expect("an SA is in use").1;
    let mut buf = PacketBuf::copy_of(&clear, 32, 32);
    if alice.protect(&mut buf).is_ok() {
        flights.push(Flight { clear, sealed: buf.to_vec(), pn });
    }
    if flights.len() > 32 {
        flights.remove(0);
    }
}

fn whole(bob: &mut SecY, flight: &Flight, model: &mut Model) {
    let mut buf = PacketBuf::copy_of(&flight.sealed, 0, 0);
    let verdict = bob.validate(&mut buf);
    if model.accepts(flight.pn) {
        assert_eq!(verdict, RxVerdict::Deliver(Delivered::Ok), "pn {} lowest {}", flight.pn, model.lowest);
        assert_eq!(&*buf, flight.clear, "the frame came out another");
        model.accepted(flight.pn);
    } else {
        let why = if model.misleads(flight.pn) { RxDrop::NotValid } else { RxDrop::Late };
        assert_eq!(verdict, RxVerdict::Drop(why), "pn {} lowest {}", flight.pn, model.lowest);
    }
}

/// Bits flipped, octets cut off: never delivered. False when the frame looks like one for the KaY (§9.5: E without C),
/// which is not the SecY's to count.
fn changed(bob: &mut SecY, flight: &Flight, choices: &mut Choices<'_>) -> bool {
    let mut octets = flight.sealed.clone();
    if choices.flag() {
        let at = usize::from(choices.word()) % octets.len();
        octets[at] ^= 1 << choices.below(8);
    } else {
        octets.truncate(usize::from(choices.word()) % octets.len());
    }
    let verdict = bob.validate(&mut PacketBuf::copy_of(&octets, 0, 0));
    assert!(
        matches!(verdict, RxVerdict::Drop(_) | RxVerdict::Uncontrolled),
        "{verdict:?} of a changed frame"
    );
    verdict != RxVerdict::Uncontrolled
}

fn counted(secy: &SecY) -> u64 {
    let status = secy.status();
    let sc = status.receive_totals();
    let counters = &status.counters;
    sc.in_pkts_ok
        + sc.in_pkts_unchecked
        + sc.in_pkts_invalid
        + sc.in_pkts_not_valid
        + sc.in_pkts_delayed
        + sc.in_pkts_late
        + counters.in_pkts_untagged
        + counters.in_pkts_no_tag
        + counters.in_pkts_bad_tag
        + counters.in_pkts_no_sa
        + counters.in_pkts_no_sa_error
        + counters.in_pkts_overrun
}
