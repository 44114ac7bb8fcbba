//! Quotas as one process keeps them: leases from the stored buckets, spent in memory.
//!
//! Rule, cost and error bound are in [`kintsugi_domain::quota`]. A used-up bucket is not asked again before there is something in it, so
//! a flood beyond a quota costs no reads of it.
//!
//! The requests of a process ask for a lease one after the other. One that other processes win more than [`CONFLICT_RETRIES_MAX`] times in a
//! row is not waited for: what the bucket had is let in without being taken from it, and logged. **A report too many is better than one lost
//! to a lock.**

use super::protocol::Limit;
use crate::records;
use futures::lock::Mutex;
use kintsugi_domain::Timestamp;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::id::{DsnKey, ProjectId};
use kintsugi_domain::limits::CONFLICT_RETRIES_MAX;
use kintsugi_domain::ports::{Commit, PortError, Store};
use kintsugi_domain::quota::{Bucket, Lease, QuotaRules};
use kintsugi_domain::record::Stored;
use std::collections::BTreeMap;
use std::sync::{self, Arc, PoisonError};

/// Most leases held at once; they are taken anew where one was let go.
const HELD_MAX: usize = 10_000;

type Name = (ProjectId, DsnKey, Category);

#[derive(Debug, Default)]
struct Held {
    /// Items of the lease that were not spent.
    left: u64,
    /// Until when the bucket has nothing.
    closed_until: Option<Timestamp>,
}

/// The leases of this process.
pub(super) struct Quotas {
    store: Arc<dyn Store>,
    held: sync::Mutex<BTreeMap<Name, Arc<Mutex<Held>>>>,
}

/// What a request may have let in.
#[derive(Debug, Default)]
pub(super) struct Grants {
    left: BTreeMap<Category, u64>,
    /// The categories with less than was asked for.
    pub(super) limits: Vec<Limit>,
}

impl Grants {
    /// Takes one item; says whether it may come in.
    pub(super) fn spend(&mut self, category: Category) -> bool {
        self.some(category, 1) == 1
    }

    /// Takes as many of so many items as there are; says how many.
    pub(super) fn some(&mut self, category: Category, items: usize) -> usize {
        let left = self.left.entry(category).or_default();
        let some = items.min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left = left.saturating_sub(some as u64);
        some
    }
}

impl Quotas {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            held: sync::Mutex::default(),
        }
    }

    /// Asks for so many items of each category.
    pub(super) async fn grant(
        &self,
        (project, key): (ProjectId, &DsnKey),
        rules: &QuotaRules,
        wanted: &BTreeMap<Category, usize>,
        now: Timestamp,
    ) -> Result<Grants, PortError> {
        let mut grants = Grants::default();
        for (category, want) in wanted {
            let want = u64::try_from(*want).unwrap_or(u64::MAX);
            let name = (project, key.clone(), *category);
            let lease = self.take(&name, rules.of(*category), want, now).await?;
            grants.left.insert(*category, lease.items);
            if lease.items < want {
                grants.limits.push(Limit {
                    category: *category,
                    seconds: lease.wait_seconds.max(1),
                });
            }
        }
        Ok(grants)
    }

    async fn take(
        &self,
        name: &Name,
        per_minute: u32,
        want: u64,
        now: Timestamp,
    ) -> Result<Lease, PortError> {
        let held = self.held(name);
        // Who comes while another one leases waits for what that brings, instead of taking the bucket from it.
        let mut held = held.lock().await;
        let closed = held.closed_until.filter(|until| *until > now);
        let mut wait_seconds = closed.map_or(0, |until| until.duration_since(now).as_secs());
        if held.left < want && closed.is_none() {
            let missing = want - held.left;
            let lease = self.lease(name, per_minute, missing, now).await?;
            held.left = held.left.saturating_add(lease.items);
            wait_seconds = i64::try_from(lease.wait_seconds).unwrap_or(i64::MAX);
            let until = now.checked_add(jiff::SignedDuration::from_secs(wait_seconds));
            held.closed_until = until.ok().filter(|until| *until > now);
        }
        let items = want.min(held.left);
        held.left -= items;
        Ok(Lease {
            items,
            wait_seconds: u64::try_from(wait_seconds).unwrap_or(0),
        })
    }

    /// Takes a lease out of the stored bucket.
    async fn lease(
        &self,
        (project, key, category): &Name,
        per_minute: u32,
        want: u64,
        now: Timestamp,
    ) -> Result<Lease, PortError> {
        let name = Bucket::name(key, *category);
        let mut lost = 0;
        loop {
            let store = self.store.as_ref();
            let known: Option<Stored<Bucket>> = records::get(store, *project, &name).await?;
            let mut bucket = known.unwrap_or_else(|| Stored {
                value: Bucket::full(*project, key.clone(), *category, per_minute, now),
                version: 0,
            });
            let lease = bucket.value.lease(per_minute, want, now);
            if lease.items == 0 {
                // Nothing was taken, so nothing is written: a flood beyond a quota is in nobody's way.
                return Ok(lease);
            }
            match self.store.commit(Commit::new().update(&bucket)).await {
                Err(PortError::Conflict { .. }) if lost < CONFLICT_RETRIES_MAX => lost += 1,
                Err(PortError::Conflict { .. }) => {
                    tracing::warn!(%project, category = %category, items = lease.items, "let in without a lease: others took the bucket each time");
                    return Ok(lease);
                }
                done => return done.map(|()| lease),
            }
        }
    }

    fn held(&self, name: &Name) -> Arc<Mutex<Held>> {
        // Nothing in here can be left half done by a panic.
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= HELD_MAX {
            all.clear();
        }
        all.entry(name.clone()).or_default().clone()
    }
}
