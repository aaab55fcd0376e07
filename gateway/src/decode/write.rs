//! The opened frames as a capture of their own, each with a remark of where it came from.

use std::{borrow::Cow, io::Write, time::Duration};

use pcap_file::{
    DataLink, PcapError,
    pcapng::{
        PcapNgBlock, PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
        },
    },
};

use super::decoder::Opened;

/// if_tsresol of 10^-9: time stamps count nanoseconds.
const NANOSECONDS: u8 = 9;

/// Writes opened frames as pcapng.
pub struct ClearWriter<W: Write>(PcapNgWriter<W>);

impl<W: Write> ClearWriter<W> {
    /// Writes the file's header.
    ///
    /// # Errors
    /// When `to` cannot be written.
    pub fn new(to: W) -> Result<Self, PcapError> {
        let mut writer = PcapNgWriter::new(to)?;
        let options = vec![
            InterfaceDescriptionOption::IfName(Cow::Borrowed("decrypted")),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ];
        let interface = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0, options };
        writer.write_block(&interface.into_block())?;
        Ok(Self(writer))
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, nanoseconds: u64, frame: &Opened) -> Result<(), PcapError> {
        let Opened { octets, sci, an, pn, clear_tags } = frame;
        let mut remark = format!("macsec sci={sci} an={an} pn={pn}");
        clear_tags.iter().for_each(|tag| remark.push_str(&format!(" clear_vlan={tag}")));
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(nanoseconds),
            original_len: u32::try_from(octets.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(octets),
            options: vec![EnhancedPacketOption::Comment(Cow::Owned(remark))],
        };
        self.0.write_block(&packet.into_block()).map(|_| ())
    }

    /// Writes out what is still in memory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<(), PcapError> {
        self.0.into_inner().flush().map_err(PcapError::IoError)
    }
}
