//! The HTTP interface of a local home: serves the routes it is given.

use super::connections::{CONNECTIONS_MAX, Connections, PATIENCE, PerAddress};
use super::tasks::Stop;
use axum::Router;
use std::io;
use tokio::net::TcpListener;

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
