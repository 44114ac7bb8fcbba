//! Binary deltas in the format of bsdiff 4 behind a header of our own.
//!
//! The header is `KTSGDELT`, the format version (16 bits), the digests of base and result and the
//! length of the result (64 bits), numbers big-endian. After it comes an unchanged bsdiff 4 patch:
//! the `BSDIFF40` header, then three bzip2 streams: controls (add, copy, seek), differences, new bytes.
//!
//! `qbsdiff` makes the patch. It is applied here and not by that crate, whose reader adds lengths of the
//! header without care and follows any number of controls that get nowhere.

use bzip2::bufread::BzDecoder;
use kintsugi_domain::digest::Digest;
use qbsdiff::{Bsdiff, ParallelScheme};
use std::io::{ErrorKind, Read};

const MAGIC: &[u8; 8] = b"KTSGDELT";
const FORMAT: u16 = 1;
const PATCH_MAGIC: &[u8; 8] = b"BSDIFF40";
/// Controls that neither add nor copy: a writer needs one at the start, no more.
const IDLE_CONTROLS_MAX: u32 = 16;

/// Longest base or result that a delta is made of, bytes. Making one takes about six times the base
/// in memory; this bound keeps it under 3 GB.
pub const MAKE_BYTES_MAX: usize = 384 * 1024 * 1024;

/// What the signed metadata says about a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The digest of the content that the delta starts from.
    pub base: Digest,
    /// The digest of the content that it leads to.
    pub digest: Digest,
    /// The length of that content, bytes.
    pub length: u64,
}

/// A delta that cannot be made or must not be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// It does not begin as a delta does.
    #[error("this is not a delta")]
    NotADelta,
    /// It is of a form that this program does not know.
    #[error("delta format {format} is not known here")]
    UnknownFormat {
        /// The form it names.
        format: u16,
    },
    /// What is installed is not what the delta starts from.
    #[error("the delta starts from {needed}, what is there is {found}")]
    WrongBase {
        /// What the delta starts from.
        needed: Digest,
        /// What was given.
        found: Digest,
    },
    /// The delta is a good one, perhaps, but not the one that the metadata names.
    #[error("the delta leads to another {what} than the metadata says")]
    WrongDelta {
        /// `base`, `result` or `length`.
        what: &'static str,
    },
    /// Its instructions make no sense.
    #[error("the delta is damaged: {why}")]
    Corrupt {
        /// The first thing that is wrong.
        why: &'static str,
    },
    /// Everything was followed, and the result is not the declared one.
    #[error("the delta gives a result that is not the declared one")]
    WrongResult,
    /// The result does not fit into memory, or the inputs are longer than [`MAKE_BYTES_MAX`].
    #[error("{bytes} bytes are too many for a delta here")]
    TooLarge {
        /// How many.
        bytes: u64,
    },
    /// The writer of the patch failed.
    #[error("the delta could not be made: {why}")]
    NotMade {
        /// What it says.
        why: String,
    },
}

impl DeltaError {
    /// The stable name of this kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotADelta => "delta_not_a_delta",
            Self::UnknownFormat { .. } => "delta_unknown_format",
            Self::WrongBase { .. } => "delta_wrong_base",
            Self::WrongDelta { .. } => "delta_wrong_delta",
            Self::Corrupt { .. } => "delta_corrupt",
            Self::WrongResult => "delta_wrong_result",
            Self::TooLarge { .. } => "delta_too_large",
            Self::NotMade { .. } => "delta_not_made",
        }
    }
}

/// Makes the delta from one content to another. The same inputs give the same bytes.
pub fn make(old: &[u8], new: &[u8]) -> Result<Vec<u8>, DeltaError> {
    for content in [old, new] {
        if content.len() > MAKE_BYTES_MAX {
            let bytes = content.len() as u64;
            return Err(DeltaError::TooLarge { bytes });
        }
    }
    let mut delta = Vec::new();
    delta.extend(MAGIC);
    delta.extend(FORMAT.to_be_bytes());
    delta.extend(Digest::of(old).as_bytes());
    delta.extend(Digest::of(new).as_bytes());
    delta.extend((new.len() as u64).to_be_bytes());
    Bsdiff::new(old, new)
        .parallel_scheme(ParallelScheme::Never)
        .compression_level(9)
        .compare(&mut delta)
        .map_err(|error| DeltaError::NotMade {
            why: error.to_string(),
        })?;
    Ok(delta)
}

/// Applies a delta. Refuses the wrong base before any work, holds at most `expected.length` bytes and
/// a constant, and answers only with content of the expected digest.
pub fn apply(old: &[u8], delta: &[u8], expected: &Expected) -> Result<Vec<u8>, DeltaError> {
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
    for (what, agrees) in [
        ("base", base == *expected.base.as_bytes()),
        ("result", result == *expected.digest.as_bytes()),
        ("length", length == expected.length),
    ] {
        if !agrees {
            return Err(DeltaError::WrongDelta { what });
        }
    }
    let found = Digest::of(old);
    if found != expected.base {
        let needed = expected.base;
        return Err(DeltaError::WrongBase { needed, found });
    }
    let new = Patch::read(rest, length)?.apply(old, length)?;
    if Digest::of(&new) == expected.digest {
        Ok(new)
    } else {
        Err(DeltaError::WrongResult)
    }
}

const CUT_OFF: DeltaError = DeltaError::Corrupt {
    why: "it is cut off",
};

fn corrupt(why: &'static str) -> DeltaError {
    DeltaError::Corrupt { why }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

/// A bsdiff number: little-endian magnitude, the sign in the highest bit.
fn number(bytes: [u8; 8]) -> i64 {
    let raw = u64::from_le_bytes(bytes);
    let magnitude = i64::try_from(raw & !(1 << 63)).unwrap_or(i64::MAX);
    if raw >> 63 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// The three streams of a bsdiff 4 patch.
struct Patch<'a> {
    controls: BzDecoder<&'a [u8]>,
    differences: BzDecoder<&'a [u8]>,
    fresh: BzDecoder<&'a [u8]>,
}

struct Control {
    add: usize,
    copy: usize,
    seek: i64,
}

impl<'a> Patch<'a> {
    fn read(mut rest: &'a [u8], length: u64) -> Result<Self, DeltaError> {
        if take(&mut rest) != Some(*PATCH_MAGIC) {
            return Err(corrupt("it holds no patch"));
        }
        let mut next = || take(&mut rest).map(number).ok_or(CUT_OFF);
        let (controls, differences, result) = (next()?, next()?, next()?);
        if u64::try_from(result) != Ok(length) {
            return Err(corrupt("header and patch declare different lengths"));
        }
        let mut split = |length: i64| {
            let length = usize::try_from(length).map_err(|_| corrupt("a length is negative"))?;
            let (stream, after) = rest.split_at_checked(length).ok_or(CUT_OFF)?;
            rest = after;
            Ok(BzDecoder::new(stream))
        };
        Ok(Self {
            controls: split(controls)?,
            differences: split(differences)?,
            fresh: BzDecoder::new(rest),
        })
    }

    fn apply(mut self, old: &[u8], length: u64) -> Result<Vec<u8>, DeltaError> {
        let too_large = |_| DeltaError::TooLarge { bytes: length };
        let length = usize::try_from(length).map_err(|_| DeltaError::TooLarge { bytes: length })?;
        let mut new: Vec<u8> = Vec::new();
        new.try_reserve_exact(length).map_err(too_large)?;
        let mut position = 0_usize;
        let mut idle = 0;
        while let Some(control) = self.control()? {
            if control.add == 0 && control.copy == 0 {
                idle += 1;
                if idle > IDLE_CONTROLS_MAX {
                    return Err(corrupt("its instructions get nowhere"));
                }
            }
            let added = extend(&mut new, length, &mut self.differences, control.add)?;
            let end = position
                .checked_add(control.add)
                .ok_or_else(|| corrupt("it reads outside the base"))?;
            let base = old
                .get(position..end)
                .ok_or_else(|| corrupt("it reads outside the base"))?;
            let tail = new.get_mut(added..).unwrap_or_default();
            for (byte, old) in tail.iter_mut().zip(base) {
                *byte = byte.wrapping_add(*old);
            }
            extend(&mut new, length, &mut self.fresh, control.copy)?;
            position = i64::try_from(end)
                .ok()
                .and_then(|end| end.checked_add(control.seek))
                .and_then(|position| usize::try_from(position).ok())
                .ok_or_else(|| corrupt("it seeks outside the base"))?;
        }
        if new.len() != length {
            return Err(corrupt("it ends before the declared length"));
        }
        for stream in [&mut self.differences, &mut self.fresh] {
            // Also makes the decoder compare its checksum.
            if stream.read(&mut [0]).map_err(unreadable)? > 0 {
                return Err(corrupt("it holds more than it uses"));
            }
        }
        Ok(new)
    }

    /// The next instruction, or nothing at the end of the stream.
    fn control(&mut self) -> Result<Option<Control>, DeltaError> {
        let mut bytes = Vec::with_capacity(24);
        (&mut self.controls)
            .take(24)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let mut rest = bytes.as_slice();
        let (Some(add), Some(copy), Some(seek)) =
            (take(&mut rest), take(&mut rest), take(&mut rest))
        else {
            return if bytes.is_empty() {
                Ok(None)
            } else {
                Err(CUT_OFF)
            };
        };
        let count = |bytes| {
            usize::try_from(number(bytes))
                .map_err(|_| corrupt("an instruction has a negative length"))
        };
        Ok(Some(Control {
            add: count(add)?,
            copy: count(copy)?,
            seek: number(seek),
        }))
    }
}

/// Appends exactly `count` bytes of a stream and says where they begin.
fn extend(
    new: &mut Vec<u8>,
    length: usize,
    stream: &mut impl Read,
    count: usize,
) -> Result<usize, DeltaError> {
    let start = new.len();
    if count > length - start.min(length) {
        return Err(corrupt("it writes more than the declared length"));
    }
    let read = stream
        .take(count as u64)
        .read_to_end(new)
        .map_err(unreadable)?;
    if read == count {
        Ok(start)
    } else {
        Err(CUT_OFF)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: std::io::Error) -> DeltaError {
    if error.kind() == ErrorKind::UnexpectedEof {
        CUT_OFF
    } else {
        corrupt("a compressed stream in it is not readable")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_sign_in_the_highest_bit() {
        assert_eq!(number([1, 0, 0, 0, 0, 0, 0, 0]), 1);
        assert_eq!(number([1, 0, 0, 0, 0, 0, 0, 0x80]), -1);
        assert_eq!(number([0, 0, 0, 0, 0, 0, 0, 0x80]), 0);
        assert_eq!(number([0xff; 8]), -i64::MAX);
    }
}
