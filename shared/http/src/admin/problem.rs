//! Refusals of the admin stage as problems.

use crate::problem::Problem;
use axum::http::{HeaderValue, StatusCode, header};
use kintsugi_app::admin::{Refusal, RefusalKind};
use kintsugi_domain::config::ConfigError;
use kintsugi_trust::token::TokenError;

/// 404: there is no such thing.
pub(super) fn missing(code: &'static str, what: &str) -> Problem {
    Problem::not_found(code, format!("there is no such {what}"))
}

/// 401 without a token (RFC 6750 §3).
pub(super) fn nobody() -> Problem {
    let detail = "send an admin token: `Authorization: Bearer …`";
    let challenge = HeaderValue::from_static("Bearer");
    Problem::new(StatusCode::UNAUTHORIZED, "token.missing", detail)
        .with_header(header::WWW_AUTHENTICATE, challenge)
}

/// 401 with a token that is not taken.
pub(super) fn not_taken(error: &TokenError) -> Problem {
    let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
    Problem::new(StatusCode::UNAUTHORIZED, error.code(), error)
        .with_header(header::WWW_AUTHENTICATE, challenge)
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
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "config.invalid", &error)
            .with_member("file", error.file)
            .with_member("line", error.line)
            .with_member("key", error.key)
            .with_member("expected", error.expected)
    }
}
