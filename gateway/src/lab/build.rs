//! A lab that is up: namespaces, links, programs.

use std::collections::BTreeMap;
use std::io;
use std::process::{Child, Command};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rtnetlink::Handle;
use sys::netns::{Holder, NetNs};
use sys::sysctl;

use super::error::{Doing, LabError};
use super::netlink;
use super::process::Process;
use super::topology::{End, Link, Node, Topology};

/// A laboratory that stands. Dropping it ends its programs and takes its namespaces and links away.
#[derive(Debug)]
pub struct Lab {
    nodes: BTreeMap<String, Arc<Holder>>,
    /// What stands, for healing: the kernel forgets addresses and routes of a link that goes down.
    plan: Mutex<Topology>,
    starter: Starter,
}

impl Lab {
    /// Builds `topology`: a held namespace for each node, the links, addresses and routes; everything is up.
    ///
    /// # Errors
    /// [`LabError::Forbidden`] without the privilege, [`LabError::Topology`] when it cannot be, otherwise what the
    /// system refused. What was built until then is taken away.
    pub fn build(topology: &Topology) -> Result<Self, LabError> {
        topology.check()?;
        if let Some(missing) = super::missing_privilege() {
            return Err(missing);
        }
        let mut nodes = BTreeMap::new();
        for node in &topology.nodes {
            let holder = Holder::start().doing(|| format!("starting node {}", node.name))?;
            nodes.insert(node.name.clone(), Arc::new(holder));
        }
        let plan = Topology { nodes: topology.nodes.clone(), links: Vec::new() };
        let lab = Self { nodes, plan: Mutex::new(plan), starter: Starter::start()? };
        for node in &topology.nodes {
            lab.in_node(&node.name, || prepare(node))??;
        }
        for link in &topology.links {
            lab.add_link(link)?;
        }
        for node in &topology.nodes {
            lab.add_routes(node)?;
        }
        Ok(lab)
    }

    /// The namespace of a node, for opening sockets in it.
    ///
    /// # Errors
    /// [`LabError::Topology`] when there is no such node.
    pub fn namespace(&self, node: &str) -> Result<&NetNs, LabError> {
        self.holder(node).map(|holder| holder.namespace())
    }

    /// The process that holds a node's namespace, for `nsenter -t PID -n`.
    ///
    /// # Errors
    /// [`LabError::Topology`] when there is no such node.
    pub fn pid(&self, node: &str) -> Result<u32, LabError> {
        self.holder(node).map(|holder| holder.pid())
    }

    /// Runs `work` on a fresh thread inside a node. Sockets opened there stay there.
    ///
    /// # Errors
    /// [`LabError::Topology`] when there is no such node.
    pub fn in_node<T: Send>(&self, node: &str, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        self.namespace(node)?.within(work).doing(|| format!("entering node {node}"))
    }

    /// Starts a program inside a node. It does not outlive the lab.
    ///
    /// # Errors
    /// What [`Command::spawn`] gives; [`LabError::Topology`] when there is no such node.
    pub fn spawn(&self, node: &str, command: Command) -> Result<Process, LabError> {
        let name = format!("{} in {node}", command.get_program().to_string_lossy());
        let holder = Arc::clone(self.holder(node)?);
        let child = self.starter.spawn(holder, command).doing(|| format!("starting {name}"))?;
        Ok(Process::new(name, child))
    }

    /// Adds a link between two nodes of the lab, and takes it up.
    ///
    /// # Errors
    /// What the kernel refuses, such as a name that is taken.
    pub fn add_link(&self, link: &Link) -> Result<(), LabError> {
        let [here, there] = &link.ends;
        let there_ns = std::os::fd::AsFd::as_fd(self.namespace(&there.node)?);
        self.netlink(&here.node, async |netlink| netlink::add_veth(netlink, here, there, there_ns).await)?;
        for end in &link.ends {
            self.bring_up(end)?;
        }
        self.plan.lock().links.push(link.clone());
        Ok(())
    }

    /// Deletes the link that has an end `device` at `node`: both ends are gone.
    ///
    /// # Errors
    /// When there is no such node or interface.
    pub fn delete_link(&self, node: &str, device: &str) -> Result<(), LabError> {
        self.netlink(node, async |netlink| netlink::delete(netlink, device).await)?;
        let is_it = |end: &End| end.node == node && end.device == device;
        self.plan.lock().links.retain(|link| !link.ends.iter().any(is_it));
        Ok(())
    }

    /// Takes one end of a link down: the other end loses its carrier.
    ///
    /// # Errors
    /// When there is no such node or interface.
    pub fn cut(&self, node: &str, device: &str) -> Result<(), LabError> {
        self.netlink(node, async |netlink| netlink::set_up(netlink, device, false).await)
    }

    /// Takes one end of a link up again, and gives it back the addresses and the node the routes that the kernel took
    /// away with it.
    ///
    /// # Errors
    /// When there is no such node or interface.
    pub fn heal(&self, node: &str, device: &str) -> Result<(), LabError> {
        let plan = self.plan.lock().clone();
        let mut ends = plan.links.iter().flat_map(|link| &link.ends);
        let Some(end) = ends.find(|end| end.node == node && end.device == device) else {
            return Err(LabError::Topology(format!("the lab has no interface {device} at {node}")));
        };
        self.bring_up(end)?;
        plan.nodes.iter().filter(|n| n.name == node).try_for_each(|node| self.add_routes(node))
    }

    fn bring_up(&self, end: &End) -> Result<(), LabError> {
        self.netlink(&end.node, async |netlink| netlink::bring_up(netlink, end).await)
    }

    fn add_routes(&self, node: &Node) -> Result<(), LabError> {
        self.netlink(&node.name, async |netlink| netlink::add_routes(netlink, node).await)
    }

    fn netlink<T: Send>(
        &self,
        node: &str,
        work: impl AsyncFnOnce(&Handle) -> Result<T, LabError> + Send,
    ) -> Result<T, LabError> {
        self.in_node(node, || netlink::run(work))?
    }

    fn holder(&self, node: &str) -> Result<&Arc<Holder>, LabError> {
        self.nodes.get(node).ok_or_else(|| LabError::Topology(format!("the lab has no node {node}")))
    }
}

/// What a node needs before it has links. Settings that only save time may be refused (a read-only `/proc/sys` in a
/// container); those that the topology asks for may not.
fn prepare(node: &Node) -> Result<(), LabError> {
    for key in ["accept_dad", "router_solicitations", "accept_ra"] {
        for scope in ["all", "default"] {
            let _ = sysctl::write(&format!("net/ipv6/conf/{scope}/{key}"), "0");
        }
    }
    let forwarding: &[_] = if node.forwarding { FORWARDING } else { &[] };
    let asked = node.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    for (key, value) in forwarding.iter().copied().chain(asked) {
        sysctl::write(key, value).doing(|| format!("setting {key} = {value} at {}", node.name))?;
    }
    netlink::run(async |netlink| netlink::set_up(netlink, "lo", true).await)
}

/// A router that shares flows by addresses and ports, not by addresses only.
const FORWARDING: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv4/fib_multipath_hash_policy", "1"),
    ("net/ipv6/fib_multipath_hash_policy", "1"),
];

/// A thread that starts programs. The kernel kills them when the thread that started them ends
/// (`PR_SET_PDEATHSIG`), so that thread has to live exactly as long as the lab, whoever asks.
#[derive(Debug)]
struct Starter {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

struct Order {
    node: Arc<Holder>,
    command: Command,
    answer: mpsc::SyncSender<io::Result<Child>>,
}

impl Starter {
    fn start() -> Result<Self, LabError> {
        let (orders, taken) = mpsc::channel::<Order>();
        let serve = move || {
            for mut order in taken {
                let started = order.node.namespace().spawn(&mut order.command);
                // Nobody waits for the answer only when the lab is being dropped.
                let _ = order.answer.send(started);
            }
        };
        let thread = std::thread::Builder::new().name("lab-starter".to_owned()).spawn(serve);
        let thread = thread.doing(|| "starting the lab's thread".to_owned())?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    fn spawn(&self, node: Arc<Holder>, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the lab is being taken down");
        let (answer, started) = mpsc::sync_channel(1);
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(Order { node, command, answer }).map_err(|_| gone())?;
        started.recv().map_err(|_| gone())?
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported already; there is nothing left to do here.
            let _ = thread.join();
        }
    }
}
