//! Applying a delta.

use super::coder::{Coder as _, Decoder};
use super::copies::Models;
use super::header::{self, Header, Streams};
use super::plan::{self, Ground, Plan};
use super::{CUT_OFF, DeltaError, Expected, corrupt, pack};
use kintsugi_domain::digest::Digest;
use sha2::{Digest as _, Sha256};
use std::io::{Read, Write};

/// New bytes that are handed on at once.
const CHUNK: usize = 1 << 16;

/// Applies a delta. Refuses the wrong base before any work, holds at most `expected.length` bytes and
/// what [`apply_to`] holds, and answers only with content of the expected digest.
pub fn apply(old: &[u8], delta: &[u8], expected: &Expected) -> Result<Vec<u8>, DeltaError> {
    let too_large = DeltaError::TooLarge {
        bytes: expected.length,
    };
    // The checks come first, so that a wrong delta costs no memory.
    check(old, delta, expected)?;
    let mut new = Vec::new();
    let length = usize::try_from(expected.length).map_err(|_| too_large.clone())?;
    new.try_reserve_exact(length).map_err(|_| too_large)?;
    apply_checked(old, delta, expected, &mut new)?;
    Ok(new)
}

/// Applies a delta and writes the result as it comes, never more than `expected.length` bytes. **What was
/// written counts only if this succeeds:** the digest is known at the end.
///
/// Beside the base and the delta it holds, in the worst case, eight bytes for each byte of the base and
/// 68 MiB; executables take about one byte for each byte of the base.
pub fn apply_to(
    old: &[u8],
    delta: &[u8],
    expected: &Expected,
    out: &mut dyn Write,
) -> Result<(), DeltaError> {
    check(old, delta, expected)?;
    apply_checked(old, delta, expected, out)
}

/// Whether this is the delta that the metadata names, and the base is there.
fn check(old: &[u8], delta: &[u8], expected: &Expected) -> Result<(), DeltaError> {
    let (header, _) = header::read(delta)?;
    for (what, agrees) in [
        ("base", header.base == expected.base),
        ("result", header.result == expected.digest),
        ("length", header.length == expected.length),
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
    if old.len() as u64 != u64::from(header.base_length) {
        return Err(corrupt("it names a wrong length of its base"));
    }
    Ok(())
}

fn apply_checked(
    old: &[u8],
    delta: &[u8],
    expected: &Expected,
    out: &mut dyn Write,
) -> Result<(), DeltaError> {
    let (header, streams) = header::read(delta)?;
    let plan = read_plan(&header, &streams)?;
    let mut output = Output {
        out,
        digest: Sha256::new(),
    };
    run(old, &header, &streams, &plan, &mut output)?;
    let found: [u8; 32] = output.digest.finalize().into();
    if found == *expected.digest.as_bytes() {
        Ok(())
    } else {
        Err(DeltaError::WrongResult)
    }
}

/// Reads the plan of a delta.
pub(super) fn read_plan(header: &Header, streams: &Streams<'_>) -> Result<Plan, DeltaError> {
    let bytes = header.length;
    let length = u32::try_from(bytes).map_err(|_| DeltaError::TooLarge { bytes })?;
    Plan::read(streams.plan, header.base_length, length)
}

/// Where the result goes.
struct Output<'a> {
    out: &'a mut dyn Write,
    digest: Sha256,
}

impl Output<'_> {
    fn give(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        self.digest.update(bytes);
        self.out
            .write_all(bytes)
            .map_err(|error| DeltaError::NotWritten {
                why: error.to_string(),
            })
    }

    /// Hands on exactly `count` bytes of a stream.
    fn copy(&mut self, stream: &mut dyn Read, mut count: usize) -> Result<(), DeltaError> {
        let mut buffer = vec![0; count.min(CHUNK)];
        while count > 0 {
            let part = buffer.get_mut(..count.min(CHUNK)).unwrap_or_default();
            let read = stream.read(part).map_err(unreadable)?;
            if read == 0 {
                return Err(CUT_OFF);
            }
            self.give(part.get(..read).unwrap_or_default())?;
            count -= read;
        }
        Ok(())
    }
}

fn run(
    old: &[u8],
    header: &Header,
    streams: &Streams<'_>,
    plan: &Plan,
    output: &mut Output<'_>,
) -> Result<(), DeltaError> {
    let scan = plan::scan(old, plan);
    // Its length was compared with the base's, and the plan's copies lie below it.
    let new_length = u32::try_from(header.length).unwrap_or(u32::MAX);
    let map = plan.map(header.base_length, new_length);
    let ground = Ground::new(old, plan, &scan, map);
    let mut fresh = pack::unpack(header.packing, streams.fresh)?;
    let mut decoder = Decoder::new(streams.corrections);
    let mut models = Models::new(old.len());
    let mut end = 0;
    for copy in &plan.copies {
        output.copy(&mut fresh, (copy.new - end) as usize)?;
        end = copy.new_end();
        ground.code(&mut models, &mut decoder, copy, None, |piece| {
            output.give(piece)
        })?;
    }
    output.copy(&mut fresh, (new_length - end) as usize)?;
    let more = fresh.read(&mut [0]).map_err(unreadable)?;
    if more > 0 || !decoder.is_finished() {
        return Err(corrupt("it holds more than it uses"));
    }
    if decoder.is_exhausted() {
        return Err(CUT_OFF);
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: std::io::Error) -> DeltaError {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        CUT_OFF
    } else {
        corrupt("a compressed stream in it is not readable")
    }
}
