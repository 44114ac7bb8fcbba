//! Applying a delta.

use super::coder::{Coder as _, Decoder};
use super::copies::Models;
use super::header::{self, Header, Streams};
use super::plan::{self, Ground, Plan};
use super::rebuild::Rebuild;
use super::{CUT_OFF, DeltaError, Expected, corrupt, opening, pack};
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
/// 68 MiB; executables take about one byte for each byte of the base. Of an archive that is diffed by member,
/// what is unpacked of the base is held, at most 256 MiB, and counts as the base.
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
    let lengths = header.lengths()?;
    let plan = read_plan(&header, &streams)?;
    let opened;
    let (mut base, mut recipe) = (old, None);
    if header.opened.is_some() {
        opened = opening::open(old, streams.opening, lengths)?;
        base = &opened.0.bytes;
        recipe = Some(&opened.1);
    }
    let mut output = Output {
        rebuild: recipe.map(Rebuild::new),
        sink: Sink {
            out,
            digest: Sha256::new(),
            left: expected.length,
        },
    };
    run(base, lengths, &header, &streams, &plan, &mut output)?;
    let found: [u8; 32] = output.finish()?.into();
    if found == *expected.digest.as_bytes() {
        Ok(())
    } else {
        Err(DeltaError::WrongResult)
    }
}

/// Reads the plan of a delta.
pub(super) fn read_plan(header: &Header, streams: &Streams<'_>) -> Result<Plan, DeltaError> {
    let [old, new] = header.lengths()?;
    Plan::read(streams.plan, old, new)
}

/// Where the result goes.
struct Sink<'a> {
    out: &'a mut dyn Write,
    digest: Sha256,
    /// Bytes that may still come.
    left: u64,
}

impl Sink<'_> {
    fn give(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| corrupt("it writes more than the declared length"))?;
        self.digest.update(bytes);
        self.out
            .write_all(bytes)
            .map_err(|error| DeltaError::NotWritten {
                why: error.to_string(),
            })
    }
}

/// Takes the result, or the opened form of it.
struct Output<'a> {
    rebuild: Option<Rebuild<'a>>,
    sink: Sink<'a>,
}

impl Output<'_> {
    fn give(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        match &mut self.rebuild {
            Some(rebuild) => rebuild.take(bytes, &mut |bytes| self.sink.give(bytes)),
            None => self.sink.give(bytes),
        }
    }

    /// The digest of all that was written.
    fn finish(mut self) -> Result<impl Into<[u8; 32]>, DeltaError> {
        if let Some(rebuild) = self.rebuild {
            rebuild.finish(&mut |bytes| self.sink.give(bytes))?;
        }
        Ok(self.sink.digest.finalize())
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
    [old_length, new_length]: [u32; 2],
    header: &Header,
    streams: &Streams<'_>,
    plan: &Plan,
    output: &mut Output<'_>,
) -> Result<(), DeltaError> {
    let scan = plan::scan(old, plan);
    // The lengths were compared with the contents, and the plan's copies lie below them.
    let map = plan.map(old_length, new_length);
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
