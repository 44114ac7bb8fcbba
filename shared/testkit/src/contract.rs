//! What each port promises, as plain async functions. Every adapter's tests call them.
//!
//! Each suite has one function per promise and an `all` that runs every one of them, each on a fresh port. A broken
//! promise panics with what was expected, like any assertion.
//!
//! **Invariant: a suite uses only the port itself** (and, for queues, a way to let time pass), so it can judge an adapter
//! it has never heard of. Clock and notifier have no suite: nothing of what they promise can be seen through the port. The
//! build engine has one adapter; its tests (`kintsugi-engine`) hold its promises.

pub mod audit;
pub mod blobs;
pub mod forge;
pub mod ids;
pub mod queues;
pub mod signer;
pub mod store;

use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::id::ProjectId;

/// A message of project 1 for the queue `signing`; the same number makes the same message.
pub(crate) fn message(number: usize) -> Envelope {
    let channel = format!("channel-{number}");
    let message = Message::Publish { channel };
    Envelope::new(format!("cause-{number}"), ProjectId(1), message)
}
