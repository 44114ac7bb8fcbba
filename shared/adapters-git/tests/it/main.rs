//! The forge against real repositories and a real git host.

#![expect(clippy::unwrap_used, reason = "test code")]

mod common;
mod folder;
mod hosts;
mod lies;
mod promises;
