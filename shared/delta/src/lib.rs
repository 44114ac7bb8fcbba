//! What a package is made of, and how one version becomes the next: deterministic archives
//! ([`archive`]), their compression ([`compression`]) and deltas between them ([`make`], [`apply`]).
//!
//! A package's *content* is its uncompressed archive. A device keeps the content of what is installed,
//! so a delta is always from content to content; the compressed form exists for first installs only.
//!
//! **Invariants: the same input gives the same bytes. Whatever bytes are read, the answer is a value or
//! an error with a reason: no panic, and no more memory than the declared lengths call for.
//! Nothing is yielded before all of it was checked.**
//!
//! Not here: files and folders (the caller reads and writes them), signatures (`kintsugi-trust`; a
//! digest given to [`apply`] must come from signed metadata), and the choice between delta and full
//! package.

pub mod archive;
pub mod compression;
mod delta;

pub use delta::{
    DeltaError, Expected, Info, MAKE_BYTES_MAX, Prepared, apply, apply_to, is_worthwhile, make,
};
