//! From the outbox to the queues: what a commit hands on leaves here, at the end of an invocation, or
//! when the clock sweeps because that failed.

use kintsugi_domain::ports::{PortError, Ports};

/// Messages moved at a time.
const PAGE: usize = 100;

/// Sends everything in the outbox and answers with how many messages that were. Safe to run while
/// others do: a message may be sent twice, and every stage takes that.
pub async fn relay(ports: &Ports) -> Result<usize, PortError> {
    let mut moved = 0;
    loop {
        let waiting = ports.store.outbox(PAGE).await?;
        if waiting.is_empty() {
            return Ok(moved);
        }
        ports.queues.send(&waiting).await?;
        let ids: Vec<_> = waiting.iter().map(|envelope| envelope.id.clone()).collect();
        ports.store.sent(&ids).await?;
        moved += ids.len();
    }
}
