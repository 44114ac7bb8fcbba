//! Sending what requests committed, where no runtime around the routes does it.
//!
//! The relay runs beside the answers, not before them: an accepted report is durable when its client
//! hears of it, and the queues can wait a moment. What a relay leaves, the next one or the clock's
//! sweep takes.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use kintsugi_app::outbox;
use kintsugi_domain::ports::Ports;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;

/// Relays the outbox after each request that may have committed something.
///
/// Not for Lambda: its runtime relays at the end of each invocation, and what a function spawns would
/// sleep with it.
pub fn with_relay(router: Router, ports: &Ports) -> Router {
    let relay = Arc::new(Relay {
        ports: ports.clone(),
        is_wanted: AtomicBool::new(false),
        turn: Mutex::new(()),
    });
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let relay = Arc::clone(&relay);
        async move {
            let may_commit = !request.method().is_safe();
            let response = next.run(request).await;
            if may_commit && !response.status().is_client_error() {
                tokio::spawn(async move { relay.run().await });
            }
            response
        }
    }))
}

/// One relay at a time: many at once would only send the same messages again.
struct Relay {
    ports: Ports,
    is_wanted: AtomicBool,
    turn: Mutex<()>,
}

impl Relay {
    /// Relays, unless somebody is at it: then they go round once more, so that what was committed
    /// before this call is taken either way.
    async fn run(&self) {
        self.is_wanted.store(true, Ordering::SeqCst);
        // Asked again after the turn was given up: who came just before that found it taken.
        while self.is_wanted.load(Ordering::SeqCst) {
            let Ok(turn) = self.turn.try_lock() else {
                return;
            };
            while self.is_wanted.swap(false, Ordering::SeqCst) {
                if let Err(error) = outbox::relay(&self.ports).await {
                    tracing::warn!(reason = %error, "the outbox was not relayed and waits for the next sweep");
                }
            }
            drop(turn);
        }
    }
}
