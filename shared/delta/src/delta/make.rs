//! Making a delta: the search, and the choice of the smallest of what it finds.

use super::coder::Encoder;
use super::copies::Models;
use super::header::{self, Header, Streams};
use super::pack::{self, Packing};
use super::plan::{Ground, Plan};
use super::refs::{self, Scan};
use super::{DeltaError, image, search, view};
use kintsugi_domain::digest::Digest;

/// Longest base or result that a delta is made of, bytes. Making one takes up to ten times the longer of
/// them in memory; this bound keeps it under 3 GB.
pub const MAKE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Makes the delta from one content to another. The same inputs give the same bytes.
///
/// Several deltas are made and the smallest is taken: one over copies found with blank references, one
/// over copies found with labels for references, and the new content by itself where little is copied.
pub fn make(old: &[u8], new: &[u8]) -> Result<Vec<u8>, DeltaError> {
    for content in [old, new] {
        if content.len() > MAKE_BYTES_MAX {
            let bytes = content.len() as u64;
            return Err(DeltaError::TooLarge { bytes });
        }
    }
    let maker = Maker::new(old, new);
    let blank = maker.search(
        &view::blank(old, &maker.old_scan),
        &view::blank(new, &maker.new_scan),
    )?;
    let mut best = maker.draft(blank)?;
    if !maker.old_scan.references.is_empty() {
        let back = best.plan.map_back(maker.old_length, maker.new_length);
        let labelled = maker.search(
            &view::labelled(old, &maker.old_scan, None),
            &view::labelled(new, &maker.new_scan, Some(&back)),
        )?;
        let other = maker.draft(labelled)?;
        if other.bytes() < best.bytes() {
            best = other;
        }
    }
    if best.fresh.len() > new.len() / 2 && !best.plan.copies.is_empty() {
        let whole = maker.draft(Plan::default())?;
        if whole.bytes() < best.bytes() {
            best = whole;
        }
    }
    maker.finish(best)
}

struct Maker<'a> {
    old: &'a [u8],
    new: &'a [u8],
    old_length: u32,
    new_length: u32,
    layouts: Plan,
    old_scan: Scan,
    new_scan: Scan,
}

/// A delta that is not put together yet.
struct Draft {
    plan: Plan,
    plan_bytes: Vec<u8>,
    corrections: Vec<u8>,
    fresh: Vec<u8>,
    packed: Vec<u8>,
}

impl Draft {
    /// About how long the delta will be.
    fn bytes(&self) -> usize {
        self.plan_bytes.len() + self.corrections.len() + self.packed.len()
    }
}

impl<'a> Maker<'a> {
    fn new(old: &'a [u8], new: &'a [u8]) -> Self {
        let (old_layout, new_layout) = image::layouts(old, new);
        Self {
            old_scan: refs::scan(old, &old_layout),
            new_scan: refs::scan(new, &new_layout),
            layouts: Plan {
                old_layout,
                new_layout,
                copies: Vec::new(),
            },
            old,
            new,
            // Bounded by the caller.
            old_length: u32::try_from(old.len()).unwrap_or(u32::MAX),
            new_length: u32::try_from(new.len()).unwrap_or(u32::MAX),
        }
    }

    fn search(&self, old: &[u8], new: &[u8]) -> Result<Plan, DeltaError> {
        let index = search::Index::new(old).map_err(|why| DeltaError::NotMade { why })?;
        Ok(Plan {
            old_layout: self.layouts.old_layout.clone(),
            new_layout: self.layouts.new_layout.clone(),
            copies: search::copies(&index, new),
        })
    }

    fn draft(&self, plan: Plan) -> Result<Draft, DeltaError> {
        let plan_bytes = plan.write(self.old_length, self.new_length)?;
        let map = plan.map(self.old_length, self.new_length);
        let ground = Ground::new(self.old, &plan, &self.old_scan, map);
        let mut encoder = Encoder::new();
        let mut models = Models::new(self.old.len());
        let mut fresh = Vec::new();
        let mut end = 0;
        for copy in &plan.copies {
            let gap = self.new.get(end..copy.new as usize);
            fresh.extend(gap.unwrap_or_default());
            end = copy.new_end() as usize;
            let new = Some(self.new);
            ground.code(&mut models, &mut encoder, copy, new, |_| Ok(()))?;
        }
        fresh.extend(self.new.get(end..).unwrap_or_default());
        Ok(Draft {
            plan_bytes,
            corrections: encoder.finish(),
            packed: pack::quick(&fresh)?,
            fresh,
            plan,
        })
    }

    fn finish(&self, draft: Draft) -> Result<Vec<u8>, DeltaError> {
        let (packing, packed) = if draft.fresh.is_empty() {
            (Packing::None, Vec::new())
        } else {
            pack::pack(&draft.fresh, draft.packed)?
        };
        let header = Header {
            base: Digest::of(self.old),
            result: Digest::of(self.new),
            length: self.new.len() as u64,
            base_length: self.old_length,
            packing,
        };
        let streams = Streams {
            plan: &draft.plan_bytes,
            corrections: &draft.corrections,
            fresh: &packed,
        };
        header::write(&header, &streams).ok_or(DeltaError::TooLarge {
            bytes: draft.corrections.len() as u64,
        })
    }
}
