//! The ports over SQLite and files: the home of a team on one machine.
//!
//! One file per port, with the same names as in the AWS adapters: [`store`], [`queues`], [`blobs`], [`signer`], [`forge`],
//! [`notifier`], [`web`], [`clock`], [`ids`]. [`database`] is what store and queues share; [`home`] opens everything in one folder.
//!
//! **Invariant: what a call has answered survives the death of the process at any instant** (and of the machine, as far as
//! its disk keeps what it says it wrote). **Invariant: one process per folder**, kept by a lock that dies with the process.
//!
//! Not here: what is stored (`kintsugi-domain`), the sandbox that runs product code (`kintsugi-engine`), and any network
//! but the webhooks of the notifier and the documents of [`web`].

pub mod blobs;
pub mod clock;
pub mod database;
pub mod forge;
pub mod home;
pub mod ids;
pub mod notifier;
pub mod queues;
pub mod signer;
pub mod store;
pub mod web;

mod files;
mod git;

pub use blobs::FileBlobs;
pub use clock::SystemClock;
pub use database::Database;
pub use forge::GitForge;
pub use home::Home;
pub use ids::RandomIds;
pub use notifier::WebhookNotifier;
pub use queues::SqliteQueues;
pub use signer::KeyFiles;
pub use store::SqliteStore;
pub use web::WebDocuments;
