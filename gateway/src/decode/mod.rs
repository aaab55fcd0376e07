//! `quadspan decode`: MACsec in a capture, read with keys that somebody gives.
//!
//! It takes captures of any equipment: pcap and pcapng in all dialects ([`capture`]), tags in clear in front of the
//! SecTAG, frames with or without SCI, every suite and offset, frame check sequences that nobody announced. It needs
//! no SecY state: no replay check, no configuration, no order. What was not given with a key is tried (`attempt`).
//!
//! A capture that ends in the middle gives what there was; the summary says so, and the program ends with code 1.
//!
//! Flow: [`capture::Capture`] hands out packets, [`Decoder`] opens and counts them, [`ClearWriter`] writes what
//! was opened, [`Summary`] is the result. Keys that are found while reading (a key server's distributed SAK)
//! have their place in [`Decoder::add_key`], which may be called between two packets.
//!
//! Invariants: no key material in any output; nothing panics whatever the file holds; memory does not grow with the
//! number of frames, only with the number of SAs and of holes in their packet numbers, and both have limits.

mod attempt;
pub mod capture;
mod decoder;
mod frame;
mod keys;
mod numbers;
mod report;
#[cfg(test)]
mod tests;
mod write;

use std::io::{Read, Write};

pub use decoder::{Decoder, Opened};
pub use keys::{GivenKey, KeyError, KeyText};
pub use report::{KeySummary, MacsecCounts, SaSummary, Summary};
pub use write::ClearWriter;

use capture::{Capture, CaptureError};

/// Why there is no summary at all.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The input is no capture, or cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The clear frames cannot be written.
    #[error("cannot be written: {0}")]
    Write(#[from] pcap_file::PcapError),
}

/// Decodes a whole capture.
///
/// # Errors
/// When the input is no capture, or `clear` cannot be written. An input that ends early or is damaged further on is no
/// error: [`Summary::problem`] says so.
pub fn decode<R: Read, W: Write>(
    input: R,
    mut decoder: Decoder,
    mut clear: Option<ClearWriter<W>>,
) -> Result<Summary, DecodeError> {
    let mut capture = Capture::open(input)?;
    let problem = loop {
        let packet = match capture.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        };
        if let (Some(opened), Some(clear)) = (decoder.handle_packet(&packet), clear.as_mut()) {
            clear.write(packet.nanoseconds, &opened)?;
        }
    };
    if let Some(clear) = clear {
        clear.finish()?;
    }
    Ok(decoder.summary(problem))
}
