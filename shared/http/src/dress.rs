//! What all routes have around them: problems for unknown routes and methods, headers that keep
//! browsers from guessing, a name for each request in the log.

use crate::problem::Problem;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use kintsugi_domain::ports::Ids;
use kintsugi_domain::trace::{TraceId, in_trace};
use std::sync::Arc;
use tower::Layer as _;
use tracing::Instrument as _;

/// Names a request in the log and in the answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The trace that a caller began, by the W3C's name and by Amazon's.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const AMAZON_TRACE: HeaderName = HeaderName::from_static("x-amzn-trace-id");
/// Digits of a request's name.
const REQUEST_ID_DIGITS: usize = 16;

/// Set where the route says nothing of its own.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
];

/// Finishes a router: nothing may be merged into it afterwards.
///
/// What is around all routes is so once. A layer of the router itself would be made for each of a hundred routes, and a cold
/// start waits for that.
pub(crate) fn dress(router: Router) -> Router {
    let dressed = middleware::map_response(with_headers).layer(router.fallback(no_route));
    Router::new().fallback_service(dressed)
}

/// The routes of a stage: a request runs in a span that names the stage and the request. To be called
/// when all routes of the stage are there, and before any other layer.
pub(crate) fn staged(router: Router, stage: &'static str, ids: &Arc<dyn Ids>) -> Router {
    let ids = Arc::clone(ids);
    router
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let fresh = ids.fresh();
            let trace = trace(request.headers()).unwrap_or_else(|| TraceId::from_digest(fresh));
            let id = fresh.short(REQUEST_ID_DIGITS);
            in_span(stage, id, trace, request, next)
        }))
}

/// 405, for routes that belong to no stage too.
pub(crate) async fn no_method() -> Problem {
    let detail = "this address does not take that method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method.unknown", detail)
}

async fn no_route() -> Problem {
    Problem::not_found("route.unknown", "there is nothing at this address")
}

/// The trace that the caller, or the gateway before us, has begun. It groups lines of a log and nothing else, so it is
/// taken from strangers too.
fn trace(headers: &HeaderMap) -> Option<TraceId> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    text(&TRACEPARENT)
        .and_then(TraceId::from_traceparent)
        .or_else(|| text(&AMAZON_TRACE).and_then(TraceId::from_amazon))
}

async fn in_span(
    stage: &'static str,
    id: String,
    trace: TraceId,
    request: Request,
    next: Next,
) -> Response {
    let span = tracing::info_span!(
        "request",
        stage,
        request.id = %id,
        trace_id = %trace,
        method = %request.method(),
    );
    async move {
        let mut response = in_trace(Some(trace), next.run(request)).await;
        tracing::debug!(status = response.status().as_u16(), "request answered");
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
    .instrument(span)
    .await
}

async fn with_headers(response: Response) -> Response {
    let mut response = response.into_response();
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
