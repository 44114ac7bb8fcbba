//! What runners ask of a home: jobs, signs of life, content, reports. Only tokens of the role `runner` get in.
//!
//! Content goes past the home where the home has links (`307` to one for reading, a link in the answer for writing), because
//! gateways bound what goes through them; elsewhere it goes through these routes.

use super::{Actor, Answered, At, Body, shown};
use crate::problem::Problem;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use kintsugi_app::admin::Admin;
use kintsugi_app::runner::{Download, LEASE_SECONDS, RunnerError, Runners};
use kintsugi_domain::job::Report;
use kintsugi_domain::limits::{PACKAGE_BYTES_MAX, REPORT_BYTES_MAX};
use serde::Deserialize;
use serde_json::json;

/// The header that shows the lease of the job that content is for.
const LEASE: &str = "kintsugi-lease";
/// What a report may be longer for the lease around it, bytes.
const AROUND_BYTES: usize = 16 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default = "usual_seconds")]
    seconds: u32,
}

fn usual_seconds() -> u32 {
    LEASE_SECONDS
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alive {
    lease: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    lease: String,
    report: Report,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Back {
    lease: String,
    reason: String,
    may_pass: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Upload {
    lease: String,
    key: String,
    length: u64,
}

/// The routes below `/admin/v1/runner`.
pub(super) fn routes() -> Router<Admin> {
    let package_bytes_max = usize::try_from(PACKAGE_BYTES_MAX).unwrap_or(usize::MAX);
    let report = post(report).layer(DefaultBodyLimit::max(REPORT_BYTES_MAX + AROUND_BYTES));
    let content = get(download)
        .put(store)
        .layer(DefaultBodyLimit::max(package_bytes_max));
    Router::new()
        .route("/lease", post(lease))
        .route("/heartbeat", post(heartbeat))
        .route("/report", report)
        .route("/give-back", post(give_back))
        .route("/uploads", post(upload))
        .route("/blobs/{*key}", content)
}

impl From<RunnerError> for Problem {
    fn from(error: RunnerError) -> Self {
        match error {
            RunnerError::Refused(refusal) => refusal.into(),
            RunnerError::Port(error) => error.into(),
        }
    }
}

fn runners(admin: &Admin) -> Runners {
    Runners::new(admin.ports().clone())
}

async fn lease(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    Body(wanted): Body<Wanted>,
) -> Answered {
    Ok(shown(runners(&admin).lease(&actor, wanted.seconds).await?))
}

async fn heartbeat(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    Body(alive): Body<Alive>,
) -> Answered {
    let seconds = runners(&admin).heartbeat(&actor, &alive.lease).await?;
    Ok(shown(json!({"seconds": seconds})))
}

async fn report(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    Body(Answer { lease, report }): Body<Answer>,
) -> Answered {
    Ok(shown(runners(&admin).report(&actor, &lease, report).await?))
}

async fn give_back(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    Body(back): Body<Back>,
) -> Answered {
    let given = runners(&admin)
        .give_back(&actor, &back.lease, &back.reason, back.may_pass)
        .await?;
    Ok(shown(given))
}

async fn upload(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    Body(upload): Body<Upload>,
) -> Answered {
    let Upload { lease, key, length } = upload;
    Ok(shown(
        runners(&admin).upload(&actor, &lease, &key, length).await?,
    ))
}

async fn download(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    At(key): At<String>,
    headers: HeaderMap,
) -> Answered {
    let found = runners(&admin).download(&actor, of(&headers), &key).await?;
    match found {
        Download::Content(content) => {
            let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
            Ok((kind, content).into_response())
        }
        Download::Link(link) => redirected(&link.url),
    }
}

async fn store(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    At(key): At<String>,
    headers: HeaderMap,
    content: Result<Bytes, BytesRejection>,
) -> Answered {
    let content = content
        .map_err(|error| Problem::new(error.status(), "body.unreadable", error.body_text()))?;
    runners(&admin)
        .store(&actor, of(&headers), &key, content.into())
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The lease of a request for content; without one, the empty text, which is none.
fn of(headers: &HeaderMap) -> &str {
    let lease = headers.get(LEASE).and_then(|value| value.to_str().ok());
    lease.unwrap_or_default()
}

fn redirected(url: &str) -> Result<Response, Problem> {
    let place = HeaderValue::from_str(url).map_err(|error| {
        tracing::error!(reason = %error, "a link is no header's value");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "home.broken",
            "the link to the content cannot be sent",
        )
    })?;
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    response.headers_mut().insert(header::LOCATION, place);
    Ok(response)
}

#[cfg(test)]
mod tests;
