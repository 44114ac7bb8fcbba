//! Applying a delta.

use super::beside::{self, Chunks, Hand, Made};
use super::coder::{Coder as _, Decoder};
use super::header::{self, Header, Streams};
use super::moves::Map;
use super::opening::Recipe;
use super::plan::{self, Ground, Piece, Plan, State};
use super::rebuild::Rebuild;
use super::{CUT_OFF, DeltaError, Expected, corrupt, opening, pack};
use kintsugi_domain::digest::Digest;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::io::{Read, Write};

/// New bytes that are handed on at once.
const CHUNK: usize = 1 << 16;

/// Applies a delta. Refuses the wrong base before anything is written, holds at most `expected.length` bytes
/// and what [`apply_to`] holds, and answers only with content of the expected digest.
pub fn apply(old: &[u8], delta: &[u8], expected: &Expected) -> Result<Vec<u8>, DeltaError> {
    applied(old, delta, expected, is_worth(old, expected))
}

/// The same, on threads or not.
pub(super) fn applied(
    old: &[u8],
    delta: &[u8],
    expected: &Expected,
    threads: bool,
) -> Result<Vec<u8>, DeltaError> {
    let too_large = DeltaError::TooLarge {
        bytes: expected.length,
    };
    let mut new = Vec::new();
    let length = usize::try_from(expected.length).map_err(|_| too_large.clone())?;
    apply_with((old, delta), expected, threads, &mut |part| {
        // It is taken only once the base is known to be the right one.
        if new.is_empty() {
            new.try_reserve_exact(length)
                .map_err(|_| too_large.clone())?;
        }
        new.extend_from_slice(part);
        Ok(())
    })?;
    Ok(new)
}

fn is_worth(old: &[u8], expected: &Expected) -> bool {
    beside::is_worth(expected.length.max(old.len() as u64))
}

/// Applies a delta and writes the result as it comes, never more than `expected.length` bytes. **What was
/// written counts only if this succeeds:** the digest is known at the end.
///
/// Unpacking and the parts of the corrections run on up to five threads that end before this
/// does; `out` is written to on the thread of the caller, not before the digest of the base was checked.
///
/// Beside the base and the delta it holds, in the worst case, 48 bytes for each copy (each gives a byte of the result or more), two
/// for each byte of the base, and 120 MiB; executables take about 10 MiB. Of an archive that is diffed by member,
/// what is unpacked of the base is held, at most 256 MiB, and counts as the base.
pub fn apply_to(
    old: &[u8],
    delta: &[u8],
    expected: &Expected,
    out: &mut dyn Write,
) -> Result<(), DeltaError> {
    let threads = is_worth(old, expected);
    apply_with((old, delta), expected, threads, &mut written(out))
}

fn written(out: &mut dyn Write) -> impl FnMut(&[u8]) -> Result<(), DeltaError> + use<'_> {
    |part| {
        out.write_all(part).map_err(|error| DeltaError::NotWritten {
            why: error.to_string(),
        })
    }
}

/// A delta that was read as far as that goes without its base: a base can be fetched from the disk at the same time.
#[derive(Debug)]
pub struct Prepared<'d> {
    header: Header,
    streams: Streams<'d>,
    plan: Plan,
    map: Map,
}

impl<'d> Prepared<'d> {
    /// Reads a delta as far as that goes without its base.
    pub fn read(delta: &'d [u8]) -> Result<Self, DeltaError> {
        let (header, streams) = header::read(delta)?;
        Self::new(header, streams)
    }

    fn new(header: Header, streams: Streams<'d>) -> Result<Self, DeltaError> {
        let plan = read_plan(&header, &streams)?;
        let [old, new] = header.lengths()?;
        let map = plan.map(old, new);
        Ok(Self {
            header,
            streams,
            plan,
            map,
        })
    }

    /// What it says of itself.
    pub fn expected(&self) -> Expected {
        self.header.expected()
    }

    /// The same as [`apply_to`] with what it says of itself.
    pub fn apply_to(&self, old: &[u8], out: &mut dyn Write) -> Result<(), DeltaError> {
        let threads = is_worth(old, &self.expected());
        self.apply_with(old, threads, &mut written(out))
    }

    fn apply_with(&self, old: &[u8], threads: bool, out: &mut Out<'_>) -> Result<(), DeltaError> {
        let (header, streams) = (&self.header, &self.streams);
        let mut sink = Sink {
            out,
            digest: Sha256::new(),
            left: header.length,
        };
        std::thread::scope(|scope| {
            let fresh = beside::ahead(threads, scope, || {
                pack::unpack(header.packing, streams.fresh)
            })?;
            // An archive is not opened before it is known to be the right one; else that is seen to beside the first corrections.
            if header.opened.is_some() {
                check_base(old, header)?;
            }
            let ready = Ready::new(old, self)?;
            let mut take = |bytes: &[u8]| sink.give(bytes);
            let mut output = Output {
                rebuild: ready.recipe.as_ref().map(Rebuild::new),
                chunks: Chunks::new(&mut take),
            };
            let check = || match header.opened {
                Some(_) => Ok(()),
                None => check_base(old, header),
            };
            ready.run(fresh, check, threads, &mut output)?;
            output.finish()
        })?;
        let found: [u8; 32] = sink.digest.finalize().into();
        if found == *header.result.as_bytes() {
            Ok(())
        } else {
            Err(DeltaError::WrongResult)
        }
    }
}

/// Whether this is the delta that the metadata names.
fn check(header: &Header, expected: &Expected) -> Result<(), DeltaError> {
    for (what, agrees) in [
        ("base", header.base == expected.base),
        ("result", header.result == expected.digest),
        ("length", header.length == expected.length),
    ] {
        if !agrees {
            return Err(DeltaError::WrongDelta { what });
        }
    }
    Ok(())
}

/// Whether the base is there.
fn check_base(old: &[u8], header: &Header) -> Result<(), DeltaError> {
    let (needed, found) = (header.base, Digest::of(old));
    if found != needed {
        return Err(DeltaError::WrongBase { needed, found });
    }
    if old.len() as u64 != u64::from(header.base_length) {
        return Err(corrupt("it names a wrong length of its base"));
    }
    Ok(())
}

fn apply_with(
    (old, delta): (&[u8], &[u8]),
    expected: &Expected,
    threads: bool,
    out: &mut Out<'_>,
) -> Result<(), DeltaError> {
    let (header, streams) = header::read(delta)?;
    check(&header, expected)?;
    Prepared::new(header, streams)?.apply_with(old, threads, out)
}

/// Reads the plan of a delta.
pub(super) fn read_plan(header: &Header, streams: &Streams<'_>) -> Result<Plan, DeltaError> {
    let [old, new] = header.lengths()?;
    Plan::read(streams.plan, old, new)
}

/// Where the result goes in the end.
type Out<'o> = dyn FnMut(&[u8]) -> Result<(), DeltaError> + 'o;

/// Where the result goes: counted, then into its digest and out.
struct Sink<'a, 'o> {
    out: &'a mut Out<'o>,
    digest: Sha256,
    /// Bytes that may still come.
    left: u64,
}

impl Sink<'_, '_> {
    fn give(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| corrupt("it writes more than the declared length"))?;
        self.digest.update(bytes);
        (self.out)(bytes)
    }
}

/// Takes the result, or the opened form of it.
struct Output<'a, 't> {
    rebuild: Option<Rebuild<'a>>,
    chunks: Chunks<'t>,
}

impl Output<'_, '_> {
    fn give(&mut self, bytes: &[u8]) -> Result<(), DeltaError> {
        match &mut self.rebuild {
            Some(rebuild) => rebuild.take(bytes, &mut |bytes| self.chunks.give(bytes)),
            None => self.chunks.give(bytes),
        }
    }

    fn finish(mut self) -> Result<(), DeltaError> {
        if let Some(rebuild) = self.rebuild {
            rebuild.finish(&mut |bytes| self.chunks.give(bytes))?;
        }
        self.chunks.flush()
    }

    /// Hands on exactly `count` bytes of a stream, through `buffer`.
    fn copy(
        &mut self,
        stream: &mut dyn Read,
        mut count: usize,
        buffer: &mut [u8],
    ) -> Result<(), DeltaError> {
        while count > 0 {
            let most = count.min(buffer.len());
            let part = buffer.get_mut(..most).unwrap_or_default();
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

/// A delta with its base, opened if it is to be.
struct Ready<'a> {
    base: Cow<'a, [u8]>,
    new_length: u32,
    recipe: Option<Recipe>,
    prepared: &'a Prepared<'a>,
}

impl<'a> Ready<'a> {
    fn new(old: &'a [u8], prepared: &'a Prepared<'_>) -> Result<Self, DeltaError> {
        let [old_length, new_length] = prepared.header.lengths()?;
        let (mut base, mut recipe) = (Cow::Borrowed(old), None);
        if prepared.header.opened.is_some() {
            let lengths = [old_length, new_length];
            let opened = opening::open(old, prepared.streams.opening, lengths)?;
            base = Cow::Owned(opened.0.bytes);
            recipe = Some(opened.1);
        }
        Ok(Self {
            base,
            new_length,
            recipe,
            prepared,
        })
    }

    /// Gives the result, or the opened form of it, if `check` allows it.
    fn run(
        &self,
        mut fresh: Box<dyn Read + Send + '_>,
        check: impl FnOnce() -> Result<(), DeltaError>,
        threads: bool,
        output: &mut Output<'_, '_>,
    ) -> Result<(), DeltaError> {
        let Prepared { plan, map, .. } = self.prepared;
        let corrections = self.prepared.streams.corrections.as_slice();
        let ground = Ground::new(&self.base, plan, map, corrections.len());
        let work = |number: usize, hand: &Hand| work(&ground, corrections, number, hand);
        beside::made(threads, corrections.len(), work, |made| {
            check()?;
            let mut source = match made {
                Some(made) => Source::Made(made),
                None => Source::Here(Here::new(&ground, corrections)),
            };
            let mut buffer = vec![0; CHUNK];
            let mut end = 0;
            for piece in ground.pieces() {
                output.copy(&mut fresh, piece.gap as usize, &mut buffer)?;
                end = piece.copy.new_end();
                output.give(source.next(&ground, &piece)?)?;
            }
            output.copy(&mut fresh, (self.new_length - end) as usize, &mut buffer)?;
            let more = fresh.read(&mut [0]).map_err(unreadable)?;
            if more > 0 {
                return Err(corrupt("it holds more than it uses"));
            }
            source.end()
        })
    }
}

/// Where copied pieces come from as they become.
enum Source<'m, 'p, 'c> {
    /// From threads, one for each part of the corrections.
    Made(&'m mut Made),
    Here(Here<'p, 'c>),
}

/// All parts of the corrections, one piece after the other.
struct Here<'p, 'c> {
    states: Vec<State<'p, Decoder<'c>>>,
    buffer: Vec<u8>,
}

impl<'p, 'c> Here<'p, 'c> {
    fn new(ground: &Ground<'p>, corrections: &[&'c [u8]]) -> Self {
        let states = corrections.iter();
        let states = states.map(|part| ground.state(Decoder::new(part)));
        Self {
            states: states.collect(),
            buffer: Vec::new(),
        }
    }
}

impl Source<'_, '_, '_> {
    fn next(&mut self, ground: &Ground<'_>, piece: &Piece) -> Result<&[u8], DeltaError> {
        let part = ground.part_of(piece.stripe);
        match self {
            Self::Made(made) => made.take(part, piece.copy.length as usize),
            Self::Here(here) => {
                here.buffer.clear();
                let state = here.states.get_mut(part).ok_or(CUT_OFF)?;
                ground.code(state, piece, None, &mut here.buffer)?;
                Ok(&here.buffer)
            }
        }
    }

    fn end(self) -> Result<(), DeltaError> {
        match self {
            Self::Made(made) => made.end(),
            Self::Here(here) => here.states.iter().try_for_each(|it| is_used(&it.coder)),
        }
    }
}

/// Whether a part of the corrections was used to its end and not beyond it.
fn is_used(decoder: &Decoder<'_>) -> Result<(), DeltaError> {
    if !decoder.is_finished() {
        return Err(corrupt("it holds more than it uses"));
    }
    if decoder.is_exhausted() {
        return Err(CUT_OFF);
    }
    Ok(())
}

/// Works on one part of the corrections and hands on, stripe by stripe, what its pieces become.
fn work(
    ground: &Ground<'_>,
    corrections: &[&[u8]],
    number: usize,
    hand: &Hand,
) -> Result<(), DeltaError> {
    let part = corrections.get(number).copied().unwrap_or_default();
    let mut state = ground.state(Decoder::new(part));
    let own = |piece: &Piece| ground.part_of(piece.stripe) == number;
    let mut pieces = ground.pieces().filter(own);
    let mut batch = Vec::with_capacity(plan::NEAR);
    let (mut chunk, mut stripe) = (beside::blank(), None);
    loop {
        batch.clear();
        batch.extend(pieces.by_ref().take(plan::NEAR));
        if batch.is_empty() {
            break;
        }
        ground.fetch(&batch);
        for piece in &batch {
            let is_next = stripe.replace(piece.stripe) != Some(piece.stripe);
            if is_next && !chunk.is_empty() {
                hand.give(&mut chunk)?;
            }
            let start = chunk.len();
            if let Err(error) = ground.code(&mut state, piece, None, &mut chunk) {
                // What came before it counts: there may be an error of another in it.
                chunk.truncate(start);
                hand.give(&mut chunk)?;
                return Err(error);
            }
        }
    }
    if !chunk.is_empty() {
        hand.give(&mut chunk)?;
    }
    is_used(&state.coder)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: std::io::Error) -> DeltaError {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        CUT_OFF
    } else {
        corrupt("a compressed stream in it is not readable")
    }
}
