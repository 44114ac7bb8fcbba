//! The table: items by partition and sort key, read consistently.

use crate::failure::{failed, is};
use crate::lazy::Lazy;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::future::try_join_all;
use kintsugi_domain::ports::PortError;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// The attribute of the partition key.
pub(crate) const PK: &str = "pk";
/// The attribute of the sort key.
pub(crate) const SK: &str = "sk";

/// Most items of one batch of reads, by DynamoDB.
const BATCH_ITEMS_MAX: usize = 100;
/// Times that DynamoDB is asked again for items it did not get round to.
const UNPROCESSED_TRIES_MAX: u32 = 8;

/// Items read of each of several sources beyond its even part, so that one round is mostly enough.
const SPARE_ITEMS: usize = 8;

/// What DynamoDB holds under one key.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A key of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl Key {
    pub(crate) fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self {
            pk: pk.into(),
            sk: sk.into(),
        }
    }

    /// The key as an item holds it.
    pub(crate) fn item(&self) -> Item {
        HashMap::from([
            (PK.to_owned(), text(self.pk.clone())),
            (SK.to_owned(), text(self.sk.clone())),
        ])
    }

    fn of(item: &Item) -> Option<Self> {
        Some(Self::new(string(item, PK)?, string(item, SK)?))
    }
}

/// Items in the order of their sort keys: those of a partition, or those of an index's partition (keys only).
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The index, if it is one; its partition key is the attribute of that name.
    pub(crate) index: Option<&'static str>,
    pub(crate) partition: String,
}

/// A DynamoDB table. Clones share the client's connections.
#[derive(Debug, Clone)]
pub struct Table {
    pub(crate) client: Lazy<Client>,
    pub(crate) name: String,
}

/// A text attribute.
pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number attribute.
pub(crate) fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// The text of an attribute.
pub(crate) fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    let value = item.get(name)?.as_s().ok()?;
    Some(value)
}

impl Table {
    /// A table.
    pub fn new(client: Lazy<Client>, name: impl Into<String>) -> Self {
        Self {
            client,
            name: name.into(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One item.
    pub(crate) async fn get(&self, what: &str, key: &Key) -> Result<Option<Item>, PortError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key.item()))
            .consistent_read(true);
        match get.send().await {
            Ok(found) => Ok(found.item),
            Err(error) => Err(failed(what, &error)),
        }
    }

    /// The items of many keys that there are, in no order.
    pub(crate) async fn get_many(&self, what: &str, keys: &[Key]) -> Result<Vec<Item>, PortError> {
        let keys: Vec<&Key> = keys.iter().collect::<BTreeSet<_>>().into_iter().collect();
        let chunks = keys.chunks(BATCH_ITEMS_MAX);
        let found = try_join_all(chunks.map(|chunk| self.get_batch(what, chunk))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn get_batch(&self, what: &str, keys: &[&Key]) -> Result<Vec<Item>, PortError> {
        let mut missing: Vec<Item> = keys.iter().map(|key| key.item()).collect();
        let mut found = Vec::with_capacity(missing.len());
        for round in 0..UNPROCESSED_TRIES_MAX {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(missing))
                .consistent_read(true)
                .build()
                .map_err(|error| PortError::broken(what, error))?;
            let get = self.client.batch_get_item();
            let answer = get.request_items(&self.name, wanted).send().await;
            let answer = answer.map_err(|error| failed(what, &error))?;
            found.extend(answer.responses.into_iter().flatten().flat_map(|(_, i)| i));
            let left = answer
                .unprocessed_keys
                .and_then(|mut left| left.remove(&self.name));
            missing = left.map(|left| left.keys).unwrap_or_default();
            if missing.is_empty() {
                return Ok(found);
            }
            tokio::time::sleep(pause(round)).await;
        }
        Err(PortError::unavailable(
            what,
            "DynamoDB did not get round to every item",
        ))
    }

    /// The first `want` items of several sources whose sort keys come after `after`, in the order of those keys. Fewer
    /// than `want` means that there are no more.
    pub(crate) async fn merged(
        &self,
        what: &str,
        sources: &[Source],
        after: &str,
        want: usize,
    ) -> Result<Vec<(Key, Item)>, PortError> {
        let mut merged: Vec<(Key, Item)> = Vec::new();
        let mut after = after.to_owned();
        while merged.len() < want {
            let left = want.saturating_sub(merged.len());
            // Sources that share their items evenly each have a part of them; the rest of each would be read in vain.
            let each = match sources.len() {
                0 | 1 => left,
                many => left.min(left.div_ceil(many).saturating_add(SPARE_ITEMS)),
            };
            let reads = sources
                .iter()
                .map(|source| self.first(what, source, &after, each));
            let pages = try_join_all(reads).await?;
            // Up to here every source has told all it has.
            let told = pages
                .iter()
                .filter(|page| page.len() == each)
                .filter_map(|page| page.last().map(|(key, _)| key.sk.clone()))
                .min();
            let is_told = |(key, _): &(Key, Item)| told.as_ref().is_none_or(|told| key.sk <= *told);
            let mut page: Vec<(Key, Item)> = pages.into_iter().flatten().filter(is_told).collect();
            page.sort_by(|(one, _), (other, _)| (&one.sk, &one.pk).cmp(&(&other.sk, &other.pk)));
            // An item may stand in both indexes.
            page.dedup_by(|(one, _), (other, _)| one == other);
            merged.extend(page);
            match told {
                Some(told) => after = told,
                None => break,
            }
        }
        merged.truncate(want);
        Ok(merged)
    }

    async fn first(
        &self,
        what: &str,
        source: &Source,
        after: &str,
        want: usize,
    ) -> Result<Vec<(Key, Item)>, PortError> {
        let attribute = source.index.unwrap_or(PK);
        let mut items: Vec<(Key, Item)> = Vec::new();
        let mut start = None;
        while items.len() < want {
            let mut query = self
                .client
                .query()
                .table_name(&self.name)
                .set_index_name(source.index.map(str::to_owned))
                // An index cannot be read consistently.
                .consistent_read(source.index.is_none())
                .expression_attribute_names("#pk", attribute)
                .expression_attribute_values(":pk", text(source.partition.clone()))
                .limit(i32::try_from(want.saturating_sub(items.len())).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start);
            query = if after.is_empty() {
                query.key_condition_expression("#pk = :pk")
            } else {
                query
                    .key_condition_expression("#pk = :pk AND sk > :after")
                    .expression_attribute_values(":after", text(after))
            };
            let page = query.send().await.map_err(|error| failed(what, &error))?;
            for item in page.items.unwrap_or_default() {
                let key = Key::of(&item)
                    .ok_or_else(|| PortError::broken(what, "an item without its key"))?;
                items.push((key, item));
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(items)
    }

    /// Writes an item, whatever was there.
    pub(crate) async fn put(&self, what: &str, item: Item) -> Result<(), PortError> {
        let put = self.client.put_item().table_name(&self.name);
        match put.set_item(Some(item)).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(what, &error)),
        }
    }

    /// Writes an item unless there is one with its key; says whether it did.
    pub(crate) async fn create(&self, what: &str, item: Item) -> Result<bool, PortError> {
        let put = self.client.put_item().table_name(&self.name);
        let put = put.condition_expression("attribute_not_exists(pk)");
        match put.set_item(Some(item)).send().await {
            Ok(_) => Ok(true),
            Err(error) if is(&error, &["ConditionalCheckFailedException"]) => Ok(false),
            Err(error) => Err(failed(what, &error)),
        }
    }

    /// Removes an item; says whether it was there.
    pub(crate) async fn remove(&self, what: &str, key: &Key) -> Result<bool, PortError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key.item()))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
        match delete.send().await {
            Ok(before) => Ok(before.attributes.is_some_and(|item| !item.is_empty())),
            Err(error) => Err(failed(what, &error)),
        }
    }
}

/// 20, 40, 80 … milliseconds, at most a second.
pub(crate) fn pause(round: u32) -> Duration {
    let milliseconds = 20_u64.saturating_mul(2_u64.saturating_pow(round));
    Duration::from_millis(milliseconds.min(1_000))
}
