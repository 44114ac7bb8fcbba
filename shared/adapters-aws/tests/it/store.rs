//! What the table adds to the promises of the store: bounds of DynamoDB, several processes, what lies where.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use crate::common::Aws;
use aws_sdk_dynamodb::types::AttributeValue;
use kintsugi_adapters_aws::store::{LANES, SENT_DAYS, TRANSACTION_ITEMS_MAX};
use kintsugi_adapters_aws::{DynamoStore, S3Blobs, Table};
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::{COMMIT_WRITES_MAX, REPORT_DAYS};
use kintsugi_domain::ports::{Clock, Commit, PortError, Query, RecordKey, Store, Write};
use kintsugi_domain::record::{IndexEntry, Kind};
use kintsugi_testkit::memory::FixedClock;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const PROJECT: ProjectId = ProjectId(7);

/// One home's table and bucket, which several processes may use.
struct Place {
    aws: Aws,
    table: Table,
    blobs: S3Blobs,
    bucket: String,
    clock: FixedClock,
}

type Item = HashMap<String, AttributeValue>;

/// When the table may forget an item.
fn expires(item: &Item) -> Option<i64> {
    let number = item.get("expires")?.as_n().unwrap();
    Some(number.parse().unwrap())
}

impl Place {
    /// So many days from now, seconds since 1970.
    fn days(&self, days: i64) -> i64 {
        self.clock.now().as_second() + days * 86_400
    }

    async fn new() -> Self {
        let aws = Aws::start().await;
        let table = aws.table().await;
        let (bucket, blobs) = aws.named_bucket().await;
        let clock = FixedClock::default();
        Self {
            aws,
            table,
            blobs,
            bucket,
            clock,
        }
    }

    /// The store as another process has it.
    fn store(&self) -> DynamoStore {
        let clock = Arc::new(self.clock.clone());
        DynamoStore::new(self.table.clone(), self.blobs.clone(), clock)
    }

    /// The names of objects in the bucket.
    async fn objects(&self) -> Vec<String> {
        let list = self.aws.clients.s3.list_objects_v2().bucket(&self.bucket);
        let found = list.send().await.unwrap().contents.unwrap_or_default();
        found.into_iter().filter_map(|object| object.key).collect()
    }

    /// How many items the table has whose partition key begins so.
    async fn items(&self, prefix: &str) -> usize {
        let mut pages = self
            .aws
            .clients
            .dynamodb
            .scan()
            .table_name(self.table.name())
            .into_paginator()
            .items()
            .send();
        let mut count = 0;
        while let Some(item) = pages.next().await {
            count += usize::from(item.unwrap()["pk"].as_s().unwrap().starts_with(prefix));
        }
        count
    }
}

fn write(kind: Kind, key: &str, expected: u64, body: String) -> Write {
    Write {
        key: RecordKey {
            project: PROJECT,
            kind,
            key: key.to_owned(),
        },
        expected,
        format: 1,
        body,
        indexes: vec![IndexEntry::new("state", &"new")],
    }
}

fn writes(writes: Vec<Write>) -> Commit {
    Commit {
        writes,
        ..Commit::default()
    }
}

/// Text that no compression shortens much, always the same for one number.
fn noise(bytes: usize, number: u64) -> String {
    let mut state = number.wrapping_mul(2).wrapping_add(1);
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b' ' + 1 + u8::try_from((state >> 33) % 90).unwrap())
    };
    (0..bytes).map(|_| draw()).collect()
}

fn message(number: usize) -> Envelope {
    let channel = format!("channel-{number}");
    Envelope::new("tick", PROJECT, Message::Publish { channel })
}

fn refused(answer: &Result<(), PortError>) -> bool {
    matches!(answer, Err(PortError::Broken { .. }))
}

fn query(kind: Kind, index: Option<&str>, after: Option<&str>, limit: usize) -> Query {
    Query {
        project: PROJECT,
        kind,
        index: index.map(|value| IndexEntry::new("state", &value)),
        after: after.map(str::to_owned),
        limit,
    }
}

async fn keys(store: &DynamoStore, query: &Query) -> Vec<String> {
    let page = store.list(query).await.unwrap();
    page.into_iter().map(|record| record.key.key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_that_was_changed_in_the_bucket_is_refused() {
    let place = Place::new().await;
    let store = place.store();
    for number in [1, 2] {
        let key = format!("longest-{number}");
        let body = noise(1_500_000, number);
        let commit = writes(vec![write(Kind::Request, &key, 0, body)]);
        store.commit(commit).await.unwrap();
    }
    let names = place.objects().await;
    // What another record holds is well formed; only its name is wrong.
    let copy = place.aws.clients.s3.copy_object();
    let copy = copy.copy_source(format!("{}/{}", place.bucket, names[0]));
    let copy = copy.bucket(&place.bucket).key(&names[1]);
    copy.send().await.unwrap();
    let mut answers = Vec::new();
    for number in [1, 2] {
        let key = RecordKey {
            project: PROJECT,
            kind: Kind::Request,
            key: format!("longest-{number}"),
        };
        answers.push(store.get(&key).await);
    }
    answers.sort_by_key(Result::is_err);
    assert!(matches!(&answers[0], Ok(Some(_))));
    assert!(matches!(&answers[1], Err(PortError::Broken { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_every_length_come_back_and_only_the_longest_go_to_s3() {
    let place = Place::new().await;
    let store = place.store();
    let bodies = [
        ("short", "{}".to_owned()),
        ("repetitive", "ü☃ ".repeat(400_000)),
        ("long", noise(300_000, 1)),
        ("longest", noise(1_500_000, 2)),
    ];
    for (key, body) in &bodies {
        let commit = writes(vec![write(Kind::Event, key, 0, body.clone())]);
        store.commit(commit).await.unwrap();
    }
    assert_eq!(place.objects().await.len(), 1);
    assert!(place.objects().await[0].starts_with("~records/"));
    let listed = store
        .list(&query(Kind::Event, None, None, 10))
        .await
        .unwrap();
    assert_eq!(listed.len(), bodies.len());
    for record in listed {
        let (_, body) = bodies
            .iter()
            .find(|(key, _)| *key == record.key.key)
            .unwrap();
        assert!(record.body == *body, "{} came back changed", record.key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_larger_than_a_transaction_may_be_goes_through_as_a_whole() {
    let place = Place::new().await;
    let store = place.store();
    let many = || (0..30).map(|n| write(Kind::Issue, &format!("{n:02}"), 0, noise(200_000, n)));
    let mut stale = writes(many().collect());
    stale
        .writes
        .push(write(Kind::Issue, "stale", 3, "{}".to_owned()));
    let answer = store.commit(stale).await;
    assert!(
        matches!(answer, Err(PortError::Conflict { .. })),
        "{answer:?}"
    );
    assert_eq!(place.items("record#").await, 0);
    store.commit(writes(many().collect())).await.unwrap();
    assert_eq!(place.items("record#").await, 30);
    let objects = place.objects().await.len();
    assert!((1..30).contains(&objects), "{objects} bodies went to S3");
    for record in store
        .list(&query(Kind::Issue, None, None, 100))
        .await
        .unwrap()
    {
        let number = record.key.key.parse().unwrap();
        assert!(
            record.body == noise(200_000, number),
            "{} changed",
            record.key
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_kinds_with_many_lanes_go_in_key_order() {
    let place = Place::new().await;
    let store = place.store();
    let names: Vec<String> = (0..400).map(|n| format!("event-{n:03}")).collect();
    for chunk in names.chunks(COMMIT_WRITES_MAX) {
        let chunk = chunk
            .iter()
            .map(|n| write(Kind::Event, n, 0, "{}".to_owned()));
        store.commit(writes(chunk.collect())).await.unwrap();
    }
    for index in [None, Some("new")] {
        let mut paged: Vec<String> = Vec::new();
        loop {
            let after = paged.last().map(String::as_str);
            // Less than the events, more than a lane's part of a page: several looks into each lane.
            let page = keys(&store, &query(Kind::Event, index, after, 150)).await;
            if page.is_empty() {
                break;
            }
            assert!(page.len() == 150 || paged.len() == 300);
            paged.extend(page);
        }
        assert_eq!(paged, names, "by index {index:?}");
    }
    let mut used = 0;
    for lane in 0..LANES {
        let lane = place.items(&format!("record#7#event#{lane}")).await;
        used += usize::from(lane > 0);
    }
    assert_eq!(used, usize::from(LANES));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_transaction_can_hold_is_refused_and_changes_nothing() {
    let place = Place::new().await;
    let store = place.store();
    let plain = |key: &str| write(Kind::Issue, key, 0, "{}".to_owned());
    let full = || {
        writes(
            (0..COMMIT_WRITES_MAX)
                .map(|n| plain(&format!("{n}")))
                .collect(),
        )
    };
    let mut entries = plain("entries");
    let values = ["one", "two", "three"];
    entries.indexes = values
        .map(|value| IndexEntry::new("state", &value))
        .to_vec();
    let mut wide = plain("wide");
    wide.indexes = vec![IndexEntry::new("state", &"x".repeat(1_001))];
    // The bound of the ports leaves room for messages and some counters.
    let counted = |counters: usize| {
        (0..counters).fold(full().send(message(1)), |commit, n| {
            commit.add(PROJECT, &format!("tally-{n}"), "n", 1)
        })
    };
    let room = TRANSACTION_ITEMS_MAX - COMMIT_WRITES_MAX - 1;
    let commits = [
        counted(room + 1),
        writes(vec![plain("")]),
        writes(vec![plain(&"x".repeat(1_001))]),
        writes(vec![entries]),
        writes(vec![wide]),
    ];
    for commit in commits {
        let answer = store.commit(commit).await;
        assert!(refused(&answer), "{answer:?}");
    }
    assert_eq!(place.items("").await, 0);
    for commit in [counted(room), writes(vec![plain(&"x".repeat(1_000))])] {
        store.commit(commit).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_one_process_sent_is_put_again_by_no_other() {
    let place = Place::new().await;
    let (first, second) = (place.store(), place.store());
    let both = Commit::new().send(message(1)).send(message(2));
    first.commit(both).await.unwrap();
    second.commit(Commit::new().send(message(1))).await.unwrap();
    assert_eq!(second.outbox(10).await.unwrap(), [message(1), message(2)]);
    // This process has never looked into the outbox.
    let third = place.store();
    third.sent(&[message(1).id]).await.unwrap();
    assert_eq!(first.outbox(10).await.unwrap(), [message(2)]);
    first.commit(Commit::new().send(message(1))).await.unwrap();
    assert_eq!(second.outbox(10).await.unwrap(), [message(2)]);
    second.sent(&[message(2).id]).await.unwrap();
    for store in [first, second, third] {
        assert!(store.outbox(10).await.unwrap().is_empty());
    }
    assert_eq!(place.items("outbox#").await, 0, "what was sent was cleared");
    assert_eq!(place.items("sent#").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_message_that_is_marked_as_sent_can_still_be_sent() {
    let place = Place::new().await;
    let store = place.store();
    store.sent(&[message(1).id]).await.unwrap();
    store.commit(Commit::new().send(message(1))).await.unwrap();
    assert_eq!(store.outbox(10).await.unwrap(), [message(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_is_read_to_its_end_past_what_was_sent() {
    let place = Place::new().await;
    let store = place.store();
    for number in 0..120 {
        store
            .commit(Commit::new().send(message(number)))
            .await
            .unwrap();
    }
    let all: Vec<Envelope> = (0..120).map(message).collect();
    assert_eq!(store.outbox(1_000).await.unwrap(), all);
    assert_eq!(store.outbox(60).await.unwrap(), all[..60]);
    let ids: Vec<_> = all[..110]
        .iter()
        .map(|message| message.id.clone())
        .collect();
    place.store().sent(&ids).await.unwrap();
    assert_eq!(store.outbox(5).await.unwrap(), all[110..115]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_marked_before_it_died_is_cleared_by_the_next() {
    let place = Place::new().await;
    let store = place.store();
    let both = Commit::new().send(message(1)).send(message(2));
    store.commit(both).await.unwrap();
    for number in [1, 2] {
        let text = |value: String| AttributeValue::S(value);
        let put = place.aws.clients.dynamodb.put_item();
        let put = put.table_name(place.table.name());
        let put = put.item("pk", text(format!("sent#{}", message(number).id)));
        put.item("sk", text("sent".to_owned()))
            .send()
            .await
            .unwrap();
        let left: Vec<Envelope> = (number + 1..=2).map(message).collect();
        assert_eq!(store.outbox(10).await.unwrap(), left);
    }
    assert_eq!(place.items("outbox#").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_may_forget_a_sent_message_after_its_days_and_not_before() {
    let place = Place::new().await;
    let store = place.store();
    store.commit(Commit::new().send(message(1))).await.unwrap();
    store.sent(&[message(1).id]).await.unwrap();
    let key = |value: String| AttributeValue::S(value);
    let get = place.aws.clients.dynamodb.get_item();
    let get = get.table_name(place.table.name());
    let get = get.key("pk", key(format!("sent#{}", message(1).id)));
    let item = get.key("sk", key("sent".to_owned())).send().await.unwrap();
    assert_eq!(expires(&item.item.unwrap()), Some(place.days(SENT_DAYS)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reported_is_forgotten_after_its_days_and_what_follows_from_it_stays() {
    let place = Place::new().await;
    let store = place.store();
    let kept = |kind: Kind, expected: u64| Write {
        key: RecordKey {
            project: PROJECT,
            kind,
            key: "one".into(),
        },
        expected,
        format: 1,
        body: "{}".into(),
        indexes: vec![],
    };
    let mut commit = Commit::new();
    commit.writes = vec![kept(Kind::Event, 0), kept(Kind::Issue, 0)];
    store.commit(commit).await.unwrap();
    place.clock.advance(Duration::from_hours(24));
    let mut commit = Commit::new();
    commit.writes = vec![kept(Kind::Event, 1)];
    store.commit(commit).await.unwrap();
    let scan = place.aws.clients.dynamodb.scan();
    let scan = scan.table_name(place.table.name()).send().await.unwrap();
    let items = scan.items.unwrap();
    let of = |kind: &str| {
        let holds = |item: &&Item| item["pk"].as_s().unwrap().contains(kind);
        expires(items.iter().find(holds).unwrap())
    };
    assert_eq!(of("#event#"), Some(place.days(REPORT_DAYS)));
    assert_eq!(of("#issue#"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn additions_of_many_processes_are_spread_and_add_up() {
    let place = Place::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let store = place.store();
        tasks.spawn(async move {
            for _ in 0..10 {
                let commit = Commit::new().add(PROJECT, "tally/a#b", "up", 3);
                store
                    .commit(commit.add(PROJECT, "tally/a#b", "pk", -1))
                    .await
                    .unwrap();
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let sums = place.store().counter(PROJECT, "tally/a#b").await.unwrap();
    assert_eq!(
        sums.into_iter().collect::<Vec<_>>(),
        [("pk".to_owned(), -100), ("up".to_owned(), 300)]
    );
    assert!(place.items("counter#").await > 1, "all went to one shard");
}
