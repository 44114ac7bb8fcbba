//! The one thread of a reporter: gathers reports into batches, stores and sends them.

use super::crashes;
use super::encode::{self, Encoder, random};
use super::outbox;
use super::pause::pause;
use super::send::{Sender, Sent};
use super::{Level, Order, Report, ReportKind, Severity, Shared};
use kintsugi_domain::Timestamp;
use std::fs;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How long the worker waits where nothing is due.
const IDLE: Duration = Duration::from_mins(1);

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
    failures: u32,
    /// Before this the home is not asked again.
    not_before: Option<Timestamp>,
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
        failures: 0,
        not_before: None,
    };
    // What an earlier run left.
    worker.take_crashes();
    worker.send();
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
                self.take_crashes();
                self.send();
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
            if !shared.has_consent() {
                return;
            }
            let withdrawals = shared.withdrawals();
            if let Some(crash) = crashes::read(&path) {
                shared.counters.reported(ReportKind::UnhandledException);
                self.seal(&[shared.encoder.crash(&crash)], 1, withdrawals);
            }
            let _ = fs::remove_file(&path);
        }
    }

    fn gather(&mut self, report: Report) {
        let shared = self.shared;
        if !shared.has_consent() || report.withdrawals != shared.withdrawals() {
            shared.counters.discard("consent", 1);
            return;
        }
        if self.lines.is_empty() {
            self.withdrawals = report.withdrawals;
        }
        let now = shared.clock.now();
        let level = report.level.unwrap_or(report.kind.level());
        let is_critical = level == Level::Fatal || Encoder::severity(&report) == Severity::Critical;
        match shared.encoder.line(report, now) {
            Some(line) => self.lines.push(line),
            None => shared.counters.discard("internal_sdk_error", 1),
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
        let again = self.not_before.filter(|_| waits);
        let next = [self.due, again].into_iter().flatten().min();
        let until = next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        until.unwrap_or(IDLE).min(IDLE)
    }

    fn do_what_is_due(&mut self) {
        let now = self.shared.clock.now();
        if self.due.is_some_and(|due| due <= now) {
            self.store();
            self.send();
        } else if self.not_before.is_some_and(|at| at <= now) {
            self.send();
        }
    }

    /// Seals the batch under way and puts it with those that wait.
    fn store(&mut self) {
        self.due = None;
        let shared = self.shared;
        let mut lines = std::mem::take(&mut self.lines);
        let reports = lines.len() as u64;
        if lines.is_empty() {
            return;
        }
        let untold = shared.counters.untold();
        if !untold.is_empty() {
            lines.push(encode::discards(&untold));
        }
        self.seal(&lines, reports, self.withdrawals);
    }

    /// Seals lines and puts them with what waits, unless consent was withdrawn since they were made.
    fn seal(&self, lines: &[String], reports: u64, withdrawals: u64) {
        let shared = self.shared;
        let batch = shared.encoder.seal(lines, reports, shared.clock.now());
        let Some(batch) = batch else {
            shared.counters.discard("internal_sdk_error", reports);
            return;
        };
        let mut outbox = shared.outbox();
        // Asked again under the lock under which a withdrawal clears the outbox.
        if !shared.has_consent() || withdrawals != shared.withdrawals() {
            shared.counters.discard("consent", reports);
            return;
        }
        match outbox.put(&batch) {
            Ok(0) => {}
            Ok(gone) => shared.counters.discard("cache_overflow", gone),
            Err(_) => shared.counters.discard("cache_overflow", reports),
        }
    }

    /// Sends what waits, oldest first, until one has to be tried again later.
    fn send(&mut self) {
        let shared = self.shared;
        let now = shared.clock.now();
        if self.not_before.is_some_and(|at| at > now) {
            return;
        }
        self.not_before = None;
        let waiting = shared.outbox().waiting();
        for name in waiting {
            if !shared.has_consent() {
                return;
            }
            let body = shared.outbox().read(&name);
            let (Some(body), Some(id)) = (body, outbox::id(&name)) else {
                continue;
            };
            match self.sender.send(id, &body) {
                Sent::Taken => shared.counters.sent(outbox::reports(&name)),
                Sent::Refused => shared
                    .counters
                    .discard("send_error", outbox::reports(&name)),
                Sent::Later(asked) => {
                    self.failures = self.failures.saturating_add(1);
                    shared.counters.retry();
                    let chance = random().map_or(u32::MAX, u32::from_be_bytes);
                    let wait = pause(self.failures, asked, chance);
                    self.not_before = Some(later(shared.clock.now(), wait));
                    return;
                }
            }
            self.failures = 0;
            shared.outbox().remove(&name);
        }
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
