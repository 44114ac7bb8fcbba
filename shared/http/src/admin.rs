//! The admin API, `/admin/v1/…`: JSON in and out, errors as `application/problem+json` (RFC 9457) with a
//! stable `code`.
//!
//! | method and path | role | does |
//! |---|---|---|
//! | GET `projects` | viewer | every project |
//! | POST `projects` `{config, repository?}` | admin | takes a product under care |
//! | GET `projects/{p}` | viewer | one project |
//! | PUT `projects/{p}/config` `{config}` | admin | replaces its configuration |
//! | POST `projects/{p}/keys`, DELETE `projects/{p}/keys/{key}` | admin | reporting keys |
//! | POST `projects/{p}/batch-keys/rotate`, `…/{generation}/retire` `{reason?}` | admin | keys of sealed batches |
//! | GET `projects/{p}/needs` | viewer | what needs a person now |
//! | GET `projects/{p}/trains?at=` | viewer | what would depart at a time, and what holds it |
//! | GET `projects/{p}/{issues,fixes,bundles,releases,rollouts,alerts,flags,audit}` | viewer | pages: `after`, `limit`; issues also `state` |
//! | GET `projects/{p}/{issues,fixes,bundles,releases,rollouts,jobs}/{id}` | viewer | one of them |
//! | GET `projects/{p}/{parked,counters,stats}` | viewer | parked messages, counted reports |
//! | GET `projects/{p}/attachments/{id}` | triager | the content of an attachment, to be saved |
//! | GET `projects/{p}/{health,performance,memory,usage,feedback,attachments,logs,monitors}` | viewer | what was reported beside events; pages |
//! | POST `projects/{p}/fixes/{id}/review` `{approved, reason?}` | triager | reviews a fix |
//! | POST `projects/{p}/issues/{id}/{mute,unmute}` `{reason?}` | triager | |
//! | POST `projects/{p}/releases` `{ref, version, notes?}` | releaser | orders a release |
//! | POST `projects/{p}/rollouts/{id}/{pause,resume,rollback}` `{reason}` | releaser | |
//! | PUT `projects/{p}/flags/{key}` `{enabled, percent}` | releaser | |
//! | GET `projects/{p}/requests`, `requests/{id}` | viewer | what waits for a second person |
//! | POST `projects/{p}/requests/{id}/{confirm,refuse}` | the role of the action | `{}`, `{reason?}` |
//! | GET `parked`, GET `audit` | viewer | of the whole home |
//! | GET `stats` | viewer | counted reports that were for no project of this home |
//! | POST `redrive` `{queue, reason?}` | admin | puts parked messages back, for every project |
//! | GET `me` | viewer | whom the token names |
//! | POST `console` | viewer | a code that lets its holder into the console once |
//! | GET `access` | viewer | keys of tokens, what was revoked, issuers |
//! | POST `tokens` `{subject, role, hours, reason?}` | admin | makes a token |
//! | POST `tokens/revoke` `{id or subject, reason?}` | admin | takes tokens back |
//! | POST `keys/rotate` `{reason?}`, POST `keys/{kid}/retire` `{reason?}` | admin | keys of tokens |
//! | PUT `issuers` `{url, audience, keys, claim?, roles}`, POST `issuers/remove` `{url}` | admin | foreign issuers |
//! | POST `runner/lease` `{seconds?}` | runner | a job to do, or `null` |
//! | POST `runner/heartbeat` `{lease}` | runner | keeps the job |
//! | POST `runner/report` `{lease, report}` | runner | answers the job |
//! | POST `runner/give-back` `{lease, reason, may_pass}` | runner | gives the job back |
//! | POST `runner/uploads` `{lease, key, length}` | runner | a link to store an artifact with, or `null` |
//! | GET, PUT `runner/blobs/{key}`, header `kintsugi-lease` | runner | content that the job reads, artifacts that it makes |
//!
//! An action that another stage finishes answers 202, and so does one that waits for a second person (`asked`).
//!
//! **Invariants: no answer without a token; no body is read beyond its bound; what goes wrong inside is
//! in the log and not in the answer.** Not here: what is decided (`kintsugi_app::admin`), and pages
//! ([`mod@crate::console`]).

mod changes;
mod identity;
mod problem;
mod reads;
mod runner;
#[cfg(test)]
pub(crate) mod tests;

use crate::dress::staged;
use crate::problem::Problem;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router, body::Bytes, middleware};
use kintsugi_app::admin::{Action, Admin, Answer, AuthError, Command, Done, authenticate};
use kintsugi_app::stage::Stage as _;
use kintsugi_domain::ports::Ports;
use kintsugi_trust::token::Token;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest body, bytes: a configuration is a few kilobytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What was reported of a project beside events.
fn reported() -> Router<Admin> {
    Router::new()
        .route("/health", get(reads::health))
        .route("/performance", get(reads::performance))
        .route("/memory", get(reads::memory))
        .route("/usage", get(reads::usage))
        .route("/feedback", get(reads::feedback))
        .route("/attachments", get(reads::attachments))
        .route("/attachments/{id}", get(reads::attachment))
        .route("/logs", get(reads::logs))
        .route("/monitors", get(reads::monitors))
}

/// The admin API of a home.
pub(crate) fn routes(ports: &Ports) -> Router {
    let project = Router::new()
        .route("/", get(reads::project))
        .route("/config", put(changes::configure))
        .route("/keys", post(changes::add_key))
        .route("/keys/{key}", delete(changes::remove_key))
        .route("/batch-keys/rotate", post(changes::rotate_batch_key))
        .route(
            "/batch-keys/{generation}/retire",
            post(changes::retire_batch_key),
        )
        .nest("/signing", signing())
        .route("/needs", get(reads::needs))
        .route("/trains", get(reads::trains))
        .route("/issues", get(reads::issues))
        .route("/issues/{id}", get(reads::issue))
        .route("/issues/{id}/mute", post(changes::mute))
        .route("/issues/{id}/unmute", post(changes::unmute))
        .route("/fixes", get(reads::fixes))
        .route("/fixes/{id}", get(reads::fix))
        .route("/fixes/{id}/review", post(changes::review))
        .route("/bundles", get(reads::bundles))
        .route("/bundles/{id}", get(reads::bundle))
        .route("/releases", get(reads::releases).post(changes::release))
        .route("/releases/{id}", get(reads::release))
        .route("/rollouts", get(reads::rollouts))
        .route("/rollouts/{id}", get(reads::rollout))
        .route("/rollouts/{id}/pause", post(changes::pause))
        .route("/rollouts/{id}/resume", post(changes::resume))
        .route("/rollouts/{id}/rollback", post(changes::roll_back))
        .route("/jobs/{id}", get(reads::job))
        .route("/alerts", get(reads::alerts))
        .route("/flags", get(reads::flags))
        .route("/flags/{key}", put(changes::put_flag))
        .route("/requests", get(reads::requests))
        .route("/requests/{id}", get(reads::request))
        .route("/requests/{id}/confirm", post(changes::confirm))
        .route("/requests/{id}/refuse", post(changes::refuse))
        .route("/audit", get(reads::audit))
        .route("/parked", get(reads::parked))
        .route("/counters", get(reads::counters))
        .route("/stats", get(reads::stats))
        .merge(reported());
    let routes = Router::new()
        .route(
            "/admin/v1/projects",
            get(reads::projects).post(changes::add_project),
        )
        .route("/admin/v1/parked", get(reads::all_parked))
        .route("/admin/v1/stats", get(reads::home_stats))
        .route("/admin/v1/audit", get(reads::home_audit))
        .route("/admin/v1/redrive", post(changes::redrive))
        .route("/admin/v1/me", get(identity::me))
        .route("/admin/v1/console", post(identity::console))
        .route("/admin/v1/access", get(identity::access))
        .route("/admin/v1/tokens", post(identity::issue))
        .route("/admin/v1/tokens/revoke", post(identity::revoke))
        .route("/admin/v1/keys/rotate", post(identity::rotate))
        .route("/admin/v1/keys/{kid}/retire", post(identity::retire))
        .route("/admin/v1/issuers", put(identity::put_issuer))
        .route("/admin/v1/issuers/remove", post(identity::remove_issuer))
        .nest("/admin/v1/projects/{project}", project)
        .nest("/admin/v1/runner", runner::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::map_response(private))
        .with_state(Admin::new(ports.clone()));
    staged(routes, "admin", &ports.ids)
}

/// How a project's repository is signed.
fn signing() -> Router<Admin> {
    Router::new()
        .route("/", get(reads::signing))
        .route("/rotate", post(changes::rotate_signing_key))
        .route("/root", post(changes::bring_root))
        .route("/skip", post(changes::skip_versions))
}

/// Answers are for who asked, now: nothing between keeps them.
async fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Who is asking, by the bearer token of the request (RFC 6750).
struct Actor(Token);

impl FromRequestParts<Admin> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Problem> {
        let given = parts.headers.get(header::AUTHORIZATION);
        let text = given.and_then(|value| value.to_str().ok());
        let token = text.and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let Some(token) = token else {
            return Err(problem::nobody());
        };
        match authenticate(admin.ports(), token).await {
            Ok(token) => Ok(Self(token)),
            Err(AuthError::Token(error)) => Err(problem::not_taken(&error)),
            Err(AuthError::Port(error)) => Err(error.into()),
        }
    }
}

/// The parts of the path, parsed.
struct At<T>(T);

impl<T: DeserializeOwned + Send> FromRequestParts<Admin> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Problem> {
        let found = Path::<T>::from_request_parts(parts, admin).await;
        found
            .map(|Path(at)| Self(at))
            .map_err(|error: PathRejection| {
                Problem::new(StatusCode::NOT_FOUND, "path.invalid", error.body_text())
            })
    }
}

/// The query, parsed.
struct Asked<T>(T);

impl<T: DeserializeOwned> FromRequestParts<Admin> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Problem> {
        let found = Query::<T>::from_request_parts(parts, admin).await;
        found
            .map(|Query(asked)| Self(asked))
            .map_err(|error: QueryRejection| {
                Problem::new(StatusCode::BAD_REQUEST, "query.invalid", error.body_text())
            })
    }
}

/// The body, JSON whatever its content type says.
struct Body<T>(T);

impl<T: DeserializeOwned> FromRequest<Admin> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, admin: &Admin) -> Result<Self, Problem> {
        let read = Bytes::from_request(request, admin).await;
        let bytes = read.map_err(|error: BytesRejection| {
            Problem::new(error.status(), "body.unreadable", error.body_text())
        })?;
        match serde_json::from_slice(&bytes) {
            Ok(body) => Ok(Self(body)),
            Err(error) => Err(Problem::new(StatusCode::BAD_REQUEST, "body.invalid", error)),
        }
    }
}

type Answered = Result<Response, Problem>;

fn shown(value: impl Serialize) -> Response {
    Json(value).into_response()
}

/// Has an action taken and says how it ended.
async fn take(State(admin): State<Admin>, actor: Token, action: Action) -> Answered {
    match admin.run(Command { actor, action }).await? {
        Done::Refused(refusal) => Err(refusal.into()),
        Done::Answer(answer) => {
            let status = match answer {
                Answer::Bundle { .. } | Answer::Ordered { .. } | Answer::Asked { .. } => {
                    StatusCode::ACCEPTED
                }
                Answer::Project { .. }
                | Answer::Key { .. }
                | Answer::Changed { .. }
                | Answer::Redriven { .. }
                | Answer::Token { .. }
                | Answer::TokenKey { .. } => StatusCode::OK,
            };
            Ok((status, Json(answer)).into_response())
        }
    }
}
