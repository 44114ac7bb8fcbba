//! Chance that a seed repeats: `SplitMix64` (Steele, Lea & Flood, 2014).

use kintsugi_domain::digest::Digest;

/// A source of chance. Every draw of a run comes from one of these, in the order of the run.
#[derive(Debug, Clone)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// The draws of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1),
        }
    }

    /// Any number.
    pub(super) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % end).unwrap_or(0)
    }

    /// A number from `low` to `high`.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `percent` of a hundred draws.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// A number from 0 to 99 that `parts` name: the same wherever and how often it is asked for.
pub(super) fn percent_of(seed: u64, parts: &[&str]) -> u64 {
    let seed = seed.to_be_bytes();
    let mut all: Vec<&[u8]> = vec![&seed];
    all.extend(parts.iter().map(|part| part.as_bytes()));
    Digest::of_parts(&all).leading_u64() % 100
}
