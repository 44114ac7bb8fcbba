//! What a Rust product embeds: the updater.
//!
//! The updater asks a home what there is, believes nothing it cannot verify, installs, checks that the
//! product works, and goes back by itself where it does not. See [`updater`].
//!
//! Not here: reporting crashes. Any Sentry SDK does that with the project's DSN.

pub mod updater;
