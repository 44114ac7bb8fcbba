//! The HTTP interface of a local home: serves the routes it is given.

use super::bell::Bell;
use super::connections::{CONNECTIONS_MAX, Connections, PATIENCE, PerAddress};
use super::tasks::Stop;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The same routes; after a request that may change something, the stages look at their queues.
pub(super) fn ringing(routes: Router, bell: Arc<Bell>) -> Router {
    routes.layer(from_fn(move |request: Request, next: Next| {
        let bell = Arc::clone(&bell);
        async move {
            let may_change = !request.method().is_safe();
            let response = next.run(request).await;
            if may_change {
                bell.ring();
            }
            response
        }
    }))
}

/// Serves until the stop, then ends the requests in hand.
pub(super) async fn serve(
    listener: TcpListener,
    per_address: PerAddress,
    router: Router,
    stop: Stop,
) -> Result<(), io::Error> {
    let connections = Connections::new(listener, CONNECTIONS_MAX, per_address, PATIENCE);
    axum::serve(connections, router)
        .with_graceful_shutdown(stop.stopped())
        .await
}
