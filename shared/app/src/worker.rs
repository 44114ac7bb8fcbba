//! The stages of a home behind its queues: takes messages, has them handled, and settles each delivery.
//!
//! Used by the local home and the simulation. In Lambda, SQS and the event source mapping do this.
//!
//! A failure that may pass sends the message back with a growing delay; after
//! [`kintsugi_domain::limits::DELIVERIES_MAX`] deliveries, or at once where trying again cannot help, it is parked with its cause
//! and people are told.

use crate::deliveries::conclude;
use crate::outbox;
use crate::stage::{Done, Wake, settle};
use crate::work::Work;
use crate::{
    bundle::Bundles, diagnose::Diagnose, fix::Fixes, notify::Notify, rollback::Rollback,
    rollout::Rollouts, schedule::Schedule, sign::Sign, triage::Triage,
};
use futures::future::try_join_all;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Queue};
use kintsugi_domain::ports::{BuildEngine, Delivery, PortError, Ports};
use kintsugi_domain::trace::{TraceId, in_trace};
use std::sync::Arc;
use std::time::Duration;

/// How long a message stays hidden from others while it is handled.
const LEASE: Duration = Duration::from_mins(2);
/// The same for jobs: searches and builds take minutes.
const JOB_LEASE: Duration = Duration::from_hours(2);

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
        if queue == Queue::Events {
            self.file(&deliveries).await?;
        } else {
            for delivery in deliveries {
                let trace = delivery.envelope.trace;
                in_trace(trace, self.deliver(delivery)).await?;
            }
        }
        if count > 0 {
            outbox::relay(&self.ports).await?;
        }
        Ok(count)
    }

    async fn deliver(&self, delivery: Delivery) -> Result<(), PortError> {
        let ended = self.handle(&delivery.envelope).await;
        conclude(&self.ports, &delivery, ended).await
    }

    /// Reports that came together are filed together.
    async fn file(&self, deliveries: &[Delivery]) -> Result<(), PortError> {
        let messages: Vec<&Envelope> = deliveries.iter().map(|it| &it.envelope).collect();
        let ended = self.triage.run_all(&messages).await;
        let mut settled = Vec::with_capacity(deliveries.len());
        for (delivery, ended) in deliveries.iter().zip(ended) {
            let concluded = conclude(&self.ports, delivery, ended);
            settled.push(in_trace(delivery.envelope.trace, concluded));
        }
        try_join_all(settled).await.map(|_| ())
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
        let swept = outbox::sweep(&self.ports).await;
        schedule.and(rollouts).and(sign).and(swept).map(|_| ())
    }
}

#[cfg(test)]
mod tests;
