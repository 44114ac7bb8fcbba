//! The ports over SQLite and files: the home of a team on one machine.
//!
//! One file per port, with the same names as in the AWS adapters: [`store`], [`queues`], [`blobs`], [`signer`],
//! [`notifier`], [`web`], [`clock`], [`ids`]. [`database`] is what store and queues share; [`home`] opens everything in one folder.
//!
//! **Invariant: what a call has answered survives the death of the process at any instant** (and of the machine, as far as
//! its disk keeps what it says it wrote). **Invariant: one process per folder**, kept by a lock that dies with the process.
//!
//! Without the feature `home` (on by default) there are the notifier and [`web`] alone: what a home in AWS takes from here.
//!
//! Not here: what is stored (`kintsugi-domain`), the sandbox that runs product code (`kintsugi-engine`), and any network
//! but the webhooks of the notifier and the documents of [`web`].

#[cfg(feature = "home")]
pub mod blobs;
#[cfg(feature = "home")]
pub mod clock;
#[cfg(feature = "home")]
pub mod database;
#[cfg(feature = "home")]
pub mod home;
#[cfg(feature = "home")]
pub mod ids;
pub mod notifier;
#[cfg(feature = "home")]
pub mod queues;
#[cfg(feature = "home")]
pub mod signer;
#[cfg(feature = "home")]
pub mod store;
pub mod web;

#[cfg(feature = "home")]
mod bell;
mod files;
#[cfg(feature = "home")]
mod whole;

#[cfg(feature = "home")]
pub use blobs::FileBlobs;
#[cfg(feature = "home")]
pub use clock::SystemClock;
#[cfg(feature = "home")]
pub use database::Database;
#[cfg(feature = "home")]
pub use home::Home;
#[cfg(feature = "home")]
pub use ids::RandomIds;
pub use notifier::WebhookNotifier;
#[cfg(feature = "home")]
pub use queues::SqliteQueues;
#[cfg(feature = "home")]
pub use signer::KeyFiles;
#[cfg(feature = "home")]
pub use store::SqliteStore;
pub use web::WebDocuments;
