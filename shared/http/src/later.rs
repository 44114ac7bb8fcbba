//! Routes that are made when the first request for them comes: a cold start waits for no more than its own request needs.

use axum::Router;
use axum::extract::Request;
use std::sync::{Arc, OnceLock};
use tower::ServiceExt as _;

/// The routes of addresses that begin with `prefix`, and all others. Both are complete: nothing may be merged into what this gives.
pub(crate) fn divided(
    prefix: &'static str,
    these: impl Fn() -> Router + Send + Sync + 'static,
    others: impl Fn() -> Router + Send + Sync + 'static,
) -> Router {
    let (these, others) = (later(these), later(others));
    // No route of its own: what one captures of the address would be taken for what the inner one captures.
    Router::new().fallback(move |request: Request| {
        let is_this = request.uri().path().starts_with(prefix);
        let router = if is_this { these() } else { others() };
        router.oneshot(request)
    })
}

/// Gives what `make` makes, which is made at the first call.
fn later(
    make: impl Fn() -> Router + Send + Sync + 'static,
) -> impl Fn() -> Router + Clone + Send + Sync + 'static {
    let made = Arc::new(OnceLock::new());
    let make = Arc::new(make);
    move || made.get_or_init(|| make()).clone()
}
