//! One module per stage: load, decide, save, hand on.

pub mod ingest;
pub mod stage;
