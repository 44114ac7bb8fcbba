//! The outer form of a delta.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `KTSGDELT` |
//! | 2 | the format, 2 |
//! | 32 | SHA-256 of the base |
//! | 32 | SHA-256 of the result |
//! | 8 | length of the result |
//! | 4 | length of the base |
//! | 1 | how the new bytes are packed: 0 not, 1 LZMA, 2 Zstandard |
//! | 4 | length of the plan |
//! | 4 | length of the corrections |
//! | … | the plan, the corrections; the rest is the new bytes, packed |
//!
//! Numbers are big-endian. The plan ([`super::plan`]) and the corrections ([`super::copies`]) are
//! range-coded ([`super::coder`]).

use super::pack::Packing;
use super::{CUT_OFF, DeltaError, corrupt};
use kintsugi_domain::digest::Digest;

const MAGIC: &[u8; 8] = b"KTSGDELT";
/// The format that is written and read.
pub(super) const FORMAT: u16 = 2;

/// What stands before the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) base: Digest,
    pub(super) result: Digest,
    pub(super) length: u64,
    pub(super) base_length: u32,
    pub(super) packing: Packing,
}

/// The streams of a delta.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams<'a> {
    pub(super) plan: &'a [u8],
    pub(super) corrections: &'a [u8],
    pub(super) fresh: &'a [u8],
}

/// Puts a delta together; none if a stream is too long for the format.
pub(super) fn write(header: &Header, streams: &Streams<'_>) -> Option<Vec<u8>> {
    let mut delta = Vec::new();
    delta.extend(MAGIC);
    delta.extend(FORMAT.to_be_bytes());
    delta.extend(header.base.as_bytes());
    delta.extend(header.result.as_bytes());
    delta.extend(header.length.to_be_bytes());
    delta.extend(header.base_length.to_be_bytes());
    delta.push(header.packing.number());
    for stream in [streams.plan, streams.corrections] {
        delta.extend(u32::try_from(stream.len()).ok()?.to_be_bytes());
    }
    delta.extend(streams.plan);
    delta.extend(streams.corrections);
    delta.extend(streams.fresh);
    Some(delta)
}

/// Takes a delta apart.
pub(super) fn read(delta: &[u8]) -> Result<(Header, Streams<'_>), DeltaError> {
    let mut rest = delta;
    if take(&mut rest) != Some(*MAGIC) {
        return Err(DeltaError::NotADelta);
    }
    let format = u16::from_be_bytes(take(&mut rest).ok_or(CUT_OFF)?);
    if format != FORMAT {
        return Err(DeltaError::UnknownFormat { format });
    }
    let base: [u8; 32] = take(&mut rest).ok_or(CUT_OFF)?;
    let result: [u8; 32] = take(&mut rest).ok_or(CUT_OFF)?;
    let length = u64::from_be_bytes(take(&mut rest).ok_or(CUT_OFF)?);
    let base_length = u32::from_be_bytes(take(&mut rest).ok_or(CUT_OFF)?);
    let [packing] = take(&mut rest).ok_or(CUT_OFF)?;
    let packing = Packing::from_number(packing);
    let packing = packing.ok_or_else(|| corrupt("its new bytes are packed in an unknown way"))?;
    let plan = u32::from_be_bytes(take(&mut rest).ok_or(CUT_OFF)?);
    let corrections = u32::from_be_bytes(take(&mut rest).ok_or(CUT_OFF)?);
    let (plan, rest) = rest.split_at_checked(plan as usize).ok_or(CUT_OFF)?;
    let (corrections, fresh) = rest.split_at_checked(corrections as usize).ok_or(CUT_OFF)?;
    let header = Header {
        base: base.into(),
        result: result.into(),
        length,
        base_length,
        packing,
    };
    let streams = Streams {
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
