//! Two sites whose channels can be made bad: [`Topology::two_wired_sites`] with a [`Wire`] in the middle.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::build::Lab;
use super::error::{Doing, LabError};
use super::topology::Topology;
use super::wire::{Ends, Impairment, LaneCounters, LaneReport, Way, Wire};

/// A channel's wire as it is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ChannelState {
    /// `ch1`.
    pub name: String,
    /// Both gateways see no carrier.
    pub cut: bool,
    /// What is done to frames from site A.
    pub a_to_b: Impairment,
    /// What became of them.
    pub a_to_b_frames: LaneCounters,
    /// What is done to frames from site B.
    pub b_to_a: Impairment,
    /// What became of them.
    pub b_to_a_frames: LaneCounters,
}

/// Two sites and the wires between their gateways.
#[derive(Debug)]
pub struct WiredSites {
    /// Before the lab, so that it ends while its namespace is there.
    wire: Wire,
    lab: Lab,
    channels: Vec<String>,
    /// What was asked for, channel by channel.
    states: Mutex<Vec<Wanted>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    cut: bool,
    ways: [Impairment; 2],
}

impl WiredSites {
    /// Builds the sites with channels `ch1`, `ch2` and so on. Chances are drawn from `seed`.
    ///
    /// # Errors
    /// As [`Lab::build`] and [`Wire::start`].
    pub fn build(channels: u8, channel_mtu: u32, seed: u64) -> Result<Self, LabError> {
        let all: Vec<u8> = (1..=channels).collect();
        Self::build_at(channels, channel_mtu, &all, seed)
    }

    /// As [`build`](Self::build), but only the channels in `wired` have a wire, and can be made bad here; the others are
    /// cables, and cost nothing.
    ///
    /// # Errors
    /// As [`Lab::build`] and [`Wire::start`].
    pub fn build_at(channels: u8, channel_mtu: u32, wired: &[u8], seed: u64) -> Result<Self, LabError> {
        Self::build_of(&Topology::two_sites_wired_at(channels, channel_mtu, wired), channel_mtu, wired, seed)
    }

    /// As [`build_at`](Self::build_at), of a topology that may differ from [`Topology::two_sites_wired_at`] in everything but
    /// its names: addresses, routes, settings.
    ///
    /// # Errors
    /// As [`Lab::build`] and [`Wire::start`].
    pub fn build_of(
        topology: &Topology,
        channel_mtu: u32,
        wired: &[u8],
        seed: u64,
    ) -> Result<Self, LabError> {
        let lab = Lab::build(topology)?;
        let channels: Vec<String> = wired.iter().map(|channel| format!("ch{channel}")).collect();
        let ends = |name: &String| Ends { a: format!("{name}-a"), b: format!("{name}-b") };
        let ends: Vec<Ends> = channels.iter().map(ends).collect();
        let wire = Wire::start(lab.namespace(Topology::WIRE)?, &ends, channel_mtu, seed)?;
        let states = Mutex::new(vec![Wanted::default(); channels.len()]);
        Ok(Self { wire, lab, channels, states })
    }

    /// The lab: its nodes are `h-a`, `gw-a`, [`Topology::WIRE`], `gw-b` and `h-b`.
    #[must_use]
    pub const fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The names of the channels that have a wire, in order.
    #[must_use]
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// Takes channels down: both their gateways lose the carrier.
    ///
    /// # Errors
    /// [`LabError::Topology`] when there is no such channel; nothing is cut then.
    pub fn cut(&self, names: &[&str]) -> Result<(), LabError> {
        let places = self.places(names)?;
        self.set_carrier(names, false)?;
        let mut states = self.states.lock();
        places.iter().filter_map(|&place| states.get_mut(place).map(|s| s.cut = true)).for_each(drop);
        Ok(())
    }

    /// Changes what is done to the frames of a channel, one way or both.
    ///
    /// # Errors
    /// [`LabError::Topology`] when there is no such channel.
    pub fn impair(&self, name: &str, way: Way, change: impl Fn(&mut Impairment)) -> Result<(), LabError> {
        let place = self.place(name)?;
        let mut states = self.states.lock();
        let Some(state) = states.get_mut(place) else { return Ok(()) };
        for &lane in way.lanes() {
            let Some(impairment) = state.ways.get_mut(lane) else { continue };
            change(impairment);
            self.wire.set(place, if lane == 0 { Way::AToB } else { Way::BToA }, *impairment)?;
        }
        Ok(())
    }

    /// Makes channels good again, whatever was wrong with them.
    ///
    /// # Errors
    /// [`LabError::Topology`] when there is no such channel; nothing is healed then.
    pub fn heal(&self, names: &[&str]) -> Result<(), LabError> {
        self.places(names)?;
        for name in names {
            self.impair(name, Way::Both, |impairment| *impairment = Impairment::default())?;
        }
        self.set_carrier(names, true)?;
        let places = self.places(names)?;
        let mut states = self.states.lock();
        places.iter().filter_map(|&place| states.get_mut(place).map(|s| s.cut = false)).for_each(drop);
        Ok(())
    }

    /// How each channel's wire is.
    ///
    /// # Errors
    /// When the wires' thread is gone.
    pub fn states(&self) -> Result<Vec<ChannelState>, LabError> {
        let report = self.wire.report()?;
        let wanted = self.states.lock().clone();
        let state = |((name, [a, b]), wanted): ((&String, [LaneReport; 2]), Wanted)| ChannelState {
            name: name.clone(),
            cut: wanted.cut,
            a_to_b: a.impairment,
            a_to_b_frames: a.counters,
            b_to_a: b.impairment,
            b_to_a_frames: b.counters,
        };
        Ok(self.channels.iter().zip(report).zip(wanted).map(state).collect())
    }

    /// What passed each channel, with lengths: the lane from A, the lane from B.
    ///
    /// # Errors
    /// When the wires' thread is gone.
    pub fn lanes(&self) -> Result<Vec<[LaneReport; 2]>, LabError> {
        self.wire.report()
    }

    /// Takes the wire's ends of channels up or down, all in one go: a cable that breaks does so at both ends.
    fn set_carrier(&self, names: &[&str], up: bool) -> Result<(), LabError> {
        self.lab.in_node(Topology::WIRE, || {
            for device in names.iter().flat_map(|name| [format!("{name}-a"), format!("{name}-b")]) {
                sys::interface::set_up(&device, up)
                    .doing(|| format!("taking {device} {}", if up { "up" } else { "down" }))?;
            }
            Ok(())
        })?
    }

    fn places(&self, names: &[&str]) -> Result<Vec<usize>, LabError> {
        names.iter().map(|name| self.place(name)).collect()
    }

    fn place(&self, name: &str) -> Result<usize, LabError> {
        let found = self.channels.iter().position(|channel| channel == name);
        found.ok_or_else(|| {
            let all = self.channels.join(", ");
            LabError::Topology(format!("there is no channel {name}; there are {all}"))
        })
    }
}
