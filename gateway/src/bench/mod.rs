//! `quadspan bench`: what this machine can carry, before anybody trusts it with traffic.
//!
//! | file | what it measures |
//! | --- | --- |
//! | `machine` | the processor, its memory, the clock, how late timers are |
//! | `crypto` | the AEAD alone, and protecting and validating with it, by size, suite and library |
//! | `memory` | nothing: it makes two gateways in memory, for the next two |
//! | `forward` | two gateways in memory: all that a gateway does for a frame, but for ports and kernel |
//! | `scaling` | several workers of a gateway at the same time, beside one of them alone |
//! | `rig` | two gateways in namespaces: with ports and kernel, over veth pairs |
//! | `verdict` | what follows: frames and bits a second for one worker, what limits, what a configuration promises |
//! | `screen` | the same for people |
//!
//! It needs no root and no running gateway, and touches nothing outside its own namespaces; where those are not
//! allowed, the rig is left out, and that is said. Every number is this machine's at this moment: whoever else uses the processors
//! is in it, so figures in memory are taken from the faster quarter of many turns, or from those in which nobody waited for a processor.

mod crypto;
mod forward;
mod machine;
pub(crate) mod memory;
mod rig;
mod scaling;
mod screen;
mod stopwatch;
mod verdict;

use std::time::Duration;

use anyhow::{Context, Result};
use config::Config;
use serde::Serialize;

pub use self::{
    crypto::CryptoFigures,
    forward::ForwardFigures,
    machine::MachineFigures,
    rig::RigFigures,
    scaling::ScalingFigures,
    screen::screen,
    verdict::{Capacity, Promise},
};
use crate::lab::{self, Stop};

/// Octets of frames, from the destination address on, without FCS.
const SIZES: [usize; 4] = [64, 512, 1460, 8960];
/// Of those that workers carry beside each other: where what they share is most of the work, and where promises are judged.
const SCALING_SIZES: [usize; 2] = [64, verdict::REFERENCE];

/// What was measured, and what follows.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The machine itself.
    pub machine: MachineFigures,
    /// Protection and validation.
    pub crypto: Vec<CryptoFigures>,
    /// Gateways in memory.
    pub forward: Vec<ForwardFigures>,
    /// Workers beside each other; empty where this process may use one processor only.
    pub scaling: Vec<ScalingFigures>,
    /// Why there are none, when there are not.
    pub no_scaling: Option<String>,
    /// Gateways in namespaces; `None` when it was left out.
    pub rig: Option<RigFigures>,
    /// Why it was.
    pub no_rig: Option<String>,
    /// What one worker carries.
    pub capacity: Vec<Capacity>,
    /// What limits it.
    pub limits: Vec<String>,
    /// What the configuration promises, when there is one.
    pub promise: Option<Promise>,
}

/// Measures everything; the rig for about twice `rig` when that is not `None`. To be called while the process has one thread.
///
/// # Errors
/// When something does not work that should everywhere, such as AES-GCM; or `stop` was requested. A rig that cannot be is no error.
pub fn run(rig: Option<Duration>, config: Option<&Config>, tell: impl Fn(&str)) -> Result<Figures> {
    // Before there is a second thread.
    let entered = rig.map(|time| lab::enter().map(|_| time));
    tell("the machine: memory, clock, timers");
    let machine = machine::measure();
    tell("AES-GCM and MACsec, by size and suite");
    let crypto = crypto::measure(&SIZES).context("MACsec in memory")?;
    tell("two gateways in memory");
    let forward = forward::measure(&SIZES).context("gateways in memory")?;
    tell("workers beside each other, in memory");
    let (scaling, no_scaling) = match scaling::measure(&SCALING_SIZES) {
        Ok(figures) => (figures, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    let (rig, no_rig) = match entered {
        None => (None, Some("not asked for (--no-rig)".to_owned())),
        Some(Err(error)) => (None, Some(error.to_string())),
        Some(Ok(time)) => {
            tell("two gateways in namespaces, over veth pairs");
            match rig::measure(time, &Stop::new()) {
                Ok(figures) => (Some(figures), None),
                Err(error) => (None, Some(format!("{error:#}"))),
            }
        }
    };
    let capacity = verdict::capacities(&forward, rig.as_ref());
    let limits = verdict::limits(&machine, &crypto, &capacity, &scaling, rig.as_ref());
    let promise = config.map(|config| verdict::promise(config, &capacity, &scaling, machine.processors));
    Ok(Figures { machine, crypto, forward, scaling, no_scaling, rig, no_rig, capacity, limits, promise })
}
