//! Lambda plumbing, the same for every function: start, settings, batches of messages, ticks of the
//! clock, HTTP, telemetry. The only crate that names `lambda_runtime` and `lambda_http`.
//!
//! A function is `start(stage, open, serve)`: `open` turns the environment into adapters, `serve`
//! turns those into a [`Function`]. What happens between invocations is here and nowhere else.
//!
//! **Invariants.** One bad message never costs the others of its batch their answer. A message that
//! was not handled is reported back by its identifier, so the queue delivers it again and at last
//! sets it aside; nothing is dropped. The outbox is relayed before the invocation's answer is given,
//! because a function that has answered may be frozen for good.
//!
//! Not here: what a stage decides (`kintsugi-app`), which adapters it gets (each function's
//! `context.rs`), and the local home, which has its own loop.

mod event;
mod function;
mod metrics;
mod queue;
mod settings;
mod start;
mod telemetry;

pub use event::Tick;
pub use function::{Direct, DirectError, Function};
pub use settings::{SettingError, Settings};
pub use start::start;
