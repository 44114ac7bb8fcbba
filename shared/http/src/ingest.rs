//! Reports of Sentry's clients. The answers are Sentry's own; only a failure of ours is a problem.

use crate::body;
use crate::cors::Cors;
use crate::dress::staged;
use crate::problem::Problem;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use kintsugi_app::ingest::{self, Answer, Endpoint, Ingest};
use kintsugi_app::stage::Stage as _;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::REQUEST_BYTES_MAX;
use kintsugi_domain::ports::{Clock, Ports};
use std::sync::Arc;

const CORS: Cors = Cors {
    allow: "x-sentry-auth, x-requested-with, authentication, authorization, content-type, \
            content-encoding, transfer-encoding, accept, origin, sentry-trace, baggage",
    expose: "x-sentry-error, x-sentry-rate-limits, retry-after, x-request-id",
};

struct Home {
    stage: Ingest,
    clock: Arc<dyn Clock>,
}

pub(crate) fn routes(ports: &Ports) -> Router {
    let home = Arc::new(Home {
        stage: Ingest::new(ports),
        clock: ports.clock.clone(),
    });
    let routes = Router::new()
        .route("/api/{project}/envelope", post(envelope))
        .route("/api/{project}/envelope/", post(envelope))
        .route("/api/{project}/store", post(store))
        .route("/api/{project}/store/", post(store))
        .route("/api/{project}/security", post(security))
        .route("/api/{project}/security/", post(security))
        // The name before it was for more than CSP, which policies out there still say.
        .route("/api/{project}/csp-report", post(security))
        .route("/api/{project}/csp-report/", post(security))
        .route("/api/{project}/minidump", post(minidump))
        .route("/api/{project}/minidump/", post(minidump))
        .with_state(home);
    staged(routes, Ingest::NAME, &ports.ids)
        .layer(middleware::from_fn(|request, next| CORS.run(request, next)))
}

async fn envelope(
    State(home): State<Arc<Home>>,
    Path(project): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    home.take(&project, Endpoint::Envelope, request).await
}

async fn store(
    State(home): State<Arc<Home>>,
    Path(project): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    home.take(&project, Endpoint::Store, request).await
}

async fn security(
    State(home): State<Arc<Home>>,
    Path(project): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    home.take(&project, Endpoint::Security, request).await
}

async fn minidump(
    State(home): State<Arc<Home>>,
    Path(project): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    home.take(&project, Endpoint::Minidump, request).await
}

impl Home {
    async fn take(
        &self,
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
            at: self.clock.now(),
        };
        let done = self.stage.run(request).await?;
        Ok(response(ingest::answer(&done)))
    }
}

fn response(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = (status, answer.body).into_response();
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse(), HeaderValue::try_from(value)) {
            let name: axum::http::HeaderName = name;
            response.headers_mut().insert(name, value);
        }
    }
    response
}
