//! What a reporter counts about itself. On this machine alone, and without consent too.

use super::ReportKind;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts since the start of the reporter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Reports that the product made.
    pub reported: u64,
    /// The same by kind.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// Reports that were queued: those made with consent that had a place.
    pub queued: u64,
    /// Reports in batches that the home has taken.
    pub sent: u64,
    /// Times that sending failed and will be tried again.
    pub retries: u64,
    /// Reports that were thrown away, by reason.
    pub discarded: BTreeMap<&'static str, u64>,
}

/// The counters behind them.
#[derive(Default)]
pub(super) struct Counters {
    kinds: [AtomicU64; ReportKind::ALL.len()],
    queued: AtomicU64,
    sent: AtomicU64,
    retries: AtomicU64,
    discarded: Mutex<BTreeMap<&'static str, Discarded>>,
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

    pub(super) fn discard(&self, reason: &'static str, reports: u64) {
        let mut discarded = self.discarded();
        let count = discarded.entry(reason).or_default();
        count.all = count.all.saturating_add(reports);
        count.untold = count.untold.saturating_add(reports);
    }

    /// What the home was not told yet; from here on it counts as told.
    pub(super) fn untold(&self) -> Vec<(&'static str, u64)> {
        let mut discarded = self.discarded();
        let told = discarded.iter_mut().map(|(reason, count)| {
            let untold = std::mem::take(&mut count.untold);
            (*reason, untold)
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
        Metrics {
            reported: by_kind.values().sum(),
            by_kind,
            queued: read(&self.queued),
            sent: read(&self.sent),
            retries: read(&self.retries),
            discarded: self
                .discarded()
                .iter()
                .map(|(reason, count)| (*reason, count.all))
                .collect(),
        }
    }

    fn discarded(&self) -> MutexGuard<'_, BTreeMap<&'static str, Discarded>> {
        self.discarded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
