//! Ingestion: a request of a Sentry client becomes scrubbed events on the way to triage.
//!
//! In order: project and key, size, decoding under a cap, framing, reading, scrubbing, one commit. The
//! commit holds the message (or the name of the stored batch) and the counters, so an accepted report
//! is durable when the client hears of it, and a request that is replayed is the same message.
//!
//! **Invariants: nothing is stored before it is scrubbed. Every request ends accepted or refused. One
//! bad item never loses its neighbours. What is not kept is counted.**
//!
//! Counters (`ingest`, per project): `accepted` events, `refused/<code>` requests, `dropped/<reason>`
//! items, `client_discarded/<reason>` events that the client says it threw away itself. Requests for
//! projects that do not exist are counted under project 0, which can never be one.
//!
//! Projects and keys are cached in memory for up to [`PROJECT_CACHE_SECONDS`]: a new project or key
//! works at once or nearly so, a withdrawn one may report for that long.
//!
//! Not here: telling events apart that were sent twice (triage), rate limits and their headers
//! (`X-Sentry-Rate-Limits`, `Retry-After`), sessions, attachments, traces and logs, which are counted
//! as dropped until a stage keeps them.

mod auth;
pub mod batch;
pub mod body;
pub mod envelope;
mod json;
mod known;
pub mod otlp;
mod protocol;
pub mod sentry;
mod stack;

pub use known::PROJECT_CACHE_SECONDS;
pub use protocol::{Answer, answer};

use crate::stage::Stage;
use async_trait::async_trait;
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{ENVELOPE_FORMAT, Envelope, Message};
use kintsugi_domain::event::Event;
use kintsugi_domain::id::{DsnKey, EventId, MessageId, ProjectId};
use kintsugi_domain::limits::{EVENT_BYTES_MAX, INLINE_EVENTS_BYTES_MAX, REQUEST_BYTES_MAX};
use kintsugi_domain::ports::{Blobs, Commit, PortError, Signer, Store};
use known::{Known, Projects};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The counter of this stage.
pub const COUNTER: &str = "ingest";

/// Which form the body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/api/{project}/envelope/`: an envelope.
    Envelope,
    /// `/api/{project}/store/`: one event as JSON.
    Store,
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
        /// Items that were not kept, each counted with its reason.
        items_skipped: usize,
    },
    /// It was not taken, and nothing of it was kept.
    Refused {
        /// The HTTP status.
        status: u16,
        /// A stable name for the reason.
        code: &'static str,
        /// What is wrong, for the client's developer.
        why: String,
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

/// What was found in a body.
#[derive(Default)]
struct Found {
    id: Option<EventId>,
    events: Vec<Event>,
    skipped: usize,
    tally: BTreeMap<String, i64>,
    /// What else is in the commit that takes it.
    beside: Commit,
}

impl Found {
    fn count(&mut self, field: String, by: i64) {
        let total = self.tally.entry(field).or_default();
        *total = total.saturating_add(by);
    }

    fn drop_item(&mut self, reason: &str) {
        self.skipped += 1;
        self.count(format!("dropped/{reason}"), 1);
    }
}

/// The stage.
pub struct Ingest {
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    projects: Projects,
    batch_secrets: batch::Secrets,
}

impl Ingest {
    /// The stage over its ports. `signer` gives the salt for the hashes of users' ids.
    pub fn new(store: Arc<dyn Store>, blobs: Arc<dyn Blobs>, signer: Arc<dyn Signer>) -> Self {
        Self {
            projects: Projects::new(store.clone(), signer.clone()),
            batch_secrets: batch::Secrets::new(signer),
            store,
            blobs,
        }
    }

    /// What the request holds, or why it is refused.
    async fn admit(&self, request: &mut Request) -> Result<Result<Found, Refusal>, PortError> {
        let key = auth::key_of_request(&request.headers, request.query.as_deref());
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
        let found = body::decode(encoding, encoded)
            .map_err(|error| Refusal::of_body(&error))
            .and_then(|body| match request.endpoint {
                Endpoint::Envelope => of_envelope(&body, key.as_ref(), request, &known),
                Endpoint::Store => of_store(&body, key.as_ref(), request, &known),
            });
        Ok(found)
    }

    /// Stores what was found: events and counters in one commit.
    async fn save(
        &self,
        project: ProjectId,
        digest: Digest,
        mut found: Found,
    ) -> Result<Done, PortError> {
        let mut commit = std::mem::take(&mut found.beside);
        let events = found.events.len();
        if events > 0 {
            let accepted = i64::try_from(events).unwrap_or(i64::MAX);
            commit = commit.add(project, COUNTER, "accepted", accepted);
            commit = commit.send(self.message(project, digest, found.events).await?);
        }
        for (field, by) in &found.tally {
            commit = commit.add(project, COUNTER, field, *by);
        }
        if !commit.is_empty() {
            self.store.commit(commit).await?;
        }
        Ok(Done::Accepted {
            id: found.id,
            events,
            items_skipped: found.skipped,
        })
    }

    /// The message that hands the events on. A large batch is stored first, so that the message never
    /// names what is not there.
    async fn message(
        &self,
        project: ProjectId,
        digest: Digest,
        events: Vec<Event>,
    ) -> Result<Envelope, PortError> {
        let content = serde_json::to_vec(&events)
            .map_err(|error| PortError::broken("writing accepted events", error))?;
        let message = if content.len() <= INLINE_EVENTS_BYTES_MAX {
            Message::Reported { events }
        } else {
            let blob = format!("events/{project}/{}.json", Digest::of(&content));
            self.blobs.put(&blob, content).await?;
            Message::ReportedBatch { blob }
        };
        let cause = format!("request:{digest}");
        // Named by the request alone: the time of arrival is in the events, and a request that is
        // sent again must still be the same message.
        let id = Digest::of_parts(&[cause.as_bytes(), &project.0.to_be_bytes()]);
        Ok(Envelope {
            format: ENVELOPE_FORMAT,
            id: MessageId::from_digest(id),
            cause,
            project,
            message,
            trace: None,
        })
    }

    async fn refuse(&self, project: ProjectId, refusal: Refusal) -> Result<Done, PortError> {
        let Refusal { status, code, why } = refusal;
        let project = if self.projects.is_unknown(project) {
            ProjectId(0)
        } else {
            project
        };
        let field = format!("refused/{code}");
        let commit = Commit::new().add(project, COUNTER, &field, 1);
        self.store.commit(commit).await?;
        tracing::debug!(project.id = %project, code, why, "report refused");
        Ok(Done::Refused { status, code, why })
    }
}

#[async_trait]
impl Stage for Ingest {
    const NAME: &'static str = "ingest";
    type Command = Request;
    type Done = Done;

    async fn run(&self, mut request: Request) -> Result<Done, PortError> {
        let digest = Digest::of(&request.body);
        match self.admit(&mut request).await? {
            Ok(found) => self.save(request.project, digest, found).await,
            Err(refusal) => self.refuse(request.project, refusal).await,
        }
    }
}

fn of_store(
    body: &[u8],
    key: Option<&DsnKey>,
    request: &Request,
    known: &Known,
) -> Result<Found, Refusal> {
    if key.is_none() {
        return Err(Refusal::wrong_key());
    }
    if body.len() > EVENT_BYTES_MAX {
        return Err(too_large());
    }
    let mut found = Found::default();
    read_event(body, None, request, known, &mut found);
    if found.events.is_empty() {
        return Err(Refusal::new(
            400,
            "event_broken",
            "event is not a JSON object",
        ));
    }
    Ok(found)
}

fn of_envelope(
    body: &[u8],
    key: Option<&DsnKey>,
    request: &Request,
    known: &Known,
) -> Result<Found, Refusal> {
    let parts =
        envelope::parse(body).map_err(|error| Refusal::new(400, "envelope_header", error))?;
    if key.is_none() {
        // A tunnel forwards the body alone: its header names the key.
        let dsn = parts.header.get("dsn").and_then(Value::as_str);
        let key = dsn.and_then(auth::key_of_dsn);
        if !key.is_some_and(|key| known.keys.contains(&key)) {
            return Err(Refusal::wrong_key());
        }
    }
    let mut found = Found {
        id: sentry::sentry_id(parts.header.get("event_id")),
        ..Found::default()
    };
    let mut too_large_events = 0;
    for item in &parts.items {
        match item.kind.as_str() {
            "event" if item.payload.len() > EVENT_BYTES_MAX => {
                too_large_events += 1;
                found.drop_item("event_too_large");
            }
            "event" => read_event(
                item.payload,
                Some(&parts.header),
                request,
                known,
                &mut found,
            ),
            "client_report" => protocol::client_report(item.payload, &mut found.tally),
            kind => found.drop_item(envelope::known_kind(kind).unwrap_or("unknown_item")),
        }
    }
    for _ in 0..parts.broken {
        found.drop_item("item_broken");
    }
    if parts.more {
        found.drop_item("too_many_items");
    }
    // Alone in its envelope it is the request that is too large; beside others it is counted.
    if too_large_events > 0 && too_large_events == parts.items.len() {
        return Err(too_large());
    }
    Ok(found)
}

fn too_large() -> Refusal {
    let why = format!("event is larger than {EVENT_BYTES_MAX} bytes");
    Refusal::new(413, "event_too_large", why)
}

/// Reads and scrubs one event; one that cannot be read is counted.
fn read_event(
    payload: &[u8],
    header: Option<&serde_json::Map<String, Value>>,
    request: &Request,
    known: &Known,
    found: &mut Found,
) {
    // The id in the header belongs to the first event; a second one without an id has its own.
    let header = header.filter(|_| found.events.is_empty());
    let frame = sentry::Frame {
        project: request.project,
        received_at: request.at,
        header,
    };
    let scrubber = &known.scrubber;
    let event = json::read(payload)
        .and_then(|value| sentry::event(&value, payload, &frame, |id| scrubber.user_hash(id)));
    let Some(mut event) = event else {
        found.drop_item("event_broken");
        return;
    };
    scrubber.scrub_event(&mut event);
    found.id.get_or_insert_with(|| event.id.clone());
    found.events.push(event);
}

#[cfg(test)]
mod tests;
