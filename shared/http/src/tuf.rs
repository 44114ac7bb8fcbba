//! The signed repository. What never changes may be cached for ever, the timestamp hardly at all.

use crate::dress::staged;
use crate::file;
use crate::problem::Problem;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use kintsugi_app::repository::Repository;
use kintsugi_domain::ports::Ports;
use std::sync::Arc;

/// The name of these routes in the log; one function serves them with the manifest stage.
const NAME: &str = "tuf";

/// A project and a name, both from the address.
type Address = Result<Path<(String, String)>, PathRejection>;

pub(crate) fn routes(ports: &Ports) -> Router {
    let routes = Router::new()
        .route("/tuf/{project}/metadata/{name}", get(metadata))
        .route("/tuf/{project}/targets/{*path}", get(target))
        .with_state(Arc::new(Repository::new(ports.clone())));
    staged(routes, NAME, &ports.ids)
}

async fn metadata(
    State(repository): State<Arc<Repository>>,
    address: Address,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path((project, name)) = address.map_err(|_| unknown())?;
    let project = project.parse().map_err(|_| unknown())?;
    let found = repository.metadata(project, &name).await?;
    let found = found.ok_or_else(unknown)?;
    Ok(file::answer(found, "application/json", &headers))
}

async fn target(
    State(repository): State<Arc<Repository>>,
    address: Address,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path((project, path)) = address.map_err(|_| unknown())?;
    let project = project.parse().map_err(|_| unknown())?;
    let found = repository.target(project, &path).await?;
    let found = found.ok_or_else(unknown)?;
    Ok(file::answer(found, "application/octet-stream", &headers))
}

fn unknown() -> Problem {
    Problem::not_found("file.unknown", "the repository has no such file")
}
