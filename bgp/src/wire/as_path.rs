//! AS_PATH (RFC 4271 section 4.3, 5065, 6793, 7607): who carried the route so far.
//!
//! A path is kept in one allocation, in the four-octet form of the wire, and only a well-formed one
//! exists: [`AsPath::parse`] is the only way in from outside. Two-octet speakers are met at the edges:
//! parsing widens, [`AsPath::emit_narrow`] narrows, [`AsPath::merge`] puts AS4_PATH back in.

use crate::types::Asn;
use core::fmt;
use net::{Malformed, Reader, Writer};

/// The kinds of path segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SegmentKind {
    /// AS_SET: in no order. Obsolete (RFC 9774).
    Set,
    /// AS_SEQUENCE: nearest first.
    Sequence,
    /// AS_CONFED_SEQUENCE (RFC 5065).
    ConfedSequence,
    /// AS_CONFED_SET (RFC 5065).
    ConfedSet,
}

impl SegmentKind {
    const fn code(self) -> u8 {
        match self {
            Self::Set => 1,
            Self::Sequence => 2,
            Self::ConfedSequence => 3,
            Self::ConfedSet => 4,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Set),
            2 => Some(Self::Sequence),
            3 => Some(Self::ConfedSequence),
            4 => Some(Self::ConfedSet),
            _ => None,
        }
    }

    /// Belongs to a confederation and must not leave it.
    pub const fn is_confed(self) -> bool {
        matches!(self, Self::ConfedSequence | Self::ConfedSet)
    }

    /// Has no order.
    pub const fn is_set(self) -> bool {
        matches!(self, Self::Set | Self::ConfedSet)
    }
}

/// A well-formed AS path.
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AsPath(Box<[u8]>);

impl AsPath {
    /// A path of one sequence (of several, when there are more than 255), nearest first.
    pub fn sequence(asns: &[Asn]) -> Self {
        let mut out = Writer::new();
        for chunk in asns.chunks(255) {
            put_segment(&mut out, SegmentKind::Sequence, chunk.iter().copied());
        }
        Self(out.into_vec().into_boxed_slice())
    }

    /// Reads an AS_PATH or AS4_PATH value; `wide` says that its numbers have four octets.
    ///
    /// # Errors
    /// [`Malformed`] for an unknown segment type, an empty segment, a segment that leaves the value, or
    /// octets left over (RFC 7606 section 7.2). AS 0 is for [`AsPath::has_zero`] to find.
    pub fn parse(value: &[u8], wide: bool) -> Result<Self, Malformed> {
        let mut reader = Reader::new(value);
        let mut out = Writer::new();
        while !reader.is_empty() {
            let kind = SegmentKind::from_code(reader.u8()?).ok_or(Malformed)?;
            let count = reader.u8()?;
            if count == 0 {
                return Err(Malformed);
            }
            out.put(&[kind.code(), count]);
            for _ in 0..count {
                out.u32(if wide { reader.u32()? } else { u32::from(reader.u16()?) });
            }
        }
        Ok(Self(out.into_vec().into_boxed_slice()))
    }

    /// The value as sent to a four-octet speaker.
    pub const fn as_wide(&self) -> &[u8] {
        &self.0
    }

    /// The value as sent to a two-octet speaker (RFC 6793 section 4.2.2).
    pub fn emit_narrow(&self) -> Vec<u8> {
        let mut out = Writer::new();
        for (kind, asns) in self.segments() {
            out.put(&[kind.code(), u8::try_from(asns.len()).unwrap_or(0)]);
            asns.for_each(|asn| out.u16(asn.two_octets()));
        }
        out.into_vec()
    }

    /// True when a two-octet speaker needs AS4_PATH beside it.
    pub fn needs_as4(&self) -> bool {
        self.asns().any(|asn| u16::try_from(asn.0).is_err())
    }

    /// The path without confederation segments: what AS4_PATH carries (RFC 6793 section 4.2.2).
    #[must_use]
    pub fn without_confeds(&self) -> Self {
        self.filter(|kind| !kind.is_confed())
    }

    /// The path without the numbers that `keep` is false for.
    #[must_use]
    pub fn retain(&self, keep: impl Fn(Asn) -> bool) -> Self {
        let mut out = Writer::new();
        for (kind, asns) in self.segments() {
            let kept: Vec<_> = asns.filter(|asn| keep(*asn)).collect();
            if !kept.is_empty() {
                put_segment(&mut out, kind, kept.into_iter());
            }
        }
        Self(out.into_vec().into_boxed_slice())
    }

    fn filter(&self, keep: impl Fn(SegmentKind) -> bool) -> Self {
        let mut out = Writer::new();
        self.segments()
            .filter(|(kind, _)| keep(*kind))
            .for_each(|(kind, asns)| put_segment(&mut out, kind, asns));
        Self(out.into_vec().into_boxed_slice())
    }

    /// The segments in order, each with its numbers.
    pub fn segments(&self) -> Segments<'_> {
        Segments(Reader::new(&self.0))
    }

    /// Every number in the path, in order.
    pub fn asns(&self) -> impl Iterator<Item = Asn> {
        self.segments().flat_map(|(_, asns)| asns)
    }

    /// Length for comparison: a set counts one, confederation segments nothing (RFC 4271 section
    /// 9.1.2.2 a, RFC 5065 section 5.3).
    pub fn hops(&self) -> usize {
        self.segments().map(|(kind, asns)| hops_of(kind, asns.len())).sum()
    }

    /// True for a path with no segment: a route of the sender's own AS.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The AS the route came from: the leftmost number, when the path starts with a sequence.
    pub fn neighbor(&self) -> Option<Asn> {
        let (kind, mut asns) = self.segments().find(|(kind, _)| !kind.is_confed())?;
        (kind == SegmentKind::Sequence).then(|| asns.next()).flatten()
    }

    /// The AS that originated the route: the rightmost number, when the path ends with a sequence.
    pub fn origin(&self) -> Option<Asn> {
        let (kind, asns) = self.segments().last()?;
        (kind == SegmentKind::Sequence).then(|| asns.last()).flatten()
    }

    /// How often `asn` is in the path.
    pub fn count(&self, asn: Asn) -> usize {
        self.asns().filter(|other| *other == asn).count()
    }

    /// True when a number is zero (RFC 7607).
    pub fn has_zero(&self) -> bool {
        self.asns().any(Asn::is_zero)
    }

    /// True when there is an AS_SET or AS_CONFED_SET (RFC 9774).
    pub fn has_set(&self) -> bool {
        self.segments().any(|(kind, _)| kind.is_set())
    }

    /// True when there is a confederation segment.
    pub fn has_confed(&self) -> bool {
        self.segments().any(|(kind, _)| kind.is_confed())
    }

    /// The path with `asn` put `times` in front (RFC 4271 section 5.1.2); `times` up to 255.
    #[must_use]
    pub fn prepend(&self, asn: Asn, times: u8) -> Self {
        let mut front = vec![asn; usize::from(times)];
        let mut rest = self.segments();
        let mut probe = self.segments();
        if let Some((SegmentKind::Sequence, asns)) = probe.next()
            && asns.len().saturating_add(front.len()) <= 255
        {
            front.extend(asns);
            rest = probe;
        }
        let mut out = Writer::new();
        if !front.is_empty() {
            put_segment(&mut out, SegmentKind::Sequence, front.into_iter());
        }
        out.put(rest.0.rest());
        Self(out.into_vec().into_boxed_slice())
    }

    /// The path with every number passed through `change`.
    #[must_use]
    pub fn map(&self, change: impl Fn(Asn) -> Asn) -> Self {
        let mut out = Writer::new();
        for (kind, asns) in self.segments() {
            put_segment(&mut out, kind, asns.map(&change));
        }
        Self(out.into_vec().into_boxed_slice())
    }

    /// Puts the path of a two-octet speaker together again from AS_PATH (`self`) and AS4_PATH
    /// (RFC 6793 section 4.2.3): the numbers AS_PATH has more, followed by AS4_PATH.
    #[must_use]
    pub fn merge(&self, as4: &Self) -> Self {
        let Some(mut lead) = self.hops().checked_sub(as4.hops()) else { return self.clone() };
        let mut out = Writer::new();
        for (kind, asns) in self.segments() {
            if kind == SegmentKind::Sequence {
                let take = lead.min(asns.len());
                if take > 0 {
                    put_segment(&mut out, kind, asns.collect::<Vec<_>>().into_iter().take(take));
                }
                lead = lead.saturating_sub(take);
            } else if lead > 0 || kind.is_confed() {
                lead = lead.saturating_sub(hops_of(kind, asns.len()));
                put_segment(&mut out, kind, asns);
            }
            if lead == 0 {
                break;
            }
        }
        out.put(&as4.0);
        Self(out.into_vec().into_boxed_slice())
    }
}

impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, asns)) in self.segments().enumerate() {
            let (open, close) = match kind {
                SegmentKind::Sequence => ("", ""),
                SegmentKind::Set => ("{", "}"),
                SegmentKind::ConfedSequence => ("(", ")"),
                SegmentKind::ConfedSet => ("[", "]"),
            };
            f.write_str(if at == 0 { "" } else { " " })?;
            f.write_str(open)?;
            for (at, asn) in asns.enumerate() {
                f.write_str(if at == 0 { "" } else { " " })?;
                asn.fmt(f)?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}

impl fmt::Debug for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsPath({self})")
    }
}

/// The segments of a path. Made by [`AsPath::segments`].
#[derive(Clone, Debug)]
pub struct Segments<'a>(Reader<'a>);

impl<'a> Iterator for Segments<'a> {
    type Item = (SegmentKind, SegmentAsns<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let kind = SegmentKind::from_code(self.0.u8().ok()?)?;
        let count = usize::from(self.0.u8().ok()?);
        let numbers = self.0.take(count.checked_mul(4)?).ok()?;
        Some((kind, SegmentAsns(numbers)))
    }
}

/// The numbers of one segment.
#[derive(Clone, Debug)]
pub struct SegmentAsns<'a>(&'a [u8]);

impl Iterator for SegmentAsns<'_> {
    type Item = Asn;

    fn next(&mut self) -> Option<Asn> {
        let (asn, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(Asn(u32::from_be_bytes(*asn)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len() / 4, Some(self.0.len() / 4))
    }
}

impl ExactSizeIterator for SegmentAsns<'_> {}

const fn hops_of(kind: SegmentKind, asns: usize) -> usize {
    match kind {
        SegmentKind::Sequence => asns,
        SegmentKind::Set => 1,
        SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
    }
}

/// Writes a segment of at most 255 numbers; the callers see to that.
fn put_segment(out: &mut Writer, kind: SegmentKind, asns: impl ExactSizeIterator<Item = Asn>) {
    out.put(&[kind.code(), u8::try_from(asns.len()).unwrap_or(255)]);
    asns.take(255).for_each(|asn| out.u32(asn.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(asns: &[u32]) -> AsPath {
        AsPath::sequence(&asns.iter().copied().map(Asn).collect::<Vec<_>>())
    }

    fn wide(octets: &[u8]) -> AsPath {
        AsPath::parse(octets, true).unwrap()
    }

    // RFC 7606 section 7.2.
    #[test]
    fn malformed_paths_do_not_parse() {
        let one = [0, 0, 0xfd, 0xe9];
        let cases: [&[u8]; 6] = [
            &[[0, 1].as_slice(), &one].concat(),
            &[[5, 1].as_slice(), &one].concat(),
            &[2, 0],
            &[[2, 255].as_slice(), &one].concat(),
            &[[2, 1].as_slice(), &one, &[2]].concat(),
            &[2],
        ];
        for case in cases {
            assert_eq!(AsPath::parse(case, true), Err(Malformed), "{case:?}");
        }
    }

    #[test]
    fn lengths_count_sets_once_and_confederations_not_at_all() {
        let mixed = wide(&[3, 1, 0, 0, 0, 9, 2, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4]);
        assert_eq!(mixed.hops(), 3);
        assert_eq!(mixed.neighbor(), Some(Asn(1)));
        assert_eq!(mixed.origin(), None);
        assert_eq!(mixed.to_string(), "(9) 1 2 {3 4}");
        assert!(mixed.has_set() && mixed.has_confed() && !mixed.without_confeds().has_confed());
    }

    #[test]
    fn prepending_joins_the_first_sequence_until_it_is_full() {
        assert_eq!(path(&[2, 3]).prepend(Asn(1), 2).to_string(), "1 1 2 3");
        assert_eq!(AsPath::default().prepend(Asn(7), 1), path(&[7]));
        assert_eq!(path(&[7]).prepend(Asn(1), 0), path(&[7]));
        let full = path(&[5; 255]).prepend(Asn(1), 1);
        assert_eq!((full.hops(), full.segments().count()), (256, 2));
        let set = wide(&[1, 1, 0, 0, 0, 3]).prepend(Asn(1), 1);
        assert_eq!(set.to_string(), "1 {3}");
    }

    // RFC 6793 section 4.2.3.
    #[test]
    fn the_wide_path_is_put_together_again() {
        let narrow = AsPath::parse(&[2, 3, 0, 1, 0x5b, 0xa0, 0x5b, 0xa0], false).unwrap();
        assert_eq!(narrow.to_string(), "1 23456 23456");
        assert_eq!(narrow.merge(&path(&[70000, 80000])).to_string(), "1 70000 80000");
        assert_eq!(narrow.merge(&path(&[2, 3, 4, 5])), narrow, "a longer AS4_PATH is ignored");
        let as4 = path(&[70000, 80000, 90000]);
        assert_eq!(narrow.merge(&as4), as4);
    }

    #[test]
    fn narrow_form_uses_as_trans() {
        let long = path(&[1, 70000]);
        assert!(long.needs_as4() && !path(&[1, 65535]).needs_as4());
        assert_eq!(long.emit_narrow(), [2, 2, 0, 1, 0x5b, 0xa0]);
    }

    #[test]
    fn numbers_are_counted_found_and_replaced() {
        let twice = path(&[1, 2, 1]);
        assert_eq!((twice.count(Asn(1)), twice.origin()), (2, Some(Asn(1))));
        assert_eq!(twice.map(|asn| if asn == Asn(1) { Asn(9) } else { asn }).to_string(), "9 2 9");
        assert_eq!(twice.retain(|asn| asn != Asn(1)).to_string(), "2");
        assert!(path(&[3]).retain(|asn| asn != Asn(3)).is_empty());
        assert!(path(&[1, 0]).has_zero());
    }
}
