//! Quotas as one process keeps them: leases from the stored buckets, spent in memory.
//!
//! Rule, cost and error bound are in [`kintsugi_domain::quota`]. A used-up bucket is not asked again before there is something in it, so
//! a flood beyond a quota costs no reads of it.
//!
//! A lease that other processes win [`CONFLICT_RETRIES_MAX`] times in a row is not waited for: what was asked for is let in. **A report too
//! many is better than one lost to a lock.**

use super::protocol::Limit;
use crate::records;
use kintsugi_domain::Timestamp;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::id::{DsnKey, ProjectId};
use kintsugi_domain::limits::CONFLICT_RETRIES_MAX;
use kintsugi_domain::ports::{Commit, PortError, Store};
use kintsugi_domain::quota::{Bucket, Lease, QuotaRules};
use kintsugi_domain::record::Stored;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most leases held at once; they are taken anew where one was let go.
const HELD_MAX: usize = 10_000;

type Name = (ProjectId, DsnKey, Category);

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    /// Items of the lease that were not spent.
    left: u64,
    /// Until when the bucket has nothing.
    closed_until: Option<Timestamp>,
}

/// The leases of this process.
pub(super) struct Quotas {
    store: Arc<dyn Store>,
    held: Mutex<BTreeMap<Name, Held>>,
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
            held: Mutex::default(),
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
        let missing = {
            let mut held = self.held();
            let held = held.entry(name.clone()).or_default();
            let closed = held.closed_until.filter(|until| *until > now);
            if held.left >= want || closed.is_some() {
                let items = want.min(held.left);
                held.left -= items;
                let wait = closed.map_or(0, |until| until.duration_since(now).as_secs());
                return Ok(Lease {
                    items,
                    wait_seconds: u64::try_from(wait).unwrap_or(0),
                });
            }
            want - held.left
        };
        let lease = self.lease(name, per_minute, missing, now).await?;
        let mut all = self.held();
        if all.len() >= HELD_MAX {
            all.clear();
        }
        let held = all.entry(name.clone()).or_default();
        held.left = held.left.saturating_add(lease.items);
        let wait = i64::try_from(lease.wait_seconds).unwrap_or(i64::MAX);
        let until = (wait > 0).then(|| now.checked_add(jiff::SignedDuration::from_secs(wait)));
        held.closed_until = until.and_then(Result::ok);
        let items = want.min(held.left);
        held.left -= items;
        Ok(Lease {
            items,
            wait_seconds: lease.wait_seconds,
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
        for _ in 0..CONFLICT_RETRIES_MAX {
            let store = self.store.as_ref();
            let known: Option<Stored<Bucket>> = records::get(store, *project, &name).await?;
            let mut bucket = known.unwrap_or_else(|| Stored {
                value: Bucket::full(*project, key.clone(), *category, per_minute, now),
                version: 0,
            });
            let lease = bucket.value.lease(per_minute, want, now);
            match self.store.commit(Commit::new().update(&bucket)).await {
                Err(PortError::Conflict { .. }) => {}
                done => return done.map(|()| lease),
            }
        }
        Ok(Lease {
            items: want,
            wait_seconds: 0,
        })
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Name, Held>> {
        // Nothing in here can be left half done by a panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
