//! The reporter: what breaks in the field, told to the home and to nobody else.
//!
//! ```
//! use kintsugi_sdk::reporter::{Consent, Options, Report, Reporter};
//!
//! # let batch_key = kintsugi_trust::batch::BatchSecret::derive(&[7; 32]).public().clone();
//! let mut options = Options::new("http://127.0.0.1:9", "1".parse().unwrap(), "0123abcd".parse().unwrap(), batch_key);
//! options.release = Some("till@1.0.0".to_owned());
//! let reporter = Reporter::start(options, Consent::Refused).unwrap();
//! reporter.install_panic_hook();
//! reporter.breadcrumb("ui", "opened the drawer");
//! reporter.report(Report::error("TotalError", "the total is negative").tag("drawer", "3"));
//! assert_eq!(reporter.metrics().reported, 1);
//! assert_eq!(reporter.metrics().queued, 0, "nothing leaves without consent");
//! ```
//!
//! A report goes into a bounded queue; **the caller never waits and never does input or output** (`cargo xtask bench sdk` measures what it
//! costs). One thread of low priority takes
//! up to 100 reports or 30 seconds' worth, or at once where one is critical, removes personal data and secrets with the same library as the
//! home (`kintsugi-scrub`), compresses and seals them ([`kintsugi_trust::batch`]), stores the sealed batch and sends it. Batches
//! that the home has not taken wait in a folder that is bounded in bytes; what lies there nobody on the device can read. They are sent again after
//! a pause that doubles, with jitter, or that the home asks for (`Retry-After`), and at the next start.
//!
//! **Invariants: without consent nothing leaves, and nothing is written to be sent; what was waiting when consent is
//! withdrawn is deleted. Queue, breadcrumbs, folder and memory are bounded. What is thrown away is counted and, with consent, told.** A failure
//! of the reporter is never a failure of the product: nothing here panics or returns an error after the start.
//!
//! Sessions, how long actions took and whether they succeeded, memory, features and settings are no reports: they are gathered and ride along
//! with the next batch, at most five minutes later.
//!
//! Not here: catching native crashes (SIGSEGV and its like), which needs another process that looks at this one: `kintsugi_native`. What it
//! saved in the folder is sealed and sent at the next start.

mod crashes;
mod encode;
mod limits;
mod memory;
mod metrics;
mod numbers;
mod options;
mod outbox;
mod panic;
mod pause;
mod report;
mod send;
mod session;
mod trace;
mod worker;

pub use kintsugi_domain::event::Level;
pub use kintsugi_domain::id::{DsnKey, ProjectId};
pub use kintsugi_domain::report::{ReportKind, Severity};
pub use kintsugi_trust::batch::{BatchError, BatchKey};
pub use metrics::Metrics;
pub use options::{Options, StartError};
pub use report::Report;

use encode::Encoder;
use kintsugi_domain::Timestamp;
use kintsugi_domain::event::Breadcrumb;
use kintsugi_domain::health::SessionStatus;
use kintsugi_domain::limits::BREADCRUMBS_MAX;
use kintsugi_domain::ports::Clock;
use limits::Told;
use metrics::{Contents, Counters};
use numbers::Numbers;
use outbox::Outbox;
use session::{Session, Word};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Characters kept of a breadcrumb where it is left.
const BREADCRUMB_CHARS_MAX: usize = 1_000;

/// Whether the person who uses the product lets it report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// It may.
    Given,
    /// It may not, or nobody asked yet.
    Refused,
}

/// Most sessions that are waited with at once.
const WORDS_MAX: usize = 100;

/// What happened before, the oldest first.
type Crumbs = VecDeque<Arc<Breadcrumb>>;

/// What the threads of a reporter share.
struct Shared {
    options: Options,
    clock: Arc<dyn Clock>,
    consent: AtomicBool,
    /// How often consent was withdrawn: what was made before the last time is thrown away.
    withdrawals: AtomicU64,
    /// Shared with the reports that are queued: a report takes them all by one count, and only the next breadcrumb that is left
    /// before the worker is done with it pays for a list of its own.
    crumbs: Mutex<Arc<Crumbs>>,
    /// The session that goes on.
    session: Mutex<Option<Session>>,
    /// What the home was not told of sessions yet: of each the last word.
    words: Mutex<BTreeMap<String, Word>>,
    /// What is gathered for the next batch.
    numbers: Mutex<Numbers>,
    /// Limits that are nearly used up.
    told: Mutex<Told>,
    counters: Counters,
    encoder: Encoder,
    outbox: Mutex<Outbox>,
    /// Whether batches outlive the process.
    is_durable: bool,
}

/// What the worker is told.
enum Order {
    /// A report.
    Report(Box<Report>),
    /// Send everything now and say when that was tried.
    Flush(SyncSender<()>),
    /// Consent was given or withdrawn, or something new lies in the outbox.
    Look,
    /// There is something new to wait with.
    Wake,
}

/// A reporter. Clones are the same reporter; when the last one is dropped, what is queued is stored (or, without a folder, sent once).
#[derive(Clone)]
pub struct Reporter {
    inner: Arc<Inner>,
}

struct Inner {
    orders: Option<SyncSender<Order>>,
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("options", &self.inner.shared.options)
            .finish_non_exhaustive()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the reporter reads the clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Shared {
    fn has_consent(&self) -> bool {
        self.consent.load(Ordering::SeqCst)
    }

    fn withdrawals(&self) -> u64 {
        self.withdrawals.load(Ordering::SeqCst)
    }

    fn crumbs(&self) -> MutexGuard<'_, Arc<Crumbs>> {
        // Nothing in here can be left half done by a panic.
        self.crumbs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn words(&self) -> MutexGuard<'_, BTreeMap<String, Word>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a word about a session for the next batch, in place of the one before.
    fn tell(&self, word: Word) {
        let mut words = self.words();
        if words.len() < WORDS_MAX || words.contains_key(&word.sid) {
            words.insert(word.sid.clone(), word);
        } else {
            let sessions = 1;
            self.counters.discard(
                "queue_overflow",
                Contents {
                    sessions,
                    ..Contents::default()
                },
            );
        }
    }

    /// Begins a session where none goes on.
    fn begin_session(&self) {
        let mut session = self.session();
        if !self.has_consent() || session.is_some() {
            return;
        }
        let options = &self.options;
        let names = (options.release.as_deref(), options.environment.as_deref());
        *session = Session::begin(names, options.folder.as_deref(), self.clock.now());
        if let Some(session) = session.as_ref() {
            self.counters.reported(ReportKind::SessionStart);
            self.tell(session.word());
        }
    }

    /// Ends the session that goes on.
    fn end_session(&self, status: SessionStatus) {
        let session = self.session().take();
        if let Some(session) = session {
            self.counters.reported(ReportKind::SessionEnd);
            self.tell(session.end(status, self.clock.now()));
        }
    }

    /// Fills in what the moment says.
    fn complete(&self, report: &mut Report) {
        if let Some(session) = self.session().as_mut() {
            report.sid = Some(session.sid().to_owned());
            if report.level.unwrap_or(report.kind.level()) >= Level::Error {
                session.error();
            }
        }
        report.at = Some(self.clock.now());
        report.withdrawals = self.withdrawals();
        report.crumbs = Arc::clone(&self.crumbs());
    }
}

impl Reporter {
    /// Starts the reporter and its one thread. Batches that an earlier run left are sent, if there is consent.
    ///
    /// # Errors
    /// The options cannot be right, the folder cannot be made, the system gives no randomness or no thread.
    pub fn start(options: Options, consent: Consent) -> Result<Self, StartError> {
        Self::start_with_clock(options, consent, Arc::new(SystemClock))
    }

    /// [`Self::start`] with a clock of the caller's.
    pub fn start_with_clock(
        options: Options,
        consent: Consent,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        options.check()?;
        let mut outbox = Outbox::open(options.folder.as_deref(), options.outbox_bytes_max)?;
        let device = outbox.device(consent == Consent::Given)?;
        let (orders, inbox) = sync_channel(options.queue_max);
        let shared = Arc::new(Shared {
            encoder: Encoder::new(&options, device),
            is_durable: outbox.is_durable(),
            outbox: Mutex::new(outbox),
            clock,
            consent: AtomicBool::new(consent == Consent::Given),
            withdrawals: AtomicU64::new(0),
            crumbs: Mutex::default(),
            session: Mutex::default(),
            words: Mutex::default(),
            numbers: Mutex::default(),
            told: Mutex::default(),
            counters: Counters::default(),
            options,
        });
        if shared.options.sessions {
            shared.begin_session();
        }
        let theirs = Arc::clone(&shared);
        let worker = std::thread::Builder::new()
            .name("kintsugi-reporter".to_owned())
            .spawn(move || worker::run(&theirs, &inbox))
            .map_err(|error| StartError::Thread {
                why: error.to_string(),
            })?;
        Ok(Self {
            inner: Arc::new(Inner {
                orders: Some(orders),
                shared,
                worker: Some(worker),
            }),
        })
    }

    /// Reports something. Never waits: what does not fit into the queue is thrown away and counted.
    pub fn report(&self, report: Report) {
        self.inner.report(report);
    }

    /// Leaves a note of what happened, for the reports that come after it. The last 100 are kept.
    pub fn breadcrumb(&self, category: &str, message: &str) {
        let cut = |text: &str| text.chars().take(BREADCRUMB_CHARS_MAX).collect();
        let crumb = Arc::new(Breadcrumb {
            at: Some(self.inner.shared.clock.now()),
            category: cut(category),
            message: cut(message),
        });
        let mut crumbs = self.inner.shared.crumbs();
        let crumbs = Arc::make_mut(&mut crumbs);
        if crumbs.len() >= BREADCRUMBS_MAX {
            crumbs.pop_front();
        }
        crumbs.push_back(crumb);
    }

    /// Gives or withdraws consent. When it is withdrawn, what waits to be sent is deleted, and so is the name of this install. A start
    /// without consent deletes nothing that could be sent: the person may not have been asked yet.
    pub fn set_consent(&self, consent: Consent) {
        let shared = &self.inner.shared;
        shared
            .consent
            .store(consent == Consent::Given, Ordering::SeqCst);
        match consent {
            Consent::Given => {
                let _ = shared.outbox().device(true);
                if shared.options.sessions {
                    shared.begin_session();
                }
                self.inner.order(Order::Look);
            }
            Consent::Refused => {
                shared.withdrawals.fetch_add(1, Ordering::SeqCst);
                *shared.crumbs() = Arc::default();
                if let Some(session) = shared.session().take() {
                    session.forget();
                }
                shared.words().clear();
                *shared.numbers() = Numbers::default();
                shared.outbox().clear();
                self.inner.order(Order::Look);
            }
        }
    }

    /// Begins a session: somebody begins to use the product. One that goes on is not begun again. Without consent there is none.
    pub fn start_session(&self) {
        self.inner.shared.begin_session();
        self.inner.order(Order::Wake);
    }

    /// Ends the session in order. The end of the reporter does so as well, if no panic ends it; a process that ends without either
    /// ([`std::process::exit`]) ends its session abnormally.
    pub fn end_session(&self) {
        self.inner.shared.end_session(SessionStatus::Exited);
        self.inner.order(Order::Wake);
    }

    /// Says how long an action took and whether it succeeded. Numbers are kept by name: a name must not hold ids.
    pub fn action(&self, name: &str, took: Duration, succeeded: bool) {
        let shared = &self.inner.shared;
        shared.counters.action(succeeded);
        if shared.has_consent() {
            shared.numbers().action(name, took, succeeded);
        }
    }

    /// Does something and says how long it took and whether it succeeded ([`Self::action`]).
    ///
    /// # Errors
    /// Those of what is done.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long something took is no time of the day"
    )]
    pub fn timed<T, E>(&self, name: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let begun = Instant::now();
        let done = work();
        self.action(name, begun.elapsed(), done.is_ok());
        done
    }

    /// What was counted since the start, on this machine alone. Works without consent.
    pub fn metrics(&self) -> Metrics {
        self.inner.shared.counters.shown()
    }

    /// Stores and sends what is queued, and waits until that was tried, at most `timeout`. Whether it was tried in time.
    pub fn flush(&self, timeout: Duration) -> bool {
        let (told, when) = sync_channel(1);
        // Waits for a place in the queue: whoever flushes has time.
        let orders = self.inner.orders.as_ref();
        orders.is_some_and(|orders| orders.send(Order::Flush(told)).is_ok())
            && when.recv_timeout(timeout).is_ok()
    }

    /// Reports panics: the report is sealed and stored before the former hook runs, and sent at once, or at the next start where the
    /// process ends first. Without a folder it is only queued.
    pub fn install_panic_hook(&self) {
        panic::install(&self.inner);
    }
}

impl Inner {
    fn report(&self, mut report: Report) {
        let shared = &self.shared;
        match report.kind {
            ReportKind::SessionStart => return shared.begin_session(),
            ReportKind::SessionEnd => return shared.end_session(SessionStatus::Exited),
            ReportKind::FeatureUsage | ReportKind::ConfigurationChange => {
                return self.count(&report);
            }
            ReportKind::Error
            | ReportKind::UnhandledException
            | ReportKind::CompilationError
            | ReportKind::ValidationError
            | ReportKind::PerformanceDegradation
            | ReportKind::RateLimitApproaching
            | ReportKind::MemoryPressure
            | ReportKind::SlowQuery => {}
        }
        shared.counters.reported(report.kind);
        if !shared.has_consent() {
            return;
        }
        shared.complete(&mut report);
        let Some(orders) = &self.orders else {
            return;
        };
        match orders.try_send(Order::Report(Box::new(report))) {
            Ok(()) => shared.counters.queued(),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                let one = Contents::reports(1);
                shared.counters.discard("queue_overflow", one);
            }
        }
    }

    /// A feature that was used or a setting that was changed: a number of its release.
    fn count(&self, report: &Report) {
        let shared = &self.shared;
        shared.counters.reported(report.kind);
        if !shared.has_consent() {
            return;
        }
        let name = |tag: &str| report.tags.get(tag).map_or("(no name)", String::as_str);
        if report.kind == ReportKind::FeatureUsage {
            shared.numbers().feature(name("feature"));
        } else {
            shared.numbers().setting(name("setting"));
        }
    }

    /// Tells the worker something that it notices by itself sooner or later.
    fn order(&self, order: Order) {
        let orders = self.orders.as_ref();
        let _ = orders.map(|orders| orders.try_send(order));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A panic that ends whoever owns the reporter ends the product, as far as anybody can tell from here.
        let status = if std::thread::panicking() {
            SessionStatus::Crashed
        } else {
            SessionStatus::Exited
        };
        self.shared.end_session(status);
        // The worker takes what is queued and ends.
        self.orders = None;
        if let Some(worker) = self.worker.take()
            && worker.thread().id() != std::thread::current().id()
        {
            let _ = worker.join();
        }
    }
}
