//! The lab itself: wired sites, their files, their gateways. What the lab's process holds and requests change.

use std::time::Duration;

use anyhow::{Context, bail};

use super::super::gateway::Gateway;
use super::super::site::{Plan, Site, SiteFiles};
use super::place::Place;
use super::request::{Request, Setup};
use super::status::{GatewayState, NodeLine, Status};
use crate::lab::{Entered, Stop, Topology, WiredSites, in_words, way_in};

/// A lab that stands. Dropping it ends its gateways and takes everything away.
pub(super) struct Held {
    place: Place,
    setup: Setup,
    entered: Entered,
    /// Before the sites, so that they end while their namespaces are there.
    gateways: Vec<Running>,
    sites: WiredSites,
    _files: SiteFiles,
    stop: Stop,
}

/// A site, and its gateway once it was started.
struct Running {
    site: Site,
    gateway: Option<Gateway>,
}

impl Held {
    /// Builds the sites and writes their files; starts the gateways when it is asked for, and waits for their channels and routes.
    pub(super) fn begin(place: Place, setup: Setup, entered: Entered, stop: &Stop) -> anyhow::Result<Self> {
        let Setup { mode, channels, .. } = setup;
        let plan = Plan { mode, channels, channel_mtu: CHANNEL_MTU, next_key_after: None, measured: true };
        let sites = WiredSites::build(setup.channels, CHANNEL_MTU, setup.seed)?;
        let files = SiteFiles::write_in(place.sites(), plan).context("writing the sites' files")?;
        let gateways = files.sites.iter().map(|site| Running { site: site.clone(), gateway: None }).collect();
        let mut held = Self { place, setup, entered, gateways, sites, _files: files, stop: stop.clone() };
        if !setup.config_only {
            held.start_all()?;
        }
        Ok(held)
    }

    fn start_all(&mut self) -> anyhow::Result<()> {
        for running in &mut self.gateways {
            running.gateway = Some(Gateway::start(self.sites.lab(), &running.site)?);
        }
        for running in &mut self.gateways {
            if let Some(gateway) = &mut running.gateway {
                gateway.wait_live(self.setup.channels.into(), PATIENCE, &self.stop)?;
            }
        }
        // Hosts reach each other only by routes that the sites have told each other.
        for gateway in self.gateways.iter().filter_map(|running| running.gateway.as_ref()) {
            gateway.wait_ways(self.setup.channels.into(), PATIENCE, &self.stop)?;
        }
        Ok(())
    }

    /// Does what a request asks for. Whoever asks for the end gets a status too; the caller ends then.
    pub(super) fn handle(&mut self, request: &Request) -> anyhow::Result<Status> {
        match request {
            Request::Status | Request::Down => {}
            Request::Cut { channels } => self.sites.cut(&names(channels))?,
            Request::Heal { channels } if channels.is_empty() => {
                self.sites.heal(&names(self.sites.channels()))?;
            }
            Request::Heal { channels } => self.sites.heal(&names(channels))?,
            Request::Impair { channels, way, change } => {
                for channel in channels {
                    self.sites.impair(channel, *way, |impairment| change.apply(impairment))?;
                }
            }
            Request::Kill { site } => self.kill(*site)?,
            Request::Start { site } => self.start(*site)?,
        }
        self.status()
    }

    fn kill(&mut self, site: char) -> anyhow::Result<()> {
        let Some(gateway) = &mut self.running(site)?.gateway else {
            bail!("this lab does not run the gateway of site {site}; kill it where you started it");
        };
        gateway.kill()?;
        Ok(())
    }

    fn start(&mut self, site: char) -> anyhow::Result<()> {
        let Some(place) = self.gateways.iter().position(|running| running.site.letter == site) else {
            bail!("there is no site {site}; there are a and b");
        };
        let Some(running) = self.gateways.get_mut(place) else { return Ok(()) };
        if let Some(gateway) = &mut running.gateway
            && gateway.ended()?.is_none()
        {
            return Ok(());
        }
        running.gateway = Some(Gateway::start(self.sites.lab(), &running.site)?);
        Ok(())
    }

    fn running(&mut self, site: char) -> anyhow::Result<&mut Running> {
        let found = self.gateways.iter_mut().find(|running| running.site.letter == site);
        found.with_context(|| format!("there is no site {site}; there are a and b"))
    }

    /// How it is.
    pub(super) fn status(&mut self) -> anyhow::Result<Status> {
        let channels = self.sites.states()?;
        let gateways: anyhow::Result<Vec<_>> = self.gateways.iter_mut().map(gateway_state).collect();
        let mut nodes = Vec::new();
        for name in ["h-a", "gw-a", Topology::WIRE, "gw-b", "h-b"] {
            let enter = way_in(self.entered, self.sites.lab().pid(name)?);
            nodes.push(NodeLine { name: name.to_owned(), enter });
        }
        Ok(Status {
            api: "v1".to_owned(),
            kind: "Lab".to_owned(),
            name: self.place.name().to_owned(),
            pid: std::process::id(),
            directory: self.place.directory().to_owned(),
            mode: self.setup.mode,
            channels,
            gateways: gateways?,
            nodes,
        })
    }

    /// Ends the gateways in order.
    pub(super) fn end(mut self) {
        for running in &mut self.gateways {
            if let Some(gateway) = &mut running.gateway {
                // One that does not end in order is killed when it is dropped.
                let _ended = gateway.end();
            }
        }
    }
}

fn gateway_state(running: &mut Running) -> anyhow::Result<GatewayState> {
    let (pid, state) = match &mut running.gateway {
        None => (None, "not started".to_owned()),
        Some(gateway) => match gateway.ended()? {
            None => (Some(gateway.id()), "runs".to_owned()),
            Some(status) => (None, format!("ended: {}", in_words(status))),
        },
    };
    let Site { letter: site, config, socket, log } = running.site.clone();
    Ok(GatewayState { site, pid, state, socket, config, log })
}

fn names(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// As in the demo.
const CHANNEL_MTU: u32 = 1600;
/// How long the gateways may take until all channels are live, and then until they know all ways.
const PATIENCE: Duration = Duration::from_secs(10);
