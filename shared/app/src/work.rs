//! In front of the build engine: takes an order, has it done, stores the answer, tells who ordered.
//!
//! Runs where product code may run: in the local home, never in a cloud function. Runners take jobs through
//! [`crate::runner`], which stores answers by the same code.

use crate::records;
use crate::stage::{Done, Stage, Wake, not_mine};
use async_trait::async_trait;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::id::JobId;
use kintsugi_domain::job::{Job, JobMove, Order, Report};
use kintsugi_domain::ports::{BuildEngine, Commit, PortError, Ports, Store};
use kintsugi_domain::record::Stored;
use std::fmt;
use std::sync::Arc;

/// The stage that works off jobs.
#[derive(Clone)]
pub struct Work {
    ports: Ports,
    engine: Arc<dyn BuildEngine>,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

/// The message that tells who ordered a job that it is done.
pub(crate) fn done_message(job: &Job) -> Message {
    let id = job.id.clone();
    match job.order {
        Order::Search(_) => Message::SearchDone { job: id },
        Order::Build(_) => Message::BuildDone { job: id },
    }
}

/// Stores the answer to a job that is ordered, and tells who ordered it, in one commit. A job that has its answer keeps it.
pub(crate) async fn finish(
    store: &dyn Store,
    cause: &Envelope,
    mut job: Stored<Job>,
    report: Report,
) -> Result<Done, PortError> {
    job.value.state = match job.value.state.next(JobMove::Report) {
        Ok(state) => state,
        Err(refused) => return Ok(refused.into()),
    };
    job.value.report = Some(report);
    let message = done_message(&job.value);
    let envelope = Envelope::new(cause.id.to_string(), cause.project, message);
    store
        .commit(Commit::new().update(&job).send(envelope))
        .await?;
    Ok(Done::did(format!("job {} is done", job.value.id)))
}

impl Work {
    /// The stage of a home, with its engine.
    pub fn new(ports: Ports, engine: Arc<dyn BuildEngine>) -> Self {
        Self { ports, engine }
    }

    async fn work(&self, cause: &Envelope, id: &JobId) -> Result<Done, PortError> {
        let store = self.ports.store.as_ref();
        let Some(job) = records::get::<Job>(store, cause.project, id.as_str()).await? else {
            return Ok(Done::nothing("the job does not exist"));
        };
        if let Err(refused) = job.value.state.next(JobMove::Report) {
            return Ok(refused.into());
        }
        let report = self.engine.run(&job.value).await?;
        finish(store, cause, job, report).await
    }
}

#[async_trait]
impl Stage for Work {
    const NAME: &'static str = "work";
    type Command = Wake;
    type Done = Done;

    async fn run(&self, wake: Wake) -> Result<Done, PortError> {
        match wake.message() {
            Some((envelope, Message::RunJob { job })) => self.work(envelope, job).await,
            _ => Err(not_mine(Self::NAME, &wake)),
        }
    }
}
