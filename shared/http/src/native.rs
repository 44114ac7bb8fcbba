//! Metrics and feedback in forms of our own, from products and from pages of any origin: 200 with what was kept, or a problem.
//!
//! The key stands in `Authorization: Bearer KEY`, or in the query as `sentry_key`, where a page cannot set headers
//! (`navigator.sendBeacon`). Reading, quotas and scrubbing are those of Sentry's items.

use crate::batches::Home;
use crate::body;
use crate::cors::Cors;
use crate::dress::staged;
use crate::problem::Problem;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router, middleware};
use kintsugi_app::ingest::{self, Done, Endpoint, Ingest};
use kintsugi_app::stage::Stage as _;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::REQUEST_BYTES_MAX;
use kintsugi_domain::ports::Ids;
use serde_json::json;
use std::sync::Arc;

const CORS: Cors = Cors {
    allow: "authorization, content-type, content-encoding",
    expose: "retry-after, x-request-id",
};

pub(crate) fn routes(home: Arc<Home>, ids: &Arc<dyn Ids>) -> Router {
    let routes = Router::new()
        .route("/v1/{project}/metrics", post(metrics))
        .route("/v1/{project}/feedback", post(feedback))
        .with_state(home);
    staged(routes, Ingest::NAME, ids)
        .layer(middleware::from_fn(|request, next| CORS.run(request, next)))
}

async fn metrics(
    State(home): State<Arc<Home>>,
    Path(project): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    take(&home, &project, Endpoint::Metrics, request).await
}

async fn feedback(
    State(home): State<Arc<Home>>,
    Path(project): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    take(&home, &project, Endpoint::Feedback, request).await
}

async fn take(
    home: &Home,
    project: &str,
    endpoint: Endpoint,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let headers = head.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let request = ingest::Request {
        // What is no project's number is counted by the stage like an unknown project.
        project: project.parse().unwrap_or(ProjectId(0)),
        endpoint,
        query: head.uri.query().map(str::to_owned),
        headers: headers.collect(),
        body: body::read(body, REQUEST_BYTES_MAX).await?,
        at: home.clock.now(),
    };
    match home.stage.run(request).await? {
        Done::Accepted {
            kept,
            items_skipped,
            ..
        } => Ok(Json(json!({ "kept": kept, "dropped": items_skipped })).into_response()),
        Done::Refused {
            status,
            code,
            why,
            limits,
        } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            let problem = Problem::new(status, code, why);
            let seconds = limits.iter().map(|limit| limit.seconds).max();
            Err(match seconds {
                Some(seconds) => {
                    problem.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
                }
                None => problem,
            })
        }
    }
}
