//! Sealed batches of our own reporter: `POST /v1/{project}/batches`.
//!
//! In order: project and key, size, checksum, time, key id, whether it came before, the seal, decompression under a cap, the
//! lines. From there on an event goes the way of any other: scrubbed, then one commit that also remembers the batch.
//!
//! The content is lines of JSON, one report each: a Sentry event with a member `kind`
//! ([`ReportKind`](kintsugi_domain::report::ReportKind)), or what the reporter itself threw away (`discarded_events`, as in Sentry's client
//! reports), or `metrics` (`items/metrics.rs`). **A line that cannot be read loses no other.** Kinds that tell of no trouble make no event: a
//! session begins or ends (`sid`, as in Sentry's sessions), a feature was used or a setting changed (by the tag `feature` or `setting`);
//! without these they are only counted (`usage/<kind>`). A trouble names its session by `sid` as well. A line may bring a minidump as its
//! first member, `minidump`, in Base64: what the dump says of the crash completes the event, and the dump is not kept.
//!
//! A batch is taken once: its id is a record that is created in the commit that takes it. One that comes again is refused as
//! `REPLAYED`, which its sender may take for an acknowledgement. Batches are refused where their own time lies further from ours than
//! they are remembered.
//!
//! Of what is inside, each category has its quota (`quotas.rs`), asked before an event is scrubbed. What is beyond it is refused, and the
//! receipt says how many of what. **Only a batch of which nothing was let in is refused as a whole** (`RATE_LIMITED`, and when to come again)
//! **and not remembered**, so that it may come again.
//!
//! Not here: the form of a batch (`kintsugi_trust::batch`), and who may make new keys ([`crate::admin`]).

mod reading;

use super::keep::Kept;
use super::{COUNTER, Found, Ingest, auth, body, known::Known};
use kintsugi_domain::Timestamp;
use kintsugi_domain::accounting::{self, Category, Fate};
use kintsugi_domain::batch::{BatchAge, ReceivedBatch, age};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::{BatchId, DsnKey, ProjectId};
use kintsugi_domain::limits::{
    BATCH_AGE_DAYS_MAX, BATCH_AHEAD_HOURS_MAX, REQUEST_BYTES_MAX, REQUEST_DECODED_BYTES_MAX,
};
use kintsugi_domain::ports::{Commit, KeyName, KeyUse, PortError, RecordKey, Signer};
use kintsugi_domain::record::Record as _;
use kintsugi_trust::batch::{
    BatchError, BatchHeader, BatchKey, BatchSecret, Compression, SealedBatch,
};
use reading::Reading;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most keys remembered; each is a few hundred bytes.
const SECRETS_MAX: usize = 4_096;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// The project in its path.
    pub project: ProjectId,
    /// The query of its URL, without `?`.
    pub query: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body. One byte over [`REQUEST_BYTES_MAX`] is enough of a larger one.
    pub body: Vec<u8>,
    /// When it arrived.
    pub at: Timestamp,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was taken.
    Accepted(Receipt),
    /// It was not, and nothing of it was kept.
    Refused(Refusal),
}

/// What was taken of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The batch.
    pub batch: BatchId,
    /// Events handed on.
    pub events: usize,
    /// Reports that were only counted.
    pub counted: usize,
    /// Items that were not kept, each counted with its reason.
    pub dropped: usize,
    /// Items that there was no quota for, by category. They are not looked at again.
    pub refused: BTreeMap<Category, usize>,
}

/// Why a batch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// One answer for a project that does not exist and for a wrong key, so that strangers learn nothing.
    #[error("no such project, or the key is not one of its keys")]
    WrongKey,
    /// The body or what it unfolds into is too large.
    #[error(
        "the batch is larger than {REQUEST_BYTES_MAX} bytes, or unfolds into more than {REQUEST_DECODED_BYTES_MAX}"
    )]
    TooLarge,
    /// Not the form of a batch, or one for another project.
    #[error("{0}")]
    Malformed(&'static str),
    /// It was damaged on its way or on disk.
    #[error("the batch was damaged: its checksum does not fit")]
    InvalidChecksum,
    /// It is sealed to a key that was never there or is retired.
    #[error("the batch is sealed to a key that this project does not accept")]
    UnknownKey,
    /// It was taken before.
    #[error("the batch was taken before")]
    Replayed,
    /// Too old to tell whether it came before.
    #[error("the batch is older than {BATCH_AGE_DAYS_MAX} days")]
    Stale,
    /// From the future.
    #[error("the batch is from more than {BATCH_AHEAD_HOURS_MAX} hours ahead")]
    Ahead,
    /// The seal does not open.
    #[error("the batch cannot be opened with the key that it names")]
    NotOpened,
    /// The content is not what it was compressed from.
    #[error("the content of the batch cannot be decompressed")]
    Damaged,
    /// The quota of everything in it is used up.
    #[error("the quota is used up; there is some again in {seconds} seconds")]
    RateLimited {
        /// Seconds until there is something again.
        seconds: u64,
    },
}

impl Refusal {
    /// A stable name for programs and counters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongKey => "WRONG_KEY",
            Self::TooLarge => "TOO_LARGE",
            Self::Malformed(_) => "MALFORMED",
            Self::InvalidChecksum => "INVALID_CHECKSUM",
            Self::UnknownKey => "UNKNOWN_KEY",
            Self::Replayed => "REPLAYED",
            Self::Stale => "STALE",
            Self::Ahead => "AHEAD",
            Self::NotOpened => "NOT_OPENED",
            Self::Damaged => "DAMAGED",
            Self::RateLimited { .. } => "RATE_LIMITED",
        }
    }
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Malformed(why) => Self::Malformed(why),
            BatchError::InvalidChecksum => Self::InvalidChecksum,
            BatchError::NotOpened | BatchError::NotAKey | BatchError::NotSealed => Self::NotOpened,
        }
    }
}

/// A batch whose seal is open.
struct Opened<'k> {
    known: &'k Known,
    /// The key that its sender reports with.
    key: &'k DsnKey,
    /// What will be remembered of it.
    record: ReceivedBatch,
    /// Names the request.
    digest: Digest,
}

/// Why taking a batch ended early.
enum Stop {
    Refused(Refusal),
    Failed(PortError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<BatchError> for Stop {
    fn from(error: BatchError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<PortError> for Stop {
    fn from(error: PortError) -> Self {
        Self::Failed(error)
    }
}

/// A public key that batches may be sealed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublishedKey {
    /// Its generation; new versions of a product should be shipped with the highest.
    pub generation: u32,
    /// Its id.
    pub id: String,
    /// The key, as a reporter is configured with it.
    pub key: String,
}

/// The key pairs of the projects that were asked for lately. A pair is derived from its secret in a millisecond.
pub(super) struct Secrets {
    signer: Arc<dyn Signer>,
    known: Mutex<BTreeMap<(ProjectId, u32), Arc<BatchSecret>>>,
}

impl Secrets {
    pub(super) fn new(signer: Arc<dyn Signer>) -> Self {
        Self {
            signer,
            known: Mutex::default(),
        }
    }

    async fn get(
        &self,
        project: ProjectId,
        generation: u32,
    ) -> Result<Arc<BatchSecret>, PortError> {
        let at = (project, generation);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&at) {
            return Ok(Arc::clone(found));
        }
        let name = KeyName {
            project,
            key_use: KeyUse::Batches(generation),
        };
        let secret = self.signer.secret(&name).await?;
        let secret = Arc::new(BatchSecret::derive(&secret));
        let mut known = known();
        if known.len() >= SECRETS_MAX {
            known.clear();
        }
        known.insert(at, Arc::clone(&secret));
        Ok(secret)
    }
}

impl Ingest {
    /// Takes a sealed batch.
    pub async fn take_batch(&self, request: Request) -> Result<Done, PortError> {
        let project = request.project;
        match self.admit_batch(request).await {
            Ok(done) => Ok(done),
            Err(Stop::Refused(refusal)) => {
                self.count_refusal(project, refusal.code()).await?;
                tracing::debug!(project.id = %project, code = refusal.code(), "batch refused");
                Ok(Done::Refused(refusal))
            }
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// The public keys that batches of a project may be sealed to, the newest first; nothing when there is no such project.
    pub async fn batch_keys(
        &self,
        project: ProjectId,
        at: Timestamp,
    ) -> Result<Option<Vec<PublishedKey>>, PortError> {
        if self.projects.known(project, None, at).await?.is_none() {
            return Ok(None);
        }
        // Whoever has just begun a generation asks for its key next.
        let Some(known) = self.projects.look(project, at).await? else {
            return Ok(None);
        };
        let mut keys = Vec::new();
        for generation in known.batch_keys.accepted().rev() {
            let secret = self.batch_secrets.get(project, generation).await?;
            let key: &BatchKey = secret.public();
            keys.push(PublishedKey {
                generation,
                id: key.id().to_owned(),
                key: key.as_str().to_owned(),
            });
        }
        Ok(Some(keys))
    }

    /// Takes it, refuses what is inside, whose items are counted then, or stops before that.
    async fn admit_batch(&self, request: Request) -> Result<Done, Stop> {
        let key = auth::key_of_request(&request.headers, request.query.as_deref())
            .or_else(|| auth::bearer_key(&request.headers));
        let key = key.ok_or(Refusal::WrongKey)?;
        let project = request.project;
        let known = self.projects.known(project, Some(&key), request.at).await?;
        let known = known
            .filter(|known| known.keys.contains(&key))
            .ok_or(Refusal::WrongKey)?;
        if request.body.len() > REQUEST_BYTES_MAX {
            return Err(Refusal::TooLarge.into());
        }
        let sealed = SealedBatch::read(&request.body)?;
        let header = sealed.header();
        if header.project != project {
            return Err(Refusal::Malformed("the batch is for another project").into());
        }
        match age(header.created, request.at) {
            BatchAge::Fits => {}
            BatchAge::Stale => return Err(Refusal::Stale.into()),
            BatchAge::Ahead => return Err(Refusal::Ahead.into()),
        }
        let secret = self.batch_secret(&known, header, request.at).await?;
        let record = ReceivedBatch {
            project,
            id: header.batch.clone(),
            created_at: header.created,
            received_at: request.at,
        };
        if self.store.get(&record_key(&record)).await?.is_some() {
            return Err(Refusal::Replayed.into());
        }
        let content = sealed.open(&secret)?;
        let digest = Digest::of(&request.body);
        let opened = Opened {
            known: &known,
            key: &key,
            record,
            digest,
        };
        self.take_opened(opened, header.compression, content).await
    }

    /// Takes the content of a batch whose seal is open, as [`Self::take_batch`] does, which asks first whether the batch came before.
    /// `content` is compressed as the header says. **Nothing in here knows who sealed it**: it is for whoever opened the batch, and for
    /// the fuzz target, which would do little else than arithmetic on curves if it had to seal every content.
    pub async fn take_content(
        &self,
        header: &BatchHeader,
        content: Vec<u8>,
        at: Timestamp,
    ) -> Result<Done, PortError> {
        let known = self.projects.known(header.project, None, at).await?;
        let key = known.as_ref().and_then(|known| known.keys.first());
        let (Some(known), Some(key)) = (&known, key) else {
            return Ok(Done::Refused(Refusal::WrongKey));
        };
        let record = ReceivedBatch {
            project: header.project,
            id: header.batch.clone(),
            created_at: header.created,
            received_at: at,
        };
        let opened = Opened {
            known,
            key,
            record,
            digest: Digest::of(&content),
        };
        match self.take_opened(opened, header.compression, content).await {
            Ok(done) => Ok(done),
            Err(Stop::Refused(refusal)) => Ok(Done::Refused(refusal)),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// Reads an opened batch and saves what was found.
    async fn take_opened(
        &self,
        opened: Opened<'_>,
        compression: Compression,
        content: Vec<u8>,
    ) -> Result<Done, Stop> {
        let Opened {
            known,
            key,
            record,
            digest,
        } = opened;
        let decoded = body::decode(Some(compression.name()), content);
        let content = decoded.map_err(|error| match error {
            body::BodyError::TooLarge => Refusal::TooLarge,
            body::BodyError::UnknownEncoding | body::BodyError::Damaged { .. } => Refusal::Damaged,
        })?;
        let mut reading = Reading::new(known, record.project, record.received_at);
        let read = reading.lines(&content, &self.quotas, key).await?;
        let Reading {
            counted,
            refused,
            mut found,
            ..
        } = reading;
        if let Err(refusal) = read {
            // Only counted: what is not remembered may come again.
            self.save(record.project, digest, None, found).await?;
            return Ok(Done::Refused(refusal));
        }
        found.beside = Commit::new().create(&record);
        let kept: usize = found.kept.iter().map(Kept::items).sum();
        let receipt = Receipt {
            batch: record.id.clone(),
            events: found.events.len(),
            counted: counted + kept,
            dropped: found.skipped.saturating_sub(refused.values().sum()),
            refused,
        };
        self.save_batch(&record, digest, found).await?;
        Ok(Done::Accepted(receipt))
    }

    /// Saves what a batch holds in the commit that remembers it, so that whatever is counted is counted once; only what does not fit into
    /// one commit is kept before it.
    async fn save_batch(
        &self,
        record: &ReceivedBatch,
        digest: Digest,
        mut found: Found,
    ) -> Result<(), Stop> {
        let keeper = self.keeper(record.project);
        let spare = (!found.kept.is_empty()).then(|| found.clone());
        match keeper.together(&found.kept).await? {
            Some(commit) => {
                found.beside.writes.extend(commit.writes);
                found.beside.adds.extend(commit.adds);
            }
            None => keeper.keep(&found.kept).await?,
        }
        let saved = self.save(record.project, digest, None, found).await;
        let is_there = match &saved {
            Err(PortError::Conflict { .. }) => self.store.get(&record_key(record)).await?.is_some(),
            Ok(_) | Err(_) => false,
        };
        match (saved, spare) {
            (Ok(_), _) => Ok(()),
            // Two senders of one batch at once: one of them was first.
            (Err(PortError::Conflict { .. }), None) => Err(Refusal::Replayed.into()),
            (Err(PortError::Conflict { .. }), Some(_)) if is_there => Err(Refusal::Replayed.into()),
            // Somebody else told of the same release or session just then.
            (Err(PortError::Conflict { .. }), Some(found)) => {
                keeper.keep(&found.kept).await?;
                match self.save(record.project, digest, None, found).await {
                    Err(PortError::Conflict { .. }) => Err(Refusal::Replayed.into()),
                    saved => Ok(saved.map(|_| ())?),
                }
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// The key pair that a batch says it is sealed to. A generation that is not known may have begun since the last look.
    async fn batch_secret(
        &self,
        known: &Known,
        header: &BatchHeader,
        at: Timestamp,
    ) -> Result<Arc<BatchSecret>, Stop> {
        if let Some(secret) = self.secret_among(known, header).await? {
            return Ok(secret);
        }
        let lately = self.projects.lately(header.project, at).await?;
        let lately = lately.ok_or(Refusal::UnknownKey)?;
        let secret = self.secret_among(&lately, header).await?;
        Ok(secret.ok_or(Refusal::UnknownKey)?)
    }

    async fn secret_among(
        &self,
        known: &Known,
        header: &BatchHeader,
    ) -> Result<Option<Arc<BatchSecret>>, PortError> {
        for generation in known.batch_keys.accepted().rev() {
            let secret = self.batch_secrets.get(header.project, generation).await?;
            if secret.public().id() == header.key {
                return Ok(Some(secret));
            }
        }
        Ok(None)
    }

    /// Counts a request that was refused; requests for projects that do not exist under project 0.
    pub(super) async fn count_refusal(
        &self,
        project: ProjectId,
        code: &str,
    ) -> Result<(), PortError> {
        let project = if self.projects.is_unknown(project) {
            ProjectId(0)
        } else {
            project
        };
        let received = accounting::received(Category::Request);
        let refused = accounting::ended(Fate::Refused, Category::Request, code);
        let commit = Commit::new()
            .add(project, COUNTER, &received, 1)
            .add(project, COUNTER, &refused, 1);
        self.store.commit(commit).await
    }
}

fn record_key(record: &ReceivedBatch) -> RecordKey {
    RecordKey {
        project: record.project,
        kind: ReceivedBatch::KIND,
        key: record.key(),
    }
}

#[cfg(test)]
mod tests;
