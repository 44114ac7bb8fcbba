//! What tests need: every port in memory, one contract suite per port, and decorators that crash.
//!
//! - [`memory`]: every port of [`kintsugi_domain::ports`] without a disk, a network or a real clock.
//! - [`contract`]: what a port promises, as plain async functions that every adapter's tests call.
//! - [`fault`]: decorators that end a "process" before or after its n-th effect.
//! - [`git_http`]: a git host on this machine, for tests and demos.
//! - [`product`]: a product to test with.
//!
//! **Invariant: nothing here reads a real clock or real randomness**, so a test that fails fails again.
//!
//! Not here: the build engine of the simulation and the scheduler that drives the stages (they belong to
//! the simulation test), and anything that the product itself depends on.

pub mod contract;
pub mod fault;
pub mod git_http;
pub mod memory;
pub mod product;
