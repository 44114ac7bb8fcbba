//! The outer form of a delta.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `KTSG` |
//! | 1 | the format, 6 |
//! | 32 | SHA-256 of the base |
//! | 32 | SHA-256 of the result |
//! | 1 | how the new bytes are packed: 0 not, 1 LZMA, 2 Zstandard; 16 more if archives are opened; 32 more for each part of the corrections after the first |
//! | 1–5 | length of the base |
//! | 1–10 | length of the result |
//! | 0, 3–15 | of opened archives: lengths of the opened base, of the opened result and of the opening |
//! | 1–5 | length of the plan |
//! | 1–5 each | lengths of the parts of the corrections |
//! | … | the opening, the plan, the corrections; the rest is the new bytes, packed |
//!
//! Lengths are in LEB128 (DWARF 5, section 7.6), in the shortest form only. The opening ([`super::opening`]), the
//! plan ([`super::plan`]) and the corrections ([`super::copies`]) are range-coded ([`super::coder`]). Where archives
//! are opened, plan, corrections and new bytes are about the opened forms.
//!
//! A small delta is mostly header, so lengths take what they need; the digests stay whole: who applies
//! a delta by hand has nothing else to hold base and result to.

use super::pack::Packing;
use super::{CUT_OFF, DeltaError, Expected, corrupt};
use kintsugi_domain::digest::Digest;

/// Added to the packing if archives are opened.
const OPENED: u8 = 0x10;
/// Added to the packing for each part of the corrections after the first, as a power of two.
const PARTS_SHIFT: u32 = 5;
/// Most parts of the corrections.
pub(super) const PARTS_MAX: usize = 4;
const MAGIC: &[u8; 4] = b"KTSG";
/// The format that is written and read. Formats 1 and 2 had a longer header and read as format 68.
pub(super) const FORMAT: u8 = 6;

/// What stands before the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) base: Digest,
    pub(super) result: Digest,
    pub(super) length: u64,
    pub(super) base_length: u32,
    pub(super) packing: Packing,
    /// The lengths of base and result in their opened form, if archives are opened.
    pub(super) opened: Option<[u32; 2]>,
}

impl Header {
    /// What a delta says of itself.
    pub(super) fn expected(&self) -> Expected {
        Expected {
            base: self.base,
            digest: self.result,
            length: self.length,
        }
    }

    /// The lengths of the contents that the plan is about.
    pub(super) fn lengths(&self) -> Result<[u32; 2], DeltaError> {
        let bytes = self.length;
        let length = u32::try_from(bytes).map_err(|_| DeltaError::TooLarge { bytes })?;
        Ok(self.opened.unwrap_or([self.base_length, length]))
    }
}

/// The streams of a delta.
#[derive(Debug, Clone)]
pub(super) struct Streams<'a> {
    /// Empty unless archives are opened.
    pub(super) opening: &'a [u8],
    pub(super) plan: &'a [u8],
    /// One to [`PARTS_MAX`] parts, each by itself.
    pub(super) corrections: Vec<&'a [u8]>,
    pub(super) fresh: &'a [u8],
}

/// Puts a delta together; none if a stream is too long for the format.
pub(super) fn write(header: &Header, streams: &Streams<'_>) -> Option<Vec<u8>> {
    let mut delta = Vec::new();
    delta.extend(MAGIC);
    delta.push(FORMAT);
    delta.extend(header.base.as_bytes());
    delta.extend(header.result.as_bytes());
    let opened = header.opened.map_or(0, |_| OPENED);
    let more = u8::try_from(streams.corrections.len().checked_sub(1)?).ok()?;
    delta.push(header.packing.number() | opened | more << PARTS_SHIFT);
    write_length(&mut delta, u64::from(header.base_length));
    write_length(&mut delta, header.length);
    if let Some(lengths) = header.opened {
        let opening = u32::try_from(streams.opening.len()).ok()?;
        for length in lengths.into_iter().chain([opening]) {
            write_length(&mut delta, u64::from(length));
        }
    }
    for stream in [&streams.plan].into_iter().chain(&streams.corrections) {
        let length = u32::try_from(stream.len()).ok()?;
        write_length(&mut delta, u64::from(length));
    }
    delta.extend(streams.opening);
    delta.extend(streams.plan);
    for part in &streams.corrections {
        delta.extend(*part);
    }
    delta.extend(streams.fresh);
    Some(delta)
}

/// Takes a delta apart.
pub(super) fn read(delta: &[u8]) -> Result<(Header, Streams<'_>), DeltaError> {
    let mut rest = delta;
    if take(&mut rest) != Some(*MAGIC) {
        return Err(DeltaError::NotADelta);
    }
    let [format] = take(&mut rest).ok_or(CUT_OFF)?;
    if format != FORMAT {
        let format = u16::from(format);
        return Err(DeltaError::UnknownFormat { format });
    }
    let base: [u8; 32] = take(&mut rest).ok_or(CUT_OFF)?;
    let result: [u8; 32] = take(&mut rest).ok_or(CUT_OFF)?;
    let [packing] = take(&mut rest).ok_or(CUT_OFF)?;
    let is_opened = packing & OPENED != 0;
    let more = packing >> PARTS_SHIFT;
    let packing = packing & ((1 << PARTS_SHIFT) - 1) & !OPENED;
    let packing = Packing::from_number(packing).filter(|_| usize::from(more) < PARTS_MAX);
    let packing = packing.ok_or_else(|| corrupt("its new bytes are packed in an unknown way"))?;
    let base_length = read_short(&mut rest)?;
    let length = read_length(&mut rest)?;
    let (mut opened, mut opening) = (None, 0);
    if is_opened {
        opened = Some([read_short(&mut rest)?, read_short(&mut rest)?]);
        opening = read_short(&mut rest)?;
    }
    let plan = read_short(&mut rest)?;
    let mut lengths = Vec::new();
    for _ in 0..=more {
        lengths.push(read_short(&mut rest)?);
    }
    let (opening, rest) = rest.split_at_checked(opening as usize).ok_or(CUT_OFF)?;
    let (plan, mut fresh) = rest.split_at_checked(plan as usize).ok_or(CUT_OFF)?;
    let mut corrections = Vec::new();
    for length in lengths {
        let (part, rest) = fresh.split_at_checked(length as usize).ok_or(CUT_OFF)?;
        corrections.push(part);
        fresh = rest;
    }
    let header = Header {
        base: base.into(),
        result: result.into(),
        length,
        base_length,
        packing,
        opened,
    };
    let streams = Streams {
        opening,
        plan,
        corrections,
        fresh,
    };
    Ok((header, streams))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

/// Writes a length, seven bits a byte, the lowest first.
pub(super) fn write_length(bytes: &mut Vec<u8>, mut length: u64) {
    while length >= 0x80 {
        bytes.push(0x80 | u8::try_from(length & 0x7f).unwrap_or_default());
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap_or_default());
}

/// Reads a length of up to 64 bits.
fn read_length(rest: &mut &[u8]) -> Result<u64, DeltaError> {
    let mut length = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(rest).ok_or(CUT_OFF)?;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return Err(corrupt("a length in it does not fit"));
        }
        length |= part << shift;
        if byte < 0x80 {
            if byte == 0 && shift > 0 {
                return Err(corrupt("a length in it is not of the shortest form"));
            }
            return Ok(length);
        }
    }
    Err(corrupt("a length in it does not fit"))
}

/// Reads a length of up to 32 bits.
fn read_short(rest: &mut &[u8]) -> Result<u32, DeltaError> {
    u32::try_from(read_length(rest)?).map_err(|_| corrupt("a length in it does not fit"))
}
