//! Our own two gateways on the stage.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};

use super::super::api;
use super::super::detect::{self, Noticed};
use super::super::gateway::Gateway;
use super::super::outcome::grouped;
use super::super::routing::active;
use super::super::site::{Plan, Site, SiteFiles};
use super::super::standing::Mode;
use super::contender::Contender;
use super::stage::{CHANNEL_MTU, CHANNELS, PATIENCE};
use crate::api::model::Drop;
use crate::lab::{Lab, Stop, WiredSites};

/// Both gateways and their files.
pub struct Quadspans {
    program: PathBuf,
    gateways: Vec<Gateway>,
    files: SiteFiles,
}

impl Quadspans {
    /// Builds the sites and starts the gateways: this program, `run -c FILE`. Their paths are `measured`, or not. The wires'
    /// chances are drawn from `seed`.
    ///
    /// # Errors
    /// When the lab cannot be built, a file not written, or the program not started.
    pub fn start(
        program: &Path,
        mode: Mode,
        measured: bool,
        seed: u64,
    ) -> anyhow::Result<(Self, WiredSites)> {
        let sites = WiredSites::build(CHANNELS, CHANNEL_MTU, seed)?;
        let plan =
            Plan { mode, channels: CHANNELS, channel_mtu: CHANNEL_MTU, next_key_after: None, measured };
        let files = SiteFiles::write(plan).context("writing the sites' files")?;
        let start = |site| Gateway::start_program(program, sites.lab(), site);
        let gateways = files.sites.iter().map(start).collect::<anyhow::Result<_>>()?;
        Ok((Self { program: program.to_owned(), gateways, files }, sites))
    }

    fn first(&self) -> anyhow::Result<&Gateway> {
        self.gateways.first().context("there is no gateway")
    }
}

impl Contender for Quadspans {
    fn wait_well(&mut self, mode: Mode, _lab: &Lab, stop: &Stop) -> anyhow::Result<()> {
        for gateway in &mut self.gateways {
            gateway.wait_live(CHANNELS.into(), PATIENCE, stop)?;
            gateway.wait_ways(CHANNELS.into(), PATIENCE, stop)?;
        }
        for gateway in self.gateways.iter().filter(|_| mode == Mode::ActiveStandby) {
            let active = || active(&gateway.site().socket).is_ok_and(|active| active == MOST_PREFERRED);
            if !stop.poll(PATIENCE, STEP, active) {
                bail!("site {} does not go back to {MOST_PREFERRED}", gateway.site().letter);
            }
        }
        Ok(())
    }

    fn drain(&mut self, channel: &str, _lab: &Lab, stop: &Stop) -> anyhow::Result<Duration> {
        self.first()?.drain(channel, PATIENCE, stop)
    }

    fn undrain(&mut self, channel: &str, _lab: &Lab) -> anyhow::Result<()> {
        self.first()?.undrain(channel)
    }

    fn kill_and_start(&mut self, site: char, lab: &Lab) -> anyhow::Result<()> {
        for gateway in self.gateways.iter_mut().filter(|gateway| gateway.site().letter == site) {
            let site = gateway.site().clone();
            gateway.kill()?;
            *gateway = Gateway::start_program(&self.program, lab, &site)?;
        }
        Ok(())
    }

    fn hand_over(&mut self, site: char, _lab: &Lab) -> anyhow::Result<()> {
        for gateway in self.gateways.iter_mut().filter(|gateway| gateway.site().letter == site) {
            gateway.restart()?;
        }
        Ok(())
    }

    fn noticed(&self, since: SystemTime) -> Vec<(char, Vec<Noticed>)> {
        let of = |gateway: &Gateway| {
            let site = gateway.site();
            (site.letter, detect::noticed(&site.log, since))
        };
        self.gateways.iter().map(of).collect()
    }

    fn measures(&self) -> bool {
        true
    }

    fn drops(&self) -> Vec<String> {
        self.gateways.iter().map(|gateway| drops_of(gateway.site())).collect()
    }

    fn keep_logs(&mut self) -> PathBuf {
        self.files.keep_logs();
        self.files.directory().to_owned()
    }
}

fn drops_of(site: &Site) -> String {
    let list = api::get::<api::List<Drop>>(&site.socket, "/v1/drops");
    let each = |one: &Drop| format!("{} {} {}", one.name, one.reason, grouped(one.count));
    let words = match &list {
        Ok(list) if list.items.is_empty() => "nothing".to_owned(),
        Ok(list) => list.items.iter().map(each).collect::<Vec<_>>().join(", "),
        Err(error) => format!("does not say: {error}"),
    };
    format!("site {} dropped: {words}", site.letter)
}

/// With `active-standby`, the channel that carries everything as long as it can.
const MOST_PREFERRED: &str = "ch1";
const STEP: Duration = Duration::from_millis(20);
