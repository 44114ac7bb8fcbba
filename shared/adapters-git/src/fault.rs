//! What can be wrong with a host's answer, and what that means to a stage.

use kintsugi_domain::ports::PortError;
use std::io;

/// Longest part of a host's own words in an error, characters.
const WORDS_CHARS_MAX: usize = 300;

/// Why an answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// It ended early.
    #[error("the answer ended early: {0}")]
    Cut(String),
    /// It is not what the protocol says.
    #[error("the host's answer is not git's: {0}")]
    Malformed(String),
    /// It is longer than is read here.
    #[error("the host's answer is too large: {0}")]
    TooLarge(String),
    /// The host does not have the object that was asked for.
    #[error("there is no such commit")]
    Missing,
    /// The host says why it does not answer.
    #[error("the host says: {0}")]
    Said(String),
}

impl Fault {
    pub(crate) fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }

    /// What a host said about its failure.
    pub(crate) fn said(words: &[u8]) -> Self {
        let words = words_of(words);
        // git; JGit.
        if words.contains("not our ref") || words.ends_with("not valid") {
            return Self::Missing;
        }
        Self::Said(words)
    }

    /// As a stage takes it: what may pass, and what stays.
    pub(crate) fn port(self, what: &str) -> PortError {
        match self {
            Self::Cut(_) | Self::Said(_) => PortError::unavailable(what, self),
            Self::Malformed(_) | Self::TooLarge(_) | Self::Missing => PortError::broken(what, self),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(fault) => fault,
            Err(error) => Self::Cut(error.to_string()),
        }
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::other(fault)
    }
}

/// A host's words as one short line without control characters.
pub(crate) fn words_of(bytes: &[u8]) -> String {
    let words = String::from_utf8_lossy(bytes);
    let plain = words
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    plain.take(WORDS_CHARS_MAX).collect()
}
