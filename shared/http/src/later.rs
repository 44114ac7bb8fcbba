//! Routes that are made when the first request for them comes: a cold start waits for no more than its own request needs.

use axum::Router;
use std::sync::{Arc, OnceLock};

/// Gives what `make` makes, which is made at the first call.
pub(crate) fn later(
    make: impl Fn() -> Router + Send + Sync + 'static,
) -> impl Fn() -> Router + Clone + Send + Sync + 'static {
    let made = Arc::new(OnceLock::new());
    let make = Arc::new(make);
    move || made.get_or_init(|| make()).clone()
}
