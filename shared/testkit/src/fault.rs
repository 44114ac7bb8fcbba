//! Decorators that end a "process" at a chosen point.
//!
//! Every call of a port is an effect. [`Faults`] counts the effects of one process and ends it before its n-th effect
//! (nothing of it happened) or after it (it happened, the answer was lost). **From then on every call of that process
//! fails, and changes nothing, until [`Faults::restart`].** All ports of one process share one [`Faults`].
//!
//! A process made by [`Faults::interleaved`] yields once before and once after every effect, so that whoever polls
//! several of them chooses which effect of which process comes next, and may drop one between any two effects.
//!
//! Not here: when to crash (the scheduler of a simulation decides) and what a restart does to the content of
//! the ports (nothing: what was written stays).

use crate::memory::locked;
use async_trait::async_trait;
use kintsugi_domain::alert::Alert;
use kintsugi_domain::config::AlertChannel;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Queue};
use kintsugi_domain::id::{MessageId, ProjectId};
use kintsugi_domain::job::{Job, Report};
use kintsugi_domain::ports::{
    Blobs, BuildEngine, Commit, Delivery, Forge, KeyName, Letter, Link, Notifier, Parked,
    PortError, Proposal, Query, Queues, RawRecord, RecordKey, Signer, Store,
};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// The fate of one process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    effects: u64,
    plan: Option<Plan>,
    crashed: bool,
    interleaved: bool,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    /// The number of the effect, counted from the first of the process.
    effect: u64,
    applied: bool,
    /// Only this effect fails, the process lives on.
    passes: bool,
}

impl Faults {
    /// A process that lives.
    pub fn new() -> Self {
        Self::default()
    }

    /// A process that lives, and yields once before and once after every effect.
    pub fn interleaved() -> Self {
        let faults = Self::default();
        locked(&faults.state).interleaved = true;
        faults
    }

    /// The process ends before its `n`-th effect from now (1 is the next one): nothing of it happens.
    pub fn crash_before(&self, n: u64) {
        self.plan(n, false, false);
    }

    /// The process ends after its `n`-th effect from now (1 is the next one): it happens, the answer is lost.
    pub fn crash_after(&self, n: u64) {
        self.plan(n, true, false);
    }

    /// The `n`-th effect from now (1 is the next one) fails and does not happen; the process lives on.
    pub fn fail(&self, n: u64) {
        self.plan(n, false, true);
    }

    /// A new process: nothing is planned, calls work again, and effects count from 0.
    pub fn restart(&self) {
        let mut state = locked(&self.state);
        *state = State {
            interleaved: state.interleaved,
            ..State::default()
        };
    }

    /// Whether the process has ended.
    pub fn crashed(&self) -> bool {
        locked(&self.state).crashed
    }

    /// How many effects the process has begun.
    pub fn effects(&self) -> u64 {
        locked(&self.state).effects
    }

    fn plan(&self, n: u64, applied: bool, passes: bool) {
        let mut state = locked(&self.state);
        let effect = state.effects.saturating_add(n.max(1));
        state.plan = Some(Plan {
            effect,
            applied,
            passes,
        });
    }

    /// Lets others go first, where the process is interleaved with them.
    async fn pause(&self) {
        let mut yielded = !locked(&self.state).interleaved;
        poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Passes one effect through, or ends the process at it.
    async fn effect<T>(
        &self,
        name: &str,
        effect: impl Future<Output = Result<T, PortError>> + Send,
    ) -> Result<T, PortError> {
        self.pause().await;
        let ends_after = {
            let mut state = locked(&self.state);
            if state.crashed {
                return Err(PortError::unavailable(
                    "crash",
                    format!("dead before {name}"),
                ));
            }
            state.effects += 1;
            let due = state.plan.filter(|plan| plan.effect == state.effects);
            state.crashed = due.is_some_and(|plan| !plan.passes);
            match due {
                Some(Plan { passes: true, .. }) => {
                    return Err(PortError::unavailable(name, "it failed this once"));
                }
                Some(Plan { applied: false, .. }) => {
                    return Err(PortError::unavailable(
                        "crash",
                        format!("ended before {name}"),
                    ));
                }
                Some(Plan { applied: true, .. }) => true,
                None => false,
            }
        };
        let answer = effect.await;
        self.pause().await;
        if ends_after {
            return Err(PortError::unavailable(
                "crash",
                format!("ended after {name}"),
            ));
        }
        answer
    }
}

/// A port of a process that may end. Clones share the port and the fate.
#[derive(Debug)]
pub struct Crashing<P: ?Sized> {
    inner: Arc<P>,
    faults: Faults,
}

impl<P: ?Sized> Clone for Crashing<P> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            faults: self.faults.clone(),
        }
    }
}

impl<P: ?Sized> Crashing<P> {
    /// `inner` as the process of `faults` sees it.
    pub fn new(inner: Arc<P>, faults: &Faults) -> Self {
        Self {
            inner,
            faults: faults.clone(),
        }
    }
}

#[async_trait]
impl<P: Store + ?Sized> Store for Crashing<P> {
    async fn get(&self, key: &RecordKey) -> Result<Option<RawRecord>, PortError> {
        self.faults.effect("get", self.inner.get(key)).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<RawRecord>, PortError> {
        self.faults.effect("list", self.inner.list(query)).await
    }

    async fn counter(
        &self,
        project: ProjectId,
        counter: &str,
    ) -> Result<BTreeMap<String, i64>, PortError> {
        let effect = self.inner.counter(project, counter);
        self.faults.effect("counter", effect).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), PortError> {
        self.faults
            .effect("commit", self.inner.commit(commit))
            .await
    }

    async fn projects(&self) -> Result<Vec<ProjectId>, PortError> {
        self.faults.effect("projects", self.inner.projects()).await
    }

    async fn outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        self.faults.effect("outbox", self.inner.outbox(limit)).await
    }

    async fn own_outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        let effect = self.inner.own_outbox(limit);
        self.faults.effect("outbox", effect).await
    }

    async fn sent(&self, ids: &[MessageId]) -> Result<(), PortError> {
        self.faults.effect("sent", self.inner.sent(ids)).await
    }
}

#[async_trait]
impl<P: Queues + ?Sized> Queues for Crashing<P> {
    async fn send(&self, envelopes: &[Envelope]) -> Result<(), PortError> {
        self.faults.effect("send", self.inner.send(envelopes)).await
    }

    async fn receive(
        &self,
        queue: Queue,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        let effect = self.inner.receive(queue, max, lease);
        self.faults.effect("receive", effect).await
    }

    async fn extend(&self, receipt: &str, lease: Duration) -> Result<(), PortError> {
        let effect = self.inner.extend(receipt, lease);
        self.faults.effect("extend", effect).await
    }

    async fn done(&self, receipt: &str) -> Result<(), PortError> {
        self.faults.effect("done", self.inner.done(receipt)).await
    }

    async fn retry(&self, receipt: &str, delay: Duration) -> Result<(), PortError> {
        let effect = self.inner.retry(receipt, delay);
        self.faults.effect("retry", effect).await
    }

    async fn park(&self, delivery: &Delivery, cause: &str) -> Result<(), PortError> {
        let effect = self.inner.park(delivery, cause);
        self.faults.effect("park", effect).await
    }

    async fn set_aside(&self, letter: &Letter, cause: &str) -> Result<(), PortError> {
        let effect = self.inner.set_aside(letter, cause);
        self.faults.effect("set aside", effect).await
    }

    async fn parked(&self, queue: Queue) -> Result<Vec<Parked>, PortError> {
        self.faults.effect("parked", self.inner.parked(queue)).await
    }

    async fn redrive(&self, queue: Queue) -> Result<usize, PortError> {
        let effect = self.inner.redrive(queue);
        self.faults.effect("redrive", effect).await
    }

    async fn depth(&self, queue: Queue) -> Result<usize, PortError> {
        self.faults.effect("depth", self.inner.depth(queue)).await
    }
}

#[async_trait]
impl<P: Blobs + ?Sized> Blobs for Crashing<P> {
    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), PortError> {
        self.faults
            .effect("put", self.inner.put(key, content))
            .await
    }

    async fn get(&self, key: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, PortError> {
        self.faults
            .effect("get", self.inner.get(key, bytes_max))
            .await
    }

    async fn length(&self, key: &str) -> Result<Option<u64>, PortError> {
        self.faults.effect("length", self.inner.length(key)).await
    }

    async fn digest(&self, key: &str) -> Result<Option<(Digest, u64)>, PortError> {
        self.faults.effect("digest", self.inner.digest(key)).await
    }

    async fn download_link(&self, key: &str, life: Duration) -> Result<Option<Link>, PortError> {
        let effect = self.inner.download_link(key, life);
        self.faults.effect("download_link", effect).await
    }

    async fn upload_link(
        &self,
        key: &str,
        content: (Digest, u64),
        life: Duration,
    ) -> Result<Option<Link>, PortError> {
        let effect = self.inner.upload_link(key, content, life);
        self.faults.effect("upload_link", effect).await
    }
}

#[async_trait]
impl<P: Signer + ?Sized> Signer for Crashing<P> {
    async fn sign(&self, key: &KeyName, message: &[u8]) -> Result<Vec<u8>, PortError> {
        self.faults
            .effect("sign", self.inner.sign(key, message))
            .await
    }

    async fn public_key(&self, key: &KeyName) -> Result<String, PortError> {
        let effect = self.inner.public_key(key);
        self.faults.effect("public_key", effect).await
    }

    async fn secret(&self, key: &KeyName) -> Result<[u8; 32], PortError> {
        self.faults.effect("secret", self.inner.secret(key)).await
    }
}

#[async_trait]
impl<P: BuildEngine + ?Sized> BuildEngine for Crashing<P> {
    async fn run(&self, job: &Job) -> Result<Report, PortError> {
        self.faults.effect("run", self.inner.run(job)).await
    }
}

#[async_trait]
impl<P: Forge + ?Sized> Forge for Crashing<P> {
    async fn head(&self, repository: &str, branch: &str) -> Result<String, PortError> {
        let effect = self.inner.head(repository, branch);
        self.faults.effect("head", effect).await
    }

    async fn file(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
    ) -> Result<Option<String>, PortError> {
        let effect = self.inner.file(repository, commit, path);
        self.faults.effect("file", effect).await
    }

    async fn propose(&self, proposal: &Proposal) -> Result<String, PortError> {
        let effect = self.inner.propose(proposal);
        self.faults.effect("propose", effect).await
    }

    async fn land(
        &self,
        repository: &str,
        branch: &str,
        commit: &str,
        tag: &str,
    ) -> Result<bool, PortError> {
        let effect = self.inner.land(repository, branch, commit, tag);
        self.faults.effect("land", effect).await
    }
}

#[async_trait]
impl<P: Notifier + ?Sized> Notifier for Crashing<P> {
    async fn notify(&self, channel: &AlertChannel, alert: &Alert) -> Result<(), PortError> {
        let effect = self.inner.notify(channel, alert);
        self.faults.effect("notify", effect).await
    }
}
