//! What a Rust product embeds: the updater and the reporter.
//!
//! The updater asks a home what there is, believes nothing it cannot verify, installs, checks that the
//! product works, and goes back by itself where it does not. See [`updater`]; [`tuf`] is its client of signed
//! repositories, for those who only want that.
//!
//! The reporter tells the home what breaks, sealed so that nobody on the way can read it. See [`reporter`].

pub mod reporter;
pub mod tuf;
pub mod updater;
