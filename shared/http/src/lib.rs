//! The routes of the HTTP stages, one definition for Lambda and the local server.

mod admin;
mod console;

pub use admin::admin;
pub use console::{Transport, console};
