//! Nouns, states, pure rules and ports of Kintsugi.
//!
//! Read it in the order of the loop: [`event`] → [`issue`] → [`diagnosis`] → [`fix`] → [`train`] →
//! [`bundle`] → [`release`] → [`rollout`] → [`outcome`], which resolves or reopens the issue.
//!
//! **Invariant: nothing here does I/O, reads a clock or draws a random number.** Time, ids and
//! randomness come in as arguments, so every decision can be replayed. The crate compiles to wasm.
//!
//! Not here: signatures and metadata (`kintsugi-trust`), what a stage does with a decision
//! (`kintsugi-app`), and anything that knows a database or a cloud (`kintsugi-adapters-*`).

pub mod accounting;
pub mod address;
pub mod alert;
pub mod audit;
pub mod batch;
pub mod bundle;
pub mod calendar;
pub mod change;
pub mod channel;
pub mod cohort;
pub mod config;
pub mod diagnosis;
pub mod digest;
pub mod envelope;
pub mod event;
pub mod fix;
pub mod flag;
pub mod grouping;
pub mod guard;
pub mod health;
pub mod hotfix;
pub mod id;
pub mod issue;
pub mod job;
pub mod kept;
pub mod limits;
pub mod manifest;
pub mod outcome;
pub mod permissions;
pub mod platform;
pub mod ports;
pub mod project;
pub mod quota;
pub mod record;
pub mod recurrence;
pub mod release;
pub mod report;
pub mod request;
pub mod rollout;
pub mod score;
pub mod scrub_rules;
pub mod series;
pub mod signing;
pub mod sla;
pub mod stacktrace;
pub mod state;
pub mod story;
pub mod trace;
pub mod train;
pub mod version;

/// A point in time, UTC, written as RFC 3339.
pub use jiff::Timestamp;
