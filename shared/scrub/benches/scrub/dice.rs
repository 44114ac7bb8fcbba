//! A small deterministic generator (xorshift64*), so that the corpus is the same in every run.

/// The generator.
pub(crate) struct Dice(u64);

pub(crate) const DIGITS: &str = "0123456789";
pub(crate) const HEX: &str = "0123456789abcdef";
pub(crate) const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
pub(crate) const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
pub(crate) const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
pub(crate) const TOKEN: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
pub(crate) const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Dice {
    /// A generator with a seed that is not zero.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number from one to another, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A number of things, both bounds included.
    pub(crate) fn count(&mut self, low: usize, high: usize) -> usize {
        low + usize::try_from(self.below((high - low + 1) as u64)).unwrap_or_default()
    }

    /// One of the choices.
    pub(crate) fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.count(0, choices.len() - 1)]
    }

    /// Yes, with a chance of so many percent.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// So many characters of an ASCII alphabet.
    pub(crate) fn chars(&mut self, alphabet: &str, count: usize) -> String {
        (0..count)
            .map(|_| char::from(self.one(alphabet.as_bytes())))
            .collect()
    }

    /// So many parts with something between.
    pub(crate) fn joined(
        &mut self,
        count: usize,
        between: &str,
        mut part: impl FnMut(&mut Self) -> String,
    ) -> String {
        let parts: Vec<String> = (0..count).map(|_| part(self)).collect();
        parts.join(between)
    }

    /// A secret as people and machines choose them: letters and digits, never a word of a sentence.
    pub(crate) fn password(&mut self) -> String {
        let word = self.one(&[
            "Tiger", "blue", "Kestrel", "maple", "Orbit", "quiet", "Velvet",
        ]);
        match self.below(4) {
            0 => format!("{word}{}!", self.chars(DIGITS, 4)),
            1 => {
                let length = self.count(12, 24);
                format!("{}7", self.chars(ALNUM, length))
            }
            2 => format!("{word}-{}-{}", self.chars(LOWER, 5), self.chars(DIGITS, 2)),
            _ => format!("{}{word}${}", self.chars(DIGITS, 2), self.chars(ALNUM, 5)),
        }
    }
}
