//! What a Rust product embeds: the updater.
