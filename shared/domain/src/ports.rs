//! Ports: what the stages need from the world, named for the need. Each says what an adapter MUST do,
//! and has one contract suite in `kintsugi-testkit` that every adapter passes.

mod commit;
mod names;

pub use commit::{Add, Commit, Write, check_append_only};
pub use names::{check_blob_key, check_ref_name, check_source_path};

use crate::Timestamp;
use crate::digest::Digest;
use crate::envelope::{Envelope, Queue};
use crate::id::{MessageId, ProjectId};
use crate::job::{Job, Report};
use crate::record::{IndexEntry, Kind};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The world failed, or refused a write. Refusals of the domain are not errors of a port.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PortError {
    /// A record was written by someone else since it was read. Read again, decide again.
    #[error("{what} was changed meanwhile")]
    Conflict {
        /// Which record.
        what: String,
    },
    /// The world failed and may recover: a lock, a time-out, a full disk. Try again later.
    #[error("{what}: {why}")]
    Unavailable {
        /// What was being done.
        what: String,
        /// What happened.
        why: String,
    },
    /// What was read or given cannot be right and will not get better by trying again.
    #[error("{what}: {why}")]
    Broken {
        /// What was being done.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

impl PortError {
    /// A failure that may pass.
    pub fn unavailable(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Unavailable {
            what: what.to_string(),
            why: why.to_string(),
        }
    }

    /// A failure that stays.
    pub fn broken(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Broken {
            what: what.to_string(),
            why: why.to_string(),
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::Unavailable { .. } => true,
            Self::Broken { .. } => false,
        }
    }
}

/// Names one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// Its project.
    pub project: ProjectId,
    /// Its kind.
    pub kind: Kind,
    /// Its key.
    pub key: String,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of project {}", self.kind, self.key, self.project)
    }
}

/// A record as an adapter holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// Its name.
    pub key: RecordKey,
    /// The version a write must name; 1 after the first write.
    pub version: u64,
    /// The version of the body's form.
    pub format: u16,
    /// The body, JSON.
    pub body: String,
}

/// Which records a list returns, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The project.
    pub project: ProjectId,
    /// The kind.
    pub kind: Kind,
    /// Only those with this index entry.
    pub index: Option<IndexEntry>,
    /// Only those with keys after this one.
    pub after: Option<String>,
    /// At most so many, at most [`crate::limits::PAGE_RECORDS_MAX`].
    pub limit: usize,
}

/// Records, counters and the outbox, in one place so that they can commit together.
#[async_trait]
pub trait Store: Send + Sync {
    /// The record of that name. MUST see every commit that returned before the call.
    async fn get(&self, key: &RecordKey) -> Result<Option<RawRecord>, PortError>;

    /// The records of those names, in their order, each as [`Store::get`] gives it. Not one moment of all: each is as it was at
    /// some time during the call.
    async fn get_all(&self, keys: &[RecordKey]) -> Result<Vec<Option<RawRecord>>, PortError> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.get(key).await?);
        }
        Ok(found)
    }

    /// A page of records, in key order.
    async fn list(&self, query: &Query) -> Result<Vec<RawRecord>, PortError>;

    /// The fields of a counter; empty when nothing was added yet.
    async fn counter(
        &self,
        project: ProjectId,
        counter: &str,
    ) -> Result<BTreeMap<String, i64>, PortError>;

    /// All of the commit or none of it, durable when it returns.
    ///
    /// MUST answer [`PortError::Conflict`] and change nothing when a write names a version that is not
    /// the stored one. MUST refuse what [`check_append_only`] refuses. MUST NOT put a message into the outbox that was put there before (same id).
    async fn commit(&self, commit: Commit) -> Result<(), PortError>;

    /// Every project there is.
    async fn projects(&self) -> Result<Vec<ProjectId>, PortError>;

    /// Messages that were committed and not yet marked as sent, oldest first.
    async fn outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError>;

    /// Those of [`Store::outbox`] that this process committed. A store where looking costs MAY answer from memory, and then
    /// leaves out what it forgot; what others committed MAY be among them.
    async fn own_outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        self.outbox(limit).await
    }

    /// Marks messages as sent. Unknown ids are ignored.
    async fn sent(&self, ids: &[MessageId]) -> Result<(), PortError>;
}

/// A message in the hands of a reader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The message.
    pub envelope: Envelope,
    /// Names this delivery to the queue.
    pub receipt: String,
    /// 1 for the first delivery.
    pub attempt: u32,
}

/// What a queue handed to a reader that answers the queue itself and has no receipt: a function in Lambda. Whatever was sent,
/// which may be no message of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The queue that it came by; perhaps not the one where its message belongs.
    pub queue: Queue,
    /// The queue's own name for it; the same for every delivery.
    pub id: String,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// What it says, as it came.
    pub body: String,
}

/// What nobody could handle.
#[derive(Debug, Clone, PartialEq)]
pub struct Parked {
    /// The message's id; where there is no message, the queue's own name for what came.
    pub id: String,
    /// The message, or nothing where what came is none that this program can read.
    pub envelope: Option<Envelope>,
    /// The queue that it came by.
    pub queue: Queue,
    /// Why it was parked.
    pub cause: String,
}

/// Queues with at-least-once, unordered delivery.
#[async_trait]
pub trait Queues: Send + Sync {
    /// Takes messages, each to its own queue. Durable when it returns. A message may be sent twice.
    async fn send(&self, envelopes: &[Envelope]) -> Result<(), PortError>;

    /// Up to `max` messages, hidden from other readers for `lease`.
    async fn receive(
        &self,
        queue: Queue,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Delivery>, PortError>;

    /// Keeps a delivery hidden for `lease` from now. For work that takes longer than its lease.
    async fn extend(&self, receipt: &str, lease: Duration) -> Result<(), PortError>;

    /// The message was handled; it never comes back.
    async fn done(&self, receipt: &str) -> Result<(), PortError>;

    /// The message comes back after `delay`.
    async fn retry(&self, receipt: &str, delay: Duration) -> Result<(), PortError>;

    /// Sets the message aside with its cause; it comes back only by [`Queues::redrive`]. MUST work in another process
    /// than the one that received it.
    async fn park(&self, delivery: &Delivery, cause: &str) -> Result<(), PortError>;

    /// Sets aside what came, as it came, with its cause; it is listed by [`Queues::parked`] like what was parked. The same
    /// letter again is the same once, with its first cause. Does not end the delivery: whoever handed it out does when its
    /// reader answers.
    async fn set_aside(&self, letter: &Letter, cause: &str) -> Result<(), PortError>;

    /// What was set aside, oldest first.
    async fn parked(&self, queue: Queue) -> Result<Vec<Parked>, PortError>;

    /// Puts every message that was set aside back, each into the queue where it belongs, and says how many. What this program
    /// cannot read as a message stays where it is.
    async fn redrive(&self, queue: Queue) -> Result<usize, PortError>;

    /// How many messages wait or are being handled.
    async fn depth(&self, queue: Queue) -> Result<usize, PortError>;
}

/// A way to one blob past the home: whoever has it may do one thing with that blob, without any other right, until it ends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where to send the request.
    pub url: String,
    /// Headers that the request MUST carry, as they are: name and value.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

/// Immutable content by key. Keys are `/`-joined parts of letters, digits, `.`, `_`, `-`, `@` and `+`.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores content. Durable and whole when it returns: a reader sees all of it or nothing.
    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), PortError>;

    /// The content, or nothing. MUST refuse ([`PortError::Broken`]) content longer than `bytes_max`.
    async fn get(&self, key: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, PortError>;

    /// The length in bytes, or nothing.
    async fn length(&self, key: &str) -> Result<Option<u64>, PortError>;

    /// The digest of what is stored now and its length in bytes, or nothing. MUST read the content itself, and not hold all of
    /// it at once.
    async fn digest(&self, key: &str) -> Result<Option<(Digest, u64)>, PortError>;

    /// A link to get the content with, good for `life`. An adapter whose content can only be had through the home has none.
    async fn download_link(&self, key: &str, life: Duration) -> Result<Option<Link>, PortError> {
        let _ = life;
        check_blob_key(key).map(|()| None)
    }

    /// A link to put content of that length and digest with, and no other, good for `life`. An adapter that takes content
    /// only through the home has none.
    async fn upload_link(
        &self,
        key: &str,
        (digest, length): (Digest, u64),
        life: Duration,
    ) -> Result<Option<Link>, PortError> {
        let _ = (digest, length, life);
        check_blob_key(key).map(|()| None)
    }
}

/// Private keys that sign for a project. They never leave the adapter.
#[async_trait]
pub trait Signer: Send + Sync {
    /// ECDSA on P-384 over SHA-384 of `message`, as DER (X9.62 / RFC 3279).
    async fn sign(&self, key: &KeyName, message: &[u8]) -> Result<Vec<u8>, PortError>;

    /// The public key as PEM (`SubjectPublicKeyInfo`, RFC 5280). MUST make the key if it does not exist.
    async fn public_key(&self, key: &KeyName) -> Result<String, PortError>;

    /// A symmetric secret of 32 bytes, made on first use: tickets, salts.
    async fn secret(&self, key: &KeyName) -> Result<[u8; 32], PortError>;
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUse {
    /// TUF root, one of several; offline in production.
    Root(u8),
    /// TUF targets and release statements: the generation, from 1.
    Targets(u32),
    /// TUF snapshot: the generation, from 1.
    Snapshot(u32),
    /// TUF timestamp: the generation, from 1.
    Timestamp(u32),
    /// Tickets that tie outcomes to offers (symmetric).
    Tickets,
    /// Salt for user ids (symmetric).
    Users,
    /// Admin tokens, one of several: the generation, from 1.
    Tokens(u32),
    /// Leases of jobs to runners (symmetric).
    Leases,
    /// What sealed batches are opened with, one of several: the generation, from 1. A secret that the key pair is derived from.
    Batches(u32),
}

/// Names one key of one project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName {
    /// The project.
    pub project: ProjectId,
    /// What it is for.
    pub key_use: KeyUse,
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let project = self.project;
        let (name, generation) = match self.key_use {
            KeyUse::Root(number) => return write!(f, "{project}/root-{number}"),
            KeyUse::Batches(generation) => return write!(f, "{project}/batches-{generation}"),
            KeyUse::Targets(generation) => ("targets", generation),
            KeyUse::Snapshot(generation) => ("snapshot", generation),
            KeyUse::Timestamp(generation) => ("timestamp", generation),
            KeyUse::Tokens(generation) => ("tokens", generation),
            KeyUse::Tickets => ("tickets", 1),
            KeyUse::Users => ("users", 1),
            KeyUse::Leases => ("leases", 1),
        };
        // The first has no number in its name: homes that never changed their key have it so.
        match generation {
            1 => write!(f, "{project}/{name}"),
            generation => write!(f, "{project}/{name}-{generation}"),
        }
    }
}

/// The one clock.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The one source of chance.
pub trait Ids: Send + Sync {
    /// A digest that nobody could have foreseen.
    fn fresh(&self) -> Digest;
}

/// Runs product code: searches for fixes, builds, tests. Boxed, bounded, no network, no credentials.
#[async_trait]
pub trait BuildEngine: Send + Sync {
    /// Does the job. A product that fails its tests is a [`Report`], not an error; an error means that
    /// the engine could not work (no sandbox, no disk). MUST be safe to run twice for the same job.
    async fn run(&self, job: &Job) -> Result<Report, PortError>;
}

/// A change to put before people: a commit on a branch of the product's repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The project.
    pub project: ProjectId,
    /// The repository, as the project's configuration names it.
    pub repository: String,
    /// The branch to make; the same proposal always has the same branch.
    pub branch: String,
    /// The commit it stands on.
    pub base: String,
    /// Files to write, whole: path and content.
    pub files: BTreeMap<String, String>,
    /// The commit message.
    pub message: String,
    /// The commit's date; part of the commit's identity.
    pub at: Timestamp,
}

/// Where the product's source lives.
#[async_trait]
pub trait Forge: Send + Sync {
    /// The commit at the tip of a branch.
    async fn head(&self, repository: &str, branch: &str) -> Result<String, PortError>;

    /// One file at a commit, or nothing.
    async fn file(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
    ) -> Result<Option<String>, PortError>;

    /// Makes the branch with one commit and returns the commit. The same proposal twice is one branch
    /// and one commit.
    async fn propose(&self, proposal: &Proposal) -> Result<String, PortError>;

    /// Moves `branch` forward to `commit` if that loses nothing, and tags it. Returns whether the
    /// branch now holds the commit; false means that people must merge.
    async fn land(
        &self,
        repository: &str,
        branch: &str,
        commit: &str,
        tag: &str,
    ) -> Result<bool, PortError>;
}

/// Tells people.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Delivers an alert to one channel. May be called twice for the same alert; the alert's id lets
    /// the receiver tell.
    async fn notify(
        &self,
        channel: &crate::config::AlertChannel,
        alert: &crate::alert::Alert,
    ) -> Result<(), PortError>;
}

/// Small documents of other services: the keys of those who issue tokens.
#[async_trait]
pub trait Web: Send + Sync {
    /// The document at an address, as it was read at most `age_max` ago. MUST speak https only (http with this machine),
    /// follow no redirect, refuse ([`PortError::Broken`]) more than [`crate::limits::WEB_DOCUMENT_BYTES_MAX`] bytes, end within
    /// seconds, and remember what it read: it is called for every request that brings such a token.
    async fn document(&self, url: &str, age_max: Duration) -> Result<Vec<u8>, PortError>;
}

/// The ports of one home. Cloning is cheap and gives the same home.
///
/// Not here: the build engine, which only whoever works off jobs needs.
#[derive(Clone)]
pub struct Ports {
    /// Records, counters and the outbox.
    pub store: Arc<dyn Store>,
    /// Queues.
    pub queues: Arc<dyn Queues>,
    /// Content by key.
    pub blobs: Arc<dyn Blobs>,
    /// Private keys.
    pub signer: Arc<dyn Signer>,
    /// The products' source.
    pub forge: Arc<dyn Forge>,
    /// Alerts to people.
    pub notifier: Arc<dyn Notifier>,
    /// Documents of other services.
    pub web: Arc<dyn Web>,
    /// The one clock.
    pub clock: Arc<dyn Clock>,
    /// The one source of chance.
    pub ids: Arc<dyn Ids>,
}

impl Ports {
    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}
