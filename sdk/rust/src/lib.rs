//! What a Rust product embeds: the updater.
//!
//! The updater asks a home what there is, believes nothing it cannot verify, installs, checks that the
//! product works, and goes back by itself where it does not. See [`updater`]; [`tuf`] is its client of signed
//! repositories, for those who only want that.
//!
//! Not here: reporting crashes. Any Sentry SDK does that with the project's DSN.

pub mod tuf;
pub mod updater;
