//! Words of text that become other words: names that a minifier dealt out anew, versions.
//!
//! What a word became is remembered, and foretold where the word stands again. It is to text what the
//! memory of targets is to code (see [`super::copies`]), and costs one decision for each such word.
//!
//! **Invariants: the table has a fixed size and is taken on first use; both sides learn only from what
//! both have.**

use super::coder::{Bit, ByteModel, Coder, code_byte_pair};

/// Longest word that is remembered, bytes.
const WORD_MAX: usize = 12;
/// Slots of the table, as a power of two.
const SLOTS_LOG: u32 = 11;
/// How often a word may stay as it is before it is forgotten.
const MISSES_MAX: u8 = 3;

/// What a word became.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The word, hashed; none holds zero.
    key: u32,
    word: [u8; WORD_MAX],
    length: u8,
    hits: u8,
    misses: u8,
}

/// The words that changed so far.
#[derive(Debug, Default)]
pub(super) struct Words {
    slots: Vec<Slot>,
    /// By hits and misses of the word.
    right: [Bit; 16],
    /// By whether a letter of the unit differs already, and whether the last one did.
    differs: [Bit; 4],
    /// What letters become: by nothing, and by what the last one became.
    letters: ByteModel,
    after: Vec<ByteModel>,
}

impl Words {
    /// Codes what a letter becomes. Letters become letters, whichever they were.
    pub(super) fn letter(
        &mut self,
        coder: &mut impl Coder,
        old: u8,
        truth: Option<u8>,
        (any, must): (bool, bool),
        before: Option<u8>,
    ) -> u8 {
        let new = truth.unwrap_or(old);
        if !must {
            let state = usize::from(any) << 1 | usize::from(before.is_some());
            let model = self.differs.get_mut(state);
            if !model.is_some_and(|model| model.code(coder, new != old)) {
                return old;
            }
        }
        if self.after.is_empty() {
            self.after.resize(257, ByteModel::default());
        }
        let after = before.map_or(256, usize::from);
        match self.after.get_mut(after) {
            Some(after) => code_byte_pair(coder, new, &mut self.letters, after),
            None => old,
        }
    }

    /// Puts what is remembered in place of each word, where that is right, and marks those bytes as
    /// known. `old` and `buffer` are the same part before and after.
    pub(super) fn foretell(
        &mut self,
        coder: &mut impl Coder,
        old: &[u8],
        buffer: &mut [u8],
        known: &mut [bool],
        truth: Option<&[u8]>,
    ) {
        if self.slots.is_empty() {
            return;
        }
        for (start, end) in words(old) {
            let Some(slot) = self.slots.get_mut(slot_of(old, start, end)) else {
                continue;
            };
            let remembered = slot.word.get(..usize::from(slot.length));
            let is_it = slot.key == key(old, start, end) && slot.misses <= MISSES_MAX;
            let (Some(word), true) = (remembered.filter(|it| it.len() == end - start), is_it)
            else {
                continue;
            };
            let state = usize::from(slot.hits.min(3)) << 2 | usize::from(slot.misses.min(3));
            let right = truth.is_some_and(|truth| truth.get(start..end) == Some(word));
            let model = self.right.get_mut(state);
            if !model.is_some_and(|model| model.code(coder, right)) {
                slot.misses = slot.misses.saturating_add(1);
                continue;
            }
            slot.hits = slot.hits.saturating_add(1);
            slot.misses = slot.misses.saturating_sub(1);
            if let Some(place) = buffer.get_mut(start..end) {
                place.copy_from_slice(word);
            }
            known.get_mut(start..end).unwrap_or_default().fill(true);
        }
    }

    /// Remembers the words that changed.
    pub(super) fn learn(&mut self, old: &[u8], new: &[u8]) {
        for (start, end) in words(old) {
            let (was, is) = (old.get(start..end), new.get(start..end));
            let Some(is) = is.filter(|_| was != is) else {
                continue;
            };
            if self.slots.is_empty() {
                self.slots.resize(1 << SLOTS_LOG, Slot::default());
            }
            let found = key(old, start, end);
            let Some(slot) = self.slots.get_mut(slot_of(old, start, end)) else {
                continue;
            };
            let mut word = [0; WORD_MAX];
            for (place, byte) in word.iter_mut().zip(is) {
                *place = *byte;
            }
            if slot.key != found || slot.word != word {
                *slot = Slot {
                    key: found,
                    word,
                    length: u8::try_from(is.len()).unwrap_or_default(),
                    hits: 0,
                    misses: 0,
                };
            }
        }
    }
}

/// Whether a byte is part of a word.
pub(super) fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.')
}

/// The words of a part that are short enough, as start and end.
fn words(text: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let start = at + rest.iter().position(|byte| is_letter(*byte))?;
            let rest = text.get(start..)?;
            let length = rest.iter().position(|byte| !is_letter(*byte));
            let end = length.map_or(text.len(), |length| start + length);
            at = end;
            if end - start <= WORD_MAX {
                return Some((start, end));
            }
        }
    })
}

/// What a word is known by. A single letter has many meanings: what follows it counts, too.
fn key(text: &[u8], start: usize, end: usize) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let end = if end - start == 1 { end + 1 } else { end };
    for byte in text.get(start..end.min(text.len())).unwrap_or_default() {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    hash | 1
}

fn slot_of(text: &[u8], start: usize, end: usize) -> usize {
    (key(text, start, end).wrapping_mul(0x9e37_79b1) >> (32 - SLOTS_LOG)) as usize
}
