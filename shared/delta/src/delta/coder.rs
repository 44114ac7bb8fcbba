//! Adaptive range coding (G. N. N. Martin, 1979): single decisions, symbols of half a byte, and bits as they are.
//!
//! A device decodes this on the way to every byte, so what is no yes-or-no question is not asked bit by bit: half a
//! byte takes one division and a few operations on all sixteen shares at once, random bits one division for sixteen
//! of them, and the range has 64 bits, so that four bytes are read at once and seldom.
//!
//! Everything but new bytes goes through it. A model is written once and works in both directions:
//! [`Coder::code`] takes the value that an encoder has and returns the value that a decoder gets, and an
//! encoder returns what it was given. So writer and reader cannot come to differ.
//!
//! **Invariant: a decoder reads zeros past its input and says so in [`Coder::is_exhausted`]; it never
//! fails in the middle of a symbol, so callers bound their loops themselves and ask once per step.**

/// Probabilities of decisions are in units of 2^-16.
const SCALE: u32 = 16;
/// The range is kept at or above this.
const TOP: u64 = 1 << 32;
/// Most bits that are coded at once as they are.
const PLAIN: u32 = 16;
/// Most zeros that an encoder leaves away at its end, bytes.
const TRIMMED_MAX: usize = 8;

/// Codes decisions, each with what is known of it.
pub(super) trait Coder {
    /// Codes one decision; `one` is the probability of `true`, in units of 2^-16, 1 to 65535.
    fn code(&mut self, bit: bool, one: u32) -> bool;

    /// Codes one of sixteen symbols.
    fn symbol(&mut self, symbol: usize, shares: &Shares) -> usize;

    /// Codes up to [`PLAIN`] bits that are as good as random.
    fn plain(&mut self, value: u32, bits: u32) -> u32;

    /// Whether more was read than was ever written.
    fn is_exhausted(&self) -> bool {
        false
    }
}

/// The probability of one kind of decision, learnt at two speeds, both faster for the first decisions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bit {
    fast: u16,
    slow: u16,
    /// How many were seen, up to [`WARM`].
    seen: u16,
}

/// After so many decisions a model learns at its two speeds.
const WARM: u16 = 63;
/// How much is learnt of a decision, as powers of two: of the last 16, and of the last 128.
const SPEEDS: (u32, u32) = (4, 7);

impl Bit {
    pub(super) const NEW: Self = Self {
        fast: 1 << 15,
        slow: 1 << 15,
        seen: 0,
    };

    /// Stays between 1 and 65535, since what is learnt is rounded down.
    #[inline]
    fn one(self) -> u32 {
        u32::midpoint(u32::from(self.fast), u32::from(self.slow))
    }

    #[inline]
    fn learn(&mut self, bit: bool) {
        let (mut fast, mut slow) = SPEEDS;
        if self.seen < WARM {
            self.seen += 1;
            let speed = self.seen.ilog2() + 1;
            (fast, slow) = (fast.min(speed), slow.min(speed));
        }
        if bit {
            self.fast += (u16::MAX - self.fast) >> fast;
            self.slow += (u16::MAX - self.slow) >> slow;
        } else {
            self.fast -= self.fast >> fast;
            self.slow -= self.slow >> slow;
        }
    }

    /// Codes a decision and learns from it.
    #[inline]
    pub(super) fn code(&mut self, coder: &mut impl Coder, bit: bool) -> bool {
        let bit = coder.code(bit, self.one());
        self.learn(bit);
        bit
    }
}

impl Default for Bit {
    fn default() -> Self {
        Self::NEW
    }
}

/// Codes a decision that two contexts know something about.
#[inline]
pub(super) fn code_pair(coder: &mut impl Coder, bit: bool, a: &mut Bit, b: &mut Bit) -> bool {
    let bit = coder.code(bit, u32::midpoint(a.one(), b.one()));
    a.learn(bit);
    b.learn(bit);
    bit
}

/// How many symbols there are: half a byte.
const SYMBOLS: usize = 16;
/// Shares of symbols are in units of 2^-15, so that their sums fit 16 bits with a sign.
const SHARE_SCALE: u32 = 15;

/// For each symbol the sum of the shares of those before it. **Invariant: the first is zero, each is larger
/// than the one before, the last is below 2^15**, so each symbol has a share.
pub(super) type Shares = [i16; SYMBOLS];

/// The shares of sixteen symbols, learnt; faster from the first ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbols {
    shares: Shares,
    /// How many were seen, up to [`SYMBOLS_WARM`].
    seen: u16,
}

/// After so many symbols a model learns at its own speed.
const SYMBOLS_WARM: u16 = 126;
/// How much is learnt of a symbol at most, as a power of two.
const SYMBOLS_SPEED: u32 = 6;

/// What shares move towards after each symbol.
#[expect(
    clippy::indexing_slicing,
    reason = "computed when this is compiled, which fails beside the table"
)]
const TOWARDS: [Shares; SYMBOLS] = {
    let mut all = [[0; SYMBOLS]; SYMBOLS];
    let mut symbol = 0;
    while symbol < SYMBOLS {
        let (mut at, mut least) = (0, 0_i16);
        while at < SYMBOLS {
            // Each symbol keeps one unit; this one gets the rest.
            all[symbol][at] = if at > symbol {
                i16::MAX - 15 + least
            } else {
                least
            };
            (at, least) = (at + 1, least + 1);
        }
        symbol += 1;
    }
    all
};

impl Symbols {
    pub(super) const NEW: Self = Self {
        shares: {
            const UNIT: i16 = 1 << (SHARE_SCALE - 4);
            let mut shares = [0; SYMBOLS];
            let mut rest: &mut [i16] = &mut shares;
            let mut sum = 0_i16;
            while let [first, after @ ..] = rest {
                *first = sum;
                sum = sum.wrapping_add(UNIT);
                rest = after;
            }
            shares
        },
        seen: 0,
    };

    #[inline]
    fn learn(&mut self, symbol: usize) {
        let mut speed = SYMBOLS_SPEED;
        if self.seen < SYMBOLS_WARM {
            self.seen += 1;
            speed = (self.seen + 1).ilog2().min(speed);
        }
        if let Some(towards) = TOWARDS.get(symbol & 15) {
            // Each share that is larger than it should be keeps at least one unit, since all are rounded down alike.
            for (share, to) in self.shares.iter_mut().zip(towards) {
                *share += (to - *share) >> speed;
            }
        }
    }

    /// Codes a symbol and learns from it.
    #[inline]
    fn code(&mut self, coder: &mut impl Coder, symbol: usize) -> usize {
        let symbol = coder.symbol(symbol, &self.shares);
        self.learn(symbol);
        symbol
    }

    /// Codes a symbol that two contexts know something about.
    #[inline]
    fn code_pair(coder: &mut impl Coder, symbol: usize, a: &mut Self, b: &mut Self) -> usize {
        let mut shares = a.shares;
        for (share, other) in shares.iter_mut().zip(&b.shares) {
            // The mean, in sixteen bits.
            *share = (*share & other) + ((*share ^ other) >> 1);
        }
        let symbol = coder.symbol(symbol, &shares);
        a.learn(symbol);
        b.learn(symbol);
        symbol
    }
}

impl Default for Symbols {
    fn default() -> Self {
        Self::NEW
    }
}

/// The two halves of a byte, the second in the context of the first. Takes memory on first use.
#[derive(Debug, Clone, Default)]
pub(super) struct ByteModel(Vec<Symbols>);

impl ByteModel {
    fn at(&mut self, node: usize) -> Option<&mut Symbols> {
        if self.0.is_empty() {
            self.0.resize(1 + SYMBOLS, Symbols::NEW);
        }
        self.0.get_mut(node)
    }
}

/// Codes a byte that two contexts know something about.
pub(super) fn code_byte_pair(
    coder: &mut impl Coder,
    value: u8,
    a: &mut ByteModel,
    b: &mut ByteModel,
) -> u8 {
    let mut half = |node: usize, value: u8| match (a.at(node), b.at(node)) {
        (Some(a), Some(b)) => Symbols::code_pair(coder, usize::from(value), a, b),
        _ => 0,
    };
    let high = half(0, value >> 4);
    let low = half(1 + high, value & 15);
    u8::try_from(high << 4 | low).unwrap_or_default()
}

/// Numbers of 32 bits. Two symbols have the length in bits and the bits below the leading one; the rest is coded
/// plainly.
#[derive(Debug, Clone)]
pub(super) struct Number {
    lengths: Symbols,
    leads: Box<[Symbols; SYMBOLS]>,
}

/// Lengths from this on share their first symbol.
const LONG: u32 = 30;

impl Default for Number {
    fn default() -> Self {
        Self {
            lengths: Symbols::NEW,
            leads: Box::new([Symbols::NEW; SYMBOLS]),
        }
    }
}

impl Number {
    pub(super) fn code(&mut self, coder: &mut impl Coder, value: u32) -> u32 {
        let length = 32 - value.leading_zeros();
        let first = self.lengths.code(coder, (length.min(LONG) >> 1) as usize);
        let Some(leads) = self.leads.get_mut(first) else {
            return 0;
        };
        let short = u32::try_from(first << 1).unwrap_or_default();
        // Of the long ones the second symbol has two bits of length, of the others one.
        let learnt = if short == LONG { 2 } else { 3 };
        let below = length.saturating_sub(1);
        let lead = if below > learnt {
            value >> (below - learnt)
        } else {
            value << (learnt - below)
        } & mask(learnt);
        let second = (length.saturating_sub(short) << learnt | lead) as usize;
        let second = leads.code(coder, second & (SYMBOLS - 1));
        let second = u32::try_from(second).unwrap_or_default();
        // A damaged stream may name a length above 32.
        let length = (short + (second >> learnt)).min(32);
        if length < 2 {
            return length;
        }
        let below = length - 1;
        let top = 1 << learnt | second & mask(learnt);
        if below <= learnt {
            return top >> (learnt - below);
        }
        let rest = below - learnt;
        let low = rest.min(PLAIN);
        let mut got = top;
        if rest > low {
            got = got << (rest - low) | coder.plain(value >> low & mask(rest - low), rest - low);
        }
        got << low | coder.plain(value & mask(low), low)
    }

    /// Codes a number with a sign.
    pub(super) fn code_signed(&mut self, coder: &mut impl Coder, value: i32) -> i32 {
        let folded = (value << 1 ^ value >> 31).cast_unsigned();
        let folded = self.code(coder, folded);
        (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed()
    }
}

fn mask(bits: u32) -> u32 {
    1_u32.checked_shl(bits).map_or(u32::MAX, |bit| bit - 1)
}

/// Writes.
#[derive(Debug)]
pub(super) struct Encoder {
    low: u64,
    range: u64,
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            low: 0,
            range: u64::MAX,
            bytes: Vec::new(),
        }
    }

    /// Narrows the range to `range` from `start` on.
    #[inline]
    fn narrow(&mut self, start: u64, range: u64) {
        self.add(start);
        self.range = range;
        if self.range < TOP {
            self.bytes
                .extend((self.low >> 32).to_be_bytes().get(4..).unwrap_or_default());
            self.low <<= 32;
            self.range <<= 32;
        }
    }

    /// Moves the start of the range, and carries into what was written.
    #[inline]
    fn add(&mut self, start: u64) {
        let (low, carry) = self.low.overflowing_add(start);
        self.low = low;
        if carry {
            for byte in self.bytes.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
    }

    /// The bytes, without zeros at the end: a decoder reads them by itself.
    pub(super) fn finish(mut self) -> Vec<u8> {
        // Of all numbers in the range, one that ends in as many zeros as there can be.
        let zeros = (0..64).rev().find(|zeros| {
            let unit = (1_u64 << zeros) - 1;
            let up = (self.low & unit).wrapping_neg() & unit;
            up < self.range
        });
        let unit = (1_u64 << zeros.unwrap_or_default()) - 1;
        self.add((self.low & unit).wrapping_neg() & unit);
        self.bytes.extend(self.low.to_be_bytes());
        for _ in 0..TRIMMED_MAX {
            if self.bytes.last() == Some(&0) {
                self.bytes.pop();
            }
        }
        self.bytes
    }
}

impl Coder for Encoder {
    #[inline]
    fn code(&mut self, bit: bool, one: u32) -> bool {
        let bound = (self.range >> SCALE) * u64::from(one);
        if bit {
            self.narrow(0, bound);
        } else {
            self.narrow(bound, self.range - bound);
        }
        bit
    }

    fn symbol(&mut self, symbol: usize, shares: &Shares) -> usize {
        let unit = self.range >> SHARE_SCALE;
        let (start, end) = span(symbol, shares, unit, self.range);
        self.narrow(start, end - start);
        symbol
    }

    fn plain(&mut self, value: u32, bits: u32) -> u32 {
        let unit = self.range >> bits;
        self.narrow(unit * u64::from(value), unit);
        value
    }
}

/// Where the share of a symbol begins and ends in a range; what rounding leaves is the last one's.
#[inline]
fn span(symbol: usize, shares: &Shares, unit: u64, range: u64) -> (u64, u64) {
    let at = |symbol: usize| {
        let share = shares.get(symbol).copied();
        share.map_or(range, |share| unit * u64::from(share.cast_unsigned()))
    };
    (at(symbol), at(symbol + 1))
}

/// Reads.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    range: u64,
    code: u64,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self {
            bytes,
            at: 0,
            range: u64::MAX,
            code: 0,
        };
        decoder.code = decoder.next() << 32;
        decoder.code |= decoder.next();
        decoder
    }

    #[inline]
    fn next(&mut self) -> u64 {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += 4;
        match rest.first_chunk() {
            Some(chunk) => u64::from(u32::from_be_bytes(*chunk)),
            None => (0..4).fold(0, |code, at| {
                code << 8 | u64::from(rest.get(at).copied().unwrap_or_default())
            }),
        }
    }

    #[inline]
    fn refill(&mut self) {
        if self.range < TOP {
            self.range <<= 32;
            self.code = self.code << 32 | self.next();
        }
    }

    /// Whether all of the input was used.
    pub(super) fn is_finished(&self) -> bool {
        self.at >= self.bytes.len()
    }
}

impl Coder for Decoder<'_> {
    #[inline]
    fn code(&mut self, _: bool, one: u32) -> bool {
        let bound = (self.range >> SCALE) * u64::from(one);
        let bit = self.code < bound;
        if bit {
            self.range = bound;
        } else {
            self.code -= bound;
            self.range -= bound;
        }
        self.refill();
        bit
    }

    #[inline]
    fn symbol(&mut self, _: usize, shares: &Shares) -> usize {
        let unit = self.range >> SHARE_SCALE;
        let share = (self.code / unit).min((1 << SHARE_SCALE) - 1);
        let share = i16::try_from(share).unwrap_or(i16::MAX);
        let below: i16 = shares.iter().map(|start| i16::from(*start <= share)).sum();
        // The first one starts at zero.
        let symbol = usize::try_from(below - 1).unwrap_or_default();
        let (start, end) = span(symbol, shares, unit, self.range);
        self.code -= start;
        self.range = end - start;
        self.refill();
        symbol
    }

    #[inline]
    fn plain(&mut self, _: u32, bits: u32) -> u32 {
        let unit = self.range >> bits;
        let value = (self.code / unit).min(u64::from(mask(bits)));
        self.code -= unit * value;
        self.range = unit;
        self.refill();
        u32::try_from(value).unwrap_or_default()
    }

    fn is_exhausted(&self) -> bool {
        self.at > self.bytes.len() + TRIMMED_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that is coded, in the order of `values`.
    fn code_all(
        coder: &mut impl Coder,
        values: &[(u32, i32, u8, bool)],
    ) -> Vec<(u32, i32, u8, bool)> {
        let (mut number, mut signed) = (Number::default(), Number::default());
        let (mut a, mut b) = (ByteModel::default(), ByteModel::default());
        let mut bits = [Bit::NEW; 2];
        let code = |(value, change, byte, bit): &(u32, i32, u8, bool)| {
            let [first, second] = &mut bits;
            (
                number.code(coder, *value),
                signed.code_signed(coder, *change),
                code_byte_pair(coder, *byte, &mut a, &mut b),
                code_pair(coder, *bit, first, second),
            )
        };
        values.iter().map(code).collect()
    }

    proptest! {
        #[test]
        fn what_was_coded_comes_back(values in proptest::collection::vec(any::<(u32, i32, u8, bool)>(), 0..200)) {
            let mut encoder = Encoder::new();
            prop_assert_eq!(&code_all(&mut encoder, &values), &values);
            let bytes = encoder.finish();
            let nothing = vec![(0, 0, 0, false); values.len()];
            let mut decoder = Decoder::new(&bytes);
            prop_assert_eq!(&code_all(&mut decoder, &nothing), &values);
            prop_assert!(decoder.is_finished() && !decoder.is_exhausted());
        }

        #[test]
        fn arbitrary_bytes_decode_to_something_and_run_out(bytes in any::<Vec<u8>>()) {
            let mut decoder = Decoder::new(&bytes);
            code_all(&mut decoder, &vec![(0, 0, 0, false); bytes.len() + 200]);
            prop_assert!(decoder.is_finished());
        }
    }

    #[test]
    fn numbers_of_every_length_come_back() {
        let values = (0..32_u32).flat_map(|bits| [1 << bits, (1 << bits) - 1, u32::MAX >> bits]);
        let values: Vec<_> = values.map(|value| (value, i32::MIN, 0, true)).collect();
        let mut encoder = Encoder::new();
        code_all(&mut encoder, &values);
        let bytes = encoder.finish();
        let nothing = vec![(0, 0, 0, false); values.len()];
        assert_eq!(code_all(&mut Decoder::new(&bytes), &nothing), values);
    }

    #[test]
    fn every_symbol_keeps_a_share_whatever_was_learnt() {
        for often in 0..SYMBOLS {
            let mut symbols = Symbols::NEW;
            for at in 0..1_000 {
                symbols.learn(if at % 97 == 0 { at % 16 } else { often });
            }
            let shares = symbols.shares;
            assert!(
                shares[0] == 0 && shares.is_sorted_by(|one, next| one < next),
                "{shares:?}"
            );
        }
    }

    #[test]
    fn what_always_comes_costs_next_to_nothing() {
        let mut encoder = Encoder::new();
        let mut bit = Bit::NEW;
        for _ in 0..100_000 {
            bit.code(&mut encoder, true);
        }
        assert!(encoder.finish().len() < 100);
    }
}
