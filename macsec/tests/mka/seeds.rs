//! Whole histories by seed: two to five gateways, a network that loses, delays, duplicates and corrupts MKPDUs, links that are
//! cut one way or both, processes that die and come back or hand over to another, keys that come and go, packet numbers that jump. Then the network
//! heals, and two life times later everybody must share one SAK and hear everybody.
//!
//! All the way the world checks: no packet number is used twice under a key, nobody transmits with a key before receiving with
//! it, nothing is delivered that was not sent, time does not stand still.
//!
//! `QUADSPAN_SEEDS=100000 cargo test -p macsec --test mka seeds` runs more, `QUADSPAN_SEED=17` that one.

use std::time::Duration;

use macsec::{
    CipherSuite,
    mka::{KeyEntry, LIFE},
};

use crate::world::{Dice, Weather, World, key, ms, params, secs};

/// How many by default.
const SEEDS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn everybody_agrees_two_life_times_after_the_network_has_healed() {
    if let Some(seed) = number("QUADSPAN_SEED") {
        println!("{}", history(seed).describe());
        return;
    }
    let seeds = number("QUADSPAN_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let lanes: Vec<_> = (0..threads)
        .map(|lane| {
            std::thread::spawn(move || {
                (lane..seeds).step_by(threads as usize).for_each(|seed| drop(history(seed)));
            })
        })
        .collect();
    for lane in lanes {
        // The seed is in the message of the thread that panicked.
        lane.join().unwrap();
    }
}

/// Lives through the history of this seed, and checks its end.
fn history(seed: u64) -> World {
    let mut world = World::new(seed);
    let mut dice = Dice::new(seed ^ 0x5eed);
    let count = 2 + dice.below(4) as usize;
    world.weather = bad_weather(&mut dice);
    world.start_traffic(ms(250));
    for node in 0..count {
        let params = odd_params(node, &mut dice);
        world.add(params, vec![key(1)]);
        world.run(ms(dice.below(3_000)));
    }
    for _ in 0..6 + dice.below(10) {
        misfortune(&mut world, &mut dice);
        world.run(ms(dice.below(9_000)));
    }
    heal(&mut world);
    world.run(LIFE * 2 - secs(1));
    // The clock may rekey just now.
    world.settle(secs(1));
    world.stop_traffic();
    world.run(ms(10));
    world.ping();
    // And it stays so.
    let lost = world.losses.len();
    world.start_traffic(ms(250));
    world.run(secs(10));
    assert_eq!(world.losses.len(), lost, "seed {seed}: {:?}\n{}", &world.losses[lost..], world.describe());
    assert_eq!(world.refusals, Vec::<String>::new(), "seed {seed}");
    world
}

fn bad_weather(dice: &mut Dice) -> Weather {
    let least = dice.below(50);
    let spread = [1, 30, 200, 1_500][dice.below(4) as usize];
    Weather {
        loss: dice.below(50),
        duplicate: dice.below(20),
        corrupt: dice.below(20),
        delay: (ms(least), ms(least + spread)),
    }
}

fn odd_params(node: usize, dice: &mut Dice) -> macsec::mka::KayParams {
    let mut params = params(node);
    params.priority = [16, 16, 16, 32, 255][dice.below(5) as usize];
    if node == 0 {
        params.priority = 40;
    }
    params.version = 1 + dice.below(3) as u8;
    params.delay_protect = dice.chance(20);
    params.announce = dice.chance(80);
    params.rekey = dice.chance(20).then_some(secs(15));
    params.rekey_on_peer_loss = dice.chance(70);
    if dice.chance(30) {
        params.suites = vec![CipherSuite::GcmAesXpn256, CipherSuite::GcmAes128];
    }
    // A member without announcement is taken to have what the key server prefers: so it must.
    params
}

fn misfortune(world: &mut World, dice: &mut Dice) {
    let count = world.nodes.len() as u64;
    let node = dice.below(count) as usize;
    let other = dice.below(count) as usize;
    match dice.below(13) {
        0 => world.kill(node),
        1 | 2 => world.restart(node),
        3 => drop(world.cut.insert((node, other))),
        4 => world.cut.extend([(node, other), (other, node)]),
        5 => world.cut.clear(),
        6 if world.nodes[node].alive => drop(world.tell(node, macsec::mka::Kay::rekey)),
        7 if world.nodes[node].alive => world.set_keys(node, some_keys(dice)),
        8 if world.nodes[node].alive => jump(world, node),
        9 => world.weather = bad_weather(dice),
        10 if world.nodes[node].alive => world.tell(node, macsec::mka::Kay::handle_link_up),
        11 if world.nodes[node].alive => world.hand_over(node),
        _ => {}
    }
}

fn some_keys(dice: &mut Dice) -> Vec<KeyEntry> {
    match dice.below(5) {
        0 => vec![key(2), key(1)],
        1 => vec![key(1), KeyEntry { fallback: true, ..key(3) }],
        2 => vec![key(3)],
        3 => vec![],
        _ => vec![key(1)],
    }
}

/// Packet numbers near their end.
fn jump(world: &mut World, node: usize) {
    let secy = &mut world.nodes[node].secy;
    if let Some((an, next)) = secy.next_pn() {
        let status = secy.status();
        let suite = status.transmit.sas.iter().find(|sa| sa.an == an).unwrap().suite;
        secy.raise_next_pn(an, next.max(suite.pending_exhaustion_pn())).unwrap();
    }
}

fn heal(world: &mut World) {
    world.cut.clear();
    world.weather = Weather { delay: (ms(0), ms(10)), ..Weather::FAIR };
    for node in 0..world.nodes.len() {
        if !world.nodes[node].alive {
            world.restart(node);
        }
        world.set_keys(node, vec![key(1)]);
    }
    // What is under way from before the network healed.
    world.run(Duration::from_millis(1_600));
}
