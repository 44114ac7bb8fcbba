//! A text with bounded, panic-free access by byte position, and what a find in it is.

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
}

impl Rule {
    /// The name in remarks.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Ssn => "ssn",
            Self::Ip => "ip",
            Self::Mac => "mac",
            Self::Phone => "phone",
            Self::UserPath => "user_path",
            Self::UrlCredentials => "url_credentials",
            Self::Bearer => "bearer",
            Self::Jwt => "jwt",
            Self::Pem => "pem",
            Self::VendorKey => "vendor_key",
            Self::NamedSecret => "named_secret",
            Self::NamedSsn => "named_ssn",
            Self::NamedCard => "named_card",
            Self::NamedBank => "named_bank_account",
            Self::NamedTax => "named_tax_id",
        }
    }

    /// What stands in the text afterwards.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::Email => "[email]",
            Self::Card | Self::NamedCard => "[card]",
            Self::Iban => "[iban]",
            Self::Ssn | Self::NamedSsn => "[ssn]",
            Self::Ip => "[ip]",
            Self::Mac => "[mac]",
            Self::Phone => "[phone]",
            Self::UserPath => "[user]",
            Self::UrlCredentials => "[credentials]",
            Self::Bearer => "[token]",
            Self::Jwt => "[jwt]",
            Self::Pem => "[pem]",
            Self::VendorKey | Self::NamedSecret => "[secret]",
            Self::NamedBank => "[bank-account]",
            Self::NamedTax => "[tax-id]",
        }
    }
}

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

/// Whether a text is a placeholder and nothing else.
pub(crate) fn is_placeholder(text: &str) -> bool {
    PLACEHOLDERS.contains(&text)
}

/// A text, read by byte position. Past its ends it is made of NUL bytes.
#[derive(Clone, Copy)]
pub(crate) struct Text<'t> {
    text: &'t str,
    bytes: &'t [u8],
}

impl<'t> Text<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
        }
    }

    pub(crate) fn len(self) -> usize {
        self.bytes.len()
    }

    /// The byte at a position.
    #[inline]
    pub(crate) fn at(self, position: usize) -> u8 {
        self.bytes.get(position).copied().unwrap_or(0)
    }

    /// The byte before a position.
    #[inline]
    pub(crate) fn before(self, position: usize) -> u8 {
        position.checked_sub(1).map_or(0, |before| self.at(before))
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

    /// Whether these bytes stand at a position.
    pub(crate) fn has(self, position: usize, what: &[u8]) -> bool {
        self.bytes
            .get(position..)
            .is_some_and(|rest| rest.starts_with(what))
    }

    /// Whether these bytes stand right before a position.
    pub(crate) fn has_before(self, position: usize, what: &[u8]) -> bool {
        self.bytes
            .get(..position)
            .is_some_and(|head| head.ends_with(what))
    }

    /// Where a run of such bytes ends.
    #[inline]
    pub(crate) fn run(self, start: usize, mut fits: impl FnMut(u8) -> bool) -> usize {
        let rest = self.bytes.get(start..).unwrap_or_default();
        start + rest.iter().take_while(|byte| fits(**byte)).count()
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
        let head = self.bytes.get(low..end).unwrap_or_default();
        end - head.iter().rev().take_while(|byte| fits(**byte)).count()
    }

    /// Where this text is found next, from a position on.
    pub(crate) fn find(self, start: usize, what: &str) -> Option<usize> {
        let rest = self.text.get(start..)?;
        rest.find(what).map(|found| start + found)
    }
}

/// Bytes of words: a value that begins or ends between two of these is part of something longer.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Bytes of base64url.
pub(crate) fn is_base64url(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

/// Any of the three quotes.
pub(crate) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}
