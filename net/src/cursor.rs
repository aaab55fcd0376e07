//! A reader and a writer for variable messages: the only place that counts offsets.

use core::fmt;

/// The message ended before what it announced, or holds what its standard forbids.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the message is shorter than it says, or malformed")]
pub struct Malformed;

/// Takes octets and big-endian numbers off the front of a slice.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the first octet of `octets`.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// What has not been read.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many octets have not been read.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// True when everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` octets.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` octets as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*head)
    }

    /// A reader over the next `count` octets, which this one skips.
    pub fn sub(&mut self, count: usize) -> Result<Self, Malformed> {
        self.take(count).map(Self::new)
    }

    /// The next octet.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    /// The next two octets, big endian.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next four octets, big endian.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next eight octets, big endian.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} octets left)", self.rest.len())
    }
}

/// Appends octets and big-endian numbers to a vector, and fills lengths in afterwards.
#[derive(Debug, Default)]
pub struct Writer {
    octets: Vec<u8>,
}

impl Writer {
    /// An empty message.
    pub const fn new() -> Self {
        Self { octets: Vec::new() }
    }

    /// The message so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets
    }

    /// Octets written so far.
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// True when nothing was written.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Appends `octets`.
    pub fn put(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Appends one octet.
    pub fn u8(&mut self, value: u8) {
        self.octets.push(value);
    }

    /// Appends two octets, big endian.
    pub fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    /// Appends four octets, big endian.
    pub fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// Appends eight octets, big endian.
    pub fn u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    /// Overwrites the octets at `at` with `octets`; false (and unchanged) when they are not all written yet.
    #[must_use]
    pub fn patch(&mut self, at: usize, octets: &[u8]) -> bool {
        let room = at.checked_add(octets.len()).and_then(|end| self.octets.get_mut(at..end));
        room.is_some_and(|room| {
            room.copy_from_slice(octets);
            true
        })
    }

    /// The finished message.
    pub fn into_vec(self) -> Vec<u8> {
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written() {
        let mut out = Writer::new();
        out.u16(0);
        out.u8(7);
        out.u32(0x0102_0304);
        out.u64(9);
        out.put(b"tail");
        let len = u16::try_from(out.len()).unwrap();
        assert!(out.patch(0, &len.to_be_bytes()));
        assert!(!out.patch(usize::MAX, b"x") && !out.patch(18, b"xx"));
        let octets = out.into_vec();
        let mut cursor = Reader::new(&octets);
        assert_eq!(cursor.u16(), Ok(19));
        assert_eq!(cursor.u8(), Ok(7));
        assert_eq!(cursor.u32(), Ok(0x0102_0304));
        assert_eq!(cursor.u64(), Ok(9));
        assert_eq!(cursor.sub(4).unwrap().rest(), b"tail");
        assert!(cursor.is_empty());
        assert_eq!(cursor.u8(), Err(Malformed));
    }
}
