//! Queues in memory, with leases measured by the given clock.

use super::locked;
use async_trait::async_trait;
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Queue};
use kintsugi_domain::ports::{Clock, Delivery, Letter, Parked, PortError, Queues};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Queues in memory. Clones share their content.
///
/// A message that is sent again while it waits, is being handled or is parked is the same message, once.
/// Oldest first, unless made by [`MemoryQueues::shuffled`].
#[derive(Clone)]
pub struct MemoryQueues {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    items: BTreeMap<u64, Item>,
    parked: Vec<Parked>,
    next_place: u64,
    /// The seed of the order of deliveries, and how many draws were made.
    shuffle: Option<(u64, u64)>,
}

#[derive(Debug, Clone)]
struct Item {
    envelope: Envelope,
    queue: Queue,
    visible_at: Timestamp,
    /// Deliveries so far; part of the receipt, so that an old receipt does not fit a new delivery.
    attempt: u32,
}

impl fmt::Debug for MemoryQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueues")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl MemoryQueues {
    /// Empty queues that deliver the oldest message first.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Arc::default(),
        }
    }

    /// Empty queues that deliver in an order drawn from `seed`.
    pub fn shuffled(clock: Arc<dyn Clock>, seed: u64) -> Self {
        let queues = Self::new(clock);
        locked(&queues.state).shuffle = Some((seed, 0));
        queues
    }

    /// Everything that waits or is being handled in a queue, oldest first.
    pub fn waiting(&self, queue: Queue) -> Vec<Envelope> {
        let state = locked(&self.state);
        let items = state.items.values().filter(|item| item.queue == queue);
        items.map(|item| item.envelope.clone()).collect()
    }

    /// Puts a second copy of a message into its queue, as a cloud's queue may do at any time.
    pub fn duplicate(&self, envelope: &Envelope) {
        let now = self.clock.now();
        locked(&self.state).push(envelope.clone(), now);
    }

    /// Shows at once everything that is leased or delayed, as after the death of all readers.
    pub fn release_leases(&self) {
        let now = self.clock.now();
        for item in locked(&self.state).items.values_mut() {
            item.visible_at = now;
        }
    }

    /// Changes the item of a receipt, if the receipt is still that of its newest delivery.
    fn with_item(&self, receipt: &str, change: impl FnOnce(&mut State, u64)) -> bool {
        let mut state = locked(&self.state);
        let held = place_of(receipt)
            .filter(|(place, attempt)| {
                let item = state.items.get(place);
                item.is_some_and(|item| item.attempt == *attempt)
            })
            .map(|(place, _)| place);
        if let Some(place) = held {
            change(&mut state, place);
        }
        held.is_some()
    }
}

impl State {
    fn push(&mut self, envelope: Envelope, visible_at: Timestamp) {
        let item = Item {
            queue: envelope.queue(),
            envelope,
            visible_at,
            attempt: 0,
        };
        self.items.insert(self.next_place, item);
        self.next_place += 1;
    }

    fn holds(&self, envelope: &Envelope) -> bool {
        let waits = |item: &Item| item.envelope.id == envelope.id;
        self.items.values().any(waits)
            || self
                .parked
                .iter()
                .any(|parked| parked.id == envelope.id.as_str())
    }

    /// The places of the messages to deliver, in the order to deliver them.
    fn visible(&mut self, queue: Queue, now: Timestamp, max: usize) -> Vec<u64> {
        let mut places: Vec<u64> = self
            .items
            .iter()
            .filter(|(_, item)| item.queue == queue && item.visible_at <= now)
            .map(|(place, _)| *place)
            .collect();
        if let Some((seed, draws)) = &mut self.shuffle {
            *draws += 1;
            let (seed, draws) = (seed.to_be_bytes(), draws.to_be_bytes());
            places.sort_by_cached_key(|place| {
                Digest::of_parts(&[&seed, &draws, &place.to_be_bytes()])
            });
        }
        places.truncate(max);
        places
    }
}

fn place_of(receipt: &str) -> Option<(u64, u32)> {
    let (place, attempt) = receipt.split_once('/')?;
    Some((place.parse().ok()?, attempt.parse().ok()?))
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[async_trait]
impl Queues for MemoryQueues {
    async fn send(&self, envelopes: &[Envelope]) -> Result<(), PortError> {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        for envelope in envelopes {
            if !state.holds(envelope) {
                state.push(envelope.clone(), now);
            }
        }
        Ok(())
    }

    async fn receive(
        &self,
        queue: Queue,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        let mut deliveries = Vec::new();
        for place in state.visible(queue, now, max) {
            if let Some(item) = state.items.get_mut(&place) {
                item.attempt = item.attempt.saturating_add(1);
                item.visible_at = later(now, lease);
                deliveries.push(Delivery {
                    envelope: item.envelope.clone(),
                    receipt: format!("{place}/{}", item.attempt),
                    attempt: item.attempt,
                });
            }
        }
        Ok(deliveries)
    }

    async fn extend(&self, receipt: &str, lease: Duration) -> Result<(), PortError> {
        let until = later(self.clock.now(), lease);
        let held = self.with_item(receipt, |state, place| {
            if let Some(item) = state.items.get_mut(&place) {
                item.visible_at = until;
            }
        });
        if held {
            return Ok(());
        }
        let what = format!("delivery {receipt}");
        Err(PortError::Conflict { what })
    }

    async fn done(&self, receipt: &str) -> Result<(), PortError> {
        self.with_item(receipt, |state, place| {
            state.items.remove(&place);
        });
        Ok(())
    }

    async fn retry(&self, receipt: &str, delay: Duration) -> Result<(), PortError> {
        let at = later(self.clock.now(), delay);
        self.with_item(receipt, |state, place| {
            if let Some(item) = state.items.get_mut(&place) {
                item.visible_at = at;
            }
        });
        Ok(())
    }

    async fn park(&self, delivery: &Delivery, cause: &str) -> Result<(), PortError> {
        self.with_item(&delivery.receipt, |state, place| {
            if let Some(item) = state.items.remove(&place) {
                state.parked.push(Parked {
                    id: item.envelope.id.to_string(),
                    envelope: Some(item.envelope),
                    queue: item.queue,
                    cause: cause.to_owned(),
                });
            }
        });
        Ok(())
    }

    async fn set_aside(&self, letter: &Letter, cause: &str) -> Result<(), PortError> {
        let envelope = Envelope::read(&letter.body).ok();
        let id = envelope.as_ref().map(|it| it.id.to_string());
        let id = id.unwrap_or_else(|| letter.id.clone());
        let mut state = locked(&self.state);
        if state.parked.iter().all(|parked| parked.id != id) {
            state
                .items
                .retain(|_, item| item.envelope.id.as_str() != id);
            state.parked.push(Parked {
                id,
                envelope,
                queue: letter.queue,
                cause: cause.to_owned(),
            });
        }
        Ok(())
    }

    async fn parked(&self, queue: Queue) -> Result<Vec<Parked>, PortError> {
        let state = locked(&self.state);
        let parked = state.parked.iter().filter(|parked| parked.queue == queue);
        Ok(parked.cloned().collect())
    }

    async fn redrive(&self, queue: Queue) -> Result<usize, PortError> {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        let (back, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut state.parked)
            .into_iter()
            .partition(|parked| parked.queue == queue && parked.envelope.is_some());
        state.parked = stay;
        let count = back.len();
        for envelope in back.into_iter().filter_map(|parked| parked.envelope) {
            state.push(envelope, now);
        }
        Ok(count)
    }

    async fn depth(&self, queue: Queue) -> Result<usize, PortError> {
        let state = locked(&self.state);
        let items = state.items.values().filter(|item| item.queue == queue);
        Ok(items.count())
    }
}
