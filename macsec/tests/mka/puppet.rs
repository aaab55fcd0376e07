//! One KaY with its SecY, and a peer that says exactly what the test wants it to say.

use std::time::Duration;

use macsec::{
    An, Cak, CipherSuite, Ckn, ConfidentialityOffset, KeyId, Sci, SecY, SecyPolicy,
    mka::{
        Confidentiality, Kay, KayParams, KeyAction, KeyEntry, MacsecCapability, MemberId, MkaEvent,
        MkaStatus,
        kdf::CakKeys,
        keywrap,
        wire::{
            Basic, DistributedKey, DistributedSak, Envelope, KeyUse, KeysInUse, Mkpdu, PeerId, PeerList,
            SakUse, frame,
        },
    },
};
use net::{EtherType, Instant, MacAddr, PacketBuf};

use crate::world::{Dice, at, cak, ckn, hear, key, ms, params, sci};

/// The KaY under test: node 0, and what it did.
pub(crate) struct Solo {
    pub(crate) kay: Kay,
    pub(crate) secy: SecY,
    pub(crate) now: Instant,
    pub(crate) actions: Vec<KeyAction>,
    pub(crate) events: Vec<MkaEvent>,
    /// Frames it sent.
    pub(crate) frames: Vec<Vec<u8>>,
    ethertype: EtherType,
}

impl Solo {
    pub(crate) fn new() -> Self {
        Self::with(params(0), vec![key(1)])
    }

    pub(crate) fn with(params: KayParams, keys: Vec<KeyEntry>) -> Self {
        let now = at(1000);
        let ethertype = params.ethertype;
        let secy = SecY::new(SecyPolicy::new(params.sci), now).unwrap();
        let mut kay = Kay::new(params, Dice::new(11).rng(), now);
        kay.set_keys(keys, now);
        let mut solo =
            Self { kay, secy, now, actions: Vec::new(), events: Vec::new(), frames: Vec::new(), ethertype };
        solo.drain();
        solo
    }

    pub(crate) fn drain(&mut self) {
        while let Some(action) = self.kay.poll_action() {
            action.apply(&mut self.secy, self.now).unwrap();
            self.actions.push(action);
        }
        let mut out = PacketBuf::with_capacity(1600, 0);
        while self.kay.poll_transmit(&mut out) {
            self.frames.push(out.to_vec());
            out.reset(0);
        }
        while let Some(event) = self.kay.poll_event() {
            self.events.push(event);
        }
    }

    /// Lets time pass, doing what is due on the way.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some(due) = self.kay.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.kay.note_pns(self.secy.next_pn(), self.now);
            self.kay.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    pub(crate) fn hear(&mut self, frame: &[u8]) {
        hear(&mut self.kay, frame, self.now);
        self.drain();
        // Answers come at most a gap later.
        self.pass(ms(25));
    }

    /// The last MKPDU it sent, parsed, its ICV checked with the key of this name.
    pub(crate) fn said_under(&self, name: u8) -> Mkpdu {
        let keys = CakKeys::derive(&cak(name), &ckn(name)).unwrap();
        let mine = self.frames.iter().rev().map(|frame| Envelope::open(frame, self.ethertype).unwrap());
        let mut mine = mine.filter(|envelope| envelope.authentic(&keys));
        mine.next().expect("nothing was sent under this key").mkpdu().unwrap()
    }

    pub(crate) fn said(&self) -> Mkpdu {
        self.said_under(1)
    }

    pub(crate) fn status(&self) -> MkaStatus {
        self.kay.status(self.now)
    }

    pub(crate) fn is_diagnosed(&self, code: &str) -> bool {
        self.status().diagnoses.iter().any(|found| found.code() == code)
    }

    /// How many receive or transmit SAs were installed.
    pub(crate) fn installs(&self) -> usize {
        let installs = |action: &&KeyAction| {
            matches!(action, KeyAction::InstallReceiveSa { .. } | KeyAction::InstallTransmitSa { .. })
        };
        self.actions.iter().filter(installs).count()
    }
}

/// The peer: node 1 unless changed.
#[derive(Clone)]
pub(crate) struct Puppet {
    pub(crate) keys: CakKeys,
    pub(crate) ckn: Ckn,
    pub(crate) sci: Sci,
    pub(crate) member: MemberId,
    pub(crate) message: u32,
    pub(crate) priority: u8,
    pub(crate) version: u8,
    pub(crate) destination: MacAddr,
    pub(crate) ethertype: EtherType,
}

impl Puppet {
    pub(crate) fn new() -> Self {
        Self::with(&ckn(1), &cak(1))
    }

    pub(crate) fn with(ckn: &Ckn, cak: &Cak) -> Self {
        Self {
            keys: CakKeys::derive(cak, ckn).unwrap(),
            ckn: *ckn,
            sci: sci(1),
            member: MemberId([0xb0; 12]),
            message: 0,
            priority: 0x20,
            version: 3,
            destination: MacAddr::PAE_GROUP,
            ethertype: EtherType::EAPOL,
        }
    }

    /// One that becomes key server.
    pub(crate) fn server() -> Self {
        Self { priority: 1, ..Self::new() }
    }

    /// An MKPDU with a basic parameter set and the next message number.
    pub(crate) fn mkpdu(&mut self) -> Mkpdu {
        self.message += 1;
        Mkpdu::new(Basic {
            version: self.version,
            priority: self.priority,
            key_server: true,
            macsec_desired: true,
            capability: MacsecCapability::Offsets,
            sci: self.sci,
            member: self.member,
            message: self.message,
            agility: Basic::AGILITY,
            ckn: self.ckn,
        })
    }

    pub(crate) fn seal(&self, mkpdu: &Mkpdu) -> Vec<u8> {
        let mut out = PacketBuf::with_capacity(1600, 0);
        assert!(frame::seal(mkpdu, &self.keys, (self.destination, self.sci.mac(), self.ethertype), &mut out));
        out.to_vec()
    }

    /// A hello that names nobody.
    pub(crate) fn hello(&mut self) -> Vec<u8> {
        let mkpdu = self.mkpdu();
        self.seal(&mkpdu)
    }

    /// An MKPDU that lists `solo` as live, with its last message.
    pub(crate) fn greeting(&mut self, solo: &Solo) -> Mkpdu {
        let heard = solo.said().basic;
        let mut mkpdu = self.mkpdu();
        mkpdu.live = Some(list(&[(heard.member, heard.message)]));
        mkpdu
    }

    pub(crate) fn greet(&mut self, solo: &mut Solo) {
        let greeting = self.greeting(solo);
        let frame = self.seal(&greeting);
        solo.hear(&frame);
    }

    /// A Distributed SAK of this key number, of 0x5a octets xored with the number.
    pub(crate) fn sak(&self, number: u32, an: u8, suite: CipherSuite) -> DistributedSak {
        let sak = vec![0x5a ^ number as u8; suite.key_len()];
        DistributedSak {
            an: An::new(an).unwrap(),
            confidentiality: Confidentiality::From(ConfidentialityOffset::Zero),
            key: Some(DistributedKey {
                number,
                suite: (suite != CipherSuite::GcmAes128).then_some(suite.id()),
                wrapped: keywrap::wrap(self.keys.kek(), &sak).unwrap(),
            }),
        }
    }

    /// Greets and distributes.
    pub(crate) fn distribute(&mut self, solo: &mut Solo, distributed: DistributedSak) {
        let mut greeting = self.greeting(solo);
        greeting.distributed_sak = Some(distributed);
        let frame = self.seal(&greeting);
        solo.hear(&frame);
    }

    pub(crate) fn key_id(&self, number: u32) -> KeyId {
        KeyId::new(self.member.0, number)
    }

    /// Greets and says which keys it uses.
    pub(crate) fn report(&mut self, solo: &mut Solo, latest: Option<KeyUse>, old: Option<KeyUse>) {
        let mut greeting = self.greeting(solo);
        greeting.sak_use = Some(SakUse {
            keys: Some(KeysInUse { latest: latest.unwrap_or_default(), old: old.unwrap_or_default() }),
            ..SakUse::default()
        });
        let frame = self.seal(&greeting);
        solo.hear(&frame);
    }
}

pub(crate) fn list(members: &[(MemberId, u32)]) -> PeerList {
    let peers =
        members.iter().map(|(member, message)| PeerId { member: *member, message: *message }).collect();
    PeerList { server_ssci: 0, peers }
}

pub(crate) fn in_use(key_id: KeyId, an: u8, tx: bool, rx: bool) -> KeyUse {
    KeyUse { an: An::new(an).unwrap(), tx, rx, key_id, lowest_pn: 1 }
}
