//! Wires that can be bad: each joins two links of the lab in user space and can lose, delay, reorder, corrupt, duplicate
//! and limit what passes, or swallow everything while the links stay up.
//!
//! The kernel has `netem` for this, but many kernels are built without it, and an ordinary user cannot have it loaded.
//! Here a channel is two veth pairs with a thread of ours between them ([`Wire`]), so it works wherever a namespace
//! does. Both directions can be impaired differently.
//!
//! [`Impairment`] is what is wrong, [`Lane`] does it to one direction (pure: `now` and a seed go in), `pump` is the
//! thread. [`quantity`] reads what people type.
//!
//! Invariants: chances are drawn from a seeded stream; order is kept unless reordering is asked for; what waits is
//! bounded; buffers are made at the start and none is made for a frame.

mod impairment;
mod lane;
mod pump;
pub mod quantity;
mod random;

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Sender, bounded, unbounded};
use dataplane::port::Port;
use dataplane::port::af_packet::{AfPacketPort, Options, Ring};
use serde::{Deserialize, Serialize};
use sys::Waker;
use sys::netns::NetNs;

pub use self::impairment::{Impairment, Queue};
pub use self::lane::{Lane, LaneCounters, WAITING};
pub use self::pump::LaneReport;
use self::pump::{Order, Pump};
use super::error::{Doing, LabError};

/// One direction of a wire, or both. A is the end that was named first.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Both directions.
    #[default]
    Both,
    /// From end A to end B.
    AToB,
    /// From end B to end A.
    BToA,
}

impl Way {
    /// Which of a wire's two lanes these are: the one from A, the one from B.
    #[must_use]
    pub const fn lanes(self) -> &'static [usize] {
        match self {
            Self::Both => &[0, 1],
            Self::AToB => &[0],
            Self::BToA => &[1],
        }
    }
}

/// The two interfaces that a wire joins, both in one namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ends {
    /// End A.
    pub a: String,
    /// End B.
    pub b: String,
}

/// Wires and the thread that works for them. Dropping it ends the thread: nothing passes any more.
#[derive(Debug)]
pub struct Wire {
    count: usize,
    orders: Sender<Order>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Joins each pair of interfaces of `namespace`. Chances are drawn from `seed`; `mtu` is the largest payload of a frame
    /// in octets.
    ///
    /// # Errors
    /// When an interface cannot be opened, or there can be no thread.
    pub fn start(namespace: &NetNs, ends: &[Ends], mtu: u32, seed: u64) -> Result<Self, LabError> {
        let largest_frame = usize::try_from(mtu).unwrap_or(usize::MAX).saturating_add(TAGGED_HEADER);
        let open = |device: &str| {
            let port = AfPacketPort::open(&Options {
                device: device.to_owned(),
                ring: Ring::V2,
                ring_octets: RING_OCTETS,
                offload: true,
                qdisc_bypass: false,
                largest_frame,
                fanout: None,
            });
            let port = port.doing(|| format!("opening the wire's end {device}"))?;
            Ok::<Box<dyn Port>, LabError>(Box::new(port))
        };
        let open_all =
            || ends.iter().flat_map(|ends| [&ends.a, &ends.b]).map(|device| open(device)).collect();
        let ports: Result<Vec<_>, LabError> =
            namespace.within(open_all).doing(|| "entering the wires' namespace".to_owned())?;
        let (orders, taken) = unbounded();
        let starting = || "starting the wires' thread".to_owned();
        let (pump, waker) = Pump::new(ports?, largest_frame, seed, taken).doing(starting)?;
        let thread = std::thread::Builder::new().name("lab-wire".to_owned()).spawn(move || pump.run());
        Ok(Self { count: ends.len(), orders, waker, thread: Some(thread.doing(starting)?) })
    }

    /// Does this to the frames of wire number `wire` from now on; returns once it holds.
    ///
    /// # Errors
    /// When there is no such wire, or the thread is gone.
    pub fn set(&self, wire: usize, way: Way, impairment: Impairment) -> Result<(), LabError> {
        if wire >= self.count {
            return Err(LabError::Topology(format!("there is no wire number {wire}")));
        }
        for lane in way.lanes() {
            let lane = wire * 2 + lane;
            self.ask(|done| Order::Set { lane, impairment, done })?;
        }
        Ok(())
    }

    /// How each wire is, and what became of its frames: the lane from A, the lane from B.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn report(&self) -> Result<Vec<[LaneReport; 2]>, LabError> {
        let mut lanes = self.ask(Order::Report)?.into_iter();
        Ok(std::iter::from_fn(|| Some([lanes.next()?, lanes.next()?])).collect())
    }

    fn ask<T>(&self, order: impl FnOnce(Sender<T>) -> Order) -> Result<T, LabError> {
        let gone = || LabError::Topology("the wires' thread does not answer".to_owned());
        let (reply, answer) = bounded(1);
        self.orders.send(order(reply)).map_err(|_| gone())?;
        self.waker.wake();
        answer.recv_timeout(PATIENCE).map_err(|_| gone())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // When it cannot be told it is gone already.
        let _told = self.orders.send(Order::Stop);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported already; there is nothing left to do here.
            let _ = thread.join();
        }
    }
}

/// How long the thread may take for an order, on a machine that is starved.
const PATIENCE: Duration = Duration::from_secs(10);
/// Octets that a frame has beyond its payload: addresses, two clear tags, EtherType, and some more.
const TAGGED_HEADER: usize = 14 + 2 * 4 + 14;
/// Octets of each end's receive ring: about 1000 frames, 10 ms at 100 000 per second.
const RING_OCTETS: usize = 2 << 20;
