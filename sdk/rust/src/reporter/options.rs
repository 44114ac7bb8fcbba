//! What a reporter is started with.

use super::{BatchKey, DsnKey, ProjectId};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What a reporter is started with.
#[derive(Clone)]
pub struct Options {
    /// Where the home is: the base URL.
    pub home: String,
    /// The project.
    pub project: ProjectId,
    /// A reporting key of the project; no secret.
    pub key: DsnKey,
    /// The public key that batches are sealed to, from `GET /v1/{project}/batch-keys` when the product was built.
    pub batch_key: BatchKey,
    /// Where sealed batches wait; without one they wait in memory and are lost with the process. Processes may share one.
    pub folder: Option<PathBuf>,
    /// The release, usually `name@version`.
    pub release: Option<String>,
    /// `production`, `staging` …
    pub environment: Option<String>,
    /// Most reports that wait for the worker.
    pub queue_max: usize,
    /// Most reports in one batch.
    pub batch_max: usize,
    /// Longest that a report waits for its batch.
    pub batch_every: Duration,
    /// Most bytes of sealed batches that wait; the oldest go first.
    pub outbox_bytes_max: u64,
    /// Whether a session begins with the reporter and ends with it, so that the home knows how the release does. Off by default;
    /// [`super::Reporter::start_session`] begins one by hand.
    pub sessions: bool,
    /// Whether the memory of this process is measured each minute. Off by default; only on Linux.
    pub memory: bool,
    /// Memory that should not be exceeded, bytes: at 80 % of it [`super::ReportKind::MemoryPressure`] is reported.
    pub memory_bytes_max: Option<u64>,
    /// From how long on a query is slow ([`super::Reporter::query`]).
    pub slow_query: Duration,
    /// Parts of function names that make a frame the product's own, such as `till::`. Empty: all but the standard library and crates.
    pub own_code: Vec<String>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("home", &self.home)
            .field("project", &self.project)
            .field("batch_key", &self.batch_key)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Why a reporter does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// An option cannot be right.
    #[error("{what}: {why}")]
    Option {
        /// The option.
        what: &'static str,
        /// What is expected.
        why: &'static str,
    },
    /// The folder cannot be used.
    #[error("folder for reports {folder}: {why}")]
    Folder {
        /// The folder.
        folder: String,
        /// What happened.
        why: String,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness,
    /// The system gives no thread.
    #[error("no thread: {why}")]
    Thread {
        /// What happened.
        why: String,
    },
}

impl StartError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Option { .. } => "reporter.option",
            Self::Folder { .. } => "reporter.folder",
            Self::Randomness => "reporter.randomness",
            Self::Thread { .. } => "reporter.thread",
        }
    }
}

impl Options {
    /// The defaults: 1,000 reports queued, batches of 100 or 30 s, 5 MiB waiting, no sessions, no memory.
    pub fn new(home: &str, project: ProjectId, key: DsnKey, batch_key: BatchKey) -> Self {
        Self {
            home: home.trim_end_matches('/').to_owned(),
            project,
            key,
            batch_key,
            folder: None,
            release: None,
            environment: None,
            queue_max: 1_000,
            batch_max: 100,
            batch_every: Duration::from_secs(30),
            outbox_bytes_max: 5 * 1024 * 1024,
            sessions: false,
            memory: false,
            memory_bytes_max: None,
            slow_query: Duration::from_secs(1),
            own_code: Vec::new(),
        }
    }

    pub(super) fn check(&self) -> Result<(), StartError> {
        let wrong = |what, why| Err(StartError::Option { what, why });
        if !self.home.starts_with("https://") && !self.home.starts_with("http://") {
            return wrong(
                "home",
                "expected a URL with https, or http for this machine",
            );
        }
        if self.queue_max == 0 {
            return wrong("queue_max", "expected at least 1");
        }
        if !(1..=1_000).contains(&self.batch_max) {
            return wrong("batch_max", "expected 1 to 1000");
        }
        Ok(())
    }
}
