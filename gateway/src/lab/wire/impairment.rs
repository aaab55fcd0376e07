//! What a wire does to the frames of one direction.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::quantity::{Rate, Share};

/// Everything that can be wrong with one direction of a wire; nothing by default.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Impairment {
    /// Nothing arrives, and the link stays up.
    pub blackhole: bool,
    /// Frames that are lost, each by its own chance.
    pub loss: Share,
    /// Frames of which one bit is turned, behind the Ethernet header: what an FCS would have missed.
    pub corrupt: Share,
    /// Frames that arrive twice.
    pub duplicate: Share,
    /// How long each frame is on its way.
    pub delay: Duration,
    /// How much longer or shorter than that it may be, evenly spread.
    pub jitter: Duration,
    /// Jitter may change the order of frames.
    pub reorder: bool,
    /// Bits per second that fit.
    pub rate: Option<Rate>,
    /// Octets that may wait for their turn when there is a [`Impairment::rate`]; more are lost.
    pub queue: Queue,
}

/// Octets of a queue.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Queue(pub u32);

impl Default for Queue {
    /// What a switch with small buffers has for a port.
    fn default() -> Self {
        Self(256 << 10)
    }
}

impl Impairment {
    /// Whether frames pass as if it were a piece of copper.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self { queue: self.queue, reorder: self.reorder, ..Self::default() }
    }
}

impl fmt::Display for Impairment {
    /// `5 % lost, 20.0 ms delay`; `clear` when there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.blackhole {
            parts.push("black hole".to_owned());
        }
        for (share, what) in
            [(self.loss, "lost"), (self.corrupt, "corrupted"), (self.duplicate, "duplicated")]
        {
            if share > Share::NONE {
                parts.push(format!("{share} {what}"));
            }
        }
        if !self.delay.is_zero() || !self.jitter.is_zero() {
            let jitter = match self.jitter {
                Duration::ZERO => String::new(),
                jitter if self.reorder => format!(" +- {jitter:?}, out of order"),
                jitter => format!(" +- {jitter:?}"),
            };
            parts.push(format!("{:?} delay{jitter}", self.delay));
        }
        if let Some(rate) = self.rate {
            parts.push(format!("{rate}, queue of {} KiB", self.queue.0 / 1024));
        }
        f.write_str(if parts.is_empty() { "clear".to_owned() } else { parts.join(", ") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impairment_says_what_it_does() {
        assert_eq!(Impairment::default().to_string(), "clear");
        let all = Impairment {
            blackhole: true,
            loss: Share::percent(5),
            duplicate: Share::millionths(1000),
            delay: Duration::from_millis(20),
            jitter: Duration::from_micros(500),
            reorder: true,
            rate: Some(Rate::bits_per_second(10_000_000)),
            ..Impairment::default()
        };
        let text = all.to_string();
        assert_eq!(
            text,
            "black hole, 5 % lost, 0.1 % duplicated, 20ms delay +- 500µs, out of order, 10 Mbit/s, queue of 256 KiB"
        );
        assert!(!all.is_none() && Impairment { queue: Queue(9), ..Impairment::default() }.is_none());
    }

    #[test]
    fn it_travels_as_json_and_what_is_not_said_is_not_there() {
        let some: Impairment = serde_json::from_str(r#"{"loss":50000,"rate":8000}"#).unwrap();
        assert_eq!((some.loss, some.rate), (Share::percent(5), Some(Rate::bits_per_second(8000))));
        let text = serde_json::to_string(&some).unwrap();
        assert_eq!(serde_json::from_str::<Impairment>(&text).unwrap(), some);
        assert!(serde_json::from_str::<Impairment>(r#"{"los":1}"#).is_err());
        assert!(serde_json::from_str::<Impairment>(r#"{"loss":1000001}"#).is_err());
    }
}
