//! The one thread of a reporter: gathers reports into batches, stores and sends them.

use super::crashes;
use super::encode::{self, Encoder, random};
use super::memory;
use super::metrics::Contents;
use super::outbox;
use super::pause::pause;
use super::send::{Sender, Sent};
use super::session;
use super::{Level, Order, Report, ReportKind, Severity, Shared};
use kintsugi_domain::Timestamp;
use kintsugi_trust::batch::SealedBatch;
use std::fs;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How long the worker waits where nothing is due.
const IDLE: Duration = Duration::from_mins(1);

/// How often memory is measured.
const MEASURED_EVERY: Duration = Duration::from_mins(1);
/// How long numbers wait for a batch that is sent anyway.
const NUMBERS_EVERY: Duration = Duration::from_mins(5);

/// How often a batch is sent that the home has no quota for. Each time the home was waited for as long as it asked.
const LIMITED_TIMES_MAX: u32 = 3;
/// How often a batch is sent that the home finds damaged: a way that damages the same bytes so often will do so again.
const DAMAGED_TIMES_MAX: u32 = 5;

/// How much the worker gives way, as `nice` counts: a tenth of the weight of an ordinary thread.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// What the worker has in hand.
struct Worker<'s> {
    shared: &'s Shared,
    sender: Sender,
    lines: Vec<String>,
    /// How often consent had been withdrawn when the first of them was made.
    withdrawals: u64,
    /// When the batch under way is due.
    due: Option<Timestamp>,
    /// When numbers that no other batch took are due.
    numbers_due: Option<Timestamp>,
    /// When memory is measured next.
    measured_next: Option<Timestamp>,
    failures: u32,
    /// Before this the home is not asked again.
    not_before: Option<Timestamp>,
    /// Before this there is no quota: not even whoever flushes asks sooner.
    limited_until: Option<Timestamp>,
    /// How often there was none for the batch that is the oldest.
    limited: u32,
    /// How often the home found that one damaged.
    damaged: u32,
}

/// Works until the last reporter is dropped.
pub(super) fn run(shared: &Shared, inbox: &Receiver<Order>) {
    step_back();
    let mut worker = Worker {
        shared,
        sender: Sender::new(&shared.options),
        lines: Vec::new(),
        withdrawals: 0,
        due: None,
        numbers_due: None,
        measured_next: None,
        failures: 0,
        not_before: None,
        limited_until: None,
        limited: 0,
        damaged: 0,
    };
    // What an earlier run left.
    shared.outbox().tidy(shared.clock.now());
    worker.take_sessions();
    worker.take_crashes();
    worker.send();
    worker.do_what_is_due();
    loop {
        match inbox.recv_timeout(worker.patience()) {
            Ok(order) => worker.take(order),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        worker.do_what_is_due();
    }
    worker.store();
    if !shared.is_durable {
        worker.send();
    }
}

/// Makes this thread less important than the product's. Without it the scheduler of a busy machine may let the worker, which a
/// report has just woken, run first, and the caller would wait for what was meant to cost it nothing: 200 µs instead of 10 in `bench sdk`.
fn step_back() {
    // Only Linux has a priority for each thread; elsewhere this would be the whole product's.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
}

impl Worker<'_> {
    fn take(&mut self, order: Order) {
        match order {
            Order::Report(report) => self.gather(*report),
            Order::Flush(told) => {
                self.store();
                self.not_before = None;
                self.send();
                let _ = told.try_send(());
            }
            Order::Look => {
                self.not_before = None;
                self.take_sessions();
                self.take_crashes();
                self.send();
            }
            Order::Wake => {}
        }
    }

    /// Takes in how sessions ended whose processes are no more; before their crashes are taken, which say how.
    fn take_sessions(&mut self) {
        let shared = self.shared;
        if let Some(folder) = shared
            .options
            .folder
            .as_deref()
            .filter(|_| shared.has_consent())
        {
            for word in session::left_behind(folder) {
                shared.tell(word);
            }
        }
    }

    /// Measures what memory is used.
    fn measure(&mut self, now: Timestamp) {
        let shared = self.shared;
        self.measured_next = Some(later(now, MEASURED_EVERY));
        let Some(used) = memory::used() else {
            return;
        };
        shared.counters.memory(used);
        if shared.has_consent() {
            shared.numbers().memory(used);
        }
        let Some(limit) = shared.options.memory_bytes_max else {
            return;
        };
        let is_near = super::limits::is_near(used, limit);
        if shared.told().begins("memory", is_near) {
            let mut report = Report::new(ReportKind::MemoryPressure)
                .message(format!("{used} of {limit} bytes of memory"));
            shared.counters.reported(report.kind);
            if shared.has_consent() {
                shared.complete(&mut report);
                shared.counters.queued();
                self.gather(report);
            }
        }
    }

    /// Seals the crashes that wait, each as a batch of its own, since dumps are large. What is sealed is deleted.
    fn take_crashes(&mut self) {
        let shared = self.shared;
        let Some(folder) = &shared.options.folder else {
            return;
        };
        for path in crashes::waiting(folder) {
            // What the home takes now needs no room beside the dump.
            self.send();
            if !shared.has_consent() {
                return;
            }
            let withdrawals = shared.withdrawals();
            if let Some(crash) = crashes::read(&path) {
                shared.counters.reported(ReportKind::UnhandledException);
                let lines = [shared.encoder.crash(&crash)];
                self.seal(&lines, Contents::reports(1), withdrawals);
            }
            let _ = fs::remove_file(&path);
        }
    }

    fn gather(&mut self, report: Report) {
        let shared = self.shared;
        if !shared.has_consent() || report.withdrawals != shared.withdrawals() {
            shared.counters.discard("consent", Contents::reports(1));
            return;
        }
        self.forget_what_was_withdrawn();
        if self.lines.is_empty() {
            self.withdrawals = report.withdrawals;
        }
        let now = shared.clock.now();
        let level = report.level.unwrap_or(report.kind.level());
        let is_critical = level == Level::Fatal || Encoder::severity(&report) == Severity::Critical;
        if let Some(line) = shared.encoder.line(report, now) {
            self.lines.push(line);
        } else {
            let one = Contents::reports(1);
            shared.counters.discard("internal_sdk_error", one);
        }
        if is_critical || self.lines.len() >= shared.options.batch_max {
            self.due = Some(now);
        } else if self.due.is_none() {
            self.due = Some(later(now, shared.options.batch_every));
        }
    }

    /// How long nothing will be due.
    fn patience(&self) -> Duration {
        let now = self.shared.clock.now();
        let waits = !self.shared.outbox().waiting().is_empty();
        // The later one of both.
        let again = self.not_before.max(self.limited_until).filter(|_| waits);
        let next = [self.due, again, self.numbers_due, self.measured_next];
        let next = next.into_iter().flatten().min();
        let until = next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        until.unwrap_or(IDLE).min(IDLE)
    }

    fn do_what_is_due(&mut self) {
        let shared = self.shared;
        let now = shared.clock.now();
        if !shared.words().is_empty() {
            self.due
                .get_or_insert(later(now, shared.options.batch_every));
        }
        if !shared.numbers().is_empty() {
            self.numbers_due.get_or_insert(later(now, NUMBERS_EVERY));
        }
        if shared.options.memory || shared.options.memory_bytes_max.is_some() {
            let next = *self.measured_next.get_or_insert(later(now, MEASURED_EVERY));
            if next <= now {
                self.measure(now);
            }
        }
        let due = [self.due, self.numbers_due].into_iter().flatten().min();
        if due.is_some_and(|due| due <= now) {
            self.store();
            self.send();
        } else if self
            .not_before
            .max(self.limited_until)
            .is_some_and(|at| at <= now)
        {
            self.send();
        }
    }

    /// Seals the batch under way and puts it with those that wait.
    fn store(&mut self) {
        (self.due, self.numbers_due) = (None, None);
        let shared = self.shared;
        self.forget_what_was_withdrawn();
        let mut lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            // Asked before anything is taken: what is withdrawn from here on is thrown away.
            self.withdrawals = shared.withdrawals();
        }
        let mut contents = Contents::reports(lines.len() as u64);
        let words = std::mem::take(&mut *shared.words());
        contents.sessions = words.len() as u64;
        lines.extend(words.values().map(|word| shared.encoder.session(word)));
        let numbers = std::mem::take(&mut *shared.numbers());
        let (metrics, count) = shared.encoder.metrics(&numbers);
        contents.metrics = count;
        lines.extend(metrics);
        if lines.is_empty() {
            return;
        }
        let untold = shared.counters.untold();
        if !untold.is_empty() {
            lines.push(encode::discards(&untold));
        }
        self.seal(&lines, contents, self.withdrawals);
    }

    /// Throws away what was gathered before consent was withdrawn, so that it takes nothing along that came after.
    fn forget_what_was_withdrawn(&mut self) {
        if !self.lines.is_empty() && self.withdrawals != self.shared.withdrawals() {
            let gone = Contents::reports(self.lines.len() as u64);
            self.shared.counters.discard("consent", gone);
            self.lines.clear();
        }
    }

    /// Seals lines and puts them with what waits, unless consent was withdrawn since they were made.
    fn seal(&self, lines: &[String], contents: Contents, withdrawals: u64) {
        let shared = self.shared;
        let now = shared.clock.now();
        let batch = shared.encoder.seal(lines, contents, now);
        let Some(batch) = batch else {
            shared.counters.discard("internal_sdk_error", contents);
            return;
        };
        let mut outbox = shared.outbox();
        // Asked again under the lock under which a withdrawal clears the outbox.
        if !shared.has_consent() || withdrawals != shared.withdrawals() {
            shared.counters.discard("consent", contents);
            return;
        }
        let lost = outbox.put(&batch);
        shared.counters.discard("cache_overflow", lost);
    }

    /// Sends what waits, oldest first, until one has to be tried again later.
    fn send(&mut self) {
        let shared = self.shared;
        let now = shared.clock.now();
        let again = self.not_before.max(self.limited_until);
        if again.is_some_and(|at| at > now) {
            return;
        }
        (self.not_before, self.limited_until) = (None, None);
        let waiting = shared.outbox().waiting();
        for name in waiting {
            if !shared.has_consent() {
                return;
            }
            let body = shared.outbox().read(&name);
            let (Some(body), Some(id)) = (body, outbox::id(&name)) else {
                continue;
            };
            let contents = outbox::contents(&name);
            match self.sender.send(id, &body) {
                Sent::Taken(refused) => {
                    // No more than there was, whatever the home says.
                    let refused = refused.at_most(contents);
                    shared.counters.sent(contents.reports - refused.reports);
                    shared.counters.refused(refused);
                }
                Sent::Refused => shared.counters.discard("send_error", contents),
                Sent::Limited(wait) => {
                    self.limited += 1;
                    let until = later(shared.clock.now(), pause(1, Some(wait), 0));
                    self.limited_until = Some(until);
                    if self.limited < LIMITED_TIMES_MAX {
                        shared.counters.retry();
                        return;
                    }
                    shared.counters.refused(contents);
                }
                Sent::Damaged => {
                    self.damaged += 1;
                    // What is damaged here arrives damaged each time.
                    let is_whole = SealedBatch::read(&body).is_ok();
                    if is_whole && self.damaged < DAMAGED_TIMES_MAX {
                        return self.try_again(None);
                    }
                    shared.counters.discard("send_error", contents);
                }
                Sent::Later(asked) => return self.try_again(asked),
            }
            (self.failures, self.limited, self.damaged) = (0, 0, 0);
            shared.outbox().remove(&name);
            if self.limited_until.is_some() {
                return;
            }
        }
    }

    /// Leaves the home alone for a pause, or for as long as it asked.
    fn try_again(&mut self, asked: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.shared.counters.retry();
        let chance = random().map_or(u32::MAX, u32::from_be_bytes);
        let wait = pause(self.failures, asked, chance);
        self.not_before = Some(later(self.shared.clock.now(), wait));
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
