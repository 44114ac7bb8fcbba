//! Transactions: how long an action took becomes a number of its series. Spans are not kept.

use super::Origin;
use crate::ingest::json::{self, Json, member, text_of};
use crate::ingest::keep::Kept;
use crate::ingest::sentry::name_of;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::series::{Gathered, Measure, Series};

/// An action that took longer is a clock that jumped, seconds.
const SECONDS_MAX: i64 = 24 * 60 * 60;

/// What is kept of a transaction; nothing where its times cannot be right.
pub(super) fn read<J: Json>(value: &J, origin: &Origin<'_>) -> Option<Kept> {
    let time = |name: &str| value.get(name).and_then(json::time);
    let took = time("timestamp")?.duration_since(time("start_timestamp")?);
    if took.is_negative() || took.as_secs() > SECONDS_MAX {
        return None;
    }
    let trace = member(value, "contexts").and_then(|contexts| member(contexts, "trace"));
    let said = |name: &str| trace.and_then(|trace| name_of(trace, name));
    let status = trace.and_then(|trace| text_of(trace, "status"));
    let failed = status.is_some_and(|status| !["ok", "cancelled", "unknown"].contains(&&*status));
    let name = name_of(value, "transaction").unwrap_or_else(|| "(no name)".to_owned());
    let mut gathered = Gathered::default();
    gathered.add(u64::try_from(took.as_micros()).ok()?, 1);
    gathered.fail(u64::from(failed));
    Some(Kept::Sums {
        category: Category::Transaction,
        sums: gathered.fields(Measure::Duration),
        series: Series {
            name: origin.name("transaction", Some(name))?,
            operation: origin.name("operation", said("op")).unwrap_or_default(),
            ..origin.series(Measure::Duration, value)
        },
    })
}
