//! Ingestion: a request of a Sentry client becomes scrubbed events on the way to triage.
//!
//! In order: project and key, size, decoding under a cap, framing, reading, scrubbing, handing on. The events go to their
//! queue in one message, or lie in a stored batch that the message names, and only then does the client hear that they
//! were taken: **an accepted report is durable**. A request that is replayed is the same message.
//!
//! **Invariants: nothing is stored before it is scrubbed. Every request ends accepted or refused. One
//! bad item never loses its neighbours. What is not kept is counted.**
//!
//! Counters (`ingest`, per project): what became of every item, see [`kintsugi_domain::accounting`]. Requests for projects that do not
//! exist are counted under project 0, which can never be one. Triage counts the events that it files, each once however often it was
//! sent.
//!
//! Events go to triage; what else is of use is kept here (`keep.rs`) before the events are handed on. Quotas are asked before an item is
//! read (`quotas.rs`).
//!
//! Projects and keys are cached in memory for up to [`PROJECT_CACHE_SECONDS`]: a new project or key
//! works at once or nearly so, a withdrawn one may report for that long.
//!
//! Not here: telling events apart that were sent twice (triage).

mod auth;
pub mod batch;
pub mod body;
mod details;
pub mod envelope;
mod found;
mod items;
mod json;
mod keep;
mod known;
mod lean;
mod msgpack;
mod multipart;
pub mod otlp;
mod protocol;
mod quotas;
pub mod sentry;
mod stack;

pub use json::Json;
pub use known::PROJECT_CACHE_SECONDS;
pub use protocol::{Answer, Limit, answer};

use crate::events::keep;
use crate::stage::Stage;
use async_trait::async_trait;
use envelope::Parts;
use found::Found;
use items::Origin;
use keep::{Keeper, Kept, Remembered};
use kintsugi_domain::Timestamp;
use kintsugi_domain::accounting::{self, Category, Fate};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{ENVELOPE_FORMAT, Envelope, Message};
use kintsugi_domain::event::{Body, Event};
use kintsugi_domain::id::{DsnKey, EventId, MessageId, ProjectId};
use kintsugi_domain::limits::{INLINE_EVENTS_BYTES_MAX, REQUEST_BYTES_MAX};
use kintsugi_domain::ports::{Blobs, Commit, PortError, Ports, Queues, Store};
use kintsugi_domain::trace::TraceId;
use known::{Known, Projects};
use quotas::Quotas;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The counter of this stage.
pub const COUNTER: &str = "ingest";

/// Which form the body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/api/{project}/envelope/`: an envelope.
    Envelope,
    /// `/api/{project}/store/`: one event as JSON; of old clients also as zlib in Base64.
    Store,
    /// `/api/{project}/security/`: one report of a browser.
    Security,
    /// `/api/{project}/minidump/`: a form with a minidump, or the dump itself.
    Minidump,
    /// `/v1/{project}/metrics`: metrics in a form of our own.
    Metrics,
    /// `/v1/{project}/feedback`: what a user says, in a form of our own.
    Feedback,
}

impl Endpoint {
    /// Whether it is one of our own protocol, where the key stands in `Authorization: Bearer`.
    fn is_ours(self) -> bool {
        match self {
            Self::Metrics | Self::Feedback => true,
            Self::Envelope | Self::Store | Self::Security | Self::Minidump => false,
        }
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// The project in its path.
    pub project: ProjectId,
    /// Where it was sent.
    pub endpoint: Endpoint,
    /// The query of its URL, without `?`.
    pub query: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body, still encoded.
    pub body: Vec<u8>,
    /// When it arrived.
    pub at: Timestamp,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was taken.
    Accepted {
        /// The id that the client gave, or the first event's.
        id: Option<EventId>,
        /// Events handed on.
        events: usize,
        /// Items that are kept beside them.
        kept: usize,
        /// Items that were not kept, each counted with its reason.
        items_skipped: usize,
        /// Quotas that are used up.
        limits: Vec<Limit>,
    },
    /// It was not taken, and nothing of it was kept.
    Refused {
        /// The HTTP status.
        status: u16,
        /// A stable name for the reason.
        code: &'static str,
        /// What is wrong, for the client's developer.
        why: String,
        /// Quotas that are used up.
        limits: Vec<Limit>,
    },
}

/// Why a request is refused.
#[derive(Debug)]
struct Refusal {
    status: u16,
    code: &'static str,
    why: String,
}

impl Refusal {
    fn new(status: u16, code: &'static str, why: impl std::fmt::Display) -> Self {
        let why = why.to_string();
        Self { status, code, why }
    }

    /// One answer for a project that does not exist and for a wrong key, so that strangers learn
    /// nothing.
    fn wrong_key() -> Self {
        Self::new(
            403,
            "wrong_key",
            "no such project, or the key is not one of its keys",
        )
    }

    fn of_body(error: &body::BodyError) -> Self {
        match error {
            body::BodyError::TooLarge => Self::new(413, "body_too_large", error),
            body::BodyError::UnknownEncoding => Self::new(400, "encoding_unknown", error),
            body::BodyError::Damaged { .. } => Self::new(400, "body_damaged", error),
        }
    }
}

/// The stage.
pub struct Ingest {
    store: Arc<dyn Store>,
    queues: Arc<dyn Queues>,
    blobs: Arc<dyn Blobs>,
    projects: Projects,
    quotas: Quotas,
    series: Remembered,
    batch_secrets: batch::Secrets,
}

impl Ingest {
    /// The stage of a home.
    pub fn new(ports: &Ports) -> Self {
        Self {
            projects: Projects::new(ports.store.clone(), ports.signer.clone()),
            quotas: Quotas::new(ports.store.clone()),
            series: Remembered::default(),
            batch_secrets: batch::Secrets::new(ports.signer.clone()),
            store: ports.store.clone(),
            queues: ports.queues.clone(),
            blobs: ports.blobs.clone(),
        }
    }

    /// What the request holds, or why it is refused unopened.
    async fn admit(&self, request: &mut Request) -> Result<Result<Found, Refusal>, PortError> {
        let key = auth::key_of_request(&request.headers, request.query.as_deref());
        let bearer = || auth::bearer_key(&request.headers).filter(|_| request.endpoint.is_ours());
        let key = key.or_else(bearer);
        let known = self
            .projects
            .known(request.project, key.as_ref(), request.at)
            .await?;
        let Some(known) = known else {
            return Ok(Err(Refusal::wrong_key()));
        };
        if key.as_ref().is_some_and(|key| !known.keys.contains(key)) {
            return Ok(Err(Refusal::wrong_key()));
        }
        if request.body.len() > REQUEST_BYTES_MAX {
            let why = format!("body is larger than {REQUEST_BYTES_MAX} bytes");
            return Ok(Err(Refusal::new(413, "body_too_large", why)));
        }
        let encoded = std::mem::take(&mut request.body);
        let encoding = auth::header(&request.headers, "content-encoding");
        let decoded = match body::decode(encoding, encoded) {
            Ok(body) if request.endpoint == Endpoint::Store => body::unwrapped(body),
            done => done,
        };
        let body = match decoded {
            Ok(body) => body,
            Err(error) => return Ok(Err(Refusal::of_body(&error))),
        };
        let kind = auth::header(&request.headers, "content-type");
        match opened(&body, (request.endpoint, kind), key, &known) {
            Ok((parts, key)) => Ok(Ok(self.sort(&parts, &key, request, &known).await?)),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Reads every item for which there is a quota.
    async fn sort(
        &self,
        parts: &Parts<'_>,
        key: &DsnKey,
        request: &Request,
        known: &Known,
    ) -> Result<Found, PortError> {
        let charged: Vec<_> = parts.items.iter().map(items::charged).collect();
        let mut wanted = BTreeMap::new();
        for (category, count) in charged.iter().flatten() {
            *wanted.entry(*category).or_insert(0) += count;
        }
        let named = (request.project, key);
        let mut grants = self
            .quotas
            .grant(named, &known.quota, &wanted, request.at)
            .await?;
        let has_header = !parts.header.is_empty();
        let origin = Origin {
            frame: sentry::Frame {
                project: request.project,
                received_at: request.at,
                header: has_header.then_some(&parts.header),
            },
            scrubber: &known.scrubber,
            rules: &known.rules,
            query: request.query.as_deref(),
        };
        let mut found = Found {
            id: sentry::sentry_id(parts.header.get("event_id")),
            limits: std::mem::take(&mut grants.limits),
            ..Found::default()
        };
        for (item, charged) in parts.items.iter().zip(charged) {
            match charged.map(|(category, count)| (category, count, grants.some(category, count))) {
                Some((category, count, 0)) => {
                    found.receive(category, count);
                    found.refuse(category, "rate_limited", count);
                }
                Some((_, count, granted)) if granted < count => {
                    items::take(item, granted, &origin, &mut found);
                }
                Some(_) | None => items::take(item, usize::MAX, &origin, &mut found),
            }
        }
        for (reason, count) in [
            ("item_broken", parts.broken),
            ("too_many_items", parts.more),
        ] {
            if count > 0 {
                found.receive(Category::Default, count);
                found.drop(Category::Default, reason, count);
            }
        }
        Ok(found)
    }

    /// Who keeps what is not for triage.
    fn keeper(&self, project: ProjectId) -> Keeper<'_> {
        Keeper {
            store: self.store.as_ref(),
            blobs: self.blobs.as_ref(),
            series: &self.series,
            project,
        }
    }

    /// Hands on what was found, and counts what ended here.
    async fn save(
        &self,
        project: ProjectId,
        digest: Digest,
        refusal: Option<Refusal>,
        mut found: Found,
    ) -> Result<Done, PortError> {
        let mut commit = std::mem::take(&mut found.beside);
        let events = found.events.len();
        if events > 0 {
            let message = self.message(project, digest, &found.events).await?;
            commit = self.hand_on(message, commit).await?;
        }
        for (field, by) in &found.tally {
            commit = commit.add(project, COUNTER, field, *by);
        }
        if !commit.is_empty() {
            self.store.commit(commit).await?;
        }
        if let Some(Refusal { status, code, why }) = refusal {
            let limits = found.limits;
            return Ok(Done::Refused {
                status,
                code,
                why,
                limits,
            });
        }
        Ok(Done::Accepted {
            id: found.id,
            events,
            kept: found.kept.iter().map(Kept::items).sum(),
            items_skipped: found.skipped,
            limits: found.limits,
        })
    }

    /// The message that hands the events on. A large batch is stored first, so that the message never
    /// names what is not there.
    async fn message(
        &self,
        project: ProjectId,
        digest: Digest,
        events: &[Event],
    ) -> Result<Envelope, PortError> {
        let number = project.0.to_be_bytes();
        let ids: Vec<EventId> = events.iter().map(|event| event.id.clone()).collect();
        let events = Body::all(events)
            .map_err(|error| PortError::broken("writing accepted events", error))?;
        let bytes: usize = events.iter().map(|body| body.json().len()).sum();
        let message = if bytes <= INLINE_EVENTS_BYTES_MAX {
            Message::Reported { events }
        } else {
            let content = Body::list(&events);
            let blob = keep(self.blobs.as_ref(), project, content.as_bytes()).await?;
            Message::ReportedBatch { blob }
        };
        let cause = format!("request:{digest}");
        // Named by the request and by which of its events were let in: the time of arrival is in the events, and a request that
        // is sent again must still be the same message, unless a quota lets in more of it then.
        let mut named = vec![cause.as_bytes(), &number];
        named.extend(ids.iter().map(|id| id.as_str().as_bytes()));
        let id = Digest::of_parts(&named);
        Ok(Envelope {
            format: ENVELOPE_FORMAT,
            id: MessageId::from_digest(id),
            cause,
            project,
            message,
            trace: TraceId::current(),
        })
    }

    /// Hands the message to its queue, which keeps it as durably as the outbox would for less. What the queue does not take
    /// goes into the outbox, by the commit.
    async fn hand_on(&self, message: Envelope, commit: Commit) -> Result<Commit, PortError> {
        match self.queues.send(std::slice::from_ref(&message)).await {
            Ok(()) => Ok(commit),
            Err(error) if error.is_transient() => {
                tracing::warn!(message = %message.id, reason = %error, "the queue is out of order; the outbox keeps the report");
                Ok(commit.send(message))
            }
            Err(error) => Err(error),
        }
    }

    async fn refuse(&self, project: ProjectId, refusal: Refusal) -> Result<Done, PortError> {
        let Refusal { status, code, why } = refusal;
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
        self.store.commit(commit).await?;
        tracing::debug!(project.id = %project, code, why, "report refused");
        Ok(Done::Refused {
            status,
            code,
            why,
            limits: Vec::new(),
        })
    }
}

#[async_trait]
impl Stage for Ingest {
    const NAME: &'static str = "ingest";
    type Command = Request;
    type Done = Done;

    async fn run(&self, mut request: Request) -> Result<Done, PortError> {
        let body = Digest::of(&request.body);
        let digest = match request.endpoint {
            // Browsers name no report, and those of two visitors are alike to the byte.
            Endpoint::Security => Digest::of_parts(&[
                body.to_string().as_bytes(),
                &request.at.as_microsecond().to_be_bytes(),
            ]),
            Endpoint::Envelope
            | Endpoint::Store
            | Endpoint::Minidump
            | Endpoint::Metrics
            | Endpoint::Feedback => body,
        };
        match self.admit(&mut request).await? {
            Ok(found) => {
                self.keeper(request.project).keep(&found.kept).await?;
                let refusal = verdict(&found, request.endpoint);
                self.save(request.project, digest, refusal, found).await
            }
            Err(refusal) => self.refuse(request.project, refusal).await,
        }
    }
}

/// Takes a body apart, and says which key sent it: a tunnel forwards the body alone, whose header names the key.
fn opened<'b>(
    body: &'b [u8],
    (endpoint, content_type): (Endpoint, Option<&str>),
    key: Option<DsnKey>,
    known: &Known,
) -> Result<(Parts<'b>, DsnKey), Refusal> {
    let parts = match endpoint {
        Endpoint::Envelope => {
            let mut parts = envelope::parse(body)
                .map_err(|error| Refusal::new(400, "envelope_header", error))?;
            items::complete(&mut parts.items);
            parts
        }
        Endpoint::Store => Parts::one("event", body),
        Endpoint::Security => Parts::one("raw_security", body),
        Endpoint::Metrics => Parts::one(items::METRICS, body),
        Endpoint::Feedback => Parts::one(items::FEEDBACK, body),
        Endpoint::Minidump => multipart::parse(content_type, body)
            .map_err(|error| Refusal::new(400, "minidump_missing", error))?,
    };
    let tunnelled = || auth::key_of_dsn(parts.header.get("dsn")?.as_str()?);
    let key = key.or_else(tunnelled);
    match key.filter(|key| known.keys.contains(key)) {
        Some(key) => Ok((parts, key)),
        None => Err(Refusal::wrong_key()),
    }
}

/// What to tell the client where nothing was of use and it can be put right. Each item has its end in the account already.
fn verdict(found: &Found, endpoint: Endpoint) -> Option<Refusal> {
    if !found.is_empty() || found.skipped != 1 && found.last_reason != Some("rate_limited") {
        return None;
    }
    match found.last_reason? {
        "rate_limited" => Some(Refusal::new(429, "rate_limited", "the quota is used up")),
        "too_large" => Some(Refusal::new(413, "item_too_large", "the item is too large")),
        // An envelope is in order even where its item is not.
        "broken" if endpoint != Endpoint::Envelope => Some(Refusal::new(
            400,
            "item_broken",
            "the item is not what its kind has to be",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
