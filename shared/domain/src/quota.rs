//! How many items of each category a reporting key may send: a token bucket per key and category, leased in parts.
//!
//! A bucket holds one minute's worth and refills evenly. Whoever takes reports (a process, one of many functions) takes a **lease** of
//! a hundredth of the bucket from the store and spends it without asking again, so a write of the store is paid once per hundredth
//! of a minute's worth.
//!
//! **Error bound**: no key is let in with more than its bucket holds, because a lease is taken out of the stored bucket
//! before it is spent; but for a lease that so many others came before that its taker does not wait any longer (`kintsugi_app::ingest`), which
//! happens while there is something in the bucket only. It may be let in with less: `n` functions hold at most `n` leases that they have not spent, that
//! is `n` hundredths of a minute's worth, and at most one item each where a minute's worth is below 100.
//!
//! Not here: where buckets are kept and what a client hears (`kintsugi_app::ingest`).

use crate::Timestamp;
use crate::accounting::Category;
use crate::id::{DsnKey, ProjectId};
use crate::record::{Kind, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Items a minute, per key and category, where a project says nothing: far above what an app in order sends, and low enough that a
/// key in wrong hands does not cost without bound.
pub const PER_MINUTE: u32 = 300_000;
/// A lease is one so many'th of a bucket.
const LEASES: u32 = 100;
/// Microseconds in the time that a bucket takes to fill.
const FILL_MICROS: u64 = 60_000_000;
/// Seconds after which a client may ask again where nothing at all is let in.
const CLOSED_SECONDS: u64 = 60;

/// What a project lets each of its keys send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaRules {
    /// Items a minute of every category that is not named below.
    pub per_minute: u32,
    /// Items a minute by category: `error`, `transaction`, `session`, `attachment`, `log_item` … 0 lets none in.
    pub categories: BTreeMap<Category, u32>,
}

impl Default for QuotaRules {
    fn default() -> Self {
        Self {
            per_minute: PER_MINUTE,
            categories: BTreeMap::new(),
        }
    }
}

impl QuotaRules {
    /// Items a minute of a category.
    pub fn of(&self, category: Category) -> u32 {
        let own = self.categories.get(&category).copied();
        own.unwrap_or(self.per_minute)
    }
}

/// What one key may still send of one category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The project.
    pub project: ProjectId,
    /// The key.
    pub key: DsnKey,
    /// The category.
    pub category: Category,
    /// Sixty-millionths of an item: what one item a minute adds in a microsecond.
    level: u64,
    /// When that was so.
    at: Timestamp,
}

/// What a bucket gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Items that may be let in.
    pub items: u64,
    /// Where that is less than was asked for: seconds until there is one more.
    pub wait_seconds: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn full(
        project: ProjectId,
        key: DsnKey,
        category: Category,
        per_minute: u32,
        at: Timestamp,
    ) -> Self {
        Self {
            project,
            key,
            category,
            level: u64::from(per_minute) * FILL_MICROS,
            at,
        }
    }

    /// Takes a lease that covers at least `want` items, if that many are there, else what is there. A clock that was set back
    /// adds nothing.
    pub fn lease(&mut self, per_minute: u32, want: u64, now: Timestamp) -> Lease {
        let elapsed = now.duration_since(self.at).as_micros();
        let elapsed = u64::try_from(elapsed).unwrap_or(0).min(FILL_MICROS);
        let rate = u64::from(per_minute);
        self.level = (self.level + rate * elapsed).min(rate * FILL_MICROS);
        self.at = self.at.max(now);
        let there = self.level / FILL_MICROS;
        let items = want.max(u64::from(per_minute / LEASES)).min(there);
        self.level -= items * FILL_MICROS;
        let wait_seconds = if items >= want {
            0
        } else if rate == 0 {
            CLOSED_SECONDS
        } else {
            let micros = (FILL_MICROS - self.level % FILL_MICROS).div_ceil(rate);
            micros.div_ceil(1_000_000).max(1)
        };
        Lease {
            items,
            wait_seconds,
        }
    }
}

impl Record for Bucket {
    const KIND: Kind = Kind::Quota;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        Self::name(&self.key, self.category)
    }
}

impl Bucket {
    /// The key of its record.
    pub fn name(key: &DsnKey, category: Category) -> String {
        format!("{key}-{category}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    fn bucket(per_minute: u32) -> Bucket {
        let key = "abc".parse().unwrap();
        Bucket::full(ProjectId(1), key, Category::Error, per_minute, at(0))
    }

    #[test]
    fn a_lease_is_a_hundredth_or_what_is_asked_for() {
        let mut bucket = bucket(1_000);
        let lease = |items| Lease {
            items,
            wait_seconds: 0,
        };
        assert_eq!(bucket.lease(1_000, 1, at(0)), lease(10));
        assert_eq!(bucket.lease(1_000, 990, at(0)), lease(990));
        let none = bucket.lease(1_000, 1, at(0));
        assert_eq!(
            none,
            Lease {
                items: 0,
                wait_seconds: 1
            }
        );
        // A thousand a minute are one each 60 ms.
        assert_eq!(bucket.lease(1_000, 1, at(60)), lease(1));
    }

    #[test]
    fn a_bucket_tells_how_long_to_wait_and_nothing_comes_of_a_clock_set_back() {
        let mut bucket = bucket(2);
        assert_eq!(bucket.lease(2, 2, at(0)).items, 2);
        assert_eq!(
            bucket.lease(2, 1, at(-60_000)),
            Lease {
                items: 0,
                wait_seconds: 30
            }
        );
        assert_eq!(
            bucket.lease(2, 1, at(29_000)),
            Lease {
                items: 0,
                wait_seconds: 1
            }
        );
        assert_eq!(bucket.lease(2, 1, at(30_000)).items, 1);
        let mut closed = self::bucket(0);
        assert_eq!(
            closed.lease(0, 1, at(0)),
            Lease {
                items: 0,
                wait_seconds: 60
            }
        );
    }

    #[test]
    fn a_smaller_quota_holds_from_the_next_lease_on() {
        let mut bucket = bucket(1_000_000);
        assert_eq!(bucket.lease(10, 1_000, at(0)).items, 10);
    }

    proptest! {
        /// Over any stretch of time no more is let in than a full bucket and what flowed in meanwhile.
        #[test]
        fn no_more_is_let_in_than_a_bucket_and_its_inflow(
            per_minute in 0_u32..5_000,
            asked in prop::collection::vec((0_i64..5_000, 1_u64..200), 1..60),
        ) {
            let mut bucket = bucket(per_minute);
            let (mut now, mut given) = (0, 0);
            for (pause, want) in asked {
                now += pause;
                given += bucket.lease(per_minute, want, at(now)).items;
                let most = u64::from(per_minute) * (60_000 + u64::try_from(now).unwrap()) / 60_000;
                prop_assert!(given <= most, "{given} of {most} after {now} ms");
            }
        }
    }
}
