//! Logs and traces of OpenTelemetry's exporters (OTLP over HTTP). The answers are OTLP's own; only a failure of ours is a problem, which
//! exporters try again because of its status.

use crate::batches::Home;
use crate::body;
use crate::cors::Cors;
use crate::dress::staged;
use crate::problem::Problem;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Router, middleware};
use kintsugi_app::ingest::Ingest;
use kintsugi_app::ingest::otlp::{self, Signal};
use kintsugi_app::stage::Stage as _;
use kintsugi_domain::limits::REQUEST_BYTES_MAX;
use kintsugi_domain::ports::Ids;
use std::sync::Arc;

const CORS: Cors = Cors {
    allow: "authorization, x-sentry-auth, kintsugi-project, content-type, content-encoding",
    expose: "retry-after, x-request-id",
};

pub(crate) fn routes(home: Arc<Home>, ids: &Arc<dyn Ids>) -> Router {
    let routes = Router::new()
        .route("/otlp/v1/logs", post(logs))
        .route("/otlp/v1/traces", post(traces))
        .with_state(home);
    staged(routes, Ingest::NAME, ids)
        .layer(middleware::from_fn(|request, next| CORS.run(request, next)))
}

async fn logs(State(home): State<Arc<Home>>, request: Request) -> Result<Response, Problem> {
    take(&home, Signal::Logs, request).await
}

async fn traces(State(home): State<Arc<Home>>, request: Request) -> Result<Response, Problem> {
    take(&home, Signal::Traces, request).await
}

async fn take(home: &Home, signal: Signal, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let headers = head.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let request = otlp::Request {
        signal,
        query: head.uri.query().map(str::to_owned),
        headers: headers.collect(),
        body: body::read(body, REQUEST_BYTES_MAX).await?,
        at: home.clock.now(),
    };
    let answer = home.stage.take_otlp(request).await?;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = HeaderValue::from_static(answer.encoding.media_type());
    let mut response = (status, [(header::CONTENT_TYPE, kind)], answer.body).into_response();
    if let Some(seconds) = answer.retry_after {
        let seconds = HeaderValue::from(seconds);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    Ok(response)
}
