//! Adaptive binary range coding, after the range coder of LZMA (7-Zip, G. N. N. Martin 1979).
//!
//! Everything but new bytes goes through it. A model is written once and works in both directions:
//! [`Coder::code`] takes the value that an encoder has and returns the value that a decoder gets, and an
//! encoder returns what it was given. So writer and reader cannot come to differ.
//!
//! **Invariant: a decoder reads zeros past its input and says so in [`Coder::is_exhausted`]; it never
//! fails in the middle of a symbol, so callers bound their loops themselves and ask once per step.**

/// Probabilities are in units of 2^-16.
const SCALE: u32 = 16;
/// The range is kept above this.
const TOP: u32 = 1 << 24;

/// Most zeros that an encoder leaves away at its end.
const TRIMMED_MAX: usize = 5;

/// Codes single binary decisions.
pub(super) trait Coder {
    /// Codes one decision; `one` is the probability of `true`, in units of 2^-16, 1 to 65535.
    fn code(&mut self, bit: bool, one: u32) -> bool;

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
        let bit = coder.code(bit, self.one().clamp(32, 65_504));
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
    let one = u32::midpoint(a.one(), b.one()).clamp(32, 65_504);
    let bit = coder.code(bit, one);
    a.learn(bit);
    b.learn(bit);
    bit
}

/// Codes the `bits` low bits of a value that is as good as random.
pub(super) fn code_plain(coder: &mut impl Coder, value: u32, bits: u32) -> u32 {
    let mut got = 0;
    for at in (0..bits).rev() {
        let bit = coder.code(value >> at & 1 != 0, 1 << (SCALE - 1));
        got = got << 1 | u32::from(bit);
    }
    got
}

/// The bits of a byte, each in the context of those before it. Takes memory on first use.
#[derive(Debug, Clone, Default)]
pub(super) struct ByteModel(Vec<Bit>);

impl ByteModel {
    fn at(&mut self, node: usize) -> Option<&mut Bit> {
        if self.0.is_empty() {
            self.0.resize(256, Bit::NEW);
        }
        self.0.get_mut(node & 0xff)
    }
}

/// Codes a byte that two contexts know something about.
pub(super) fn code_byte_pair(
    coder: &mut impl Coder,
    value: u8,
    a: &mut ByteModel,
    b: &mut ByteModel,
) -> u8 {
    let mut node = 1_usize;
    for at in (0..8).rev() {
        let bit = value >> at & 1 != 0;
        let bit = match (a.at(node), b.at(node)) {
            (Some(a), Some(b)) => code_pair(coder, bit, a, b),
            _ => bit,
        };
        node = node << 1 | usize::from(bit);
    }
    low_byte(node)
}

fn low_byte(node: usize) -> u8 {
    u8::try_from(node & 0xff).unwrap_or_default()
}

/// Highest bits of a number, below its leading one, that are learnt; the rest are coded plainly.
const LEARNT: u32 = 4;

/// Numbers of 32 bits: the length in bits, then the bits below the leading one.
#[derive(Debug, Clone)]
pub(super) struct Number {
    length: Box<[Bit; 64]>,
    high: Box<[[Bit; 1 << LEARNT]; 33]>,
}

impl Default for Number {
    fn default() -> Self {
        Self {
            length: Box::new([Bit::NEW; 64]),
            high: Box::new([[Bit::NEW; 1 << LEARNT]; 33]),
        }
    }
}

impl Number {
    pub(super) fn code(&mut self, coder: &mut impl Coder, value: u32) -> u32 {
        let length = 32 - value.leading_zeros();
        let mut node = 1_usize;
        for at in (0..6).rev() {
            let bit = length >> at & 1 != 0;
            let bit = match self.length.get_mut(node & 63) {
                Some(model) => model.code(coder, bit),
                None => bit,
            };
            node = node << 1 | usize::from(bit);
        }
        // A damaged stream may name a length above 32.
        let length = u32::try_from(node & 63).unwrap_or_default().min(32);
        if length < 2 {
            return length;
        }
        let below = length - 1;
        let learnt = below.min(LEARNT);
        let mut got = 1_u32;
        for at in 0..learnt {
            let bit = value >> (below - 1 - at) & 1 != 0;
            let models = self.high.get_mut(length as usize);
            let slot = got as usize & ((1 << LEARNT) - 1);
            let bit = match models.and_then(|models| models.get_mut(slot)) {
                Some(model) => model.code(coder, bit),
                None => bit,
            };
            got = got << 1 | u32::from(bit);
        }
        let rest = below - learnt;
        let plain = code_plain(coder, value & mask(rest), rest);
        got.checked_shl(rest).unwrap_or_default() | plain
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
    range: u32,
    cache: u8,
    pending: u64,
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            low: 0,
            range: u32::MAX,
            cache: 0,
            pending: 1,
            bytes: Vec::new(),
        }
    }

    fn shift(&mut self) {
        if self.low < 0xff00_0000 || self.low > 0xffff_ffff {
            let carry = u8::from(self.low > 0xffff_ffff);
            let mut byte = self.cache;
            while self.pending > 0 {
                self.bytes.push(byte.wrapping_add(carry));
                byte = 0xff;
                self.pending -= 1;
            }
            self.cache = u8::try_from(self.low >> 24 & 0xff).unwrap_or_default();
        }
        self.pending += 1;
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    /// The bytes, without zeros at the end: a decoder reads them by itself.
    pub(super) fn finish(mut self) -> Vec<u8> {
        for _ in 0..5 {
            self.shift();
        }
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
        let bound = (self.range >> SCALE) * one;
        if bit {
            self.range = bound;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
        }
        while self.range < TOP {
            self.range <<= 8;
            self.shift();
        }
        bit
    }
}

/// Reads.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    range: u32,
    code: u32,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self {
            bytes,
            at: 1, // the first byte of an encoder is always zero
            range: u32::MAX,
            code: 0,
        };
        for _ in 0..4 {
            decoder.code = decoder.code << 8 | decoder.next();
        }
        decoder
    }

    #[inline]
    fn next(&mut self) -> u32 {
        let byte = self.bytes.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        u32::from(byte)
    }

    /// Whether all of the input was used.
    pub(super) fn is_finished(&self) -> bool {
        self.at >= self.bytes.len()
    }
}

impl Coder for Decoder<'_> {
    #[inline]
    fn code(&mut self, _: bool, one: u32) -> bool {
        let bound = (self.range >> SCALE) * one;
        let bit = self.code < bound;
        if bit {
            self.range = bound;
        } else {
            self.code -= bound;
            self.range -= bound;
        }
        while self.range < TOP {
            self.range <<= 8;
            self.code = self.code << 8 | self.next();
        }
        bit
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
    fn what_always_comes_costs_next_to_nothing() {
        let mut encoder = Encoder::new();
        let mut bit = Bit::NEW;
        for _ in 0..100_000 {
            bit.code(&mut encoder, true);
        }
        assert!(encoder.finish().len() < 100);
    }
}
