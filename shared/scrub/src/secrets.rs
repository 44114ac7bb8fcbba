//! Secrets that are known by their form: keys of well-known vendors, JWTs, bearer and basic
//! credentials, PEM blocks.

use crate::text::{Hit, Rule, Text, is_base64url, is_word};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Longest key looked for after its prefix, bytes.
const KEY_MAX: usize = 255;

/// What a key is made of after its prefix.
#[derive(Clone, Copy)]
enum Made {
    Upper,
    Hex,
    Alnum,
    Word,
    Token,
    Dotted,
    Path,
}

impl Made {
    fn of(self, byte: u8) -> bool {
        match self {
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Word => is_word(byte),
            Self::Token => is_base64url(byte),
            Self::Dotted => is_base64url(byte) || byte == b'.',
            Self::Path => is_base64url(byte) || byte == b'/',
        }
    }
}

/// A vendor's form: the prefix, what follows, how many bytes of it.
struct Form(&'static str, Made, usize, usize);

/// Forms as the vendors document them.
const FORMS: &[Form] = &[
    // Amazon Web Services: ids of access keys, roles and users.
    Form("AKIA", Made::Upper, 16, 16),
    Form("ASIA", Made::Upper, 16, 16),
    Form("ABIA", Made::Upper, 16, 16),
    Form("ACCA", Made::Upper, 16, 16),
    Form("AROA", Made::Upper, 16, 17),
    Form("AIDA", Made::Upper, 16, 17),
    // Google.
    Form("AIza", Made::Token, 35, 35),
    Form("GOCSPX-", Made::Token, 20, KEY_MAX),
    Form("ya29.", Made::Token, 20, KEY_MAX),
    // GitHub and GitLab.
    Form("ghp_", Made::Alnum, 20, KEY_MAX),
    Form("gho_", Made::Alnum, 20, KEY_MAX),
    Form("ghu_", Made::Alnum, 20, KEY_MAX),
    Form("ghs_", Made::Alnum, 20, KEY_MAX),
    Form("ghr_", Made::Alnum, 20, KEY_MAX),
    Form("github_pat_", Made::Word, 22, KEY_MAX),
    Form("glpat-", Made::Token, 20, KEY_MAX),
    // Slack.
    Form("xoxa-", Made::Token, 10, KEY_MAX),
    Form("xoxb-", Made::Token, 10, KEY_MAX),
    Form("xoxe-", Made::Token, 10, KEY_MAX),
    Form("xoxo-", Made::Token, 10, KEY_MAX),
    Form("xoxp-", Made::Token, 10, KEY_MAX),
    Form("xoxr-", Made::Token, 10, KEY_MAX),
    Form("xoxs-", Made::Token, 10, KEY_MAX),
    Form("xapp-", Made::Token, 10, KEY_MAX),
    Form("hooks.slack.com/services/", Made::Path, 20, KEY_MAX),
    Form("discord.com/api/webhooks/", Made::Path, 20, KEY_MAX),
    // Stripe.
    Form("sk_live_", Made::Alnum, 10, KEY_MAX),
    Form("sk_test_", Made::Alnum, 10, KEY_MAX),
    Form("rk_live_", Made::Alnum, 10, KEY_MAX),
    Form("rk_test_", Made::Alnum, 10, KEY_MAX),
    Form("whsec_", Made::Alnum, 20, KEY_MAX),
    // Package registries.
    Form("npm_", Made::Alnum, 36, 36),
    Form("pypi-AgE", Made::Token, 30, KEY_MAX),
    // Models.
    Form("sk-ant-", Made::Token, 20, KEY_MAX),
    Form("sk-proj-", Made::Token, 20, KEY_MAX),
    Form("sk-", Made::Alnum, 32, KEY_MAX),
    Form("hf_", Made::Alnum, 30, KEY_MAX),
    // Others.
    Form("SG.", Made::Dotted, 40, KEY_MAX),
    Form("SK", Made::Hex, 32, 32),
    Form("key-", Made::Hex, 32, 32),
    Form("dop_v1_", Made::Hex, 64, 64),
    Form("shpat_", Made::Hex, 32, 32),
    Form("shpss_", Made::Hex, 32, 32),
    Form("AGE-SECRET-KEY-1", Made::Upper, 58, 58),
];

/// A vendor's key that begins here.
pub(crate) fn vendor_key(text: Text<'_>, start: usize) -> Option<Hit> {
    let first = text.at(start);
    if !matches!(first, b'A' | b'G' | b'S' | b'a'..=b'z') {
        return None;
    }
    FORMS
        .iter()
        .filter(|Form(prefix, ..)| text.has(start, prefix.as_bytes()))
        .find_map(|Form(prefix, made, min, max)| {
            let from = start + prefix.len();
            let mut budget = KEY_MAX + 1;
            let end = text.run(from, |byte| {
                budget = budget.saturating_sub(1);
                budget > 0 && made.of(byte)
            });
            let fits = (*min..=*max).contains(&(end - from)) && !is_word(text.at(end));
            // The address of a webhook stays, its secret path goes.
            let start = if prefix.contains('/') { from } else { start };
            fits.then_some(Hit {
                start,
                end,
                rule: Rule::VendorKey,
            })
        })
}

/// Longest JWT header looked into, bytes.
const JWT_HEADER_MAX: usize = 2048;

/// A JWS or JWE in compact form (RFC 7515 §7.1, RFC 7516 §7.1) whose first part, up to `header_end`,
/// decodes to a header.
pub(crate) fn jwt(text: Text<'_>, start: usize, header_end: usize) -> Option<Hit> {
    if text.at(header_end) != b'.' || header_end - start > JWT_HEADER_MAX {
        return None;
    }
    let header = URL_SAFE_NO_PAD.decode(text.slice(start, header_end)).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    header.get("alg").or_else(|| header.get("typ"))?;
    let mut end = text.run(header_end + 1, is_base64url);
    if end == header_end + 1 {
        return None;
    }
    // Signature; for a JWE three more parts, of which the key may be empty.
    for _ in 0..3 {
        if text.at(end) != b'.' {
            break;
        }
        let next = text.run(end + 1, is_base64url);
        if next == end + 1 && text.at(next) != b'.' {
            break;
        }
        end = next;
    }
    Some(Hit {
        start,
        end,
        rule: Rule::Jwt,
    })
}

/// The token after `Bearer` or the credentials after `Basic` (RFC 6750 §2.1, RFC 7617 §2).
pub(crate) fn scheme(text: Text<'_>, start: usize) -> Option<Hit> {
    let word_end = text.run(start, is_word);
    let word = text.slice(start, word_end);
    let bearer = word.eq_ignore_ascii_case("bearer");
    if !bearer && !word.eq_ignore_ascii_case("basic") {
        return None;
    }
    let from = text.run(word_end, |byte| byte == b' ');
    if from == word_end {
        return None;
    }
    let end = text.run(from, is_token68);
    let token = text.slice(from, end);
    let trimmed = token.trim_end_matches(['.', '-', '/', '~', '+']);
    let secret = if bearer {
        is_random(trimmed)
    } else {
        is_credentials(trimmed)
    };
    secret.then_some(Hit {
        start: from,
        end: from + trimmed.len(),
        rule: Rule::Bearer,
    })
}

/// `token68` of RFC 9110 §11.2.
fn is_token68(byte: u8) -> bool {
    is_base64url(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

/// Whether a token looks made by a machine, so that "bearer of bad news" stays.
pub(crate) fn is_random(token: &str) -> bool {
    let digit = token.bytes().any(|byte| byte.is_ascii_digit());
    let marks = token.bytes().any(|byte| matches!(byte, b'.' | b'_' | b'='));
    let mixed = token
        .bytes()
        .zip(token.bytes().skip(1))
        .any(|(left, right)| left.is_ascii_lowercase() && right.is_ascii_uppercase());
    token.len() >= 24 || (token.len() >= 6 && (digit || marks || mixed))
}

/// Whether base64 of `user:password`.
fn is_credentials(token: &str) -> bool {
    if token.len() < 4 || token.len() > KEY_MAX * 4 {
        return false;
    }
    STANDARD
        .decode(token)
        .or_else(|_| STANDARD_NO_PAD.decode(token))
        .is_ok_and(|decoded| {
            decoded.contains(&b':') && decoded.iter().all(|byte| *byte >= b' ' && *byte != 0x7f)
        })
}

/// Longest label of a PEM block, bytes.
const PEM_LABEL_MAX: usize = 64;

/// A PEM block (RFC 7468) that begins here. One whose end was cut off goes to the end of the text.
pub(crate) fn pem(text: Text<'_>, start: usize) -> Option<Hit> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    if !text.has(start, BEGIN) {
        return None;
    }
    let label = start + BEGIN.len();
    let mut budget = PEM_LABEL_MAX;
    let label_end = text.run(label, |byte| {
        budget = budget.saturating_sub(1);
        budget > 0 && (byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ')
    });
    if label_end == label || !text.has(label_end, b"-----") {
        return None;
    }
    let end = text.find(label_end, "-----END ").map_or(text.len(), |end| {
        let label_end = text.run(end + 9, |byte| {
            byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' '
        });
        text.run(label_end, |byte| byte == b'-')
    });
    Some(Hit {
        start,
        end,
        rule: Rule::Pem,
    })
}
