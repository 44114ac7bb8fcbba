//! Panics: reported before anything else of the process may end it.

use super::encode::Encoder;
use super::metrics::Contents;
use super::trace::Trace;
use super::{Inner, Order, Report, ReportKind};
use std::any::Any;
use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Mutex, TryLockError, Weak};
use std::time::Duration;

/// How often a lock is tried before this thread counts as the one that has it, and the pause between two tries: a second in all.
const TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(2);

/// Puts our hook before the one that is there.
pub(super) fn install(inner: &Arc<Inner>) {
    let reporter: Weak<Inner> = Arc::downgrade(inner);
    let former = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // A panic of the worker's own is not reported: it might come again and again.
        let is_ours = std::thread::current().name() == Some("kintsugi-reporter");
        if let Some(inner) = reporter.upgrade().filter(|_| !is_ours) {
            report(&inner, info);
        }
        former(info);
    }));
}

fn report(inner: &Inner, info: &PanicHookInfo<'_>) {
    let mut report = Report::new(ReportKind::UnhandledException);
    report.exceptions = vec![("panic".to_owned(), message(info.payload()))];
    report.is_unhandled = true;
    report.trace = Some(Trace::here());
    let place = info.location();
    report.place = place.map(|place| (place.file().to_owned(), place.line()));
    let thread = std::thread::current();
    if let Some(name) = thread.name() {
        report.tags.insert("thread".to_owned(), name.to_owned());
    }
    save(inner, report);
}

/// Seals and stores the report on this thread; the process may end when the hook returns.
fn save(inner: &Inner, mut report: Report) {
    let shared = &inner.shared;
    let is_free = is_free(&shared.outbox) && is_free(&shared.crumbs) && is_free(&shared.session);
    if is_free && let Some(session) = shared.session().as_mut() {
        session.panicked();
    }
    if !shared.is_durable || !is_free {
        inner.report(report);
        return;
    }
    shared.counters.reported(report.kind);
    if !shared.has_consent() {
        return;
    }
    shared.complete(&mut report);
    let now = shared.clock.now();
    let encoder: &Encoder = &shared.encoder;
    let batch = encoder
        .line(report, now)
        .and_then(|line| encoder.seal(&[line], Contents::reports(1), now));
    let stored = batch.and_then(|batch| {
        let mut outbox = shared.outbox();
        // Asked again under the lock under which a withdrawal clears the outbox.
        shared.has_consent().then(|| outbox.put(&batch))
    });
    if let Some(lost) = stored {
        shared.counters.queued();
        shared.counters.discard("cache_overflow", lost);
    } else {
        let one = Contents::reports(1);
        shared.counters.discard("internal_sdk_error", one);
    }
    inner.order(Order::Look);
}

/// Whether this thread may wait for a lock: others let go of it soon, but where the panic came while this thread had it, waiting would never end.
fn is_free<T>(lock: &Mutex<T>) -> bool {
    for _ in 0..TRIES {
        match lock.try_lock() {
            Ok(_) | Err(TryLockError::Poisoned(_)) => return true,
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
    false
}

/// What was said to `panic!`.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
