#![expect(clippy::panic, reason = "test code")]
#![expect(clippy::unwrap_used, reason = "test code")]
#![expect(clippy::indexing_slicing, reason = "test code")]
//! The routes over memory ports, as a client sees them.

mod batches;
mod edges;
mod flags;
mod home;
mod ingest;
mod minidumps;
mod native;
mod otlp;
mod outcomes;
mod repository;
mod updates;
