//! Hard negatives: what looks like personal data or a secret to a pattern, and is none.
//!
//! The label is what a privacy officer would say who reads the whole text. Random numbers are not
//! filtered: one in ten order numbers passes a Luhn check by chance, and it is an order number all the same.

use crate::dice::{ALNUM, DIGITS, Dice, HEX, LOWER};
use crate::made::{Fits, Made};
use crate::personal::{iban_text, with_luhn};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How many kinds there are.
const KINDS: u64 = 40;

pub(crate) fn harmless(dice: &mut Dice) -> Made {
    let kind = dice.below(KINDS);
    match kind {
        0..=13 => numbers(kind, dice),
        14..=25 => identifiers(kind, dice),
        _ => words(kind, dice),
    }
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn numbers(kind: u64, dice: &mut Dice) -> Made {
    let free = Made::harmless;
    match kind {
        0 => free("order number", format!("order {}", dice.chars(DIGITS, 16))),
        1 => free(
            "order number",
            format!("{}{}", dice.between(1, 9), dice.chars(DIGITS, 8)),
        ),
        2 => free(
            "15-digit id",
            format!(
                "{}{}",
                dice.one(&["17", "35", "86", "10"]),
                dice.chars(DIGITS, 13)
            ),
        ),
        3 => {
            let (prefix, length) = dice.one(&[("4", 16), ("51", 16), ("37", 15), ("6011", 16)]);
            free("wrong Luhn digit", with_luhn(prefix, length, dice, false))
        }
        4 => free("wrong IBAN digits", iban_text(dice, false)),
        5 => {
            let area = dice.one(&["000", "666", "901", "987"]);
            free(
                "never issued as SSN",
                format!(
                    "{area}-{:02}-{:04}",
                    dice.between(1, 99),
                    dice.between(1, 9999)
                ),
            )
        }
        6 => free("milliseconds", format!("17{}", dice.chars(DIGITS, 11))),
        7 => free(
            "decimal",
            format!("{}.{}", dice.below(100), dice.chars(DIGITS, 16)),
        ),
        8 => free(
            "numbers in a row",
            dice.joined(5, " ", |dice| dice.between(1, 9999).to_string()),
        ),
        9 => free("nanoseconds", format!("17{}", dice.chars(DIGITS, 17))),
        10 => free(
            "build number",
            format!(
                "build {}.{}",
                dice.between(20_200_101, 20_261_231),
                dice.below(99)
            ),
        ),
        11 => free(
            "byte count",
            format!("+{} bytes", dice.between(1_000_000, 999_999_999)),
        ),
        12 => free(
            "part number",
            format!(
                "part no. {}-{:02}-{:04}",
                dice.between(100, 899),
                dice.between(1, 99),
                dice.between(1, 9999)
            ),
        ),
        _ => free(
            "amount",
            format!(
                "{} {}.{:02}",
                dice.one(&["EUR", "USD", "total", "JPY"]),
                dice.between(1_000_000, 99_999_999),
                dice.below(100)
            ),
        ),
    }
}

fn identifiers(kind: u64, dice: &mut Dice) -> Made {
    let free = Made::harmless;
    match kind {
        14 => free("UUID", uuid(dice)),
        15 => free("git id", dice.chars(HEX, 40)),
        16 => free(
            "git id",
            format!("{}..{}", dice.chars(HEX, 7), dice.chars(HEX, 7)),
        ),
        17 => free("SHA-256", format!("sha256:{}", dice.chars(HEX, 64))),
        18 => free("MD5", dice.chars(HEX, 32)),
        19 => free("address in memory", format!("0x{}", dice.chars(HEX, 12))),
        20 => free(
            "fingerprint",
            dice.joined(20, ":", |dice| dice.chars(HEX, 2).to_uppercase()),
        ),
        21 => {
            let length = dice.count(12, 80);
            let words = dice.joined(length / 6 + 1, " ", |dice| dice.chars(LOWER, 5));
            free("base64", STANDARD.encode(words))
        }
        22 => free(
            "trace id",
            format!("00-{}-{}-01", dice.chars(HEX, 32), dice.chars(HEX, 16)),
        ),
        23 => free(
            "Foo::bar",
            format!(
                "{}::{}",
                dice.one(&["Foo", "Bad", "Face", "std", "Abc", "crate", "Cafe", "db"]),
                dice.one(&[
                    "bar", "add", "new", "dead", "from_str", "bed", "face", "Decade"
                ])
            ),
        ),
        24 => free(
            "image",
            format!(
                "{}@{}",
                dice.one(&["icon", "logo", "hero"]),
                dice.one(&["2x.png", "3x.webp", "2x.jpg"])
            ),
        ),
        _ => free(
            "package",
            format!(
                "{}@{}.{}.{}",
                dice.one(&["@sentry/node", "till", "actions/checkout", "lodash"]),
                dice.below(20),
                dice.below(50),
                dice.below(50)
            ),
        ),
    }
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn words(kind: u64, dice: &mut Dice) -> Made {
    let free = Made::harmless;
    let alone = |kind, text: String| Made {
        kind,
        text,
        fits: Fits::Alone,
    };
    let field = |kind, name, text: String| Made {
        kind,
        text,
        fits: Fits::Field(name),
    };
    let version = |dice: &mut Dice| {
        format!(
            "{}.{}.{}.{}",
            dice.between(1, 140),
            dice.below(20),
            dice.below(255),
            dice.below(200)
        )
    };
    match kind {
        26 => free("version", format!("version {}", version(dice))),
        27 => free(
            "version",
            format!(
                "{}/{}",
                dice.one(&["Chrome", "Firefox", "till-agent"]),
                version(dice)
            ),
        ),
        28 => free(
            "version",
            format!("lib{}-{}.so", dice.chars(LOWER, 4), version(dice)),
        ),
        29 => free(
            "time",
            format!(
                "2026-{:02}-{:02}T{:02}:{:02}:{:02}.{}+01:00",
                dice.between(1, 12),
                dice.between(1, 28),
                dice.below(24),
                dice.below(60),
                dice.below(60),
                dice.chars(DIGITS, 6)
            ),
        ),
        30 => free(
            "time",
            format!(
                "{:02}:{:02}:{:02}",
                dice.below(24),
                dice.below(60),
                dice.below(60)
            ),
        ),
        31 => free(
            "loopback",
            dice.one(&[
                "127.0.0.1:8000",
                "::1",
                "0.0.0.0:80",
                "localhost:5432",
                "255.255.255.0",
            ])
            .to_owned(),
        ),
        32 => free(
            "path",
            dice.one(&[
                "/usr/lib/python3.11/json/decoder.py",
                "/app/home/index.html",
                "/srv/users/list.py",
                "C:\\Windows\\System32\\ntdll.dll",
                "/opt/app/Users.java",
            ])
            .to_owned(),
        ),
        33 => free(
            "URL",
            format!(
                "https://example.com/{}/{}?page={}",
                dice.one(&["home", "users", "v1/orders"]),
                dice.below(9999),
                dice.below(50)
            ),
        ),
        34 => alone(
            "talk of secrets",
            dice.one(&[
                "password must be at least 8 characters",
                "password: this field is required",
                "Unexpected token < in JSON at position 0",
                "invalid token: expected ')' before 'else'",
                "the session expired after 30 minutes",
                "Bearer authentication is required here",
                "KeyError: 'password'",
                "secret not found in vault, giving up",
                "cookie consent banner failed to load",
                "API key missing, see the documentation",
                "no basic auth credentials",
                "the bearer of bad news",
            ])
            .to_owned(),
        ),
        35 => field(
            "count of tokens",
            "max_tokens",
            dice.between(100, 9000).to_string(),
        ),
        36 => field(
            "names of people who write",
            dice.one(&[
                "author",
                "tokenizer",
                "keyboard",
                "primary_key",
                "token_type",
                "session_timeout",
                "password_length",
                "auth_method",
            ]),
            dice.one(&["bpe", "42", "qwerty", "basic", "id"]).to_owned(),
        ),
        37 => free(
            "remote",
            dice.one(&[
                "git@github.com:org/repo.git",
                "ssh://git@gitlab.example.com/org/repo",
                "root@localhost",
                "getty@tty1.service",
                "onClick@app.js:12:3",
            ])
            .to_owned(),
        ),
        38 => free(
            "code",
            format!(
                "x[{}::{}], a[::-1], {}",
                dice.below(9),
                dice.below(9),
                dice.chars(ALNUM, 6)
            ),
        ),
        _ => free(
            "object",
            format!(
                "<Session object at 0x{}>, com.example.Foo@{}",
                dice.chars(HEX, 12),
                dice.chars(HEX, 7)
            ),
        ),
    }
}

fn uuid(dice: &mut Dice) -> String {
    format!(
        "{}-{}-4{}-a{}-{}",
        dice.chars(HEX, 8),
        dice.chars(HEX, 4),
        dice.chars(HEX, 3),
        dice.chars(HEX, 3),
        dice.chars(HEX, 12)
    )
}
