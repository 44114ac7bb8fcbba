//! What holds for everything that is signed, and every known attack on it, each test named for one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]
#![expect(clippy::string_slice, reason = "test code")]

mod attestation;
mod encoding;
mod jws;
mod lease;
mod repository;
mod statement;
mod ticket;
mod token;
mod tuf_attacks;
mod tuf_delegations;
mod tuf_roots;
mod wrong_keys;
