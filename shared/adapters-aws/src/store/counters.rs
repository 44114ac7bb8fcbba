//! Counters: each in shards, so that many may add at once; a sum is read over all of them.

use crate::table::{Item, Key, Table, number};
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::Update;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::COUNTER_FIELDS_MAX;
use kintsugi_domain::ports::{Add, PortError};
use rand_core::{OsRng, RngCore};
use std::collections::BTreeMap;

/// Shards of each counter. **May grow; a smaller number would hide what was counted.**
pub const COUNTER_SHARDS: u8 = 8;

/// Larger additions are spread over all shards.
const ONE_SHARD_MAX: u64 = 1 << 32;
/// What the attribute of a field begins with, so that no field can be the key.
const FIELD: &str = "f.";

/// What is added to the fields of one shard of one counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addition {
    pub(super) project: ProjectId,
    pub(super) counter: String,
    shard: u8,
    fields: BTreeMap<String, i64>,
}

fn key(project: ProjectId, counter: &str, shard: u8) -> Key {
    Key::new(format!("counter#{project}#{shard}#{counter}"), "counter")
}

/// The part of a whole that a shard gets; the parts of all shards are the whole.
fn part(whole: u64, shard: u8) -> u64 {
    let shards = u64::from(COUNTER_SHARDS);
    whole / shards + u64::from(u64::from(shard) < whole % shards)
}

/// The most that a shard may hold, of either sign: over all shards, that is `i64::MAX`.
fn bound(shard: u8) -> i64 {
    i64::try_from(part(i64::MAX.unsigned_abs(), shard)).unwrap_or(i64::MAX)
}

/// The additions of a commit, gathered by counter and shard. A sum that fits into no counter is refused.
///
/// Each shard takes at most [`COUNTER_FIELDS_MAX`] fields, by the 4 KB of an expression; the rest goes to the next one. So a commit
/// may add to that many fields of a counter for each of its shards.
pub(super) fn gather(adds: Vec<Add>) -> Result<Vec<Addition>, PortError> {
    let mut sums: BTreeMap<(ProjectId, String), BTreeMap<String, i128>> = BTreeMap::new();
    for add in adds {
        let fields = sums.entry((add.project, add.counter)).or_default();
        *fields.entry(add.field).or_default() += i128::from(add.by);
    }
    let mut additions = Vec::new();
    for ((project, counter), fields) in sums {
        let mut shards: BTreeMap<u8, BTreeMap<String, i64>> = BTreeMap::new();
        let one = u8::try_from(OsRng.next_u32() % u32::from(COUNTER_SHARDS)).unwrap_or(0);
        let mut small = Vec::new();
        for (field, by) in fields {
            let Some(by) = i64::try_from(by).ok().filter(|by| *by != i64::MIN) else {
                return Err(does_not_fit(project, &counter));
            };
            if by.unsigned_abs() <= ONE_SHARD_MAX {
                small.push((field, by));
                continue;
            }
            for shard in 0..COUNTER_SHARDS {
                let share = i64::try_from(part(by.unsigned_abs(), shard)).unwrap_or(i64::MAX);
                let fields = shards.entry(shard).or_default();
                fields.insert(field.clone(), share * by.signum());
            }
        }
        for (field, by) in small {
            let from_one = (0..COUNTER_SHARDS).map(|step| (one + step) % COUNTER_SHARDS);
            let has_room = |shard: &u8| {
                let fields = shards.get(shard);
                fields.is_none_or(|fields| fields.len() < COUNTER_FIELDS_MAX)
            };
            let Some(shard) = from_one.into_iter().find(has_room) else {
                let what = format!("add to counter {counter} of project {project}");
                return Err(PortError::broken(what, "too many fields at once"));
            };
            shards.entry(shard).or_default().insert(field, by);
        }
        additions.extend(shards.into_iter().map(|(shard, fields)| Addition {
            project,
            counter: counter.clone(),
            shard,
            fields,
        }));
    }
    Ok(additions)
}

/// Why a commit is refused whose addition would make a sum too large.
pub(super) fn does_not_fit(project: ProjectId, counter: &str) -> PortError {
    let what = format!("add to counter {counter} of project {project}");
    PortError::broken(what, "the sum does not fit into 64 bits")
}

impl Addition {
    /// The addition as part of a transaction. Its condition fails when the shard would hold more than its part.
    pub(super) fn update(&self, table: &str) -> Result<Update, BuildError> {
        let mut update = Update::builder()
            .table_name(table)
            .set_key(Some(key(self.project, &self.counter, self.shard).item()));
        let (mut adds, mut conditions) = (Vec::new(), Vec::new());
        let bound = i128::from(bound(self.shard));
        for (place, (field, by)) in self.fields.iter().enumerate() {
            let by = i128::from(*by);
            update = update
                .expression_attribute_names(format!("#f{place}"), format!("{FIELD}{field}"))
                .expression_attribute_values(format!(":by{place}"), number(by))
                .expression_attribute_values(format!(":low{place}"), number(-bound - by))
                .expression_attribute_values(format!(":high{place}"), number(bound - by));
            adds.push(format!("#f{place} :by{place}"));
            conditions.push(format!(
                "(attribute_not_exists(#f{place}) OR #f{place} BETWEEN :low{place} AND :high{place})"
            ));
        }
        update
            .update_expression(format!("ADD {}", adds.join(", ")))
            .condition_expression(conditions.join(" AND "))
            .build()
    }
}

/// The fields of a counter, summed over its shards.
pub(super) async fn read(
    table: &Table,
    project: ProjectId,
    counter: &str,
) -> Result<BTreeMap<String, i64>, PortError> {
    let what = format!("read counter {counter} of project {project}");
    let keys: Vec<Key> = (0..COUNTER_SHARDS)
        .map(|shard| key(project, counter, shard))
        .collect();
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for shard in table.get_many(&what, &keys).await? {
        for (field, value) in fields(&shard) {
            let value = value.ok_or_else(|| PortError::broken(&what, "a field is no number"))?;
            let sum = sums.entry(field).or_default();
            *sum = sum
                .checked_add(value)
                .ok_or_else(|| does_not_fit(project, counter))?;
        }
    }
    Ok(sums)
}

fn fields(shard: &Item) -> impl Iterator<Item = (String, Option<i64>)> {
    shard.iter().filter_map(|(name, value)| {
        let field = name.strip_prefix(FIELD)?;
        let value = value.as_n().ok().and_then(|value| value.parse().ok());
        Some((field.to_owned(), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(field: &str, by: i64) -> Add {
        Add {
            project: ProjectId(1),
            counter: "tally".to_owned(),
            field: field.to_owned(),
            by,
        }
    }

    #[test]
    fn the_bounds_of_all_shards_are_the_bound_of_the_sum() {
        let all: i64 = (0..COUNTER_SHARDS).map(bound).sum();
        assert_eq!(all, i64::MAX);
    }

    #[test]
    fn additions_to_one_counter_are_one_item_of_the_transaction() {
        let gathered = gather(vec![add("up", 5), add("down", -1), add("up", -7)]).unwrap();
        assert_eq!(gathered.len(), 1);
        let expected = [("down".to_owned(), -1), ("up".to_owned(), -2)];
        assert_eq!(gathered[0].fields, BTreeMap::from(expected));
    }

    #[test]
    fn a_large_addition_is_spread_and_stays_whole() {
        for by in [i64::MAX, -i64::MAX, 1 << 33, -(1 << 40) - 3] {
            let gathered = gather(vec![add("n", by)]).unwrap();
            assert_eq!(gathered.len(), usize::from(COUNTER_SHARDS));
            let sum: i64 = gathered.iter().map(|part| part.fields["n"]).sum();
            assert_eq!(sum, by);
            for part in gathered {
                assert!(part.fields["n"].abs() <= bound(part.shard));
            }
        }
    }

    /// 4 KB of expression and 300 operators, by DynamoDB; the emulator bounds neither.
    #[test]
    fn more_fields_than_an_expression_holds_go_to_other_shards_and_stay_whole() {
        let many = 5 * COUNTER_FIELDS_MAX + 1;
        let adds = (0..many).map(|n| add(&format!("field-{n}"), 1)).collect();
        let gathered = gather(adds).unwrap();
        assert_eq!(gathered.len(), 6);
        let fields: BTreeMap<&String, &i64> = gathered.iter().flat_map(|it| &it.fields).collect();
        assert_eq!(fields.len(), many);
        for addition in &gathered {
            let update = addition.update("table").unwrap();
            assert!(update.update_expression.len() <= 4096);
            let condition = update.condition_expression.unwrap();
            assert!(condition.len() <= 4096, "{}", condition.len());
        }
        let shards = usize::from(COUNTER_SHARDS);
        let adds = (0..=shards * COUNTER_FIELDS_MAX).map(|n| add(&format!("field-{n}"), 1));
        assert!(matches!(
            gather(adds.collect()),
            Err(PortError::Broken { .. })
        ));
    }

    #[test]
    fn a_sum_that_no_counter_can_hold_is_refused_before_anything_is_tried() {
        let over = vec![add("n", i64::MAX), add("n", 1)];
        assert!(matches!(gather(over), Err(PortError::Broken { .. })));
        assert!(gather(vec![add("n", i64::MAX), add("n", 1), add("n", -1)]).is_ok());
    }
}
