//! Runners: machines elsewhere that lease jobs, do them in their own sandbox, and report.
//!
//! A lease is a delivery of the job's message: it lasts as long as its runner shows signs of life, and when it ends, the job
//! goes to the next. So a runner may die at any moment, and the home keeps no list of runners. What the queue hands out is
//! sealed into the lease ([`kintsugi_trust::lease`]).
//!
//! **Invariants: a job has one report, the first that arrives, whoever holds the lease by then. A runner reads only what its job
//! names, and writes only content whose digest stands in its key, under the names of its job's artifacts.** A report is taken
//! only when what it names is stored.
//!
//! Not here: what a job is and who judges its report ([`crate::fix`], [`crate::bundle`]), and the doing ([`crate::work`] and the
//! build engine).

use crate::admin::{Refusal, RefusalKind};
use crate::deliveries::conclude;
use crate::records;
use crate::stage::Done;
use crate::work;
use kintsugi_domain::audit::HOME;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Message, Queue};
use kintsugi_domain::id::JobId;
use kintsugi_domain::job::{
    Artifact, BuildOrder, Built, Delta, Job, JobState, Order, Report, artifact_key, delta_name,
    package_name, zip_names,
};
use kintsugi_domain::limits::{
    CONFLICT_RETRIES_MAX, DELIVERIES_MAX, PACKAGE_BYTES_MAX, REASON_CHARS_MAX,
};
use kintsugi_domain::ports::{Delivery, KeyName, KeyUse, Link, PortError, Ports};
use kintsugi_domain::record::Stored;
use kintsugi_domain::trace::in_trace;
use kintsugi_trust::lease::Lease;
use kintsugi_trust::token::{Role, Token};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a job stays with a runner that gives no sign of life, seconds, unless the runner asks otherwise.
pub const LEASE_SECONDS: u32 = 120;
/// The longest time that a runner may ask for, seconds: a job of a dead runner waits that long.
pub const LEASE_SECONDS_MAX: u32 = 15 * 60;
/// For how long a link to a blob is good: as long as a large package may take.
const LINK_LIFE: Duration = Duration::from_mins(15);
/// Messages that one request for a job looks at: those of jobs that are done are settled on the way.
const LOOKS_MAX: usize = 16;
/// What leases are sealed with.
const SECRET: KeyName = KeyName {
    project: HOME,
    key_use: KeyUse::Leases,
};

/// A job for a runner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leased {
    /// Shows that the runner holds the job; goes with everything that it asks about it.
    pub lease: String,
    /// How long the job stays with the runner after each sign of life, seconds.
    pub seconds: u32,
    /// 1 for the first time that the job is handed out.
    pub attempt: u32,
    /// What to do. Where alerts go is left out: it is nothing to a runner.
    pub job: Job,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Whether it is the job's report; if not, the job has one already.
    pub accepted: bool,
}

/// What became of a job that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenBack {
    /// Whether it will be handed out again by itself; if not, it is parked or done.
    pub again: bool,
}

/// How to get a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Download {
    /// By that link.
    Link(Link),
    /// Here it is.
    Content(Vec<u8>),
}

/// Why a request of a runner was not answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunnerError {
    /// It may not, or it does not fit how things stand.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The world failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

type OrError<T> = Result<T, RunnerError>;

fn refuse<T>(kind: RefusalKind, code: &'static str, why: impl Into<String>) -> OrError<T> {
    Err(Refusal::new(kind, code, why).into())
}

/// What runners may ask of a home.
#[derive(Debug, Clone)]
pub struct Runners {
    ports: Ports,
}

impl Runners {
    /// The runners of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    /// A job to do, if one waits. It stays with the runner for `seconds` after each sign of life, at most
    /// [`LEASE_SECONDS_MAX`].
    pub async fn lease(&self, actor: &Token, seconds: u32) -> OrError<Option<Leased>> {
        check_role(actor)?;
        let seconds = seconds.clamp(1, LEASE_SECONDS_MAX);
        for _ in 0..LOOKS_MAX {
            let received = self
                .ports
                .queues
                .receive(Queue::Jobs, 1, lasting(seconds))
                .await?;
            let Some(delivery) = received.into_iter().next() else {
                return Ok(None);
            };
            match self.job_of(&delivery).await {
                Ok(Ok(job)) => return self.hand_out(actor, seconds, delivery, job).await.map(Some),
                Ok(Err(nothing)) => conclude(&self.ports, &delivery, Ok(nothing)).await?,
                Err(error) => conclude(&self.ports, &delivery, Err(error)).await?,
            }
        }
        Ok(None)
    }

    /// The job that a delivery orders, or why there is nothing to do for it.
    async fn job_of(&self, delivery: &Delivery) -> Result<Result<Job, Done>, PortError> {
        let id = job_id(delivery)?;
        let store = self.ports.store.as_ref();
        let project = delivery.envelope.project;
        let Some(job) = records::get::<Job>(store, project, id.as_str()).await? else {
            return Ok(Err(Done::nothing("the job does not exist")));
        };
        match job.value.state {
            JobState::Done => Ok(Err(Done::nothing("the job has its report"))),
            JobState::Ordered if delivery.attempt > DELIVERIES_MAX => Err(PortError::broken(
                format!("job {id}"),
                format!("each of {DELIVERIES_MAX} runners died with it or lost it"),
            )),
            JobState::Ordered => Ok(Ok(job.value)),
        }
    }

    async fn hand_out(
        &self,
        actor: &Token,
        seconds: u32,
        delivery: Delivery,
        mut job: Job,
    ) -> OrError<Leased> {
        let attempt = delivery.attempt;
        let secret = self.ports.signer.secret(&SECRET).await?;
        let lease = Lease {
            holder: actor.sub.clone(),
            seconds,
            delivery,
        };
        let lease = lease
            .seal(&secret)
            .map_err(|error| PortError::broken(format!("the lease of job {}", job.id), error))?;
        job.config.alerts.clear();
        tracing::info!(job = %job.id, runner = %actor.sub, attempt, "leased");
        Ok(Leased {
            lease,
            seconds,
            attempt,
            job,
        })
    }

    /// A sign of life: the job stays with the runner. Returns for how long, seconds.
    pub async fn heartbeat(&self, actor: &Token, lease: &str) -> OrError<u32> {
        let lease = self.open(actor, lease).await?;
        let job = self.job(&lease).await?;
        if job.value.state == JobState::Done {
            self.ports.queues.done(&lease.delivery.receipt).await?;
            return lost("another runner has reported on it");
        }
        self.hold(&lease).await?;
        Ok(lease.seconds)
    }

    /// Takes the report on a job. The first one counts; a later one changes nothing.
    pub async fn report(&self, actor: &Token, lease: &str, report: Report) -> OrError<Reported> {
        let lease = self.open(actor, lease).await?;
        let mut conflicts = 0;
        let accepted = loop {
            let job = self.job(&lease).await?;
            if job.value.state == JobState::Done {
                break false;
            }
            self.check(&job.value, &report).await?;
            let store = self.ports.store.as_ref();
            let cause = &lease.delivery.envelope;
            // What follows belongs to the report that led to the job, not to this request.
            let finished = work::finish(store, cause, job, report.clone());
            match in_trace(cause.trace, finished).await {
                Ok(Done::Did(_)) => break true,
                Ok(Done::Nothing(_)) => break false,
                // Somebody else reported at this moment.
                Err(PortError::Conflict { .. }) if conflicts < CONFLICT_RETRIES_MAX => {
                    conflicts += 1;
                }
                Err(error) => return Err(error.into()),
            }
        };
        tracing::info!(message = %lease.delivery.envelope.id, runner = %actor.sub, accepted, "reported");
        self.ports.queues.done(&lease.delivery.receipt).await?;
        Ok(Reported { accepted })
    }

    /// Takes a job back that a runner cannot do, now or ever.
    pub async fn give_back(
        &self,
        actor: &Token,
        lease: &str,
        reason: &str,
        may_pass: bool,
    ) -> OrError<GivenBack> {
        let lease = self.open(actor, lease).await?;
        let job = self.job(&lease).await?;
        if job.value.state == JobState::Done {
            self.ports.queues.done(&lease.delivery.receipt).await?;
            return Ok(GivenBack { again: false });
        }
        // Who has lost the job has no say in it any more.
        self.hold(&lease).await?;
        let reason: String = reason.trim().chars().take(REASON_CHARS_MAX).collect();
        let what = format!("job {} on runner {}", job.value.id, actor.sub);
        let error = if may_pass {
            PortError::unavailable(what, reason)
        } else {
            PortError::broken(what, reason)
        };
        let again = may_pass && lease.delivery.attempt < DELIVERIES_MAX;
        conclude(&self.ports, &lease.delivery, Err(error)).await?;
        Ok(GivenBack { again })
    }

    /// Content that the job needs, or the way to it.
    pub async fn download(&self, actor: &Token, lease: &str, key: &str) -> OrError<Download> {
        let lease = self.open(actor, lease).await?;
        let job = self.job(&lease).await?.value;
        if !job.reads(key) {
            let why = "the job of this lease does not read that blob";
            return refuse(RefusalKind::Forbidden, "blob.not_of_job", why);
        }
        if let Some(link) = self.ports.blobs.download_link(key, LINK_LIFE).await? {
            return Ok(Download::Link(link));
        }
        let bytes_max = usize::try_from(PACKAGE_BYTES_MAX).unwrap_or(usize::MAX);
        match self.ports.blobs.get(key, bytes_max).await? {
            Some(content) => Ok(Download::Content(content)),
            None => Err(Refusal::missing("blob.unknown", "blob").into()),
        }
    }

    /// A link to store an artifact of the job with; nothing where the home itself takes it ([`Runners::store`]).
    pub async fn upload(
        &self,
        actor: &Token,
        lease: &str,
        key: &str,
        length: u64,
    ) -> OrError<Option<Link>> {
        let digest = self.writable(actor, lease, key).await?;
        if length > PACKAGE_BYTES_MAX {
            let why = format!("an artifact has at most {PACKAGE_BYTES_MAX} bytes");
            return refuse(RefusalKind::Invalid, "blob.too_long", why);
        }
        let content = (digest, length);
        Ok(self
            .ports
            .blobs
            .upload_link(key, content, LINK_LIFE)
            .await?)
    }

    /// Stores an artifact of the job.
    pub async fn store(
        &self,
        actor: &Token,
        lease: &str,
        key: &str,
        content: Vec<u8>,
    ) -> OrError<()> {
        let digest = self.writable(actor, lease, key).await?;
        if Digest::of(&content) != digest {
            let why = "what arrived is not what the key names; send it again";
            return refuse(RefusalKind::Invalid, "blob.digest", why);
        }
        Ok(self.ports.blobs.put(key, content).await?)
    }

    /// The digest of what may be stored under a key by the holder of a lease.
    async fn writable(&self, actor: &Token, lease: &str, key: &str) -> OrError<Digest> {
        let lease = self.open(actor, lease).await?;
        let job = self.job(&lease).await?.value;
        let Some(digest) = job.artifact_digest(key) else {
            let why = "the job of this lease makes no artifact of that name";
            return refuse(RefusalKind::Forbidden, "blob.not_of_job", why);
        };
        match job.state {
            JobState::Ordered => Ok(digest),
            JobState::Done => lost("the job has its report"),
        }
    }

    async fn open(&self, actor: &Token, lease: &str) -> OrError<Lease> {
        check_role(actor)?;
        let secret = self.ports.signer.secret(&SECRET).await?;
        match Lease::open(lease, &secret, &actor.sub) {
            Ok(lease) => Ok(lease),
            Err(error) => refuse(RefusalKind::Forbidden, error.code(), error.to_string()),
        }
    }

    async fn job(&self, lease: &Lease) -> OrError<Stored<Job>> {
        let id = job_id(&lease.delivery)?;
        let (store, project) = (self.ports.store.as_ref(), lease.delivery.envelope.project);
        match records::get::<Job>(store, project, id.as_str()).await? {
            Some(job) => Ok(job),
            None => Err(Refusal::missing("job.unknown", "job").into()),
        }
    }

    async fn hold(&self, lease: &Lease) -> OrError<()> {
        let receipt = &lease.delivery.receipt;
        match self
            .ports
            .queues
            .extend(receipt, lasting(lease.seconds))
            .await
        {
            Ok(()) => Ok(()),
            Err(PortError::Conflict { .. }) => {
                lost("it gave no sign of life in time, or was given back")
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses a report that cannot be that of the job, or that names what is not stored.
    async fn check(&self, job: &Job, report: &Report) -> OrError<()> {
        if !job.is_answered_by(report) {
            let why = "a search is answered by a search, a build by a build";
            return refuse(RefusalKind::Invalid, "report.kind", why);
        }
        let (Order::Build(order), Report::Build(report)) = (&job.order, report) else {
            return Ok(());
        };
        let Ok(built) = &report.built else {
            return Ok(());
        };
        check_names(job, order, built)?;
        for artifact in built.artifacts() {
            if self.ports.blobs.length(&artifact.blob).await? != Some(artifact.length) {
                let why = format!("{} is not stored, or not whole", artifact.blob);
                return refuse(RefusalKind::Conflict, "artifact.missing", why);
            }
        }
        Ok(())
    }
}

/// Refuses artifacts of other names than the job's.
fn check_names(job: &Job, order: &BuildOrder, built: &Built) -> OrError<()> {
    let (app, version) = (&job.config.product.name, &order.version);
    let is_at = |artifact: &Artifact, name: &str| {
        artifact.blob == artifact_key(job.project, &artifact.digest, name)
            && artifact.length <= PACKAGE_BYTES_MAX
    };
    let bases = order.delta_bases.iter().map(|(from, _)| from);
    let fits = is_at(&built.full, &package_name(app, version))
        && deltas_fit(&built.deltas, bases, |delta| {
            is_at(&delta.artifact, &delta_name(app, &delta.from, version))
        });
    let zips = zip_names(app, version);
    let mut made = built.zips.iter();
    let fits = fits
        && built.zips.len() <= zips.len()
        && made.all(|zip| zips.iter().any(|name| is_at(zip, name)));
    let fits = fits && platforms_fit(job, order, built, is_at);
    if fits {
        return Ok(());
    }
    let why = "it names artifacts that this job does not make";
    refuse(RefusalKind::Invalid, "report.artifacts", why)
}

/// Whether deltas are of versions that were ordered, one of each at most.
fn deltas_fit<'a>(
    deltas: &[Delta],
    bases: impl Iterator<Item = &'a Version>,
    is_at: impl Fn(&Delta) -> bool,
) -> bool {
    let mut open: BTreeSet<&Version> = bases.collect();
    deltas
        .iter()
        .all(|delta| open.remove(&delta.from) && is_at(delta))
}

/// Whether packages for platforms are such as the job makes.
fn platforms_fit(
    job: &Job,
    order: &BuildOrder,
    built: &Built,
    is_at: impl Fn(&Artifact, &str) -> bool,
) -> bool {
    let (app, version) = (&job.config.product.name, &order.version);
    let kinds = job.config.package.platforms();
    let mut made = built.platforms.iter();
    built.platforms.len() <= kinds.len()
        && made.all(|package| {
            let kind = package.kind;
            let bases = order.platform_bases.iter();
            let bases = bases.filter(|base| base.kind == kind);
            kinds.contains(&kind)
                && is_at(&package.artifact, &kind.file_name(app, version))
                && deltas_fit(&package.deltas, bases.map(|base| &base.version), |delta| {
                    let name = kind.delta_name(app, &delta.from, version);
                    is_at(&delta.artifact, &name)
                })
        })
}

fn job_id(delivery: &Delivery) -> Result<&JobId, PortError> {
    let Message::RunJob { job } = &delivery.envelope.message else {
        let what = format!("message {} of queue jobs", delivery.envelope.id);
        return Err(PortError::broken(what, "it orders no job"));
    };
    Ok(job)
}

fn check_role(actor: &Token) -> OrError<()> {
    match actor.require(Role::Runner) {
        Ok(()) => Ok(()),
        Err(error) => refuse(RefusalKind::Forbidden, error.code(), error.to_string()),
    }
}

fn lost<T>(why: &str) -> OrError<T> {
    let why = format!("the job is not this runner's any more: {why}");
    refuse(RefusalKind::Conflict, "lease.lost", why)
}

fn lasting(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

#[cfg(test)]
mod tests;
