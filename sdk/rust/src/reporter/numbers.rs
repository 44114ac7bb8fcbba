//! What is gathered as numbers rather than queued: actions, memory, features and settings.
//!
//! **Bounded: [`NAMES_MAX`] names of each sort, and whatever is beyond them under one; values lie in buckets.** The caller pays for
//! a lock and a few additions.

use kintsugi_domain::series::{Gathered, OTHER};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Most names of each sort.
const NAMES_MAX: usize = 100;
/// Longest name, characters.
const NAME_CHARS_MAX: usize = 200;

/// Numbers since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    actions: BTreeMap<String, Gathered>,
    features: BTreeMap<String, u64>,
    settings: BTreeMap<String, u64>,
    memory: Gathered,
}

/// The place of a name.
fn of<'n, T: Default>(all: &'n mut BTreeMap<String, T>, name: &str) -> &'n mut T {
    let is_known = all.contains_key(name);
    let name = if is_known || all.len() < NAMES_MAX {
        name.chars().take(NAME_CHARS_MAX).collect()
    } else {
        OTHER.to_owned()
    };
    all.entry(name).or_default()
}

impl Numbers {
    pub(super) fn action(&mut self, name: &str, took: Duration, succeeded: bool) {
        let gathered = of(&mut self.actions, name);
        gathered.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), 1);
        gathered.fail(u64::from(!succeeded));
    }

    pub(super) fn feature(&mut self, name: &str) {
        let count = of(&mut self.features, name);
        *count = count.saturating_add(1);
    }

    pub(super) fn setting(&mut self, name: &str) {
        let count = of(&mut self.settings, name);
        *count = count.saturating_add(1);
    }

    pub(super) fn memory(&mut self, bytes: u64) {
        self.memory.add(bytes, 1);
    }

    pub(super) fn is_empty(&self) -> bool {
        let counts = self.features.len() + self.settings.len();
        self.actions.is_empty() && counts == 0 && self.memory.count() == 0
    }

    /// As metrics of the home's form (`POST /v1/{project}/metrics`); `scrub` is for the names.
    pub(super) fn metrics(&self, scrub: impl Fn(&str) -> String) -> Vec<Value> {
        let mut metrics = Vec::new();
        for (name, gathered) in &self.actions {
            let means: Vec<Value> = gathered
                .means()
                .map(|(micros, times)| json!([millis(micros), times]))
                .collect();
            let mut failed = gathered.failed();
            for values in means.chunks(Gathered::BUCKETS_MAX) {
                metrics.push(json!({
                    "type": "duration", "name": scrub(name), "operation": "action",
                    "values": values, "failed": std::mem::take(&mut failed),
                }));
            }
        }
        let means: Vec<_> = self.memory.means().collect();
        let values = means.chunks(Gathered::BUCKETS_MAX);
        metrics.extend(values.map(|values| json!({"type": "memory", "values": values})));
        for (kind, counts) in [("feature", &self.features), ("setting", &self.settings)] {
            let counts = counts.iter();
            metrics.extend(
                counts.map(
                    |(name, count)| json!({"type": kind, "name": scrub(name), "count": count}),
                ),
            );
        }
        metrics
    }
}

#[expect(clippy::cast_precision_loss, reason = "whole up to 2^53")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_nothing_is_lost_beyond_them() {
        let mut numbers = Numbers::default();
        assert!(numbers.is_empty());
        for number in 0..1_000 {
            numbers.feature(&format!("feature {number}"));
            numbers.action(&"long ".repeat(100), Duration::from_micros(number), true);
        }
        let metrics = numbers.metrics(str::to_owned);
        assert!(metrics.len() <= NAMES_MAX + 3, "{}", metrics.len());
        let features = metrics.iter().filter(|it| it["type"] == "feature");
        let counts = features.map(|it| it["count"].as_u64().unwrap());
        assert_eq!(counts.sum::<u64>(), 1_000);
        let name = metrics[0]["name"].as_str().unwrap();
        assert_eq!(name.len(), NAME_CHARS_MAX);
    }

    #[test]
    fn an_action_that_took_anything_is_told_in_parts_that_a_counter_takes() {
        let mut numbers = Numbers::default();
        for log in 0..60 {
            for part in [4, 5, 6, 7] {
                numbers.action("a", Duration::from_micros((1 << log) / 4 * part), false);
            }
        }
        let metrics = numbers.metrics(str::to_owned);
        assert!(metrics.len() > 1);
        let mut failed = 0;
        for metric in &metrics {
            failed += metric["failed"].as_u64().unwrap();
            assert!(metric["values"].as_array().unwrap().len() <= Gathered::BUCKETS_MAX);
        }
        assert_eq!(failed, 240);
    }
}
