//! The scrubber: texts, JSON as it is read and in memory, and the rules of a project.

use kintsugi_domain::event::Remark;
use kintsugi_domain::limits::TEXT_CHARS_MAX;
use kintsugi_domain::scrub_rules::{RULES, ScrubPattern, ScrubRules};
use kintsugi_scrub::{REMARK_PATH_BYTES_MAX, REMARKS_MAX, Scrubber};
use serde_json::Value;

#[rustfmt::skip]
pub(crate) const WORDS: &[&str] = &[
    "password", "passwd", "token", "api_key", "apiKey", "secret", "Cookie: ", "Set-Cookie", "Authorization", "session", "author", "ssn",
    "credit card", "card_number", "iban", "tax_id", "phone", "bank_account", "=", ":", "::", ": ", "://", "==", "=>", "@", ".", "-", "--",
    "+", "/", "\\", " ", "\n", "'", "\"", "\\\"", "(", ")", "[", "]", "{", "}", ",", ";", "%40", "<", ">", "Bearer ", "Basic ",
    "eyJhbGciOiJIUzI1NiJ9.", "/home/", "/Users/", "C:\\Users\\", "\u{e9}", "\u{2026}", "\u{2026}[cut]", "-----BEGIN KEY-----",
    "-----END KEY-----", "4111 1111 1111 1111", "4111111111111111", "DE89370400440532013000", "219-09-9998", "10.1.2.3", "2001:db8::1",
    "00:1B:44:11:3A:B7", "+14155552671", "a@b.co", "[email]", "[secret]", "[card]", "[user]", "[credentials]", "https://u:p@h/", "http",
    "%2F", "%3A", "%FF", "4111+1111+1111+1111", "a%40b.co", "415-234-2671", "(415) 234-2671", "001b.4411.3ab7", "Cookie: a=b", "-us1",
    "git@", ".com", "sk_live_", "ghp_", "xoxb-", "AKIA", "AIza", "0123456789abcdef", "GET ", "version ", "\\u0040", "\\n", "\\u00e9",
    "password=", "password: ", "Cookie: a=", "card_number=", "Basic+", "bearer+", "null", "true", "1e9", "\":\"", "\",\"", "{\"password\":", "[\"--token\",\"", "[[\"Cookie\",\"", "context_line", "release",
];

#[rustfmt::skip]
pub(crate) const RULES_WORDS: &[&str] = &[
    "(a+)+$", "(.*)*x", "(?:a?){30}a{30}", "\\b", "\\w", "\\d{6}", "[^\\s]+", "(?i)", "(?s).", "(?m)^", "$", "|", "*", "+?", "{1,100}",
    "\\p{L}", "\\x{10ffff}", "[[:alpha:]]", "(?-u:\\xff)", "\\B", ".*", "\n", "M-123456", "aaaaaaaa", "[own]", "[email]", "off = [\"email\"]",
    "customer_ref", "a@b.co", "[scrub]\n", "[[scrub.patterns]]\nname = \"own\"\npattern = '", "allow = [", "secret_names = [\"ref\"]",
    "safe_names = [\"token\"]",
];

/// A text, which is JSON or not.
pub(crate) fn one(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let scrubber = Scrubber::new(b"salt");
    in_text(&scrubber, &text);
    in_json(&scrubber, &text);
}

fn in_text(scrubber: &Scrubber, text: &str) {
    let (once, remarks) = scrubber.scrub_text("message", text);
    assert!(once.chars().count() <= TEXT_CHARS_MAX);
    told(&once, &remarks, text);
    let (twice, again) = scrubber.scrub_text("message", &once);
    assert_eq!((&twice, again.as_slice()), (&once, &[][..]), "of {text:?}");
    let (once, remarks) = scrubber.scrub_long_text("message", text);
    assert!(once.len() <= 16 * text.len());
    told(&once, &remarks, text);
    let (twice, again) = scrubber.scrub_long_text("message", &once);
    assert_eq!((&twice, again.as_slice()), (&once, &[][..]), "of {text:?}");
}

/// Every remark names what it left, and something was removed where there is one.
fn told(scrubbed: &str, remarks: &[Remark], text: &str) {
    assert_eq!(remarks.is_empty(), scrubbed == text, "{text:?}");
    assert!(remarks.len() <= REMARKS_MAX);
    for remark in remarks.iter().filter(|remark| !remark.path.is_empty()) {
        let left = scrubbed.get(remark.range.0..remark.range.1);
        let is_placeholder = left.is_some_and(|left| {
            left.starts_with('[') && left.ends_with(']') || remark.rule == "length"
        });
        assert!(is_placeholder, "{remark:?} of {scrubbed:?}");
    }
}

fn in_json(scrubber: &Scrubber, text: &str) {
    let read: Option<Value> = serde_json::from_str(text).ok();
    let streamed = scrubber.scrub_json(text);
    let Some(mut value) = read else {
        return;
    };
    let (scrubbed, _) = streamed.unwrap();
    serde_json::from_str::<Value>(&scrubbed).unwrap();
    assert!(scrubbed.len() <= 16 * text.len() + 64);
    // As JSON is written here: every name once, every number and escape in one form. Then both ways are one.
    let (scrubbed, remarks) = scrubber.scrub_json(&value.to_string()).unwrap();
    let expected = scrubber.scrub_value("", &mut value);
    assert_eq!(scrubbed, value.to_string());
    assert_eq!(remarks, expected);
    for remark in &remarks {
        assert!(remark.path.len() <= REMARK_PATH_BYTES_MAX, "{remark:?}");
    }
    assert_eq!(scrubber.scrub_value("", &mut value), [], "of {text:?}");
    assert_eq!(scrubbed, value.to_string(), "twice is not once");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        "mail to alice@example.org failed, card 4111 1111 1111 1111, from DE89370400440532013000 by +1 415-234-2671",
        "GET https://u:pw@example.org/a?token=abc&b=%34%31 [200] from 10.1.2.3 and 2001:db8::1 on 00:1B:44:11:3A:B7",
        "Authorization: Bearer a1b2c3d4e5\nCookie: sid=1; b=2\nSettings(api_key='abc', width=42) {'password': 'x'}",
        "-----BEGIN KEY-----\nAB\n-----END KEY-----\neyJhbGciOiJIUzI1NiJ9.e30.abc sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "/home/alice/till/pay.py C:\\Users\\bob\\x ssn: 457555462 tax_id=12-3456789 password=\"hunter2\"",
        r#"{"headers":[["Cookie","sid=1"],["Accept","*/*"]],"argv":["--token","abc","x"],"by_user":{"a@b.co":1},"n":4111111111111111,"context_line":"password = read()","release":"a@1.2.3.4"}"#,
        r#"{"password":{"a":[1,2]},"token":null,"secret":12345,"e":"\u0061\u0040b.co","f":1.5e3,"deep":[[[["a@b.co"]]]]}"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    seeds.push(crate::envelope::full_event().to_string().into_bytes());
    seeds
}

/// Rules and a text. The first byte chooses: below 128 the first line is a pattern and the second a list of names, otherwise what stands
/// before a line `---` is the table of a file. The text is what follows.
pub(crate) fn rules_one(input: &[u8]) {
    let Some((form, rest)) = input.split_first() else {
        return;
    };
    let said = String::from_utf8_lossy(rest);
    let (rules, text) = if *form < 128 {
        let (pattern, rest) = said.split_once('\n').unwrap_or((&said, ""));
        let (names, text) = rest.split_once('\n').unwrap_or((rest, ""));
        let off = usize::from(*form) % (2 * RULES.len());
        let rules = ScrubRules {
            off: RULES
                .get(off)
                .map(|name| (*name).to_owned())
                .into_iter()
                .collect(),
            secret_names: names
                .split(' ')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            patterns: vec![ScrubPattern {
                name: "own".to_owned(),
                pattern: pattern.to_owned(),
            }],
            ..ScrubRules::default()
        };
        (rules, text)
    } else {
        let (table, text) = said.split_once("\n---\n").unwrap_or((&said, ""));
        let Ok(rules) = ScrubRules::parse("rules.toml", table) else {
            return;
        };
        assert_eq!(rules.check(), Ok(()), "rules that were read are not usable");
        (rules, text)
    };
    let scrubber = Scrubber::with_rules(b"salt", &rules);
    assert_eq!(rules.check().is_ok(), scrubber.is_ok(), "{rules:?}");
    let Ok(scrubber) = scrubber else {
        return;
    };
    let written: ScrubRules =
        serde_json::from_value(serde_json::to_value(&rules).unwrap()).unwrap();
    assert_eq!(written, rules);
    in_text(&scrubber, text);
    in_json(&scrubber, text);
}

pub(crate) fn rules_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "\u{1}\\bM-\\d{6}\\b\ncustomer_ref\nmember M-123456 customerRef=abc a@b.co",
        "\u{2}(a+)+$\n\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
        "\u{7f}(x+x+)+y\nref id\nxxxxxxxxxxxxxxxxxxxxxxxx ref: 1",
        "\u{3}(?i)[a-z]+@[a-z]+\n\n{\"a\":\"b@c\",\"ref\":[1]}",
    ];
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let table = "[scrub]\noff = [\"ip\"]\nsecret_names = [\"ref\"]\nsafe_names = [\"token\"]\nallow = [\"a@b.co\"]\n[[scrub.patterns]]\nname = \"own\"\npattern = 'M-\\d+'\n---\na@b.co 10.1.2.3 M-12 token=abc ref=7";
    seeds.push([&[0x80], table.as_bytes()].concat());
    seeds
}
