//! Data that names a person, made up and valid by every published check.

use crate::dice::{ALNUM, DIGITS, Dice, HEX, LOWER};
use crate::made::{Made, in_groups};

/// Issuer prefixes and lengths as the card networks publish them.
const BRANDS: [(&str, usize); 28] = [
    ("4", 16),
    ("4", 13),
    ("4", 19),
    ("51", 16),
    ("55", 16),
    ("2221", 16),
    ("2720", 16),
    ("34", 15),
    ("37", 15),
    ("300", 14),
    ("36", 14),
    ("38", 14),
    ("6011", 16),
    ("65", 16),
    ("644", 16),
    ("3528", 16),
    ("3589", 16),
    ("62", 16),
    ("62", 19),
    ("5018", 16),
    ("6759", 18),
    ("2202", 16),
    ("36", 16),
    ("5019", 16),
    ("509", 16),
    ("606282", 16),
    ("8600", 16),
    ("9792", 16),
];

/// Digits with a right (or wrong) Luhn check digit.
pub(crate) fn with_luhn(prefix: &str, length: usize, dice: &mut Dice, valid: bool) -> String {
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
    digits += &(check % 10).to_string();
    digits
}

pub(crate) fn card(dice: &mut Dice) -> Made {
    let (prefix, length) = dice.one(&BRANDS);
    let digits = with_luhn(prefix, length, dice, true);
    let separator = dice.one(&["", "", " ", "-"]);
    let written = match length {
        14 => in_groups(&digits, &[4, 6, 4], separator),
        15 => in_groups(&digits, &[4, 6, 5], separator),
        16 => in_groups(&digits, &[4, 4, 4, 4], separator),
        19 => in_groups(&digits, &[4, 4, 4, 4, 3], separator),
        _ => digits,
    };
    Made::free("card", written)
}

/// Countries, and the form of their account numbers: `n` digits, `a` letters, `c` either.
const ACCOUNTS: [(&str, &str); 14] = [
    ("DE", "nnnnnnnnnnnnnnnnnn"),
    ("AT", "nnnnnnnnnnnnnnnn"),
    ("NO", "nnnnnnnnnnn"),
    ("BE", "nnnnnnnnnnnn"),
    ("PL", "nnnnnnnnnnnnnnnnnnnnnnnn"),
    ("ES", "nnnnnnnnnnnnnnnnnnnn"),
    ("GB", "aaaannnnnnnnnnnnnn"),
    ("NL", "aaaannnnnnnnnn"),
    ("IE", "aaaannnnnnnnnnnnnn"),
    ("FR", "nnnnnnnnnncccccccccccnn"),
    ("IT", "annnnnnnnnncccccccccccc"),
    ("CH", "nnnnncccccccccccc"),
    ("MT", "aaaannnnncccccccccccccccccc"),
    ("SE", "nnnnnnnnnnnnnnnnnnnn"),
];

/// An IBAN with right or wrong check digits.
pub(crate) fn iban_text(dice: &mut Dice, valid: bool) -> String {
    let (country, form) = dice.one(&ACCOUNTS);
    let account: String = form
        .chars()
        .map(|place| match place {
            'n' => dice.chars(DIGITS, 1),
            'a' => dice.chars(LOWER, 1).to_uppercase(),
            _ => dice.chars(ALNUM, 1).to_uppercase(),
        })
        .collect();
    let remainder = format!("{account}{country}00")
        .bytes()
        .fold(0_u32, |rest, byte| match byte {
            b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
            letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
        });
    let check = 98 - remainder;
    let check = if valid { check } else { check % 96 + 2 };
    format!("{country}{check:02}{account}")
}

pub(crate) fn iban(dice: &mut Dice) -> Made {
    let text = iban_text(dice, true);
    let separator = dice.one(&["", " "]);
    let groups = [4; 9];
    Made::free("iban", in_groups(&text, &groups, separator))
}

pub(crate) fn ssn(dice: &mut Dice) -> Made {
    let area = loop {
        let area = dice.between(1, 899);
        if area != 666 {
            break area;
        }
    };
    let (group, serial) = (dice.between(1, 99), dice.between(1, 9999));
    Made::free("ssn", format!("{area:03}-{group:02}-{serial:04}"))
}

pub(crate) const FIRST: [&str; 10] = [
    "alice", "bob", "chandra", "dmitri", "eun-ji", "fatima", "goran", "hana", "ivan", "joao",
];
pub(crate) const LAST: [&str; 10] = [
    "keller",
    "lindqvist",
    "moreau",
    "nakamura",
    "okafor",
    "petrov",
    "quist",
    "rossi",
    "silva",
    "tanaka",
];

pub(crate) fn email(dice: &mut Dice) -> Made {
    let (first, last) = (dice.one(&FIRST), dice.one(&LAST));
    let local = match dice.below(5) {
        0 => format!("{first}.{last}"),
        1 => format!("{first}{}", dice.below(1000)),
        2 => format!("{first}.{last}+{}", dice.one(&["shop", "news", "test"])),
        3 => format!("{}_{last}", dice.chars(LOWER, 1)),
        _ => first.to_uppercase(),
    };
    let host = dice.one(&[
        "example",
        "mail.example",
        "corp-mail.example",
        "uni.example",
    ]);
    let top = dice.one(&["com", "org", "de", "co.uk", "io", "com.br", "museum"]);
    Made::free("email", format!("{local}@{host}.{top}"))
}

pub(crate) fn ip(dice: &mut Dice) -> Made {
    let group = |dice: &mut Dice| format!("{:x}", dice.between(1, 0xffff));
    let text = match dice.below(7) {
        0..=2 => ipv4(dice),
        3 => dice.joined(8, ":", group),
        4 => format!(
            "2001:db8:{}::{:x}",
            dice.chars(HEX, 4),
            dice.between(1, 0xfff)
        ),
        5 => format!(
            "fe80::{:x}:{:x}",
            dice.between(1, 0xffff),
            dice.between(0x100, 0xffff)
        ),
        _ => format!("::ffff:{}", ipv4(dice)),
    };
    Made::free("ip", text)
}

/// An address of a machine: no loopback, no mask, no network.
pub(crate) fn ipv4(dice: &mut Dice) -> String {
    let first = dice.one(&[10, 172, 192, 81, 93, 203, 8]);
    let second = match first {
        172 => dice.between(16, 31),
        192 => 168,
        _ => dice.below(256),
    };
    format!(
        "{first}.{second}.{}.{}",
        dice.below(256),
        dice.between(1, 254)
    )
}

pub(crate) fn mac(dice: &mut Dice) -> Made {
    let separator = dice.one(&[":", ":", "-"]);
    let text = match dice.below(6) {
        0 => dice.joined(3, ".", |dice| dice.chars(HEX, 4)),
        _ => dice.joined(6, separator, |dice| dice.chars(HEX, 2)),
    };
    let upper = dice.chance(40);
    Made::free("mac", if upper { text.to_uppercase() } else { text })
}

/// An area or an exchange of the North American Numbering Plan: `N11` is neither.
fn three_digits(dice: &mut Dice) -> String {
    let second = dice.one(&["0", "2", "3", "4", "5", "6", "7", "8", "9"]);
    format!("{}{second}{}", dice.between(2, 9), dice.chars(DIGITS, 1))
}

pub(crate) fn phone(dice: &mut Dice) -> Made {
    let (area, exchange) = (three_digits(dice), three_digits(dice));
    let line = dice.chars(DIGITS, 4);
    let lead = dice.between(2, 9);
    let text = match dice.below(10) {
        0 => format!("+1 {area}-{exchange}-{line}"),
        1 => format!("+1{area}{exchange}{line}"),
        2 => format!("({area}) {exchange}-{line}"),
        3 => format!("{area}-{exchange}-{line}"),
        4 => format!("+49 30 {lead}{}", dice.chars(DIGITS, 6)),
        5 => format!("+44 20 7{} {line}", dice.chars(DIGITS, 3)),
        6 => format!(
            "+33 {} {}",
            lead.min(7),
            dice.joined(4, " ", |dice| dice.chars(DIGITS, 2))
        ),
        7 => format!("+91 9{} {}", dice.chars(DIGITS, 4), dice.chars(DIGITS, 5)),
        8 => format!("+1 ({area}) {exchange}-{line}"),
        _ => format!("+5511{lead}{}", dice.chars(DIGITS, 8)),
    };
    Made::free("phone", text)
}

pub(crate) fn user_path(dice: &mut Dice) -> Made {
    let user = match dice.below(3) {
        0 => dice.one(&FIRST).to_owned(),
        1 => format!("{}.{}", dice.one(&FIRST), dice.one(&LAST)),
        _ => format!("{}{}", dice.chars(LOWER, 1), dice.one(&LAST)),
    };
    let rest = dice.one(&[
        "app/main.py",
        "projects/till/x.rs",
        "Downloads",
        ".config/till.toml",
    ]);
    let back = rest.replace('/', "\\");
    Made::free(
        "user_path",
        match dice.below(6) {
            0 | 1 => format!("/home/⟦{user}⟧/{rest}"),
            2 => format!("/Users/⟦{user}⟧/{rest}"),
            3 => format!("C:\\Users\\⟦{user}⟧\\{back}"),
            4 => format!("file:///home/⟦{user}⟧/{rest}"),
            _ => format!("C:/Users/⟦{user}⟧/{rest}"),
        },
    )
}
