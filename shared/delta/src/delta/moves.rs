//! Which parts of the new content are copies of which parts of the old one, and what follows from that
//! for places: where something went.

use super::coder::{Bit, Coder, Number};

/// A copied part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    /// Where it is in the old content.
    pub(super) old: u32,
    /// Where it is in the new one.
    pub(super) new: u32,
    /// Bytes.
    pub(super) length: u32,
}

impl Copy {
    pub(super) fn old_end(&self) -> u32 {
        self.old.saturating_add(self.length)
    }

    pub(super) fn new_end(&self) -> u32 {
        self.new.saturating_add(self.length)
    }
}

/// Recent shifts that a copy can go on with.
const RECENT: usize = 6;

/// Codes the copies of a content, sorted by their place in it; a reader gives none of its own.
pub(super) fn code(
    coder: &mut impl Coder,
    copies: &[Copy],
    old_length: u32,
    new_length: u32,
) -> Result<Vec<Copy>, &'static str> {
    let mut numbers: [Number; 4] = Default::default();
    let [count, gaps, lengths, shifts] = &mut numbers;
    let mut touching_lengths = Number::default();
    let mut touches = [Bit::NEW; 2];
    let mut recent_models = [[Bit::NEW; RECENT]; 2];
    let mut recent = [0_u32; RECENT];
    let stored = u32::try_from(copies.len()).unwrap_or(u32::MAX);
    let stored = count.code(coder, stored);
    if stored > new_length {
        return Err("it names more copies than bytes");
    }
    let mut found: Vec<Copy> = Vec::new();
    let (mut end, mut last_shift, mut touched) = (0_u32, 0_u32, false);
    for at in 0..stored as usize {
        let copy = copies.get(at).copied().unwrap_or(Copy {
            old: 0,
            new: 0,
            length: 0,
        });
        let gap = copy.new.wrapping_sub(end);
        let [free, bound] = &mut touches;
        touched = if touched { bound } else { free }.code(coder, gap == 0);
        let gap = if touched { 0 } else { gaps.code(coder, gap) };
        let new = end
            .checked_add(gap)
            .ok_or("it writes more than the declared length")?;
        let shift = copy.old.wrapping_sub(copy.new);
        let models = recent_models.get_mut(usize::from(touched));
        let shift = if let Some(slot) = code_recent(coder, models, &recent, shift) {
            let shift = recent.get(slot).copied().unwrap_or_default();
            recent.get_mut(..=slot).unwrap_or_default().rotate_right(1);
            shift
        } else {
            let change = shift.wrapping_sub(last_shift).cast_signed();
            let change = shifts.code_signed(coder, change);
            recent.rotate_right(1);
            last_shift.wrapping_add(change.cast_unsigned())
        };
        if let Some(first) = recent.first_mut() {
            *first = shift;
        }
        last_shift = shift;
        let lengths = if touched {
            &mut touching_lengths
        } else {
            &mut *lengths
        };
        let length = lengths.code(coder, copy.length);
        let copy = Copy {
            old: new.wrapping_add(shift),
            new,
            length,
        };
        if u64::from(copy.old) + u64::from(length) > u64::from(old_length) {
            return Err("it reads outside the base");
        }
        end = new
            .checked_add(length)
            .filter(|end| *end <= new_length)
            .ok_or("it writes more than the declared length")?;
        if length == 0 {
            return Err("its instructions get nowhere");
        }
        if coder.is_exhausted() {
            return Err("it is cut off");
        }
        found.push(copy);
    }
    Ok(found)
}

/// Codes places of a content, sorted and four bytes apart or more; a reader gives none of its own.
pub(super) fn code_places(
    coder: &mut impl Coder,
    places: &[u32],
    length: u32,
) -> Result<Vec<u32>, &'static str> {
    let (mut count, mut gaps) = (Number::default(), Number::default());
    let mut aligned = Bit::NEW;
    let stored = u32::try_from(places.len()).unwrap_or(u32::MAX);
    let stored = count.code(coder, stored);
    let mut found: Vec<u32> = Vec::new();
    let mut after = 0_u32;
    for at in 0..stored as usize {
        let gap = places.get(at).map_or(0, |place| place.wrapping_sub(after));
        // Most are aligned, from the first one on.
        let is_aligned = aligned.code(coder, gap.is_multiple_of(4));
        let gap = if is_aligned {
            gaps.code(coder, gap >> 2).wrapping_mul(4)
        } else {
            gaps.code(coder, gap)
        };
        let place = after.checked_add(gap).filter(|place| *place < length);
        let place = place.ok_or("it reads outside the base")?;
        if coder.is_exhausted() {
            return Err("it is cut off");
        }
        found.push(place);
        after = place.saturating_add(4);
    }
    Ok(found)
}

fn code_recent(
    coder: &mut impl Coder,
    models: Option<&mut [Bit; RECENT]>,
    recent: &[u32; RECENT],
    shift: u32,
) -> Option<usize> {
    let models = models?;
    for (slot, (model, known)) in models.iter_mut().zip(recent).enumerate() {
        if model.code(coder, *known == shift) {
            return Some(slot);
        }
    }
    None
}

/// Positions of one content in terms of another.
#[derive(Debug)]
pub(super) struct Map {
    /// Start, end and where the start went; sorted, without overlaps.
    spans: Vec<(u32, u32, u32)>,
    /// For each block of positions, the first span that ends after its start.
    index: Vec<u32>,
}

/// Positions per entry of the index, as a power of two.
const BLOCK: u32 = 8;

impl Map {
    /// Takes spans of any order; where two claim a position, the longer has it.
    pub(super) fn new(mut spans: Vec<(u32, u32, u32)>) -> Self {
        spans.sort_unstable();
        let mut kept: Vec<(u32, u32, u32)> = Vec::with_capacity(spans.len());
        for (mut start, end, mut to) in spans {
            while let Some((from, until, _)) = kept.last_mut() {
                if *until <= start {
                    break;
                }
                if end.saturating_sub(start) <= until.saturating_sub(*from) {
                    to = to.wrapping_add(*until - start);
                    start = *until;
                    break;
                }
                *until = start;
                if from < until {
                    break;
                }
                kept.pop();
            }
            if start < end {
                kept.push((start, end, to));
            }
        }
        let last = kept.last().map_or(0, |(_, end, _)| *end);
        let mut index = Vec::with_capacity((last >> BLOCK) as usize + 2);
        let mut span = 0_u32;
        for block in 0..=last >> BLOCK {
            while kept
                .get(span as usize)
                .is_some_and(|(_, end, _)| *end <= block << BLOCK)
            {
                span += 1;
            }
            index.push(span);
        }
        Self { spans: kept, index }
    }

    /// Where old positions went.
    pub(super) fn forward(copies: &[Copy], more: &[Copy]) -> Self {
        let spans = copies.iter().chain(more);
        Self::new(spans.map(|it| (it.old, it.old_end(), it.new)).collect())
    }

    /// Where new positions come from.
    pub(super) fn backward(copies: &[Copy], more: &[Copy]) -> Self {
        let spans = copies.iter().chain(more);
        Self::new(spans.map(|it| (it.new, it.new_end(), it.old)).collect())
    }

    /// Where a position went, and whether it lies in a span: beside the spans the nearer one decides.
    pub(super) fn get(&self, position: u32) -> (u32, bool) {
        let mut at = self
            .index
            .get((position >> BLOCK) as usize)
            .map_or(self.spans.len(), |at| *at as usize);
        while let Some((start, end, to)) = self.spans.get(at) {
            if position < *start {
                break;
            }
            if position < *end {
                return (to.wrapping_add(position - start), true);
            }
            at += 1;
        }
        let before = at.checked_sub(1).and_then(|at| self.spans.get(at));
        let after = self.spans.get(at);
        let before_distance = before.map(|(_, end, _)| position.saturating_sub(*end));
        let after_distance = after.map(|(start, _, _)| start.saturating_sub(position));
        let nearer = match (before_distance, after_distance) {
            (Some(before), Some(after)) => before <= after,
            (before, _) => before.is_some(),
        };
        let span = if nearer { before } else { after };
        let to = span.map_or(position, |(start, _, to)| {
            to.wrapping_add(position).wrapping_sub(*start)
        });
        (to, false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::coder::{Decoder, Encoder};
    use super::*;

    #[test]
    fn the_longer_of_two_claims_counts_and_gaps_follow_the_nearer_span() {
        let map = Map::new(vec![
            (100, 200, 1_100),
            (150, 180, 5_000),
            (300, 310, 2_000),
        ]);
        assert_eq!(map.get(100), (1_100, true));
        assert_eq!(map.get(160), (1_160, true));
        assert_eq!(map.get(199), (1_199, true));
        assert_eq!(map.get(210), (1_210, false));
        assert_eq!(map.get(290), (1_990, false));
        assert_eq!(map.get(305), (2_005, true));
        assert_eq!(map.get(400), (2_100, false));
        assert_eq!(map.get(0), (1_000, false));
        let map = Map::new(vec![(0, 10, 50), (5, 100, 205)]);
        assert_eq!((map.get(4), map.get(5)), ((54, true), (205, true)));
        assert_eq!(Map::new(vec![]).get(7), (7, false));
    }

    #[test]
    fn places_come_back_and_lie_in_the_content() {
        let places = [3, 8, 12, 400, 4_000_000];
        let mut encoder = Encoder::new();
        code_places(&mut encoder, &places, u32::MAX).unwrap();
        let bytes = encoder.finish();
        let read = |bytes, length| code_places(&mut Decoder::new(bytes), &[], length);
        assert_eq!(read(&bytes, 4_000_001), Ok(places.to_vec()));
        let outside = Err("it reads outside the base");
        assert_eq!(read(&bytes, 4_000_000), outside);
        assert!(read(&[0xff; 4], u32::MAX).is_err());
    }
}
