//! Damages inputs at random, the same way for the same seed. Guided by nothing: that is what `cargo xtask fuzz` is for.

/// A source of chance that repeats itself (xorshift64*, Marsaglia and Vigna).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The dice of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap_or(0) % end.max(1)
    }
}

/// One of the seeds, damaged in one to six places.
pub fn damaged(seeds: &[Vec<u8>], words: &[&str], dice: &mut Dice) -> Vec<u8> {
    let draw = |dice: &mut Dice| seeds.get(dice.below(seeds.len())).cloned();
    let mut input = draw(dice).unwrap_or_default();
    for _ in 0..=dice.below(6) {
        let at = dice.below(input.len() + 1);
        let end = (at + 1 + dice.below(16)).min(input.len());
        match dice.below(9) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            1 => input.truncate(at),
            2 => drop(input.drain(at.min(end)..end)),
            3 => {
                let part = input.get(at..end).unwrap_or_default().to_vec();
                let many = part.repeat(1 + dice.below(8));
                input.splice(at..at, many);
            }
            4 => {
                let other = draw(dice).unwrap_or_default();
                let from = dice.below(other.len() + 1);
                input.truncate(at);
                input.extend(other.into_iter().skip(from));
            }
            5 => {
                let byte = u8::try_from(dice.below(256)).unwrap_or(0);
                input.insert(at, byte);
            }
            6 => {
                let number = [0, 1, 0x7f, 0x80, 0xff];
                let byte = number.get(dice.below(5)).copied().unwrap_or(0);
                for place in input.iter_mut().skip(at).take(1 + dice.below(4)) {
                    *place = byte;
                }
            }
            _ => {
                let word = words.get(dice.below(words.len())).copied();
                input.splice(at..at, word.unwrap_or_default().bytes());
            }
        }
    }
    input
}
