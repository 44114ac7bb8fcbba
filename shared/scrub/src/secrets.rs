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
    Padded,
    Path,
    Webhook,
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
            Self::Padded => is_base64url(byte) || matches!(byte, b'=' | b'+' | b'/'),
            Self::Path => is_base64url(byte) || byte == b'/',
            Self::Webhook => is_base64url(byte) || matches!(byte, b'/' | b'@'),
        }
    }
}

/// A vendor's form: the prefix, what follows, how many bytes of it.
struct Form(&'static str, Made, usize, usize);

/// Forms as the vendors document them, but the few that [`other_key`] knows.
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
    // GitHub, GitLab, Atlassian.
    Form("ghp_", Made::Alnum, 20, KEY_MAX),
    Form("gho_", Made::Alnum, 20, KEY_MAX),
    Form("ghu_", Made::Alnum, 20, KEY_MAX),
    Form("ghs_", Made::Alnum, 20, KEY_MAX),
    Form("ghr_", Made::Alnum, 20, KEY_MAX),
    Form("github_pat_", Made::Word, 22, KEY_MAX),
    Form("glpat-", Made::Token, 20, KEY_MAX),
    Form("glptt-", Made::Token, 20, KEY_MAX),
    Form("glrt-", Made::Token, 20, KEY_MAX),
    Form("gldt-", Made::Token, 20, KEY_MAX),
    Form("glcbt-", Made::Token, 20, KEY_MAX),
    Form("glft-", Made::Token, 20, KEY_MAX),
    Form("glsoat-", Made::Token, 20, KEY_MAX),
    Form("ATATT3xFfGF0", Made::Padded, 100, KEY_MAX),
    Form("ATCTT3xFfGN0", Made::Padded, 100, KEY_MAX),
    Form("ATBB", Made::Padded, 32, 32),
    // Slack, Discord.
    Form("xoxa-", Made::Token, 10, KEY_MAX),
    Form("xoxb-", Made::Token, 10, KEY_MAX),
    Form("xoxc-", Made::Token, 10, KEY_MAX),
    Form("xoxd-", Made::Token, 10, KEY_MAX),
    Form("xoxe-", Made::Token, 10, KEY_MAX),
    Form("xoxe.", Made::Dotted, 20, KEY_MAX),
    Form("xoxo-", Made::Token, 10, KEY_MAX),
    Form("xoxp-", Made::Token, 10, KEY_MAX),
    Form("xoxr-", Made::Token, 10, KEY_MAX),
    Form("xoxs-", Made::Token, 10, KEY_MAX),
    Form("webhook.office.com/webhookb2/", Made::Webhook, 40, KEY_MAX),
    Form("xapp-", Made::Token, 10, KEY_MAX),
    Form("hooks.slack.com/services/", Made::Path, 20, KEY_MAX),
    Form("hooks.slack.com/workflows/", Made::Path, 20, KEY_MAX),
    Form("discord.com/api/webhooks/", Made::Path, 20, KEY_MAX),
    Form("discordapp.com/api/webhooks/", Made::Path, 20, KEY_MAX),
    // Stripe, Square, Shopify.
    Form("sk_live_", Made::Alnum, 10, KEY_MAX),
    Form("sk_test_", Made::Alnum, 10, KEY_MAX),
    Form("rk_live_", Made::Alnum, 10, KEY_MAX),
    Form("rk_test_", Made::Alnum, 10, KEY_MAX),
    Form("whsec_", Made::Alnum, 20, KEY_MAX),
    Form("sq0atp-", Made::Token, 22, 22),
    Form("sq0csp-", Made::Token, 43, 43),
    Form("shpat_", Made::Hex, 32, 32),
    Form("shpca_", Made::Hex, 32, 32),
    Form("shppa_", Made::Hex, 32, 32),
    Form("shpss_", Made::Hex, 32, 32),
    // Package and image registries.
    Form("npm_", Made::Alnum, 36, 36),
    Form("pypi-AgE", Made::Token, 30, KEY_MAX),
    Form("rubygems_", Made::Hex, 48, 48),
    Form("dckr_pat_", Made::Token, 27, KEY_MAX),
    Form("dckr_oat_", Made::Token, 27, KEY_MAX),
    Form("CLOJARS_", Made::Hex, 60, 60),
    Form("cio", Made::Alnum, 32, 32),
    // Models.
    Form("sk-ant-", Made::Token, 20, KEY_MAX),
    Form("sk-proj-", Made::Token, 20, KEY_MAX),
    Form("sk-svcacct-", Made::Token, 20, KEY_MAX),
    Form("sk-", Made::Alnum, 32, KEY_MAX),
    Form("hf_", Made::Alnum, 30, KEY_MAX),
    Form("r8_", Made::Alnum, 37, 37),
    Form("gsk_", Made::Alnum, 40, KEY_MAX),
    Form("pplx-", Made::Alnum, 40, KEY_MAX),
    Form("xai-", Made::Alnum, 60, KEY_MAX),
    Form("sk-or-v1-", Made::Hex, 64, 64),
    Form("sk-lf-", Made::Token, 36, 36),
    // Clouds, infrastructure, observability.
    Form("dop_v1_", Made::Hex, 64, 64),
    Form("doo_v1_", Made::Hex, 64, 64),
    Form("dor_v1_", Made::Hex, 64, 64),
    Form("hvs.", Made::Token, 24, KEY_MAX),
    Form("hvb.", Made::Token, 24, KEY_MAX),
    Form("dapi", Made::Hex, 32, 32),
    Form("pul-", Made::Hex, 40, 40),
    Form("glsa_", Made::Word, 32, KEY_MAX),
    Form("glc_", Made::Padded, 32, KEY_MAX),
    Form("sntrys_", Made::Padded, 32, KEY_MAX),
    Form("sntryu_", Made::Hex, 64, 64),
    Form("NRAK-", Made::Upper, 27, 27),
    Form("HRKU-", Made::Token, 36, KEY_MAX),
    Form("dp.pt.", Made::Alnum, 40, 44),
    Form("pscale_tkn_", Made::Token, 32, KEY_MAX),
    Form("sbp_", Made::Hex, 40, 40),
    Form("nfp_", Made::Alnum, 36, 40),
    Form("dt0c01.", Made::Dotted, 89, 89),
    Form("tskey-", Made::Token, 20, KEY_MAX),
    Form("LTAI", Made::Alnum, 20, 20),
    Form("pnu_", Made::Alnum, 36, 36),
    Form("sk.eyJ", Made::Dotted, 40, KEY_MAX),
    Form("access-production-", Made::Token, 36, 36),
    Form("access-sandbox-", Made::Token, 36, 36),
    // Work and mail.
    Form("SG.", Made::Dotted, 40, KEY_MAX),
    Form("key-", Made::Hex, 32, 32),
    Form("xkeysib-", Made::Token, 64, KEY_MAX),
    Form("lin_api_", Made::Alnum, 40, KEY_MAX),
    Form("figd_", Made::Token, 40, KEY_MAX),
    Form("PMAK-", Made::Token, 59, 59),
    Form("ntn_", Made::Alnum, 40, KEY_MAX),
    Form("phx_", Made::Alnum, 40, KEY_MAX),
    Form("aio_", Made::Alnum, 28, 28),
    Form("CFPAT-", Made::Token, 43, 43),
    Form("pat", Made::Dotted, 79, 79),
    Form("tfp_", Made::Token, 40, KEY_MAX),
    Form("shippo_live_", Made::Hex, 40, 40),
    Form("shippo_test_", Made::Hex, 40, 40),
    Form("EZAK", Made::Alnum, 54, 54),
    Form("EZTK", Made::Alnum, 54, 54),
    // Keys of age.
    Form("AGE-SECRET-KEY-1", Made::Upper, 58, 58),
];

/// A bit for the first three bytes of each prefix, so that most words cost one look.
static FIRSTS: [u64; 512] = firsts();

const fn place(first: u8, second: u8, third: u8) -> usize {
    let bytes = u32::from_le_bytes([first, second, third, 0]);
    // Multiplying spreads them; the upper fifteen bits are the place.
    (bytes.wrapping_mul(0x9e37_79b1) >> 17) as usize
}

#[expect(
    clippy::indexing_slicing,
    reason = "prefixes have three bytes and places are below 32,768; evaluated at compile time"
)]
const fn firsts() -> [u64; 512] {
    let mut firsts = [0; 512];
    let mut at = 0;
    while at < FORMS.len() {
        let Form(prefix, ..) = FORMS[at];
        let prefix = prefix.as_bytes();
        let place = place(prefix[0], prefix[1], prefix[2]);
        firsts[place >> 6] |= 1 << (place & 63);
        at += 1;
    }
    firsts
}

/// The fewest bytes of a key that is one word.
const KEY_WORD_MIN: usize = 18;

/// A vendor's key that begins with this word.
#[inline]
pub(crate) fn vendor_key(text: Text<'_>, start: usize, word_end: usize) -> Option<Hit> {
    if word_end - start < KEY_WORD_MIN && !matches!(text.at(word_end), b'-' | b'.' | b':') {
        return None;
    }
    let [first, second, third, _] = text.four(start)?;
    if begins_form([first, second, third])
        && let Some(hit) = form(text, start, [first, second, third])
    {
        return Some(hit);
    }
    other_key(text, start, word_end)
}

/// Whether some prefix begins so, or something that only looks like it.
#[inline]
fn begins_form([first, second, third]: [u8; 3]) -> bool {
    let place = place(first, second, third);
    FIRSTS
        .get(place >> 6)
        .is_some_and(|bits| bits >> (place & 63) & 1 == 1)
}

/// Whether a key or a JWT may begin with this word, which is shorter than [`LONG`](crate::marks::LONG) and goes on behind a mark.
#[inline]
pub(crate) fn may_be_key(text: Text<'_>, start: usize, word_end: usize) -> bool {
    let firsts = [text.at(start), text.at(start + 1), text.at(start + 2)];
    begins_form(firsts)
        || firsts == *b"eyJ"
        || word_end - start == ATLAS_WORD
        || text.has(word_end, b":A")
}

fn form(text: Text<'_>, start: usize, firsts: [u8; 3]) -> Option<Hit> {
    FORMS
        .iter()
        .filter(|Form(prefix, ..)| prefix.as_bytes().first_chunk() == Some(&firsts))
        .filter(|Form(prefix, ..)| text.has(start, prefix.as_bytes()))
        .find_map(|Form(prefix, made, min, max)| {
            let from = start + prefix.len();
            // A full stop ends the sentence, not the key.
            let end = key_end(text, from, *made);
            let end = text.run_back(end, from, 3, |byte| byte == b'.');
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

fn key_end(text: Text<'_>, from: usize, made: Made) -> usize {
    let mut budget = KEY_MAX + 1;
    text.run(from, |byte| {
        budget = budget.saturating_sub(1);
        budget > 0 && made.of(byte)
    })
}

/// Keys without a prefix of three bytes: Twilio's `SK…`, Mailchimp's `…-us1`, Telegram's `123…:AA…`, Discord's, Terraform's.
#[inline]
fn other_key(text: Text<'_>, start: usize, word_end: usize) -> Option<Hit> {
    let hit = |start, end| {
        Some(Hit {
            start,
            end,
            rule: Rule::VendorKey,
        })
    };
    match (word_end - start, text.at(word_end)) {
        (34, _) if text.has(start, b"SK") && key_end(text, start + 2, Made::Hex) == word_end => {
            hit(start, word_end)
        }
        (32, b'-') if text.has(word_end, b"-us") => {
            let hex = key_end(text, start, Made::Hex) == word_end;
            let end = text.run(word_end + 3, |byte| byte.is_ascii_digit());
            let fits = hex && (1..=2).contains(&(end - word_end - 3)) && !is_word(text.at(end));
            fits.then(|| hit(start, end)).flatten()
        }
        (_, b':') if text.has(word_end + 1, b"AA") => {
            let digits = text.run_back(word_end, start, 12, |byte| byte.is_ascii_digit());
            let end = key_end(text, word_end + 1, Made::Token);
            let fits = (8..=10).contains(&(word_end - digits)) && end - word_end - 1 == 35;
            let alone = digits == start || text.slice(start, digits) == "bot";
            (fits && alone).then(|| hit(digits, end)).flatten()
        }
        (ATLAS_WORD, b'.') if text.has(word_end, b".atlasv1.") => {
            let end = key_end(text, word_end + 9, Made::Token);
            (end - word_end >= 69).then(|| hit(start, end)).flatten()
        }
        (24..=28, b'.') if matches!(text.at(start), b'M' | b'N' | b'O') => {
            discord(text, start, word_end).and_then(|end| hit(start, end))
        }
        _ => None,
    }
}

/// Bytes of the first word of Terraform's keys.
const ATLAS_WORD: usize = 14;

/// Where the token of a Discord bot ends: the number of its user in base64, a time of six characters, a code.
fn discord(text: Text<'_>, start: usize, word_end: usize) -> Option<usize> {
    let user = STANDARD_NO_PAD.decode(text.slice(start, word_end)).ok()?;
    let time = key_end(text, word_end + 1, Made::Token);
    let end = key_end(text, time + 1, Made::Token);
    let fits = user.iter().all(u8::is_ascii_digit)
        && time - word_end == 7
        && text.at(time) == b'.'
        && (28..=40).contains(&(end - time));
    fits.then_some(end)
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
pub(crate) fn scheme(text: Text<'_>, start: usize, word_end: usize) -> Option<Hit> {
    let word = text.slice(start, word_end);
    let bearer = word.eq_ignore_ascii_case("bearer");
    if !bearer && !word.eq_ignore_ascii_case("basic") {
        return None;
    }
    // In forms a space is written `+`.
    let from = if text.at(word_end) == b'+' {
        word_end + 1
    } else {
        text.run(word_end, |byte| byte == b' ')
    };
    if from == word_end {
        return None;
    }
    // A long token is removed and so read once; long credentials are none, and their bytes may begin others.
    let end = if bearer {
        text.run(from, is_token68)
    } else {
        text.run_to(from, CREDENTIALS_MAX, is_token68)
    };
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

/// Longest credentials of the scheme `Basic`, encoded, bytes.
const CREDENTIALS_MAX: usize = KEY_MAX * 4;

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
    if token.len() < 4 || token.len() > CREDENTIALS_MAX {
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
    // Looking for the end of one costs the rest of the text: not where it would be in vain.
    if !text.has(start, BEGIN) || !text.rules().is_on(Rule::Pem) {
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
    // A message may name the line that it wants. Only what is removed may be read to its end, so this is looked at before.
    if !has_body(text, label_end + 5) {
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

/// Fewest bytes of base64 that are a block's content where it begins on the same line.
const PEM_WORD_MIN: usize = 16;

/// Whether something like the content of a block begins here: another line, or much base64.
fn has_body(text: Text<'_>, from: usize) -> bool {
    if matches!(text.at(from), b'\n' | b'\r' | b'\\') {
        return true;
    }
    let start = text.run_to(from, 2, |byte| byte == b' ');
    let end = text.run_to(start, PEM_WORD_MIN, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
    });
    end - start >= PEM_WORD_MIN || text.has(start, b"Proc-Type:") || text.has(start, b"-----END ")
}
