//! The stages of a home behind its queues: takes messages, has them handled, and settles each delivery.
//!
//! Used by the local home and the simulation. In Lambda, SQS and the event source mapping do this.
//!
//! A failure that may pass sends the message back with a growing delay; after [`DELIVERIES_MAX`]
//! deliveries, or at once where trying again cannot help, it is parked with its cause and people are
//! told.

use crate::news;
use crate::outbox;
use crate::stage::{Done, Wake, settle};
use crate::work::Work;
use crate::{
    bundle::Bundles, diagnose::Diagnose, fix::Fixes, notify::Notify, rollback::Rollback,
    rollout::Rollouts, schedule::Schedule, sign::Sign, triage::Triage,
};
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Queue};
use kintsugi_domain::limits::DELIVERIES_MAX;
use kintsugi_domain::ports::{BuildEngine, Commit, Delivery, PortError, Ports};
use kintsugi_domain::trace::{TraceId, in_trace};
use std::sync::Arc;
use std::time::Duration;

/// How long a message stays hidden from others while it is handled.
const LEASE: Duration = Duration::from_mins(2);
/// The same for jobs: searches and builds take minutes.
const JOB_LEASE: Duration = Duration::from_hours(2);
/// The longest delay before a message comes back.
const DELAY_MAX: Duration = Duration::from_mins(15);

/// The stages of a home.
#[derive(Debug, Clone)]
pub struct Worker {
    ports: Ports,
    triage: Triage,
    diagnose: Diagnose,
    fixes: Fixes,
    work: Work,
    schedule: Schedule,
    bundles: Bundles,
    sign: Sign,
    rollouts: Rollouts,
    rollback: Rollback,
    notify: Notify,
}

impl Worker {
    /// The stages of a home, with the engine that does its jobs.
    pub fn new(ports: &Ports, engine: Arc<dyn BuildEngine>) -> Self {
        Self {
            triage: Triage::new(ports.clone()),
            diagnose: Diagnose::new(ports.clone()),
            fixes: Fixes::new(ports.clone()),
            work: Work::new(ports.clone(), engine),
            schedule: Schedule::new(ports.clone()),
            bundles: Bundles::new(ports.clone()),
            sign: Sign::new(ports.clone()),
            rollouts: Rollouts::new(ports.clone()),
            rollback: Rollback::new(ports.clone()),
            notify: Notify::new(ports.clone()),
            ports: ports.clone(),
        }
    }

    /// Handles up to `max` messages of a queue and answers with how many there were. An error means
    /// that the queue or the store is out of order; what was taken comes back when its lease ends.
    pub async fn drain(&self, queue: Queue, max: usize) -> Result<usize, PortError> {
        let lease = if queue == Queue::Jobs {
            JOB_LEASE
        } else {
            LEASE
        };
        let deliveries = self.ports.queues.receive(queue, max, lease).await?;
        let count = deliveries.len();
        for delivery in deliveries {
            let trace = delivery.envelope.trace;
            in_trace(trace, self.deliver(queue, delivery)).await?;
        }
        if count > 0 {
            outbox::relay(&self.ports).await?;
        }
        Ok(count)
    }

    async fn deliver(&self, queue: Queue, delivery: Delivery) -> Result<(), PortError> {
        let ended = self.handle(&delivery.envelope).await;
        self.conclude(queue, delivery, ended).await
    }

    /// Has a message handled by the stage of its queue.
    pub async fn handle(&self, envelope: &Envelope) -> Result<Done, PortError> {
        let wake = Wake::Message(Arc::new(envelope.clone()));
        match envelope.queue() {
            Queue::Events => settle(&self.triage, &wake).await,
            Queue::Diagnoses => settle(&self.diagnose, &wake).await,
            Queue::Fixes => settle(&self.fixes, &wake).await,
            Queue::Jobs => settle(&self.work, &wake).await,
            Queue::Trains => settle(&self.schedule, &wake).await,
            Queue::Bundles => settle(&self.bundles, &wake).await,
            Queue::Signing => settle(&self.sign, &wake).await,
            Queue::Rollouts | Queue::Outcomes => settle(&self.rollouts, &wake).await,
            Queue::Rollbacks => settle(&self.rollback, &wake).await,
            Queue::Alerts => settle(&self.notify, &wake).await,
        }
    }

    /// The clock struck: every stage with a schedule looks at what time alone changes, and what lies in
    /// the outbox is swept. Each is tried whatever became of the others; the first failure is returned.
    pub async fn tick(&self) -> Result<(), PortError> {
        // Named by its time: a tick is no report's step, and what it brings about is followed from it.
        let trace =
            TraceId::from_digest(Digest::of(format!("tick {}", self.ports.now()).as_bytes()));
        in_trace(Some(trace), self.strike()).await
    }

    async fn strike(&self) -> Result<(), PortError> {
        let schedule = settle(&self.schedule, &Wake::Tick).await;
        let rollouts = settle(&self.rollouts, &Wake::Tick).await;
        let sign = settle(&self.sign, &Wake::Tick).await;
        let swept = outbox::relay(&self.ports).await;
        schedule.and(rollouts).and(sign).and(swept).map(|_| ())
    }

    async fn conclude(
        &self,
        queue: Queue,
        delivery: Delivery,
        ended: Result<Done, PortError>,
    ) -> Result<(), PortError> {
        let Delivery {
            envelope,
            receipt,
            attempt,
        } = delivery;
        let queues = self.ports.queues.as_ref();
        let trace_id = envelope.trace.map(tracing::field::display);
        match ended {
            Ok(done) => {
                tracing::info!(%queue, message = %envelope.id, trace_id, cause = %envelope.cause, ?done, "handled");
                queues.done(&receipt).await
            }
            Err(error) if error.is_transient() && attempt < DELIVERIES_MAX => {
                tracing::warn!(%queue, message = %envelope.id, trace_id, attempt, reason = %error, "will be tried again");
                queues.retry(&receipt, delay(attempt)).await
            }
            Err(error) => {
                tracing::error!(%queue, message = %envelope.id, trace_id, attempt, reason = %error, "parked");
                self.tell_parked(&envelope, queue, &error).await?;
                queues.park(&receipt, &error.to_string()).await
            }
        }
    }

    async fn tell_parked(
        &self,
        envelope: &Envelope,
        queue: Queue,
        error: &PortError,
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
                "message {} of queue {queue} was parked: {error}. Mend the cause, then redrive the queue.",
                envelope.id
            ),
            self.ports.now(),
        );
        let commit = news::raise(&self.ports, Commit::new(), envelope.id.as_str(), alert).await?;
        if commit.is_empty() {
            return Ok(());
        }
        self.ports.store.commit(commit).await
    }
}

/// 1, 4, 16 … seconds, at most [`DELAY_MAX`].
fn delay(attempt: u32) -> Duration {
    let seconds = 4_u64.saturating_pow(attempt.saturating_sub(1));
    Duration::from_secs(seconds).min(DELAY_MAX)
}

#[cfg(test)]
mod tests;
