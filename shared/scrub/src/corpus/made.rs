//! Values made by a small deterministic generator: valid ones, and ones that only look like it.

use std::fmt::Write as _;

/// A small deterministic generator (xorshift64*), so that the corpus is the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    fn chars(&mut self, alphabet: &str, count: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..count)
            .map(|_| alphabet[usize::try_from(self.below(alphabet.len() as u64)).unwrap()])
            .collect()
    }
}

const DIGITS: &str = "0123456789";
const HEX: &str = "0123456789abcdef";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn with_luhn(prefix: &str, length: usize, dice: &mut Dice, valid: bool) -> String {
    let mut digits = prefix.to_owned() + &dice.chars(DIGITS, length - 1 - prefix.len());
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0');
            match (place % 2, digit * 2) {
                (0, twice) if twice > 9 => twice - 9,
                (0, twice) => twice,
                _ => digit,
            }
        })
        .sum();
    let check = (10 - sum % 10) % 10 + u32::from(!valid);
    write!(digits, "{}", check % 10).unwrap();
    digits
}

fn iban(country: &str, length: usize, dice: &mut Dice, valid: bool) -> String {
    let account = dice.chars(DIGITS, length - 4);
    let letters: String = country
        .bytes()
        .map(|byte| (u32::from(byte - b'A') + 10).to_string())
        .collect();
    let remainder = format!("{account}{letters}00")
        .bytes()
        .fold(0, |rest, byte| (rest * 10 + u32::from(byte - b'0')) % 97);
    let check = 98 - remainder;
    let check = if valid { check } else { check % 96 + 2 };
    format!("{country}{check:02}{account}")
}

fn in_fours(text: &str, separator: &str) -> String {
    text.as_bytes()
        .chunks(4)
        .map(|chunk| std::str::from_utf8(chunk).unwrap())
        .collect::<Vec<_>>()
        .join(separator)
}

/// Texts around a value, which stands for the `@`.
pub(super) const CARRIERS: [&str; 8] = [
    "value was @",
    "ValueError: cannot handle '@' here",
    "{\"field\": \"@\"}",
    "(@)",
    "failed for @, giving up",
    "@",
    "a=1 b=@ c=3",
    "line one\\nline two: @\\nline three",
];

/// Values that must go, with their rule.
pub(super) fn positive(dice: &mut Dice) -> (&'static str, String) {
    match dice.below(14) {
        0 => ("card", valid_card(dice)),
        1 => ("iban", valid_iban(dice)),
        2 => ("ssn", ssn(dice)),
        3 => ("email", email(dice)),
        4..=6 => ("ip", address(dice)),
        7 => ("mac", joined(6, ":", || dice.chars(HEX, 2))),
        8 => ("phone", phone(dice)),
        _ => ("vendor_key", vendor_key(dice)),
    }
}

fn valid_card(dice: &mut Dice) -> String {
    let (prefix, length) = dice.one(&[
        ("4", 16),
        ("51", 16),
        ("2221", 16),
        ("37", 15),
        ("36", 14),
        ("6011", 16),
        ("3530", 16),
        ("62", 16),
        ("6759", 16),
        ("4", 19),
    ]);
    let card = with_luhn(prefix, length, dice, true);
    let separator = if length == 16 {
        dice.one(&["", " ", "-"])
    } else {
        ""
    };
    in_fours(&card, separator)
}

fn valid_iban(dice: &mut Dice) -> String {
    let (country, length) = dice.one(&[("DE", 22), ("NO", 15), ("BE", 16), ("PL", 28), ("ES", 24)]);
    let iban = iban(country, length, dice, true);
    in_fours(&iban, dice.one(&["", " "]))
}

fn ssn(dice: &mut Dice) -> String {
    let (area, group, serial) = (dice.below(600), dice.below(99), dice.below(9999));
    format!("{:03}-{:02}-{:04}", 1 + area, 1 + group, 1 + serial)
}

fn email(dice: &mut Dice) -> String {
    let (first, last) = (dice.chars("abcdefgh", 5), dice.chars("ijklmnop", 6));
    let (host, domain) = (
        dice.chars("qrstuvw", 7),
        dice.one(&["com", "org", "de", "co.uk", "io"]),
    );
    format!("{first}.{last}@{host}.{domain}")
}

fn address(dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => {
            let (first, last) = (1 + dice.below(120), 1 + dice.below(254));
            format!("{first}.{}.{}.{last}", dice.below(256), dice.below(256))
        }
        1 => joined(8, ":", || format!("{:x}", 1 + dice.below(0xffff))),
        _ => format!("2001:db8:{}::{}", dice.chars(HEX, 4), 1 + dice.below(9)),
    }
}

fn phone(dice: &mut Dice) -> String {
    let first = 2 + dice.below(8);
    match dice.below(3) {
        0 => {
            let (area, exchange) = (dice.chars(DIGITS, 2), dice.chars(DIGITS, 2));
            format!(
                "+1 {first}{area}-{first}{exchange}-{}",
                dice.chars(DIGITS, 4)
            )
        }
        1 => format!("+49{first}{}", dice.chars(DIGITS, 9)),
        _ => format!(
            "+44 20 {first}{} {}",
            dice.chars(DIGITS, 3),
            dice.chars(DIGITS, 4)
        ),
    }
}

fn vendor_key(dice: &mut Dice) -> String {
    let (prefix, alphabet, count) = dice.one(&[
        ("AKIA", UPPER, 16),
        ("ghp_", ALNUM, 36),
        ("gho_", ALNUM, 36),
        ("AIza", ALNUM, 35),
        ("sk_live_", ALNUM, 24),
        ("rk_live_", ALNUM, 24),
        ("xoxb-123456789012-123456789012-", ALNUM, 24),
    ]);
    format!("{prefix}{}", dice.chars(alphabet, count))
}

fn joined(count: usize, separator: &str, mut part: impl FnMut() -> String) -> String {
    let parts: Vec<String> = (0..count).map(|_| part()).collect();
    parts.join(separator)
}

/// Values that look like something and must stay.
pub(super) fn negative(dice: &mut Dice) -> String {
    match dice.below(16) {
        0 => with_luhn(dice.one(&["4", "51", "37", "6011"]), 16, dice, false),
        1 => iban("DE", 22, dice, false),
        2 => format!(
            "{}-{:02}-{:04}",
            dice.one(&["000", "666", "901"]),
            1 + dice.below(99),
            1 + dice.below(9999)
        ),
        3 => format!(
            "{}-{}-4{}-a{}-{}",
            dice.chars(HEX, 8),
            dice.chars(HEX, 4),
            dice.chars(HEX, 3),
            dice.chars(HEX, 3),
            dice.chars(HEX, 12)
        ),
        4 => dice.chars(HEX, 40),
        5 => dice.chars(HEX, 64),
        6 => format!("17{}", dice.chars(DIGITS, 11)),
        7 => format!(
            "version {}.{}.{}.{}",
            dice.below(20),
            dice.below(20),
            dice.below(200),
            dice.below(20)
        ),
        8 => format!(
            "2026-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            1 + dice.below(12),
            1 + dice.below(28),
            dice.below(24),
            dice.below(60),
            dice.below(60)
        ),
        9 => format!(
            "{}::{}",
            dice.one(&["Foo", "Bad", "Face", "std", "Abc", "crate"]),
            dice.one(&["bar", "add", "new", "dead", "from_str"])
        ),
        10 => format!("0.{}", dice.chars(DIGITS, 16)),
        11 => format!(
            "{}@{}",
            dice.one(&["icon", "logo"]),
            dice.one(&["2x.png", "3x.webp"])
        ),
        12 => format!("order {}", dice.chars(DIGITS, 9)),
        13 => format!("0x{}", dice.chars(HEX, 12)),
        14 => format!(
            "{}:{:02}:{:02}",
            dice.below(24),
            dice.below(60),
            dice.below(60)
        ),
        _ => format!("{}.{}.{}", dice.below(20), dice.below(20), dice.below(20)),
    }
}
