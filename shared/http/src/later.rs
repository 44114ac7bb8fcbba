//! Routes that are made when the first request for them comes: a cold start waits for no more than its own request needs.

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodRouter, any};
use std::sync::{Arc, OnceLock};
use tower::ServiceExt as _;

/// Everything that `make` routes, made at the first request. What it is asked for is the whole address.
pub(crate) fn later(make: impl Fn() -> Router + Send + Sync + 'static) -> MethodRouter {
    let made = Arc::new(OnceLock::new());
    let make = Arc::new(make);
    any(move |request: Request| {
        let router: &Router = made.get_or_init(|| make());
        router.clone().oneshot(request)
    })
}
