//! Feature flags by the OpenFeature Remote Evaluation Protocol (OFREP 0.2, core): any OpenFeature SDK is a
//! client. Errors are the protocol's own where it has one.
//!
//! The project is shown by `Authorization: Bearer <project>.<DSN key>` or `X-API-Key: <project>.<DSN key>`;
//! the key is no secret. Pages may ask from other origins.

use crate::body;
use crate::cors::Cors;
use crate::dress::staged;
use crate::file::has_it;
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router, middleware};
use kintsugi_app::flags::{Command, Done, Flags, user};
use kintsugi_app::stage::Stage as _;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::flag::Evaluation;
use kintsugi_domain::id::{DeviceId, DsnKey, ProjectId};
use kintsugi_domain::ports::Ports;
use serde_json::{Value, json};
use std::sync::Arc;

/// Largest body, bytes: a context holds what a product knows of one user.
const BODY_BYTES_MAX: usize = 64 * 1024;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

const CORS: Cors = Cors {
    allow: "authorization, x-api-key, content-type, if-none-match",
    expose: "etag, retry-after, x-request-id",
};

/// Why a body gives no user; the names are OpenFeature's error codes.
enum BadContext {
    Unreadable,
    NotAContext,
}

pub(crate) fn routes(ports: &Ports) -> Router {
    let routes = Router::new()
        .route("/ofrep/v1/evaluate/flags", post(all))
        .route("/ofrep/v1/evaluate/flags/{key}", post(one))
        .with_state(Arc::new(Flags::new(ports.clone())));
    staged(routes, Flags::NAME, &ports.ids)
        .layer(middleware::from_fn(|request, next| CORS.run(request, next)))
}

async fn one(
    State(stage): State<Arc<Flags>>,
    key: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path(key) = key.map_err(|_| Problem::malformed("the address is not UTF-8"))?;
    let (head, body) = request.into_parts();
    let (project, dsn_key) = credential(&head.headers).ok_or_else(no_credential)?;
    let user = match context(body).await? {
        Ok(user) => user,
        Err(bad) => {
            let answer = failure(Some(&key), bad.code(), bad.details());
            return Ok((StatusCode::BAD_REQUEST, Json(answer)).into_response());
        }
    };
    let command = Command {
        project,
        key: dsn_key,
        flag: Some(key.clone()),
        user,
    };
    let flags = match stage.run(command).await? {
        Done::Evaluated(flags) => flags,
        Done::NotFound => Vec::new(),
        Done::WrongKey => return Err(wrong_key()),
    };
    let Some((key, evaluation)) = flags.first() else {
        let answer = failure(Some(&key), "FLAG_NOT_FOUND", "there is no such flag");
        return Ok((StatusCode::NOT_FOUND, Json(answer)).into_response());
    };
    let status = match evaluation {
        Evaluation::KeyMissing => StatusCode::BAD_REQUEST,
        Evaluation::Disabled | Evaluation::Static(_) | Evaluation::Split(_) => StatusCode::OK,
    };
    Ok((status, Json(evaluated(key, *evaluation))).into_response())
}

async fn all(State(stage): State<Arc<Flags>>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let (project, key) = credential(&head.headers).ok_or_else(no_credential)?;
    let user = match context(body).await? {
        Ok(user) => user,
        Err(bad) => {
            let answer = failure(None, bad.code(), bad.details());
            return Ok((StatusCode::BAD_REQUEST, Json(answer)).into_response());
        }
    };
    let command = Command {
        project,
        key,
        flag: None,
        user,
    };
    let flags = match stage.run(command).await? {
        Done::Evaluated(flags) => flags,
        Done::NotFound => Vec::new(),
        Done::WrongKey => return Err(wrong_key()),
    };
    let flags: Vec<Value> = flags
        .iter()
        .map(|(key, evaluation)| evaluated(key, *evaluation))
        .collect();
    let body = json!({ "flags": flags }).to_string();
    let tag = format!("\"{}\"", Digest::of(body.as_bytes()).short(32));
    let asked = head.headers.get(header::IF_NONE_MATCH);
    let mut response = if has_it(asked.and_then(|tags| tags.to_str().ok()), &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let kind = (header::CONTENT_TYPE, "application/json");
        ([kind], body).into_response()
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// `<project>.<DSN key>`, from either of the protocol's two places.
fn credential(headers: &HeaderMap) -> Option<(ProjectId, DsnKey)> {
    let api_key = headers.get(API_KEY).and_then(|value| value.to_str().ok());
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    };
    let (project, key) = api_key.or_else(bearer)?.trim().split_once('.')?;
    Some((project.parse().ok()?, key.parse().ok()?))
}

fn no_credential() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "credential.missing",
        "send `Authorization: Bearer <project>.<key of its DSN>` or `X-API-Key` with the same value",
    )
    .with_header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"kintsugi\""),
    )
}

/// One answer for a project that does not exist and for a wrong key, so that strangers learn nothing.
fn wrong_key() -> Problem {
    let detail = "no such project, or the key is not one of its keys";
    Problem::new(StatusCode::FORBIDDEN, "credential.wrong", detail)
}

/// Whom the context names, if anybody. Attributes of the context decide nothing here and are not kept.
async fn context(body: Body) -> Result<Result<Option<DeviceId>, BadContext>, Problem> {
    let body = body::read(body, BODY_BYTES_MAX).await?;
    if body.len() > BODY_BYTES_MAX {
        let detail = format_args!("the context is larger than {BODY_BYTES_MAX} bytes");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(Problem::new(status, "context.too_large", detail));
    }
    Ok(user_of(&body))
}

fn user_of(body: &[u8]) -> Result<Option<DeviceId>, BadContext> {
    let request: Value = serde_json::from_slice(body).map_err(|_| BadContext::Unreadable)?;
    let request = request.as_object().ok_or(BadContext::Unreadable)?;
    let context = match request.get("context") {
        None => return Ok(None),
        Some(context) => context.as_object().ok_or(BadContext::NotAContext)?,
    };
    match context.get("targetingKey") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(key)) if key.is_empty() => Ok(None),
        Some(Value::String(key)) => Ok(Some(user(key))),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(BadContext::NotAContext)
        }
    }
}

impl BadContext {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable => "PARSE_ERROR",
            Self::NotAContext => "INVALID_CONTEXT",
        }
    }

    fn details(&self) -> &'static str {
        match self {
            Self::Unreadable => "the body is not a JSON object",
            Self::NotAContext => "the context is not an object with a text as its targeting key",
        }
    }
}

/// One flag as the protocol has it: its value with the reason, or why there is none.
fn evaluated(key: &str, evaluation: Evaluation) -> Value {
    let (value, reason) = match evaluation {
        Evaluation::Disabled => (false, "DISABLED"),
        Evaluation::Static(value) => (value, "STATIC"),
        Evaluation::Split(value) => (value, "SPLIT"),
        Evaluation::KeyMissing => {
            let details = "the flag is on for a share of users and no targeting key was given";
            return failure(Some(key), "TARGETING_KEY_MISSING", details);
        }
    };
    json!({
        "key": key,
        "value": value,
        "variant": if value { "on" } else { "off" },
        "reason": reason,
        "metadata": {},
    })
}

fn failure(key: Option<&str>, code: &str, details: &str) -> Value {
    let mut failure = json!({ "errorCode": code, "errorDetails": details });
    if let (Some(key), Some(failure)) = (key, failure.as_object_mut()) {
        failure.insert("key".to_owned(), key.into());
    }
    failure
}
