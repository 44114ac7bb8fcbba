//! The ports over SQLite and files.
