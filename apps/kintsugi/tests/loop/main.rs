//! The whole loop, by the real program with real git, real Python, the real sandbox, the unmodified
//! `sentry-sdk` and real updaters: the story as it should go, stories that end badly, a home that is
//! killed again and again, and a home whose files somebody changed.
//!
//! These tests take minutes. `.config/nextest.toml` keeps them from running beside one another.

mod between;
mod broken;
mod home;
mod kills;
mod machine;
mod story;
#[expect(
    dead_code,
    reason = "shared with the tests of the commands, which use all of it"
)]
#[path = "../command/support.rs"]
mod support;
mod tampered;
mod till;
mod walkthrough;
