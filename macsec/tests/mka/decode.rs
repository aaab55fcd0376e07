//! Reading along: a key exchange between two gateways, seen from a capture.

use macsec::{
    Cak, CipherSuite, Ckn, RxVerdict, Sci, SecY, SecyPolicy,
    mka::{
        MkpduFault,
        decode::{Follower, IcvCheck},
    },
};
use net::{EtherType, Instant, PacketBuf};

use crate::world::{World, cak, ckn, key, mac, ms, params, sci, secs};

fn recorded(suites: Vec<CipherSuite>) -> World {
    let mut world = World::with(2, |_, params| params.suites.clone_from(&suites));
    world.taping = true;
    world.settle(secs(1));
    world.run(secs(5));
    world.tell(0, macsec::mka::Kay::rekey);
    world.run(secs(5));
    world
}

fn follow(world: &World, keys: &[(Ckn, &Cak)]) -> (Follower, Vec<IcvCheck>) {
    let mut follower = Follower::new(keys.iter().copied());
    let mut checks = Vec::new();
    for (at, _, frame) in &world.tape {
        let decoded = follower.observe(frame, EtherType::EAPOL, *at).unwrap();
        assert!(decoded.mkpdu.is_some());
        assert_eq!(decoded.ckn, ckn(1));
        checks.push(decoded.icv);
    }
    (follower, checks)
}

#[test]
fn a_capture_gives_members_saks_and_clear_text() {
    for suite in CipherSuite::ALL {
        let mut world = recorded(vec![suite]);
        let (follower, checks) = follow(&world, &[(ckn(1), &cak(1))]);
        assert!(checks.iter().all(|check| *check == IcvCheck::Valid) && checks.len() > 10);
        let members: Vec<Sci> = follower.members().values().map(|member| member.sci).collect();
        assert!(members.len() == 2 && members.contains(&sci(0)) && members.contains(&sci(1)));
        let sent: u64 = follower.members().values().map(|member| member.mkpdus).sum();
        assert_eq!(sent, world.tape.len() as u64);
        let [first, second] = follower.saks() else { panic!("{:?}", follower.saks()) };
        assert!(first.distributed_at < second.distributed_at && first.server == sci(0));
        let used = world.status(0).key.unwrap();
        assert_eq!(second.data.key_id, used.key_id);
        assert_eq!(second.data.sak.fingerprint(), used.fingerprint);
        assert_eq!((second.data.suite, second.data.an), (suite, used.an));
        // What node 0 sends can be read with it.
        let mut frame =
            PacketBuf::copy_of(&[&[0xff; 6][..], &mac(0).0, b"\x08\x00clear text"].concat(), 32, 32);
        let clear = frame.to_vec();
        world.nodes[0].secy.protect(&mut frame).unwrap();
        assert_ne!(frame.to_vec(), clear);
        let mut reader = SecY::new(SecyPolicy::new(sci(9)), Instant::ZERO).unwrap();
        reader.create_receive_sc(sci(0), Instant::ZERO).unwrap();
        let ssci = follower.ssci(second, sci(0)).unwrap();
        let params = second.data.receive_params(1, ssci);
        reader.create_receive_sa(sci(0), second.data.an, &params, Instant::ZERO).unwrap();
        reader.enable_receive_sa(sci(0), second.data.an, Instant::ZERO).unwrap();
        assert!(matches!(reader.validate(&mut frame), RxVerdict::Deliver(_)));
        assert_eq!(frame.to_vec(), clear);
    }
}

#[test]
fn without_the_right_cak_nothing_is_believed() {
    let world = recorded(vec![CipherSuite::GcmAesXpn256]);
    let (follower, checks) = follow(&world, &[(ckn(1), &cak(2))]);
    assert!(checks.iter().all(|check| *check == IcvCheck::Invalid));
    assert!(follower.saks().is_empty() && follower.members().is_empty());
    let (follower, checks) = follow(&world, &[(ckn(2), &cak(1))]);
    assert!(checks.iter().all(|check| *check == IcvCheck::UnknownCkn));
    assert!(follower.saks().is_empty());
}

#[test]
fn a_key_name_stands_for_its_padded_form() {
    let mut world = World::new(1);
    for node in 0..2 {
        let mut params = params(node);
        params.ckn_padding = true;
        world.add(params, vec![key(1)]);
    }
    world.taping = true;
    world.settle(secs(1));
    world.run(ms(100));
    let keys = cak(1);
    let mut follower = Follower::new([(ckn(1), &keys)]);
    for (at, _, frame) in &world.tape {
        assert_eq!(follower.observe(frame, EtherType::EAPOL, *at).unwrap().icv, IcvCheck::Valid);
    }
}

#[test]
fn other_frames_and_broken_ones_are_told_apart() {
    let world = recorded(vec![CipherSuite::GcmAes128]);
    let (_, _, frame) = &world.tape[0];
    let keys = cak(1);
    let mut follower = Follower::new([(ckn(1), &keys)]);
    let mut observe =
        |frame: &[u8]| follower.observe(frame, EtherType::EAPOL, Instant::ZERO).map(|seen| seen.icv);
    assert_eq!(observe(&[0; 60]), Err(MkpduFault::NotMka));
    for len in 0..frame.len() {
        assert!(observe(&frame[..len]).is_err(), "{len}");
    }
    for at in 0..frame.len() * 8 {
        let mut changed = frame.clone();
        changed[at / 8] ^= 1 << (at % 8);
        // The ICV covers everything from the destination address on.
        assert_ne!(observe(&changed), Ok(IcvCheck::Valid), "bit {at}");
    }
    assert_eq!(observe(frame), Ok(IcvCheck::Valid));
}
