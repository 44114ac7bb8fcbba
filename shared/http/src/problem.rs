//! The one form of errors: problem details (RFC 9457) with a stable code.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kintsugi_domain::ports::PortError;
use serde_json::json;
use std::fmt;

/// Seconds after which a client may try again when something of ours did not answer.
const RETRY_SECONDS: &str = "1";

/// An answer that is not what was asked for: `application/problem+json` (RFC 9457) with `type`
/// (`about:blank`: the title is that of the status), `title`, `status`, `detail` and our own `code`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem. `code` is stable and for programs, `detail` is for the person who reads it and says
    /// nothing about our inside.
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.to_string(),
            headers: Vec::new(),
        }
    }

    /// 400: the request is not well formed.
    pub fn malformed(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request.malformed", detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(code: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// With a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its code.
    pub fn code(&self) -> &str {
        &self.code
    }
}

/// The world failed. The reason goes to the log, once, here; the client learns whether to try again.
impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        if error.is_transient() {
            tracing::warn!(reason = %error, "a request could not be answered for now");
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "home.unavailable",
                "something this home depends on did not answer; try again",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        tracing::error!(reason = %error, "a request could not be answered");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "home.broken",
            "something stored in this home cannot be right; its log says what",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Unknown"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, kind);
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}
