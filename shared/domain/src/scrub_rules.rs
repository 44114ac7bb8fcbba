//! What a project changes about scrubbing: rules that are off, names that promise a secret or do not,
//! values that may stay, and patterns of its own.
//!
//! Not here: the built-in rules themselves and how they find things (`kintsugi-scrub`).
//!
//! **Invariant: a pattern that was taken compiles, in bounded memory, and matches in linear time.**

use crate::config::{ConfigError, key_at, line_at, line_of};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// The built-in rules, by the name that stands in remarks and in `off`.
pub const RULES: [&str; 19] = [
    "email",
    "card",
    "iban",
    "ssn",
    "ip",
    "mac",
    "phone",
    "user_path",
    "url_credentials",
    "bearer",
    "jwt",
    "pem",
    "vendor_key",
    "named_secret",
    "named_ssn",
    "named_card",
    "named_bank_account",
    "named_tax_id",
    "named_phone",
];

/// Most entries of one list.
pub const SCRUB_ENTRIES_MAX: usize = 100;
/// Most patterns of a project: each costs time on every text.
pub const SCRUB_PATTERNS_MAX: usize = 20;
/// Longest name, value or pattern, bytes.
pub const SCRUB_ENTRY_BYTES_MAX: usize = 500;
/// Most memory of one compiled pattern, bytes.
const PATTERN_MEMORY_MAX: usize = 256 * 1024;

/// What a project changes about scrubbing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScrubRules {
    /// Built-in rules that are switched off.
    pub off: Vec<String>,
    /// Further names that promise a secret: `customer_ref` also stands for `customerRef`.
    pub secret_names: Vec<String>,
    /// Names that promise none although they sound so.
    pub safe_names: Vec<String>,
    /// Values that may stay, exactly as they are written.
    pub allow: Vec<String>,
    /// Further things to remove wherever they stand.
    pub patterns: Vec<ScrubPattern>,
}

/// A pattern of a project's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrubPattern {
    /// The rule's name in remarks; `[name]` is left in the text.
    pub name: String,
    /// A regular expression in the syntax of the Rust crate `regex`, which has no look-around and no
    /// back-references, so that matching takes linear time.
    pub pattern: String,
}

impl ScrubPattern {
    /// The compiled pattern.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn compile(&self) -> Result<Regex, String> {
        RegexBuilder::new(&self.pattern)
            .size_limit(PATTERN_MEMORY_MAX)
            .dfa_size_limit(PATTERN_MEMORY_MAX)
            .build()
            .map_err(|error| {
                if let regex::Error::CompiledTooBig(limit) = error {
                    return format!("takes more than {limit} bytes of memory");
                }
                // The library draws the pattern with an arrow; the last line says what is wrong.
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_owned()
            })
    }
}

/// A file that has a table `[scrub]`, whatever else it has.
#[derive(Deserialize)]
struct File {
    scrub: Option<ScrubRules>,
}

impl ScrubRules {
    /// Reads and checks the table `[scrub]` of a file: of a `kintsugi.toml`, or of one with nothing
    /// else. `file` is only for the error.
    ///
    /// # Errors
    /// The text is no TOML, has no such table, or one that cannot be used.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let error = |line, key: String, expected: String| ConfigError {
            file: file.to_owned(),
            line,
            key,
            expected,
        };
        let read: File = toml::from_str(text).map_err(|problem| {
            let start = problem.span().map_or(0, |span| span.start);
            let expected = problem.message().trim().replace('\n', "; ");
            error(line_at(text, start), key_at(text, start), expected)
        })?;
        let rules = read.scrub.ok_or_else(|| {
            let expected = "expected a table [scrub], found none".to_owned();
            error(1, "scrub".to_owned(), expected)
        })?;
        rules
            .check()
            .map_err(|(key, expected)| error(line_of(text, key), key.to_owned(), expected))?;
        Ok(rules)
    }

    /// What no type can say. Answers with the key and what was expected.
    ///
    /// # Errors
    /// The key, dotted from the top of the file, and a sentence on what was expected.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        for (key, list) in [
            ("scrub.off", &self.off),
            ("scrub.secret_names", &self.secret_names),
            ("scrub.safe_names", &self.safe_names),
            ("scrub.allow", &self.allow),
        ] {
            if list.len() > SCRUB_ENTRIES_MAX {
                let found = list.len();
                return Err((
                    key,
                    format!("expected at most {SCRUB_ENTRIES_MAX} entries, found {found}"),
                ));
            }
            if let Some(entry) = list
                .iter()
                .find(|entry| entry.is_empty() || entry.len() > SCRUB_ENTRY_BYTES_MAX)
            {
                let found = entry.len();
                return Err((
                    key,
                    format!(
                        "expected 1 to {SCRUB_ENTRY_BYTES_MAX} bytes in each entry, found {found}"
                    ),
                ));
            }
        }
        if let Some(unknown) = self.off.iter().find(|name| !RULES.contains(&name.as_str())) {
            let known = RULES.join(", ");
            return Err((
                "scrub.off",
                format!("expected one of {known}, found “{unknown}”"),
            ));
        }
        if let Some(name) = self
            .secret_names
            .iter()
            .find(|name| !name.chars().any(char::is_alphanumeric))
        {
            return Err((
                "scrub.secret_names",
                format!("expected a letter or digit in each name, found “{name}”"),
            ));
        }
        self.check_patterns()
    }

    fn check_patterns(&self) -> Result<(), (&'static str, String)> {
        if self.patterns.len() > SCRUB_PATTERNS_MAX {
            let found = self.patterns.len();
            return Err((
                "scrub.patterns",
                format!("expected at most {SCRUB_PATTERNS_MAX} patterns, found {found}"),
            ));
        }
        for ScrubPattern { name, pattern } in &self.patterns {
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            let is_name = !name.is_empty()
                && name.len() <= 30
                && name.bytes().all(fits)
                && name.starts_with(|first: char| first.is_ascii_lowercase());
            if !is_name || RULES.contains(&name.as_str()) {
                return Err((
                    "scrub.patterns.name",
                    format!(
                        "expected 1 to 30 of a-z, 0-9 and '_', a letter first, and no name of a built-in rule, found “{name}”"
                    ),
                ));
            }
            if pattern.is_empty() || pattern.len() > SCRUB_ENTRY_BYTES_MAX {
                let found = pattern.len();
                return Err((
                    "scrub.patterns.pattern",
                    format!("expected 1 to {SCRUB_ENTRY_BYTES_MAX} bytes, found {found}"),
                ));
            }
        }
        for pattern in &self.patterns {
            let compiled = pattern.compile().map_err(|why| {
                (
                    "scrub.patterns.pattern",
                    format!("pattern “{}”: {why}", pattern.name),
                )
            })?;
            if compiled.is_match("") {
                return Err((
                    "scrub.patterns.pattern",
                    format!(
                        "pattern “{}”: expected one that matches no empty text",
                        pattern.name
                    ),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(pattern: &str) -> ScrubRules {
        ScrubRules {
            patterns: vec![ScrubPattern {
                name: "member".into(),
                pattern: pattern.into(),
            }],
            ..ScrubRules::default()
        }
    }

    #[test]
    fn no_rules_and_good_rules_pass() {
        assert_eq!(ScrubRules::default().check(), Ok(()));
        let rules = ScrubRules {
            off: vec!["ip".into(), "phone".into()],
            secret_names: vec!["customer_ref".into()],
            ..own(r"\bM-\d{6}\b")
        };
        assert_eq!(rules.check(), Ok(()));
    }

    #[test]
    fn rules_are_read_from_their_own_file_and_from_a_whole_configuration() {
        let text = "[product]\nname = \"x\"\n[scrub]\noff = [\"ip\"]\n";
        assert_eq!(ScrubRules::parse("r.toml", text).unwrap().off, ["ip"]);
        for (text, message) in [
            (
                "off = []",
                "r.toml:1: scrub: expected a table [scrub], found none",
            ),
            (
                "[scrub]\n\noff = [\"x\"]",
                "r.toml:3: scrub.off: expected one of",
            ),
            ("[scrub]\nof = []", "r.toml:2: scrub.of: unknown field"),
            (
                "[[scrub.patterns]]\nname = \"a\"\npattern = \"(\"",
                "r.toml:3: scrub.patterns.pattern: ",
            ),
        ] {
            let error = ScrubRules::parse("r.toml", text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_key() {
        let list = |entries: Vec<String>| ScrubRules {
            allow: entries,
            ..ScrubRules::default()
        };
        let named = |name: &str| {
            let mut rules = own("x");
            rules.patterns[0].name = name.into();
            rules
        };
        let off = ScrubRules {
            off: vec!["emial".into()],
            ..ScrubRules::default()
        };
        let names = ScrubRules {
            secret_names: vec!["--".into()],
            ..ScrubRules::default()
        };
        for (rules, key, words) in [
            (off, "scrub.off", "“emial”"),
            (names, "scrub.secret_names", "“--”"),
            (list(vec![String::new()]), "scrub.allow", "1 to 500 bytes"),
            (list(vec!["x".into(); 101]), "scrub.allow", "found 101"),
            (named("Member"), "scrub.patterns.name", "“Member”"),
            (named("email"), "scrub.patterns.name", "built-in"),
            (own("("), "scrub.patterns.pattern", "unclosed group"),
            (own("(?=x)"), "scrub.patterns.pattern", "look-around"),
            (own(r"(x)\1"), "scrub.patterns.pattern", "backreferences"),
            (own("x*"), "scrub.patterns.pattern", "no empty text"),
            (own(r"\w{999}{999}"), "scrub.patterns.pattern", "memory"),
            (own(&"x".repeat(501)), "scrub.patterns.pattern", "found 501"),
        ] {
            let (found, sentence) = rules.check().unwrap_err();
            assert_eq!(found, key);
            assert!(sentence.contains(words), "{sentence}");
        }
    }
}
