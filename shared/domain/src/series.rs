//! Numbers over time of one thing: how long a transaction took with a release, how a release's sessions went.
//!
//! A series is a record that names it and a counter that holds its numbers, so that any number of writers may add at once.
//!
//! Durations and amounts of memory go into buckets, four to each doubling, so that percentiles can be read with an error of at most an
//! eighth of the value from a counter of at most 256 fields.

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
    /// Memory that a process used, a value each minute.
    Memory,
    /// How often a feature was used (operation [`FEATURE`]) or a setting changed ([`SETTING`]).
    Usage,
}

impl Measure {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Duration => "duration",
            Self::Memory => "memory",
            Self::Usage => "usage",
        }
    }

    /// The field of the counter for the sum of all values.
    fn sum_field(self) -> &'static str {
        match self {
            Self::Duration => "micros",
            Self::Memory => "bytes",
            Self::Health | Self::Usage => "sum",
        }
    }
}

/// The operation of a series of [`Measure::Usage`]: a feature was used.
pub const FEATURE: &str = "feature";
/// The operation of a series of [`Measure::Usage`]: a setting was changed.
pub const SETTING: &str = "setting";
/// The field of the counter for how often something was seen.
pub const COUNT: &str = "count";

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

/// Values of one series, gathered to be added to its counter at once.
///
/// **Whatever is gathered, no more is held than a bucket's worth each**: [`Self::means`] has the same sum, count and buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gathered {
    /// By bucket: how many, and their sum.
    buckets: BTreeMap<u32, (u64, u64)>,
    failed: u64,
}

impl Gathered {
    /// Most buckets that may be added to a counter at once: a home of ours takes some 60 fields in one addition. Values from 1 to 1,000
    /// fall into 40.
    pub const BUCKETS_MAX: usize = 48;

    /// Takes in a value that was seen so many times. Microseconds or bytes.
    pub fn add(&mut self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        let (count, sum) = self.buckets.entry(bucket(value)).or_default();
        *count = count.saturating_add(times);
        *sum = sum.saturating_add(value.saturating_mul(times));
    }

    /// Takes in that so many of the actions failed.
    pub fn fail(&mut self, times: u64) {
        self.failed = self.failed.saturating_add(times);
    }

    /// How many of the actions failed.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        let counts = self.buckets.values().map(|(count, _)| *count);
        counts.fold(0, u64::saturating_add)
    }

    /// The mean of each bucket that has values, and how many it has.
    pub fn means(&self) -> impl Iterator<Item = (u64, u64)> {
        let buckets = self.buckets.values();
        buckets.map(|(count, sum)| (sum.checked_div(*count).unwrap_or(0), *count))
    }

    /// The fields of the series' counter that it adds to, and how much.
    pub fn fields(&self, measure: Measure) -> BTreeMap<String, i64> {
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let sums = self.buckets.values().map(|(_, sum)| *sum);
        let mut fields = BTreeMap::from([
            (COUNT.to_owned(), whole(self.count())),
            (
                measure.sum_field().to_owned(),
                whole(sums.fold(0, u64::saturating_add)),
            ),
            ("failed".to_owned(), whole(self.failed.min(self.count()))),
        ]);
        for (bucket, (count, _)) in &self.buckets {
            fields.insert(format!("b{bucket}"), whole(*count));
        }
        fields.retain(|_, by| *by != 0);
        fields
    }
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
        let numbers = Numbers::of(fields);
        let millis = |micros: u64| micros as f64 / 1e3;
        let (sum, count) = (numbers.get("micros"), numbers.get(COUNT));
        Self {
            count,
            failed: numbers.get("failed"),
            mean_ms: sum as f64 / 1e3 / (count.max(1) as f64),
            p50_ms: millis(numbers.percentile(50)),
            p95_ms: millis(numbers.percentile(95)),
            p99_ms: millis(numbers.percentile(99)),
        }
    }
}

/// How much memory processes used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// How many values there are: one for each minute of a process.
    pub count: i64,
    /// The mean, bytes.
    pub mean_bytes: i64,
    /// Half were at most so much, bytes.
    pub p50_bytes: u64,
    /// 95 % were at most so much, bytes.
    pub p95_bytes: u64,
    /// 99 % were at most so much, bytes.
    pub p99_bytes: u64,
}

impl MemoryUse {
    /// Reads the counter of a series.
    pub fn of(fields: &BTreeMap<String, i64>) -> Self {
        let numbers = Numbers::of(fields);
        let count = numbers.get(COUNT);
        Self {
            count,
            mean_bytes: numbers.get("bytes").checked_div(count).unwrap_or(0),
            p50_bytes: numbers.percentile(50),
            p95_bytes: numbers.percentile(95),
            p99_bytes: numbers.percentile(99),
        }
    }
}

/// The counter of a series, being read.
struct Numbers<'f> {
    fields: &'f BTreeMap<String, i64>,
    buckets: Vec<(u32, i64)>,
}

impl<'f> Numbers<'f> {
    fn of(fields: &'f BTreeMap<String, i64>) -> Self {
        let mut buckets: Vec<(u32, i64)> = fields
            .iter()
            .filter_map(|(field, by)| Some((field.strip_prefix('b')?.parse().ok()?, *by)))
            .collect();
        buckets.sort_unstable();
        Self { fields, buckets }
    }

    fn get(&self, field: &str) -> i64 {
        self.fields.get(field).copied().unwrap_or(0)
    }

    /// The middle of the bucket in which so many percent of the values are reached.
    fn percentile(&self, percent: i64) -> u64 {
        let share = self.get(COUNT).saturating_mul(percent).div_euclid(100);
        let mut left = share.max(1);
        for (bucket, by) in &self.buckets {
            left = left.saturating_sub(*by);
            if left <= 0 {
                return middle(*bucket);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(values: impl IntoIterator<Item = u64>) -> BTreeMap<String, i64> {
        gathered(values).fields(Measure::Duration)
    }

    fn gathered(values: impl IntoIterator<Item = u64>) -> Gathered {
        let mut gathered = Gathered::default();
        for value in values {
            gathered.add(value, 1);
            gathered.fail(u64::from(value % 2 == 0));
        }
        gathered
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

    #[test]
    fn what_is_gathered_is_the_same_by_the_means_of_its_buckets() {
        let values = (0..2_000).map(|number: u64| number * number % 777_777);
        let gathered = gathered(values);
        let mut again = Gathered::default();
        for (mean, times) in gathered.means() {
            again.add(mean, times);
        }
        let memory = |it: &Gathered| MemoryUse::of(&it.fields(Measure::Memory));
        let (one, other) = (memory(&gathered), memory(&again));
        assert_eq!((one.count, one.p95_bytes), (other.count, other.p95_bytes));
        assert!((one.mean_bytes - other.mean_bytes).abs() <= 1);
        assert_eq!(one.count, 2_000);
        assert!(gathered.means().count() < 80);
    }

    #[test]
    fn sums_beyond_all_bounds_stay_numbers() {
        let mut gathered = Gathered::default();
        gathered.add(u64::MAX, u64::MAX);
        gathered.add(u64::MAX, 3);
        gathered.add(5, 0);
        gathered.fail(u64::MAX);
        let fields = gathered.fields(Measure::Memory);
        assert_eq!(fields[COUNT], i64::MAX);
        assert!(MemoryUse::of(&fields).p99_bytes > u64::MAX / 2);
        assert!(Durations::of(&fields).count > 0);
    }
}
