//! How the delivery of a message ends: handled, tried again after a growing delay, or parked with its cause and an alert.

use crate::news;
use crate::stage::Done;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::envelope::{Envelope, Queue};
use kintsugi_domain::limits::DELIVERIES_MAX;
use kintsugi_domain::ports::{Commit, Delivery, Letter, PortError, Ports};
use std::time::Duration;

/// The longest delay before a message comes back.
const DELAY_MAX: Duration = Duration::from_mins(15);

/// Settles a delivery by how its handling ended. A failure that may pass sends the message back; after
/// [`DELIVERIES_MAX`] deliveries, or at once where trying again cannot help, it is parked and people are told.
pub(crate) async fn conclude(
    ports: &Ports,
    delivery: &Delivery,
    ended: Result<Done, PortError>,
) -> Result<(), PortError> {
    let Delivery {
        envelope,
        receipt,
        attempt,
    } = delivery;
    let (queue, attempt) = (envelope.queue(), *attempt);
    let trace_id = envelope.trace.map(tracing::field::display);
    match ended {
        Ok(done) => {
            tracing::info!(%queue, message = %envelope.id, trace_id, cause = %envelope.cause, ?done, "handled");
            ports.queues.done(receipt).await
        }
        Err(error) if error.is_transient() && attempt < DELIVERIES_MAX => {
            tracing::warn!(%queue, message = %envelope.id, trace_id, attempt, reason = %error, "will be tried again");
            ports.queues.retry(receipt, delay(attempt)).await
        }
        Err(error) => {
            tracing::error!(%queue, message = %envelope.id, trace_id, attempt, reason = %error, "parked");
            let cause = error.to_string();
            tell_parked(ports, queue, envelope, &cause).await?;
            ports.queues.park(delivery, &cause).await
        }
    }
}

/// Sets aside what a function could not handle, with its cause, and tells people; for a function, whose queue ends the delivery
/// when it answers. What is no message (`envelope` is nothing) has no project, so nobody is told of it by alert: the home counts
/// it.
pub async fn give_up(
    ports: &Ports,
    letter: &Letter,
    envelope: Option<&Envelope>,
    cause: &str,
) -> Result<(), PortError> {
    if let Some(envelope) = envelope {
        tell_parked(ports, letter.queue, envelope, cause).await?;
    }
    ports.queues.set_aside(letter, cause).await
}

async fn tell_parked(
    ports: &Ports,
    queue: Queue,
    envelope: &Envelope,
    cause: &str,
) -> Result<(), PortError> {
    // An alert about an alert that could not be delivered would go the same way, and so on. The parked
    // message itself stays to be seen.
    if queue == Queue::Alerts {
        return Ok(());
    }
    let alert = Alert::new(
        envelope.project,
        Urgency::Page,
        "message.parked",
        &envelope.id,
        format!(
            "message {} of queue {queue} was parked: {cause}. Mend the cause, then redrive the queue.",
            envelope.id
        ),
        ports.now(),
    );
    let commit = news::raise(ports, Commit::new(), envelope.id.as_str(), alert).await?;
    if commit.is_empty() {
        return Ok(());
    }
    ports.store.commit(commit).await
}

/// 1, 4, 16 … seconds, at most [`DELAY_MAX`].
fn delay(attempt: u32) -> Duration {
    let seconds = 4_u64.saturating_pow(attempt.saturating_sub(1));
    Duration::from_secs(seconds).min(DELAY_MAX)
}
