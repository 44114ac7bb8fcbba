//! Numbers over time of one thing: how long a transaction took with a release, how a release's sessions went.
//!
//! A series is a record that names it and a counter that holds its numbers, so that any number of writers may add at once.
//!
//! Durations go into buckets, four to each doubling, so that percentiles can be read with an error of at most an eighth of the value
//! from a counter of at most 256 fields.

use crate::Timestamp;
use crate::digest::Digest;
use crate::id::ProjectId;
use crate::record::{IndexEntry, Kind, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a series measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Sessions and users of a release.
    Health,
    /// Durations of an action.
    Duration,
}

impl Measure {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Duration => "duration",
        }
    }
}

/// Names a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// The project.
    pub project: ProjectId,
    /// What it measures.
    pub measure: Measure,
    /// The action: `GET /checkout`; empty for a release as a whole.
    pub name: String,
    /// The kind of action: `http.server`; empty for a release as a whole.
    pub operation: String,
    /// The release, as reported.
    pub release: Option<String>,
    /// The environment, as reported.
    pub environment: Option<String>,
    /// When it was first told of.
    pub since: Timestamp,
}

/// What all series beyond the bound of a project are gathered under.
pub const OTHER: &str = "(other)";

impl Series {
    /// The same series for whatever is beyond the bound.
    #[must_use]
    pub fn gathered(&self) -> Self {
        Self {
            name: OTHER.to_owned(),
            operation: String::new(),
            release: None,
            environment: None,
            ..self.clone()
        }
    }

    /// The counter that holds its numbers.
    pub fn counter(key: &str) -> String {
        format!("series/{key}")
    }

    /// The index entry by which the series of a measure are found.
    pub fn of(measure: Measure) -> IndexEntry {
        IndexEntry::new("measure", &measure.name())
    }
}

impl Record for Series {
    const KIND: Kind = Kind::Series;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Digest::of_parts(&[
            self.measure.name().as_bytes(),
            self.name.as_bytes(),
            self.operation.as_bytes(),
            text(&self.release).as_bytes(),
            text(&self.environment).as_bytes(),
        ])
        .short(32)
    }

    fn indexes(&self) -> Vec<IndexEntry> {
        vec![Self::of(self.measure)]
    }
}

/// The fields that one duration adds to, and how much.
pub fn observed(micros: u64, failed: bool) -> Vec<(String, i64)> {
    let mut fields = vec![
        ("count".to_owned(), 1),
        (
            "micros".to_owned(),
            i64::try_from(micros).unwrap_or(i64::MAX),
        ),
        (format!("b{}", bucket(micros)), 1),
    ];
    if failed {
        fields.push(("failed".to_owned(), 1));
    }
    fields
}

/// The bucket of a value: the value itself below 4, else four to each doubling.
fn bucket(value: u64) -> u32 {
    match value.checked_ilog2() {
        Some(log) if log >= 2 => {
            let quarter = u32::try_from((value >> (log - 2)) & 3).unwrap_or(0);
            log * 4 + quarter
        }
        _ => u32::try_from(value).unwrap_or(0),
    }
}

/// The middle of a bucket.
fn middle(bucket: u32) -> u64 {
    if bucket < 8 {
        return u64::from(bucket);
    }
    let (log, quarter) = (bucket / 4, u64::from(bucket % 4));
    let step = 1_u64.checked_shl(log - 2).unwrap_or(u64::MAX);
    let low = (4 + quarter).saturating_mul(step);
    low.saturating_add(step / 2)
}

/// How long an action took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Durations {
    /// How often it was seen.
    pub count: i64,
    /// How often it failed.
    pub failed: i64,
    /// The mean, milliseconds.
    pub mean_ms: f64,
    /// Half took at most so long, milliseconds.
    pub p50_ms: f64,
    /// 95 % took at most so long, milliseconds.
    pub p95_ms: f64,
    /// 99 % took at most so long, milliseconds.
    pub p99_ms: f64,
}

#[expect(clippy::cast_precision_loss, reason = "durations for people")]
impl Durations {
    /// Reads the counter of a series.
    pub fn of(fields: &BTreeMap<String, i64>) -> Self {
        let get = |field: &str| fields.get(field).copied().unwrap_or(0);
        let mut buckets: Vec<(u32, i64)> = fields
            .iter()
            .filter_map(|(field, by)| Some((field.strip_prefix('b')?.parse().ok()?, *by)))
            .collect();
        buckets.sort_unstable();
        let count = get("count");
        let percentile = |share: i64| {
            let mut left = (count * share).div_euclid(100).max(1);
            for (bucket, by) in &buckets {
                left -= by;
                if left <= 0 {
                    return middle(*bucket) as f64 / 1e3;
                }
            }
            0.0
        };
        Self {
            count,
            failed: get("failed"),
            mean_ms: get("micros") as f64 / 1e3 / (count.max(1) as f64),
            p50_ms: percentile(50),
            p95_ms: percentile(95),
            p99_ms: percentile(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(values: impl IntoIterator<Item = u64>) -> BTreeMap<String, i64> {
        let mut fields = BTreeMap::new();
        for value in values {
            for (field, by) in observed(value, value % 2 == 0) {
                *fields.entry(field).or_default() += by;
            }
        }
        fields
    }

    #[test]
    fn percentiles_are_right_to_an_eighth() {
        let fields = counted((1..=1_000).map(|millis| millis * 1_000));
        let found = Durations::of(&fields);
        assert_eq!((found.count, found.failed), (1_000, 1_000));
        for (found, right) in [
            (found.p50_ms, 500.0),
            (found.p95_ms, 950.0),
            (found.p99_ms, 990.0),
        ] {
            let off: f64 = (found - right) / right;
            assert!(off.abs() <= 0.125, "{found} for {right}");
        }
        assert!((found.mean_ms - 500.5).abs() < 1e-6);
    }

    #[test]
    fn every_value_has_a_bucket_and_larger_values_no_smaller_one() {
        let mut last = 0;
        let mut values: Vec<u64> = (0..64)
            .flat_map(|log| [(1_u64 << log) - 1, 1 << log, (1 << log) + 1])
            .collect();
        values.sort_unstable();
        for value in values {
            let bucket = bucket(value);
            assert!((last..256).contains(&bucket), "{value}");
            last = bucket;
        }
        let _ = middle(bucket(u64::MAX));
        assert_eq!(Durations::of(&BTreeMap::new()).count, 0);
    }
}
