//! A commit as one transaction.

use super::counters::{self, Addition};
use super::{DynamoStore, FORMAT, INDEXES, PROJECTS, VERSION};
use super::{index_partition, lane, outbox, place};
use crate::bodies::Body;
use crate::failure::failed;
use crate::table::{Item, Key, PK, Table, number, pause, text};
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, Put, TransactWriteItem};
use futures::future::try_join_all;
use kintsugi_domain::envelope::Envelope;
use kintsugi_domain::limits::{COMMIT_WRITES_MAX, REPORT_DAYS};
use kintsugi_domain::ports::{Commit, PortError, RecordKey, Write, check_append_only};
use kintsugi_domain::record::Kind;
use rand_core::{OsRng, RngCore};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Most items of one transaction, by DynamoDB.
pub const TRANSACTION_ITEMS_MAX: usize = 100;
/// Most index entries of one record.
pub const INDEX_ENTRIES_MAX: usize = INDEXES.len();
/// Most bytes of a record's key, and of an index entry's value.
pub const KEY_BYTES_MAX: usize = 1000;

/// Most bytes of all bodies of one transaction; DynamoDB takes 4 MB of items.
const TRANSACTION_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Times that a transaction is tried that meets others.
const TRIES_MAX: u32 = 10;

/// One item of a transaction.
enum Step {
    /// A record.
    Record {
        key: RecordKey,
        expected: u64,
        item: Item,
    },
    /// A project's entry in the list of projects.
    Project(Key),
    /// Additions to a counter.
    Add(Addition),
    /// The messages.
    Messages(Item),
}

/// What a commit does.
pub(super) struct Plan {
    /// Each step, and the body that belongs into its item.
    steps: Vec<(Step, Option<Body>)>,
    /// The messages and the place of their item.
    outgoing: Option<(Key, Vec<Envelope>)>,
}

/// Why a transaction was cancelled, as the port tells it.
enum Cancelled {
    /// It met another transaction, about this.
    Met(String),
    /// For good, or until somebody decides again.
    Refused(PortError),
}

fn check(commit: &Commit) -> Result<(), PortError> {
    check_append_only(commit)?;
    let many = |count, what: &str, most| {
        let why = format!("{count} {what} where {most} are allowed");
        PortError::broken("commit", why)
    };
    if commit.writes.len() > COMMIT_WRITES_MAX {
        return Err(many(commit.writes.len(), "records", COMMIT_WRITES_MAX));
    }
    let mut keys = BTreeSet::new();
    for write in &commit.writes {
        let refuse = |why: &str| Err(PortError::broken(&write.key, why));
        if !keys.insert(&write.key) {
            return refuse("written twice in one commit");
        }
        if !(1..=KEY_BYTES_MAX).contains(&write.key.key.len()) {
            return refuse("a key has 1 to 1000 bytes");
        }
        if write.indexes.iter().any(|e| e.value.len() > KEY_BYTES_MAX) {
            return refuse("the value of an index entry has at most 1000 bytes");
        }
        let entries: BTreeSet<_> = write.indexes.iter().collect();
        if entries.len() > INDEX_ENTRIES_MAX {
            return Err(many(entries.len(), "index entries", INDEX_ENTRIES_MAX));
        }
    }
    Ok(())
}

fn index_attributes(write: &Write) -> Item {
    let RecordKey { project, kind, .. } = write.key;
    let entries: BTreeSet<_> = write.indexes.iter().collect();
    let at = |entry| text(index_partition(project, kind, lane(&write.key), entry));
    let entries = entries.into_iter().map(at);
    INDEXES
        .into_iter()
        .map(str::to_owned)
        .zip(entries)
        .collect()
}

impl Step {
    fn to_item(&self, table: &str) -> Result<TransactWriteItem, BuildError> {
        let put = |item: &Item| {
            Put::builder()
                .table_name(table)
                .set_item(Some(item.clone()))
        };
        let item = TransactWriteItem::builder();
        let item = match self {
            Self::Record {
                expected: 0,
                item: record,
                ..
            } => {
                let put = put(record).condition_expression(format!("attribute_not_exists({PK})"));
                item.put(put.build()?)
            }
            Self::Record {
                expected,
                item: record,
                ..
            } => {
                let put = put(record)
                    .condition_expression("#version = :expected")
                    .expression_attribute_names("#version", VERSION)
                    .expression_attribute_values(":expected", number(*expected));
                item.put(put.build()?)
            }
            Self::Project(key) => item.put(put(&key.item()).build()?),
            Self::Add(addition) => item.update(addition.update(table)?),
            Self::Messages(messages) => item.put(put(messages).build()?),
        };
        Ok(item.build())
    }

    /// What DynamoDB's reason for a cancellation means for this step.
    fn cancelled(&self, reason: &CancellationReason) -> Option<Cancelled> {
        let why = reason.message().unwrap_or_default();
        match reason.code()? {
            "None" => None,
            "ConditionalCheckFailed" => Some(Cancelled::Refused(match self {
                Self::Add(add) => counters::does_not_fit(add.project, &add.counter),
                Self::Record { .. } | Self::Project(_) | Self::Messages(_) => {
                    PortError::Conflict { what: self.name() }
                }
            })),
            "TransactionConflict" => Some(Cancelled::Met(self.name())),
            code @ ("ItemCollectionSizeLimitExceeded" | "ValidationError") => {
                let why = format!("{code}: {why}");
                Some(Cancelled::Refused(PortError::broken(self.name(), why)))
            }
            // Throttled, or a reason that is new.
            code => {
                let why = format!("{code}: {why}");
                Some(Cancelled::Refused(PortError::unavailable(self.name(), why)))
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Record { key, .. } => key.to_string(),
            Self::Project(_) => "the list of projects".to_owned(),
            Self::Add(add) => format!("counter {} of project {}", add.counter, add.project),
            Self::Messages(_) => "the outbox".to_owned(),
        }
    }

    fn item_mut(&mut self) -> Option<&mut Item> {
        match self {
            Self::Record { item, .. } | Self::Messages(item) => Some(item),
            Self::Project(_) | Self::Add(_) => None,
        }
    }
}

impl DynamoStore {
    /// What a commit does, checked against every bound that is known beforehand.
    pub(super) fn plan(&self, commit: Commit) -> Result<Plan, PortError> {
        check(&commit)?;
        let mut steps = Vec::with_capacity(commit.writes.len().saturating_add(2));
        for write in commit.writes {
            let mut item = place(&write.key).item();
            item.insert(VERSION.to_owned(), number(write.expected.saturating_add(1)));
            item.insert(FORMAT.to_owned(), number(write.format));
            item.extend(index_attributes(&write));
            if write.key.kind.is_report() {
                let expires = self.places.days_from_now(REPORT_DAYS);
                item.insert(outbox::EXPIRES.to_owned(), number(expires));
            }
            let body = self
                .records
                .pack(&format!("write {}", write.key), write.body)?;
            if write.key.kind == Kind::Project {
                let number = format!("{:010}", write.key.project.0);
                steps.push((Step::Project(Key::new(PROJECTS, number)), None));
            }
            let (key, expected) = (write.key, write.expected);
            let step = Step::Record {
                key,
                expected,
                item,
            };
            steps.push((step, Some(body)));
        }
        let additions = counters::gather(commit.adds)?;
        steps.extend(additions.into_iter().map(|add| (Step::Add(add), None)));
        let messages = outbox::distinct(commit.messages);
        let mut outgoing = None;
        if !messages.is_empty() {
            let key = outbox::lane_key(&self.places);
            let body = self
                .messages
                .pack("keep messages", outbox::written(&messages)?)?;
            steps.push((Step::Messages(key.item()), Some(body)));
            outgoing = Some((key, messages));
        }
        if steps.len() > TRANSACTION_ITEMS_MAX {
            let count = steps.len();
            let why = format!(
                "{count} items of a transaction (records, counters, one for all messages) where \
                 {TRANSACTION_ITEMS_MAX} are allowed"
            );
            return Err(PortError::broken("commit", why));
        }
        self.fit(Plan { steps, outgoing })
    }

    /// Moves the longest bodies to S3 until the transaction is small enough.
    fn fit(&self, mut plan: Plan) -> Result<Plan, PortError> {
        let bytes = |body: &Option<Body>| body.as_ref().map_or(0, Body::bytes);
        let mut total: usize = plan.steps.iter().map(|(_, body)| bytes(body)).sum();
        while total > TRANSACTION_BYTES_MAX {
            let Some((step, body)) = plan.steps.iter_mut().max_by_key(|(_, body)| bytes(body))
            else {
                break;
            };
            let before = bytes(body);
            let bodies = match step {
                Step::Messages(_) => &self.messages,
                Step::Record { .. } | Step::Project(_) | Step::Add(_) => &self.records,
            };
            let spilled = body.take().map(|body| bodies.spill("commit", body));
            *body = spilled.transpose()?;
            total = total.saturating_sub(before.saturating_sub(bytes(body)));
        }
        Ok(plan)
    }

    /// Writes a plan, all of it or none of it.
    pub(super) async fn carry_out(&self, plan: Plan) -> Result<(), PortError> {
        let bodies = plan.steps.iter().filter_map(|(_, body)| body.as_ref());
        try_join_all(bodies.map(|body| self.records.store(body))).await?;
        let mut steps = Vec::with_capacity(plan.steps.len());
        for (mut step, body) in plan.steps {
            if let Some((item, body)) = step.item_mut().zip(body) {
                item.extend([body.attribute()]);
            }
            steps.push(step);
        }
        let mut met = String::new();
        for round in 0..TRIES_MAX {
            match self.attempt(&steps).await {
                Ok(None) => {
                    self.lost.store(0, Ordering::Relaxed);
                    if let Some((key, messages)) = plan.outgoing {
                        self.listed.put(key, messages);
                    }
                    return Ok(());
                }
                Ok(Some(what)) => met = what,
                // Who lost reads and decides again, and so do the others who lost to the same. Each loss is paid like a
                // commit, so they come back one after the other.
                Err(error @ PortError::Conflict { .. }) => {
                    let lost = self.lost.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(jittered(pause(lost))).await;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(jittered(pause(round))).await;
        }
        // Others write the same all the time: reading again and deciding again is as good as waiting.
        Err(PortError::Conflict { what: met })
    }

    /// One try; answers with what met another transaction, if that is why it failed.
    async fn attempt(&self, steps: &[Step]) -> Result<Option<String>, PortError> {
        let Table { client, name } = &self.table;
        let items: Result<Vec<_>, _> = steps.iter().map(|step| step.to_item(name)).collect();
        let items = items.map_err(|error| PortError::broken("commit", error))?;
        let write = client
            .transact_write_items()
            .set_transact_items(Some(items));
        let Err(error) = write.send().await else {
            return Ok(None);
        };
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            error.as_service_error()
        else {
            return Err(failed("commit", &error));
        };
        let mut met = None;
        for (step, reason) in steps.iter().zip(cancelled.cancellation_reasons()) {
            match step.cancelled(reason) {
                Some(Cancelled::Refused(error)) => return Err(error),
                Some(Cancelled::Met(what)) => met = Some(what),
                None => {}
            }
        }
        match met {
            Some(what) => Ok(Some(what)),
            None => Err(failed("commit", &error)),
        }
    }
}

/// Between half of a pause and all of it, so that those who met do not meet again.
fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    let part = OsRng.next_u32() % 1_000;
    half.saturating_add(half.saturating_mul(part) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kintsugi_domain::id::ProjectId;
    use kintsugi_domain::ports::Add;

    fn record() -> Step {
        Step::Record {
            key: RecordKey {
                project: ProjectId(1),
                kind: Kind::Issue,
                key: "issue".to_owned(),
            },
            expected: 1,
            item: Item::new(),
        }
    }

    fn addition() -> Step {
        let add = Add {
            project: ProjectId(1),
            counter: "tally".to_owned(),
            field: "n".to_owned(),
            by: 1,
        };
        Step::Add(counters::gather(vec![add]).unwrap().remove(0))
    }

    /// What a reason means for a step, in one word.
    fn told(step: &Step, code: &str) -> &'static str {
        let reason = CancellationReason::builder().code(code).build();
        match step.cancelled(&reason) {
            None => "fine",
            Some(Cancelled::Met(_)) => "met",
            Some(Cancelled::Refused(PortError::Conflict { .. })) => "conflict",
            Some(Cancelled::Refused(PortError::Unavailable { .. })) => "unavailable",
            Some(Cancelled::Refused(PortError::Broken { .. })) => "broken",
        }
    }

    #[test]
    fn each_reason_for_a_cancellation_is_told_as_the_port_tells_it() {
        for step in [record(), addition()] {
            assert_eq!(told(&step, "None"), "fine");
            assert_eq!(told(&step, "TransactionConflict"), "met");
            assert_eq!(told(&step, "ThrottlingError"), "unavailable");
            assert_eq!(told(&step, "ProvisionedThroughputExceeded"), "unavailable");
            assert_eq!(told(&step, "SomethingNew"), "unavailable");
            assert_eq!(told(&step, "ItemCollectionSizeLimitExceeded"), "broken");
            assert_eq!(told(&step, "ValidationError"), "broken");
        }
        assert_eq!(told(&record(), "ConditionalCheckFailed"), "conflict");
        // Its only condition is that the sum fits.
        assert_eq!(told(&addition(), "ConditionalCheckFailed"), "broken");
    }

    #[test]
    fn a_pause_is_never_shorter_than_half_and_never_longer() {
        for round in 0..12 {
            let jittered = jittered(pause(round));
            assert!((pause(round) / 2..=pause(round)).contains(&jittered));
        }
    }
}
