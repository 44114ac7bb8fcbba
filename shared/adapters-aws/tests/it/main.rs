//! The adapters on an emulator of AWS: the contract suites of the ports, and what each adapter adds to its promises.

mod common;
mod failures;
mod keys;
mod links;
mod mail;
mod notifier;
mod promises;
mod queues;
mod retention;
mod store;
