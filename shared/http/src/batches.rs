//! Sealed batches of our own reporter: 200 with what was taken and what was refused of it, or a problem whose code the reporter knows.

use crate::batch_keys;
use crate::body;
use crate::dress::staged;
use crate::native;
use crate::otlp;
use crate::problem::Problem;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use kintsugi_app::ingest::Ingest;
use kintsugi_app::ingest::batch::{self, Done, Refusal};
use kintsugi_app::stage::Stage as _;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::REQUEST_BYTES_MAX;
use kintsugi_domain::ports::{Clock, Ports};
use std::sync::Arc;

pub(crate) struct Home {
    pub(crate) stage: Ingest,
    pub(crate) clock: Arc<dyn Clock>,
}

pub(crate) fn routes(ports: &Ports) -> Router {
    let home = Arc::new(Home {
        stage: Ingest::new(ports),
        clock: ports.clock.clone(),
    });
    let routes = Router::new()
        .route("/v1/{project}/batches", post(take))
        .with_state(Arc::clone(&home))
        .merge(batch_keys::routes(Arc::clone(&home)));
    staged(routes, Ingest::NAME, &ports.ids)
        .merge(otlp::routes(Arc::clone(&home), &ports.ids))
        .merge(native::routes(home, &ports.ids))
}

async fn take(
    State(home): State<Arc<Home>>,
    Path(project): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let headers = head.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let request = batch::Request {
        // What is no project's number is counted by the stage like an unknown project.
        project: project.parse().unwrap_or(ProjectId(0)),
        query: head.uri.query().map(str::to_owned),
        headers: headers.collect(),
        body: body::read(body, REQUEST_BYTES_MAX).await?,
        at: home.clock.now(),
    };
    match home.stage.take_batch(request).await? {
        Done::Accepted(receipt) => Ok(Json(receipt).into_response()),
        Done::Refused(refusal) => Err(problem(&refusal)),
    }
}

fn problem(refusal: &Refusal) -> Problem {
    let problem = Problem::new(status(refusal), refusal.code(), refusal);
    if let Refusal::RateLimited { seconds } = refusal {
        return problem.with_header(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    problem
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::WrongKey => StatusCode::FORBIDDEN,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Replayed => StatusCode::CONFLICT,
        Refusal::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Malformed(_) | Refusal::InvalidChecksum => StatusCode::BAD_REQUEST,
        Refusal::UnknownKey
        | Refusal::Stale
        | Refusal::Ahead
        | Refusal::NotOpened
        | Refusal::Damaged => StatusCode::UNPROCESSABLE_ENTITY,
    }
}
