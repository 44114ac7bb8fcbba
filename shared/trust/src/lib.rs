//! Canonical encoding, signatures, TUF metadata, statements, tickets and tokens; used on both sides.
