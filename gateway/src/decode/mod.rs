//! `quadspan decode`: MACsec and MKA in a capture, read with keys that somebody gives.
//!
//! It takes captures of any equipment: pcap and pcapng in all dialects ([`capture`]), tags in clear in front of the
//! SecTAG, frames with or without SCI, every suite and offset, frame check sequences that nobody announced. It needs
//! no SecY state: no replay check, no configuration, no order. What was not given with a key is tried (`attempt`).
//!
//! A capture that ends in the middle gives what there was; the summary says so, and the program ends with code 1.
//!
//! LACPDUs, inside what was opened or in clear, are listed by the port that sent them (`lacp`).
//!
//! Flow: [`capture::Capture`] hands out packets, [`Decoder`] opens and counts them, [`ClearWriter`] writes what
//! was opened, [`Summary`] is the result. With CAKs, the key exchange is followed as well (`exchange`): who takes part,
//! whether each MKPDU's ICV is right, and every SAK that a key server distributes, which opens the frames behind it
//! and those shortly before (`waiting`).
//!
//! Invariants: no key material in any output, unless SAKs are asked for; nothing panics whatever the file holds;
//! memory does not grow with the number of frames, only with the number of SAs and of holes in their packet numbers,
//! which have limits, and with what holders of the CAKs have signed.

mod attempt;
mod cak;
pub mod capture;
mod decoder;
mod exchange;
mod frame;
mod keys;
mod lacp;
#[cfg(test)]
mod mka_tests;
mod numbers;
mod report;
#[cfg(test)]
mod tests;
mod waiting;
mod write;

use std::io::{Read, Write};

pub use cak::{CakError, read_caks};
pub use decoder::{Decoder, Opened};
pub use exchange::MkpduCounts;
pub use keys::{GivenKey, KeyError, KeyText};
pub use lacp::LacpSummary;
pub use report::{CknSummary, KeySummary, MacsecCounts, MemberSummary, SaSummary, SakSummary, Summary};
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
        decoder.handle_packet(&packet);
        write_opened(&mut decoder, clear.as_mut())?;
    };
    decoder.finish();
    write_opened(&mut decoder, clear.as_mut())?;
    if let Some(clear) = clear {
        clear.finish()?;
    }
    Ok(decoder.summary(problem))
}

fn write_opened<W: Write>(
    decoder: &mut Decoder,
    mut clear: Option<&mut ClearWriter<W>>,
) -> Result<(), DecodeError> {
    while let Some((nanoseconds, opened)) = decoder.poll_opened() {
        if let Some(clear) = clear.as_mut() {
            clear.write(nanoseconds, &opened)?;
        }
    }
    Ok(())
}
