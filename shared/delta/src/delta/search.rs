//! Finding what was copied: approximate matches over a suffix array of the old content.
//!
//! The walk is that of bsdiff (C. Percival, "Naive differences of executable code", 2003): an exact match
//! is a seed, and seeds grow as long as most bytes agree. It runs over *views* of the contents in which
//! references are written alike (see [`super::view`]), so code that moved still matches.

use super::moves::Copy;
use libsais::SuffixArrayConstruction;

/// How many bytes a seed must agree on more than the current copy does.
const BETTER_BY: usize = 8;
/// Neighbours in the suffix array that are looked at for a match as long as the best.
const TIES: usize = 12;
/// Shortest copy that is worth naming, in bytes that agree.
const WORTH: usize = 12;
/// The same where there are [`MANY`] copies: memory takes long to answer for each of them on a device, so short ones are
/// sent as new bytes. It makes ruff's delta a tenth longer and saves about a tenth of the processor's time.
const WORTH_OF_MANY: usize = 48;
const MANY: usize = 1 << 14;

/// All suffixes of a content, sorted.
pub(super) struct Index<'a> {
    text: &'a [u8],
    suffixes: Vec<i32>,
    /// Where suffixes with the first two bytes begin.
    buckets: Vec<u32>,
}

impl<'a> Index<'a> {
    pub(super) fn new(text: &'a [u8]) -> Result<Self, String> {
        let suffixes = SuffixArrayConstruction::for_text(text)
            .in_owned_buffer32()
            .single_threaded()
            .run()
            .map_err(|error| format!("{error:?}"))?
            .into_vec();
        let mut buckets = vec![0_u32; (1 << 16) + 1];
        let mut count = |first: u8, second: u8| {
            let key = (usize::from(first) << 8 | usize::from(second)) + 1;
            if let Some(bucket) = buckets.get_mut(key) {
                *bucket += 1;
            }
        };
        for pair in text.windows(2) {
            if let [first, second] = pair {
                count(*first, *second);
            }
        }
        // The last suffix is a single byte: it sorts before all that begin with it.
        if let Some(last) = text.last() {
            count(*last, 0);
        }
        let mut sum = 0;
        for bucket in &mut buckets {
            sum += *bucket;
            *bucket = sum;
        }
        Ok(Self {
            text,
            suffixes,
            buckets,
        })
    }

    fn suffix(&self, rank: usize) -> (usize, &'a [u8]) {
        let start = self.suffixes.get(rank).copied().unwrap_or_default();
        let start = usize::try_from(start).unwrap_or_default();
        (start, self.text.get(start..).unwrap_or_default())
    }

    /// The longest match of the start of `wanted`; among several the one nearest to `near`.
    fn longest(&self, wanted: &[u8], near: usize) -> (usize, usize) {
        let [first, second, ..] = wanted else {
            return (0, 0);
        };
        let key = usize::from(*first) << 8 | usize::from(*second);
        let bucket = |key| self.buckets.get(key).copied().unwrap_or_default() as usize;
        let (mut low, mut high) = (bucket(key), bucket(key + 1));
        let (bottom, top) = (low, high);
        let (mut low_match, mut high_match) = (0, 0);
        while low < high {
            let middle = usize::midpoint(low, high);
            let (_, suffix) = self.suffix(middle);
            let skip = low_match.min(high_match);
            let length = skip + common(tail(suffix, skip), tail(wanted, skip));
            let is_before = match (suffix.get(length), wanted.get(length)) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(theirs), Some(ours)) => theirs < ours,
            };
            if is_before {
                (low, low_match) = (middle + 1, length);
            } else {
                (high, high_match) = (middle, length);
            }
        }
        let mut best = (0, 0);
        for rank in [low.checked_sub(1), Some(low)].into_iter().flatten() {
            if (bottom..top).contains(&rank) {
                let (start, suffix) = self.suffix(rank);
                let length = common(suffix, wanted);
                if length > best.1 {
                    best = (start, length);
                }
            }
        }
        self.nearest(wanted, near, best, low, (bottom, top))
    }

    fn nearest(
        &self,
        wanted: &[u8],
        near: usize,
        best: (usize, usize),
        middle: usize,
        (bottom, top): (usize, usize),
    ) -> (usize, usize) {
        let (mut found, length) = best;
        if length < 4 {
            return best;
        }
        let below = (bottom..middle).rev().take(TIES);
        let above = (middle..top).take(TIES);
        for ranks in [
            &mut below.into_iter() as &mut dyn Iterator<Item = usize>,
            &mut above.into_iter(),
        ] {
            for rank in ranks {
                let (start, suffix) = self.suffix(rank);
                if suffix.get(..length) != wanted.get(..length) {
                    break;
                }
                if start.abs_diff(near) < found.abs_diff(near) {
                    found = start;
                }
            }
        }
        (found, length)
    }
}

fn tail(bytes: &[u8], from: usize) -> &[u8] {
    bytes.get(from..).unwrap_or_default()
}

/// How many bytes two slices share at their start.
fn common(a: &[u8], b: &[u8]) -> usize {
    let mut length = 0;
    for (a, b) in a.chunks_exact(16).zip(b.chunks_exact(16)) {
        if a != b {
            break;
        }
        length += 16;
    }
    let rest = tail(a, length).iter().zip(tail(b, length));
    length + rest.take_while(|(a, b)| a == b).count()
}

/// Finds the copies.
pub(super) fn copies(index: &Index<'_>, new: &[u8]) -> Vec<Copy> {
    let old = index.text;
    let mut walk = Walk {
        old,
        new,
        copies: Vec::new(),
        last_scan: 0,
        last_pos: 0,
    };
    let (mut scan, mut length, mut position) = (0_usize, 0_usize, 0_usize);
    let agrees = |at: usize, shift: isize| {
        let theirs = at.checked_add_signed(shift).and_then(|at| old.get(at));
        theirs.is_some() && theirs == new.get(at)
    };
    while scan < new.len() {
        let mut score = 0_usize;
        scan += length;
        let mut counted = scan;
        let shift = walk.last_pos.cast_signed() - walk.last_scan.cast_signed();
        while scan < new.len() {
            let near = scan.saturating_add_signed(shift);
            (position, length) = index.longest(tail(new, scan), near);
            while counted < scan + length {
                score += usize::from(agrees(counted, shift));
                counted += 1;
            }
            if length == score && length != 0 || length > score + BETTER_BY {
                break;
            }
            score -= usize::from(agrees(scan, shift)).min(score);
            scan += 1;
        }
        if length != score || scan >= new.len() {
            walk.step(scan, position);
        }
    }
    let least = if walk.copies.len() < MANY {
        WORTH
    } else {
        WORTH_OF_MANY
    };
    walk.copies.retain(|copy| {
        let theirs = tail(old, copy.old as usize);
        let ours = tail(new, copy.new as usize);
        let both = theirs.iter().zip(ours).take(copy.length as usize);
        both.filter(|(a, b)| a == b).count() >= least
    });
    walk.copies
}

struct Walk<'a> {
    old: &'a [u8],
    new: &'a [u8],
    copies: Vec<Copy>,
    last_scan: usize,
    last_pos: usize,
}

impl Walk<'_> {
    /// Ends the current copy and begins the next at a seed.
    fn step(&mut self, scan: usize, position: usize) {
        let forward = grow(
            tail(self.old, self.last_pos).iter(),
            tail(self.new, self.last_scan)
                .iter()
                .take(scan - self.last_scan),
        );
        let mut backward = 0;
        if scan < self.new.len() {
            let room = scan - self.last_scan;
            backward = grow(
                self.old.get(..position).unwrap_or_default().iter().rev(),
                self.new
                    .get(..scan)
                    .unwrap_or_default()
                    .iter()
                    .rev()
                    .take(room),
            );
        }
        let (mut forward, mut back) = (forward, backward);
        if self.last_scan + forward + back > scan {
            let overlap = self.last_scan + forward + back - scan;
            let shared = self.split(scan, position, forward, back, overlap);
            forward = forward + shared - overlap;
            back -= shared;
        }
        self.push(forward);
        self.last_scan = scan - back;
        self.last_pos = position - back.min(position);
    }

    /// Where in an overlap the earlier copy should end: how many of its bytes it keeps.
    fn split(
        &self,
        scan: usize,
        position: usize,
        forward: usize,
        back: usize,
        overlap: usize,
    ) -> usize {
        let first = tail(self.old, self.last_pos + forward - overlap);
        let second = tail(self.old, position - back);
        let ours = tail(self.new, scan - back);
        let (mut score, mut best, mut shared) = (0_i64, 0_i64, 0);
        for (at, ((a, b), new)) in first.iter().zip(second).zip(ours).take(overlap).enumerate() {
            score += i64::from(a == new) - i64::from(b == new);
            if score > best {
                (best, shared) = (score, at + 1);
            }
        }
        shared
    }

    fn push(&mut self, length: usize) {
        let copy = (
            u32::try_from(self.last_pos),
            u32::try_from(self.last_scan),
            u32::try_from(length),
        );
        if let (Ok(old), Ok(new), Ok(length)) = copy
            && length > 0
        {
            self.copies.push(Copy { old, new, length });
        }
    }
}

/// How far a copy reaches: to where the bytes that agree outnumber the others most.
fn grow<'b>(old: impl Iterator<Item = &'b u8>, new: impl Iterator<Item = &'b u8>) -> usize {
    let (mut score, mut best, mut length) = (0_i64, 0_i64, 0);
    for (at, (a, b)) in old.zip(new).enumerate() {
        score += if a == b { 1 } else { -1 };
        if score > best {
            (best, length) = (score, at + 1);
        }
    }
    length
}
