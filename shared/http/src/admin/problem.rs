//! Errors of the admin API: problem details (RFC 9457) with a stable code.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kintsugi_app::admin::{Refusal, RefusalKind};
use kintsugi_domain::config::ConfigError;
use kintsugi_domain::ports::PortError;
use kintsugi_trust::token::TokenError;
use serde_json::{Value, json};
use std::fmt;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// More about it, for programs.
    members: Vec<(&'static str, Value)>,
    header: Option<(HeaderName, &'static str)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl fmt::Display) -> Self {
        Self {
            status,
            code,
            detail: detail.to_string(),
            members: Vec::new(),
            header: None,
        }
    }

    pub(super) fn missing(code: &'static str, what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            code,
            format!("there is no such {what}"),
        )
    }

    /// 401 without a token (RFC 6750 §3).
    pub(super) fn nobody() -> Self {
        let detail = "send an admin token: `Authorization: Bearer …`";
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "token.missing", detail);
        problem.header = Some((header::WWW_AUTHENTICATE, "Bearer"));
        problem
    }

    /// 401 with a token that is not taken.
    pub(super) fn not_taken(error: &TokenError) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, error.code(), error);
        let value = "Bearer error=\"invalid_token\"";
        problem.header = Some((header::WWW_AUTHENTICATE, value));
        problem
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::Forbidden => StatusCode::FORBIDDEN,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, refusal.code, refusal.why)
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let mut problem = Self::new(status, "config.invalid", &error);
        problem.members = vec![
            ("file", json!(error.file)),
            ("line", json!(error.line)),
            ("key", json!(error.key)),
            ("expected", json!(error.expected)),
        ];
        problem
    }
}

/// The world failed: the reason goes to the log, the client learns whether to try again.
impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        if error.is_transient() {
            tracing::warn!(reason = %error, "an admin request could not be answered for now");
            let detail = "something this home depends on did not answer; try again";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let mut problem = Self::new(status, "home.unavailable", detail);
            problem.header = Some((header::RETRY_AFTER, "1"));
            return problem;
        }
        tracing::error!(reason = %error, "an admin request could not be answered");
        let detail = "something stored in this home cannot be right; its log says what";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "home.broken", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        if let Some(members) = body.as_object_mut() {
            let more = self.members.into_iter();
            members.extend(more.map(|(name, value)| (name.to_owned(), value)));
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
