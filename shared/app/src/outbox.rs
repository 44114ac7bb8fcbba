//! From the outbox to the queues. What an invocation committed leaves at its end, by [`relay`]; what was left behind, because
//! that failed or the process died, leaves when the clock strikes, by [`sweep`].

use kintsugi_domain::envelope::Envelope;
use kintsugi_domain::ports::{PortError, Ports};

/// Messages moved at a time.
const PAGE: usize = 100;

/// Sends what this process committed and answers with how many messages that were. Safe to run while others do: a message may
/// be sent twice, and every stage takes that.
pub async fn relay(ports: &Ports) -> Result<usize, PortError> {
    let mut moved = 0;
    loop {
        let waiting = ports.store.own_outbox(PAGE).await?;
        if waiting.is_empty() {
            return Ok(moved);
        }
        moved += send(ports, &waiting).await?;
    }
}

/// Sends everything in the outbox, whoever put it there; otherwise as [`relay`].
pub async fn sweep(ports: &Ports) -> Result<usize, PortError> {
    let mut moved = 0;
    loop {
        let waiting = ports.store.outbox(PAGE).await?;
        if waiting.is_empty() {
            return Ok(moved);
        }
        moved += send(ports, &waiting).await?;
    }
}

async fn send(ports: &Ports, waiting: &[Envelope]) -> Result<usize, PortError> {
    ports.queues.send(waiting).await?;
    let ids: Vec<_> = waiting.iter().map(|envelope| envelope.id.clone()).collect();
    ports.store.sent(&ids).await?;
    Ok(ids.len())
}
