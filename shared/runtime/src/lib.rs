//! Lambda plumbing: partial batches, HTTP answers, telemetry.
