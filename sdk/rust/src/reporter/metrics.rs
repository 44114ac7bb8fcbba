//! What a reporter counts about itself. On this machine alone, and without consent too.

use super::ReportKind;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the home had no quota for; the home's own word.
const RATE_LIMITED: &str = "rate_limited";

/// Counts since the start of the reporter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Reports that the product made.
    pub reported: u64,
    /// The same by kind.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// Reports that were queued: those made with consent that had a place.
    pub queued: u64,
    /// Reports that the home has taken.
    pub sent: u64,
    /// Times that sending failed and will be tried again.
    pub retries: u64,
    /// What was thrown away, by reason: reports, words about sessions, metrics. `rate_limited` is what the home had no quota for.
    pub discarded: BTreeMap<&'static str, u64>,
    /// Actions that were told of.
    pub actions: u64,
    /// Those of them that failed.
    pub actions_failed: u64,
    /// The memory that was used when it was last measured, bytes; 0 where it never was.
    pub memory_bytes: u64,
    /// The most of it that was ever measured, bytes.
    pub memory_bytes_most: u64,
}

/// The counters behind them.
#[derive(Default)]
pub(super) struct Counters {
    kinds: [AtomicU64; ReportKind::ALL.len()],
    queued: AtomicU64,
    sent: AtomicU64,
    retries: AtomicU64,
    discarded: Mutex<BTreeMap<(&'static str, &'static str), Discarded>>,
    actions: AtomicU64,
    actions_failed: AtomicU64,
    memory: AtomicU64,
    memory_most: AtomicU64,
}

/// What a batch holds: of each sort, how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) reports: u64,
    pub(super) sessions: u64,
    pub(super) metrics: u64,
}

impl Contents {
    /// So many reports and nothing else.
    pub(super) fn reports(reports: u64) -> Self {
        Self {
            reports,
            ..Self::default()
        }
    }

    /// As many of each sort, but no more than another has.
    #[must_use]
    pub(super) fn at_most(self, other: Self) -> Self {
        Self {
            reports: self.reports.min(other.reports),
            sessions: self.sessions.min(other.sessions),
            metrics: self.metrics.min(other.metrics),
        }
    }

    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            reports: self.reports.saturating_add(other.reports),
            sessions: self.sessions.saturating_add(other.sessions),
            metrics: self.metrics.saturating_add(other.metrics),
        }
    }
}

#[derive(Default, Clone, Copy)]
struct Discarded {
    all: u64,
    untold: u64,
}

impl Counters {
    pub(super) fn reported(&self, kind: ReportKind) {
        let kinds = ReportKind::ALL.iter().zip(&self.kinds);
        for (_, count) in kinds.filter(|(name, _)| **name == kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn queued(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, reports: u64) {
        self.sent.fetch_add(reports, Ordering::Relaxed);
    }

    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Something was thrown away, which the home is to be told of.
    pub(super) fn discard(&self, reason: &'static str, gone: Contents) {
        self.gone(reason, gone, true);
    }

    /// The home had no quota for something. It has counted that itself.
    pub(super) fn refused(&self, gone: Contents) {
        self.gone(RATE_LIMITED, gone, false);
    }

    fn gone(&self, reason: &'static str, gone: Contents, is_news: bool) {
        let mut discarded = self.discarded();
        // By the names that the home has for its categories.
        for (category, gone) in [
            ("error", gone.reports),
            ("session", gone.sessions),
            ("metric_bucket", gone.metrics),
        ] {
            if gone > 0 {
                let count = discarded.entry((reason, category)).or_default();
                count.all = count.all.saturating_add(gone);
                let untold = if is_news { gone } else { 0 };
                count.untold = count.untold.saturating_add(untold);
            }
        }
    }

    pub(super) fn action(&self, succeeded: bool) {
        self.actions.fetch_add(1, Ordering::Relaxed);
        self.actions_failed
            .fetch_add(u64::from(!succeeded), Ordering::Relaxed);
    }

    pub(super) fn memory(&self, bytes: u64) {
        self.memory.store(bytes, Ordering::Relaxed);
        self.memory_most.fetch_max(bytes, Ordering::Relaxed);
    }

    /// What the home was not told yet, by reason and category; from here on it counts as told.
    pub(super) fn untold(&self) -> Vec<((&'static str, &'static str), u64)> {
        let mut discarded = self.discarded();
        let told = discarded.iter_mut().map(|(name, count)| {
            let untold = std::mem::take(&mut count.untold);
            (*name, untold)
        });
        told.filter(|(_, count)| *count > 0).collect()
    }

    pub(super) fn shown(&self) -> Metrics {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let by_kind: BTreeMap<&'static str, u64> = ReportKind::ALL
            .iter()
            .zip(&self.kinds)
            .map(|(kind, count)| (kind.name(), read(count)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let mut discarded = BTreeMap::new();
        for ((reason, _), count) in self.discarded().iter() {
            *discarded.entry(*reason).or_default() += count.all;
        }
        Metrics {
            discarded,
            actions: read(&self.actions),
            actions_failed: read(&self.actions_failed),
            memory_bytes: read(&self.memory),
            memory_bytes_most: read(&self.memory_most),
            reported: by_kind.values().sum(),
            by_kind,
            queued: read(&self.queued),
            sent: read(&self.sent),
            retries: read(&self.retries),
        }
    }

    fn discarded(&self) -> MutexGuard<'_, BTreeMap<(&'static str, &'static str), Discarded>> {
        self.discarded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
