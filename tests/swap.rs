//! New routes while frames flow: a worker that takes them does next to nothing.

use std::{net::IpAddr, sync::Arc};

use dataplane::{ConnectionTables, Hop, InterfaceId, Tables, Target};
use net::IpNet;
use sys::CountingAllocator;
use world::{Side::Left, World};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Routes with a next-hop group each, all different.
const GROUPS: u16 = 1000;

fn tables(generation: u64) -> Arc<Tables> {
    let route = |at: u16| {
        let [high, low] = at.to_be_bytes();
        let prefix: IpNet = format!("172.{}.{low}.0/24", 16 + high).parse().unwrap();
        let hop = |interface: u8| Hop {
            interface: InterfaceId(u16::from(interface)),
            gateway: IpAddr::from([169, 254, interface, 2]),
            // Different weights make different groups of the same hops.
            weight: 1 + (low >> (2 * interface) & 3) + high,
            carries: true,
        };
        (prefix, Target::Via((0..4).map(hop).collect()))
    };
    let routes = ConnectionTables::build((0..GROUPS).map(route));
    Arc::new(Tables { generation, connections: vec![Arc::new(routes)] })
}

#[test]
fn taking_new_tables_of_a_thousand_groups_allocates_and_frees_nothing() {
    let mut world = World::routed(4);
    let (first, second) = (tables(2), tables(3));
    drop(world.at(Left).set_tables(first));
    let (before, gateway) = (CountingAllocator::count(), world.at(Left));
    let retired = gateway.set_tables(second);
    assert_eq!(CountingAllocator::count() - before, 0, "what is long is done where tables are built");
    assert_eq!(
        (retired.generation, Arc::strong_count(&retired)),
        (2, 1),
        "the last copy is the caller's to free"
    );
}
