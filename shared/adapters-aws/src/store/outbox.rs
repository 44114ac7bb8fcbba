//! The outbox: one item for the messages of a commit, until each of them is marked as sent.

use super::DynamoStore;
use crate::place::Places;
use crate::table::{Key, Source, number, string};
use futures::future::try_join_all;
use kintsugi_domain::envelope::Envelope;
use kintsugi_domain::id::MessageId;
use kintsugi_domain::limits::EVENT_ID_DAYS;
use kintsugi_domain::ports::PortError;
use rand_core::{OsRng, RngCore};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lanes of the outbox. **May grow; a smaller number would hide what waits.**
pub const OUTBOX_LANES: u8 = 8;
/// Days for which the id of a sent message is kept: as long as an event's id, the longest any cause lives.
pub const SENT_DAYS: i64 = EVENT_ID_DAYS;

/// When the table may forget an item: seconds since 1970, its time to live.
pub(super) const EXPIRES: &str = "expires";
/// Items of the outbox read at a time.
const PAGE: usize = 50;
/// Ids marked at a time.
const MARKS_AT_ONCE_MAX: usize = 25;
/// Items remembered from earlier looks into the outbox.
const LISTED_MAX: usize = 1_000;

/// The items that this process has put or seen waiting, so that sending them and marking them as sent needs no look.
/// Forgetting is harmless: whoever sweeps looks.
#[derive(Default)]
pub(super) struct Listed(Mutex<BTreeMap<Key, Entry>>);

/// An item as this process knows it.
#[derive(Default)]
struct Entry {
    ids: Vec<MessageId>,
    /// The messages, if this process put them.
    own: Vec<Envelope>,
}

impl Listed {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self, key: &Key, ids: Vec<MessageId>) {
        self.bounded().entry(key.clone()).or_default().ids = ids;
    }

    /// This process has put these messages there.
    pub(super) fn put(&self, key: Key, own: Vec<Envelope>) {
        let ids = own.iter().map(|message| message.id.clone()).collect();
        self.bounded().insert(key, Entry { ids, own });
    }

    fn bounded(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        let mut listed = self.lock();
        if listed.len() >= LISTED_MAX {
            listed.clear();
        }
        listed
    }

    /// Messages that this process has put and not sent, those of whole items.
    pub(super) fn own(&self, limit: usize) -> Vec<Envelope> {
        let listed = self.lock();
        let mut found: Vec<Envelope> = Vec::new();
        for item in listed.values() {
            found.extend(item.own.iter().cloned());
            if found.len() >= limit {
                break;
            }
        }
        found
    }
}

/// An item of the outbox.
struct Waiting {
    key: Key,
    messages: Vec<Envelope>,
}

impl Waiting {
    fn ids(&self) -> Vec<MessageId> {
        self.messages.iter().map(|m| m.id.clone()).collect()
    }
}

/// The messages of a commit, each once.
pub(super) fn distinct(messages: Vec<Envelope>) -> Vec<Envelope> {
    let mut seen = BTreeSet::new();
    let is_new = |message: &Envelope| seen.insert(message.id.to_string());
    messages.into_iter().filter(is_new).collect()
}

/// The messages as their item holds them.
pub(super) fn written(messages: &[Envelope]) -> Result<String, PortError> {
    serde_json::to_string(messages).map_err(|error| PortError::broken("keep messages", error))
}

/// The key of a new item.
pub(super) fn lane_key(places: &Places) -> Key {
    Key::new(
        lane(OsRng.next_u32() % u32::from(OUTBOX_LANES)),
        places.draw(),
    )
}

fn lane(number: u32) -> String {
    format!("outbox#{number}")
}

fn mark(id: &MessageId) -> Key {
    Key::new(format!("sent#{id}"), "sent")
}

impl DynamoStore {
    /// The next items of the outbox after a place.
    async fn next(&self, after: &str) -> Result<Vec<Waiting>, PortError> {
        let what = "read the outbox";
        let sources: Vec<Source> = (0..u32::from(OUTBOX_LANES))
            .map(|number| Source {
                index: None,
                partition: lane(number),
            })
            .collect();
        let items = self.table.merged(what, &sources, after, PAGE).await?;
        let read = items.into_iter().map(async |(key, item)| {
            let body = self.messages.read(what, &item).await?;
            let messages: Vec<Envelope> =
                serde_json::from_str(&body).map_err(|error| PortError::broken(what, error))?;
            Ok(Waiting { key, messages })
        });
        try_join_all(read).await
    }

    /// Which of these messages were sent.
    async fn marked(&self, ids: &[MessageId]) -> Result<BTreeSet<String>, PortError> {
        let keys: Vec<Key> = ids.iter().map(mark).collect();
        let found = self.table.get_many("look for sent messages", &keys).await?;
        let id = |item| string(item, crate::table::PK)?.strip_prefix("sent#");
        Ok(found.iter().filter_map(id).map(str::to_owned).collect())
    }

    pub(super) async fn waiting(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        let mut found: Vec<Envelope> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut after = String::new();
        while found.len() < limit {
            let page = self.next(&after).await?;
            let Some(last) = page.last() else {
                break;
            };
            after.clone_from(&last.key.sk);
            let more = page.len() == PAGE;
            let ids: Vec<MessageId> = page.iter().flat_map(Waiting::ids).collect();
            // After the items were read: what is marked later was still waiting when we looked.
            let marked = self.marked(&ids).await?;
            for waiting in page {
                let ids = waiting.ids();
                if ids.iter().all(|id| marked.contains(id.as_str())) {
                    // Put again after it was sent, or a reader died between marking and removing.
                    self.table.remove("clear the outbox", &waiting.key).await?;
                    continue;
                }
                self.listed.seen(&waiting.key, ids);
                let fresh = waiting.messages.into_iter().filter(|message| {
                    !marked.contains(message.id.as_str()) && seen.insert(message.id.to_string())
                });
                found.extend(fresh);
            }
            if !more {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    pub(super) async fn mark_sent(&self, ids: &[MessageId]) -> Result<(), PortError> {
        let wanted: BTreeSet<&str> = ids.iter().map(MessageId::as_str).collect();
        let touched = self.holding(&wanted).await?;
        let held: Vec<&MessageId> = touched.values().flatten().collect();
        // An id that waits nowhere is not remembered: its message may still be put.
        let is_held: BTreeSet<&str> = held.iter().map(|id| id.as_str()).collect();
        let known: Vec<&MessageId> = ids
            .iter()
            .filter(|id| is_held.contains(id.as_str()))
            .collect();
        let expires = self.places.days_from_now(SENT_DAYS);
        for chunk in known.chunks(MARKS_AT_ONCE_MAX) {
            let marks = chunk.iter().map(async |id| {
                let mut item = mark(id).item();
                item.insert(EXPIRES.to_owned(), number(expires));
                self.table.put("mark a message as sent", item).await
            });
            try_join_all(marks).await?;
        }
        let rest: Vec<MessageId> = held
            .into_iter()
            .filter(|id| !wanted.contains(id.as_str()))
            .cloned()
            .collect();
        let marked = self.marked(&rest).await?;
        for (key, ids) in &touched {
            let is_sent =
                |id: &MessageId| wanted.contains(id.as_str()) || marked.contains(id.as_str());
            if ids.iter().all(is_sent) {
                self.table.remove("clear the outbox", key).await?;
                self.listed.lock().remove(key);
            }
        }
        Ok(())
    }

    /// The items that hold any of these messages: those seen before, and the whole outbox only for what is in none of them.
    async fn holding(
        &self,
        wanted: &BTreeSet<&str>,
    ) -> Result<BTreeMap<Key, Vec<MessageId>>, PortError> {
        let holds = |ids: &[MessageId]| ids.iter().any(|id| wanted.contains(id.as_str()));
        let mut touched: BTreeMap<Key, Vec<MessageId>> = self
            .listed
            .lock()
            .iter()
            .filter(|(_, item)| holds(&item.ids))
            .map(|(key, item)| (key.clone(), item.ids.clone()))
            .collect();
        let found: BTreeSet<&str> = touched.values().flatten().map(MessageId::as_str).collect();
        if wanted.is_subset(&found) {
            return Ok(touched);
        }
        let mut after = String::new();
        loop {
            let page = self.next(&after).await?;
            let Some(last) = page.last() else {
                return Ok(touched);
            };
            after.clone_from(&last.key.sk);
            for waiting in page {
                let ids = waiting.ids();
                if holds(&ids) {
                    touched.insert(waiting.key, ids);
                }
            }
        }
    }
}
