//! Which names promise a secret: `password`, `apiKey`, `X-Auth-Token`, `credit_card_number`.
//!
//! Names are split into words (at marks, and at humps of camel case), so `author`, `tokenizer` and
//! `keyboard` are none. A name about a secret, like `token_type` or `password_length`, is none either.

use crate::rules::Rules;
use crate::text::Rule;
use crate::vocabulary::{ABOUT, ASKING, PARSING, SETTINGS, is_everyday, pair_rule, word_rule};

/// What a name promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise {
    /// The rule under which its value goes.
    pub(crate) rule: Rule,
    /// The name is one everyday word (`token`, `session`): only values that could be secret go.
    pub(crate) weak: bool,
    /// The name is `PWD`, which is the working folder as often as a password: a path stays.
    pub(crate) folder: bool,
}

impl Promise {
    /// Whether the value is a number of something, and a text without digits is none.
    pub(crate) fn numeric(self) -> bool {
        match self.rule {
            Rule::NamedSsn
            | Rule::NamedCard
            | Rule::NamedBank
            | Rule::NamedTax
            | Rule::NamedPhone => true,
            Rule::Email
            | Rule::Card
            | Rule::Iban
            | Rule::Ssn
            | Rule::Ip
            | Rule::Mac
            | Rule::Phone
            | Rule::UserPath
            | Rule::UrlCredentials
            | Rule::Bearer
            | Rule::Jwt
            | Rule::Pem
            | Rule::VendorKey
            | Rule::NamedSecret
            | Rule::Own(_)
            | Rule::Length
            | Rule::Unsettled => false,
        }
    }

    /// Fewest digits of a number that is one.
    pub(crate) fn digits_min(self) -> usize {
        if self.rule == Rule::NamedPhone {
            PHONE_DIGITS_MIN
        } else {
            usize::from(self.numeric())
        }
    }
}

/// Fewest digits of a phone number under a name that promises one: shorter ones are extensions,
/// versions and models.
const PHONE_DIGITS_MIN: usize = 6;

/// What a name promises, if anything.
pub(crate) fn promise(rules: &Rules, name: &str) -> Option<Promise> {
    match rules.says_of(name) {
        Some(true) => Some(Promise {
            rule: Rule::NamedSecret,
            weak: false,
            folder: false,
        }),
        Some(false) => None,
        None if !may_promise(name) => None,
        None => built_in(name),
    }
    .filter(|promise| rules.is_on(promise.rule))
}

fn built_in(name: &str) -> Option<Promise> {
    let spaced = words(name);
    let words: Vec<&str> = spaced
        .split(' ')
        .map(|word| {
            let letters = word.trim_end_matches(|character: char| character.is_ascii_digit());
            if letters.is_empty() { word } else { letters }
        })
        .collect();
    let (first, last) = (words.first()?, words.last()?);
    let rule = rule_of(&words)?;
    let about = words.len() > 1 && (ABOUT.contains(last) || ASKING.contains(first));
    // `tokenUrl`, `SESSION_DRIVER`, `cookie_path`.
    let setting = words.len() == 2 && is_everyday(first) && SETTINGS.contains(last);
    // `PublicKeyToken=…` is a part of the name of every signed .NET assembly.
    let public = words
        .windows(2)
        .any(|pair| matches!(pair, ["public", "key"]));
    let parsing = words
        .windows(2)
        .any(|pair| matches!(pair, [before, word] if *word == "token" && PARSING.contains(before)));
    let alone = words.len() == 1;
    (!about && !setting && !public && !parsing).then_some(Promise {
        rule,
        weak: alone && is_everyday(first),
        folder: alone && *first == "pwd",
    })
}

/// Longest name that is looked at, characters: a long name's last words decide.
const NAME_CHARS_MAX: usize = 64;

/// The words of a name in lowercase, with one space between: `apiKey` and `API-Key` are `api key`.
pub(crate) fn words(name: &str) -> String {
    let skip = if name.len() > NAME_CHARS_MAX {
        name.chars().count().saturating_sub(NAME_CHARS_MAX)
    } else {
        0
    };
    let spaced = spaced(name.chars().skip(skip));
    let words: Vec<&str> = spaced.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Three letters in a row of which each promising name has at least one group, marks left out. This
/// only saves time: most names have none, and need no second look.
const TELLING: [&[u8; 3]; 44] = [
    b"pas", b"pwd", b"cre", b"key", b"oke", b"uth", b"ook", b"ses", b"bea", b"jwt", b"otp", b"cvv",
    b"cvc", b"rtc", b"nco", b"yco", b"swe", b"nne", b"srf", b"ssn", b"oci", b"nsu", b"ard", b"ccn",
    b"cco", b"cct", b"rou", b"iba", b"tax", b"iti", b"vat", b"riv", b"hon", b"mob", b"tel", b"fax",
    b"cel", b"cov", b"kup", b"fic", b"fac", b"mfa", b"phr", b"gna",
];

/// A bit for each group of three letters.
static GROUPS: [u64; 512] = groups();

#[expect(
    clippy::indexing_slicing,
    reason = "the index of a group is below 32,768; evaluated at compile time"
)]
const fn groups() -> [u64; 512] {
    let mut groups = [0; 512];
    let mut at = 0;
    while at < TELLING.len() {
        let [a, b, c] = *TELLING[at];
        let group = ((a & 31) as usize) << 10 | ((b & 31) as usize) << 5 | (c & 31) as usize;
        groups[group >> 6] |= 1 << (group & 63);
        at += 1;
    }
    groups
}

/// Whether a name has to be looked at closely.
#[inline]
fn may_promise(name: &str) -> bool {
    let mut group = 0_usize;
    name.bytes().any(|byte| {
        if byte >= 0x80 {
            // Lowercase forms of other alphabets may be ASCII.
            return true;
        }
        if byte.is_ascii_alphabetic() {
            group = (group << 5 | usize::from(byte & 31)) & 0x7fff;
        }
        GROUPS
            .get(group >> 6)
            .is_some_and(|bits| bits >> (group & 63) & 1 == 1)
    })
}

/// Whether the word before a plain `token` makes it a parser's.
pub(crate) fn is_parsing(word: &str) -> bool {
    PARSING.contains(&word.to_ascii_lowercase().as_str())
}

/// Whether a word may end a name of several words that stand apart: `credit card number`.
pub(crate) fn may_end_name(word: &str) -> bool {
    let ends: &[&str] = match word.len() {
        2 => &["no", "id"],
        3 => &["key"],
        4 => &["card", "code", "word"],
        6 => &["number", "answer", "phrase"],
        7 => &["account", "license", "licence"],
        8 => &["security"],
        9 => &["insurance"],
        _ => &[],
    };
    ends.iter().any(|end| word.eq_ignore_ascii_case(end))
}

/// What a name of several words that stand apart promises: only pairs count, and the last word
/// belongs to one.
pub(crate) fn spoken_promise(words: &[&str]) -> Option<Promise> {
    let lower: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let tail = match lower.as_slice() {
        [head @ .., "number" | "no" | "id"] if pair_rule_at_end(head).is_some() => head,
        all => all,
    };
    Some(Promise {
        rule: pair_rule_at_end(tail)?,
        weak: false,
        folder: false,
    })
}

fn pair_rule_at_end(words: &[&str]) -> Option<Rule> {
    match words {
        [.., first, second] => pair_rule(first, second),
        _ => None,
    }
}

/// Lowercase words with one space between.
fn spaced(name: impl Iterator<Item = char>) -> String {
    let mut spaced = String::with_capacity(72);
    let mut previous = ' ';
    let mut characters = name.peekable();
    while let Some(character) = characters.next() {
        if !character.is_alphanumeric() {
            spaced.push(' ');
            previous = ' ';
            continue;
        }
        let after_hump = characters.peek().is_some_and(|next| next.is_lowercase());
        let hump = character.is_uppercase()
            && (previous.is_lowercase()
                || previous.is_ascii_digit()
                || (previous.is_uppercase() && after_hump));
        if hump {
            spaced.push(' ');
        }
        spaced.extend(character.to_lowercase());
        previous = character;
    }
    spaced
}

fn rule_of(words: &[&str]) -> Option<Rule> {
    words
        .windows(2)
        .find_map(|pair| match pair {
            [first, second] => pair_rule(first, second),
            _ => None,
        })
        .or_else(|| words.iter().find_map(|word| word_rule(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_promise_a_secret_are_known_in_every_style() {
        for name in [
            "password",
            "Password",
            "PASSWD",
            "user_password",
            "userPassword",
            "db-password",
            "password2",
            "PGPASSWORD",
            "secret",
            "client_secret",
            "SECRET_KEY",
            "secret_key_base",
            "api_key",
            "apiKey",
            "api-key",
            "APIKey",
            "X-Api-Key",
            "apikey",
            "AccountKey",
            "token",
            "accessToken",
            "refresh_token",
            "X-CSRFToken",
            "csrfmiddlewaretoken",
            "Authorization",
            "proxy-authorization",
            "auth",
            "cookie",
            "Set-Cookie",
            "session",
            "session_id",
            "JSESSIONID",
            "PHPSESSID",
            "ssn",
            "credit_card",
            "creditCardNumber",
            "cvv",
            "bank_account",
            "iban",
            "tax_id",
            "taxId",
            "private_key",
            "passphrase",
            "auth_tokens",
            "aws_secret_access_key",
            "oauth2",
            "MYSQL_PWD",
            "pin_code",
            "security-answer",
            "sortCode",
            "social_security_number",
            "nationalInsurance",
            "account_number",
            "routing_no",
            "vat_id",
            "driversLicense",
            "ccNum",
            "itin",
            "connectionString",
            "phone",
            "mobile_phone",
            "faxNumber",
            "tel",
        ] {
            assert!(promise(&Rules::default(), name).is_some(), "{name}");
        }
    }

    #[test]
    fn names_with_pass_and_of_codes_promise_a_secret() {
        for name in [
            "DB_PASS",
            "redis_pass",
            "smtpPass",
            "dbpass",
            "appsecret",
            "recovery_code",
            "backup-codes",
            "two_factor_code",
            "verificationCode",
            "seed_phrase",
            "X-Amz-Signature",
        ] {
            assert!(promise(&Rules::default(), name).is_some(), "{name}");
        }
    }

    #[test]
    fn no_name_that_promises_is_passed_over() {
        // Every word that any rule reads, alone and in pairs.
        let words = "pass password passwd passwort passphrase pwd passcode secret secrets mysqlpwd \
            apikey privatekey otp totp cvv cvc pin code pincode connection string connectionstring \
            client session id sessid phpsessid jsessionid csrf xsrf token tokens csrfmiddlewaretoken \
            auth oauth authorization authorisation cookie cookies setcookie credential credentials \
            creds bearer jwt ssn ssns social security socialsecurity national insurance credit debit \
            card creditcard debitcard cc ccnumber ccnum number no num nr bank account acct \
            bankaccount accountnumber acctnumber routing routingnumber sort sortcode iban tax taxid \
            taxnumber itin taxpayer taxpayerid identifier vat api private access encryption signing \
            ssh master shared service storage license licence sas subscription crypto hmac aes rsa \
            gpg pgp key keys word phrase answer refresh device passport driver drivers driving phone \
            phones telephone mobile cell cellphone phonenumber tel fax msisdn numbers \
            db database user admin root redis mysql postgres smtp mail ftp dbpass appsecret recovery \
            backup verification factor mfa code codes seed amz goog signature";
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut promising = 0;
        for first in &words {
            for name in words
                .iter()
                .map(|second| format!("{first}_{second}"))
                .chain([(*first).to_owned()])
            {
                if built_in(&name).is_some() {
                    promising += 1;
                    assert!(may_promise(&name), "{name}");
                }
            }
        }
        assert!(promising > 1_000, "{promising}");
    }

    #[test]
    fn names_that_only_sound_like_one_promise_nothing() {
        for name in [
            "author",
            "authors",
            "authority",
            "tokenizer",
            "tokenize",
            "keyboard",
            "key",
            "keys",
            "monkey",
            "secretary",
            "passenger",
            "compass",
            "bypass",
            "sessions",
            "max_tokens",
            "total_tokens",
            "token_count",
            "token_type",
            "password_length",
            "session_timeout",
            "auth_method",
            "cookie_name",
            "is_authenticated",
            "has_password",
            "primary_key",
            "public_key",
            "cache_key",
            "card",
            "account",
            "tax_rate",
            "tax_rates_bp",
            "next_token",
            "currentToken",
            "accessibility",
            "passed",
            "assassin",
            "sid",
            "pin",
            "classification",
            "phone_model",
            "phonetic",
            "PublicKeyToken",
            "tokenUrl",
            "auth-uri",
            "SESSION_DRIVER",
            "cookie_path",
            "TokenExpiredException",
            "BadCredentialsException",
            "PasswordHasher",
            "first_pass",
            "boarding_pass",
            "country_code",
            "",
            "-",
            "_",
        ] {
            assert_eq!(promise(&Rules::default(), name), None, "{name}");
        }
    }
}
