//! Whether the process answers, and which version it is.

use crate::dress::no_method;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/version", get(version))
        .method_not_allowed_fallback(no_method)
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn version() -> Json<Value> {
    Json(json!({ "name": "kintsugi", "version": env!("CARGO_PKG_VERSION") }))
}
