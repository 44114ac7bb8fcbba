//! Deltas between two versions of a content, and above all of executables.
//!
//! A delta has three streams. The *plan* ([`plan`]) names the parts of the new content that are copies of
//! parts of the old one, and which regions of both are code or hold addresses ([`layout`]). The
//! *corrections* ([`copies`]) turn each copied part into what it became; they come in parts that are decoded at once. The rest of the new content is
//! *fresh*, packed by LZMA or Zstandard ([`pack`]). [`header`] has the outer form.
//!
//! When a function grows by a few bytes, every call over it, every jump table and every pointer behind it
//! changes. So references are looked for in what is copied ([`refs`], [`x64_find`], [`a64`], [`data`]): a reader knows
//! from the plan where each target went ([`moves`]) and computes what the reference became. Only what is
//! predicted wrongly is sent, and is remembered for the next reference to the same target. Courgette and
//! Zucchini (Chromium) follow references too; here a delta carries the layouts, so a device parses no
//! executables, and both directions of every step are one function ([`coder`]).
//!
//! Members of a zip file, or what a gzip file holds, are unpacked first where that pays ([`choice`],
//! [`opening`], [`parts`], [`deflate`]): the delta is then one between the opened forms, and the result is packed again bit for bit
//! as it is written ([`rebuild`]). What does not come back bit for bit stays packed.
//!
//! The maker ([`make()`]) finds copies with a suffix array over views of the contents in which references
//! are written alike ([`search`], [`view`]), once with blank references and once with labels that stem
//! from the first search, and keeps the smaller outcome.
//!
//! **Invariants: every number of a delta is checked before it is used; a result is never longer than
//! declared; a result without its declared digest is an error. The same inputs give the same bytes.**

mod a64;
mod apply;
mod beside;
mod choice;
mod coder;
mod copies;
mod data;
mod deflate;
mod header;
mod image;
mod info;
mod layout;
mod make;
mod moves;
mod opening;
mod pack;
mod parts;
mod plan;
mod rebuild;
mod refs;
mod roles;
mod search;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_opening;
mod view;
mod words;
mod x64;
mod x64_find;
mod x64_walk;

use kintsugi_domain::digest::Digest;

pub use apply::{Prepared, apply, apply_to};
pub use info::Info;
pub use make::{MAKE_BYTES_MAX, make};

/// What the signed metadata says about a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The digest of the content that the delta starts from.
    pub base: Digest,
    /// The digest of the content that it leads to.
    pub digest: Digest,
    /// The length of that content, bytes.
    pub length: u64,
}

impl Expected {
    /// What a delta says of itself, for deltas that nothing else vouches for. Only the header is read.
    pub fn declared_by(delta: &[u8]) -> Result<Self, DeltaError> {
        let (header, _) = header::read(delta)?;
        Ok(header.expected())
    }
}

/// A delta that cannot be made or must not be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// It does not begin as a delta does.
    #[error("this is not a delta")]
    NotADelta,
    /// It is of a form that this program does not know.
    #[error("delta format {format} is not known here")]
    UnknownFormat {
        /// The form it names.
        format: u16,
    },
    /// What is installed is not what the delta starts from.
    #[error("the delta starts from {needed}, what is there is {found}")]
    WrongBase {
        /// What the delta starts from.
        needed: Digest,
        /// What was given.
        found: Digest,
    },
    /// The delta is a good one, perhaps, but not the one that the metadata names.
    #[error("the delta leads to another {what} than the metadata says")]
    WrongDelta {
        /// `base`, `result` or `length`.
        what: &'static str,
    },
    /// Its instructions make no sense.
    #[error("the delta is damaged: {why}")]
    Corrupt {
        /// The first thing that is wrong.
        why: &'static str,
    },
    /// Everything was followed, and the result is not the declared one.
    #[error("the delta gives a result that is not the declared one")]
    WrongResult,
    /// The result does not fit into memory, or the inputs are longer than [`MAKE_BYTES_MAX`].
    #[error("{bytes} bytes are too many for a delta here")]
    TooLarge {
        /// How many.
        bytes: u64,
    },
    /// The place that the result goes to does not take it.
    #[error("the result could not be written: {why}")]
    NotWritten {
        /// What it says.
        why: String,
    },
    /// A compressor or the sorter failed; its memory ran out.
    #[error("the delta could not be made: {why}")]
    NotMade {
        /// What it says.
        why: String,
    },
}

impl DeltaError {
    /// The stable name of this kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotADelta => "delta_not_a_delta",
            Self::UnknownFormat { .. } => "delta_unknown_format",
            Self::WrongBase { .. } => "delta_wrong_base",
            Self::WrongDelta { .. } => "delta_wrong_delta",
            Self::Corrupt { .. } => "delta_corrupt",
            Self::WrongResult => "delta_wrong_result",
            Self::TooLarge { .. } => "delta_too_large",
            Self::NotWritten { .. } => "delta_not_written",
            Self::NotMade { .. } => "delta_not_made",
        }
    }
}

/// Whether a delta is worth publishing beside a full package: it saves a fifth of the download or more.
/// Each delta costs storage, a target in the signed metadata and a way that can fail.
pub fn is_worthwhile(delta_bytes: u64, full_bytes: u64) -> bool {
    u128::from(delta_bytes) * 5 <= u128::from(full_bytes) * 4
}

const CUT_OFF: DeltaError = DeltaError::Corrupt {
    why: "it is cut off",
};

fn corrupt(why: &'static str) -> DeltaError {
    DeltaError::Corrupt { why }
}
