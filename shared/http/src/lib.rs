//! The routes of the HTTP stages, one definition for Lambda and the local server.

pub mod admin;
// c

pub use admin::admin;
