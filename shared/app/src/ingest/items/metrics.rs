//! Metrics of our own protocol: how long actions took and whether they failed, how much memory was used, which features were used and
//! which settings changed. Each becomes numbers of its release; nothing of who did it is kept.
//!
//! ```json
//! {"release": "till@1.0.0", "environment": "production", "metrics": [
//!   {"type": "duration", "name": "export", "operation": "ui", "values": [12.5, [13, 40]], "failed": 1},
//!   {"type": "memory", "values": [52428800]},
//!   {"type": "feature", "name": "export", "count": 3},
//!   {"type": "setting", "name": "theme"}]}
//! ```
//!
//! A value is a number, or a number and how often it was seen; durations are milliseconds, memory is bytes. Each metric is an item of
//! its own: **one that cannot be read loses no other.**

use super::Origin;
use crate::ingest::found::Found;
use crate::ingest::json::text_of;
use crate::ingest::keep::Kept;
use crate::ingest::sentry::name_of;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::limits::{METRIC_VALUES_MAX, METRICS_MAX};
use kintsugi_domain::series::{COUNT, FEATURE, Gathered, Measure, SETTING, Series};
use serde_json::Value;
use std::collections::BTreeMap;

const CATEGORY: Category = Category::MetricBucket;
/// Most times that one value may stand for; more is a mistake.
const TIMES_MAX: u64 = 1_000_000;
/// Longest duration, milliseconds: a day. A longer one is a clock that jumped.
const MILLIS_MAX: f64 = 86_400_000.0;
/// Most memory, bytes: 16 TiB.
const BYTES_MAX: f64 = 17_592_186_044_416.0;
/// Largest sum of one metric, microseconds or bytes. Counters end at 9 · 10¹⁸, and whoever has a key must not get there.
const SUM_MAX: i64 = 10_000_000_000_000;

/// Reads a body of metrics.
pub(in crate::ingest) fn take(value: &Value, origin: &Origin<'_>, found: &mut Found) {
    let Some(metrics) = value.get("metrics").and_then(Value::as_array) else {
        found.receive(CATEGORY, 1);
        return found.drop(CATEGORY, "broken", 1);
    };
    found.receive(CATEGORY, metrics.len());
    // Scrubbed once for all of them.
    let release = origin.series(Measure::Usage, value);
    for metric in metrics.iter().take(METRICS_MAX) {
        match read(metric, &release, origin) {
            Some(kept) => found.keep(kept),
            None => found.drop(CATEGORY, "broken", 1),
        }
    }
    let more = metrics.len().saturating_sub(METRICS_MAX);
    if more > 0 {
        found.drop(CATEGORY, "too_many", more);
    }
}

/// One use of a feature, or one change of a setting, that is told of on its own.
pub(in crate::ingest) fn usage(value: &Value, kind: &str, origin: &Origin<'_>) -> Option<Kept> {
    let name = origin.name("transaction", name_of(value.get("tags")?, kind))?;
    Some(Kept::Sums {
        series: Series {
            name,
            operation: kind.to_owned(),
            ..origin.series(Measure::Usage, value)
        },
        category: CATEGORY,
        sums: BTreeMap::from([(COUNT.to_owned(), 1)]),
    })
}

fn read(metric: &Value, release: &Series, origin: &Origin<'_>) -> Option<Kept> {
    let named = || origin.name("transaction", name_of(metric, "name"));
    let series = |measure, name: String, operation: String| Series {
        measure,
        name,
        operation,
        ..release.clone()
    };
    let (series, sums) = match text_of(metric, "type")?.as_str() {
        "duration" => {
            let operation = origin.name("operation", name_of(metric, "operation"));
            let series = series(Measure::Duration, named()?, operation.unwrap_or_default());
            let mut gathered = gathered(metric, 1_000.0, MILLIS_MAX)?;
            gathered.fail(whole(metric, "failed").unwrap_or(0));
            (series, gathered.fields(Measure::Duration))
        }
        "memory" => {
            let series = series(Measure::Memory, String::new(), String::new());
            let gathered = gathered(metric, 1.0, BYTES_MAX)?;
            (series, gathered.fields(Measure::Memory))
        }
        kind @ ("feature" | "setting") => {
            let kind = if kind == "feature" { FEATURE } else { SETTING };
            let count = whole(metric, COUNT).unwrap_or(1);
            let count = i64::try_from(count.clamp(1, TIMES_MAX)).unwrap_or(1);
            let sums = BTreeMap::from([(COUNT.to_owned(), count)]);
            (series(Measure::Usage, named()?, kind.to_owned()), sums)
        }
        _ => return None,
    };
    sums.values()
        .all(|by| *by <= SUM_MAX)
        .then_some(Kept::Sums {
            series,
            category: CATEGORY,
            sums,
        })
}

fn whole(metric: &Value, name: &str) -> Option<u64> {
    metric.get(name)?.as_u64()
}

/// The values of a metric, of which at least one must be good. Those with more buckets than a counter takes at once are a mistake.
fn gathered(metric: &Value, factor: f64, most: f64) -> Option<Gathered> {
    let values = metric.get("values")?.as_array()?;
    let mut gathered = Gathered::default();
    for value in values.iter().take(METRIC_VALUES_MAX) {
        let pair = value.as_array().map(Vec::as_slice);
        let (value, times) = match pair {
            Some([value, times]) => (value, times.as_u64().unwrap_or(0)),
            Some(_) => continue,
            None => (value, 1),
        };
        if let Some(value) = value.as_f64().filter(|it| (0.0..=most).contains(it)) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to 2^44"
            )]
            let value = (value * factor).round() as u64;
            gathered.add(value, times.min(TIMES_MAX));
        }
    }
    (1..=Gathered::BUCKETS_MAX)
        .contains(&gathered.means().count())
        .then_some(gathered)
}
