//! Cross-origin requests (Fetch standard, "CORS protocol"), for the routes that products call from
//! pages: any origin may, because what they show is a key that is no secret, never a cookie.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Seconds for which a browser may remember the answer to a preflight.
const MAX_AGE_SECONDS: &str = "3600";

/// What a route takes from pages of other origins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cors {
    /// Request headers that a page may set.
    pub(crate) allow: &'static str,
    /// Response headers that a page may read.
    pub(crate) expose: &'static str,
}

impl Cors {
    /// Answers preflights and marks every other answer.
    pub(crate) async fn run(self, request: Request, next: Next) -> Response {
        let is_preflight = request.method() == Method::OPTIONS;
        let mut response = if is_preflight {
            StatusCode::NO_CONTENT.into_response()
        } else {
            next.run(request).await
        };
        self.mark(response.headers_mut(), is_preflight);
        response
    }

    fn mark(self, headers: &mut HeaderMap, is_preflight: bool) {
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, self.expose);
        if is_preflight {
            set(header::ACCESS_CONTROL_ALLOW_METHODS, "POST");
            set(header::ACCESS_CONTROL_ALLOW_HEADERS, self.allow);
            set(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
        }
    }
}
