//! What the dataplane tells its control plane, when there is very much of it.

use std::sync::Arc;

use dataplane::{
    Board, ChannelId, ChannelSetup, ConnectionId, ConnectionKind, ConnectionSetup, Dataplane, Depot, Event,
    Fault, InterfaceSetup, MssClamp, Place, Pool, PoolSizes, PortCaps, PortId, PortSetup, Protection, Setup,
    WorkerId,
};
use macsec::{Sci, SecyPolicy};
use net::{EtherType, Instant, VlanId, VlanTag};
use world::Side::Left;

/// BGP learns of an attachment's link by these events and nothing else, and one channel may carry thousands.
#[test]
fn every_attachment_of_a_channel_that_comes_up_is_told_of() {
    const ATTACHMENTS: u16 = 2000;
    let me = WorkerId(0);
    let attachment = |vlan| InterfaceSetup {
        connection: ConnectionId(0),
        place: Place::Attachment {
            channel: ChannelId(0),
            vlan: Some(VlanTag::new(EtherType::VLAN, VlanId::new(vlan).unwrap())),
        },
        mac: Left.lan_mac(),
        mtu: 1400,
        addresses: vec![],
        mss_clamp: MssClamp::Off,
        host: None,
        bfd: vec![],
    };
    let setup = Setup {
        lags: vec![],
        workers: 1,
        ports: vec![PortSetup { owner: Some(me), caps: PortCaps::default() }],
        channels: vec![ChannelSetup {
            port: PortId(0),
            owner: me,
            clear_tags: vec![],
            secy: SecyPolicy::new(Sci::new(Left.lan_mac(), 1)),
            mka: None,
        }],
        interfaces: (1..=ATTACHMENTS).map(attachment).collect(),
        connections: vec![ConnectionSetup::new(ConnectionKind::Routed, Protection::Ecmp)],
    };
    let depot = Depot::new(PoolSizes { small_count: 64, big_count: 1, ..PoolSizes::default() });
    let board = Board::new(ATTACHMENTS.into());
    let mut worker = Dataplane::new(me, Arc::new(setup), board, Pool::new(depot), 1).unwrap();
    worker.set_channel_fault(ChannelId(0), Fault::NotSecured, false, Instant::ZERO);
    for up in [true, false, true] {
        let fault = (!up).then_some(Fault::NoCarrier);
        worker.set_port_fault(PortId(0), fault, Instant::ZERO);
        let told = core::iter::from_fn(|| worker.poll_event());
        let link = |event: &Event| match up {
            true => matches!(event, Event::AttachmentUp(_)),
            false => matches!(event, Event::AttachmentDown(_, Fault::NoCarrier)),
        };
        assert_eq!(told.filter(link).count(), usize::from(ATTACHMENTS), "up: {up}");
    }
}
