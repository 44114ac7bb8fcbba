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
//! Not here: catching native crashes (SIGSEGV and its like), which needs another process that looks at this one: `kintsugi_native`. What it
//! saved in the folder is sealed and sent at the next start.

mod crashes;
mod encode;
mod metrics;
mod options;
mod outbox;
mod panic;
mod pause;
mod report;
mod send;
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
use kintsugi_domain::limits::BREADCRUMBS_MAX;
use kintsugi_domain::ports::Clock;
use metrics::Counters;
use outbox::Outbox;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

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

    /// Fills in what the moment says.
    fn complete(&self, report: &mut Report) {
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
            counters: Counters::default(),
            options,
        });
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
    /// without consent deletes nothing: the person may not have been asked yet.
    pub fn set_consent(&self, consent: Consent) {
        let shared = &self.inner.shared;
        shared
            .consent
            .store(consent == Consent::Given, Ordering::SeqCst);
        match consent {
            Consent::Given => {
                let _ = shared.outbox().device(true);
                self.inner.order(Order::Look);
            }
            Consent::Refused => {
                shared.withdrawals.fetch_add(1, Ordering::SeqCst);
                *shared.crumbs() = Arc::default();
                shared.outbox().clear();
                self.inner.order(Order::Look);
            }
        }
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
                shared.counters.discard("queue_overflow", 1);
            }
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
        // The worker takes what is queued and ends.
        self.orders = None;
        if let Some(worker) = self.worker.take()
            && worker.thread().id() != std::thread::current().id()
        {
            let _ = worker.join();
        }
    }
}
