//! A text with bounded, panic-free access by byte position, and what a find in it is.

use crate::rules::Rules;

/// What kind of text is read: the same bytes mean different things in prose and in source code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Messages, printed values, anything.
    Prose,
    /// A line of program text: only quoted literals are values, an expression reveals nothing.
    Source,
    /// The name of a release: numbers with dots are versions.
    Release,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) rule: Rule,
}

/// Every rule: its name in remarks, and the placeholder it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rule {
    Email,
    Card,
    Iban,
    Ssn,
    Ip,
    Mac,
    Phone,
    UserPath,
    UrlCredentials,
    Bearer,
    Jwt,
    Pem,
    VendorKey,
    NamedSecret,
    NamedSsn,
    NamedCard,
    NamedBank,
    NamedTax,
    NamedPhone,
    /// A pattern of the project's own, by its place among them.
    Own(u8),
    /// The text was too long and was cut.
    Length,
    /// The text could not be brought to rest and was removed.
    Unsettled,
}

impl Rule {
    /// Every rule that a project may switch off, in the order of the list of names in the domain.
    pub(crate) const OPTIONAL: [Self; 19] = [
        Self::Email,
        Self::Card,
        Self::Iban,
        Self::Ssn,
        Self::Ip,
        Self::Mac,
        Self::Phone,
        Self::UserPath,
        Self::UrlCredentials,
        Self::Bearer,
        Self::Jwt,
        Self::Pem,
        Self::VendorKey,
        Self::NamedSecret,
        Self::NamedSsn,
        Self::NamedCard,
        Self::NamedBank,
        Self::NamedTax,
        Self::NamedPhone,
    ];

    /// The name in remarks, and the placeholder that stands in the text afterwards. A project's own
    /// rules have theirs in [`Rules`].
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Email => ("email", "[email]"),
            Self::Card => ("card", "[card]"),
            Self::Iban => ("iban", "[iban]"),
            Self::Ssn => ("ssn", "[ssn]"),
            Self::Ip => ("ip", "[ip]"),
            Self::Mac => ("mac", "[mac]"),
            Self::Phone => ("phone", "[phone]"),
            Self::UserPath => ("user_path", "[user]"),
            Self::UrlCredentials => ("url_credentials", "[credentials]"),
            Self::Bearer => ("bearer", "[token]"),
            Self::Jwt => ("jwt", "[jwt]"),
            Self::Pem => ("pem", "[pem]"),
            Self::VendorKey => ("vendor_key", "[secret]"),
            Self::NamedSecret => ("named_secret", "[secret]"),
            Self::NamedSsn => ("named_ssn", "[ssn]"),
            Self::NamedCard => ("named_card", "[card]"),
            Self::NamedBank => ("named_bank_account", "[bank-account]"),
            Self::NamedTax => ("named_tax_id", "[tax-id]"),
            Self::NamedPhone => ("named_phone", "[phone]"),
            Self::Own(_) => ("own", "[own]"),
            Self::Length => ("length", CUT_MARK),
            Self::Unsettled => ("unsettled", REMOVED),
        }
    }
}

/// The mark at the end of a text that was cut.
pub(crate) const CUT_MARK: &str = "…[cut]";

/// Stands for a whole text that could not be brought to rest.
pub(crate) const REMOVED: &str = "[removed]";

/// Placeholders of ours, and the ones that SDKs leave when they scrub before sending.
const PLACEHOLDERS: [&str; 21] = [
    "[email]",
    "[card]",
    "[iban]",
    "[ssn]",
    "[ip]",
    "[mac]",
    "[phone]",
    "[user]",
    "[credentials]",
    "[token]",
    "[jwt]",
    "[pem]",
    "[secret]",
    "[bank-account]",
    "[tax-id]",
    REMOVED,
    "[Filtered]",
    "[FILTERED]",
    "[redacted]",
    "[REDACTED]",
    "<redacted>",
];

/// Whether a text is a placeholder of ours, or of an SDK, and nothing else.
pub(crate) fn is_known_placeholder(text: &str) -> bool {
    PLACEHOLDERS.contains(&text)
}

/// Most digits of a number in a placeholder: a document of 50 MB has no room for more names.
const NUMBER_DIGITS_MAX: usize = 7;

/// The placeholder without its number, which tells names apart that have become the same: `[email-2]` is `[email]`.
pub(crate) fn unnumbered(text: &str) -> Option<String> {
    let (head, number) = text.strip_suffix(']')?.rsplit_once('-')?;
    let is_number = number.len() <= NUMBER_DIGITS_MAX
        && !number.starts_with('0')
        && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !number.is_empty()).then(|| format!("{head}]"))
}

/// A text, read by byte position. Past its ends it is made of NUL bytes.
#[derive(Clone, Copy)]
pub(crate) struct Text<'t> {
    text: &'t str,
    rules: &'t Rules,
}

impl<'t> Text<'t> {
    /// A text, and the rules by which it is read.
    pub(crate) fn new(text: &'t str, rules: &'t Rules) -> Self {
        Self { text, rules }
    }

    #[inline]
    pub(crate) fn rules(self) -> &'t Rules {
        self.rules
    }

    #[inline]
    fn bytes(self) -> &'t [u8] {
        self.text.as_bytes()
    }

    /// The byte at a position before the end.
    #[inline]
    pub(crate) fn get(self, position: usize) -> Option<u8> {
        self.bytes().get(position).copied()
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        self.bytes().len()
    }

    /// The byte at a position.
    #[inline]
    pub(crate) fn at(self, position: usize) -> u8 {
        self.bytes().get(position).copied().unwrap_or(0)
    }

    /// The four bytes from a position on, if there are as many.
    #[inline]
    pub(crate) fn four(self, position: usize) -> Option<[u8; 4]> {
        self.bytes().get(position..)?.first_chunk().copied()
    }

    /// The byte before a position. The end of an escape for white space, `\n`, is a space: printed texts and JSON write lines so.
    #[inline]
    pub(crate) fn before(self, position: usize) -> u8 {
        let Some(before) = position.checked_sub(1) else {
            return 0;
        };
        if self.ends_escape(before) {
            b' '
        } else {
            self.at(before)
        }
    }

    /// Whether the letter here is that of an escape for white space.
    #[inline]
    pub(crate) fn ends_escape(self, position: usize) -> bool {
        matches!(self.at(position), b'n' | b'r' | b't')
            && position
                .checked_sub(1)
                .is_some_and(|before| self.at(before) == b'\\')
    }

    /// The byte two before a position.
    #[inline]
    pub(crate) fn second_before(self, position: usize) -> u8 {
        position.checked_sub(2).map_or(0, |before| self.at(before))
    }

    /// The text between two positions; empty when one of them is inside a character.
    pub(crate) fn slice(self, start: usize, end: usize) -> &'t str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The text between two positions, without the character that the end is inside of.
    pub(crate) fn upto(self, start: usize, end: usize) -> &'t str {
        let end = self.text.floor_char_boundary(end);
        self.text.get(start..end).unwrap_or_default()
    }

    /// Whether these bytes stand at a position.
    #[inline]
    pub(crate) fn has(self, position: usize, what: &[u8]) -> bool {
        self.bytes()
            .get(position..)
            .is_some_and(|rest| rest.starts_with(what))
    }

    /// Whether these bytes stand right before a position.
    pub(crate) fn has_before(self, position: usize, what: &[u8]) -> bool {
        self.bytes()
            .get(..position)
            .is_some_and(|head| head.ends_with(what))
    }

    /// Where a run of such bytes ends.
    #[inline]
    pub(crate) fn run(self, start: usize, mut fits: impl FnMut(u8) -> bool) -> usize {
        let rest = self.bytes().get(start..).unwrap_or_default();
        start + rest.iter().take_while(|byte| fits(**byte)).count()
    }

    /// Where a run of such bytes ends, or a place beyond `max` of them: for runs that a finder may meet again from each of their bytes.
    pub(crate) fn run_to(
        self,
        start: usize,
        max: usize,
        mut fits: impl FnMut(u8) -> bool,
    ) -> usize {
        let rest = self.bytes().get(start..).unwrap_or_default();
        let near = rest.iter().take(max + 1);
        start + near.take_while(|byte| fits(**byte)).count()
    }

    /// Where a run of such bytes that ends before `end` begins, at most `max` bytes back and not
    /// before `floor`.
    pub(crate) fn run_back(
        self,
        end: usize,
        floor: usize,
        max: usize,
        mut fits: impl FnMut(u8) -> bool,
    ) -> usize {
        let low = floor.max(end.saturating_sub(max)).min(end);
        let head = self.bytes().get(low..end).unwrap_or_default();
        end - head.iter().rev().take_while(|byte| fits(**byte)).count()
    }

    /// The word of letters that ends here, lowercase, at most 24 bytes back and not before `floor`; and where it begins. The letter of an
    /// escape for white space is none of its own.
    pub(crate) fn word_before(self, end: usize, floor: usize) -> (String, usize) {
        let start = self.run_back(end, floor, 24, |byte| byte.is_ascii_alphabetic());
        let escape = usize::from(start < end && self.ends_escape(start));
        (self.slice(start + escape, end).to_ascii_lowercase(), start)
    }

    /// Where this text is found next, from a position on.
    pub(crate) fn find(self, start: usize, what: &str) -> Option<usize> {
        let rest = self.text.get(start..)?;
        rest.find(what).map(|found| start + found)
    }
}

const WORD: u8 = 1;
const NAME: u8 = 2;

/// What each byte can be: texts are passed over byte by byte where it matters, and a look at a table is faster than comparisons.
const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        let word = byte.is_ascii_alphanumeric() || byte == b'_';
        let class = if word { WORD | NAME } else { 0 };
        #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
        {
            classes[byte as usize] = if matches!(byte, b'-' | b'.') {
                NAME
            } else {
                class
            };
        }
        if byte == u8::MAX {
            return classes;
        }
        byte += 1;
    }
}

#[inline]
fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Bytes of words: a value that begins or ends between two of these is part of something longer.
#[inline]
pub(crate) fn is_word(byte: u8) -> bool {
    class(byte) & WORD != 0
}

/// Bytes of names: those of words, and the marks between them.
#[inline]
pub(crate) fn is_name(byte: u8) -> bool {
    class(byte) & NAME != 0
}

/// Hexadecimal digits.
#[inline]
pub(crate) fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// Bytes of base64url.
pub(crate) fn is_base64url(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

/// Any of the three quotes.
pub(crate) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}
