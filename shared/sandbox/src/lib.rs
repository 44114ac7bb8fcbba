//! Runs untrusted product code (tests, builds) in a box.
mod census;
mod error;
mod job;
mod mounts;
mod probe;
mod python;
mod room;
mod supervise;
mod syscalls;

pub use error::SandboxError;
pub use job::{Breach, Exit, Finished, Job, Limits};
pub use probe::Sandbox;
pub use python::{Toolchain, python_toolchain};
