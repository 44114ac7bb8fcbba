//! The public keys that batches of a project may be sealed to, for whoever asks.
//!
//! Whoever ships a product takes the key from here once, over TLS from a home that they know, and builds it into the
//! product. **A reporter never asks for its key**: one that did would seal to whatever stands between it and the home.

use crate::batches::Home;
use crate::problem::Problem;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use kintsugi_domain::id::ProjectId;
use serde_json::json;
use std::sync::Arc;

pub(crate) fn routes(home: Arc<Home>) -> Router {
    Router::new()
        .route("/v1/{project}/batch-keys", get(keys))
        .with_state(home)
}

async fn keys(
    State(home): State<Arc<Home>>,
    Path(project): Path<String>,
) -> Result<Response, Problem> {
    let project = project.parse().unwrap_or(ProjectId(0));
    let keys = home.stage.batch_keys(project, home.clock.now()).await?;
    let unknown = || Problem::not_found("project.unknown", "there is no such project");
    Ok(Json(json!({ "keys": keys.ok_or_else(unknown)? })).into_response())
}
