//! Descriptors and octets to another process of ours, over a connected Unix socket (unix(7), `SCM_RIGHTS`).
//!
//! A message is octets with descriptors beside them. Descriptors travel in groups, since the kernel passes at most 253 at once; they
//! arrive closed on exec. Whoever cannot be trusted must not hold the other end: what comes is limited in size, and otherwise
//! believed.
#![expect(unsafe_code, reason = "descriptors that the kernel passed become owned")]

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

/// Descriptors of one group.
const GROUP: usize = 128;
/// More than any message has.
const MOST_OCTETS: u64 = 1 << 30;
const MOST_DESCRIPTORS: u64 = 1 << 16;

/// Sends `octets` with `descriptors`, which stay open here.
///
/// # Errors
/// The kernel's: `EPIPE` when the other end is gone, `EAGAIN` when it took nothing for as long as the socket waits.
pub fn send(mut to: &UnixStream, octets: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let count = |n: usize| u64::try_from(n).map_err(io::Error::other);
    let mut head = [0; 16];
    let (length, number) = head.split_at_mut(8);
    length.copy_from_slice(&count(octets.len())?.to_le_bytes());
    number.copy_from_slice(&count(descriptors.len())?.to_le_bytes());
    to.write_all(&head)?;
    for group in descriptors.chunks(GROUP) {
        let raw: Vec<RawFd> = group.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let flags = MsgFlags::MSG_NOSIGNAL;
        // One octet, since descriptors cannot travel alone.
        sendmsg::<UnixAddr>(to.as_raw_fd(), &[IoSlice::new(&[0])], &rights, flags, None)?;
    }
    to.write_all(octets)
}

/// Receives what [`send`] sent.
///
/// # Errors
/// The kernel's: `UnexpectedEof` when the other end is gone, `EAGAIN` when nothing came for as long as the socket waits;
/// `InvalidData` when this is no such message.
pub fn receive(mut from: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let (mut length, mut number) = ([0; 8], [0; 8]);
    from.read_exact(&mut length)?;
    from.read_exact(&mut number)?;
    let (length, number) = (u64::from_le_bytes(length), u64::from_le_bytes(number));
    if length > MOST_OCTETS || number > MOST_DESCRIPTORS {
        return Err(invalid());
    }
    let number = usize::try_from(number).map_err(io::Error::other)?;
    let mut descriptors = Vec::new();
    while descriptors.len() < number {
        let before = descriptors.len();
        receive_group(from, &mut descriptors)?;
        if descriptors.len() == before {
            return Err(invalid());
        }
    }
    let mut octets = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
    from.take(length).read_to_end(&mut octets)?;
    let whole = u64::try_from(octets.len()).is_ok_and(|read| read == length);
    if whole && descriptors.len() == number {
        Ok((octets, descriptors))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn receive_group(from: &UnixStream, descriptors: &mut Vec<OwnedFd>) -> io::Result<()> {
    let mut octet = [0];
    let mut pieces = [IoSliceMut::new(&mut octet)];
    let mut space = nix::cmsg_space!([RawFd; GROUP]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(from.as_raw_fd(), &mut pieces, Some(&mut space), flags)?;
    if message.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            // SAFETY: the kernel opened each of these for us just now, and nobody else knows of them.
            descriptors.extend(raw.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn octets_and_descriptors_arrive_as_they_were_sent_however_many() {
        let (here, there) = UnixStream::pair().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        for count in [0, 1, GROUP, 3 * GROUP - 1] {
            let descriptors = vec![reader.as_fd(); count];
            let octets = vec![7; 100_000];
            let sending = std::thread::scope(|scope| {
                let sent = scope.spawn(|| send(&here, &octets, &descriptors));
                let received = receive(&there).unwrap();
                sent.join().unwrap().unwrap();
                received
            });
            assert_eq!((sending.0, sending.1.len()), (vec![7; 100_000], count));
            if let Some(last) = sending.1.into_iter().next_back() {
                writer.write_all(b"x").unwrap();
                let mut read = [0];
                std::fs::File::from(last).read_exact(&mut read).unwrap();
                assert_eq!(&read, b"x", "the same pipe");
            }
        }
    }

    #[test]
    fn an_end_that_is_gone_or_speaks_otherwise_is_an_error() {
        let (here, there) = UnixStream::pair().unwrap();
        drop(here);
        assert_eq!(receive(&there).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(send(&there, b"x", &[]).is_err());
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&[0xff; 16]).unwrap();
        assert_eq!(receive(&there).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]).unwrap();
        assert_eq!(
            receive(&there).unwrap_err().kind(),
            io::ErrorKind::InvalidData,
            "a group without descriptors"
        );
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]).unwrap();
        drop(here);
        assert_eq!(receive(&there).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "cut");
    }
}
