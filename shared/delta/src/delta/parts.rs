//! The members of an archive that is not a tar: a zip file (PKWARE APPNOTE 6.3.3; wheels, browser extensions,
//! also behind a header of their own) or a gzip file (RFC 1952), which counts as an archive of one member.
//!
//! Maker and reader walk the base with this same code, so a delta need not say where its members are.
//! An archive of another order than that of its directory, with overlaps, or of the 64-bit form is no
//! archive here; nothing but a larger delta follows.
//!
//! **Invariant: members are sorted, do not overlap and lie in the content.**

/// Of what kind an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Zip,
    Gzip,
}

/// A member: first what lies before it, then its head, then its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: Vec<u8>,
    /// Where its head begins.
    pub(super) head: usize,
    /// Where its data begin.
    pub(super) start: usize,
    /// Where its data end.
    pub(super) end: usize,
    /// How long it is unpacked, if it is deflated.
    pub(super) unpacked: Option<usize>,
}

/// The members of a content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Archive {
    pub(super) kind: Kind,
    pub(super) parts: Vec<Part>,
    /// Where the directory begins, or what follows the data of a gzip file.
    pub(super) directory: usize,
}

const END: usize = 22;
const COMMENT_MAX: usize = 0xffff;
const ENTRY: usize = 46;
pub(super) const LOCAL: usize = 30;
const DEFLATED: usize = 8;
const ENCRYPTED: usize = 1;
/// What gzip has after its data.
pub(super) const TRAILER: usize = 8;

/// Finds the members of a content, if it is an archive.
pub(super) fn find(content: &[u8]) -> Option<Archive> {
    gzip(content).or_else(|| zip(content))
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<N>()?;
    let value = bytes
        .iter()
        .rev()
        .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    usize::try_from(value).ok()
}

/// Where the end of the directory is.
fn end_of(content: &[u8]) -> Option<usize> {
    let last = content.len().checked_sub(END)?;
    let first = last.saturating_sub(COMMENT_MAX);
    (first..=last).rev().find(|at| {
        let end = content.get(*at..).unwrap_or_default();
        end.starts_with(b"PK\x05\x06") && number::<2>(end, 20) == Some(end.len() - END)
    })
}

fn zip(content: &[u8]) -> Option<Archive> {
    let end_at = end_of(content)?;
    let end = content.get(end_at..)?;
    let count = number::<2>(end, 10)?;
    let (length, offset) = (number::<4>(end, 12)?, number::<4>(end, 16)?);
    let directory = end_at.checked_sub(length)?;
    // What stands before the first member does not count in offsets.
    let before = directory.checked_sub(offset)?;
    let mut parts: Vec<Part> = Vec::new();
    let mut at = directory;
    for _ in 0..count {
        let entry = content.get(at..end_at)?;
        if !entry.starts_with(b"PK\x01\x02") {
            return None;
        }
        let names = number::<2>(entry, 28)?;
        let head = before.checked_add(number::<4>(entry, 42)?)?;
        let local = content.get(head..directory)?;
        if !local.starts_with(b"PK\x03\x04") {
            return None;
        }
        let start = head + LOCAL + number::<2>(local, 26)? + number::<2>(local, 28)?;
        let end = start.checked_add(number::<4>(entry, 20)?)?;
        let before = parts.last().map_or(0, |part| part.end);
        if head < before || end > directory {
            return None;
        }
        let is_open = number::<2>(entry, 8)? & ENCRYPTED == 0;
        let is_deflated = number::<2>(entry, 10)? == DEFLATED;
        parts.push(Part {
            name: entry.get(ENTRY..ENTRY + names)?.to_vec(),
            head,
            start,
            end,
            unpacked: number::<4>(entry, 24).filter(|_| is_open && is_deflated),
        });
        at += ENTRY + names + number::<2>(entry, 30)? + number::<2>(entry, 32)?;
    }
    (!parts.is_empty()).then_some(Archive {
        kind: Kind::Zip,
        parts,
        directory,
    })
}

/// A gzip file of one member.
fn gzip(content: &[u8]) -> Option<Archive> {
    const CHECKED: u8 = 2;
    const EXTRA: u8 = 4;
    if !content.starts_with(&[0x1f, 0x8b, 8]) {
        return None;
    }
    let flags = *content.get(3)?;
    let mut start = 10;
    if flags & EXTRA != 0 {
        start += 2 + number::<2>(content, start)?;
    }
    // The name and the comment end with zero.
    for flag in [8, 16] {
        if flags & flag != 0 {
            let text = content.get(start..)?.iter();
            start += text.take(COMMENT_MAX).position(|byte| *byte == 0)? + 1;
        }
    }
    if flags & CHECKED != 0 {
        start += 2;
    }
    let directory = content.len().checked_sub(TRAILER)?;
    let unpacked = number::<4>(content, directory + 4)?;
    (start < directory).then(|| Archive {
        kind: Kind::Gzip,
        parts: vec![Part {
            name: Vec::new(),
            head: 0,
            start,
            end: directory,
            unpacked: Some(unpacked),
        }],
        directory,
    })
}
