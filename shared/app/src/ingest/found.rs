//! What was found in a request, and the count of it.

use super::keep::Kept;
use super::protocol::Limit;
use kintsugi_domain::accounting::{self, Category, Fate};
use kintsugi_domain::event::Event;
use kintsugi_domain::id::EventId;
use kintsugi_domain::ports::Commit;
use std::collections::BTreeMap;

/// What was found in a request.
///
/// **Each item is received once and ends once**: as an event or something kept, dropped, or refused.
#[derive(Clone, Default)]
pub(super) struct Found {
    /// The id to answer with.
    pub(super) id: Option<EventId>,
    /// On their way to triage. Their ends are counted there.
    pub(super) events: Vec<Event>,
    /// To be kept by ingestion itself. Their ends are counted where they are kept.
    pub(super) kept: Vec<Kept>,
    /// Items that ended otherwise.
    pub(super) skipped: usize,
    /// Why the last of them did.
    pub(super) last_reason: Option<&'static str>,
    /// Quotas that are used up.
    pub(super) limits: Vec<Limit>,
    /// What is added to the counter, beside what is kept.
    pub(super) tally: BTreeMap<String, i64>,
    /// What else is in the commit that takes it.
    pub(super) beside: Commit,
}

impl Found {
    pub(super) fn count(&mut self, field: String, by: usize) {
        let by = i64::try_from(by).unwrap_or(i64::MAX);
        let total = self.tally.entry(field).or_default();
        *total = total.saturating_add(by);
    }

    /// Items arrived.
    pub(super) fn receive(&mut self, category: Category, items: usize) {
        self.count(accounting::received(category), items);
    }

    /// Items are of use, and nothing more is to be kept of them than what is here.
    pub(super) fn accept(&mut self, category: Category, items: usize) {
        self.count(accounting::ended(Fate::Accepted, category, ""), items);
    }

    /// An event goes to triage, which counts it as received and accepted in the commit that files it.
    pub(super) fn event(&mut self, event: Event) {
        self.leave(event.category, 1);
        self.id.get_or_insert_with(|| event.id.clone());
        self.events.push(event);
    }

    /// An item is to be kept here. It counts as received and accepted in the commit that keeps it, and no more in the one that hands
    /// the events on.
    pub(super) fn keep(&mut self, kept: Kept) {
        self.leave(kept.category(), kept.items());
        self.kept.push(kept);
    }

    /// Items are counted where they end.
    fn leave(&mut self, category: Category, items: usize) {
        let field = accounting::received(category);
        let items = i64::try_from(items).unwrap_or(i64::MAX);
        if let Some(received) = self.tally.get_mut(&field) {
            *received = received.saturating_sub(items);
        }
        self.tally.retain(|_, by| *by != 0);
    }

    /// Items are of no use.
    pub(super) fn drop(&mut self, category: Category, reason: &'static str, items: usize) {
        self.end(Fate::Dropped, category, reason, items);
    }

    /// Items are not looked at.
    pub(super) fn refuse(&mut self, category: Category, reason: &'static str, items: usize) {
        self.end(Fate::Refused, category, reason, items);
    }

    /// The client says that it threw items away.
    pub(super) fn discarded(&mut self, category: Category, reason: &'static str, items: usize) {
        let field = accounting::ended(Fate::ClientDiscarded, category, reason);
        self.count(field, items);
    }

    fn end(&mut self, fate: Fate, category: Category, reason: &'static str, items: usize) {
        self.skipped = self.skipped.saturating_add(items);
        self.last_reason = Some(reason);
        self.count(accounting::ended(fate, category, reason), items);
    }

    /// Whether nothing of it is of use.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.kept.is_empty()
    }
}
