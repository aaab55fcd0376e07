//! Captured frames in a pcapng file (draft-ietf-opsawg-pcapng).

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{Frame, TAG_OCTETS};
use crate::clock;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, PcapError};

/// A file that is being written.
pub(super) struct CaptureFile(PcapNgWriter<BufWriter<File>>);

impl CaptureFile {
    /// Makes the file at `path`, for frames of `interfaces`; a frame names its interface by its place among them.
    pub(super) fn create(path: &Path, interfaces: &[String]) -> io::Result<Self> {
        let mut writer = PcapNgWriter::new(BufWriter::new(File::create(path)?)).map_err(into_io)?;
        for name in interfaces {
            let options = vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                // The writer's stamps are in nanoseconds whatever the file says, so the file had better say it.
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ];
            let block = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0, options };
            writer.write_pcapng_block(block).map_err(into_io)?;
        }
        Ok(Self(writer))
    }

    /// Adds a frame, with the VLAN tag that the kernel took out put back.
    pub(super) fn write(&mut self, interface: u32, frame: &Frame<'_>) -> io::Result<()> {
        let (data, more) = match (frame.vlan, frame.data.split_at_checked(12)) {
            (Some((tpid, tci)), Some((addresses, rest))) => {
                (Cow::Owned([addresses, &tpid.to_be_bytes(), &tci.to_be_bytes(), rest].concat()), TAG_OCTETS)
            }
            _ => (Cow::Borrowed(frame.data), 0),
        };
        let block = EnhancedPacketBlock {
            interface_id: interface,
            timestamp: clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default(),
            original_len: u32::try_from(frame.length.saturating_add(more)).unwrap_or(u32::MAX),
            data,
            options: Vec::new(),
        };
        self.0.write_pcapng_block(block).map(drop).map_err(into_io)
    }

    /// Writes what is still buffered.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}

fn into_io(error: PcapError) -> io::Error {
    if let PcapError::IoError(error) = error { error } else { io::Error::other(error) }
}

/// `if_tsresol`: a negative power of ten.
const NANOSECONDS: u8 = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcapng::{Block, PcapNgReader};

    #[test]
    fn a_frame_comes_back_with_its_tag_and_its_interface() {
        let path = std::env::temp_dir().join(format!("quadspan-capture-{}.pcapng", std::process::id()));
        let mut file = CaptureFile::create(&path, &["ch1".to_owned(), "ch2".to_owned()]).unwrap();
        let frame: Vec<u8> = (0..60).collect();
        let seen = |vlan, data| Frame { data, length: 60, vlan, outgoing: false };
        file.write(1, &seen(Some((0x8100, 100)), &frame)).unwrap();
        file.write(0, &seen(None, &frame[..20])).unwrap();
        file.finish().unwrap();
        let mut reader = PcapNgReader::new(File::open(&path).unwrap()).unwrap();
        let mut frames = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap() {
                frames.push((packet.interface_id, packet.original_len, packet.data.into_owned()));
            }
        }
        std::fs::remove_file(&path).unwrap();
        let tagged = [&frame[..12], &[0x81, 0, 0, 100], &frame[12..]].concat();
        assert_eq!(frames, [(1, 64, tagged), (0, 60, frame[..20].to_vec())]);
    }
}
