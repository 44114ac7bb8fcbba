//! Deltas between package contents, bounded in memory and checked against both digests.
