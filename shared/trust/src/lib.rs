//! What both sides must agree on to trust each other: canonical encoding, P-384 keys, TUF metadata,
//! signed statements, tickets, leases, admin tokens and sealed batches.
//!
//! | module | what it does | standard |
//! |---|---|---|
//! | [`json`] | strict reading and canonical writing of JSON | OLPC canonical JSON |
//! | [`key`] | ECDSA P-384 keys and their ids | FIPS 186-5, RFC 5280, RFC 5958 |
//! | [`tuf`] | metadata of the signed repository, written and read | TUF specification 1.0 |
//! | [`jws`] | signed tokens, ES384 only | RFC 7515, RFC 7518, RFC 8725 |
//! | [`attestation`] | how a release was made | DSSE v1, in-toto Statement v1, SLSA Provenance v1 |
//! | [`statement`] | what a release is, and the permission to go down | |
//! | `openid` (feature) | tokens of foreign issuers: RS256, ES256, ES384 | OpenID Connect Core 1.0 |
//! | [`lease`] | ties a runner's report to the job that it was given | RFC 2104 |
//! | [`ticket`] | ties an outcome to an offer that was made | RFC 2104 |
//! | [`token`] | who may use the admin API | RFC 7519 |
//! | `batch` (feature `seal`) | reports that only the project's home can read | RFC 9180 |
//! | [`access`] | which keys and issuers are trusted for that, and what was taken back | |
//!
//! **Invariants: nothing here does I/O, reads a clock or draws a random number. Everything that is
//! read is bounded, its signature is checked first, and what was checked is what is used: the same
//! parsed value, never the text read a second time.** The crate compiles to wasm.
//!
//! Other algorithms than P-384 are only verified, and only where a feature asks for it: `openid` for tokens
//! of foreign issuers, `foreign-keys` for repositories of others. Not here: where private keys live (the
//! `Signer` port and its adapters), and fetching (the SDK and the HTTP routes).

pub mod access;
pub mod attestation;
#[cfg(feature = "seal")]
pub mod batch;
pub mod json;
pub mod jws;
pub mod key;
mod kind;
pub mod lease;
#[cfg(feature = "openid")]
pub mod openid;
pub mod statement;
pub mod ticket;
pub mod token;
pub mod tuf;
