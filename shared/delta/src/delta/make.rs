//! Making a delta: the search, and the choice of the smallest of what it finds.

use super::coder::Encoder;
use super::header::{self, Header, Streams};
use super::pack::{self, Packing};
use super::plan::{Ground, Plan};
use super::refs::{self, Reference};
use super::{DeltaError, choice, image, search, view};
use kintsugi_domain::digest::Digest;

/// Longest base or result that a delta is made of, bytes. Making one takes up to ten times the longer of
/// them in memory; this bound keeps it under 3 GB.
pub const MAKE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A delta of opened archives that is shorter than the result by this factor is taken without making the
/// other: packed bytes hardly match, and searching them takes longest.
const SURELY: usize = 16;

/// Makes the delta from one content to another. The same inputs give the same bytes.
///
/// Several deltas are made and the smallest is taken: one over copies found with blank references, one
/// over copies found with labels for references, and the new content by itself where little is copied. Of
/// archives, these are made of their opened forms too; if that gives a very small one, only of those.
pub fn make(old: &[u8], new: &[u8]) -> Result<Vec<u8>, DeltaError> {
    for content in [old, new] {
        if content.len() > MAKE_BYTES_MAX {
            let bytes = content.len() as u64;
            return Err(DeltaError::TooLarge { bytes });
        }
    }
    let opened = match choice::prepare(old, new).filter(|prepared| prepared.gives(new)) {
        Some(prepared) => {
            let maker = Maker::new(
                (&prepared.old.bytes, &prepared.old.starts),
                (&prepared.new.bytes, &prepared.new.starts),
            );
            Some(delta_of(&maker, (old, new), Some(&prepared.stream))?)
        }
        None => None,
    };
    if let Some(opened) = opened.as_ref().filter(|it| it.len() <= new.len() / SURELY) {
        return Ok(opened.clone());
    }
    let plain = delta_of(&Maker::new((old, &[]), (new, &[])), (old, new), None)?;
    Ok(opened.filter(|it| it.len() < plain.len()).unwrap_or(plain))
}

/// The smallest delta of a maker, between contents of which `opening` makes the maker's.
fn delta_of(
    maker: &Maker<'_>,
    (old, new): (&[u8], &[u8]),
    opening: Option<&[u8]>,
) -> Result<Vec<u8>, DeltaError> {
    let draft = maker.best()?;
    let (packing, packed) = if draft.fresh.is_empty() {
        (Packing::None, Vec::new())
    } else {
        pack::pack(&draft.fresh, draft.packed)?
    };
    let bytes = old.len() as u64;
    let header = Header {
        base: Digest::of(old),
        result: Digest::of(new),
        length: new.len() as u64,
        base_length: u32::try_from(bytes).map_err(|_| DeltaError::TooLarge { bytes })?,
        packing,
        opened: opening.map(|_| [maker.old_length, maker.new_length]),
    };
    let mut corrections = draft.corrections;
    if corrections.first().is_some_and(|it| it.len() >= DIVIDED) {
        corrections = maker.corrections(&draft.plan, PARTS)?;
    }
    let streams = Streams {
        opening: opening.unwrap_or_default(),
        plan: &draft.plan_bytes,
        corrections: corrections.iter().map(Vec::as_slice).collect(),
        fresh: &packed,
    };
    header::write(&header, &streams).ok_or(DeltaError::TooLarge {
        bytes: corrections.iter().map(|it| it.len() as u64).sum(),
    })
}

/// Corrections of so many bytes are divided into [`PARTS`] parts, so that a device decodes them on as many cores;
/// of fewer, what each part has to learn by itself would count, and the time does not.
const DIVIDED: usize = 1 << 15;
const PARTS: usize = 2;

struct Maker<'a> {
    old: &'a [u8],
    new: &'a [u8],
    old_length: u32,
    new_length: u32,
    layouts: Plan,
    old_references: Vec<Reference>,
    new_references: Vec<Reference>,
}

/// A delta that is not put together yet.
struct Draft {
    plan: Plan,
    plan_bytes: Vec<u8>,
    corrections: Vec<Vec<u8>>,
    fresh: Vec<u8>,
    packed: Vec<u8>,
}

impl Draft {
    /// About how long the delta will be.
    fn bytes(&self) -> usize {
        let corrections: usize = self.corrections.iter().map(Vec::len).sum();
        self.plan_bytes.len() + corrections + self.packed.len()
    }
}

impl<'a> Maker<'a> {
    fn new(old: image::Content<'a>, new: image::Content<'a>) -> Self {
        let (old_layout, new_layout) = image::layouts(old, new);
        let ((old, _), (new, _)) = (old, new);
        let (old_references, tables) = refs::all(old, &old_layout);
        let (new_references, _) = refs::all(new, &new_layout);
        Self {
            old_references,
            new_references,
            layouts: Plan {
                old_layout,
                new_layout,
                copies: Vec::new(),
                tables,
            },
            old,
            new,
            // Bounded by the caller.
            old_length: u32::try_from(old.len()).unwrap_or(u32::MAX),
            new_length: u32::try_from(new.len()).unwrap_or(u32::MAX),
        }
    }

    fn best(&self) -> Result<Draft, DeltaError> {
        let blank = self.search(
            &view::blank(self.old, &self.old_references),
            &view::blank(self.new, &self.new_references),
        )?;
        let mut best = self.draft(blank)?;
        if !self.old_references.is_empty() {
            let back = best.plan.map_back(self.old_length, self.new_length);
            let labelled = self.search(
                &view::labelled(self.old, &self.old_references, None),
                &view::labelled(self.new, &self.new_references, Some(&back)),
            )?;
            let other = self.draft(labelled)?;
            if other.bytes() < best.bytes() {
                best = other;
            }
        }
        if best.fresh.len() > self.new.len() / 2 && !best.plan.copies.is_empty() {
            let whole = self.draft(Plan::default())?;
            if whole.bytes() < best.bytes() {
                best = whole;
            }
        }
        Ok(best)
    }

    fn search(&self, old: &[u8], new: &[u8]) -> Result<Plan, DeltaError> {
        let index = search::Index::new(old).map_err(|why| DeltaError::NotMade { why })?;
        Ok(Plan {
            old_layout: self.layouts.old_layout.clone(),
            new_layout: self.layouts.new_layout.clone(),
            copies: search::copies(&index, new),
            tables: self.layouts.tables.clone(),
        })
    }

    fn draft(&self, plan: Plan) -> Result<Draft, DeltaError> {
        let plan_bytes = plan.write(self.old_length, self.new_length)?;
        let mut fresh = Vec::new();
        let mut end = 0;
        for copy in &plan.copies {
            let gap = self.new.get(end..copy.new as usize);
            fresh.extend(gap.unwrap_or_default());
            end = copy.new_end() as usize;
        }
        fresh.extend(self.new.get(end..).unwrap_or_default());
        Ok(Draft {
            plan_bytes,
            corrections: self.corrections(&plan, 1)?,
            packed: pack::quick(&fresh)?,
            fresh,
            plan,
        })
    }

    /// The corrections of a plan, in so many parts.
    fn corrections(&self, plan: &Plan, parts: usize) -> Result<Vec<Vec<u8>>, DeltaError> {
        let map = plan.map(self.old_length, self.new_length);
        let ground = Ground::new(self.old, plan, &map, parts);
        let states = (0..parts).map(|_| ground.state(Encoder::new()));
        let mut states: Vec<_> = states.collect();
        let mut buffer = Vec::new();
        for piece in ground.pieces() {
            buffer.clear();
            if let Some(state) = states.get_mut(ground.part_of(piece.stripe)) {
                ground.code(state, &piece, Some(self.new), &mut buffer)?;
            }
        }
        Ok(states.into_iter().map(|it| it.coder.finish()).collect())
    }
}
