//! What the bytes of a text can be, a bit for each, so that most of it is passed over 64 bytes at a time.
//!
//! First the text is turned into bit planes (the first bits of 64 bytes, their second bits and so on; Cameron and others, "Parallel
//! Scanning with Bitstream Addition: An XML Case Study", Euro-Par 2011). Then each class of bytes is a few operations on those.
//!
//! **A bit for a place to look at may stand where nothing is to be found, never the other way round.** Bits at the edges of 64 bytes stand
//! for what their neighbours could be.

use std::ops::{BitAnd, BitOr, Not, Shl, Shr};
use wide::{u8x64, u64x2};

/// Bytes that one [`Bits`] tells of.
pub(crate) const WIDTH: usize = 64;

/// So many bytes. Behind a text stands NUL.
type Block = [u8; WIDTH];

/// A block that begins with these bytes.
fn padded(bytes: &[u8]) -> Block {
    let mut block = [0; WIDTH];
    for (to, from) in block.iter_mut().zip(bytes) {
        *to = *from;
    }
    block
}

/// The fewest bytes of a key that is one word, or of an IBAN without spaces.
pub(crate) const LONG: usize = 15;

/// What 64 bytes in a row are, a bit for each, that of the first one lowest. Past the end of the text none is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    /// Bytes of words: letters and digits of ASCII, and `_`, but no letter of an escape for white space.
    pub(crate) word: u64,
    /// Marks inside of what is longer than a word: `-`, `.`, `:`.
    pub(crate) joint: u64,
    /// Signs that can begin something or stand in the middle of it, and bytes of words that can if the word begins with them.
    pub(crate) look: u64,
    /// What ends a string of JSON or escapes the next byte of it: `"` and `\`.
    pub(crate) quote: u64,
}

impl Bits {
    /// Those of one block alone.
    fn of(block: &Block) -> Self {
        let [word, joint, look, quote] = marked(planes(block), 1, |_| 0);
        Self {
            word,
            joint,
            look,
            quote,
        }
    }

    /// Those of two blocks in a row, both at once. `escaped`: a backslash stands before the first one.
    fn of_pair(first: &Block, second: &Block, escaped: bool) -> [Self; 2] {
        let mut both = [u64x2::default(); 8];
        let planes = planes(first).into_iter().zip(planes(second));
        for (both, (first, second)) in both.iter_mut().zip(planes) {
            *both = u64x2::new([first, second]);
        }
        let before = |backslash: u64x2| {
            let [first, _] = backslash.to_array();
            u64x2::new([u64::from(escaped), first >> (WIDTH - 1)])
        };
        let found = marked(both, u64x2::splat(1), before);
        let [word, joint, look, quote] = found.map(u64x2::to_array);
        let first = Self {
            word: word[0],
            joint: joint[0],
            look: look[0],
            quote: quote[0],
        };
        let second = Self {
            word: word[1],
            joint: joint[1],
            look: look[1],
            quote: quote[1],
        };
        [first, second]
    }

    /// The places to look at. Of a word that is its first byte; the rest of one that was found in part is one as well.
    #[inline]
    pub(crate) fn places(self) -> u64 {
        self.look & !(self.word & self.word << 1)
    }

    /// The marks behind words.
    #[inline]
    pub(crate) fn joints(self) -> u64 {
        self.word << 1 & self.joint
    }

    /// The bits from one byte on, where those of the following 64 bytes go on behind them.
    #[inline]
    fn joined(self, next: Self, from: usize) -> Self {
        let join = |low: u64, high: u64| low >> from | high << 1 << (WIDTH - 1 - from);
        Self {
            word: join(self.word, next.word),
            joint: join(self.joint, next.joint),
            look: join(self.look, next.look),
            quote: join(self.quote, next.quote),
        }
    }

    /// The bits of the first bytes alone.
    #[inline]
    fn first(self, bytes: usize) -> Self {
        if bytes >= WIDTH {
            return self;
        }
        let mask = (1 << bytes) - 1;
        Self {
            word: self.word & mask,
            joint: self.joint & mask,
            look: self.look & mask,
            quote: self.quote & mask,
        }
    }
}

/// 64 bits, or several times as many.
trait Lanes:
    Copy
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + Not<Output = Self>
    + Shl<u32, Output = Self>
    + Shr<u32, Output = Self>
{
}

impl Lanes for u64 {}
impl Lanes for u64x2 {}

/// The four fields of [`Bits`] by bit planes. `one`: the first bit of each lane; `before`: of the lanes whose first byte follows a
/// backslash, by where backslashes are.
#[inline]
#[expect(
    clippy::indexing_slicing,
    reason = "half of a byte is below 16, the upper one of ASCII below 8"
)]
fn marked<L: Lanes>(planes: [L; 8], one: L, before: impl FnOnce(L) -> L) -> [L; 4] {
    let (low, high) = nibbles(planes);
    let is = |byte: u8| high[usize::from(byte >> 4)] & low[usize::from(byte & 15)];
    // The next bytes, or what they could be.
    let ahead = |bits: L, count: u32| !(!bits >> count);
    let backslash = is(b'\\');
    let (quotation, colon, dash) = (is(b'"'), is(b':'), is(b'-'));
    let digit = digits(planes, high[3]);
    let escape = (is(b'n') | is(b'r') | is(b't')) & (backslash << 1 | before(backslash));
    let word = (digit | letters(planes) | is(b'_')) & !escape;
    let quotes = quotation | is(b'\'') | is(b'`');
    let sign = is(b'@') | is(b'%') | colon | is(b'=') | is(b'+') | is(b'>') | backslash;
    let sign = sign
        | is(b',') & (quotes << 1 | one)
        | is(b'(') & ahead(digit, 1)
        | dash & ahead(dash | is(b'u'), 1)
        | is(b'/') & ahead(is(b'h') | is(b'U'), 1);
    let two = word & ahead(word, 1);
    let four = two & ahead(two, 2);
    let eight = four & ahead(four, 4);
    let long = eight & ahead(eight, 7);
    // `DE89…`
    let numbered = ahead(digit, 2) & ahead(digit, 3);
    // Words as long as `Basic`, `Bearer`, `password`, `identified` that begin as these do.
    let end = |length| ahead(!word, length);
    let (five, six) = (ahead(word, 4) & end(5), ahead(two, 4) & end(6));
    let named = (is(b'b') | is(b'B')) & four & (five | six)
        | (is(b'p') | is(b'P')) & eight & end(8)
        | (is(b'i') | is(b'I')) & eight & ahead(two, 8) & end(10);
    let look = sign | word & (digit | long | numbered | named);
    let joint = dash | is(b'.') | colon;
    [word, joint, look, quotation | backslash]
}

/// The lowest bits of 64 bytes, their second ones, and so on.
///
/// By itself: where it is part of more, LLVM takes the gathered bits apart again.
#[inline(never)]
fn planes(block: &Block) -> [u64; 8] {
    let mut bytes = u8x64::from(*block);
    let mut planes = [0; 8];
    for plane in planes.iter_mut().rev() {
        // The uppermost bit of each byte; then the next one becomes that.
        *plane = bytes.to_bitmask();
        bytes += bytes;
    }
    planes
}

/// Which bytes have which lower half of their bits, and which of ASCII have which upper half.
#[inline]
fn nibbles<L: Lanes>([p0, p1, p2, p3, p4, p5, p6, p7]: [L; 8]) -> ([L; 16], [L; 8]) {
    let pair = |high: L, low: L| [!high & !low, !high & low, high & !low, high & low];
    let fours = |outer: L| pair(p1, p0).map(|inner| outer & inner);
    let [l0, l4, l8, l12] = pair(p3, p2).map(fours);
    let eights = |outer: L| pair(p5, p4).map(|inner| outer & inner);
    let [h0, h4] = [!p7 & !p6, !p7 & p6].map(eights);
    let low = [
        l0[0], l0[1], l0[2], l0[3], l4[0], l4[1], l4[2], l4[3], l8[0], l8[1], l8[2], l8[3], l12[0],
        l12[1], l12[2], l12[3],
    ];
    let high = [h0[0], h0[1], h0[2], h0[3], h4[0], h4[1], h4[2], h4[3]];
    (low, high)
}

/// `0` to `9`, among the bytes from `0` to `?`.
#[inline]
fn digits<L: Lanes>([_, p1, p2, p3, ..]: [L; 8], among: L) -> L {
    among & !(p3 & (p2 | p1))
}

/// Letters of ASCII: the lower five bits count from 1 to 26.
#[inline]
fn letters<L: Lanes>([p0, p1, p2, p3, p4, _, p6, p7]: [L; 8]) -> L {
    let beyond = p4 & p3 & (p2 | p1 & p0);
    !p7 & p6 & (p0 | p1 | p2 | p3 | p4) & !beyond
}

/// The bits of a whole text.
pub(crate) struct Marks(Vec<Bits>);

impl Marks {
    /// Those of a text.
    pub(crate) fn of(text: &str) -> Self {
        let (blocks, rest) = text.as_bytes().as_chunks::<WIDTH>();
        let mut marks = Vec::with_capacity(blocks.len() + 2);
        let (last, none) = (padded(rest), padded(b""));
        let mut blocks = blocks.iter().chain([&last]);
        let mut escaped = false;
        while let Some(first) = blocks.next() {
            let second = blocks.next().unwrap_or(&none);
            marks.extend(Bits::of_pair(first, second, escaped));
            escaped = second.ends_with(b"\\");
        }
        Self(marks)
    }

    /// Where the next quote or backslash stands, from a position on.
    #[inline]
    pub(crate) fn next_quote(&self, from: usize) -> Option<usize> {
        let mut block = from / WIDTH;
        let mut quotes = self.0.get(block)?.quote >> (from % WIDTH) << (from % WIDTH);
        while quotes == 0 {
            block += 1;
            quotes = self.0.get(block)?.quote;
        }
        Some(block * WIDTH + quotes.trailing_zeros() as usize)
    }

    /// Those of a part of the text.
    #[inline]
    pub(crate) fn part(&self, start: usize, end: usize) -> Part<'_> {
        Part {
            bits: &self.0,
            start,
            end,
        }
    }
}

/// Does something with a text's own marks: those of a short one, and most are short, take no memory.
#[inline]
pub(crate) fn with_marks<R>(text: &str, act: impl FnOnce(Part<'_>) -> R) -> R {
    if text.len() <= WIDTH {
        return act(Part {
            bits: &[Bits::of(&padded(text.as_bytes()))],
            start: 0,
            end: text.len(),
        });
    }
    act(Marks::of(text).part(0, text.len()))
}

/// The bits of a part of a text, by positions in the part.
#[derive(Clone, Copy)]
pub(crate) struct Part<'m> {
    bits: &'m [Bits],
    start: usize,
    end: usize,
}

impl Part<'_> {
    /// Whether it is short and has no places to look at, as names and words alone.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        let bits = self.from(0);
        self.end <= self.start + WIDTH && bits.places() | bits.joints() == 0
    }

    /// What the bytes from a position on are, as far as the part goes.
    #[inline]
    pub(crate) fn from(&self, position: usize) -> Bits {
        let at = self.start + position;
        let block = at / WIDTH;
        let bits = |block: usize| self.bits.get(block).copied().unwrap_or_default();
        bits(block)
            .joined(bits(block + 1), at % WIDTH)
            .first(self.end.saturating_sub(at))
    }
}

#[cfg(test)]
impl Marks {
    /// Those of a text of which nothing is passed over.
    pub(crate) fn everywhere(text: &str) -> Self {
        let Self(mut marks) = Self::of(text);
        for bits in &mut marks {
            bits.look = u64::MAX;
        }
        Self(marks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::is_word;

    #[test]
    fn every_byte_of_every_part_has_the_bits_that_it_has_alone() {
        let any: String = (0..400_u32)
            .map(|place| char::from_u32(place * 37 % 256).unwrap())
            .collect();
        // Escapes over every edge.
        let escapes = "\\n".repeat(200);
        for text in [&any, &escapes, &format!("n{escapes}")] {
            every_byte_of(text);
        }
    }

    fn every_byte_of(text: &str) {
        let marks = Marks::of(text);
        for start in 0..130 {
            let part = marks.part(start, 300);
            for position in 0..=(300 - start) {
                let bits = part.from(position);
                for place in 0..WIDTH {
                    let byte = text
                        .as_bytes()
                        .get(start + position + place)
                        .filter(|_| start + position + place < 300);
                    let byte = byte.copied().unwrap_or(0);
                    let bit = |bits: u64| bits >> place & 1 == 1;
                    let before = text
                        .as_bytes()
                        .get((start + position + place).wrapping_sub(1));
                    let escapes = before == Some(&b'\\') && matches!(byte, b'n' | b'r' | b't');
                    assert_eq!(bit(bits.word), is_word(byte) && !escapes);
                    assert_eq!(bit(bits.joint), matches!(byte, b'-' | b'.' | b':'));
                    assert_eq!(bit(bits.quote), matches!(byte, b'"' | b'\\'));
                }
            }
        }
    }

    #[test]
    fn a_short_text_has_the_bits_that_it_has_in_a_long_one() {
        let text: String = (0..400_u32)
            .map(|place| char::from_u32(place * 37 % 128).unwrap())
            .collect();
        for length in 0..=WIDTH {
            for start in [0, 100, 200] {
                let short = text.get(start..start + length).unwrap();
                let long = format!("{short}{}", "\0".repeat(WIDTH));
                let bits = with_marks(short, |part| part.from(0));
                assert_eq!(bits, Marks::of(&long).part(0, length).from(0), "{short:?}");
            }
        }
    }

    #[test]
    fn the_next_quote_is_found_in_any_block() {
        let text = format!("a{}\"{}\\", "x".repeat(200), "y".repeat(62));
        let marks = Marks::of(&text);
        assert_eq!(marks.next_quote(0), Some(201));
        assert_eq!(marks.next_quote(201), Some(201));
        assert_eq!(marks.next_quote(202), Some(264));
        assert_eq!(marks.next_quote(265), None);
        assert_eq!(marks.next_quote(1000), None);
        assert_eq!(Marks::of("").next_quote(0), None);
    }
}
