//! The ports over AWS: DynamoDB, SQS, S3, KMS, Secrets Manager, SNS and SES. The home of those who outgrow one machine.
//!
//! One file per port, with the same names as in the local adapters: [`store`], [`queues`], [`blobs`], [`signer`], [`clock`],
//! [`ids`]; [`home`] opens them together. [`secret`] reads what people have stored for the home. The table's layout is told in [`store`].
//!
//! **Invariant: what a call has answered is durable**: every service used here answers only when the data lies in several
//! zones. **Invariant: a failure of AWS is never told as success**; a call whose outcome is unknown says so by
//! [`kintsugi_domain::ports::PortError::Unavailable`], and calling again is safe.
//!
//! [`notifier`] and [`mail`] tell people; whoever opens a home puts them before the webhooks.
//!
//! Not here: the making of tables, queues and buckets (the template does that), the forge and the webhooks, which do not
//! depend on AWS and are given to [`Home`] by whoever opens it, and the build engine.

pub mod blobs;
pub mod clock;
pub mod home;
pub mod ids;
pub mod lazy;
pub mod mail;
pub mod notifier;
pub mod queues;
pub mod secret;
pub mod signer;
pub mod store;
pub mod table;

mod bodies;
mod failure;
mod place;

pub use blobs::S3Blobs;
pub use clock::SystemClock;
pub use home::{Access, Clients, Home, Outside, Settings};
pub use ids::RandomIds;
pub use lazy::Lazy;
pub use mail::{Mail, MailNotifier};
pub use notifier::TopicNotifier;
pub use queues::SqsQueues;
pub use secret::SecretText;
pub use signer::KmsSigner;
pub use store::DynamoStore;
pub use table::Table;
