//! Capture files: pcap in all its dialects and pcapng, read record by record.
//!
//! Captures come from anywhere: other byte orders, microseconds or nanoseconds, several sections and interfaces,
//! lengths that are not what the header promises, files cut in the middle. So this reads them itself, leniently
//! where the meaning is clear, and says where it lost the thread: [`CaptureError::Truncated`] and
//! [`CaptureError::Damaged`] come after everything before that place was handed out.
//!
//! Formats: draft-ietf-opsawg-pcap (pcap) and draft-ietf-opsawg-pcapng (pcapng).
//!
//! Invariants: nothing panics whatever the file holds; memory grows with what was really read, never with what a
//! length field claims; reading goes forward only, so standard input will do.

mod classic;
mod ng;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

/// Octets of the largest packet that is taken for one; more is a damaged length field.
const LARGEST_PACKET: u32 = 1 << 20;
/// LINKTYPE_ETHERNET.
pub const ETHERNET: u16 = 1;

/// One captured packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packet<'a> {
    /// Nanoseconds since 1970-01-01 00:00 UTC.
    pub nanoseconds: u64,
    /// LINKTYPE of what it was captured on; 1 is Ethernet.
    pub link_type: u16,
    /// Octets of frame check sequence at its end, when the file says so.
    pub fcs: Option<u8>,
    /// True when it was longer on the wire than what was kept of it.
    pub cut: bool,
    /// What was kept.
    pub octets: &'a [u8],
}

/// Why there are no (more) packets.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("is neither pcap nor pcapng{hint}")]
    NotACapture {
        /// What it seems to be instead, or nothing.
        hint: &'static str,
    },
    /// It ends in the middle of a record.
    #[error("is cut in the middle: octet {offset} is its last, inside a record")]
    Truncated {
        /// Octets that were there.
        offset: u64,
    },
    /// It makes no sense from here on.
    #[error("is damaged at octet {offset}: {what}")]
    Damaged {
        /// Where the record begins.
        offset: u64,
        /// What makes no sense.
        what: &'static str,
    },
}

/// A capture that is being read.
#[derive(Debug)]
pub struct Capture<R> {
    source: Source<R>,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Classic(classic::Header),
    Ng(ng::Section),
}

impl<R: Read> Capture<R> {
    /// Reads the header of a capture.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn open(reader: R) -> Result<Self, CaptureError> {
        let mut source = Source { reader, offset: 0, record: Vec::new() };
        if !source.fill(4)? {
            return Err(CaptureError::NotACapture { hint: ": it is empty" });
        }
        let magic = source.record.first_chunk().copied().unwrap_or_default();
        let format = match classic::Dialect::of(magic) {
            Some(dialect) => Format::Classic(classic::Header::read(dialect, &mut source)?),
            None if magic == ng::MAGIC => Format::Ng(ng::Section::read_first(&mut source)?),
            None => return Err(CaptureError::NotACapture { hint: hint(magic) }),
        };
        Ok(Self { source, format })
    }

    /// The next packet; `None` at the end of the file.
    ///
    /// # Errors
    /// [`CaptureError`]. Nothing comes after an error.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, CaptureError> {
        match &mut self.format {
            Format::Classic(header) => header.next(&mut self.source),
            Format::Ng(section) => section.next(&mut self.source),
        }
    }
}

fn hint(magic: [u8; 4]) -> &'static str {
    match magic {
        [0x1f, 0x8b, ..] => ": it is compressed with gzip; unpack it first",
        [0x28, 0xb5, 0x2f, 0xfd] => ": it is compressed with zstd; unpack it first",
        [0xfd, b'7', b'z', b'X'] => ": it is compressed with xz; unpack it first",
        [b's', b'n', b'o', b'o'] => ": it is a snoop file; convert it with `editcap -F pcapng`",
        _ => "",
    }
}

/// Octets in order, with their offset in the file, gathered record by record.
#[derive(Debug)]
struct Source<R> {
    reader: R,
    offset: u64,
    record: Vec<u8>,
}

impl<R: Read> Source<R> {
    /// Starts a new record of `len` octets. False at the end of the file.
    fn fill(&mut self, len: usize) -> Result<bool, CaptureError> {
        self.record.clear();
        match self.extend(len) {
            Err(CaptureError::Truncated { .. }) if self.record.is_empty() => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(true),
        }
    }

    /// Adds `len` octets to the record.
    fn extend(&mut self, len: usize) -> Result<(), CaptureError> {
        let wanted = u64::try_from(len).unwrap_or(u64::MAX);
        let got = self.reader.by_ref().take(wanted).read_to_end(&mut self.record)?;
        self.offset += u64::try_from(got).unwrap_or(u64::MAX);
        if got < len { Err(CaptureError::Truncated { offset: self.offset }) } else { Ok(()) }
    }

    /// Damage in the record that is being read.
    fn damaged(&self, what: &'static str) -> CaptureError {
        let read = u64::try_from(self.record.len()).unwrap_or(u64::MAX);
        CaptureError::Damaged { offset: self.offset.saturating_sub(read), what }
    }
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn u16(self, octets: &[u8], at: usize) -> Option<u16> {
        let octets = *octets.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => u16::from_be_bytes(octets),
            Self::Little => u16::from_le_bytes(octets),
        })
    }

    fn u32(self, octets: &[u8], at: usize) -> Option<u32> {
        let octets = *octets.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => u32::from_be_bytes(octets),
            Self::Little => u32::from_le_bytes(octets),
        })
    }

    fn i64(self, octets: &[u8], at: usize) -> Option<i64> {
        let octets = *octets.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Big => i64::from_be_bytes(octets),
            Self::Little => i64::from_le_bytes(octets),
        })
    }
}

/// A length that fits memory.
fn len(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
