//! One home over memory ports, and the processes that live and die in it.

use super::engine::Scripted;
use super::observed::{Observed, Sabotage};
use super::random::percent_of;
use async_trait::async_trait;
use kintsugi_app::ingest::{Done as Ingested, Ingest, Request};
use kintsugi_app::stage::Stage;
use kintsugi_app::worker::Worker;
use kintsugi_domain::Timestamp;
use kintsugi_domain::config::Config;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::id::{EventId, ProjectId};
use kintsugi_domain::ports::Ports;
use kintsugi_domain::ports::{
    Blobs, BuildEngine, Clock, Commit, Forge, KeyName, KeyUse, Notifier, PortError, Queues, Signer,
    Store,
};
use kintsugi_domain::project::Project;
use kintsugi_testkit::fault::{Crashing, Faults};
use kintsugi_testkit::memory::{
    FixedClock, MemoryBlobs, MemoryForge, MemoryNotifier, MemoryQueues, MemorySigner, MemoryWeb,
    SeededIds,
};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

/// The only project.
pub(super) const PROJECT: ProjectId = ProjectId(1);
/// Its repository.
pub(super) const REPOSITORY: &str = "till";
/// Its channel.
pub(super) const CHANNEL: &str = "stable";
/// Its reporting key.
pub(super) const KEY: &str = "0123456789abcdef0123456789abcdef";
/// Files of the product's source.
pub(super) const SOURCES: [&str; 2] = ["till/totals.py", "till/cli.py"];

/// What a process was for, and how it ended.
pub(super) enum Ended {
    /// A worker's turn.
    Worked(Result<(), PortError>),
    /// A request with these events.
    Reported(Vec<EventId>, Result<Ingested, PortError>),
}

/// A process: everything in it is lost when it is dropped.
pub(super) struct Process {
    /// What it does, for the trace.
    pub(super) label: String,
    /// Its fate.
    pub(super) faults: Faults,
    future: Pin<Box<dyn Future<Output = Ended>>>,
}

/// A home.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) store: Observed,
    pub(super) queues: MemoryQueues,
    pub(super) blobs: MemoryBlobs,
    pub(super) forge: MemoryForge,
    pub(super) notifier: MemoryNotifier,
    pub(super) clock: FixedClock,
    ids: SeededIds,
    engine: Arc<Scripted>,
}

/// Every so many seeds sign and verify for real.
const REAL_EVERY: u64 = 10;

/// Keys are the same in every run, and derived once.
fn signer() -> MemorySigner {
    static SIGNER: OnceLock<MemorySigner> = OnceLock::new();
    SIGNER.get_or_init(|| MemorySigner::new(1)).clone()
}

/// What it gives has the form of a signature, and is none: real ones take longer than all the rest of a run. Roots, which are few and
/// which the home itself verifies before it makes the next one, are signed for real.
#[derive(Debug)]
struct Stamps(MemorySigner);

#[async_trait]
impl Signer for Stamps {
    async fn sign(&self, key: &KeyName, message: &[u8]) -> Result<Vec<u8>, PortError> {
        if matches!(key.key_use, KeyUse::Root(_)) {
            return self.0.sign(key, message).await;
        }
        let digest = Digest::of_parts(&[key.to_string().as_bytes(), message]);
        // DER: a sequence of two positive integers of 48 bytes.
        let mut der = vec![0x30, 0x64];
        for _ in 0..2 {
            der.extend([0x02, 0x30]);
            der.extend([1; 16]);
            der.extend(digest.as_bytes());
        }
        Ok(der)
    }

    async fn public_key(&self, key: &KeyName) -> Result<String, PortError> {
        self.0.public_key(key).await
    }

    async fn secret(&self, key: &KeyName) -> Result<[u8; 32], PortError> {
        self.0.secret(key).await
    }
}

pub(super) fn config(seed: u64) -> Config {
    let draw = |what| percent_of(seed, &[what]);
    let approve = if draw("approve") < 70 {
        "automatic"
    } else {
        "required"
    };
    let hotfix_at = if draw("hotfix") < 70 { 20 } else { 70 };
    let holdout = if draw("holdout") < 50 { 0 } else { 10 };
    let text = format!(
        r#"
        [product]
        name = "till"
        language = "python"
        [test]
        command = ["python3", "-m", "unittest"]
        [package]
        include = ["till"]
        [health]
        command = ["python3", "-m", "till", "health"]
        [fix]
        approve = "{approve}"
        [trains]
        hotfix_at = {hotfix_at}
        patch_at = 20
        patch_fixes = 2
        patch_days = 1
        [rollout]
        steps_percent = [30, 60, 100]
        holdout_percent = {holdout}
        soak_seconds = 600
        silence_seconds = 900
        gate_installs_min = 2
        gate_success_percent = 70.0
        gate_margin_percent = 40.0
        gate_beta_percent = 50.0
        backstop_failed_percent = 50.0
        backstop_installs_min = 4
        resolve_after_seconds = 7200
        [[alerts]]
        kind = "webhook"
        url = "https://alerts.invalid/hook"
        "#
    );
    Config::parse("kintsugi.toml", &text).unwrap()
}

impl World {
    /// A home with one project and its source, and nothing else.
    pub(super) fn new(seed: u64, sabotage: Sabotage) -> Self {
        let clock = FixedClock::default();
        let (blobs, forge) = (MemoryBlobs::new(), MemoryForge::new());
        let files = SOURCES.map(|path| (path, "def run():\n    pass\n"));
        forge.push(REPOSITORY, "main", &files);
        let engine = Arc::new(Scripted {
            seed,
            blobs: blobs.clone(),
            forge: forge.clone(),
        });
        let world = Self {
            seed,
            store: Observed::new(sabotage),
            queues: MemoryQueues::shuffled(Arc::new(clock.clone()), seed),
            blobs,
            forge,
            notifier: MemoryNotifier::new(),
            ids: SeededIds::new(seed),
            clock,
            engine,
        };
        let project = Project {
            id: PROJECT,
            config: config(seed),
            keys: vec![KEY.parse().unwrap()],
            repository: Some(REPOSITORY.to_owned()),
            batch_keys: kintsugi_domain::batch::BatchKeys::default(),
            added_at: world.now(),
        };
        world.commit(Commit::new().create(&project)).unwrap();
        world
    }

    /// Whether signatures are real in this run.
    pub(super) fn signs(&self) -> bool {
        self.seed.is_multiple_of(REAL_EVERY)
    }

    /// Now.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A commit by somebody who is not under test.
    pub(super) fn commit(&self, commit: Commit) -> Result<(), PortError> {
        at_once(self.store.commit(commit))
    }

    /// The ports as a process of that fate sees them.
    fn ports(&self, faults: &Faults) -> Ports {
        let store: Arc<dyn Store> = Arc::new(self.store.clone());
        let queues: Arc<dyn Queues> = Arc::new(self.queues.clone());
        let blobs: Arc<dyn Blobs> = Arc::new(self.blobs.clone());
        let signer: Arc<dyn Signer> = if self.signs() {
            Arc::new(signer())
        } else {
            Arc::new(Stamps(signer()))
        };
        let forge: Arc<dyn Forge> = Arc::new(self.forge.clone());
        let notifier: Arc<dyn Notifier> = Arc::new(self.notifier.clone());
        Ports {
            store: Arc::new(Crashing::new(store, faults)),
            queues: Arc::new(Crashing::new(queues, faults)),
            blobs: Arc::new(Crashing::new(blobs, faults)),
            signer: Arc::new(Crashing::new(signer, faults)),
            forge: Arc::new(Crashing::new(forge, faults)),
            notifier: Arc::new(Crashing::new(notifier, faults)),
            // No stage that is simulated reads documents of others.
            web: Arc::new(MemoryWeb::new()),
            clock: Arc::new(self.clock.clone()),
            ids: Arc::new(self.ids.clone()),
        }
    }

    fn worker(&self, faults: &Faults) -> Worker {
        let engine: Arc<dyn BuildEngine> = self.engine.clone();
        Worker::new(&self.ports(faults), Arc::new(Crashing::new(engine, faults)))
    }

    /// A process that takes messages from a queue.
    pub(super) fn drain(&self, queue: Queue, max: usize) -> Process {
        let faults = Faults::interleaved();
        let worker = self.worker(&faults);
        Process {
            label: format!("worker on {queue}"),
            faults,
            future: Box::pin(
                async move { Ended::Worked(worker.drain(queue, max).await.map(|_| ())) },
            ),
        }
    }

    /// A process that does what time alone asks for.
    pub(super) fn tick(&self) -> Process {
        let faults = Faults::interleaved();
        let worker = self.worker(&faults);
        Process {
            label: "clock".to_owned(),
            faults,
            future: Box::pin(async move { Ended::Worked(worker.tick().await) }),
        }
    }

    /// A process that takes a request.
    pub(super) fn ingest(&self, body: Vec<u8>, events: Vec<EventId>) -> Process {
        let faults = Faults::interleaved();
        let ports = self.ports(&faults);
        let ingest = Ingest::new(&ports);
        let request = Request {
            project: PROJECT,
            endpoint: kintsugi_app::ingest::Endpoint::Envelope,
            query: Some(format!("sentry_key={KEY}&sentry_version=7")),
            headers: Vec::new(),
            body,
            at: self.now(),
        };
        Process {
            label: "ingest".to_owned(),
            faults,
            future: Box::pin(async move { Ended::Reported(events, ingest.run(request).await) }),
        }
    }
}

impl Process {
    /// Goes on to its next pause; its end, when it is there.
    pub(super) fn poll(&mut self) -> Option<Ended> {
        match self
            .future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        }
    }

    /// Goes on to its end.
    pub(super) fn finish(mut self) -> Ended {
        loop {
            if let Some(ended) = self.poll() {
                return ended;
            }
        }
    }
}

/// The answer of a memory port, which never waits.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a memory port waits"),
    }
}
