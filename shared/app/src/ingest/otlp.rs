//! OTLP over HTTP, logs and traces: `POST /otlp/v1/{logs,traces}`, as protobuf or JSON.
//!
//! Log records and span events that carry an exception (`exception.type`, `exception.message`, `exception.stacktrace`, as OpenTelemetry's
//! semantic conventions have it) become events; other records and spans are counted (`without_exception`), which is no error of their
//! sender. What is over a limit or a quota or cannot be read is told as rejected in the answer's partial success; where the quota lets nothing
//! in, the answer is 429 with `Retry-After`.
//!
//! The project is named by the header `kintsugi-project` or the query's `project`, the reporting key as for Sentry's clients or as
//! `Authorization: Bearer KEY`, so that an exporter needs no more than its endpoint and one setting of headers.
//!
//! An instrumentation may write one exception both to the span and to the log. Both become the same event where they name the same trace,
//! span, type and message, because that is what the event's id is made of.
//!
//! **What many records share (their resource, the name of their span) is cut to `SHARED_BYTES_MAX` and kept once**: copied into each of
//! them, a request would grow a thousand times.
//!
//! Not here: metrics, and keeping logs or spans as such.

mod events;
mod json;
mod proto;

use super::json::VALUES_MAX;
use super::{Done as Saved, Found, Ingest, Refusal, auth, body};
use kintsugi_domain::Timestamp;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::{ENVELOPE_ITEMS_MAX, REQUEST_BYTES_MAX, TEXT_CHARS_MAX};
use kintsugi_domain::ports::PortError;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Header that names the project.
pub const PROJECT_HEADER: &str = "kintsugi-project";

/// Longest text that records share, bytes. Twice what as many characters as an event keeps can take, so that the scrubber, which cuts
/// it, sees whole what lies across its cut.
const SHARED_BYTES_MAX: usize = 8 * TEXT_CHARS_MAX;

/// Why records are rejected.
const REJECTED: &str = "too many records, or records that cannot be read";
/// Why records are rejected, or a whole request refused, whose quota is used up.
const LIMITED: &str = "the quota is used up";

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Spans.
    Traces,
}

impl Signal {
    /// The member of the answer's partial success that counts what was rejected.
    fn rejected_member(self) -> &'static str {
        match self {
            Self::Logs => "rejectedLogRecords",
            Self::Traces => "rejectedSpans",
        }
    }

    /// What a record is counted as that makes no event.
    fn category(self) -> Category {
        match self {
            Self::Logs => Category::LogItem,
            Self::Traces => Category::Span,
        }
    }
}

/// How a request is written, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

impl Encoding {
    /// The encoding of a media type.
    pub fn of(content_type: &str) -> Option<Self> {
        let name = content_type.split(';').next().unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// What it carries.
    pub signal: Signal,
    /// The query of its URL, without `?`.
    pub query: Option<String>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body, still encoded. One byte over [`REQUEST_BYTES_MAX`] is enough of a larger one.
    pub body: Vec<u8>,
    /// When it arrived.
    pub at: Timestamp,
}

/// An answer, in the encoding of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The encoding.
    pub encoding: Encoding,
    /// The body.
    pub body: Vec<u8>,
    /// Where the quota is used up: seconds until there is some again (`Retry-After`).
    pub retry_after: Option<u64>,
}

/// Attributes by name. Of arrays and maps the value is kept.
type Attributes = BTreeMap<String, Value>;

/// What a group of records comes from.
#[derive(Debug, Default)]
struct Resource {
    /// Its attributes; texts are cut, lists and maps are texts.
    attributes: Attributes,
    /// A digest of what they were, for ids.
    digest: String,
}

impl Resource {
    fn new(attributes: Attributes) -> Self {
        let digest = Digest::of(format!("{attributes:?}").as_bytes()).to_string();
        let attributes = attributes.into_iter().map(|(name, value)| {
            let value = match value {
                Value::Null | Value::Bool(_) | Value::Number(_) => value,
                Value::String(_) | Value::Array(_) | Value::Object(_) => {
                    Value::String(short(proto::text(value)))
                }
            };
            (name, value)
        });
        Self {
            attributes: attributes.collect(),
            digest,
        }
    }
}

/// A text that records share.
fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(SHARED_BYTES_MAX));
    text
}

/// What was read of a request: records that carry an exception, and how many did not or could not be read.
struct Records {
    found: Vec<Record>,
    without: usize,
    broken: usize,
    /// How many values protobuf's records may still be made of; JSON's are bounded as a whole.
    values_left: usize,
}

/// One log record or span event with an exception.
#[derive(Default)]
struct Record {
    resource: Arc<Resource>,
    attributes: Attributes,
    /// Nanoseconds since 1970; 0 where it is not said.
    time_ns: u64,
    /// 1 to 24; 0 where it is not said.
    severity: u64,
    body: Option<String>,
    /// The name of the span.
    transaction: Option<Arc<str>>,
    /// Lowercase hex.
    trace_id: String,
    /// Lowercase hex.
    span_id: String,
}

/// The least number of the severity that a text names: `WARN`, `Warning`, `SEVERITY_NUMBER_ERROR2`. 0 where it names none.
fn severity(text: &str) -> u64 {
    let name = text.trim().to_ascii_lowercase();
    let name = name.trim_start_matches("severity_number_");
    match name.trim_end_matches(|letter: char| letter.is_ascii_digit()) {
        "trace" | "verbose" => 1,
        "debug" => 5,
        "info" | "information" | "notice" => 9,
        "warn" | "warning" => 13,
        "error" | "severe" => 17,
        "fatal" | "critical" | "alert" | "emergency" | "panic" => 21,
        _ => 0,
    }
}

impl Records {
    fn new() -> Self {
        Self {
            found: Vec::new(),
            without: 0,
            broken: 0,
            values_left: VALUES_MAX,
        }
    }

    /// Keeps a record that carries an exception and counts another; says whether it is kept.
    fn add(&mut self, mut record: Record) -> bool {
        // An id of zeros is none (W3C Trace Context); taken for one, all errors outside of spans would be the same.
        for id in [&mut record.trace_id, &mut record.span_id] {
            if id.bytes().all(|digit| digit == b'0') {
                id.clear();
            }
        }
        let has = |name: &str| record.attributes.contains_key(name);
        if !has("exception.type") && !has("exception.message") {
            self.without += 1;
        } else if self.found.len() >= ENVELOPE_ITEMS_MAX {
            self.broken += 1;
        } else {
            self.found.push(record);
            return true;
        }
        false
    }
}

impl Ingest {
    /// Takes a request of an exporter.
    pub async fn take_otlp(&self, mut request: Request) -> Result<Answer, PortError> {
        let content_type = auth::header(&request.headers, "content-type").unwrap_or_default();
        let encoding = Encoding::of(content_type);
        let project = project(&request);
        let answered = encoding.unwrap_or(Encoding::Json);
        let digest = Digest::of(&request.body);
        match self.admit_otlp(project, encoding, &mut request).await? {
            Ok((found, rejected)) => {
                let is_limited = found.is_empty() && !found.limits.is_empty();
                let saved = self.save(project, digest, None, found).await?;
                let Saved::Accepted { limits, .. } = saved else {
                    return Ok(refused(500, "not kept", answered));
                };
                if is_limited {
                    let retry_after = limits.iter().map(|limit| limit.seconds).max();
                    return Ok(Answer {
                        retry_after,
                        ..refused(429, LIMITED, answered)
                    });
                }
                let why = if limits.is_empty() { REJECTED } else { LIMITED };
                Ok(accepted(request.signal, (rejected, why), answered))
            }
            Err(refusal) => {
                self.count_refusal(project, refusal.code).await?;
                Ok(refused(refusal.status, &refusal.why, answered))
            }
        }
    }

    /// What the request holds and how much of it is rejected, or why all of it is refused.
    async fn admit_otlp(
        &self,
        project: ProjectId,
        encoding: Option<Encoding>,
        request: &mut Request,
    ) -> Result<Result<(Found, usize), Refusal>, PortError> {
        let key = auth::key_of_request(&request.headers, request.query.as_deref())
            .or_else(|| auth::bearer_key(&request.headers));
        let Some(key) = key else {
            return Ok(Err(Refusal::wrong_key()));
        };
        let known = self.projects.known(project, Some(&key), request.at).await?;
        let Some(known) = known.filter(|known| known.keys.contains(&key)) else {
            return Ok(Err(Refusal::wrong_key()));
        };
        let Some(encoding) = encoding else {
            let why = "expected application/x-protobuf or application/json";
            return Ok(Err(Refusal::new(415, "otlp_content_type", why)));
        };
        if request.body.len() > REQUEST_BYTES_MAX {
            let why = format!("body is larger than {REQUEST_BYTES_MAX} bytes");
            return Ok(Err(Refusal::new(413, "body_too_large", why)));
        }
        let body = std::mem::take(&mut request.body);
        let content_encoding = auth::header(&request.headers, "content-encoding");
        let body = match body::decode(content_encoding, body) {
            Ok(body) => body,
            Err(error) => return Ok(Err(Refusal::of_body(&error))),
        };
        let records = match read(encoding, request.signal, &body) {
            Ok(records) => records,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut found = Found::default();
        let category = request.signal.category();
        for (reason, count) in [
            ("without_exception", records.without),
            ("otlp_record_broken", records.broken),
        ] {
            if count > 0 {
                found.receive(category, count);
                found.drop(category, reason, count);
            }
        }
        let wanted = [(Category::Error, records.found.len())];
        let mut grants = self
            .quotas
            .grant(
                (project, &key),
                &known.quota,
                &BTreeMap::from(wanted),
                request.at,
            )
            .await?;
        found.limits = std::mem::take(&mut grants.limits);
        let mut rejected = records.broken;
        for record in &records.found {
            found.receive(Category::Error, 1);
            if !grants.spend(Category::Error) {
                rejected += 1;
                found.refuse(Category::Error, "rate_limited", 1);
                continue;
            }
            let mut event = events::event(record, project, request.at, &known.scrubber);
            known.scrubber.scrub_event(&mut event);
            found.event(event);
        }
        Ok(Ok((found, rejected)))
    }
}

/// The records of a body.
fn read(encoding: Encoding, signal: Signal, body: &[u8]) -> Result<Records, Refusal> {
    if encoding == Encoding::Json && super::json::has_too_many(body) {
        let why = format!("body is made of more than {VALUES_MAX} values");
        return Err(Refusal::new(413, "body_too_large", why));
    }
    let records = match encoding {
        Encoding::Protobuf => proto::read(signal, body),
        Encoding::Json => json::read(signal, body),
    };
    let why = "body is not a request of OTLP";
    records.ok_or_else(|| Refusal::new(400, "otlp_broken", why))
}

/// The project that a request names; 0 where it names none, which is counted like an unknown one.
fn project(request: &Request) -> ProjectId {
    let header = auth::header(&request.headers, PROJECT_HEADER);
    let of_query = |query: &str| {
        query.split('&').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            (name == "project").then(|| value.parse().ok()).flatten()
        })
    };
    header
        .and_then(|text| text.trim().parse().ok())
        .or_else(|| request.query.as_deref().and_then(of_query))
        .unwrap_or(ProjectId(0))
}

/// `ExportLogsServiceResponse` or `ExportTraceServiceResponse`; the partial success is left out where all was taken.
fn accepted(signal: Signal, (rejected, why): (usize, &str), encoding: Encoding) -> Answer {
    let body = match (encoding, rejected) {
        (Encoding::Protobuf, 0) => Vec::new(),
        (Encoding::Protobuf, rejected) => proto::partial_success(rejected as u64, why),
        (Encoding::Json, 0) => b"{}".to_vec(),
        (Encoding::Json, rejected) => {
            // 64-bit numbers are texts in the JSON of protobuf.
            let rejected = rejected.to_string();
            let partial = json!({signal.rejected_member(): rejected, "errorMessage": why});
            json!({ "partialSuccess": partial })
                .to_string()
                .into_bytes()
        }
    };
    Answer {
        status: 200,
        encoding,
        body,
        retry_after: None,
    }
}

/// A `google.rpc.Status`, as OTLP has it for every failure.
fn refused(status: u16, why: &str, encoding: Encoding) -> Answer {
    let body = match encoding {
        Encoding::Protobuf => proto::status(why),
        Encoding::Json => json!({ "message": why }).to_string().into_bytes(),
    };
    Answer {
        status,
        encoding,
        body,
        retry_after: None,
    }
}

#[cfg(test)]
mod tests;
