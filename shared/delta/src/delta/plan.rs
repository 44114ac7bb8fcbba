//! The plan of a delta: both layouts and the copies, and what a reader derives from them.

use super::coder::{Coder, Decoder, Encoder};
use super::copies::{Known, Models};
use super::layout::{Layout, Near};
use super::moves::{self, Copy, Map};
use super::refs::{Finder, Span};
use super::{DeltaError, corrupt};

/// Bytes of a copy that are worked on at once.
const PIECE: u32 = 1 << 16;

/// What a delta does, without the corrections and the new bytes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) old_layout: Layout,
    pub(super) new_layout: Layout,
    pub(super) copies: Vec<Copy>,
    /// Where jump tables of the old content begin, sorted.
    pub(super) tables: Vec<u32>,
}

impl Plan {
    fn code(
        &self,
        coder: &mut impl Coder,
        old_length: u32,
        new_length: u32,
    ) -> Result<Self, &'static str> {
        Ok(Self {
            old_layout: self.old_layout.code(coder)?,
            new_layout: self.new_layout.code(coder)?,
            copies: moves::code(coder, &self.copies, old_length, new_length)?,
            tables: moves::code_places(coder, &self.tables, old_length)?,
        })
    }

    /// The bytes of a plan for contents of these lengths.
    pub(super) fn write(&self, old_length: u32, new_length: u32) -> Result<Vec<u8>, DeltaError> {
        let mut encoder = Encoder::new();
        let done = self.code(&mut encoder, old_length, new_length);
        done.map_err(|why| DeltaError::NotMade {
            why: why.to_owned(),
        })?;
        Ok(encoder.finish())
    }

    /// Reads a plan for contents of these lengths. **Every copy that it names lies in both.**
    pub(super) fn read(bytes: &[u8], old_length: u32, new_length: u32) -> Result<Self, DeltaError> {
        let mut decoder = Decoder::new(bytes);
        let plan = Self::default()
            .code(&mut decoder, old_length, new_length)
            .map_err(corrupt)?;
        if decoder.is_exhausted() {
            return Err(super::CUT_OFF);
        }
        if decoder.is_finished() {
            Ok(plan)
        } else {
            Err(corrupt("it holds more than it uses"))
        }
    }

    /// Where old positions went. Memory that no file fills is matched by its order.
    pub(super) fn map(&self, old_length: u32, new_length: u32) -> Map {
        let blank = self.blank(old_length, new_length);
        Map::forward(&self.copies, &blank)
    }

    /// Where new positions come from.
    pub(super) fn map_back(&self, old_length: u32, new_length: u32) -> Map {
        let blank = self.blank(old_length, new_length);
        Map::backward(&self.copies, &blank)
    }

    fn blank(&self, old_length: u32, new_length: u32) -> Vec<Copy> {
        let old = self.old_layout.regions().iter();
        let new = self.new_layout.regions().iter();
        old.filter(|region| region.start >= old_length)
            .zip(new.filter(|region| region.start >= new_length))
            .map(|(old, new)| Copy {
                old: old.start,
                new: new.start,
                length: old.length.min(new.length),
            })
            .collect()
    }
}

/// What both sides of a copy stand on.
pub(super) struct Ground<'a> {
    old: &'a [u8],
    plan: &'a Plan,
    /// Where old positions went.
    map: &'a Map,
    /// Into how many parts the corrections are divided.
    parts: usize,
}

/// A part of a copy that is worked on at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// New bytes before it.
    pub(super) gap: u32,
    pub(super) copy: Copy,
    /// The copy that it is a piece of, as a part of the base.
    pub(super) whole: Span,
    /// Of how many bytes of the result it is, as [`STRIPE`]s: pieces of one stripe are corrected by one part.
    pub(super) stripe: u32,
}

/// Pieces whose surroundings are brought near at once.
pub(super) const NEAR: usize = 32;
/// Bytes that memory brings at once.
const LINE: usize = 64;
/// Bytes of a copy that are brought near; the rest follows by itself.
const AHEAD: usize = 256;
/// Bytes of the result that one part of the corrections is for before the next has its turn, as a power of two.
const STRIPE: u32 = 18;

/// What one part of the corrections has learnt, and where it stands.
pub(super) struct State<'p, C> {
    models: Models,
    pub(super) coder: C,
    finder: Finder<'p>,
    near: Near<'p>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(old: &'a [u8], plan: &'a Plan, map: &'a Map, parts: usize) -> Self {
        Self {
            old,
            plan,
            map,
            parts,
        }
    }

    /// A part of the corrections from its start.
    pub(super) fn state<C: Coder>(&self, coder: C) -> State<'a, C> {
        State {
            models: Models::new(self.old.len()),
            coder,
            finder: Finder::new(self.old, &self.plan.old_layout, &self.plan.tables),
            near: Near::new(&self.plan.new_layout),
        }
    }

    /// Which part of the corrections a stripe belongs to.
    pub(super) fn part_of(&self, stripe: u32) -> usize {
        stripe as usize % self.parts.max(1)
    }

    /// All copies in pieces, in the order of the result.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> + use<'a> {
        let mut copies = self.plan.copies.iter();
        let (mut end, mut whole) = (0, (0, 0));
        let mut rest = Copy {
            old: 0,
            new: 0,
            length: 0,
        };
        std::iter::from_fn(move || {
            if rest.length == 0 {
                rest = *copies.next()?;
                whole = (rest.old, rest.old_end());
            }
            let copy = Copy {
                length: rest.length.min(PIECE),
                ..rest
            };
            let gap = copy.new.saturating_sub(end);
            end = copy.new_end();
            rest = Copy {
                old: copy.old_end(),
                new: end,
                length: rest.length - copy.length,
            };
            Some(Piece {
                gap,
                copy,
                whole,
                stripe: copy.new >> STRIPE,
            })
        })
    }

    /// Brings near what the next pieces need, up to [`NEAR`] of them.
    pub(super) fn fetch(&self, pieces: &[Piece]) {
        let mut sum = 0;
        for piece in pieces {
            let copy = &piece.copy;
            let end = copy.old as usize + (copy.length as usize).min(AHEAD);
            let part = self.old.get(copy.old as usize..end).unwrap_or_default();
            for byte in part.iter().step_by(LINE) {
                sum ^= u64::from(*byte);
            }
        }
        std::hint::black_box(sum);
    }

    /// Turns a copied piece into what it becomes, at the end of `buffer`.
    pub(super) fn code<C: Coder>(
        &self,
        state: &mut State<'_, C>,
        piece: &Piece,
        new: Option<&[u8]>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), DeltaError> {
        let (copy, whole) = (&piece.copy, piece.whole);
        let known = Known {
            old: self.old,
            old_layout: &self.plan.old_layout,
            new_layout: &self.plan.new_layout,
            map: self.map,
        };
        let before = self.old.get(copy.old as usize..copy.old_end() as usize);
        let start = buffer.len();
        buffer.extend_from_slice(before.ok_or_else(|| corrupt("it reads outside the base"))?);
        let bytes = buffer.get_mut(start..).unwrap_or_default();
        let truth = new.and_then(|new| new.get(copy.new as usize..copy.new_end() as usize));
        let place = (copy.old, copy.new);
        let State {
            models,
            coder,
            finder,
            near,
        } = state;
        models.find(finder, self.map, (copy.old, copy.old_end()), whole);
        models.code(coder, &known, near, place, bytes, truth);
        if coder.is_exhausted() {
            return Err(super::CUT_OFF);
        }
        Ok(())
    }
}
